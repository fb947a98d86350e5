/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Quantizers as objects: what training takes and gives, what metrics do to
 * vectors, decoding and its error; and ordering results by the vectors.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <float.h>
#include <math.h>
#include <string.h>

#include "../checked.h"
#include "library/metric.h"
#include "library/quantizer.h"

#define M    4
#define D    3
#define DIM  (M * D)
#define ROWS 900

#define INVALID(expression) CHECK_STATUS(expression, PQK_INVALID_ARGUMENT)

static float vectors[ROWS * DIM];

static void make_vectors(uint64_t seed)
{
    struct test_random random = {seed};

    for (size_t i = 0; i < ROWS * DIM; i++)
        vectors[i] = test_normal(&random) + (float)(i % DIM);
}

static const pqk_metric metrics[] = {PQK_L2, PQK_INNER_PRODUCT, PQK_COSINE};

static const pqk_training usual = {
    .dim = DIM, .num_sub_vectors = M, .num_centroids = 20, .rounds = 4};

static uint64_t sum_of(const pqk_quantizer *quantizer)
{
    const pqk_codebook codebook = test_codebook_of(quantizer);

    return test_fnv_floats(TEST_FNV_BASIS, codebook.centroids,
                           codebook.num_sub_vectors * codebook.num_centroids *
                               codebook.sub_vector_dim);
}

static uint64_t sum_of_training(const pqk_training *training,
                                size_t num_vectors)
{
    pqk_quantizer *quantizer;
    uint64_t sum;

    CHECK_OK(pqk_quantizer_train(vectors, num_vectors, training, &quantizer));
    sum = sum_of(quantizer);
    pqk_quantizer_free(quantizer);
    return sum;
}

/* ------------------------------------------------------------------------ */
/* Training                                                                  */

START_TEST(test_training)
{
    pqk_training training = usual;
    pqk_codebook shape = TEST_CODEBOOK(M, 20, D, NULL);
    float centroids[M * 20 * D];
    pqk_quantizer *quantizer;

    make_vectors(1);
    test_case("a quantizer is what k-means gives");
    CHECK_OK(pqk_quantizer_train(vectors, ROWS, &training, &quantizer));
    CHECK_OK(pqk_train_codebook(vectors, ROWS, &shape, 4, 0, NULL, centroids));
    CHECK_THAT(memcmp(test_codebook_of(quantizer).centroids, centroids,
                      sizeof centroids) == 0,
               "other centroids");
    CHECK_THAT(pqk_quantizer_dim(quantizer) == DIM &&
                   pqk_quantizer_metric(quantizer) == PQK_L2,
               "another shape or metric");
    pqk_quantizer_free(quantizer);

    test_case("zeros mean 256 centroids, 25 rounds");
    shape.num_centroids = 256;
    training.num_centroids = 0;
    training.rounds = 0;
    training.max_vectors = ROWS;
    CHECK_OK(pqk_quantizer_train(vectors, ROWS, &training, &quantizer));
    training.num_centroids = 256;
    training.rounds = 25;
    CHECK_THAT(sum_of(quantizer) == sum_of_training(&training, ROWS),
               "other centroids");
    pqk_quantizer_free(quantizer);
}
END_TEST

START_TEST(test_samples)
{
    pqk_training training = usual;
    uint64_t all, some;

    make_vectors(2);
    test_case("samples");
    training.num_centroids = 3;
    all = sum_of_training(&training, 3 * 256);
    some = sum_of_training(&training, ROWS);
    training.max_vectors = 3 * 256;
    CHECK_THAT(sum_of_training(&training, ROWS) == some,
               "256 for each centroid is not what it says");
    CHECK_THAT(some != all, "the sample is the first ones");
    training.max_vectors = ROWS;
    CHECK_THAT(sum_of_training(&training, ROWS) != some,
               "a sample of all is none");
    training.max_vectors = 100;
    some = sum_of_training(&training, ROWS);
    training.num_threads = 3;
    CHECK_THAT(sum_of_training(&training, ROWS) == some,
               "threads change the sample");
    training.seed = 1;
    CHECK_THAT(sum_of_training(&training, ROWS) != some, "the seed does not");
    test_case("the mean of a sample, which is all that one centroid shows");
    training.num_centroids = 1;
    some = sum_of_training(&training, ROWS);
    training.seed = 2;
    CHECK_THAT(sum_of_training(&training, ROWS) != some,
               "any seed gives the same sample");
    training.max_vectors = 1;
    (void)sum_of_training(&training, ROWS);
}
END_TEST

