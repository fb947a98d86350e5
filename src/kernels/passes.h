/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Passes over columns of labels, in terms of what each instruction set defines
 * before it includes this:
 *
 *   isa_bytes                          64 bytes in registers, of a block
 *   isa_load(from), isa_store(to, bytes)
 *   isa_add(sums, terms)               byte by byte, saturating at 255
 *   isa_any_alive(sums, threshold)     1 if a byte is <= threshold, else 0
 *   struct isa_table                   a table, in registers if it fits
 *   isa_load_table(kind, from)
 *   isa_look_up(kind, labels, table)
 *   isa_columns_at_once(kind)          1, 2, 4 or 8: tables that stay in registers
 *   ISA_USES_128                       1 if it looks 128 entries up, else 0
 *
 * Every loop below is compiled for each kind of table, number of columns and so
 * on as constants.  Saturating adds of numbers that are not negative give
 * min(255, sum) in any order, so columns may be added up as it suits.
 */
#ifndef PQK_KERNELS_PASSES_H
#define PQK_KERNELS_PASSES_H

#include "kernels/scan_ops.h"

/* A pass that has begun: its tables are loaded. */
struct isa_pass {
    struct isa_table tables[PASS_COLUMNS];
    const uint8_t *columns[PASS_COLUMNS];
};

SCAN_INLINE struct isa_pass isa_begin(const struct scan_pass *pass,
                                      size_t offset, enum scan_table kind,
                                      unsigned n)
{
    struct isa_pass begun = {0};

    SCAN_UNROLL
    for (unsigned j = 0; j < n; j++) {
        begun.tables[j] = isa_load_table(kind, pass->tables[j]);
        begun.columns[j] = pass->columns[j] + offset;
    }
    return begun;
}

/* The look-ups of a block in n columns, added up. */
SCAN_INLINE isa_bytes isa_sum(const struct isa_pass *pass, enum scan_table kind,
                              unsigned n, size_t offset)
{
    isa_bytes sum = isa_look_up(kind, isa_load(pass->columns[0] + offset),
                                &pass->tables[0]);

    SCAN_UNROLL
    for (unsigned j = 1; j < n; j++)
        sum =
            isa_add(sum, isa_look_up(kind, isa_load(pass->columns[j] + offset),
                                     &pass->tables[j]));
    return sum;
}

/* The same, in a pass from one end to the other. */
SCAN_INLINE isa_bytes isa_next_sum(const struct isa_pass *pass,
                                   enum scan_table kind, unsigned n,
                                   size_t offset)
{
    SCAN_UNROLL
    for (unsigned j = 0; j < n; j++)
        scan_prefetch(pass->columns[j] + offset);
    return isa_sum(pass, kind, n, offset);
}

/*
 * The three loops.  `first`, a constant, says that sums begin at 0.  Every block
 * has its own place for sums and its own bit for being alive: what a block gets
 * hangs on nothing that another one did.
 */
SCAN_INLINE void isa_dense_loop(const struct scan_pass *pass,
                                enum scan_table kind, unsigned n,
                                size_t offset, size_t num_blocks, int first,
                                uint8_t *sums)
{
    const struct isa_pass begun = isa_begin(pass, offset, kind, n);

    for (size_t b = 0; b < num_blocks; b++) {
        isa_bytes sum = isa_sum(&begun, kind, n, b * 64);

        isa_store(sums + b * 64,
                  first ? sum : isa_add(sum, isa_load(sums + b * 64)));
    }
}

SCAN_INLINE uint64_t isa_filter_loop(const struct scan_pass *pass,
                                     enum scan_table kind, unsigned n,
                                     size_t offset, size_t num_blocks,
                                     int first, uint8_t *sums,
                                     uint8_t threshold)
{
    const struct isa_pass begun = isa_begin(pass, offset, kind, n);
    uint64_t alive = 0;

    for (size_t b = 0; b < num_blocks; b++) {
        isa_bytes sum = isa_next_sum(&begun, kind, n, b * 64);

        if (!first)
            sum = isa_add(sum, isa_load(sums + b * 64));
        isa_store(sums + b * 64, sum);
        alive |= (uint64_t)isa_any_alive(sum, threshold) << b;
    }
    return alive;
}

