/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The stages of a plan.
 * In: a chunk of blocks, a bit each, and the byte tables.  Out: the codes that are
 * left, verified.  Promised: a code's byte sum grows from stage to stage, and is at
 * most its scaled distance.  Never: a byte read of a block that is ruled out.
 */
#ifndef PQK_KERNELS_STAGES_H
#define PQK_KERNELS_STAGES_H

#include "kernels/exact.h"

/* The tables of a term, one after the other. */
struct term_tables {
    enum isa_kind kind;
    const uint8_t *first;
    size_t stride;
};

static struct term_tables tables_of(const struct scan_arrays *arrays,
                                    enum plan_term term)
{
    switch (term) {
    case MINIMA_128:
        return (struct term_tables){TABLE_128, arrays->minima_128, 128};
    case MINIMA_64:
        return (struct term_tables){TABLE_64, arrays->minima_64, 64};
    case MINIMA_16:
        return (struct term_tables){TABLE_16, arrays->minima_16, 16};
    case STEPS_64:
        return (struct term_tables){TABLE_64, arrays->steps_64, 64};
    case RESTS_64:
        return (struct term_tables){TABLE_256, arrays->rests_64, 256};
    case ENTRIES:
        break;
    }
    return (struct term_tables){TABLE_256, arrays->bytes, 256};
}

/* Columns of the query's order, as many as a pass can have, and what it looks up in
 * them; returns how many. */
static size_t make_pass(const struct scan *scan, enum plan_term term,
                        size_t from, size_t to, const uint8_t *columns,
                        size_t stride, struct scan_pass *pass)
{
    const struct term_tables tables = tables_of(&scan->query->arrays, term);

    pass->table = tables.kind;
    pass->fetches = 0;
    pass->num_columns = pass_columns(tables.kind, to - from);
    for (size_t i = 0; i < pass->num_columns; i++) {
        size_t m = scan->query->arrays.order[from + i];

        find_tables(scan, term, m);
        pass->tables[i] = tables.first + m * tables.stride;
        pass->columns[i] = columns + m * stride;
    }
    return pass->num_columns;
}

/* Column numbers of a stage: sixteenths of M, rounded up, so that the first
 * stage has a column whatever M is. */
static size_t stage_column(const struct scan *scan, size_t sixteenths)
{
    return (sixteenths * scan->num_sub_vectors + 15) / 16;
}

/* Whether a pass fetches the columns of the one behind it, which adds that term and
 * may read what was read before.  Passes of one kind do: loops for the others would
 * not be worth their code. */
static int is_fetching(const struct scan *scan, const struct scan_pass *pass,
                       enum plan_term next)
{
    return ISA_FETCHES && scan->fetches && pass->table == ISA_FETCHING_TABLE &&
           next != STEPS_64 && next != RESTS_64;
}

/* Appends the passes of a stage to `count` others; returns the new count. */
static size_t add_passes(const struct scan *scan,
                         const struct plan_stage *stage, size_t count)
{
    const size_t to = stage_column(scan, stage->to);

    for (size_t from = stage_column(scan, stage->from); from < to; count++) {
        struct scan_pass *pass = &scan->query->arrays.passes[count];

        from += make_pass(scan, stage->term, from, to, column(scan, 0),
                          scan->layout.column_stride, pass);
        if (count > 0)
            pass[-1].fetches = is_fetching(scan, pass - 1, stage->term);
    }
    return count;
}

/* A first stage, for all blocks of a chunk: which of them are alive.  Their sums
 * are in the scan's scratch. */
static uint64_t filter_blocks(struct scan *scan, size_t num_passes,
                              size_t first_block, size_t num_blocks)
{
    const struct scan_pass *passes = scan->query->arrays.passes;
    const size_t offset = first_block * PQK_BLOCK;
    uint8_t *sums = scan->scratch->sums;
    uint64_t alive = 0;

    for (size_t p = 0; p < num_passes; p++) {
        if (p + 1 < num_passes)
            pass_sum(&passes[p], offset, num_blocks, p == 0, sums);
        else
            alive = pass_filter(&passes[p], offset, num_blocks, p == 0, sums,
                                (uint8_t)scan->query->rounding.threshold);
        scan->stats->bytes_read +=
            passes[p].num_columns * num_blocks * PQK_BLOCK;
    }
    return alive;
}

/* All later stages, for those that are alive. */
static uint64_t filter_live(struct scan *scan, size_t first_block,
                            uint64_t live, uint8_t *sums)
{
    const struct scan_query *query = scan->query;

    for (size_t p = query->first_passes; p < query->num_passes && live != 0;
         p++) {
        const struct scan_pass *pass = &scan->query->arrays.passes[p];

        scan->stats->bytes_read +=
            pass->num_columns * PQK_BLOCK * (size_t)__builtin_popcountll(live);
        live = pass_filter_live(pass, first_block * PQK_BLOCK, live, sums,
                                (uint8_t)query->rounding.threshold);
    }
    return live;
}

static void set_plan(struct scan *scan, uint32_t number)
{
    const struct plan *plan = &scan->plans[number];
    struct scan_query *query = scan->query;

    query->plan = number;
    query->first_passes = add_passes(scan, &plan->stages[0], 0);
    query->num_passes = query->first_passes;
    for (size_t i = 1; i < plan->num_stages; i++)
        query->num_passes =
            add_passes(scan, &plan->stages[i], query->num_passes);
}

static size_t blocks_of_chunk(const struct scan *scan, size_t chunk)
{
    const size_t left = scan->layout.num_blocks - chunk * CHUNK;

    return left < CHUNK ? left : CHUNK;
}

/* A chunk through all stages. */
static void run_chunk(struct scan *scan, size_t chunk)
{
    const size_t first = chunk * CHUNK;
    uint64_t live;

    if (scan->query->rounding.threshold < 0)
        return;
    live = filter_blocks(scan, scan->query->first_passes, first,
                         blocks_of_chunk(scan, chunk));
    scan->query->live_blocks += (uint64_t)__builtin_popcountll(live);
    live = filter_live(scan, first, live, scan->scratch->sums);
    for (; live != 0; live &= live - 1) {
        const size_t b = (size_t)__builtin_ctzll(live);

        if (!block_is_done(scan, first + b))
            verify_block(scan, first + b, scan->scratch->sums + b * PQK_BLOCK);
    }
    verify_pending(scan);
}

#endif
