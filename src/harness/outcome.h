/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* How a run ends: an exit code, the word that the block has for it, and why. */
#ifndef PQH_OUTCOME_H
#define PQH_OUTCOME_H

enum pqh_exit {
    PQH_EXIT_OK = 0,
    PQH_EXIT_ERROR = 1,
    PQH_EXIT_RECALL = 2,
    PQH_EXIT_TIME = 3,
    PQH_EXIT_INTEGRITY = 4,
    PQH_EXIT_CRASH = 5,
    PQH_EXIT_UNRESOLVED = 6,
    PQH_EXIT_USAGE = 64
};

/* How a run ended. */
struct pqh_outcome {
    enum pqh_exit code;
    const char *status; /* one word */
    char reason[1200];  /* one line; empty if all is well */
};

/* Sets the outcome and returns -1, so that a failure is
 * `return pqh_end(outcome, ...)`. */
int pqh_end(struct pqh_outcome *outcome, enum pqh_exit code, const char *status,
            const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
