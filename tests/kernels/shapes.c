/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Every function behind the door in every class of shapes, other shapes each time:
 * the reference's answers, to the last bit.  Classes are what kernels decide by, so
 * that nothing is wrong only where no fixed test looks.  PQK_SHAPES_SEED repeats a
 * run.  Needs no test framework: a trial always has it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "library/quantizer/nearest.h"
#include "../probing.h"

struct range {
    size_t least, most;
};

struct shapes {
    const char *name;
    size_t repetitions;
    struct range M, d, K, n, k;
};

/* Fewer rows than that may be too few for a filter, at any scale. */
#define NEVER_SCALED 9000

static const struct shapes classes[] = {
    {"any", 24, {1, 40}, {1, 9}, {1, 256}, {0, 2000}, {0, 64}},
    {"full codebook", 12, {1, 40}, {1, 9}, {256, 256}, {64, 3000}, {1, 100}},
    {"16 sub-vectors", 20, {16, 16}, {1, 8}, {200, 256}, {2500, 6000}, {1, 100}},
    {"32 sub-vectors", 10, {32, 32}, {1, 4}, {200, 256}, {2500, 4000}, {1, 40}},
    {"12 sub-vectors", 3, {12, 12}, {1, 4}, {200, 256}, {1024, 3000}, {1, 40}},
    {"64 sub-vectors", 2, {64, 64}, {1, 3}, {200, 256}, {1024, 2000}, {1, 40}},
    {"128 sub-vectors", 1, {128, 128}, {1, 2}, {200, 256}, {1024, 2000}, {1, 40}},
    {"long sub-vectors", 3, {2, 24}, {9, 20}, {17, 256}, {1024, 3000}, {1, 40}},
    {"8 dimensions", 12, {1, 34}, {8, 8}, {3, 256}, {65, 9000}, {1, 40}},
    {"8 dimensions, few rows", 6, {1, 34}, {8, 8}, {3, 256}, {1, 300}, {1, 40}},
    {"8 dimensions, full codebook", 12, {1, 34}, {8, 8}, {256, 256}, {65, 9000},
     {1, 40}},
    {"8 dimensions, full codebook, few rows", 6, {1, 34}, {8, 8}, {256, 256},
     {1, 300}, {1, 40}},
    {"16 dimensions, full codebook", 3, {1, 18}, {16, 16}, {256, 256},
     {1024, 3000}, {1, 34}},
    {"128 dimensions, full codebook", 1, {1, 3}, {128, 128}, {256, 256},
     {500, 2500}, {1, 34}},
    {"16 dimensions", 3, {1, 18}, {16, 16}, {200, 256}, {1024, 3000}, {1, 34}},
    {"120 or more dimensions", 2, {1, 3}, {120, 136}, {200, 256}, {500, 2500},
     {1, 34}},
    {"many results", 3, {8, 24}, {2, 8}, {256, 256}, {2000, 6000}, {60, 300}},
    {"beyond 32,768, few centroids", 1, {4, 17}, {2, 4}, {16, 255},
     {32769, 34000}, {1, 70}},
    {"beyond 32,768, many columns", 1, {33, 48}, {1, 2}, {256, 256},
     {32769, 33500}, {1, 70}},
    {"beyond 65,536", 1, {16, 16}, {2, 4}, {256, 256}, {65537, 67000}, {1, 70}},
};

static uint64_t seed;
static struct test_random drawn;
static unsigned num_cases;

static void check(const char *fault)
{
    if (fault != NULL) {
        printf("not ok - %s; PQK_SHAPES_SEED=%llu repeats it\n", fault,
               (unsigned long long)seed);
        exit(EXIT_FAILURE);
    }
}

static size_t draw(struct range range)
{
    return range.least + test_below(&drawn, range.most - range.least + 1);
}

static int one_of_three(uint32_t row)
{
    return row % 3 == 1;
}

struct data {
    size_t M, d, K, n, k;
    float *values; /* centroids, then queries */
    uint8_t *codes;
    uint64_t *rows; /* of a filter */
};

enum { QUERIES = 3 };

