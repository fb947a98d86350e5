/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "threads.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

size_t pqk_num_processors(void)
{
    long online = sysconf(_SC_NPROCESSORS_ONLN);

    if (online < 1)
        return 1;
    return (size_t)online < PQK_MAX_THREADS ? (size_t)online : PQK_MAX_THREADS;
}

void pqk_run_on_threads(void *(*run)(void *argument), void *argument,
                        size_t num_threads)
{
    pthread_t threads[PQK_MAX_THREADS];
    size_t helpers = 0;

    while (helpers + 1 < num_threads && helpers + 1 < PQK_MAX_THREADS &&
           pthread_create(&threads[helpers], NULL, run, argument) == 0)
        helpers++;
    run(argument);
    while (helpers > 0)
        pthread_join(threads[--helpers], NULL);
}

struct loop {
    size_t count, num_parts;
    void (*body)(void *context, size_t part, size_t begin, size_t end);
    void *context;
    atomic_size_t next_part;
};

/* Takes parts until none is left, so that fewer threads than parts will do. */
static void *run_parts(void *argument)
{
    struct loop *loop = argument;
    const size_t share = loop->count / loop->num_parts;
    const size_t longer = loop->count % loop->num_parts;
    size_t part;

    while ((part = atomic_fetch_add(&loop->next_part, 1)) < loop->num_parts) {
        size_t begin = part * share + (part < longer ? part : longer);

        loop->body(loop->context, part, begin,
                   begin + share + (part < longer ? 1 : 0));
    }
    return NULL;
}

void pqk_parallel_for(size_t count, size_t num_threads,
                      void (*body)(void *context, size_t part, size_t begin,
                                   size_t end),
                      void *context)
{
    struct loop loop = {.count = count,
                        .num_parts = num_threads < count ? num_threads : count,
                        .body = body,
                        .context = context};

    if (loop.num_parts > 0)
        pqk_run_on_threads(run_parts, &loop, loop.num_parts);
}
