/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Sizes that no memory can have, those whose bytes a size_t cannot count among
 * them: every function that takes one refuses it, and touches nothing.  What it
 * gets ends at a page that may not be touched.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "../checked.h"

#define M   ((size_t)4)
#define K   ((size_t)16)
#define D   ((size_t)2)
#define DIM (M * D)

/* What a count times bytes each wraps to: almost nothing, or a little more. */
static size_t beyond(size_t bytes_each, int i)
{
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1,
                            SIZE_MAX / bytes_each + 1,
                            SIZE_MAX / bytes_each + 2};

    return sizes[i];
}
#define NUM_BEYOND 5

/* Everything that a function may be given, of one element each. */
static struct {
    struct test_arena arenas[5];
    float *vector;
    uint8_t *code;
    uint64_t *id;
    pqk_result *result;
    float centroids[M * K * D];
    pqk_codebook codebook;
    pqk_quantizer *quantizers[2];
    pqk_collection *collection;
    pqk_index *index;
} s;

static void set_up(void)
{
    const uint8_t code[M] = {1, 2, 3, 4};

    for (size_t i = 0; i < TEST_COUNT(s.centroids); i++)
        s.centroids[i] = (float)(i * 7 % 11);
    s.codebook = (pqk_codebook)TEST_CODEBOOK(M, K, D, s.centroids);
    s.vector =
        test_place_copy(&s.arenas[0], s.centroids, DIM * sizeof *s.vector, 0);
    s.code = test_place_copy(&s.arenas[1], code, M, 0);
    s.id = test_at_end(&s.arenas[2], sizeof *s.id);
    s.result = test_at_end(&s.arenas[3], sizeof *s.result);
    *s.id = 7;
    CHECK_OK(pqk_quantizer_create(&s.codebook, PQK_L2, &s.quantizers[0]));
    CHECK_OK(pqk_quantizer_create(&s.codebook, PQK_COSINE, &s.quantizers[1]));
    CHECK_OK(pqk_collection_create(s.quantizers[0], NULL, &s.collection));
    CHECK_OK(pqk_collection_add_codes(s.collection, s.code, s.id, 1, 1));
    CHECK_OK(pqk_index_create(&s.codebook, NULL, &s.index));
    CHECK_OK(pqk_index_add(s.index, s.code, 1));
}

static void tear_down(void)
{
    pqk_index_free(s.index);
    pqk_collection_free(s.collection);
    for (size_t i = 0; i < TEST_COUNT(s.quantizers); i++)
        pqk_quantizer_free(s.quantizers[i]);
    for (size_t i = 0; i < TEST_COUNT(s.arenas); i++)
        test_arena_free(&s.arenas[i]);
}

