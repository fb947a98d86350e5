/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Every variant's door against the harness's reference where a search is
 * narrowed: by bits, by a predicate, by a bound set beforehand; and by inner
 * products, whose table entries may be below 0.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../checked.h"
#include "../probing.h"

static const char *variant_name(int variant)
{
    return pqk_kernel_name(test_variant((size_t)variant));
}

/* ------------------------------------------------------------------------ */
/* What is allowed                                                           */

enum bitmap_kind {
    BITS_NONE,
    BITS_ONE,
    BITS_EIGHT, /* at equal distances */
    BITS_FEW,   /* 0.1 % */
    BITS_SOME,  /* 1 % */
    BITS_RUN,   /* a tenth, all in one place */
    BITS_HALF,
    BITS_NEARLY_ALL, /* all but 1 % */
    BITS_ALL,
    BITMAP_KINDS,
    NO_BITMAP = BITMAP_KINDS
};

static const char *const bitmap_names[BITMAP_KINDS + 1] = {
    "no bit",      "one bit",       "eight bits",    "0.1 % of bits",
    "1 % of bits", "a run of bits", "half the bits", "99 % of bits",
    "all bits",    "no bitmap"};

static int is_set(enum bitmap_kind kind, size_t i, size_t n, size_t place,
                  struct test_random *random)
{
    switch (kind) {
    case BITS_NONE:
        return 0;
    case BITS_ONE:
        return i == place;
    case BITS_EIGHT:
        return i % (n / 8 + 1) == place % (n / 8 + 1);
    case BITS_FEW:
        return test_below(random, 1000) == 0;
    case BITS_SOME:
        return test_below(random, 100) == 0;
    case BITS_RUN:
        return i >= place && i < place + n / 10 + 1;
    case BITS_HALF:
        return test_below(random, 2) == 0;
    case BITS_NEARLY_ALL:
        return test_below(random, 100) != 0;
    default:
        return 1;
    }
}

/* NULL for NO_BITMAP. */
static uint64_t *make_bitmap(enum bitmap_kind kind, size_t n,
                             struct test_random *random)
{
    const size_t place = n > 0 ? test_below(random, n) : 0;
    uint64_t *rows;

    if (kind == NO_BITMAP)
        return NULL;
    rows = test_alloc((n / 64 + 1) * sizeof *rows);
    for (size_t i = 0; i < n; i++)
        rows[i / 64] |= (uint64_t)is_set(kind, i, n, place, random) << i % 64;
    return rows;
}

static int third_rows(uint32_t row)
{
    return row % 3 == 1;
}

static int rare_rows(uint32_t row)
{
    return row * 2654435769u % 97 == 5;
}

static int no_row(uint32_t row)
{
    (void)row;
    return 0;
}

static int (*const predicates[])(uint32_t) = {NULL, third_rows, rare_rows,
                                              no_row};
static const char *const predicate_names[] = {"no predicate", "a third of rows",
                                              "few rows", "no row"};

/* ------------------------------------------------------------------------ */
/* Data                                                                      */

/* The codebook is prepared once for all that is done with it, which takes longer
 * than most of that. */
struct data {
    pqk_codebook codebook;
    float *centroids;
    uint8_t *codes;
    float *queries;
    size_t n, num_queries;
    struct door door;
};

static void open_door(struct data *data, int variant)
{
    data->codebook.centroids = data->centroids;
    CHECK_NO_FAULT(probing_open(&data->door, test_variant((size_t)variant),
                                &data->codebook));
}

/* Most sub-vectors of a row are those of one of a few centres, so that bounds
 * prune and rows tie. */
static void cluster(uint8_t *codes, size_t n, size_t M,
                    struct test_random *random)
{
    for (size_t i = 12; i < n; i++) {
        const uint8_t *centre = codes + test_below(random, 12) * M;

        for (size_t m = 0; m < M; m++)
            if (test_below(random, 3))
                codes[i * M + m] = centre[m];
    }
}

