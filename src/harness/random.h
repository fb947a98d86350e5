/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * SplitMix64 (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
 * Generators", 2014): integers only, so the same numbers on every machine.
 */
#ifndef PQH_RANDOM_H
#define PQH_RANDOM_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t pqh_random_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static inline uint64_t pqh_random_next(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    return pqh_random_mix(*state);
}

/* From 0 to below 1. */
static inline double pqh_random_unit(uint64_t *state)
{
    return (double)(pqh_random_next(state) >> 11) * 0x1p-53;
}

static inline size_t pqh_random_below(uint64_t *state, size_t bound)
{
    return (size_t)(pqh_random_unit(state) * (double)bound);
}

/* A seed that nobody can know before; a JSON number keeps its 53 bits. */
uint64_t pqh_random_seed(void);

#endif
