/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Collections against a list that is searched row by row, through random
 * histories of adding, removing, saving and opening.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "../checked.h"
#include "library/collection/collection.h"

#define MAX_ROWS ((size_t)5000)
#define MAX_M    16
#define MAX_DIM  64

static char *folder;

static void make_folder(void)
{
    folder = test_folder("check_collection");
}

static void remove_folder(void)
{
    test_remove_folder(folder);
}

/* ------------------------------------------------------------------------ */
/* The list                                                                 */

struct row {
    uint64_t id;
    uint8_t code[MAX_M];
};

struct list {
    pqk_codebook codebook;
    pqk_metric metric;
    struct row *rows;
    size_t num_rows;
    uint64_t next_id;
};

static size_t list_find(const struct list *list, uint64_t id)
{
    size_t i = 0;

    while (i < list->num_rows && list->rows[i].id != id)
        i++;
    return i;
}

static float list_entry(const struct list *list, const float *query, size_t m,
                        size_t c)
{
    const size_t d = list->codebook.sub_vector_dim;
    const float *centroid =
        list->codebook.centroids + (m * list->codebook.num_centroids + c) * d;
    float sum = 0.0f;

    for (size_t i = 0; i < d; i++) {
        float term = query[m * d + i] - centroid[i];

        if (list->metric == PQK_L2)
            term = term * term;
        else
            term = query[m * d + i] * centroid[i];
        sum += term;
    }
    return list->metric == PQK_L2 ? sum : -sum;
}

/* The query as the metric has it; a second version of what metric.c does. */
static void list_query(const struct list *list, const float *query, float *to)
{
    const size_t dim =
        list->codebook.num_sub_vectors * list->codebook.sub_vector_dim;
    double squares = 0.0;

    for (size_t i = 0; i < dim; i++)
        squares += (double)query[i] * (double)query[i];
    for (size_t i = 0; i < dim; i++)
        to[i] = list->metric == PQK_COSINE && squares > 0.0 && isfinite(squares)
                    ? (float)((double)query[i] / sqrt(squares))
                    : query[i];
}

static int result_order(const void *a, const void *b)
{
    const pqk_result *left = a, *right = b;
    const int left_nan = isnan(left->distance) != 0;
    const int right_nan = isnan(right->distance) != 0;

    if (left_nan != right_nan)
        return left_nan - right_nan;
    if (!left_nan && left->distance != right->distance)
        return left->distance < right->distance ? -1 : 1;
    return (left->id > right->id) - (left->id < right->id);
}

static int may_be_result(const pqk_search_options *options, uint64_t id)
{
    if (options->allowed && (id >= options->num_allowed ||
                             !(options->allowed[id / 64] >> id % 64 & 1)))
        return 0;
    return !options->predicate ||
           options->predicate(options->predicate_context, id);
}

/* All rows that may be results, sorted; to be freed. */
static pqk_result *list_search(const struct list *list, const float *query,
                               const pqk_search_options *options, size_t *count)
{
    pqk_result *results = test_alloc((list->num_rows + 1) * sizeof *results);
    float scaled[MAX_DIM] = {0.0f}, entries[MAX_M][PQK_MAX_CENTROIDS];

    *count = 0;
    list_query(list, query, scaled);
    for (size_t m = 0; m < list->codebook.num_sub_vectors; m++)
        for (size_t c = 0; c < list->codebook.num_centroids; c++)
            entries[m][c] = list_entry(list, scaled, m, c);
    for (size_t i = 0; i < list->num_rows; i++) {
        float sum = 0.0f;

        if (!may_be_result(options, list->rows[i].id))
            continue;
        for (size_t m = 0; m < list->codebook.num_sub_vectors; m++)
            sum += entries[m][list->rows[i].code[m]];
        results[*count].id = list->rows[i].id;
        results[(*count)++].distance = sum;
    }
    qsort(results, *count, sizeof *results, result_order);
    return results;
}

/* ------------------------------------------------------------------------ */
/* Comparing                                                                */

