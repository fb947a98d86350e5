/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The staged scan of a plan, and the choice of the plan.
 */
#ifndef PQK_KERNELS_STAGED_H
#define PQK_KERNELS_STAGED_H

#include "kernels/nearest.h"

static void set_plan(struct scan *scan, uint32_t number)
{
    const struct scan_plan *plan = &scan->plans[number];
    struct scan_query *query = scan->query;

    query->plan = number;
    query->first_passes = add_passes(scan, &plan->stages[0], 0);
    query->num_passes = query->first_passes;
    for (size_t i = 1; i < plan->num_stages; i++)
        query->num_passes =
            add_passes(scan, &plan->stages[i], query->num_passes);
}

static size_t blocks_of_chunk(const struct scan *scan, size_t chunk)
{
    const size_t left = scan->layout.num_blocks - chunk * CHUNK;

    return left < CHUNK ? left : CHUNK;
}

/* A chunk through all stages. */
static void run_chunk(struct scan *scan, size_t chunk)
{
    const size_t first = chunk * CHUNK;
    uint64_t live;

    if (scan->query->bound.threshold < 0)
        return;
    live = filter_blocks(scan, scan->query->first_passes, first,
                         blocks_of_chunk(scan, chunk));
    scan->query->alive += (uint64_t)__builtin_popcountll(live);
    live = filter_live(scan, first, live);
    for (; live != 0; live &= live - 1) {
        const size_t b = (size_t)__builtin_ctzll(live);

        if (!block_is_done(scan, first + b))
            verify_block(scan, first + b, scan->work->sums + b * PQK_BLOCK);
    }
}

static void run_exactly(struct scan *scan, size_t first, size_t end)
{
    size_t end_block = end * CHUNK;

    if (end_block > scan->layout.num_blocks)
        end_block = scan->layout.num_blocks;
    for (size_t block = first * CHUNK; block < end_block; block++)
        if (!block_is_done(scan, block))
            scan_exactly(scan, block, 1);
}

/* Byte tables lose resolution as the threshold falls: make them anew. */
#define COARSE_THRESHOLD 246

static void refresh_tables(struct scan *scan)
{
    struct scan_query *query = scan->query;
    float bound;

    pqk_heap_tighten(scan->heap);
    bound = pqk_heap_bound(scan->heap);
    if (!(bound < MOST_BOUND))
        return;
    query->bound.threshold =
        byte_threshold(&query->bound, scan->num_sub_vectors, bound);
    if (query->bound.threshold >= 0 &&
        query->bound.threshold < COARSE_THRESHOLD)
        set_scale(scan, bound);
}

/* With a bound, byte tables and an order for it; returns 0 without one. */
static int aim(struct scan *scan)
{
    const float bound = pqk_heap_bound(scan->heap);

    if (!(bound < MOST_BOUND))
        return 0;
    set_scale(scan, bound);
    order_columns(scan);
    set_plan(scan, scan->query->plan);
    scan->query->finished = scan->query->bound.threshold < 0;
    return 1;
}

/* Chunks without a filter; afterwards there may be a bound to filter by. */
static void skip_filter(struct scan *scan, size_t first, size_t end)
{
    struct scan_query *query = scan->query;

    run_exactly(scan, first, end);
    pqk_heap_tighten(scan->heap);
    if (query->aimed)
        query->exact_chunks -= (uint32_t)(end - first);
    else
        query->aimed = aim(scan);
}

/* A run is some chunks of one query by one plan. */
static void begin_run(struct scan *scan, size_t first, size_t end)
{
    struct scan_query *query = scan->query;

    query->filters = 0;
    if (query->finished)
        return;
    if (!query->aimed || query->exact_chunks >= end - first) {
        skip_filter(scan, first, end);
        return;
    }
    query->filters = 1;
    query->exact_chunks = 0;
    query->alive = 0;
    query->survivors = 0;
}

/* Filters cost more than they save when they let a quarter through. */
#define HOPELESS_SHARE 4

/* Chooses the next run's plan by what was alive in this one. */
static void end_run(struct scan *scan, size_t first, size_t end)
{
    struct scan_query *query = scan->query;
    const struct scan_plan *plan = &scan->plans[query->plan];
    const uint64_t blocks = (end - first) * CHUNK;
    const double share = (double)query->alive / (double)blocks;

    if (!query->filters)
        return;
    if (share > (double)plan->most) {
        set_plan(scan, query->plan + 1);
        query->moves++;
    } else if (share < (double)plan->least && query->plan > 0 &&
               query->moves < 6) {
        set_plan(scan, query->plan - 1);
        query->moves++;
    }
    if (query->survivors * HOPELESS_SHARE > blocks * PQK_BLOCK)
        query->exact_chunks = 64;
    refresh_tables(scan);
    query->finished = query->bound.threshold < 0;
}

#endif
