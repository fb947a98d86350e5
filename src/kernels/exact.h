/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Exact sums.
 * In: positions of codes that filters let through, or all of some blocks.  Out:
 * results in the heap, and a threshold that falls with its bound.  Promised:
 * float32, in the reference's order; a filter's bits are asked before a sum, its
 * predicate after.  Never: a predicate asked of a row that is too far.
 */
#ifndef PQK_KERNELS_EXACT_H
#define PQK_KERNELS_EXACT_H

#include <string.h>

#include "kernels/bytes.h"
#include "kernels/results.h"

static inline float exact_sum_of(const struct scan *scan, size_t position,
                                 size_t num_sub_vectors)
{
    const float *row = scan->query->arrays.table;
    const uint8_t *code = column(scan, 0) + position;
    float sum = 0.0f;

#pragma GCC unroll 16
    for (size_t m = 0; m < num_sub_vectors; m++) {
        sum += row[*code];
        row += PQK_TABLE_STRIDE;
        code += scan->layout.column_stride;
    }
    return sum;
}

static float exact_sum(const struct scan *scan, size_t position)
{
    return scan->num_sub_vectors == 16
               ? exact_sum_of(scan, position, 16)
               : exact_sum_of(scan, position, scan->num_sub_vectors);
}

static uint32_t row_at(const struct scan *scan, size_t position)
{
    return pqk_layout_row(&scan->layout, scan->codes, position);
}

/* Whether the filter's bits allow a code; asked before it is summed. */
static inline int has_row(const struct scan *scan, size_t position)
{
    return !scan->filter || !scan->filter->rows ||
           pqk_filter_has_row(scan->filter, row_at(scan, position));
}

/* Bits of a section's rows by the ids of some of its positions. */
ISA_INLINE uint64_t bits_of_ids(const uint64_t *rows, const uint8_t *ids,
                                size_t id_bytes, size_t count)
{
    uint64_t bits = 0;

    for (size_t i = 0; i < count; i++, ids += id_bytes) {
        uint32_t id = (uint32_t)ids[0] | (uint32_t)ids[1] << 8;

        if (id_bytes == 3)
            id |= (uint32_t)ids[2] << 16;
        bits |= (rows[id / 64] >> id % 64 & 1) << i;
    }
    return bits;
}

/* The positions of a block whose rows the filter's bits allow. */
static uint64_t rows_of_block(const struct scan *scan, size_t block)
{
    const struct pqk_layout *layout = &scan->layout;
    const uint64_t *rows = scan->filter->rows;
    const size_t first = block * PQK_BLOCK, left = layout->num_vectors - first;
    const size_t count = left < PQK_BLOCK ? left : PQK_BLOCK;
    const uint8_t *ids = scan->codes + layout->ids + first * layout->id_bytes;

    switch (layout->id_bytes) {
    case 0:
        return rows[block] & ~(uint64_t)0 >> (PQK_BLOCK - count);
    case 2:
        return bits_of_ids(rows + (first >> 16 << 16) / 64, ids, 2, count);
    default:
        return bits_of_ids(rows + (first >> 24 << 24) / 64, ids, 3, count);
    }
}

/* Gives the heap a distance within its bound, unless the filter says no. */
static void offer_result(struct scan *scan, size_t position, float distance)
{
    const uint32_t row = row_at(scan, position);

    if (scan->filter && !pqk_filter_allows(scan->filter, row))
        return;
    pqk_top_k_heap_push(scan->heap, scan->first_id + row, distance);
}

/* A survivor's distance: a result if within the bound, which then may fall. */
static inline void decide(struct scan *scan, size_t position, float distance)
{
    const uint64_t bound = scan->heap->bound;

    scan->stats->survivors++;
    scan->query->survivors++;
    if (distance > pqk_heap_bound(scan->heap))
        return;
    offer_result(scan, position, distance);
    if (scan->heap->bound != bound)
        scan->query->rounding.threshold =
            byte_threshold(&scan->query->rounding, scan->num_sub_vectors,
                           pqk_heap_bound(scan->heap));
}

/* A position's byte sum is within the threshold: float32 decides. */
static void verify(struct scan *scan, size_t position)
{
    if (has_row(scan, position))
        decide(scan, position, exact_sum(scan, position));
}

