/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* XXH64, from its specification: the same number on every machine. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "little_endian.h"
#include "xxh64.h"

#define PRIME_1 UINT64_C(0x9e3779b185ebca87)
#define PRIME_2 UINT64_C(0xc2b2ae3d27d4eb4f)
#define PRIME_3 UINT64_C(0x165667b19e3779f9)
#define PRIME_4 UINT64_C(0x85ebca77c2b2ae63)
#define PRIME_5 UINT64_C(0x27d4eb2f165667c5)

static inline uint64_t rotate_left(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static inline uint64_t accumulate(uint64_t lane, uint64_t input)
{
    return rotate_left(lane + input * PRIME_2, 31) * PRIME_1;
}

static inline uint64_t merge_lane(uint64_t hash, uint64_t lane)
{
    return (hash ^ accumulate(0, lane)) * PRIME_1 + PRIME_4;
}

/* Stripes of 32 bytes, in four lanes. */
static uint64_t hash_stripes(const uint8_t *bytes, size_t num_stripes)
{
    uint64_t a = PRIME_1 + PRIME_2, b = PRIME_2, c = 0, d = 0 - PRIME_1;
    uint64_t hash;

    for (; num_stripes > 0; num_stripes--, bytes += 32) {
        a = accumulate(a, pqk_get_u64(bytes));
        b = accumulate(b, pqk_get_u64(bytes + 8));
        c = accumulate(c, pqk_get_u64(bytes + 16));
        d = accumulate(d, pqk_get_u64(bytes + 24));
    }
    hash = rotate_left(a, 1) + rotate_left(b, 7) + rotate_left(c, 12) +
           rotate_left(d, 18);
    hash = merge_lane(hash, a);
    hash = merge_lane(hash, b);
    hash = merge_lane(hash, c);
    return merge_lane(hash, d);
}

static uint64_t hash_rest(uint64_t hash, const uint8_t *bytes, size_t left)
{
    for (; left >= 8; left -= 8, bytes += 8) {
        hash ^= accumulate(0, pqk_get_u64(bytes));
        hash = rotate_left(hash, 27) * PRIME_1 + PRIME_4;
    }
    if (left >= 4) {
        hash ^= pqk_get_u32(bytes) * PRIME_1;
        hash = rotate_left(hash, 23) * PRIME_2 + PRIME_3;
        left -= 4;
        bytes += 4;
    }
    for (; left > 0; left--, bytes++) {
        hash ^= *bytes * PRIME_5;
        hash = rotate_left(hash, 11) * PRIME_1;
    }
    return hash;
}

uint64_t pqk_xxh64(const void *bytes, size_t num_bytes)
{
    const uint8_t *at = bytes;
    const size_t striped = num_bytes & ~(size_t)31;
    uint64_t hash = striped > 0 ? hash_stripes(at, striped / 32) : PRIME_5;

    hash = hash_rest(hash + num_bytes, at + striped, num_bytes - striped);
    hash = (hash ^ hash >> 33) * PRIME_2;
    hash = (hash ^ hash >> 29) * PRIME_3;
    return hash ^ hash >> 32;
}
