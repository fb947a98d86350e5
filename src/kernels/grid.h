/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Rows and centroids rounded to a grid of 16-bit integers, whose pairs are
 * multiplied at once.  Squared distances on the grid take less than half the time
 * of float32, and rule out all centroids except those within a margin of the least.
 * Usually one is left; if there are more, they are compared in float32, as the
 * reference does it.
 *
 * The margin.  The unit is the grid's step.  A value less its dimension's centre
 * is an integer plus an error of at most 1/2 + 2^-8: it is rounded twice in
 * float32, and less than 2^15.  So with Z the squared distance of two points of
 * the grid, the true distance of what they stand for is within
 *     w = (1 + 2^-7) * sqrt(d)
 * of sqrt(Z).  The reference computes its square with a relative error of at most
 * (d + 3) * 2^-24; squares that underflow add d * 2^-150 of the caller's units,
 * which is nothing in steps of at least 2^-50.  Hence, g being (d + 4) * 2^-24,
 * nothing that is nearest to the reference has more than
 *     sqrt(Z) = (sqrt(least Z) + w) * (1 + 3 * g) + w.
 */
#ifndef PQK_KERNELS_GRID_H
#define PQK_KERNELS_GRID_H

#include <math.h>
#include <string.h>

#include "kernels/nearest.h"

/* A grid of more dimensions would take too much of a stack. */
#define GRID_DIMS 128

/* Rows that go through each step together, so that the steps of one overlap with
 * those of another. */
#define GRID_ROWS 16

/* Vectors of centroids whose distances are kept in registers for two rows. */
#define GRID_TILE (4 * ISA_LANES)

struct grid {
    float scale; /* steps per unit */
    float margin, growth;
    float centres[GRID_DIMS + 8];
    float reach[GRID_DIMS + 8]; /* the largest magnitude, in steps */
    int32_t norms[256] __attribute__((aligned(64)));
    /* -2 C as [256 / GRID_TILE][pairs of dimensions][GRID_TILE] pairs. */
    int16_t pairs[GRID_DIMS * 256] __attribute__((aligned(64)));
};

struct grid_row {
    int16_t values[GRID_DIMS + 8] __attribute__((aligned(64)));
    int32_t norm;
    int32_t least; /* of all distances, which are squared and lack the norm */
    int32_t threshold;
    int is_within;
    uint64_t quads; /* with distances within the threshold, as bits */
    /* Of each tile, lane by lane: the least of four distances. */
    int32_t minima[64] __attribute__((aligned(64)));
};

static int is_there(const float *centroids, size_t d, size_t c)
{
    for (size_t i = 0; i < d; i++)
        if (!(fabsf(centroids[i * 256 + c]) < INFINITY))
            return 0;
    return 1;
}

/* Centres, and how far centroids are from them; returns the farthest. */
static float find_extent(const float *centroids, size_t d, struct grid *grid)
{
    float farthest = 0.0f;

    for (size_t i = 0; i < d; i++) {
        float low = INFINITY, high = -INFINITY;

        for (size_t c = 0; c < 256; c++) {
            const float value = centroids[i * 256 + c];

            if (!(fabsf(value) < INFINITY))
                continue;
            low = value < low ? value : low;
            high = value > high ? value : high;
        }
        grid->centres[i] = low * 0.5f + high * 0.5f;
        grid->reach[i] = fmaxf(high - grid->centres[i], grid->centres[i] - low);
        if (!(grid->reach[i] < INFINITY))
            return INFINITY;
        farthest = fmaxf(farthest, grid->reach[i]);
    }
    return farthest;
}

/* Returns 0 if centroids are too many dimensions, too close or too far apart. */
static int lay_grid(const float *centroids, size_t d, struct grid *grid)
{
    float farthest, square = 0.0f;

    if (d > GRID_DIMS)
        return 0;
    farthest = find_extent(centroids, d, grid);
    if (!(farthest > 0x1p-30f && farthest < 0x1p30f))
        return 0;
    for (size_t i = 0; i < d; i++) {
        grid->reach[i] = 1.5f * grid->reach[i] + farthest / 16;
        square += 4 * grid->reach[i] * grid->reach[i];
    }
    grid->scale = 0x1p15f / sqrtf(square);
    grid->margin = (1 + 0x1p-6f) * sqrtf((float)d);
    grid->growth = 1 + (float)(d + 16) * 0x1p-22f;
    for (size_t i = 0; i < d; i++)
        grid->reach[i] *= grid->scale;
    for (size_t i = d; i < d + 8; i++)
        grid->centres[i] = grid->reach[i] = 0.0f;
    return 1;
}

static void round_centroid(const float *centroids, size_t d, size_t c,
                           struct grid *grid)
{
    const size_t num_pairs = (d + 1) / 2;
    int16_t *pairs =
        grid->pairs +
        (c / GRID_TILE * num_pairs * GRID_TILE + c % GRID_TILE) * 2;
    const int there = is_there(centroids, d, c);
    int32_t norm = 0;

