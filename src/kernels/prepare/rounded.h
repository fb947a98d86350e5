/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Centroids as integers of 16 bits, behind the others in a prepared codebook. */
#ifndef PQK_KERNELS_PREPARE_ROUNDED_H
#define PQK_KERNELS_PREPARE_ROUNDED_H

#include "kernels/layout.h"

size_t pqk_layout_rounded_bytes(size_t num_sub_vectors, size_t sub_vector_dim);

/* Rounds the centroids that are there, and sets the codebook's steps. */
void pqk_layout_round_centroids(struct pqk_layout_codebook *codebook);

#endif
