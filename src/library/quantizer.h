/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * k-means for one sub-vector, used by pqk_train_codebook and by whoever needs
 * its random numbers to come from a stream of their own.
 */
#ifndef PQK_QUANTIZER_H
#define PQK_QUANTIZER_H

#include "pqkern.h"

/*
 * Lloyd's algorithm on sub-vectors of dim values, row i at rows + i * stride.
 * The num_centroids first centroids are random rows, drawn with replacement
 * from the SplitMix64 stream *rng_state; an empty cluster takes another.  All
 * sums are float32 in row order.  Returns PQK_OK or PQK_OUT_OF_MEMORY.
 */
pqk_status pqk_kmeans(const float *rows, size_t num_rows, size_t stride,
                      size_t dim, size_t num_centroids, size_t rounds,
                      uint64_t *rng_state, float *centroids);

#endif
