/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The harness's own scalar reference: the plain row-major loop, written apart
 * from the library so that the two can disagree.  It is what "exact" means and
 * what speed-ups are measured against; it does not change during research.
 */
#ifndef PQH_REFERENCE_H
#define PQH_REFERENCE_H

#include "pqkern.h"

/* entries: [M][256], +inf past num_centroids. */
void pqh_reference_table(const float *query, const pqk_codebook *codebook,
                         float *entries);

/* The k best of codes [num_vectors][M] by (distance, id), NaN last and as
 * 0x7fc00000; returns how many, at most k.  neighbors has room for k. */
size_t pqh_reference_probe(const float *entries, size_t num_sub_vectors,
                           const uint8_t *codes, size_t num_vectors, size_t k,
                           pqk_neighbor *neighbors);

#endif
