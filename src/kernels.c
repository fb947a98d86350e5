/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The scalar kernel: plain C for every CPU, and what the others fall back on.  This
 * file and src/kernels/ are what research may change.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <string.h>

#include "kernels/scalar.h"

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
                             const uint8_t *codes, size_t first, size_t end,
                             uint32_t first_id, const struct pqk_filter *filter,
                             pqk_top_k_heap *heap)
{
    float bound = pqk_heap_bound(heap);

    codes += first * num_sub_vectors;
    for (size_t i = first; i < end; i++, codes += num_sub_vectors) {
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

static void scan_range(const float *entries, size_t num_sub_vectors,
                       const uint8_t *codes, size_t first, size_t end,
                       uint32_t first_id, const struct pqk_filter *filter,
                       pqk_top_k_heap *heap)
{
    if (heap->k == 0) /* a predicate must not be asked in vain */
        return;
    if (filter)
        scan_rows(entries, num_sub_vectors, codes, first, end, first_id, filter,
                  heap);
    else if (num_sub_vectors == 16)
        scan_rows(entries, 16, codes, first, end, first_id, NULL, heap);
    else
        scan_rows(entries, num_sub_vectors, codes, first, end, first_id, NULL,
                  heap);
}

void pqk_scalar_scan(const float *entries, size_t num_sub_vectors,
                     const uint8_t *codes, size_t num_vectors,
                     uint32_t first_id, const struct pqk_filter *filter,
                     pqk_top_k_heap *heap)
{
    scan_range(entries, num_sub_vectors, codes, 0, num_vectors, first_id,
               filter, heap);
}

static void scalar_probe(const float *entries, size_t num_sub_vectors,
                         const uint8_t *codes, size_t num_vectors,
                         pqk_top_k_heap *heap)
{
    pqk_scalar_scan(entries, num_sub_vectors, codes, num_vectors, 0, NULL,
                    heap);
}

/* ------------------------------------------------------------------------ */
/* Scalar kernel, prepared path: the codes stay row-major, the codebook is   */
/* transposed to [m][d][256], so that a table is built over many centroids  */
/* at a time with the same additions in the same order.                     */

struct scalar_codebook {
    uint32_t num_sub_vectors;
    uint32_t num_centroids;
    uint32_t sub_vector_dim;
    float transposed[];
};

static size_t scalar_codebook_bytes(const pqk_codebook *shape)
{
    return sizeof(struct scalar_codebook) +
           shape->num_sub_vectors * shape->sub_vector_dim * PQK_TABLE_STRIDE *
               sizeof(float);
}

/* Every code is its own label. */
static pqk_status scalar_prepare_codebook(const pqk_codebook *codebook,
                                          const uint8_t *labels, unsigned cpu,
                                          void *prepared_codebook)
{
    struct scalar_codebook *prepared = prepared_codebook;
    const size_t d = codebook->sub_vector_dim;
    const float *centroid = codebook->centroids;

    (void)labels, (void)cpu;
    memset(prepared, 0, scalar_codebook_bytes(codebook));
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

static const uint8_t *scalar_labels_of(const void *prepared_codebook)
{
    (void)prepared_codebook;
    return NULL;
}

static size_t scalar_codes_bytes(const pqk_codebook *shape, size_t num_vectors)
{
    return shape->num_sub_vectors * num_vectors;
}

static pqk_status scalar_prepare_codes(const void *prepared_codebook,
                                       const uint8_t *codes, size_t num_vectors,
                                       void *prepared_codes)
{
    const struct scalar_codebook *codebook = prepared_codebook;

    if (num_vectors > 0)
        memcpy(prepared_codes, codes, codebook->num_sub_vectors * num_vectors);
    return PQK_OK;
}

static struct pqk_code_layout scalar_code_layout(const pqk_codebook *shape,
                                                 size_t num_vectors)
{
    return (struct pqk_code_layout){.column_stride = 1,
                                    .position_stride = shape->num_sub_vectors,
                                    .bytes = (uint64_t)shape->num_sub_vectors *
                                             num_vectors};
}

static void scalar_restore_codes(const void *prepared_codebook,
                                 const void *prepared_codes, size_t num_vectors,
                                 uint8_t *codes)
{
    const struct scalar_codebook *codebook = prepared_codebook;

    if (num_vectors > 0)
        memcpy(codes, prepared_codes, codebook->num_sub_vectors * num_vectors);
}

static size_t scalar_tables_bytes(const pqk_codebook *shape, size_t num_queries)
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

static void scalar_compute_tables(const void *prepared_codebook,
                                  pqk_metric metric, const float *queries,
                                  size_t num_queries,
                                  const pqk_top_k_heap *heaps, void *tables)
{
    const struct scalar_codebook *codebook = prepared_codebook;
    const size_t num_sub_vectors = codebook->num_sub_vectors;
    const size_t dim = num_sub_vectors * codebook->sub_vector_dim;
    float *entries = tables;

    (void)heaps;
    for (size_t q = 0; q < num_queries; q++)
        transposed_table(codebook, metric, queries + q * dim,
                         entries + q * num_sub_vectors * PQK_TABLE_STRIDE);
}

/* Pieces that a thread takes at a time. */
#define MOST_PIECES 16

static void scalar_prepared_probe(const void *prepared_codebook,
                                  const void *prepared_codes,
                                  size_t num_vectors, uint32_t first_id,
                                  const struct pqk_filter *filter, void *tables,
                                  size_t num_queries, pqk_top_k_heap *heaps,
                                  pqk_search_stats *stats,
                                  struct pqk_share *share)
{
    const struct scalar_codebook *codebook = prepared_codebook;
    const size_t num_sub_vectors = codebook->num_sub_vectors;
    const float *entries = tables;
    size_t first = 0, end = pqk_pieces_of(num_vectors);
    int more = !share || pqk_share_take(share, MOST_PIECES, &first, &end);
    uint64_t decided = 0;

    for (; more;
         more = share && pqk_share_take(share, MOST_PIECES, &first, &end)) {
        const size_t from = first * PQK_PIECE, left = num_vectors - from;
        const size_t count =
            left < (end - first) * PQK_PIECE ? left : (end - first) * PQK_PIECE;

        for (size_t q = 0; q < num_queries; q++)
            scan_range(entries + q * num_sub_vectors * PQK_TABLE_STRIDE,
                       num_sub_vectors, prepared_codes, from, from + count,
                       first_id, filter, &heaps[q]);
        decided += (uint64_t)count * num_queries;
    }
    stats->bound_groups = 0;
    stats->codes += decided;
    stats->survivors += decided;
    stats->bytes_read += decided * num_sub_vectors;
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
    .probe_pq_l2_top_k = scalar_probe,
    .codebook_bytes = scalar_codebook_bytes,
    .prepare_codebook = scalar_prepare_codebook,
    .labels_of = scalar_labels_of,
    .codes_bytes = scalar_codes_bytes,
    .prepare_codes = scalar_prepare_codes,
    .code_layout = scalar_code_layout,
    .restore_codes = scalar_restore_codes,
    .tables_bytes = scalar_tables_bytes,
    .compute_tables = scalar_compute_tables,
    .probe = scalar_prepared_probe,
    .nearest_centroids = scalar_nearest_centroids,
};
