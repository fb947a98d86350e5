/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The order of the codes: which code is to stand where, so that neighbours resemble
 * each other. */
#ifndef PQK_PREPARE_ORDER_H
#define PQK_PREPARE_ORDER_H

#include "kernels/prepare/space.h"

/* Fits the space to codes [n][M] and fills ids [n]: the row of each position. */
pqk_status pqk_prepare_order(struct space *space, const uint8_t *codes,
                             size_t n, uint32_t *ids);

#endif
