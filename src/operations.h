/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What an instruction set provides to the scan, each operation by itself and in
 * terms of plain memory, so that tests/kernels/check_operations.c can hold it
 * against plain C.  For that test alone: no such table is part of the library.
 * src/kernels/operation_table.h fills one in for each variant except scalar, whose
 * loops are plain C.  A NULL says that the variant does not have the operation.
 *
 * A block is 64 bytes.  All pointers to bytes are 64-byte aligned, but for those
 * to tables of 16, which are 16-byte aligned, and the rows of transpose_rows;
 * pointers to integers are aligned to all `lanes` of them; pointers to
 * floating-point numbers only as such, unless it says more below.  What is not
 * named is neither read nor written.
 *
 * Like src/kernels.h this is the judge's side, and does not change in research.
 */
#ifndef PQK_OPERATIONS_H
#define PQK_OPERATIONS_H

#include <stddef.h>
#include <stdint.h>

#include "variants.h"

/* The most columns of a pass. */
#define PQK_MAX_PASS_COLUMNS 8

/* Columns of labels, and for each the table that they are looked up in. */
struct pqk_operations_pass {
    unsigned table_size;
    unsigned num_columns; /* what pass_columns gives */
    const uint8_t *tables[PQK_MAX_PASS_COLUMNS];
    const uint8_t *columns[PQK_MAX_PASS_COLUMNS];
};

struct pqk_operations {
    /* The sizes of tables that there are look-ups for: 16, 64, 128, 256, added
     * up. */
    unsigned table_sizes;
    /* Integers that go together in what is named _ints. */
    unsigned lanes;

    /* Blocks: to[j] = from[j]. */
    void (*copy)(const uint8_t *from, uint8_t *to);
    /* sums[j] = min(255, a[j] + b[j]) */
    void (*add)(const uint8_t *a, const uint8_t *b, uint8_t *sums);
    /* 1 if a byte is <= the threshold, which is at most 254, else 0. */
    unsigned (*any_alive)(const uint8_t *sums, uint8_t threshold);
    /* Bit j: whether byte j is; the threshold is at most 254. */
    uint64_t (*alive)(const uint8_t *sums, uint8_t threshold);
    /* How many bytes of so many blocks are; any number of blocks. */
    size_t (*count_alive)(const uint8_t *sums, size_t num_blocks,
                          uint8_t threshold);
    /* entries[j] = table[labels[j] % table_size] */
    void (*look_up)(unsigned table_size, const uint8_t *labels,
                    const uint8_t *table, uint8_t *entries);

    /* How many columns a pass takes when so many are left, 1 or more: from 1 up
     * to the lesser of those and PQK_MAX_PASS_COLUMNS. */
    unsigned (*pass_columns)(unsigned table_size, size_t left);
    /* Add up what the columns look up in the blocks from an offset on, 1 or more,
     * and add the sums to those that are there unless the pass is the first.
     * Sums end at 255; the offset is a multiple of 64. */
    void (*pass_sum)(const struct pqk_operations_pass *pass, size_t offset,
                     size_t num_blocks, int first, uint8_t *sums);
    /* The same for at most 64 blocks, and in which of them a sum is <= the
     * threshold, which is at most 254: bit b for block b. */
    uint64_t (*pass_filter)(const struct pqk_operations_pass *pass,
                            size_t offset, size_t num_blocks, int first,
                            uint8_t *sums, uint8_t threshold);
    /* The same for those blocks b alone for which live has bit b, in a pass that
     * is not the first.  No other block is touched, nor has a bit. */
    uint64_t (*pass_filter_live)(const struct pqk_operations_pass *pass,
                                 size_t offset, uint64_t live, uint8_t *sums,
                                 uint8_t threshold);

    /* row[c], 256 of them: the float32 sum, in ascending order and never fused, of
     * the squares of query[i] - centroids[i * 256 + c], i < d; d is 1 or more.
     * Returns their minimum, see row_minimum.  centroids and row are 64-byte
     * aligned. */
    float (*table_row)(const float *centroids, const float *query, size_t d,
                       float *row);
    /* to[j * to_stride + i] = from[i * from_stride + j] for i and j below 8, all
     * bits.  Strides are 8 or more. */
    void (*transpose_floats)(const float *from, size_t from_stride, float *to,
                             size_t to_stride);
    /* The minimum of 256 numbers without the NaNs, +inf if nothing else is there.
     * -0 and +0 are the same. */
    float (*row_minimum)(const float *row);
    /* For 256 or 64 numbers min(255, (numbers[c] - bias) * scale) in float32,
     * rounded down; 255 for a NaN.  No number is less than the bias, which is
     * finite; scale is finite and above 0. */
    void (*quantize)(const float *numbers, size_t count, float bias,
                     float scale, uint8_t *bytes);
    /* The sum of 256 products; no weight is greater than 64. */
    uint32_t (*weigh)(const uint8_t *entries, const uint8_t *weights);

