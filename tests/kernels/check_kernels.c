/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Every variant against the harness's reference: the same ids and the same
 * distance bits, by the contract's path and by the prepared one, on shapes,
 * lengths and values chosen to break vector code, lower bounds and filters.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <string.h>

#include "../checked.h"
#include "harness/fixture/reference.h"
#include "../probing.h"

static const size_t sub_vectors[] = {1,  2,  3,  4,  7,  8,   15,
                                     16, 17, 32, 48, 96, 255, 256};
static const size_t lengths[] = {0,  1,  2,  15, 16,  17,  31,  32,  33,
                                 63, 64, 65, 95, 127, 128, 129, 257, 300};
static const size_t widths[] = {8, 1, 4,  2, 16, 3,  5,  12,
                                6, 7, 32, 9, 15, 17, 33, 64};
static const size_t centroid_counts[] = {256, 1,  16, 15,  2,
                                         17,  64, 65, 100, 255};

static const char *variant_name(int variant)
{
    return pqk_kernel_name(test_variant((size_t)variant));
}

/* Every length, or every seventh where time is short. */
static size_t length_step(void)
{
    return test_scale() < 1.0 ? 7 : 1;
}

/* Of all pairs a quarter, in which each of either is, where time is short. */
static int is_left_out(size_t one, size_t other)
{
    return test_scale() < 1.0 && (one + other) % 4 != 0;
}

/* ------------------------------------------------------------------------ */
/* A codebook that owns its centroids                                        */

static float *normals(size_t count, struct test_random *random)
{
    float *values = test_alloc(count * sizeof *values);

    for (size_t i = 0; i < count; i++)
        values[i] = test_normal(random);
    return values;
}

static pqk_codebook normal_codebook(size_t M, size_t K, size_t d,
                                    struct test_random *random)
{
    return (pqk_codebook)TEST_CODEBOOK(M, K, d, normals(M * K * d, random));
}

/* For the query 0, d = 1, the table is nearly one of test_fill_table: squares
 * of roots. */
static pqk_codebook attacking_codebook(enum test_table_kind kind, size_t M,
                                       size_t K, struct test_random *random)
{
    float *entries = test_alloc(M * PQK_TABLE_STRIDE * sizeof *entries);
    float *centroids = test_alloc(M * K * sizeof *centroids);

    test_fill_table(kind, M, entries, random);
    for (size_t m = 0; m < M; m++)
        for (size_t c = 0; c < K; c++) {
            float root = sqrtf(entries[m * PQK_TABLE_STRIDE + c]);
            centroids[m * K + c] = c % 2 ? -root : root;
        }
    free(entries);
    return (pqk_codebook)TEST_CODEBOOK(M, K, 1, centroids);
}

static void free_codebook(pqk_codebook *codebook)
{
    free((void *)(uintptr_t)codebook->centroids);
}

/* ------------------------------------------------------------------------ */
/* The contract's path                                                       */

START_TEST(test_tables)
{
    const pqk_kernel *kernel = test_variant((size_t)_i);
    struct test_random random = {1};

    for (size_t w = 0; w < TEST_COUNT(widths); w++)
        for (size_t c = 0; c < TEST_COUNT(centroid_counts); c++) {
            size_t M = sub_vectors[test_below(&random, 10)];
            size_t d = widths[w], K = centroid_counts[c];
            pqk_codebook codebook = normal_codebook(M, K, d, &random);
            float *query = normals(M * d, &random);

            test_case("%s: table, M %zu, %zu centroids, d %zu",
                      variant_name(_i), M, K, d);
            for (unsigned placement = 0; placement < 4; placement++)
                CHECK_NO_FAULT(
                    probing_table(kernel, query, &codebook, placement));
            free(query);
            free_codebook(&codebook);
        }
}
END_TEST

/* Any floats: the additions' order and every special case show. */
START_TEST(test_table_values)
{
    const pqk_kernel *kernel = test_variant((size_t)_i);
    struct test_random random = {2};

    for (size_t w = 0; w < TEST_COUNT(widths); w++)
        for (int round = 0; round < 6; round++) {
            size_t M = 5, K = 200, d = widths[w];
            float *values = test_alloc((M * K * d + M * d) * sizeof *values);
            pqk_codebook codebook = TEST_CODEBOOK(M, K, d, values + M * d);

            test_case("%s: table of %s, d %zu", variant_name(_i),
                      round % 2 ? "any bits" : "a huge spread", d);
            for (size_t i = 0; i < M * K * d + M * d; i++)
                values[i] = round % 2 ? test_any_float(&random)
                                      : test_power(&random, -80, 64);
            CHECK_NO_FAULT(
                probing_table(kernel, values, &codebook, (unsigned)round));
            free(values);
        }
}
END_TEST

struct rows_case {
    size_t M;
    size_t n;
    enum test_table_kind table;
    enum test_codes_kind codes;
    unsigned placement;
};

/* Codes may be any byte here: the table has 256 entries a row. */
static struct row_major make_rows(int variant, const struct rows_case *wanted,
                                  struct test_random *random)
{
    const size_t M = wanted->M, n = wanted->n;
    float *entries = test_alloc(M * PQK_TABLE_STRIDE * sizeof *entries);
    uint8_t *codes = test_alloc(n * M);
    struct row_major rows = {test_variant((size_t)variant),
                             entries,
                             M,
                             codes,
                             n,
                             NULL,
                             wanted->placement};

    test_case("%s: row-major, M %zu, n %zu, %s table, %s codes, placement %u, "
              "seed %llx",
              variant_name(variant), M, n, test_table_name(wanted->table),
              test_codes_name(wanted->codes), wanted->placement,
              (unsigned long long)random->state);
    test_fill_table(wanted->table, M, entries, random);
    test_fill_codes(wanted->codes, n, M, 256, codes, random);
    rows.expected = probing_reference(entries, M, codes, n);
    return rows;
}

static void free_rows(struct row_major *rows)
{
    free((void *)(uintptr_t)rows->entries);
    free((void *)(uintptr_t)rows->codes);
    free((void *)(uintptr_t)rows->expected);
}

static void check_rows(int variant, const struct rows_case *wanted,
                       struct test_random *random)
{
    struct row_major rows = make_rows(variant, wanted, random);
    const size_t n = wanted->n;
    const size_t ks[] = {0,         1,         2,     10,   n / 3 + 1,
                         n * 2 / 3, n - n / 8, n + 1, n + 7};

    for (size_t i = 0; i < TEST_COUNT(ks); i++)
        CHECK_NO_FAULT(probing_row_major(&rows, ks[i]));
    free_rows(&rows);
}

START_TEST(test_rows_lengths)
{
    struct test_random random = {3};

    for (size_t n = 0; n <= 300; n += length_step())
        for (int round = 0; round < 3; round++) {
            struct rows_case wanted = {
                16, n, round == 2 ? TEST_TABLE_INTEGERS : TEST_TABLE_REAL,
                TEST_CODES_UNIFORM, (unsigned)(n * 3 + (size_t)round)};

            check_rows(_i, &wanted, &random);
        }
}
END_TEST

