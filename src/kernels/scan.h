/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The scan.  Each SIMD variant's file defines the primitives that scan_ops.h
 * lists, and its plans, and then includes this; everything here is compiled
 * with that variant's flags.
 *
 * A query's table is rounded down to bytes such that a sum of 253 stands for
 * the distance that a code must not exceed to be a result.  Sums of bytes over
 * some columns, or over minima of groups of centroids, are lower bounds of the
 * distance; codes above the threshold are dropped without ever being looked at
 * in float32, and blocks of 64 that are all dropped cost no more columns.
 * What is left is summed in the reference's order.  Nothing is approximated.
 *
 * bound.h proves that and computes the thresholds.
 */
#ifndef PQK_KERNELS_SCAN_H
#define PQK_KERNELS_SCAN_H

#include <float.h>

#include "kernels/bound.h"
#include "kernels/common.h"
#include "kernels/layout.h"
#include "kernels/plans.h"
#include "kernels/scan_ops.h"

/* ------------------------------------------------------------------------ */
/* Memory                                                                   */

/* Blocks per step of the first stage: few enough that a step's columns stay in
 * the first-level cache until the list made of them is worked off, one step
 * later, when their next columns have been prefetched. */
#define CHUNK 64

/* Partitions of up to so many codes are summed whole. */
#define WHOLE_CODES 32768

#define MAX_CELLS        32768
#define MAX_PROBED_CELLS 1024

/* Scratch that queries share, since they take turns. */
struct scan_work {
    uint8_t sums[2][MAX_STAGES][(CHUNK + 1) * PQK_BLOCK];
    uint32_t blocks[2][MAX_STAGES][CHUNK + 1];
    uint8_t all_sums[WHOLE_CODES + PQK_BLOCK]; /* also of representatives */
    uint32_t cells[MAX_PROBED_CELLS];
};

/* One query: this, then the arrays that point behind it while it is used. */
struct scan_query {
    struct byte_bound bound;
    uint32_t plan;
    uint32_t moves;
    uint32_t exact_chunks; /* do not filter for so many chunks */
    uint32_t done_blocks;  /* so many leading blocks need no scan */
    int aimed;             /* byte tables are made for the heap's bound */
    int finished;
    uint8_t done_cells[MAX_CELLS / 8];
};

/* The arrays behind a scan_query, rows of 64 bytes or more 64-byte aligned. */
struct scan_arrays {
    float *table;      /* [M][256], by label */
    uint8_t *bytes;    /* [M][256] */
    uint8_t *up_16;    /* [M][256] */
    uint8_t *up_64;    /* [M][256] */
    uint8_t *group_64; /* [M][64] */
    uint8_t *group_16; /* [M][16] */
    float *minima;     /* [M] */
    uint32_t *weight;  /* [M], how much columns separate, in their order */
    uint16_t *order;   /* [M], columns, those that separate most first */
};

