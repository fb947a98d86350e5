/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The contract's path: a table in the caller's order and codes as rows, with
 * nothing prepared.  Rows are turned into columns in registers, a batch at a
 * time, and filtered: by all 256 entries where permutations look them up, else by
 * minima over 64 groups, a fair bound even here, where the four centroids of a
 * group are any four.
 */
#ifndef PQK_KERNELS_ROW_MAJOR_H
#define PQK_KERNELS_ROW_MAJOR_H

#include "kernels/scan.h"

#define BATCH_ROWS 1024

/* Not a multiple of 4096 bytes, so that columns do not compete for the same
 * sets of the first-level cache. */
#define BATCH_STRIDE (BATCH_ROWS + 64)

/* Columns that are turned at a time: what a 16-byte load holds of a row. */
#define BATCH_COLUMNS 16

struct row_scan {
    const float *entries;
    size_t num_sub_vectors;
    const uint8_t *codes;
    pqk_top_k_heap *heap;
    struct byte_bound bound;
    uint8_t columns[BATCH_COLUMNS * BATCH_STRIDE] __attribute__((aligned(64)));
    uint8_t sums[BATCH_ROWS] __attribute__((aligned(64)));
    uint8_t bytes[PQK_MAX_SUB_VECTORS * PQK_TABLE_STRIDE]
        __attribute__((aligned(64)));
    uint8_t groups[PQK_MAX_SUB_VECTORS * 64] __attribute__((aligned(64)));
    enum scan_table table; /* which of the two is looked at */
    float minima[PQK_MAX_SUB_VECTORS];
};

/* The bound's proof needs entries >= 0.  A table of the caller's may hold
 * anything; returns 0 for those that only the plain loop can take. */
static int find_row_minima(struct row_scan *scan)
{
    clear_minima(&scan->bound);
    for (size_t m = 0; m < scan->num_sub_vectors; m++) {
        scan->minima[m] = isa_row_minimum(scan->entries + m * 256);
        if (scan->minima[m] < 0.0f)
            return 0;
        add_minimum(&scan->bound, scan->minima[m]);
    }
    return has_minima(&scan->bound);
}

static void set_row_scale(struct row_scan *scan)
{
    const float distance = pqk_heap_bound(scan->heap);

    choose_scale(&scan->bound, scan->num_sub_vectors, distance);
    for (size_t m = 0; m < scan->num_sub_vectors; m++) {
        isa_quantize(scan->entries + m * 256, scan->minima[m],
                     scan->bound.scale, scan->bytes + m * 256);
        if (scan->table == TABLE_64)
            group_by_64(scan->bytes + m * 256, scan->groups + m * 64);
    }
}

static inline float exact_row_sum(const float *entries, const uint8_t *code,
                                  size_t num_sub_vectors)
{
    float sum = 0.0f;

#pragma GCC unroll 16
    for (size_t m = 0; m < num_sub_vectors; m++)
        sum += entries[m * PQK_TABLE_STRIDE + code[m]];
    return sum;
}

static void verify_row(struct row_scan *scan, size_t row)
{
    const size_t num_sub_vectors = scan->num_sub_vectors;
    const uint8_t *code = scan->codes + row * num_sub_vectors;
    const uint64_t bound = scan->heap->bound;
    float distance = num_sub_vectors == 16
                         ? exact_row_sum(scan->entries, code, 16)
                         : exact_row_sum(scan->entries, code, num_sub_vectors);

    if (distance > pqk_heap_bound(scan->heap))
        return;
    pqk_top_k_heap_push(scan->heap, (uint32_t)row, distance);
    if (scan->heap->bound != bound)
        scan->bound.threshold = byte_threshold(&scan->bound, num_sub_vectors,
                                               pqk_heap_bound(scan->heap));
}

static const uint8_t *row_table(const struct row_scan *scan, size_t m)
{
    return scan->table == TABLE_64 ? scan->groups + m * 64
                                   : scan->bytes + m * 256;
}

/* Byte sums of BATCH_ROWS rows, lanes in the order of isa_transpose(). */
static void sum_batch(struct row_scan *scan, size_t row)
{
    const size_t stride = scan->num_sub_vectors;

    for (size_t m = 0; m < stride; m += BATCH_COLUMNS) {
        const uint8_t *codes = scan->codes + row * stride + m;

        for (size_t b = 0; b < BATCH_ROWS; b += PQK_BLOCK)
            isa_transpose(codes + b * stride, stride, scan->columns + b,
                          BATCH_STRIDE);
        for (size_t c = 0; c < BATCH_COLUMNS;) {
            struct scan_pass pass = {.table = scan->table,
                                     .num_columns =
                                         isa_pass_columns(scan->table, 4)};

            for (size_t j = 0; j < pass.num_columns; j++) {
                pass.tables[j] = row_table(scan, m + c + j);
                pass.columns[j] = scan->columns + (c + j) * BATCH_STRIDE;
            }
            isa_dense(&pass, 0, BATCH_ROWS / PQK_BLOCK, m + c == 0, scan->sums);
            c += pass.num_columns;
        }
    }
}

