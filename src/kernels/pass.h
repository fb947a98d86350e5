/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A pass: some columns of labels, looked up in a table each and added to the sums
 * of blocks.  In: columns, tables, where the blocks are.  Out: sums of bytes, and
 * which blocks have a code alive.  Every loop is compiled for each kind of table,
 * number of columns and so on as constants.  Saturating additions of numbers >= 0
 * give min(255, sum) in any order, so columns may be added in any order.
 *
 *   unsigned pass_columns(table, left)
 *       How many columns a pass can have, of so many that are left.
 *   void pass_sum(pass, offset, num_blocks, first, sums)
 *       Look the blocks from an offset in the pass's columns on up, and store the
 *       look-ups, or add them to the sums if the pass is not the first.
 *   void pass_sum_listed(pass, blocks, num_blocks, first, sums)
 *       The same for the blocks of those numbers; their sums lie side by side.
 *       The pass has tables of the kind that is looked up in one stage.
 *   uint64_t pass_filter(pass, offset, num_blocks, first, sums, threshold)
 *       The same for at most 64 blocks, and in which of them a code is alive: bit
 *       b for block b.
 *   uint64_t pass_filter_live(pass, offset, live, sums, threshold)
 *       Add the look-ups of those blocks that `live` has a bit for to their
 *       sums; return the bits of those in which a code is alive still.
 */
#ifndef PQK_KERNELS_PASS_H
#define PQK_KERNELS_PASS_H

#include "kernels/isa.h"

/* What is looked up where one stage has to do: all entries, if that pays. */
#define SINGLE_TABLE (ISA_BY_GROUPS ? TABLE_64 : TABLE_256)

#ifdef ISA_FETCHING_TABLE
#define ISA_FETCHES 1
#else
#define ISA_FETCHES        0
#define ISA_FETCHING_TABLE SINGLE_TABLE
#endif

/* The most columns that any instruction set looks up together. */
#define MAX_PASS_COLUMNS 8

struct scan_pass {
    enum isa_kind table;
    unsigned num_columns;                     /* 1 to MAX_PASS_COLUMNS */
    const uint8_t *tables[MAX_PASS_COLUMNS];  /* as isa_load_table wants them */
    const uint8_t *columns[MAX_PASS_COLUMNS]; /* 64-byte aligned */
    int fetches; /* the columns of the pass behind it */
};

/* A pass that has begun: its tables are loaded. */
struct begun_pass {
    struct isa_table tables[MAX_PASS_COLUMNS];
    const uint8_t *columns[MAX_PASS_COLUMNS];
};

ISA_INLINE void begin_pass(const struct scan_pass *pass, size_t offset,
                           enum isa_kind kind, unsigned n,
                           struct begun_pass *begun)
{
    ISA_UNROLL
    for (unsigned j = 0; j < n; j++) {
        isa_load_table(kind, pass->tables[j], &begun->tables[j]);
        begun->columns[j] = pass->columns[j] + offset;
    }
}

/* The look-ups of a block in n columns, added up. */
ISA_INLINE isa_bytes sum_columns(const struct begun_pass *pass,
                                 enum isa_kind kind, unsigned n, size_t offset)
{
    isa_bytes sum = isa_look_up(kind, isa_load(pass->columns[0] + offset),
                                &pass->tables[0]);

    ISA_UNROLL
    for (unsigned j = 1; j < n; j++)
        sum =
            isa_add(sum, isa_look_up(kind, isa_load(pass->columns[j] + offset),
                                     &pass->tables[j]));
    return sum;
}

/* The same, in a pass from one end to the other. */
ISA_INLINE isa_bytes sum_ahead(const struct begun_pass *pass,
                               enum isa_kind kind, unsigned n, size_t offset)
{
    ISA_UNROLL
    for (unsigned j = 0; j < n; j++)
        isa_prefetch(pass->columns[j] + offset);
    return sum_columns(pass, kind, n, offset);
}

/* Fetches what the next pass reads of a block if a code in it is alive; else the
 * block's sums, which are near: a branch could not be predicted. */
ISA_INLINE void fetch_block(const struct scan_pass *next, size_t offset,
                            const uint8_t *sums, unsigned is_alive)
{
    const uintptr_t near = (uintptr_t)sums;
    const uintptr_t mask = (uintptr_t)0 - is_alive;

    for (unsigned j = 0; j < next->num_columns; j++) {
        const uintptr_t at = (uintptr_t)(next->columns[j] + offset);

        __builtin_prefetch((const void *)(near ^ ((at ^ near) & mask)));
    }
}

/*
 * The four loops.  `first`, a constant, says that sums begin at 0, and a `next` of
 * NULL that nothing is fetched.  Every block has its own place for sums and its own
 * bit, so that no block has to wait for another one's result.
 */
ISA_INLINE void sum_loop(const struct scan_pass *pass, enum isa_kind kind,
                         unsigned n, size_t offset, size_t num_blocks,
                         int first, uint8_t *sums)
{
    struct begun_pass begun;

    begin_pass(pass, offset, kind, n, &begun);
    for (size_t b = 0; b < num_blocks; b++) {
        isa_bytes sum = sum_columns(&begun, kind, n, b * 64);

        isa_store(sums + b * 64,
                  first ? sum : isa_add(sum, isa_load(sums + b * 64)));
    }
}

/* Blocks anywhere; their sums one after the other. */
ISA_INLINE void listed_loop(const struct scan_pass *pass, enum isa_kind kind,
                            unsigned n, const uint32_t *blocks,
                            size_t num_blocks, int first, uint8_t *sums)
{
    struct begun_pass begun;

    begin_pass(pass, 0, kind, n, &begun);
    for (size_t i = 0; i < num_blocks; i++) {
        isa_bytes sum = sum_columns(&begun, kind, n, (size_t)blocks[i] * 64);

        isa_store(sums + i * 64,
                  first ? sum : isa_add(sum, isa_load(sums + i * 64)));
    }
}

