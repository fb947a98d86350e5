/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Many threads on one object, as pqkern.h allows, each with threads of its own:
 * all get what one gets.  ThreadSanitizer sees here what they share.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../checked.h"
#include "library/collection/collection.h"

#define M       ((size_t)8)
#define K       ((size_t)64)
#define DIM     ((size_t)16)
#define ROWS    ((size_t)3000)
#define QUERIES ((size_t)20)
#define NEAREST ((size_t)10)
#define CALLERS ((size_t)4)
#define THREADS ((size_t)3)

/* What the threads use together, and what one of them got alone. */
static struct {
    float vectors[ROWS * DIM];
    pqk_quantizer *quantizer;
    pqk_collection *collection;
    pqk_index *index;
    uint64_t allowed[ROWS / 64 + 1];
    atomic_size_t asked;
    uint64_t expected;
    atomic_size_t mistakes;
} s;

static int is_wanted(void *context, uint64_t id)
{
    (void)context;
    atomic_fetch_add(&s.asked, 1);
    return id % 3 != 0;
}

static void set_up(void)
{
    struct test_random random = {99};
    const pqk_training training = {.dim = DIM,
                                   .num_sub_vectors = M,
                                   .num_centroids = K,
                                   .rounds = 2,
                                   .num_threads = THREADS};
    pqk_codebook codebook;
    uint8_t codes[ROWS * M];

    for (size_t i = 0; i < ROWS * DIM; i++)
        s.vectors[i] = test_normal(&random);
    for (size_t i = 0; i < TEST_COUNT(s.allowed); i++)
        s.allowed[i] = test_next(&random);
    CHECK_OK(pqk_quantizer_train(s.vectors, ROWS, &training, &s.quantizer));
    CHECK_OK(pqk_collection_create(s.quantizer, NULL, &s.collection));
    pqk_collection_set_sizes(s.collection, 500, 100);
    CHECK_OK(pqk_collection_add(s.collection, s.vectors, NULL, ROWS, THREADS));
    CHECK_OK(pqk_collection_add(s.collection, s.vectors, NULL, 50, THREADS));
    CHECK_OK(
        pqk_quantizer_encode(s.quantizer, s.vectors, ROWS, THREADS, codes));
    codebook = test_codebook_of(s.quantizer);
    CHECK_OK(pqk_index_create(&codebook, NULL, &s.index));
    CHECK_OK(pqk_index_add(s.index, codes, ROWS));
}

static void tear_down(void)
{
    pqk_index_free(s.index);
    pqk_collection_free(s.collection);
    pqk_quantizer_free(s.quantizer);
}

static uint64_t sum_of(uint64_t sum, const pqk_result *results, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sum = test_fnv(sum, &results[i].id, sizeof results[i].id);
        sum = test_fnv(sum, &results[i].distance, sizeof(float));
    }
    return sum;
}

/* ------------------------------------------------------------------------ */
/* What each thread does; 0 if that failed                                  */

static uint64_t search(size_t num_threads)
{
    pqk_search_stats stats;
    const pqk_search_options options = {.num_threads = num_threads,
                                        .allowed = s.allowed,
                                        .num_allowed = ROWS,
                                        .predicate = is_wanted,
                                        .stats = &stats};
    pqk_result found[QUERIES * NEAREST];

    return pqk_collection_search(s.collection, s.vectors, QUERIES, NEAREST,
                                 &options, found, NULL) == PQK_OK
               ? sum_of(1, found, QUERIES * NEAREST)
               : 0;
}

static uint64_t search_range(size_t num_threads)
{
    const pqk_search_options options = {.num_threads = num_threads};
    pqk_result *found = NULL;
    size_t count = 0;
    uint64_t sum = 0;

    if (pqk_collection_search_range(s.collection, s.vectors, 20.0f, &options,
                                    &found, &count) == PQK_OK)
        sum = sum_of(1, found, count);
    free(found);
    return sum;
}

static uint64_t search_index(size_t num_threads)
{
    pqk_row_result found[NEAREST];
    size_t count = 0;

    (void)num_threads;
    return pqk_index_search(s.index, s.vectors, NEAREST, found, &count) ==
                   PQK_OK
               ? test_fnv(1, found, count * sizeof *found)
               : 0;
}