static size_t aligned_size(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* Lays the arrays out behind a scan_query at an address, and returns how many
 * bytes it takes with them.  The address may be 0 for those who only ask. */
static size_t lay_out_query(uintptr_t address, size_t num_sub_vectors,
                            struct scan_arrays *arrays)
{
    const size_t entries = num_sub_vectors * PQK_TABLE_STRIDE;
    uintptr_t at = address + aligned_size(sizeof(struct scan_query));

    arrays->table = (void *)at;
    at += entries * sizeof(float);
    arrays->bytes = (void *)at;
    at += entries;
    arrays->up_16 = (void *)at;
    at += entries;
    arrays->up_64 = (void *)at;
    at += entries;
    arrays->group_64 = (void *)at;
    at += num_sub_vectors * 64;
    arrays->group_16 = (void *)at;
    at += num_sub_vectors * 16;
    arrays->minima = (void *)at;
    at += num_sub_vectors * sizeof(float);
    arrays->weight = (void *)at;
    at += num_sub_vectors * sizeof(uint32_t);
    arrays->order = (void *)at;
    at += num_sub_vectors * sizeof(uint16_t);
    return aligned_size(at - address);
}

/* What a scan works with; made anew for every query of every call. */
struct scan {
    size_t num_sub_vectors;
    struct pqk_layout layout;
    const uint8_t *codes; /* prepared */
    uint32_t first_id;
    struct scan_work *work;
    struct scan_query *query;
    struct scan_arrays arrays;
    pqk_top_k_heap *heap;
    pqk_search_stats *stats;
};

static const uint8_t *column(const struct scan *scan, size_t m)
{
    return scan->codes + scan->layout.columns + m * scan->layout.column_stride;
}

/* ------------------------------------------------------------------------ */
/* Thresholds and byte tables                                               */

/* Minima of the groups, and what they lack; see scan_bound. */
static void derive_groups(const struct scan_arrays *arrays, size_t m)
{
    const uint8_t *bytes = arrays->bytes + m * 256;
    uint8_t *group_16 = arrays->group_16 + m * 16;
    uint8_t *group_64 = arrays->group_64 + m * 64;

    for (size_t i = 0; i < 64; i++) {
        uint8_t a = bytes[i] < bytes[i + 64] ? bytes[i] : bytes[i + 64];
        uint8_t b =
            bytes[i + 128] < bytes[i + 192] ? bytes[i + 128] : bytes[i + 192];
        group_64[i] = a < b ? a : b;
    }
    for (size_t i = 0; i < 16; i++) {
        uint8_t a =
            group_64[i] < group_64[i + 16] ? group_64[i] : group_64[i + 16];
        uint8_t b = group_64[i + 32] < group_64[i + 48] ? group_64[i + 32]
                                                        : group_64[i + 48];
        group_16[i] = a < b ? a : b;
    }
    for (size_t r = 0; r < 256; r += 64)
        for (size_t i = 0; i < 64; i++)
            arrays->up_64[m * 256 + r + i] =
                (uint8_t)(bytes[r + i] - group_64[i]);
    for (size_t r = 0; r < 256; r += 16)
        for (size_t i = 0; i < 16; i++)
            arrays->up_16[m * 256 + r + i] =
                (uint8_t)(bytes[r + i] - group_16[i]);
}

/* Byte tables for that scale. */
static void set_scale(struct scan *scan, float distance)
{
    const struct scan_arrays *arrays = &scan->arrays;

    choose_scale(&scan->query->bound, scan->num_sub_vectors, distance);
    for (size_t m = 0; m < scan->num_sub_vectors; m++)
        isa_quantize(arrays->table + m * 256, arrays->minima[m],
                     scan->query->bound.scale, arrays->bytes + m * 256);
    if (ISA_USES_GROUPS)
        for (size_t m = 0; m < scan->num_sub_vectors; m++)
            derive_groups(arrays, m);
}

static void natural_order(const struct scan *scan)
{
    for (size_t m = 0; m < scan->num_sub_vectors; m++)
        scan->arrays.order[m] = (uint16_t)m;
}

/* Columns whose bytes are large on average drop codes early. */
static void order_columns(const struct scan *scan)
{
    const struct scan_arrays *arrays = &scan->arrays;
    const uint8_t *weights = scan->codes + scan->layout.weights;

    natural_order(scan);
    if (scan->layout.weights == 0)
        return;
    for (size_t i = 0; i < scan->num_sub_vectors; i++) {
        const uint32_t weight =
            isa_weigh(arrays->bytes + i * 256, weights + i * 256);
        size_t at = i;

        for (; at > 0 && arrays->weight[at - 1] < weight; at--) {
            arrays->weight[at] = arrays->weight[at - 1];
            arrays->order[at] = arrays->order[at - 1];
        }
        arrays->weight[at] = weight;
        arrays->order[at] = (uint16_t)i;
    }
}

/* ------------------------------------------------------------------------ */
/* Exact sums                                                               */

static inline float exact_sum_of(const struct scan *scan, size_t position,
                                 size_t num_sub_vectors)
{
    const float *row = scan->arrays.table;
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

static void offer(struct scan *scan, size_t position, float distance)
{
    pqk_top_k_heap_push(
        scan->heap,
        scan->first_id + pqk_layout_row(&scan->layout, scan->codes, position),
        distance);
}

/* A position's byte sum is within the threshold: decide in float32. */
static void verify(struct scan *scan, size_t position)
{
    const uint64_t bound = scan->heap->bound;
    float distance = exact_sum(scan, position);

    scan->stats->survivors++;
    if (distance > pqk_heap_bound(scan->heap))
        return;
    offer(scan, position, distance);
    if (scan->heap->bound != bound)
        scan->query->bound.threshold =
            byte_threshold(&scan->query->bound, scan->num_sub_vectors,
                           pqk_heap_bound(scan->heap));
}

/* All codes of some blocks, without any filter. */
static void scan_exactly(struct scan *scan, size_t first_block,
                         size_t num_blocks)
{
    const size_t first = first_block * PQK_BLOCK;
    size_t end = first + num_blocks * PQK_BLOCK;
    float bound = pqk_heap_bound(scan->heap);

    if (end > scan->layout.num_vectors)
        end = scan->layout.num_vectors;
    for (size_t i = first; i < end; i++) {
        float distance = exact_sum(scan, i);

        if (distance > bound)
            continue;
        offer(scan, i, distance);
        bound = pqk_heap_bound(scan->heap);
    }
    scan->stats->survivors += end - first;
    scan->stats->bytes_read += (end - first) * scan->num_sub_vectors;
}

/* The codes of a block whose byte sums are within the threshold. */
static void verify_block(struct scan *scan, size_t block, const uint8_t *sums)
{
    uint64_t alive;

    if (scan->query->bound.threshold < 0)
        return;
    alive = isa_alive(sums, (uint8_t)scan->query->bound.threshold);
    if (block + 1 == scan->layout.num_blocks &&
        scan->layout.num_vectors % PQK_BLOCK != 0)
        alive &= ((uint64_t)1 << scan->layout.num_vectors % PQK_BLOCK) - 1;
    for (; alive != 0; alive &= alive - 1)
        verify(scan, block * PQK_BLOCK + (size_t)__builtin_ctzll(alive));
}

/* ------------------------------------------------------------------------ */
/* Passes over columns                                                      */

static const uint8_t *bound_table(const struct scan_arrays *arrays,
                                  enum scan_bound bound, size_t m)
{
    switch (bound) {
    case BOUND_64:
        return arrays->group_64 + m * 64;
    case BOUND_16:
        return arrays->group_16 + m * 16;
    case BOUND_64_UP:
        return arrays->up_64 + m * 256;
    case BOUND_16_UP:
        return arrays->up_16 + m * 256;
    case BOUND_256:
        break;
    }
    return arrays->bytes + m * 256;
}

static enum scan_table table_of(enum scan_bound bound)
{
    return bound == BOUND_64   ? TABLE_64
           : bound == BOUND_16 ? TABLE_16
                               : TABLE_256;
}

/* Up to four columns of the query's order, of the blocks from first_block. */
static struct scan_pass make_pass(const struct scan *scan,
                                  enum scan_bound bound, size_t from, size_t to,
                                  const uint8_t *columns, size_t stride)
{
    struct scan_pass pass = {.table = table_of(bound)};

    pass.num_columns = to - from > 4 ? 4 : (unsigned)(to - from);
    for (size_t i = 0; i < pass.num_columns; i++) {
        size_t m = scan->arrays.order[from + i];

        pass.tables[i] = bound_table(&scan->arrays, bound, m);
        pass.columns[i] = columns + m * stride;
    }
    return pass;
}

/* Column numbers of a stage: sixteenths of M, rounded up, so that the first
 * stage has a column whatever M is. */
static size_t stage_column(const struct scan *scan, size_t sixteenths)
{
    return (sixteenths * scan->num_sub_vectors + 15) / 16;
}

static size_t filter_blocks(struct scan *scan, const struct scan_stage *stage,
                            size_t first_block, size_t num_blocks,
                            struct scan_blocks kept)
{
    const size_t to = stage_column(scan, stage->to);
    const uint8_t *columns = column(scan, 0) + first_block * PQK_BLOCK;
    size_t from = stage_column(scan, stage->from);
    uint8_t *sums = scan->work->all_sums;
    int first = 1;

    scan->stats->bytes_read += (to - from) * num_blocks * PQK_BLOCK;
    for (; from + 4 < to; from += 4, first = 0) {
        struct scan_pass pass = make_pass(scan, stage->bound, from, to, columns,
                                          scan->layout.column_stride);
        isa_dense(&pass, num_blocks, first, sums);
    }
    {
        struct scan_pass pass = make_pass(scan, stage->bound, from, to, columns,
                                          scan->layout.column_stride);
        return isa_dense_filter(&pass, num_blocks, first, sums,
                                (uint8_t)scan->query->bound.threshold,
                                (uint32_t)first_block, kept);
    }
}

static void add_to_listed(struct scan *scan, const struct scan_stage *stage,
                          struct scan_blocks listed, size_t num_blocks)
{
    const size_t to = stage_column(scan, stage->to);

    for (size_t from = stage_column(scan, stage->from); from < to; from += 4) {
        struct scan_pass pass =
            make_pass(scan, stage->bound, from, to, column(scan, 0),
                      scan->layout.column_stride);
        isa_listed(&pass, listed.blocks, num_blocks, listed.sums);
        scan->stats->bytes_read += pass.num_columns * num_blocks * PQK_BLOCK;
    }
}

/* Fetch what a stage will read of the listed blocks, one step ahead. */
static void prefetch_listed(const struct scan *scan,
                            const struct scan_stage *stage,
                            const uint32_t *blocks, size_t num_blocks)
{
    const size_t to = stage_column(scan, stage->to);

    for (size_t c = stage_column(scan, stage->from); c < to; c++) {
        const uint8_t *codes = column(scan, scan->arrays.order[c]);

        for (size_t i = 0; i < num_blocks; i++)
            __builtin_prefetch(codes + (size_t)blocks[i] * PQK_BLOCK);
    }
}

/* ------------------------------------------------------------------------ */
/* The first threshold                                                      */

/*
 * The cells nearest to the query, by their representatives' byte sums: counts
 * the sums and takes those below a limit, then some at it.
 */
static size_t nearest_cells(struct scan *scan, size_t wanted)
{
    const uint8_t *sums = scan->work->all_sums;
    const size_t num_cells = scan->layout.num_cells;
    uint32_t count[256] = {0};
    size_t limit = 0, below = 0, taken = 0;

    for (size_t c = 0; c < num_cells; c++)
        count[sums[c]]++;
    while (limit < 255 && below + count[limit] <= wanted)
        below += count[limit++];
    for (size_t c = 0; c < num_cells && taken < below; c++)
        if (sums[c] < limit)
            scan->work->cells[taken++] = (uint32_t)c;
    for (size_t c = 0; c < num_cells && taken < wanted; c++)
        if (sums[c] == limit)
            scan->work->cells[taken++] = (uint32_t)c;
    for (size_t i = 1; i < taken; i++) {
        uint32_t *cells = scan->work->cells;
        uint32_t cell = cells[i];

        if (sums[cell] < sums[cells[0]]) {
            cells[i] = cells[0];
            cells[0] = cell;
        }
    }
    return taken;
}

/* The nearest of some representatives gives a scale for all of them. */
static float nearest_of_sample(const struct scan *scan)
{
    const struct pqk_layout *layout = &scan->layout;
    const uint8_t *codes = scan->codes + layout->representatives;
    const size_t step = layout->num_cells / 64 + 1;
    float nearest = INFINITY;

    for (size_t c = 0; c < layout->num_cells; c += step) {
        float sum = 0.0f;

        for (size_t m = 0; m < scan->num_sub_vectors; m++)
            sum += scan->arrays
                       .table[m * PQK_TABLE_STRIDE +
                              codes[m * layout->representative_stride + c]];
        nearest = sum < nearest ? sum : nearest;
    }
    return nearest;
}

static void sum_representatives(struct scan *scan)
{
    const struct pqk_layout *layout = &scan->layout;

    natural_order(scan);
    for (size_t m = 0; m < scan->num_sub_vectors; m += 4) {
        struct scan_pass pass =
            make_pass(scan, ISA_SINGLE_BOUND, m, scan->num_sub_vectors,
                      scan->codes + layout->representatives,
                      layout->representative_stride);
        isa_dense(&pass, layout->representative_stride / PQK_BLOCK, m == 0,
                  scan->work->all_sums);
    }
    scan->stats->bytes_read += layout->num_cells * scan->num_sub_vectors;
}

static void mark_cell_done(struct scan_query *query, size_t cell)
{
    query->done_cells[cell / 8] |= (uint8_t)(1u << cell % 8);
}

static int block_is_done(const struct scan *scan, size_t block)
{
    const struct scan_query *query = scan->query;
    size_t cell;

    if (scan->layout.num_cells == 0)
        return block < query->done_blocks;
    cell = block / scan->layout.cell_blocks;
    return query->done_cells[cell / 8] >> cell % 8 & 1;
}

static size_t blocks_of_cell(const struct scan *scan, size_t cell)
{
    const struct pqk_layout *layout = &scan->layout;
    size_t left = layout->num_blocks - cell * layout->cell_blocks;

    return left < layout->cell_blocks ? left : layout->cell_blocks;
}

/* All columns of one cell's blocks, and verification of what is left. */
static void scan_cell(struct scan *scan, size_t cell)
{
    static const struct scan_stage whole = {ISA_SINGLE_BOUND, 0, 16};
    const size_t first = cell * scan->layout.cell_blocks;
    const size_t count = blocks_of_cell(scan, cell);

    for (size_t b = 0; b < count; b += CHUNK) {
        size_t n = count - b < CHUNK ? count - b : CHUNK;
        struct scan_blocks kept = {scan->work->sums[0][0],
                                   scan->work->blocks[0][0]};
        size_t num_kept;

        if (scan->query->bound.threshold < 0)
            return;
        num_kept = filter_blocks(scan, &whole, first + b, n, kept);
        for (size_t i = 0; i < num_kept; i++)
            verify_block(scan, kept.blocks[i], kept.sums + i * PQK_BLOCK);
    }
}

static void prefetch_cells(const struct scan *scan, size_t num_cells)
{
    const struct pqk_layout *layout = &scan->layout;

    for (size_t i = 0; i < num_cells; i++)
        for (size_t m = 0; m < scan->num_sub_vectors; m++) {
            const uint8_t *codes = column(scan, m) + scan->work->cells[i] *
                                                         layout->cell_blocks *
                                                         PQK_BLOCK;

            for (size_t b = 0; b < layout->cell_blocks; b++)
                __builtin_prefetch(codes + b * PQK_BLOCK);
        }
}

/* 16 cells hold most of the 10 nearest; with 8 k codes there are some spare. */
static size_t cells_to_probe(const struct scan *scan)
{
    const size_t cell_codes = scan->layout.cell_blocks * PQK_BLOCK;
    size_t wanted = scan->heap->k / (cell_codes / 8) + 1;

    wanted = wanted < 16 ? 16 : wanted;
    wanted = wanted > MAX_PROBED_CELLS ? MAX_PROBED_CELLS : wanted;
    return wanted < scan->layout.num_cells ? wanted : scan->layout.num_cells;
}

/* Scans the cells nearest to the query: the k-th result among them is rarely
 * more than a few percent behind that of all. */
static void probe_nearest_cells(struct scan *scan)
{
    size_t num_cells, i = 0;

    set_scale(scan, nearest_of_sample(scan));
    sum_representatives(scan);
    num_cells = nearest_cells(scan, cells_to_probe(scan));
    prefetch_cells(scan, num_cells);
    for (; i < num_cells && !(pqk_heap_bound(scan->heap) < INFINITY); i++) {
        size_t cell = scan->work->cells[i];

        scan_exactly(scan, cell * scan->layout.cell_blocks,
                     blocks_of_cell(scan, cell));
        mark_cell_done(scan->query, cell);
        pqk_heap_tighten(scan->heap);
    }
    if (i == num_cells)
        return;
    set_scale(scan, pqk_heap_bound(scan->heap));
    for (; i < num_cells; i++) {
        scan_cell(scan, scan->work->cells[i]);
        mark_cell_done(scan->query, scan->work->cells[i]);
    }
    pqk_heap_tighten(scan->heap);
}

/* Where the codes are in no order, the first ones are as good as any. */
static void probe_first_blocks(struct scan *scan)
{
    size_t blocks = scan->heap->k / (PQK_BLOCK / 4) + 16;

    if (blocks > scan->layout.num_blocks)
        blocks = scan->layout.num_blocks;
    scan_exactly(scan, 0, blocks);
    scan->query->done_blocks = (uint32_t)blocks;
    pqk_heap_tighten(scan->heap);
}

/* ------------------------------------------------------------------------ */
/* The staged scan                                                          */

/* A plan's stages that have columns for this M. */
struct scan_stages {
    size_t count;
    struct scan_stage stage[MAX_STAGES];
};

static struct scan_stages stages_of(const struct scan *scan,
                                    const struct scan_plan *plan)
{
    struct scan_stages stages = {.count = 0};

    for (size_t i = 0; i < plan->num_stages; i++)
        if (stage_column(scan, plan->stages[i].from) <
            stage_column(scan, plan->stages[i].to))
            stages.stage[stages.count++] = plan->stages[i];
    return stages;
}

static struct scan_blocks stage_list(struct scan *scan, size_t stage,
                                     size_t buffer)
{
    struct scan_blocks list = {scan->work->sums[buffer][stage],
                               scan->work->blocks[buffer][stage]};

    return list;
}

/* Works a list off through one stage; what is left goes to the next stage's
 * list, or is verified.  Returns how many blocks are left. */
static size_t work_off(struct scan *scan, const struct scan_stages *stages,
                       size_t stage, size_t buffer, size_t num_blocks)
{
    struct scan_blocks list = stage_list(scan, stage, buffer);
    struct scan_blocks next;
    size_t left;

    add_to_listed(scan, &stages->stage[stage], list, num_blocks);
    if (stage + 1 == stages->count) {
        for (size_t i = 0; i < num_blocks; i++)
            if (!block_is_done(scan, list.blocks[i]))
                verify_block(scan, list.blocks[i], list.sums + i * PQK_BLOCK);
        return 0;
    }
    next = stage_list(scan, stage + 1, 0);
    left = isa_compress(list, num_blocks, (uint8_t)scan->query->bound.threshold,
                        next);
    prefetch_listed(scan, &stages->stage[stage + 1], next.blocks, left);
    return left;
}

struct scan_counts {
    uint64_t alive; /* blocks after the first stage */
    uint64_t survivors;
};

/*
 * Chunks first, ..., end - 1 as a software pipeline: in every step the first
 * stage makes a list of a chunk's blocks, and each later stage, the last one
 * first, works off the list that the stage before it made one step earlier.
 */
static struct scan_counts run_chunks(struct scan *scan,
                                     const struct scan_stages *stages,
                                     size_t first, size_t end)
{
    const uint64_t survivors = scan->stats->survivors;
    size_t listed[MAX_STAGES] = {0};
    struct scan_counts counts = {0, 0};

    for (size_t chunk = first; chunk + 1 < end + stages->count; chunk++) {
        const size_t buffer = chunk & 1;
        size_t fresh = 0;

        if (scan->query->bound.threshold < 0)
            break;
        if (chunk < end) {
            const size_t block = chunk * CHUNK;
            const size_t left = scan->layout.num_blocks - block;

            fresh = filter_blocks(scan, &stages->stage[0], block,
                                  left < CHUNK ? left : CHUNK,
                                  stage_list(scan, 1, buffer));
            prefetch_listed(scan, &stages->stage[1],
                            stage_list(scan, 1, buffer).blocks, fresh);
            counts.alive += fresh;
        }
        for (size_t s = stages->count - 1; s >= 1; s--) {
            size_t left = 0;

            if (listed[s] > 0)
                left = work_off(scan, stages, s, s == 1 ? buffer ^ 1 : 0,
                                listed[s]);
            listed[s] = 0;
            if (s + 1 < stages->count)
                listed[s + 1] = left;
        }
        listed[1] = fresh;
    }
    counts.survivors = scan->stats->survivors - survivors;
    return counts;
}

/* With a column or two there is nothing to stage. */
static struct scan_counts run_chunks_at_once(struct scan *scan,
                                             const struct scan_stages *stages,
                                             size_t first, size_t end)
{
    const uint64_t survivors = scan->stats->survivors;
    struct scan_counts counts = {0, 0};

    for (size_t chunk = first; chunk < end; chunk++) {
        const size_t block = chunk * CHUNK;
        const size_t left = scan->layout.num_blocks - block;
        struct scan_blocks kept = stage_list(scan, 0, 0);
        size_t alive;

        if (scan->query->bound.threshold < 0)
            break;
        alive = filter_blocks(scan, &stages->stage[0], block,
                              left < CHUNK ? left : CHUNK, kept);
        for (size_t i = 0; i < alive; i++)
            if (!block_is_done(scan, kept.blocks[i]))
                verify_block(scan, kept.blocks[i], kept.sums + i * PQK_BLOCK);
        counts.alive += alive;
    }
    counts.survivors = scan->stats->survivors - survivors;
    return counts;
}

/* Filters cost more than they save when they let a quarter through. */
#define HOPELESS_SHARE 4

/* One run of chunks by the query's plan, and the choice of the next plan from
 * what was alive. */
static void run(struct scan *scan, size_t first, size_t end)
{
    struct scan_query *query = scan->query;
    const struct scan_plan *plan = &isa_plans[query->plan];
    const struct scan_stages stages = stages_of(scan, plan);
    const uint64_t blocks = (end - first) * CHUNK;
    const size_t num_plans = sizeof isa_plans / sizeof isa_plans[0];
    struct scan_counts counts;
    double share;

    counts = stages.count > 1 ? run_chunks(scan, &stages, first, end)
                              : run_chunks_at_once(scan, &stages, first, end);
    share = (double)counts.alive / (double)blocks;
    if (share > (double)plan->most && query->plan + 1 < num_plans) {
        query->plan++;
        query->moves++;
    } else if (share < (double)plan->least && query->plan > 0 &&
               query->moves < 6) {
        query->plan--;
        query->moves++;
    }
    if (counts.survivors * HOPELESS_SHARE > blocks * PQK_BLOCK)
        query->exact_chunks = 64;
}

static void run_exactly(struct scan *scan, size_t first, size_t end)
{
    size_t end_block = end * CHUNK;

    if (end_block > scan->layout.num_blocks)
        end_block = scan->layout.num_blocks;
    for (size_t block = first * CHUNK; block < end_block; block++)
        if (!block_is_done(scan, block))
            scan_exactly(scan, block, 1);
}

/* Byte tables lose resolution as the threshold falls: make them anew. */
#define COARSE_THRESHOLD 246

static void refresh_tables(struct scan *scan)
{
    struct scan_query *query = scan->query;
    float bound;

    pqk_heap_tighten(scan->heap);
    bound = pqk_heap_bound(scan->heap);
    if (!(bound < INFINITY))
        return;
    query->bound.threshold =
        byte_threshold(&query->bound, scan->num_sub_vectors, bound);
    if (query->bound.threshold >= 0 &&
        query->bound.threshold < COARSE_THRESHOLD)
        set_scale(scan, bound);
}

/* With a bound, byte tables and an order for it; returns 0 without one. */
static int aim(struct scan *scan)
{
    const float bound = pqk_heap_bound(scan->heap);

    if (!(bound < INFINITY))
        return 0;
    set_scale(scan, bound);
    order_columns(scan);
    scan->query->finished = scan->query->bound.threshold < 0;
    return 1;
}

/* Some chunks of one query. */
static void advance(struct scan *scan, size_t first, size_t end)
{
    struct scan_query *query = scan->query;

    if (!query->aimed || query->exact_chunks >= end - first) {
        run_exactly(scan, first, end);
        pqk_heap_tighten(scan->heap);
        if (query->aimed)
            query->exact_chunks -= (uint32_t)(end - first);
        else
            query->aimed = aim(scan);
        return;
    }
    query->exact_chunks = 0;
    run(scan, first, end);
    refresh_tables(scan);
    query->finished = query->bound.threshold < 0;
}

/* ------------------------------------------------------------------------ */
/* Small partitions                                                         */

static size_t count_alive(const uint8_t *sums, size_t num_blocks, int threshold)
{
    size_t count = 0;

    for (size_t b = 0; b < num_blocks; b++)
        count += (size_t)__builtin_popcountll(
            isa_alive(sums + b * PQK_BLOCK, (uint8_t)threshold));
    return count;
}

/* The k-th smallest byte sum, 255 if it is not below that. */
static int kth_sum(const uint8_t *sums, size_t num_blocks, size_t k)
{
    int low = 0, high = 255;

    while (low < high) {
        int middle = (low + high) / 2;

        if (count_alive(sums, num_blocks, middle) >= k)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* A distance of the order of the k-th: the nearest of some codes. */
static float nearest_of_first(const struct scan *scan)
{
    const size_t sample =
        scan->layout.num_vectors < 128 ? scan->layout.num_vectors : 128;
    const size_t step = scan->layout.num_vectors / sample;
    float nearest = INFINITY;

    for (size_t i = 0; i < sample; i++) {
        float distance = exact_sum(scan, i * step);

        nearest = distance < nearest ? distance : nearest;
    }
    return nearest;
}

static void sum_all(struct scan *scan)
{
    uint8_t *sums = scan->work->all_sums;
    const struct pqk_layout *layout = &scan->layout;
    const size_t tail = layout->num_vectors % PQK_BLOCK;

    natural_order(scan);
    for (size_t m = 0; m < scan->num_sub_vectors; m += 4) {
        struct scan_pass pass =
            make_pass(scan, BOUND_256, m, scan->num_sub_vectors,
                      column(scan, 0), layout->column_stride);
        isa_dense(&pass, layout->num_blocks, m == 0, sums);
    }
    if (tail > 0) /* what fills the last block up is never a result */
        memset(sums + layout->num_vectors, 255, PQK_BLOCK - tail);
    scan->stats->bytes_read += layout->num_vectors * scan->num_sub_vectors;
}

/*
 * Sums all columns of all codes, counts out the k-th smallest byte sum v, and
 * verifies what can be as near as that.  A byte sum v < 255 says that
 * s (S - B) (1 - e)^2 < v + M, each of the M entries having lost less than 1.
 * So k codes have a distance of at most (B + (v + M) / s) times the roundings,
 * and nothing beyond that is a result.  Returns 0, with nothing done, if v
 * leaves no room below 255; the guess that set the scale was then too low.
 */
static int scan_whole(struct scan *scan, float guess)
{
    struct scan_query *query = scan->query;
    const size_t num_blocks = scan->layout.num_blocks;
    const double num_sub_vectors = (double)scan->num_sub_vectors;
    double furthest;
    int kth;

    set_scale(scan, guess);
    sum_all(scan);
    kth = kth_sum(scan->work->all_sums, num_blocks, scan->heap->k);
    furthest = query->bound.sum_of_minima +
               ((double)kth + num_sub_vectors) /
                   ((double)query->bound.scale * (1.0 - 0x1p-21));
    furthest *= (1.0 + num_sub_vectors * 0x1p-23) * (1.0 + 0x1p-22);
    if (kth == 255 || !(furthest < (double)FLT_MAX) ||
        (double)query->bound.scale *
                widened_range(&query->bound, scan->num_sub_vectors,
                              (float)furthest) *
                (1.0 + 0x1p-20) >=
            254.0)
        return 0;
    query->bound.threshold =
        byte_threshold(&query->bound, scan->num_sub_vectors, (float)furthest);
    for (size_t b = 0; b < num_blocks; b++)
        verify_block(scan, b, scan->work->all_sums + b * PQK_BLOCK);
    return 1;
}

static int scan_small(struct scan *scan)
{
    const float bound = pqk_heap_bound(scan->heap);
    float guess;

    if (bound < INFINITY || scan->heap->k == 0 ||
        scan->heap->k > scan->layout.num_vectors / 4)
        return 0;
    guess = nearest_of_first(scan);
    for (int attempt = 0; attempt < 3 && guess < FLT_MAX / 4; attempt++) {
        if (scan_whole(scan, guess))
            return 1;
        guess *= 2.0f;
    }
    return 0;
}

/* ------------------------------------------------------------------------ */
/* The door's functions                                                     */

static size_t scan_tables_bytes(const pqk_codebook *shape, size_t num_queries)
{
    struct scan_arrays arrays;

    return aligned_size(sizeof(struct scan_work)) +
           num_queries * lay_out_query(0, shape->num_sub_vectors, &arrays);
}

/* Query number q in the memory of scan_tables_bytes(). */
static struct scan_query *query_at(void *tables, size_t num_sub_vectors,
                                   size_t q, struct scan_arrays *arrays)
{
    const uintptr_t first =
        (uintptr_t)tables + aligned_size(sizeof(struct scan_work));
    const size_t bytes = lay_out_query(first, num_sub_vectors, arrays);

    lay_out_query(first + q * bytes, num_sub_vectors, arrays);
    return (void *)(first + q * bytes);
}

static void take_query(struct scan *scan, void *tables, pqk_top_k_heap *heaps,
                       size_t q)
{
    scan->query = query_at(tables, scan->num_sub_vectors, q, &scan->arrays);
    scan->heap = &heaps[q];
}

static void scan_compute_tables(const void *prepared_codebook,
                                const float *queries, size_t num_queries,
                                void *tables)
{
    const struct pqk_layout_codebook *codebook = prepared_codebook;
    const float *centroids = pqk_layout_centroids(codebook);
    const size_t num_sub_vectors = codebook->num_sub_vectors;
    const size_t d = codebook->sub_vector_dim;

    for (size_t q = 0; q < num_queries; q++) {
        struct scan_arrays arrays;
        struct scan_query *query =
            query_at(tables, num_sub_vectors, q, &arrays);

        query->bound.sum_of_minima = 0.0;
        for (size_t m = 0; m < num_sub_vectors; m++) {
            arrays.minima[m] =
                isa_table_row(centroids + m * d * PQK_TABLE_STRIDE,
                              queries + (q * num_sub_vectors + m) * d, d,
                              arrays.table + m * PQK_TABLE_STRIDE);
            query->bound.sum_of_minima += (double)arrays.minima[m];
        }
    }
}

/* Partitions too small for a filter to pay, and tables without a minimum. */
static int wants_no_filter(const struct scan *scan)
{
    return scan->layout.num_vectors <= 2 * PQK_BLOCK ||
           scan->heap->k > scan->layout.num_vectors / 2 ||
           !(scan->query->bound.sum_of_minima < (double)FLT_MAX);
}

/* Everything but the staged scan. */
static void begin_query(struct scan *scan)
{
    struct scan_query *query = scan->query;
    const struct pqk_layout *layout = &scan->layout;

    query->plan = 0;
    query->moves = 0;
    query->exact_chunks = 0;
    query->done_blocks = 0;
    query->aimed = 0;
    query->finished = 1;
    memset(query->done_cells, 0, layout->num_cells / 8 + 1);
    if (scan->heap->k == 0)
        return;
    if (wants_no_filter(scan)) {
        scan_exactly(scan, 0, layout->num_blocks);
        return;
    }
    if (layout->num_vectors <= WHOLE_CODES && scan_small(scan))
        return;
    query->finished = 0;
    if (!(pqk_heap_bound(scan->heap) < INFINITY)) {
        if (layout->num_cells > 0)
            probe_nearest_cells(scan);
        else
            probe_first_blocks(scan);
    }
    query->aimed = aim(scan);
}

static uint32_t bound_groups(const struct scan_query *query)
{
    if (!query->aimed || query->exact_chunks > 0)
        return 0;
    switch (isa_plans[query->plan].stages[0].bound) {
    case BOUND_16:
        return 16;
    case BOUND_64:
        return 64;
    default:
        return 256;
    }
}

/* What a run of so many chunks reads stays in the second-level cache for the
 * other queries of a batch. */
#define BATCH_CHUNKS 4

/* A single query's runs begin short, since the threshold falls and the plan
 * settles early, and grow up to this. */
#define MOST_CHUNKS 16

static void scan_probe(const void *prepared_codebook, const void *codes,
                       size_t num_vectors, uint32_t first_id, void *tables,
                       size_t num_queries, pqk_top_k_heap *heaps,
                       pqk_search_stats *stats)
{
    const struct pqk_layout_codebook *codebook = prepared_codebook;
    struct scan scan = {
        .num_sub_vectors = codebook->num_sub_vectors,
        .layout = pqk_layout_of(codebook->num_sub_vectors, num_vectors),
        .codes = codes,
        .first_id = first_id,
        .work = tables,
        .stats = stats};
    const size_t num_chunks = (scan.layout.num_blocks + CHUNK - 1) / CHUNK;
    size_t step = num_queries > 1 ? BATCH_CHUNKS : num_chunks / 64 + 1;

    for (size_t q = 0; q < num_queries; q++) {
        take_query(&scan, tables, heaps, q);
        begin_query(&scan);
    }
    for (size_t first = 0, end; first < num_chunks; first = end) {
        end = num_chunks - first < step ? num_chunks : first + step;
        for (size_t q = 0; q < num_queries; q++) {
            take_query(&scan, tables, heaps, q);
            if (!scan.query->finished)
                advance(&scan, first, end);
        }
        if (num_queries == 1 && step < MOST_CHUNKS)
            step *= 2;
    }
    stats->codes += (uint64_t)num_vectors * num_queries;
    stats->bound_groups = bound_groups(scan.query);
}

#endif
