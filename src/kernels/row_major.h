/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The contract's path: a table in the caller's order and codes as rows, with
 * nothing prepared.  In: a plain table, rows of codes.  Out: results in the heap.
 * Rows are transposed to columns in registers, some at a time, and filtered: by
 * all 256 entries where permutations look these up, in half of the columns once
 * that will do, else by minima over 64 groups.  Those rule codes out even here,
 * where a group is four arbitrary centroids: of 20,000 rows all but a fifth, once
 * 16,000 have given a bound.  Until then pairs of centroids (128 groups), or
 * entries, of half of the columns rule out four times as much.
 */
#ifndef PQK_KERNELS_ROW_MAJOR_H
#define PQK_KERNELS_ROW_MAJOR_H

#include <string.h>

#include "kernels/scalar.h"
#include "kernels/scan.h"

#define BATCH_ROWS 1024

/* Not a multiple of 4096 bytes, so that columns do not compete for the same
 * sets of the first-level cache. */
#define BATCH_STRIDE (BATCH_ROWS + 64)

/* Columns that are transposed at a time: what a 16-byte load holds of a row. */
#define BATCH_COLUMNS 16

struct row_scan {
    const float *entries;
    size_t num_sub_vectors;
    const uint8_t *codes;
    pqk_top_k_heap *heap;
    struct rounding rounding;
    uint8_t columns[BATCH_COLUMNS * BATCH_STRIDE] __attribute__((aligned(64)));
    uint8_t sums[BATCH_ROWS] __attribute__((aligned(64)));
    uint8_t bytes[PQK_MAX_SUB_VECTORS * PQK_TABLE_STRIDE]
        __attribute__((aligned(64)));
    uint8_t groups[PQK_MAX_SUB_VECTORS * 64] __attribute__((aligned(64)));
    enum isa_kind table;   /* which of the two is looked at */
    size_t better_columns; /* of 16, if it is not 64 groups */
    float minima[PQK_MAX_SUB_VECTORS];
    uint32_t pending[BATCH_ROWS + TOGETHER]; /* rows of a batch, to be summed */
    float pending_sums[BATCH_ROWS + TOGETHER];
};

/* Here rounding.h's proof is used for entries >= 0 only.  A caller's table may hold
 * anything; returns 0 for one that must go through the plain loop. */
static int find_row_minima(struct row_scan *scan)
{
    clear_minima(&scan->rounding);
    for (size_t m = 0; m < scan->num_sub_vectors; m++) {
        scan->minima[m] = isa_row_minimum(scan->entries + m * 256);
        if (scan->minima[m] < 0.0f)
            return 0;
        add_minimum(&scan->rounding, scan->minima[m]);
    }
    return has_minima(&scan->rounding);
}

/* Whether something rules out more than 64 groups do and still pays. */
#define HAS_BETTER (ISA_ROW_TABLE != TABLE_64)

/* Of 16 columns so many are looked up in that, if any is: with 64 groups for the
 * others it lets a few more rows through in half the time.  Where 64 groups save
 * less, all 16 are at first. */
#define LEAST_BETTER 8
#define FIRST_BETTER                                                           \
    (ISA_BY_GROUPS && HAS_BETTER ? LEAST_BETTER : BATCH_COLUMNS)

/* What is looked up there. */
static void find_better_rows(struct row_scan *scan)
{
    uint8_t bytes[PQK_TABLE_STRIDE] __attribute__((aligned(64)));

    for (size_t m = 0; m < scan->num_sub_vectors; m++) {
        uint8_t *row = scan->bytes + m * 256;

        if (m % BATCH_COLUMNS >= scan->better_columns)
            continue;
        isa_quantize(scan->entries + m * 256, 256, scan->minima[m],
                     scan->rounding.scale,
                     ISA_ROW_TABLE == TABLE_128 ? bytes : row);
        if (ISA_ROW_TABLE == TABLE_128)
            find_minima_128(bytes, row);
    }
}