/* A result as the library gives it, every byte of it. */
static pqk_result canonical(uint64_t id, float distance)
{
    const uint32_t bits =
        isnan(distance) ? 0x7fc00000u : test_bits(distance + 0.0f);
    pqk_result result = {.id = id};

    memcpy(&result.distance, &bits, sizeof bits);
    return result;
}

/* NULL, or where they differ: an assertion for each would take too long. */
static const char *compare_results(const pqk_result *expected,
                                   const pqk_result *found, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const pqk_result wanted =
            canonical(expected[i].id, expected[i].distance);

        if (memcmp(&wanted, &found[i], sizeof wanted) != 0)
            return test_fault(
                "result %zu is %llu at %08x (reserved: %lx), not %llu at %08x",
                i, (unsigned long long)found[i].id,
                (unsigned)test_bits(found[i].distance),
                (unsigned long)found[i].reserved, (unsigned long long)wanted.id,
                (unsigned)test_bits(wanted.distance));
    }
    return NULL;
}

static const char *compare_filling(const pqk_result *found, size_t first,
                                   size_t end)
{
    const pqk_result nothing = canonical(PQK_NO_ID, NAN);

    for (size_t i = first; i < end; i++)
        if (memcmp(&nothing, &found[i], sizeof nothing) != 0)
            return test_fault("place %zu is not filled up", i);
    return NULL;
}

static void check_search(const struct list *list,
                         const pqk_collection *collection, const float *queries,
                         size_t num_queries, size_t k,
                         const pqk_search_options *options)
{
    const size_t dim =
        list->codebook.num_sub_vectors * list->codebook.sub_vector_dim;
    pqk_result *found = test_alloc((num_queries * k + 1) * sizeof *found);
    size_t *counts = test_alloc((num_queries + 1) * sizeof *counts);

    memset(found, 0x55, (num_queries * k + 1) * sizeof *found);
    CHECK_OK(pqk_collection_search(collection, queries, num_queries, k, options,
                                   found, counts));
    for (size_t q = 0; q < num_queries; q++) {
        size_t count;
        pqk_result *expected =
            list_search(list, queries + q * dim, options, &count);

        count = count < k ? count : k;
        test_subcase("query %zu of %zu, k %zu, %zu threads", q, num_queries, k,
                     options->num_threads);
        CHECK_THAT(counts[q] == count, "%zu results, not %zu", counts[q],
                   count);
        CHECK_NO_FAULT(compare_results(expected, found + q * k, count));
        CHECK_NO_FAULT(compare_filling(found + q * k, count, k));
        free(expected);
    }
    free(found);
    free(counts);
}

