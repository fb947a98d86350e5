/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* See honest.h.  Alone, this is a whole and honest module. */
#include "honest.h"

#include <stdlib.h>
#include <string.h>

static const struct hooks none = {.name = "honest"};

const struct hooks *hooks = &none;

PQK_API const char *pqk_status_string(pqk_status status)
{
    return status == PQK_UNKNOWN_KERNEL ? "no such kernel" : "failed";
}

PQK_API size_t pqk_kernel_count(void)
{
    return 1;
}

struct pqk_kernel {
    const char *name;
};
static const pqk_kernel plain = {"plain"};

PQK_API const pqk_kernel *pqk_kernel_at(size_t position)
{
    return position == 0 ? &plain : NULL;
}

PQK_API const char *pqk_kernel_name(const pqk_kernel *kernel)
{
    return kernel->name;
}

PQK_API int pqk_kernel_available(const pqk_kernel *kernel)
{
    (void)kernel;
    return 1;
}

PQK_API pqk_status pqk_kernel_find(const char *name, const pqk_kernel **kernel)
{
    *kernel = &plain;
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
    (*index)->codebook.centroids = (*index)->centroids;
    return PQK_OK;
}

PQK_API void pqk_index_free(pqk_index *index)
{
    if (index != NULL) {
        free(index->centroids);
        free(index->ends);
        free(index);
    }
}

PQK_API size_t pqk_index_bytes(const pqk_index *index)
{
    return index->num_vectors * index->codebook.num_sub_vectors + index->more;
}

PQK_API pqk_status pqk_index_add(pqk_index *index, const uint8_t *codes,
                                 size_t num_vectors)
{
    size_t before = index->num_vectors * index->codebook.num_sub_vectors;
    size_t more = num_vectors * index->codebook.num_sub_vectors;
    uint8_t *all = realloc((void *)(uintptr_t)index->codes, before + more);

    memcpy(all + before, codes, more);
    index->codes = all;
    index->num_vectors += num_vectors;
    index->partitions++;
    index->ends = realloc(index->ends, index->partitions * sizeof *index->ends);
    index->ends[index->partitions - 1] = index->num_vectors;
    if (hooks->add != NULL) {
        hooks->add(index, (uint8_t *)(uintptr_t)codes);
    }
    return PQK_OK;
}

PQK_API pqk_status pqk_scanner_create(const pqk_index *index,
                                      size_t max_queries, size_t max_k,
                                      pqk_scanner **search)
{
    pqk_scanner *made = calloc(max_queries, sizeof *made);

    made->max_queries = max_queries;
    for (size_t q = 0; q < max_queries; q++) {
        made[q].index = (pqk_index *)(uintptr_t)index;
        made[q].entries = malloc(index->codebook.num_sub_vectors *
                                 PQK_TABLE_STRIDE * sizeof(float));
        made[q].best = malloc((max_k + 1) * sizeof *made->best);
    }
    *search = made;
    return PQK_OK;
}

PQK_API void pqk_scanner_free(pqk_scanner *search)
{
    for (size_t q = 0; search != NULL && q < search->max_queries; q++) {
        free(search[q].entries);
        free(search[q].best);
    }
    free(search);
}

PQK_API pqk_status pqk_scanner_begin(pqk_scanner *search, size_t num_queries,
                                     size_t k)
{
    search->num_queries = num_queries;
    for (size_t q = 0; q < num_queries; q++) {
        search[q].k = k;
        search[q].length = 0;
    }
    return PQK_OK;
}

void make_table(const float *query, const pqk_codebook *shape, float *entries)
{
    const float *centroid = shape->centroids;

    for (size_t m = 0; m < shape->num_sub_vectors; m++) {
        for (size_t j = 0; j < shape->num_centroids; j++) {
            float sum = 0.0f;
            for (size_t d = 0; d < shape->sub_vector_dim; d++, centroid++) {
                float difference =
                    query[m * shape->sub_vector_dim + d] - *centroid;
                sum += difference * difference;
            }
            entries[m * PQK_TABLE_STRIDE + j] = sum;
        }
    }
}

PQK_API pqk_status pqk_scanner_tables(pqk_scanner *search, const float *queries)
{
    const pqk_codebook *shape = &search->index->codebook;
    size_t dim = shape->num_sub_vectors * shape->sub_vector_dim;

    for (size_t q = 0; q < search->num_queries; q++) {
        search[q].query = queries + q * dim;
        if (hooks->tables != NULL) {
            hooks->tables(&search[q], (float *)(uintptr_t)search[q].query);
        }
        make_table(search[q].query, shape, search[q].entries);
    }
    return PQK_OK;
}

/* Insertion of row `id` into the sorted results; finite distances only. */
static size_t insert(pqk_row_result *best, size_t length, size_t k, size_t id,
                     float distance)
{
    size_t at = length;

    if (at == k && distance >= best[at - 1].distance) {
        return length;
    }
    for (; at > 0 && best[at - 1].distance > distance; at--) {
        best[at] = best[at - 1];
    }
    best[at] = (pqk_row_result){(uint32_t)id, distance};
    return length + (length < k);
}

static float sum_entries(const float *entries, const uint8_t *code,
                         size_t num_sub_vectors)
{
    float sum = 0.0f;

    for (size_t m = 0; m < num_sub_vectors; m++) {
        sum += entries[m * PQK_TABLE_STRIDE + code[m]];
    }
    return sum;
}

