/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the searches of a collection share.  A search runs on several threads,
 * each with a scratch of its own, which take units of work from it and probe
 * sources: the partitions, and behind them the tail.
 */
#ifndef PQK_COLLECTION_SEARCH_H
#define PQK_COLLECTION_SEARCH_H

#include <pthread.h>
#include <stdatomic.h>

#include "collection.h"

/* What is searched, how, and what was found so far. */
struct pqk_searching {
    const pqk_collection *collection;
    const float *queries;
    size_t num_queries;
    size_t dim;
    size_t k; /* in a range, what is collected at first */
    float radius;
    const pqk_search_options *options;
    size_t num_sources;

    size_t group_size;
    size_t num_groups;
    size_t units_per_group;
    size_t num_threads;
    atomic_size_t next_unit;
    atomic_size_t next_scratch;
    struct pqk_scratch *scratches;
    struct pqk_share
        *shares; /* of each unit, if threads go through them together */

    pthread_mutex_t lock; /* of what follows */
    pqk_result *results;
    size_t *counts;        /* [num_queries] */
    size_t range_capacity; /* of results */
    pqk_status status;
    pqk_search_stats stats;
};

/* A thread's memory. */
struct pqk_scratch {
    size_t k; /* room for so many results of a query */
    void *tables;
    pqk_top_k_heap *heaps;     /* [group_size] */
    uint64_t *storage;         /* [group_size][pqk_top_k_heap_storage(k)] */
    pqk_row_result *neighbors; /* [k] */
    uint64_t *rows;            /* a bit per row, if there are filters by bits */
    float *entries;            /* a plain table, for the tail */
    float *scaled;             /* [group_size][dim] */

    size_t group;         /* the one that the following is of */
    const float *queries; /* as the metric compares them */
    size_t num_queries;
    int has_tables;
    pqk_search_stats stats;
};

/* ------------------------------------------------------------------------ */
/* run.c                                                                    */

/* A search that has arguments, and no results yet. */
struct pqk_searching pqk_begin_search(const pqk_collection *collection,
                                      const float *queries, size_t num_queries,
                                      size_t k,
                                      const pqk_search_options *options);

/* At least one, at most PQK_MAX_THREADS. */
size_t pqk_threads_wanted(const struct pqk_searching *search);

/* Calls run(search) on num_threads, or as many as there is memory for, at least
 * one; each takes the next scratch.  Sets search->status. */
void pqk_run_search(struct pqk_searching *search, void *(*run)(void *));

/* What a thread did joins what the search did. */
void pqk_add_stats(struct pqk_searching *search,
                   const struct pqk_scratch *scratch);

/* To the caller, if it wants them and all went well. */
void pqk_give_stats(const struct pqk_searching *search);

/* ------------------------------------------------------------------------ */
/* scratch.c                                                                */

/* Room for k results of each query, in place of what there was. */
pqk_status pqk_reserve_results(struct pqk_scratch *scratch, size_t group_size,
                               size_t k);

/* On failure there is what pqk_free_scratch has to free. */
pqk_status pqk_create_scratch(const struct pqk_searching *search, size_t k,
                              struct pqk_scratch *scratch);

void pqk_free_scratch(struct pqk_scratch *scratch);

/* Makes a group of queries the one that is probed for. */
void pqk_load_group(const struct pqk_searching *search, size_t group,
                    struct pqk_scratch *scratch);

/* An empty heap for the k best of a query that are not above bound. */
void pqk_begin_heap(struct pqk_scratch *scratch, size_t query, size_t k,
                    uint64_t bound);

/* No row's key of a distance is greater. */
static inline uint64_t pqk_last_key(float distance)
{
    return pqk_result_key(distance, UINT32_MAX);
}

/* ------------------------------------------------------------------------ */
/* filter.c                                                                 */

/* What a filter asks about. */
struct pqk_asking {
    const pqk_search_options *options;
    const struct pqk_rows *rows;
};

/* Makes a source's filter, of bits, which have room for all its rows, and of
 * asking; both are in use as long as it is.  0 if no row may be a result. */
int pqk_make_filter(const pqk_search_options *options,
                    const struct pqk_rows *rows, uint64_t *bits,
                    struct pqk_asking *asking, struct pqk_filter *filter);

/* ------------------------------------------------------------------------ */
/* probe.c                                                                  */

/* A partition, or behind them the tail. */
struct pqk_rows pqk_source_rows(const pqk_collection *collection,
                                size_t source);

/* How many threads a source has work for: a thread takes about as long to start as
 * to scan 32,768 codes.  The tail is one thread's. */
size_t pqk_source_threads(const pqk_collection *collection, size_t source);

/* Probes for the group that is loaded, into heaps that are begun.  share is NULL
 * for all of the source. */
void pqk_probe_source(const pqk_collection *collection, size_t source,
                      const struct pqk_rows *rows,
                      const struct pqk_filter *filter,
                      struct pqk_scratch *scratch, struct pqk_share *share);

#endif
