/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * TEXMEX files: each row is a little-endian int32 width and that many values,
 * float32 in .fvecs, uint8 in .bvecs, int32 in .ivecs; all rows are as wide as
 * the first.  Rows and columns are counted from 0, in messages too.
 *
 * Nothing is believed: sizes, every row's width and that every float is finite
 * are checked, and nothing past the end is read.
 */
#ifndef PQH_VECS_H
#define PQH_VECS_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

/* Widest row.  Well below 65536, so that the widths up to 256 of a file written
 * in the wrong byte order are not mistaken for valid ones. */
#define PQH_VECS_MAX_DIM 32768

enum pqh_vecs_type { PQH_FVECS, PQH_BVECS, PQH_IVECS };

/* An open file. */
struct pqh_vecs {
    char *path;
    int fd;
    enum pqh_vecs_type type;
    size_t dim;
    size_t num_rows; /* at least 1, at most 2^32 - 1 */
};

/* The type is told by the name's ending.  On failure there is nothing to
 * close. */
int pqh_vecs_open(const char *path, struct pqh_vecs *vecs,
                  struct pqh_error *err);

void pqh_vecs_close(struct pqh_vecs *vecs);

/* Read rows first .. first + count - 1, which must exist, into
 * values [count][dim]. */
int pqh_vecs_read_floats(const struct pqh_vecs *vecs, size_t first,
                         size_t count, float *values,
                         struct pqh_error *err); /* .fvecs or .bvecs */
int pqh_vecs_read_bytes(const struct pqh_vecs *vecs, size_t first, size_t count,
                        uint8_t *values, struct pqh_error *err); /* .bvecs */
int pqh_vecs_read_ints(const struct pqh_vecs *vecs, size_t first, size_t count,
                       int32_t *values, struct pqh_error *err); /* .ivecs */

/*
 * Write values [num_rows][dim], of the C type that `type` says, and beside it
 * path.sha256 in the format of sha256sum.  Both get their names when they are
 * complete, the checksum first: a file without its checksum was not written
 * here.
 */
int pqh_vecs_write(const char *path, enum pqh_vecs_type type,
                   const void *values, size_t num_rows, size_t dim,
                   struct pqh_error *err);

#endif