SCAN_INLINE uint64_t isa_live_loop(const struct scan_pass *pass,
                                   enum scan_table kind, unsigned n,
                                   size_t offset, uint64_t live, uint8_t *sums,
                                   uint8_t threshold)
{
    const struct isa_pass begun = isa_begin(pass, offset, kind, n);
    uint64_t alive = 0;

    for (; live != 0; live &= live - 1) {
        const size_t b = (size_t)__builtin_ctzll(live);
        isa_bytes sum = isa_add(isa_sum(&begun, kind, n, b * 64),
                                isa_load(sums + b * 64));

        isa_store(sums + b * 64, sum);
        alive |= (uint64_t)isa_any_alive(sum, threshold) << b;
    }
    return alive;
}

/* Calls loop(pass, kind, n, ...) with constants for kind and n. */
#define ISA_CALL_COLUMNS(result, loop, pass, kind, ...)                        \
    do {                                                                       \
        if ((pass)->num_columns == 1)                                          \
            result loop(pass, kind, 1, __VA_ARGS__);                           \
        else if (isa_columns_at_once(kind) >= 2 && (pass)->num_columns == 2)   \
            result loop(pass, kind, 2, __VA_ARGS__);                           \
        else if (isa_columns_at_once(kind) >= 4 && (pass)->num_columns == 3)   \
            result loop(pass, kind, 3, __VA_ARGS__);                           \
        else if (isa_columns_at_once(kind) >= 8 && (pass)->num_columns == 6)   \
            result loop(pass, kind, 6, __VA_ARGS__);                           \
        else if (isa_columns_at_once(kind) >= 8 && (pass)->num_columns == 8)   \
            result loop(pass, kind, 8, __VA_ARGS__);                           \
        else if (isa_columns_at_once(kind) >= 4)                               \
            result loop(pass, kind, 4, __VA_ARGS__);                           \
    } while (0)

#define ISA_CALL(result, loop, pass, ...)                                      \
    do {                                                                       \
        if ((pass)->table == TABLE_256)                                        \
            ISA_CALL_COLUMNS(result, loop, pass, TABLE_256, __VA_ARGS__);      \
        else if (ISA_USES_128 && (pass)->table == TABLE_128)                   \
            ISA_CALL_COLUMNS(result, loop, pass, TABLE_128, __VA_ARGS__);      \
        else if ((pass)->table == TABLE_64)                                    \
            ISA_CALL_COLUMNS(result, loop, pass, TABLE_64, __VA_ARGS__);       \
        else                                                                   \
            ISA_CALL_COLUMNS(result, loop, pass, TABLE_16, __VA_ARGS__);       \
    } while (0)

/* How many of so many columns a pass can take. */
static inline unsigned isa_pass_columns(enum scan_table kind, size_t left)
{
    const unsigned most = isa_columns_at_once(kind);
    const unsigned n = left < most ? (unsigned)left : most;

    if (n <= 4) /* beyond that there are loops for 6 and 8 only */
        return n;
    return n < 6 ? 4 : n < 8 ? 6 : 8;
}

static void isa_dense(const struct scan_pass *pass, size_t offset,
                      size_t num_blocks, int first, uint8_t *sums)
{
    if (first)
        ISA_CALL(, isa_dense_loop, pass, offset, num_blocks, 1, sums);
    else
        ISA_CALL(, isa_dense_loop, pass, offset, num_blocks, 0, sums);
}

static uint64_t isa_filter(const struct scan_pass *pass, size_t offset,
                           size_t num_blocks, int first, uint8_t *sums,
                           uint8_t threshold)
{
    uint64_t alive = 0;

    if (first)
        ISA_CALL(alive =, isa_filter_loop, pass, offset, num_blocks, 1, sums,
                 threshold);
    else
        ISA_CALL(alive =, isa_filter_loop, pass, offset, num_blocks, 0, sums,
                 threshold);
    return alive;
}

static uint64_t isa_filter_live(const struct scan_pass *pass, size_t offset,
                                uint64_t live, uint8_t *sums, uint8_t threshold)
{
    uint64_t alive = 0;

    ISA_CALL(alive =, isa_live_loop, pass, offset, live, sums, threshold);
    return alive;
}

#endif