START_TEST(test_rows_shapes)
{
    struct test_random random = {4};

    for (size_t s = 0; s < TEST_COUNT(sub_vectors); s++)
        for (size_t l = 0; l < TEST_COUNT(lengths); l++) {
            struct rows_case wanted = {
                sub_vectors[s], lengths[l], TEST_TABLE_REAL,
                (enum test_codes_kind)test_below(&random, TEST_CODES_KINDS),
                (unsigned)test_below(&random, 130)};

            if (is_left_out(s, l))
                continue;
            check_rows(_i, &wanted, &random);
            wanted.table =
                (enum test_table_kind)test_below(&random, TEST_TABLE_KINDS);
            wanted.placement++;
            check_rows(_i, &wanted, &random);
        }
}
END_TEST

START_TEST(test_rows_attacks)
{
    static const size_t attacked[] = {16, 16, 16, 3, 8, 33, 255};
    struct test_random random = {5};

    for (int table = 0; table < TEST_TABLE_KINDS; table++)
        for (int codes = 0; codes < TEST_CODES_KINDS; codes++)
            for (size_t s = 0; s < TEST_COUNT(attacked); s++) {
                struct rows_case wanted = {
                    attacked[s], 1 + test_below(&random, 300),
                    (enum test_table_kind)table, (enum test_codes_kind)codes,
                    (unsigned)test_below(&random, 130)};

                if (!is_left_out((size_t)(table + codes), s))
                    check_rows(_i, &wanted, &random);
            }
}
END_TEST

/* Each k puts the threshold at another result, with its neighbours an ulp or
 * nothing away. */
START_TEST(test_rows_every_k)
{
    static const enum test_table_kind tables[] = {
        TEST_TABLE_ULP,      TEST_TABLE_LARGE_ULP, TEST_TABLE_PERMUTED,
        TEST_TABLE_ABSORB,   TEST_TABLE_INTEGERS,  TEST_TABLE_REAL,
        TEST_TABLE_INF_SOME, TEST_TABLE_NAN_SOME,  TEST_TABLE_CANCEL,
        TEST_TABLE_DENORMAL};
    struct test_random random = {6};

    for (size_t t = 0; t < TEST_COUNT(tables); t++) {
        struct rows_case wanted = {16, 261, tables[t], TEST_CODES_UNIFORM, 0};
        struct row_major rows = make_rows(_i, &wanted, &random);

        for (size_t k = 0; k <= wanted.n + 1; k += length_step())
            CHECK_NO_FAULT(probing_row_major(&rows, k));
        free_rows(&rows);
    }
}
END_TEST

/* Results of an earlier probe: some better, some worse, equal ones with lower
 * and higher ids, NaN and inf. */
static size_t make_held(const struct row_major *rows, size_t count,
                        pqk_row_result *held, struct test_random *random)
{
    for (size_t i = 0; i < count; i++) {
        held[i].row =
            (uint32_t)(rows->num_vectors + test_below(random, 9) + i * 16);
        if (i % 2)
            held[i].row = UINT32_MAX - (uint32_t)i;
        held[i].distance =
            rows->expected[test_below(random, rows->num_vectors)].distance;
        if (i % 11 == 3)
            held[i].distance = test_below(random, 2) ? INFINITY : NAN;
        if (i % 7 == 2)
            held[i].distance *= 0.99f;
    }
    return count;
}

START_TEST(test_rows_held)
{
    static const size_t counts[] = {1, 2, 10, 100};
    struct test_random random = {7};
    pqk_row_result held[100];

    for (int table = 0; table < TEST_TABLE_KINDS; table++)
        for (size_t c = 0; c < TEST_COUNT(counts); c++) {
            struct rows_case wanted = {16, 1 + test_below(&random, 200),
                                       (enum test_table_kind)table,
                                       TEST_CODES_UNIFORM, (unsigned)c};
            struct row_major rows = make_rows(_i, &wanted, &random);
            const size_t ks[] = {1, 5, 10, 50, 100, 320};

            make_held(&rows, counts[c], held, &random);
            for (size_t k = 0; k < TEST_COUNT(ks); k++)
                CHECK_NO_FAULT(
                    probing_row_major_held(&rows, ks[k], held, counts[c]));
            free_rows(&rows);
        }
}
END_TEST

/* One heap goes through all variants, with pushes in between: whatever a probe
 * makes of it inside, it is a heap again afterwards. */
static void hand_on(const struct row_major *rows, size_t k,
                    struct test_random *random)
{
    const size_t M = rows->num_sub_vectors, n = rows->num_vectors;
    const pqk_distance_table table = {
        .num_sub_vectors = M, .entries = (float *)(uintptr_t)rows->entries};
    uint64_t *storage = test_alloc(pqk_top_k_heap_storage(k) * 8);
    pqk_row_result *found = test_alloc(k * sizeof *found);
    pqk_row_result *expected =
        test_alloc((n + 1) * (test_variant_count() + 1) * sizeof *expected);
    pqk_top_k_heap heap;
    size_t total = 0, count;

    pqk_top_k_heap_init(&heap, storage, k);
    for (size_t v = 0; v <= test_variant_count(); v++) {
        const pqk_kernel *kernel = v ? test_variant(v - 1) : rows->kernel;
        float distance = rows->expected[test_below(random, n)].distance;

        CHECK_OK(
            pqk_probe_pq_l2_top_k_with(kernel, &table, rows->codes, n, &heap));
        memcpy(expected + total, rows->expected, n * sizeof *expected);
        total += n;
        expected[total++] = (pqk_row_result){(uint32_t)v, distance};
        pqk_top_k_heap_push(&heap, (uint32_t)v, distance);
    }
    test_sort_results(expected, total);
    count = pqk_top_k_heap_into_sorted(&heap, found);
    CHECK_NO_FAULT(
        test_compare(expected, total < k ? total : k, 0, found, count));
    free(expected);
    free(found);
    free(storage);
}

START_TEST(test_rows_handed_on)
{
    static const size_t ks[] = {1, 7, 100, 500, 3000};
    static const enum test_table_kind tables[] = {
        TEST_TABLE_REAL, TEST_TABLE_INTEGERS, TEST_TABLE_MOSTLY_INF,
        TEST_TABLE_NAN_SOME};
    struct test_random random = {21};

    for (size_t t = 0; t < TEST_COUNT(tables); t++)
        for (size_t k = 0; k < TEST_COUNT(ks); k++) {
            struct rows_case wanted = {16, 1 + test_below(&random, 400),
                                       tables[t], TEST_CODES_UNIFORM, 0};
            struct row_major rows = make_rows(_i, &wanted, &random);

            test_subcase(", handed on, k %zu", ks[k]);
            hand_on(&rows, ks[k], &random);
            free_rows(&rows);
        }
}
END_TEST

