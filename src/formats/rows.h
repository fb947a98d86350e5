/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Files of rows that are all as wide: TEXMEX's .fvecs, .bvecs and .ivecs, and
 * NumPy's .npy.  Rows and columns are counted from 0, in messages too.
 *
 * Nothing is believed: sizes, every row's width and that every float is finite
 * are checked, and nothing past the end is read.
 */
#ifndef PQF_ROWS_H
#define PQF_ROWS_H

#include "layout.h"

/*
 * The format is told by the name's ending.  On failure there is nothing to
 * close.
 */
int pqf_rows_open(const char *path, struct pqf_rows *rows,
                  struct pqf_error *err);

/* The same of "-", standard input, too, and of pipes.  format is the name of one,
 * needed where the name does not tell, else NULL. */
int pqf_rows_open_any(const char *path, const char *format,
                      struct pqf_rows *rows, struct pqf_error *err);

void pqf_rows_close(struct pqf_rows *rows);

/* Read rows first .. first + count - 1 of a regular file, which must exist, into
 * values [count][dim]. */
int pqf_rows_read_floats(const struct pqf_rows *rows, uint64_t first,
                         size_t count, float *values, struct pqf_error *err);
int pqf_rows_read_bytes(const struct pqf_rows *rows, uint64_t first,
                        size_t count, uint8_t *values, struct pqf_error *err);
int pqf_rows_read_ints(const struct pqf_rows *rows, uint64_t first,
                       size_t count, int32_t *values, struct pqf_error *err);

/* Read on: at most count rows; `got` 0 is the end. */
int pqf_rows_next_floats(struct pqf_rows *rows, size_t count, float *values,
                         size_t *got, struct pqf_error *err);
int pqf_rows_next_bytes(struct pqf_rows *rows, size_t count, uint8_t *values,
                        size_t *got, struct pqf_error *err);

/* Integers of any size, none negative, none UINT64_MAX. */
int pqf_rows_next_ids(struct pqf_rows *rows, size_t count, uint64_t *values,
                      size_t *got, struct pqf_error *err);

#endif
