/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The index: a codebook and partitions of codes, prepared for one variant.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "library.h"
#include "shape.h"

/* Cache lines, and the widest vector register. */
#define ALIGNMENT ((size_t)64)

/* A scan reads many columns at once, each on a page of its own: with pages of
 * 4 KiB it waits for address translation.  Linux gives larger ones on request
 * to blocks that are aligned like them. */
#define HUGE_PAGE ((size_t)2 << 20)

void *pqk_aligned_alloc(size_t bytes)
{
    const size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
    void *memory;

    if (bytes > SIZE_MAX - 2 * HUGE_PAGE)
        return NULL;
    bytes = (bytes + alignment) & ~(alignment - 1);
    memory = aligned_alloc(alignment, bytes);
#ifdef MADV_HUGEPAGE
    if (memory && alignment == HUGE_PAGE)
        (void)madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

int pqk_product_fits(size_t a, size_t b)
{
    return b == 0 || a <= SIZE_MAX / b;
}

static pqk_status copy_codebook(pqk_index *index, const pqk_codebook *codebook)
{
    const size_t bytes = codebook->num_sub_vectors * codebook->num_centroids *
                         codebook->sub_vector_dim * sizeof(float);
    float *centroids = pqk_aligned_alloc(bytes);

    index->codebook = *codebook;
    index->codebook.centroids = centroids;
    if (!centroids)
        return PQK_OUT_OF_MEMORY;
    memcpy(centroids, codebook->centroids, bytes);
    index->prepared_codebook =
        pqk_aligned_alloc(index->kernel->codebook_bytes(codebook));
    if (!index->prepared_codebook)
        return PQK_OUT_OF_MEMORY;
    return index->kernel->prepare_codebook(&index->codebook, NULL,
                                           index->prepared_codebook);
}

pqk_status pqk_index_create(const pqk_codebook *codebook,
                            const pqk_kernel *kernel, pqk_index **index)
{
    pqk_index *made;
    pqk_status status;

    if (!codebook || !codebook->centroids || !index ||
        !pqk_shape_is_possible(codebook))
        return PQK_INVALID_ARGUMENT;
    if (!kernel) {
        status = pqk_kernel_find(NULL, &kernel);
        if (status != PQK_OK)
            return status;
    } else if (!pqk_kernel_available(kernel)) {
        return PQK_KERNEL_UNAVAILABLE;
    }
    made = calloc(1, sizeof *made);
    if (!made)
        return PQK_OUT_OF_MEMORY;
    made->kernel = kernel;
    status = copy_codebook(made, codebook);
    if (status != PQK_OK) {
        pqk_index_free(made);
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
    free(index->prepared_codebook);
    free((void *)(uintptr_t)index->codebook.centroids);
    free(index);
}

static int codes_name_centroids(const uint8_t *codes, size_t num_codes,
                                size_t num_centroids)
{
    uint8_t largest = 0;

    for (size_t i = 0; i < num_codes; i++)
        largest = codes[i] > largest ? codes[i] : largest;
    return largest < num_centroids;
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
    struct pqk_partition *partition;
    size_t bytes;
    pqk_status status;

    if (!index || (!codes && num_vectors > 0) ||
        num_vectors > UINT32_MAX - index->num_vectors ||
        !pqk_product_fits(num_vectors, 2 * index->codebook.num_sub_vectors) ||
        !codes_name_centroids(codes,
                              num_vectors * index->codebook.num_sub_vectors,
                              index->codebook.num_centroids))
        return PQK_INVALID_ARGUMENT;
    status = reserve_partition(index);
    if (status != PQK_OK)
        return status;
    partition = &index->partitions[index->num_partitions];
    bytes = index->kernel->codes_bytes(&index->codebook, num_vectors);
    partition->num_vectors = num_vectors;
    partition->first_id = (uint32_t)index->num_vectors;
    partition->codes = pqk_aligned_alloc(bytes);
    if (!partition->codes)
        return PQK_OUT_OF_MEMORY;
    status = index->kernel->prepare_codes(index->prepared_codebook, codes,
                                          num_vectors, partition->codes);
    if (status != PQK_OK) {
        free(partition->codes);
        return status;
    }
    index->num_partitions++;
    index->num_vectors += num_vectors;
    index->bytes += bytes;
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
    return index->kernel;
}

pqk_codebook pqk_index_codebook(const pqk_index *index)
{
    return index->codebook;
}
