/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Where data comes from: generators, exact truth, folders, cache, codebook. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "checked.h"
#include "scratch.h"

#include "harness/fixture.h"
#include "harness/random.h"
#include "harness/reference.h"
#include "harness/seeded.h"
#include "harness/sha256.h"
#include "harness/store.h"
#include "harness/synthetic.h"
#include "harness/truth.h"
#include "library/quantizer.h"

#include <dirent.h>
#include <fcntl.h>

#define M PQH_SUB_VECTORS

/* ------------------------------------------------------------------------ */
/* Helpers                                                                  */

/* The small set that most cases load: 300 rows, 7 queries, 260 to learn from,
 * all 32 wide, integers with ties among the distances. */
enum { BASE = 300, QUERIES = 7, LEARN = 260, DIM = 32 };
static float base[BASE][DIM], queries[QUERIES][DIM], learn[LEARN][DIM];

static void make_rows(float *rows, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++)
        rows[i] = (float)(pqh_random_next(&seed) % 5);
}

static void write_floats(const char *name, const float *rows, size_t num_rows)
{
    struct pqf_error err;

    ck_assert_int_eq(
        pqh_vecs_store(scratch(name), PQF_FVECS, rows, num_rows, DIM, &err), 0);
}

static void set_up(void)
{
    setenv("XDG_CACHE_HOME", scratch("cache"), 1);
    setenv("HOME", scratch("home"), 1);
    unsetenv("PQKERN_DATA");
    make_rows(base[0], sizeof base / sizeof(float), 1);
    make_rows(queries[0], sizeof queries / sizeof(float), 2);
    make_rows(learn[0], sizeof learn / sizeof(float), 3);
    mkdir(scratch("tiny"), 0777);
    write_floats("tiny/t_base.fvecs", base[0], BASE);
    write_floats("tiny/t_query.fvecs", queries[0], QUERIES);
    write_floats("tiny/t_learn.fvecs", learn[0], LEARN);
    scratch_write(scratch("tiny/._t_base.fvecs"), "hidden", 6);
}

static int load_sized(const char *source, size_t num_base, size_t num_queries,
                      size_t k, struct pqh_fixture *fixture,
                      struct pqf_error *err)
{
    struct pqh_request request = {source, num_base, num_queries, k};

    return pqh_fixture_load(&request, fixture, err);
}

/* Load the small set, which must work, and keep what was said on standard
 * error. */
static char said[4096];

static void load_tiny(struct pqh_fixture *fixture)
{
    struct pqf_error err = {""};
    int keep = dup(2);
    int fd = open(scratch("stderr"), O_RDWR | O_CREAT | O_TRUNC, 0666);
    int result;

    dup2(fd, 2);
    result = load_sized(scratch("tiny"), 0, 0, 10, fixture, &err);
    dup2(keep, 2);
    close(keep);
    close(fd);
    scratch_read(scratch("stderr"), said, sizeof said);
    ck_assert_msg(result == 0, "%s", err.text);
}

/* A request that must fail with both of these in the message. */
static void refuse(const char *source, size_t num_base, size_t num_queries,
                   const char *first, const char *second)
{
    struct pqh_fixture fixture;
    struct pqf_error err = {""};

    ck_assert_int_eq(
        load_sized(source, num_base, num_queries, 10, &fixture, &err), -1);
    ck_assert_msg(strstr(err.text, first) != NULL && strstr(err.text, second),
                  "no '%s' or no '%s' in: %s", first, second, err.text);
    ck_assert_ptr_null(fixture.codes);
    ck_assert_ptr_null(fixture.queries);
    ck_assert_ptr_null(fixture.truth);
    ck_assert_ptr_null(fixture.centroids);
}

/* The path of the only file in the cache whose name begins so. */
static const char *cached(const char *start)
{
    static char path[PATH_MAX];
    char folder[PATH_MAX] = "";
    const struct dirent *entry;
    DIR *root = opendir(scratch("cache/pqkern"));

    ck_assert_ptr_nonnull(root);
    while ((entry = readdir(root)) != NULL)
        if (strncmp(entry->d_name, "tiny-", 5) == 0)
            snprintf(folder, sizeof folder, "%s/%s", scratch("cache/pqkern"),
                     entry->d_name);
    closedir(root);
    root = opendir(folder);
    ck_assert_ptr_nonnull(root);
    path[0] = '\0';
    while ((entry = readdir(root)) != NULL)
        if (strncmp(entry->d_name, start, strlen(start)) == 0 &&
            strstr(entry->d_name, ".sha256") == NULL)
            ck_assert_int_lt(
                snprintf(path, sizeof path, "%s/%s", folder, entry->d_name),
                PATH_MAX);
    closedir(root);
    ck_assert_msg(path[0] != '\0', "no %s* in %s", start, folder);
    return path;
}

