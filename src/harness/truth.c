/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "truth.h"
#include "parallel.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows are searched in tiles, turned so that one vector operation works on
 * four rows.  The lanes never mix: each row's sum is that of a plain loop. */
#define TILE_ROWS 16
#define LANES     4
#define VECTORS   (TILE_ROWS / LANES)

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));

struct pqh_truth {
    const float *queries;
    size_t num_queries, dim, k;
    uint64_t *heaps; /* [num_queries][k], each with its largest key on top */
    lanes *tiles;    /* [num_threads][dim][VECTORS] */
    size_t num_threads;
    /* the block in hand */
    const float *rows;
    size_t num_rows;
    uint32_t first_id;
};

/* Distances are never negative, so their bits order as they do. */
static uint64_t order_key(float distance, uint32_t id)
{
    uint32_t bits;

    memcpy(&bits, &distance, sizeof bits);
    return (uint64_t)bits << 32 | id;
}

static float key_distance(uint64_t key)
{
    uint32_t bits = (uint32_t)(key >> 32);
    float distance;

    /* What stands for "nothing yet" is a NaN in bits; anything may replace it. */
    if (key == UINT64_MAX)
        return INFINITY;
    memcpy(&distance, &bits, sizeof distance);
    return distance;
}

static void replace_top(uint64_t *heap, size_t k, uint64_t key)
{
    size_t hole = 0;

    for (;;) {
        size_t child = 2 * hole + 1;

        if (child + 1 < k && heap[child + 1] > heap[child])
            child++;
        if (child >= k || heap[child] <= key)
            break;
        heap[hole] = heap[child];
        hole = child;
    }
    heap[hole] = key;
}

static void turn_tile(const struct pqh_truth *truth, size_t first, lanes *tile)
{
    size_t dim = truth->dim;

    for (size_t r = 0; r < TILE_ROWS; r++) {
        /* Past the end the last row stands in; its copies are not offered. */
        size_t row =
            first + r < truth->num_rows ? first + r : truth->num_rows - 1;
        const float *values = truth->rows + row * dim;

        for (size_t d = 0; d < dim; d++)
            tile[d * VECTORS + r / LANES][r % LANES] = values[d];
    }
}

/* Two queries at a time, so that a tile's values are loaded half as often. */
static void tile_distances(const lanes *tile, size_t dim, const float *query0,
                           const float *query1, float distances[2][TILE_ROWS])
{
    lanes sum0[VECTORS] = {{0}}, sum1[VECTORS] = {{0}};

    for (size_t d = 0; d < dim; d++) {
        float value0 = query0[d], value1 = query1[d];

#pragma GCC unroll 4
        for (size_t v = 0; v < VECTORS; v++) {
            lanes difference0 = value0 - tile[d * VECTORS + v];
            lanes difference1 = value1 - tile[d * VECTORS + v];

            sum0[v] += difference0 * difference0;
            sum1[v] += difference1 * difference1;
        }
    }
    memcpy(distances[0], sum0, sizeof sum0);
    memcpy(distances[1], sum1, sizeof sum1);
}

static void offer(const struct pqh_truth *truth, size_t query, size_t first,
                  const float distances[TILE_ROWS])
{
    uint64_t *heap = truth->heaps + query * truth->k;
    size_t count = truth->num_rows - first;

    for (size_t r = 0; r < TILE_ROWS && r < count; r++) {
        uint64_t key;

        if (distances[r] > key_distance(heap[0]))
            continue;
        key = order_key(distances[r], truth->first_id + (uint32_t)(first + r));
        if (key < heap[0])
            replace_top(heap, truth->k, key);
    }
}

static void search_range(void *context, size_t part, size_t begin, size_t end)
{
    const struct pqh_truth *truth = context;
    lanes *tile = truth->tiles + part * truth->dim * VECTORS;
    float distances[2][TILE_ROWS];

    for (size_t first = 0; first < truth->num_rows; first += TILE_ROWS) {
        turn_tile(truth, first, tile);
        for (size_t q = begin; q < end; q += 2) {
            size_t other = q + 1 < end ? q + 1 : q;

            tile_distances(tile, truth->dim, truth->queries + q * truth->dim,
                           truth->queries + other * truth->dim, distances);
            offer(truth, q, first, distances[0]);
            if (other > q)
                offer(truth, other, first, distances[1]);
        }
    }
}

int pqh_truth_begin(const float *queries, size_t num_queries, size_t dim,
                    size_t k, struct pqh_truth **out, struct pqf_error *err)
{
    struct pqh_truth *truth = calloc(1, sizeof *truth);
    size_t num_keys, tile_bytes;

    if (truth == NULL)
        return pqf_fail(err, "out of memory");
    truth->queries = queries;
    truth->num_queries = num_queries;
    truth->dim = dim;
    truth->k = k;
    truth->num_threads = pqh_threads();
    if (!__builtin_mul_overflow(num_queries, k, &num_keys))
        truth->heaps = calloc(num_keys, sizeof *truth->heaps);
    if (!__builtin_mul_overflow(truth->num_threads * sizeof(lanes) * VECTORS,
                                dim, &tile_bytes))
        truth->tiles = aligned_alloc(sizeof(lanes), tile_bytes);
    if (truth->heaps == NULL || truth->tiles == NULL) {
        pqh_truth_free(truth);
        return pqf_fail(err,
                        "out of memory for the %zu nearest rows of %zu "
                        "queries; ask for fewer with --num-queries or --k",
                        k, num_queries);
    }
    memset(truth->heaps, 0xFF, num_keys * sizeof *truth->heaps);
    *out = truth;
    return 0;
}

void pqh_truth_add(struct pqh_truth *truth, const float *rows, size_t num_rows,
                   uint32_t first_id)
{
    truth->rows = rows;
    truth->num_rows = num_rows;
    truth->first_id = first_id;
    pqh_parallel_for(truth->num_queries, truth->num_threads, search_range,
                     truth);
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

void pqh_truth_take(struct pqh_truth *truth, uint32_t *ids)
{
    for (size_t q = 0; q < truth->num_queries; q++) {
        uint64_t *heap = truth->heaps + q * truth->k;

        qsort(heap, truth->k, sizeof *heap, compare_keys);
        for (size_t i = 0; i < truth->k; i++)
            ids[q * truth->k + i] = (uint32_t)heap[i];
    }
}

void pqh_truth_free(struct pqh_truth *truth)
{
    if (truth == NULL)
        return;
    free(truth->heaps);
    free(truth->tiles);
    free(truth);
}
