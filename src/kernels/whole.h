/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Small partitions without a bound, in one stage.
 * In: all blocks.  Out: all results; or 0, with nothing done, if the scale was too
 * fine.  All bytes of all codes are summed, the k-th smallest sum gives a
 * threshold, and codes within it are verified.
 */
#ifndef PQK_KERNELS_WHOLE_H
#define PQK_KERNELS_WHOLE_H

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

/* Byte sums of all codes, by that term of all columns. */
static void sum_all(struct scan *scan, enum plan_term term)
{
    const struct pqk_layout *layout = &scan->layout;

    sum_blocks(scan, term, column(scan, 0), layout->column_stride, NULL,
               layout->num_blocks);
    rule_out_rest(scan, layout->num_blocks - 1, layout->num_vectors);
}

/*
 * Sums all columns of all codes, counts out the k-th smallest byte sum v, and
 * verifies what can be as near as that.  A byte sum v < 255 says that
 * s (S - B) (1 - e)^2 < v + M, each of the M entries having lost less than 1.
 * So k codes have S <= B + (v + M) / s, apart from roundings.  Their distances are
 * at most S + g (S + 2 N), so nothing beyond that is a result.  N is added once
 * more because a factor above 1 makes an S below 0 smaller.  Returns 0, with
 * nothing done, if v leaves no room below 255: then the guess that set the scale
 * was too low.
 */
static int scan_whole(struct scan *scan, float guess)
{
    struct scan_query *query = scan->query;
    const size_t num_blocks = scan->layout.num_blocks;
    const double num_sub_vectors = (double)scan->num_sub_vectors;
    double furthest;
    int kth;

    set_scale(scan, guess);
    sum_all(scan, ENTRIES);
    kth = rank_sums(scan->scratch->all_sums, num_blocks, scan->heap->k, 0);
    furthest = query->rounding.sum_of_minima +
               ((double)kth + num_sub_vectors) /
                   ((double)query->rounding.scale * (1.0 - 0x1p-21));
    furthest *= (1.0 + num_sub_vectors * 0x1p-23) * (1.0 + 0x1p-22);
    furthest +=
        query->rounding.below_zero * (num_sub_vectors * 0x1p-22 + 0x1p-20);
    if (kth == 255 || !(furthest < (double)MAX_FILTERED) ||
        (double)query->rounding.scale *
                widened_range(&query->rounding, scan->num_sub_vectors,
                              (float)furthest) *
                (1.0 + 0x1p-20) >=
            254.0)
        return 0;
    query->rounding.threshold = byte_threshold(
        &query->rounding, scan->num_sub_vectors, (float)furthest);
    for (size_t b = 0; b < num_blocks; b++)
        verify_block(scan, b, scan->scratch->all_sums + b * PQK_BLOCK);
    verify_pending(scan);
    return 1;
}

#endif
