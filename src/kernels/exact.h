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
#include "kernels/table.h"

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

/* Lists the rows that the filter's bits allow, if they are few. */
static void list_sought(struct scan *scan)
{
    const size_t words = (scan->layout.num_vectors + 63) / 64;

    if (scan->num_allowed > MAX_SOUGHT || !scan->filter || !scan->filter->rows)
        return;
    for (size_t i = 0; i < words; i++)
        for (uint64_t bits = scan->filter->rows[i];
             bits != 0 && scan->num_sought < scan->num_allowed;
             bits &= bits - 1)
            scan->sought[scan->num_sought++] =
                (uint16_t)(i * 64 + (size_t)__builtin_ctzll(bits));
}

/* Bytes that are compared together: any number divides the ids of a block. */
typedef uint8_t ids_u8 __attribute__((vector_size(32), aligned(1), may_alias));

/* Whether two bytes of a block's ids that follow each other are the low ones of a
 * row that is sought, as by chance they are in one of 340 blocks for each row.
 * Reads one byte behind the block's ids. */
static int may_hold_sought(const struct scan *scan, const uint8_t *ids)
{
    const size_t bytes = scan->layout.id_bytes * PQK_BLOCK;
    ids_u8 found = {0};
    uint64_t words[sizeof found / sizeof(uint64_t)];

    for (size_t i = 0; i < scan->num_sought; i++) {
        const uint8_t low = (uint8_t)scan->sought[i];
        const uint8_t high = (uint8_t)(scan->sought[i] >> 8);

        for (size_t at = 0; at < bytes; at += sizeof found)
            found |= (ids_u8)(*(const ids_u8 *)(ids + at) == low) &
                     (ids_u8)(*(const ids_u8 *)(ids + at + 1) == high);
    }
    memcpy(words, &found, sizeof words);
    return (words[0] | words[1] | words[2] | words[3]) != 0;
}

/* An id of 2 or 3 bytes, the last ones of 4: before the first id are codes. */
ISA_INLINE uint32_t id_at(const uint8_t *id, size_t id_bytes)
{
    uint32_t four;

    memcpy(&four, id + id_bytes - sizeof four, sizeof four);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    four = __builtin_bswap32(four);
#endif
    return four >> (32 - 8 * id_bytes);
}

/* Bits of a section's rows by the ids of some of its positions, the last one
 * first. */
