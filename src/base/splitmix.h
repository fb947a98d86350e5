/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
 * Generators", 2014): integers only, so the same numbers on every machine.
 */
#ifndef PQK_SPLITMIX_H
#define PQK_SPLITMIX_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t pqk_random_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline uint64_t pqk_random_next(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    return pqk_random_mix(*state);
}

/* From 0 to below 1. */
static inline double pqk_random_unit(uint64_t *state)
{
    return (double)(pqk_random_next(state) >> 11) * 0x1p-53;
}

static inline size_t pqk_random_below(uint64_t *state, size_t limit)
{
    return (size_t)(pqk_random_unit(state) * (double)limit);
}

#endif
