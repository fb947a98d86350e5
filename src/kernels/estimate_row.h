/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A row of a query's table of estimates, for any instruction set that has integers
 * for it, or fused floats: squared distances, as estimates.h explains them.
 */
#ifndef PQK_KERNELS_ESTIMATE_ROW_H
#define PQK_KERNELS_ESTIMATE_ROW_H

#include <math.h>
#include <string.h>

#include "kernels/isa.h"
#include "kernels/layout.h"

#if ISA_FLOAT_ESTIMATES

/* The P of estimates.h from which on there are none. */
#define MOST_ADDED_UP 0x1p35f

/* Factors of a sub-vector's centroids, and what all its entries have in common;
 * returns how far these may be off, norms by A of that proof, or infinity. */
static double find_factors(const float *values, const float *centres,
                           const float *reach, size_t d, float steps,
                           float step, double norms, float *factors,
                           float *constant)
{
    const isa_floats twice = isa_all_floats(-2.0f * steps * steps);
    const isa_floats half = isa_all_floats(0.5f);
    isa_floats common = isa_all_floats(0.0f), magnitude = common;
    float added_up;
    double off;

    for (size_t i = 0; i < d; i += ISA_FLOATS) {
        const isa_floats centre = isa_load_floats(centres + i);
        const isa_floats p = isa_load_floats(values + i) - centre;
        const isa_floats g = p * twice, z = isa_magnitudes(centre);

        isa_store_floats(factors + i, g);
        common -= g * (p * half + centre);
        magnitude += isa_magnitudes(g) *
                     (isa_magnitudes(p) + z + z +
                      isa_load_floats(reach + i) * isa_all_floats(step));
    }
    added_up = isa_sum_floats(magnitude) + 0x1p28f;
    if (!(added_up < MOST_ADDED_UP))
        return HUGE_VAL;
    off = norms + (2.0 * (double)d + 16.0) * 0x1p-24 * (double)added_up + 1.0;
    *constant = isa_sum_floats(common) + (float)off;
    return off;
}

/* Two registers of each quarter of a row, a dimension after the other. */
ISA_INLINE void add_dimension(isa_floats factor, const float *centroids,
                              isa_floats sums[8])
{
    ISA_UNROLL
    for (int j = 0; j < 8; j++)
        sums[j] = isa_multiply_add(
            sums[j], factor,
            isa_load_floats(centroids + j / 2 * 64 + j % 2 * ISA_FLOATS));
}

/* What all dimensions begin with. */
ISA_INLINE void begin_sums(const int32_t *norms, float common,
                           isa_floats sums[8])
{
    ISA_UNROLL
    for (int j = 0; j < 8; j++)
        sums[j] =
            isa_all_floats(common) +
            isa_load_ints_as_floats(norms + j / 2 * 64 + j % 2 * ISA_FLOATS);
}

/* The entries, and the minima of their groups; returns the lesser of `minimum` and
 * those, lane by lane. */
ISA_INLINE isa_floats store_sums(const isa_floats sums[8], float *row,
                                 float *group_minima, isa_floats minimum)
{
    ISA_UNROLL
    for (int j = 0; j < 8; j++)
        isa_store_floats(row + j / 2 * 64 + j % 2 * ISA_FLOATS, sums[j]);
    ISA_UNROLL
    for (int j = 0; j < 2; j++) {
        const isa_floats least =
            isa_least_of_four(sums[j], sums[j + 2], sums[j + 4], sums[j + 6]);

        isa_store_floats(group_minima + j * ISA_FLOATS, least);
        minimum = isa_lesser_floats(least, minimum);
    }
    return minimum;
}

/* Of 8 dimensions: all factors are in registers, and each dimension has an address
 * of its own, as in row_of_8_dims(). */
static float estimate_8_dims(const int32_t *norms, const float *centroids,
                             const float *factors, float common, float *row,
                             float *group_minima)
{
    isa_floats minimum = isa_all_floats(INFINITY), of_query[8];
    const float *of_dims[8];

    ISA_UNROLL
    for (int i = 0; i < 8; i++) {
        of_query[i] = isa_all_floats(factors[i]);
        of_dims[i] = centroids + i * 256;
        ISA_FORGET(of_dims[i]);
    }
    for (size_t c = 0; c < 64; c += 2 * ISA_FLOATS) {
        isa_floats sums[8];

        begin_sums(norms + c, common, sums);
        ISA_UNROLL
        for (int i = 0; i < 8; i++)
            add_dimension(of_query[i], of_dims[i] + c, sums);
        minimum = store_sums(sums, row + c, group_minima + c, minimum);
    }
    return isa_least_float(minimum);
}

/* row[c] = common + norms[c] + factors[0] * centroids[c] + factors[1] *
 * centroids[256 + c] + ..., fused.  Returns the least.  Arrays are 64-byte
 * aligned, but for the factors. */
static float estimate_row(const int32_t *norms, const float *centroids,
                          const float *factors, size_t d, float common,
                          float *row, float *group_minima)
{
    isa_floats minimum = isa_all_floats(INFINITY);

    if (d == 8)
        return estimate_8_dims(norms, centroids, factors, common, row,
                               group_minima);
    for (size_t c = 0; c < 64; c += 2 * ISA_FLOATS) {
        isa_floats sums[8];

        begin_sums(norms + c, common, sums);
        for (size_t i = 0; i < d; i++)
            add_dimension(isa_all_floats(factors[i]), centroids + i * 256 + c,
                          sums);
        minimum = store_sums(sums, row + c, group_minima + c, minimum);
    }
    return isa_least_float(minimum);
}

#elif ISA_ESTIMATES

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
