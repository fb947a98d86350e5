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

int main(void)
{
    Suite *suite = suite_create("threads");
    TCase *tcase = tcase_create("together");

    test_print_variants();
    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_loop_test(tcase, together, 0, (int)TEST_COUNT(works));
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
