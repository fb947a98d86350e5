/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The checksum of the library's files: XXH64 of the public xxHash specification,
 * with seed 0. */
#ifndef PQK_XXH64_H
#define PQK_XXH64_H

#include <stddef.h>
#include <stdint.h>

uint64_t pqk_xxh64(const void *bytes, size_t num_bytes);

#endif
