/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Small partitions without a bound, by minima of groups.
 * In: all blocks.  Out: all results; or 0, with nothing done, if the scale was too
 * fine.  Byte sums of all codes rank them; the exact distances of those that rank
 * first give a bound, which is near the last one; the others have to be within it.
 * Never: a code offered twice.
 */
#ifndef PQK_KERNELS_RANKED_H
#define PQK_KERNELS_RANKED_H

#include "kernels/whole.h"

/* A chunk of which the first stage is done, but for codes that are verified. */
static void finish_chunk(struct scan *scan, size_t chunk)
{
    const size_t first = chunk * CHUNK;
    const size_t num_blocks = blocks_of_chunk(scan, chunk);
    const int *threshold = &scan->query->rounding.threshold;
    uint8_t *sums = scan->scratch->all_sums + first * PQK_BLOCK;
    uint64_t live = 0;

    if (*threshold < 0)
        return;
    for (size_t b = 0; b < num_blocks; b++)
        live |= (uint64_t)isa_any_alive(isa_load(sums + b * PQK_BLOCK),
                                        (uint8_t)*threshold)
                << b;
    live = filter_live(scan, first, live, sums);
    for (; live != 0 && *threshold >= 0; live &= live - 1) {
        const size_t b = (size_t)__builtin_ctzll(live);

        verify_later(scan, first + b,
                     isa_alive(sums + b * PQK_BLOCK, (uint8_t)*threshold) &
                         ~scan->scratch->ranked[first + b]);
    }
    verify_pending(scan);
}

/* Sums in which so little stands for the bound let too many codes through. */
#define COARSE_SUMS 128

/* If a result is sought among fewer codes than this, most blocks stay alive: then
 * minima of 64 groups at once, which rank better than those of 16. */
#define MANY_CODES 256

/* What ranks the codes. */
static enum plan_term ranking_term(const struct scan *scan)
{
    return scan->layout.num_vectors / scan->heap->k < MANY_CODES ? MINIMA_64
                                                                 : MINIMA_16;
}

/*
 * Minima of groups of all columns for all codes; those that rank first give a
 * bound, and what 64 groups add to 16 is looked up for the blocks alive then.
 */
static int scan_ranked(struct scan *scan, float guess)
{
    static const struct plan_stage steps = {STEPS_64, 0, 16};
    struct scan_query *query = scan->query;
    const enum plan_term term = ranking_term(scan);
    float bound;

    set_scale(scan, guess);
    sum_all(scan, term);
    if (!verify_first_ranks(scan, NULL, scan->layout.num_blocks))
        return 0;
    if (!has_bound(scan->heap)) {
        verify_other_ranks(scan, NULL, scan->layout.num_blocks);
        return 1;
    }
    bound = pqk_heap_bound(scan->heap);
    query->rounding.threshold =
        byte_threshold(&query->rounding, scan->num_sub_vectors, bound);
    if (query->rounding.threshold > 253 ||
        query->rounding.threshold < COARSE_SUMS) {
        set_scale(scan, bound);
        sum_all(scan, term);
    }
    query->first_passes = 0;
    query->num_passes = 0;
    if (term == MINIMA_16) {
        order_columns(scan);
        query->num_passes = add_passes(scan, &steps, 0);
    }
    for (size_t chunk = 0; chunk * CHUNK < scan->layout.num_blocks; chunk++)
        finish_chunk(scan, chunk);
    return 1;
}

/* With more codes than this, and many of them a result, the nearest cells give a
 * bound sooner than the sums of all codes. */
#define FEW_CODES 6144

/* Whether so many codes and results want one of these ways. */
static int is_small(const struct scan *scan)
{
    const size_t num_vectors = scan->layout.num_vectors;

    if (num_vectors > WHOLE_CODES || scan->heap->k > num_vectors / 4)
        return 0;
    if (ISA_BY_GROUPS)
        return ISA_RANKS_BY_16 || ranking_term(scan) == MINIMA_64;
    return num_vectors < FEW_CODES ||
           num_vectors / scan->heap->k < MANY_CODES / 2;
}

static int scan_small(struct scan *scan)
{
    float guess;

    if (scan->filter || has_bound(scan->heap) || !is_small(scan))
        return 0;
    guess = guess_distance(scan);
    for (int attempt = 0; attempt < 3 && guess < MAX_FILTERED; attempt++) {
        if (ISA_BY_GROUPS ? scan_ranked(scan, guess) : scan_whole(scan, guess))
            return 1;
        guess += guess + (float)scan->query->rounding.below_zero;
    }
    return 0;
}

#endif
