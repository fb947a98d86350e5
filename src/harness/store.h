/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A TEXMEX file with its checksum. */
#ifndef PQH_STORE_H
#define PQH_STORE_H

#include "formats/error.h"
#include "formats/rows.h"

/*
 * Write values [num_rows][dim], of the C type that `format` says, and beside it
 * path.sha256 in the format of sha256sum.  Both get their names when they are
 * complete, the checksum first: a file without its checksum was not written
 * here.
 */
int pqh_vecs_store(const char *path, enum pqf_format format, const void *values,
                   size_t num_rows, size_t dim, struct pqf_error *err);

#endif
