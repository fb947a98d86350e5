/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The installed header and the shared library, as a program of someone else
 * uses them: train, encode, index, save, load, search.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <pqkern.h>

#include <string.h>

#include "../checked.h"
#include "library/quantizer.h"

#define ROWS    2000
#define M       8
#define D       4
#define DIM     (M * D)
#define QUERIES 10
#define K       7

static float vectors[ROWS * DIM];
static float centroids[M * 64 * D];
static uint8_t codes[ROWS * M];
static const pqk_codebook codebook = TEST_CODEBOOK(M, 64, D, centroids);

/* Twenty clouds, trained and encoded. */
static void make_data(void)
{
    struct test_random random = {2026};
    float centres[20 * DIM];

    for (size_t i = 0; i < 20 * DIM; i++)
        centres[i] = 3.0f * test_normal(&random);
    for (size_t i = 0; i < ROWS * DIM; i++)
        vectors[i] =
            centres[i / DIM % 20 * DIM + i % DIM] + test_normal(&random);
    CHECK_OK(pqk_train_codebook(vectors, ROWS, &codebook, 10, 1,
                                WITH_THREADS(2), centroids));
    CHECK_OK(pqk_encode(&codebook, vectors, ROWS, WITH_THREADS(2), codes));
}

/* Every distance, by the definition in the header; then a sort. */
static void by_definition(const float *query, pqk_row_result *all)
{
    for (size_t row = 0; row < ROWS; row++) {
        float distance = 0.0f;

        for (size_t m = 0; m < M; m++) {
            const float *c = centroids + (m * 64 + codes[row * M + m]) * D;
            float entry = 0.0f;

            for (size_t i = 0; i < D; i++) {
                float difference = query[m * D + i] - c[i];
                float square = difference * difference;
                entry = entry + square;
            }
            distance = distance + entry;
        }
        all[row] = (pqk_row_result){(uint32_t)row, distance};
    }
    test_sort_results(all, ROWS);
}

START_TEST(test_end_to_end)
{
    static pqk_row_result expected[ROWS];
    pqk_index *index = NULL;
    pqk_scanner *search = NULL;
    pqk_search_stats stats;

    test_case("end to end");
    make_data();
    CHECK_OK(pqk_index_create(&codebook, NULL, &index));
    CHECK_OK(pqk_index_add(index, codes, 1234));
    CHECK_OK(pqk_index_add(index, codes + 1234 * M, ROWS - 1234));
    CHECK_OK(pqk_scanner_create(index, QUERIES, K, &search));
    CHECK_OK(pqk_scanner_begin(search, QUERIES, K));
    CHECK_OK(pqk_scanner_tables(search, vectors));
    for (size_t p = 0; p < pqk_index_partitions(index); p++)
        CHECK_OK(pqk_scanner_probe(search, p));
    for (size_t q = 0; q < QUERIES; q++) {
        pqk_row_result found[K];
        size_t count = 0;

        test_subcase(", query %zu", q);
        by_definition(vectors + q * DIM, expected);
        CHECK_OK(pqk_scanner_results(search, q, found, &count));
        CHECK_NO_FAULT(test_compare(expected, K, 0, found, count));
    }
    CHECK_OK(pqk_scanner_statistics(search, &stats));
    CHECK_THAT(stats.codes == ROWS * QUERIES, "statistics of something else");
    pqk_scanner_free(search);
    pqk_index_free(index);
}
END_TEST

START_TEST(test_row_major)
{
    static pqk_row_result expected[ROWS];
    static float entries[M * PQK_TABLE_STRIDE];
    pqk_distance_table table = {.entries = entries};
    pqk_row_result found[K];
    uint64_t *storage = test_alloc(pqk_top_k_heap_storage(K) * 8);
    pqk_top_k_heap heap;

    test_case("row-major");
    make_data();
    by_definition(vectors, expected);
    pqk_top_k_heap_init(&heap, storage, K);
    CHECK_OK(pqk_compute_distance_table_l2(vectors, &codebook, &table));
    CHECK_OK(pqk_probe_pq_l2_top_k(&table, codes, ROWS, &heap));
    CHECK_THAT(heap.k == K, "k became %zu", heap.k);
    CHECK_THAT(pqk_top_k_heap_into_sorted(&heap, found) == K, "too few");
    CHECK_NO_FAULT(test_compare(expected, K, 0, found, K));
    free(storage);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("api");

    add_case(suite, "end to end", test_end_to_end, 20, 0, 1);
    add_case(suite, "row-major", test_row_major, 20, 0, 1);
    return run_suite(suite);
}
