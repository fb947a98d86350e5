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
#include "base/splitmix.h"
#include "base/threads.h"
#include "shape.h"

/* ------------------------------------------------------------------------ */
/* The nearest centroid, without a kernel                                   */

/* What nearest functions want: [d][256], 64-byte aligned. */
static float *turned_create(size_t d)
{
    return aligned_alloc(64, d * PQK_MAX_CENTROIDS * sizeof(float));
}

/* No row is at a finite distance from the centroids that are not there. */
static void turn_centroids(const float *centroids, size_t num_centroids,
                           size_t d, float *turned)
{
    for (size_t i = 0; i < d; i++)
        for (size_t c = 0; c < PQK_MAX_CENTROIDS; c++)
            turned[i * PQK_MAX_CENTROIDS + c] =
                c < num_centroids ? centroids[c * d + i] : __builtin_inff();
}

/* Four lanes wherever the compiler runs: it uses what the target has, and each
 * lane rounds like a scalar. */
#define LANES 4
typedef float lanes_f32 __attribute__((vector_size(16), may_alias));
typedef int32_t lanes_i32 __attribute__((vector_size(16)));

static lanes_i32 select_i32(lanes_i32 mask, lanes_i32 yes, lanes_i32 no)
{
    return (mask & yes) | (~mask & no);
}

/* Each lane keeps its own first strict minimum; among lanes the smaller
 * distance, then the lower number, wins, which is the first strict minimum of
 * all. */
