/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * As much of libpqkern as the judge calls, in the plainest C: honest, exact and
 * slow.  It has hooks for those who are not honest; see cheats.c.
 */
#ifndef HONEST_H
#define HONEST_H

#include "pqkern.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What one cheat does, and when; NULL for what it leaves honest. */
struct hooks {
    const char *name;
    void (*load)(void); /* when the library is loaded */
    void (*add)(pqk_index *index, uint8_t *codes);
    void (*tables)(pqk_search *search, float *query);
    void (*probe)(pqk_search *search); /* instead of scan() */
    void (*results)(pqk_search *search, pqk_neighbor *neighbors, size_t *count);
};

static const struct hooks *hooks;

struct pqk_index {
    pqk_codebook codebook;
    float *centroids;
    const uint8_t *codes;
    size_t num_vectors;
    unsigned calls; /* for the cheats */
};

struct pqk_search {
    pqk_index *index;
    const float *query;
    size_t k, length;
    float *entries;
    pqk_neighbor *best; /* sorted */
};

PQK_API const char *pqk_status_string(pqk_status status)
{
    return status == PQK_UNKNOWN_KERNEL ? "no such kernel" : "failed";
}

PQK_API size_t pqk_kernel_count(void)
{
    return 1;
}

PQK_API const pqk_kernel *pqk_kernel_at(size_t position)
{
    (void)position;
    return NULL;
}

PQK_API const char *pqk_kernel_name(const pqk_kernel *kernel)
{
    (void)kernel;
    return "plain";
}

PQK_API int pqk_kernel_available(const pqk_kernel *kernel)
{
    (void)kernel;
    return 1;
}

PQK_API pqk_status pqk_kernel_find(const char *name, const pqk_kernel **kernel)
{
    *kernel = NULL;
    return name == NULL                   ? PQK_OK
           : strcmp(name, "strange") == 0 ? PQK_KERNEL_UNAVAILABLE
                                          : PQK_UNKNOWN_KERNEL;
}

PQK_API pqk_status pqk_index_create(const pqk_codebook *codebook,
                                    const pqk_kernel *kernel, pqk_index **index)
{
    size_t bytes = codebook->num_sub_vectors * codebook->num_centroids *
                   codebook->sub_vector_dim * sizeof(float);

    (void)kernel;
    *index = calloc(1, sizeof **index);
    (*index)->codebook = *codebook;
    (*index)->centroids = malloc(bytes);
    memcpy((*index)->centroids, codebook->centroids, bytes);
    return PQK_OK;
}

PQK_API void pqk_index_free(pqk_index *index)
{
    if (index != NULL) {
        free(index->centroids);
        free(index);
    }
}

PQK_API size_t pqk_index_bytes(const pqk_index *index)
{
    return index->num_vectors * index->codebook.num_sub_vectors;
}

PQK_API pqk_status pqk_index_add(pqk_index *index, const uint8_t *codes,
                                 size_t num_vectors)
{
    uint8_t *copy;

    index->num_vectors = num_vectors;
    copy = malloc(pqk_index_bytes(index));
    memcpy(copy, codes, pqk_index_bytes(index));
    index->codes = copy;
    if (hooks->add != NULL) {
        hooks->add(index, (uint8_t *)(uintptr_t)codes);
    }
    return PQK_OK;
}

PQK_API pqk_status pqk_search_create(const pqk_index *index, size_t max_queries,
                                     size_t max_k, pqk_search **search)
{
    (void)max_queries;
    *search = calloc(1, sizeof **search);
    (*search)->index = (pqk_index *)(uintptr_t)index;
    (*search)->entries = malloc(index->codebook.num_sub_vectors *
                                PQK_TABLE_STRIDE * sizeof(float));
    (*search)->best = malloc((max_k + 1) * sizeof *(*search)->best);
    return PQK_OK;
}

PQK_API void pqk_search_free(pqk_search *search)
{
    if (search != NULL) {
        free(search->entries);
        free(search->best);
        free(search);
    }
}

PQK_API pqk_status pqk_search_begin(pqk_search *search, size_t num_queries,
                                    size_t k)
{
    (void)num_queries;
    search->k = k;
    search->length = 0;
    return PQK_OK;
}

PQK_API pqk_status pqk_search_tables(pqk_search *search, const float *queries)
{
    const pqk_codebook *shape = &search->index->codebook;
    const float *centroid = search->index->centroids;

    search->query = queries;
    if (hooks->tables != NULL) {
        hooks->tables(search, (float *)(uintptr_t)queries);
    }
    for (size_t m = 0; m < shape->num_sub_vectors; m++) {
        for (size_t j = 0; j < shape->num_centroids; j++) {
            float sum = 0.0f;
            for (size_t d = 0; d < shape->sub_vector_dim; d++, centroid++) {
                float difference =
                    queries[m * shape->sub_vector_dim + d] - *centroid;
                sum += difference * difference;
            }
            search->entries[m * PQK_TABLE_STRIDE + j] = sum;
        }
    }
    return PQK_OK;
}

/* Insertion into the sorted results; finite distances only. */
static void scan(pqk_search *search, size_t num_sub_vectors)
{
    const pqk_index *index = search->index;

    for (size_t i = 0; i < index->num_vectors; i++) {
        const uint8_t *code =
            index->codes + i * index->codebook.num_sub_vectors;
        float sum = 0.0f;
        size_t at = search->length;
        for (size_t m = 0; m < num_sub_vectors; m++) {
            sum += search->entries[m * PQK_TABLE_STRIDE + code[m]];
        }
        if (at == search->k && sum >= search->best[at - 1].distance) {
            continue;
        }
        for (; at > 0 && search->best[at - 1].distance > sum; at--) {
            search->best[at] = search->best[at - 1];
        }
        search->best[at] = (pqk_neighbor){(uint32_t)i, sum};
        search->length += search->length < search->k;
    }
}

PQK_API pqk_status pqk_search_probe(pqk_search *search, size_t partition)
{
    (void)partition;
    if (hooks->probe != NULL) {
        hooks->probe(search);
    } else {
        scan(search, search->index->codebook.num_sub_vectors);
    }
    return PQK_OK;
}

PQK_API pqk_status pqk_search_results(pqk_search *search, size_t query,
                                      pqk_neighbor *neighbors, size_t *count)
{
    (void)query;
    memcpy(neighbors, search->best, search->length * sizeof *neighbors);
    *count = search->length;
    if (hooks->results != NULL) {
        hooks->results(search, neighbors, count);
    }
    return PQK_OK;
}

PQK_API pqk_search_stats pqk_search_statistics(const pqk_search *search)
{
    return (pqk_search_stats){"plain", 0, search->index->num_vectors,
                              search->index->num_vectors,
                              pqk_index_bytes(search->index)};
}

#endif
