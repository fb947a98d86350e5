/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BAR_WIDTH  30
#define INTERVAL_S 0.1

static struct {
    const char *task; /* NULL between tasks, and when nobody watches */
    double begun, shown;
} line;

double tool_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void tool_progress_begin(const char *task)
{
    tool_progress_end();
    if (!isatty(STDERR_FILENO))
        return;
    line.task = task;
    line.begun = line.shown = tool_seconds();
    fprintf(stderr, "\r\033[K%s ...", task);
    fflush(stderr);
}

static void draw_bar(double share, double now)
{
    char bar[BAR_WIDTH + 1];
    size_t filled = (size_t)(share * BAR_WIDTH);
    unsigned left = 0;

    memset(bar, '.', BAR_WIDTH);
    memset(bar, '#', filled);
    bar[BAR_WIDTH] = '\0';
    if (share > 0.0)
        left = (unsigned)((now - line.begun) * (1.0 - share) / share + 0.5);
    fprintf(stderr, "\r\033[K%s [%s] %3d %%, %u:%02u left", line.task, bar,
            (int)(share * 100.0), left / 60, left % 60);
}

int tool_progress(void *context, uint64_t done, uint64_t total)
{
    double now;

    (void)context;
    if (line.task == NULL)
        return 0;
    now = tool_seconds();
    if (now - line.shown < INTERVAL_S)
        return 0;
    line.shown = now;
    if (total > 0 && done <= total)
        draw_bar((double)done / (double)total, now);
    else
        fprintf(stderr, "\r\033[K%s ... %" PRIu64, line.task, done);
    fflush(stderr);
    return 0;
}

void tool_progress_end(void)
{
    if (line.task != NULL) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    line.task = NULL;
}
