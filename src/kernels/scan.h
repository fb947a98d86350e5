/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The scan of prepared codes, one partition and some queries at a time.
 *
 * A query's table is rounded down to bytes such that a sum of 253 stands for the
 * distance that a code must not exceed to be a result (bytes.h).  Sums of bytes
 * over some columns, or over minima of groups of centroids, are lower bounds of the
 * distance (rounding.h proves it); codes above the threshold are dropped without
 * ever being looked at in float32, and blocks of 64 that are all dropped cost no
 * more columns (stages.h).  What is left is summed in the reference's order
 * (exact.h).  Nothing is approximated.
 *
 * A query that has no bound yet gets one first (first.h); a small partition's
 * codes are all summed in bytes and ranked (ranked.h).  Then all chunks
 * of blocks go through the stages of a plan (plan.h), in runs, after each of which
 * the plan may change and tables be made anew.
 */
#ifndef PQK_KERNELS_SCAN_H
#define PQK_KERNELS_SCAN_H

#include "kernels/first.h"
#include "kernels/ranked.h"

static void run_exactly(struct scan *scan, size_t first, size_t end)
{
    size_t end_block = end * CHUNK;

    if (end_block > scan->layout.num_blocks)
        end_block = scan->layout.num_blocks;
    for (size_t block = first * CHUNK; block < end_block; block++)
        if (!block_is_done(scan, block))
            scan_exactly(scan, block, 1);
}

/* A threshold for the heap's bound, and bytes that are fine enough for it; returns
 * 0 if there is no bound. */
static int follow_bound(struct scan *scan)
{
    struct rounding *rounding = &scan->query->rounding;
    const float bound = pqk_heap_bound(scan->heap);
    const int coarse = scan->layout.num_vectors > WHOLE_CODES
                           ? COARSE_THRESHOLD
                           : COARSE_FOR_FEW_CODES;

    if (!(bound < MAX_FILTERED))
        return 0;
    rounding->threshold =
        byte_threshold(rounding, scan->num_sub_vectors, bound);
    if (!(rounding->scale > 0.0f) ||
        (rounding->threshold >= 0 && rounding->threshold < coarse) ||
        rounding->threshold > 253)
        set_scale(scan, bound);
    return 1;
}

static void refresh_tables(struct scan *scan)
{
    struct scan_query *query = scan->query;
    const float scale = query->rounding.scale;

    tighten_soon(scan->heap);
    if (follow_bound(scan) && query->rounding.scale != scale)
        set_plan(scan, query->plan);
}

/* Makes byte tables, an order of columns and passes for the bound; returns 0 if
 * there is none.  Bytes that are kept from another partition keep their order. */
static int aim(struct scan *scan)
{
    const float scale = scan->query->rounding.scale;

    if (!follow_bound(scan))
        return 0;
    if (!scan->query->is_ordered || scan->query->rounding.scale != scale)
        order_columns(scan);
    set_plan(scan, scan->query->plan);
    scan->query->finished = scan->query->rounding.threshold < 0;
    return 1;
}

/* Sums the codes of some chunks without filtering; then there may be a bound. */
static void skip_filter(struct scan *scan, size_t first, size_t end)
{
    struct scan_query *query = scan->query;

    run_exactly(scan, first, end);
    pqk_heap_tighten(scan->heap);
    if (query->aimed)
        query->unfiltered_chunks -= (uint32_t)(end - first);
    else
        query->aimed = aim(scan);
}

/* A run is some chunks of one query by one plan. */
static void begin_run(struct scan *scan, size_t first, size_t end)
{
    struct scan_query *query = scan->query;

    query->is_filtering = 0;
    if (query->finished)
        return;
    if (!query->aimed || query->unfiltered_chunks >= end - first) {
        skip_filter(scan, first, end);
        return;
    }
    query->is_filtering = 1;
    query->unfiltered_chunks = 0;
    query->live_blocks = 0;
    query->survivors = 0;
}

/* If more than one code in so many gets through, filtering costs more than it
 * saves. */
#define HOPELESS_SHARE 4

/* A run's plan let too many codes through: one that rules out more takes its place,
 * first that before the last, which is quicker where it will do; after the last,
 * nothing is filtered for a while. */
static void lose_hope(struct scan *scan)
{
    uint32_t next = scan->query->plan;

    if (scan->plans[next].max_alive >= LAST) {
        scan->query->unfiltered_chunks = 64;
        return;
    }
    do
        next++;
    while (scan->plans[next].max_alive < 1.0f);
    set_plan(scan, next);
}

