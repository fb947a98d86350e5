/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Which processors the judge and its children run on.  Left to the system, judge
 * and child often share one, where handing a request over takes as long as a
 * short query, and two arms may run on different ones.
 */
#ifndef PQH_PROCESSORS_H
#define PQH_PROCESSORS_H

#include <sched.h>
#include <stdint.h>
#include <sys/types.h>

struct pqh_processors {
    cpu_set_t all;    /* that the judge may use */
    int judge, child; /* -1: there are not two */
};

/* Draws two, of different cores if there are such. */
void pqh_processors_draw(struct pqh_processors *processors, uint64_t *random);

/* The calling thread: to its own, and back to all. */
void pqh_processors_enter(const struct pqh_processors *processors);
void pqh_processors_leave(const struct pqh_processors *processors);

void pqh_processors_give(const struct pqh_processors *processors, pid_t child);

#endif
