/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Progress of what takes long: one line on standard error, rewritten in place,
 * if that is a terminal; nothing at all otherwise.
 */
#ifndef PQK_PROGRESS_H
#define PQK_PROGRESS_H

#include <stdint.h>

/* Begin a task of `total` steps; 0 if they cannot be counted, or are not known
 * yet.  A task that was not ended is. */
void pqk_progress_begin(const char *task, uint64_t total);

/* `steps` more are done; from any thread. */
void pqk_progress_add(uint64_t steps);

/* So many are, of a total that is 0 if it is not known.  Returns 0: it is a
 * pqk_progress of pqkern.h, too, with a context that is not used. */
int pqk_progress_show(void *context, uint64_t done, uint64_t total);

/* The task is over: its line is cleared. */
void pqk_progress_end(void);

#endif
