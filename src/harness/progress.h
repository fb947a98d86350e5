/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Progress of what takes long: one line on standard error, rewritten in place,
 * if that is a terminal; nothing at all otherwise.
 */
#ifndef PQH_PROGRESS_H
#define PQH_PROGRESS_H

#include <stddef.h>

/* Begin a task of `total` steps; 0 if they cannot be counted. */
void pqh_progress_begin(const char *task, size_t total);

/* `steps` more are done; from any thread. */
void pqh_progress_add(size_t steps);

/* The task is over: its line is cleared. */
void pqh_progress_end(void);

#endif