static void check_range(const struct list *list,
                        const pqk_collection *collection, const float *query,
                        const pqk_search_options *options, float radius)
{
    pqk_result *found = NULL, *expected;
    size_t count = 0, all, within = 0;

    expected = list_search(list, query, options, &all);
    while (within < all && expected[within].distance <= radius)
        within++;
    test_subcase("radius %g, %zu threads", (double)radius,
                 options->num_threads);
    CHECK_OK(pqk_collection_search_range(collection, query, radius, options,
                                         &found, &count));
    CHECK_THAT(count == within, "%zu in range, not %zu", count, within);
    CHECK_THAT((found != NULL) == (count > 0), "NULL or not");
    CHECK_NO_FAULT(compare_results(expected, found, count));
    free(found);
    free(expected);
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static void check_ids(const struct list *list, const pqk_collection *collection,
                      struct test_random *random)
{
    const size_t n = list->num_rows;
    const size_t step = 1 + test_below(random, n + 2);
    uint64_t *expected = test_alloc((n + 1) * sizeof *expected);
    uint64_t *found = test_alloc((n + step + 1) * sizeof *found);
    uint64_t from = 0;
    size_t total = 0, got;

    test_subcase("ids, %zu at a time", step);
    for (size_t i = 0; i < n; i++)
        expected[i] = list->rows[i].id;
    qsort(expected, n, sizeof *expected, compare_ids);
    CHECK_THAT(pqk_collection_size(collection) == n, "size %zu, not %zu",
               pqk_collection_size(collection), n);
    do {
        got = pqk_collection_ids(collection, from, step, found + total);
        CHECK_THAT(total + got <= n, "more than %zu ids", n);
        total += got;
        from = total > 0 ? found[total - 1] + 1 : 0;
    } while (got == step);
    CHECK_THAT(total == n, "%zu ids, not %zu", total, n);
    CHECK_THAT(memcmp(expected, found, n * sizeof *found) == 0, "other ids");
    CHECK_THAT(pqk_collection_ids(collection, PQK_NO_ID, 1, found) == 0,
               "an id where there can be none");
    free(expected);
    free(found);
}

/* With one id that is not there, whose place in ids is lost. */
static void check_strangers(const struct list *list,
                            const pqk_collection *collection, uint64_t *ids,
                            size_t count, uint8_t *codes,
                            struct test_random *random)
{
    uint64_t *stranger = &ids[count / 2];

    CHECK_THAT(pqk_collection_contains(collection, *stranger),
               "an id is missed");
    do
        *stranger = test_next(random);
    while (list_find(list, *stranger) < list->num_rows);
    CHECK_STATUS(pqk_collection_codes(collection, ids, count, codes),
                 PQK_INVALID_ARGUMENT);
    CHECK_THAT(!pqk_collection_contains(collection, *stranger),
               "an id that is not there");
}

static void check_codes(const struct list *list,
                        const pqk_collection *collection,
                        struct test_random *random)
{
    const size_t M = list->codebook.num_sub_vectors;
    const size_t count =
        list->num_rows > 0 ? 1 + test_below(random, 2 * list->num_rows) : 0;
    uint64_t *ids = test_alloc((count + 1) * sizeof *ids);
    size_t *at = test_alloc((count + 1) * sizeof *at);
    uint8_t *codes = test_alloc(count * M + 1);

    test_subcase("codes of %zu ids", count);
    for (size_t i = 0; i < count; i++) {
        at[i] = test_below(random, list->num_rows);
        ids[i] = list->rows[at[i]].id;
    }
    CHECK_OK(pqk_collection_codes(collection, ids, count, codes));
    for (size_t i = 0; i < count; i++)
        if (memcmp(codes + i * M, list->rows[at[i]].code, M) != 0)
            CHECK_THAT(0, "another code");
    if (count > 0)
        check_strangers(list, collection, ids, count, codes, random);
    free(ids);
    free(at);
    free(codes);
}

/* ------------------------------------------------------------------------ */
/* Histories                                                                */

struct shape {
    size_t M, K, d;
    size_t partition_rows, tail_rows;
};

static const struct shape shapes[] = {
    {4, 16, 2, 1500, 64}, {16, 256, 4, 1200, 200}, {3, 7, 1, 100, 1},
    {8, 256, 2, 2000, 0}, {1, 200, 3, 90, 30},
};

struct history {
    struct list list;
    pqk_collection *collection;
    const pqk_kernel *kernel;
    const struct shape *shape;
    struct test_random random;
    int wide_ids; /* 64 bits of any kind */
};

/* Small integers, so that many distances are equal. */
static float some_value(struct history *history)
{
    return (float)((int)test_below(&history->random, 9) - 4);
}

static uint64_t some_new_id(struct history *history)
{
    const struct list *list = &history->list;

    if (history->wide_ids)
        return test_next(&history->random) %
               (test_below(&history->random, 2) ? UINT64_MAX : 1000000);
    return test_below(&history->random, 4 * list->num_rows + 100);
}

static void begin_history(struct history *history, size_t variant,
                          pqk_metric metric, const struct shape *shape,
                          uint64_t seed)
{
    const size_t count = shape->M * shape->K * shape->d;
    float *centroids = test_alloc(count * sizeof *centroids);
    pqk_quantizer *quantizer;

    *history = (struct history){.kernel = test_variant(variant),
                                .shape = shape,
                                .random = {seed},
                                .wide_ids = (int)(seed % 2)};
    for (size_t i = 0; i < count; i++)
        centroids[i] = some_value(history);
    history->list = (struct list){
        .codebook = TEST_CODEBOOK(shape->M, shape->K, shape->d, centroids),
        .metric = metric,
        .rows = test_alloc(MAX_ROWS * sizeof(struct row)),
    };
    CHECK_OK(pqk_quantizer_create(&history->list.codebook, metric, &quantizer));
    CHECK_OK(pqk_collection_create(quantizer, history->kernel,
                                   &history->collection));
    pqk_quantizer_free(quantizer);
    pqk_collection_set_sizes(history->collection, shape->partition_rows,
                             shape->tail_rows);
}

static void end_history(struct history *history)
{
    pqk_collection_free(history->collection);
    free((void *)(uintptr_t)history->list.codebook.centroids);
    free(history->list.rows);
}

/* Ids that are not there, each once. */
static void draw_ids(struct history *history, uint64_t *ids, size_t count)
{
    struct list *list = &history->list;
    const size_t before = list->num_rows;

    for (size_t i = 0; i < count; i++) {
        do
            ids[i] = some_new_id(history);
        while (ids[i] == PQK_NO_ID || list_find(list, ids[i]) < list->num_rows);
        list->rows[list->num_rows++].id = ids[i];
    }
    list->num_rows = before;
}

static void add_to_list(struct list *list, const uint8_t *codes,
                        const uint64_t *ids, size_t count)
{
    const size_t M = list->codebook.num_sub_vectors;

    for (size_t i = 0; i < count; i++) {
        struct row *row = &list->rows[list->num_rows++];

        row->id = ids ? ids[i] : list->next_id;
        memcpy(row->code, codes + i * M, M);
        if (row->id >= list->next_id)
            list->next_id = row->id + 1;
    }
}

static void add_some(struct history *history, size_t most)
{
    struct list *list = &history->list;
    const size_t M = history->shape->M;
    const size_t room = MAX_ROWS - list->num_rows;
    const size_t drawn = test_below(&history->random, most + 1);
    const size_t count = drawn < room ? drawn : room;
    const int numbered = test_below(&history->random, 2) == 0 &&
                         list->next_id < PQK_NO_ID - count;
    uint8_t *codes = test_alloc(count * M + 1);
    uint64_t *ids = test_alloc((count + 1) * sizeof *ids);

    test_subcase("add %zu rows%s", count, numbered ? "" : " with ids");
    for (size_t i = 0; i < count * M; i++)
        codes[i] = (uint8_t)test_below(&history->random, history->shape->K);
    if (!numbered)
        draw_ids(history, ids, count);
    CHECK_OK(pqk_collection_add_codes(history->collection, codes,
                                      numbered ? NULL : ids, count,
                                      test_below(&history->random, 4)));
    add_to_list(list, codes, numbered ? NULL : ids, count);
    if (count > 1 && !numbered) {
        ids[0] = list->rows[test_below(&history->random, list->num_rows)].id;
        ids[1] = 3;
        CHECK_STATUS(
            pqk_collection_add_codes(history->collection, codes, ids, count, 1),
            PQK_DUPLICATE_ID);
    }
    free(codes);
    free(ids);
}

static void remove_some(struct history *history, size_t most)
{
    struct list *list = &history->list;
    const size_t count = test_below(&history->random, most + 1);
    uint64_t *ids = test_alloc((count + 1) * sizeof *ids);
    size_t expected = 0, removed = 12345;

    test_subcase("remove %zu ids", count);
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;

        if (list->num_rows > 0 && test_below(&history->random, 8) > 0) {
            at = test_below(&history->random, list->num_rows);
            ids[i] = list->rows[at].id;
            list->rows[at] = list->rows[--list->num_rows];
            expected++;
        } else {
            ids[i] = i > 0 ? ids[i - 1] : some_new_id(history);
            at = list_find(list, ids[i]);
            if (at < list->num_rows) {
                list->rows[at] = list->rows[--list->num_rows];
                expected++;
            }
        }
    }
    CHECK_OK(pqk_collection_remove(history->collection, ids, count, &removed));
    CHECK_THAT(removed == expected, "%zu removed, not %zu", removed, expected);
    free(ids);
}

