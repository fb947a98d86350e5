/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Long work that threads share, and that may be stopped. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "base/threads.h"
#include "nearest.h"
#include "work.h"

const struct pqk_effort pqk_plain_effort;

static void stop_work(struct pqk_work *work, pqk_status status)
{
    int going_on = PQK_OK;

    atomic_compare_exchange_strong(&work->status, &going_on, status);
}

pqk_status pqk_step_done(struct pqk_work *work)
{
    const struct pqk_effort *effort = work->effort;

    if (effort->progress) {
        pthread_mutex_lock(&work->one_at_a_time);
        work->steps_done++;
        if (atomic_load(&work->status) == PQK_OK &&
            effort->progress(effort->progress_context, work->steps_done,
                             work->num_steps) != 0)
            stop_work(work, PQK_CANCELLED);
        pthread_mutex_unlock(&work->one_at_a_time);
    }
    return (pqk_status)atomic_load(&work->status);
}

static void *work_through(void *argument)
{
    struct pqk_work *work = argument;
    pqk_status status = PQK_OK;
    size_t number;

    while (status == PQK_OK &&
           (number = atomic_fetch_add(&work->next, 1)) < work->num_pieces)
        status = work->piece(work, work->context, number);
    if (status != PQK_OK)
        stop_work(work, status);
    return NULL;
}

pqk_status pqk_share_work(struct pqk_work *work)
{
    size_t num_threads = work->effort->num_threads;

    pthread_mutex_init(&work->one_at_a_time, NULL);
    if (num_threads > work->num_pieces)
        num_threads = work->num_pieces;
    pqk_run_on_threads(work_through, work, num_threads);
    pthread_mutex_destroy(&work->one_at_a_time);
    return (pqk_status)atomic_load(&work->status);
}

pqk_nearest_function *pqk_nearest_of(const struct pqk_effort *effort)
{
    return effort->nearest ? effort->nearest : pqk_plain_nearest;
}
