/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Arguments and statuses of every public function, the choice of a variant,
 * and an index shared by threads. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../checked.h"
#include "kernels.h"
#include "library/cpu.h"
#include "library/quantizer.h"
#include "library/scanner.h"
#include "variants.h"

#define INVALID(expression) CHECK_STATUS(expression, PQK_INVALID_ARGUMENT)

static float centroids[2 * 3 * 2] = {0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2};
static const float query[4] = {0.5f, 0, 0, 0.5f};
static const uint8_t codes[5 * 2] = {0, 1, 2, 2, 1, 1, 0, 0, 2, 0};
static const pqk_codebook codebook = TEST_CODEBOOK(2, 3, 2, centroids);

/* Shapes that no function may take. */
static const pqk_codebook bad_shapes[] = {
    TEST_CODEBOOK(0, 3, 2, centroids),
    TEST_CODEBOOK(257, 3, 2, centroids),
    TEST_CODEBOOK(2, 0, 2, centroids),
    TEST_CODEBOOK(2, 257, 2, centroids),
    TEST_CODEBOOK(2, 3, 0, centroids),
    TEST_CODEBOOK(SIZE_MAX, 3, 2, centroids),
    TEST_CODEBOOK(2, SIZE_MAX, 2, centroids)};

/* What a later version's programs may ask for. */
static const pqk_codebook asking_shapes[] = {
    {2, 3, 2, centroids, 1, 0, NULL, NULL},
    {2, 3, 2, centroids, 0, 1, NULL, NULL},
    {2, 3, 2, centroids, 0, 0, centroids, NULL},
    {2, 3, 2, centroids, 0, 0, NULL, centroids}};

/* Dimensions whose products a size_t cannot hold. */
static const pqk_codebook huge_shapes[] = {
    TEST_CODEBOOK(2, 3, SIZE_MAX, centroids),
    TEST_CODEBOOK(2, 3, SIZE_MAX / 2, centroids),
    TEST_CODEBOOK(256, 256, SIZE_MAX / 65536 + 1, centroids),
    TEST_CODEBOOK(256, 256, SIZE_MAX / 4 / 65536 + 1, centroids),
    TEST_CODEBOOK(16, 256, SIZE_MAX / 16 + 1, centroids)};

static pqk_index *small_index(void)
{
    pqk_index *index = NULL;

    CHECK_OK(pqk_index_create(&codebook, NULL, &index));
    CHECK_OK(pqk_index_add(index, codes, 5));
    return index;
}

/* ------------------------------------------------------------------------ */
/* Texts                                                                     */

/* All statuses, with the numbers that programs are compiled with and what each
 * text has to say. */
static const struct {
    pqk_status status;
    int number;
    const char *says;
} statuses[] = {
    {PQK_OK, 0, "success"},
    {PQK_INVALID_ARGUMENT, 1, "invalid argument"},
    {PQK_OUT_OF_MEMORY, 2, "out of memory"},
    {PQK_UNKNOWN_KERNEL, 3, "known are: scalar "},
    {PQK_KERNEL_UNAVAILABLE, 4, "not in this build, or this CPU"},
    {PQK_IO_ERROR, 5, "input or output failed"},
    {PQK_BAD_FILE, 6, "truncated or altered"},
    {PQK_NEWER_FILE, 7, "a later version writes"},
    {PQK_DUPLICATE_ID, 8, "an id is there already"},
    {PQK_CANCELLED, 9, "cancelled"},
    {PQK_BUSY, 10, "another thread"},
};