/* Goes on with what a file says, perhaps for another variant. */
static void reopen(struct history *history)
{
    const char *path = test_path(folder, "history.pqk");
    pqk_collection *opened = NULL;

    test_subcase("save");
    CHECK_OK(pqk_collection_save(history->collection, path));
    history->kernel =
        test_variant(test_below(&history->random, test_variant_count()));
    test_subcase("open with %s", pqk_kernel_name(history->kernel));
    CHECK_OK(pqk_collection_open(
        path, history->kernel,
        test_below(&history->random, 2) ? PQK_UNVERIFIED : 0, &opened));
    pqk_collection_free(history->collection);
    history->collection = opened;
    pqk_collection_set_sizes(opened, history->shape->partition_rows,
                             history->shape->tail_rows);
}

static int every_third(void *context, uint64_t id)
{
    atomic_fetch_add((atomic_size_t *)context, 1);
    return id % 3 == 1;
}

static void fill_query(struct history *history, float *query)
{
    static const float specials[] = {NAN, INFINITY, -INFINITY, FLT_MAX, 0.0f};
    const size_t dim = history->shape->M * history->shape->d;
    const int special = test_below(&history->random, 6) == 0;

    for (size_t i = 0; i < dim; i++)
        query[i] = some_value(history);
    if (special)
        query[test_below(&history->random, dim)] =
            specials[test_below(&history->random, TEST_COUNT(specials))];
}

