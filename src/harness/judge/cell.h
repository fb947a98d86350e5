/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A cell: one fixture, one way to use the library and one k, on which a
 * candidate is measured beside a baseline on the same queries, round by round;
 * every answer that is timed is checked.
 *
 * Where its memory happens to lie makes a process some per cent faster or slower
 * for as long as it lives.  So a cell has several sittings, each with fresh
 * processes, and its statistics count sittings.
 *
 * The processes are forked before there is a fixture, a seed or a thread, and
 * sleep until their sitting begins.
 */
#ifndef PQH_CELL_H
#define PQH_CELL_H

#include "harness/candidate/arm.h"
#include "harness/candidate/inputs.h"
#include "harness/fixture/fixture.h"
#include "processors.h"
#include "report.h"
#include "statistics.h"

#define PQH_MAX_SITTINGS 20

/* Threads of the judge that find the right answers to a round. */
#define PQH_CELL_HELPERS 8

/* More timings than the least, while the time lasts. */
#define PQH_CELL_MORE 131072

/* Queries of one round, at most, unless one request has more; of its warming up,
 * at most; asked right after preparing; asked again at the ends of sittings.  What
 * shares a processor's core slows it for a millisecond or so: in rounds as short as
 * that all arms see it (16 for 64: half the interval where neighbours are busy). */
#define PQH_CELL_ROUND          16
#define PQH_CELL_WARM_UP        8
#define PQH_CELL_FIRST_REQUESTS 4
#define PQH_CELL_REPLAYS        16

/* What is known of a cell before there is a fixture. */
struct pqh_cell_plan {
    const char *library; /* NULL for the functions linked in */
    const char *against; /* NULL for the built-in reference, without null arm */
    int library_image, against_image; /* if there is an against */
    const char *kernel;               /* NULL for the library's choice */
    const struct pqh_way *way;
    size_t k;
    size_t num_sittings; /* at most; fewer if preparing takes long */
    size_t min_queries;  /* timed, however long it takes */
    uint64_t measure_ns; /* while it lasts, more are timed */
    size_t min_round;    /* queries */
    int creations;       /* of the candidate's first index, at most */
    double
        stop_effect; /* a fraction: stop when surely slower by so much; or 0 */
};

/* One query to be asked: the fixture's own, or one like it. */
struct pqh_task {
    uint32_t query;
    uint32_t known;
};

struct pqh_cell {
    struct pqh_cell_plan plan;
    struct pqh_report *report;
    int shown;  /* the report tells of this cell */
    int hidden; /* the report knows nothing of it, not even a count */
    /* What this sitting has: what was given, or something much like it. */
    const struct pqh_fixture *fixture;
    const struct pqh_fixture *given;
    struct pqh_fixture varied;
    size_t asked_k;
    int inputs[PQH_MAX_SITTINGS];
    size_t num_arms, num_sittings, sitting;
    struct pqh_arm sittings[PQH_MAX_SITTINGS][PQH_MAX_ARMS];
    struct pqh_arm *arms;             /* of this sitting */
    int loaded;                       /* the arms have their libraries */
    struct pqh_processors processors; /* of this sitting */
    uint64_t place;                   /* of this sitting, see slot.h */
    uint64_t random;
    uint64_t call_limit, long_limit; /* nanoseconds */
    size_t group;                    /* queries of one request */
    size_t k10, k;                   /* results that recall looks at */

    /* What is to be asked next. */
    struct pqh_task *tasks;
    size_t num_tasks, next_task;
    size_t num_mixed; /* the first so many are of both kinds */
    int mixed;        /* this round is among those */

    /* One round: its queries, the answers of each arm, the right answers.
     * Whole requests; `warm_up` queries more go first and are not timed. */
    size_t round_size, warm_up;
    float *queries;
    struct pqh_reply *replies[PQH_MAX_ARMS];
    struct pqh_reply *expected; /* of those that are timed */
    float *entries;             /* tables, one for each thread */
    uint32_t *marks;            /* [num_base] */
    uint32_t mark;