static uint64_t look(size_t num_threads)
{
    const size_t size = pqk_collection_size(s.collection);
    uint64_t ids[64];
    uint8_t codes[64 * M];
    const size_t count = pqk_collection_ids(s.collection, 101, 64, ids);

    (void)num_threads;
    return pqk_collection_codes(s.collection, ids, count, codes) == PQK_OK &&
                   pqk_collection_contains(s.collection, ids[0])
               ? test_fnv(size, codes, count * M)
               : 0;
}

static uint64_t encode(size_t num_threads)
{
    uint8_t codes[ROWS * M];
    pqk_quantizer_error error;

    return pqk_quantizer_encode(s.quantizer, s.vectors, ROWS, num_threads,
                                codes) == PQK_OK &&
                   pqk_quantizer_measure(s.quantizer, s.vectors, ROWS,
                                         num_threads, &error) == PQK_OK
               ? test_fnv(test_fnv(1, codes, sizeof codes), &error.mean_squared,
                          sizeof error.mean_squared)
               : 0;
}

static int count_call(void *context, uint64_t done, uint64_t total)
{
    size_t *calls = context;

    (*calls)++;
    return done > total;
}

static uint64_t train(size_t num_threads)
{
    size_t calls = 0; /* not atomic: one thread at a time */
    const pqk_training training = {.dim = DIM,
                                   .num_sub_vectors = M,
                                   .num_centroids = K,
                                   .rounds = 2,
                                   .num_threads = num_threads,
                                   .progress = count_call,
                                   .progress_context = &calls};
    pqk_quantizer *trained;
    uint64_t sum = 0;

    if (pqk_quantizer_train(s.vectors, 500, &training, &trained) == PQK_OK) {
        sum = test_fnv(calls, test_codebook_of(trained).centroids,
                       K * DIM * sizeof(float));
        pqk_quantizer_free(trained);
    }
    return sum;
}

static uint64_t save(size_t num_threads)
{
    static atomic_uint saved;
    char path[4200], name[64], *folder;
    pqk_collection *opened;
    uint64_t sum = 0;

    (void)num_threads;
    snprintf(name, sizeof name, "check_threads-%u",
             atomic_fetch_add(&saved, 1u));
    folder = test_folder(name);
    snprintf(path, sizeof path, "%s/file", folder);
    if (pqk_collection_save(s.collection, path) == PQK_OK &&
        pqk_collection_open(path, NULL, 0, &opened) == PQK_OK) {
        sum = pqk_collection_size(opened);
        pqk_collection_free(opened);
    }
    (void)remove(path);
    (void)rmdir(folder);
    free(folder);
    return sum;
}

static const struct {
    const char *name;
    uint64_t (*does)(size_t num_threads);
} works[] = {
    {"search", search},      {"search_range", search_range},
    {"index", search_index}, {"ids and codes", look},
    {"encode", encode},      {"train", train},
    {"save", save},
};

static void *run(void *argument)
{
    const size_t *work = argument;

    for (int i = 0; i < 3; i++)
        if (works[*work].does(THREADS) != s.expected)
            atomic_fetch_add(&s.mistakes, 1);
    return NULL;
}

