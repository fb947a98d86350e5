/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A quantizer as the library sees it. */
#ifndef PQK_QUANTIZER_HANDLE_H
#define PQK_QUANTIZER_HANDLE_H

#include "pqkern.h"

struct pqk_quantizer {
    pqk_codebook codebook;
    pqk_metric metric;
    float *centroids; /* the codebook's, owned */
};

int pqk_metric_is_known(pqk_metric metric);

/* As those of every quantizer are. */
int pqk_centroids_are_finite(const pqk_codebook *codebook);

/* Any centroids; those of NULL in the codebook are left to be written. */
pqk_status pqk_quantizer_new(const pqk_codebook *codebook, pqk_metric metric,
                             pqk_quantizer **quantizer);

/* Every variant gives the same codes, so one that cannot be had is no reason
 * to fail. */
const pqk_kernel *pqk_usual_kernel(void);

/* pqk_quantizer_encode by a variant of the caller's choice; NULL for none. */
pqk_status pqk_quantizer_encode_with(const pqk_quantizer *quantizer,
                                     const pqk_kernel *kernel,
                                     const float *vectors, size_t num_vectors,
                                     size_t num_threads, uint8_t *codes);

/* One vector of valid codes. */
void pqk_decode(const pqk_codebook *codebook, const uint8_t *codes,
                float *vector);

#endif
