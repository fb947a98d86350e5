/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * TEXMEX files: each row is a little-endian int32 width and that many values,
 * float32 in .fvecs, uint8 in .bvecs, int32 in .ivecs; all rows are as wide as
 * the first.
 */
#ifndef PQF_VECS_H
#define PQF_VECS_H

#include "layout.h"
#include "output.h"

/* Widest row.  Well below 65536, so that the widths up to 256 of a file written
 * in the wrong byte order are not mistaken for valid ones. */
#define PQF_VECS_MAX_DIM 32768

#define PQF_VECS_HEADER 4 /* bytes of a row's width */

/* Fill in the rest of rows, whose source is open and whose format is known. */
int pqf_vecs_begin(struct pqf_rows *rows, struct pqf_error *err);

/* A row whose width is not row 0's. */
int pqf_vecs_fail_mixed(const struct pqf_rows *rows, uint64_t row,
                        uint32_t width, struct pqf_error *err);

/* Append values [num_rows][dim], of the C type that format says. */
void pqf_vecs_write(struct pqf_output *out, enum pqf_format format,
                    const void *values, size_t num_rows, size_t dim);

#endif