static void flip_byte(const char *path, long at)
{
    FILE *file = fopen(path, "r+");
    int c;

    ck_assert_ptr_nonnull(file);
    fseek(file, at, SEEK_SET);
    c = fgetc(file);
    fseek(file, at, SEEK_SET);
    fputc(c ^ 1, file);
    fclose(file);
}

static void hash(const void *data, size_t length, char hex[PQH_SHA256_HEX])
{
    struct pqh_sha256 sha;

    pqh_sha256_begin(&sha);
    pqh_sha256_add(&sha, data, length);
    pqh_sha256_end(&sha, hex);
}

/* Of little-endian float32, so that all machines have the same bytes. */
static void hash_floats(const float *values, size_t count,
                        char hex[PQH_SHA256_HEX])
{
    struct pqh_sha256 sha;

    pqh_sha256_begin(&sha);
    for (size_t i = 0; i < count; i++) {
        unsigned char bytes[4];
        uint32_t bits;

        memcpy(&bits, &values[i], sizeof bits);
        for (int b = 0; b < 4; b++)
            bytes[b] = (unsigned char)(bits >> (8 * b));
        pqh_sha256_add(&sha, bytes, sizeof bytes);
    }
    pqh_sha256_end(&sha, hex);
}

static size_t count_hits(const struct pqh_fixture *fixture)
{
    static float entries[M * PQK_TABLE_STRIDE];
    pqk_neighbor found[10];
    size_t hits = 0;

    for (size_t q = 0; q < fixture->num_queries; q++) {
        size_t count;

        pqh_reference_table(fixture->queries + q * fixture->dim,
                            &fixture->codebook, entries);
        count = pqh_reference_probe(entries, M, fixture->codes,
                                    fixture->num_base, 10, found);
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < 10; j++)
                hits += found[i].id == fixture->truth[q * fixture->truth_k + j];
    }
    return hits;
}

/* By definition: the k nearest of some rows, one after the other. */
static void plain_truth(const float *rows, size_t num_rows, const float *query,
                        size_t dim, size_t k, uint32_t *ids)
{
    float *distances = malloc(num_rows * sizeof *distances);

    ck_assert_ptr_nonnull(distances);
    for (size_t i = 0; i < num_rows; i++) {
        distances[i] = 0.0f;
        for (size_t d = 0; d < dim; d++) {
            float difference = query[d] - rows[i * dim + d];

            distances[i] += difference * difference;
        }
    }
    for (size_t n = 0; n < k; n++) {
        size_t best = num_rows;

        for (size_t i = 0; i < num_rows; i++)
            if (distances[i] >= 0.0f &&
                (best == num_rows || distances[i] < distances[best]))
                best = i;
        ids[n] = (uint32_t)best;
        distances[best] = -1.0f;
    }
    free(distances);
}

static void check_tiny_truth(const struct pqh_fixture *fixture)
{
    uint32_t expected[10];

    for (size_t q = 0; q < fixture->num_queries; q++) {
        plain_truth(base[0], fixture->num_base, queries[q], DIM, 10, expected);
        ck_assert_mem_eq(fixture->truth + q * fixture->truth_k, expected,
                         sizeof expected);
    }
}

/* ------------------------------------------------------------------------ */
/* Generators                                                               */

/* The golden number: 423 of 640. */
START_TEST(test_seed)
{
    struct pqh_fixture fixture;
    struct pqf_error err;

    ck_assert_int_eq(load_sized("seed", 0, 0, 32, &fixture, &err), 0);
    ck_assert_str_eq(fixture.source, "seed");
    ck_assert_uint_eq(fixture.num_base, 1024);
    ck_assert_uint_eq(fixture.num_queries, 64);
    ck_assert_uint_eq(fixture.truth_k, 32);
    ck_assert_uint_eq(fixture.dim, 128);
    ck_assert_uint_eq(count_hits(&fixture), 423);
    pqh_fixture_free(&fixture);
    refuse("seed", 1025, 0, "1024 base rows", "synthetic");
    refuse("seed", 0, 65, "64 queries", "synthetic");
}
END_TEST

/* Slow under an emulator, and the same everywhere. */
START_TEST(test_seed_part)
{
    struct pqh_fixture whole, part;
    struct pqf_error err;

    if (test_scale() < 1.0)
        return;
    ck_assert_int_eq(load_sized("seed", 0, 0, 10, &whole, &err), 0);
    ck_assert_int_eq(load_sized("seed", 5, 3, 10, &part, &err), 0);
    ck_assert_uint_eq(part.num_base, 5);
    ck_assert_uint_eq(part.num_queries, 3);
    ck_assert_uint_eq(part.truth_k, 5);
    ck_assert_mem_eq(part.codes, whole.codes, 5 * M);
    ck_assert_mem_eq(part.queries, whole.queries, 3 * 128 * sizeof(float));
    pqh_fixture_free(&whole);
    pqh_fixture_free(&part);
}
END_TEST