/* The same bits on every machine. */
START_TEST(test_golden)
{
    static const uint64_t golden[] = {UINT64_C(0xcee67c54d4ccd112),
                                      UINT64_C(0xcee67c54d4ccd112),
                                      UINT64_C(0x50e258deeca61d2d)};
    pqk_training training = usual;

    make_vectors(3);
    training.max_vectors = 500;
    for (size_t i = 0; i < TEST_COUNT(metrics); i++) {
        uint64_t sum;

        test_case("metric %zu", i);
        training.metric = metrics[i];
        sum = sum_of_training(&training, ROWS);
        CHECK_THAT(sum == golden[i], "%#llx, not %#llx",
                   (unsigned long long)sum, (unsigned long long)golden[i]);
    }
}
END_TEST

struct calls {
    size_t count, stop_after;
    uint64_t done, total;
};

static int count_calls(void *context, uint64_t done, uint64_t total)
{
    struct calls *calls = context;

    if (done < calls->done || done > total ||
        (calls->count > 0 && total != calls->total))
        return 1;
    calls->done = done;
    calls->total = total;
    return ++calls->count == calls->stop_after;
}

START_TEST(test_progress)
{
    struct calls calls = {0, 0, 0, 0};
    pqk_training training = usual;
    pqk_quantizer *quantizer = NULL;

    make_vectors(4);
    test_case("progress");
    training.progress = count_calls;
    training.progress_context = &calls;
    CHECK_OK(pqk_quantizer_train(vectors, ROWS, &training, &quantizer));
    CHECK_THAT(calls.count >= 4 && calls.done == calls.total,
               "%zu calls, %llu of %llu", calls.count,
               (unsigned long long)calls.done, (unsigned long long)calls.total);
    pqk_quantizer_free(quantizer);
    quantizer = NULL;
    calls = (struct calls){0, 2, 0, 0};
    CHECK_STATUS(pqk_quantizer_train(vectors, ROWS, &training, &quantizer),
                 PQK_CANCELLED);
    CHECK_THAT(!quantizer, "a quantizer all the same");
}
END_TEST