static struct data make_data(int variant, const size_t shape[3], size_t n,
                             size_t num_queries, struct test_random *random)
{
    const size_t M = shape[0], K = shape[1], d = shape[2];
    struct data data = {.codebook = TEST_CODEBOOK(M, K, d, NULL),
                        .n = n,
                        .num_queries = num_queries};

    data.centroids = test_alloc(M * K * d * sizeof(float));
    data.codes = test_alloc(n * M);
    data.queries = test_alloc(num_queries * M * d * sizeof(float));
    for (size_t i = 0; i < M * K * d; i++)
        data.centroids[i] = test_normal(random);
    open_door(&data, variant);
    test_fill_codes(TEST_CODES_UNIFORM, n, M, K, data.codes, random);
    cluster(data.codes, n, M, random);
    for (size_t i = 0; i < num_queries * M * d; i++) {
        const size_t m = i % (M * d) / d;
        const size_t code = n > 0 ? data.codes[n / 2 * M + m] : 0;

        data.queries[i] = data.centroids[(m * K + code) * d + i % d] +
                          0.4f * test_normal(random);
    }
    return data;
}

/* The query -1 and centroids of one dimension: as inner products they make a
 * table of any numbers. */
static struct data make_attack(int variant, enum test_table_kind kind, size_t M,
                               size_t n, struct test_random *random)
{
    struct data data = {
        .codebook = TEST_CODEBOOK(M, 256, 1, NULL), .n = n, .num_queries = 1};

    data.centroids = test_alloc(M * PQK_TABLE_STRIDE * sizeof(float));
    data.codes = test_alloc(n * M);
    data.queries = test_alloc(M * sizeof(float));
    test_fill_table(kind, M, data.centroids, random);
    open_door(&data, variant);
    test_fill_codes(TEST_CODES_UNIFORM, n, M, 256, data.codes, random);
    for (size_t m = 0; m < M; m++)
        data.queries[m] = -1.0f;
    return data;
}

static void free_data(struct data *data)
{
    probing_close(&data->door);
    free(data->centroids);
    free(data->codes);
    free(data->queries);
}

static void check_all(const struct data *data,
                      const struct narrowing *narrowing, const size_t *ks,
                      size_t num_ks)
{
    const struct prepared_probe probe = {data->codes,
                                         data->n,
                                         data->queries,
                                         data->num_queries,
                                         ks,
                                         num_ks,
                                         (uint32_t)(data->n % 1000)};

    CHECK_NO_FAULT(probing_narrowed(&data->door, &probe, narrowing));
}

/* ------------------------------------------------------------------------ */
/* Bits and predicates                                                       */

static void check_filters(int variant, const size_t shape[3], size_t n,
                          size_t num_queries, size_t part_rows,
                          struct test_random *random)
{
    const size_t ks[] = {10, 0, 1, n / 3 + 1, n + 1};
    struct data data = make_data(variant, shape, n, num_queries, random);

    for (int kind = 0; kind <= NO_BITMAP; kind++)
        for (size_t p = 0; p < TEST_COUNT(predicates); p++) {
            uint64_t *rows = make_bitmap((enum bitmap_kind)kind, n, random);
            struct narrowing narrowing = {PQK_L2, rows, predicates[p], NULL,
                                          part_rows};

            test_case("%s: M %zu, %zu centroids, n %zu in %zu, %s, %s",
                      variant_name(variant), shape[0], shape[1], n, part_rows,
                      bitmap_names[kind], predicate_names[p]);
            if (kind == NO_BITMAP || p == 0 || test_below(random, 2))
                check_all(&data, &narrowing, ks, TEST_COUNT(ks));
            free(rows);
        }
    free_data(&data);
}

static const size_t shapes[][3] = {
    {16, 256, 2}, {16, 100, 3}, {5, 256, 1}, {32, 16, 2}, {2, 256, 4}};

START_TEST(test_filter_lengths)
{
    struct test_random random = {31};
    const size_t step = test_scale() < 1.0 ? 41 : 7;

    for (size_t n = 0; n <= 300; n += n < 3 ? 1 : step)
        check_filters(_i, shapes[n % TEST_COUNT(shapes)], n, 1 + n % 2,
                      n % 3 ? 0 : 64, &random);
}
END_TEST

