/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The self-test for targets without a test framework: numbers that every
 * machine must give, all variants against the reference on a compact set, byte
 * order of files.  Prints what it did, as TAP; exits with 0 if all passed.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/fixture/fixture.h"
#include "harness/fixture/reference.h"
#include "harness/fixture/store.h"
#include "library/quantizer.h"
#include "probing.h"

static unsigned passed, failed;

static void report(const char *name, const char *fault)
{
    if (fault)
        failed++;
    else
        passed++;
    printf("%s %u - %s\n", fault ? "not ok" : "ok", passed + failed, name);
    if (fault)
        printf("# %s\n", fault);
    fflush(stdout);
}

static const char *expect_checksum(uint64_t found, uint64_t expected)
{
    return found == expected ? NULL
                             : test_fault("checksum %016llx, not %016llx",
                                          (unsigned long long)found,
                                          (unsigned long long)expected);
}

static float *normals(size_t count, uint64_t seed)
{
    struct test_random random = {seed};
    float *values = test_alloc(count * sizeof *values);

    for (size_t i = 0; i < count; i++)
        values[i] = test_normal(&random);
    return values;
}

/* ------------------------------------------------------------------------ */
/* Numbers that every machine must give                                      */

#define GOLDEN_CODEBOOK UINT64_C(0x7c60c45a44c1ea3c)
#define GOLDEN_CODES    UINT64_C(0x6caa74b35215c998)
#define GOLDEN_RESULTS  UINT64_C(0x49097b1f862ef0df)

#define ROWS 1000
#define M    16
#define D    4
#define DIM  (M * D)
#define K    20

static float centroids[M * 256 * D];
static uint8_t codes[ROWS * M];
static float *vectors; /* [ROWS][DIM] */
static const pqk_codebook codebook = TEST_CODEBOOK(M, 256, D, centroids);

static const char *train(void)
{
    pqk_status status;

    test_case("training");
    vectors = normals(ROWS * DIM, 1);
    status = pqk_train_codebook(vectors, ROWS, &codebook, 5, 1, WITH_THREADS(2),
                                centroids);
    if (status != PQK_OK)
        return test_fault("%s", pqk_status_string(status));
    return expect_checksum(
        test_fnv_floats(TEST_FNV_BASIS, centroids, M * 256 * D),
        GOLDEN_CODEBOOK);
}

static const char *encode(void)
{
    pqk_status status =
        pqk_encode(&codebook, vectors, ROWS, WITH_THREADS(2), codes);

    test_case("encoding");
    if (status != PQK_OK)
        return test_fault("%s", pqk_status_string(status));
    return expect_checksum(test_fnv(TEST_FNV_BASIS, codes, sizeof codes),
                           GOLDEN_CODES);
}

static uint64_t add_results(uint64_t checksum, const pqk_row_result *found,
                            size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned char id[4] = {(unsigned char)found[i].row,
                               (unsigned char)(found[i].row >> 8),
                               (unsigned char)(found[i].row >> 16),
                               (unsigned char)(found[i].row >> 24)};

        checksum = test_fnv(checksum, id, sizeof id);
        checksum = test_fnv_floats(checksum, &found[i].distance, 1);
    }
    return checksum;
}

/* Ids and distance bits of twenty searches, as one number. */
static const char *search(const pqk_kernel *kernel)
{
    uint64_t checksum = TEST_FNV_BASIS;
    pqk_row_result found[K];
    pqk_index *index = NULL;
    pqk_status status = pqk_index_create(&codebook, kernel, &index);
    size_t count = 0;

    test_case("%s: results", pqk_kernel_name(kernel));
    if (status == PQK_OK)
        status = pqk_index_add(index, codes, ROWS / 3);
    if (status == PQK_OK)
        status = pqk_index_add(index, codes + ROWS / 3 * M, ROWS - ROWS / 3);
    for (size_t q = 0; q < 20 && status == PQK_OK; q++) {
        status = pqk_index_search(index, vectors + q * DIM, K, found, &count);
        if (status == PQK_OK)
            checksum = add_results(checksum, found, count);
    }
    pqk_index_free(index);
    if (status != PQK_OK)
        return test_fault("%s", pqk_status_string(status));
    return expect_checksum(checksum, GOLDEN_RESULTS);
}

