/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a scan of one query on one partition works with.
 * In: the memory that the door's tables_bytes asks for.  Out: scratch that the
 * queries of a call share, then each query with its arrays.  Never: a pointer kept
 * between calls, since the library may move that memory.
 */
#ifndef PQK_KERNELS_QUERY_H
#define PQK_KERNELS_QUERY_H

#include "kernels/layout.h"
#include "kernels/pass.h"
#include "kernels/plan.h"
#include "kernels/rounding.h"

/* Blocks that go through the stages together: a bit each. */
#define CHUNK 64

/* Partitions of up to so many codes are summed whole. */
#define WHOLE_CODES 32768

/* Cells of a partition; those that are wanted for a first bound, and those that are
 * taken, since some rank alike. */
#define MAX_CELLS        32768
#define MAX_WANTED_CELLS 1024
#define MAX_PROBED_CELLS (MAX_WANTED_CELLS + MAX_WANTED_CELLS / 4)

/* Codes that are verified together: two blocks', and one more that was begun. */
#define MAX_PENDING (3 * PQK_BLOCK)

/* Scratch that queries share, since one works at a time. */
struct scan_work {
    uint8_t sums[CHUNK * PQK_BLOCK];
    uint8_t all_sums[WHOLE_CODES + PQK_BLOCK]; /* also of representatives */
    uint32_t cells[MAX_PROBED_CELLS];
    uint32_t pending[MAX_PENDING + 4]; /* positions, and what fills them up */
    uint32_t blocks[WHOLE_CODES / PQK_BLOCK]; /* that are ranked, if not all */
    uint64_t ranked[WHOLE_CODES / PQK_BLOCK]; /* codes of a block, a bit each */
};

/* Enough: no plan looks at a column more than twice, each stage may round up to one
 * column more, and a pass has at least one column. */
#define MAX_PASSES(num_sub_vectors) (2 * (num_sub_vectors) + MAX_STAGES)

/* The arrays behind a scan_query, rows of 64 bytes or more 64-byte aligned. */
struct scan_arrays {
    float *table;             /* [M][256], by label; or estimates */
    float *group_minima;      /* [M][64], of the table, with ISA_FLOAT_GROUPS */
    uint8_t *bytes;           /* [M][256] */
    uint8_t *rests_64;        /* [M][256] */
    uint8_t *minima_128;      /* [M][128] */
    uint8_t *minima_64;       /* [M][64] */
    uint8_t *minima_16;       /* [M][16] */
    uint8_t *steps_64;        /* [M][64] */
    struct scan_pass *passes; /* of the plan, or of whole cells */
    float *row_minima;        /* [M] */
    float *components;        /* [M][d], the query itself */
    int16_t *integers;        /* [M][d], the same rounded (estimates.h) */
    int32_t *common;  /* [M], what entries of estimates have in common */
    float *factors;   /* [M][d], of centroids, with ISA_FLOAT_ESTIMATES */
    float *constants; /* [M], what entries have in common then */
    uint32_t
        *column_weights; /* [M], how much each column of that order rules out */
    uint16_t *order;     /* [M], columns, those that rule out most first */
    uint8_t *has_bytes;  /* [M], whether `bytes` are of the scale there is */
};

/* One query: this, then its arrays. */
struct scan_query {
    struct scan_arrays arrays; /* for as long as a probe takes */
    struct rounding rounding;
    uint32_t plan;
    uint32_t plan_changes;
    uint32_t unfiltered_chunks; /* chunks still to be summed without a filter */
    uint32_t done_blocks;       /* leading blocks that are scanned already */
    int is_ordered; /* the columns are, by the bytes that there are */
    int estimates;  /* the table is one of estimates (estimates.h) */
    int aimed;      /* byte tables are made for the heap's bound */
    int finished;
    size_t first_passes; /* of the plan's first stage */
    size_t num_passes;   /* of all stages */
    /* The run of chunks that is under way. */
    int is_filtering;
    uint64_t live_blocks; /* after the first stage */
    uint64_t survivors;
    uint8_t done_cells[MAX_CELLS / 8];
};