/* Returns how many rows had to be summed in float32. */
static size_t filter_batch(struct row_scan *scan, size_t row)
{
    size_t survivors = 0;

    sum_batch(scan, row);
    for (size_t b = 0; b < BATCH_ROWS; b += PQK_BLOCK) {
        uint64_t alive;

        if (scan->bound.threshold < 0)
            break;
        alive = isa_alive(scan->sums + b, (uint8_t)scan->bound.threshold);
        survivors += (size_t)__builtin_popcountll(alive);
        for (; alive != 0; alive &= alive - 1)
            verify_row(
                scan,
                row + b + isa_transposed_row((unsigned)__builtin_ctzll(alive)));
    }
    return survivors;
}

static void scan_rows_exactly(struct row_scan *scan, size_t first, size_t end)
{
    pqk_scalar_scan(scan->entries, scan->num_sub_vectors,
                    scan->codes + first * scan->num_sub_vectors, end - first,
                    (uint32_t)first, NULL, scan->heap);
    pqk_heap_tighten(scan->heap);
}

/* The rows from `row` on, as far as they fill batches; returns where it
 * stopped. */
static size_t filter_rows(struct row_scan *scan, size_t row, size_t num_vectors)
{
    size_t refresh = row + 4 * BATCH_ROWS;

    set_row_scale(scan);
    while (num_vectors - row >= BATCH_ROWS && scan->bound.threshold >= 0) {
        size_t survivors = filter_batch(scan, row);

        row += BATCH_ROWS;
        /* Early on, any bound lets many through. */
        if (ISA_SINGLE_BOUND == BOUND_256 && row > num_vectors / 16 &&
            survivors > BATCH_ROWS / 64)
            scan->table = TABLE_256;
        if (survivors * HOPELESS_SHARE > BATCH_ROWS) {
            size_t end = num_vectors - row < 16 * BATCH_ROWS
                             ? num_vectors
                             : row + 16 * BATCH_ROWS;
            scan_rows_exactly(scan, row, end);
            row = end;
        }
        if (row < refresh)
            continue;
        refresh = row + row / 2;
        pqk_heap_tighten(scan->heap);
        set_row_scale(scan);
    }
    return scan->bound.threshold < 0 ? num_vectors : row;
}

static void scan_row_major(const float *entries, size_t num_sub_vectors,
                           const uint8_t *codes, size_t num_vectors,
                           pqk_top_k_heap *heap)
{
    struct row_scan scan;
    size_t row = heap->k > BATCH_ROWS / 4 ? heap->k * 4 : BATCH_ROWS;

    scan.entries = entries;
    scan.num_sub_vectors = num_sub_vectors;
    scan.codes = codes;
    scan.heap = heap;
    scan.table = ISA_ROW_TABLE;
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

/* Centroids as they come, [k][d], are turned to [d][256] first if they fit. */
#define MOST_TURNED_DIMS 32

static void turn_centroids(const float *centroids, size_t num_centroids,
                           size_t d, float *turned)
{
    const size_t tiled_centroids = num_centroids / 8 * 8,
                 tiled_dims = d / 8 * 8;

    for (size_t c = 0; c < tiled_centroids; c += 8)
        for (size_t i = 0; i < tiled_dims; i += 8)
            isa_turn_8(centroids + c * d + i, d, turned + i * 256 + c, 256);
    for (size_t c = 0; c < num_centroids; c++)
        for (size_t i = c < tiled_centroids ? tiled_dims : 0; i < d; i++)
            turned[i * 256 + c] = centroids[c * d + i];
}

static void scan_table(const float *query, const pqk_codebook *codebook,
                       float *entries)
{
    const size_t d = codebook->sub_vector_dim;
    const size_t num_centroids = codebook->num_centroids;
    float turned[MOST_TURNED_DIMS * 256] __attribute__((aligned(64)));
    float row[256] __attribute__((aligned(64)));

    if (d > MOST_TURNED_DIMS) {
        pqk_scalar_table(query, codebook, entries);
        return;
    }
    for (size_t i = 0; i < d * 256; i++)
        turned[i] = INFINITY;
    for (size_t m = 0; m < codebook->num_sub_vectors; m++) {
        turn_centroids(codebook->centroids + m * num_centroids * d,
                       num_centroids, d, turned);
        isa_table_row(turned, query + m * d, d, row);
        for (size_t c = num_centroids; c < 256; c++)
            row[c] = INFINITY;
        memcpy(entries + m * 256, row, sizeof row);
    }
}

#define SCAN_KERNEL_FUNCTIONS                                                  \
    .compute_distance_table_l2 = scan_table,                                   \
    .probe_pq_l2_top_k = scan_row_major,                                       \
    .codebook_bytes = pqk_layout_codebook_bytes,                               \
    .prepare_codebook = pqk_layout_prepare_codebook,                           \
    .labels_of = pqk_layout_labels_of, .codes_bytes = pqk_layout_codes_bytes,  \
    .prepare_codes = pqk_layout_prepare_codes,                                 \
    .code_layout = pqk_layout_code_layout,                                     \
    .restore_codes = pqk_layout_restore_codes,                                 \
    .tables_bytes = scan_tables_bytes, .compute_tables = scan_compute_tables,  \
    .probe = scan_probe, .nearest_centroids = nearest_centroids

#endif