    for (size_t i = 0; i < 2 * num_pairs; i++) {
        int32_t value = 0;

        if (there && i < d)
            value = (int32_t)rintf((centroids[i * 256 + c] - grid->centres[i]) *
                                   grid->scale);
        pairs[i / 2 * GRID_TILE * 2 + i % 2] = (int16_t)(-2 * value);
        norm += value * value;
    }
    grid->norms[c] = there ? norm : INT32_MAX;
}

static inline void prefetch_row(const float *row, size_t d)
{
    const uintptr_t first = (uintptr_t)row;
    const uintptr_t end = first + d * sizeof *row;

    for (uintptr_t at = first; at < end; at += 64)
        __builtin_prefetch((const void *)at);
    __builtin_prefetch((const void *)(end - 1));
}

ISA_INLINE void round_row(const struct grid *grid, size_t d, const float *from,
                          struct grid_row *row)
{
    row->is_within = 1;
    row->norm = 0;
    for (size_t i = 0; i < d; i += 8) {
        const float *eight = from + i;
        float rest[8] = {0};
        int32_t square;

        if (d - i < 8)
            eight = memcpy(rest, eight, (d - i) * sizeof *eight);
        square = isa_round(eight, grid->centres + i, grid->reach + i,
                           grid->scale, row->values + i);
        row->is_within &= square >= 0;
        row->norm += square;
    }
    if (!row->is_within) { /* the centre will do */
        memset(row->values, 0, d * sizeof *row->values);
        row->norm = 0;
    }
}

static __attribute__((noinline)) void round_rows(const struct grid *grid,
                                                 size_t d, const float *from,
                                                 size_t stride,
                                                 struct grid_row *rows)
{
    for (size_t r = 0; r < GRID_ROWS; r++, from += stride) {
        prefetch_row(from + 2 * GRID_ROWS * stride, d);
        if (d == 8)
            round_row(grid, 8, from, rows + r);
        else
            round_row(grid, d, from, rows + r);
    }
}

ISA_INLINE isa_ints pair_of_row(const int16_t *values)
{
    int32_t pair;

    memcpy(&pair, values, sizeof pair);
    return isa_all_ints(pair);
}

ISA_INLINE void load_norms(const struct grid *grid, size_t c, isa_ints sums[4])
{
    ISA_UNROLL
    for (size_t j = 0; j < 4; j++)
        sums[j] = isa_load_ints(grid->norms + c + j * ISA_LANES);
}

ISA_INLINE void add_products(const int32_t *centroids, isa_ints pair,
                             isa_ints sums[4])
{
    ISA_UNROLL
    for (size_t j = 0; j < 4; j++)
        sums[j] = isa_add_ints(
            sums[j],
            isa_multiply_pairs(isa_load_ints(centroids + j * ISA_LANES), pair));
}

ISA_INLINE isa_ints least_of_four(const isa_ints sums[4])
{
    return isa_lesser_ints(isa_lesser_ints(sums[0], sums[1]),
                           isa_lesser_ints(sums[2], sums[3]));
}

/* All centroids for two rows, which share the loads. */
ISA_INLINE void measure_two(const struct grid *grid, size_t num_pairs,
                            struct grid_row *a, struct grid_row *b)
{
    const int32_t *centroids = (const int32_t *)grid->pairs;
    isa_ints least_a = isa_all_ints(INT32_MAX), least_b = least_a;

    for (size_t c = 0; c < 256; c += GRID_TILE) {
        isa_ints sums_a[4], sums_b[4];

        load_norms(grid, c, sums_a);
        load_norms(grid, c, sums_b);
#pragma GCC unroll 2
        for (size_t i = 0; i < num_pairs; i++, centroids += GRID_TILE) {
            add_products(centroids, pair_of_row(a->values + 2 * i), sums_a);
            add_products(centroids, pair_of_row(b->values + 2 * i), sums_b);
        }
        sums_a[0] = least_of_four(sums_a);
        sums_b[0] = least_of_four(sums_b);
        isa_store_ints(a->minima + c / 4, sums_a[0]);
        isa_store_ints(b->minima + c / 4, sums_b[0]);
        least_a = isa_lesser_ints(least_a, sums_a[0]);
        least_b = isa_lesser_ints(least_b, sums_b[0]);
    }
    a->least = isa_least_int(least_a);
    b->least = isa_least_int(least_b);
}

static __attribute__((noinline)) void
measure_rows(const struct grid *grid, size_t d, struct grid_row *rows)
{
    for (size_t r = 0; r < GRID_ROWS; r += 2)
        measure_two(grid, (d + 1) / 2, rows + r, rows + r + 1);
}

