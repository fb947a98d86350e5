/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Long work that threads share, and that may be stopped. */
#ifndef PQK_WORK_H
#define PQK_WORK_H

#include <pthread.h>
#include <stdatomic.h>

#include "library/quantizer.h"

/* Work cut into numbered pieces that any thread may take in any order, and
 * into steps that are as long as one may wait before it stops. */
struct pqk_work {
    pqk_status (*piece)(struct pqk_work *work, void *context, size_t number);
    void *context;
    const struct pqk_effort *effort;
    size_t num_pieces;
    uint64_t num_steps, steps_done;
    pthread_mutex_t one_at_a_time;
    atomic_size_t next;
    atomic_int status; /* the first that was not PQK_OK */
};

/* All of the work, whose pieces, steps, context and effort are set. */
pqk_status pqk_share_work(struct pqk_work *work);

/* To be called after every step; not PQK_OK if work is to stop. */
pqk_status pqk_step_done(struct pqk_work *work);

/* What NULL stands for. */
extern const struct pqk_effort pqk_plain_effort;

/* The one that it names, or a plain one. */
pqk_nearest_function *pqk_nearest_of(const struct pqk_effort *effort);

#endif
