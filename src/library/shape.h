/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Which shapes the library takes, and how large they are.  Needs nothing else of
 * it. */
#ifndef PQK_SHAPE_H
#define PQK_SHAPE_H

#include "pqkern.h"

/* M and the number of centroids in their range, and everything that is sized
 * by the shape (the largest is a few times M * d * 256 floats) countable. */
static inline int pqk_shape_is_possible(const pqk_codebook *shape)
{
    const size_t largest_dim =
        SIZE_MAX / 16 / sizeof(float) / PQK_TABLE_STRIDE / PQK_MAX_SUB_VECTORS;

    return shape->num_sub_vectors - 1 < PQK_MAX_SUB_VECTORS &&
           shape->num_centroids - 1 < PQK_MAX_CENTROIDS &&
           shape->sub_vector_dim - 1 < largest_dim;
}

static inline size_t pqk_num_centroid_values(const pqk_codebook *shape)
{
    return shape->num_sub_vectors * shape->num_centroids *
           shape->sub_vector_dim;
}

#endif
