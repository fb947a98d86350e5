/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef PQK_THREADS_H
#define PQK_THREADS_H

#include <stddef.h>

#define PQK_MAX_THREADS ((size_t)256)

/* Processors that are online, 1 to PQK_MAX_THREADS. */
size_t pqk_num_processors(void);

/* Calls run(argument) on the caller's thread and on as many others as make
 * num_threads, at most PQK_MAX_THREADS, or as can be had; returns when all have
 * returned. */
void pqk_run_on_threads(void *(*run)(void *argument), void *argument,
                        size_t num_threads);

/*
 * Calls body for consecutive ranges [begin, end) that cover 0..count, from up to
 * num_threads threads at once, and returns when all are done.  part numbers the
 * ranges, below num_threads.  What body writes must depend on the indices only,
 * not on how the range was cut.
 */
void pqk_parallel_for(size_t count, size_t num_threads,
                      void (*body)(void *context, size_t part, size_t begin,
                                   size_t end),
                      void *context);

#endif