static size_t aligned_size(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

/* Lays the arrays out behind a scan_query at an address; returns the bytes of it
 * and them.  To ask for the size alone, the address may be 0. */
static size_t lay_out_query(uintptr_t address, size_t num_sub_vectors,
                            size_t sub_vector_dim, struct scan_arrays *arrays)
{
    const size_t entries = num_sub_vectors * PQK_TABLE_STRIDE;
    uintptr_t at = address + aligned_size(sizeof(struct scan_query));

    arrays->table = (void *)at;
    at += entries * sizeof(float);
    arrays->group_minima = (void *)at;
    at += ISA_FLOAT_GROUPS * num_sub_vectors * 64 * sizeof(float);
    arrays->bytes = (void *)at;
    at += entries;
    arrays->rests_64 = (void *)at;
    at += entries;
    arrays->minima_128 = (void *)at;
    at += num_sub_vectors * 128;
    arrays->minima_64 = (void *)at;
    at += num_sub_vectors * 64;
    arrays->steps_64 = (void *)at;
    at += num_sub_vectors * 64;
    arrays->minima_16 = (void *)at;
    at += num_sub_vectors * 16;
    arrays->integers = (void *)at;
    at += num_sub_vectors * sub_vector_dim * sizeof(int16_t);
    at = aligned_size(at);
    arrays->factors = (void *)at;
    at +=
        ISA_FLOAT_ESTIMATES * num_sub_vectors * sub_vector_dim * sizeof(float);
    arrays->components = (void *)at;
    at += num_sub_vectors * sub_vector_dim * sizeof(float);
    at = aligned_size(at);
    arrays->passes = (void *)at;
    at += MAX_PASSES(num_sub_vectors) * sizeof(struct scan_pass);
    arrays->row_minima = (void *)at;
    at += num_sub_vectors * sizeof(float);
    arrays->common = (void *)at;
    at += num_sub_vectors * sizeof(int32_t);
    arrays->constants = (void *)at;
    at += ISA_FLOAT_ESTIMATES * num_sub_vectors * sizeof(float);
    arrays->column_weights = (void *)at;
    at += num_sub_vectors * sizeof(uint32_t);
    arrays->order = (void *)at;
    at += num_sub_vectors * sizeof(uint16_t);
    arrays->has_bytes = (void *)at;
    at += num_sub_vectors;
    return aligned_size(at - address);
}

/* So many rows are sought among the ids of a block; more are looked up in the
 * filter's bits, an id at a time. */
#define MAX_SOUGHT 8

/* What a scan works with; made anew for every query of every call. */
struct scan {
    const struct pqk_layout_codebook *codebook;
    const float *vectors; /* [M][256][d], the centroids by label */
    size_t num_sub_vectors;
    struct pqk_layout layout;
    const uint8_t *codes; /* prepared */
    uint32_t first_id;
    struct scan_work *scratch;
    const struct plan *plans;
    uintptr_t
        queries; /* the first one, and how far it is from one to the next */
    size_t query_bytes;
    size_t num_pending;              /* codes that are to be verified */
    struct scan_query *query;        /* the one that is worked on */
    const struct pqk_filter *filter; /* or NULL */
    size_t num_allowed;              /* rows that its bits allow */
    size_t num_sought;               /* those rows, if they are few */
    uint16_t sought[MAX_SOUGHT];     /* the low bytes of their ids */
    pqk_top_k_heap *heaps;
    pqk_top_k_heap *heap; /* the query's */
    pqk_search_stats *stats;
    struct pqk_share *share; /* NULL: all chunks are this thread's */
    int fetches;             /* what is alive, for the pass that comes next */
};

/* Whether there is a distance to filter by. */
static int has_bound(const pqk_top_k_heap *heap)
{
    return pqk_heap_bound(heap) < MAX_FILTERED;
}

static const uint8_t *column(const struct scan *scan, size_t m)
{
    return scan->codes + scan->layout.columns + m * scan->layout.column_stride;
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

static size_t query_bytes(size_t num_sub_vectors, size_t sub_vector_dim)
{
    struct scan_arrays arrays;

    return lay_out_query(0, num_sub_vectors, sub_vector_dim, &arrays);
}

static size_t scan_tables_bytes(const pqk_codebook *shape, size_t num_queries)
{
    return aligned_size(sizeof(struct scan_work)) +
           num_queries *
               query_bytes(shape->num_sub_vectors, shape->sub_vector_dim);
}

/* The queries in the memory of scan_tables_bytes(). */
static uintptr_t queries_in(void *tables)
{
    return (uintptr_t)tables + aligned_size(sizeof(struct scan_work));
}

static void take_query(struct scan *scan, size_t q)
{
    scan->query = (void *)(scan->queries + q * scan->query_bytes);
    scan->heap = &scan->heaps[q];
}

#endif
