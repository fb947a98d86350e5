/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * nearest_centroids of every variant, and the plain one of the quantizer, against
 * the definition, code by code.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <string.h>

#include "../checked.h"
#include "kernels.h"
#include "library/quantizer.h"

enum kind {
    NORMALS,
    INTEGERS,   /* many distances are equal */
    DUPLICATES, /* a few different centroids, and rows that are centroids */
    BETWEEN,    /* rows half-way between two centroids, but for rounding */
    NEIGHBOURS, /* as far from one as from its neighbour, but beside the middle */
    CLUSTERS,   /* differences small compared with the whole */
    OUTLIERS,   /* rows far away, and a centroid */
    STRAYS,     /* rows that are SPECIALS, and centroids that are not */
    SPECIALS,   /* NaN, inf, denormals, numbers whose squares overflow */
    TINY,       /* squares underflow */
    HUGE_ONES, /* squares come near to the largest number */
    COARSE,    /* no float is half-way between some dimensions' extremes */
    ANY_BITS,
    KINDS
};

static const char *const kind_names[KINDS] = {
    "normals",  "integers", "duplicates", "between",  "neighbours",
    "clusters", "outliers", "strays",     "specials", "tiny",
    "huge",     "coarse",   "any bits"};

struct problem {
    enum kind kind;
    size_t d, num_centroids, num_rows;
    float *centroids; /* [d][256], +inf where there is none */
    float *rows;      /* [num_rows][d] */
    struct test_random random;
};

static float special(struct test_random *random)
{
    static const float specials[] = {NAN,     INFINITY, -INFINITY, 1e-40f,
                                     -1e-45f, 0.0f,     -0.0f,     1.8e19f,
                                     -1e30f,  3e38f,    1.0f};

    return specials[test_below(random, TEST_COUNT(specials))];
}

static float draw(enum kind kind, struct test_random *random)
{
    switch (kind) {
    case INTEGERS:
        return (float)test_below(random, 3);
    case DUPLICATES:
        return (float)test_below(random, 2) * 0.3f;
    case CLUSTERS:
        return (float)test_below(random, 2) * 100.0f +
               test_normal(random) * 0x1p-10f;
    case OUTLIERS:
        return test_normal(random) * (test_below(random, 100) ? 1.0f : 1e3f);
    case SPECIALS:
        return test_below(random, 16) ? test_normal(random) : special(random);
    case TINY:
        return test_normal(random) * 0x1p-74f;
    case HUGE_ONES:
        return test_normal(random) * 0x1p61f;
    case ANY_BITS:
        return test_any_float(random);
    default:
        return test_normal(random);
    }
}

/* The centroid nearest to another. */
static size_t neighbour_of(const struct problem *p, size_t a)
{
    double least = INFINITY;
    size_t nearest = a;

    for (size_t c = 0; c < p->num_centroids; c++) {
        double sum = 0.0;

        for (size_t i = 0; i < p->d; i++) {
            const double difference = (double)p->centroids[i * 256 + a] -
                                      (double)p->centroids[i * 256 + c];
            sum += difference * difference;
        }
        if (c != a && sum < least) {
            least = sum;
            nearest = c;
        }
    }
    return nearest;
}

/*
 * Moves a row to where it is as far from one centroid as from the other, on the
 * side of the middle on which it was.  In the middle itself the grid's errors are
 * not independent, and half of its margin would do.
 */
static void place_beside(const struct problem *p, size_t a, size_t b,
                         float *row)
{
    double along = 0.0, squares = 0.0, beside = 0.0, share;

    for (size_t i = 0; i < p->d; i++) {
        const double axis = (double)p->centroids[i * 256 + b] -
                            (double)p->centroids[i * 256 + a];

        along += axis * (double)row[i];
        squares += axis * axis;
        beside += (double)row[i] * (double)row[i];
    }
    share = beside > 0.0 ? 0.2 * sqrt(squares / beside) : 0.0;
    for (size_t i = 0; i < p->d; i++) {
        const double from = (double)p->centroids[i * 256 + a];
        const double to = (double)p->centroids[i * 256 + b];
        const double across =
            squares > 0.0 ? (double)row[i] - along / squares * (to - from)
                          : 0.0;

        row[i] = (float)((from + to) / 2 + share * across);
    }
}