/* Half the time what data look like, half what attacks. */
static void fill_values(struct data *data)
{
    size_t dim = data->M * data->d, count = dim * (PQK_TABLE_STRIDE + QUERIES);
    enum test_table_kind kind =
        (enum test_table_kind)test_below(&drawn, TEST_TABLE_KINDS);

    data->values = test_alloc(count * sizeof *data->values);
    for (size_t i = 0; i < count; i++)
        data->values[i] = test_normal(&drawn);
    if (test_below(&drawn, 2))
        test_fill_table(kind, dim, data->values, &drawn);
}

/* Integers that centroids are rounded to are worst where all of a vector's
 * components are rounded one way, and the query's the other; norms alone, where all
 * are rounded up `far` from the centre, and the query is near.  R makes a step 1,
 * and all is scaled at last: where steps are 1, one left out does not show. */
static void fill_with_halves(struct data *data, int far)
{
    const size_t per_codebook = data->K * data->d;
    const float R = 32768.0f / 1.5625f / sqrtf(4.0f * (float)data->d);
    const float distance =
        far ? 0.75f * R + (float)test_below(&drawn, (size_t)(R / 4.0f) - 8)
            : (float)(1 + test_below(&drawn, 300));
    const int beyond = !far && test_below(&drawn, 2) == 0; /* centroids, it is */
    const float fraction = beyond && test_below(&drawn, 2) ? 0.9f : 0.49f;
    const float step = ldexpf(1.0f, -1 - (int)test_below(&drawn, 8));

    for (size_t i = 0; i < data->M * per_codebook; i++) {
        const size_t c = i % per_codebook / data->d;
        const float steps = (float)test_below(&drawn, 4);

        data->values[i] = c == 0   ? R
                          : c == 1 ? -R
                          : beyond ? steps + fraction
                                   : distance + steps - fraction;
    }
    for (size_t i = 0; i < data->M * data->d * QUERIES; i++)
        data->values[data->M * per_codebook + i] =
            beyond || far ? distance - 0.49f : 0.49f;
    for (size_t i = 0; i < data->M * (per_codebook + data->d * QUERIES); i++)
        data->values[i] *= step;
}

/* Sub-vectors of which some hardly count. */
static void scale_sub_vectors(struct data *data)
{
    const size_t per_codebook = data->K * data->d;
    const float *end = data->values +
                       data->M * data->d * (data->K + QUERIES);

    for (size_t m = 0; m < data->M; m++) {
        const float scale = test_power(&drawn, -9, 9);
        float *query = data->values + data->M * per_codebook + m * data->d;

        for (size_t i = 0; i < per_codebook; i++)
            data->values[m * per_codebook + i] *= scale;
        for (; query < end; query += data->M * data->d)
            for (size_t i = 0; i < data->d; i++)
                query[i] *= scale;
    }
}

/* Sub-vectors that are far from 0, next to what their centroids differ by. */
static void shift_sub_vectors(struct data *data)
{
    const size_t per_codebook = data->K * data->d;

    for (size_t m = 0; m < data->M; m++) {
        float *centroids = data->values + m * per_codebook;
        float *query = data->values + data->M * per_codebook + m * data->d;
        const float size = fabsf(centroids[0]);
        const float sign = test_below(&drawn, 2) ? -1.0f : 1.0f;
        const float offset = sign * test_power(&drawn, -2, 8) * size;

        if (!(size < 0x1p100f))
            continue;
        for (size_t i = 0; i < per_codebook; i++)
            centroids[i] += offset;
        for (size_t q = 0; q < QUERIES; q++, query += data->M * data->d)
            for (size_t i = 0; i < data->d; i++)
                query[i] += offset;
    }
}

/* What estimates may stumble over; first of all, what they may be off by most. */
static void fill_for_estimates(struct data *data, int first)
{
    const size_t kind = first ? 0 : test_below(&drawn, 6);

    if (kind < 2)
        fill_with_halves(data, first || test_below(&drawn, 2));
    if (kind == 2)
        scale_sub_vectors(data);
    if (kind == 1 || kind == 3)
        shift_sub_vectors(data);
}