/* ------------------------------------------------------------------------ */
/* The prepared path                                                         */

static uint8_t *make_codes(enum test_codes_kind kind, size_t n,
                           const pqk_codebook *codebook,
                           struct test_random *random)
{
    uint8_t *codes = test_alloc(n * codebook->num_sub_vectors);

    test_fill_codes(kind, n, codebook->num_sub_vectors, codebook->num_centroids,
                    codes, random);
    return codes;
}

static void check_prepared(struct door *door, enum test_codes_kind kind,
                           size_t n, const float *queries, size_t num_queries,
                           struct test_random *random)
{
    const size_t ks[] = {0, 1, 10, n / 3 + 1, n * 2 / 3, n, n + 1, n + 7};
    uint8_t *codes = make_codes(kind, n, &door->codebook, random);
    struct prepared_probe probe = {codes,          n, queries, num_queries, ks,
                                   TEST_COUNT(ks), 0};

    if (test_below(random, 2))
        probe.first_id = (uint32_t)(UINT32_MAX - n);
    CHECK_NO_FAULT(probing_prepared(door, &probe));
    free(codes);
}

static void check_shape(int variant, size_t M, size_t K, size_t d,
                        struct test_random *random)
{
    const size_t num_queries = 1 + test_below(random, 3);
    pqk_codebook codebook = normal_codebook(M, K, d, random);
    float *queries = normals(num_queries * M * d, random);
    struct door door;

    test_case("%s: prepared, M %zu, %zu centroids, d %zu",
              variant_name(variant), M, K, d);
    CHECK_NO_FAULT(
        probing_open(&door, test_variant((size_t)variant), &codebook));
    for (int round = 0; round < 4; round++) {
        size_t n = lengths[test_below(random, TEST_COUNT(lengths))];
        enum test_codes_kind kind =
            (enum test_codes_kind)test_below(random, TEST_CODES_KINDS);

        test_case("%s: prepared, M %zu, %zu centroids, d %zu, n %zu, %s codes, "
                  "seed %llx",
                  variant_name(variant), M, K, d, n, test_codes_name(kind),
                  (unsigned long long)random->state);
        check_prepared(&door, kind, n, queries, num_queries, random);
    }
    probing_close(&door);
    free(queries);
    free_codebook(&codebook);
}

START_TEST(test_prepared_shapes)
{
    struct test_random random = {8};
    size_t next_width = 0;

    for (size_t s = 0; s < TEST_COUNT(sub_vectors); s++)
        for (size_t c = 0; c < TEST_COUNT(centroid_counts); c++) {
            /* The largest shapes once each, with few dimensions. */
            size_t d = sub_vectors[s] > 100
                           ? 1 + c % 3
                           : widths[next_width++ % TEST_COUNT(widths)];

            if (is_left_out(s, c))
                continue;
            check_shape(_i, sub_vectors[s], centroid_counts[c], d, &random);
        }
}
END_TEST

/* One sub-vector and one code per centroid: the table itself, bit by bit. */
START_TEST(test_prepared_tables)
{
    struct test_random random = {9};

    for (size_t w = 0; w < TEST_COUNT(widths); w++) {
        size_t d = widths[w], K = 256 - test_below(&random, 3);
        float *values = test_alloc((K * d + 2 * d) * sizeof *values);
        pqk_codebook codebook = TEST_CODEBOOK(1, K, d, values + 2 * d);
        struct door door;

        test_case("%s: prepared tables, %zu centroids, d %zu", variant_name(_i),
                  K, d);
        for (size_t i = 0; i < K * d + 2 * d; i++)
            values[i] = w % 3 == 0   ? test_any_float(&random)
                        : w % 3 == 1 ? test_power(&random, -80, 64)
                                     : test_normal(&random);
        CHECK_NO_FAULT(
            probing_open(&door, test_variant((size_t)_i), &codebook));
        check_prepared(&door, TEST_CODES_RAMP, K, values, 2, &random);
        probing_close(&door);
        free(values);
    }
}
END_TEST

START_TEST(test_prepared_lengths)
{
    struct test_random random = {10};
    pqk_codebook codebook = normal_codebook(16, 256, 8, &random);
    float *queries = normals(2 * 128, &random);
    struct door door;

    CHECK_NO_FAULT(probing_open(&door, test_variant((size_t)_i), &codebook));
    for (size_t n = 0; n <= 300; n += length_step()) {
        test_case("%s: prepared, M 16, n %zu, seed %llx", variant_name(_i), n,
                  (unsigned long long)random.state);
        check_prepared(&door, TEST_CODES_UNIFORM, n, queries, 2, &random);
        check_prepared(&door, TEST_CODES_DUPLICATES, n, queries, 1, &random);
    }
    probing_close(&door);
    free(queries);
    free_codebook(&codebook);
}
END_TEST

static void check_attack(int variant, enum test_table_kind kind, size_t M,
                         size_t K, struct test_random *random)
{
    pqk_codebook codebook = attacking_codebook(kind, M, K, random);
    float *queries = test_alloc(3 * M * sizeof *queries);
    struct door door;

    /* Query 0 has the table that was meant, the others are near and far. */
    for (size_t i = M; i < 3 * M; i++)
        queries[i] =
            i < 2 * M ? 0x1p-12f * test_normal(random) : test_normal(random);
    test_case("%s: prepared, M %zu, %zu centroids, %s table",
              variant_name(variant), M, K, test_table_name(kind));
    CHECK_NO_FAULT(
        probing_open(&door, test_variant((size_t)variant), &codebook));
    for (int codes = 0; codes < TEST_CODES_KINDS; codes++) {
        size_t n = 1 + test_below(random, 300);

        test_case("%s: prepared, M %zu, %zu centroids, %s table, %s codes, "
                  "n %zu, seed %llx",
                  variant_name(variant), M, K, test_table_name(kind),
                  test_codes_name((enum test_codes_kind)codes), n,
                  (unsigned long long)random->state);
        check_prepared(&door, (enum test_codes_kind)codes, n, queries, 3,
                       random);
    }
    probing_close(&door);
    free(queries);
    free_codebook(&codebook);
}

START_TEST(test_prepared_attacks)
{
    static const size_t shapes[][2] = {{16, 256}, {16, 100}, {16, 16},
                                       {3, 256},  {33, 256}, {255, 256}};
    struct test_random random = {11};

    for (int table = 0; table < TEST_TABLE_POSITIVE_KINDS; table++)
        for (size_t s = 0; s < TEST_COUNT(shapes); s++)
            if (!is_left_out((size_t)table, s))
                check_attack(_i, (enum test_table_kind)table, shapes[s][0],
                             shapes[s][1], &random);
}
END_TEST

