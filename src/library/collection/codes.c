/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Getting codes back out of a collection. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "base/memory.h"

/* Where the code of a row is wanted. */
struct hit {
    size_t row;
    uint8_t *to;
};

/* Hits of one partition after the other. */
struct hits {
    const struct pqk_row *sought; /* code is in read_only_codes */
    const uint8_t *read_only_codes;
    uint8_t *codes; /* the same */
    struct hit *hits;
    size_t num_hits;  /* in this partition, in the order of rows */
    size_t num_found; /* in all */
};

static void note_hit(void *context, size_t i, size_t row)
{
    struct hits *hits = context;
    struct hit *hit = &hits->hits[hits->num_hits++];

    hit->row = row;
    hit->to = hits->codes + (hits->sought[i].code - hits->read_only_codes);
    hits->num_found++;
}

static void copy_from_tail(const struct pqk_tail *tail, size_t num_sub_vectors,
                           const struct hits *hits)
{
    for (size_t i = 0; i < hits->num_hits; i++)
        memcpy(hits->hits[i].to,
               tail->codes + hits->hits[i].row * num_sub_vectors,
               num_sub_vectors);
}

/* The first hit of a row, or of one behind it. */
static size_t first_hit(const struct hits *hits, size_t row)
{
    size_t low = 0, high = hits->num_hits;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (hits->hits[middle].row < row)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* What copying codes out of a partition takes. */
struct copying {
    const struct pqk_prepared *prepared;
    const struct pqk_rows *partition;
    struct pqk_code_layout layout;
    const uint8_t *codes_of_labels;
    const struct hits *hits;
};

static void copy_position(const struct copying *copying, size_t row,
                          size_t position)
{
    const struct hits *hits = copying->hits;

    for (size_t i = first_hit(hits, row);
         i < hits->num_hits && hits->hits[i].row == row; i++)
        for (size_t m = 0; m < copying->prepared->codebook.num_sub_vectors; m++)
            hits->hits[i].to[m] =
                copying->codes_of_labels[m * PQK_MAX_CENTROIDS +
                                         pqk_layout_label_at(
                                             &copying->layout,
                                             copying->partition->codes, m,
                                             position)];
}

/* Nothing tells where a row is, so that all positions are looked at; wanted has
 * a bit per row. */
static void copy_from_partition(const struct copying *copying, uint64_t *wanted)
{
    const struct pqk_rows *partition = copying->partition;
    const struct hits *hits = copying->hits;

    if (copying->layout.row_bytes == 0) {
        for (size_t i = 0; i < hits->num_hits; i++)
            copy_position(copying, hits->hits[i].row, hits->hits[i].row);
        return;
    }
    memset(wanted, 0, (partition->num_rows / 64 + 1) * sizeof *wanted);
    for (size_t i = 0; i < hits->num_hits; i++)
        wanted[hits->hits[i].row / 64] |= (uint64_t)1 << hits->hits[i].row % 64;
    for (size_t position = 0; position < partition->num_rows; position++) {
        const size_t row =
            pqk_layout_row_at(&copying->layout, partition->codes, position);

        if (row < partition->num_rows && wanted[row / 64] >> row % 64 & 1)
            copy_position(copying, row, position);
    }
}

/* wanted has room for a bit of every row of the largest partition. */
static void copy_codes(const pqk_collection *collection, struct hits *hits,
                       size_t num_sought, const uint8_t *codes_of_labels,
                       uint64_t *wanted)
{
    const struct pqk_rows tail = pqk_tail_rows(&collection->tail);
    struct copying copying = {.prepared = &collection->prepared,
                              .codes_of_labels = codes_of_labels,
                              .hits = hits};

    for (size_t p = 0; p < collection->num_partitions; p++) {
        copying.partition = &collection->partitions[p];
        copying.layout =
            pqk_partition_layout(copying.prepared, copying.partition);
        hits->num_hits = 0;
        pqk_rows_match(copying.partition, hits->sought, num_sought, note_hit,
                       hits);
        if (hits->num_hits > 0)
            copy_from_partition(&copying, wanted);
    }
    hits->num_hits = 0;
    pqk_rows_match(&tail, hits->sought, num_sought, note_hit, hits);
    copy_from_tail(&collection->tail,
                   collection->prepared.codebook.num_sub_vectors, hits);
}

pqk_status pqk_collection_codes(const pqk_collection *collection,
                                const uint64_t *ids, size_t num_ids,
                                uint8_t *codes)
{
    const struct pqk_prepared *prepared;
    struct hits hits = {.codes = codes, .read_only_codes = codes};
    struct pqk_row *sought;
    uint8_t *codes_of_labels;
    uint64_t *wanted;
    pqk_status status = PQK_OUT_OF_MEMORY;

    if (!collection || ((!ids || !codes) && num_ids > 0))
        return PQK_INVALID_ARGUMENT;
    prepared = &collection->prepared;
    if (!pqk_product_fits(num_ids, prepared->codebook.num_sub_vectors))
        return PQK_INVALID_ARGUMENT;
    sought = pqk_sorted_rows(ids, num_ids, codes,
                             prepared->codebook.num_sub_vectors);
    hits.sought = sought;
    hits.hits = pqk_array_alloc(num_ids, sizeof *hits.hits);
    wanted =
        malloc((pqk_collection_max_rows(collection) / 64 + 1) * sizeof *wanted);
    codes_of_labels =
        calloc(prepared->codebook.num_sub_vectors, PQK_MAX_CENTROIDS);
    if (sought && hits.hits && wanted && codes_of_labels) {
        pqk_codes_of_labels(&prepared->codebook,
                            prepared->kernel->labels_of(prepared->memory),
                            codes_of_labels);
        copy_codes(collection, &hits, num_ids, codes_of_labels, wanted);
        status = hits.num_found == num_ids ? PQK_OK : PQK_INVALID_ARGUMENT;
    }
    free(sought);
    free(hits.hits);
    free(wanted);
    free(codes_of_labels);
    return status;
}
