/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The index file: the same bytes from every variant, read back by every other;
 * cut short, altered or invented files are refused.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checked.h"

static char *folder;

static void make_folder(void)
{
    folder = test_folder("check_index");
}

static void remove_folder(void)
{
    test_remove_folder(folder);
}

/* ------------------------------------------------------------------------ */
/* A file as it is documented, put together here                             */

struct bytes {
    unsigned char data[4096];
    size_t size;
};

static void put(struct bytes *bytes, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        bytes->data[bytes->size++] = (unsigned char)(value >> 8 * i);
}

struct contents {
    uint32_t M, K, d, num_partitions;
    uint64_t sizes[4];
    size_t num_sizes;  /* written */
    size_t num_values; /* centroids written */
    size_t num_codes;  /* bytes written */
    uint8_t code;      /* the last code; the others count up below 3 */
};

static const float first_value = 1.5f;

static void put_contents(struct bytes *bytes, const struct contents *contents)
{
    static const unsigned char magic[8] = {'p', 'q', 'k', 'e', 'r', 'n', 0, 1};

    bytes->size = 0;
    for (size_t i = 0; i < sizeof magic; i++)
        put(bytes, magic[i], 1);
    put(bytes, contents->M, 4);
    put(bytes, contents->K, 4);
    put(bytes, contents->d, 4);
    put(bytes, contents->num_partitions, 4);
    for (size_t i = 0; i < contents->num_sizes; i++)
        put(bytes, contents->sizes[i], 8);
    for (size_t i = 0; i < contents->num_values; i++)
        put(bytes, test_bits(first_value + (float)i), 4);
    for (size_t i = 0; i + 1 < contents->num_codes; i++)
        put(bytes, i % 3, 1);
    if (contents->num_codes > 0)
        put(bytes, contents->code, 1);
    put(bytes, test_fnv(TEST_FNV_BASIS, bytes->data, bytes->size), 8);
}

/* Two sub-vectors, three centroids, two dimensions; partitions of 4, 0, 3. */
static const struct contents good = {2, 3, 2, 3, {4, 0, 3, 0}, 3, 12, 14, 2};

static pqk_index *good_index(const pqk_kernel *kernel)
{
    float centroids[12];
    uint8_t codes[14];
    pqk_codebook codebook = {2, 3, 2, centroids};
    pqk_index *index = NULL;

    for (size_t i = 0; i < 12; i++)
        centroids[i] = first_value + (float)i;
    for (size_t i = 0; i < 14; i++)
        codes[i] = (uint8_t)(i % 3);
    codes[13] = good.code;
    CHECK_OK(pqk_index_create(&codebook, kernel, &index));
    CHECK_OK(pqk_index_add(index, codes, 4));
    CHECK_OK(pqk_index_add(index, NULL, 0));
    CHECK_OK(pqk_index_add(index, codes + 8, 3));
    return index;
}

static void check_bytes(const char *path, const struct bytes *expected)
{
    size_t size = 0;
    unsigned char *found = test_read_file(path, &size);

    CHECK_THAT(found, "no file");
    CHECK_THAT(size == expected->size, "%zu bytes, not %zu", size,
               expected->size);
    for (size_t i = 0; i < size; i++)
        CHECK_THAT(found[i] == expected->data[i], "byte %zu is %02x, not %02x",
                   i, found[i], expected->data[i]);
    free(found);
}

