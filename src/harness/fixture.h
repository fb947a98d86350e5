/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A fixture: everything that an experiment needs to know about its data, the
 * same bits on every machine (but for `seed`, see seeded.h).
 */
#ifndef PQH_FIXTURE_H
#define PQH_FIXTURE_H

#include "formats/error.h"
#include "pqkern.h"

/* The baseline shape, that of every named source; a directory's width may be
 * any multiple of the number of sub-vectors. */
#define PQH_SUB_VECTORS 16
#define PQH_CENTROIDS 256

struct pqh_request {
    const char *source;  /* auto, sift1m, photos, synthetic, seed, or a folder */
    size_t num_base;     /* the first so many rows; 0 for all there are */
    size_t num_queries;  /* the first so many queries; 0 for the usual number */
    size_t truth_k;      /* true neighbours needed per query */
};

struct pqh_fixture {
    char source[64];     /* the name after `auto` was resolved, or the folder's */
    size_t dim;          /* M * d */
    size_t num_base;
    size_t num_queries;
    size_t truth_k;      /* at least min(asked for, num_base) */
    float *queries;      /* [num_queries][dim] */
    uint32_t *truth;     /* [num_queries][truth_k], exact, by (distance, id) */
    uint8_t *codes;      /* [num_base][M] row-major */
    float *centroids;    /* [M][256][d], what codebook points to */
    pqk_codebook codebook;
};

/*
 * Load, or generate and cache, a fixture.  On failure fills err, returns -1 and
 * leaves fixture empty.  Says on standard error, if that is a terminal, what
 * takes long.
 */
int pqh_fixture_load(const struct pqh_request *request,
                     struct pqh_fixture *fixture, struct pqf_error *err);

void pqh_fixture_free(struct pqh_fixture *fixture);

#endif
