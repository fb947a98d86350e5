/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Byte sums as ranks.
 * In: blocks, all of a partition or those listed in the scratch, and their byte
 * sums over all columns.  Out: the codes that rank first, verified, which gives a
 * bound near the last one where they are many enough; then the others within it.
 * Never: a code verified twice.
 */
#ifndef PQK_KERNELS_RANKS_H
#define PQK_KERNELS_RANKS_H

#include "kernels/stages.h"

/* Byte sums over all columns: of so many blocks one after the other, or of those
 * listed. */
static void sum_blocks(struct scan *scan, const uint8_t *columns, size_t stride,
                       const uint32_t *blocks, size_t num_blocks)
{
    uint8_t *sums = scan->scratch->all_sums;

    natural_order(scan);
    for (size_t m = 0; m < scan->num_sub_vectors;) {
        struct scan_pass pass;
        const size_t n = make_pass(scan, SINGLE_TERM, m, scan->num_sub_vectors,
                                   columns, stride, &pass);

        if (blocks)
            pass_sum_listed(&pass, blocks, num_blocks, m == 0, sums);
        else
            pass_sum(&pass, 0, num_blocks, m == 0, sums);
        m += n;
    }
    scan->stats->bytes_read += num_blocks * PQK_BLOCK * scan->num_sub_vectors;
}

/* What fills the last block up behind so many codes is never a result. */
static void rule_out_rest(struct scan *scan, size_t block, size_t num_codes)
{
    if (num_codes % PQK_BLOCK != 0)
        memset(scan->scratch->all_sums + block * PQK_BLOCK +
                   num_codes % PQK_BLOCK,
               255, PQK_BLOCK - num_codes % PQK_BLOCK);
}

static size_t count_alive(const uint8_t *sums, size_t num_blocks, int threshold)
{
#if ISA_COUNTS
    return isa_count_alive(sums, num_blocks, (uint8_t)threshold);
#else
    size_t count = 0;

#pragma GCC unroll 4
    for (size_t b = 0; b < num_blocks; b++)
        count += (size_t)__builtin_popcountll(
            isa_alive(sums + b * PQK_BLOCK, (uint8_t)threshold));
    return count;
#endif
}

/* The least sum that so many codes are within, or a greater one that no more than
 * `most` are within; 255 if it is not below that. */
static int rank_sums(const uint8_t *sums, size_t num_blocks, size_t least,
                     size_t most)
{
    int low = 0, high = 255;

    while (low < high) {
        const int middle = (low + high) / 2;
        const size_t count = count_alive(sums, num_blocks, middle);

        if (count < least)
            low = middle + 1;
        else if (count > most)
            high = middle;
        else
            return middle;
    }
    return low;
}

/* How many codes are verified first, so that k results are among them whose bound
 * rules most others out: minima of groups rank worse than entries do. */
static size_t first_ranks(size_t k)
{
    return ISA_BY_GROUPS ? k + k / 2 + 24 : k + k / 8 + 8;
}

/* Verifies the codes with the least sums, some more than k, and marks them; returns
 * 0, with nothing done, if these sums are not below 255. */
static int verify_first_ranks(struct scan *scan, const uint32_t *blocks,
                              size_t num_blocks)
{
    struct scan_work *work = scan->scratch;
    const size_t least = first_ranks(scan->heap->k);
    const int rank =
        least >= num_blocks * PQK_BLOCK
            ? 255
            : rank_sums(work->all_sums, num_blocks, least, least + least / 4);

    if (rank == 255)
        return 0;
    for (size_t i = 0; i < num_blocks; i++) {
        work->ranked[i] =
            isa_alive(work->all_sums + i * PQK_BLOCK, (uint8_t)rank);
        if (work->ranked[i] != 0)
            verify_later(scan, blocks ? blocks[i] : i, work->ranked[i]);
    }
    verify_pending(scan);
    pqk_heap_tighten(scan->heap);
    return 1;
}

/* All codes but those: their distances are no numbers to filter by. */
static void verify_other_ranks(struct scan *scan, const uint32_t *blocks,
                               size_t num_blocks)
{
    for (size_t i = 0; i < num_blocks; i++) {
        const size_t block = blocks ? blocks[i] : i;
        const size_t left = scan->layout.num_vectors - block * PQK_BLOCK;
        const uint64_t codes =
            left < PQK_BLOCK ? ((uint64_t)1 << left) - 1 : ~(uint64_t)0;

        verify_later(scan, block, codes & ~scan->scratch->ranked[i]);
    }
    verify_pending(scan);
}

/* Those of the others that are within the heap's bound. */
static void verify_ranks_within(struct scan *scan, const uint32_t *blocks,
                                size_t num_blocks)
{
    const struct scan_work *work = scan->scratch;
    const int *threshold = &scan->query->rounding.threshold;

    for (size_t i = 0; i < num_blocks && *threshold >= 0; i++) {
        const uint64_t others =
            isa_alive(work->all_sums + i * PQK_BLOCK, (uint8_t)*threshold) &
            ~work->ranked[i];

        if (others != 0)
            verify_later(scan, blocks ? blocks[i] : i, others);
    }
    verify_pending(scan);
}

#endif
