/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Helpers for preparing: rounding sizes, aligned memory. */
#ifndef PQK_PREPARE_MEMORY_H
#define PQK_PREPARE_MEMORY_H

#include <stdint.h>
#include <stdlib.h>

static inline size_t round_up(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

static inline size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* 64-byte aligned and at least one byte; NULL if there is no memory for it. */
static inline void *allocate(size_t count, size_t bytes)
{
    if (count > (SIZE_MAX - 64) / bytes)
        return NULL;
    return aligned_alloc(64, round_up(count * bytes + 1, 64));
}

#endif
