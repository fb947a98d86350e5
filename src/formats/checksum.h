/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A file's SHA-256, and the file beside it that tells it: path.sha256, in the
 * format of sha256sum. */
#ifndef PQF_CHECKSUM_H
#define PQF_CHECKSUM_H

#include "base/sha256.h"
#include "error.h"
#include "output.h"

/* The digest of a whole file, in lower-case hexadecimal. */
int pqf_checksum_of(const char *path, char hex[PQK_SHA256_HEX],
                    struct pqf_error *err);

/* As above, and an error unless it is what path.sha256 says. */
int pqf_checksum_verify(const char *path, char hex[PQK_SHA256_HEX],
                        struct pqf_error *err);

/* Write path.sha256 for an output that is closed and not yet committed. */
int pqf_checksum_write(const struct pqf_output *closed, struct pqf_error *err);

#endif
