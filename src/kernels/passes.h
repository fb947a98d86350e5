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
                                      enum scan_table kind, unsigned n)
{
    struct isa_pass begun = {0};

    SCAN_UNROLL
    for (unsigned j = 0; j < n; j++) {
        begun.tables[j] = isa_load_table(kind, pass->tables[j]);
        begun.columns[j] = pass->columns[j];
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

/* The same, in a pass from one end to the other; on top of sums, if any. */
SCAN_INLINE isa_bytes isa_next_sum(const struct isa_pass *pass,
                                   enum scan_table kind, unsigned n,
                                   size_t offset, const uint8_t *sums)
{
    isa_bytes sum;

    SCAN_UNROLL
    for (unsigned j = 0; j < n; j++)
        scan_prefetch(pass->columns[j] + offset);
    sum = isa_sum(pass, kind, n, offset);
    return sums ? isa_add(sum, isa_load(sums + offset)) : sum;
}

/*
 * Writes a block behind those kept and counts it only if one of its codes is
 * alive; if not, the next one overwrites it.  A branch would be mispredicted
 * too often.
 */
SCAN_INLINE size_t isa_append(struct scan_blocks kept, size_t num_kept,
                              uint32_t block, isa_bytes sums, uint8_t threshold)
{
    isa_store(kept.sums + num_kept * 64, sums);
    kept.blocks[num_kept] = block;
    return num_kept + isa_any_alive(sums, threshold);
}

/* The three loops.  Sums may be null in the first two: then they begin at 0. */
SCAN_INLINE void isa_dense_loop(const struct scan_pass *pass,
                                enum scan_table kind, unsigned n,
                                size_t num_blocks, const uint8_t *sums,
                                uint8_t *new_sums)
{
    const struct isa_pass begun = isa_begin(pass, kind, n);

    for (size_t b = 0; b < num_blocks; b++) {
        isa_bytes sum = isa_sum(&begun, kind, n, b * 64);

        isa_store(new_sums + b * 64,
                  sums ? isa_add(sum, isa_load(sums + b * 64)) : sum);
    }
}

SCAN_INLINE size_t isa_filter_loop(const struct scan_pass *pass,
                                   enum scan_table kind, unsigned n,
                                   size_t num_blocks, const uint8_t *sums,
                                   uint8_t threshold, uint32_t first_block,
                                   struct scan_blocks kept)
{
    const struct isa_pass begun = isa_begin(pass, kind, n);
    size_t num_kept = 0;

    for (size_t b = 0; b < num_blocks; b++)
        num_kept =
            isa_append(kept, num_kept, first_block + (uint32_t)b,
                       isa_next_sum(&begun, kind, n, b * 64, sums), threshold);
    return num_kept;
}

SCAN_INLINE void isa_listed_loop(const struct scan_pass *pass,
                                 enum scan_table kind, unsigned n,
                                 const uint32_t *blocks, size_t num_blocks,
                                 uint8_t *sums)
{
    const struct isa_pass begun = isa_begin(pass, kind, n);

    for (size_t i = 0; i < num_blocks; i++) {
        isa_bytes sum = isa_sum(&begun, kind, n, (size_t)blocks[i] * 64);

        isa_store(sums + i * 64, isa_add(sum, isa_load(sums + i * 64)));
    }
}

/*
 * Calls loop(pass, kind, n, ...) with constants for kind and n.  More columns
 * than the instruction set has registers for have been split off before.
 */
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

/* The columns from `begin` on, as many of them as can be looked up at once. */
static inline struct scan_pass isa_part(const struct scan_pass *pass,
                                        unsigned begin)
{
    const unsigned most = isa_columns_at_once(pass->table);
    struct scan_pass part = {.table = pass->table,
                             .num_columns = pass->num_columns - begin};

    if (part.num_columns > most)
        part.num_columns = most;
    if (part.num_columns > 4) /* there are loops for 6 and 8 only */
        part.num_columns = part.num_columns < 6   ? 4
                           : part.num_columns < 8 ? 6
                                                  : 8;
    for (unsigned j = 0; j < part.num_columns; j++) {
        part.tables[j] = pass->tables[begin + j];
        part.columns[j] = pass->columns[begin + j];
    }
    return part;
}

static void isa_dense_part(const struct scan_pass *pass, size_t num_blocks,
                           const uint8_t *sums, uint8_t *new_sums)
{
    if (sums)
        ISA_CALL(, isa_dense_loop, pass, num_blocks, sums, new_sums);
    else
        ISA_CALL(, isa_dense_loop, pass, num_blocks, NULL, new_sums);
}

static void isa_dense(const struct scan_pass *pass, size_t num_blocks,
                      int first, uint8_t *sums)
{
    for (unsigned j = 0; j < pass->num_columns;) {
        const struct scan_pass part = isa_part(pass, j);

        isa_dense_part(&part, num_blocks, first && j == 0 ? NULL : sums, sums);
        j += part.num_columns;
    }
}

static size_t isa_filter_part(const struct scan_pass *pass, size_t num_blocks,
                              const uint8_t *sums, uint8_t threshold,
                              uint32_t first_block, struct scan_blocks kept)
{
    size_t num_kept = 0;

    if (sums)
        ISA_CALL(num_kept =, isa_filter_loop, pass, num_blocks, sums, threshold,
                 first_block, kept);
    else
        ISA_CALL(num_kept =, isa_filter_loop, pass, num_blocks, NULL, threshold,
                 first_block, kept);
    return num_kept;
}

/*
 * If the columns are too many for one go, the sums meanwhile are where those
 * that are kept will be: the last part reads block b before it writes to a
 * place up to b.
 */
static size_t isa_dense_filter(const struct scan_pass *pass, size_t num_blocks,
                               int first, const uint8_t *sums,
                               uint8_t threshold, uint32_t first_block,
                               struct scan_blocks kept)
{
    const uint8_t *so_far = first ? NULL : sums;

    for (unsigned j = 0;;) {
        const struct scan_pass part = isa_part(pass, j);

        j += part.num_columns;
        if (j == pass->num_columns)
            return isa_filter_part(&part, num_blocks, so_far, threshold,
                                   first_block, kept);
        isa_dense_part(&part, num_blocks, so_far, kept.sums);
        so_far = kept.sums;
    }
}

static void isa_listed(const struct scan_pass *pass, const uint32_t *blocks,
                       size_t num_blocks, uint8_t *sums)
{
    for (unsigned j = 0; j < pass->num_columns;) {
        const struct scan_pass part = isa_part(pass, j);

        ISA_CALL(, isa_listed_loop, &part, blocks, num_blocks, sums);
        j += part.num_columns;
    }
}

static size_t isa_compress(struct scan_blocks from, size_t num_blocks,
                           uint8_t threshold, struct scan_blocks kept)
{
    size_t num_kept = 0;

    for (size_t i = 0; i < num_blocks; i++)
        num_kept = isa_append(kept, num_kept, from.blocks[i],
                              isa_load(from.sums + i * 64), threshold);
    return num_kept;
}

#endif
