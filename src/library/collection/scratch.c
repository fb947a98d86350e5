/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A thread's memory for a search: its tables, heaps and bits, and the group of
 * queries that they are for.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "base/memory.h"
#include "library/metric.h"
#include "library/quantizer/handle.h"
#include "search.h"

pqk_status pqk_reserve_results(struct pqk_scratch *scratch, size_t group_size,
                               size_t k)
{
    const size_t storage = pqk_top_k_heap_storage(k);

    free(scratch->storage);
    free(scratch->neighbors);
    scratch->neighbors = pqk_array_alloc(k, sizeof *scratch->neighbors);
    scratch->storage =
        pqk_product_fits(group_size, storage)
            ? pqk_array_alloc(group_size * storage, sizeof *scratch->storage)
            : NULL;
    scratch->k = k;
    return scratch->neighbors && scratch->storage ? PQK_OK : PQK_OUT_OF_MEMORY;
}

/* Rows for which filters may need a bit: those of the largest source; none if
 * nothing is filtered by bits, since allocators give such a large block back
 * after every search. */
static size_t rows_with_bits(const struct pqk_searching *search)
{
    int any = search->options->allowed != NULL;

    for (size_t s = 0; s < search->num_sources && !any; s++)
        any = pqk_source_rows(search->collection, s).removed != NULL;
    return any ? pqk_collection_max_rows(search->collection) : 0;
}

pqk_status pqk_create_scratch(const struct pqk_searching *search, size_t k,
                              struct pqk_scratch *scratch)
{
    const struct pqk_prepared *prepared = &search->collection->prepared;
    const size_t group_size = search->group_size;

    *scratch = (struct pqk_scratch){.group = SIZE_MAX};
    scratch->tables = pqk_aligned_alloc(
        prepared->kernel->tables_bytes(&prepared->codebook, group_size));
    scratch->heaps = pqk_array_alloc(group_size, sizeof *scratch->heaps);
    scratch->rows =
        pqk_array_alloc(rows_with_bits(search) / 64 + 1, sizeof *scratch->rows);
    scratch->entries =
        pqk_array_alloc(prepared->codebook.num_sub_vectors,
                        PQK_TABLE_STRIDE * sizeof *scratch->entries);
    scratch->scaled =
        pqk_array_alloc(search->dim, group_size * sizeof *scratch->scaled);
    if (!scratch->tables || !scratch->heaps || !scratch->rows ||
        !scratch->entries || !scratch->scaled)
        return PQK_OUT_OF_MEMORY;
    return pqk_reserve_results(scratch, group_size, k);
}

void pqk_free_scratch(struct pqk_scratch *scratch)
{
    free(scratch->tables);
    free(scratch->heaps);
    free(scratch->storage);
    free(scratch->neighbors);
    free(scratch->rows);
    free(scratch->entries);
    free(scratch->scaled);
}

void pqk_load_group(const struct pqk_searching *search, size_t group,
                    struct pqk_scratch *scratch)
{
    const pqk_metric metric = search->collection->quantizer->metric;
    const size_t first = group * search->group_size;
    const size_t left = search->num_queries - first;

    if (scratch->group == group)
        return;
    scratch->group = group;
    scratch->has_tables = 0;
    scratch->num_queries =
        left < search->group_size ? left : search->group_size;
    scratch->queries = search->queries + first * search->dim;
    if (metric == PQK_COSINE) {
        pqk_metric_vectors(metric, scratch->queries, scratch->num_queries,
                           search->dim, scratch->scaled);
        scratch->queries = scratch->scaled;
    }
}

void pqk_begin_heap(struct pqk_scratch *scratch, size_t query, size_t k,
                    uint64_t bound)
{
    const size_t storage = pqk_top_k_heap_storage(scratch->k);
    pqk_top_k_heap *heap = &scratch->heaps[query];

    pqk_top_k_heap_init(heap, scratch->storage + query * storage, k);
    if (heap->bound > bound)
        heap->bound = bound;
}
