/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The order of results. */
#ifndef PQK_RESULTS_H
#define PQK_RESULTS_H

#include "order.h"

/* Orders distances as results are ordered, NaN last. */
static inline uint32_t pqk_distance_order(float distance)
{
    return (uint32_t)(pqk_result_key(distance, 0) >> 32);
}

/* The same with NaN and 0 as heaps give them. */
static inline float pqk_canonical_distance(float distance)
{
    return pqk_key_distance(pqk_result_key(distance, 0));
}

/* 1 if a comes before b. */
static inline int pqk_result_before(const pqk_result *a, const pqk_result *b)
{
    const uint32_t a_order = pqk_distance_order(a->distance);
    const uint32_t b_order = pqk_distance_order(b->distance);

    return a_order != b_order ? a_order < b_order : a->id < b->id;
}

void pqk_sort_results(pqk_result *results, size_t count);

#endif
