/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The golden number: on the seeded fixture every variant finds 423 of the 640
 * true neighbours at k = 10, by both paths, with the reference's bits.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <string.h>

#include "checked.h"
#include "harness/fixture.h"
#include "harness/reference.h"

#define K           10
#define GOLDEN_HITS 423
#define GOLDEN_OF   640

static struct pqh_fixture fixture;

static void load_fixture(void)
{
    const struct pqh_request request = {.source = "seed", .truth_k = K};
    struct pqf_error err;

    test_case("the seeded fixture");
    CHECK_THAT(pqh_fixture_load(&request, &fixture, &err) == 0, "%s", err.text);
    CHECK_THAT(fixture.num_base == 1024 && fixture.dim == 128 &&
                   fixture.num_queries * K == GOLDEN_OF,
               "%zu rows of %zu values, %zu queries", fixture.num_base,
               fixture.dim, fixture.num_queries);
}

static void free_fixture(void)
{
    pqh_fixture_free(&fixture);
}

static size_t hits(size_t query, const pqk_neighbor *found, size_t count)
{
    size_t sum = 0;

    for (size_t i = 0; i < count; i++)
        for (size_t t = 0; t < K; t++)
            sum += fixture.truth[query * fixture.truth_k + t] == found[i].id;
    return sum;
}

static void expect(size_t query, pqk_neighbor *expected)
{
    static float entries[PQH_SUB_VECTORS * PQK_TABLE_STRIDE];

    pqh_reference_table(fixture.queries + query * fixture.dim,
                        &fixture.codebook, entries);
    CHECK_THAT(pqh_reference_probe(entries, PQH_SUB_VECTORS, fixture.codes,
                                   fixture.num_base, K, expected) == K,
               "the reference found too little");
}

START_TEST(test_reference)
{
    pqk_neighbor found[K];
    size_t sum = 0;

    test_case("golden number of the reference");
    for (size_t q = 0; q < fixture.num_queries; q++) {
        expect(q, found);
        sum += hits(q, found, K);
    }
    CHECK_THAT(sum == GOLDEN_HITS, "%zu hits", sum);
}
END_TEST

static void row_major(const pqk_kernel *kernel, size_t query,
                      pqk_neighbor *found)
{
    static float entries[PQH_SUB_VECTORS * PQK_TABLE_STRIDE];
    pqk_distance_table table = {0, entries};
    uint64_t *storage = test_alloc(pqk_top_k_heap_storage(K) * 8);
    pqk_top_k_heap heap;
    size_t count;

    pqk_top_k_heap_init(&heap, storage, K);
    CHECK_OK(pqk_compute_distance_table_l2_with(
        kernel, fixture.queries + query * fixture.dim, &fixture.codebook,
        &table));
    CHECK_OK(pqk_probe_pq_l2_top_k_with(kernel, &table, fixture.codes,
                                        fixture.num_base, &heap));
    count = pqk_top_k_heap_into_sorted(&heap, found);
    CHECK_THAT(count == K, "%zu results", count);
    free(storage);
}

START_TEST(test_row_major)
{
    const pqk_kernel *kernel = test_variant((size_t)_i);
    pqk_neighbor expected[K], found[K];
    size_t sum = 0;

    for (size_t q = 0; q < fixture.num_queries; q++) {
        test_case("%s: golden number, row-major, query %zu",
                  pqk_kernel_name(kernel), q);
        expect(q, expected);
        row_major(kernel, q, found);
        CHECK_NO_FAULT(test_compare(expected, K, 0, found, K));
        sum += hits(q, found, K);
    }
    CHECK_THAT(sum == GOLDEN_HITS, "%zu hits", sum);
}
END_TEST

START_TEST(test_prepared)
{
    const pqk_kernel *kernel = test_variant((size_t)_i);
    pqk_neighbor expected[K], found[K];
    pqk_index *index = NULL;
    size_t sum = 0, count = 0;

    test_case("%s: golden number, prepared", pqk_kernel_name(kernel));
    CHECK_OK(pqk_index_create(&fixture.codebook, kernel, &index));
    CHECK_OK(pqk_index_add(index, fixture.codes, fixture.num_base));
    for (size_t q = 0; q < fixture.num_queries; q++) {
        test_subcase(", query %zu", q);
        expect(q, expected);
        CHECK_OK(pqk_index_search(index, fixture.queries + q * fixture.dim, K,
                                  found, &count));
        CHECK_NO_FAULT(test_compare(expected, K, 0, found, count));
        sum += hits(q, found, count);
    }
    CHECK_THAT(sum == GOLDEN_HITS, "%zu hits", sum);
    pqk_index_free(index);
}
END_TEST

static void add_fixture_case(Suite *suite, const char *name, const TTest *test,
                             int end)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 30);
    tcase_add_unchecked_fixture(tcase, load_fixture, free_fixture);
    tcase_add_loop_test(tcase, test, 0, end);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("floors");
    const int variants = (int)test_variant_count();

    test_print_variants();
    add_fixture_case(suite, "reference", test_reference, 1);
    add_fixture_case(suite, "row-major", test_row_major, variants);
    add_fixture_case(suite, "prepared", test_prepared, variants);
    return run_suite(suite);
}
