/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <pthread.h>

#include "threads.h"

void pqk_run_on_threads(void *(*run)(void *argument), void *argument,
                        size_t num_threads)
{
    pthread_t threads[PQK_MOST_THREADS];
    size_t helpers = 0;

    while (helpers + 1 < num_threads && helpers + 1 < PQK_MOST_THREADS &&
           pthread_create(&threads[helpers], NULL, run, argument) == 0)
        helpers++;
    run(argument);
    while (helpers > 0)
        pthread_join(threads[--helpers], NULL);
}
