/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Adding to a collection: rows get their ids, and come into the tail as long as
 * it has room.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "collection.h"
#include "base/memory.h"
#include "library/quantizer/handle.h"

/* Rows with the ids given, or those that follow the last one, sorted. */
static pqk_status number_rows(const pqk_collection *collection,
                              const uint8_t *codes, const uint64_t *ids,
                              size_t num_rows, struct pqk_row *rows)
{
    const size_t num_sub_vectors =
        collection->prepared.codebook.num_sub_vectors;

    if (!ids && num_rows > PQK_NO_ID - collection->next_id)
        return PQK_INVALID_ARGUMENT;
    for (size_t i = 0; i < num_rows; i++) {
        rows[i].id = ids ? ids[i] : collection->next_id + i;
        rows[i].code = codes + i * num_sub_vectors;
        if (rows[i].id == PQK_NO_ID)
            return PQK_INVALID_ARGUMENT;
    }
    if (!ids)
        return PQK_OK;
    pqk_sort_rows(rows, num_rows);
    for (size_t i = 1; i < num_rows; i++)
        if (rows[i - 1].id == rows[i].id)
            return PQK_DUPLICATE_ID;
    if (rows[0].id < collection->next_id &&
        pqk_collection_count(collection, rows, num_rows) > 0)
        return PQK_DUPLICATE_ID;
    return PQK_OK;
}

static pqk_status add_rows(pqk_collection *collection,
                           const struct pqk_row *rows, size_t num_rows,
                           size_t num_threads)
{
    const size_t num_sub_vectors =
        collection->prepared.codebook.num_sub_vectors;
    struct pqk_tail *tail = &collection->tail;
    pqk_status status;

    if (tail->num_rows >= collection->max_tail_rows ||
        num_rows > collection->max_tail_rows - tail->num_rows)
        return pqk_collection_add_beyond_tail(collection, rows, num_rows,
                                              num_threads);
    status = pqk_tail_reserve(tail, num_sub_vectors, tail->num_rows + num_rows);
    if (status == PQK_OK)
        pqk_tail_merge(tail, num_sub_vectors, rows, num_rows);
    return status;
}

pqk_status pqk_collection_add_codes(pqk_collection *collection,
                                    const uint8_t *codes, const uint64_t *ids,
                                    size_t num_vectors, size_t num_threads)
{
    const pqk_codebook *codebook;
    struct pqk_row *rows;
    pqk_status status;

    if (!collection || (!codes && num_vectors > 0))
        return PQK_INVALID_ARGUMENT;
    if (num_vectors == 0)
        return PQK_OK;
    codebook = &collection->prepared.codebook;
    if (!pqk_product_fits(num_vectors, sizeof *ids) ||
        !pqk_product_fits(num_vectors, codebook->num_sub_vectors) ||
        !pqk_codes_name_centroids(codes,
                                  num_vectors * codebook->num_sub_vectors,
                                  codebook->num_centroids))
        return PQK_INVALID_ARGUMENT;
    rows = pqk_array_alloc(num_vectors, sizeof *rows);
    if (!rows)
        return PQK_OUT_OF_MEMORY;
    status = number_rows(collection, codes, ids, num_vectors, rows);
    if (status == PQK_OK)
        status = pqk_collection_reopen_tail(collection);
    if (status == PQK_OK)
        status = add_rows(collection, rows, num_vectors, num_threads);
    if (status == PQK_OK && rows[num_vectors - 1].id >= collection->next_id)
        collection->next_id = rows[num_vectors - 1].id + 1;
    free(rows);
    return status;
}

pqk_status pqk_collection_add(pqk_collection *collection, const float *vectors,
                              const uint64_t *ids, size_t num_vectors,
                              size_t num_threads)
{
    uint8_t *codes;
    pqk_status status;

    if (!collection || (!vectors && num_vectors > 0) ||
        !pqk_vectors_fit(num_vectors, pqk_quantizer_dim(collection->quantizer)))
        return PQK_INVALID_ARGUMENT;
    codes = pqk_array_alloc(num_vectors,
                            collection->prepared.codebook.num_sub_vectors);
    if (!codes)
        return PQK_OUT_OF_MEMORY;
    status = pqk_quantizer_encode_with(collection->quantizer,
                                       collection->prepared.kernel, vectors,
                                       num_vectors, num_threads, codes);
    if (status == PQK_OK)
        status = pqk_collection_add_codes(collection, codes, ids, num_vectors,
                                          num_threads);
    free(codes);
    return status;
}
