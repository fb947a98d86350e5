/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A search: one thread's tables and heaps for queries on an index.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "base/memory.h"
#include "library.h"

struct pqk_scanner {
    const pqk_index *index;
    size_t max_queries;
    size_t max_k;
    size_t num_queries; /* 0 until begun */
    int has_tables;
    void *tables;
    pqk_top_k_heap *heaps; /* [max_queries] */
    uint64_t *storage;     /* [max_queries][pqk_top_k_heap_storage(max_k)] */
    pqk_search_stats stats;
};

/* Sizes whose product a size_t cannot hold are beyond any memory. */
static pqk_status allocate(pqk_scanner *search)
{
    const struct pqk_prepared *prepared = &search->index->prepared;
    const size_t storage = pqk_top_k_heap_storage(search->max_k);
    const size_t table = prepared->kernel->tables_bytes(&prepared->codebook, 1);

    if (storage > SIZE_MAX / 2 / sizeof *search->storage ||
        !pqk_product_fits(search->max_queries,
                          2 * storage * sizeof *search->storage) ||
        !pqk_product_fits(search->max_queries, 2 * table))
        return PQK_OUT_OF_MEMORY;
    search->heaps = calloc(search->max_queries, sizeof *search->heaps);
    search->storage =
        calloc(search->max_queries * storage + 1, sizeof *search->storage);
    search->tables = pqk_aligned_alloc(prepared->kernel->tables_bytes(
        &prepared->codebook, search->max_queries));
    if (!search->heaps || !search->storage || !search->tables)
        return PQK_OUT_OF_MEMORY;
    return PQK_OK;
}

pqk_status pqk_scanner_create(const pqk_index *index, size_t max_queries,
                              size_t max_k, pqk_scanner **search)
{
    pqk_scanner *made;
    pqk_status status;

    if (!index || !search || max_queries == 0 || max_k > UINT32_MAX)
        return PQK_INVALID_ARGUMENT;
    made = calloc(1, sizeof *made);
    if (!made)
        return PQK_OUT_OF_MEMORY;
    made->index = index;
    made->max_queries = max_queries;
    made->max_k = max_k;
    made->stats.kernel = pqk_kernel_name(index->prepared.kernel);
    status = allocate(made);
    if (status != PQK_OK) {
        pqk_scanner_free(made);
        return status;
    }
    *search = made;
    return PQK_OK;
}

void pqk_scanner_free(pqk_scanner *search)
{
    if (!search)
        return;
    free(search->tables);
    free(search->storage);
    free(search->heaps);
    free(search);
}

pqk_status pqk_scanner_begin(pqk_scanner *search, size_t num_queries, size_t k)
{
    size_t storage;

    if (!search || num_queries == 0 || num_queries > search->max_queries ||
        k > search->max_k)
        return PQK_INVALID_ARGUMENT;
    storage = pqk_top_k_heap_storage(search->max_k);
    for (size_t q = 0; q < num_queries; q++)
        pqk_top_k_heap_init(&search->heaps[q], search->storage + q * storage,
                            k);
    search->num_queries = num_queries;
    search->has_tables = 0;
    search->stats = (pqk_search_stats){.kernel = search->stats.kernel};
    return PQK_OK;
}

pqk_status pqk_scanner_tables(pqk_scanner *search, const float *queries)
{
    const struct pqk_prepared *prepared;

    if (!search || !queries || search->num_queries == 0)
        return PQK_INVALID_ARGUMENT;
    prepared = &search->index->prepared;
    prepared->kernel->compute_tables(prepared->memory, PQK_L2, queries,
                                     search->num_queries, search->tables);
    search->has_tables = 1;
    return PQK_OK;
}

pqk_status pqk_scanner_probe(pqk_scanner *search, size_t partition)
{
    const struct pqk_prepared *prepared;
    const struct pqk_partition *part;

    if (!search || !search->has_tables ||
        partition >= search->index->num_partitions)
        return PQK_INVALID_ARGUMENT;
    prepared = &search->index->prepared;
    part = &search->index->partitions[partition];
    if (part->num_vectors > 0)
        prepared->kernel->probe(prepared->memory, part->codes,
                                part->num_vectors, part->first_id, NULL,
                                search->tables, search->num_queries,
                                search->heaps, &search->stats);
    return PQK_OK;
}

pqk_status pqk_scanner_results(pqk_scanner *search, size_t query,
                               pqk_row_result *neighbors, size_t *count)
{
    if (!search || query >= search->num_queries || !count ||
        (!neighbors && search->heaps[query].k > 0))
        return PQK_INVALID_ARGUMENT;
    *count = pqk_top_k_heap_into_sorted(&search->heaps[query], neighbors);
    return PQK_OK;
}

pqk_search_stats pqk_scanner_statistics(const pqk_scanner *search)
{
    return search->stats;
}

pqk_status pqk_index_search(const pqk_index *index, const float *query,
                            size_t k, pqk_row_result *neighbors, size_t *count)
{
    pqk_scanner *search = NULL;
    pqk_status status;

    if (!index || (!neighbors && k > 0))
        return PQK_INVALID_ARGUMENT;
    if (k > index->num_vectors)
        k = index->num_vectors;
    status = pqk_scanner_create(index, 1, k, &search);
    if (status == PQK_OK)
        status = pqk_scanner_begin(search, 1, k);
    if (status == PQK_OK)
        status = pqk_scanner_tables(search, query);
    if (status == PQK_OK)
        for (size_t p = 0; p < index->num_partitions; p++)
            pqk_scanner_probe(search, p);
    if (status == PQK_OK)
        status = pqk_scanner_results(search, 0, neighbors, count);
    pqk_scanner_free(search);
    return status;
}
