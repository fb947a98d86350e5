/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The scalar kernel and the top-k heap.  This file and src/kernels/ are what
 * research may change.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "kernels/common.h"

/* ------------------------------------------------------------------------ */
/* Top-k: keys are appended while they are within the bound.  When the memory
 * is full, a selection keeps the k best, and the worst of them is the new
 * bound.  A push costs a store, whatever k is; a heap costs log k.          */

/* Selections are k + SLACK pushes apart, which makes them cheap for small k;
 * every one of those pushes still sees the old bound, which wants it small. */
#define SLACK 24

size_t pqk_top_k_heap_storage(size_t k)
{
    if (k == 0)
        return 0;
    return k > (SIZE_MAX - SLACK) / 2 ? SIZE_MAX : 2 * k + SLACK;
}

/* No key is 0, and none is above UINT64_MAX. */
static uint64_t open_bound(size_t k)
{
    return k == 0 ? 0 : UINT64_MAX;
}

void pqk_top_k_heap_init(pqk_top_k_heap *heap, uint64_t *storage, size_t k)
{
    heap->k = k;
    heap->length = 0;
    heap->bound = open_bound(k);
    heap->keys = storage;
}

static inline void swap_keys(uint64_t *a, uint64_t *b)
{
    uint64_t key = *a;

    *a = *b;
    *b = key;
}

/*
 * Hoare's partition around the median of three: afterwards no key before the
 * returned position is greater than one at or behind it, and both parts have at
 * least one key.  Needs length >= 2.
 */
static size_t partition_keys(uint64_t *keys, size_t length)
{
    uint64_t *middle = &keys[(length - 1) / 2];
    uint64_t *last = &keys[length - 1];
    size_t left = 0, right = length - 1;
    uint64_t pivot;

    if (*middle < keys[0])
        swap_keys(middle, keys);
    if (*last < keys[0])
        swap_keys(last, keys);
    if (*last < *middle)
        swap_keys(last, middle);
    pivot = *middle;
    for (;;) {
        while (keys[left] < pivot)
            left++;
        while (keys[right] > pivot)
            right--;
        if (left >= right)
            return right + 1;
        swap_keys(&keys[left++], &keys[right--]);
    }
}

/* Puts the k smallest keys first, in any order. */
static void select_keys(uint64_t *keys, size_t length, size_t k)
{
    while (length > 1 && k > 0 && k < length) {
        size_t cut = partition_keys(keys, length);

        if (k < cut) {
            length = cut;
        } else {
            keys += cut;
            length -= cut;
            k -= cut;
        }
    }
}

/* Recurses into the shorter part, so log2(length) deep at most. */
static void sort_keys(uint64_t *keys, size_t length)
{
    while (length > 16) {
        size_t cut = partition_keys(keys, length);

        if (cut < length / 2) {
            sort_keys(keys, cut);
            keys += cut;
            length -= cut;
        } else {
            sort_keys(keys + cut, length - cut);
            length = cut;
        }
    }
    for (size_t i = 1; i < length; i++) {
        uint64_t key = keys[i];
        size_t hole = i;

        for (; hole > 0 && keys[hole - 1] > key; hole--)
            keys[hole] = keys[hole - 1];
        keys[hole] = key;
    }
}

void pqk_heap_tighten(pqk_top_k_heap *heap)
{
    uint64_t bound = 0;

    if (heap->length < heap->k || heap->k == 0)
        return;
    select_keys(heap->keys, heap->length, heap->k);
    heap->length = heap->k;
    for (size_t i = 0; i < heap->k; i++)
        bound = heap->keys[i] > bound ? heap->keys[i] : bound;
    heap->bound = bound;
}

void pqk_top_k_heap_push(pqk_top_k_heap *heap, uint32_t id, float distance)
{
    uint64_t key = pqk_result_key(distance, id);

    if (key > heap->bound)
        return;
    heap->keys[heap->length++] = key;
    if (heap->length == pqk_top_k_heap_storage(heap->k))
        pqk_heap_tighten(heap);
}

