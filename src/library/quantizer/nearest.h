/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Centroids as nearest functions want them, and such a function in plain C. */
#ifndef PQK_NEAREST_H
#define PQK_NEAREST_H

#include "library/quantizer.h"

/* What nearest functions want: [d][256], 64-byte aligned. */
float *pqk_transposed_create(size_t d);

/* No row is at a finite distance from the centroids that are not there. */
void pqk_transpose_centroids(const float *centroids, size_t num_centroids,
                             size_t d, float *transposed);

/* A pqk_nearest_function. */
void pqk_plain_nearest(const float *centroids, size_t d, const float *rows,
                       size_t num_rows, size_t row_stride, uint8_t *codes,
                       size_t code_stride);

#endif
