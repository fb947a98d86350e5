/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "parallel.h"

#include <pthread.h>
#include <unistd.h>

struct part {
    void (*body)(void *context, size_t part, size_t begin, size_t end);
    void *context;
    size_t number, begin, end;
};

size_t pqh_threads(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);

    if (online < 1)
        return 1;
    return online < PQH_MAX_THREADS ? (size_t)online : PQH_MAX_THREADS;
}

static void *run_part(void *argument)
{
    const struct part *part = argument;

    part->body(part->context, part->number, part->begin, part->end);
    return NULL;
}

void pqh_parallel_for(size_t count, size_t num_threads,
                      void (*body)(void *context, size_t part, size_t begin,
                                   size_t end),
                      void *context)
{
    struct part parts[PQH_MAX_THREADS];
    pthread_t threads[PQH_MAX_THREADS];
    int started[PQH_MAX_THREADS];
    size_t num_parts = num_threads < count ? num_threads : count;

    for (size_t i = 0; i < num_parts; i++) {
        size_t share = count / num_parts, rest = count % num_parts;
        size_t begin = i * share + (i < rest ? i : rest);

        parts[i] = (struct part){body, context, i, begin,
                                 begin + share + (i < rest ? 1 : 0)};
        /* The last part is this thread's own, and so is every part that gets
         * no thread. */
        started[i] =
            i + 1 < num_parts &&
            pthread_create(&threads[i], NULL, run_part, &parts[i]) == 0;
        if (!started[i])
            run_part(&parts[i]);
    }
    for (size_t i = 0; i < num_parts; i++)
        if (started[i])
            pthread_join(threads[i], NULL);
}