static void make_data(const struct shapes *shapes, struct data *data, int first)
{
    enum test_codes_kind kind =
        (enum test_codes_kind)test_below(&drawn, TEST_CODES_KINDS);
    size_t share = test_below(&drawn, 101);

    *data = (struct data){.M = draw(shapes->M),
                          .d = draw(shapes->d),
                          .K = draw(shapes->K),
                          .n = draw(shapes->n),
                          .k = draw(shapes->k)};
    fill_values(data);
    if (data->d % 8 == 0 && data->K > 2)
        fill_for_estimates(data, first && data->K == PQK_TABLE_STRIDE);
    data->codes = test_alloc(data->n * data->M);
    test_fill_codes(kind, data->n, data->M, data->K, data->codes, &drawn);
    data->rows = test_alloc((data->n / 64 + 1) * sizeof *data->rows);
    for (size_t i = 0; i < data->n; i++)
        data->rows[i / 64] |= (uint64_t)(test_below(&drawn, 100) < share)
                              << i % 64;
}

static void free_data(struct data *data)
{
    free(data->values);
    free(data->codes);
    free(data->rows);
}

static void describe(const struct shapes *shapes, const pqk_kernel *kernel,
                     const struct data *data, const char *path)
{
    test_case("%s: %s, %s, M %zu, d %zu, %zu centroids, n %zu, k %zu",
              pqk_kernel_name(kernel), shapes->name, path, data->M, data->d,
              data->K, data->n, data->k);
    num_cases++;
}

/* Tables, and row-major codes. */
static void check_rows(const struct shapes *shapes, const pqk_kernel *kernel,
                       struct data *data, unsigned placement)
{
    pqk_codebook codebook =
        TEST_CODEBOOK(data->M, data->K, data->d, data->values);
    const float *query = data->values + data->M * data->d * data->K;
    float *entries = test_alloc(data->M * PQK_TABLE_STRIDE * sizeof *entries);
    struct row_major rows = {kernel,  entries, data->M,  data->codes,
                             data->n, NULL,    placement};

    describe(shapes, kernel, data, "row-major");
    check(probing_table(kernel, query, &codebook, placement));
    kernel->compute_distance_table_l2(query, &codebook, entries);
    rows.expected =
        probing_reference(entries, data->M, data->codes, data->n);
    check(probing_row_major(&rows, data->k));
    free((void *)(uintptr_t)rows.expected);
    free(entries);
}

/* Of a table and of its codes: up to 15 numbers, and as many bytes, behind a guard
 * page, or right before one, as 64-byte aligned as their sizes are.  Or an odd
 * count of them, so that no run misses a store that wants more than a number's
 * alignment. */
static unsigned draw_placement(int unaligned)
{
    return unaligned ? 3 + 4 * (unsigned)test_below(&drawn, 8)
                     : (unsigned)test_below(&drawn, 32);
}

/* Prepared codes, restored and probed, without a filter and with any. */
static void check_prepared(const struct shapes *shapes, const pqk_kernel *kernel,
                           struct data *data)
{
    pqk_codebook codebook =
        TEST_CODEBOOK(data->M, data->K, data->d, data->values);
    struct prepared_probe probe = {.codes = data->codes,
                                   .num_vectors = data->n,
                                   .queries = data->values +
                                              data->M * data->d * data->K,
                                   .num_queries = QUERIES,
                                   .ks = &data->k,
                                   .num_ks = 1,
                                   .first_id = (uint32_t)test_below(&drawn, 99)};
    const struct preset preset = {.by_rank = 1,
                                  .rank = test_below(&drawn, 2)
                                              ? test_below(&drawn, 2 * data->k + 9)
                                              : test_below(&drawn, data->n + 1),
                                  .ulps = (int)test_below(&drawn, 3) - 1};
    struct narrowing narrowing = {PQK_L2, NULL, NULL, NULL, 0};
    struct door door;