START_TEST(test_prepared_every_k)
{
    static const enum test_table_kind tables[] = {
        TEST_TABLE_ULP,    TEST_TABLE_LARGE_ULP, TEST_TABLE_PERMUTED,
        TEST_TABLE_ABSORB, TEST_TABLE_INTEGERS,  TEST_TABLE_NAN_SOME};
    struct test_random random = {12};
    const size_t n = 261, step = length_step();
    const float zeros[16] = {0.0f};
    size_t ks[263], num_ks = 0;

    for (size_t k = 0; k <= n + 1; k += step)
        ks[num_ks++] = k;
    for (size_t t = 0; t < TEST_COUNT(tables); t++) {
        pqk_codebook codebook = attacking_codebook(tables[t], 16, 256, &random);
        uint8_t *codes = make_codes(TEST_CODES_UNIFORM, n, &codebook, &random);
        struct prepared_probe probe = {codes, n, zeros, 1, ks, num_ks, 5};
        struct door door;

        test_case("%s: prepared, %s table, every k", variant_name(_i),
                  test_table_name(tables[t]));
        CHECK_NO_FAULT(
            probing_open(&door, test_variant((size_t)_i), &codebook));
        CHECK_NO_FAULT(probing_prepared(&door, &probe));
        probing_close(&door);
        free(codes);
        free_codebook(&codebook);
    }
}
END_TEST

/* Any number of queries a pass gives what one by one gives: the reference. */
START_TEST(test_prepared_batches)
{
    static const size_t batches[] = {1, 2,  3,  4,  5,  6,  7,  8,
                                     9, 15, 16, 17, 31, 32, 33, 64};
    static const size_t ms[] = {16, 16, 7, 32};
    struct test_random random = {13};

    for (size_t s = 0; s < TEST_COUNT(ms); s++) {
        pqk_codebook codebook =
            normal_codebook(ms[s], s == 1 ? 100 : 256, 4, &random);
        float *queries = normals(64 * ms[s] * 4, &random);
        struct door door;

        test_case("%s: batches", variant_name(_i));
        CHECK_NO_FAULT(
            probing_open(&door, test_variant((size_t)_i), &codebook));
        for (size_t b = 0; b < TEST_COUNT(batches); b++) {
            size_t n = 1 + test_below(&random, test_scaled(700));

            test_case("%s: batch of %zu, M %zu, n %zu, seed %llx",
                      variant_name(_i), batches[b], ms[s], n,
                      (unsigned long long)random.state);
            check_prepared(&door, TEST_CODES_UNIFORM, n, queries, batches[b],
                           &random);
        }
        probing_close(&door);
        free(queries);
        free_codebook(&codebook);
    }
}
END_TEST

/* At most 1.25 bytes a code byte, and a constant that a partition of an
 * inverted file can bear. */
START_TEST(test_bytes)
{
    const pqk_kernel *kernel = test_variant((size_t)_i);

    for (size_t s = 0; s < TEST_COUNT(sub_vectors); s++)
        for (size_t c = 0; c < TEST_COUNT(centroid_counts); c++) {
            pqk_codebook shape =
                TEST_CODEBOOK(sub_vectors[s], centroid_counts[c], 8, NULL);
            size_t M = sub_vectors[s], n = (size_t)1 << 20;
            size_t bytes = kernel->codes_bytes(&shape, n);

            test_case("%s: codes_bytes, M %zu, %zu centroids", variant_name(_i),
                      M, centroid_counts[c]);
            CHECK_THAT(bytes <= n / 4 * 5 * M + 1024 * M + 65536,
                       "%zu for 2^20 codes", bytes);
            CHECK_THAT(kernel->codes_bytes(&shape, n) ==
                           kernel->codes_bytes(&shape, n),
                       "changes");
        }
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Many codes: filters, early abandon, rungs and selection are reached       */

enum arrangement {
    AS_MADE,
    ASCENDING,
    DESCENDING,
    FAR_THEN_NEAR,
    NEAR_THEN_FAR,
    ARRANGEMENTS
};

static const char *const arrangement_names[ARRANGEMENTS] = {
    "as made", "ascending", "descending", "far then near", "near then far"};

/* Where the row of a rank goes. */
static size_t arranged(enum arrangement how, size_t rank, size_t n)
{
    switch (how) {
    case ASCENDING:
        return rank;
    case DESCENDING:
        return n - 1 - rank;
    case FAR_THEN_NEAR: /* within the halves, scrambled */
        return rank < n / 2 ? n - n / 2 + rank * 7919 % (n / 2)
                            : (rank - n / 2) * 7919 % (n - n / 2);
    default:
        return rank < n / 2 ? rank * 7919 % (n / 2)
                            : n / 2 + (rank - n / 2) * 7919 % (n - n / 2);
    }
}

/* Rows in an order that lies about what is to come, seen from this query. */
static void arrange(enum arrangement how, const float *query,
                    const pqk_codebook *codebook, uint8_t *codes, size_t n)
{
    const size_t M = codebook->num_sub_vectors;
    float *entries = test_alloc(M * PQK_TABLE_STRIDE * sizeof *entries);
    uint8_t *sorted = test_alloc(n * M);
    pqk_row_result *ranks;

    if (how != AS_MADE) {
        pqh_reference_table(query, codebook, entries);
        ranks = probing_reference(entries, M, codes, n);
        for (size_t rank = 0; rank < n; rank++)
            memcpy(sorted + arranged(how, rank, n) * M,
                   codes + ranks[rank].row * M, M);
        memcpy(codes, sorted, n * M);
        free(ranks);
    }
    free(sorted);
    free(entries);
}

/* Rows near one of a few centres: most sub-vectors have the centre's code. */
static uint8_t *clustered_codes(size_t n, const pqk_codebook *codebook,
                                struct test_random *random)
{
    const size_t M = codebook->num_sub_vectors, K = codebook->num_centroids;
    uint8_t centres[32][256];
    uint8_t *codes = test_alloc(n * M);

    for (size_t c = 0; c < 32; c++)
        for (size_t m = 0; m < M; m++)
            centres[c][m] = (uint8_t)test_below(random, K);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *centre = centres[test_below(random, 32)];

        for (size_t m = 0; m < M; m++)
            codes[i * M + m] = test_below(random, 3)
                                   ? centre[m]
                                   : (uint8_t)test_below(random, K);
    }
    return codes;
}

/* Queries near the reconstruction of a row, as real ones are. */
static float *near_queries(const pqk_codebook *codebook, const uint8_t *codes,
                           size_t n, size_t num_queries,
                           struct test_random *random)
{
    const size_t M = codebook->num_sub_vectors, d = codebook->sub_vector_dim;
    float *queries = normals(num_queries * M * d, random);

    for (size_t q = 0; q < num_queries; q++) {
        const uint8_t *row = codes + test_below(random, n) * M;

        for (size_t i = 0; i < M * d; i++) {
            size_t m = i / d;
            float value =
                codebook->centroids[(m * codebook->num_centroids + row[m]) * d +
                                    i % d];

            /* The second one is a row: its distance is 0. */
            queries[q * M * d + i] =
                value + (q == 1 ? 0.0f : 0.4f) * queries[q * M * d + i];
        }
    }
    return queries;
}