static uint8_t nearest_centroid(const float *centroids, size_t d,
                                const float *row)
{
    const float infinity = __builtin_inff();
    lanes_f32 best = {infinity, infinity, infinity, infinity};
    lanes_i32 best_at = {0, 0, 0, 0};
    lanes_i32 at = {0, 1, 2, 3};
    size_t winner = 0;

    for (size_t c = 0; c < PQK_MAX_CENTROIDS; c += LANES, at += LANES) {
        lanes_f32 sum = {0.0f, 0.0f, 0.0f, 0.0f};
        lanes_i32 nearer;

        for (size_t i = 0; i < d; i++) {
            const void *values = centroids + i * PQK_MAX_CENTROIDS + c;
            lanes_f32 difference = row[i] - *(const lanes_f32 *)values;
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
    return (uint8_t)best_at[winner];
}

static void plain_nearest(const float *centroids, size_t d, const float *rows,
                          size_t num_rows, size_t row_stride, uint8_t *codes,
                          size_t code_stride)
{
    for (size_t i = 0; i < num_rows; i++)
        codes[i * code_stride] =
            nearest_centroid(centroids, d, rows + i * row_stride);
}

/* ------------------------------------------------------------------------ */
/* Threads                                                                  */

/* Work cut into numbered pieces that any thread may take in any order, and
 * into steps that are as long as one may wait before it stops. */
struct work {
    pqk_status (*piece)(struct work *work, void *context, size_t number);
    void *context;
    const struct pqk_effort *effort;
    size_t num_pieces;
    uint64_t num_steps, steps_done;
    pthread_mutex_t one_at_a_time;
    atomic_size_t next;
    atomic_int status; /* the first that was not PQK_OK */
};

static void stop_work(struct work *work, pqk_status status)
{
    int going_on = PQK_OK;

    atomic_compare_exchange_strong(&work->status, &going_on, status);
}

/* To be called after every step; not PQK_OK if work is to stop. */
static pqk_status step_done(struct work *work)
{
    const struct pqk_effort *effort = work->effort;

    if (effort->progress) {
        pthread_mutex_lock(&work->one_at_a_time);
        work->steps_done++;
        if (atomic_load(&work->status) == PQK_OK &&
            effort->progress(effort->progress_context, work->steps_done,
                             work->num_steps) != 0)
            stop_work(work, PQK_CANCELLED);
        pthread_mutex_unlock(&work->one_at_a_time);
    }
    return (pqk_status)atomic_load(&work->status);
}

static void *work_through(void *argument)
{
    struct work *work = argument;
    pqk_status status = PQK_OK;
    size_t number;

    while (status == PQK_OK &&
           (number = atomic_fetch_add(&work->next, 1)) < work->num_pieces)
        status = work->piece(work, work->context, number);
    if (status != PQK_OK)
        stop_work(work, status);
    return NULL;
}

static pqk_status share_work(struct work *work)
{
    size_t num_threads = work->effort->num_threads;

    pthread_mutex_init(&work->one_at_a_time, NULL);
    if (num_threads > work->num_pieces)
        num_threads = work->num_pieces;
    pqk_run_on_threads(work_through, work, num_threads);
    pthread_mutex_destroy(&work->one_at_a_time);
    return (pqk_status)atomic_load(&work->status);
}

static const struct pqk_effort plain_effort;

static pqk_nearest_function *nearest_of(const struct pqk_effort *effort)
{
    return effort->nearest ? effort->nearest : plain_nearest;
}

/* ------------------------------------------------------------------------ */
/* k-means                                                                  */

/* As many as are assigned before they are summed. */
#define ROWS_AT_ONCE 4096

struct kmeans {
    const float *rows;
    size_t num_rows, stride, dim, num_centroids;
    pqk_nearest_function *nearest;
    float *centroids; /* [num_centroids][dim] */
    float *gathered;  /* the rows, if they were apart */
    float *turned;
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
    km->turned = turned_create(km->dim);
    km->sums = malloc(km->num_centroids * km->dim * sizeof(float));
    km->counts = malloc(km->num_centroids * sizeof(uint32_t));
    km->codes = malloc(ROWS_AT_ONCE);
    return km->rows && km->turned && km->sums && km->counts && km->codes
               ? PQK_OK
               : PQK_OUT_OF_MEMORY;
}

static void kmeans_free(struct kmeans *km)
{
    free(km->gathered);
    free(km->turned);
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
    turn_centroids(km->centroids, km->num_centroids, km->dim, km->turned);
    for (size_t first = 0; first < km->num_rows; first += ROWS_AT_ONCE) {
        const float *rows = km->rows + first * km->stride;
        size_t left = km->num_rows - first;
        size_t count = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;

        km->nearest(km->turned, km->dim, rows, count, km->stride, km->codes, 1);
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
                             uint64_t *rng_state, struct work *work)
{
    pqk_status status = kmeans_create(km);

    for (size_t c = 0; c < km->num_centroids && status == PQK_OK; c++)
        take_random_row(km, c, rng_state);
    for (size_t round = 0; round < rounds && status == PQK_OK; round++) {
        lloyd_round(km, rng_state);
        if (work)
            status = step_done(work);
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
                        .nearest = nearest ? nearest : plain_nearest,
                        .centroids = centroids};

    return run_kmeans(&km, rounds, rng_state, NULL);
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
static pqk_status train_sub_vector(struct work *work, void *context, size_t m)
{
    const struct training *training = context;
    const pqk_codebook *shape = training->shape;
    const size_t d = shape->sub_vector_dim;
    struct kmeans km = {.rows = training->vectors + m * d,
                        .num_rows = training->num_vectors,
                        .stride = shape->num_sub_vectors * d,
                        .dim = d,
                        .num_centroids = shape->num_centroids,
                        .nearest = nearest_of(work->effort),
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
    struct work work = {.piece = train_sub_vector,
                        .context = &training,
                        .effort = effort ? effort : &plain_effort};

    if (!vectors || !shape || !centroids || num_vectors == 0 ||
        num_vectors > UINT32_MAX || !pqk_shape_is_possible(shape))
        return PQK_INVALID_ARGUMENT;
    work.num_pieces = shape->num_sub_vectors;
    work.num_steps = (uint64_t)shape->num_sub_vectors * rounds;
    return share_work(&work);
}

/* ------------------------------------------------------------------------ */
/* Encoding                                                                 */

#define ROWS_PER_PIECE 4096

struct encoding {
    const pqk_codebook *codebook;
    float *turned; /* [M][d][256] */
    const float *vectors;
    size_t num_vectors;
    uint8_t *codes;
};

/* One sub-vector at a time, whose centroids then stay in the first-level
 * cache. */
static pqk_status encode_piece(struct work *work, void *context, size_t number)
{
    const struct encoding *encoding = context;
    pqk_nearest_function *nearest = nearest_of(work->effort);
    const size_t num_sub_vectors = encoding->codebook->num_sub_vectors;
    const size_t d = encoding->codebook->sub_vector_dim;
    const size_t first = number * ROWS_PER_PIECE;
    const size_t left = encoding->num_vectors - first;

    for (size_t m = 0; m < num_sub_vectors; m++)
        nearest(encoding->turned + m * d * PQK_MAX_CENTROIDS, d,
                encoding->vectors + (first * num_sub_vectors + m) * d,
                left < ROWS_PER_PIECE ? left : ROWS_PER_PIECE,
                num_sub_vectors * d,
                encoding->codes + first * num_sub_vectors + m, num_sub_vectors);
    return step_done(work);
}

pqk_status pqk_encode(const pqk_codebook *codebook, const float *vectors,
                      size_t num_vectors, const struct pqk_effort *effort,
                      uint8_t *codes)
{
    struct encoding encoding = {codebook, NULL, vectors, num_vectors, codes};
    struct work work = {.piece = encode_piece,
                        .context = &encoding,
                        .effort = effort ? effort : &plain_effort};
    size_t d;
    pqk_status status;

    if (!codebook || !codebook->centroids ||
        ((!vectors || !codes) && num_vectors > 0) ||
        !pqk_shape_is_possible(codebook))
        return PQK_INVALID_ARGUMENT;
    d = codebook->sub_vector_dim;
    encoding.turned = turned_create(codebook->num_sub_vectors * d);
    if (!encoding.turned)
        return PQK_OUT_OF_MEMORY;
    for (size_t m = 0; m < codebook->num_sub_vectors; m++)
        turn_centroids(codebook->centroids + m * codebook->num_centroids * d,
                       codebook->num_centroids, d,
                       encoding.turned + m * d * PQK_MAX_CENTROIDS);
    work.num_pieces =
        num_vectors / ROWS_PER_PIECE + (num_vectors % ROWS_PER_PIECE != 0);
    work.num_steps = work.num_pieces;
    status = share_work(&work);
    free(encoding.turned);
    return status;
}
