/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The judge: measures a candidate beside a baseline, in turns on the same
 * queries, checks every answer that it times, and says how it ended.
 *
 * What it promises is described in run_experiment(1).
 */
#ifndef PQH_JUDGE_H
#define PQH_JUDGE_H

#include "arm.h"
#include "fixture.h"
#include "report.h"

enum { PQH_CANDIDATE, PQH_BASELINE, PQH_NULL, PQH_MAX_ARMS };

struct pqh_settings {
    const char *library; /* NULL for the functions linked in */
    const char *against; /* NULL for the built-in reference */
    const char *kernel;  /* NULL for the library's choice */
    const struct pqh_way *way;
    size_t k;
    double recall_floor;
    double min_effect; /* a fraction */
    uint64_t seed;
};

/* Numbers; there is room for as many as a run can have. */
struct pqh_series {
    double *values;
    size_t count;
};

/* One query to be asked: the fixture's own, or one like it. */
struct pqh_task {
    uint32_t query;
    uint32_t known;
};

struct pqh_judge {
    struct pqh_settings settings;
    struct pqh_report *report;
    const struct pqh_fixture *fixture;
    int inputs;
    size_t num_arms;
    struct pqh_arm arms[PQH_MAX_ARMS];
    uint64_t random;
    uint64_t call_limit, long_limit; /* nanoseconds */
    size_t group;                    /* queries of one request */
    size_t k10, k;                   /* results that recall looks at */

    /* What is to be asked next. */
    struct pqh_task *tasks;
    size_t num_tasks, next_task;
    int mixed; /* both kinds are among them */

    /* One round: its queries, the answers of each arm, the right answers.
     * Whole requests; `warm_up` queries more go first and are not timed. */
    size_t round_size, warm_up;
    float *queries;
    struct pqh_reply *replies[PQH_MAX_ARMS];
    float *entries;
    pqk_neighbor *expected;
    size_t num_expected;
    uint32_t *marks; /* [num_base] */
    uint32_t mark;

    /* Answers to be asked for again at the end. */
    float *replay_queries;
    struct pqh_reply *replays;
    size_t num_replays;

    /* What was seen. */
    double first_ns, prepare_ns; /* the slowest of the first requests */
    uint64_t stream_bytes;
    struct pqh_series claimed[PQH_MAX_ARMS];
    struct pqh_series excess[PQH_MAX_ARMS][2]; /* own processor, shared */
    struct pqh_series speed, null, stream;     /* one a round */
    struct pqh_series speed_known, speed_new;  /* one a request */
    double log_ns[PQH_MAX_ARMS], log_table, log_probe; /* sums */
    size_t known, fresh;               /* the fixture's queries; others */
    size_t hits[2], reference_hits[2]; /* among 10, among k */
    size_t overlap_known, overlap_new; /* with the reference's ten */
    double survivors, bytes_read, codes;
};

/* Starts the children: before there is a fixture or a thread. */
int pqh_judge_start(struct pqh_judge *judge,
                    const struct pqh_settings *settings,
                    struct pqh_report *report, struct pqh_outcome *outcome);

/* Loads the libraries in them. */
int pqh_judge_load(struct pqh_judge *judge, struct pqh_outcome *outcome);

/* Prepares, measures and judges.  The report is kept up to date meanwhile. */
int pqh_judge_run(struct pqh_judge *judge, const struct pqh_fixture *fixture,
                  struct pqh_outcome *outcome);

/* Kills the children.  From any thread. */
void pqh_judge_kill(struct pqh_judge *judge);

/* Shows what the children wrote to standard error. */
void pqh_judge_show_logs(const struct pqh_judge *judge);

#endif
