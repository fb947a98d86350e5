/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The child's side of the judge: a process with one build of libpqkern, which
 * knows no seed, no answer and no query that it has not been asked.  slot.h says
 * how it is spoken to.
 *
 * The library can be used in several ways.  A way says how many queries make one
 * request, what is prepared, and which calls answer.
 */
#ifndef PQH_CANDIDATE_H
#define PQH_CANDIDATE_H

#include "slot.h"

/* Rows of a partition, as inverted files have them. */
#define PQH_PARTITION 8192

struct pqh_way;

/* NULL if there is no such way. */
const struct pqh_way *pqh_way_find(const char *name);

const char *pqh_way_name(const struct pqh_way *way);

/* Queries of one request. */
size_t pqh_way_group(const struct pqh_way *way);

struct pqh_candidate {
    int built_in;        /* the reference, not a library */
    int unnamed;         /* the library comes as an image */
    const char *library; /* else a path; NULL for the functions linked in */
    const char *kernel;  /* NULL for the library's choice */
    const struct pqh_way *way;
    size_t k;
    int commands; /* file descriptors */
    int inputs;
    int image; /* of the library, filled before it is to be loaded; or -1 */
    int log;   /* takes the place of standard error */
    struct pqh_slot *slot;
};

/* The whole life of a child, from right after fork. */
_Noreturn void pqh_candidate_run(struct pqh_candidate *candidate);

#endif
