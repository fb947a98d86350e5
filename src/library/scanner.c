/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A scanner: one thread's tables and heaps for queries on an index.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "base/memory.h"
#include "scanner.h"

/* Sizes whose product a size_t cannot hold are beyond any memory. */
static pqk_status allocate(pqk_scanner *scanner)
{
    const struct pqk_prepared *prepared = &scanner->index->prepared;
    const size_t storage = pqk_top_k_heap_storage(scanner->max_k);
    const size_t table = prepared->kernel->tables_bytes(&prepared->codebook, 1);

    if (storage > SIZE_MAX / 2 / sizeof *scanner->storage ||
        !pqk_product_fits(scanner->max_queries,
                          2 * storage * sizeof *scanner->storage) ||
        !pqk_product_fits(scanner->max_queries, 2 * table))
        return PQK_OUT_OF_MEMORY;
    scanner->heaps = calloc(scanner->max_queries, sizeof *scanner->heaps);
    scanner->storage =
        calloc(scanner->max_queries * storage + 1, sizeof *scanner->storage);
    scanner->tables = pqk_aligned_alloc(prepared->kernel->tables_bytes(
        &prepared->codebook, scanner->max_queries));
    if (!scanner->heaps || !scanner->storage || !scanner->tables)
        return PQK_OUT_OF_MEMORY;
    return PQK_OK;
}

pqk_status pqk_scanner_create(const pqk_index *index, size_t max_queries,
                              size_t max_k, pqk_scanner **scanner)
{
    pqk_scanner *made;
    pqk_status status;

    if (!index || !scanner || max_queries == 0 || max_k > UINT32_MAX)
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
    *scanner = made;
    return PQK_OK;
}

void pqk_scanner_free(pqk_scanner *scanner)
{
    if (!scanner)
        return;
    free(scanner->tables);
    free(scanner->storage);
    free(scanner->heaps);
    free(scanner);
}

static pqk_status begin(pqk_scanner *scanner, size_t num_queries, size_t k)
{
    size_t storage;

    if (num_queries == 0 || num_queries > scanner->max_queries ||
        k > scanner->max_k)
        return PQK_INVALID_ARGUMENT;
    storage = pqk_top_k_heap_storage(scanner->max_k);
    for (size_t q = 0; q < num_queries; q++)
        pqk_top_k_heap_init(&scanner->heaps[q], scanner->storage + q * storage,
                            k);
    scanner->num_queries = num_queries;
    scanner->has_tables = 0;
    scanner->stats = (pqk_search_stats){.kernel = scanner->stats.kernel};
    return PQK_OK;
}

static pqk_status make_tables(pqk_scanner *scanner, const float *queries)
{
    const struct pqk_prepared *prepared = &scanner->index->prepared;

    if (scanner->num_queries == 0)
        return PQK_INVALID_ARGUMENT;
    prepared->kernel->compute_tables(prepared->memory, PQK_L2, queries,
                                     scanner->num_queries, scanner->heaps,
                                     scanner->tables);
    scanner->has_tables = 1;
    return PQK_OK;
}

static pqk_status probe(pqk_scanner *scanner, size_t partition)
{
    const struct pqk_prepared *prepared = &scanner->index->prepared;
    const struct pqk_partition *part;

    if (!scanner->has_tables || partition >= scanner->index->num_partitions)
        return PQK_INVALID_ARGUMENT;
    part = &scanner->index->partitions[partition];
    if (part->num_vectors > 0)
        prepared->kernel->probe(prepared->memory, part->codes,
                                part->num_vectors, part->first_id, NULL,
                                scanner->tables, scanner->num_queries,
                                scanner->heaps, &scanner->stats, NULL);
    return PQK_OK;
}

static pqk_status take_results(pqk_scanner *scanner, size_t query,
                               pqk_row_result *results, size_t *count)
{
    if (query >= scanner->num_queries ||
        (!results && scanner->heaps[query].k > 0))
        return PQK_INVALID_ARGUMENT;
    *count = pqk_top_k_heap_into_sorted(&scanner->heaps[query], results);
    return PQK_OK;
}

pqk_status pqk_scanner_begin(pqk_scanner *scanner, size_t num_queries, size_t k)
{
    pqk_status status;

    if (!scanner)
        return PQK_INVALID_ARGUMENT;
    if (!pqk_scanner_enter(scanner))
        return PQK_BUSY;
    status = begin(scanner, num_queries, k);
    pqk_scanner_leave(scanner);
    return status;
}

pqk_status pqk_scanner_tables(pqk_scanner *scanner, const float *queries)
{
    pqk_status status;

    if (!scanner || !queries)
        return PQK_INVALID_ARGUMENT;
    if (!pqk_scanner_enter(scanner))
        return PQK_BUSY;
    status = make_tables(scanner, queries);
    pqk_scanner_leave(scanner);
    return status;
}

pqk_status pqk_scanner_probe(pqk_scanner *scanner, size_t partition)
{
    pqk_status status;

    if (!scanner)
        return PQK_INVALID_ARGUMENT;
    if (!pqk_scanner_enter(scanner))
        return PQK_BUSY;
    status = probe(scanner, partition);
    pqk_scanner_leave(scanner);
    return status;
}

pqk_status pqk_scanner_results(pqk_scanner *scanner, size_t query,
                               pqk_row_result *results, size_t *count)
{
    pqk_status status;

    if (!scanner || !count)
        return PQK_INVALID_ARGUMENT;
    if (!pqk_scanner_enter(scanner))
        return PQK_BUSY;
    status = take_results(scanner, query, results, count);
    pqk_scanner_leave(scanner);
    return status;
}

pqk_status pqk_scanner_statistics(pqk_scanner *scanner, pqk_search_stats *stats)
{
    if (!scanner || !stats)
        return PQK_INVALID_ARGUMENT;
    if (!pqk_scanner_enter(scanner))
        return PQK_BUSY;
    *stats = scanner->stats;
    pqk_scanner_leave(scanner);
    return PQK_OK;
}

pqk_status pqk_index_search(const pqk_index *index, const float *query,
                            size_t k, pqk_row_result *results, size_t *count)
{
    pqk_scanner *scanner = NULL;
    pqk_status status;

    if (!index || (!results && k > 0))
        return PQK_INVALID_ARGUMENT;
    if (k > index->num_vectors)
        k = index->num_vectors;
    status = pqk_scanner_create(index, 1, k, &scanner);
    if (status == PQK_OK)
        status = pqk_scanner_begin(scanner, 1, k);
    if (status == PQK_OK)
        status = pqk_scanner_tables(scanner, query);
    for (size_t p = 0; status == PQK_OK && p < index->num_partitions; p++)
        status = pqk_scanner_probe(scanner, p);
    if (status == PQK_OK)
        status = pqk_scanner_results(scanner, 0, results, count);
    pqk_scanner_free(scanner);
    return status;
}
