/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Training a codebook by k-means.  Every result is the same bits on every machine:
 * additions, subtractions and multiplications in a fixed order, none fused, and
 * threads that share no sum.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "library/shape.h"
#include "base/splitmix.h"
#include "nearest.h"
#include "work.h"

/* As many as are assigned before they are summed. */
#define ROWS_AT_ONCE 4096

struct kmeans {
    const float *rows;
    size_t num_rows, stride, dim, num_centroids;
    pqk_nearest_function *nearest;
    float *centroids; /* [num_centroids][dim] */
    float *gathered;  /* the rows, if they were apart */
    float *transposed;
    float *sums;      /* [num_centroids][dim] */
    uint32_t *counts; /* [num_centroids] */
    uint8_t *codes;   /* [ROWS_AT_ONCE] */
};

/* Every round reads all rows, which takes less time side by side. */
static float *gather_rows(const struct kmeans *km)
{
    float *rows = malloc(km->num_rows * km->dim * sizeof(float));

    for (size_t i = 0; rows && i < km->num_rows; i++)
        memcpy(rows + i * km->dim, km->rows + i * km->stride,
               km->dim * sizeof(float));
    return rows;
}

static pqk_status kmeans_create(struct kmeans *km)
{
    if (km->stride != km->dim) {
        km->gathered = gather_rows(km);
        km->rows = km->gathered;
        km->stride = km->dim;
    }
    km->transposed = pqk_transposed_create(km->dim);
    km->sums = malloc(km->num_centroids * km->dim * sizeof(float));
    km->counts = malloc(km->num_centroids * sizeof(uint32_t));
    km->codes = malloc(ROWS_AT_ONCE);
    return km->rows && km->transposed && km->sums && km->counts && km->codes
               ? PQK_OK
               : PQK_OUT_OF_MEMORY;
}

static void kmeans_free(struct kmeans *km)
{
    free(km->gathered);
    free(km->transposed);
    free(km->sums);
    free(km->counts);
    free(km->codes);
}

static void take_random_row(struct kmeans *km, size_t centroid,
                            uint64_t *rng_state)
{
    size_t row = (size_t)(pqk_random_next(rng_state) % km->num_rows);

    memcpy(km->centroids + centroid * km->dim, km->rows + row * km->stride,
           km->dim * sizeof(float));
}

static void sum_rows(struct kmeans *km, const float *rows, size_t num_rows)
{
    for (size_t i = 0; i < num_rows; i++) {
        const float *row = rows + i * km->stride;
        float *sum = km->sums + km->codes[i] * km->dim;

        for (size_t j = 0; j < km->dim; j++)
            sum[j] += row[j];
        km->counts[km->codes[i]]++;
    }
}

static void sum_clusters(struct kmeans *km)
{
    memset(km->sums, 0, km->num_centroids * km->dim * sizeof(float));
    memset(km->counts, 0, km->num_centroids * sizeof(uint32_t));
    pqk_transpose_centroids(km->centroids, km->num_centroids, km->dim,
                            km->transposed);
    for (size_t first = 0; first < km->num_rows; first += ROWS_AT_ONCE) {
        const float *rows = km->rows + first * km->stride;
        size_t left = km->num_rows - first;
        size_t count = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;

        km->nearest(km->transposed, km->dim, rows, count, km->stride, km->codes,
                    1);
        sum_rows(km, rows, count);
    }
}

static void lloyd_round(struct kmeans *km, uint64_t *rng_state)
{
    sum_clusters(km);
    for (size_t c = 0; c < km->num_centroids; c++) {
        float scale = 1.0f / (float)km->counts[c];

        if (km->counts[c] == 0) {
            take_random_row(km, c, rng_state);
            continue;
        }
        for (size_t j = 0; j < km->dim; j++)
            km->centroids[c * km->dim + j] = km->sums[c * km->dim + j] * scale;
    }
}

/* Alone, without work to be a part of, it goes on to the end. */
static pqk_status run_kmeans(struct kmeans *km, size_t rounds,
                             uint64_t *rng_state, struct pqk_work *work)
{
    pqk_status status = kmeans_create(km);

    for (size_t c = 0; c < km->num_centroids && status == PQK_OK; c++)
        take_random_row(km, c, rng_state);
    for (size_t round = 0; round < rounds && status == PQK_OK; round++) {
        lloyd_round(km, rng_state);
        if (work)
            status = pqk_step_done(work);
    }
    kmeans_free(km);
    return status;
}

pqk_status pqk_kmeans(const float *rows, size_t num_rows, size_t stride,
                      size_t dim, size_t num_centroids, size_t rounds,
                      pqk_nearest_function *nearest, uint64_t *rng_state,
                      float *centroids)
{
    struct kmeans km = {.rows = rows,
                        .num_rows = num_rows,
                        .stride = stride,
                        .dim = dim,
                        .num_centroids = num_centroids,
                        .nearest = nearest ? nearest : pqk_plain_nearest,
                        .centroids = centroids};

    return run_kmeans(&km, rounds, rng_state, NULL);
}

struct training {
    const float *vectors;
    size_t num_vectors;
    const pqk_codebook *shape;
    size_t rounds;
    uint64_t seed;
    float *centroids;
};

/* Each sub-vector has its own random stream, so that any thread may train it. */
static pqk_status train_sub_vector(struct pqk_work *work, void *context,
                                   size_t m)
{
    const struct training *training = context;
    const pqk_codebook *shape = training->shape;
    const size_t d = shape->sub_vector_dim;
    struct kmeans km = {.rows = training->vectors + m * d,
                        .num_rows = training->num_vectors,
                        .stride = shape->num_sub_vectors * d,
                        .dim = d,
                        .num_centroids = shape->num_centroids,
                        .nearest = pqk_nearest_of(work->effort),
                        .centroids =
                            training->centroids + m * shape->num_centroids * d};
    uint64_t rng_state = training->seed + m;

    rng_state = pqk_random_next(&rng_state);
    return run_kmeans(&km, training->rounds, &rng_state, work);
}

pqk_status pqk_train_codebook(const float *vectors, size_t num_vectors,
                              const pqk_codebook *shape, size_t rounds,
                              uint64_t seed, const struct pqk_effort *effort,
                              float *centroids)
{
    struct training training = {vectors, num_vectors, shape,
                                rounds,  seed,        centroids};
    struct pqk_work work = {.piece = train_sub_vector,
                            .context = &training,
                            .effort = effort ? effort : &pqk_plain_effort};

    if (!vectors || !shape || !centroids || num_vectors == 0 ||
        num_vectors > UINT32_MAX || !pqk_shape_is_possible(shape))
        return PQK_INVALID_ARGUMENT;
    work.num_pieces = shape->num_sub_vectors;
    work.num_steps = (uint64_t)shape->num_sub_vectors * rounds;
    return pqk_share_work(&work);
}
