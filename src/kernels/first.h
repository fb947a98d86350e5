/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The first bound of a query.
 * In: a query without a bound.  Out: a bound that is rarely more than a few per
 * cent above the last one, from the cells nearest to the query, or, where codes
 * are in no order, from the first blocks; and marks on the blocks that are done.
 * Never: a code offered twice.
 */
#ifndef PQK_KERNELS_FIRST_H
#define PQK_KERNELS_FIRST_H

#include "kernels/ranks.h"

/* The cells nearest to the query, by their representatives' byte sums: so many, or
 * up to a quarter more. */
static size_t nearest_cells(struct scan *scan, size_t wanted)
{
    const uint8_t *sums = scan->scratch->all_sums;
    uint32_t *cells = scan->scratch->cells;
    const size_t num_cells = scan->layout.num_cells, most = wanted + wanted / 4;
    const size_t num_blocks = scan->layout.representative_stride / PQK_BLOCK;
    const int rank = rank_sums(sums, num_blocks, wanted, most);
    size_t taken = 0;

    for (size_t b = 0; b < num_blocks; b++) {
        uint64_t near =
            isa_alive(sums + b * PQK_BLOCK, (uint8_t)(rank < 255 ? rank : 254));

        for (; near != 0 && taken < most; near &= near - 1)
            cells[taken++] =
                (uint32_t)(b * PQK_BLOCK + (size_t)__builtin_ctzll(near));
    }
    for (size_t c = 0; c < num_cells && taken < wanted; c++)
        if (sums[c] == 255)
            cells[taken++] = (uint32_t)c;
    return taken;
}

/* For many results codes are sought that are farther from the query. */
#define MANY_RESULTS 64

/* A scale for all representatives, and for most codes of the nearest cells: half as
 * far again as the nearest of some of them, or twice as far. */
static float guess_of_sample(const struct scan *scan)
{
    const struct pqk_layout *layout = &scan->layout;
    const uint32_t step = (uint32_t)(layout->num_cells / 32 + 1);
    const uint32_t last = (uint32_t)layout->num_cells - 1;
    float nearest = INFINITY;

    for (uint32_t c = 0; c <= last; c += TOGETHER * step) {
        uint32_t cells[TOGETHER];
        float sums[TOGETHER];

        for (uint32_t i = 0; i < TOGETHER; i++)
            cells[i] = c + i * step < last ? c + i * step : last;
        exact_sums(scan, scan->codes + layout->representatives,
                   layout->representative_stride, cells, sums);
        for (size_t i = 0; i < TOGETHER; i++)
            nearest = sums[i] < nearest ? sums[i] : nearest;
    }
    return (float)((double)nearest +
                   (scan->heap->k < MANY_RESULTS ? 0.5 : 1.0) *
                       ((double)nearest - scan->query->rounding.sum_of_minima));
}

static void sum_representatives(struct scan *scan)
{
    const struct pqk_layout *layout = &scan->layout;

    sum_blocks(scan, scan->codes + layout->representatives,
               layout->representative_stride, NULL,
               layout->representative_stride / PQK_BLOCK);
    rule_out_rest(scan, layout->representative_stride / PQK_BLOCK - 1,
                  layout->num_cells);
}

static size_t blocks_of_cell(const struct scan *scan, size_t cell)
{
    const struct pqk_layout *layout = &scan->layout;
    size_t left = layout->num_blocks - cell * layout->cell_blocks;

    return left < layout->cell_blocks ? left : layout->cell_blocks;
}

/* All columns of one cell's blocks, and verification of what is left. */
static void scan_cell(struct scan *scan, size_t num_passes, size_t cell)
{
    const size_t first = cell * scan->layout.cell_blocks;
    const size_t count = blocks_of_cell(scan, cell);

    for (size_t b = 0; b < count; b += CHUNK) {
        size_t n = count - b < CHUNK ? count - b : CHUNK;
        uint64_t live;

        if (scan->query->rounding.threshold < 0)
            return;
        live = filter_blocks(scan, num_passes, first + b, n);
        for (; live != 0; live &= live - 1) {
            const size_t i = (size_t)__builtin_ctzll(live);

            verify_block(scan, first + b + i,
                         scan->scratch->sums + i * PQK_BLOCK);
        }
        verify_pending(scan);
    }
}

/* The fewer rows a filter leaves of each, the more are needed. */
static size_t more_for_filter(const struct scan *scan, size_t wanted)
{
    return scan->num_allowed == scan->layout.num_vectors
               ? wanted
               : (size_t)((double)wanted * (double)scan->layout.num_vectors /
                          (double)scan->num_allowed);
}