static size_t count_hits(const uint32_t *truth, const pqk_row_result *found,
                         size_t count)
{
    size_t hits = 0;

    for (size_t i = 0; i < count; i++)
        for (size_t t = 0; t < 10; t++)
            hits += truth[t] == found[i].row;
    return hits;
}

static const char *golden_recall(const pqk_kernel *kernel)
{
    const struct pqh_request request = {.source = "seed", .truth_k = 10};
    struct pqh_fixture fixture;
    struct pqf_error err;
    pqk_index *index = NULL;
    size_t hits = 0, count = 0;
    pqk_status status;

    test_case("%s: golden number", pqk_kernel_name(kernel));
    if (pqh_fixture_load(&request, &fixture, &err) != 0)
        return test_fault("%s", err.text);
    status = pqk_index_create(&fixture.codebook, kernel, &index);
    if (status == PQK_OK)
        status = pqk_index_add(index, fixture.codes, fixture.num_base);
    for (size_t q = 0; q < fixture.num_queries && status == PQK_OK; q++) {
        pqk_row_result found[10];

        status = pqk_index_search(index, fixture.queries + q * fixture.dim, 10,
                                  found, &count);
        if (status == PQK_OK)
            hits +=
                count_hits(fixture.truth + q * fixture.truth_k, found, count);
    }
    pqk_index_free(index);
    pqh_fixture_free(&fixture);
    if (status != PQK_OK)
        return test_fault("%s", pqk_status_string(status));
    return hits == 423 ? NULL : test_fault("%zu hits of 640, not 423", hits);
}

/* ------------------------------------------------------------------------ */
/* Files                                                                     */

/* Two rows of -1.5, 2 as they stand in a file on every machine. */
static const unsigned char fvecs[24] = {2, 0, 0,    0,    0, 0, 0xc0, 0xbf,
                                        0, 0, 0,    0x40, 2, 0, 0,    0,
                                        0, 0, 0xc0, 0xbf, 0, 0, 0,    0x40};

static const char *read_vecs(const char *path, float *values)
{
    struct pqf_error err;
    struct pqf_rows vecs;
    int result;

    if (pqf_rows_open(path, &vecs, &err) != 0)
        return test_fault("%s", err.text);
    if (vecs.dim != 2 || vecs.num_rows != 2) {
        pqf_rows_close(&vecs);
        return test_fault("%zu rows of %zu", (size_t)vecs.num_rows, vecs.dim);
    }
    result = pqf_rows_read_floats(&vecs, 0, 2, values, &err);
    pqf_rows_close(&vecs);
    return result == 0 ? NULL : test_fault("%s", err.text);
}

static const char *vector_file(const char *folder)
{
    const char *path = test_path(folder, "two.fvecs");
    float values[4] = {0};
    unsigned char *bytes;
    struct pqf_error err;
    const char *fault;
    size_t size = 0;
    int same;

    test_case("vector file");
    test_write_file(path, fvecs, sizeof fvecs);
    fault = read_vecs(path, values);
    if (fault)
        return fault;
    for (size_t i = 0; i < 4; i++)
        if (values[i] != (i % 2 ? 2.0f : -1.5f))
            return test_fault("value %zu is %g", i, (double)values[i]);
    if (pqh_vecs_store(path, PQF_FVECS, values, 2, 2, &err) != 0)
        return test_fault("%s", err.text);
    bytes = test_read_file(path, &size);
    same = size == sizeof fvecs && memcmp(bytes, fvecs, size) == 0;
    free(bytes);
    return same ? NULL : test_fault("written otherwise than read");
}

/* ------------------------------------------------------------------------ */
/* Every variant against the reference                                       */

