/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Training and encoding, for the library's quantizers and for the harness,
 * which brings no kernel.
 */
#ifndef PQK_QUANTIZER_H
#define PQK_QUANTIZER_H

#include "pqkern.h"

/* A variant's nearest_centroids: see kernels.h. */
typedef void pqk_nearest_function(const float *centroids, size_t d,
                                  const float *rows, size_t num_rows,
                                  size_t row_stride, uint8_t *codes,
                                  size_t code_stride);

/* How to go about long work; nothing here changes a result.  NULL stands for
 * all zeros. */
struct pqk_effort {
    pqk_nearest_function *nearest; /* NULL for a plain one */
    size_t num_threads;            /* 0 means 1 */
    pqk_progress progress;         /* or NULL */
    void *progress_context;
};

/*
 * Lloyd's algorithm on sub-vectors of dim values, row i at rows + i * stride.
 * The num_centroids first centroids are random rows, drawn with replacement
 * from the SplitMix64 stream *rng_state; an empty cluster takes another.  All
 * sums are float32 in row order.  For whoever needs the random numbers to come
 * from a stream of their own.  Returns PQK_OK or PQK_OUT_OF_MEMORY.
 */
pqk_status pqk_kmeans(const float *rows, size_t num_rows, size_t stride,
                      size_t dim, size_t num_centroids, size_t rounds,
                      pqk_nearest_function *nearest, uint64_t *rng_state,
                      float *centroids);

/*
 * k-means for each sub-vector of vectors [num_vectors][M * d], finite and at
 * least one, from a stream that seed and its number make.  Of the shape, the
 * centroids are not looked at; out come centroids [M][num_centroids][d].
 * Returns PQK_OK, PQK_INVALID_ARGUMENT, PQK_OUT_OF_MEMORY or PQK_CANCELLED.
 */
pqk_status pqk_train_codebook(const float *vectors, size_t num_vectors,
                              const pqk_codebook *shape, size_t rounds,
                              uint64_t seed, const struct pqk_effort *effort,
                              float *centroids);

/*
 * The first nearest centroid of each sub-vector of vectors [num_vectors]
 * [M * d], a NaN one's being 0, to codes [num_vectors][M].  Returns as above.
 */
pqk_status pqk_encode(const pqk_codebook *codebook, const float *vectors,
                      size_t num_vectors, const struct pqk_effort *effort,
                      uint8_t *codes);

#endif
