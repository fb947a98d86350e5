/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Finding all within a radius.  A unit of the work is a slice of a source, a whole
 * one if it is small; how many results it has nobody knows, so it is probed with
 * room for more and more.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <stdlib.h>

#include "library/reserved.h"
#include "library/results.h"
#include "search.h"

/* How many results are collected at first from one source. */
#define RANGE_RESULTS ((size_t)4096)

/* Under the lock. */
static pqk_status append_results(struct pqk_searching *search,
                                 const struct pqk_rows *rows,
                                 const pqk_row_result *neighbors, size_t count)
{
    size_t needed = search->counts[0] + count;

    if (needed > search->range_capacity) {
        const size_t capacity = needed > SIZE_MAX / 2 ? needed : 2 * needed;
        pqk_result *grown =
            reallocarray(search->results, capacity, sizeof *grown);

        if (!grown)
            return PQK_OUT_OF_MEMORY;
        search->results = grown;
        search->range_capacity = capacity;
    }
    for (size_t i = 0; i < count; i++)
        search->results[search->counts[0]++] =
            (pqk_result){.id = pqk_rows_id(rows, neighbors[i].row),
                         .distance = neighbors[i].distance};
    return PQK_OK;
}

/* A source is cut into as many slices as there are threads that have work in it. */
struct slice {
    size_t source, number, count;
};

static struct slice slice_of(const struct pqk_searching *search, size_t unit)
{
    const size_t source = unit / search->num_threads;
    const size_t most = pqk_source_threads(search->collection, source);

    return (struct slice){
        .source = source,
        .number = unit % search->num_threads,
        .count = most < search->num_threads ? most : search->num_threads};
}

static void probe_slice(const struct pqk_searching *search,
                        const struct slice *slice, const struct pqk_rows *rows,
                        const struct pqk_filter *filter,
                        struct pqk_scratch *scratch)
{
    const size_t pieces = pqk_pieces_of(rows->num_rows);
    struct pqk_share share = {
        .end = pieces * (slice->number + 1) / slice->count, .num_threads = 1};

    atomic_init(&share.next, pieces * slice->number / slice->count);
    pqk_probe_source(search->collection, slice->source, rows, filter, scratch,
                     slice->count > 1 ? &share : NULL);
}

/* Collects with room for more and more results, until some is left. */
static pqk_status collect_range(const struct pqk_searching *search,
                                const struct slice *slice,
                                const struct pqk_rows *rows,
                                const struct pqk_filter *filter,
                                struct pqk_scratch *scratch, size_t *count)
{
    const size_t left = pqk_rows_left(rows);
    size_t k = scratch->k < left ? scratch->k : left;

    for (;;) {
        pqk_begin_heap(scratch, 0, k, pqk_last_key(search->radius));
        probe_slice(search, slice, rows, filter, scratch);
        *count =
            pqk_top_k_heap_into_sorted(&scratch->heaps[0], scratch->neighbors);
        if (*count < k || k == left)
            return PQK_OK;
        k = k < left / 4 ? 4 * k : left;
        if (k > scratch->k && pqk_reserve_results(scratch, 1, k) != PQK_OK)
            return PQK_OUT_OF_MEMORY;
    }
}

static pqk_status range_unit(struct pqk_searching *search, size_t unit,
                             struct pqk_scratch *scratch)
{
    const struct slice slice = slice_of(search, unit);
    const struct pqk_rows rows =
        pqk_source_rows(search->collection, slice.source);
    struct pqk_asking asking;
    struct pqk_filter filter;
    size_t count;
    pqk_status status;

    if (slice.number >= slice.count ||
        !pqk_make_filter(search->options, &rows, scratch->rows, &asking,
                         &filter))
        return PQK_OK;
    status = collect_range(search, &slice, &rows, &filter, scratch, &count);
    if (status != PQK_OK || count == 0)
        return status;
    pthread_mutex_lock(&search->lock);
    status = append_results(search, &rows, scratch->neighbors, count);
    pthread_mutex_unlock(&search->lock);
    return status;
}

static void *range_units(void *argument)
{
    struct pqk_searching *search = argument;
    struct pqk_scratch *scratch =
        &search->scratches[atomic_fetch_add(&search->next_scratch, 1)];
    pqk_status status = PQK_OK;
    size_t unit;

    pqk_load_group(search, 0, scratch);
    while (status == PQK_OK &&
           (unit = atomic_fetch_add(&search->next_unit, 1)) <
               search->num_sources * search->num_threads)
        status = range_unit(search, unit, scratch);
    pqk_add_stats(search, scratch);
    if (status != PQK_OK) {
        pthread_mutex_lock(&search->lock);
        search->status = status;
        pthread_mutex_unlock(&search->lock);
    }
    return NULL;
}

static size_t threads_with_work(const struct pqk_searching *search)
{
    const size_t wanted = pqk_threads_wanted(search);
    size_t most = 0;

    for (size_t source = 0; source < search->num_sources; source++)
        most += pqk_source_threads(search->collection, source);
    return most < wanted ? most : wanted;
}

pqk_status pqk_collection_search_range(const pqk_collection *collection,
                                       const float *query, float radius,
                                       const pqk_search_options *options,
                                       pqk_result **results, size_t *count)
{
    struct pqk_searching search;
    size_t found = 0;

    if (!collection || !query || !results || !count ||
        (options && pqk_options_ask_more(options)))
        return PQK_INVALID_ARGUMENT;
    search = pqk_begin_search(collection, query, 1, RANGE_RESULTS, options);
    search.radius = radius;
    search.counts = &found;
    search.group_size = 1;
    if (!isnan(radius) && search.num_sources > 0) {
        search.num_threads = threads_with_work(&search);
        pqk_run_search(&search, range_units);
    }
    if (search.status != PQK_OK) {
        free(search.results);
        return search.status;
    }
    pqk_sort_results(search.results, found);
    pqk_give_stats(&search);
    *results = search.results;
    *count = found;
    return PQK_OK;
}