START_TEST(test_arguments)
{
    static const pqk_training wrong[] = {
        {.dim = 0, .num_sub_vectors = M},
        {.dim = DIM, .num_sub_vectors = 0},
        {.dim = DIM, .num_sub_vectors = 5},
        {.dim = DIM, .num_sub_vectors = M, .num_centroids = 257},
        {.dim = DIM, .num_sub_vectors = M, .metric = (pqk_metric)3},
        {.dim = 257, .num_sub_vectors = 257},
        {.dim = SIZE_MAX - SIZE_MAX % M, .num_sub_vectors = M},
        /* What a later version's programs may ask for. */
        {.dim = DIM, .num_sub_vectors = M, .reserved_int1 = 1},
        {.dim = DIM, .num_sub_vectors = M, .reserved_int2 = 1},
        {.dim = DIM, .num_sub_vectors = M, .reserved_int3 = 1},
        {.dim = DIM, .num_sub_vectors = M, .reserved_ptr1 = vectors},
        {.dim = DIM, .num_sub_vectors = M, .reserved_ptr2 = vectors},
    };
    static const pqk_codebook asking[] = {
        {.reserved_int1 = 1},
        {.reserved_int2 = 1},
        {.reserved_ptr1 = vectors},
        {.reserved_ptr2 = vectors},
    };
    const float numbers[] = {1.0f, 2.0f, NAN};
    pqk_codebook codebook = TEST_CODEBOOK(1, 2, 1, numbers);
    pqk_quantizer *quantizer = NULL;
    pqk_quantizer_error error;
    uint8_t codes[2 * ROWS];

    make_vectors(5);
    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        test_case("wrong training %zu", i);
        INVALID(pqk_quantizer_train(vectors, ROWS, &wrong[i], &quantizer));
    }
    test_case("other arguments");
    INVALID(pqk_quantizer_train(NULL, ROWS, &usual, &quantizer));
    INVALID(pqk_quantizer_train(vectors, 0, &usual, &quantizer));
    INVALID(pqk_quantizer_train(vectors, ROWS, NULL, &quantizer));
    INVALID(pqk_quantizer_train(vectors, ROWS, &usual, NULL));
    vectors[77] = NAN;
    INVALID(pqk_quantizer_train(vectors, ROWS, &usual, &quantizer));
    INVALID(pqk_quantizer_create(NULL, PQK_L2, &quantizer));
    INVALID(pqk_quantizer_create(&codebook, (pqk_metric)7, &quantizer));
    INVALID(pqk_quantizer_create(&codebook, PQK_L2, NULL));
    codebook.num_centroids = 3;
    INVALID(pqk_quantizer_create(&codebook, PQK_L2, &quantizer));
    codebook.num_centroids = 0;
    INVALID(pqk_quantizer_create(&codebook, PQK_L2, &quantizer));
    codebook.num_centroids = 2;
    for (size_t i = 0; i < TEST_COUNT(asking); i++) {
        pqk_codebook more = asking[i];

        more.num_sub_vectors = 1;
        more.num_centroids = 2;
        more.sub_vector_dim = 1;
        more.centroids = numbers;
        INVALID(pqk_quantizer_create(&more, PQK_L2, &quantizer));
    }
    CHECK_THAT(!quantizer, "a failure touched the quantizer");
    CHECK_OK(pqk_quantizer_create(&codebook, PQK_L2, &quantizer));
    CHECK_OK(pqk_quantizer_encode(quantizer, NULL, 0, 1, NULL));
    INVALID(pqk_quantizer_encode(NULL, vectors, 1, 1, codes));
    INVALID(pqk_quantizer_encode(quantizer, NULL, 1, 1, codes));
    INVALID(pqk_quantizer_encode(quantizer, vectors, 1, 1, NULL));
    INVALID(pqk_quantizer_encode(quantizer, vectors, SIZE_MAX, 1, codes));
    codes[0] = 2;
    INVALID(pqk_quantizer_decode(quantizer, codes, 1, vectors));
    INVALID(pqk_quantizer_decode(quantizer, NULL, 1, vectors));
    INVALID(pqk_quantizer_decode(quantizer, codes, 1, NULL));
    INVALID(pqk_quantizer_measure(quantizer, vectors, 0, 1, &error));
    INVALID(pqk_quantizer_measure(quantizer, NULL, 1, 1, &error));
    INVALID(pqk_quantizer_measure(quantizer, vectors, 1, 1, NULL));
    INVALID(pqk_quantizer_measure(quantizer, vectors, SIZE_MAX, 1, &error));
    pqk_quantizer_free(quantizer);
    pqk_quantizer_free(NULL);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Metrics, encoding and decoding                                            */

START_TEST(test_scaling)
{
    static const struct {
        float from[3], to[3];
    } known[] = {
        {{3.0f, 0.0f, -4.0f}, {0.6f, 0.0f, -0.8f}},
        {{0x1p-149f, 0.0f, 0.0f}, {1.0f, 0.0f, 0.0f}},
        {{FLT_MAX, FLT_MAX, 0.0f}, {0x1.6a09e6p-1f, 0x1.6a09e6p-1f, 0.0f}},
        {{0.0f, -0.0f, 0.0f}, {0.0f, -0.0f, 0.0f}},
        {{INFINITY, 1.0f, 2.0f}, {INFINITY, 1.0f, 2.0f}},
    };

    for (size_t i = 0; i < TEST_COUNT(known); i++) {
        float to[3];

        test_case("vector %zu", i);
        pqk_metric_vectors(PQK_COSINE, known[i].from, 1, 3, to);
        for (size_t j = 0; j < 3; j++)
            CHECK_THAT(test_same_bits(to[j], known[i].to[j]),
                       "value %zu is %a, not %a", j, (double)to[j],
                       (double)known[i].to[j]);
        pqk_metric_vectors(PQK_INNER_PRODUCT, known[i].from, 1, 3, to);
        CHECK_THAT(memcmp(to, known[i].from, sizeof to) == 0,
                   "scaled for another metric");
    }
}
END_TEST