/* Row i is the same whatever rows are made with it. */
START_TEST(test_synthetic_prefix)
{
    static float all[300 * PQH_SYNTHETIC_DIM], one[PQH_SYNTHETIC_DIM];
    struct pqh_synthetic *synthetic = pqh_synthetic_create(7);

    ck_assert_ptr_nonnull(synthetic);
    pqh_synthetic_rows(synthetic, PQH_SYNTHETIC_BASE, 1000000000000u, 300, all);
    for (size_t i = 0; i < 300; i += 13) {
        pqh_synthetic_rows(synthetic, PQH_SYNTHETIC_BASE, 1000000000000u + i, 1,
                           one);
        ck_assert_mem_eq(one, all + i * PQH_SYNTHETIC_DIM, sizeof one);
    }
    for (size_t i = PQH_SYNTHETIC_DIM; i < TEST_COUNT(all);
         i += PQH_SYNTHETIC_DIM)
        ck_assert_mem_ne(all + i, all + i - PQH_SYNTHETIC_DIM, sizeof one);
    for (size_t i = 0; i < TEST_COUNT(all); i++)
        ck_assert(all[i] >= 0.0f && all[i] <= 255.0f &&
                  all[i] == (float)(int)all[i]);
    pqh_synthetic_free(synthetic);
}
END_TEST

