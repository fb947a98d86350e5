/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Finding the k nearest.  The work is cut into units of a group of queries and
 * some of the sources, which are the partitions and the tail.  A unit searches one
 * source after the other and merges what it finds into the caller's results; the
 * k-th of these is the bound for the next source.  That is exact in any order: a
 * row among the k best of all is never beyond the k-th best of a part.  Where there
 * are few units, threads share each of them.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "base/memory.h"
#include "library/quantizer/handle.h"
#include "library/reserved.h"
#include "library/results.h"
#include "search.h"

/* Queries that share a pass over the codes. */
#define GROUP ((size_t)16)

/* A group has fewer queries if they would hold more results than this together. */
#define RESULTS_OF_A_GROUP ((size_t)1 << 18)

/* Groups for each thread: enough that no thread waits long for the last one. */
#define GROUPS_PER_THREAD 4

#define MAX_RESULTS ((uint64_t)1 << 31)

/* Merges a source's sorted neighbours into sorted results, from behind, and
 * leaves out the last if there are more than k. */
static size_t merge_results(const struct pqk_rows *rows,
                            const pqk_row_result *neighbors,
                            size_t num_neighbors, pqk_result *results,
                            size_t num_results, size_t k)
{
    size_t to = num_results + num_neighbors;
    const size_t merged = to < k ? to : k;

    while (num_neighbors > 0) {
        const pqk_row_result *neighbor = &neighbors[num_neighbors - 1];
        const pqk_result new = {.id = pqk_rows_id(rows, neighbor->row),
                                .distance = neighbor->distance};
        const int take_old = num_results > 0 &&
                             pqk_result_before(&new, &results[num_results - 1]);
        const pqk_result last = take_old ? results[num_results - 1] : new;

        num_results -= (size_t)take_old;
        num_neighbors -= (size_t)!take_old;
        if (--to < k)
            results[to] = last;
    }
    return merged;
}

static void begin_heaps(struct pqk_searching *search,
                        const struct pqk_rows *rows,
                        struct pqk_scratch *scratch)
{
    const size_t first = scratch->group * search->group_size;
    const size_t left = pqk_rows_left(rows);
    const size_t k = search->k < left ? search->k : left;

    pthread_mutex_lock(&search->lock);
    for (size_t q = 0; q < scratch->num_queries; q++) {
        const size_t count = search->counts[first + q];
        const pqk_result *results = search->results + (first + q) * search->k;

        pqk_begin_heap(scratch, q, k,
                       count < search->k
                           ? UINT64_MAX
                           : pqk_last_key(results[count - 1].distance));
    }
    pthread_mutex_unlock(&search->lock);
}

static void merge_heaps(struct pqk_searching *search,
                        const struct pqk_rows *rows,
                        struct pqk_scratch *scratch)
{
    const size_t first = scratch->group * search->group_size;

    for (size_t q = 0; q < scratch->num_queries; q++) {
        const size_t found =
            pqk_top_k_heap_into_sorted(&scratch->heaps[q], scratch->neighbors);
        size_t *count = &search->counts[first + q];

        pthread_mutex_lock(&search->lock);
        *count = merge_results(rows, scratch->neighbors, found,
                               search->results + (first + q) * search->k,
                               *count, search->k);
        pthread_mutex_unlock(&search->lock);
    }
}

static void search_source(struct pqk_searching *search, size_t source,
                          struct pqk_scratch *scratch, struct pqk_share *share)
{
    const struct pqk_rows rows = pqk_source_rows(search->collection, source);
    struct pqk_asking asking;
    struct pqk_filter filter;

    if (!pqk_make_filter(search->options, &rows, scratch->rows, &asking,
                         &filter))
        return;
    begin_heaps(search, &rows, scratch);
    pqk_probe_source(search->collection, source, &rows, &filter, scratch,
                     share);
    merge_heaps(search, &rows, scratch);
}

static size_t num_units(const struct pqk_searching *search)
{
    return search->num_groups * search->units_per_group;
}

/* Some of a unit, with other threads, or all of it where it is one thread's. */
static void share_unit(struct pqk_searching *search, size_t unit,
                       struct pqk_scratch *scratch)
{
    const size_t source = unit % search->num_sources;
    struct pqk_share *share = &search->shares[unit];
    size_t first, end;

    if (share->num_threads > 1) {
        if (atomic_load_explicit(&share->next, memory_order_relaxed) >=
            share->end)
            return;
    } else {
        if (!pqk_share_take(share, 1, &first, &end))
            return;
        share = NULL;
    }
    pqk_load_group(search, unit / search->num_sources, scratch);
    search_source(search, source, scratch, share);
}

/* Threads begin far from each other; who is through with its own units helps with
 * those that others are at. */
static void *search_shares(void *argument)
{
    struct pqk_searching *search = argument;
    const size_t units = num_units(search);
    const size_t thread = atomic_fetch_add(&search->next_scratch, 1);
    struct pqk_scratch *scratch = &search->scratches[thread];
    const size_t first = thread * units / search->num_threads;

    for (size_t i = 0; i < units; i++)
        share_unit(search, (first + i) % units, scratch);
    pqk_add_stats(search, scratch);
    return NULL;
}

