/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A collection's memory: its quantizer, prepared for a variant, its partitions
 * and its tail.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "collection.h"
#include "library/quantizer/handle.h"

/* Four times as many partitions for as many rows, and a search takes an eighth
 * longer: each has a threshold of its own to find and tables to make for it. */
#define PARTITION_ROWS ((size_t)1 << 20)

/* Few enough that scanning them plainly takes little beside one partition. */
#define TAIL_ROWS ((size_t)1 << 14)

pqk_status pqk_collection_new(pqk_quantizer *quantizer,
                              const pqk_kernel *kernel, const uint8_t *labels,
                              pqk_collection **collection)
{
    pqk_collection *made = calloc(1, sizeof *made);
    pqk_status status;

    if (!made)
        return PQK_OUT_OF_MEMORY;
    status = pqk_prepared_create(&made->prepared, &quantizer->codebook, kernel,
                                 labels);
    if (status != PQK_OK) {
        free(made);
        return status;
    }
    made->quantizer = quantizer;
    made->team = pqk_team_create();
    pqk_collection_set_sizes(made, PARTITION_ROWS, TAIL_ROWS);
    *collection = made;
    return PQK_OK;
}

pqk_status pqk_collection_create(const pqk_quantizer *quantizer,
                                 const pqk_kernel *kernel,
                                 pqk_collection **collection)
{
    pqk_quantizer *copy;
    pqk_status status;

    if (!quantizer || !collection)
        return PQK_INVALID_ARGUMENT;
    status = pqk_choose_kernel(&kernel);
    if (status != PQK_OK)
        return status;
    status = pqk_quantizer_new(&quantizer->codebook, quantizer->metric, &copy);
    if (status != PQK_OK)
        return status;
    status = pqk_collection_new(copy, kernel, NULL, collection);
    if (status != PQK_OK)
        pqk_quantizer_free(copy);
    return status;
}

void pqk_collection_set_sizes(pqk_collection *collection,
                              size_t max_partition_rows, size_t max_tail_rows)
{
    collection->max_partition_rows = max_partition_rows;
    collection->max_tail_rows = max_tail_rows;
}

void pqk_collection_free(pqk_collection *collection)
{
    if (!collection)
        return;
    for (size_t p = 0; p < collection->num_partitions; p++)
        pqk_partition_free(&collection->partitions[p]);
    pqk_team_free(collection->team);
    free(collection->partitions);
    pqk_tail_free(&collection->tail);
    pqk_prepared_free(&collection->prepared);
    pqk_quantizer_free(collection->quantizer);
    pqk_unmap(&collection->mapping);
    free(collection);
}

pqk_status pqk_collection_reserve(pqk_collection *collection, size_t more)
{
    const size_t needed = collection->num_partitions + more;
    size_t capacity = collection->partitions_capacity * 2;
    struct pqk_rows *grown;

    if (needed <= collection->partitions_capacity)
        return PQK_OK;
    if (capacity < needed)
        capacity = needed;
    grown = reallocarray(collection->partitions, capacity, sizeof *grown);
    if (!grown)
        return PQK_OUT_OF_MEMORY;
    collection->partitions = grown;
    collection->partitions_capacity = capacity;
    return PQK_OK;
}

void pqk_collection_drop(pqk_collection *collection, size_t p)
{
    struct pqk_rows *last =
        &collection->partitions[--collection->num_partitions];

    pqk_partition_free(&collection->partitions[p]);
    collection->partitions[p] = *last;
}
