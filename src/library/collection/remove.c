/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Removing from a collection: rows of the tail go, those of partitions are
 * marked, until so many are that a partition is made anew; one of a file is
 * only marked.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "collection.h"
#include "base/memory.h"

/* A bitmap for each partition that will lose rows and has none. */
static pqk_status reserve_marks(pqk_collection *collection,
                                const struct pqk_row *sought, size_t num_sought)
{
    for (size_t p = 0; p < collection->num_partitions; p++) {
        struct pqk_rows *partition = &collection->partitions[p];

        if (partition->removed ||
            pqk_rows_count(partition, sought, num_sought) == 0)
            continue;
        partition->removed =
            calloc(partition->num_rows / 64 + 1, sizeof(uint64_t));
        if (!partition->removed)
            return PQK_OUT_OF_MEMORY;
    }
    return PQK_OK;
}

static void mark_removed(void *context, size_t i, size_t row)
{
    struct pqk_rows *partition = context;

    (void)i;
    partition->removed[row / 64] |= (uint64_t)1 << row % 64;
    partition->num_removed++;
}

/* Without the rows that are removed; if there is no memory, with them. */
static void make_anew(const pqk_collection *collection,
                      struct pqk_rows *partition)
{
    const size_t num_sub_vectors =
        collection->prepared.codebook.num_sub_vectors;
    uint8_t *codes = pqk_array_alloc(partition->num_rows, num_sub_vectors);
    struct pqk_row *rows = pqk_array_alloc(partition->num_rows, sizeof *rows);
    struct pqk_rows made;

    if (codes && rows) {
        const size_t left = pqk_partition_restore(&collection->prepared,
                                                  partition, codes, rows);

        if (pqk_partition_make(&collection->prepared, rows, left, &made) ==
            PQK_OK) {
            pqk_partition_free(partition);
            *partition = made;
        }
    }
    free(codes);
    free(rows);
}

/* A scan passes over removed rows as well; more than half of them is too many,
 * where that can be helped. */
static void tidy_partitions(pqk_collection *collection)
{
    for (size_t p = collection->num_partitions; p-- > 0;) {
        struct pqk_rows *partition = &collection->partitions[p];

        if (pqk_rows_left(partition) == 0)
            pqk_collection_drop(collection, p);
        else if (!partition->mapped &&
                 partition->num_removed > partition->num_rows / 2)
            make_anew(collection, partition);
    }
}

static size_t remove_rows(pqk_collection *collection,
                          const struct pqk_row *sought, size_t num_sought)
{
    size_t removed = 0;

    for (size_t p = 0; p < collection->num_partitions; p++) {
        struct pqk_rows *partition = &collection->partitions[p];

        removed -= partition->num_removed;
        if (partition->removed)
            pqk_rows_match(partition, sought, num_sought, mark_removed,
                           partition);
        removed += partition->num_removed;
    }
    tidy_partitions(collection);
    if (collection->tail.num_rows > 0)
        removed += pqk_tail_remove(
            &collection->tail, collection->prepared.codebook.num_sub_vectors,
            sought, num_sought);
    return removed;
}

pqk_status pqk_collection_remove(pqk_collection *collection,
                                 const uint64_t *ids, size_t num_ids,
                                 size_t *num_removed)
{
    struct pqk_row *sought;
    size_t removed = 0;
    pqk_status status = PQK_OK;

    if (!collection || (!ids && num_ids > 0))
        return PQK_INVALID_ARGUMENT;
    if (num_ids > 0) {
        sought = pqk_sorted_rows(ids, num_ids, NULL, 0);
        if (!sought)
            return PQK_OUT_OF_MEMORY;
        status = reserve_marks(collection, sought, num_ids);
        if (status == PQK_OK)
            removed = remove_rows(collection, sought, num_ids);
        free(sought);
    }
    if (status == PQK_OK && num_removed)
        *num_removed = removed;
    return status;
}
