/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Training and encoding.  Every result is the same bits on every machine:
 * additions, subtractions and multiplications in a fixed order, none fused, and
 * threads that share no sum.  Needs no kernel, so that a harness which must not
 * link one can train as well.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "quantizer.h"
#include "shape.h"

/* Four lanes wherever the compiler runs: it uses what the target has, and each
 * lane rounds like a scalar. */
#define LANES 4
typedef float lanes_f32 __attribute__((vector_size(16)));
typedef int32_t lanes_i32 __attribute__((vector_size(16)));

/* Centroids of one sub-vector as [dim][padded], padded to whole lanes with NaN,
 * which is nearest to nothing. */
struct transposed_centroids {
    size_t dim;
    size_t padded;
    lanes_f32 *values;
};

static size_t padded_count(size_t num_centroids)
{
    return (num_centroids + LANES - 1) / LANES;
}

static pqk_status transposed_create(struct transposed_centroids *transposed,
                                    size_t dim, size_t num_centroids)
{
    transposed->dim = dim;
    transposed->padded = padded_count(num_centroids);
    transposed->values = aligned_alloc(
        sizeof(lanes_f32), dim * transposed->padded * sizeof(lanes_f32));
    return transposed->values ? PQK_OK : PQK_OUT_OF_MEMORY;
}

static void transposed_fill(struct transposed_centroids *transposed,
                            const float *centroids, size_t num_centroids)
{
    static const float nan = __builtin_nanf("");

    for (size_t i = 0; i < transposed->dim; i++)
        for (size_t c = 0; c < transposed->padded * LANES; c++)
            transposed->values[i * transposed->padded + c / LANES][c % LANES] =
                c < num_centroids ? centroids[c * transposed->dim + i] : nan;
}

static lanes_i32 select_i32(lanes_i32 mask, lanes_i32 yes, lanes_i32 no)
{
    return (mask & yes) | (~mask & no);
}

/* The first of the nearest centroids; 0 if none is at a finite distance.  Each
 * lane keeps its own first strict minimum; among lanes the smaller distance,
 * then the lower number, wins, which is the first strict minimum of all. */
static size_t nearest_centroid(const struct transposed_centroids *transposed,
                               const float *row)
{
    const float infinity = __builtin_inff();
    lanes_f32 best = {infinity, infinity, infinity, infinity};
    lanes_i32 best_at = {0, 0, 0, 0};
    lanes_i32 at = {0, 1, 2, 3};
    size_t winner = 0;

    for (size_t block = 0; block < transposed->padded; block++, at += LANES) {
        const lanes_f32 *value = transposed->values + block;
        lanes_f32 sum = {0.0f, 0.0f, 0.0f, 0.0f};
        lanes_i32 nearer;

        for (size_t i = 0; i < transposed->dim;
             i++, value += transposed->padded) {
            lanes_f32 difference = row[i] - *value;
            sum += difference * difference;
        }
        nearer = sum < best;
        best = (lanes_f32)select_i32(nearer, (lanes_i32)sum, (lanes_i32)best);
        best_at = select_i32(nearer, at, best_at);
    }
    for (size_t lane = 1; lane < LANES; lane++)
        if (best[lane] < best[winner] ||
            (best[lane] == best[winner] && best_at[lane] < best_at[winner]))
            winner = lane;
    return (size_t)best_at[winner];
}

/* ------------------------------------------------------------------------ */
/* k-means                                                                  */

/* SplitMix64 (Steele, Lea and Flood, 2014). */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

struct kmeans {
    const float *rows;
    size_t num_rows, stride, dim, num_centroids;
    float *centroids; /* [num_centroids][dim] */
    float *sums;      /* [num_centroids][dim] */
    uint32_t *counts; /* [num_centroids] */
    struct transposed_centroids transposed;
};

static void take_random_row(struct kmeans *km, size_t centroid,
                            uint64_t *rng_state)
{
    size_t row = (size_t)(next_random(rng_state) % km->num_rows);

    memcpy(km->centroids + centroid * km->dim, km->rows + row * km->stride,
           km->dim * sizeof(float));
}

static void sum_clusters(struct kmeans *km)
{
    memset(km->sums, 0, km->num_centroids * km->dim * sizeof(float));
    memset(km->counts, 0, km->num_centroids * sizeof(uint32_t));
    for (size_t i = 0; i < km->num_rows; i++) {
        const float *row = km->rows + i * km->stride;
        size_t c = nearest_centroid(&km->transposed, row);
        float *sum = km->sums + c * km->dim;

        for (size_t j = 0; j < km->dim; j++)
            sum[j] += row[j];
        km->counts[c]++;
    }
}

