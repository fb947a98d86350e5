/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Threads that wait for work.  To start one takes as long as to scan a hundred
 * thousand codes; one that waits is there at once for a while, and later still
 * sooner than a new one.
 */
#ifndef PQK_TEAM_H
#define PQK_TEAM_H

#include <stddef.h>

struct pqk_team;

/* Without threads yet; NULL if there is no memory. */
struct pqk_team *pqk_team_create(void);

/* Ends its threads; NULL is allowed. */
void pqk_team_free(struct pqk_team *team);

/*
 * Calls run(argument) on the caller's thread, and on as many others as make
 * num_threads or fewer: those that come when run has returned to the caller are not
 * waited for.  Returns when all have returned.  A team that is at work for another
 * caller, NULL, and that of a process that this one was forked from are replaced
 * by threads for this one call.
 */
void pqk_team_run(struct pqk_team *team, void *(*run)(void *argument),
                  void *argument, size_t num_threads);

#endif
