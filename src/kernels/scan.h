/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The scan of prepared codes.  Each SIMD variant's file defines the primitives
 * that scan_ops.h lists, and its plans, and then includes this; everything in
 * these headers is compiled with that variant's flags.
 *
 * A query's table is rounded down to bytes such that a sum of 253 stands for
 * the distance that a code must not exceed to be a result.  Sums of bytes over
 * some columns, or over minima of groups of centroids, are lower bounds of the
 * distance (bound.h proves it); codes above the threshold are dropped without
 * ever being looked at in float32, and blocks of 64 that are all dropped cost no
 * more columns.  What is left is summed in the reference's order.  Nothing is
 * approximated.
 */
#ifndef PQK_KERNELS_SCAN_H
#define PQK_KERNELS_SCAN_H

#include "kernels/staged.h"
#include "kernels/whole.h"

static size_t query_bytes(size_t num_sub_vectors)
{
    struct scan_arrays arrays;

    return lay_out_query(0, num_sub_vectors, &arrays);
}

static size_t scan_tables_bytes(const pqk_codebook *shape, size_t num_queries)
{
    return aligned_size(sizeof(struct scan_work)) +
           num_queries * query_bytes(shape->num_sub_vectors);
}

/* The queries in the memory of scan_tables_bytes(). */
static uintptr_t queries_in(void *tables)
{
    return (uintptr_t)tables + aligned_size(sizeof(struct scan_work));
}

static void take_query(struct scan *scan, size_t q)
{
    scan->query = (void *)(scan->queries + q * scan->query_bytes);
    scan->heap = &scan->heaps[q];
}

/* Minus the float32 sums, in ascending order, of the products with 256 centroids.
 * Compilers make vectors of these loops. */
static void sum_products(const float *restrict centroids,
                         const float *restrict query, size_t d,
                         float *restrict row)
{
    for (size_t c = 0; c < PQK_TABLE_STRIDE; c++)
        row[c] = 0.0f;
    for (size_t i = 0; i < d; i++, centroids += PQK_TABLE_STRIDE)
        for (size_t c = 0; c < PQK_TABLE_STRIDE; c++)
            row[c] += query[i] * centroids[c];
    for (size_t c = 0; c < PQK_TABLE_STRIDE; c++)
        row[c] = -row[c];
}

/* A table row by a metric; returns its minimum. */
static float make_row(const struct pqk_layout_codebook *codebook,
                      pqk_metric metric, size_t m, const float *query,
                      float *row)
{
    const size_t d = codebook->sub_vector_dim;
    const float *centroids =
        pqk_layout_centroids(codebook) + m * d * PQK_TABLE_STRIDE;

    if (metric == PQK_L2)
        return isa_table_row(centroids, query, d, row);
    sum_products(centroids, query, d, row);
    if (codebook->num_centroids < PQK_TABLE_STRIDE)
        for (size_t label = 0; label < PQK_TABLE_STRIDE; label++)
            if (!pqk_layout_uses_label(codebook, m, label))
                row[label] = INFINITY;
    return isa_row_minimum(row);
}

static void scan_compute_tables(const void *prepared_codebook,
                                pqk_metric metric, const float *queries,
                                size_t num_queries, void *tables)
{
    const struct pqk_layout_codebook *codebook = prepared_codebook;
    const size_t num_sub_vectors = codebook->num_sub_vectors;
    const size_t d = codebook->sub_vector_dim;

    uintptr_t at = queries_in(tables);

    for (size_t q = 0; q < num_queries; q++) {
        struct scan_query *query = (void *)at;
        struct scan_arrays arrays;

        at += lay_out_query(at, num_sub_vectors, &arrays);
        clear_minima(&query->bound);
        for (size_t m = 0; m < num_sub_vectors; m++) {
            arrays.minima[m] = make_row(codebook, metric, m,
                                        queries + (q * num_sub_vectors + m) * d,
                                        arrays.table + m * PQK_TABLE_STRIDE);
            add_minimum(&query->bound, arrays.minima[m]);
        }
    }
}

/* Where a filter leaves a smaller share than one of so many, finding its rows and
 * summing them takes less time than byte sums of all. */
#define SPARSE_SHARE 256

/* Too few rows for bounds to pay, and tables without a minimum. */
static int wants_no_bound(const struct scan *scan)
{
    return scan->num_allowed <= 2 * PQK_BLOCK ||
           scan->num_allowed < scan->layout.num_vectors / SPARSE_SHARE ||
           (scan->heap->k > scan->num_allowed / 2 && !has_bound(scan->heap)) ||
           !has_minima(&scan->query->bound);
}