static void *search_units(void *argument)
{
    struct pqk_searching *search = argument;
    const size_t per_group = search->units_per_group;
    struct pqk_scratch *scratch =
        &search->scratches[atomic_fetch_add(&search->next_scratch, 1)];
    size_t unit;

    while ((unit = atomic_fetch_add(&search->next_unit, 1)) <
           num_units(search)) {
        const size_t share = unit % per_group;
        const size_t sources = search->num_sources / per_group;

        pqk_load_group(search, unit / per_group, scratch);
        for (size_t i = 0; i < sources; i++)
            search_source(search, share * sources + i, scratch, NULL);
    }
    pqk_add_stats(search, scratch);
    return NULL;
}

static size_t groups_of(size_t num_queries, size_t size)
{
    return num_queries / size + (num_queries % size > 0);
}

/* A unit is a group and one source, or a group and all sources if that makes
 * enough units. */
static void cut_into_units(struct pqk_searching *search, size_t num_threads)
{
    const size_t num_queries = search->num_queries;
    size_t size = RESULTS_OF_A_GROUP / search->k;

    if (size > GROUP)
        size = GROUP;
    if (size > num_queries)
        size = num_queries;
    /* Better fewer queries in a pass than threads without work. */
    if (size > 0 &&
        groups_of(num_queries, size) < num_threads / search->num_sources)
        size = num_queries * search->num_sources / num_threads;
    if (size == 0)
        size = 1;
    search->group_size = size;
    search->num_groups = groups_of(num_queries, size);
    search->units_per_group =
        num_threads == 1 || search->num_groups / GROUPS_PER_THREAD > num_threads
            ? 1
            : search->num_sources;
}

/* Units for each thread from which on nobody waits long for the last one. */
#define UNITS_PER_THREAD 4

/* Whether there are few units, and one of them is large enough for several
 * threads. */
static int wants_shares(const struct pqk_searching *search, size_t num_threads)
{
    if (num_threads == 1 || num_units(search) >= num_threads * UNITS_PER_THREAD)
        return 0;
    for (size_t source = 0; source < search->num_sources; source++)
        if (pqk_source_threads(search->collection, source) > 1)
            return 1;
    return 0;
}

/* Returns how many threads have something to do, 0 without memory. */
static size_t cut_into_shares(struct pqk_searching *search, size_t num_threads)
{
    const size_t units = num_units(search);
    size_t most = 0;

    search->shares = pqk_array_alloc(units, sizeof *search->shares);
    if (!search->shares)
        return 0;
    for (size_t unit = 0; unit < units; unit++) {
        const size_t source = unit % search->num_sources;
        const size_t threads = pqk_source_threads(search->collection, source);
        const struct pqk_rows rows =
            pqk_source_rows(search->collection, source);
        struct pqk_share *share = &search->shares[unit];

        atomic_init(&share->next, 0);
        share->num_threads = threads < num_threads ? threads : num_threads;
        share->end = threads > 1 ? pqk_pieces_of(rows.num_rows) : 1;
        most += threads;
    }
    return most < num_threads ? most : num_threads;
}

static void run(struct pqk_searching *search)
{
    const size_t wanted = pqk_threads_wanted(search);

    cut_into_units(search, wanted);
    if (wants_shares(search, wanted)) {
        search->num_threads = cut_into_shares(search, wanted);
        if (search->num_threads > 0)
            pqk_run_search(search, search_shares);
        else
            search->status = PQK_OUT_OF_MEMORY;
        free(search->shares);
    } else {
        search->num_threads =
            num_units(search) < wanted ? num_units(search) : wanted;
        pqk_run_search(search, search_units);
    }
}

static void fill_up(const struct pqk_searching *search)
{
    const pqk_result nothing = {.id = PQK_NO_ID,
                                .distance = pqk_key_distance(UINT64_MAX)};

    for (size_t q = 0; q < search->num_queries; q++)
        for (size_t i = search->counts[q]; i < search->k; i++)
            search->results[q * search->k + i] = nothing;
}

pqk_status pqk_collection_search(const pqk_collection *collection,
                                 const float *queries, size_t num_queries,
                                 size_t k, const pqk_search_options *options,
                                 pqk_result *results, size_t *counts)
{
    struct pqk_searching search;
    size_t *own_counts = NULL;

    if (!collection || (!queries && num_queries > 0) || k > MAX_RESULTS ||
        (!results && num_queries > 0 && k > 0) ||
        (options && pqk_options_ask_more(options)) ||
        !pqk_product_fits(num_queries, 2 * sizeof *results) ||
        !pqk_product_fits(num_queries * 2 * sizeof *results, k) ||
        !pqk_vectors_fit(num_queries, pqk_quantizer_dim(collection->quantizer)))
        return PQK_INVALID_ARGUMENT;
    search = pqk_begin_search(collection, queries, num_queries, k, options);
    if (!counts)
        counts = own_counts = pqk_array_alloc(num_queries, sizeof *counts);
    if (!counts)
        return PQK_OUT_OF_MEMORY;
    for (size_t q = 0; q < num_queries; q++)
        counts[q] = 0;
    search.results = results;
    search.counts = counts;
    if (num_queries > 0 && k > 0 && search.num_sources > 0)
        run(&search);
    if (search.status == PQK_OK)
        fill_up(&search);
    pqk_give_stats(&search);
    free(own_counts);
    return search.status;
}
