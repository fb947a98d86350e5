/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Weights of labels and representatives of cells: what a scan looks at first. */
#ifndef PQK_PREPARE_CELLS_H
#define PQK_PREPARE_CELLS_H

#include "kernels/prepare/space.h"

/* How often each label occurs, from the columns of one code or more. */
void pqk_prepare_weights(const struct pqk_layout *layout, size_t M,
                         uint8_t *prepared);

/* For each cell, a code like its codes, from the columns. */
pqk_status pqk_prepare_representatives(const struct space *space,
                                       const struct pqk_layout *layout,
                                       uint8_t *prepared);

#endif
