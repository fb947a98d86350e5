/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A round: all arms answer the same queries, in random order; the answers are
 * checked and the times entered. */
#ifndef PQH_ROUNDS_H
#define PQH_ROUNDS_H

#include "cell.h"

/* tasks: at most a round of them, whole requests. */
int pqh_cell_run_round(struct pqh_cell *cell, const struct pqh_task *tasks,
                       size_t count, struct pqh_outcome *outcome);

#endif