START_TEST(test_filters)
{
    struct test_random random = {32};

    for (size_t s = 0; s < TEST_COUNT(shapes); s++) {
        check_filters(_i, shapes[s], test_scaled(6000) + s, 1, 0, &random);
        check_filters(_i, shapes[s], test_scaled(2500), 3, 700 + s, &random);
    }
}
END_TEST

/* So many that codes are moved, and few enough that all of it is quick. */
START_TEST(test_filters_large)
{
    static const size_t ks[] = {10, 1, 300};
    const size_t n = test_scaled(70000);
    struct test_random random = {33};
    struct data data = make_data(_i, shapes[0], n, 2, &random);

    for (int kind = 0; kind <= NO_BITMAP; kind++) {
        uint64_t *rows = make_bitmap((enum bitmap_kind)kind, n, &random);
        struct narrowing narrowing = {
            kind % 2 ? PQK_L2 : PQK_INNER_PRODUCT, rows,
            kind == NO_BITMAP ? rare_rows : NULL, NULL, 0};

        test_case("%s: n %zu, %s", variant_name(_i), n, bitmap_names[kind]);
        check_all(&data, &narrowing, ks, TEST_COUNT(ks));
        free(rows);
    }
    free_data(&data);
}
END_TEST

/* More codes than two bytes count: in sections where three bytes have no room, and
 * in cells of four blocks. */
START_TEST(test_filters_sections)
{
    static const size_t ms[] = {10, 13};
    static const enum bitmap_kind kinds[] = {BITS_SOME, BITS_RUN, BITS_HALF};
    static const size_t ks[] = {10, 700};
    const size_t n = test_scaled(70000);
    struct test_random random = {40};

    for (size_t s = 0; s < TEST_COUNT(ms); s++) {
        const size_t shape[] = {ms[s], 256, 1};
        struct data data = make_data(_i, shape, n, 1, &random);

        for (size_t kind = 0; kind < TEST_COUNT(kinds); kind++) {
            uint64_t *rows = make_bitmap(kinds[kind], n, &random);
            struct narrowing narrowing = {PQK_L2, rows, NULL, NULL, 0};

            test_case("%s: M %zu, n %zu, %s", variant_name(_i), ms[s], n,
                      bitmap_names[kinds[kind]]);
            check_all(&data, &narrowing, ks, TEST_COUNT(ks));
            free(rows);
        }
        free_data(&data);
    }
}
END_TEST

/* So many results among few rows of many that more cells are wanted than there is
 * room for. */