static const char *attack_rows(const pqk_kernel *kernel)
{
    static const size_t ks[] = {1, 10, 100};
    static float entries[17 * PQK_TABLE_STRIDE];
    static uint8_t attacked[150 * 17];
    struct test_random random = {2};
    const char *fault = NULL;

    for (int kind = 0; kind < TEST_TABLE_KINDS * 2 && !fault; kind++) {
        enum test_table_kind table = (enum test_table_kind)(kind / 2);
        size_t m = kind % 2 ? 17 : 16, n = 150 - (size_t)kind;
        struct row_major rows = {kernel, entries,           m, attacked, n,
                                 NULL,   (unsigned)kind / 2};

        test_case("%s: row-major, M %zu, n %zu, %s table",
                  pqk_kernel_name(kernel), m, n, test_table_name(table));
        test_fill_table(table, m, entries, &random);
        test_fill_codes(TEST_CODES_UNIFORM, n, m, 256, attacked, &random);
        rows.expected = probing_reference(entries, m, attacked, n);
        for (size_t k = 0; k < TEST_COUNT(ks) && !fault; k++)
            fault = probing_row_major(&rows, ks[k]);
        free((void *)(uintptr_t)rows.expected);
    }
    return fault;
}

static const char *attack_prepared(const pqk_kernel *kernel)
{
    static const size_t shapes[][3] = {
        {16, 256, 8}, {16, 100, 3}, {1, 2, 1}, {7, 17, 5}, {48, 256, 2}};
    static const size_t ks[] = {1, 10, 200, 400};
    struct test_random random = {3};
    const char *fault = NULL;

    for (size_t s = 0; s < TEST_COUNT(shapes) && !fault; s++) {
        const size_t m = shapes[s][0], count = shapes[s][1], d = shapes[s][2];
        float *values = normals(m * count * d + 2 * m * d, s);
        uint8_t *attacked = test_alloc(300 * m);
        pqk_codebook shape = TEST_CODEBOOK(m, count, d, values);
        struct prepared_probe probe = {
            attacked, 300, values + m * count * d, 2, ks, TEST_COUNT(ks), 7};
        struct door door;

        test_case("%s: prepared, M %zu, %zu centroids, d %zu",
                  pqk_kernel_name(kernel), m, count, d);
        test_fill_codes((enum test_codes_kind)(s % TEST_CODES_KINDS), 300, m,
                        count, attacked, &random);
        fault = probing_open(&door, kernel, &shape);
        for (size_t n = 1; n <= 300 && !fault; n += n < 3 ? 1 : 97) {
            probe.num_vectors = n;
            fault = probing_prepared(&door, &probe);
        }
        probing_close(&door);
        free(attacked);
        free(values);
    }
    return fault;
}

static void test_kernel(const pqk_kernel *kernel)
{
    const struct {
        const char *name;
        const char *(*run)(const pqk_kernel *);
    } tests[] = {{"golden results", search},
                 {"golden recall, 423 of 640", golden_recall},
                 {"row-major codes equal the reference", attack_rows},
                 {"prepared codes equal the reference", attack_prepared}};

    for (size_t i = 0; i < TEST_COUNT(tests); i++) {
        char name[100];

        snprintf(name, sizeof name, "%s: %s", pqk_kernel_name(kernel),
                 tests[i].name);
        report(name, tests[i].run(kernel));
    }
}

int main(void)
{
    char *folder;

    printf("# libpqkern %s\n", pqk_version());
    test_print_variants();
    folder = test_folder("selftest");
    report("expected variants", test_missing_variants());
    report("training gives the golden codebook", train());
    report("encoding gives the golden codes", encode());
    report("vector files are little-endian", vector_file(folder));
    for (size_t v = 0; v < test_variant_count(); v++)
        test_kernel(test_variant(v));
    test_remove_folder(folder);
    free(vectors);
    printf("1..%u\n%u passed, %u failed\n", passed + failed, passed, failed);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