static void search_some(struct history *history)
{
    static const size_t ks[] = {0, 1, 2, 10, 100, 20000};
    const size_t dim = history->shape->M * history->shape->d;
    const size_t num_queries = test_below(&history->random, 40);
    const size_t num_words = 1 + test_below(&history->random, 300);
    float *queries = test_alloc((num_queries + 1) * dim * sizeof *queries);
    uint64_t *allowed = test_alloc(num_words * sizeof *allowed);
    atomic_size_t asked = 0;
    pqk_search_stats stats = {.kernel = ""};
    pqk_search_options options = {
        .num_threads = test_below(&history->random, 5), .stats = &stats};

    for (size_t q = 0; q <= num_queries; q++)
        fill_query(history, queries + q * dim);
    for (size_t i = 0; i < num_words; i++)
        allowed[i] =
            test_next(&history->random) &
            (test_below(&history->random, 2) ? UINT64_MAX
                                             : test_next(&history->random));
    if (test_below(&history->random, 3) == 0) {
        options.allowed = allowed;
        options.num_allowed = num_words * 64 - test_below(&history->random, 64);
    }
    if (test_below(&history->random, 3) == 0) {
        options.predicate = every_third;
        options.predicate_context = &asked;
    }
    check_search(&history->list, history->collection, queries, num_queries,
                 ks[test_below(&history->random, TEST_COUNT(ks))], &options);
    CHECK_THAT(strcmp(stats.kernel, pqk_kernel_name(history->kernel)) == 0,
               "another kernel");
    check_range(&history->list, history->collection,
                queries + num_queries * dim, &options,
                (float)test_below(&history->random, 100) - 30.0f);
    check_range(&history->list, history->collection,
                queries + num_queries * dim, &options,
                test_any_float(&history->random));
    free(queries);
    free(allowed);
}

static void look(struct history *history)
{
    check_ids(&history->list, history->collection, &history->random);
    check_codes(&history->list, history->collection, &history->random);
}

static void live(struct history *history, size_t steps)
{
    for (size_t step = 0; step < steps; step++) {
        switch (test_below(&history->random, 8)) {
        case 0:
        case 1:
            add_some(history, 2500);
            break;
        case 2:
            add_some(history, 40);
            break;
        case 3:
            remove_some(history, 30);
            break;
        case 4:
            remove_some(history, 1000);
            break;
        case 5:
            reopen(history);
            break;
        default:
            search_some(history);
        }
        if (step % 4 == 0)
            look(history);
    }
}

