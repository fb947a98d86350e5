/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Little-endian integers, as all the formats here have them, on any host. */
#ifndef PQF_BYTES_H
#define PQF_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t pqf_load(const unsigned char *bytes, size_t count)
{
    uint64_t value = 0;

    for (size_t i = count; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

/* Written out, because compilers make one load of it. */
static inline uint32_t pqf_load32(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static inline uint64_t pqf_load64(const unsigned char *bytes)
{
    return pqf_load32(bytes) | (uint64_t)pqf_load32(bytes + 4) << 32;
}

static inline void pqf_store(unsigned char *bytes, size_t count, uint64_t value)
{
    for (size_t i = 0; i < count; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
}

#endif
