/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * SHA-256 (FIPS 180-4).  Our own, because the harness is cross-built for
 * systems whose distribution has a C library and nothing else, no libcrypto.
 */
#ifndef PQH_SHA256_H
#define PQH_SHA256_H

#include "formats/error.h"

#include <stddef.h>
#include <stdint.h>

#define PQH_SHA256_HEX 65 /* 64 digits and the end */

struct pqh_sha256 {
    uint32_t state[8];
    uint64_t length; /* bytes so far */
    unsigned char block[64];
};

void pqh_sha256_begin(struct pqh_sha256 *sha);
void pqh_sha256_add(struct pqh_sha256 *sha, const void *data, size_t length);
void pqh_sha256_end(struct pqh_sha256 *sha, char hex[PQH_SHA256_HEX]);

/* The digest of a whole file, in lower-case hexadecimal. */
int pqh_sha256_file(const char *path, char hex[PQH_SHA256_HEX],
                    struct pqf_error *err);

/* As above, and an error unless it is what path.sha256 says, a file in the
 * format of sha256sum. */
int pqh_sha256_verify(const char *path, char hex[PQH_SHA256_HEX],
                      struct pqf_error *err);

#endif