START_TEST(test_histories)
{
    static const pqk_metric metrics[] = {PQK_L2, PQK_INNER_PRODUCT, PQK_COSINE};
    const size_t lives = test_scaled(3);

    for (size_t v = 0; v < test_variant_count(); v++)
        for (size_t m = 0; m < TEST_COUNT(metrics); m++)
            for (size_t life = 0; life < lives; life++) {
                struct history history;

                test_case("shape %d, %s, metric %zu, life %zu", _i,
                          pqk_kernel_name(test_variant(v)), m, life);
                begin_history(&history, v, metrics[m], &shapes[_i],
                              1000 * (v + 1) + 100 * m + life);
                live(&history, 4 + test_scaled(36));
                search_some(&history);
                end_history(&history);
            }
}
END_TEST

/* What a later version's programs may ask for is refused by this one. */
START_TEST(test_reserved_options)
{
    static int any;
    static const pqk_search_options asking[] = {
        {.reserved_int1 = 1},    {.reserved_int2 = 1},
        {.reserved_ptr1 = &any}, {.reserved_ptr2 = &any},
        {.reserved_ptr3 = &any}, {.reserved_ptr4 = &any},
    };
    struct history history;
    const float query[MAX_DIM] = {0.0f};
    pqk_result found[3], *in_range = NULL;
    size_t count = 77;

    test_case("reserved members of options");
    begin_history(&history, 0, PQK_L2, &shapes[0], 1);
    for (size_t i = 0; i < TEST_COUNT(asking); i++) {
        test_subcase(", %zu", i);
        CHECK_STATUS(pqk_collection_search(history.collection, query, 1, 3,
                                           &asking[i], found, &count),
                     PQK_INVALID_ARGUMENT);
        CHECK_STATUS(pqk_collection_search_range(history.collection, query,
                                                 1.0f, &asking[i], &in_range,
                                                 &count),
                     PQK_INVALID_ARGUMENT);
    }
    CHECK_THAT(count == 77 && !in_range, "a failure wrote its output");
    end_history(&history);
}
END_TEST

/* What a search says of itself leaves no byte as it was. */
START_TEST(test_reserved_stats)
{
    struct history history;
    const float query[MAX_DIM] = {0.0f};
    pqk_search_stats stats;
    const pqk_search_options options = {.stats = &stats};
    pqk_result found[3];

    test_case("reserved members of statistics");
    begin_history(&history, 0, PQK_L2, &shapes[0], 1);
    memset(&stats, 0x55, sizeof stats);
    CHECK_OK(pqk_collection_search(history.collection, query, 1, 3, &options,
                                   found, NULL));
    CHECK_THAT((stats.reserved_int1 | stats.reserved_int2 |
                stats.reserved_int3 | stats.reserved_int4) == 0,
               "not 0");
    end_history(&history);
}
END_TEST

/* More results than there is room for at first. */
START_TEST(test_large_range)
{
    enum { ROWS = 20000 };
    static const struct shape large = {2, 200, 1, ROWS, 10};
    const float query[2] = {1.5f, 0.5f};
    const pqk_search_options no_options = {.num_threads = 1};

    for (size_t v = 0; v < test_variant_count(); v++) {
        struct history history;
        static uint8_t codes[ROWS * 2];

        test_case("large range, %s", pqk_kernel_name(test_variant(v)));
        begin_history(&history, v, PQK_L2, &large, v);
        for (size_t i = 0; i < sizeof codes; i++)
            codes[i] = (uint8_t)test_below(&history.random, 200);
        free(history.list.rows);
        history.list.rows = test_alloc(ROWS * sizeof(struct row));
        CHECK_OK(
            pqk_collection_add_codes(history.collection, codes, NULL, ROWS, 1));
        add_to_list(&history.list, codes, NULL, ROWS);
        for (unsigned i = 0; i < 7; i++)
            check_range(&history.list, history.collection, query, &no_options,
                        (float)(1u << i));
        end_history(&history);
    }
}
END_TEST