size_t pqk_top_k_heap_into_sorted(pqk_top_k_heap *heap, pqk_neighbor *neighbors)
{
    size_t count;

    pqk_heap_tighten(heap);
    count = heap->length;
    sort_keys(heap->keys, count);
    for (size_t i = 0; i < count; i++) {
        neighbors[i].id = (uint32_t)heap->keys[i];
        neighbors[i].distance = pqk_key_distance(heap->keys[i]);
    }
    heap->length = 0;
    heap->bound = open_bound(heap->k);
    return count;
}

/* ------------------------------------------------------------------------ */
/* Scalar kernel on a plain table and row-major codes                       */

static void pad_table_row(float *row, size_t num_centroids)
{
    for (size_t c = num_centroids; c < PQK_TABLE_STRIDE; c++)
        row[c] = INFINITY;
}

void pqk_scalar_table(const float *query, const pqk_codebook *codebook,
                      float *entries)
{
    const size_t d = codebook->sub_vector_dim;
    const float *centroid = codebook->centroids;

    for (size_t m = 0; m < codebook->num_sub_vectors; m++) {
        float *row = entries + m * PQK_TABLE_STRIDE;

        for (size_t c = 0; c < codebook->num_centroids; c++, centroid += d) {
            float sum = 0.0f;

            for (size_t i = 0; i < d; i++) {
                float difference = query[m * d + i] - centroid[i];
                sum += difference * difference;
            }
            row[c] = sum;
        }
        pad_table_row(row, codebook->num_centroids);
    }
}

/* A call with a constant num_sub_vectors unrolls the sum, so that the additions
 * of several rows overlap; rolled up it takes twice as long. */
static inline void scan_rows(const float *entries, size_t num_sub_vectors,
                             const uint8_t *codes, size_t num_vectors,
                             uint32_t first_id, const struct pqk_filter *filter,
                             pqk_top_k_heap *heap)
{
    float bound = pqk_heap_bound(heap);

    for (size_t i = 0; i < num_vectors; i++, codes += num_sub_vectors) {
        float sum = 0.0f;

        if (filter && !pqk_filter_has_row(filter, (uint32_t)i))
            continue;
#pragma GCC unroll 16
        for (size_t m = 0; m < num_sub_vectors; m++)
            sum += entries[m * PQK_TABLE_STRIDE + codes[m]];
        if (sum > bound || (filter && !pqk_filter_allows(filter, (uint32_t)i)))
            continue;
        pqk_top_k_heap_push(heap, first_id + (uint32_t)i, sum);
        bound = pqk_heap_bound(heap);
    }
}

void pqk_scalar_scan(const float *entries, size_t num_sub_vectors,
                     const uint8_t *codes, size_t num_vectors,
                     uint32_t first_id, const struct pqk_filter *filter,
                     pqk_top_k_heap *heap)
{
    if (heap->k == 0) /* a predicate must not be asked in vain */
        return;
    if (filter)
        scan_rows(entries, num_sub_vectors, codes, num_vectors, first_id,
                  filter, heap);
    else if (num_sub_vectors == 16)
        scan_rows(entries, 16, codes, num_vectors, first_id, NULL, heap);
    else
        scan_rows(entries, num_sub_vectors, codes, num_vectors, first_id, NULL,
                  heap);
}

void pqk_scalar_probe(const float *entries, size_t num_sub_vectors,
                      const uint8_t *codes, size_t num_vectors,
                      pqk_top_k_heap *heap)
{
    pqk_scalar_scan(entries, num_sub_vectors, codes, num_vectors, 0, NULL,
                    heap);
}

/* ------------------------------------------------------------------------ */
/* Scalar kernel, prepared path: the codes stay row-major, the codebook is   */
/* turned to [m][d][256], so that tables are built over many centroids at a  */
/* time with the same additions in the same order.                          */

struct scalar_codebook {
    uint32_t num_sub_vectors;
    uint32_t num_centroids;
    uint32_t sub_vector_dim;
    float transposed[];
};

size_t pqk_scalar_codebook_bytes(const pqk_codebook *shape)
{
    return sizeof(struct scalar_codebook) +
           shape->num_sub_vectors * shape->sub_vector_dim * PQK_TABLE_STRIDE *
               sizeof(float);
}

