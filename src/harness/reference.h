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

/*
 * The k best of several scans: neighbors, which has room for k, is a heap of
 * `length` so far.  Offers it codes [num_vectors][M], the first of which has the
 * id `first`; returns the new length, at most k.
 */
size_t pqh_reference_scan(const float *entries, size_t num_sub_vectors,
                          const uint8_t *codes, size_t num_vectors,
                          uint32_t first, size_t k, pqk_neighbor *neighbors,
                          size_t length);

/* Sorts such a heap by (distance, id), NaN last and as 0x7fc00000. */
void pqh_reference_sort(pqk_neighbor *neighbors, size_t length);

/* One scan, ids from 0, sorted; returns how many there are. */
size_t pqh_reference_probe(const float *entries, size_t num_sub_vectors,
                           const uint8_t *codes, size_t num_vectors, size_t k,
                           pqk_neighbor *neighbors);

#endif