struct large_case {
    size_t M;
    size_t K;
    size_t d;
    size_t n;
    int clustered;
    enum arrangement order;
};

static void check_large_rows(int variant, const pqk_codebook *codebook,
                             const uint8_t *codes, size_t n, const float *query,
                             const size_t *ks, size_t num_ks)
{
    const size_t M = codebook->num_sub_vectors;
    float *entries = test_alloc(M * PQK_TABLE_STRIDE * sizeof *entries);
    struct row_major rows = {
        test_variant((size_t)variant), entries, M, codes, n, NULL, 0};

    pqh_reference_table(query, codebook, entries);
    rows.expected = probing_reference(entries, M, codes, n);
    for (size_t i = 0; i < num_ks; i++)
        CHECK_NO_FAULT(probing_row_major(&rows, ks[i]));
    free((void *)(uintptr_t)rows.expected);
    free(entries);
}

static void check_large(int variant, const struct large_case *large,
                        size_t num_queries, struct test_random *random)
{
    static const size_t ks[] = {10, 1, 100, 1000, 10000};
    pqk_codebook codebook =
        normal_codebook(large->M, large->K, large->d, random);
    size_t n = test_scaled(large->n);
    uint8_t *codes = large->clustered
                         ? clustered_codes(n, &codebook, random)
                         : make_codes(TEST_CODES_UNIFORM, n, &codebook, random);
    float *queries = near_queries(&codebook, codes, n, num_queries, random);
    struct prepared_probe probe = {codes, n, queries, num_queries,
                                   ks,    5, 1000000};
    struct door door;

    arrange(large->order, queries, &codebook, codes, n);
    test_case("%s: large, M %zu, %zu centroids, n %zu, %s, %s",
              variant_name(variant), large->M, large->K, n,
              large->clustered ? "clustered" : "independent",
              arrangement_names[large->order]);
    CHECK_NO_FAULT(
        probing_open(&door, test_variant((size_t)variant), &codebook));
    CHECK_NO_FAULT(probing_prepared(&door, &probe));
    probing_close(&door);
    check_large_rows(variant, &codebook, codes, n, queries, ks, TEST_COUNT(ks));
    free(queries);
    free(codes);
    free_codebook(&codebook);
}

START_TEST(test_large)
{
    struct test_random random = {14};

    for (int clustered = 0; clustered < 2; clustered++)
        for (int order = 0; order < ARRANGEMENTS; order++) {
            struct large_case large = {
                16, 256, 8, 50000, clustered, (enum arrangement)order};

            check_large(_i, &large, order == AS_MADE ? 5 : 1, &random);
        }
}
END_TEST

START_TEST(test_large_shapes)
{
    static const size_t shapes[][2] = {
        {32, 256}, {96, 256}, {8, 256}, {16, 100},  {16, 16},
        {17, 256}, {1, 256},  {2, 256}, {256, 256}, {4, 256}};
    struct test_random random = {15};

    for (size_t s = 0; s < TEST_COUNT(shapes); s++) {
        struct large_case large = {shapes[s][0],
                                   shapes[s][1],
                                   2,
                                   480000 / (16 + shapes[s][0]),
                                   s % 2 == 0,
                                   (enum arrangement)(s % ARRANGEMENTS)};

        if (shapes[s][0] == 4)
            large.n = 140100; /* more than 16 bits count, signed or not */

        check_large(_i, &large, 2, &random);
    }
}
END_TEST

/* The attacks with enough codes for thresholds to settle. */
START_TEST(test_large_attacks)
{
    static const size_t ks[] = {10, 1, 100, 1000};
    const size_t n = test_scaled(20000);
    const float zeros[16] = {0.0f};
    struct test_random random = {16};

    for (int table = 0; table < TEST_TABLE_POSITIVE_KINDS; table++) {
        pqk_codebook codebook =
            attacking_codebook((enum test_table_kind)table, 16, 256, &random);
        enum arrangement order =
            (enum arrangement)test_below(&random, ARRANGEMENTS);
        uint8_t *codes = make_codes(TEST_CODES_UNIFORM, n, &codebook, &random);
        struct prepared_probe probe = {codes, n, zeros, 1, ks, 4, 0};
        struct door door;

        arrange(order, zeros, &codebook, codes, n);
        test_case("%s: large, %s table, n %zu, %s", variant_name(_i),
                  test_table_name((enum test_table_kind)table), n,
                  arrangement_names[order]);
        CHECK_NO_FAULT(
            probing_open(&door, test_variant((size_t)_i), &codebook));
        CHECK_NO_FAULT(probing_prepared(&door, &probe));
        probing_close(&door);
        check_large_rows(_i, &codebook, codes, n, zeros, ks, TEST_COUNT(ks));
        free(codes);
        free_codebook(&codebook);
    }
}
END_TEST

/*
 * 2^24 in the first column swallows what comes behind it, 1 or nothing: all
 * distances are equal, and yet the exact sums, which bytes stand for, are as far
 * apart as the rounding of so many additions allows.
 */
static pqk_codebook swallowing_codebook(size_t M, struct test_random *random)
{
    float *centroids = test_alloc(M * 256 * sizeof *centroids);

    for (size_t i = 0; i < M * 256; i++)
        centroids[i] = i < 256 ? 4096.0f : test_below(random, 32) ? 1.0f : 0.0f;
    return (pqk_codebook)TEST_CODEBOOK(M, 256, 1, centroids);
}

START_TEST(test_swallowing)
{
    static const size_t ms[] = {16, 4, 64, 256};
    static const size_t ks[] = {10, 1, 100, 700};
    struct test_random random = {23};

    for (size_t s = 0; s < TEST_COUNT(ms); s++) {
        const size_t M = ms[s], n = test_scaled(3000);
        pqk_codebook codebook = swallowing_codebook(M, &random);
        uint8_t *codes = make_codes(TEST_CODES_UNIFORM, n, &codebook, &random);
        float *zeros = test_alloc(M * sizeof *zeros);
        struct prepared_probe probe = {codes, n, zeros, 1, ks, 4, 0};
        struct door door;

        test_case("%s: swallowing, M %zu, n %zu", variant_name(_i), M, n);
        CHECK_NO_FAULT(
            probing_open(&door, test_variant((size_t)_i), &codebook));
        CHECK_NO_FAULT(probing_prepared(&door, &probe));
        probing_close(&door);
        check_large_rows(_i, &codebook, codes, n, zeros, ks, TEST_COUNT(ks));
        free(zeros);
        free(codes);
        free_codebook(&codebook);
    }
}
END_TEST

/* A few centroids that no code has are NaN, and one in each column is much nearer
 * than the others: minima pass over NaNs, wherever they are. */