/* What is looked up in a column of a batch. */
static enum isa_kind row_kind(const struct row_scan *scan, size_t column)
{
    return column < scan->better_columns ? scan->table : TABLE_64;
}

/* Of the columns that are looked up in them; whenever that changes, they are made
 * anew.  Minima in float32 are found for each scale: there are few, and to keep
 * them for 256 sub-vectors takes 64 KiB of the stack. */
static void find_row_groups(struct row_scan *scan)
{
    for (size_t m = 0; m < scan->num_sub_vectors; m++) {
        const float *entries = scan->entries + m * 256,
                    scale = scan->rounding.scale;

        if (row_kind(scan, m % BATCH_COLUMNS) != TABLE_64)
            continue;
#if ISA_FLOAT_GROUPS
        float minima[64] __attribute__((aligned(64)));

        isa_group_minima(entries, minima);
        isa_quantize(minima, 64, scan->minima[m], scale, scan->groups + m * 64);
#else
        isa_quantize(entries, 256, scan->minima[m], scale,
                     scan->bytes + m * 256);
        find_minima_64(scan->bytes + m * 256, scan->groups + m * 64);
#endif
    }
}

static void set_row_scale(struct row_scan *scan)
{
    choose_scale(&scan->rounding, scan->num_sub_vectors,
                 pqk_heap_bound(scan->heap));
    if (ISA_BY_GROUPS || scan->better_columns < BATCH_COLUMNS)
        find_row_groups(scan);
    if (scan->table != TABLE_64)
        find_better_rows(scan);
}

/* Code m of a row.  Where loads are what sums wait for, 8 codes are loaded
 * together: `word` has them. */
ISA_INLINE uint8_t code_of_row(const uint8_t *row, uint64_t *word, size_t m)
{
#if ISA_WORDS_OF_CODES
    if (m % 8 == 0)
        memcpy(word, row + m, sizeof *word);
    return (uint8_t)(*word >> 8 * (m % 8));
#else
    (void)word;
    return row[m];
#endif
}

ISA_INLINE void exact_row_sums_of(const float *entries, const uint8_t *codes,
                                  const uint32_t rows[TOGETHER],
                                  size_t num_sub_vectors, float sums[TOGETHER])
{
    const uint8_t *code[TOGETHER];
    const float *row = entries;
    uint64_t words[TOGETHER] = {0};
    float sum[TOGETHER] = {0.0f};

    ISA_UNROLL
    for (int i = 0; i < TOGETHER; i++)
        code[i] = codes + rows[i] * num_sub_vectors;
#pragma GCC unroll 16
    for (size_t m = 0; m < num_sub_vectors; m++) {
        ISA_UNROLL
        for (int i = 0; i < TOGETHER; i++)
            sum[i] += row[code_of_row(code[i], &words[i], m)];
        row += PQK_TABLE_STRIDE;
    }
    memcpy(sums, sum, sizeof sum);
}

/* As verify_pending() in exact.h: sums first, then decisions.  Rows count from the
 * batch's first one. */
static void verify_rows(struct row_scan *scan, size_t first, size_t count)
{
    const size_t num_sub_vectors = scan->num_sub_vectors;
    const uint8_t *codes = scan->codes + first * num_sub_vectors;
    uint32_t *pending = scan->pending;
    float bound = pqk_heap_bound(scan->heap);

    if (count == 0)
        return;
    for (size_t i = 0; i < TOGETHER; i++)
        pending[count + i] = pending[0];
    for (size_t i = 0; i < count; i += TOGETHER)
        if (num_sub_vectors == 16)
            exact_row_sums_of(scan->entries, codes, pending + i, 16,
                              scan->pending_sums + i);
        else
            exact_row_sums_of(scan->entries, codes, pending + i,
                              num_sub_vectors, scan->pending_sums + i);
    for (size_t i = 0; i < count; i++) {
        if (scan->pending_sums[i] > bound)
            continue;
        pqk_top_k_heap_push(scan->heap, (uint32_t)(first + pending[i]),
                            scan->pending_sums[i]);
        bound = pqk_heap_bound(scan->heap);
    }
}