/* Chooses the next run's plan by what was alive in this one. */
static void end_run(struct scan *scan, size_t first, size_t end)
{
    struct scan_query *query = scan->query;
    const struct plan *plan = &scan->plans[query->plan];
    const uint64_t blocks = (end - first) * CHUNK;
    const double share = (double)query->live_blocks / (double)blocks;

    if (!query->is_filtering)
        return;
    if (end * CHUNK >=
        scan->layout.num_blocks) { /* nothing is left to plan for */
        tighten_soon(scan->heap);
        return;
    }
    if (share > (double)plan->max_alive) {
        set_plan(scan, query->plan + 1);
        query->plan_changes++;
    } else if (share < (double)plan->min_alive && query->plan > 0 &&
               query->plan_changes < 6) {
        set_plan(scan, query->plan - 1);
        query->plan_changes++;
    }
    if (query->survivors * HOPELESS_SHARE > blocks * PQK_BLOCK)
        lose_hope(scan);
    refresh_tables(scan);
    query->finished = query->rounding.threshold < 0;
}

/* If a filter allows fewer than one row in so many, finding those rows and summing
 * them is faster than byte sums of all. */
#define SPARSE_SHARE 64

/* Whether byte sums would not pay, or a row of the table has no finite minimum. */
static int wants_no_filter(const struct scan *scan)
{
    return scan->num_allowed <= 2 * PQK_BLOCK ||
           scan->num_allowed < scan->layout.num_vectors / SPARSE_SHARE ||
           (scan->heap->k > scan->num_allowed / 2 && !has_bound(scan->heap)) ||
           !has_minima(&scan->query->rounding);
}

/* With others a thread sums exactly what it takes, too. */
static void sum_exactly(struct scan *scan)
{
    struct scan_query *query = scan->query;

    if (!scan->share) {
        scan_exactly(scan, 0, scan->layout.num_blocks);
        return;
    }
    query->aimed = 1;
    query->unfiltered_chunks = UINT32_MAX;
    query->finished = 0;
}

/* Of several threads each finds the first bound for itself, and what it scanned for
 * that is scanned again by whoever takes it: so the results are there once.  A heap
 * that has some of earlier partitions is not to forget those: then runs without a
 * filter bring the bound. */
static void find_first_bound(struct scan *scan)
{
    const uint64_t survivors = scan->stats->survivors;

    if (scan->share && scan->heap->length > 0)
        return;
    if (scan->layout.num_cells > 0)
        probe_nearest_cells(scan);
    else
        probe_first_blocks(scan);
    if (!scan->share)
        return;
    scan->stats->survivors = survivors;
    scan->heap->length = 0;
    scan->query->done_blocks = 0;
    memset(scan->query->done_cells, 0, (scan->layout.num_cells + 7) / 8);
}

/* All that comes before the stages: exact sums, a whole scan, or a first bound. */
static void begin_query(struct scan *scan)
{
    struct scan_query *query = scan->query;
    const struct pqk_layout *layout = &scan->layout;

    lay_out_query((uintptr_t)query, scan->num_sub_vectors,
                  scan->codebook->sub_vector_dim, &query->arrays);
    query->plan = 0;
    query->plan_changes = 0;
    query->unfiltered_chunks = 0;
    query->done_blocks = 0;
    query->aimed = 0;
    query->finished = 1;
    memset(query->done_cells, 0, (layout->num_cells + 7) / 8);
    if (!has_bound(scan->heap)) /* it had one when its table was made */
        make_exact(scan);
    if (scan->heap->k == 0 || scan->num_allowed == 0)
        return;
    if (wants_no_filter(scan)) {
        sum_exactly(scan);
        return;
    }
    if (!scan->share && scan_small(scan)) {
        query->aimed = 1;
        return;
    }
    query->finished = 0;
    if (!has_bound(scan->heap))
        find_first_bound(scan);
    query->aimed = aim(scan);
}

static uint32_t bound_groups(const struct scan *scan)
{
    const struct scan_query *query = scan->query;

    if (!query->aimed || query->unfiltered_chunks > 0)
        return 0;
    switch (scan->plans[query->plan].stages[0].term) {
    case MINIMA_16:
        return 16;
    case MINIMA_64:
        return 64;
    case MINIMA_128:
        return 128;
    default:
        return 256;
    }
}

/* Runs are short at first, while thresholds fall and plans change, and then grow up
 * to this. */
