/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a run found, and the block that says so: exactly once, on every way out.
 */
#ifndef PQH_REPORT_H
#define PQH_REPORT_H

#include "base/sha256.h"
#include "formats/error.h"
#include "guards.h"
#include "harness/outcome.h"
#include "statistics.h"

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

/* The version of the block; a key that changes its meaning raises it. */
#define PQH_CONTRACT 2

/* What is not known yet is 0 or empty. */
struct pqh_report {
    pthread_mutex_t lock; /* held while members change, and for ever once the
                             block is printed */
    uint64_t start;       /* pqk_clock() */
    const char *json;     /* a file, or NULL */

    char source[64];
    size_t num_base, num_queries, k;
    uint64_t seed;
    double recall, recall_at_k, reference_recall;
    double nanoseconds, baseline_nanoseconds;
    double peak_bytes;
    const char *verdict;
    const char *scan;
    char kernel[32], available[192];
    size_t timings;                             /* of the primary cell */
    size_t checked, exact;                      /* answers, of all cells */
    struct pqh_interval speedup, null;          /* ratios */
    struct pqh_interval guards[PQH_NUM_GUARDS]; /* ratios */
    double guard_bands[PQH_NUM_GUARDS];
    double composite;
    int guarded;               /* guards were measured */
    char lost[96], hidden[64]; /* names of guards that lost; that may have */
    const char *confirmation, *holdout;
    int stopped_early;
    int sandboxed;    /* it is known how well: */
    uint32_t missing; /* see sandbox.h */
    double stream_ns, table_ns, probe_ns;
    double prepare_seconds, bytes_per_code;
    double survivors, bytes_read; /* per code */
    unsigned bound_groups;
    char library[512], against[512];
    char library_sha256[PQK_SHA256_HEX], against_sha256[PQK_SHA256_HEX];
};

void pqh_report_init(struct pqh_report *report);

/*
 * Prints the block and writes the JSON file.  Returns the exit code, which is
 * the outcome's unless writing failed.  Of several threads that call this one
 * gets through, the others wait for the process to end.
 */
int pqh_report_print(struct pqh_report *report,
                     const struct pqh_outcome *outcome);

#endif