static const uint8_t *row_table(const struct row_scan *scan, enum isa_kind kind,
                                size_t m)
{
    return kind == TABLE_64 ? scan->groups + m * 64 : scan->bytes + m * 256;
}

/* Byte sums of some blocks of rows, lanes in the order of isa_transpose_rows(). */
static void sum_batch(struct row_scan *scan, size_t row, size_t num_rows)
{
    const size_t stride = scan->num_sub_vectors;

    for (size_t m = 0; m < stride; m += BATCH_COLUMNS) {
        const uint8_t *codes = scan->codes + row * stride + m;

        for (size_t b = 0; b < num_rows; b += PQK_BLOCK)
            isa_transpose_rows(codes + b * stride, stride, scan->columns + b,
                               BATCH_STRIDE);
        for (size_t c = 0; c < BATCH_COLUMNS;) {
            const enum isa_kind kind = row_kind(scan, c);
            struct scan_pass pass = {.table = kind,
                                     .num_columns =
                                         pass_columns(kind, MAX_PASS_COLUMNS)};

            for (size_t j = 0; j < pass.num_columns; j++) {
                pass.tables[j] = row_table(scan, kind, m + c + j);
                pass.columns[j] = scan->columns + (c + j) * BATCH_STRIDE;
            }
            pass_sum(&pass, 0, num_rows / PQK_BLOCK, m + c == 0, scan->sums);
            c += pass.num_columns;
        }
    }
}

/* Returns how many rows had to be summed in float32. */
static size_t filter_batch(struct row_scan *scan, size_t row, size_t num_rows)
{
    size_t survivors = 0;

    sum_batch(scan, row, num_rows);
    for (size_t b = 0; b < num_rows; b += PQK_BLOCK) {
        uint64_t alive =
            isa_alive(scan->sums + b, (uint8_t)scan->rounding.threshold);

        for (; alive != 0; alive &= alive - 1)
            scan->pending[survivors++] =
                (uint32_t)b +
                isa_transposed_row((unsigned)__builtin_ctzll(alive));
    }
    verify_rows(scan, row, survivors);
    return survivors;
}

#if ISA_WORDS_OF_CODES

/* In fours, too, where their codes come out of words; else that takes longer. */
static void scan_rows_exactly(struct row_scan *scan, size_t first, size_t end)
{
    for (size_t row = first; row < end; row += BATCH_ROWS) {
        const size_t count = end - row < BATCH_ROWS ? end - row : BATCH_ROWS;

        for (size_t i = 0; i < count; i++)
            scan->pending[i] = (uint32_t)i;
        verify_rows(scan, row, count);
    }
    pqk_heap_tighten(scan->heap);
}

#else

static void scan_rows_exactly(struct row_scan *scan, size_t first, size_t end)
{
    pqk_scalar_scan(scan->entries, scan->num_sub_vectors,
                    scan->codes + first * scan->num_sub_vectors, end - first,
                    (uint32_t)first, NULL, scan->heap);
    pqk_heap_tighten(scan->heap);
}

#endif

/* Rows that are summed without a filter, for a first bound: fewer where the filter
 * is a good one. */
#define FIRST_ROWS (BATCH_ROWS / (!HAS_BETTER ? 1 : ISA_BY_GROUPS ? 2 : 4))

/* The share of a batch above which what is better than 64 groups takes less time;
 * below which, with that, 64 groups would do; below which, with that in all
 * columns, half of them would do; and above which even the best filter takes more
 * time than it saves. */
#define MUCH_FOR_GROUPS 0.125
#define LITTLE          0.03
#define HARDLY_ANY      0.002
#define HOPELESS        (HAS_BETTER ? 0.5 : 0.75)