    /* Answers to be asked for again at the end of the sitting. */
    float *replay_queries;
    struct pqh_reply *replays;
    size_t num_replays, max_replays;

    /* What was seen. */
    double first_ns, prepare_ns; /* the slowest of the first requests */
    double baseline_first_ns;    /* the same of the baseline, made once */
    double baseline_prepare_ns;  /* the least of any */
    uint64_t index_bytes[PQH_MAX_ARMS];
    double peak_bytes;
    uint64_t other_cpu_ns;
    uint64_t idle_cpu_ns[PQH_MAX_ARMS]; /* between commands; of: */
    uint64_t idle_ns[PQH_MAX_ARMS];
    unsigned turns[PQH_MAX_ARMS],
        awake[PQH_MAX_ARMS]; /* not asleep after them */
    uint64_t stream_bytes;
    size_t exact;
    struct pqh_samples observed[PQH_MAX_ARMS], claimed;
    struct pqh_samples placing[PQH_MAX_ARMS];
    struct pqh_samples excess[PQH_MAX_ARMS][2];     /* own processor, shared */
    struct pqh_samples levels[PQH_MAX_ARMS];        /* one a round: log times */
    struct pqh_samples speed, null, stream;         /* one a round */
    struct pqh_samples sitting_speed, sitting_null; /* one a sitting */
    struct pqh_samples prepare_speed, prepare_null; /* but for the first */
    struct pqh_samples speed_known, speed_new;      /* one a request */
    double log_ns[PQH_MAX_ARMS], log_table, log_probe; /* sums */
    size_t known, fresh;               /* the fixture's queries; others */
    size_t hits[2], reference_hits[2]; /* among 10, among k */
    size_t overlap_known, overlap_new; /* with the reference's ten */
    double survivors, bytes_read, codes;
    int stopped_early;
};

/* Starts the children: before there is a fixture or a thread. */
int pqh_cell_start(struct pqh_cell *cell, const struct pqh_cell_plan *plan,
                   struct pqh_report *report, struct pqh_outcome *outcome);

/* Loads the libraries in those of this sitting, unless they are. */
int pqh_cell_load(struct pqh_cell *cell, struct pqh_outcome *outcome);

/* Logarithms: of the speed-up over the mean baseline, and of the null arm. */
struct pqh_interval pqh_cell_speed(const struct pqh_cell *cell);
struct pqh_interval pqh_cell_null(const struct pqh_cell *cell);

/* The same of preparing. */
struct pqh_interval pqh_cell_prepare_speed(const struct pqh_cell *cell);
struct pqh_interval pqh_cell_prepare_null(const struct pqh_cell *cell);

/* Gives back what a run has needed. */
void pqh_cell_free(struct pqh_cell *cell);

/* Kills the children.  From any thread. */
void pqh_cell_kill(struct pqh_cell *cell);

/* Shows what the children wrote to standard error. */
void pqh_cell_show_logs(const struct pqh_cell *cell);

/* ------------------------------------------------------------------------ */
/* For those that measure and check it                                      */

/* Makes room for everything that a run needs; nothing is allocated later. */
int pqh_cell_allocate(struct pqh_cell *cell, struct pqh_outcome *outcome);

/* As many queries, or a few more, that whole requests come out. */
size_t pqh_cell_whole_requests(const struct pqh_cell *cell, size_t queries);

/* Tasks of the first time, when all queries of the fixture are asked. */
size_t pqh_cell_count_first_tasks(const struct pqh_cell *cell);

/* What a first request may take where a later one takes `warm` nanoseconds: it
 * meets cold caches and fresh pages, which costs a few times as much. */
static inline double pqh_cell_first_limit(double warm)
{
    return 8.0 * warm + 2e5;
}

/* The arms in random order: what only one of them did, or did first, would tell it
 * which it is. */
void pqh_cell_draw_order(struct pqh_cell *cell, size_t order[PQH_MAX_ARMS]);

/* Of sorted or unsorted numbers. */
double pqh_cell_median(struct pqh_samples *samples);

static inline void pqh_cell_push(struct pqh_samples *samples, double value)
{
    samples->values[samples->count++] = value;
}

#endif