/* The same bits on every machine: rows of each kind, and their codes. */
START_TEST(test_synthetic_bits)
{
    static const char *const expected[] = {
        [PQH_SYNTHETIC_BASE] =
            "5e880b5521f226b8c7675af769e652b0cdda41af902c36615283808e78a09f66",
        [PQH_SYNTHETIC_LEARN] =
            "cd5102e2daf25d8b0c94eb31094b95c1bbd9de3db851aba20b3e9d29c6d872ae",
        [PQH_SYNTHETIC_QUERY] =
            "581562e73e7d297f5828b682ebb6c7d4bf0dc0fdd09c082a5d84847ae53d429b",
    };
    static float rows[512 * PQH_SYNTHETIC_DIM];
    static float centroids[256 * PQH_SYNTHETIC_DIM];
    static uint8_t codes[512 * M];
    pqk_codebook codebook = {M, 256, PQH_SYNTHETIC_DIM / M, centroids};
    struct pqh_synthetic *synthetic = pqh_synthetic_create(1);
    char hex[PQH_SHA256_HEX];

    ck_assert_ptr_nonnull(synthetic);
    for (int kind = PQH_SYNTHETIC_BASE; kind <= PQH_SYNTHETIC_QUERY; kind++) {
        pqh_synthetic_rows(synthetic, (enum pqh_synthetic_kind)kind, 0, 512,
                           rows);
        hash_floats(rows, TEST_COUNT(rows), hex);
        ck_assert_str_eq(hex, expected[kind]);
    }
    pqh_synthetic_free(synthetic);
    CHECK_OK(pqk_train_codebook(rows, 512, &codebook, 3, 1, WITH_THREADS(2),
                                centroids));
    CHECK_OK(pqk_encode(&codebook, rows, 512, WITH_THREADS(2), codes));
    hash(codes, sizeof codes, hex);
    ck_assert_str_eq(
        hex,
        "a1fa89290b8d449d5df0ed9348e6c85e90ab086c6a19b3dac217fa9ca4f30c2d");
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Truth                                                                    */

/* Shapes around the edges of tiles and pairs, in blocks out of order. */
START_TEST(test_truth)
{
    static const size_t shapes[][4] = {/* rows, queries, dim, k */
                                       {1, 1, 1, 1},     {15, 2, 3, 15},
                                       {16, 3, 4, 5},    {17, 5, 31, 17},
                                       {100, 9, 16, 10}, {257, 4, 128, 100}};
    size_t n = shapes[_i][0], q = shapes[_i][1], dim = shapes[_i][2];
    size_t k = shapes[_i][3], half = n / 2;
    float *rows = malloc((n + q) * dim * sizeof *rows);
    uint32_t *ids = malloc(q * k * sizeof *ids), expected[100];
    struct pqh_truth *truth;
    struct pqf_error err;

    ck_assert_ptr_nonnull(rows);
    ck_assert_ptr_nonnull(ids);
    make_rows(rows, (n + q) * dim, (uint64_t)_i);
    ck_assert_int_eq(pqh_truth_begin(rows + n * dim, q, dim, k, &truth, &err),
                     0);
    pqh_truth_add(truth, rows + half * dim, n - half, (uint32_t)half);
    pqh_truth_add(truth, rows, half, 0);
    pqh_truth_take(truth, ids);
    for (size_t i = 0; i < q; i++) {
        plain_truth(rows, n, rows + (n + i) * dim, dim, k, expected);
        ck_assert_mem_eq(ids + i * k, expected, k * sizeof *ids);
    }
    pqh_truth_free(truth);
    free(rows);
    free(ids);
}
END_TEST

/* Sums that no float32 holds, and those that are infinite, keep an order. */
START_TEST(test_truth_extremes)
{
    static const float rows[] = {3e38f, 1e20f, -3e38f, 0.0f, 1e-30f, 1e19f};
    static const float query[] = {0.0f};
    static const uint32_t expected[] = {3, 4, 5, 0, 1, 2};
    struct pqh_truth *truth;
    struct pqf_error err;
    uint32_t ids[6];

    ck_assert_int_eq(pqh_truth_begin(query, 1, 1, 6, &truth, &err), 0);
    pqh_truth_add(truth, rows, 6, 0);
    pqh_truth_take(truth, ids);
    ck_assert_mem_eq(ids, expected, sizeof ids);
    pqh_truth_free(truth);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Folders and the cache                                                    */

START_TEST(test_any_folder)
{
    struct pqh_fixture fixture, again;
    struct pqf_error err;

    load_tiny(&fixture);
    ck_assert_str_eq(said, "");
    ck_assert_str_eq(fixture.source, "tiny");
    ck_assert_uint_eq(fixture.num_base, BASE);
    ck_assert_uint_eq(fixture.num_queries, QUERIES);
    ck_assert_uint_eq(fixture.dim, DIM);
    ck_assert_uint_eq(fixture.codebook.num_sub_vectors, M);
    ck_assert_uint_eq(fixture.codebook.sub_vector_dim, 2);
    ck_assert_ptr_eq(fixture.codebook.centroids, fixture.centroids);
    ck_assert_mem_eq(fixture.queries, queries, sizeof queries);
    check_tiny_truth(&fixture);
    ck_assert_uint_ge(count_hits(&fixture), 50);
    load_tiny(&again);
    ck_assert_str_eq(said, "");
    ck_assert_mem_eq(again.codes, fixture.codes, BASE * M);
    ck_assert_mem_eq(again.truth, fixture.truth,
                     QUERIES * fixture.truth_k * sizeof(uint32_t));
    pqh_fixture_free(&again);
    ck_assert_int_eq(load_sized(scratch("tiny/"), 100, 3, 20, &again, &err), 0);
    ck_assert_uint_eq(again.truth_k, 20);
    ck_assert_uint_eq(again.num_queries, 3);
    ck_assert_mem_eq(again.codes, fixture.codes, 100 * M);
    again.truth_k = 20;
    check_tiny_truth(&again);
    pqh_fixture_free(&again);
    pqh_fixture_free(&fixture);
    refuse(scratch("tiny"), BASE + 1, 0, "tiny has 300 base rows", "301");
    refuse(scratch("tiny"), 0, QUERIES + 1, "tiny has 7 queries", "8");
}
END_TEST

/* What the cache holds is what is loaded, without the base. */
START_TEST(test_cache_is_used)
{
    static uint8_t codes[BASE * M];
    static int32_t truth[QUERIES * 100];
    struct pqh_fixture fixture;
    struct pqf_error err;

    load_tiny(&fixture);
    pqh_fixture_free(&fixture);
    codes[5] = 77;
    truth[105] = 33;
    ck_assert_int_eq(
        pqh_vecs_store(cached("codes-"), PQF_BVECS, codes, BASE, M, &err), 0);
    ck_assert_int_eq(
        pqh_vecs_store(cached("truth-"), PQF_IVECS, truth, QUERIES, 100, &err),
        0);
    load_tiny(&fixture);
    ck_assert_mem_eq(fixture.codes, codes, sizeof codes);
    ck_assert_uint_eq(fixture.truth[fixture.truth_k + 5], 33);
    pqh_fixture_free(&fixture);
}
END_TEST

/* Damaged codes, or truth, are named and computed again. */
START_TEST(test_cache_damage)
{
    static const char *const starts[] = {"codes-", "truth-"};
    char path[PATH_MAX];
    struct pqh_fixture good, fixture;

    load_tiny(&good);
    snprintf(path, sizeof path, "%s", cached(starts[_i % 2]));
    if (_i < 2)
        flip_byte(path, 100);
    else
        ck_assert_int_eq(truncate(path, 100), 0);
    load_tiny(&fixture);
    ck_assert_msg(strstr(said, path) != NULL, "said: %s", said);
    ck_assert_ptr_nonnull(strstr(said, "computed again"));
    ck_assert_mem_eq(fixture.codes, good.codes, BASE * M);
    check_tiny_truth(&fixture);
    pqh_fixture_free(&fixture);
    load_tiny(&fixture);
    ck_assert_str_eq(said, "");
    pqh_fixture_free(&fixture);
    pqh_fixture_free(&good);
}
END_TEST

/* A frozen codebook that changed is an error, not a new codebook. */
START_TEST(test_codebook_change)
{
    char path[PATH_MAX], checksum[PATH_MAX + 8];
    struct pqh_fixture fixture;

    load_tiny(&fixture);
    pqh_fixture_free(&fixture);
    snprintf(path, sizeof path, "%s", cached("codebook"));
    snprintf(checksum, sizeof checksum, "%s.sha256", path);
    flip_byte(path, 1001);
    refuse(scratch("tiny"), 0, 0, path, "frozen");
    flip_byte(path, 1001);
    load_tiny(&fixture);
    pqh_fixture_free(&fixture);
    ck_assert_int_eq(unlink(checksum), 0);
    refuse(scratch("tiny"), 0, 0, checksum, "frozen");
    ck_assert_int_eq(unlink(path), 0);
    load_tiny(&fixture);
    pqh_fixture_free(&fixture);
}
END_TEST

/* A codebook beside the data is taken, and must fit. */
START_TEST(test_codebook_in_folder)
{
    static float centroids[M * 256 * 2];
    struct pqh_fixture fixture;
    struct pqf_error err;
    const char *path = scratch("tiny/t_codebook.fvecs");

    make_rows(centroids, TEST_COUNT(centroids), 9);
    ck_assert_int_eq(
        pqh_vecs_store(path, PQF_FVECS, centroids, M * 256, 2, &err), 0);
    load_tiny(&fixture);
    ck_assert_mem_eq(fixture.centroids, centroids, sizeof centroids);
    pqh_fixture_free(&fixture);
    /* Neither codes nor truth can be written: that is said once. */
    scratch_write(scratch("file"), "", 0);
    setenv("XDG_CACHE_HOME", scratch("file"), 1);
    load_tiny(&fixture);
    ck_assert_msg(strchr(said, '\n') == said + strlen(said) - 1, "%s", said);
    pqh_fixture_free(&fixture);
    ck_assert_int_eq(
        pqh_vecs_store(path, PQF_FVECS, centroids, M * 128, 4, &err), 0);
    refuse(scratch("tiny"), 0, 0, "2048 rows of width 4", path);
}
END_TEST

START_TEST(test_cache_cannot_be_written)
{
    struct pqh_fixture good, fixture;
    const char *line;

    load_tiny(&good);
    scratch_write(scratch("file"), "", 0);
    setenv("XDG_CACHE_HOME", scratch("file"), 1);
    load_tiny(&fixture);
    ck_assert_msg(strstr(said, "going on without a cache") != NULL, "%s", said);
    line = strchr(said, '\n');
    ck_assert_msg(line != NULL && line[1] == '\0', "%s", said);
    ck_assert_mem_eq(fixture.codes, good.codes, BASE * M);
    check_tiny_truth(&fixture);
    pqh_fixture_free(&fixture);
    unsetenv("XDG_CACHE_HOME");
    unsetenv("HOME");
    load_tiny(&fixture);
    ck_assert_msg(strstr(said, "neither XDG_CACHE_HOME nor HOME") != NULL, "%s",
                  said);
    pqh_fixture_free(&fixture);
    pqh_fixture_free(&good);
}
END_TEST

/* The folder of the data is only read, and new data has a cache of its own. */
START_TEST(test_data_changes)
{
    struct pqh_fixture first, second;
    struct stat before, after;

    ck_assert_int_eq(stat(scratch("tiny"), &before), 0);
    load_tiny(&first);
    ck_assert_int_eq(stat(scratch("tiny"), &after), 0);
    ck_assert(before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
              before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
    base[17][3] = 1000.0f;
    write_floats("tiny/t_base.fvecs", base[0], BASE);
    load_tiny(&second);
    check_tiny_truth(&second);
    ck_assert_mem_ne(first.codes + 17 * M, second.codes + 17 * M, M);
    ck_assert_mem_eq(first.codes, second.codes, 17 * M);
    pqh_fixture_free(&first);
    pqh_fixture_free(&second);
}
END_TEST

/* Without learn rows a sample of the base will do: here, all of it. */
START_TEST(test_sample)
{
    static float centroids[M * 256 * 2];
    pqk_codebook shape = {M, 256, 2, NULL};
    struct pqh_fixture fixture;

    ck_assert_int_eq(unlink(scratch("tiny/t_learn.fvecs")), 0);
    load_tiny(&fixture);
    CHECK_OK(pqk_train_codebook(base[0], BASE, &shape, 25,
                                UINT64_C(0x7071686B65726E01), WITH_THREADS(2),
                                centroids));
    ck_assert_mem_eq(fixture.centroids, centroids, sizeof centroids);
    pqh_fixture_free(&fixture);
}
END_TEST

/* More rows than one block has; slow under an emulator, and the same everywhere. */
START_TEST(test_blocks)
{
    enum { ROWS = 70000 };
    static float rows[ROWS * DIM], centroids[256 * DIM];
    static uint8_t codes[ROWS * M];
    pqk_codebook codebook = {M, 256, DIM / M, centroids};
    struct pqh_fixture fixture;
    struct pqf_error err;
    uint32_t expected[10];

    if (test_scale() < 1.0)
        return;
    make_rows(rows, TEST_COUNT(rows), 5);
    make_rows(centroids, TEST_COUNT(centroids), 6);
    write_floats("tiny/t_base.fvecs", rows, ROWS);
    ck_assert_int_eq(pqh_vecs_store(scratch("tiny/t_codebook.fvecs"), PQF_FVECS,
                                    centroids, M * 256, DIM / M, &err),
                     0);
    load_tiny(&fixture);
    ck_assert_uint_eq(fixture.num_base, ROWS);
    CHECK_OK(pqk_encode(&codebook, rows, ROWS, WITH_THREADS(2), codes));
    ck_assert_mem_eq(fixture.codes, codes, sizeof codes);
    for (size_t q = 0; q < QUERIES; q++) {
        plain_truth(rows, ROWS, queries[q], DIM, 10, expected);
        ck_assert_mem_eq(fixture.truth + q * fixture.truth_k, expected,
                         sizeof expected);
    }
    pqh_fixture_free(&fixture);
}
END_TEST

/* A truth that came with the data is believed if it can be right. */
START_TEST(test_truth_file)
{
    static int32_t truth[QUERIES + 1][20];
    const char *path = scratch("tiny/t_groundtruth.ivecs");
    struct pqh_fixture fixture;
    struct pqf_error err;

    for (int q = 0; q < QUERIES; q++)
        for (int i = 0; i < 20; i++)
            truth[q][i] = BASE - 1 - q - i;
    pqh_vecs_store(path, PQF_IVECS, truth, QUERIES, 20, &err);
    load_tiny(&fixture);
    for (size_t q = 0; q < QUERIES; q++)
        ck_assert_mem_eq(fixture.truth + q * fixture.truth_k, truth[q], 40);
    pqh_fixture_free(&fixture);
    ck_assert_int_eq(
        load_sized(scratch("tiny"), BASE - 1, 0, 10, &fixture, &err), 0);
    check_tiny_truth(&fixture);
    pqh_fixture_free(&fixture);
    ck_assert_int_eq(load_sized(scratch("tiny"), 0, 0, 21, &fixture, &err), 0);
    check_tiny_truth(&fixture);
    pqh_fixture_free(&fixture);

    pqh_vecs_store(path, PQF_IVECS, truth, QUERIES + 1, 20, &err);
    refuse(scratch("tiny"), 0, 0, path, "has 8 rows, but there are 7 queries");
    truth[4][2] = BASE;
    pqh_vecs_store(path, PQF_IVECS, truth, QUERIES, 20, &err);
    refuse(scratch("tiny"), 0, 0, path,
           "row 4: names row 300 of a base of 300");
    truth[4][2] = -1;
    pqh_vecs_store(path, PQF_IVECS, truth, QUERIES, 20, &err);
    refuse(scratch("tiny"), 0, 0, path, "row 4: names row -1");
    truth[4][2] = truth[4][9];
    pqh_vecs_store(path, PQF_IVECS, truth, QUERIES, 20, &err);
    refuse(scratch("tiny"), 0, 0, path, "row 4: the id 286 stands there twice");
}
END_TEST

START_TEST(test_bad_folder)
{
    struct pqf_error err;

    refuse(scratch("none"), 0, 0, "unknown source", "photos, synthetic");
    refuse(scratch("tiny/t_base.fvecs"), 0, 0, "unknown source", "folder");
    mkdir(scratch("bad"), 0777);
    refuse(scratch("bad"), 0, 0, "/bad", "*_base.fvecs");
    write_floats("bad/b_base.fvecs", base[0], BASE);
    refuse(scratch("bad"), 0, 0, "/bad", "*_query.fvecs");
    write_floats("bad/a_query.fvecs", queries[0], QUERIES);
    write_floats("bad/b_query.fvecs", queries[0], QUERIES);
    refuse(scratch("bad"), 0, 0, "a_query.fvecs", "b_query.fvecs");
    unlink(scratch("bad/a_query.fvecs"));
    pqh_vecs_store(scratch("bad/b_query.fvecs"), PQF_FVECS, queries, 1, 16,
                   &err);
    refuse(scratch("bad"), 0, 0, "b_query.fvecs: the width is 16",
           "b_base.fvecs has 32");
    pqh_vecs_store(scratch("bad/b_base.fvecs"), PQF_FVECS, base, 10, 17, &err);
    refuse(scratch("bad"), 0, 0, "b_base.fvecs: the width 17", "zeros to 32");
    scratch_write(scratch("bad/b_base.fvecs"), "", 0);
    refuse(scratch("bad"), 0, 0, "b_base.fvecs", "empty");
}
END_TEST

/* A row that is bad in the middle of the base is found when it is needed. */
START_TEST(test_bad_row)
{
    base[200][7] = (float)-INFINITY;
    write_floats("tiny/t_base.fvecs", base[0], BASE);
    refuse(scratch("tiny"), 0, 0, "t_base.fvecs: row 200, column 7", "-inf");
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Named sources                                                            */

static void rename_tiny(const char *prefix)
{
    static const char *const roles[] = {"base.fvecs", "query.fvecs"};
    static const int32_t truth[QUERIES] = {0};
    struct pqf_error err;
    char name[64];

    for (int i = 0; i < 2; i++) {
        const char *old =
            scratch(i == 0 ? "tiny/t_base.fvecs" : "tiny/t_query.fvecs");

        snprintf(name, sizeof name, "tiny/%s_%s", prefix, roles[i]);
        unlink(scratch(name));
        ck_assert_int_eq(link(old, scratch(name)), 0);
    }
    snprintf(name, sizeof name, "tiny/%s_groundtruth.ivecs", prefix);
    ck_assert_int_eq(
        pqh_vecs_store(scratch(name), PQF_IVECS, truth, QUERIES, 1, &err), 0);
}

START_TEST(test_auto)
{
    struct pqh_fixture fixture;
    struct pqf_error err;

    refuse("sift1m", 0, 0, "prepare_fixtures.sh", "PQKERN_DATA");
    setenv("PQKERN_DATA", scratch("tiny"), 1);
    rename_tiny("photos");
    ck_assert_int_eq(load_sized("auto", 0, 0, 1, &fixture, &err), 0);
    ck_assert_str_eq(fixture.source, "photos");
    pqh_fixture_free(&fixture);
    rename_tiny("sift");
    rename_tiny("sif"); /* another set */
    ck_assert_int_eq(load_sized("auto", 0, 0, 1, &fixture, &err), 0);
    ck_assert_str_eq(fixture.source, "sift1m");
    ck_assert_uint_eq(fixture.num_base, BASE);
    pqh_fixture_free(&fixture);
    ck_assert_int_eq(load_sized("photos", 0, 0, 1, &fixture, &err), 0);
    ck_assert_str_eq(fixture.source, "photos");
    pqh_fixture_free(&fixture);
    /* Not complete: not SIFT1M. */
    unlink(scratch("tiny/sift_groundtruth.ivecs"));
    ck_assert_int_eq(load_sized(NULL, 0, 0, 1, &fixture, &err), 0);
    ck_assert_str_eq(fixture.source, "photos");
    pqh_fixture_free(&fixture);
    /* Complete but damaged: an error, not another source. */
    rename_tiny("sift");
    unlink(scratch("tiny/sift_base.fvecs"));
    scratch_write(scratch("tiny/sift_base.fvecs"), "xyz", 3);
    refuse("auto", 0, 0, "sift_base.fvecs", "cut short");
}
END_TEST

/* In the cache's own folder, where prepare_fixtures.sh puts it, and in the
 * older one. */
START_TEST(test_sift1m_places)
{
    static const char *const places[] = {"cache/pqkern",
                                         "home/.cache/lance-autoresearch"};
    struct pqh_fixture fixture;
    struct pqf_error err;

    rename_tiny("sift");
    mkdir(scratch("cache"), 0777);
    mkdir(scratch("home"), 0777);
    mkdir(scratch("home/.cache"), 0777);
    ck_assert_int_eq(rename(scratch("tiny"), scratch(places[_i])), 0);
    ck_assert_int_eq(load_sized("sift1m", 0, 0, 1, &fixture, &err), 0);
    ck_assert_str_eq(fixture.source, "sift1m");
    pqh_fixture_free(&fixture);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* The photographs                                                          */

/* A file of the folder data, or the folder itself; valid until the next call. */
static const char *data_path(const char *name)
{
    static char path[PATH_MAX];
    char relative[PATH_MAX];
    const char *srcdir = getenv("srcdir");

    if (snprintf(relative, sizeof relative, "%s/data/%s",
                 srcdir != NULL ? srcdir : ".", name) >= PATH_MAX)
        abort();
    ck_assert_msg(realpath(relative, path) != NULL, "no %s", relative);
    return path;
}

static void read_data(const char *name, float *rows, size_t num_rows)
{
    struct pqf_error err;
    struct pqf_rows vecs;

    ck_assert_int_eq(pqf_rows_open(data_path(name), &vecs, &err), 0);
    ck_assert_uint_ge(vecs.num_rows, num_rows);
    ck_assert_int_eq(pqf_rows_read_floats(&vecs, 0, num_rows, rows, &err), 0);
    pqf_rows_close(&vecs);
}

/* Training gives the same bits on every machine. */
START_TEST(test_training_bits)
{
    enum { ROWS = 1000 };
    static float rows[ROWS * 128], centroids[256 * 128];
    pqk_codebook shape = {M, 256, 8, NULL};
    char hex[PQH_SHA256_HEX];

    read_data("photos_learn.bvecs", rows, ROWS);
    CHECK_OK(pqk_train_codebook(rows, ROWS, &shape, 3, 1, WITH_THREADS(2),
                                centroids));
    hash_floats(centroids, TEST_COUNT(centroids), hex);
    ck_assert_str_eq(
        hex,
        "5e68cdbbde9fafb9c638b46c4da5462279f0d900b36447f028a0feb3d9307f3b");
}
END_TEST

START_TEST(test_photos)
{
    struct pqh_fixture fixture;
    struct pqf_error err;

    setenv("PQKERN_DATA", data_path(""), 1);
    ck_assert_msg(load_sized("photos", 2000, 50, 10, &fixture, &err) == 0, "%s",
                  err.text);
    ck_assert_uint_eq(fixture.num_queries, 50);
    ck_assert_uint_ge(count_hits(&fixture), 350);
    pqh_fixture_free(&fixture);
}
END_TEST

/* The truth that is shipped, and the codebook, are what the program computes
 * itself; for an emulator that takes too long. */
START_TEST(test_photos_whole)
{
    static float rows[20000 * 128], centroids[256 * 128];
    static uint32_t ids[500 * 100];
    struct pqh_fixture fixture;
    pqk_codebook shape = {M, 256, 8, NULL};
    struct pqh_truth *truth;
    struct pqf_error err;

    if (test_scale() < 1.0)
        return;
    setenv("PQKERN_DATA", data_path(""), 1);
    ck_assert_int_eq(load_sized("photos", 0, 0, 100, &fixture, &err), 0);
    ck_assert_uint_eq(fixture.num_base, 20000);
    ck_assert_uint_eq(count_hits(&fixture), 3467);

    read_data("photos_learn.bvecs", rows, 10000);
    CHECK_OK(pqk_train_codebook(rows, 10000, &shape, 25,
                                UINT64_C(0x7071686B65726E01), WITH_THREADS(2),
                                centroids));
    ck_assert_mem_eq(fixture.centroids, centroids, sizeof centroids);

    read_data("photos_base.bvecs", rows, 20000);
    ck_assert_int_eq(
        pqh_truth_begin(fixture.queries, 500, 128, 100, &truth, &err), 0);
    pqh_truth_add(truth, rows, 20000, 0);
    pqh_truth_take(truth, ids);
    ck_assert_mem_eq(fixture.truth, ids, sizeof ids);
    pqh_truth_free(truth);
    pqh_fixture_free(&fixture);
}
END_TEST

/* Cases share neither folder nor process. */
static void add(Suite *suite, const char *name, const TTest *test, int first,
                int end)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 60);
    tcase_add_unchecked_fixture(tcase, scratch_make, scratch_remove);
    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_loop_test(tcase, test, first, end);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("fixture");

    add(suite, "seed", test_seed, 0, 1);
    add(suite, "part of seed", test_seed_part, 0, 1);
    add(suite, "synthetic prefix", test_synthetic_prefix, 0, 1);
    add(suite, "synthetic bits", test_synthetic_bits, 0, 1);
    add(suite, "truth", test_truth, 0, 6);
    add(suite, "truth extremes", test_truth_extremes, 0, 1);
    add(suite, "folder", test_any_folder, 0, 1);
    add(suite, "cache is used", test_cache_is_used, 0, 1);
    add(suite, "codes altered", test_cache_damage, 0, 1);
    add(suite, "truth altered", test_cache_damage, 1, 2);
    add(suite, "codes cut short", test_cache_damage, 2, 3);
    add(suite, "truth cut short", test_cache_damage, 3, 4);
    add(suite, "codebook change", test_codebook_change, 0, 1);
    add(suite, "codebook in folder", test_codebook_in_folder, 0, 1);
    add(suite, "cache cannot be written", test_cache_cannot_be_written, 0, 1);
    add(suite, "data changes", test_data_changes, 0, 1);
    add(suite, "sample", test_sample, 0, 1);
    add(suite, "blocks", test_blocks, 0, 1);
    add(suite, "truth file", test_truth_file, 0, 1);
    add(suite, "bad folder", test_bad_folder, 0, 1);
    add(suite, "bad row", test_bad_row, 0, 1);
    add(suite, "auto", test_auto, 0, 1);
    add(suite, "sift1m in the cache", test_sift1m_places, 0, 1);
    add(suite, "sift1m in the older place", test_sift1m_places, 1, 2);
    add(suite, "training bits", test_training_bits, 0, 1);
    add(suite, "photos", test_photos, 0, 1);
    add(suite, "photos, whole", test_photos_whole, 0, 1);
    return run_suite(suite);
}
