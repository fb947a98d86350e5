/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The source `seed`: the small set with the golden number, recall@10 0.6609
 * (423 of 640) of the exact scan over its codes.  It comes from one SplitMix64
 * stream and uses logf and cosf, which may differ in the last bit between C
 * libraries; the golden number does not.
 */
#ifndef PQH_SEEDED_H
#define PQH_SEEDED_H

#include "formats/error.h"

#define PQH_SEEDED_DIM         128
#define PQH_SEEDED_NUM_BASE    1024
#define PQH_SEEDED_NUM_QUERIES 64

/*
 * base: [1024][128]; queries: [64][128]; centroids: [16][256][8].
 */
int pqh_seeded_generate(float *base, float *queries, float *centroids,
                        struct pqf_error *err);

#endif