/* Codes of a block that are summed together: columns and rows of the table are
 * found once for all of them, and no sum waits for another. */
#define TOGETHER 4

ISA_INLINE void exact_sums_of(const struct scan *scan, const uint8_t *labels,
                              const size_t lanes[TOGETHER],
                              size_t num_sub_vectors, float sums[TOGETHER])
{
    const float *row = scan->query->arrays.table;
    float sum[TOGETHER] = {0.0f};

#pragma GCC unroll 16
    for (size_t m = 0; m < num_sub_vectors; m++) {
        ISA_UNROLL
        for (int i = 0; i < TOGETHER; i++)
            sum[i] += row[labels[lanes[i]]];
        row += PQK_TABLE_STRIDE;
        labels += scan->layout.column_stride;
    }
    memcpy(sums, sum, sizeof sum);
}

/* The first few of some codes of a block, none of which a filter's bits rule out;
 * returns the others. */
static uint64_t verify_together(struct scan *scan, size_t block, uint64_t alive)
{
    const size_t first = block * PQK_BLOCK;
    const uint8_t *labels = column(scan, 0) + first;
    size_t lanes[TOGETHER] = {0}, count = 0;
    float sums[TOGETHER];

    for (; count < TOGETHER && alive != 0; alive &= alive - 1)
        lanes[count++] = (size_t)__builtin_ctzll(alive);
    if (scan->num_sub_vectors == 16)
        exact_sums_of(scan, labels, lanes, 16, sums);
    else
        exact_sums_of(scan, labels, lanes, scan->num_sub_vectors, sums);
    for (size_t i = 0; i < count; i++)
        decide(scan, first + lanes[i], sums[i]);
    return alive;
}

/* All codes, from one position to before another; returns how many. */
static size_t sum_codes(struct scan *scan, size_t first, size_t end)
{
    float bound = pqk_heap_bound(scan->heap);

    for (size_t i = first; i < end; i++) {
        float distance = exact_sum(scan, i);

        if (distance > bound)
            continue;
        offer_result(scan, i, distance);
        bound = pqk_heap_bound(scan->heap);
    }
    return end - first;
}

/* Those codes of a block whose rows the filter's bits allow. */
static size_t sum_rows_of_block(struct scan *scan, size_t block)
{
    uint64_t allowed = rows_of_block(scan, block);
    size_t count = 0;

    for (; allowed != 0; allowed &= allowed - 1, count++) {
        const size_t position =
            block * PQK_BLOCK + (size_t)__builtin_ctzll(allowed);
        const float distance = exact_sum(scan, position);

        if (!(distance > pqk_heap_bound(scan->heap)))
            offer_result(scan, position, distance);
    }
    return count;
}

/* Sums all codes of some blocks that a filter allows, with no lower bound. */
static void scan_exactly(struct scan *scan, size_t first_block,
                         size_t num_blocks)
{
    const size_t first = first_block * PQK_BLOCK;
    size_t end = first + num_blocks * PQK_BLOCK, count = 0;

    if (end > scan->layout.num_vectors)
        end = scan->layout.num_vectors;
    if (scan->filter && scan->filter->rows)
        for (size_t b = 0; b < num_blocks; b++)
            count += sum_rows_of_block(scan, first_block + b);
    else
        count = sum_codes(scan, first, end);
    scan->stats->survivors += count;
    scan->stats->bytes_read += count * scan->num_sub_vectors;
}

/* The codes of a block whose byte sums are within the threshold. */
static void verify_block(struct scan *scan, size_t block, const uint8_t *sums)
{
    uint64_t alive;

    if (scan->query->rounding.threshold < 0)
        return;
    alive = isa_alive(sums, (uint8_t)scan->query->rounding.threshold);
    if (block + 1 == scan->layout.num_blocks &&
        scan->layout.num_vectors % PQK_BLOCK != 0)
        alive &= ((uint64_t)1 << scan->layout.num_vectors % PQK_BLOCK) - 1;
    if (ISA_SUMS_TOGETHER && !(scan->filter && scan->filter->rows))
        while ((alive & (alive - 1)) != 0)
            alive = verify_together(scan, block, alive);
    for (; alive != 0; alive &= alive - 1)
        verify(scan, block * PQK_BLOCK + (size_t)__builtin_ctzll(alive));
}

#endif
