/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The top-k heap against a sort. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <float.h>
#include <math.h>
#include <string.h>

#include "../checked.h"
#include "order.h"

#define MAX_KEYS 10000

enum values {
    VALUES_RANDOM,
    VALUES_FEW,
    VALUES_EQUAL,
    VALUES_ZEROS,
    VALUES_SPECIAL,
    VALUES_NAN,
    VALUES_ANY_BITS,
    VALUES_ASCENDING,
    VALUES_DESCENDING,
    VALUES_KINDS
};

static const char *const values_names[VALUES_KINDS] = {
    "random", "few",      "equal",     "zeros",     "special",
    "nan",    "any-bits", "ascending", "descending"};

static float special_value(struct test_random *random)
{
    static const float specials[] = {0.0f,     -0.0f,   INFINITY,  -INFINITY,
                                     NAN,      1.0f,    -1.0f,     FLT_MAX,
                                     -FLT_MAX, FLT_MIN, 0x1p-149f, -0x1p-149f};

    return specials[test_below(random, TEST_COUNT(specials))];
}

static float value(enum values kind, size_t i, struct test_random *random)
{
    switch (kind) {
    case VALUES_RANDOM:
        return 2.0f * test_uniform(random) - 1.0f;
    case VALUES_FEW:
        return (float)test_below(random, 3);
    case VALUES_EQUAL:
        return 5.0f;
    case VALUES_ZEROS:
        return test_below(random, 2) ? 0.0f : -0.0f;
    case VALUES_SPECIAL:
        return special_value(random);
    case VALUES_NAN:
        return test_below(random, 2) ? NAN : -NAN;
    case VALUES_ASCENDING:
        return (float)i;
    case VALUES_DESCENDING:
        return (float)(MAX_KEYS - i);
    default:
        return test_any_float(random);
    }
}

/* Ids in no order, each once; those of 31 bits and more too. */
static uint32_t scrambled_id(size_t i)
{
    return (uint32_t)i * UINT32_C(2654435761);
}

static struct test_arena storage_arena, neighbors_arena;

static void check_heap(const pqk_row_result *pushed, size_t n, size_t k,
                       unsigned placement)
{
    size_t slots = pqk_top_k_heap_storage(k);
    uint64_t *storage =
        test_place(&storage_arena, slots * sizeof(uint64_t), placement);
    pqk_row_result *found =
        test_place(&neighbors_arena, k * sizeof *found, placement);
    size_t wanted = k < n ? k : n, count;
    pqk_row_result *expected = test_alloc(n * sizeof *expected);
    pqk_top_k_heap heap;

    CHECK_THAT(slots >= k, "storage for %zu is %zu", k, slots);
    memcpy(expected, pushed, n * sizeof *expected);
    test_sort_results(expected, n);
    pqk_top_k_heap_init(&heap, k ? storage : NULL, k);
    CHECK_THAT(heap.k == k && heap.length == 0, "init: k %zu, length %zu",
               heap.k, heap.length);
    for (size_t i = 0; i < n; i++) {
        pqk_top_k_heap_push(&heap, pushed[i].row, pushed[i].distance);
        CHECK_THAT(heap.length >= (i < k ? i + 1 : k) && heap.length <= slots,
                   "length is %zu after push %zu", heap.length, i + 1);
    }
    count = pqk_top_k_heap_into_sorted(&heap, found);
    CHECK_NO_FAULT(test_compare(expected, wanted, 0, found, count));
    CHECK_THAT(heap.length == 0, "not empty: length %zu", heap.length);
    CHECK_THAT(heap.k == k, "k became %zu", heap.k);
    CHECK_THAT(test_canaries_intact(&storage_arena), "storage overrun");
    CHECK_THAT(test_canaries_intact(&neighbors_arena), "neighbors overrun");
    free(expected);
}

static void check_kind(enum values kind, size_t n, size_t k, uint64_t seed)
{
    struct test_random random = {seed};
    pqk_row_result *pushed = test_alloc(n * sizeof *pushed);

    test_case("heap: %s values, n %zu, k %zu, seed %lu", values_names[kind], n,
              k, (unsigned long)seed);
    for (size_t i = 0; i < n; i++) {
        pushed[i].row = seed % 2 ? scrambled_id(i) : (uint32_t)i;
        pushed[i].distance = value(kind, i, &random);
    }
    check_heap(pushed, n, k, (unsigned)seed);
    free(pushed);
}

START_TEST(test_small)
{
    for (size_t n = 0; n <= 40; n++)
        for (size_t k = 0; k <= n + 1; k++)
            check_kind((enum values)_i, n, k, n * 100 + k);
}
END_TEST

START_TEST(test_large)
{
    const size_t n = test_scaled(MAX_KEYS);
    const size_t ks[] = {1, 2, 3, 10, 100, n / 10, n * 2 / 5, n - 1, n, n + 1};

    for (size_t i = 0; i < TEST_COUNT(ks); i++)
        check_kind((enum values)_i, n, ks[i], i);
}
END_TEST

