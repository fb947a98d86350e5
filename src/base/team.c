/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "team.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "clock.h"
#include "threads.h"

/* For so long a thread looks for what it waits for before it sleeps: longer than
 * between two searches, shorter than to sleep and be woken a few times. */
#define LOOK_NS UINT64_C(50000)

/* Glances at memory between two at the clock. */
#define GLANCES 64

struct pqk_team {
    pid_t process;
    atomic_flag busy;     /* a caller has it */
    atomic_uint jobs;     /* how many there have been, and one for the end */
    atomic_uint working;  /* members at the job; grows under the lock only */
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t job, done;
    size_t seats; /* how many members may still come to the job */
    void *(*run)(void *argument);
    void *argument;
    int ends;
    size_t num_members; /* the caller's who has it */
    pthread_t members[PQK_MAX_THREADS];
};

struct pqk_team *pqk_team_create(void)
{
    struct pqk_team *team = calloc(1, sizeof *team);

    if (!team)
        return NULL;
    team->process = getpid();
    atomic_flag_clear(&team->busy);
    atomic_init(&team->jobs, 0);
    atomic_init(&team->working, 0);
    if (pthread_mutex_init(&team->lock, NULL) == 0) {
        if (pthread_cond_init(&team->job, NULL) == 0) {
            if (pthread_cond_init(&team->done, NULL) == 0)
                return team;
            pthread_cond_destroy(&team->job);
        }
        pthread_mutex_destroy(&team->lock);
    }
    free(team);
    return NULL;
}

/* Until a number is no longer what it was, or for a while. */
static void look(atomic_uint *number, unsigned was)
{
    const uint64_t end = pqk_clock() + LOOK_NS;

    do
        for (int i = 0; i < GLANCES; i++)
            if (atomic_load_explicit(number, memory_order_relaxed) != was)
                return;
    while (pqk_clock() < end);
}

/* Under the lock: a job, and then its end. */
static void work(struct pqk_team *team)
{
    void *(*run)(void *argument) = team->run;
    void *argument = team->argument;

    team->seats--;
    atomic_fetch_add(&team->working, 1);
    pthread_mutex_unlock(&team->lock);
    run(argument);
    pthread_mutex_lock(&team->lock);
    if (atomic_fetch_sub(&team->working, 1) == 1)
        pthread_cond_signal(&team->done);
}

static void *be_member(void *argument)
{
    struct pqk_team *team = argument;
    unsigned seen = 0;

    pthread_mutex_lock(&team->lock);
    while (!team->ends) {
        const unsigned jobs = atomic_load(&team->jobs);

        if (jobs != seen && team->seats > 0) {
            seen = jobs;
            work(team);
            pthread_mutex_unlock(&team->lock);
            look(&team->jobs, seen);
            pthread_mutex_lock(&team->lock);
        } else {
            pthread_cond_wait(&team->job, &team->lock);
        }
    }
    pthread_mutex_unlock(&team->lock);
    return NULL;
}

/* Signals are for the program's own threads. */
static void enlist(struct pqk_team *team, size_t num_members)
{
    sigset_t all, before;

    if (team->num_members >= num_members)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (team->num_members < num_members &&
           pthread_create(&team->members[team->num_members], NULL, be_member,
                          team) == 0)
        team->num_members++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void begin_job(struct pqk_team *team, void *(*run)(void *argument),
                      void *argument, size_t seats)
{
    pthread_mutex_lock(&team->lock);
    team->run = run;
    team->argument = argument;
    team->seats = seats;
    atomic_fetch_add(&team->jobs, 1);
    pthread_cond_broadcast(&team->job);
    pthread_mutex_unlock(&team->lock);
}

/* Who has not come by now finds nothing left to do. */
static void end_job(struct pqk_team *team)
{
    unsigned working;

    pthread_mutex_lock(&team->lock);
    team->seats = 0;
    pthread_mutex_unlock(&team->lock);
    while ((working = atomic_load(&team->working)) > 0) {
        look(&team->working, working);
        pthread_mutex_lock(&team->lock);
        if (atomic_load(&team->working) == working)
            pthread_cond_wait(&team->done, &team->lock);
        pthread_mutex_unlock(&team->lock);
    }
}

void pqk_team_run(struct pqk_team *team, void *(*run)(void *argument),
                  void *argument, size_t num_threads)
{
    if (num_threads > PQK_MAX_THREADS)
        num_threads = PQK_MAX_THREADS;
    if (num_threads <= 1 || !team || team->process != getpid() ||
        atomic_flag_test_and_set(&team->busy)) {
        pqk_run_on_threads(run, argument, num_threads);
        return;
    }
    enlist(team, num_threads - 1);
    begin_job(team, run, argument, num_threads - 1);
    run(argument);
    end_job(team);
    atomic_flag_clear(&team->busy);
}

void pqk_team_free(struct pqk_team *team)
{
    if (!team)
        return;
    if (team->process == getpid()) {
        pthread_mutex_lock(&team->lock);
        team->ends = 1;
        atomic_fetch_add(&team->jobs, 1);
        pthread_cond_broadcast(&team->job);
        pthread_mutex_unlock(&team->lock);
        while (team->num_members > 0)
            pthread_join(team->members[--team->num_members], NULL);
        pthread_cond_destroy(&team->done);
        pthread_cond_destroy(&team->job);
        pthread_mutex_destroy(&team->lock);
    }
    free(team);
}