static void make_problem(struct problem *p)
{
    for (size_t i = 0; i < p->d * 256; i++)
        p->centroids[i] =
            i % 256 < p->num_centroids ? draw(p->kind, &p->random) : INFINITY;
    for (size_t i = 0; p->kind == COARSE && i < p->d * 256; i++)
        if (i / 256 % 2 == 0 && i % 256 < p->num_centroids)
            p->centroids[i] =
                0x1p30f + 128.0f * (float)(1 + test_below(&p->random, 2));
    for (size_t r = 0; r < p->num_rows; r++) {
        const size_t a = test_below(&p->random, p->num_centroids);
        const size_t b = test_below(&p->random, p->num_centroids);

        for (size_t i = 0; i < p->d; i++) {
            const float *of_dim = p->centroids + i * 256;
            float value = draw(p->kind, &p->random);

            if (p->kind == STRAYS && test_below(&p->random, 16) == 0)
                value = special(&p->random);
            else if (p->kind == BETWEEN)
                value = of_dim[a] * 0.5f + of_dim[b] * 0.5f;
            else if ((p->kind == COARSE && i % 2 == 0) ||
                     (p->kind == DUPLICATES && a % 2 == 0))
                value = of_dim[a];
            p->rows[r * p->d + i] = value;
        }
        if (p->kind == NEIGHBOURS)
            place_beside(p, a, neighbour_of(p, a), p->rows + r * p->d);
    }
}

static uint8_t by_definition(const struct problem *p, size_t row)
{
    float best = INFINITY;
    size_t winner = 0;

    for (size_t c = 0; c < p->num_centroids; c++) {
        float sum = 0.0f;

        for (size_t i = 0; i < p->d; i++) {
            float difference =
                p->rows[row * p->d + i] - p->centroids[i * 256 + c];
            float square = difference * difference;
            sum = sum + square;
        }
        if (sum < best) {
            best = sum;
            winner = c;
        }
    }
    return (uint8_t)winner;
}

/* Rows and codes lie at the end or the start of readable memory, apart from
 * each other; what is between rows is poison, between codes to be left alone. */
static void check_variant(const struct problem *p, const pqk_kernel *kernel,
                          const uint8_t *expected)
{
    struct test_arena in = {0}, out = {0};
    const size_t n = p->num_rows;
    const size_t stride = p->d + test_below(&(struct test_random){n}, 4);
    const size_t code_stride = 1 + n % 3;
    const size_t values = n ? (n - 1) * stride + p->d : 0;
    const size_t bytes = n ? (n - 1) * code_stride + 1 : 0;
    float *rows = test_place(&in, values * sizeof *rows, (unsigned)n / 2);
    uint8_t *codes = test_place(&out, bytes, (unsigned)n / 4);

    for (size_t i = 0; i < values; i++)
        rows[i] = NAN;
    for (size_t r = 0; r < n; r++)
        memcpy(rows + r * stride, p->rows + r * p->d, p->d * sizeof *rows);
    memset(codes, 0xa5, bytes);
    kernel->nearest_centroids(p->centroids, p->d, rows, n, stride, codes,
                              code_stride);
    for (size_t i = 0; i < bytes; i++)
        CHECK_THAT(
            codes[i] == (i % code_stride ? 0xa5 : expected[i / code_stride]),
            "%s: byte %zu of codes at a stride of %zu is %d, row's code %d",
            pqk_kernel_name(kernel), i, code_stride, codes[i],
            expected[i / code_stride]);
    CHECK_THAT(test_canaries_intact(&out), "%s: codes overrun",
               pqk_kernel_name(kernel));
    test_arena_free(&in);
    test_arena_free(&out);
}

static void check_problem(enum kind kind, size_t d, size_t num_centroids,
                          size_t num_rows)
{
    struct test_arena arena = {0};
    struct problem p = {kind, d, num_centroids, num_rows, NULL, NULL, {0}};
    uint8_t *expected = test_alloc(num_rows + 1);

    p.random.state =
        ((kind * 1000 + d) * 1000 + num_centroids) * 1000 + num_rows;
    p.centroids = test_aligned(&arena, d * 256 * sizeof(float), 64);
    p.rows = test_alloc((num_rows * d + 1) * sizeof(float));
    test_case("nearest: %s, d %zu, %zu centroids, %zu rows", kind_names[kind],
              d, num_centroids, num_rows);
    make_problem(&p);
    for (size_t r = 0; r < num_rows; r++)
        expected[r] = by_definition(&p, r);
    for (size_t v = 0; v < test_variant_count(); v++)
        check_variant(&p, test_variant(v), expected);
    free(p.rows);
    free(expected);
    test_arena_free(&arena);
}

