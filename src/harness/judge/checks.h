/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Whether a cell's candidate did what the contract forbids. */
#ifndef PQH_CHECKS_H
#define PQH_CHECKS_H

#include "cell.h"

/* At the end of a sitting; at the end of all. */
int pqh_cell_check_sitting(struct pqh_cell *cell, struct pqh_outcome *outcome);
int pqh_cell_check(struct pqh_cell *cell, struct pqh_outcome *outcome);

/* Nanoseconds by which the candidate takes longer than the baselines before its
 * time begins. */
double pqh_cell_hidden(struct pqh_cell *cell);

/* Recall against the floor and against the reference. */
int pqh_cell_check_recall(struct pqh_cell *cell, double floor,
                          struct pqh_outcome *outcome);

#endif
