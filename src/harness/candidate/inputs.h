/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The file from which children prepare: centroids, then codes. */
#ifndef PQH_INPUTS_H
#define PQH_INPUTS_H

#include "harness/fixture/fixture.h"
#include "harness/outcome.h"

/* An empty file, and for the children a descriptor that cannot be written
 * through; -1 and the outcome set on failure. */
int pqh_inputs_make(int *read_only, struct pqh_outcome *outcome);

/* Fills it.  Sealed where the system can, so that no process can write to it any
 * more. */
int pqh_inputs_write(int file, const struct pqh_fixture *fixture,
                     struct pqh_outcome *outcome);

#endif