START_TEST(test_nearest)
{
    static const size_t more_dims[] = {96, 127, 128, 129};
    static const size_t centroid_counts[] = {1, 2, 3, 31, 32, 33, 255};
    struct test_random random = {(uint64_t)_i};

    for (size_t d = 1; d <= 40 + TEST_COUNT(more_dims); d++) {
        const size_t dim = d <= 40 ? d : more_dims[d - 41];
        const size_t some =
            centroid_counts[test_below(&random, TEST_COUNT(centroid_counts))];

        if (test_scale() < 1.0 && d % 7 != (size_t)_i % 7 && d != 8)
            continue;
        check_problem((enum kind)_i, dim, 256, 64 + test_below(&random, 7));
        check_problem((enum kind)_i, dim, some, 64 + test_below(&random, 64));
        check_problem((enum kind)_i, dim, 256, test_below(&random, 64));
    }
    check_problem((enum kind)_i, 2, 256, test_scaled(2000));
    check_problem((enum kind)_i, 8, 256, test_scaled(2000));
    check_problem((enum kind)_i, 16, 256, test_scaled(2000));
}
END_TEST

START_TEST(test_row_counts)
{
    for (size_t n = 0; n <= 100; n++)
        check_problem(NORMALS, 1 + n % 9, 1 + n * 37 % 256, n);
}
END_TEST

/* Training and encoding with a variant's function: not a bit is different. */
START_TEST(test_quantizer)
{
    struct test_random random = {11};
    enum { M = 3, D = 8, N = 3000 };
    const pqk_codebook shape = TEST_CODEBOOK(M, 256, D, NULL);
    float *vectors = test_alloc(N * M * D * sizeof *vectors);
    float *expected = test_alloc(M * 256 * D * sizeof *expected);
    float *found = test_alloc(M * 256 * D * sizeof *found);
    uint8_t *codes = test_alloc(2 * N * M);

    for (size_t i = 0; i < N * M * D; i++)
        vectors[i] = test_normal(&random) * (i % M ? 1.0f : 30.0f);
    test_case("training with variants");
    CHECK_OK(pqk_train_codebook(vectors, N, &shape, 5, 1, NULL, expected));
    for (size_t v = 0; v < test_variant_count(); v++) {
        const struct pqk_effort effort = {
            .nearest = test_variant(v)->nearest_centroids, .num_threads = v};
        pqk_codebook codebook = TEST_CODEBOOK(M, 256, D, expected);

        CHECK_OK(pqk_train_codebook(vectors, N, &shape, 5, 1, &effort, found));
        CHECK_THAT(memcmp(found, expected, M * 256 * D * sizeof *found) == 0,
                   "%s: another codebook", pqk_kernel_name(test_variant(v)));
        CHECK_OK(pqk_encode(&codebook, vectors, N, NULL, codes));
        CHECK_OK(pqk_encode(&codebook, vectors, N, &effort, codes + N * M));
        CHECK_THAT(memcmp(codes, codes + N * M, N * M) == 0, "%s: other codes",
                   pqk_kernel_name(test_variant(v)));
    }
    free(codes);
    free(found);
    free(expected);
    free(vectors);
}
END_TEST

struct steps {
    uint64_t done, total, stop_at;
    int in_order;
};

static int count_step(void *context, uint64_t done, uint64_t total)
{
    struct steps *steps = context;

    steps->in_order &= done == steps->done + 1;
    steps->done = done;
    steps->total = total;
    return done == steps->stop_at;
}

START_TEST(test_progress)
{
    enum { M = 5, N = 50, ROUNDS = 7 };
    const pqk_codebook shape = TEST_CODEBOOK(M, 4, 2, NULL);
    float vectors[N * M * 2], centroids[M * 4 * 2];
    struct test_random random = {12};

    for (size_t i = 0; i < TEST_COUNT(vectors); i++)
        vectors[i] = test_normal(&random);
    for (size_t threads = 0; threads < 4; threads++) {
        struct steps steps = {.in_order = 1};
        const struct pqk_effort effort = {.num_threads = threads,
                                          .progress = count_step,
                                          .progress_context = &steps};

        test_case("progress, %zu threads", threads);
        CHECK_OK(pqk_train_codebook(vectors, N, &shape, ROUNDS, 1, &effort,
                                    centroids));
        CHECK_THAT(steps.in_order && steps.done == M * ROUNDS &&
                       steps.total == M * ROUNDS,
                   "not every step, or not in order");
        steps = (struct steps){.in_order = 1, .stop_at = 9};
        CHECK_STATUS(pqk_train_codebook(vectors, N, &shape, ROUNDS, 1, &effort,
                                        centroids),
                     PQK_CANCELLED);
        CHECK_THAT(steps.in_order && steps.done == 9, "called after step 9");
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("encode");

    test_print_variants();
    add_case(suite, "nearest", test_nearest, 40, 0, KINDS);
    add_case(suite, "row counts", test_row_counts, 20, 0, 1);
    add_case(suite, "quantizer", test_quantizer, 20, 0, 1);
    add_case(suite, "progress", test_progress, 4, 0, 1);
    return run_suite(suite);
}
