/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The staged scan of a plan, as a software pipeline, and the choice of the plan.
 */
#ifndef PQK_KERNELS_STAGED_H
#define PQK_KERNELS_STAGED_H

#include "kernels/nearest.h"

static struct scan_stages stages_of(const struct scan *scan,
                                    const struct scan_plan *plan)
{
    struct scan_stages stages = {.count = 0};

    for (size_t i = 0; i < plan->num_stages; i++)
        if (stage_column(scan, plan->stages[i].from) <
            stage_column(scan, plan->stages[i].to))
            stages.stage[stages.count++] = plan->stages[i];
    return stages;
}

static struct scan_blocks stage_list(struct scan *scan, size_t stage,
                                     size_t buffer)
{
    struct scan_blocks list = {scan->work->sums[buffer][stage],
                               scan->work->blocks[buffer][stage]};

    return list;
}

/* Works a list off through one stage; what is left goes to the next stage's
 * list, or is verified.  Returns how many blocks are left. */
static size_t work_off(struct scan *scan, const struct scan_stages *stages,
                       size_t stage, size_t buffer, size_t num_blocks)
{
    struct scan_blocks list = stage_list(scan, stage, buffer);
    struct scan_blocks next;
    size_t left;

    add_to_listed(scan, &stages->stage[stage], list, num_blocks);
    if (stage + 1 == stages->count) {
        for (size_t i = 0; i < num_blocks; i++)
            if (!block_is_done(scan, list.blocks[i]))
                verify_block(scan, list.blocks[i], list.sums + i * PQK_BLOCK);
        return 0;
    }
    next = stage_list(scan, stage + 1, 0);
    left = isa_compress(list, num_blocks, (uint8_t)scan->query->bound.threshold,
                        next);
    prefetch_listed(scan, &stages->stage[stage + 1], next.blocks, left);
    return left;
}

static size_t blocks_of_chunk(const struct scan *scan, size_t chunk)
{
    const size_t left = scan->layout.num_blocks - chunk * CHUNK;

    return left < CHUNK ? left : CHUNK;
}

/*
 * Chunks first, ..., end - 1 as a software pipeline: in every step the first
 * stage makes a list of a chunk's blocks, and each later stage, the last one
 * first, works off the list that the stage before it made one step earlier.
 */
static void run_chunks(struct scan *scan, const struct scan_stages *stages,
                       size_t first, size_t end)
{
    size_t listed[MAX_STAGES] = {0};

    for (size_t chunk = first; chunk + 1 < end + stages->count; chunk++) {
        const size_t buffer = chunk & 1;
        size_t fresh = 0;

        if (scan->query->bound.threshold < 0)
            break;
        if (chunk < end) {
            fresh = filter_blocks(scan, &stages->stage[0], chunk * CHUNK,
                                  blocks_of_chunk(scan, chunk),
                                  stage_list(scan, 1, buffer));
            prefetch_listed(scan, &stages->stage[1],
                            stage_list(scan, 1, buffer).blocks, fresh);
            scan->query->alive += fresh;
        }
        for (size_t s = stages->count - 1; s >= 1; s--) {
            size_t left = 0;

            if (listed[s] > 0)
                left = work_off(scan, stages, s, s == 1 ? buffer ^ 1 : 0,
                                listed[s]);
            listed[s] = 0;
            if (s + 1 < stages->count)
                listed[s + 1] = left;
        }
        listed[1] = fresh;
    }
}

/* A chunk through all stages, one after the other.  What is kept of a list moves
 * to places that have been read. */
static void run_chunk(struct scan *scan, size_t chunk)
{
    const struct scan_stages *stages = &scan->query->stages;
    const struct scan_blocks list = stage_list(scan, 0, 0);
    size_t left;

    if (scan->query->bound.threshold < 0)
        return;
    left = filter_blocks(scan, &stages->stage[0], chunk * CHUNK,
                         blocks_of_chunk(scan, chunk), list);
    scan->query->alive += left;
    for (size_t s = 1; s < stages->count; s++) {
        if (s > 1)
            left = isa_compress(list, left,
                                (uint8_t)scan->query->bound.threshold, list);
        add_to_listed(scan, &stages->stage[s], list, left);
    }
    for (size_t i = 0; i < left; i++)
        if (!block_is_done(scan, list.blocks[i]))
            verify_block(scan, list.blocks[i], list.sums + i * PQK_BLOCK);
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
    query->stages = stages_of(scan, &scan->plans[query->plan]);
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
        query->plan++;
        query->moves++;
    } else if (share < (double)plan->least && query->plan > 0 &&
               query->moves < 6) {
        query->plan--;
        query->moves++;
    }
    if (query->survivors * HOPELESS_SHARE > blocks * PQK_BLOCK)
        query->exact_chunks = 64;
    refresh_tables(scan);
    query->finished = query->bound.threshold < 0;
}

/* With a column or two there is nothing to stage. */
static void run_alone(struct scan *scan, size_t first, size_t end)
{
    begin_run(scan, first, end);
    if (scan->query->filters && scan->query->stages.count > 1)
        run_chunks(scan, &scan->query->stages, first, end);
    else if (scan->query->filters)
        for (size_t chunk = first; chunk < end; chunk++)
            run_chunk(scan, chunk);
    end_run(scan, first, end);
}

#endif