    describe(shapes, kernel, data, "prepared");
    check(probing_open(&door, kernel, &codebook));
    check(probing_narrowed(&door, &probe, &narrowing));
    describe(shapes, kernel, data, "with a bound");
    narrowing.preset = &preset;
    narrowing.part_rows = test_below(&drawn, 2) ? data->n / 3 : 0;
    check(probing_narrowed(&door, &probe, &narrowing));
    narrowing.preset = NULL;
    describe(shapes, kernel, data, "filtered");
    narrowing.metric = test_below(&drawn, 2) ? PQK_L2 : PQK_INNER_PRODUCT;
    narrowing.rows = test_below(&drawn, 4) ? data->rows : NULL;
    narrowing.allows = test_below(&drawn, 3) ? NULL : one_of_three;
    narrowing.part_rows = test_below(&drawn, 2) ? data->n / 2 : 0;
    check(probing_narrowed(&door, &probe, &narrowing));
    probing_close(&door);
}

/* Vectors of one sub-vector, encoded. */
static void check_encoding(const pqk_kernel *kernel)
{
    static const struct shapes encoding = {.name = "encoding"};
    struct data data = {.M = 1,
                        .d = 1 + test_below(&drawn, 24),
                        .K = test_below(&drawn, 3) ? PQK_TABLE_STRIDE
                                                   : 1 + test_below(&drawn, 256),
                        .n = 1 + test_below(&drawn, 700)};
    size_t stride = data.d + test_below(&drawn, 5), spread = draw((struct range){
                                                        1, 4});
    float *centroids = test_alloc(data.K * data.d * sizeof *centroids);
    float *transposed = pqk_transposed_create(data.d);
    float *rows = test_alloc(data.n * stride * sizeof *rows);
    uint8_t *codes = test_alloc(data.n * spread);
    uint8_t *expected = test_alloc(data.n * spread);
    enum test_table_kind kind =
        (enum test_table_kind)test_below(&drawn, TEST_TABLE_KINDS);

    for (size_t i = 0; i < data.K * data.d; i++)
        centroids[i] = test_normal(&drawn);
    for (size_t i = 0; i < data.n * stride; i++)
        rows[i] = test_normal(&drawn);
    if (test_below(&drawn, 3) == 0 && data.K == PQK_TABLE_STRIDE)
        test_fill_table(kind, data.d, centroids, &drawn);
    pqk_transpose_centroids(centroids, data.K, data.d, transposed);
    describe(&encoding, kernel, &data, "nearest centroids");
    test_dirty_stack();
    kernel->nearest_centroids(transposed, data.d, rows, data.n, stride, codes,
                              spread);
    pqk_plain_nearest(transposed, data.d, rows, data.n, stride, expected, spread);
    for (size_t i = 0; i < data.n * spread; i++)
        if (codes[i] != expected[i])
            check(test_fault("byte %zu of the codes is %d, expected %d", i,
                             codes[i], expected[i]));
    free(expected);
    free(codes);
    free(rows);
    free(transposed);
    free(centroids);
}

static void check_class(const struct shapes *shapes)
{
    struct shapes scaled = *shapes;

    if (scaled.n.most > NEVER_SCALED) {
        scaled.n.least = test_scaled(scaled.n.least);
        scaled.n.most = test_scaled(scaled.n.most);
    }
    for (size_t v = 0; v < test_variant_count(); v++) {
        const pqk_kernel *kernel = test_variant(v);
        for (size_t i = 0; i < test_scaled(shapes->repetitions); i++) {
            struct data data;
            make_data(&scaled, &data, i == 0);
            check_rows(shapes, kernel, &data, draw_placement(i == 0));
            check_prepared(shapes, kernel, &data);
            free_data(&data);
        }
    }
}

int main(void)
{
    const char *given = getenv("PQK_SHAPES_SEED");
    struct timespec now;

    timespec_get(&now, TIME_UTC);
    seed = given != NULL ? strtoull(given, NULL, 10)
                         : (uint64_t)now.tv_sec * 1000000000u +
                               (uint64_t)now.tv_nsec;
    drawn.state = seed;
    test_print_variants();
    for (size_t i = 0; i < TEST_COUNT(classes); i++)
        check_class(&classes[i]);
    for (size_t v = 0; v < test_variant_count(); v++)
        for (size_t i = 0; i < test_scaled(60); i++)
            check_encoding(test_variant(v));
    printf("1..1\nok 1 - %u cases, PQK_SHAPES_SEED=%llu\n", num_cases,
           (unsigned long long)seed);
    return EXIT_SUCCESS;
}
