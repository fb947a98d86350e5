/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef PQK_MEMORY_H
#define PQK_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* 64-byte aligned and at least one byte, or NULL; to be freed with free(). */
void *pqk_aligned_alloc(size_t bytes);

/* 1 if a * b can be counted. */
static inline int pqk_product_fits(size_t a, size_t b)
{
    return b == 0 || a <= SIZE_MAX / b;
}

/* 1 if there can be an array of so many vectors of float32. */
static inline int pqk_vectors_fit(size_t num_vectors, size_t dim)
{
    return dim <= SIZE_MAX / sizeof(float) &&
           pqk_product_fits(num_vectors, dim * sizeof(float));
}

/* An array of at least one element, so that NULL always means failure. */
void *pqk_array_alloc(size_t count, size_t bytes_each);

#endif
