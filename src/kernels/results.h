/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What scans need of the heap besides the public functions. */
#ifndef PQK_KERNELS_RESULTS_H
#define PQK_KERNELS_RESULTS_H

#include "kernels.h"

/* Drops all but the k best, so that the bound is that of what was pushed so
 * far; pushing alone does it only when the memory is full. */
void pqk_heap_tighten(pqk_top_k_heap *heap);

/* Whether so many keys more than it has do not fill the memory. */
static inline int pqk_heap_has_room(const pqk_top_k_heap *heap, size_t count)
{
    return heap->length + count < pqk_top_k_heap_storage(heap->k);
}

/* Puts a key behind so many others, where there is room, and returns how many there
 * are then: it counts if it is within the bound.  No branch hangs on that.  Whoever
 * puts some sets the length afterwards. */
static inline size_t pqk_heap_put(pqk_top_k_heap *heap, size_t length,
                                  uint64_t key)
{
    heap->keys[length] = key;
    return length + (key <= heap->bound);
}

#endif