ISA_INLINE uint64_t bits_of_ids(const uint64_t *rows, const uint8_t *ids,
                                size_t id_bytes, size_t count)
{
    uint64_t bits = 0;

#pragma GCC unroll 4
    for (size_t i = count; i-- > 0;) {
        const uint32_t id = id_at(ids + i * id_bytes, id_bytes);

        bits = 2 * bits + (rows[id / 64] >> id % 64 & 1);
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

    if (scan->num_sought > 0 && layout->id_bytes > 0 && left > PQK_BLOCK &&
        !may_hold_sought(scan, ids))
        return 0;
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

/* Codes that are summed together: rows of the table are found once for all of them,
 * and no sum waits for another. */
#define TOGETHER 4

/* The sums of codes at some distances from the first one of some columns. */
ISA_INLINE void exact_sums_of(const struct scan *scan, const uint8_t *labels,
                              size_t stride, const uint32_t offsets[TOGETHER],
                              size_t num_sub_vectors, float sums[TOGETHER])
{
    const float *row = scan->query->arrays.table;
    float sum[TOGETHER] = {0.0f};

#pragma GCC unroll 16
    for (size_t m = 0; m < num_sub_vectors; m++) {
        ISA_UNROLL
        for (int i = 0; i < TOGETHER; i++)
            sum[i] += row[labels[offsets[i]]];
        row += PQK_TABLE_STRIDE;
        labels += stride;
        ISA_FORGET(row);
        ISA_FORGET(labels);
    }
    memcpy(sums, sum, sizeof sum);
}

ISA_INLINE void exact_sums(const struct scan *scan, const uint8_t *labels,
                           size_t stride, const uint32_t offsets[TOGETHER],
                           float sums[TOGETHER])
{
    if (scan->num_sub_vectors == 16)
        exact_sums_of(scan, labels, stride, offsets, 16, sums);
    else
        exact_sums_of(scan, labels, stride, offsets, scan->num_sub_vectors,
                      sums);
}

/* The results among what is pending, one by one; the bound may fall. */
static void offer_each(struct scan *scan, const float *sums, size_t count)
{
    float bound = pqk_heap_bound(scan->heap);

    for (size_t i = 0; i < count; i++) {
        if (sums[i] > bound)
            continue;
        offer_result(scan, scan->scratch->pending[i], sums[i]);
        bound = pqk_heap_bound(scan->heap);
    }
}

/* The same without a filter, where the heap has room for all of them. */
static void offer_all(struct scan *scan, const float *sums, size_t count)
{
    pqk_top_k_heap *heap = scan->heap;
    size_t length = heap->length;

    for (size_t i = 0; i < count; i++) {
        const uint32_t row = row_at(scan, scan->scratch->pending[i]);

        length = pqk_heap_put(heap, length,
                              pqk_result_key(sums[i], scan->first_id + row));
    }
    heap->length = length;
}

/* The results among what is pending; the threshold falls with the bound. */
static void offer_pending(struct scan *scan, const float *sums, size_t count)
{
    struct rounding *rounding = &scan->query->rounding;
    const uint64_t before = scan->heap->bound;

    if (!scan->filter && !pqk_heap_has_room(scan->heap, count))
        pqk_heap_tighten(scan->heap);
    if (!scan->filter && pqk_heap_has_room(scan->heap, count))
        offer_all(scan, sums, count);
    else
        offer_each(scan, sums, count);
    if (scan->heap->bound != before)
        rounding->threshold = byte_threshold(rounding, scan->num_sub_vectors,
                                             pqk_heap_bound(scan->heap));
}

/* Keeps of what is pending the codes whose sums are at most that, without a branch;
 * returns how many.  The ids of the others are not read: they lie far from each
 * other. */
static size_t keep_within(struct scan *scan, float *sums, size_t count,
                          float most)
{
    uint32_t *pending = scan->scratch->pending;
    size_t within = 0;

    for (size_t i = 0; i < count; i++) {
        const float sum = sums[i];

        pending[within] = pending[i];
        sums[within] = sum;
        within += (size_t) !(sum > most);
    }
    return within;
}

/* Distances in place of estimates that are small enough; returns how many. */
static size_t decode_pending(struct scan *scan, float *sums, size_t count)
{
    const float most =
        most_estimated(&scan->query->rounding, scan->num_sub_vectors,
                       pqk_heap_bound(scan->heap));
    const uint32_t *pending = scan->scratch->pending;

    count = keep_within(scan, sums, count, most);
    for (size_t i = 0; i < count; i += DECODED) {
        uint32_t positions[DECODED];
        float distances[DECODED];

        for (size_t j = 0; j < DECODED; j++)
            positions[j] = pending[i + j < count ? i + j : i];
        decode_distances(scan, positions, distances);
        for (size_t j = 0; j < DECODED && i + j < count; j++)
            sums[i + j] = distances[j];
    }
    return count;
}

/* Sums what is pending, and only then decides: a decision that a processor guessed
 * wrong is found out when its sum is there, which so many sums ahead it is. */
static void verify_pending(struct scan *scan)
{
    uint32_t *pending = scan->scratch->pending;
    const size_t count = scan->num_pending;
    size_t left = count;
    float sums[MAX_PENDING + TOGETHER];

    if (count == 0)
        return;
    for (size_t i = 0; i < TOGETHER; i++)
        pending[count + i] = pending[0];
    for (size_t i = 0; i < count; i += TOGETHER)
        exact_sums(scan, column(scan, 0), scan->layout.column_stride,
                   pending + i, sums + i);
    if (scan->query->estimates)
        left = decode_pending(scan, sums, count);
    left = keep_within(scan, sums, left, pqk_heap_bound(scan->heap));
    offer_pending(scan, sums, left);
    scan->stats->survivors += count;
    scan->query->survivors += count;
    scan->num_pending = 0;
}

/* Some codes of a block are to be verified, at the latest by the end of a chunk:
 * those that the filter's bits allow. */
static void verify_later(struct scan *scan, size_t block, uint64_t codes)
{
    uint32_t *pending = scan->scratch->pending;
    size_t count = scan->num_pending;

    for (; codes != 0; codes &= codes - 1) {
        const size_t position =
            block * PQK_BLOCK + (size_t)__builtin_ctzll(codes);

        pending[count] = (uint32_t)position;
        count += (size_t)has_row(scan, position);
    }
    scan->num_pending = count;
    if (count > MAX_PENDING - PQK_BLOCK)
        verify_pending(scan);
}

/* All codes, from one position to before another; returns how many.  Columns are
 * filled up to whole blocks: some behind the last code may be summed in vain. */
static size_t sum_codes(struct scan *scan, size_t first, size_t end)
{
    static const uint32_t next[TOGETHER] = {0, 1, 2, 3};
    float bound = pqk_heap_bound(scan->heap), sums[TOGETHER];

    for (size_t i = first; i < end; i += TOGETHER) {
        exact_sums(scan, column(scan, 0) + i, scan->layout.column_stride, next,
                   sums);
        for (size_t j = 0; j < TOGETHER && i + j < end; j++) {
            if (sums[j] > bound)
                continue;
            offer_result(scan, i + j, sums[j]);
            bound = pqk_heap_bound(scan->heap);
        }
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

    make_exact(scan);
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
    verify_later(scan, block, alive);
}

#endif
