/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * One partition, or the tail, for a group of queries: into heaps that are
 * begun, as far as a filter lets rows through.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "library/metric.h"
#include "library/quantizer/handle.h"
#include "search.h"

struct pqk_rows pqk_source_rows(const pqk_collection *collection, size_t source)
{
    return source < collection->num_partitions
               ? collection->partitions[source]
               : pqk_tail_rows(&collection->tail);
}

static void push_tail(const struct pqk_rows *rows, size_t num_sub_vectors,
                      const float *entries, const struct pqk_filter *filter,
                      pqk_top_k_heap *heap)
{
    const uint8_t *code = rows->codes;
    float bound = pqk_heap_bound(heap);

    for (size_t row = 0; row < rows->num_rows; row++, code += num_sub_vectors) {
        float sum = 0.0f;

        for (size_t m = 0; m < num_sub_vectors; m++)
            sum += entries[m * PQK_TABLE_STRIDE + code[m]];
        if (sum > bound || !filter->allows(filter->context, (uint32_t)row))
            continue;
        pqk_top_k_heap_push(heap, (uint32_t)row, sum);
        bound = pqk_heap_bound(heap);
    }
}

static void probe_tail(const pqk_collection *collection,
                       const struct pqk_rows *rows,
                       const struct pqk_filter *filter,
                       struct pqk_scratch *scratch)
{
    const struct pqk_prepared *prepared = &collection->prepared;
    const pqk_codebook *codebook = &prepared->codebook;
    const size_t num_sub_vectors = codebook->num_sub_vectors;
    const size_t dim = num_sub_vectors * codebook->sub_vector_dim;
    const uint64_t decided = (uint64_t)rows->num_rows * scratch->num_queries;

    for (size_t q = 0; q < scratch->num_queries; q++) {
        const float *query = scratch->queries + q * dim;

        if (collection->quantizer->metric == PQK_L2)
            prepared->kernel->compute_distance_table_l2(query, codebook,
                                                        scratch->entries);
        else
            pqk_inner_product_table(query, codebook, scratch->entries);
        if (filter->allows)
            push_tail(rows, num_sub_vectors, scratch->entries, filter,
                      &scratch->heaps[q]);
        else
            prepared->kernel->probe_pq_l2_top_k(
                scratch->entries, num_sub_vectors, rows->codes, rows->num_rows,
                &scratch->heaps[q]);
    }
    scratch->stats.codes += decided;
    scratch->stats.survivors += decided;
    scratch->stats.bytes_read += decided * num_sub_vectors;
}

static void probe_partition(const pqk_collection *collection,
                            const struct pqk_rows *rows,
                            const struct pqk_filter *filter,
                            struct pqk_scratch *scratch,
                            struct pqk_share *share)
{
    const struct pqk_prepared *prepared = &collection->prepared;
    const int filters = filter->rows || filter->allows;

    if (!scratch->has_tables)
        prepared->kernel->compute_tables(
            prepared->memory, collection->quantizer->metric, scratch->queries,
            scratch->num_queries, scratch->heaps, scratch->tables);
    scratch->has_tables = 1;
    prepared->kernel->probe(prepared->memory, rows->codes, rows->num_rows, 0,
                            filters ? filter : NULL, scratch->tables,
                            scratch->num_queries, scratch->heaps,
                            &scratch->stats, share);
}

#define ROWS_OF_A_THREAD ((size_t)1 << 15)

size_t pqk_source_threads(const pqk_collection *collection, size_t source)
{
    const size_t threads =
        source < collection->num_partitions
            ? collection->partitions[source].num_rows / ROWS_OF_A_THREAD
            : 1;

    return threads > 0 ? threads : 1;
}

void pqk_probe_source(const pqk_collection *collection, size_t source,
                      const struct pqk_rows *rows,
                      const struct pqk_filter *filter,
                      struct pqk_scratch *scratch, struct pqk_share *share)
{
    if (source < collection->num_partitions)
        probe_partition(collection, rows, filter, scratch, share);
    else
        probe_tail(collection, rows, filter, scratch);
}