static pqk_codebook nan_codebook(size_t M, struct test_random *random)
{
    float *centroids = test_alloc(M * 256 * sizeof *centroids);

    for (size_t m = 0; m < M; m++) {
        for (size_t c = 0; c < 256; c++)
            centroids[m * 256 + c] = 2.0f + test_uniform(random);
        for (size_t i = 0; i < 4 && m < 4; i++)
            centroids[m * 256 + test_below(random, 256)] = NAN;
        centroids[m * 256 + test_below(random, 256)] = 0.1f;
    }
    return (pqk_codebook)TEST_CODEBOOK(M, 256, 1, centroids);
}

/* Codes are those of the nearest in half of all places. */
static uint8_t *codes_without_nan(size_t n, const pqk_codebook *codebook,
                                  struct test_random *random)
{
    const size_t M = codebook->num_sub_vectors;
    uint8_t *codes = test_alloc(n * M);

    for (size_t i = 0; i < n * M; i++) {
        const float *centroids = codebook->centroids + i % M * 256;
        const int near = test_below(random, 2) == 0;
        size_t c = test_below(random, 256);

        while (near ? !(centroids[c] < 1.0f) : !(centroids[c] > 0.0f))
            c = (c + 1) % 256;
        codes[i] = (uint8_t)c;
    }
    return codes;
}

START_TEST(test_nan_aside)
{
    static const size_t ks[] = {10, 1, 100};
    const size_t M = 16, n = test_scaled(3000);
    const float zeros[16] = {0.0f};
    struct test_random random = {25};

    for (int round = 0; round < 8; round++) {
        pqk_codebook codebook = nan_codebook(M, &random);
        uint8_t *codes = codes_without_nan(n, &codebook, &random);
        struct prepared_probe probe = {codes, n, zeros, 1, ks, 3, 0};
        struct door door;

        test_case("%s: NaN aside, n %zu, round %d", variant_name(_i), n, round);
        CHECK_NO_FAULT(
            probing_open(&door, test_variant((size_t)_i), &codebook));
        CHECK_NO_FAULT(probing_prepared(&door, &probe));
        probing_close(&door);
        check_large_rows(_i, &codebook, codes, n, zeros, ks, TEST_COUNT(ks));
        free(codes);
        free_codebook(&codebook);
    }
}
END_TEST

/* A quarter of the rows are near, and few enough that k are not; the others have a
 * far centroid, though its group has near ones, and are otherwise nearer.  Sums of
 * minima rank those that are near last, and what a sample says of the k-th is too
 * little; or there is no distance to filter by, nearly as far as numbers go. */
START_TEST(test_far_groups)
{
    enum { ROWS = 190, NEAR = 46 };
    static const size_t ks[] = {NEAR + 1, NEAR, 10};
    static const float far[] = {2.0f, 1.2e19f, 1e30f, NAN};
    const float zeros[2] = {0.0f};
    float centroids[2 * 256];
    uint8_t codes[2 * ROWS];
    pqk_codebook codebook = TEST_CODEBOOK(2, 256, 1, centroids);

    for (size_t c = 0; c < 256; c++) {
        centroids[c] = 1.0f;
        centroids[256 + c] = (float)c / 256.0f;
    }
    for (size_t i = 0; i < ROWS; i++) {
        codes[2 * i] = i < NEAR ? 0 : 255;
        codes[2 * i + 1] = (uint8_t)(i < NEAR ? 200 + i : i - NEAR);
    }
    for (size_t f = 0; f < TEST_COUNT(far); f++) {
        struct prepared_probe probe = {codes, ROWS, zeros, 1, ks, 3, 0};
        struct door door;

        test_case("%s: groups as far as %g", variant_name(_i), (double)far[f]);
        centroids[255] = far[f];
        CHECK_NO_FAULT(
            probing_open(&door, test_variant((size_t)_i), &codebook));
        CHECK_NO_FAULT(probing_prepared(&door, &probe));
        probing_close(&door);
    }
}
END_TEST

/* More codes than two bytes count: in sections where three bytes have no room, and
 * in cells of four blocks.  Stages have 3, 4 or 7 columns. */
START_TEST(test_sections)
{
    static const size_t ms[] = {10, 13, 26};
    static const size_t ks[] = {10, 1, 1000};
    const size_t n = test_scaled(70000);
    struct test_random random = {24};

    for (size_t s = 0; s < TEST_COUNT(ms); s++) {
        pqk_codebook codebook = normal_codebook(ms[s], 256, 2, &random);
        uint8_t *codes = clustered_codes(n, &codebook, &random);
        float *queries = near_queries(&codebook, codes, n, 2, &random);
        struct prepared_probe probe = {codes, n, queries, 2, ks, 3, 7};
        struct door door;

        test_case("%s: sections, M %zu, n %zu", variant_name(_i), ms[s], n);
        CHECK_NO_FAULT(
            probing_open(&door, test_variant((size_t)_i), &codebook));
        CHECK_NO_FAULT(probing_prepared(&door, &probe));
        probing_close(&door);
        free(queries);
        free(codes);
        free_codebook(&codebook);
    }
}
END_TEST

/* The contract's path may have any table, negative entries too. */
START_TEST(test_large_rows_attacks)
{
    static const size_t ks[] = {10, 1, 100, 1000};
    struct test_random random = {17};

    for (int table = 0; table < TEST_TABLE_KINDS; table++) {
        struct rows_case wanted = {16, test_scaled(20000),
                                   (enum test_table_kind)table,
                                   TEST_CODES_UNIFORM, 0};
        struct row_major rows = make_rows(_i, &wanted, &random);

        for (size_t k = 0; k < TEST_COUNT(ks); k++)
            CHECK_NO_FAULT(probing_row_major(&rows, ks[k]));
        free_rows(&rows);
    }
}
END_TEST

/* Runs of equal rows, each nearer than the one before, and then far ones: bounds
 * are set among rows of one distance, whose ids decide and which lanes do not hold
 * in order. */
