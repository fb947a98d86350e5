/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "progress.h"
#include "clock.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BAR_WIDTH   30
#define INTERVAL_NS UINT64_C(100000000)

static struct {
    pthread_mutex_t lock;
    const char *task; /* NULL between tasks, and when nobody watches */
    uint64_t done, total;
    uint64_t begun, shown; /* pqk_clock() */
} line = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void draw_bar(double share, uint64_t now)
{
    char bar[BAR_WIDTH + 1];
    size_t filled = (size_t)(share * BAR_WIDTH);
    unsigned left = 0;

    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', filled);
    bar[BAR_WIDTH] = '\0';
    if (share > 0.0)
        left = (unsigned)((double)(now - line.begun) / 1e9 * (1.0 - share) /
                              share +
                          0.5);
    fprintf(stderr, "\r\033[K%s [%s] %3d %%, %u:%02u left", line.task, bar,
            (int)(share * 100.0), left / 60, left % 60);
}

/* Draws the line if it is time to. */
static void draw(void)
{
    const uint64_t now = pqk_clock();

    if (line.task == NULL || now - line.shown < INTERVAL_NS)
        return;
    line.shown = now;
    if (line.total > 0 && line.done <= line.total)
        draw_bar((double)line.done / (double)line.total, now);
    else
        fprintf(stderr, "\r\033[K%s ... %" PRIu64, line.task, line.done);
    fflush(stderr);
}

static void clear(void)
{
    if (line.task != NULL) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    line.task = NULL;
}

void pqk_progress_begin(const char *task, uint64_t total)
{
    pthread_mutex_lock(&line.lock);
    clear();
    if (isatty(STDERR_FILENO)) {
        line.task = task;
        line.done = 0;
        line.total = total;
        line.begun = line.shown = pqk_clock();
        fprintf(stderr, "\r\033[K%s ...", task);
        fflush(stderr);
    }
    pthread_mutex_unlock(&line.lock);
}

void pqk_progress_add(uint64_t steps)
{
    pthread_mutex_lock(&line.lock);
    line.done += steps;
    draw();
    pthread_mutex_unlock(&line.lock);
}

int pqk_progress_show(void *context, uint64_t done, uint64_t total)
{
    (void)context;
    pthread_mutex_lock(&line.lock);
    line.done = done;
    line.total = total;
    draw();
    pthread_mutex_unlock(&line.lock);
    return 0;
}

void pqk_progress_end(void)
{
    pthread_mutex_lock(&line.lock);
    clear();
    pthread_mutex_unlock(&line.lock);
}
