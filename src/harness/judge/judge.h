/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The judge: has cells measured in order, and says how it ended.
 *
 * Without a library to compare with, that is the primary cell alone.  With one it
 * is the primary cell; the guards, of which those that lose are measured again in
 * fresh processes; the primary cell in fresh processes; and the hold-out; until the
 * candidate fails one of them.
 *
 * What it promises is described in run_experiment(1).
 */
#ifndef PQH_JUDGE_H
#define PQH_JUDGE_H

#include "cell.h"
#include "guards.h"
#include "holdout.h"

struct pqh_settings {
    const char *library;              /* NULL for the functions linked in */
    const char *against;              /* NULL for the built-in reference */
    int library_image, against_image; /* if there is an against */
    const char *kernel;               /* NULL for the library's choice */
    const struct pqh_way *way;
    size_t k;
    double recall_floor;
    double min_effect; /* a fraction */
    double measure;    /* seconds of the primary cell; 0 for what is usual */
    int look;          /* with against: at the primary cell, for no verdict */
    int seeded;        /* by the user, so that the run can be repeated */
    uint64_t seed;
};

struct pqh_judge {
    struct pqh_settings settings;
    struct pqh_report *report;
    const struct pqh_fixture *fixture;
    uint64_t random; /* what seeds are drawn from, if by the user */
    struct pqh_cell primary, confirmation;
    struct pqh_cell guards[PQH_NUM_GUARD_CELLS], appeals[PQH_NUM_GUARD_CELLS];
    struct pqh_holdout holdout;
    struct pqh_cell *_Atomic current; /* the cell whose logs are of interest */
};

/* Starts the children: before there is a fixture, a seed or a thread. */
int pqh_judge_start(struct pqh_judge *judge,
                    const struct pqh_settings *settings,
                    struct pqh_report *report, struct pqh_outcome *outcome);

/* Loads the libraries of the primary cell. */
int pqh_judge_load(struct pqh_judge *judge, struct pqh_outcome *outcome);

/* Prepares, measures and judges.  The report is kept up to date meanwhile. */
int pqh_judge_run(struct pqh_judge *judge, uint64_t seed,
                  const struct pqh_fixture *fixture,
                  struct pqh_outcome *outcome);

/* Kills the children.  From any thread. */
void pqh_judge_kill(struct pqh_judge *judge);

/* Shows what the children wrote to standard error. */
void pqh_judge_show_logs(const struct pqh_judge *judge);

#endif
