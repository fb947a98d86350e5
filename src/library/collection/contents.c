/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What is in a collection: how many rows, which ids, in how many bytes. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "collection.h"

size_t pqk_collection_max_rows(const pqk_collection *collection)
{
    size_t most = collection->tail.num_rows;

    for (size_t p = 0; p < collection->num_partitions; p++)
        if (collection->partitions[p].num_rows > most)
            most = collection->partitions[p].num_rows;
    return most;
}

size_t pqk_collection_count(const pqk_collection *collection,
                            const struct pqk_row *sought, size_t num_sought)
{
    const struct pqk_rows tail = pqk_tail_rows(&collection->tail);
    size_t found = pqk_rows_count(&tail, sought, num_sought);

    for (size_t p = 0; p < collection->num_partitions; p++)
        found += pqk_rows_count(&collection->partitions[p], sought, num_sought);
    return found;
}

size_t pqk_collection_size(const pqk_collection *collection)
{
    size_t size = collection->tail.num_rows;

    for (size_t p = 0; p < collection->num_partitions; p++)
        size += pqk_rows_left(&collection->partitions[p]);
    return size;
}

int pqk_collection_contains(const pqk_collection *collection, uint64_t id)
{
    const struct pqk_row sought = {.id = id};

    return pqk_collection_count(collection, &sought, 1) > 0;
}

size_t pqk_collection_bytes(const pqk_collection *collection)
{
    const struct pqk_prepared *prepared = &collection->prepared;
    size_t bytes = collection->tail.num_rows *
                   (prepared->codebook.num_sub_vectors + sizeof(uint64_t));

    for (size_t p = 0; p < collection->num_partitions; p++) {
        const struct pqk_rows *partition = &collection->partitions[p];

        bytes += pqk_prepared_codes_bytes(prepared, partition->num_rows);
        if (partition->ids)
            bytes += partition->num_rows * sizeof(uint64_t);
    }
    return bytes;
}

const pqk_kernel *pqk_collection_kernel(const pqk_collection *collection)
{
    return collection->prepared.kernel;
}

const pqk_quantizer *pqk_collection_quantizer(const pqk_collection *collection)
{
    return collection->quantizer;
}

/* Ascending ids, the lowest of all that were offered as far as they fit. */
struct listing {
    uint64_t *ids;
    size_t num_ids, max_ids;
};

/* Where in a partition rows begin that are not listed yet, and how many of
 * those that are left come next, at most `most`, up to which row. */
static size_t count_left(const struct pqk_rows *rows, size_t from, size_t most,
                         size_t *end)
{
    size_t count = 0, row = from;

    for (; row < rows->num_rows && count < most; row++)
        count += !pqk_rows_removed(rows, row);
    *end = row;
    return count;
}

/* Merges from behind; the largest are left out. */
static void list_rows(struct listing *listing, const struct pqk_rows *rows,
                      size_t first)
{
    size_t row, count = count_left(rows, first, listing->max_ids, &row);
    size_t old = listing->num_ids, to = old + count;

    listing->num_ids = to < listing->max_ids ? to : listing->max_ids;
    while (count > 0) {
        const int take_old =
            old > 0 && listing->ids[old - 1] > pqk_rows_id(rows, row - 1);

        if (!take_old && pqk_rows_removed(rows, row - 1)) {
            row--;
            continue;
        }
        if (--to < listing->max_ids)
            listing->ids[to] =
                take_old ? listing->ids[old - 1] : pqk_rows_id(rows, row - 1);
        if (take_old) {
            old--;
        } else {
            row--;
            count--;
        }
    }
}

size_t pqk_collection_ids(const pqk_collection *collection, uint64_t from,
                          size_t max_ids, uint64_t *ids)
{
    const struct pqk_rows tail = pqk_tail_rows(&collection->tail);
    struct listing listing = {ids, 0, max_ids};

    for (size_t p = 0; p <= collection->num_partitions; p++) {
        const struct pqk_rows *rows =
            p < collection->num_partitions ? &collection->partitions[p] : &tail;
        const size_t first = pqk_rows_at_or_above(rows, 0, from);

        if (max_ids > 0 && first < rows->num_rows &&
            (listing.num_ids < max_ids ||
             pqk_rows_id(rows, first) < ids[max_ids - 1]))
            list_rows(&listing, rows, first);
    }
    return listing.num_ids;
}