START_TEST(test_stairs)
{
    static const size_t run_lengths[] = {64, 100, 37, 1};
    static const size_t ks[] = {1, 3, 10, 20, 50};
    const size_t M = 16, n = 5000;
    float *entries = test_alloc(M * PQK_TABLE_STRIDE * sizeof *entries);
    uint8_t *codes = test_alloc(n * M);

    for (size_t i = 0; i < M * PQK_TABLE_STRIDE; i++)
        entries[i] = (float)(i % PQK_TABLE_STRIDE);
    for (size_t r = 0; r < TEST_COUNT(run_lengths); r++) {
        struct row_major rows = {
            test_variant((size_t)_i), entries, M, codes, n, NULL, 0};

        for (size_t i = 0; i < n; i++) {
            const size_t nearest = 1700 + r;
            const size_t left =
                i < nearest ? (nearest - 1 - i) / run_lengths[r] : M * 200;

            for (size_t m = 0; m < M; m++)
                codes[i * M + m] = (uint8_t)(left / M + (m < left % M));
        }
        test_case("%s: stairs of %zu rows", variant_name(_i), run_lengths[r]);
        rows.expected = probing_reference(entries, M, codes, n);
        for (size_t k = 0; k < TEST_COUNT(ks); k++)
            CHECK_NO_FAULT(probing_row_major(&rows, ks[k]));
        free((void *)(uintptr_t)rows.expected);
    }
    free(codes);
    free(entries);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* The public API: partitions, residual queries, statistics                  */

#define MAX_PARTITIONS 12

struct partitions {
    pqk_index *index;
    pqk_scanner *search;
    pqk_codebook codebook;
    uint8_t *codes;
    size_t sizes[MAX_PARTITIONS];
    size_t firsts[MAX_PARTITIONS];
    size_t count;
    size_t total;
};

static void make_partitions(struct partitions *parts, int variant, size_t M,
                            size_t K, struct test_random *random)
{
    static const size_t sizes[MAX_PARTITIONS] = {0, 1,    64, 0,  300, 65,
                                                 7, 2049, 0,  33, 129, 0};

    parts->codebook = normal_codebook(M, K, 4, random);
    parts->count = MAX_PARTITIONS;
    parts->total = 0;
    for (size_t p = 0; p < parts->count; p++) {
        parts->firsts[p] = parts->total;
        parts->sizes[p] = sizes[p];
        parts->total += sizes[p];
    }
    parts->codes =
        make_codes(TEST_CODES_UNIFORM, parts->total, &parts->codebook, random);
    CHECK_OK(pqk_index_create(&parts->codebook, test_variant((size_t)variant),
                              &parts->index));
    for (size_t p = 0; p < parts->count; p++)
        CHECK_OK(pqk_index_add(
            parts->index, sizes[p] ? parts->codes + parts->firsts[p] * M : NULL,
            sizes[p]));
    CHECK_THAT(pqk_index_size(parts->index) == parts->total &&
                   pqk_index_partitions(parts->index) == parts->count,
               "size %zu, %zu partitions", pqk_index_size(parts->index),
               pqk_index_partitions(parts->index));
}

static void free_partitions(struct partitions *parts)
{
    pqk_scanner_free(parts->search);
    pqk_index_free(parts->index);
    free(parts->codes);
    free_codebook(&parts->codebook);
}

/* All rows of a partition, seen from a query, with their ids. */
static size_t expect_partition(const struct partitions *parts, size_t p,
                               const float *query, pqk_row_result *expected)
{
    const size_t M = parts->codebook.num_sub_vectors;
    float *entries = test_alloc(M * PQK_TABLE_STRIDE * sizeof *entries);
    size_t count;

    pqh_reference_table(query, &parts->codebook, entries);
    count = pqh_reference_probe(entries, M, parts->codes + parts->firsts[p] * M,
                                parts->sizes[p], parts->sizes[p], expected);
    for (size_t i = 0; i < count; i++)
        expected[i].row += (uint32_t)parts->firsts[p];
    free(entries);
    return count;
}

/* Each partition has queries of its own; one of them is probed twice, as other
 * vectors would be at the same distance: the same ids come twice. */
static void check_search(struct partitions *parts, size_t num_queries, size_t k,
                         struct test_random *random)
{
    const size_t dim = parts->codebook.num_sub_vectors * 4;
    const size_t room = parts->total * 2;
    pqk_row_result *expected =
        test_alloc(num_queries * room * sizeof *expected);
    pqk_row_result *found = test_alloc((k + 1) * sizeof *found);
    size_t *counts = test_alloc(num_queries * sizeof *counts);
    pqk_search_stats stats;

    CHECK_OK(pqk_scanner_begin(parts->search, num_queries, k));
    for (size_t step = 0; step < parts->count; step++) {
        size_t p = (step * 5 + 3) % parts->count; /* 5 and 12: each once */
        float *queries = normals(num_queries * dim, random);

        CHECK_OK(pqk_scanner_tables(parts->search, queries));
        CHECK_OK(pqk_scanner_probe(parts->search, p));
        for (size_t q = 0; q < num_queries; q++)
            counts[q] += expect_partition(parts, p, queries + q * dim,
                                          expected + q * room + counts[q]);
        free(queries);
    }
    CHECK_OK(pqk_scanner_statistics(parts->search, &stats));
    for (size_t q = 0; q < num_queries; q++) {
        size_t count = 12345;

        test_subcase(", k %zu, query %zu of %zu", k, q, num_queries);
        test_sort_results(expected + q * room, counts[q]);
        CHECK_OK(pqk_scanner_results(parts->search, q, found, &count));
        CHECK_NO_FAULT(test_compare(expected + q * room,
                                    counts[q] < k ? counts[q] : k, 0, found,
                                    count));
    }
    CHECK_NO_FAULT(probing_statistics(
        &stats, pqk_kernel_name(pqk_index_kernel(parts->index)),
        (uint64_t)parts->total * num_queries,
        (uint64_t)(k < parts->total ? k : parts->total) * num_queries));
    free(counts);
    free(found);
    free(expected);
}

START_TEST(test_partitions)
{
    static const size_t shapes[][2] = {{16, 256}, {16, 50}, {5, 256}, {32, 16}};
    static const size_t ks[] = {0, 1, 10, 1500, 3000};
    static const size_t batches[] = {1, 3, 17};
    struct test_random random = {18};

    for (size_t s = 0; s < TEST_COUNT(shapes); s++) {
        struct partitions parts;

        test_case("%s: partitions, M %zu, %zu centroids", variant_name(_i),
                  shapes[s][0], shapes[s][1]);
        make_partitions(&parts, _i, shapes[s][0], shapes[s][1], &random);
        CHECK_OK(pqk_scanner_create(parts.index, 17, 3000, &parts.search));
        for (size_t b = 0; b < TEST_COUNT(batches); b++)
            for (size_t k = 0; k < TEST_COUNT(ks); k++)
                if (test_scale() >= 1.0 || (b + k) % 3 == 0)
                    check_search(&parts, batches[b], ks[k], &random);
        free_partitions(&parts);
    }
}
END_TEST

/* A partition probed again with the tables and heaps as they are: nothing is
 * used up, and what is already held ties with what comes. */
START_TEST(test_probe_again)
{
    struct test_random random = {19};
    struct partitions parts;
    pqk_row_result expected[600], found[600];
    float *query;
    size_t count = 0;

    test_case("%s: probe again", variant_name(_i));
    make_partitions(&parts, _i, 16, 256, &random);
    query = normals(64, &random);
    CHECK_OK(pqk_scanner_create(parts.index, 1, 500, &parts.search));
    CHECK_OK(pqk_scanner_begin(parts.search, 1, 500));
    CHECK_OK(pqk_scanner_tables(parts.search, query));
    for (int round = 0; round < 2; round++)
        CHECK_OK(pqk_scanner_probe(parts.search, 4));
    expect_partition(&parts, 4, query, expected);
    expect_partition(&parts, 4, query, expected + 300);
    test_sort_results(expected, 600);
    CHECK_OK(pqk_scanner_results(parts.search, 0, found, &count));
    CHECK_NO_FAULT(test_compare(expected, 500, 0, found, count));
    CHECK_OK(pqk_scanner_results(parts.search, 0, found, &count));
    CHECK_THAT(count == 0, "results were not taken out: %zu", count);
    free(query);
    free_partitions(&parts);
}
END_TEST

/* One query's tables serve many partitions, probed from the last to the first:
 * what comes later has lower ids, and wins its ties with what is held. */
static void check_partition_ties(int variant, enum test_table_kind kind,
                                 size_t M, struct test_random *random)
{
    static const size_t sizes[] = {200, 3, 64, 501, 65, 1, 130};
    static const size_t ks[] = {1, 5, 60, 400, 964};
    const size_t total = 964;
    pqk_codebook codebook = attacking_codebook(kind, M, 256, random);
    float *query = test_alloc(M * sizeof *query);
    float *entries = test_alloc(M * PQK_TABLE_STRIDE * sizeof *entries);
    uint8_t *codes = make_codes(TEST_CODES_UNIFORM, total, &codebook, random);
    pqk_row_result *expected, *found = test_alloc(total * sizeof *found);
    pqk_index *index = NULL;
    pqk_scanner *search = NULL;
    size_t first = 0, count = 0;

    test_case("%s: ties of partitions, M %zu, %s table", variant_name(variant),
              M, test_table_name(kind));
    CHECK_OK(
        pqk_index_create(&codebook, test_variant((size_t)variant), &index));
    for (size_t p = 0; p < TEST_COUNT(sizes); p++, first += sizes[p - 1])
        CHECK_OK(pqk_index_add(index, codes + first * M, sizes[p]));
    CHECK_OK(pqk_scanner_create(index, 1, total, &search));
    pqh_reference_table(query, &codebook, entries);
    expected = probing_reference(entries, M, codes, total);
    for (size_t k = 0; k < TEST_COUNT(ks); k++) {
        test_subcase(", k %zu", ks[k]);
        CHECK_OK(pqk_scanner_begin(search, 1, ks[k]));
        CHECK_OK(pqk_scanner_tables(search, query));
        for (size_t p = TEST_COUNT(sizes); p-- > 0;)
            CHECK_OK(pqk_scanner_probe(search, p));
        CHECK_OK(pqk_scanner_results(search, 0, found, &count));
        CHECK_NO_FAULT(test_compare(expected, ks[k], 0, found, count));
    }
    pqk_scanner_free(search);
    pqk_index_free(index);
    free(found);
    free(expected);
    free(codes);
    free(entries);
    free(query);
    free_codebook(&codebook);
}

START_TEST(test_partition_ties)
{
    struct test_random random = {22};

    for (int kind = 0; kind < TEST_TABLE_POSITIVE_KINDS; kind++) {
        check_partition_ties(_i, (enum test_table_kind)kind, 16, &random);
        check_partition_ties(_i, (enum test_table_kind)kind, 2, &random);
    }
}
END_TEST

/* Partitions may be added between searches, at any address. */
START_TEST(test_growing)
{
    struct test_random random = {20};
    pqk_codebook codebook = normal_codebook(16, 256, 2, &random);
    float *query = normals(32, &random);
    float entries[16 * PQK_TABLE_STRIDE];
    uint8_t *codes = make_codes(TEST_CODES_UNIFORM, 4000, &codebook, &random);
    pqk_row_result found[20];
    pqk_index *index = NULL;
    size_t total = 0;

    test_case("%s: growing", variant_name(_i));
    CHECK_OK(pqk_index_create(&codebook, test_variant((size_t)_i), &index));
    pqh_reference_table(query, &codebook, entries);
    while (total < 3900) {
        size_t more = test_below(&random, 100), count = 0;
        pqk_row_result *expected;

        CHECK_OK(pqk_index_add(index, codes + total * 16, more));
        total += more;
        test_subcase(", %zu codes", total);
        CHECK_OK(pqk_index_search(index, query, 20, found, &count));
        expected = probing_reference(entries, 16, codes, total);
        CHECK_NO_FAULT(
            test_compare(expected, total < 20 ? total : 20, 0, found, count));
        free(expected);
    }
    pqk_index_free(index);
    free(codes);
    free(query);
    free_codebook(&codebook);
}
END_TEST

START_TEST(test_variants_that_ran)
{
    CHECK_NO_FAULT(test_missing_variants());
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("kernels");
    const int variants = (int)test_variant_count();

    test_print_variants();
    add_case(suite, "expected variants", test_variants_that_ran, 4, 0, 1);
    add_case(suite, "table shapes", test_tables, 20, 0, variants);
    add_case(suite, "table values", test_table_values, 20, 0, variants);
    add_case(suite, "row-major lengths", test_rows_lengths, 20, 0, variants);
    add_case(suite, "row-major shapes", test_rows_shapes, 20, 0, variants);
    add_case(suite, "row-major attacks", test_rows_attacks, 20, 0, variants);
    add_case(suite, "row-major every k", test_rows_every_k, 20, 0, variants);
    add_case(suite, "row-major held", test_rows_held, 20, 0, variants);
    add_case(suite, "row-major handed on", test_rows_handed_on, 20, 0,
             variants);
    add_case(suite, "prepared shapes", test_prepared_shapes, 40, 0, variants);
    add_case(suite, "prepared tables", test_prepared_tables, 20, 0, variants);
    add_case(suite, "prepared lengths", test_prepared_lengths, 20, 0, variants);
    add_case(suite, "prepared attacks", test_prepared_attacks, 20, 0, variants);
    add_case(suite, "prepared every k", test_prepared_every_k, 20, 0, variants);
    add_case(suite, "batches", test_prepared_batches, 20, 0, variants);
    add_case(suite, "bytes", test_bytes, 4, 0, variants);
    add_case(suite, "large", test_large, 40, 0, variants);
    add_case(suite, "large shapes", test_large_shapes, 40, 0, variants);
    add_case(suite, "large attacks", test_large_attacks, 40, 0, variants);
    add_case(suite, "swallowing", test_swallowing, 20, 0, variants);
    add_case(suite, "NaN aside", test_nan_aside, 20, 0, variants);
    add_case(suite, "far groups", test_far_groups, 4, 0, variants);
    add_case(suite, "sections", test_sections, 20, 0, variants);
    add_case(suite, "large row-major", test_large_rows_attacks, 40, 0,
             variants);
    add_case(suite, "stairs", test_stairs, 20, 0, variants);
    add_case(suite, "partitions", test_partitions, 40, 0, variants);
    add_case(suite, "partition ties", test_partition_ties, 20, 0, variants);
    add_case(suite, "probe again", test_probe_again, 4, 0, variants);
    add_case(suite, "growing", test_growing, 20, 0, variants);
    return run_suite(suite);
}
