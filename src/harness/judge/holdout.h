/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The hold-out: what no loop of improvements sees more of than that it was
 * passed or not.  Other shapes, distributions and sizes, drawn at run time, on
 * which every answer must be that of the reference, and the largest of which
 * must not have become much slower.
 */
#ifndef PQH_HOLDOUT_H
#define PQH_HOLDOUT_H

#include "cell.h"

#define PQH_HOLDOUT_SHAPES 10

struct pqh_holdout {
    struct pqh_arm arms[PQH_HOLDOUT_SHAPES];
    int inputs[PQH_HOLDOUT_SHAPES];
    struct pqh_cell speed;
};

/* Starts the children, as pqh_cell_start does.  Of plan, the libraries and the
 * kernel are used. */
int pqh_holdout_start(struct pqh_holdout *holdout, const struct pqh_plan *plan,
                      struct pqh_report *report, struct pqh_outcome *outcome);

/* 1 if it is passed, 0 if not, -1 if the system fails. */
int pqh_holdout_run(struct pqh_holdout *holdout, uint64_t seed,
                    struct pqh_outcome *outcome);

void pqh_holdout_kill(struct pqh_holdout *holdout);

#endif