/* Every code is its own label. */
pqk_status pqk_scalar_prepare_codebook(const pqk_codebook *codebook,
                                       const uint8_t *labels,
                                       void *prepared_codebook)
{
    struct scalar_codebook *prepared = prepared_codebook;
    const size_t d = codebook->sub_vector_dim;
    const float *centroid = codebook->centroids;

    (void)labels;
    memset(prepared, 0, pqk_scalar_codebook_bytes(codebook));
    prepared->num_sub_vectors = (uint32_t)codebook->num_sub_vectors;
    prepared->num_centroids = (uint32_t)codebook->num_centroids;
    prepared->sub_vector_dim = (uint32_t)d;
    for (size_t m = 0; m < codebook->num_sub_vectors; m++)
        for (size_t c = 0; c < codebook->num_centroids; c++, centroid += d)
            for (size_t i = 0; i < d; i++)
                prepared->transposed[(m * d + i) * PQK_TABLE_STRIDE + c] =
                    centroid[i];
    return PQK_OK;
}

const uint8_t *pqk_scalar_labels_of(const void *prepared_codebook)
{
    (void)prepared_codebook;
    return NULL;
}

size_t pqk_scalar_codes_bytes(const pqk_codebook *shape, size_t num_vectors)
{
    return shape->num_sub_vectors * num_vectors;
}

pqk_status pqk_scalar_prepare_codes(const void *prepared_codebook,
                                    const uint8_t *codes, size_t num_vectors,
                                    void *prepared_codes)
{
    const struct scalar_codebook *codebook = prepared_codebook;

    if (num_vectors > 0)
        memcpy(prepared_codes, codes, codebook->num_sub_vectors * num_vectors);
    return PQK_OK;
}

struct pqk_code_layout pqk_scalar_code_layout(const pqk_codebook *shape,
                                              size_t num_vectors)
{
    return (struct pqk_code_layout){.column_stride = 1,
                                    .position_stride = shape->num_sub_vectors,
                                    .bytes = (uint64_t)shape->num_sub_vectors *
                                             num_vectors};
}

void pqk_scalar_restore_codes(const void *prepared_codebook,
                              const void *prepared_codes, size_t num_vectors,
                              uint8_t *codes)
{
    const struct scalar_codebook *codebook = prepared_codebook;

    if (num_vectors > 0)
        memcpy(codes, prepared_codes, codebook->num_sub_vectors * num_vectors);
}

size_t pqk_scalar_tables_bytes(const pqk_codebook *shape, size_t num_queries)
{
    return num_queries * shape->num_sub_vectors * PQK_TABLE_STRIDE *
           sizeof(float);
}

/* Four centroids at a time, with whatever the baseline instruction set has;
 * each lane rounds like a scalar. */
typedef float four_f32 __attribute__((vector_size(16), aligned(4), may_alias));

static four_f32 squared_distances(const float *query, const float *centroids,
                                  size_t d)
{
    four_f32 sum = {0.0f, 0.0f, 0.0f, 0.0f};

    for (size_t i = 0; i < d; i++, centroids += PQK_TABLE_STRIDE) {
        four_f32 difference = query[i] - *(const four_f32 *)centroids;
        sum += difference * difference;
    }
    return sum;
}

static four_f32 negated_products(const float *query, const float *centroids,
                                 size_t d)
{
    four_f32 sum = {0.0f, 0.0f, 0.0f, 0.0f};

    for (size_t i = 0; i < d; i++, centroids += PQK_TABLE_STRIDE)
        sum += query[i] * *(const four_f32 *)centroids;
    return -sum;
}

static void transposed_table(const struct scalar_codebook *codebook,
                             pqk_metric metric, const float *query,
                             float *entries)
{
    const size_t d = codebook->sub_vector_dim;
    const float *values = codebook->transposed;

    for (size_t m = 0; m < codebook->num_sub_vectors; m++, query += d) {
        float *row = entries + m * PQK_TABLE_STRIDE;

        for (size_t c = 0; c < PQK_TABLE_STRIDE; c += 4)
            *(four_f32 *)(row + c) =
                metric == PQK_L2 ? squared_distances(query, values + c, d)
                                 : negated_products(query, values + c, d);
        values += d * PQK_TABLE_STRIDE;
        pad_table_row(row, codebook->num_centroids);
    }
}

