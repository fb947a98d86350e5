/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Plans: in which order and with which bounds a scan looks at the columns.
 * Every variant has a list of them, from the one for data on which bounds prune
 * well to the one for data on which they hardly do; which one is used is
 * decided while scanning, by counting the blocks that stay alive.
 */
#ifndef PQK_KERNELS_PLANS_H
#define PQK_KERNELS_PLANS_H

#include <stddef.h>
#include <stdint.h>

/* What a stage adds up per column. */
enum scan_bound {
    BOUND_256,   /* the entry itself */
    BOUND_128,   /* the minimum of the centroids with the same 7 low bits */
    BOUND_64,    /* the minimum of the centroids with the same 6 low bits */
    BOUND_16,    /* the minimum of those with the same 4 low bits */
    BOUND_64_UP, /* what BOUND_64 lacks of the entry */
    BOUND_16_UP  /* what BOUND_16 lacks of the entry */
};

/* Columns from, ..., to - 1 in sixteenths of M, in the order of this query. */
struct scan_stage {
    uint8_t bound;
    uint8_t from;
    uint8_t to;
};

#define MAX_STAGES 7

/*
 * Stages from the first, which sums all blocks, to the last, whose survivors
 * are summed in float32.  The plan is left for the next one if more than `most`
 * of the blocks are alive after the first stage, for the one before if fewer
 * than `least`.  The last plan's `most` is above 1.
 */
struct scan_plan {
    float least;
    float most;
    size_t num_stages;
    struct scan_stage stages[MAX_STAGES];
};

#endif