START_TEST(test_documented_bytes)
{
    struct bytes expected;

    put_contents(&expected, &good);
    for (size_t v = 0; v < test_variant_count(); v++) {
        const char *path = test_path(folder, "good.pqk");
        pqk_index *index = good_index(test_variant(v)), *loaded = NULL;
        pqk_codebook seen;

        test_case("%s: documented bytes", pqk_kernel_name(test_variant(v)));
        CHECK_OK(pqk_index_save(index, path));
        check_bytes(path, &expected);
        test_write_file(path, expected.data, expected.size);
        CHECK_OK(pqk_index_load(path, test_variant(v), &loaded));
        CHECK_THAT(pqk_index_size(loaded) == 7 &&
                       pqk_index_partitions(loaded) == 3 &&
                       pqk_index_kernel(loaded) == test_variant(v) &&
                       pqk_index_bytes(loaded) == pqk_index_bytes(index),
                   "another index came back");
        seen = pqk_index_codebook(loaded);
        CHECK_THAT(memcmp(seen.centroids, pqk_index_codebook(index).centroids,
                          12 * sizeof(float)) == 0,
                   "other centroids");
        CHECK_THAT(test_count_files(folder) == 1, "files left over: %zu",
                   test_count_files(folder) - 1);
        pqk_index_free(loaded);
        pqk_index_free(index);
    }
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Round trips                                                               */

struct sizes {
    size_t M, K, d, partitions[3];
};

static const struct sizes round_trips[] = {
    {16, 256, 8, {300, 0, 1}}, {16, 256, 2, {2049, 64, 65}},
    {1, 1, 1, {1, 1, 1}},      {3, 17, 5, {33, 31, 0}},
    {255, 255, 1, {70, 7, 0}}, {256, 256, 1, {64, 0, 0}},
    {48, 16, 3, {0, 0, 0}}};

static pqk_index *random_index(const struct sizes *sizes,
                               const pqk_kernel *kernel)
{
    struct test_random random = {3};
    const size_t num_values = sizes->M * sizes->K * sizes->d;
    float *centroids = test_alloc(num_values * sizeof *centroids);
    pqk_codebook codebook = {sizes->M, sizes->K, sizes->d, centroids};
    pqk_index *index = NULL;

    for (size_t i = 0; i < num_values; i++)
        centroids[i] =
            i % 50 == 49 ? test_any_float(&random) : test_normal(&random);
    CHECK_OK(pqk_index_create(&codebook, kernel, &index));
    for (size_t p = 0; p < 3; p++) {
        uint8_t *codes = test_alloc(sizes->partitions[p] * sizes->M);

        test_fill_codes(TEST_CODES_UNIFORM, sizes->partitions[p], sizes->M,
                        sizes->K, codes, &random);
        CHECK_OK(pqk_index_add(index, codes, sizes->partitions[p]));
        free(codes);
    }
    free(centroids);
    return index;
}

static void compare_searches(const pqk_index *a, const pqk_index *b)
{
    struct test_random random = {4};
    const pqk_codebook codebook = pqk_index_codebook(a);
    const size_t dim = codebook.num_sub_vectors * codebook.sub_vector_dim;
    float *query = test_alloc(dim * sizeof *query);
    pqk_neighbor found[2][25];
    size_t counts[2];

    for (size_t i = 0; i < dim; i++)
        query[i] = test_normal(&random);
    CHECK_OK(pqk_index_search(a, query, 25, found[0], &counts[0]));
    CHECK_OK(pqk_index_search(b, query, 25, found[1], &counts[1]));
    CHECK_NO_FAULT(test_compare(found[0], counts[0], 0, found[1], counts[1]));
    free(query);
}

/* From one variant to another and back: bytes and results stay. */
static void check_round_trip(const struct sizes *sizes, const pqk_kernel *from,
                             const pqk_kernel *to)
{
    const char *first = test_path(folder, "first.pqk");
    const char *second = test_path(folder, "second.pqk");
    pqk_index *index = random_index(sizes, from), *loaded = NULL;
    unsigned char *bytes[2];
    size_t num_bytes[2] = {0, 0};

    test_case("%s to %s: round trip, M %zu, %zu centroids, d %zu",
              pqk_kernel_name(from), pqk_kernel_name(to), sizes->M, sizes->K,
              sizes->d);
    CHECK_OK(pqk_index_save(index, first));
    CHECK_OK(pqk_index_load(first, to, &loaded));
    CHECK_THAT(pqk_index_kernel(loaded) == to, "laid out for another");
    CHECK_OK(pqk_index_save(loaded, second));
    bytes[0] = test_read_file(first, &num_bytes[0]);
    bytes[1] = test_read_file(second, &num_bytes[1]);
    CHECK_THAT(num_bytes[0] == num_bytes[1] &&
                   memcmp(bytes[0], bytes[1], num_bytes[0]) == 0,
               "the files differ: %zu and %zu bytes", num_bytes[0],
               num_bytes[1]);
    compare_searches(index, loaded);
    free(bytes[0]);
    free(bytes[1]);
    pqk_index_free(loaded);
    pqk_index_free(index);
}

START_TEST(test_round_trips)
{
    for (size_t from = 0; from < test_variant_count(); from++)
        for (size_t to = 0; to < test_variant_count(); to++)
            check_round_trip(&round_trips[_i], test_variant(from),
                             test_variant(to));
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Files that are none                                                       */

static pqk_status load(const struct bytes *bytes)
{
    const char *path = test_path(folder, "bad.pqk");
    pqk_index *index = NULL;
    pqk_status status;

    test_write_file(path, bytes->data, bytes->size);
    status = pqk_index_load(path, NULL, &index);
    CHECK_THAT(status == PQK_OK || !index, "a failure touched the index");
    pqk_index_free(index);
    return status;
}

START_TEST(test_truncated)
{
    struct bytes bytes;

    put_contents(&bytes, &good);
    CHECK_OK(load(&bytes));
    while (bytes.size-- > 0) {
        test_case("cut to %zu bytes", bytes.size);
        CHECK_STATUS(load(&bytes), PQK_BAD_FILE);
    }
}
END_TEST

START_TEST(test_left_over)
{
    struct bytes bytes;

    put_contents(&bytes, &good);
    for (size_t more = 1; more < 40; more++) {
        test_case("%zu bytes left over", more);
        bytes.data[bytes.size++] = more % 2 ? 0 : 0xff;
        CHECK_STATUS(load(&bytes), PQK_BAD_FILE);
    }
}
END_TEST

/* FNV-1a sees every change of one byte. */
START_TEST(test_flipped)
{
    static const unsigned char flips[] = {1,  2,  4,   8,    16,
                                          32, 64, 128, 0xff, 0x55};
    struct bytes bytes;

    put_contents(&bytes, &good);
    for (size_t at = 0; at < bytes.size; at++)
        for (size_t f = 0; f < TEST_COUNT(flips); f++) {
            pqk_status status;

            test_case("byte %zu altered by %02x", at, flips[f]);
            bytes.data[at] ^= flips[f];
            status = load(&bytes);
            CHECK_THAT(status == PQK_BAD_FILE || status == PQK_OUT_OF_MEMORY,
                       "status %d", (int)status);
            bytes.data[at] ^= flips[f];
        }
}
END_TEST

/* The checksum is right: the header's promises themselves are checked. */
START_TEST(test_invented)
{
    static const struct contents invented[] = {
        {0, 3, 2, 3, {4, 0, 3}, 3, 0, 0, 0},
        {257, 3, 2, 1, {0}, 1, 257 * 3, 0, 0},
        {0xffffffff, 3, 2, 3, {4, 0, 3}, 3, 12, 14, 2},
        {2, 0, 2, 3, {4, 0, 3}, 3, 0, 14, 2},
        {2, 257, 1, 0, {0}, 0, 514, 0, 0},
        {2, 0xffffffff, 2, 3, {4, 0, 3}, 3, 12, 14, 2},
        {2, 3, 0, 3, {4, 0, 3}, 3, 0, 14, 2},
        {2, 3, 0xffffffff, 3, {4, 0, 3}, 3, 12, 14, 2},
        {2, 3, 0x80000000, 3, {4, 0, 3}, 3, 12, 14, 2},
        {256, 256, 0xffffffff, 3, {4, 0, 3}, 3, 12, 14, 2},
        {2, 3, 2, 0xffffffff, {4, 0, 3}, 3, 12, 14, 2},
        {2, 3, 2, 0x20000000, {4, 0, 3}, 3, 12, 14, 2},
        {2, 3, 2, 4, {4, 0, 3}, 3, 12, 14, 2},
        {2, 3, 2, 2, {4, 0, 3}, 3, 12, 14, 2},
        {2, 3, 2, 0, {0}, 0, 12, 14, 2},
        {2, 3, 2, 3, {UINT64_MAX, 0, 3}, 3, 12, 14, 2},
        {2, 3, 2, 3, {UINT64_MAX / 2, 0, 3}, 3, 12, 14, 2},
        {2, 3, 2, 3, {UINT64_C(1) << 63, UINT64_C(1) << 63, 7}, 3, 12, 14, 2},
        {2, 3, 2, 3, {UINT64_C(1) << 32, 0, 3}, 3, 12, 14, 2},
        {2, 3, 2, 3, {4, 0, 4}, 3, 12, 14, 2},
        {2, 3, 2, 3, {4, 0, 2}, 3, 12, 14, 2},
        {2, 3, 2, 3, {4, 0, 3}, 3, 12, 14, 3}, /* a code beyond */
        {2, 3, 2, 3, {4, 0, 3}, 3, 12, 14, 255}};
    struct bytes bytes;

    for (size_t i = 0; i < TEST_COUNT(invented); i++) {
        pqk_status status;

        test_case("invented file %zu", i);
        put_contents(&bytes, &invented[i]);
        status = load(&bytes);
        CHECK_THAT(status == PQK_BAD_FILE || status == PQK_OUT_OF_MEMORY,
                   "status %d", (int)status);
    }
}
END_TEST

/* Another program's file, or another version's, with a checksum that fits. */
START_TEST(test_magic)
{
    for (size_t at = 0; at < 8; at++) {
        struct bytes bytes;

        test_case("magic byte %zu altered", at);
        put_contents(&bytes, &good);
        bytes.data[at]++;
        bytes.size -= 8;
        put(&bytes, test_fnv(TEST_FNV_BASIS, bytes.data, bytes.size), 8);
        CHECK_STATUS(load(&bytes), PQK_BAD_FILE);
    }
}
END_TEST

START_TEST(test_no_file)
{
    pqk_index *index = NULL;

    test_case("a file that is not there");
    errno = 0;
    CHECK_STATUS(pqk_index_load(test_path(folder, "none"), NULL, &index),
                 PQK_IO_ERROR);
    CHECK_THAT(errno == ENOENT, "errno %d", errno);
    test_case("a folder");
    CHECK_THAT(pqk_index_load(folder, NULL, &index) != PQK_OK, "success");
    test_case("a device");
    CHECK_STATUS(pqk_index_load("/dev/null", NULL, &index), PQK_BAD_FILE);
    CHECK_THAT(!index, "a failure touched the index");
}
END_TEST

/* A variant that cannot run here does not load. */
START_TEST(test_unavailable)
{
    struct bytes bytes;

    put_contents(&bytes, &good);
    test_write_file(test_path(folder, "good.pqk"), bytes.data, bytes.size);
    for (size_t i = 0; i < pqk_kernel_count(); i++) {
        const pqk_kernel *kernel = pqk_kernel_at(i);
        pqk_index *index = NULL;

        test_case("load for %s", pqk_kernel_name(kernel));
        CHECK_STATUS(
            pqk_index_load(test_path(folder, "good.pqk"), kernel, &index),
            pqk_kernel_available(kernel) ? PQK_OK : PQK_KERNEL_UNAVAILABLE);
        pqk_index_free(index);
    }
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Saving that fails, and what it leaves                                     */

START_TEST(test_save_nowhere)
{
    pqk_index *index = good_index(NULL);

    test_case("save into a folder that is not there");
    errno = 0;
    CHECK_STATUS(pqk_index_save(index, test_path(folder, "none/x")),
                 PQK_IO_ERROR);
    CHECK_THAT(errno == ENOENT, "errno %d", errno);
    test_case("save over a folder");
    CHECK_THAT(mkdir(test_path(folder, "sub"), 0777) == 0, "no folder");
    errno = 0;
    CHECK_STATUS(pqk_index_save(index, test_path(folder, "sub")), PQK_IO_ERROR);
    CHECK_THAT(errno == EISDIR || errno == EEXIST, "errno %d", errno);
    CHECK_THAT(test_count_files(folder) == 1, "a temporary file is left");
    pqk_index_free(index);
}
END_TEST

/* Not for root, who may write anywhere. */
START_TEST(test_save_unwritable)
{
    pqk_index *index = good_index(NULL);

    test_case("save into a folder without permission");
    if (geteuid() != 0) {
        CHECK_THAT(chmod(folder, 0500) == 0, "chmod");
        errno = 0;
        CHECK_STATUS(pqk_index_save(index, test_path(folder, "x")),
                     PQK_IO_ERROR);
        CHECK_THAT(errno == EACCES, "errno %d", errno);
        CHECK_THAT(chmod(folder, 0700) == 0, "chmod");
    }
    pqk_index_free(index);
}
END_TEST

/* A full disk, as far as the library can tell. */
START_TEST(test_save_full)
{
    const struct rlimit limit = {50, 50};
    const char *path = test_path(folder, "kept.pqk");
    pqk_index *index = good_index(NULL);
    struct bytes kept;

    test_case("save when the disk is full");
    put_contents(&kept, &good);
    test_write_file(path, kept.data, kept.size);
    signal(SIGXFSZ, SIG_IGN);
    CHECK_THAT(setrlimit(RLIMIT_FSIZE, &limit) == 0, "no limit");
    errno = 0;
    CHECK_STATUS(pqk_index_save(index, path), PQK_IO_ERROR);
    CHECK_THAT(errno == EFBIG, "errno %d", errno);
    CHECK_THAT(test_count_files(folder) == 1, "a temporary file is left");
    check_bytes(path, &kept);
    pqk_index_free(index);
}
END_TEST

START_TEST(test_save_over)
{
    const char *path = test_path(folder, "over.pqk");
    pqk_index *index = good_index(NULL);
    struct bytes expected;
    struct stat info;

    test_case("save over a file, with the usual mode");
    put_contents(&expected, &good);
    test_write_file(path, "longer than nothing", 19);
    umask(027);
    CHECK_OK(pqk_index_save(index, path));
    check_bytes(path, &expected);
    CHECK_THAT(stat(path, &info) == 0 && (info.st_mode & 0777) == 0640,
               "mode %o", (unsigned)info.st_mode);
    CHECK_THAT(test_count_files(folder) == 1, "a temporary file is left");
    pqk_index_free(index);
}
END_TEST

static void add_file_case(Suite *suite, const char *name, const TTest *test,
                          int end)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 20);
    tcase_add_checked_fixture(tcase, make_folder, remove_folder);
    tcase_add_loop_test(tcase, test, 0, end);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("index");

    test_print_variants();
    add_file_case(suite, "documented bytes", test_documented_bytes, 1);
    add_file_case(suite, "round trips", test_round_trips,
                  (int)TEST_COUNT(round_trips));
    add_file_case(suite, "truncated", test_truncated, 1);
    add_file_case(suite, "left over", test_left_over, 1);
    add_file_case(suite, "flipped", test_flipped, 1);
    add_file_case(suite, "invented", test_invented, 1);
    add_file_case(suite, "magic", test_magic, 1);
    add_file_case(suite, "no file", test_no_file, 1);
    add_file_case(suite, "unavailable", test_unavailable, 1);
    add_file_case(suite, "save nowhere", test_save_nowhere, 1);
    add_file_case(suite, "save unwritable", test_save_unwritable, 1);
    add_file_case(suite, "save full", test_save_full, 1);
    add_file_case(suite, "save over", test_save_over, 1);
    return run_suite(suite);
}
