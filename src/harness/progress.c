/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "progress.h"

#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

static struct {
    pthread_mutex_t lock;
    const char *task; /* NULL between tasks, and when nobody watches */
    size_t total, done, shown;
} line = {.lock = PTHREAD_MUTEX_INITIALIZER};

static size_t percent_done(void)
{
    size_t done = line.done < line.total ? line.done : line.total;

    return (size_t)(100.0 * (double)done / (double)line.total);
}

void pqh_progress_begin(const char *task, size_t total)
{
    if (!isatty(STDERR_FILENO))
        return;
    pthread_mutex_lock(&line.lock);
    line.task = task;
    line.total = total;
    line.done = line.shown = 0;
    fprintf(stderr, "\r\033[K%s ...", task);
    fflush(stderr);
    pthread_mutex_unlock(&line.lock);
}

void pqh_progress_add(size_t steps)
{
    pthread_mutex_lock(&line.lock);
    line.done += steps;
    if (line.task != NULL && line.total > 0 && percent_done() > line.shown) {
        line.shown = percent_done();
        fprintf(stderr, "\r\033[K%s ... %zu %%", line.task, line.shown);
        fflush(stderr);
    }
    pthread_mutex_unlock(&line.lock);
}

void pqh_progress_end(void)
{
    pthread_mutex_lock(&line.lock);
    if (line.task != NULL) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    line.task = NULL;
    pthread_mutex_unlock(&line.lock);
}