/* So many rows are worth tables of their own. */
#define MANY_ROWS (32 * BATCH_ROWS)

/* The most rows that are summed without a filter before it is tried again. */
#define MAX_SKIPPED_ROWS (16 * BATCH_ROWS)

/* Fewer columns of what is better where hardly a row is let through and enough rows
 * are left for it to pay; all of them again where that was too few.  The others'
 * bytes are there: find_row_groups() makes them on its way. */
static void change_columns(struct row_scan *scan, double share, size_t left)
{
    _Static_assert(ISA_BY_GROUPS || !ISA_FLOAT_GROUPS, "it does");

    if (FIRST_BETTER == LEAST_BETTER || !HAS_BETTER)
        return;
    if (scan->better_columns > LEAST_BETTER && share < HARDLY_ANY &&
        left >= MANY_ROWS) {
        scan->better_columns = LEAST_BETTER;
        find_row_groups(scan);
    } else if (share > LITTLE) {
        scan->better_columns = BATCH_COLUMNS;
    }
}

/* A bound for the rows to come, and bytes for it if they are too coarse by now.
 * `share` of the last rows were let through. */
static void refresh_rows(struct row_scan *scan, double share, size_t left)
{
    change_columns(scan, share, left);
    tighten_soon(scan->heap);
    scan->rounding.threshold = byte_threshold(
        &scan->rounding, scan->num_sub_vectors, pqk_heap_bound(scan->heap));
    if (scan->rounding.threshold < 0 ||
        scan->rounding.threshold >= COARSE_THRESHOLD)
        return;
    if (share < LITTLE)
        scan->table = SINGLE_TABLE;
    set_row_scale(scan);
}

/* A filter that let too many rows through gives way to a better one; or else the
 * next rows are summed without, each time twice as many.  Returns where that
 * ends. */
static size_t give_way(struct row_scan *scan, size_t row, size_t num_vectors,
                       double share, size_t *skipped)
{
    size_t end;

    if (HAS_BETTER && scan->table != ISA_ROW_TABLE) {
        if (share > MUCH_FOR_GROUPS) {
            scan->table = ISA_ROW_TABLE;
            find_better_rows(scan);
        }
        return row;
    }
    if (share <= HOPELESS)
        return row;
    end = num_vectors - row < *skipped ? num_vectors : row + *skipped;
    scan_rows_exactly(scan, row, end);
    if (*skipped < MAX_SKIPPED_ROWS)
        *skipped *= 2;
    return end;
}

/* The rows from `row` on, as far as they fill blocks; returns where it
 * stopped. */
static size_t filter_rows(struct row_scan *scan, size_t row, size_t num_vectors)
{
    size_t skipped = BATCH_ROWS;

    set_row_scale(scan);
    while (num_vectors - row >= PQK_BLOCK && scan->rounding.threshold >= 0) {
        /* At first, few rows make the bound much lower. */
        size_t num_rows = row < FIRST_ROWS ? BATCH_ROWS : row;
        double share;

        if (num_rows > BATCH_ROWS)
            num_rows = BATCH_ROWS;
        if (num_rows > num_vectors - row)
            num_rows = num_vectors - row;
        num_rows = num_rows / PQK_BLOCK * PQK_BLOCK;
        share = (double)filter_batch(scan, row, num_rows) / (double)num_rows;
        row = give_way(scan, row + num_rows, num_vectors, share, &skipped);
        refresh_rows(scan, share, num_vectors - row);
    }
    return scan->rounding.threshold < 0 ? num_vectors : row;
}

