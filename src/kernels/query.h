/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a scan of one query on one partition works with: its memory, its tables
 * in float32 and bytes, the exact sums, and passes over columns.
 */
#ifndef PQK_KERNELS_QUERY_H
#define PQK_KERNELS_QUERY_H

#include "kernels/bound.h"
#include "kernels/common.h"
#include "kernels/layout.h"
#include "kernels/plans.h"
#include "kernels/scan_ops.h"

/* Blocks that go through the stages together: a bit each. */
#define CHUNK 64

/* Partitions of up to so many codes are summed whole. */
#define WHOLE_CODES 32768

#define MAX_CELLS        32768
#define MAX_PROBED_CELLS 1024

/* Scratch that queries share, since they take turns. */
struct scan_work {
    uint8_t sums[CHUNK * PQK_BLOCK];
    uint8_t all_sums[WHOLE_CODES + PQK_BLOCK]; /* also of representatives */
    uint32_t cells[MAX_PROBED_CELLS];
};

/* No plan looks at a column more than twice, each stage rounds up once, and a pass
 * has a column or more. */
#define MOST_PASSES(num_sub_vectors) (2 * (num_sub_vectors) + MAX_STAGES)

/* The arrays behind a scan_query, rows of 64 bytes or more 64-byte aligned. */
struct scan_arrays {
    float *table;       /* [M][256], by label */
    uint8_t *bytes;     /* [M][256] */
    uint8_t *up_16;     /* [M][256] */
    uint8_t *up_64;     /* [M][256] */
    uint8_t *group_128; /* [M][128] */
    uint8_t *group_64;  /* [M][64] */
    uint8_t *group_16;  /* [M][16] */
    struct scan_pass *passes; /* of the plan, or of whole cells */
    float *minima;      /* [M] */
    uint32_t *weight;   /* [M], how much columns separate, in their order */
    uint16_t *order;    /* [M], columns, those that separate most first */
};

/* One query: this, then its arrays. */
struct scan_query {
    struct scan_arrays arrays; /* for as long as a probe takes */
    struct byte_bound bound;
    uint32_t plan;
    uint32_t moves;
    uint32_t exact_chunks; /* do not filter for so many chunks */
    uint32_t done_blocks;  /* so many leading blocks need no scan */
    int aimed;             /* byte tables are made for the heap's bound */
    int finished;
    size_t first_passes; /* the plan's first stage has so many passes */
    size_t num_passes;   /* of all stages */
    /* The run of chunks that is under way. */
    int filters;
    uint64_t alive; /* blocks after the first stage */
    uint64_t survivors;
    uint8_t done_cells[MAX_CELLS / 8];
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
    arrays->group_128 = (void *)at;
    at += num_sub_vectors * 128;
    arrays->group_64 = (void *)at;
    at += num_sub_vectors * 64;
    arrays->group_16 = (void *)at;
    at += num_sub_vectors * 16;
    arrays->passes = (void *)at;
    at += MOST_PASSES(num_sub_vectors) * sizeof(struct scan_pass);
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
    const struct scan_plan *plans;
    uintptr_t queries; /* the first one, and how far it is from one to the next */
    size_t query_bytes;
    struct scan_query *query; /* the one whose turn it is */
    const struct pqk_filter *filter; /* or NULL */
    size_t num_allowed;              /* rows that its bits allow */
    pqk_top_k_heap *heaps;
    pqk_top_k_heap *heap; /* the query's */
    pqk_search_stats *stats;
};

static const uint8_t *column(const struct scan *scan, size_t m)
{
    return scan->codes + scan->layout.columns + m * scan->layout.column_stride;
}

/* ------------------------------------------------------------------------ */
/* Thresholds and byte tables                                               */

/* Whether there is a distance to filter by. */
static int has_bound(const pqk_top_k_heap *heap)
{
    return pqk_heap_bound(heap) < MOST_BOUND;
}

/* The minima of entries whose numbers share the 7 low bits.  At -O2 compilers make
 * vectors of this and its like only if nothing can overlap. */
