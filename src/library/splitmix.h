/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef PQK_SPLITMIX_H
#define PQK_SPLITMIX_H

#include <stdint.h>

/* SplitMix64 (Steele, Lea and Flood, 2014). */
static inline uint64_t pqk_next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

#endif