/* Everything but the staged scan. */
static void begin_query(struct scan *scan)
{
    struct scan_query *query = scan->query;
    const struct pqk_layout *layout = &scan->layout;

    lay_out_query((uintptr_t)query, scan->num_sub_vectors, &query->arrays);
    query->plan = 0;
    query->moves = 0;
    query->exact_chunks = 0;
    query->done_blocks = 0;
    query->aimed = 0;
    query->finished = 1;
    memset(query->done_cells, 0, (layout->num_cells + 7) / 8);
    if (scan->heap->k == 0 || scan->num_allowed == 0)
        return;
    if (wants_no_bound(scan)) {
        scan_exactly(scan, 0, layout->num_blocks);
        return;
    }
    if (layout->num_vectors <= WHOLE_CODES && scan_small(scan)) {
        query->aimed = 1;
        return;
    }
    query->finished = 0;
    if (!has_bound(scan->heap)) {
        if (layout->num_cells > 0)
            probe_nearest_cells(scan);
        else
            probe_first_blocks(scan);
    }
    query->aimed = aim(scan);
}

static uint32_t bound_groups(const struct scan *scan)
{
    const struct scan_query *query = scan->query;

    if (!query->aimed || query->exact_chunks > 0)
        return 0;
    switch (scan->plans[query->plan].stages[0].bound) {
    case BOUND_16:
        return 16;
    case BOUND_64:
        return 64;
    case BOUND_128:
        return 128;
    default:
        return 256;
    }
}

/* Runs begin short, since thresholds fall and plans settle early, and grow up to
 * this. */
#define MOST_CHUNKS 16

/* A run of one chunk after the other.  Queries take turns on a chunk: the first
 * one fetches it for all, and it stays in the second-level cache. */
static void run(struct scan *scan, size_t first, size_t end, size_t num_queries)
{
    for (size_t q = 0; q < num_queries; q++) {
        take_query(scan, q);
        begin_run(scan, first, end);
    }
    for (size_t chunk = first; chunk < end; chunk++)
        for (size_t q = 0; q < num_queries; q++) {
            take_query(scan, q);
            if (scan->query->filters)
                run_chunk(scan, chunk);
        }
    for (size_t q = 0; q < num_queries; q++) {
        take_query(scan, q);
        end_run(scan, first, end);
    }
}

static void run_all(struct scan *scan, size_t num_chunks, size_t num_queries)
{
    size_t step = num_chunks / 64 + 1;

    for (size_t first = 0, end; first < num_chunks; first = end) {
        end = num_chunks - first < step ? num_chunks : first + step;
        run(scan, first, end, num_queries);
        if (step < MOST_CHUNKS)
            step *= 2;
    }
}

/* How many rows the bits of a filter allow. */
static size_t count_allowed(const struct pqk_filter *filter, size_t num_vectors)
{
    size_t count = 0;

    if (!filter || !filter->rows)
        return num_vectors;
    for (size_t i = 0; i < num_vectors / 64; i++)
        count += (size_t)__builtin_popcountll(filter->rows[i]);
    if (num_vectors % 64 > 0)
        count += (size_t)__builtin_popcountll(
            filter->rows[num_vectors / 64] &
            (((uint64_t)1 << num_vectors % 64) - 1));
    return count;
}

static void scan_probe(const void *prepared_codebook, const void *codes,
                       size_t num_vectors, uint32_t first_id,
                       const struct pqk_filter *filter, void *tables,
                       size_t num_queries, pqk_top_k_heap *heaps,
                       pqk_search_stats *stats)
{
    const struct pqk_layout_codebook *codebook = prepared_codebook;
    struct scan scan = {
        .num_sub_vectors = codebook->num_sub_vectors,
        .layout = pqk_layout_of(codebook->num_sub_vectors, num_vectors),
        .codes = codes,
        .first_id = first_id,
        .work = tables,
        .queries = queries_in(tables),
        .query_bytes = query_bytes(codebook->num_sub_vectors),
        .heaps = heaps,
        .plans = ISA_PLANS(num_queries),
        .filter = filter,
        .num_allowed = count_allowed(filter, num_vectors),
        .stats = stats};
    const size_t num_chunks = (scan.layout.num_blocks + CHUNK - 1) / CHUNK;

    for (size_t q = 0; q < num_queries; q++) {
        take_query(&scan, q);
        begin_query(&scan);
    }
    run_all(&scan, num_chunks, num_queries);
    stats->codes += (uint64_t)num_vectors * num_queries;
    stats->bound_groups = bound_groups(&scan);
}

#endif