START_TEST(together)
{
    pthread_t callers[CALLERS];
    size_t work = (size_t)_i;

    test_case("%s", works[work].name);
    s.expected = works[work].does(1);
    CHECK_THAT(s.expected != 0, "fails with one thread");
    for (size_t i = 0; i < CALLERS; i++)
        CHECK_THAT(pthread_create(&callers[i], NULL, run, &work) == 0,
                   "no thread");
    for (size_t i = 0; i < CALLERS; i++)
        pthread_join(callers[i], NULL);
    CHECK_THAT(atomic_load(&s.mistakes) == 0, "%zu other results",
               atomic_load(&s.mistakes));
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Threads that share a partition                                           */

/* Enough for three, and each code is there many times: ids decide. */
#define SHARED_ROWS ((size_t)100000)

static pqk_collection *shared_collection(void)
{
    uint8_t codes[ROWS * M], *all = test_alloc(SHARED_ROWS * M);
    const uint64_t removed[] = {5, 70000, 99999};
    pqk_collection *collection;

    CHECK_OK(pqk_quantizer_encode(s.quantizer, s.vectors, ROWS, 1, codes));
    for (size_t row = 0; row < SHARED_ROWS; row++)
        memcpy(all + row * M, codes + row * 7 % ROWS * M, M);
    CHECK_OK(pqk_collection_create(s.quantizer, NULL, &collection));
    CHECK_OK(
        pqk_collection_add_codes(collection, all, NULL, SHARED_ROWS, THREADS));
    CHECK_OK(pqk_collection_add_codes(collection, codes, NULL, 50, THREADS));
    CHECK_OK(
        pqk_collection_remove(collection, removed, TEST_COUNT(removed), NULL));
    free(all);
    return collection;
}

static int is_thirteenth(void *context, uint64_t id)
{
    (void)context;
    return id % 13 == 0;
}

/* What a search finds, whoever does it. */
static uint64_t search_shared(const pqk_collection *collection, size_t queries,
                              size_t k, const pqk_search_options *options)
{
    pqk_result *found = test_alloc(queries * k * sizeof *found);
    size_t *counts = test_alloc(queries * sizeof *counts);
    uint64_t sum;

    CHECK_OK(pqk_collection_search(collection, s.vectors, queries, k, options,
                                   found, counts));
    CHECK_THAT(options->stats->codes >= queries * SHARED_ROWS &&
                   options->stats->codes <= queries * (SHARED_ROWS + 50),
               "%llu codes", (unsigned long long)options->stats->codes);
    sum = test_fnv(1, counts, queries * sizeof *counts);
    sum = sum_of(sum, found, queries * k);
    free(found);
    free(counts);
    return sum;
}

static uint64_t range_shared(const pqk_collection *collection, float radius,
                             const pqk_search_options *options)
{
    pqk_result *found = NULL;
    size_t count = 0;
    uint64_t sum;

    CHECK_OK(pqk_collection_search_range(collection, s.vectors, radius, options,
                                         &found, &count));
    sum = sum_of(count, found, count);
    free(found);
    return sum;
}

START_TEST(shares)
{
    static const size_t threads[] = {1, 2, 3, 5, 8};
    static const struct {
        size_t queries, k;
        int allowed, predicate;
    } searches[] = {{1, 1, 0, 0},  {1, 10, 0, 0},     {1, 300, 0, 0},
                    {1, 10, 1, 0}, {1, 10, 0, 1},     {1, 10, 1, 1},
                    {5, 10, 1, 0}, {1, 101000, 0, 0}, {1, 60000, 0, 1}};
    static const float radii[] = {0.0f, 3.0f, 12.0f, 1e30f};
    pqk_collection *collection = shared_collection();
    uint64_t *allowed = test_alloc((SHARED_ROWS / 64 + 1) * sizeof *allowed);
    uint64_t expected[TEST_COUNT(searches) + 2 * TEST_COUNT(radii)];

    for (size_t i = 0; i < SHARED_ROWS; i += i % 5 + 1)
        allowed[i / 64] |= (uint64_t)1 << i % 64;
    for (size_t t = 0; t < TEST_COUNT(threads); t++)
        for (size_t i = 0; i < TEST_COUNT(expected); i++) {
            const size_t n = TEST_COUNT(searches);
            const int by_bits = i < n ? searches[i].allowed : (int)(i % 2);
            pqk_search_stats stats = {0};
            const pqk_search_options options = {
                .num_threads = threads[t],
                .allowed = by_bits ? allowed : NULL,
                .num_allowed = SHARED_ROWS,
                .predicate =
                    i < n && searches[i].predicate ? is_thirteenth : NULL,
                .stats = &stats};
            const uint64_t sum =
                i < n ? search_shared(collection, searches[i].queries,
                                      searches[i].k, &options)
                      : range_shared(collection, radii[(i - n) / 2], &options);

            test_case("search %zu, %zu threads", i, threads[t]);
            if (t == 0)
                expected[i] = sum;
            CHECK_THAT(sum == expected[i], "other results");
            CHECK_THAT(stats.survivors <= stats.codes, "%llu of %llu summed",
                       (unsigned long long)stats.survivors,
                       (unsigned long long)stats.codes);
        }
    pqk_collection_free(collection);
    free(allowed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *tcase = tcase_create("together");

    test_print_variants();
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, together, 0, (int)TEST_COUNT(works));
    tcase_add_test(tcase, shares);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
