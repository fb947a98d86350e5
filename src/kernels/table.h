/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A query's table in float32.
 * In: a prepared codebook, a metric, queries, the heaps that they have.  Out: for
 * each query, 256 entries per sub-vector, by label; each sub-vector's minimum; the
 * sum of the minima.  Promised: the reference's bits and +inf for labels that are
 * not used, or estimates, and the query says which.  Never: a fused or reordered
 * addition in an exact entry.
 */
#ifndef PQK_KERNELS_TABLE_H
#define PQK_KERNELS_TABLE_H

#include <math.h>

#include "kernels/estimates.h"
#include "kernels/table_row.h"

/* A row of inner products, negated: float32 sums in ascending order.  Compilers
 * vectorize these loops. */
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

/* A table row by a metric, and the minima of its groups where they are wanted;
 * returns its minimum. */
static float make_row(const struct pqk_layout_codebook *codebook,
                      pqk_metric metric, size_t m, const float *query,
                      float *row, float *group_minima)
{
    const size_t d = codebook->sub_vector_dim;
    const float *centroids =
        pqk_layout_centroids(codebook) + m * d * PQK_TABLE_STRIDE;

#if ISA_FLOAT_GROUPS
    if (metric == PQK_L2)
        return table_row_of_groups(centroids, query, d, row, group_minima);
#else
    (void)group_minima;
    if (metric == PQK_L2)
        return table_row(centroids, query, d, row);
#endif
    sum_products(centroids, query, d, row);
    if (codebook->num_centroids < PQK_TABLE_STRIDE)
        for (size_t label = 0; label < PQK_TABLE_STRIDE; label++)
            if (!pqk_layout_uses_label(codebook, m, label))
                row[label] = INFINITY;
#if ISA_FLOAT_GROUPS
    find_group_minima(row, group_minima);
#endif
    return isa_row_minimum(row);
}

/* Row m of a query's table. */
static void make_query_row(const struct pqk_layout_codebook *codebook,
                           pqk_metric metric, size_t m,
                           struct scan_query *query)
{
    const struct scan_arrays *arrays = &query->arrays;
    const float minimum = make_row(
        codebook, metric, m, arrays->components + m * codebook->sub_vector_dim,
        arrays->table + m * PQK_TABLE_STRIDE, arrays->group_minima + m * 64);

    arrays->row_minima[m] = minimum;
    add_minimum(&query->rounding, minimum);
}

/* Exact entries instead of estimates, where filters do not rule enough out. */
static void make_exact(struct scan *scan)
{
    struct scan_query *query = scan->query;

    if (!query->estimates)
        return;
    query->estimates = 0;
    query->is_ordered = 0;
    query->aimed = 0;
    clear_minima(&query->rounding);
    for (size_t m = 0; m < scan->num_sub_vectors; m++)
        make_query_row(scan->codebook, PQK_L2, m, query);
}

/* Row m of each query, of estimates where they are wanted. */
static void make_rows(const struct pqk_layout_codebook *codebook,
                      const struct pqk_layout_rounded *rounded,
                      pqk_metric metric, size_t m, uintptr_t first,
                      size_t num_queries, size_t bytes)
{
    for (size_t q = 0; q < num_queries; q++) {
        struct scan_query *query = (void *)(first + q * bytes);

        if (query->estimates)
            estimate_query_row(codebook, rounded, m, query);
        else
            make_query_row(codebook, metric, m, query);
    }
}

static void scan_compute_tables(const void *prepared_codebook,
                                pqk_metric metric, const float *queries,
                                size_t num_queries, const pqk_top_k_heap *heaps,
                                void *tables)
{
    const struct pqk_layout_codebook *codebook = prepared_codebook;
    const struct pqk_layout_rounded rounded = pqk_layout_rounded_of(codebook);
    const size_t num_sub_vectors = codebook->num_sub_vectors;
    const size_t d = codebook->sub_vector_dim, dim = num_sub_vectors * d;
    const size_t bytes = query_bytes(num_sub_vectors, d);
    const uintptr_t first = queries_in(tables);

    for (size_t q = 0; q < num_queries; q++) {
        struct scan_query *query = (void *)(first + q * bytes);

        lay_out_query((uintptr_t)query, num_sub_vectors, d, &query->arrays);
        memcpy(query->arrays.components, queries + q * dim,
               dim * sizeof(float));
        clear_minima(&query->rounding);
        query->is_ordered = 0;
        query->estimates = wants_estimates(codebook, metric, &heaps[q]) &&
                           round_query(codebook, &rounded, query);
    }
    /* Sub-vector by sub-vector, so that its centroids stay in the first cache. */
    for (size_t m = 0; m < num_sub_vectors; m++)
        make_rows(codebook, &rounded, metric, m, first, num_queries, bytes);
    for (size_t q = 0; q < num_queries; q++) {
        struct scan_query *query = (void *)(first + q * bytes);

        if (query->estimates)
            allow_for_estimates(&query->rounding, codebook);
    }
}

#endif
