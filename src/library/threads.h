/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef PQK_THREADS_H
#define PQK_THREADS_H

#include <stddef.h>

#define PQK_MOST_THREADS ((size_t)256)

/* Calls run(argument) on the caller's thread and on as many others as make
 * num_threads, at most PQK_MOST_THREADS, or as can be had; returns when all have
 * returned. */
void pqk_run_on_threads(void *(*run)(void *argument), void *argument,
                        size_t num_threads);

#endif