static void group_by_128(const uint8_t *restrict bytes,
                         uint8_t *restrict group_128)
{
    for (size_t i = 0; i < 128; i++)
        group_128[i] = bytes[i] < bytes[i + 128] ? bytes[i] : bytes[i + 128];
}

/* The minima of entries whose numbers share the 6 low bits. */
static void group_by_64(const uint8_t *restrict bytes,
                        uint8_t *restrict group_64)
{
    for (size_t i = 0; i < 64; i++) {
        uint8_t a = bytes[i] < bytes[i + 64] ? bytes[i] : bytes[i + 64];
        uint8_t b =
            bytes[i + 128] < bytes[i + 192] ? bytes[i + 128] : bytes[i + 192];
        group_64[i] = a < b ? a : b;
    }
}

/* Minima of the groups, and what they lack; see scan_bound. */
static void derive_groups(const struct scan_arrays *arrays, size_t m)
{
    const uint8_t *restrict bytes = arrays->bytes + m * 256;
    uint8_t *restrict group_16 = arrays->group_16 + m * 16;
    uint8_t *restrict group_64 = arrays->group_64 + m * 64;
    uint8_t *restrict up_64 = arrays->up_64 + m * 256;
    uint8_t *restrict up_16 = arrays->up_16 + m * 256;

    group_by_64(bytes, group_64);
    for (size_t i = 0; i < 16; i++) {
        uint8_t a =
            group_64[i] < group_64[i + 16] ? group_64[i] : group_64[i + 16];
        uint8_t b = group_64[i + 32] < group_64[i + 48] ? group_64[i + 32]
                                                        : group_64[i + 48];
        group_16[i] = a < b ? a : b;
    }
    for (size_t r = 0; r < 256; r += 64)
        for (size_t i = 0; i < 64; i++)
            up_64[r + i] = (uint8_t)(bytes[r + i] - group_64[i]);
    for (size_t r = 0; r < 256; r += 16)
        for (size_t i = 0; i < 16; i++)
            up_16[r + i] = (uint8_t)(bytes[r + i] - group_16[i]);
}

/* Byte tables for that scale. */
static void set_scale(struct scan *scan, float distance)
{
    const struct scan_arrays *arrays = &scan->query->arrays;

    choose_scale(&scan->query->bound, scan->num_sub_vectors, distance);
    for (size_t m = 0; m < scan->num_sub_vectors; m++)
        isa_quantize(arrays->table + m * 256, arrays->minima[m],
                     scan->query->bound.scale, arrays->bytes + m * 256);
    if (ISA_USES_128 && scan->plans != isa_plans)
        for (size_t m = 0; m < scan->num_sub_vectors; m++)
            group_by_128(arrays->bytes + m * 256, arrays->group_128 + m * 128);
    if (ISA_USES_GROUPS)
        for (size_t m = 0; m < scan->num_sub_vectors; m++)
            derive_groups(arrays, m);
}