/* Rows in two partitions and a tail, under ids from 3 on. */
static void begin_known(struct history *history, size_t variant,
                        const struct shape *shape, size_t num_rows)
{
    uint8_t *codes = test_alloc(num_rows * shape->M);
    uint64_t *ids = test_alloc(num_rows * sizeof *ids);

    begin_history(history, variant, PQK_L2, shape, variant);
    for (size_t i = 0; i < num_rows; i++)
        ids[i] = 3 + i;
    for (size_t i = 0; i < num_rows * shape->M; i++)
        codes[i] = (uint8_t)test_below(&history->random, shape->K);
    CHECK_OK(
        pqk_collection_add_codes(history->collection, codes, ids, num_rows, 1));
    add_to_list(&history->list, codes, ids, num_rows);
    free(codes);
    free(ids);
}

/* What is counted is every code of every source for every query, whoever looks
 * at it; what has to be summed is no more, and no less than what is found. */
START_TEST(test_statistics)
{
    enum { ROWS = 2100, QUERIES = 40, NEAREST = 7 };
    static const struct shape sizes = {16, 256, 1, 1000, 100};
    static float queries[QUERIES * 16];
    static pqk_result found[QUERIES * NEAREST];
    struct history history;

    begin_known(&history, (size_t)_i, &sizes, ROWS);
    for (size_t i = 0; i < TEST_COUNT(queries); i++)
        queries[i] = some_value(&history);
    for (size_t threads = 1; threads < 5; threads++) {
        pqk_search_stats stats = {.kernel = ""};
        const pqk_search_options options = {.num_threads = threads,
                                            .stats = &stats};
        pqk_result *within = NULL;
        size_t count;

        test_case("statistics, %s, %zu threads",
                  pqk_kernel_name(history.kernel), threads);
        CHECK_OK(pqk_collection_search(history.collection, queries, QUERIES,
                                       NEAREST, &options, found, NULL));
        CHECK_THAT(stats.codes == (uint64_t)ROWS * QUERIES, "%llu codes",
                   (unsigned long long)stats.codes);
        CHECK_THAT(stats.survivors >= (uint64_t)NEAREST * QUERIES &&
                       stats.survivors <= stats.codes,
                   "%llu survivors", (unsigned long long)stats.survivors);
        CHECK_THAT(stats.bytes_read >= stats.codes, "%llu bytes are read",
                   (unsigned long long)stats.bytes_read);
        stats = (pqk_search_stats){.kernel = ""};
        CHECK_OK(pqk_collection_search_range(history.collection, queries, 30.0f,
                                             &options, &within, &count));
        CHECK_THAT(stats.codes >= ROWS && stats.survivors >= count &&
                       stats.kernel == pqk_kernel_name(history.kernel),
                   "within a radius: %llu codes, %llu survivors for %zu",
                   (unsigned long long)stats.codes,
                   (unsigned long long)stats.survivors, count);
        free(within);
    }
    end_history(&history);
}
END_TEST

/* The last word of the bits that are allowed ends where memory does. */
START_TEST(test_end_of_bits)
{
    static const struct shape sizes = {4, 16, 2, 200, 10};
    const float query[8] = {1.0f, -1.0f, 2.0f, 0.0f, 3.0f, 1.0f, 0.0f, -2.0f};
    struct test_arena arena = {0};
    struct history history;

    begin_known(&history, (size_t)_i, &sizes, 500);
    for (size_t words = 1; words < 10; words++) {
        uint64_t *allowed = test_at_end(&arena, words * sizeof *allowed);

        for (size_t i = 0; i < words; i++)
            allowed[i] = test_next(&history.random);
        for (size_t left = 0; left < 3; left++) {
            const pqk_search_options options = {
                .num_threads = 1,
                .allowed = allowed,
                .num_allowed = 64 * words - left,
            };

            test_case("%zu bits, %s", options.num_allowed,
                      pqk_kernel_name(history.kernel));
            check_search(&history.list, history.collection, query, 1, 500,
                         &options);
        }
    }
    test_arena_free(&arena);
    end_history(&history);
}
END_TEST

