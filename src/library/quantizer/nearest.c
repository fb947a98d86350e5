/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The nearest centroid, without a kernel: a harness which must not link one can
 * train as well.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "nearest.h"

float *pqk_transposed_create(size_t d)
{
    return aligned_alloc(64, d * PQK_MAX_CENTROIDS * sizeof(float));
}

void pqk_transpose_centroids(const float *centroids, size_t num_centroids,
                             size_t d, float *transposed)
{
    for (size_t i = 0; i < d; i++)
        for (size_t c = 0; c < PQK_MAX_CENTROIDS; c++)
            transposed[i * PQK_MAX_CENTROIDS + c] =
                c < num_centroids ? centroids[c * d + i] : __builtin_inff();
}

/* Four lanes wherever the compiler runs: it uses what the target has, and each
 * lane rounds like a scalar. */
#define LANES 4
typedef float lanes_f32 __attribute__((vector_size(16), may_alias));
typedef int32_t lanes_i32 __attribute__((vector_size(16)));

static lanes_i32 select_i32(lanes_i32 mask, lanes_i32 yes, lanes_i32 no)
{
    return (mask & yes) | (~mask & no);
}

/* Each lane keeps its own first strict minimum; among lanes the smaller
 * distance, then the lower number, wins, which is the first strict minimum of
 * all. */
static uint8_t nearest_centroid(const float *centroids, size_t d,
                                const float *row)
{
    const float infinity = __builtin_inff();
    lanes_f32 best = {infinity, infinity, infinity, infinity};
    lanes_i32 best_at = {0, 0, 0, 0};
    lanes_i32 at = {0, 1, 2, 3};
    size_t winner = 0;

    for (size_t c = 0; c < PQK_MAX_CENTROIDS; c += LANES, at += LANES) {
        lanes_f32 sum = {0.0f, 0.0f, 0.0f, 0.0f};
        lanes_i32 nearer;

        for (size_t i = 0; i < d; i++) {
            const void *values = centroids + i * PQK_MAX_CENTROIDS + c;
            lanes_f32 difference = row[i] - *(const lanes_f32 *)values;
            sum += difference * difference;
        }
        nearer = sum < best;
        best = (lanes_f32)select_i32(nearer, (lanes_i32)sum, (lanes_i32)best);
        best_at = select_i32(nearer, at, best_at);
    }
    for (size_t lane = 1; lane < LANES; lane++)
        if (best[lane] < best[winner] ||
            (best[lane] == best[winner] && best_at[lane] < best_at[winner]))
            winner = lane;
    return (uint8_t)best_at[winner];
}

void pqk_plain_nearest(const float *centroids, size_t d, const float *rows,
                       size_t num_rows, size_t row_stride, uint8_t *codes,
                       size_t code_stride)
{
    for (size_t i = 0; i < num_rows; i++)
        codes[i * code_stride] =
            nearest_centroid(centroids, d, rows + i * row_stride);
}