static void natural_order(const struct scan *scan)
{
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

/* Asked of a code before it is summed. */
static inline int has_row(const struct scan *scan, size_t position)
{
    return !scan->filter || !scan->filter->rows ||
           pqk_filter_has_row(scan->filter, row_at(scan, position));
}

/* Bits of a section's rows by the ids of some of its positions. */
SCAN_INLINE uint64_t bits_of_ids(const uint64_t *rows, const uint8_t *ids,
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

/* A distance within the heap's bound. */
static void offer(struct scan *scan, size_t position, float distance)
{
    const uint32_t row = row_at(scan, position);

    if (scan->filter && !pqk_filter_allows(scan->filter, row))
        return;
    pqk_top_k_heap_push(scan->heap, scan->first_id + row, distance);
}

/* A position's byte sum is within the threshold: decide in float32. */
static void verify(struct scan *scan, size_t position)
{
    const uint64_t bound = scan->heap->bound;
    float distance;

    if (!has_row(scan, position))
        return;
    distance = exact_sum(scan, position);
    scan->stats->survivors++;
    scan->query->survivors++;
    if (distance > pqk_heap_bound(scan->heap))
        return;
    offer(scan, position, distance);
    if (scan->heap->bound != bound)
        scan->query->bound.threshold =
            byte_threshold(&scan->query->bound, scan->num_sub_vectors,
                           pqk_heap_bound(scan->heap));
}

/* All codes, from one position to before another; returns how many. */
static size_t sum_codes(struct scan *scan, size_t first, size_t end)
{
    float bound = pqk_heap_bound(scan->heap);

    for (size_t i = first; i < end; i++) {
        float distance = exact_sum(scan, i);

        if (distance > bound)
            continue;
        offer(scan, i, distance);
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
            offer(scan, position, distance);
    }
    return count;
}

/* All codes of some blocks without a bound, those that may be results. */
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

/* The tables of a bound, one after the other. */
struct bound_tables {
    enum scan_table kind;
    const uint8_t *first;
    size_t stride;
};

static struct bound_tables tables_of(const struct scan_arrays *arrays,
                                     enum scan_bound bound)
{
    switch (bound) {
    case BOUND_128:
        return (struct bound_tables){TABLE_128, arrays->group_128, 128};
    case BOUND_64:
        return (struct bound_tables){TABLE_64, arrays->group_64, 64};
    case BOUND_16:
        return (struct bound_tables){TABLE_16, arrays->group_16, 16};
    case BOUND_64_UP:
        return (struct bound_tables){TABLE_256, arrays->up_64, 256};
    case BOUND_16_UP:
        return (struct bound_tables){TABLE_256, arrays->up_16, 256};
    case BOUND_256:
        break;
    }
    return (struct bound_tables){TABLE_256, arrays->bytes, 256};
}

/* Columns of the query's order, as many as a pass can have. */
static struct scan_pass make_pass(const struct scan *scan,
                                  enum scan_bound bound, size_t from, size_t to,
                                  const uint8_t *columns, size_t stride)
{
    const struct bound_tables tables = tables_of(&scan->query->arrays, bound);
    struct scan_pass pass;

    pass.table = tables.kind;
    pass.num_columns = isa_pass_columns(tables.kind, to - from);
    for (size_t i = 0; i < pass.num_columns; i++) {
        size_t m = scan->query->arrays.order[from + i];

        pass.tables[i] = tables.first + m * tables.stride;
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

/* The passes of a stage, behind `count` others; returns how many there are then. */
static size_t add_passes(const struct scan *scan,
                         const struct scan_stage *stage, size_t count)
{
    const size_t to = stage_column(scan, stage->to);

    for (size_t from = stage_column(scan, stage->from); from < to;) {
        struct scan_pass *pass = &scan->query->arrays.passes[count++];

        *pass = make_pass(scan, stage->bound, from, to, column(scan, 0),
                          scan->layout.column_stride);
        from += pass->num_columns;
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
    uint8_t *sums = scan->work->sums;
    uint64_t alive = 0;

    for (size_t p = 0; p < num_passes; p++) {
        if (p + 1 < num_passes)
            isa_dense(&passes[p], offset, num_blocks, p == 0, sums);
        else
            alive = isa_filter(&passes[p], offset, num_blocks, p == 0, sums,
                               (uint8_t)scan->query->bound.threshold);
        scan->stats->bytes_read +=
            passes[p].num_columns * num_blocks * PQK_BLOCK;
    }
    return alive;
}

/* All later stages, for those that are alive. */
static uint64_t filter_live(struct scan *scan, size_t first_block, uint64_t live)
{
    const struct scan_query *query = scan->query;

    for (size_t p = query->first_passes; p < query->num_passes && live != 0;
         p++) {
        const struct scan_pass *pass = &scan->query->arrays.passes[p];

        scan->stats->bytes_read += pass->num_columns * PQK_BLOCK *
                                   (size_t)__builtin_popcountll(live);
        live = isa_filter_live(pass, first_block * PQK_BLOCK, live,
                               scan->work->sums,
                               (uint8_t)query->bound.threshold);
    }
    return live;
}

#endif