/* A heap that was emptied is a heap: its storage serves again. */
START_TEST(test_again)
{
    struct test_random random = {1};
    uint64_t *storage = test_alloc(pqk_top_k_heap_storage(8) * sizeof *storage);
    pqk_row_result found[8];
    pqk_top_k_heap heap;

    pqk_top_k_heap_init(&heap, storage, 8);
    for (uint32_t round = 0; round < 50; round++) {
        pqk_row_result expected[20];
        size_t n = test_below(&random, TEST_COUNT(expected)), count;

        test_case("heap used again: round %lu", (unsigned long)round);
        for (size_t i = 0; i < n; i++) {
            expected[i].row = (uint32_t)i;
            expected[i].distance = (float)test_below(&random, 6);
            pqk_top_k_heap_push(&heap, expected[i].row, expected[i].distance);
        }
        test_sort_results(expected, n);
        count = pqk_top_k_heap_into_sorted(&heap, found);
        CHECK_NO_FAULT(test_compare(expected, n < 8 ? n : 8, 0, found, count));
        count = pqk_top_k_heap_into_sorted(&heap, found);
        CHECK_THAT(count == 0, "%zu results of an empty heap", count);
    }
    free(storage);
}
END_TEST

/* The same result again and again, and among others: a selection of keys that are
 * equal ends, and soon. */
START_TEST(test_equal)
{
    const size_t n = test_scaled(MAX_KEYS);
    pqk_row_result *pushed = test_alloc(n * sizeof *pushed);
    struct test_random random = {5};

    for (size_t others = 0; others < 3; others++) {
        test_case("heap: equal keys, %zu kinds of others", others);
        for (size_t i = 0; i < n; i++)
            pushed[i] = (pqk_row_result){
                (uint32_t)(3 - test_below(&random, others + 1)), 1.5f};
        check_heap(pushed, n, 10, 0);
        check_heap(pushed, n, n / 3, 1);
        check_heap(pushed, n, n, 2);
    }
    free(pushed);
}
END_TEST

/* What is named in the contract, spelt out. */
START_TEST(test_order)
{
    static const pqk_row_result pushed[] = {
        {9, NAN},       {3, INFINITY}, {7, 0.0f},  {2, -0.0f}, {1, -NAN},
        {4, -INFINITY}, {5, INFINITY}, {8, -1.0f}, {0, 1.0f}};
    static const uint32_t order[] = {4, 8, 2, 7, 0, 3, 5, 1, 9};
    uint64_t *storage = test_alloc(pqk_top_k_heap_storage(9) * sizeof *storage);
    pqk_row_result found[9];
    pqk_top_k_heap heap;
    size_t count;

    test_case("order of special values");
    pqk_top_k_heap_init(&heap, storage, TEST_COUNT(pushed));
    for (size_t i = 0; i < TEST_COUNT(pushed); i++)
        pqk_top_k_heap_push(&heap, pushed[i].row, pushed[i].distance);
    count = pqk_top_k_heap_into_sorted(&heap, found);
    CHECK_THAT(count == TEST_COUNT(order), "%zu results", count);
    for (size_t i = 0; i < TEST_COUNT(order); i++)
        CHECK_THAT(found[i].row == order[i], "position %zu has id %lu, not %lu",
                   i, (unsigned long)found[i].row, (unsigned long)order[i]);
    for (size_t i = 2; i < 4; i++)
        CHECK_THAT(test_bits(found[i].distance) == 0, "0 came back as %08lx",
                   (unsigned long)test_bits(found[i].distance));
    for (size_t i = 7; i < 9; i++)
        CHECK_THAT(test_bits(found[i].distance) == 0x7fc00000u,
                   "NaN came back as %08lx",
                   (unsigned long)test_bits(found[i].distance));
    free(storage);
}
END_TEST

/* The largest key there is is taken, too, as long as there is room, and so is one
 * that equals a bound that was set. */
START_TEST(test_bounds)
{
    uint64_t storage[64];
    pqk_row_result found[4];
    pqk_top_k_heap heap;

    test_case("the largest key");
    ck_assert(pqk_top_k_heap_storage(4) <= TEST_COUNT(storage));
    pqk_top_k_heap_init(&heap, storage, 4);
    pqk_top_k_heap_push(&heap, UINT32_MAX, NAN);
    CHECK_THAT(pqk_top_k_heap_into_sorted(&heap, found) == 1 &&
                   found[0].row == UINT32_MAX,
               "it was dropped");
    test_case("a bound that was set");
    heap.bound = pqk_result_key(2.0f, 7);
    pqk_top_k_heap_push(&heap, 8, 2.0f);
    pqk_top_k_heap_push(&heap, 7, 2.0f);
    pqk_top_k_heap_push(&heap, 6, 2.0f);
    CHECK_THAT(pqk_top_k_heap_into_sorted(&heap, found) == 2 &&
                   found[0].row == 6 && found[1].row == 7,
               "what equals it was dropped, or what does not taken");
}
END_TEST

/* Nobody has so much memory; those who ask must not be told that they have. */
START_TEST(test_storage)
{
    static const size_t ks[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1,
                                SIZE_MAX / 2, SIZE_MAX / 2 - 1};

    for (size_t i = 0; i < TEST_COUNT(ks); i++)
        CHECK_THAT(pqk_top_k_heap_storage(ks[i]) >= ks[i],
                   "storage for %zu is %zu", ks[i],
                   pqk_top_k_heap_storage(ks[i]));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("heap");

    add_case(suite, "small", test_small, 10, 0, VALUES_KINDS);
    add_case(suite, "large", test_large, 20, 0, VALUES_KINDS);
    add_case(suite, "used again", test_again, 4, 0, 1);
    add_case(suite, "equal keys", test_equal, 20, 0, 1);
    add_case(suite, "order", test_order, 4, 0, 1);
    add_case(suite, "bounds", test_bounds, 4, 0, 1);
    add_case(suite, "storage", test_storage, 4, 0, 1);
    return run_suite(suite);
}
