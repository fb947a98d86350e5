/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Parts of the scalar kernel that other variants fall back on: a plain table, and a
 * scan of row-major codes. */
#ifndef PQK_KERNELS_SCALAR_H
#define PQK_KERNELS_SCALAR_H

#include "kernels.h"

void pqk_scalar_table(const float *query, const pqk_codebook *codebook,
                      float *entries);
/* filter may be NULL; row i has id first_id + i. */
void pqk_scalar_scan(const float *entries, size_t num_sub_vectors,
                     const uint8_t *codes, size_t num_vectors,
                     uint32_t first_id, const struct pqk_filter *filter,
                     pqk_top_k_heap *heap);

#endif
