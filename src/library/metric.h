/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the metrics do to vectors, the same bits on every machine. */
#ifndef PQK_METRIC_H
#define PQK_METRIC_H

#include "pqkern.h"

/*
 * A vector, as the metric compares it: under PQK_COSINE scaled to length 1,
 * each value divided by the root of the sum of squares, in ascending order,
 * which is computed in float64 and rounded once; else the same values, as they
 * are if they have no direction.  from and to may be the same.
 */
void pqk_metric_vectors(pqk_metric metric, const float *from,
                        size_t num_vectors, size_t dim, float *to);

/* The distance of two such vectors: the float32 sum, in ascending order, that
 * pqkern.h gives for table entries. */
float pqk_metric_distance(pqk_metric metric, const float *a, const float *b,
                          size_t dim);

/* A plain table of minus inner products, as kernels make one of L2. */
void pqk_inner_product_table(const float *query, const pqk_codebook *codebook,
                             float *entries);

#endif
