/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Exact nearest neighbours: squared L2 as the float32 sum over the dimensions
 * in ascending order, ordered by (distance, id).  For vectors of bytes up to
 * 258 wide every sum is an integer below 2^24, so that it has no rounding.
 *
 * Base rows are given block by block, so that a base larger than the memory
 * can be searched.
 */
#ifndef PQH_TRUTH_H
#define PQH_TRUTH_H

#include "formats/error.h"

#include <stddef.h>
#include <stdint.h>

struct pqh_truth;

/* queries: [num_queries][dim], finite, used until the end; k at least 1. */
int pqh_truth_begin(const float *queries, size_t num_queries, size_t dim,
                    size_t k, struct pqh_truth **truth, struct pqf_error *err);

/* Offer rows [num_rows][dim], finite; row i has id first_id + i.  Every id is
 * offered at most once, in any order: the outcome does not depend on it. */
void pqh_truth_add(struct pqh_truth *truth, const float *rows, size_t num_rows,
                   uint32_t first_id);

/* ids: [num_queries][k].  At least k rows must have been offered, and none may
 * be afterwards. */
void pqh_truth_take(struct pqh_truth *truth, uint32_t *ids);

void pqh_truth_free(struct pqh_truth *truth); /* NULL is allowed */

#endif
