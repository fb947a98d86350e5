/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The data of the guard cells, made from the primary one's.  Each watches over a
 * use at whose cost the primary cell might become faster.
 */
#ifndef PQH_GUARDS_H
#define PQH_GUARDS_H

#include "harness/fixture/fixture.h"

enum pqh_guard {
    PQH_GUARD_PARTITION, /* one partition of the primary cell's codes, warm */
    PQH_GUARD_LARGE,     /* beyond the last-level cache */
    PQH_GUARD_K100,      /* the primary cell's codes, k = 100 */
    PQH_GUARD_GAUSSIAN,  /* no structure at all */
    PQH_GUARD_ROWS,      /* the primary cell's codes, row-major */
    PQH_NUM_GUARD_CELLS,
    /* Of the primary cell itself: */
    PQH_GUARD_PREPARE = PQH_NUM_GUARD_CELLS, /* how long preparing takes */
    PQH_GUARD_BYTES,                         /* how large what is prepared is */
    PQH_NUM_GUARDS
};

/* Preparing and its bytes are worth less than queries: what may be lost there. */
#define PQH_PREPARE_EFFECT 0.10
#define PQH_BYTES_EFFECT   0.05

const char *pqh_guard_name(enum pqh_guard guard);

/*
 * Fills fixture, which has no truth.  ns_per_code is what preparing takes the
 * baseline: fewer codes are made where it is slow.  pqh_guard_free frees it;
 * primary has to live as long.
 */
int pqh_guard_make(enum pqh_guard guard, const struct pqh_fixture *primary,
                   double ns_per_code, uint64_t seed,
                   struct pqh_fixture *fixture, struct pqf_error *err);

void pqh_guard_free(const struct pqh_fixture *primary,
                    struct pqh_fixture *fixture);

/* A standard normal number. */
float pqh_random_normal(uint64_t *random);

#endif
