/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What scans need of the heap besides the public functions. */
#ifndef PQK_KERNELS_RESULTS_H
#define PQK_KERNELS_RESULTS_H

#include "kernels.h"

/* Drops all but the k best, so that the bound is that of what was pushed so
 * far; pushing alone does it only when the memory is full. */
void pqk_heap_tighten(pqk_top_k_heap *heap);

#endif
