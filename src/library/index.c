/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The index: a codebook and partitions of codes, prepared for one variant.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "index.h"
#include "base/memory.h"
#include "reserved.h"
#include "shape.h"

static pqk_status copy_codebook(pqk_index *index, const pqk_codebook *codebook,
                                const pqk_kernel *kernel)
{
    const size_t bytes = pqk_num_centroid_values(codebook) * sizeof(float);
    float *centroids = pqk_aligned_alloc(bytes);
    pqk_codebook copy = *codebook;
    pqk_status status;

    if (!centroids)
        return PQK_OUT_OF_MEMORY;
    memcpy(centroids, codebook->centroids, bytes);
    copy.centroids = centroids;
    status = pqk_prepared_create(&index->prepared, &copy, kernel, NULL);
    if (status != PQK_OK)
        free(centroids);
    return status;
}

pqk_status pqk_index_create(const pqk_codebook *codebook,
                            const pqk_kernel *kernel, pqk_index **index)
{
    pqk_index *made;
    pqk_status status;

    if (!codebook || !codebook->centroids || !index ||
        !pqk_shape_is_possible(codebook) || pqk_codebook_asks_more(codebook))
        return PQK_INVALID_ARGUMENT;
    status = pqk_choose_kernel(&kernel);
    if (status != PQK_OK)
        return status;
    made = calloc(1, sizeof *made);
    if (!made)
        return PQK_OUT_OF_MEMORY;
    status = copy_codebook(made, codebook, kernel);
    if (status != PQK_OK) {
        free(made);
        return status;
    }
    *index = made;
    return PQK_OK;
}

void pqk_index_free(pqk_index *index)
{
    if (!index)
        return;
    for (size_t p = 0; p < index->num_partitions; p++)
        free(index->partitions[p].codes);
    free(index->partitions);
    pqk_prepared_free(&index->prepared);
    free((void *)(uintptr_t)index->prepared.codebook.centroids);
    free(index);
}

static pqk_status reserve_partition(pqk_index *index)
{
    const size_t capacity = index->partitions_capacity * 2 + 1;
    struct pqk_partition *grown;

    if (index->num_partitions < index->partitions_capacity)
        return PQK_OK;
    grown = reallocarray(index->partitions, capacity, sizeof *grown);
    if (!grown)
        return PQK_OUT_OF_MEMORY;
    index->partitions = grown;
    index->partitions_capacity = capacity;
    return PQK_OK;
}

pqk_status pqk_index_add(pqk_index *index, const uint8_t *codes,
                         size_t num_vectors)
{
    const pqk_codebook *codebook;
    struct pqk_partition *partition;
    pqk_status status;

    if (!index || (!codes && num_vectors > 0) ||
        num_vectors > UINT32_MAX - index->num_vectors)
        return PQK_INVALID_ARGUMENT;
    codebook = &index->prepared.codebook;
    if (!pqk_product_fits(num_vectors, 2 * codebook->num_sub_vectors) ||
        !pqk_codes_name_centroids(codes,
                                  num_vectors * codebook->num_sub_vectors,
                                  codebook->num_centroids))
        return PQK_INVALID_ARGUMENT;
    status = reserve_partition(index);
    if (status != PQK_OK)
        return status;
    partition = &index->partitions[index->num_partitions];
    partition->num_vectors = num_vectors;
    partition->first_id = (uint32_t)index->num_vectors;
    status = pqk_prepared_codes(&index->prepared, codes, num_vectors,
                                &partition->codes);
    if (status != PQK_OK)
        return status;
    index->num_partitions++;
    index->num_vectors += num_vectors;
    index->bytes += pqk_prepared_codes_bytes(&index->prepared, num_vectors);
    return PQK_OK;
}

size_t pqk_index_size(const pqk_index *index)
{
    return index->num_vectors;
}

size_t pqk_index_partitions(const pqk_index *index)
{
    return index->num_partitions;
}

size_t pqk_index_bytes(const pqk_index *index)
{
    return index->bytes;
}

const pqk_kernel *pqk_index_kernel(const pqk_index *index)
{
    return index->prepared.kernel;
}

void pqk_index_codebook(const pqk_index *index, pqk_codebook *codebook)
{
    *codebook = index->prepared.codebook;
}
