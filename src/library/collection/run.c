/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What every search of a collection begins with, its threads and their memory,
 * and what it did in the end.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "base/memory.h"
#include "base/threads.h"
#include "library/quantizer/handle.h"
#include "search.h"

struct pqk_searching pqk_begin_search(const pqk_collection *collection,
                                      const float *queries, size_t num_queries,
                                      size_t k,
                                      const pqk_search_options *options)
{
    static const pqk_search_options no_options;

    return (struct pqk_searching){
        .collection = collection,
        .queries = queries,
        .num_queries = num_queries,
        .dim = pqk_quantizer_dim(collection->quantizer),
        .k = k,
        .options = options ? options : &no_options,
        .num_sources = collection->num_partitions +
                       (collection->tail.num_rows > 0 ? 1 : 0),
        .status = PQK_OK,
        .stats = {.kernel = pqk_kernel_name(collection->prepared.kernel)},
    };
}

size_t pqk_threads_wanted(const struct pqk_searching *search)
{
    const size_t wanted = search->options->num_threads;

    return wanted == 0                ? 1
           : wanted < PQK_MAX_THREADS ? wanted
                                      : PQK_MAX_THREADS;
}

void pqk_run_search(struct pqk_searching *search, void *(*run)(void *))
{
    const size_t most = pqk_collection_max_rows(search->collection);
    const size_t k = search->k < most ? search->k : most;
    size_t made = 0;

    search->scratches =
        pqk_array_alloc(search->num_threads, sizeof(struct pqk_scratch));
    if (!search->scratches) {
        search->status = PQK_OUT_OF_MEMORY;
        return;
    }
    for (; made < search->num_threads; made++)
        if (pqk_create_scratch(search, k, &search->scratches[made]) != PQK_OK) {
            pqk_free_scratch(&search->scratches[made]);
            break;
        }
    if (made > 0 && pthread_mutex_init(&search->lock, NULL) == 0) {
        pqk_team_run(search->collection->team, run, search, made);
        pthread_mutex_destroy(&search->lock);
    } else {
        search->status = PQK_OUT_OF_MEMORY;
    }
    while (made > 0)
        pqk_free_scratch(&search->scratches[--made]);
    free(search->scratches);
}

void pqk_add_stats(struct pqk_searching *search,
                   const struct pqk_scratch *scratch)
{
    const pqk_search_stats *stats = &scratch->stats;

    pthread_mutex_lock(&search->lock);
    search->stats.codes += stats->codes;
    search->stats.survivors += stats->survivors;
    search->stats.bytes_read += stats->bytes_read;
    if (stats->bound_groups > search->stats.bound_groups)
        search->stats.bound_groups = stats->bound_groups;
    pthread_mutex_unlock(&search->lock);
}

void pqk_give_stats(const struct pqk_searching *search)
{
    if (search->status == PQK_OK && search->options->stats)
        *search->options->stats = search->stats;
}
