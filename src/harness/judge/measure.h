/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A cell from its first index to its last check: sittings of rounds. */
#ifndef PQH_MEASURE_H
#define PQH_MEASURE_H

#include "cell.h"

int pqh_cell_run(struct pqh_cell *cell, const struct pqh_fixture *fixture,
                 uint64_t seed, struct pqh_outcome *outcome);

#endif
