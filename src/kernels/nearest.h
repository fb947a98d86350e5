/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The first of the nearest centroids, by all distances. */
#ifndef PQK_KERNELS_NEAREST_H
#define PQK_KERNELS_NEAREST_H

#include <math.h>

#include "kernels/table_row.h"

/* Of four lanes, as every instruction set has them. */
typedef float encode_f32 __attribute__((vector_size(16), may_alias));
typedef uint64_t encode_u64 __attribute__((vector_size(16)));

/* Where the minimum is first; it is there. */
static inline uint8_t find_first(const float *row, float minimum)
{
    size_t c = 0;

    for (; c < 256 - 16; c += 16) {
        const encode_f32 *four = (const encode_f32 *)(row + c);
        encode_u64 equal = (encode_u64)(four[0] == minimum) |
                           (encode_u64)(four[1] == minimum) |
                           (encode_u64)(four[2] == minimum) |
                           (encode_u64)(four[3] == minimum);

        if ((equal[0] | equal[1]) != 0)
            break;
    }
    while (row[c] != minimum)
        c++;
    return (uint8_t)c;
}

static uint8_t nearest_exactly(const float *centroids, size_t d,
                               const float *row)
{
    float distances[256] __attribute__((aligned(64)));
    float minimum = table_row(centroids, row, d, distances);

    return minimum < INFINITY ? find_first(distances, minimum) : 0;
}

static void nearest_of_all(const float *centroids, size_t d, const float *rows,
                           size_t num_rows, size_t row_stride, uint8_t *codes,
                           size_t code_stride)
{
    for (size_t i = 0; i < num_rows; i++)
        codes[i * code_stride] =
            nearest_exactly(centroids, d, rows + i * row_stride);
}

#endif