#define MAX_RUN_CHUNKS 16

/* Runs chunk after chunk, and each chunk for all queries: the first query fetches
 * it from memory, the others find it in the second-level cache. */
static void run(struct scan *scan, size_t first, size_t end, size_t num_queries)
{
    for (size_t q = 0; q < num_queries; q++) {
        take_query(scan, q);
        begin_run(scan, first, end);
    }
    for (size_t chunk = first; chunk < end; chunk++)
        for (size_t q = 0; q < num_queries; q++) {
            take_query(scan, q);
            if (scan->query->is_filtering)
                run_chunk(scan, chunk);
        }
    for (size_t q = 0; q < num_queries; q++) {
        take_query(scan, q);
        end_run(scan, first, end);
    }
}

/* The chunks of the next run, which is at most so long; 0 if there are none. */
static int next_run(const struct scan *scan, size_t num_chunks, size_t step,
                    size_t *first, size_t *end)
{
    if (scan->share)
        return pqk_share_take(scan->share, step, first, end);
    *first = *end;
    *end = num_chunks - *first < step ? num_chunks : *first + step;
    return *first < num_chunks;
}

_Static_assert(PQK_PIECE == (size_t)CHUNK * PQK_BLOCK, "pieces are chunks");

/* Returns how many codes that were. */
static size_t run_all(struct scan *scan, size_t num_queries)
{
    const size_t num_vectors = scan->layout.num_vectors;
    const size_t num_chunks = pqk_pieces_of(num_vectors);
    size_t step = num_chunks / 64 + 1, first = 0, end = 0, count = 0;

    while (next_run(scan, num_chunks, step, &first, &end)) {
        run(scan, first, end, num_queries);
        count += (end == num_chunks ? num_vectors : end * PQK_PIECE) -
                 first * PQK_PIECE;
        if (step < MAX_RUN_CHUNKS)
            step *= 2;
    }
    return count;
}

/* How many rows the bits of a filter allow. */
static size_t count_allowed(const struct pqk_filter *filter, size_t num_vectors)
{
    size_t count = 0;

    if (!filter || !filter->rows)
        return num_vectors;
    for (size_t i = 0; i < num_vectors / 64; i++)
        count += (size_t)__builtin_popcountll(filter->rows[i]);
    if (num_vectors % 64 > 0)
        count += (size_t)__builtin_popcountll(
            filter->rows[num_vectors / 64] &
            (((uint64_t)1 << num_vectors % 64) - 1));
    return count;
}

/* Of few codes that are scanned after others, as one list after another is, each
 * pass is too short to be worth the wait for its first blocks.  Codes that are
 * scanned again and again, or by a batch, are near; and where there are many, the
 * passes overlap. */
static int wants_fetching(size_t num_vectors, size_t num_queries,
                          const pqk_top_k_heap *heaps)
{
    return num_queries == 1 && num_vectors <= WHOLE_CODES && has_bound(heaps);
}

static void scan_probe(const void *prepared_codebook, const void *codes,
                       size_t num_vectors, uint32_t first_id,
                       const struct pqk_filter *filter, void *tables,
                       size_t num_queries, pqk_top_k_heap *heaps,
                       pqk_search_stats *stats, struct pqk_share *share)
{
    const struct pqk_layout_codebook *codebook = prepared_codebook;
    struct scan scan = {
        .codebook = codebook,
        .vectors = pqk_layout_rounded_of(codebook).vectors,
        .num_sub_vectors = codebook->num_sub_vectors,
        .layout = pqk_layout_of(codebook->num_sub_vectors, num_vectors),
        .codes = codes,
        .first_id = first_id,
        .scratch = tables,
        .queries = queries_in(tables),
        .query_bytes =
            query_bytes(codebook->num_sub_vectors, codebook->sub_vector_dim),
        .heaps = heaps,
        .plans = ISA_PLANS(num_queries, codebook->cpu,
                           num_vectors <= WHOLE_CODES && !has_bound(heaps)),
        .fetches = wants_fetching(num_vectors, num_queries, heaps),
        .filter = filter,
        .num_allowed = count_allowed(filter, num_vectors),
        .stats = stats,
        .share = share};

    list_sought(&scan);
    for (size_t q = 0; q < num_queries; q++) {
        take_query(&scan, q);
        begin_query(&scan);
    }
    stats->codes += (uint64_t)run_all(&scan, num_queries) * num_queries;
    stats->bound_groups = bound_groups(&scan);
}

#endif
