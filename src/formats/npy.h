/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * NumPy's .npy files, versions 1.0 to 3.0: a header in the syntax of a Python
 * dictionary, then the array.  Those are read that have one axis, as a column, or
 * two, in C order, of a type of layout.h.
 */
#ifndef PQF_NPY_H
#define PQF_NPY_H

#include "layout.h"
#include "output.h"

/* Fill in the rest of rows, whose source is open. */
int pqf_npy_begin(struct pqf_rows *rows, struct pqf_error *err);

/* The header of an array [num_rows][dim]; its values are to follow, by
 * pqf_output_values. */
void pqf_npy_write_header(struct pqf_output *out, enum pqf_type type,
                          uint64_t num_rows, size_t dim);

#endif