static void scan_row_major(const float *entries, size_t num_sub_vectors,
                           const uint8_t *codes, size_t num_vectors,
                           pqk_top_k_heap *heap)
{
    struct row_scan scan;
    size_t row = heap->k > FIRST_ROWS / 4 ? heap->k * 4 : FIRST_ROWS;

    scan.entries = entries;
    scan.num_sub_vectors = num_sub_vectors;
    scan.codes = codes;
    scan.heap = heap;
    scan.table = ISA_ROW_TABLE;
    scan.better_columns = FIRST_BETTER;
    if (num_sub_vectors % BATCH_COLUMNS != 0 || num_vectors / 2 < row ||
        heap->k == 0 || !find_row_minima(&scan)) {
        pqk_scalar_scan(entries, num_sub_vectors, codes, num_vectors, 0, NULL,
                        heap);
        return;
    }
    if (has_bound(heap))
        row = 0;
    scan_rows_exactly(&scan, 0, row);
    if (has_bound(heap))
        row = filter_rows(&scan, row, num_vectors);
    scan_rows_exactly(&scan, row, num_vectors);
}

/* Centroids as they come, [k][d], are transposed to [d][256] first if they fit. */
#define MAX_TRANSPOSED_DIMS 32

static void transpose_centroids(const float *centroids, size_t num_centroids,
                                size_t d, float *transposed)
{
    const size_t tiled_centroids = num_centroids / 8 * 8,
                 tiled_dims = d / 8 * 8;

    for (size_t c = 0; c < tiled_centroids; c += 8)
        for (size_t i = 0; i < tiled_dims; i += 8)
            isa_transpose_floats(centroids + c * d + i, d,
                                 transposed + i * 256 + c, 256);
    if (tiled_centroids == num_centroids && tiled_dims == d)
        return;
    for (size_t c = 0; c < num_centroids; c++)
        for (size_t i = c < tiled_centroids ? tiled_dims : 0; i < d; i++)
            transposed[i * 256 + c] = centroids[c * d + i];
}

#if ISA_FLOAT_GROUPS

/* An aligned row of the table, of 256 centroids of 8 dimensions as they come.  The
 * sums are table_row()'s. */
static void row_of_vectors(const float *centroids, const float *query,
                           float *row)
{
    isa_floats of_query[8];

    ISA_UNROLL
    for (int i = 0; i < 8; i++)
        of_query[i] = isa_all_floats(query[i]);
    for (size_t c = 0; c < 256; c += ISA_FLOATS) {
        isa_floats components[8], sum;

        isa_load_vectors(centroids + c * 8, components);
        ISA_UNROLL
        for (int i = 0; i < 8; i++)
            components[i] = of_query[i] - components[i];
        sum = components[0] * components[0];
        ISA_UNROLL
        for (int i = 1; i < 8; i++)
            sum += components[i] * components[i];
        isa_store_floats(row + c, sum);
    }
}

#endif

static void scan_table(const float *query, const pqk_codebook *codebook,
                       float *entries)
{
    const size_t d = codebook->sub_vector_dim;
    const size_t num_centroids = codebook->num_centroids;
    float transposed[MAX_TRANSPOSED_DIMS * 256] __attribute__((aligned(64)));
    float row[256] __attribute__((aligned(64)));

    if (d > MAX_TRANSPOSED_DIMS) {
        pqk_scalar_table(query, codebook, entries);
        return;
    }
#if ISA_FLOAT_GROUPS
    if (d == 8 && num_centroids == 256) {
        for (size_t m = 0; m < codebook->num_sub_vectors; m++) {
            row_of_vectors(codebook->centroids + m * 256 * 8, query + m * 8,
                           row);
            memcpy(entries + m * 256, row, sizeof row);
        }
        return;
    }
#endif
    for (size_t i = 0; num_centroids < 256 && i < d * 256; i++)
        transposed[i] = INFINITY;
    for (size_t m = 0; m < codebook->num_sub_vectors; m++) {
        transpose_centroids(codebook->centroids + m * num_centroids * d,
                            num_centroids, d, transposed);
        table_row(transposed, query + m * d, d, row);
        for (size_t c = num_centroids; c < 256; c++)
            row[c] = INFINITY;
        memcpy(entries + m * 256, row, sizeof row);
    }
}

#endif
