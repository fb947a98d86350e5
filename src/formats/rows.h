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

#include "error.h"
#include "source.h"

#include <stddef.h>
#include <stdint.h>

enum pqf_format { PQF_FVECS, PQF_BVECS, PQF_IVECS, PQF_NPY };

/* Of the values in a file, little-endian there. */
enum pqf_type {
    PQF_FLOAT32,
    PQF_FLOAT64,
    PQF_UINT8,
    PQF_INT32,
    PQF_UINT32,
    PQF_INT64,
    PQF_UINT64
};

/* Bytes of one value, and its name. */
size_t pqf_type_size(enum pqf_type type);
const char *pqf_type_name(enum pqf_type type);

/* What is not known of a stream before its end. */
#define PQF_UNKNOWN UINT64_MAX

/* An open file. */
struct pqf_rows {
    struct pqf_source source;
    enum pqf_format format;
    enum pqf_type type;
    size_t dim;
    uint64_t num_rows;     /* PQF_UNKNOWN of a stream of TEXMEX rows */
    uint64_t data;         /* where row 0 begins */
    size_t row_header;     /* bytes of a row before its values */
    uint64_t next;         /* the row that a sequential read begins with */
    unsigned char held[4]; /* of a stream: row 0's width, which was read */
};

/* A format's name, as in "fvecs"; format_find gives -1 if there is none. */
const char *pqf_format_name(enum pqf_format format);
int pqf_format_find(const char *name, enum pqf_format *format);

/* The format that a file's name ends in, as in ".fvecs"; -1 if in none. */
int pqf_format_of(const char *path, enum pqf_format *format);

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

/* ------------------------------------------------------------------------ */
/* For the formats                                                          */

/* Bytes of a row with its header. */
size_t pqf_rows_stride(const struct pqf_rows *rows);

/* A regular file's size is that of its rows: num_rows, or, if that is
 * PQF_UNKNOWN, as many as there are. */
int pqf_fail_size(const struct pqf_rows *rows, uint64_t row, uint64_t bytes,
                  struct pqf_error *err);

#endif
