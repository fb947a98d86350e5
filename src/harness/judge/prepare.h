/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What comes before a cell's first round: indexes, first requests, and how long
 * rounds are to be. */
#ifndef PQH_PREPARE_H
#define PQH_PREPARE_H

#include "cell.h"

/* The first sitting, whose libraries are loaded, and what it says of all. */
int pqh_cell_prepare(struct pqh_cell *cell, struct pqh_outcome *outcome);

/* A later one. */
int pqh_cell_prepare_sitting(struct pqh_cell *cell,
                             struct pqh_outcome *outcome);

#endif
