/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The hold-out: other shapes, distributions and sizes, drawn at run time.  Every
 * answer must be that of the reference, and the largest must not have become much
 * slower.  A loop of improvements learns no more than whether it was passed.
 */
#ifndef PQH_HOLDOUT_H
#define PQH_HOLDOUT_H

#include "cell.h"

#define PQH_HOLDOUT_SHAPES 10

struct pqh_holdout {
    struct pqh_arm arms[PQH_HOLDOUT_SHAPES];
    int inputs[PQH_HOLDOUT_SHAPES];
    struct pqh_cell speed, claim;
    double effect; /* asked for */
};

/* Starts the children, as pqh_cell_start does, by the primary cell's plan. */
int pqh_holdout_start(struct pqh_holdout *holdout,
                      const struct pqh_cell_plan *plan,
                      struct pqh_report *report, struct pqh_outcome *outcome);

/* 1 if it is passed, 0 if not, -1 if the system fails.  What the primary cell
 * claims is the logarithm of a speed-up. */
int pqh_holdout_run(struct pqh_holdout *holdout,
                    const struct pqh_fixture *primary, double claimed,
                    uint64_t seed, struct pqh_outcome *outcome);

void pqh_holdout_kill(struct pqh_holdout *holdout);

#endif