/* What a distance on the grid, less the row's norm, must be at most. */
static inline int32_t grid_threshold(const struct grid *grid,
                                     const struct grid_row *row)
{
    const float least = sqrtf((float)(row->least + row->norm));
    const float most = (least + grid->margin) * grid->growth + grid->margin;

    return (int32_t)(most * most) + 1 - row->norm;
}

static inline uint64_t quads_at_most(const int32_t *minima, int32_t threshold)
{
    const isa_ints thresholds = isa_all_ints(threshold);
    uint64_t quads = 0;

    ISA_UNROLL
    for (size_t j = 0; j < 64; j += ISA_LANES)
        quads |=
            (uint64_t)isa_ints_at_most(isa_load_ints(minima + j), thresholds)
            << j;
    return quads;
}

/* Two loops, so that one row need not wait for the other. */
static __attribute__((noinline)) void find_quads(const struct grid *grid,
                                                 struct grid_row *rows)
{
    for (size_t r = 0; r < GRID_ROWS; r++)
        rows[r].threshold = grid_threshold(grid, rows + r);
    for (size_t r = 0; r < GRID_ROWS; r++)
        rows[r].quads = quads_at_most(rows[r].minima, rows[r].threshold);
}

/* A tile's centroids at a distance that small.  Measuring them again takes less
 * time than storing all distances. */
ISA_INLINE uint64_t tile_at_most(const struct grid *grid, size_t num_pairs,
                                 const struct grid_row *row, size_t tile)
{
    const int32_t *centroids =
        (const int32_t *)grid->pairs + tile * num_pairs * GRID_TILE;
    const isa_ints thresholds = isa_all_ints(row->threshold);
    isa_ints sums[4];
    uint64_t members = 0;

    load_norms(grid, tile * GRID_TILE, sums);
#pragma GCC unroll 2
    for (size_t i = 0; i < num_pairs; i++, centroids += GRID_TILE)
        add_products(centroids, pair_of_row(row->values + 2 * i), sums);
    ISA_UNROLL
    for (size_t j = 0; j < 4; j++)
        members |= (uint64_t)isa_ints_at_most(sums[j], thresholds)
                   << j * ISA_LANES;
    return members;
}

static float exact_distance(const float *centroids, size_t d, const float *row,
                            size_t c)
{
    float sum = 0.0f;

    for (size_t i = 0; i < d; i++) {
        float difference = row[i] - centroids[i * 256 + c];
        sum += difference * difference;
    }
    return sum;
}

/* Centroids are looked at in ascending order. */
static __attribute__((noinline)) uint8_t
nearest_in_quads(const float *centroids, size_t d, const float *from,
                 const struct grid *grid, const struct grid_row *row)
{
    uint64_t quads = row->quads;
    float minimum = INFINITY;
    size_t nearest = 0;

    for (size_t tile = 0; quads != 0; tile++, quads >>= ISA_LANES) {
        uint64_t members = 0;

        if ((quads & (((uint64_t)1 << ISA_LANES) - 1)) != 0)
            members = tile_at_most(grid, (d + 1) / 2, row, tile);
        for (; members != 0; members &= members - 1) {
            const size_t c =
                tile * GRID_TILE + (size_t)__builtin_ctzll(members);
            const float distance = exact_distance(centroids, d, from, c);

            if (distance < minimum) {
                minimum = distance;
                nearest = c;
            }
        }
    }
    return (uint8_t)nearest;
}

/* So many take longer to look at than all centroids. */
#define MANY_QUADS 8

ISA_INLINE uint8_t nearest_on_grid(const float *centroids, size_t d,
                                   const float *from, const struct grid *grid,
                                   const struct grid_row *row)
{
    const size_t tile = (size_t)__builtin_ctzll(row->quads) / ISA_LANES;
    const uint64_t others = row->quads >> tile * ISA_LANES >> ISA_LANES;
    const uint64_t members = tile_at_most(grid, (d + 1) / 2, row, tile);

    if (others == 0 && (members & (members - 1)) == 0)
        return (uint8_t)(tile * GRID_TILE + (size_t)__builtin_ctzll(members));
    if (__builtin_popcountll(row->quads) > MANY_QUADS)
        return nearest_exactly(centroids, d, from);
    return nearest_in_quads(centroids, d, from, grid, row);
}

static __attribute__((noinline)) void
pick_nearest(const float *centroids, size_t d, const float *from, size_t stride,
             const struct grid *grid, const struct grid_row *rows,
             uint8_t *codes, size_t code_stride)
{
    for (size_t r = 0; r < GRID_ROWS; r++, from += stride) {
        if (!rows[r].is_within)
            codes[r * code_stride] = nearest_exactly(centroids, d, from);
        else
            codes[r * code_stride] =
                nearest_on_grid(centroids, d, from, grid, rows + r);
    }
}

#endif