START_TEST(test_filters_cells)
{
    static const size_t shape[] = {13, 16, 1}, ks[] = {10, 4200};
    const size_t n = test_scaled(340000);
    struct test_random random = {41};
    struct data data = make_data(_i, shape, n, 1, &random);
    uint64_t *rows = make_bitmap(BITS_RUN, n, &random);
    struct narrowing narrowing = {PQK_L2, rows, NULL, NULL, 0};

    test_case("%s: more cells than are probed, n %zu", variant_name(_i), n);
    check_all(&data, &narrowing, ks, TEST_COUNT(ks));
    free(rows);
    free_data(&data);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Bounds that are set beforehand                                            */

static void check_presets(const struct data *data,
                          const struct narrowing *narrowing)
{
    const size_t n = data->n, ks[] = {10, 0, 1, n};
    struct narrowing narrower = *narrowing;
    const struct preset presets[] = {
        {1, 0, 0, 0.0f},      {1, 0, -1, 0.0f},     {1, 0, 1, 0.0f},
        {1, 9, 0, 0.0f},      {1, 9, -1, 0.0f},     {1, 9, 1, 0.0f},
        {1, n / 20, 0, 0.0f}, {1, n / 2, -1, 0.0f}, {1, n - 1, 0, 0.0f},
        {0, 0, 0, 0.0f},      {0, 0, 0, -INFINITY}, {0, 0, 0, INFINITY},
        {0, 0, 0, NAN},       {0, 0, 0, -1.0f},     {0, 0, 0, 3e38f},
        {0, 0, 0, 1e-45f}};

    for (size_t p = 0; p < TEST_COUNT(presets); p++) {
        narrower.preset = &presets[p];
        test_subcase(", bound %zu", p);
        check_all(data, &narrower, ks, TEST_COUNT(ks));
    }
}

START_TEST(test_presets)
{
    struct test_random random = {34};

    for (size_t s = 0; s < TEST_COUNT(shapes); s++)
        for (int metric = PQK_L2; metric <= PQK_COSINE; metric++) {
            const size_t n = s % 2 ? 290 : test_scaled(5000);
            struct data data = make_data(_i, shapes[s], n, 1 + s % 2, &random);
            uint64_t *rows =
                make_bitmap(s % 3 == 1 ? BITS_HALF : NO_BITMAP, n, &random);
            struct narrowing narrowing = {(pqk_metric)metric, rows,
                                          s % 3 == 2 ? third_rows : NULL, NULL,
                                          s == 3 ? 100 : 0};

            test_case("%s: bounds, M %zu, n %zu, metric %d", variant_name(_i),
                      shapes[s][0], n, metric);
            check_presets(&data, &narrowing);
            free(rows);
            free_data(&data);
        }
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Inner products                                                            */

START_TEST(test_products)
{
    struct test_random random = {35};

    for (size_t s = 0; s < TEST_COUNT(shapes); s++)
        for (size_t n = 1; n <= test_scaled(12000); n = n * 3 + 1) {
            const size_t ks[] = {10, 1, n / 2 + 1, n};
            struct data data = make_data(_i, shapes[s], n, 1 + n % 3, &random);
            struct narrowing narrowing = {PQK_INNER_PRODUCT, NULL, NULL, NULL,
                                          n % 5 == 0 ? n / 3 + 1 : 0};

            test_case("%s: products, M %zu, n %zu", variant_name(_i),
                      shapes[s][0], n);
            check_all(&data, &narrowing, ks, TEST_COUNT(ks));
            free_data(&data);
        }
}
END_TEST

static void check_attack(int variant, enum test_table_kind kind, size_t M,
                         size_t n, struct test_random *random)
{
    const size_t ks[] = {10, 1, 100, n};
    struct data data = make_attack(variant, kind, M, n, random);
    struct narrowing narrowing = {PQK_INNER_PRODUCT, NULL, NULL, NULL, 0};
    uint64_t *rows = make_bitmap(BITS_HALF, n, random);
    struct preset preset = {1, test_below(random, n), 0, 0.0f};

    test_case("%s: products, M %zu, %s table, n %zu", variant_name(variant), M,
              test_table_name(kind), n);
    check_all(&data, &narrowing, ks, TEST_COUNT(ks));
    narrowing.preset = &preset;
    check_all(&data, &narrowing, ks, TEST_COUNT(ks));
    narrowing.rows = rows;
    check_all(&data, &narrowing, ks, TEST_COUNT(ks));
    narrowing.preset = NULL;
    narrowing.part_rows = n / 3 + 1;
    check_all(&data, &narrowing, ks, TEST_COUNT(ks));
    free(rows);
    free_data(&data);
}

START_TEST(test_product_attacks)
{
    struct test_random random = {36};

    for (int kind = 0; kind < TEST_TABLE_KINDS; kind++) {
        check_attack(_i, (enum test_table_kind)kind, 16, 300, &random);
        check_attack(_i, (enum test_table_kind)kind, 16, test_scaled(9000),
                     &random);
        check_attack(_i, (enum test_table_kind)kind, 3, test_scaled(2000),
                     &random);
        /* Preparing so many takes long, and check_kernels has those above 0. */
        if (kind >= TEST_TABLE_POSITIVE_KINDS || kind % 4 == 0)
            check_attack(_i, (enum test_table_kind)kind, 200, 400, &random);
    }
}
END_TEST

/* Products of either sign so large that their differences are inf, with a bound
 * that most of them are within. */
START_TEST(test_large_products)
{
    static const float magnitudes[] = {0x1.fp127f, 0x1p126f, 0x1p125f};
    struct test_random random = {42};

    for (size_t M = 1; M <= 4; M++)
        for (size_t s = 0; s < TEST_COUNT(magnitudes); s++) {
            const size_t n = test_scaled(3000), ks[] = {10, n / 4, n};
            const struct preset preset = {1, n * 9 / 10, 0, 0.0f};
            const struct narrowing narrowing = {PQK_INNER_PRODUCT, NULL, NULL,
                                                &preset, 0};
            struct data data =
                make_attack(_i, TEST_TABLE_UNIFORM, M, n, &random);

            test_case("%s: large products, M %zu, up to %g", variant_name(_i),
                      M, (double)magnitudes[s]);
            probing_close(&data.door);
            for (size_t i = 0; i < M * 256; i++)
                data.centroids[i] *= (i < 256 ? magnitudes[s] : 0x1p100f) *
                                     (test_below(&random, 2) ? 1.0f : -1.0f);
            open_door(&data, _i);
            check_all(&data, &narrowing, ks, TEST_COUNT(ks));
            free_data(&data);
        }
}
END_TEST

/* ------------------------------------------------------------------------ */
/* What is narrowed is not summed                                            */

/* How many codes one probe sums; bounds are those of an earlier search. */
static uint64_t count_sums(const struct data *data, pqk_metric metric,
                           const uint64_t *rows, int with_bound)
{
    const struct door *door = &data->door;
    const pqk_kernel *kernel = door->kernel;
    const size_t n = data->n;
    const struct pqk_filter filter = {rows, NULL, NULL};
    struct test_arena codes = {0}, tables = {0};
    uint64_t *keys = test_alloc(pqk_top_k_heap_storage(n) * sizeof *keys);
    pqk_row_result *found = test_alloc(n * sizeof *found);
    pqk_search_stats stats = {0};
    pqk_top_k_heap heap;

    test_aligned(&codes, kernel->codes_bytes(&door->codebook, n), 64);
    test_aligned(&tables, kernel->tables_bytes(&door->codebook, 1), 64);
    CHECK_OK(kernel->prepare_codes(door->prepared_codebook, data->codes, n,
                                   codes.block));
    pqk_top_k_heap_init(&heap, keys, 10);
    kernel->compute_tables(door->prepared_codebook, metric, data->queries, 1,
                           &heap, tables.block);
    for (int round = 0; round <= with_bound; round++) {
        stats = (pqk_search_stats){0};
        kernel->probe(door->prepared_codebook, codes.block, n, 0,
                      rows ? &filter : NULL, tables.block, 1, &heap, &stats,
                      NULL);
        pqk_top_k_heap_into_sorted(&heap, found);
        pqk_top_k_heap_init(&heap, keys, n);
        heap.bound = pqk_result_key(found[9].distance, UINT32_MAX);
    }
    test_arena_free(&codes);
    test_arena_free(&tables);
    free(found);
    free(keys);
    return stats.survivors;
}

/* Entries that are equal and below 0: all distances are the sum of the minima, from
 * which a bound made of it may not be away to the wrong side. */
START_TEST(test_equal_products)
{
    static const size_t ms[] = {12, 16, 33};
    static const size_t ks[] = {21, 1, 100};
    const struct narrowing narrowing = {PQK_INNER_PRODUCT, NULL, NULL, NULL, 0};
    struct test_random random = {40};

    for (size_t i = 0; i < TEST_COUNT(ms); i++) {
        struct data data =
            make_attack(_i, TEST_TABLE_EQUAL, ms[i], 588, &random);

        test_case("%s: equal products below 0, M %zu", variant_name(_i), ms[i]);
        for (size_t m = 0; m < ms[i] * data.num_queries; m++)
            data.queries[m] = -data.queries[m];
        check_all(&data, &narrowing, ks, TEST_COUNT(ks));
        free_data(&data);
    }
}
END_TEST

/* A range is searched like its nearest, and centroids that are not there do
 * not keep inner products from being bounded. */
START_TEST(test_sums)
{
    const size_t n = 20000;
    struct test_random random = {39};
    struct data data = make_data(_i, shapes[1], n, 1, &random);
    uint64_t *rows = make_bitmap(BITS_HALF, n, &random);

    for (int metric = PQK_L2; metric <= PQK_INNER_PRODUCT; metric++)
        for (int bits = 0; bits < 2; bits++)
            for (int bound = 0; bound < 2; bound++) {
                const uint64_t sums = count_sums(&data, (pqk_metric)metric,
                                                 bits ? rows : NULL, bound);

                test_case("%s: sums, metric %d, %s, %s", variant_name(_i),
                          metric, bits ? "half the bits" : "no bits",
                          bound ? "a bound" : "no bound");
                CHECK_THAT(_i == 0 || sums < n / 4, "%llu codes were summed",
                           (unsigned long long)sums);
            }
    free(rows);
    free_data(&data);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Prepared codes from outside                                               */

/* Aligned as the door wants it. */
static void *door_alloc(size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) & ~(size_t)63);

    ck_assert_ptr_nonnull(memory);
    return memory;
}

/* All but the numbers of rows. */
static void fill_with_noise(unsigned char *prepared, size_t n,
                            const struct pqk_code_layout *layout,
                            struct test_random *random)
{
    const uint64_t end = layout->rows + layout->row_bytes * n;

    for (uint64_t i = 0; i < layout->bytes; i++)
        if (layout->row_bytes == 0 || i < layout->rows || i >= end)
            prepared[i] = (unsigned char)test_below(random, 256);
}

/* What the codes' bytes hold decides the distances, not what is accessed. */
static void probe_noise(const struct data *data, const unsigned char *prepared)
{
    const struct door *door = &data->door;
    const pqk_kernel *kernel = door->kernel;
    void *tables = door_alloc(kernel->tables_bytes(&data->codebook, 1));
    uint64_t storage[2 * 10 + 64];
    pqk_search_stats stats = {.kernel = pqk_kernel_name(kernel)};
    pqk_row_result found[10];
    pqk_top_k_heap heap;
    size_t count;

    ck_assert(pqk_top_k_heap_storage(10) <= TEST_COUNT(storage));
    pqk_top_k_heap_init(&heap, storage, 10);
    kernel->compute_tables(door->prepared_codebook, PQK_L2, data->queries, 1,
                           &heap, tables);
    kernel->probe(door->prepared_codebook, prepared, data->n, 0, NULL, tables,
                  1, &heap, &stats, NULL);
    count = pqk_top_k_heap_into_sorted(&heap, found);
    CHECK_THAT(count == (data->n < 10 ? data->n : 10), "%zu results", count);
    for (size_t i = 0; i < count; i++)
        CHECK_THAT(found[i].row < data->n, "row %lu",
                   (unsigned long)found[i].row);
    free(tables);
}

START_TEST(test_noise)
{
    static const size_t lengths[] = {5, 2049, 65536 + 700};
    const pqk_kernel *kernel = test_variant((size_t)_i);
    struct test_random random = {37};

    for (size_t l = 0; l < TEST_COUNT(lengths); l++) {
        const size_t n = lengths[l];
        struct data data = make_data(_i, shapes[0], n, 1, &random);
        const struct pqk_code_layout layout =
            kernel->code_layout(&data.codebook, n);
        unsigned char *prepared = door_alloc((size_t)layout.bytes);

        test_case("%s: noise for codes, n %zu", variant_name(_i), n);
        CHECK_OK(kernel->prepare_codes(data.door.prepared_codebook, data.codes,
                                       n, prepared));
        fill_with_noise(prepared, n, &layout, &random);
        probe_noise(&data, prepared);
        free(prepared);
        free_data(&data);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("filters");
    const int variants = (int)test_variant_count();

    test_print_variants();
    add_case(suite, "lengths", test_filter_lengths, 40, 0, variants);
    add_case(suite, "filters", test_filters, 40, 0, variants);
    add_case(suite, "large", test_filters_large, 40, 0, variants);
    add_case(suite, "sections", test_filters_sections, 40, 0, variants);
    add_case(suite, "cells", test_filters_cells, 40, 0, variants);
    add_case(suite, "bounds", test_presets, 40, 0, variants);
    add_case(suite, "products", test_products, 40, 0, variants);
    add_case(suite, "product attacks", test_product_attacks, 60, 0, variants);
    add_case(suite, "large products", test_large_products, 20, 0, variants);
    add_case(suite, "equal products", test_equal_products, 10, 0, variants);
    add_case(suite, "sums", test_sums, 10, 0, variants);
    add_case(suite, "noise for codes", test_noise, 10, 0, variants);
    return run_suite(suite);
}
