/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A query's table in bytes.
 * In: its float32 table and a distance beyond which nothing is wanted.  Out: bytes,
 * scaled such that a sum of 253 stands for that distance; the minima of groups that
 * the plans look up, and what those lack; and the order of the columns, those that
 * rule out most first.  Promised: rounding.h's proof holds for every sum of them.
 * Never: a byte too large.
 */
#ifndef PQK_KERNELS_BYTES_H
#define PQK_KERNELS_BYTES_H

#include "kernels/query.h"
#include "kernels/results.h"

/* Byte tables lose resolution as the threshold falls: then they are made anew.  For
 * few codes that takes longer than what it saves. */
#define COARSE_THRESHOLD     226
#define COARSE_FOR_FEW_CODES 120

/* Selects the k best once there are an eighth more: for a large k a selection takes
 * longer than what a slightly lower bound saves. */
static void tighten_soon(pqk_top_k_heap *heap)
{
    if (heap->length > heap->k + heap->k / 8)
        pqk_heap_tighten(heap);
}

/* The minima of entries whose numbers share the 7 low bits.  At -O2 compilers
 * vectorize this loop and the next ones only if nothing can overlap. */
static void find_minima_128(const uint8_t *restrict bytes,
                            uint8_t *restrict minima_128)
{
    for (size_t i = 0; i < 128; i++)
        minima_128[i] = bytes[i] < bytes[i + 128] ? bytes[i] : bytes[i + 128];
}

/* The minima of entries whose numbers share the 6 low bits. */
static void find_minima_64(const uint8_t *restrict bytes,
                           uint8_t *restrict minima_64)
{
    for (size_t i = 0; i < 64; i++) {
        uint8_t a = bytes[i] < bytes[i + 64] ? bytes[i] : bytes[i + 64];
        uint8_t b =
            bytes[i + 128] < bytes[i + 192] ? bytes[i + 128] : bytes[i + 192];
        minima_64[i] = a < b ? a : b;
    }
}

/* The minima of those whose numbers share the 4 low bits. */
static void find_minima_16(const uint8_t *restrict minima_64,
                           uint8_t *restrict minima_16)
{
    for (size_t i = 0; i < 16; i++) {
        uint8_t a =
            minima_64[i] < minima_64[i + 16] ? minima_64[i] : minima_64[i + 16];
        uint8_t b = minima_64[i + 32] < minima_64[i + 48] ? minima_64[i + 32]
                                                          : minima_64[i + 48];
        minima_16[i] = a < b ? a : b;
    }
}

/* What the minima of so many groups lack of the entries.  16 at a time, because
 * compilers do not vectorize the plain loop. */
ISA_INLINE void find_rests(const uint8_t *bytes, const uint8_t *minima,
                           size_t num_groups, size_t num_entries,
                           uint8_t *rests)
{
    typedef uint8_t sixteen __attribute__((vector_size(16), may_alias));

    for (size_t i = 0; i < num_entries; i += 16)
        *(sixteen *)(rests + i) = *(const sixteen *)(bytes + i) -
                                  *(const sixteen *)(minima + i % num_groups);
}

/* What a term looks up in column m, from its bytes.  STEPS and RESTS want the
 * minima that they belong to. */
static void find_term(const struct scan_arrays *arrays, enum plan_term term,
                      size_t m)
{
    const uint8_t *bytes = arrays->bytes + m * 256;
    uint8_t *minima_16 = arrays->minima_16 + m * 16;
    uint8_t *minima_64 = arrays->minima_64 + m * 64;

    switch (term) {
    case MINIMA_128:
        find_minima_128(bytes, arrays->minima_128 + m * 128);
        break;
    case MINIMA_64:
        if (!ISA_FLOAT_GROUPS)
            find_minima_64(bytes, minima_64);
        break;
    case MINIMA_16:
        if (!ISA_FLOAT_GROUPS)
            find_minima_64(bytes, minima_64);
        find_minima_16(minima_64, minima_16);
        break;
    case STEPS_64:
        find_rests(minima_64, minima_16, 16, 64, arrays->steps_64 + m * 64);
        break;
    case RESTS_64:
        find_rests(bytes, minima_64, 64, 256, arrays->rests_64 + m * 256);
        break;
    case ENTRIES:
        break;
    }
}

static void find_bytes(const struct scan *scan, size_t m)
{
    const struct scan_arrays *arrays = &scan->query->arrays;

    isa_quantize(arrays->table + m * 256, 256, arrays->row_minima[m],
                 scan->query->rounding.scale, arrays->bytes + m * 256);
    arrays->has_bytes[m] = 1;
}

/* Bytes for that scale.  What passes look up is found when they are made.  Rounding
 * keeps order: the byte of a group's minimum is the minimum of its bytes. */
static void set_scale(struct scan *scan, float distance)
{
    choose_scale(&scan->query->rounding, scan->num_sub_vectors, distance);
    for (size_t m = 0; m < scan->num_sub_vectors; m++) {
#if ISA_FLOAT_GROUPS
        const struct scan_arrays *arrays = &scan->query->arrays;

        isa_quantize(arrays->group_minima + m * 64, 64, arrays->row_minima[m],
                     scan->query->rounding.scale, arrays->minima_64 + m * 64);
        arrays->has_bytes[m] = 0;
#else
        find_bytes(scan, m);
#endif
    }
}

/* Minima of groups are there without, if they are found in float32. */
static int wants_bytes(enum plan_term term)
{
    return !ISA_FLOAT_GROUPS ||
           (term != MINIMA_64 && term != MINIMA_16 && term != STEPS_64);
}

/* What passes look up in a column by that term. */
static void find_tables(const struct scan *scan, enum plan_term term, size_t m)
{
    if (wants_bytes(term) && !scan->query->arrays.has_bytes[m])
        find_bytes(scan, m);
    find_term(&scan->query->arrays, term, m);
}

/* How much a column rules out. */
static uint32_t weigh_column(const struct scan_arrays *arrays,
                             const uint8_t *weights, size_t m)
{
#if ISA_FLOAT_GROUPS
    if (!arrays->has_bytes[m])
        return isa_weigh_64(arrays->minima_64 + m * 64, weights + m * 256);
#endif
    return isa_weigh(arrays->bytes + m * 256, weights + m * 256);
}

static void natural_order(const struct scan *scan)
{
    scan->query->is_ordered = 0;
    for (size_t m = 0; m < scan->num_sub_vectors; m++)
        scan->query->arrays.order[m] = (uint16_t)m;
}

/* Columns whose bytes are large on average drop codes early. */
static void order_columns(const struct scan *scan)
{
    const struct scan_arrays *arrays = &scan->query->arrays;
    const uint8_t *weights = scan->codes + scan->layout.weights;

    natural_order(scan);
    if (scan->layout.weights == 0)
        return;
    for (size_t i = 0; i < scan->num_sub_vectors; i++) {
        const uint32_t weight = weigh_column(arrays, weights, i);
        size_t at = i;

        for (; at > 0 && arrays->column_weights[at - 1] < weight; at--) {
            arrays->column_weights[at] = arrays->column_weights[at - 1];
            arrays->order[at] = arrays->order[at - 1];
        }
        arrays->column_weights[at] = weight;
        arrays->order[at] = (uint16_t)i;
    }
    scan->query->is_ordered = 1;
}

#endif