/* What is too much is an argument out of range, or more than there is. */
#define CHECK_REFUSED(size, call)                                              \
    do {                                                                       \
        const pqk_status refused_ =                                            \
            (test_case("%s of %zu", #call, (size)), (call));                   \
        CHECK_THAT(refused_ == PQK_INVALID_ARGUMENT ||                         \
                       refused_ == PQK_OUT_OF_MEMORY,                          \
                   "%s", pqk_status_string(refused_));                         \
    } while (0)

/* ------------------------------------------------------------------------ */

START_TEST(shapes)
{
    pqk_codebook codebook = s.codebook;
    pqk_distance_table table;
    float entries[M * PQK_TABLE_STRIDE] = {0.0f};
    pqk_index *index;
    pqk_quantizer *quantizer;
    size_t *const members[] = {&codebook.num_sub_vectors,
                               &codebook.num_centroids,
                               &codebook.sub_vector_dim};

    for (size_t m = 0; m < TEST_COUNT(members); m++) {
        const size_t size = beyond(M * K * sizeof(float), _i);

        codebook = s.codebook;
        *members[m] = size;
        table = (pqk_distance_table){.num_sub_vectors = M, .entries = entries};
        CHECK_REFUSED(
            size, pqk_compute_distance_table_l2(s.vector, &codebook, &table));
        CHECK_REFUSED(size, pqk_index_create(&codebook, NULL, &index));
        CHECK_REFUSED(size,
                      pqk_quantizer_create(&codebook, PQK_L2, &quantizer));
    }
}
END_TEST

START_TEST(rows_of_codes)
{
    const size_t size = beyond(M, _i);
    float entries[M * PQK_TABLE_STRIDE] = {0.0f};
    const pqk_distance_table table = {.num_sub_vectors = M, .entries = entries};
    pqk_distance_table wide = table;
    uint64_t storage[64];
    pqk_top_k_heap heap;

    pqk_top_k_heap_init(&heap, storage, 1);
    CHECK_REFUSED(size, pqk_probe_pq_l2_top_k(&table, s.code, size, &heap));
    wide.num_sub_vectors = size;
    CHECK_REFUSED(size, pqk_probe_pq_l2_top_k(&wide, s.code, 1, &heap));
    CHECK_REFUSED(size, pqk_index_add(s.index, s.code, size));
    CHECK_THAT(pqk_index_size(s.index) == 1, "something was added");
    if (SIZE_MAX > UINT32_MAX) {
        const size_t many = (size_t)UINT32_MAX; /* with the one that is there */

        CHECK_REFUSED(many, pqk_index_add(s.index, s.code, many));
        CHECK_REFUSED(many,
                      pqk_probe_pq_l2_top_k(&table, s.code, many + 1, &heap));
    }
}
END_TEST

START_TEST(searches)
{
    const size_t size = beyond(sizeof(uint64_t), _i);
    pqk_scanner *search;
    pqk_row_result found;
    size_t count;

    CHECK_REFUSED(size, pqk_scanner_create(s.index, size, 1, &search));
    CHECK_REFUSED(size, pqk_scanner_create(s.index, 1, size, &search));
    CHECK_REFUSED(size, pqk_scanner_create(s.index, size, size, &search));
    CHECK_REFUSED(size, pqk_scanner_create(s.index, 1u << 20,
                                           SIZE_MAX / (1u << 20), &search));
    CHECK_OK(pqk_scanner_create(s.index, 1, 1, &search));
    CHECK_REFUSED(size, pqk_scanner_begin(search, size, 1));
    CHECK_REFUSED(size, pqk_scanner_begin(search, 1, size));
    CHECK_OK(pqk_scanner_begin(search, 1, 1));
    CHECK_OK(pqk_scanner_tables(search, s.vector));
    CHECK_REFUSED(size, pqk_scanner_probe(search, size));
    pqk_scanner_free(search);
    CHECK_OK(pqk_index_search(s.index, s.vector, size, &found, &count));
    CHECK_THAT(count == pqk_index_size(s.index), "%zu found", count);
    CHECK_THAT(pqk_top_k_heap_storage(size) >= size / 2 + 1 &&
                   pqk_top_k_heap_storage(SIZE_MAX) == SIZE_MAX,
               "a heap of %zu needs little", size);
}
END_TEST

START_TEST(training)
{
    const size_t size = beyond(DIM * sizeof(float), _i);
    const pqk_training good = {.dim = DIM, .num_sub_vectors = M};
    pqk_training altered = good;
    pqk_quantizer *quantizer;
    size_t *const members[] = {&altered.dim, &altered.num_sub_vectors,
                               &altered.num_centroids};

    CHECK_REFUSED(size, pqk_quantizer_train(s.vector, size, &good, &quantizer));
    for (size_t m = 0; m < TEST_COUNT(members); m++) {
        altered = good;
        *members[m] = size;
        CHECK_REFUSED(size,
                      pqk_quantizer_train(s.vector, 1, &altered, &quantizer));
    }
    altered = good;
    altered.num_sub_vectors = 1;
    altered.dim = size;
    CHECK_REFUSED(size, pqk_quantizer_train(s.vector, 1, &altered, &quantizer));
}
END_TEST

START_TEST(vectors)
{
    const size_t size = beyond(DIM * sizeof(float), _i);
    pqk_quantizer_error error;

    for (size_t i = 0; i < TEST_COUNT(s.quantizers); i++) {
        const pqk_quantizer *quantizer = s.quantizers[i];

        CHECK_REFUSED(
            size, pqk_quantizer_encode(quantizer, s.vector, size, 1, s.code));
        CHECK_REFUSED(
            size, pqk_quantizer_measure(quantizer, s.vector, size, 1, &error));
        CHECK_REFUSED(size,
                      pqk_quantizer_decode(quantizer, s.code, size, s.vector));
    }
    CHECK_REFUSED(size,
                  pqk_collection_add(s.collection, s.vector, NULL, size, 1));
    CHECK_THAT(pqk_collection_size(s.collection) == 1, "something was added");
}
END_TEST

START_TEST(rows_of_a_collection)
{
    const size_t size = beyond(M, _i), num_ids = beyond(sizeof(uint64_t), _i);

    CHECK_REFUSED(
        size, pqk_collection_add_codes(s.collection, s.code, NULL, size, 1));
    CHECK_REFUSED(num_ids, pqk_collection_add_codes(s.collection, s.code, s.id,
                                                    num_ids, 1));
    CHECK_REFUSED(num_ids,
                  pqk_collection_codes(s.collection, s.id, num_ids, s.code));
    CHECK_REFUSED(size, pqk_collection_codes(s.collection, s.id, size, s.code));
    CHECK_REFUSED(num_ids,
                  pqk_collection_remove(s.collection, s.id, num_ids, NULL));
    CHECK_THAT(pqk_collection_size(s.collection) == 1, "something changed");
}
END_TEST

START_TEST(results)
{
    const size_t size = beyond(sizeof(pqk_result), _i);
    const size_t num_queries = beyond(DIM * sizeof(float), _i);
    size_t counts[1];

    CHECK_REFUSED(size, pqk_collection_search(s.collection, s.vector, size, 1,
                                              NULL, s.result, counts));
    CHECK_REFUSED(size, pqk_collection_search(s.collection, s.vector, size, 1,
                                              NULL, s.result, NULL));
    CHECK_REFUSED(size, pqk_collection_search(s.collection, s.vector, 1, size,
                                              NULL, s.result, counts));
    CHECK_REFUSED(size, pqk_collection_search(s.collection, s.vector, 1u << 30,
                                              SIZE_MAX / (1u << 30), NULL,
                                              s.result, counts));
    CHECK_REFUSED(num_queries,
                  pqk_collection_search(s.collection, s.vector, num_queries, 1,
                                        NULL, s.result, counts));
}
END_TEST

static const float *no_vector(void *context, uint64_t id)
{
    (void)context;
    (void)id;
    return NULL;
}

START_TEST(reranking)
{
    const size_t size = beyond(sizeof(pqk_result), _i);
    size_t count = size;

    CHECK_REFUSED(size, pqk_rerank(s.quantizers[0], s.vector, no_vector, NULL,
                                   1, s.result, &count));
    CHECK_THAT(count == size, "the count changed");
}
END_TEST

/* Room and threads of which not all is used may be any number. */
START_TEST(room)
{
    const size_t size = beyond(sizeof(uint64_t), _i);
    const pqk_search_options options = {.num_threads = size};
    pqk_result *found;
    size_t count = 1;

    test_case("%zu", size);
    CHECK_THAT(pqk_collection_ids(s.collection, 7, size, s.id) == 1 &&
                   *s.id == 7,
               "the id is not listed");
    CHECK_OK(pqk_quantizer_encode(s.quantizers[1], s.vector, 1, size, s.code));
    CHECK_OK(pqk_collection_search(s.collection, s.vector, 1, 1, &options,
                                   s.result, NULL));
    CHECK_THAT(s.result->id == 7, "the id is not found");
    CHECK_OK(pqk_rerank(s.quantizers[0], s.vector, no_vector, NULL, size,
                        s.result, &count));
    CHECK_OK(pqk_collection_search_range(s.collection, s.vector, 1e30f,
                                         &options, &found, &count));
    CHECK_THAT(count == 1 && found[0].id == 7, "the id is not in range");
    free(found);
    CHECK_OK(pqk_collection_add(s.collection, s.vector, NULL, 1, size));
}
END_TEST

int main(void)
{
    static const struct {
        const char *name;
        const TTest *const *test;
    } cases[] = {
        {"shapes", &shapes},
        {"rows of codes", &rows_of_codes},
        {"searches", &searches},
        {"training", &training},
        {"vectors", &vectors},
        {"rows of a collection", &rows_of_a_collection},
        {"results", &results},
        {"reranking", &reranking},
        {"room", &room},
    };
    Suite *suite = suite_create("sizes");

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        TCase *tcase = tcase_create(cases[i].name);

        tcase_add_checked_fixture(tcase, set_up, tear_down);
        tcase_add_loop_test(tcase, *cases[i].test, 0, NUM_BEYOND);
        suite_add_tcase(suite, tcase);
    }
    return run_suite(suite);
}