/* One that the list lacks has a text that is not that of any other number. */
START_TEST(test_texts)
{
    const char *unknown = pqk_status_string((pqk_status)-1);
    char expected[64];

    test_case("texts");
    CHECK_THAT(strstr(unknown, "unknown") != NULL, "-1 says: %s", unknown);
    for (size_t i = 0; i < TEST_COUNT(statuses); i++) {
        const char *text = pqk_status_string(statuses[i].status);

        test_case("status %zu", i);
        CHECK_THAT((int)statuses[i].status == statuses[i].number &&
                       statuses[i].number == (int)i,
                   "its number is %d", (int)statuses[i].status);
        CHECK_THAT(strstr(text, statuses[i].says) != NULL, "it says: %s", text);
        for (size_t other = 0; other < TEST_COUNT(statuses); other++)
            CHECK_THAT(other == i || strstr(text, statuses[other].says) == NULL,
                       "it says what %zu does: %s", other, text);
    }
    for (int s = (int)TEST_COUNT(statuses); s < 100; s++) {
        test_case("status %d", s);
        CHECK_THAT(strcmp(pqk_status_string((pqk_status)s), unknown) == 0,
                   "it is not in this list: %s",
                   pqk_status_string((pqk_status)s));
    }
    test_case("version");
    snprintf(expected, sizeof expected, "%d.%d.%d", PQKERN_VERSION_MAJOR,
             PQKERN_VERSION_MINOR, PQKERN_VERSION_PATCH);
    CHECK_THAT(strcmp(pqk_version(), expected) == 0, "version %s, header %s",
               pqk_version(), expected);
    CHECK_THAT(pqk_version_number() == PQKERN_VERSION &&
                   PQKERN_VERSION == PQKERN_VERSION_MAJOR * 10000 +
                                         PQKERN_VERSION_MINOR * 100 +
                                         PQKERN_VERSION_PATCH,
               "version %lu, header %lu", (unsigned long)pqk_version_number(),
               (unsigned long)PQKERN_VERSION);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Arguments                                                                 */

START_TEST(test_table_arguments)
{
    static float entries[256 * PQK_TABLE_STRIDE];
    const pqk_kernel *kernel = pqk_kernel_at(0);
    pqk_distance_table asking_tables[] = {{.reserved_int1 = 1},
                                          {.reserved_int2 = 1}};
    pqk_distance_table table = {.entries = entries}, none = {.entries = NULL};
    pqk_codebook no_centroids = TEST_CODEBOOK(2, 3, 2, NULL);

    test_case("arguments of pqk_compute_distance_table_l2");
    CHECK_OK(pqk_compute_distance_table_l2(query, &codebook, &table));
    INVALID(pqk_compute_distance_table_l2(NULL, &codebook, &table));
    INVALID(pqk_compute_distance_table_l2(query, NULL, &table));
    INVALID(pqk_compute_distance_table_l2(query, &no_centroids, &table));
    INVALID(pqk_compute_distance_table_l2(query, &codebook, NULL));
    INVALID(pqk_compute_distance_table_l2(query, &codebook, &none));
    INVALID(pqk_compute_distance_table_l2_with(NULL, query, &codebook, &table));
    for (size_t i = 0; i < TEST_COUNT(bad_shapes); i++) {
        test_subcase(", shape %zu", i);
        INVALID(pqk_compute_distance_table_l2(query, &bad_shapes[i], &table));
        INVALID(pqk_compute_distance_table_l2_with(kernel, query,
                                                   &bad_shapes[i], &table));
    }
    for (size_t i = 0; i < TEST_COUNT(asking_shapes); i++) {
        test_subcase(", reserved member %zu", i);
        INVALID(
            pqk_compute_distance_table_l2(query, &asking_shapes[i], &table));
    }
    for (size_t i = 0; i < TEST_COUNT(asking_tables); i++) {
        test_subcase(", the table's reserved member %zu", i);
        asking_tables[i].entries = entries;
        INVALID(
            pqk_compute_distance_table_l2(query, &codebook, &asking_tables[i]));
    }
    CHECK_THAT(table.num_sub_vectors == 2, "the table's M became %zu",
               table.num_sub_vectors);
}
END_TEST

START_TEST(test_probe_arguments)
{
    static float entries[2 * PQK_TABLE_STRIDE];
    static const size_t bad_ms[] = {0, 257, SIZE_MAX};
    const pqk_kernel *kernel = pqk_kernel_at(0);
    pqk_distance_table table = {.num_sub_vectors = 2, .entries = entries},
                       none = {.num_sub_vectors = 2};
    uint64_t *storage = test_alloc(pqk_top_k_heap_storage(3) * 8);
    pqk_top_k_heap heap, before;

    test_case("arguments of pqk_probe_pq_l2_top_k");
    memset(&heap, 0, sizeof heap); /* what lies between members, too */
    pqk_top_k_heap_init(&heap, storage, 3);
    CHECK_OK(pqk_probe_pq_l2_top_k(&table, codes, 5, &heap));
    CHECK_OK(pqk_probe_pq_l2_top_k(&table, NULL, 0, &heap));
    memcpy(&before, &heap, sizeof heap);
    INVALID(pqk_probe_pq_l2_top_k(NULL, codes, 5, &heap));
    INVALID(pqk_probe_pq_l2_top_k(&none, codes, 5, &heap));
    INVALID(pqk_probe_pq_l2_top_k(&table, NULL, 5, &heap));
    INVALID(pqk_probe_pq_l2_top_k(&table, codes, 5, NULL));
    INVALID(pqk_probe_pq_l2_top_k_with(NULL, &table, codes, 5, &heap));
    for (size_t i = 0; i < TEST_COUNT(bad_ms); i++) {
        table.num_sub_vectors = bad_ms[i];
        INVALID(pqk_probe_pq_l2_top_k(&table, codes, 5, &heap));
        INVALID(pqk_probe_pq_l2_top_k_with(kernel, &table, codes, 5, &heap));
    }
    table.num_sub_vectors = 2;
    table.reserved_int1 = 1;
    INVALID(pqk_probe_pq_l2_top_k(&table, codes, 5, &heap));
    table.reserved_int1 = 0;
    table.reserved_int2 = 1;
    INVALID(pqk_probe_pq_l2_top_k(&table, codes, 5, &heap));
    table.reserved_int2 = 0;
#if SIZE_MAX > UINT32_MAX
    INVALID(
        pqk_probe_pq_l2_top_k(&table, codes, (size_t)UINT32_MAX + 1, &heap));
#endif
    CHECK_THAT(memcmp(&before, &heap, sizeof heap) == 0,
               "failures changed the heap");
    free(storage);
}
END_TEST

START_TEST(test_quantizer_arguments)
{
    const float vectors[3 * 4] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    float trained[2 * 3 * 2];
    uint8_t encoded[3 * 2];
    pqk_codebook no_centroids = TEST_CODEBOOK(2, 3, 2, NULL);

    test_case("arguments of pqk_train_codebook");
    CHECK_OK(
        pqk_train_codebook(vectors, 3, &no_centroids, 2, 1, NULL, trained));
    CHECK_OK(
        pqk_train_codebook(vectors, 3, &no_centroids, 0, 1, NULL, trained));
    CHECK_OK(pqk_train_codebook(vectors, 3, &codebook, 2, 1, WITH_THREADS(1000),
                                trained));
    INVALID(pqk_train_codebook(NULL, 3, &codebook, 2, 1, NULL, trained));
    INVALID(pqk_train_codebook(vectors, 0, &codebook, 2, 1, NULL, trained));
    INVALID(pqk_train_codebook(vectors, 3, NULL, 2, 1, NULL, trained));
    CHECK_OK(pqk_train_codebook(vectors, 3, &codebook, 2, 1, WITH_THREADS(0),
                                trained));
    INVALID(pqk_train_codebook(vectors, 3, &codebook, 2, 1, NULL, NULL));
    for (size_t i = 0; i < TEST_COUNT(bad_shapes); i++)
        INVALID(pqk_train_codebook(vectors, 3, &bad_shapes[i], 2, 1, NULL,
                                   trained));
    for (size_t i = 0; i < TEST_COUNT(huge_shapes); i++)
        INVALID(pqk_train_codebook(vectors, 3, &huge_shapes[i], 2, 1, NULL,
                                   trained));
    test_case("arguments of pqk_encode");
    CHECK_OK(pqk_encode(&codebook, vectors, 3, NULL, encoded));
    CHECK_OK(pqk_encode(&codebook, NULL, 0, NULL, NULL));
    INVALID(pqk_encode(NULL, vectors, 3, NULL, encoded));
    INVALID(pqk_encode(&no_centroids, vectors, 3, NULL, encoded));
    INVALID(pqk_encode(&codebook, NULL, 3, NULL, encoded));
    CHECK_OK(pqk_encode(&codebook, vectors, 3, WITH_THREADS(0), encoded));
    INVALID(pqk_encode(&codebook, vectors, 3, NULL, NULL));
    for (size_t i = 0; i < TEST_COUNT(bad_shapes); i++)
        INVALID(pqk_encode(&bad_shapes[i], vectors, 3, NULL, encoded));
    for (size_t i = 0; i < TEST_COUNT(huge_shapes); i++)
        INVALID(pqk_encode(&huge_shapes[i], vectors, 3, NULL, encoded));
}
END_TEST

START_TEST(test_index_arguments)
{
    const uint8_t beyond[2] = {0, 3};
    pqk_codebook no_centroids = TEST_CODEBOOK(2, 3, 2, NULL);
    pqk_index *index = NULL, *untouched = NULL;
    pqk_codebook seen;

    test_case("arguments of pqk_index_create and pqk_index_add");
    INVALID(pqk_index_create(NULL, NULL, &untouched));
    INVALID(pqk_index_create(&no_centroids, NULL, &untouched));
    INVALID(pqk_index_create(&codebook, NULL, NULL));
    for (size_t i = 0; i < TEST_COUNT(bad_shapes); i++)
        INVALID(pqk_index_create(&bad_shapes[i], NULL, &untouched));
    for (size_t i = 0; i < TEST_COUNT(huge_shapes); i++)
        INVALID(pqk_index_create(&huge_shapes[i], NULL, &untouched));
    for (size_t i = 0; i < TEST_COUNT(asking_shapes); i++)
        INVALID(pqk_index_create(&asking_shapes[i], NULL, &untouched));
    CHECK_THAT(!untouched, "a failure touched the index");
    pqk_index_free(NULL);
    index = small_index();
    INVALID(pqk_index_add(NULL, codes, 5));
    INVALID(pqk_index_add(index, NULL, 5));
    INVALID(pqk_index_add(index, beyond, 1));
    INVALID(pqk_index_add(index, codes, UINT32_MAX - 4));
    INVALID(pqk_index_add(index, codes, SIZE_MAX));
    CHECK_THAT(pqk_index_size(index) == 5 && pqk_index_partitions(index) == 1,
               "failures changed the index: %zu vectors, %zu partitions",
               pqk_index_size(index), pqk_index_partitions(index));
    CHECK_OK(pqk_index_add(index, NULL, 0));
    CHECK_THAT(pqk_index_partitions(index) == 2, "an empty one is none");
    CHECK_THAT(pqk_index_bytes(index) >= 10, "%zu bytes",
               pqk_index_bytes(index));
    pqk_index_codebook(index, &seen);
    CHECK_THAT(seen.num_sub_vectors == 2 && seen.num_centroids == 3 &&
                   seen.sub_vector_dim == 2 && seen.centroids != centroids &&
                   memcmp(seen.centroids, centroids, sizeof centroids) == 0,
               "another codebook");
    pqk_index_free(index);
}
END_TEST

START_TEST(test_search_arguments)
{
    pqk_index *index = small_index();
    pqk_scanner *search = NULL, *untouched = NULL;
    pqk_search_stats stats;
    pqk_row_result found[3];
    size_t count = 77;

    test_case("arguments of the search");
    pqk_scanner_free(NULL);
    INVALID(pqk_scanner_create(NULL, 1, 3, &untouched));
    INVALID(pqk_scanner_create(index, 0, 3, &untouched));
    INVALID(pqk_scanner_create(index, 1, 3, NULL));
    CHECK_OK(pqk_scanner_create(index, 2, 3, &search));
    INVALID(pqk_scanner_tables(search, query)); /* not begun */
    INVALID(pqk_scanner_probe(search, 0));
    INVALID(pqk_scanner_results(search, 0, found, &count));
    INVALID(pqk_scanner_begin(NULL, 1, 3));
    INVALID(pqk_scanner_begin(search, 0, 3));
    INVALID(pqk_scanner_begin(search, 3, 3));
    INVALID(pqk_scanner_begin(search, 1, 4));
    CHECK_OK(pqk_scanner_begin(search, 1, 3));
    INVALID(pqk_scanner_probe(search, 0)); /* without tables */
    INVALID(pqk_scanner_tables(NULL, query));
    INVALID(pqk_scanner_tables(search, NULL));
    CHECK_OK(pqk_scanner_tables(search, query));
    INVALID(pqk_scanner_probe(NULL, 0));
    INVALID(pqk_scanner_probe(search, 1));
    CHECK_OK(pqk_scanner_probe(search, 0));
    INVALID(pqk_scanner_results(NULL, 0, found, &count));
    INVALID(pqk_scanner_results(search, 1, found, &count));
    INVALID(pqk_scanner_results(search, 0, NULL, &count));
    INVALID(pqk_scanner_results(search, 0, found, NULL));
    INVALID(pqk_scanner_statistics(NULL, &stats));
    INVALID(pqk_scanner_statistics(search, NULL));
    CHECK_THAT(count == 77 && !untouched, "a failure wrote its output");
    CHECK_OK(pqk_scanner_results(search, 0, found, &count));
    CHECK_THAT(count == 3, "%zu results", count);
    CHECK_OK(pqk_scanner_begin(search, 1, 0));
    INVALID(pqk_scanner_probe(search, 0)); /* the tables were the last one's */
    pqk_scanner_free(search);
    pqk_index_free(index);
}
END_TEST

START_TEST(test_whole_search_arguments)
{
    pqk_index *index = small_index(), *empty = NULL;
    pqk_row_result found[9];
    size_t count = 77;

    test_case("arguments of pqk_index_search");
    INVALID(pqk_index_search(NULL, query, 3, found, &count));
    INVALID(pqk_index_search(index, NULL, 3, found, &count));
    INVALID(pqk_index_search(index, query, 3, NULL, &count));
    INVALID(pqk_index_search(index, query, 3, found, NULL));
    CHECK_THAT(count == 77, "a failure wrote its output");
    CHECK_OK(pqk_index_search(index, query, 0, NULL, &count));
    CHECK_THAT(count == 0, "k 0 gives %zu", count);
    CHECK_OK(pqk_index_search(index, query, 9, found, &count));
    CHECK_THAT(count == 5, "k 9 of 5 gives %zu", count);
    CHECK_OK(pqk_index_create(&codebook, NULL, &empty));
    CHECK_OK(pqk_index_search(empty, query, 9, found, &count));
    CHECK_THAT(count == 0, "an empty index gives %zu", count);
    pqk_index_free(empty);
    pqk_index_free(index);
}
END_TEST

/* Rows of a partition have ids that follow those of the one before. */
START_TEST(test_partitions)
{
    pqk_index *index = small_index();
    pqk_row_result found[10];
    int seen[10] = {0};
    size_t count;

    test_case("ids of two partitions");
    CHECK_OK(pqk_index_add(index, codes, 5));
    CHECK_OK(pqk_index_search(index, query, 10, found, &count));
    CHECK_THAT(count == 10, "%zu results", count);
    for (size_t i = 0; i < count; i++)
        CHECK_THAT(found[i].row < 10 && !seen[found[i].row]++,
                   "result %zu is row %u", i, found[i].row);
    pqk_index_free(index);
}
END_TEST

/* Sizes that no memory holds are refused, not multiplied round. */
START_TEST(test_memory)
{
    pqk_index *index = small_index();
    pqk_scanner *search = NULL;
    pqk_status status;

    test_case("sizes beyond memory");
    CHECK_STATUS(pqk_scanner_create(index, SIZE_MAX / 64, 10, &search),
                 PQK_OUT_OF_MEMORY);
    CHECK_STATUS(pqk_scanner_create(index, SIZE_MAX, 10, &search),
                 PQK_OUT_OF_MEMORY);
    CHECK_STATUS(pqk_scanner_create(index, SIZE_MAX / 8, UINT32_MAX, &search),
                 PQK_OUT_OF_MEMORY);
    status = pqk_scanner_create(index, 1, SIZE_MAX, &search);
    CHECK_THAT(status == PQK_INVALID_ARGUMENT || status == PQK_OUT_OF_MEMORY,
               "k of SIZE_MAX gives %d", (int)status);
    CHECK_THAT(!search, "a failure touched the search");
    pqk_index_free(index);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* The choice of a variant                                                   */

#define NAME(name, needs, built) #name,
static const char *const known_names[] = {PQK_VARIANTS(NAME)};
#undef NAME

static const pqk_kernel *kernel_of_build(const char *name)
{
    for (size_t i = 0; i < pqk_kernel_count(); i++)
        if (strcmp(pqk_kernel_name(pqk_kernel_at(i)), name) == 0)
            return pqk_kernel_at(i);
    return NULL;
}

static int runs_here(const char *name)
{
    const pqk_kernel *kernel = kernel_of_build(name);

    return kernel && pqk_kernel_available(kernel);
}

/* Those of the build are in the order of all there are. */
START_TEST(test_kernel_list)
{
    size_t count = pqk_kernel_count(), n = 0;

    test_case("list of variants");
    CHECK_THAT(count >= 1, "none");
    CHECK_THAT(!pqk_kernel_at(count) && !pqk_kernel_at(SIZE_MAX),
               "one past the last");
    CHECK_THAT(strcmp(pqk_kernel_name(pqk_kernel_at(0)), "scalar") == 0,
               "number 0 is %s", pqk_kernel_name(pqk_kernel_at(0)));
    CHECK_THAT(pqk_kernel_available(pqk_kernel_at(0)), "scalar is not there");
    for (size_t i = 0; i < count; i++) {
        const char *name = pqk_kernel_name(pqk_kernel_at(i));

        while (n < TEST_COUNT(known_names) && strcmp(name, known_names[n]) != 0)
            n++;
        CHECK_THAT(n < TEST_COUNT(known_names), "%s where it is not", name);
        CHECK_THAT(kernel_of_build(name) == pqk_kernel_at(i), "%s twice", name);
    }
}
END_TEST

START_TEST(test_find_by_name)
{
    static const char *const unknown[] = {"avx", "SCALAR", "scalar ", "avx1024",
                                          "x"};
    const pqk_kernel *found;

    for (size_t i = 0; i < TEST_COUNT(known_names); i++) {
        const char *name = known_names[i];

        test_case("pqk_kernel_find(\"%s\")", name);
        found = NULL;
        CHECK_STATUS(pqk_kernel_find(name, &found),
                     runs_here(name) ? PQK_OK : PQK_KERNEL_UNAVAILABLE);
        CHECK_THAT(found == (runs_here(name) ? kernel_of_build(name) : NULL),
                   "another variant");
    }
    for (size_t i = 0; i < TEST_COUNT(unknown); i++) {
        test_case("pqk_kernel_find(\"%s\")", unknown[i]);
        found = NULL;
        CHECK_STATUS(pqk_kernel_find(unknown[i], &found), PQK_UNKNOWN_KERNEL);
        CHECK_THAT(!found, "a failure touched the kernel");
    }
    INVALID(pqk_kernel_find("scalar", NULL));
    INVALID(pqk_kernel_find(NULL, NULL));
}
END_TEST

/* A variant of this build that the CPU lacks lays out no index. */
START_TEST(test_unavailable_kernel)
{
    for (size_t i = 0; i < pqk_kernel_count(); i++) {
        const pqk_kernel *kernel = pqk_kernel_at(i);
        pqk_index *index = NULL;

        test_case("index for %s", pqk_kernel_name(kernel));
        CHECK_STATUS(pqk_index_create(&codebook, kernel, &index),
                     pqk_kernel_available(kernel) ? PQK_OK
                                                  : PQK_KERNEL_UNAVAILABLE);
        CHECK_THAT(!index || pqk_index_kernel(index) == kernel,
                   "laid out for another");
        pqk_index_free(index);
    }
}
END_TEST

/* What every function that chooses must say. */
static int default_is(pqk_status wanted, const char *name)
{
    static float entries[2 * PQK_TABLE_STRIDE];
    const pqk_kernel *found = NULL;
    pqk_distance_table table = {.num_sub_vectors = 2, .entries = entries};
    pqk_top_k_heap heap;
    pqk_index *index = NULL;
    int wrong = 0;

    pqk_top_k_heap_init(&heap, NULL, 0);
    wrong |= (pqk_kernel_find(NULL, &found) != wanted) << 0;
    wrong |= (pqk_kernel_find("", &found) != wanted) << 1;
    wrong |= (pqk_compute_distance_table_l2(query, &codebook, &table) != wanted)
             << 2;
    wrong |= (pqk_probe_pq_l2_top_k(&table, codes, 5, &heap) != wanted) << 3;
    wrong |= (pqk_index_create(&codebook, NULL, &index) != wanted) << 4;
    if (wanted == PQK_OK)
        wrong |= (!found || strcmp(pqk_kernel_name(found), name) != 0 ||
                  !index || pqk_index_kernel(index) != found)
                 << 5;
    else
        wrong |= (found || index) << 6;
    pqk_index_free(index);
    return wrong;
}

/* PQKERN_ISA is read once a process, so each value needs one of its own. */
static void check_forced(const char *value, pqk_status wanted, const char *name)
{
    int outcome = -1;
    pid_t child;

    test_case("PQKERN_ISA=%s", value ? value : "(not set)");
    child = fork();
    CHECK_THAT(child >= 0, "no child");
    if (child == 0) {
        if (value)
            setenv("PQKERN_ISA", value, 1);
        else
            unsetenv("PQKERN_ISA");
        _exit(default_is(wanted, name));
    }
    CHECK_THAT(waitpid(child, &outcome, 0) == child && WIFEXITED(outcome),
               "the child died");
    CHECK_THAT(WEXITSTATUS(outcome) == 0, "wrong, in bits: %x",
               (unsigned)WEXITSTATUS(outcome));
}

START_TEST(test_forced_kernel)
{
    const char *strongest =
        pqk_kernel_name(test_variant(test_variant_count() - 1));

    for (size_t i = 0; i < TEST_COUNT(known_names); i++)
        check_forced(known_names[i],
                     runs_here(known_names[i]) ? PQK_OK
                                               : PQK_KERNEL_UNAVAILABLE,
                     known_names[i]);
    check_forced("avx1024", PQK_UNKNOWN_KERNEL, NULL);
    check_forced(" scalar", PQK_UNKNOWN_KERNEL, NULL);
    check_forced("scalar,avx2", PQK_UNKNOWN_KERNEL, NULL);
    check_forced("", PQK_OK, strongest);
    check_forced(NULL, PQK_OK, strongest);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Threads                                                                   */

#define THREADS     4
#define SHARED_ROWS 3000
#define SHARED_K    20

struct shared {
    const pqk_index *index;
    const float *queries; /* [16][32] */
    pqk_row_result found[16][SHARED_K];
    pqk_status status;
};

static void *search_all(void *argument)
{
    struct shared *shared = argument;
    pqk_scanner *search = NULL;
    size_t count = 0;

    shared->status = pqk_scanner_create(shared->index, 1, SHARED_K, &search);
    for (size_t q = 0; q < 16 && shared->status == PQK_OK; q++) {
        shared->status = pqk_scanner_begin(search, 1, SHARED_K);
        if (shared->status == PQK_OK)
            shared->status =
                pqk_scanner_tables(search, shared->queries + q * 32);
        for (size_t p = 0; p < 2 && shared->status == PQK_OK; p++)
            shared->status = pqk_scanner_probe(search, p);
        if (shared->status == PQK_OK)
            shared->status =
                pqk_scanner_results(search, 0, shared->found[q], &count);
    }
    pqk_scanner_free(search);
    return NULL;
}

START_TEST(test_threads)
{
    static struct shared shared[THREADS + 1];
    struct test_random random = {1};
    float *values = test_alloc((16 * 256 * 2 + 16 * 32) * sizeof *values);
    uint8_t *many = test_alloc(SHARED_ROWS * 16);
    pqk_codebook book = TEST_CODEBOOK(16, 256, 2, values);
    pqk_index *index = NULL;
    pthread_t threads[THREADS];

    test_case("%s: threads", pqk_kernel_name(test_variant((size_t)_i)));
    for (size_t i = 0; i < 16 * 256 * 2 + 16 * 32; i++)
        values[i] = test_normal(&random);
    test_fill_codes(TEST_CODES_UNIFORM, SHARED_ROWS, 16, 256, many, &random);
    CHECK_OK(pqk_index_create(&book, test_variant((size_t)_i), &index));
    CHECK_OK(pqk_index_add(index, many, 1001));
    CHECK_OK(pqk_index_add(index, many + 1001 * 16, SHARED_ROWS - 1001));
    for (size_t t = 0; t <= THREADS; t++)
        shared[t] =
            (struct shared){.index = index, .queries = values + 16 * 256 * 2};
    for (size_t t = 0; t < THREADS; t++)
        CHECK_THAT(pthread_create(&threads[t], NULL, search_all, &shared[t]) ==
                       0,
                   "no thread");
    for (size_t t = 0; t < THREADS; t++)
        pthread_join(threads[t], NULL);
    search_all(&shared[THREADS]);
    for (size_t t = 0; t <= THREADS; t++) {
        CHECK_OK(shared[t].status);
        CHECK_THAT(memcmp(shared[t].found, shared[THREADS].found,
                          sizeof shared[t].found) == 0,
                   "thread %zu found something else", t);
    }
    pqk_index_free(index);
    free(many);
    free(values);
}
END_TEST

/* A probe that lasts until the other thread has tried everything. */
static struct {
    struct pqk_kernel kernel; /* a variant's, but for the probe */
    const struct pqk_kernel *real;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int inside, go_on;
} lasting = {.lock = PTHREAD_MUTEX_INITIALIZER,
             .changed = PTHREAD_COND_INITIALIZER};

static void wait_for(int *flag)
{
    pthread_mutex_lock(&lasting.lock);
    while (!*flag)
        pthread_cond_wait(&lasting.changed, &lasting.lock);
    pthread_mutex_unlock(&lasting.lock);
}

static void set_flag(int *flag)
{
    pthread_mutex_lock(&lasting.lock);
    *flag = 1;
    pthread_cond_broadcast(&lasting.changed);
    pthread_mutex_unlock(&lasting.lock);
}

static void lasting_probe(const void *prepared_codebook,
                          const void *prepared_codes, size_t num_vectors,
                          uint32_t first_id, const struct pqk_filter *filter,
                          void *tables, size_t num_queries,
                          pqk_top_k_heap *heaps, pqk_search_stats *stats,
                          struct pqk_share *share)
{
    set_flag(&lasting.inside);
    wait_for(&lasting.go_on);
    lasting.real->probe(prepared_codebook, prepared_codes, num_vectors,
                        first_id, filter, tables, num_queries, heaps, stats,
                        share);
}

static void *probe_lastingly(void *scanner)
{
    return pqk_scanner_probe(scanner, 0) == PQK_OK ? NULL : scanner;
}

START_TEST(test_busy)
{
    pqk_index *index = small_index();
    pqk_scanner *scanner = NULL;
    pqk_search_stats stats = {.codes = 77};
    pqk_row_result found[3], alone[3];
    size_t count = 77, count_alone;
    pthread_t thread;
    void *failed;

    test_case("a scanner that another thread uses");
    CHECK_OK(pqk_index_search(index, query, 3, alone, &count_alone));
    CHECK_OK(pqk_scanner_create(index, 1, 3, &scanner));
    /* Not before: the library asks for a variant's name by where it is. */
    lasting.real = index->prepared.kernel;
    lasting.kernel = *lasting.real;
    lasting.kernel.probe = lasting_probe;
    index->prepared.kernel = &lasting.kernel;
    CHECK_OK(pqk_scanner_begin(scanner, 1, 3));
    CHECK_OK(pqk_scanner_tables(scanner, query));
    CHECK_THAT(pthread_create(&thread, NULL, probe_lastingly, scanner) == 0,
               "no thread");
    wait_for(&lasting.inside);
    CHECK_STATUS(pqk_scanner_begin(scanner, 1, 3), PQK_BUSY);
    CHECK_STATUS(pqk_scanner_tables(scanner, query), PQK_BUSY);
    CHECK_STATUS(pqk_scanner_probe(scanner, 0), PQK_BUSY);
    CHECK_STATUS(pqk_scanner_results(scanner, 0, found, &count), PQK_BUSY);
    CHECK_STATUS(pqk_scanner_statistics(scanner, &stats), PQK_BUSY);
    CHECK_THAT(count == 77 && stats.codes == 77, "it wrote all the same");
    set_flag(&lasting.go_on);
    pthread_join(thread, &failed);
    CHECK_THAT(!failed, "the first thread's probe failed");
    test_case("a scanner that another thread has used");
    CHECK_OK(pqk_scanner_statistics(scanner, &stats));
    CHECK_OK(pqk_scanner_results(scanner, 0, found, &count));
    CHECK_THAT(stats.codes == 5 && count == count_alone &&
                   memcmp(found, alone, count * sizeof *found) == 0,
               "other results than alone");
    CHECK_OK(pqk_scanner_begin(scanner, 1, 3));
    CHECK_OK(pqk_scanner_tables(scanner, query));
    CHECK_OK(pqk_scanner_probe(scanner, 0));
    pqk_scanner_free(scanner);
    index->prepared.kernel = lasting.real;
    pqk_index_free(index);
}
END_TEST

/* A call that fails leaves, too. */
START_TEST(test_not_busy_after_failure)
{
    pqk_index *index = small_index();
    pqk_scanner *scanner = NULL;
    pqk_row_result found[3];
    size_t count;

    test_case("a scanner after calls that failed");
    CHECK_OK(pqk_scanner_create(index, 1, 3, &scanner));
    for (int i = 0; i < 2; i++) {
        INVALID(pqk_scanner_begin(scanner, 2, 3));
        INVALID(pqk_scanner_tables(scanner, query));
        INVALID(pqk_scanner_probe(scanner, 0));
        INVALID(pqk_scanner_results(scanner, 0, found, &count));
    }
    CHECK_OK(pqk_scanner_begin(scanner, 1, 3));
    pqk_scanner_free(scanner);
    pqk_index_free(index);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Statuses of a variant: the only ones that pass the door                    */

static void check_labels(const pqk_kernel *kernel, const pqk_codebook *book,
                         const uint8_t *own, void *prepared)
{
    const size_t n = book->num_centroids;
    const size_t pairs[][2] = {
        {0, 1}, {0, n - 1}, {n / 2, n - 1}, {n - 1, n - 2}};
    uint8_t *labels = test_alloc(book->num_sub_vectors * 256);

    for (size_t m = 0; m < book->num_sub_vectors; m++)
        for (size_t p = 0; p < TEST_COUNT(pairs); p++) {
            memcpy(labels, own, book->num_sub_vectors * 256);
            labels[m * 256 + pairs[p][0]] = labels[m * 256 + pairs[p][1]];
            test_case("%s: %zu centroids, sub-vector %zu: codes %zu and %zu "
                      "share a label",
                      pqk_kernel_name(kernel), n, m, pairs[p][0], pairs[p][1]);
            INVALID(kernel->prepare_codebook(book, labels, 0, prepared));
        }
    free(labels);
}

START_TEST(test_prepare_statuses)
{
    static const size_t num_centroids[] = {3, 255, 256};
    const pqk_kernel *kernel = test_variant((size_t)_i);
    static float values[3 * 256 * 2];
    struct test_random random = {39};

    for (size_t i = 0; i < TEST_COUNT(values); i++)
        values[i] = test_normal(&random);
    for (size_t i = 0; i < TEST_COUNT(num_centroids); i++) {
        const pqk_codebook book = TEST_CODEBOOK(3, num_centroids[i], 2, values);
        const size_t bytes = kernel->codebook_bytes(&book);
        struct test_arena arena = {0}, again = {0}, prepared = {0};
        static const uint8_t rows[2 * 3] = {0, 1, 2, 2, 0, 1};
        void *first = test_aligned(&arena, bytes, 64);
        void *other = test_aligned(&again, bytes, 64);
        const uint8_t *own;

        test_case("%s: %zu centroids", pqk_kernel_name(kernel),
                  num_centroids[i]);
        CHECK_OK(kernel->prepare_codebook(&book, NULL, 0, first));
        own = kernel->labels_of(first);
        CHECK_OK(kernel->prepare_codebook(&book, own, ~0u, other));
        for (size_t n = 0; n <= 2; n++)
            CHECK_OK(kernel->prepare_codes(
                first, rows, n,
                test_aligned(&prepared, kernel->codes_bytes(&book, n), 64)));
        if (own)
            check_labels(kernel, &book, own, other);
        test_arena_free(&arena);
        test_arena_free(&again);
        test_arena_free(&prepared);
    }
}
END_TEST

/* By another way than CPUID: what the kernel says of the processor.  An emulator
 * shows that of the host, but has no AVX-512. */
START_TEST(test_slow_permutations)
{
    const unsigned cpu = pqk_cpu_features();
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    int intel = 0;

    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        intel |= strncmp(line, "vendor_id", 9) == 0 &&
                 strstr(line, "GenuineIntel") != NULL;
    if (file != NULL && cpu & PQK_CPU_AVX512)
        ck_assert_int_eq((cpu & PQK_CPU_SLOW_PERMI2B) != 0, intel);
    else if (!(cpu & PQK_CPU_AVX512))
        ck_assert_uint_eq(cpu & PQK_CPU_SLOW_PERMI2B, 0);
    if (file != NULL)
        fclose(file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("contract");

    test_print_variants();
    /* First, before anything in this process has chosen. */
    add_case(suite, "PQKERN_ISA", test_forced_kernel, 20, 0, 1);
    add_case(suite, "texts", test_texts, 4, 0, 1);
    add_case(suite, "table arguments", test_table_arguments, 4, 0, 1);
    add_case(suite, "probe arguments", test_probe_arguments, 4, 0, 1);
    add_case(suite, "quantizer arguments", test_quantizer_arguments, 4, 0, 1);
    add_case(suite, "index arguments", test_index_arguments, 4, 0, 1);
    add_case(suite, "search arguments", test_search_arguments, 4, 0, 1);
    add_case(suite, "whole search", test_whole_search_arguments, 4, 0, 1);
    add_case(suite, "partitions", test_partitions, 4, 0, 1);
    add_case(suite, "memory", test_memory, 4, 0, 1);
    add_case(suite, "list of variants", test_kernel_list, 4, 0, 1);
    add_case(suite, "find by name", test_find_by_name, 4, 0, 1);
    add_case(suite, "unavailable", test_unavailable_kernel, 4, 0, 1);
    add_case(suite, "slow permutations", test_slow_permutations, 4, 0, 1);
    add_case(suite, "busy", test_busy, 20, 0, 1);
    add_case(suite, "not busy", test_not_busy_after_failure, 4, 0, 1);
    add_case(suite, "statuses", test_prepare_statuses, 4, 0,
             (int)test_variant_count());
    add_case(suite, "threads", test_threads, 20, 0, (int)test_variant_count());
    return run_suite(suite);
}
