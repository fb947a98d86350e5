/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* One loop over the processors that are online. */
#ifndef PQH_PARALLEL_H
#define PQH_PARALLEL_H

#include <stddef.h>

/* At least 1, at most PQH_MAX_THREADS. */
#define PQH_MAX_THREADS 64
size_t pqh_threads(void);

/*
 * Calls body for consecutive ranges [begin, end) that cover 0..count, from up
 * to num_threads threads at once, and returns when all are done.  part numbers
 * the ranges, below num_threads.  What body writes must depend on the indices
 * only, not on how the range was cut.
 */
void pqh_parallel_for(size_t count, size_t num_threads,
                      void (*body)(void *context, size_t part, size_t begin,
                                   size_t end),
                      void *context);

#endif
