/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a cell asks, and what the right answers are. */
#ifndef PQH_QUERIES_H
#define PQH_QUERIES_H

#include "cell.h"

/* A query like number `from` of the fixture that no process has ever seen. */
void pqh_cell_make_query(struct pqh_cell *cell, size_t from, float *query);
void pqh_cell_make_any_query(struct pqh_cell *cell, float *query);

/* What is to be asked next; `first`: all of the fixture's own queries, too. */
void pqh_cell_refill_tasks(struct pqh_cell *cell, int first);

/* The right answers to `count` queries, several at a time. */
void pqh_cell_expect(struct pqh_cell *cell, const float *queries, size_t count);

#endif
