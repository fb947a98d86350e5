/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A fixture much like another one: some consecutive rows of it, its sub-vectors in
 * another order.  There is no truth, and the reference's answers are its own.
 */
#ifndef PQH_VARIED_H
#define PQH_VARIED_H

#include "harness/fixture/fixture.h"

/* Sizes vary by up to one in so many; k does. */
#define PQH_VARIES   16
#define PQH_VARIES_K 8

/* Leaves out so many rows.  -1 if there is no memory. */
int pqh_varied_make(const struct pqh_fixture *from, size_t least, size_t most,
                    uint64_t *random, struct pqh_fixture *varied);

/* Also of one that was never made and is all zeros. */
void pqh_varied_free(struct pqh_fixture *varied);

#endif