    /* Minima of groups in float32, a group being the numbers that are the same
     * modulo 64: 64 times as row_minimum; returns the row's.  minima are 64-byte
     * aligned. */
    float (*group_minima)(const float *row, float *minima);
    /* The sum of products of a group's byte with its weights, of which none is
     * greater than 64, added up; 256 of them may count as 255. */
    uint32_t (*weigh_64)(const uint8_t *minima, const uint8_t *weights);
    /* As table_row, and the minima of its groups; of a group without numbers that
     * may be NaN. */
    float (*table_row_of_groups)(const float *centroids, const float *query,
                                 size_t d, float *row, float *minima);

    /* row[c], 256 of them: common + norms[c] + the sum over pairs p and i < 2 of
     * integers[2p + i] * pairs[(256 p + c) * 2 + i], to the nearest float; returns
     * the least, and finds 64 minima of groups if float_groups.  No part of a sum
     * is beyond 32 bits.  norms, pairs and what is written are 64-byte aligned. */
    float (*estimate_row)(const int32_t *norms, const int16_t *pairs,
                          const int16_t *integers, size_t num_pairs,
                          int32_t common, float *row, float *minima);
    int float_groups;
    /* The same of floats: row[c] is (float)norms[c], added to common, then
     * factors[i] * centroids[256 i + c] added to that for i = 0, ..., d - 1, each
     * of them fused; d is a multiple of 8.  No sum is beyond floats.  centroids
     * are 64-byte aligned, too. */
    float (*estimate_floats)(const int32_t *norms, const float *centroids,
                             const float *factors, size_t d, float common,
                             float *row, float *minima);
    /* With p = values - centres: factors[i], about -2 steps^2 p[i], and what they
     * and `common` may be off.  That, B, is norms + 1 + (2 d + 16) 2^-24 P, where P
     * is 2^28 + the sum of |factors[i]| (|p[i]| + 2 |centres[i]| + reach[i] step);
     * or else +inf, if P is not below 2^35, and `common` is not written then.
     * common is B more than the sum of -factors[i] (p[i] / 2 + centres[i]).  d is
     * a multiple of 8, step is 1 / steps. */
    double (*find_factors)(const float *values, const float *centres,
                           const float *reach, size_t d, float steps,
                           float step, double norms, float *factors,
                           float *common);
    /* sums[j] + the squares of query[i] - vectors[j][i] for i = 0, ..., 7, one
     * added after the other in float32. */
    void (*add_squares)(const float *query, const float *const vectors[8],
                        float sums[8]);

    /* columns[c * column_stride + j] = codes[transposed_row(j) * row_stride + c]
     * for c < 16 and j < 64.  Codes are anywhere; row_stride is 16 or more,
     * column_stride a multiple of 64. */
    void (*transpose_rows)(const uint8_t *codes, size_t row_stride,
                           uint8_t *columns, size_t column_stride);
    /* A permutation of the numbers below 64. */
    unsigned (*transposed_row)(unsigned lane);

    /* minima[i] of 128: of the bytes, of 256, whose numbers are i modulo 128. */
    void (*minima_128)(const uint8_t *bytes, uint8_t *minima);
    /* The same modulo 64. */
    void (*minima_64)(const uint8_t *bytes, uint8_t *minima);
    /* Minima modulo 64 and 16, what those of 64 have above those of 16, and what
     * the bytes have above those of 64. */
    void (*groups)(const uint8_t *bytes, uint8_t *minima_64, uint8_t *minima_16,
                   uint8_t *steps_64, uint8_t *rests_64);

    /* to[j] = from[j]; the next, to[j] = number. */
    void (*copy_ints)(const int32_t *from, int32_t *to);
    void (*all_ints)(int32_t number, int32_t *to);
    /* a[j] + b[j], which is within 32 bits. */
    void (*add_ints)(const int32_t *a, const int32_t *b, int32_t *sums);
    /* The lesser of a[j] and b[j]. */
    void (*lesser_ints)(const int32_t *a, const int32_t *b, int32_t *lesser);
    /* Of 2 * lanes integers of 16 bits: a[2j] b[2j] + a[2j + 1] b[2j + 1].  Not
     * all four of them are -2^15. */
    void (*multiply_pairs)(const int16_t *a, const int16_t *b, int32_t *sums);
    int32_t (*least_int)(const int32_t *ints);
    /* Bit j: ints[j] <= most[j].  No other bits. */
    unsigned (*ints_at_most)(const int32_t *ints, const int32_t *most);
    /* steps[j], of 8: (values[j] - centres[j]) * scale in float32, rounded to the
     * nearest integer, of two the even one.  Returns the sum of their squares; or
     * -1, and steps may be anything, if one's magnitude was not <= reach[j] before
     * it was rounded.  The squares of the reaches add up to at most 2^28.  steps
     * are 16-byte aligned. */
    int32_t (*round)(const float *values, const float *centres,
                     const float *reach, float scale, int16_t *steps);
};

/* Of what this build has; a test that wants one for scalar defines it. */
#define PQK_DECLARE_OPERATIONS(name, needs, built)                             \
    extern const struct pqk_operations pqk_operations_##name;
PQK_VARIANTS(PQK_DECLARE_OPERATIONS)
#undef PQK_DECLARE_OPERATIONS

#endif
