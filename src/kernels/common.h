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

#endif