/* Many more than are scaled at a time. */
START_TEST(test_cosine_codes)
{
    enum { MANY = 20000 };
    float *many = test_alloc(MANY * DIM * sizeof *many);
    uint8_t *codes = test_alloc(MANY * M), *expected = test_alloc(MANY * M);
    pqk_training training = usual;
    pqk_quantizer *quantizer;
    pqk_codebook codebook;
    struct test_random random = {6};

    make_vectors(6);
    training.metric = PQK_COSINE;
    for (size_t i = 0; i < MANY * DIM; i++)
        many[i] = test_normal(&random) + (float)(i % DIM);
    test_case("codes of scaled vectors");
    CHECK_OK(pqk_quantizer_train(vectors, ROWS, &training, &quantizer));
    codebook = test_codebook_of(quantizer);
    CHECK_OK(pqk_quantizer_encode(quantizer, many, MANY, 2, codes));
    pqk_metric_vectors(PQK_COSINE, many, MANY, DIM, many);
    CHECK_OK(pqk_encode(&codebook, many, MANY, NULL, expected));
    CHECK_THAT(memcmp(codes, expected, MANY * M) == 0, "other codes");
    pqk_quantizer_free(quantizer);
    free(many);
    free(codes);
    free(expected);
}
END_TEST

START_TEST(test_decode)
{
    const float centroids[] = {1, 2, 3, 4, 5, 6, -1, -2, -3, -4, -5, -6};
    const pqk_codebook codebook = TEST_CODEBOOK(2, 3, 2, centroids);
    const uint8_t codes[] = {2, 0, 1, 1};
    const float expected[] = {5, 6, -1, -2, 3, 4, -3, -4};
    float found[8];
    pqk_quantizer *quantizer;

    test_case("decode");
    CHECK_OK(pqk_quantizer_create(&codebook, PQK_L2, &quantizer));
    CHECK_OK(pqk_quantizer_decode(quantizer, codes, 2, found));
    CHECK_THAT(memcmp(found, expected, sizeof found) == 0, "other values");
    pqk_quantizer_free(quantizer);
}
END_TEST

