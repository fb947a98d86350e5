/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the judge and a child say to each other.
 *
 * Commands come through a pipe, on which the child sleeps between turns.  The
 * requests of a turn come one at a time through the slot, a piece of shared
 * memory: the judge raises `offer`, the child puts the queries in their place and
 * raises `taken`; the judge starts its clock and raises `request`, the child
 * answers, copies the results out and raises `reply`.  Both spin, because waking
 * up costs more than a short query.  The judge trusts nothing that the child
 * writes there.
 */
#ifndef PQH_SLOT_H
#define PQH_SLOT_H

#include "pqkern.h"

#include <stdatomic.h>

/* The widest query that fits into a slot, and how many there can be. */
#define PQH_MAX_DIM           65536
#define PQH_MAX_GROUP_QUERIES 16

enum pqh_command_kind {
    PQH_LOAD = 1, /* load the library, find the kernel */
    PQH_PREPARE,  /* make the index afresh */
    PQH_TURN,     /* answer `count` requests */
    PQH_STREAM    /* time reading `bytes` bytes once */
};

struct pqh_command {
    uint32_t kind;
    uint32_t count;
    uint64_t bytes;
    uint64_t k;     /* of later requests, at most what the slot has room for */
    uint64_t place; /* random: where in its pages the caller's memory begins */
    /* The inputs file: centroids, then codes. */
    uint64_t num_sub_vectors, num_centroids, sub_vector_dim, num_vectors;
};

/* Why a child gave up by itself. */
enum pqh_failure {
    PQH_NO_FAILURE,
    PQH_LOAD_FAILED,
    PQH_KERNEL_UNKNOWN,
    PQH_KERNEL_MISSING,
    PQH_HARNESS_FAILED, /* no memory and the like */
    PQH_CALL_FAILED,    /* a function of the library returned an error */
    PQH_FORBIDDEN_CALL  /* the library called the system; see sandbox.h */
};

/* What the child saw the library do that the contract forbids. */
enum pqh_offence {
    PQH_WROTE_LATE = 1u << 0,     /* results changed after the call returned */
    PQH_WROTE_OUTSIDE = 1u << 1,  /* around the results */
    PQH_WROTE_QUERY = 1u << 2,    /* to its input */
    PQH_CHANGED_FLOATS = 1u << 3, /* rounding mode or treatment of subnormals */
    PQH_TOO_MANY = 1u << 4        /* claims more than k results */
};

struct pqh_slot {
    /* The judge writes. */
    _Alignas(64) _Atomic uint32_t request;
    _Atomic uint32_t offer; /* the queries of a request to come */
    uint32_t patience;      /* of either side, in spins */
    uint32_t place; /* random; where the child puts queries and results */

    /* The child writes; a line of its own, so that spinning on one does not
     * slow writing the other. */
    _Alignas(64) _Atomic uint32_t reply;
    _Atomic uint32_t taken; /* an offer: ready for its request */
    _Atomic uint32_t done;  /* commands completed */
    _Atomic uint32_t failure;
    uint32_t offences;
    uint32_t missing;                       /* of the sandbox */
    int32_t forbidden_call;                 /* the call's number */
    uint64_t counts[PQH_MAX_GROUP_QUERIES]; /* of results */
    uint64_t table_ns, probe_ns;
    pqk_search_stats stats; /* kernel is not looked at */
    uint64_t prepare_ns;
    uint64_t index_bytes;
    uint64_t stream_ns;
    char kernel[32];
    char available[192]; /* names of the variants this CPU can run */
    char message[512];

    _Alignas(64) float queries[PQH_MAX_GROUP_QUERIES * PQH_MAX_DIM];
    pqk_row_result results[]; /* [group][k] */
};

/* Let a spinning loop breathe; gives up the processor after so many spins. */
void pqh_relax(unsigned *spins, unsigned patience);

/* Where both sides have a processor each, giving it up would only give it to
 * somebody else, for milliseconds. */
#define PQH_PATIENT   2000
#define PQH_IMPATIENT 200

#endif
