/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What is in a file of rows: its format, the type of its values, how wide the rows
 * are and where they lie.  vecs.h and npy.h find it out, rows.h reads by it.
 */
#ifndef PQF_LAYOUT_H
#define PQF_LAYOUT_H

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

/* Bytes of a row with its header. */
size_t pqf_rows_stride(const struct pqf_rows *rows);

/* A regular file's size is that of its rows: num_rows, or, if that is
 * PQF_UNKNOWN, as many as there are. */
int pqf_fail_size(const struct pqf_rows *rows, uint64_t row, uint64_t bytes,
                  struct pqf_error *err);

#endif