START_TEST(test_measure)
{
    enum { MANY = 10000 };
    const float centroids[] = {0, 10, 0, 20};
    const pqk_codebook codebook = TEST_CODEBOOK(2, 2, 1, centroids);
    float *many = test_alloc(2 * MANY * sizeof *many);
    pqk_quantizer *quantizer;
    pqk_quantizer_error error;

    CHECK_OK(pqk_quantizer_create(&codebook, PQK_L2, &quantizer));
    for (size_t i = 0; i < MANY; i++) {
        many[2 * i] = i % 2 ? 11.0f : -1.0f; /* wrong by 1 */
        many[2 * i + 1] = i % 2 ? 20.0f : 0.0f;
    }
    many[1] = 3.0f;
    for (size_t threads = 0; threads < 3; threads++) {
        /* In the first 10 squares of 1 and one of 9. */
        const double squared = MANY + 9.0;
        const double mean = 10.0 + 3.0 / MANY;
        double spread = 36.0 * MANY + (3.0 - mean) * (3.0 - mean) - mean * mean;

        spread += MANY / 2 * (mean * mean + (20 - mean) * (20 - mean));
        test_case("error, %zu threads", threads);
        CHECK_OK(pqk_quantizer_measure(quantizer, many, MANY, threads, &error));
        CHECK_THAT(error.mean_squared == squared / MANY, "mean %g, not %g",
                   error.mean_squared, squared / MANY);
        CHECK_THAT(error.largest == 10.0f, "largest %g", (double)error.largest);
        CHECK_THAT(fabs(error.relative - squared / spread) < 1e-12,
                   "relative %g, not %g", error.relative, squared / spread);
    }
    test_case("no error, no variance");
    CHECK_OK(pqk_quantizer_measure(quantizer, centroids + 1, 1, 1, &error));
    CHECK_THAT(error.mean_squared == 0.0 && error.relative == 0.0 &&
                   error.largest == 0.0f,
               "%g, %g, %g", error.mean_squared, error.relative,
               (double)error.largest);
    test_case("a NaN");
    many[0] = NAN;
    CHECK_OK(pqk_quantizer_measure(quantizer, many, MANY, 1, &error));
    CHECK_THAT(isnan(error.relative), "lossless: relative %g", error.relative);
    pqk_quantizer_free(quantizer);
    free(many);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Ordering by the vectors                                                   */

static const float *every_vector_but(void *context, uint64_t id)
{
    return id % *(const uint64_t *)context == 1 ? NULL : vectors + id * DIM;
}

static int result_order(const void *a, const void *b)
{
    const pqk_result *left = a, *right = b;
    const int nan = !!isnan(left->distance) - !!isnan(right->distance);

    if (nan != 0)
        return nan;
    if (left->distance != right->distance && !isnan(left->distance))
        return left->distance < right->distance ? -1 : 1;
    return (left->id > right->id) - (left->id < right->id);
}

static float exact_distance(pqk_metric metric, const float *query,
                            const float *vector)
{
    float a[DIM], b[DIM], sum = 0.0f;

    pqk_metric_vectors(metric, query, 1, DIM, a);
    pqk_metric_vectors(metric, vector, 1, DIM, b);
    for (size_t i = 0; i < DIM; i++) {
        float term = metric == PQK_L2 ? a[i] - b[i] : a[i];

        term = term * (metric == PQK_L2 ? term : b[i]);
        sum += term;
    }
    return metric == PQK_L2 ? sum : -sum;
}

START_TEST(test_rerank)
{
    const pqk_metric metric = metrics[_i];
    const float centroids[M * D] = {0};
    const pqk_codebook codebook = TEST_CODEBOOK(M, 1, D, centroids);
    pqk_quantizer *quantizer;
    pqk_result found[100], expected[100] = {{.id = 0}};
    uint64_t without = 7;
    size_t num_expected = 0, count = 100;

    make_vectors(8);
    vectors[5 * DIM] = NAN; /* a distance all the same, the last one */
    memcpy(vectors + 9 * DIM, vectors + 3 * DIM, DIM * sizeof *vectors);
    test_case("rerank, metric %d", _i);
    CHECK_OK(pqk_quantizer_create(&codebook, metric, &quantizer));
    for (size_t i = 0; i < 100; i++) {
        found[i] =
            (pqk_result){.id = 99 - i, .distance = (float)i, .reserved = 77};
        if (i % 7 != 1)
            expected[num_expected++] = (pqk_result){
                .id = i,
                .distance = exact_distance(metric, vectors + 500 * DIM,
                                           vectors + i * DIM)};
    }
    qsort(expected, num_expected, sizeof *expected, result_order);
    CHECK_OK(pqk_rerank(quantizer, vectors + 500 * DIM, every_vector_but,
                        &without, 90, found, &count));
    CHECK_THAT(count == num_expected, "%zu left, not %zu", count, num_expected);
    for (size_t i = 0; i < count; i++) {
        const uint32_t bits = isnan(expected[i].distance)
                                  ? 0x7fc00000u
                                  : test_bits(expected[i].distance + 0.0f);

        memcpy(&expected[i].distance, &bits, sizeof bits);
        CHECK_THAT(memcmp(&found[i], &expected[i], sizeof found[i]) == 0,
                   "result %zu", i);
    }
    CHECK_OK(pqk_rerank(quantizer, vectors + 500 * DIM, every_vector_but,
                        &without, 3, found, &count));
    CHECK_THAT(count == 3 && found[2].id == expected[2].id, "not the first 3");
    count = 0;
    CHECK_OK(pqk_rerank(quantizer, vectors, every_vector_but, &without, 3, NULL,
                        &count));
    count = 1;
    INVALID(pqk_rerank(quantizer, vectors, every_vector_but, &without, 3, NULL,
                       &count));
    INVALID(pqk_rerank(quantizer, vectors, NULL, &without, 3, found, &count));
    INVALID(pqk_rerank(quantizer, NULL, every_vector_but, &without, 3, found,
                       &count));
    INVALID(pqk_rerank(NULL, vectors, every_vector_but, &without, 3, found,
                       &count));
    pqk_quantizer_free(quantizer);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quantizers");

    add_case(suite, "training", test_training, 20, 0, 1);
    add_case(suite, "samples", test_samples, 20, 0, 1);
    add_case(suite, "golden", test_golden, 20, 0, 1);
    add_case(suite, "progress", test_progress, 20, 0, 1);
    add_case(suite, "arguments", test_arguments, 20, 0, 1);
    add_case(suite, "scaling", test_scaling, 4, 0, 1);
    add_case(suite, "cosine codes", test_cosine_codes, 20, 0, 1);
    add_case(suite, "decode", test_decode, 4, 0, 1);
    add_case(suite, "measure", test_measure, 20, 0, 1);
    add_case(suite, "rerank", test_rerank, 4, 0, (int)TEST_COUNT(metrics));
    return run_suite(suite);
}
