/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the kernel variants share.  Everything with a body is static inline:
 * this header is compiled with the flags of several instruction sets, and an
 * external inline of one must never be linked into another.
 */
#ifndef PQK_KERNELS_COMMON_H
#define PQK_KERNELS_COMMON_H

#include <math.h>
#include <string.h>

#include "kernels.h"

/*
 * (distance, id) as one integer that orders as results do.  IEEE numbers of
 * one sign order like their bits; flipping makes the negative ones ascend and
 * puts them below.  NaN, whatever its bits, becomes the largest distance.
 * Adding +0 turns -0 into +0, which compares equal to it.
 */
static inline uint64_t pqk_result_key(float distance, uint32_t id)
{
    uint32_t bits;
    float positive_zero = distance + 0.0f;

    memcpy(&bits, &positive_zero, sizeof bits);
    if (distance != distance)
        bits = UINT32_MAX;
    else
        bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | id;
}

static inline float pqk_key_distance(uint64_t key)
{
    uint32_t bits = (uint32_t)(key >> 32);
    float distance;

    if (bits == UINT32_MAX)
        bits = 0x7fc00000u;
    else
        bits = bits & 0x80000000u ? bits & 0x7fffffffu : ~bits;
    memcpy(&distance, &bits, sizeof distance);
    return distance;
}

/*
 * A distance greater than this cannot enter the heap.  Anything else may, and
 * must be pushed to know: equal distances are decided by the id, and as long as
 * fewer than k results are held this is NaN, which nothing is greater than.
 */
static inline float pqk_heap_bound(const pqk_top_k_heap *heap)
{
    return pqk_key_distance(heap->bound);
}

/* Whether a filter's bits let a row be a result; asked before its distance is
 * known. */
static inline int pqk_filter_has_row(const struct pqk_filter *filter,
                                     uint32_t row)
{
    return !filter->rows || (filter->rows[row / 64] >> row % 64 & 1) != 0;
}

/* What is left to ask of a row that is near enough. */
static inline int pqk_filter_allows(const struct pqk_filter *filter,
                                    uint32_t row)
{
    return !filter->allows || filter->allows(filter->context, row);
}

/* Drops all but the k best, so that the bound is that of what was pushed so
 * far; pushing alone does it only when the memory is full. */
void pqk_heap_tighten(pqk_top_k_heap *heap);

/* The scalar variant's parts, for variants that have nothing better yet. */
void pqk_scalar_table(const float *query, const pqk_codebook *codebook,
                      float *entries);
void pqk_scalar_scan(const float *entries, size_t num_sub_vectors,
                     const uint8_t *codes, size_t num_vectors,
                     uint32_t first_id, const struct pqk_filter *filter,
                     pqk_top_k_heap *heap);
void pqk_scalar_probe(const float *entries, size_t num_sub_vectors,
                      const uint8_t *codes, size_t num_vectors,
                      pqk_top_k_heap *heap);
size_t pqk_scalar_codebook_bytes(const pqk_codebook *shape);
pqk_status pqk_scalar_prepare_codebook(const pqk_codebook *codebook,
                                       const uint8_t *labels,
                                       void *prepared_codebook);
const uint8_t *pqk_scalar_labels_of(const void *prepared_codebook);
size_t pqk_scalar_codes_bytes(const pqk_codebook *shape, size_t num_vectors);
pqk_status pqk_scalar_prepare_codes(const void *prepared_codebook,
                                    const uint8_t *codes, size_t num_vectors,
                                    void *prepared_codes);
struct pqk_code_layout pqk_scalar_code_layout(const pqk_codebook *shape,
                                              size_t num_vectors);
void pqk_scalar_restore_codes(const void *prepared_codebook,
                              const void *prepared_codes, size_t num_vectors,
                              uint8_t *codes);
size_t pqk_scalar_tables_bytes(const pqk_codebook *shape, size_t num_queries);
void pqk_scalar_compute_tables(const void *prepared_codebook, pqk_metric metric,
                               const float *queries, size_t num_queries,
                               void *tables);
void pqk_scalar_prepared_probe(const void *prepared_codebook,
                               const void *prepared_codes, size_t num_vectors,
                               uint32_t first_id,
                               const struct pqk_filter *filter, void *tables,
                               size_t num_queries, pqk_top_k_heap *heaps,
                               pqk_search_stats *stats);

/* The variants; which of them exist is the build's choice. */
extern const struct pqk_kernel pqk_kernel_avx2;
extern const struct pqk_kernel pqk_kernel_avx512;
extern const struct pqk_kernel pqk_kernel_avx512vbmi;
extern const struct pqk_kernel pqk_kernel_neon;

#endif