/* Four codes at a time: a sum alone waits for each of its additions, and the judge
 * has millions of codes scanned. */
#define ABREAST 4

static void sum_abreast(const float *entries, const uint8_t *codes,
                        size_t width, size_t num_sub_vectors,
                        float sums[ABREAST])
{
    float a = 0.0f, b = 0.0f, c = 0.0f, d = 0.0f;

    for (size_t m = 0; m < num_sub_vectors; m++) {
        const float *row = entries + m * PQK_TABLE_STRIDE;
        a += row[codes[m]];
        b += row[codes[width + m]];
        c += row[codes[2 * width + m]];
        d += row[codes[3 * width + m]];
    }
    sums[0] = a;
    sums[1] = b;
    sums[2] = c;
    sums[3] = d;
}

static size_t offer_rows(const float *entries, const uint8_t *codes,
                         size_t width, size_t num_sub_vectors, size_t first,
                         size_t end, pqk_row_result *best, size_t length,
                         size_t k)
{
    for (; end - first >= ABREAST; first += ABREAST) {
        float sums[ABREAST];
        sum_abreast(entries, codes + first * width, width, num_sub_vectors,
                    sums);
        for (size_t j = 0; j < ABREAST; j++) {
            length = insert(best, length, k, first + j, sums[j]);
        }
    }
    for (; first < end; first++) {
        float sum =
            sum_entries(entries, codes + first * width, num_sub_vectors);
        length = insert(best, length, k, first, sum);
    }
    return length;
}

void scan(pqk_scanner *search, size_t num_sub_vectors)
{
    const pqk_index *index = search->index;

    search->length =
        offer_rows(search->entries, index->codes,
                   index->codebook.num_sub_vectors, num_sub_vectors,
                   search->first, search->end, search->best, search->length,
                   search->k);
}

PQK_API pqk_status pqk_scanner_probe(pqk_scanner *search, size_t partition)
{
    const pqk_index *index = search->index;

    for (size_t q = 0; q < search->num_queries; q++) {
        search[q].first = partition > 0 ? index->ends[partition - 1] : 0;
        search[q].end = index->ends[partition];
        if (hooks->probe != NULL) {
            hooks->probe(&search[q]);
        } else {
            scan(&search[q], index->codebook.num_sub_vectors);
        }
    }
    return PQK_OK;
}

PQK_API pqk_status pqk_scanner_results(pqk_scanner *search, size_t query,
                                       pqk_row_result *neighbors, size_t *count)
{
    pqk_scanner *one = &search[query];

    memcpy(neighbors, one->best, one->length * sizeof *neighbors);
    *count = one->length;
    if (hooks->results != NULL) {
        hooks->results(one, neighbors, count);
    }
    return PQK_OK;
}

/* ------------------------------------------------------------------------ */
/* Row-major codes                                                          */
/* ------------------------------------------------------------------------ */

PQK_API size_t pqk_top_k_heap_storage(size_t k)
{
    return k + 1;
}

/* The keys are neighbors, sorted. */
PQK_API void pqk_top_k_heap_init(pqk_top_k_heap *heap, uint64_t *storage,
                                 size_t k)
{
    *heap = (pqk_top_k_heap){.k = k, .keys = storage};
}

PQK_API pqk_status pqk_compute_distance_table_l2_with(
    const pqk_kernel *kernel, const float *query, const pqk_codebook *codebook,
    pqk_distance_table *table)
{
    (void)kernel;
    table->num_sub_vectors = codebook->num_sub_vectors;
    make_table(query, codebook, table->entries);
    return PQK_OK;
}

PQK_API pqk_status pqk_probe_pq_l2_top_k_with(const pqk_kernel *kernel,
                                              const pqk_distance_table *table,
                                              const uint8_t *codes,
                                              size_t num_vectors,
                                              pqk_top_k_heap *heap)
{
    size_t num_sub_vectors = table->num_sub_vectors;

    (void)kernel;
    if (hooks->rows != NULL) {
        hooks->rows(table->entries, (uint8_t *)(uintptr_t)codes);
    }
    heap->length = offer_rows(table->entries, codes, num_sub_vectors,
                              num_sub_vectors, 0, num_vectors,
                              (pqk_row_result *)(void *)heap->keys,
                              heap->length, heap->k);
    return PQK_OK;
}

/* There is no search to pass: only for cheats that look at none. */
PQK_API size_t pqk_top_k_heap_into_sorted(pqk_top_k_heap *heap,
                                          pqk_row_result *neighbors)
{
    size_t count = heap->length;

    memcpy(neighbors, heap->keys, count * sizeof *neighbors);
    if (hooks->results != NULL) {
        hooks->results(NULL, neighbors, &count);
    }
    return count;
}

/* ------------------------------------------------------------------------ */

PQK_API pqk_status pqk_scanner_statistics(pqk_scanner *search,
                                          pqk_search_stats *stats)
{
    size_t codes = search->index->num_vectors * search->num_queries;

    *stats = (pqk_search_stats){
        .kernel = "plain",
        .codes = codes,
        .survivors = codes,
        .bytes_read = pqk_index_bytes(search->index),
    };
    return PQK_OK;
}
