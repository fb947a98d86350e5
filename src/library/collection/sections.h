/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A collection's file: its quantizer, the labels that the codes are in, and for
 * each partition the codes as they are prepared, and the ids unless they follow
 * each other.  pqkern(5) describes it.
 */
#ifndef PQK_SECTIONS_H
#define PQK_SECTIONS_H

#include "library/format.h"
#include "library/prepared.h"

/* Parameters of a section of codes. */
enum {
    AT_NUM_ROWS,
    AT_FIRST_ID,
    AT_COLUMNS,
    AT_COLUMN_STRIDE,
    AT_POSITION_STRIDE,
    AT_ROWS,
    AT_ROW_BYTES,
    NUM_USED
};

/* The labels that prepared codes are in; NULL if each code is its own. */
static inline const uint8_t *pqk_labels_of(const struct pqk_prepared *prepared)
{
    return prepared->kernel->labels_of(prepared->memory);
}

#endif
