/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A row of a query's table of estimates, for any instruction set that has integers
 * for it: squared distances of integers, as estimates.h explains them.
 */
#ifndef PQK_KERNELS_ESTIMATE_ROW_H
#define PQK_KERNELS_ESTIMATE_ROW_H

#include <math.h>
#include <string.h>

#include "kernels/isa.h"
#include "kernels/layout.h"

#if ISA_ESTIMATES

#ifdef ISA_LANES /* and so isa_multiply_pairs() */

ISA_INLINE isa_ints isa_sum_products(const isa_ints *a, const int16_t *b,
                                     size_t num_pairs)
{
    isa_ints sum = isa_multiply_pairs(a[0], isa_load_ints((const void *)b));

#pragma GCC unroll 4
    for (size_t p = 1; p < num_pairs; p++)
        sum = isa_add_ints(
            sum, isa_multiply_pairs(
                     a[p], isa_load_ints((const void *)(b + p * 512))));
    return sum;
}

#endif

/* A register of each quarter of a row is made at a time, for the minima of groups:
 * row[c] = common + norms[c] + the products of pairs.  Returns the least.
 * Arrays are 64-byte aligned. */
ISA_INLINE float estimate_pairs(const int32_t *norms, const int16_t *pairs,
                                const int16_t *integers, size_t num_pairs,
                                int32_t common, float *row, float *group_minima)
{
    isa_floats minimum = isa_all_floats(INFINITY);
    isa_ints of_query[PQK_MAX_ROUNDED_DIM / 2];

#pragma GCC unroll 4
    for (size_t p = 0; p < num_pairs; p++) {
        int32_t pair;

        memcpy(&pair, integers + 2 * p, sizeof pair);
        of_query[p] = isa_all_ints(pair);
    }
    for (size_t c = 0; c < 64; c += ISA_FLOATS) {
        isa_floats entries[4];

        ISA_UNROLL
        for (size_t j = 0; j < 4; j++) {
            const isa_ints sum = isa_add_ints(
                isa_add_ints(isa_all_ints(common),
                             isa_load_ints(norms + c + j * 64)),
                isa_sum_products(of_query, pairs + 2 * (c + j * 64),
                                 num_pairs));

            entries[j] = isa_to_floats(sum);
            isa_store_floats(row + c + j * 64, entries[j]);
        }
        entries[0] = isa_lesser_floats(entries[1], entries[0]);
        entries[2] = isa_lesser_floats(entries[3], entries[2]);
        entries[0] = isa_lesser_floats(entries[2], entries[0]);
        if (ISA_FLOAT_GROUPS)
            isa_store_floats(group_minima + c, entries[0]);
        minimum = isa_lesser_floats(entries[0], minimum);
    }
    return isa_least_float(minimum);
}

static float estimate_row(const int32_t *norms, const int16_t *pairs,
                          const int16_t *integers, size_t num_pairs,
                          int32_t common, float *row, float *group_minima)
{
    return num_pairs == 4 ? estimate_pairs(norms, pairs, integers, 4, common,
                                           row, group_minima)
                          : estimate_pairs(norms, pairs, integers, num_pairs,
                                           common, row, group_minima);
}

#endif
#endif
