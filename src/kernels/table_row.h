/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A row of a query's table, for any instruction set's floats: rounded like the
 * reference, since each centroid has a lane of its own.
 */
#ifndef PQK_KERNELS_TABLE_ROW_H
#define PQK_KERNELS_TABLE_ROW_H

#include <math.h>

#include "kernels/isa.h"

/* How many registers of sums are made at a time: a component of the query is loaded
 * once for all of them. */
#ifndef ISA_ROW_SUMS
#define ISA_ROW_SUMS 8
#endif

/* (query - centroid)^2, rounded twice: no fused multiply-add. */
static inline isa_floats square(isa_floats query, const float *centroids)
{
    const isa_floats difference = query - isa_load_floats(centroids);

    return difference * difference;
}

/*
 * row[c] = sum over i = 0, ..., d - 1 of the square of query[i] - centroids[i * 256
 * + c], d being 1 or more; returns the minimum.  Arrays of 256 are 64-byte aligned.
 * The sums begin with the first square instead of adding it to 0: a square is not
 * -0, so that is the same number.
 */
static inline float table_row(const float *centroids, const float *query,
                              size_t d, float *row)
{
    isa_floats minimum = isa_all_floats(INFINITY);

    for (size_t c = 0; c < 256; c += ISA_ROW_SUMS * ISA_FLOATS) {
        const float *of_dim = centroids + c;
        isa_floats sums[ISA_ROW_SUMS], component = isa_all_floats(query[0]);

        ISA_UNROLL
        for (int j = 0; j < ISA_ROW_SUMS; j++)
            sums[j] = square(component, of_dim + j * ISA_FLOATS);
        for (size_t i = 1; i < d; i++) {
            of_dim += 256;
            component = isa_all_floats(query[i]);
            ISA_UNROLL
            for (int j = 0; j < ISA_ROW_SUMS; j++)
                sums[j] += square(component, of_dim + j * ISA_FLOATS);
        }
        ISA_UNROLL
        for (int j = 0; j < ISA_ROW_SUMS; j++) {
            isa_store_floats(row + c + j * ISA_FLOATS, sums[j]);
            minimum = isa_lesser_floats(sums[j], minimum);
        }
    }
    return isa_least_float(minimum);
}

#if ISA_FLOAT_GROUPS

/* Registers of each quarter of a row that are made at a time. */
#define QUARTER_SUMS (ISA_ROW_SUMS / 4)

/* A row of 8 dimensions where there are registers enough to keep all components,
 * two registers of each quarter of the row at a time. */
static float row_of_8_dims(const float *centroids, const float *query,
                           float *row, float *minima)
{
    isa_floats minimum = isa_all_floats(INFINITY), components[8];
    const float *of_dims[8];

    /* Addresses that are not known to be so far apart: only small offsets allow two
     * registers to be loaded at a time. */
    ISA_UNROLL
    for (int i = 0; i < 8; i++) {
        components[i] = isa_all_floats(query[i]);
        of_dims[i] = centroids + i * 256;
        __asm__("" : "+r"(of_dims[i]));
    }
    for (size_t c = 0; c < 64; c += 2 * ISA_FLOATS) {
        isa_floats sums[8];

        ISA_UNROLL
        for (int j = 0; j < 8; j++)
            sums[j] = square(components[0],
                             of_dims[0] + c + j / 2 * 64 + j % 2 * ISA_FLOATS);
        ISA_UNROLL
        for (int i = 1; i < 8; i++) {
            ISA_UNROLL
            for (int j = 0; j < 8; j++)
                sums[j] += square(components[i], of_dims[i] + c + j / 2 * 64 +
                                                     j % 2 * ISA_FLOATS);
        }
        ISA_UNROLL
        for (int j = 0; j < 8; j++)
            isa_store_floats(row + c + j / 2 * 64 + j % 2 * ISA_FLOATS,
                             sums[j]);
        ISA_UNROLL
        for (int j = 0; j < 2; j++) {
            const isa_floats least = isa_least_of_four(
                sums[j], sums[j + 2], sums[j + 4], sums[j + 6]);

            isa_store_floats(minima + c + j * ISA_FLOATS, least);
            minimum = isa_lesser_floats(least, minimum);
        }
    }
    return isa_least_float(minimum);
}

/* A row, and minima[g], that of the entries whose numbers share the 6 low bits g:
 * some registers of each quarter of the row at a time. */
static inline float table_row_of_groups(const float *centroids,
                                        const float *query, size_t d,
                                        float *row, float *minima)
{
    isa_floats minimum = isa_all_floats(INFINITY);

    if (d == 8 && ISA_ROW_SUMS >= 16)
        return row_of_8_dims(centroids, query, row, minima);
    for (size_t c = 0; c < 64; c += QUARTER_SUMS * ISA_FLOATS) {
        const float *of_dim = centroids + c;
        isa_floats sums[ISA_ROW_SUMS], component = isa_all_floats(query[0]);

        ISA_UNROLL
        for (int j = 0; j < ISA_ROW_SUMS; j++)
            sums[j] = square(component, of_dim + j / QUARTER_SUMS * 64 +
                                            j % QUARTER_SUMS * ISA_FLOATS);
        for (size_t i = 1; i < d; i++) {
            of_dim += 256;
            component = isa_all_floats(query[i]);
            ISA_UNROLL
            for (int j = 0; j < ISA_ROW_SUMS; j++)
                sums[j] += square(component, of_dim + j / QUARTER_SUMS * 64 +
                                                 j % QUARTER_SUMS * ISA_FLOATS);
        }
        ISA_UNROLL
        for (int j = 0; j < ISA_ROW_SUMS; j++)
            isa_store_floats(row + c + j / QUARTER_SUMS * 64 +
                                 j % QUARTER_SUMS * ISA_FLOATS,
                             sums[j]);
        ISA_UNROLL
        for (int j = 0; j < QUARTER_SUMS; j++) {
            const isa_floats least = isa_least_of_four(
                sums[j], sums[j + QUARTER_SUMS], sums[j + 2 * QUARTER_SUMS],
                sums[j + 3 * QUARTER_SUMS]);

            isa_store_floats(minima + c + j * ISA_FLOATS, least);
            minimum = isa_lesser_floats(least, minimum);
        }
    }
    return isa_least_float(minimum);
}

/* The minima of groups of a row that is there. */
static inline void find_group_minima(const float *row, float *minima)
{
    for (size_t c = 0; c < 64; c += ISA_FLOATS)
        isa_store_floats(minima + c,
                         isa_least_of_four(isa_load_floats(row + c),
                                           isa_load_floats(row + c + 64),
                                           isa_load_floats(row + c + 128),
                                           isa_load_floats(row + c + 192)));
}

#endif

#endif