void pqk_scalar_compute_tables(const void *prepared_codebook, pqk_metric metric,
                               const float *queries, size_t num_queries,
                               void *tables)
{
    const struct scalar_codebook *codebook = prepared_codebook;
    const size_t num_sub_vectors = codebook->num_sub_vectors;
    const size_t dim = num_sub_vectors * codebook->sub_vector_dim;
    float *entries = tables;

    for (size_t q = 0; q < num_queries; q++)
        transposed_table(codebook, metric, queries + q * dim,
                         entries + q * num_sub_vectors * PQK_TABLE_STRIDE);
}

void pqk_scalar_prepared_probe(const void *prepared_codebook,
                               const void *prepared_codes, size_t num_vectors,
                               uint32_t first_id,
                               const struct pqk_filter *filter, void *tables,
                               size_t num_queries, pqk_top_k_heap *heaps,
                               pqk_search_stats *stats)
{
    const struct scalar_codebook *codebook = prepared_codebook;
    const size_t num_sub_vectors = codebook->num_sub_vectors;
    const float *entries = tables;

    for (size_t q = 0; q < num_queries; q++)
        pqk_scalar_scan(entries + q * num_sub_vectors * PQK_TABLE_STRIDE,
                        num_sub_vectors, prepared_codes, num_vectors, first_id,
                        filter, &heaps[q]);
    stats->bound_groups = 0;
    stats->codes += (uint64_t)num_vectors * num_queries;
    stats->survivors += (uint64_t)num_vectors * num_queries;
    stats->bytes_read += (uint64_t)num_vectors * num_queries * num_sub_vectors;
}

typedef int32_t four_i32 __attribute__((vector_size(16)));

static four_i32 select_i32(four_i32 mask, four_i32 yes, four_i32 no)
{
    return (mask & yes) | (~mask & no);
}

/* Each lane keeps its own first strict minimum; among lanes the smaller
 * distance, then the lower number, wins, which is the first strict minimum of
 * all. */
static uint8_t nearest_centroid(const float *centroids, size_t d,
                                const float *row)
{
    four_f32 best = {INFINITY, INFINITY, INFINITY, INFINITY};
    four_i32 best_at = {0, 0, 0, 0};
    four_i32 at = {0, 1, 2, 3};
    size_t winner = 0;

    for (size_t c = 0; c < 256; c += 4, at += 4) {
        four_f32 sum = {0.0f, 0.0f, 0.0f, 0.0f};
        four_i32 nearer;

        for (size_t i = 0; i < d; i++) {
            four_f32 difference =
                row[i] - *(const four_f32 *)(centroids + i * 256 + c);
            sum += difference * difference;
        }
        nearer = sum < best;
        best = (four_f32)select_i32(nearer, (four_i32)sum, (four_i32)best);
        best_at = select_i32(nearer, at, best_at);
    }
    for (size_t lane = 1; lane < 4; lane++)
        if (best[lane] < best[winner] ||
            (best[lane] == best[winner] && best_at[lane] < best_at[winner]))
            winner = lane;
    return (uint8_t)best_at[winner];
}

static void scalar_nearest_centroids(const float *centroids, size_t d,
                                     const float *rows, size_t num_rows,
                                     size_t row_stride, uint8_t *codes,
                                     size_t code_stride)
{
    for (size_t i = 0; i < num_rows; i++)
        codes[i * code_stride] =
            nearest_centroid(centroids, d, rows + i * row_stride);
}

const struct pqk_kernel pqk_kernel_scalar = {
    .compute_distance_table_l2 = pqk_scalar_table,
    .probe_pq_l2_top_k = pqk_scalar_probe,
    .codebook_bytes = pqk_scalar_codebook_bytes,
    .prepare_codebook = pqk_scalar_prepare_codebook,
    .labels_of = pqk_scalar_labels_of,
    .codes_bytes = pqk_scalar_codes_bytes,
    .prepare_codes = pqk_scalar_prepare_codes,
    .code_layout = pqk_scalar_code_layout,
    .restore_codes = pqk_scalar_restore_codes,
    .tables_bytes = pqk_scalar_tables_bytes,
    .compute_tables = pqk_scalar_compute_tables,
    .probe = pqk_scalar_prepared_probe,
    .nearest_centroids = scalar_nearest_centroids,
};
