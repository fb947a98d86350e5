/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * SHA-256 (FIPS 180-4).  Our own, because the harness is cross-built for
 * systems whose distribution has a C library and nothing else, no libcrypto.
 */
#ifndef PQK_SHA256_H
#define PQK_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define PQK_SHA256_HEX 65 /* 64 digits and the end */

struct pqk_sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    unsigned char block[64];
};

void pqk_sha256_begin(struct pqk_sha256 *sha);
void pqk_sha256_add(struct pqk_sha256 *sha, const void *data, size_t length);
void pqk_sha256_end(struct pqk_sha256 *sha, char hex[PQK_SHA256_HEX]);

#endif