START_TEST(test_search_limits)
{
    static const struct shape sizes = {4, 16, 2, 200, 10};
    static const uint8_t code[4] = {0};
    const float query[8] = {0.0f};
    struct history history;
    uint64_t id = PQK_NO_ID;
    pqk_result found[1], *within = NULL;
    size_t count = 77;

    test_case("arguments of a search");
    begin_known(&history, 0, &sizes, 20);
    CHECK_OK(pqk_collection_search(history.collection, NULL, 0, (size_t)1 << 31,
                                   NULL, NULL, NULL));
    CHECK_STATUS(pqk_collection_search(history.collection, NULL, 0,
                                       ((size_t)1 << 31) + 1, NULL, NULL, NULL),
                 PQK_INVALID_ARGUMENT);
    CHECK_STATUS(pqk_collection_search(NULL, query, 1, 1, NULL, found, &count),
                 PQK_INVALID_ARGUMENT);
    CHECK_STATUS(pqk_collection_search(history.collection, NULL, 1, 1, NULL,
                                       found, &count),
                 PQK_INVALID_ARGUMENT);
    CHECK_STATUS(pqk_collection_search(history.collection, query, 1, 1, NULL,
                                       NULL, &count),
                 PQK_INVALID_ARGUMENT);
    CHECK_STATUS(
        pqk_collection_search_range(NULL, query, 1.0f, NULL, &within, &count),
        PQK_INVALID_ARGUMENT);
    CHECK_STATUS(pqk_collection_search_range(history.collection, NULL, 1.0f,
                                             NULL, &within, &count),
                 PQK_INVALID_ARGUMENT);
    CHECK_STATUS(pqk_collection_search_range(history.collection, query, 1.0f,
                                             NULL, NULL, &count),
                 PQK_INVALID_ARGUMENT);
    CHECK_STATUS(pqk_collection_search_range(history.collection, query, 1.0f,
                                             NULL, &within, NULL),
                 PQK_INVALID_ARGUMENT);
    CHECK_THAT(count == 77 && !within, "a failure wrote its output");
    test_case("the id that stands for none");
    CHECK_STATUS(pqk_collection_add_codes(history.collection, code, &id, 1, 1),
                 PQK_INVALID_ARGUMENT);
    id = PQK_NO_ID - 1;
    CHECK_OK(pqk_collection_add_codes(history.collection, code, &id, 1, 1));
    test_case("no ids are left");
    CHECK_STATUS(pqk_collection_add_codes(history.collection, code, NULL, 1, 1),
                 PQK_INVALID_ARGUMENT);
    CHECK_THAT(pqk_collection_size(history.collection) == 21, "%zu rows",
               pqk_collection_size(history.collection));
    test_case("a radius of NaN");
    CHECK_OK(pqk_collection_search_range(history.collection, query, NAN, NULL,
                                         &within, &count));
    CHECK_THAT(count == 0 && !within, "%zu within it", count);
    end_history(&history);
}
END_TEST

static void add_folder_case(Suite *suite, const char *name, const TTest *test,
                            double seconds, int end)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, seconds);
    tcase_add_checked_fixture(tcase, make_folder, remove_folder);
    tcase_add_loop_test(tcase, test, 0, end);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("collection");

    test_print_variants();
    add_folder_case(suite, "histories", test_histories, 60,
                    (int)TEST_COUNT(shapes));
    add_case(suite, "large range", test_large_range, 20, 0, 1);
    add_case(suite, "statistics", test_statistics, 20, 0,
             (int)test_variant_count());
    add_case(suite, "end of bits", test_end_of_bits, 20, 0,
             (int)test_variant_count());
    add_case(suite, "limits", test_search_limits, 4, 0, 1);
    add_case(suite, "reserved options", test_reserved_options, 4, 0, 1);
    add_case(suite, "reserved statistics", test_reserved_stats, 4, 0, 1);
    return run_suite(suite);
}
