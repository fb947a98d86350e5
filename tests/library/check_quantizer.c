/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Training and encoding: against a plain second version, against numbers that
 * are the same on every machine, and at the edges.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <string.h>

#include "../checked.h"
#include "library/quantizer.h"

static float *normals(size_t count, struct test_random *random)
{
    float *values = test_alloc(count * sizeof *values);

    for (size_t i = 0; i < count; i++)
        values[i] = test_normal(random);
    return values;
}

/* ------------------------------------------------------------------------ */
/* The second version: row by row, centroid by centroid                      */

static size_t plain_nearest(const float *row, const float *centroids,
                            size_t num_centroids, size_t dim)
{
    float best = INFINITY;
    size_t winner = 0;

    for (size_t c = 0; c < num_centroids; c++) {
        float sum = 0.0f;

        for (size_t i = 0; i < dim; i++) {
            float difference = row[i] - centroids[c * dim + i];
            float square = difference * difference;
            sum = sum + square;
        }
        if (sum < best) {
            best = sum;
            winner = c;
        }
    }
    return winner;
}

struct plain {
    const float *rows;
    size_t n, stride, dim, num_centroids;
    struct test_random random;
    float *centroids;
};

static void plain_draw(struct plain *plain, size_t c)
{
    size_t row = test_below(&plain->random, plain->n);

    memcpy(plain->centroids + c * plain->dim, plain->rows + row * plain->stride,
           plain->dim * sizeof(float));
}

static void plain_round(struct plain *plain)
{
    const size_t dim = plain->dim, num_centroids = plain->num_centroids;
    float *sums = test_alloc(num_centroids * dim * sizeof *sums);
    size_t *counts = test_alloc(num_centroids * sizeof *counts);

    for (size_t i = 0; i < plain->n; i++) {
        const float *row = plain->rows + i * plain->stride;
        size_t c = plain_nearest(row, plain->centroids, num_centroids, dim);

        for (size_t j = 0; j < dim; j++)
            sums[c * dim + j] += row[j];
        counts[c]++;
    }
    for (size_t c = 0; c < num_centroids; c++) {
        if (counts[c] == 0)
            plain_draw(plain, c);
        for (size_t j = 0; j < dim && counts[c] > 0; j++)
            plain->centroids[c * dim + j] =
                sums[c * dim + j] * (1.0f / (float)counts[c]);
    }
    free(counts);
    free(sums);
}

/* ------------------------------------------------------------------------ */
/* pqk_kmeans                                                                */

struct kmeans_case {
    size_t n, stride, dim, num_centroids, rounds;
    int distinct; /* so many different rows; 0: all */
};

static void check_kmeans(const struct kmeans_case *c)
{
    struct test_random random = {c->n * 31 + c->dim};
    float *rows = normals(c->n * c->stride, &random);
    float *expected = test_alloc(c->num_centroids * c->dim * sizeof(float));
    struct test_arena out = {0};
    float *found = test_at_end(&out, c->num_centroids * c->dim * sizeof(float));
    uint64_t stream = 42;
    struct plain plain = {rows, c->n,    c->stride, c->dim, c->num_centroids,
                          {42}, expected};

    test_case("kmeans: n %zu, stride %zu, dim %zu, %zu centroids, %zu rounds, "
              "%d distinct",
              c->n, c->stride, c->dim, c->num_centroids, c->rounds,
              c->distinct);
    for (size_t i = (size_t)c->distinct; c->distinct && i < c->n; i++)
        memcpy(rows + i * c->stride, rows + i % (size_t)c->distinct * c->stride,
               c->stride * sizeof *rows);
    for (size_t i = 0; i < c->num_centroids; i++)
        plain_draw(&plain, i);
    for (size_t i = 0; i < c->rounds; i++)
        plain_round(&plain);
    CHECK_OK(pqk_kmeans(rows, c->n, c->stride, c->dim, c->num_centroids,
                        c->rounds, NULL, &stream, found));
    for (size_t i = 0; i < c->num_centroids * c->dim; i++)
        CHECK_THAT(test_same_bits(found[i], expected[i]),
                   "centroid %zu, dimension %zu: %.9g, not %.9g", i / c->dim,
                   i % c->dim, (double)found[i], (double)expected[i]);
    CHECK_THAT(stream == plain.random.state,
               "drew another number of random rows");
    CHECK_THAT(test_canaries_intact(&out), "centroids overrun");
    test_arena_free(&out);
    free(expected);
    free(rows);
}

