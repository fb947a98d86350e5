/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * One arm of the comparison, seen from the judge: a child process with one
 * build of the library.  See candidate.h for the other end.
 */
#ifndef PQH_ARM_H
#define PQH_ARM_H

#include "candidate.h"
#include "harness/outcome.h"

#include <sys/types.h>

struct pqh_arm {
    const char *name; /* "candidate", ... */
    struct pqh_candidate setup;
    _Atomic pid_t pid; /* 0 when there is none */
    int commands;      /* write end */
    int library;       /* what becomes the child's image */
    int slot_file;
    size_t slot_size;
    uint32_t asked; /* the last query's number */
    uint32_t sent;  /* commands */
    int threads;    /* of the process, before the library was loaded */
    uint64_t other_cpu_ns;
    /* Of the last command: when it was sent and done, the processor time that the
     * process had used before, and how much less than its time it then used. */
    uint64_t sent_at, done_at, cpu_before, unused;
    /* What the process used between commands, in the others' turns, and of how
     * much. */
    uint64_t idle_cpu_ns, idle_ns;
    unsigned turns, awake; /* after so many of them it did not fall asleep */
};

/* What one query came to: its share of its request. */
struct pqh_reply {
    uint64_t
        observed_ns;     /* between question and answer, by the judge's clock */
    uint64_t placing_ns; /* before it, from the offer on */
    uint64_t table_ns, probe_ns; /* by the child's */
    int shared;                  /* the processor, with the judge */
    size_t count;                /* of results, at most k */
    pqk_search_stats stats;
    pqk_row_result *results; /* [k], the caller's */
};

/*
 * Starts the child.  setup's library, kernel, way, k, built_in, unnamed and inputs
 * are used.  If it is unnamed, it can be told what it is, by .name and .library,
 * when it is there and until it is loaded: it knows neither.
 * Before there is anything worth hiding, and before there are threads.
 */
int pqh_arm_start(struct pqh_arm *arm, const char *name,
                  const struct pqh_candidate *setup,
                  struct pqh_outcome *outcome);

/* Sends a command and waits, at most `limit` nanoseconds, until it is done. */
int pqh_arm_command(struct pqh_arm *arm, const struct pqh_command *command,
                    uint64_t limit, const char *doing,
                    struct pqh_outcome *outcome);

/* The two halves of that, so that several arms can work at the same time. */
int pqh_arm_begin(struct pqh_arm *arm, const struct pqh_command *command,
                  struct pqh_outcome *outcome);
int pqh_arm_end(struct pqh_arm *arm, uint64_t limit, const char *doing,
                struct pqh_outcome *outcome);

/* Asks `count` queries, each [dim], a multiple of what makes a request, and
 * checks the child's conduct after. */
int pqh_arm_turn(struct pqh_arm *arm, const float *queries, size_t dim,
                 size_t count, uint64_t limit, uint64_t *random,
                 struct pqh_reply *replies, struct pqh_outcome *outcome);

/* CPU time, in nanoseconds, that threads other than the main one have used
 * since the start; 0 if the system does not tell. */
uint64_t pqh_arm_other_cpu(const struct pqh_arm *arm);

/* The resident high-water mark in bytes; 0 if the system does not tell. */
double pqh_arm_peak_bytes(const struct pqh_arm *arm);

/* Kills the child with all its descendants.  From any thread. */
void pqh_arm_kill(struct pqh_arm *arm);

/* Kills what the children left behind. */
void pqh_kill_orphans(void);

/* Copies the end of what the child wrote to its standard error to ours, each
 * line marked as the child's. */
void pqh_arm_show_log(const struct pqh_arm *arm);

#endif
