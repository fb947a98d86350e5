/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * How results are ordered: what kernels, library and tests agree on.  Like the
 * door it cannot be changed by a trial: kernels are not judged with code of their
 * own.
 */
#ifndef PQK_ORDER_H
#define PQK_ORDER_H

#include <string.h>

#include "pqkern.h"

/*
 * (distance, id) as one integer that orders as results do.  IEEE numbers of
 * one sign order like their bits; flipping makes the negative ones ascend and
 * puts them below.  NaN, whatever its bits, becomes the largest distance.
 * Adding +0 makes -0 +0, which compares equal to it.
 */
static inline uint64_t pqk_result_key(float distance, uint32_t id)
{
    uint32_t bits;
    float positive_zero = distance + 0.0f;

    memcpy(&bits, &positive_zero, sizeof bits);
    if (distance != distance)
        bits = UINT32_MAX;
    else
        bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)bits << 32 | id;
}

static inline float pqk_key_distance(uint64_t key)
{
    uint32_t bits = (uint32_t)(key >> 32);
    float distance;

    if (bits == UINT32_MAX)
        bits = 0x7fc00000u;
    else
        bits = bits & 0x80000000u ? bits & 0x7fffffffu : ~bits;
    memcpy(&distance, &bits, sizeof distance);
    return distance;
}

/*
 * A distance greater than this cannot enter the heap.  Anything else may, and
 * must be pushed to know: equal distances are decided by the id, and as long as
 * fewer than k results are held this is NaN, which nothing is greater than.
 */
static inline float pqk_heap_bound(const pqk_top_k_heap *heap)
{
    return pqk_key_distance(heap->bound);
}

#endif