ISA_INLINE uint64_t filter_loop(const struct scan_pass *pass,
                                enum isa_kind kind, unsigned n,
                                const struct scan_pass *next, size_t offset,
                                size_t num_blocks, int first, uint8_t *sums,
                                uint8_t threshold)
{
    struct begun_pass begun;
    uint64_t alive = 0;

    begin_pass(pass, offset, kind, n, &begun);
    for (size_t b = 0; b < num_blocks; b++) {
        isa_bytes sum = sum_ahead(&begun, kind, n, b * 64);
        unsigned is_alive;

        if (!first)
            sum = isa_add(sum, isa_load(sums + b * 64));
        isa_store(sums + b * 64, sum);
        is_alive = isa_any_alive(sum, threshold);
        if (next)
            fetch_block(next, offset + b * 64, sums + b * 64, is_alive);
        alive |= (uint64_t)is_alive << b;
    }
    return alive;
}

ISA_INLINE uint64_t live_loop(const struct scan_pass *pass, enum isa_kind kind,
                              unsigned n, const struct scan_pass *next,
                              size_t offset, uint64_t live, uint8_t *sums,
                              uint8_t threshold)
{
    struct begun_pass begun;
    uint64_t alive = 0;

    begin_pass(pass, offset, kind, n, &begun);
    for (; live != 0; live &= live - 1) {
        const size_t b = (size_t)__builtin_ctzll(live);
        isa_bytes sum = isa_add(sum_columns(&begun, kind, n, b * 64),
                                isa_load(sums + b * 64));
        unsigned is_alive;

        isa_store(sums + b * 64, sum);
        is_alive = isa_any_alive(sum, threshold);
        if (next)
            fetch_block(next, offset + b * 64, sums + b * 64, is_alive);
        alive |= (uint64_t)is_alive << b;
    }
    return alive;
}

/* Calls loop(pass, kind, n, ...) with constants for kind and n. */
#define CALL_FOR_COLUMNS(result, loop, pass, kind, ...)                        \
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

#define CALL_FOR_PASS(result, loop, pass, ...)                                 \
    do {                                                                       \
        if ((pass)->table == TABLE_256)                                        \
            CALL_FOR_COLUMNS(result, loop, pass, TABLE_256, __VA_ARGS__);      \
        else if (ISA_HAS_128 && (pass)->table == TABLE_128)                    \
            CALL_FOR_COLUMNS(result, loop, pass, TABLE_128, __VA_ARGS__);      \
        else if ((pass)->table == TABLE_64)                                    \
            CALL_FOR_COLUMNS(result, loop, pass, TABLE_64, __VA_ARGS__);       \
        else                                                                   \
            CALL_FOR_COLUMNS(result, loop, pass, TABLE_16, __VA_ARGS__);       \
    } while (0)

/* How many of so many columns a pass can take. */
static inline unsigned pass_columns(enum isa_kind kind, size_t left)
{
    const unsigned most = isa_columns_at_once(kind);
    const unsigned n = left < most ? (unsigned)left : most;

    if (n <= 4) /* above 4 there are loops for 6 and 8 only */
        return n;
    return n < 6 ? 4 : n < 8 ? 6 : 8;
}

static void pass_sum(const struct scan_pass *pass, size_t offset,
                     size_t num_blocks, int first, uint8_t *sums)
{
    if (first)
        CALL_FOR_PASS(, sum_loop, pass, offset, num_blocks, 1, sums);
    else
        CALL_FOR_PASS(, sum_loop, pass, offset, num_blocks, 0, sums);
}

static void pass_sum_listed(const struct scan_pass *pass,
                            const uint32_t *blocks, size_t num_blocks,
                            int first, uint8_t *sums)
{
    if (first)
        CALL_FOR_COLUMNS(, listed_loop, pass, SINGLE_TABLE, blocks, num_blocks,
                         1, sums);
    else
        CALL_FOR_COLUMNS(, listed_loop, pass, SINGLE_TABLE, blocks, num_blocks,
                         0, sums);
}

static uint64_t pass_filter(const struct scan_pass *pass, size_t offset,
                            size_t num_blocks, int first, uint8_t *sums,
                            uint8_t threshold)
{
    uint64_t alive = 0;

    if (ISA_FETCHES && first && pass->fetches)
        CALL_FOR_COLUMNS(alive =, filter_loop, pass, ISA_FETCHING_TABLE,
                         pass + 1, offset, num_blocks, 1, sums, threshold);
    else if (first)
        CALL_FOR_PASS(alive =, filter_loop, pass, NULL, offset, num_blocks, 1,
                      sums, threshold);
    else
        CALL_FOR_PASS(alive =, filter_loop, pass, NULL, offset, num_blocks, 0,
                      sums, threshold);
    return alive;
}

static uint64_t pass_filter_live(const struct scan_pass *pass, size_t offset,
                                 uint64_t live, uint8_t *sums,
                                 uint8_t threshold)
{
    uint64_t alive = 0;

    if (ISA_FETCHES && pass->fetches)
        CALL_FOR_COLUMNS(alive =, live_loop, pass, ISA_FETCHING_TABLE, pass + 1,
                         offset, live, sums, threshold);
    else
        CALL_FOR_PASS(alive =, live_loop, pass, NULL, offset, live, sums,
                      threshold);
    return alive;
}

#endif