START_TEST(test_kmeans)
{
    static const struct kmeans_case cases[] = {
        {100, 8, 8, 16, 5, 0},    {100, 9, 8, 16, 5, 0},
        {257, 20, 1, 7, 6, 0},    {64, 3, 3, 5, 8, 0},
        {64, 5, 5, 64, 3, 0},     {300, 7, 7, 255, 3, 0},
        {300, 4, 4, 256, 3, 0},   {3, 4, 4, 256, 3, 0},
        {1, 2, 2, 1, 2, 0},       {1, 3, 3, 9, 4, 0},
        {200, 4, 4, 16, 10, 3},   {50, 2, 2, 17, 10, 1},
        {200, 130, 100, 8, 3, 0}, {90, 6, 6, 10, 0, 0},
        {1000, 4, 2, 3, 20, 0}};

    for (size_t i = 0; i < TEST_COUNT(cases); i++)
        check_kmeans(&cases[i]);
}
END_TEST

/* Two calls on one stream do what two streams in a row would not. */
START_TEST(test_stream)
{
    struct test_random random = {7};
    float *rows = normals(100 * 2, &random);
    float first[5 * 2], second[5 * 2], again[5 * 2];
    uint64_t stream = 9, between;

    test_case("stream of random numbers");
    CHECK_OK(pqk_kmeans(rows, 100, 2, 2, 5, 0, NULL, &stream, first));
    between = stream;
    CHECK_OK(pqk_kmeans(rows, 100, 2, 2, 5, 0, NULL, &stream, second));
    CHECK_THAT(memcmp(first, second, sizeof first) != 0,
               "the second call drew the same rows");
    CHECK_OK(pqk_kmeans(rows, 100, 2, 2, 5, 0, NULL, &between, again));
    CHECK_THAT(memcmp(second, again, sizeof again) == 0,
               "the state is not all that matters");
    CHECK_THAT(stream == between, "the states differ");
    free(rows);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* pqk_train_codebook                                                        */

struct golden {
    size_t M, K, d, n, rounds;
    uint64_t seed, codebook, codes;
};

/* Computed once on x86-64; a machine that gives others breaks frozen files. */
static const struct golden goldens[] = {
    {16, 256, 8, 1000, 5, 1, UINT64_C(0xbf98822ec45ff55f),
     UINT64_C(0x35192de9453b30c8)},
    {16, 256, 8, 1000, 5, 2, UINT64_C(0x9f3297eb2d1b591f),
     UINT64_C(0x8097539ff7f0f784)},
    {3, 17, 5, 500, 10, 3, UINT64_C(0xb50432cd9c3fc89d),
     UINT64_C(0x5dd915957b657b68)},
    {4, 100, 1, 60, 4, 4, UINT64_C(0x4e7ecb8f409aba2a),
     UINT64_C(0x22cda22fb4c12948)},
};

START_TEST(test_golden)
{
    static const size_t thread_counts[] = {1, 2, 3, 7, 100};
    const struct golden *g = &goldens[_i];
    const size_t dim = g->M * g->d, num_values = dim * g->K;
    struct test_random random = {99};
    float *vectors = normals(g->n * dim, &random);
    pqk_codebook codebook = TEST_CODEBOOK(g->M, g->K, g->d, NULL);

    for (size_t t = 0; t < TEST_COUNT(thread_counts); t++) {
        struct test_arena values = {0}, bytes = {0};
        float *centroids;
        uint8_t *codes;
        uint64_t checksum;

        if (test_scale() < 1.0 && t % 2 == 0)
            continue; /* 2 and 7 threads are enough */
        centroids = test_at_end(&values, num_values * sizeof(float));
        codes = test_at_end(&bytes, g->n * g->M);
        test_case("golden codebook %d, %zu threads", _i, thread_counts[t]);
        CHECK_OK(pqk_train_codebook(vectors, g->n, &codebook, g->rounds,
                                    g->seed, WITH_THREADS(thread_counts[t]),
                                    centroids));
        checksum = test_fnv_floats(TEST_FNV_BASIS, centroids, num_values);
        CHECK_THAT(checksum == g->codebook, "checksum %016llx",
                   (unsigned long long)checksum);
        codebook.centroids = centroids;
        CHECK_OK(pqk_encode(&codebook, vectors, g->n,
                            WITH_THREADS(thread_counts[t]), codes));
        checksum = test_fnv(TEST_FNV_BASIS, codes, g->n * g->M);
        CHECK_THAT(checksum == g->codes, "checksum of codes %016llx",
                   (unsigned long long)checksum);
        CHECK_THAT(test_canaries_intact(&values) &&
                       test_canaries_intact(&bytes),
                   "overrun");
        test_arena_free(&values);
        test_arena_free(&bytes);
    }
    free(vectors);
}
END_TEST

/* Fewer vectors than centroids: every centroid is one of the vectors. */
START_TEST(test_few_vectors)
{
    struct test_random random = {5};
    float *vectors = normals(3 * 8, &random);
    pqk_codebook shape = TEST_CODEBOOK(2, 256, 4, NULL);
    float *centroids = test_alloc(2 * 256 * 4 * sizeof *centroids);

    test_case("3 vectors, 256 centroids");
    CHECK_OK(pqk_train_codebook(vectors, 3, &shape, 25, 1, WITH_THREADS(2),
                                centroids));
    for (size_t c = 0; c < 2 * 256; c++) {
        int found = 0;

        for (size_t v = 0; v < 3; v++) {
            const float *row = vectors + v * 8 + c / 256 * 4;
            int close = 1;

            for (size_t i = 0; i < 4; i++)
                close &= fabsf(row[i] - centroids[c * 4 + i]) < 1e-6f;
            found |= close;
        }
        CHECK_THAT(found, "centroid %zu is no vector", c);
    }
    free(centroids);
    free(vectors);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* pqk_encode                                                                */

static void check_encode(const pqk_codebook *codebook, const float *vectors,
                         size_t n, size_t num_threads)
{
    const size_t M = codebook->num_sub_vectors, d = codebook->sub_vector_dim;
    struct test_arena in = {0}, out = {0};
    float *placed =
        test_place_copy(&in, vectors, n * M * d * sizeof(float), (unsigned)n);
    uint8_t *codes = test_place(&out, n * M, (unsigned)n);

    CHECK_OK(pqk_encode(codebook, placed, n, WITH_THREADS(num_threads), codes));
    for (size_t i = 0; i < n * M; i++) {
        size_t wanted = plain_nearest(vectors + i * d,
                                      codebook->centroids +
                                          i % M * codebook->num_centroids * d,
                                      codebook->num_centroids, d);

        CHECK_THAT(codes[i] == wanted, "code [%zu][%zu] is %d, not %zu", i / M,
                   i % M, codes[i], wanted);
    }
    CHECK_THAT(test_canaries_intact(&out), "codes overrun");
    CHECK_THAT(memcmp(placed, vectors, n * M * d * sizeof(float)) == 0,
               "the vectors were written to");
    test_arena_free(&in);
    test_arena_free(&out);
}

START_TEST(test_encode)
{
    static const size_t widths[] = {1, 2, 3, 5, 7, 8, 13};
    static const size_t counts[] = {1, 2, 3, 4, 5, 16, 100, 255, 256};
    static const size_t lengths[] = {1, 2, 63, 130};
    struct test_random random = {6};

    for (size_t w = 0; w < TEST_COUNT(widths); w++)
        for (size_t c = 0; c < TEST_COUNT(counts); c++) {
            size_t M = 1 + test_below(&random, 5);
            size_t n = lengths[test_below(&random, TEST_COUNT(lengths))];
            float *centroids = normals(M * counts[c] * widths[w], &random);
            float *vectors = normals(n * M * widths[w], &random);
            pqk_codebook codebook =
                TEST_CODEBOOK(M, counts[c], widths[w], centroids);

            test_case("encode: M %zu, %zu centroids, d %zu, n %zu", M,
                      counts[c], widths[w], n);
            check_encode(&codebook, vectors, n, 1 + w % 3);
            free(vectors);
            free(centroids);
        }
}
END_TEST

/* Small integers: many centroids at the same distance, the first wins. */
START_TEST(test_encode_ties)
{
    struct test_random random = {7};
    float *centroids = test_alloc(4 * 256 * 3 * sizeof *centroids);
    float *vectors = test_alloc(500 * 12 * sizeof *vectors);
    pqk_codebook codebook = TEST_CODEBOOK(4, 256, 3, centroids);

    test_case("encode: ties");
    for (size_t i = 0; i < 4 * 256 * 3; i++)
        centroids[i] = (float)test_below(&random, 3);
    for (size_t i = 0; i < 500 * 12; i++)
        vectors[i] = (float)test_below(&random, 3);
    check_encode(&codebook, vectors, 500, 2);
    for (size_t i = 0; i < 4 * 256 * 3; i++)
        centroids[i] = 1.0f;
    check_encode(&codebook, vectors, 500, 2);
    free(vectors);
    free(centroids);
}
END_TEST

/* NaN, inf and numbers whose squares overflow, in vectors and in centroids. */
START_TEST(test_encode_specials)
{
    static const float specials[] = {NAN,    INFINITY, -INFINITY, 1e30f, -1e30f,
                                     1e-40f, 0.0f,     -0.0f,     1.0f};
    struct test_random random = {8};
    float *values = test_alloc(400 * 6 * sizeof *values);
    pqk_codebook codebook = TEST_CODEBOOK(2, 50, 3, values);

    for (int round = 0; round < 20; round++) {
        test_case("encode: special values, round %d", round);
        for (size_t i = 0; i < 400 * 6; i++)
            values[i] =
                test_below(&random, 4) < (i < 300 ? 1 : 2)
                    ? specials[test_below(&random, TEST_COUNT(specials))]
                    : test_normal(&random);
        check_encode(&codebook, values + 300, 300, 1);
    }
    free(values);
}
END_TEST

START_TEST(test_encode_nan)
{
    const float centroids[3 * 2] = {5, 5, 1, 1, 0, 0};
    const float vectors[4 * 2] = {NAN, 0, 0, NAN, NAN, NAN, 0, 0};
    const pqk_codebook codebook = TEST_CODEBOOK(1, 3, 2, centroids);
    uint8_t codes[4];

    test_case("encode: NaN gets code 0");
    CHECK_OK(pqk_encode(&codebook, vectors, 4, NULL, codes));
    CHECK_THAT(codes[0] == 0 && codes[1] == 0 && codes[2] == 0 && codes[3] == 2,
               "codes %d %d %d %d", codes[0], codes[1], codes[2], codes[3]);
}
END_TEST

/* More rows than one piece of work. */
START_TEST(test_encode_many)
{
    struct test_random random = {9};
    const size_t n = test_scale() < 1.0 ? 4100 : 20001;
    float *centroids = normals(2 * 16 * 2, &random);
    float *vectors = normals(n * 4, &random);
    pqk_codebook codebook = TEST_CODEBOOK(2, 16, 2, centroids);

    test_case("encode: n %zu, 5 threads", n);
    check_encode(&codebook, vectors, n, 5);
    free(vectors);
    free(centroids);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quantizer");

    add_case(suite, "kmeans", test_kmeans, 20, 0, 1);
    add_case(suite, "stream", test_stream, 4, 0, 1);
    add_case(suite, "golden", test_golden, 40, 0, (int)TEST_COUNT(goldens));
    add_case(suite, "few vectors", test_few_vectors, 4, 0, 1);
    add_case(suite, "encode", test_encode, 20, 0, 1);
    add_case(suite, "encode ties", test_encode_ties, 20, 0, 1);
    add_case(suite, "encode specials", test_encode_specials, 20, 0, 1);
    add_case(suite, "encode NaN", test_encode_nan, 4, 0, 1);
    add_case(suite, "encode many", test_encode_many, 20, 0, 1);
    return run_suite(suite);
}