/* 16 cells hold most of the 10 nearest.  In a small partition they take longer than
 * what their bound saves, and 8 do.  For a larger k: as many as have 8 k codes,
 * which leaves a margin. */
#define MANY_CELLS 1024

static size_t cells_to_probe(const struct scan *scan)
{
    const size_t cell_codes = scan->layout.cell_blocks * PQK_BLOCK;
    const size_t least = scan->layout.num_cells < MANY_CELLS ? 8 : 16;
    size_t wanted = scan->heap->k / (cell_codes / 8) + 1;

    wanted = more_for_filter(scan, wanted < least ? least : wanted);
    wanted = wanted > MAX_WANTED_CELLS ? MAX_WANTED_CELLS : wanted;
    return wanted < scan->layout.num_cells ? wanted : scan->layout.num_cells;
}

/* Lists the blocks of those cells; returns how many, or 0 if they are too many. */
static size_t list_blocks(struct scan *scan, size_t num_cells)
{
    struct scan_work *work = scan->scratch;
    const size_t cell_blocks = scan->layout.cell_blocks;
    size_t count = 0;

    if (num_cells * cell_blocks > WHOLE_CODES / PQK_BLOCK)
        return 0;
    for (size_t i = 0; i < num_cells; i++)
        for (size_t b = 0; b < blocks_of_cell(scan, work->cells[i]); b++)
            work->blocks[count++] =
                (uint32_t)(work->cells[i] * cell_blocks + b);
    return count;
}

/* The results among the codes of those cells, by the ranks of their byte sums.
 * Returns 0, with nothing done, if the scale was too fine or the cells too many. */
static int rank_cells(struct scan *scan, size_t num_cells)
{
    struct scan_work *work = scan->scratch;
    const size_t num_blocks = list_blocks(scan, num_cells);
    int *threshold = &scan->query->rounding.threshold;

    if (num_blocks == 0)
        return 0;
    sum_blocks(scan, column(scan, 0), scan->layout.column_stride, work->blocks,
               num_blocks);
    for (size_t i = 0; i < num_blocks; i++)
        if (work->blocks[i] + 1 == scan->layout.num_blocks)
            rule_out_rest(scan, i, scan->layout.num_vectors);
    if (!verify_first_ranks(scan, work->blocks, num_blocks))
        return 0;
    *threshold = byte_threshold(&scan->query->rounding, scan->num_sub_vectors,
                                pqk_heap_bound(scan->heap));
    if (!has_bound(scan->heap) || *threshold > 253)
        verify_other_ranks(scan, work->blocks, num_blocks);
    else
        verify_ranks_within(scan, work->blocks, num_blocks);
    for (size_t i = 0; i < num_cells; i++)
        mark_cell_done(scan->query, work->cells[i]);
    return 1;
}

/* Scans the cells nearest to the query.  Their k-th distance is rarely more than a
 * few per cent above that of all codes. */
static void probe_nearest_cells(struct scan *scan)
{
    static const struct plan_stage whole = {SINGLE_TERM, 0, 16};
    size_t num_cells, num_passes, i = 0;

    set_scale(scan, guess_of_sample(scan));
    sum_representatives(scan);
    num_cells = nearest_cells(scan, cells_to_probe(scan));
    if (!scan->filter && rank_cells(scan, num_cells)) {
        pqk_heap_tighten(scan->heap);
        return;
    }
    for (; i < num_cells && !has_bound(scan->heap); i++) {
        size_t cell = scan->scratch->cells[i];

        scan_exactly(scan, cell * scan->layout.cell_blocks,
                     blocks_of_cell(scan, cell));
        mark_cell_done(scan->query, cell);
        pqk_heap_tighten(scan->heap);
    }
    if (i == num_cells)
        return;
    set_scale(scan, pqk_heap_bound(scan->heap));
    num_passes = add_passes(scan, &whole, 0);
    for (; i < num_cells; i++) {
        scan_cell(scan, num_passes, scan->scratch->cells[i]);
        mark_cell_done(scan->query, scan->scratch->cells[i]);
    }
    pqk_heap_tighten(scan->heap);
}

/* Where codes are in no order, the first blocks do as well as any. */
static void probe_first_blocks(struct scan *scan)
{
    size_t blocks = more_for_filter(scan, scan->heap->k / (PQK_BLOCK / 4) + 16);

    if (blocks > scan->layout.num_blocks)
        blocks = scan->layout.num_blocks;
    scan_exactly(scan, 0, blocks);
    scan->query->done_blocks = (uint32_t)blocks;
    pqk_heap_tighten(scan->heap);
}

#endif