static void lloyd_round(struct kmeans *km, uint64_t *rng_state)
{
    transposed_fill(&km->transposed, km->centroids, km->num_centroids);
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

pqk_status pqk_kmeans(const float *rows, size_t num_rows, size_t stride,
                      size_t dim, size_t num_centroids, size_t rounds,
                      uint64_t *rng_state, float *centroids)
{
    struct kmeans km = {rows,      num_rows, stride, dim,         num_centroids,
                        centroids, NULL,     NULL,   {0, 0, NULL}};
    pqk_status status = transposed_create(&km.transposed, dim, num_centroids);

    km.sums = malloc(num_centroids * dim * sizeof(float));
    km.counts = malloc(num_centroids * sizeof(uint32_t));
    if (!km.sums || !km.counts)
        status = PQK_OUT_OF_MEMORY;
    if (status == PQK_OK) {
        for (size_t c = 0; c < num_centroids; c++)
            take_random_row(&km, c, rng_state);
        for (size_t round = 0; round < rounds; round++)
            lloyd_round(&km, rng_state);
    }
    free(km.transposed.values);
    free(km.sums);
    free(km.counts);
    return status;
}

/* ------------------------------------------------------------------------ */
/* Threads                                                                  */

/* Work cut into numbered pieces that any thread may take in any order. */
struct work {
    pqk_status (*piece)(void *context, size_t number);
    void *context;
    size_t num_pieces;
    atomic_size_t next;
    atomic_int status;
};

static void *work_through(void *argument)
{
    struct work *work = argument;
    size_t number;

    while ((number = atomic_fetch_add(&work->next, 1)) < work->num_pieces) {
        pqk_status status = work->piece(work->context, number);

        if (status != PQK_OK)
            atomic_store(&work->status, status);
    }
    return NULL;
}

/* Also right if no thread can be had: the caller works too. */
static pqk_status share_work(pqk_status (*piece)(void *, size_t), void *context,
                             size_t num_pieces, size_t num_threads)
{
    struct work work = {piece, context, num_pieces, 0, PQK_OK};
    pthread_t threads[64];
    size_t helpers = 0;

    if (num_threads > num_pieces)
        num_threads = num_pieces;
    while (helpers + 1 < num_threads &&
           helpers < sizeof threads / sizeof threads[0] &&
           pthread_create(&threads[helpers], NULL, work_through, &work) == 0)
        helpers++;
    work_through(&work);
    while (helpers > 0)
        pthread_join(threads[--helpers], NULL);
    return (pqk_status)atomic_load(&work.status);
}

/* ------------------------------------------------------------------------ */
/* Training                                                                 */

struct training {
    const float *vectors;
    size_t num_vectors;
    const pqk_codebook *shape;
    size_t rounds;
    uint64_t seed;
    float *centroids;
};

/* Each sub-vector has its own random stream, so that any thread may train it. */
static pqk_status train_sub_vector(void *context, size_t m)
{
    const struct training *training = context;
    const pqk_codebook *shape = training->shape;
    const size_t d = shape->sub_vector_dim;
    uint64_t rng_state = training->seed + m;

    rng_state = next_random(&rng_state);
    return pqk_kmeans(training->vectors + m * d, training->num_vectors,
                      shape->num_sub_vectors * d, d, shape->num_centroids,
                      training->rounds, &rng_state,
                      training->centroids + m * shape->num_centroids * d);
}

pqk_status pqk_train_codebook(const float *vectors, size_t num_vectors,
                              const pqk_codebook *shape, size_t rounds,
                              uint64_t seed, size_t num_threads,
                              float *centroids)
{
    struct training training = {vectors, num_vectors, shape,
                                rounds,  seed,        centroids};

    if (!vectors || !shape || !centroids || num_vectors == 0 ||
        num_vectors > UINT32_MAX || num_threads == 0 ||
        !pqk_shape_is_possible(shape))
        return PQK_INVALID_ARGUMENT;
    return share_work(train_sub_vector, &training, shape->num_sub_vectors,
                      num_threads);
}

/* ------------------------------------------------------------------------ */
/* Encoding                                                                 */

#define ROWS_PER_PIECE 4096

struct encoding {
    const pqk_codebook *codebook;
    const struct transposed_centroids *transposed; /* [M] */
    const float *vectors;
    size_t num_vectors;
    uint8_t *codes;
};

/* One sub-vector at a time, whose centroids then stay in the first-level
 * cache. */
static pqk_status encode_piece(void *context, size_t number)
{
    const struct encoding *encoding = context;
    const size_t num_sub_vectors = encoding->codebook->num_sub_vectors;
    const size_t d = encoding->codebook->sub_vector_dim;
    const size_t first = number * ROWS_PER_PIECE;
    size_t end = first + ROWS_PER_PIECE;

    if (end > encoding->num_vectors)
        end = encoding->num_vectors;
    for (size_t m = 0; m < num_sub_vectors; m++)
        for (size_t i = first; i < end; i++)
            encoding->codes[i * num_sub_vectors + m] =
                (uint8_t)nearest_centroid(&encoding->transposed[m],
                                          encoding->vectors +
                                              (i * num_sub_vectors + m) * d);
    return PQK_OK;
}

static pqk_status transpose_codebook(const pqk_codebook *codebook,
                                     struct transposed_centroids *transposed)
{
    const size_t d = codebook->sub_vector_dim;

    for (size_t m = 0; m < codebook->num_sub_vectors; m++) {
        if (transposed_create(&transposed[m], d, codebook->num_centroids) !=
            PQK_OK)
            return PQK_OUT_OF_MEMORY;
        transposed_fill(&transposed[m],
                        codebook->centroids + m * codebook->num_centroids * d,
                        codebook->num_centroids);
    }
    return PQK_OK;
}

pqk_status pqk_encode(const pqk_codebook *codebook, const float *vectors,
                      size_t num_vectors, size_t num_threads, uint8_t *codes)
{
    struct transposed_centroids transposed[PQK_MAX_SUB_VECTORS] = {
        {0, 0, NULL}};
    struct encoding encoding = {codebook, transposed, vectors, num_vectors,
                                codes};
    pqk_status status;

    if (!codebook || !codebook->centroids || num_threads == 0 ||
        ((!vectors || !codes) && num_vectors > 0) ||
        !pqk_shape_is_possible(codebook))
        return PQK_INVALID_ARGUMENT;
    status = transpose_codebook(codebook, transposed);
    if (status == PQK_OK)
        status = share_work(encode_piece, &encoding,
                            num_vectors / ROWS_PER_PIECE +
                                (num_vectors % ROWS_PER_PIECE != 0),
                            num_threads);
    for (size_t m = 0; m < codebook->num_sub_vectors; m++)
        free(transposed[m].values);
    return status;
}
