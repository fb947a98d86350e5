/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Small partitions without a bound, whole.
 * In: all blocks.  Out: all results; or 0, with nothing done, if the scale was too
 * fine.  Byte sums of all codes rank them; the exact distances of those that rank
 * first give a bound, which is near the last one; the others have to be within it.
 * Never: a code offered twice.
 */
#ifndef PQK_KERNELS_RANKED_H
#define PQK_KERNELS_RANKED_H

#include "kernels/ranks.h"

#define SAMPLE 64

/*
 * A distance of the order of the k-th: that rank among some codes.  Two ranks more
 * where the k-th is among them, since a guess that is too low costs a second sum of
 * everything; minima of groups rank so badly that it is too low even where not.
 */
static float guess_distance(const struct scan *scan)
{
    const size_t num_vectors = scan->layout.num_vectors;
    const size_t sample = num_vectors < SAMPLE ? num_vectors : SAMPLE;
    const size_t step = num_vectors / sample;
    size_t rank = scan->heap->k * sample / num_vectors;
    float nearest[SAMPLE];

    if (ISA_BY_GROUPS || rank > 0)
        rank += 2;
    for (size_t i = 0; i < sample; i++) {
        const float distance = exact_sum(scan, i * step);
        size_t at = i < rank ? i : rank;

        if (i > rank && !(distance < nearest[rank]))
            continue;
        for (; at > 0 && !(nearest[at - 1] <= distance); at--)
            nearest[at] = nearest[at - 1];
        nearest[at] = distance;
    }
    /* k is at most a quarter of the codes (scan_small), so rank is below sample. */
    /* cppcheck-suppress uninitvar */
    return nearest[rank];
}

/* Byte sums of all codes. */
static void sum_all(struct scan *scan)
{
    const struct pqk_layout *layout = &scan->layout;

    sum_blocks(scan, column(scan, 0), layout->column_stride, NULL,
               layout->num_blocks);
    rule_out_rest(scan, layout->num_blocks - 1, layout->num_vectors);
}

/* Sums in which so little stands for the bound let too many codes through. */
#define COARSE_SUMS 128

/*
 * One term of all columns for all codes.  Those that rank first give a bound, which
 * the others have to be within.
 */
static int scan_ranked(struct scan *scan, float guess)
{
    struct rounding *rounding = &scan->query->rounding;
    const size_t num_blocks = scan->layout.num_blocks;
    float bound;

    set_scale(scan, guess);
    sum_all(scan);
    if (!verify_first_ranks(scan, NULL, num_blocks))
        return 0;
    if (!has_bound(scan->heap)) {
        verify_other_ranks(scan, NULL, num_blocks);
        return 1;
    }
    bound = pqk_heap_bound(scan->heap);
    rounding->threshold =
        byte_threshold(rounding, scan->num_sub_vectors, bound);
    if (rounding->threshold > 253 || rounding->threshold < COARSE_SUMS) {
        set_scale(scan, bound);
        sum_all(scan);
    }
    verify_ranks_within(scan, NULL, num_blocks);
    return 1;
}

/* From so many codes on, and unless one in so few is a result, so that most blocks
 * are alive whatever the bound is, the nearest cells give a bound sooner. */
#define MANY_CODES       6144
#define CODES_PER_RESULT (ISA_BY_GROUPS ? 256 : 128)

/* Whether to do so with so many codes and results. */
static int is_small(const struct scan *scan)
{
    const size_t num_vectors = scan->layout.num_vectors, k = scan->heap->k;

    return num_vectors <= WHOLE_CODES && k <= num_vectors / 4 &&
           (num_vectors < MANY_CODES || scan->layout.num_cells == 0 ||
            num_vectors / k < CODES_PER_RESULT);
}

static int scan_small(struct scan *scan)
{
    float guess;

    if (scan->filter || has_bound(scan->heap) || !is_small(scan))
        return 0;
    guess = guess_distance(scan);
    for (int attempt = 0; attempt < 3 && guess < MAX_FILTERED; attempt++) {
        if (scan_ranked(scan, guess))
            return 1;
        guess += guess + (float)scan->query->rounding.below_zero;
    }
    return 0;
}

#endif
