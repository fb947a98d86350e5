/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The staged scan of a plan, as a software pipeline, and the choice of the plan.
 */
#ifndef PQK_KERNELS_STAGED_H
#define PQK_KERNELS_STAGED_H

#include "kernels/nearest.h"

/* A plan's stages that have columns for this M. */
struct scan_stages {
    size_t count;
    struct scan_stage stage[MAX_STAGES];
};

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

struct scan_counts {
    uint64_t alive; /* blocks after the first stage */
    uint64_t survivors;
};

/*
 * Chunks first, ..., end - 1 as a software pipeline: in every step the first
 * stage makes a list of a chunk's blocks, and each later stage, the last one
 * first, works off the list that the stage before it made one step earlier.
 */
static struct scan_counts run_chunks(struct scan *scan,
                                     const struct scan_stages *stages,
                                     size_t first, size_t end)
{
    const uint64_t survivors = scan->stats->survivors;
    size_t listed[MAX_STAGES] = {0};
    struct scan_counts counts = {0, 0};

    for (size_t chunk = first; chunk + 1 < end + stages->count; chunk++) {
        const size_t buffer = chunk & 1;
        size_t fresh = 0;

        if (scan->query->bound.threshold < 0)
            break;
        if (chunk < end) {
            const size_t block = chunk * CHUNK;
            const size_t left = scan->layout.num_blocks - block;

            fresh = filter_blocks(scan, &stages->stage[0], block,
                                  left < CHUNK ? left : CHUNK,
                                  stage_list(scan, 1, buffer));
            prefetch_listed(scan, &stages->stage[1],
                            stage_list(scan, 1, buffer).blocks, fresh);
            counts.alive += fresh;
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
    counts.survivors = scan->stats->survivors - survivors;
    return counts;
}

/* With a column or two there is nothing to stage. */
static struct scan_counts run_chunks_at_once(struct scan *scan,
                                             const struct scan_stages *stages,
                                             size_t first, size_t end)
{
    const uint64_t survivors = scan->stats->survivors;
    struct scan_counts counts = {0, 0};

    for (size_t chunk = first; chunk < end; chunk++) {
        const size_t block = chunk * CHUNK;
        const size_t left = scan->layout.num_blocks - block;
        struct scan_blocks kept = stage_list(scan, 0, 0);
        size_t alive;

        if (scan->query->bound.threshold < 0)
            break;
        alive = filter_blocks(scan, &stages->stage[0], block,
                              left < CHUNK ? left : CHUNK, kept);
        for (size_t i = 0; i < alive; i++)
            if (!block_is_done(scan, kept.blocks[i]))
                verify_block(scan, kept.blocks[i], kept.sums + i * PQK_BLOCK);
        counts.alive += alive;
    }
    counts.survivors = scan->stats->survivors - survivors;
    return counts;
}

/* Filters cost more than they save when they let a quarter through. */
#define HOPELESS_SHARE 4

/* One run of chunks by the query's plan, and the choice of the next plan from
 * what was alive. */
static void run(struct scan *scan, size_t first, size_t end)
{
    struct scan_query *query = scan->query;
    const struct scan_plan *plan = &isa_plans[query->plan];
    const struct scan_stages stages = stages_of(scan, plan);
    const uint64_t blocks = (end - first) * CHUNK;
    const size_t num_plans = sizeof isa_plans / sizeof isa_plans[0];
    struct scan_counts counts;
    double share;

    counts = stages.count > 1 ? run_chunks(scan, &stages, first, end)
                              : run_chunks_at_once(scan, &stages, first, end);
    share = (double)counts.alive / (double)blocks;
    if (share > (double)plan->most && query->plan + 1 < num_plans) {
        query->plan++;
        query->moves++;
    } else if (share < (double)plan->least && query->plan > 0 &&
               query->moves < 6) {
        query->plan--;
        query->moves++;
    }
    if (counts.survivors * HOPELESS_SHARE > blocks * PQK_BLOCK)
        query->exact_chunks = 64;
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
    if (!(bound < INFINITY))
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

    if (!(bound < INFINITY))
        return 0;
    set_scale(scan, bound);
    order_columns(scan);
    scan->query->finished = scan->query->bound.threshold < 0;
    return 1;
}

/* Some chunks of one query. */
static void advance(struct scan *scan, size_t first, size_t end)
{
    struct scan_query *query = scan->query;

    if (!query->aimed || query->exact_chunks >= end - first) {
        run_exactly(scan, first, end);
        pqk_heap_tighten(scan->heap);
        if (query->aimed)
            query->exact_chunks -= (uint32_t)(end - first);
        else
            query->aimed = aim(scan);
        return;
    }
    query->exact_chunks = 0;
    run(scan, first, end);
    refresh_tables(scan);
    query->finished = query->bound.threshold < 0;
}

#endif
