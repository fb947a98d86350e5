/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Files of quantizers and collections: the bytes that pqkern(5) describes, read
 * by every variant; cut short, altered or invented ones are refused; and what is
 * there before a failure is there afterwards.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../checked.h"
#include "library/collection/collection.h"
#include "base/xxh64.h"

static char *folder;

static void make_folder(void)
{
    folder = test_folder("check_file");
}

static void remove_folder(void)
{
    test_remove_folder(folder);
}

/* ------------------------------------------------------------------------ */
/* A file as it is documented, put together here                             */

#define HEADER 64
#define ENTRY  96

struct bytes {
    unsigned char data[65536];
    size_t size;
};

static void put_at(struct bytes *bytes, size_t at, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        bytes->data[at + i] = (unsigned char)(value >> 8 * i);
}

static uint64_t get_at(const struct bytes *bytes, size_t at, size_t width)
{
    uint64_t value = 0;

    for (size_t i = width; i-- > 0;)
        value = value << 8 | bytes->data[at + i];
    return value;
}

/* Checksums that fit what is there. */
static void seal(struct bytes *bytes)
{
    const size_t num_sections = (size_t)get_at(bytes, 24, 8);

    for (size_t i = 0; i < num_sections && i < 20; i++) {
        const size_t entry = HEADER + i * ENTRY;
        const uint64_t offset = get_at(bytes, entry + 8, 8);
        const uint64_t size = get_at(bytes, entry + 16, 8);

        if (offset <= bytes->size && size <= bytes->size - offset)
            put_at(bytes, entry + 24,
                   pqk_xxh64(bytes->data + offset, (size_t)size), 8);
    }
    if (num_sections <= (bytes->size - HEADER) / ENTRY)
        put_at(bytes, 48, pqk_xxh64(bytes->data + HEADER, num_sections * ENTRY),
               8);
    put_at(bytes, 56, pqk_xxh64(bytes->data, 56), 8);
}

static void put_header(struct bytes *bytes, uint32_t kind, size_t num_sections,
                       uint64_t next_id, uint64_t num_vectors)
{
    static const unsigned char magic[8] = {0x89, 'P',  'Q',  'K',
                                           '\r', '\n', 0x1a, '\n'};

    memset(bytes->data, 0, sizeof bytes->data);
    memcpy(bytes->data, magic, sizeof magic);
    put_at(bytes, 8, 1, 4);
    put_at(bytes, 12, kind, 4);
    put_at(bytes, 24, num_sections, 8);
    put_at(bytes, 32, next_id, 8);
    put_at(bytes, 40, num_vectors, 8);
    bytes->size = HEADER + num_sections * ENTRY;
}

/* A section at the end, of bytes that are put into it afterwards; where they
 * are. */
static size_t put_section(struct bytes *bytes, size_t number, uint32_t type,
                          uint32_t partition, size_t size)
{
    const size_t alignment = type == 3 ? 4096 : 64;
    const size_t offset = (bytes->size + alignment - 1) & ~(alignment - 1);
    const size_t entry = HEADER + number * ENTRY;

    put_at(bytes, entry, type, 4);
    put_at(bytes, entry + 4, partition, 4);
    put_at(bytes, entry + 8, offset, 8);
    put_at(bytes, entry + 16, size, 8);
    bytes->size = offset + size;
    put_at(bytes, 16, bytes->size, 8);
    return offset;
}

static void put_parameter(struct bytes *bytes, size_t section, size_t number,
                          uint64_t value)
{
    put_at(bytes, HEADER + section * ENTRY + 32 + 8 * number, value, 8);
}

/* What the example holds: 2 x 3 centroids of 2 values; rows 10, 11, 12 and 13 in
 * one partition and 7, 20 and 2^40 in another. */
enum { M = 2, K = 3, D = 2, FIRST_ROWS = 4, SECOND_ROWS = 3 };

static const uint64_t second_ids[SECOND_ROWS] = {7, 20, UINT64_C(1) << 40};
static const uint8_t first_codes[FIRST_ROWS][M] = {
    {0, 1}, {2, 2}, {1, 0}, {0, 0}};
static const uint8_t second_codes[SECOND_ROWS][M] = {{2, 0}, {1, 1}, {0, 2}};

static void put_quantizer(struct bytes *bytes)
{
    const size_t at = put_section(bytes, 0, 1, 0, 4 * M * K * D);

    put_parameter(bytes, 0, 0, M);
    put_parameter(bytes, 0, 1, K);
    put_parameter(bytes, 0, 2, D);
    put_parameter(bytes, 0, 3, PQK_INNER_PRODUCT);
    for (size_t i = 0; i < M * K * D; i++)
        put_at(bytes, at + 4 * i, test_bits(1.5f + (float)i), 4);
}

/* Row-major codes, each its own label. */
static void put_codes(struct bytes *bytes, size_t section, uint32_t partition,
                      const uint8_t *codes, size_t rows, uint64_t first_id)
{
    const size_t at = put_section(bytes, section, 3, partition, rows * M);

    put_parameter(bytes, section, 0, rows);
    put_parameter(bytes, section, 1, first_id);
    put_parameter(bytes, section, 3, 1);
    put_parameter(bytes, section, 4, M);
    memcpy(bytes->data + at, codes, rows * M);
}

static void put_example(struct bytes *bytes)
{
    size_t at;

    put_header(bytes, 2, 4, (UINT64_C(1) << 40) + 1, FIRST_ROWS + SECOND_ROWS);
    put_quantizer(bytes);
    put_codes(bytes, 1, 0, first_codes[0], FIRST_ROWS, 10);
    put_codes(bytes, 2, 1, second_codes[0], SECOND_ROWS, 0);
    at = put_section(bytes, 3, 4, 1, 8 * SECOND_ROWS);
    for (size_t i = 0; i < SECOND_ROWS; i++)
        put_at(bytes, at + 8 * i, second_ids[i], 8);
    seal(bytes);
}

/* The same, transposed and with labels, and rows in another order: a layout that
 * no variant has. */
static void put_foreign_example(struct bytes *bytes)
{
    static const uint8_t labels[M][K] = {{7, 0, 255}, {1, 2, 0}};
    static const uint8_t rows[FIRST_ROWS] = {2, 0, 3, 1};
    size_t at;

    put_header(bytes, 2, 3, 14, FIRST_ROWS);
    put_quantizer(bytes);
    at = put_section(bytes, 1, 2, 0, M * 256);
    for (size_t m = 0; m < M; m++)
        memcpy(bytes->data + at + m * 256, labels[m], K);
    at = put_section(bytes, 2, 3, 0, 40);
    put_parameter(bytes, 2, 0, FIRST_ROWS);
    put_parameter(bytes, 2, 1, 10);
    put_parameter(bytes, 2, 2, 3);  /* columns */
    put_parameter(bytes, 2, 3, 20); /* from one to the next */
    put_parameter(bytes, 2, 4, 2);  /* from one position to the next */
    put_parameter(bytes, 2, 5, 30); /* rows */
    put_parameter(bytes, 2, 6, 1);
    for (size_t p = 0; p < FIRST_ROWS; p++) {
        for (size_t m = 0; m < M; m++)
            bytes->data[at + 3 + 20 * m + 2 * p] =
                labels[m][first_codes[rows[p]][m]];
        bytes->data[at + 30 + p] = rows[p];
    }
    seal(bytes);
}

static pqk_collection *make_example(const pqk_kernel *kernel)
{
    float centroids[M * K * D];
    const pqk_codebook codebook = TEST_CODEBOOK(M, K, D, centroids);
    pqk_quantizer *quantizer;
    pqk_collection *collection;

    for (size_t i = 0; i < M * K * D; i++)
        centroids[i] = 1.5f + (float)i;
    CHECK_OK(pqk_quantizer_create(&codebook, PQK_INNER_PRODUCT, &quantizer));
    CHECK_OK(pqk_collection_create(quantizer, kernel, &collection));
    pqk_quantizer_free(quantizer);
    pqk_collection_set_sizes(collection, FIRST_ROWS, FIRST_ROWS - 1);
    for (uint64_t id = 10; id < 10 + FIRST_ROWS; id++)
        CHECK_OK(pqk_collection_add_codes(collection, first_codes[id - 10], &id,
                                          1, 1));
    CHECK_OK(pqk_collection_add_codes(collection, second_codes[0], second_ids,
                                      SECOND_ROWS, 1));
    return collection;
}

static void check_bytes(const char *path, const struct bytes *expected)
{
    size_t size;
    unsigned char *found = test_read_file(path, &size);

    CHECK_THAT(found, "no file");
    CHECK_THAT(size == expected->size, "%zu bytes, not %zu", size,
               expected->size);
    for (size_t i = 0; i < size; i++)
        if (found[i] != expected->data[i])
            CHECK_THAT(0, "byte %zu is %u, not %u", i, found[i],
                       expected->data[i]);
    free(found);
}

/* All of it is read in one way or another. */
static void use(const pqk_collection *collection)
{
    const size_t size = pqk_collection_size(collection);
    const size_t room = size < 1000 ? size : 1000;
    const size_t num_sub_vectors =
        test_codebook_of(pqk_collection_quantizer(collection)).num_sub_vectors;
    float *query =
        test_alloc(pqk_quantizer_dim(pqk_collection_quantizer(collection)) *
                   sizeof *query);
    uint64_t *ids = test_alloc((room + 1) * sizeof *ids);
    uint8_t *codes = test_alloc((room + 1) * num_sub_vectors);
    pqk_result *results = test_alloc((room + 1) * sizeof *results);
    size_t count;
    pqk_status status;

    for (size_t i = 0;
         i < pqk_quantizer_dim(pqk_collection_quantizer(collection)); i++)
        query[i] = (float)i;
    CHECK_OK(pqk_collection_search(collection, query, 1, room, NULL, results,
                                   &count));
    count = pqk_collection_ids(collection, 0, room, ids);
    status = pqk_collection_codes(collection, ids, count, codes);
    CHECK_THAT(status == PQK_OK || status == PQK_INVALID_ARGUMENT, "codes: %s",
               pqk_status_string(status));
    (void)pqk_collection_contains(collection, 20);
    free(query);
    free(ids);
    free(codes);
    free(results);
}

static pqk_status open_bytes(const struct bytes *bytes,
                             const pqk_kernel *kernel, unsigned flags)
{
    const char *path = test_path(folder, "some.pqk");
    pqk_collection *collection = NULL;
    pqk_status status;

    test_write_file(path, bytes->data, bytes->size);
    status = pqk_collection_open(path, kernel, flags, &collection);
    if (status != PQK_OK && collection)
        CHECK_THAT(0, "a failure touched the collection");
    if (status == PQK_OK)
        use(collection);
    pqk_collection_free(collection);
    return status;
}

static pqk_status load_bytes(const struct bytes *bytes)
{
    const char *path = test_path(folder, "some.pqk");
    pqk_quantizer *quantizer = NULL;
    pqk_status status;

    test_write_file(path, bytes->data, bytes->size);
    status = pqk_quantizer_load(path, &quantizer);
    if (status != PQK_OK && quantizer)
        CHECK_THAT(0, "a failure touched the quantizer");
    pqk_quantizer_free(quantizer);
    return status;
}

/* ------------------------------------------------------------------------ */
/* What is written and read                                                  */

START_TEST(test_documented_bytes)
{
    const char *path = test_path(folder, "example.pqk");
    const pqk_kernel *scalar = pqk_kernel_at(0);
    pqk_collection *collection = make_example(scalar);
    struct bytes expected;

    test_case("the scalar variant's bytes");
    put_example(&expected);
    CHECK_OK(pqk_collection_save(collection, path));
    check_bytes(path, &expected);
    pqk_collection_free(collection);

    put_header(&expected, 1, 1, 0, 0);
    put_quantizer(&expected);
    seal(&expected);
    test_case("a quantizer's bytes");
    collection = make_example(scalar);
    CHECK_OK(pqk_quantizer_save(pqk_collection_quantizer(collection), path));
    check_bytes(path, &expected);
    pqk_collection_free(collection);
}
END_TEST

static void check_example(const pqk_collection *collection, int whole)
{
    uint64_t ids[FIRST_ROWS + SECOND_ROWS] = {10, 11, 12, 13};
    const size_t count = whole ? FIRST_ROWS + SECOND_ROWS : FIRST_ROWS;
    uint8_t codes[FIRST_ROWS + SECOND_ROWS][M];

    memcpy(ids + FIRST_ROWS, second_ids, sizeof second_ids);
    CHECK_THAT(pqk_collection_size(collection) == count, "%zu rows",
               pqk_collection_size(collection));
    CHECK_OK(pqk_collection_codes(collection, ids, count, codes[0]));
    CHECK_THAT(memcmp(codes, first_codes, sizeof first_codes) == 0 &&
                   (!whole || memcmp(codes + FIRST_ROWS, second_codes,
                                     sizeof second_codes) == 0),
               "other codes");
    CHECK_THAT(pqk_quantizer_metric(pqk_collection_quantizer(collection)) ==
                   PQK_INNER_PRODUCT,
               "another metric");
}

START_TEST(test_foreign)
{
    const char *path = test_path(folder, "example.pqk");
    struct bytes bytes;

    for (size_t v = 0; v < test_variant_count(); v++)
        for (int whole = 0; whole < 2; whole++) {
            pqk_collection *collection;

            test_case("%s reads the example, %s",
                      pqk_kernel_name(test_variant(v)),
                      whole ? "row-major" : "in a layout of its own");
            if (whole)
                put_example(&bytes);
            else
                put_foreign_example(&bytes);
            test_write_file(path, bytes.data, bytes.size);
            CHECK_OK(
                pqk_collection_open(path, test_variant(v), 0, &collection));
            check_example(collection, whole);
            use(collection);
            pqk_collection_free(collection);
        }
}
END_TEST

/* A collection large enough to be put into order. */
static pqk_collection *make_large(const pqk_kernel *kernel)
{
    enum { ROWS = 3000 };
    pqk_collection *collection = make_example(kernel);
    struct test_random random = {7};
    static uint8_t codes[ROWS * M];

    for (size_t i = 0; i < sizeof codes; i++)
        codes[i] = (uint8_t)test_below(&random, K);
    pqk_collection_set_sizes(collection, 2100, 900);
    CHECK_OK(pqk_collection_add_codes(collection, codes, NULL, ROWS, 2));
    return collection;
}

START_TEST(test_same_again)
{
    const char *first = test_path(folder, "first.pqk");
    const char *second = test_path(folder, "second.pqk");

    for (size_t v = 0; v < test_variant_count(); v++) {
        pqk_collection *collection = make_large(test_variant(v));
        unsigned char *a, *b;
        size_t a_size, b_size;

        test_case("%s saves what it opened", pqk_kernel_name(test_variant(v)));
        CHECK_OK(pqk_collection_save(collection, first));
        pqk_collection_free(collection);
        CHECK_OK(pqk_collection_open(first, test_variant(v), 0, &collection));
        CHECK_THAT(collection->mapping.bytes, "nothing is mapped");
        CHECK_OK(pqk_collection_save(collection, second));
        pqk_collection_free(collection);
        a = test_read_file(first, &a_size);
        b = test_read_file(second, &b_size);
        CHECK_THAT(a_size == b_size && memcmp(a, b, a_size) == 0,
                   "other bytes");
        free(a);
        free(b);
    }
}
END_TEST

/* The file is replaced while it is mapped, and the mapping stays what it was. */
START_TEST(test_save_over_mapped)
{
    const char *path = test_path(folder, "mapped.pqk");
    const uint64_t gone = 11;

    for (size_t v = 0; v < test_variant_count(); v++) {
        pqk_collection *collection = make_large(test_variant(v)), *again;
        size_t removed, size;

        test_case("%s saves over its file", pqk_kernel_name(test_variant(v)));
        CHECK_OK(pqk_collection_save(collection, path));
        pqk_collection_free(collection);
        CHECK_OK(pqk_collection_open(path, test_variant(v), 0, &collection));
        CHECK_OK(pqk_collection_remove(collection, &gone, 1, &removed));
        CHECK_THAT(removed == 1, "%zu removed", removed);
        CHECK_OK(pqk_collection_save(collection, path));
        size = pqk_collection_size(collection);
        use(collection);
        CHECK_OK(pqk_collection_open(path, NULL, 0, &again));
        CHECK_THAT(pqk_collection_size(again) == size, "%zu rows, not %zu",
                   pqk_collection_size(again), size);
        CHECK_THAT(!pqk_collection_contains(again, gone), "it is not gone");
        use(again);
        pqk_collection_free(again);
        pqk_collection_free(collection);
    }
}
END_TEST

/* One row after another, and between them the collection is saved and opened by
 * one variant after another, with small partitions in the second loop: the tails
 * that were saved come together. */
enum { SESSIONS = 200 };

static uint64_t id_of_session(size_t session)
{
    return session * 37 % SESSIONS * 3;
}

static void check_sessions(const pqk_collection *collection, size_t sessions)
{
    CHECK_THAT(pqk_collection_size(collection) == sessions, "%zu rows",
               pqk_collection_size(collection));
    for (size_t i = 0; i < sessions; i++) {
        const uint64_t id = id_of_session(i);
        uint8_t code[M];

        CHECK_OK(pqk_collection_codes(collection, &id, 1, code));
        CHECK_THAT(memcmp(code, first_codes[i % FIRST_ROWS], M) == 0,
                   "id %llu has other codes", (unsigned long long)id);
    }
}

START_TEST(test_sessions)
{
    const char *path = test_path(folder, "sessions.pqk");
    pqk_collection *collection = make_example(NULL);
    uint64_t ids[FIRST_ROWS + SECOND_ROWS];
    const size_t most = _i == 0 ? 1 : 12;
    size_t count =
        pqk_collection_ids(collection, 0, FIRST_ROWS + SECOND_ROWS, ids);

    CHECK_OK(pqk_collection_remove(collection, ids, count, NULL));
    CHECK_OK(pqk_collection_save(collection, path));
    pqk_collection_free(collection);
    for (size_t i = 0; i < SESSIONS; i++) {
        const uint64_t id = id_of_session(i);

        test_case("session %zu", i);
        CHECK_OK(pqk_collection_open(
            path, test_variant(i % test_variant_count()), 0, &collection));
        CHECK_THAT(collection->num_partitions <= most, "%zu partitions",
                   collection->num_partitions);
        if (_i == 1)
            pqk_collection_set_sizes(collection, 64, 4);
        CHECK_OK(pqk_collection_add_codes(
            collection, first_codes[i % FIRST_ROWS], &id, 1, 1));
        CHECK_OK(pqk_collection_save(collection, path));
        check_sessions(collection, i + 1);
        pqk_collection_free(collection);
    }
}
END_TEST

/* Ids dealt to partitions in runs, and in every other round one of them to two. */
enum { DEALT = 60, HANDS = 7 };

static void deal(struct pqk_rows *hand, uint64_t *ids, uint64_t id)
{
    if (hand->num_rows == 0)
        hand->first_id = id;
    else if (id != hand->first_id + hand->num_rows)
        hand->ids = ids;
    ids[hand->num_rows++] = id;
}

START_TEST(test_distinct)
{
    struct test_random random = {(uint64_t)_i};

    for (unsigned round = 0; round < 100; round++) {
        const size_t twice = round % 2 ? test_below(&random, DEALT) : DEALT;
        uint64_t ids[HANDS][DEALT];
        struct pqk_rows hands[HANDS], *end = hands;
        size_t h = 0;

        test_case("round %u", round);
        memset(hands, 0, sizeof hands);
        for (uint64_t id = 0; id < DEALT; id++) {
            if (test_below(&random, 4) == 0)
                h = test_below(&random, HANDS);
            deal(&hands[h], ids[h], id);
            if (id == twice)
                deal(&hands[(h + 1) % HANDS], ids[(h + 1) % HANDS], id);
        }
        for (h = 0; h < HANDS; h++)
            if (hands[h].num_rows > 0)
                *end++ = hands[h];
        CHECK_STATUS(pqk_partitions_distinct(hands, (size_t)(end - hands)),
                     twice < DEALT ? PQK_DUPLICATE_ID : PQK_OK);
    }
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Damage                                                                    */

/* The byte to look at after `at`: the next one, but not every one of those that
 * lie between sections. */
static size_t next_byte(const struct bytes *bytes, size_t at)
{
    const size_t num_sections = (size_t)get_at(bytes, 24, 8);

    if (at < HEADER + num_sections * ENTRY)
        return at + 1;
    for (size_t i = 0; i < num_sections; i++) {
        const size_t entry = HEADER + i * ENTRY;
        const size_t offset = (size_t)get_at(bytes, entry + 8, 8);

        if (at + 1 >= offset && at <= offset + get_at(bytes, entry + 16, 8))
            return at + 1;
        if (at < offset)
            return at + 61 < offset ? at + 61 : offset;
    }
    return at + 1;
}

START_TEST(test_flipped)
{
    struct bytes bytes;

    for (size_t v = 0; v < test_variant_count(); v++)
        for (int foreign = 0; foreign < 2; foreign++) {
            if (foreign)
                put_foreign_example(&bytes);
            else
                put_example(&bytes);
            for (size_t at = 0; at < bytes.size; at = next_byte(&bytes, at)) {
                const unsigned char flip = (unsigned char)(1u << at % 8);

                test_case("byte %zu flipped", at);
                bytes.data[at] ^= flip;
                if (open_bytes(&bytes, test_variant(v), 0) == PQK_OK)
                    CHECK_THAT(0, "it is opened");
                (void)open_bytes(&bytes, test_variant(v), PQK_UNVERIFIED);
                bytes.data[at] ^= flip;
            }
            CHECK_OK(open_bytes(&bytes, test_variant(v), 0));
        }
    put_header(&bytes, 1, 1, 0, 0);
    put_quantizer(&bytes);
    seal(&bytes);
    for (size_t at = 0; at < bytes.size; at++) {
        bytes.data[at]++;
        test_case("byte %zu of a quantizer altered", at);
        if (load_bytes(&bytes) == PQK_OK)
            CHECK_THAT(0, "it is loaded");
        bytes.data[at]--;
    }
    CHECK_OK(load_bytes(&bytes));
}
END_TEST

START_TEST(test_truncated)
{
    struct bytes bytes;
    size_t whole;

    put_example(&bytes);
    whole = bytes.size;
    for (size_t size = 0; size <= whole + 1; size = next_byte(&bytes, size)) {
        test_case("%zu of %zu bytes", size, whole);
        bytes.size = size;
        if ((open_bytes(&bytes, NULL, 0) == PQK_OK) != (size == whole) ||
            (open_bytes(&bytes, NULL, PQK_UNVERIFIED) == PQK_OK) !=
                (size == whole) ||
            (load_bytes(&bytes) == PQK_OK) != (size == whole))
            CHECK_THAT(0, "it is opened, or not");
    }
}
END_TEST

START_TEST(test_versions)
{
    struct bytes bytes;

    put_example(&bytes);
    test_case("version 2");
    put_at(&bytes, 8, 2, 4);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_NEWER_FILE);
    CHECK_STATUS(load_bytes(&bytes), PQK_NEWER_FILE);
    test_case("version 2, and the rest is not what it was");
    memset(bytes.data + 12, 0xff, bytes.size - 12);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_NEWER_FILE);
    test_case("version 0");
    put_example(&bytes);
    put_at(&bytes, 8, 0, 4);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("another kind");
    for (uint32_t kind = 0; kind < 5; kind++) {
        put_example(&bytes);
        put_at(&bytes, 12, kind, 4);
        seal(&bytes);
        CHECK_STATUS(open_bytes(&bytes, NULL, 0),
                     kind == 2 ? PQK_OK : PQK_BAD_FILE);
        CHECK_STATUS(load_bytes(&bytes), kind == 2 ? PQK_OK : PQK_BAD_FILE);
    }
}
END_TEST

/* Any number of header and table in place of another, and the checksums fit. */
START_TEST(test_invented)
{
    static const uint64_t numbers[] = {
        0,
        1,
        2,
        3,
        7,
        8,
        255,
        256,
        4096,
        INT32_MAX,
        UINT32_MAX,
        (uint64_t)UINT32_MAX + 1,
        INT64_MAX,
        UINT64_MAX / 96,
        UINT64_MAX - 1,
        UINT64_MAX,
    };
    const int foreign = _i % 2;
    struct bytes good, bytes;

    if (foreign)
        put_foreign_example(&good);
    else
        put_example(&good);
    for (size_t at = 16; at < HEADER + 4 * ENTRY;
         at += at % ENTRY == 64 ? 4 : 8)
        for (size_t i = 0; i < TEST_COUNT(numbers); i++) {
            const size_t width = at % ENTRY == 64 || at % ENTRY == 68 ? 4 : 8;

            test_case("%llu at %zu of example %d",
                      (unsigned long long)numbers[i], at, foreign);
            bytes = good;
            put_at(&bytes, at, numbers[i], width);
            seal(&bytes);
            (void)load_bytes(&bytes);
            for (size_t v = 0; v < test_variant_count(); v++)
                (void)open_bytes(&bytes, test_variant(v), 0);
        }
}
END_TEST

/* What must be refused though its checksums fit. */
START_TEST(test_contradictions)
{
    static const struct {
        size_t at; /* from the table on */
        uint64_t value;
    } wrong[] = {
        {32, M + 1}, /* of sub-vectors */
        {32, 0},
        {40, 257},        /* centroids */
        {48, UINT64_MAX}, /* values */
        {56, 3},          /* the metric */
        {64, 1},          /* not used */
        {4, 1},           /* the partition */
        {ENTRY + 4, 1},
        {ENTRY + 32, FIRST_ROWS + 1}, /* rows */
        {ENTRY + 32, 0},
        {ENTRY + 32, UINT64_MAX},
        {ENTRY + 40, UINT64_MAX - 2},    /* the first id */
        {ENTRY + 40, UINT64_C(1) << 41}, /* beyond what comes next */
        {ENTRY + 48, 1},                 /* columns */
        {ENTRY + 56, FIRST_ROWS * M},    /* from one to the next */
        {ENTRY + 56, UINT64_MAX},
        {ENTRY + 64, M + 1}, /* positions */
        {ENTRY + 64, UINT64_MAX},
        {ENTRY + 80, 5},     /* bytes of a row */
        {ENTRY + 88, 1},     /* not used */
        {2 * ENTRY + 40, 7}, /* a first id, and ids */
        {3 * ENTRY + 4, 0},  /* the partition */
        {3 * ENTRY + 32, 1}, /* not used */
    };
    struct bytes bytes;

    for (size_t i = 0; i < TEST_COUNT(wrong); i++) {
        test_case("%llu at %zu", (unsigned long long)wrong[i].value,
                  wrong[i].at);
        put_example(&bytes);
        put_at(&bytes, HEADER + wrong[i].at, wrong[i].value,
               wrong[i].at % ENTRY == 4 ? 4 : 8);
        seal(&bytes);
        for (size_t v = 0; v < test_variant_count(); v++)
            CHECK_STATUS(open_bytes(&bytes, test_variant(v), 0), PQK_BAD_FILE);
    }
    for (unsigned i = 0; i < 3; i++) {
        static const uint32_t values[] = {0x7fc00000, 0x7f800000, 0xff800000};

        test_case("a centroid that is not finite, %u", i);
        put_example(&bytes);
        put_at(&bytes, (size_t)get_at(&bytes, HEADER + 8, 8) + 4, values[i], 4);
        seal(&bytes);
        CHECK_STATUS(load_bytes(&bytes), PQK_BAD_FILE);
        CHECK_STATUS(open_bytes(&bytes, NULL, PQK_UNVERIFIED), PQK_BAD_FILE);
    }
    test_case("ids that do not ascend");
    put_example(&bytes);
    put_at(&bytes, bytes.size - 16, 7, 8);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("no id");
    put_example(&bytes);
    put_at(&bytes, bytes.size - 8, UINT64_MAX, 8);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    for (uint64_t id = 8; id < 15; id++) {
        test_case("id %llu in the second partition, 10 to 13 in the first",
                  (unsigned long long)id);
        put_example(&bytes);
        put_at(&bytes, bytes.size - 16, id, 8);
        seal(&bytes);
        CHECK_STATUS(open_bytes(&bytes, NULL, 0),
                     id >= 10 && id < 14 ? PQK_BAD_FILE : PQK_OK);
    }
    test_case("other numbers of rows");
    put_example(&bytes);
    put_at(&bytes, 40, FIRST_ROWS + SECOND_ROWS + 1, 8);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("a byte between sections");
    put_example(&bytes);
    bytes.data[4000] = 1;
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("a byte behind the last section");
    put_example(&bytes);
    bytes.size++;
    put_at(&bytes, 16, bytes.size, 8);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("two codes with one label");
    put_foreign_example(&bytes);
    bytes.data[get_at(&bytes, HEADER + ENTRY + 8, 8)] = 255;
    for (size_t p = 0; p < FIRST_ROWS; p++) {
        unsigned char *label =
            &bytes.data[get_at(&bytes, HEADER + 2 * ENTRY + 8, 8) + 3 + 2 * p];

        *label = *label == 7 ? 255 : *label;
    }
    seal(&bytes);
    for (size_t v = 0; v < test_variant_count(); v++)
        CHECK_STATUS(open_bytes(&bytes, test_variant(v), 0), PQK_BAD_FILE);
}
END_TEST

/* The same of a quantizer's file, and of what comes before any section. */
START_TEST(test_head)
{
    struct bytes bytes;

    for (size_t i = 0; i < 8; i++) {
        test_case("byte %zu of the magic number", i);
        put_example(&bytes);
        bytes.data[i] ^= 1;
        seal(&bytes);
        CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    }
    for (int more = -1; more < 2; more += 2) {
        test_case("another size of the file, %d", more);
        put_example(&bytes);
        put_at(&bytes, 16, bytes.size + (size_t)more, 8);
        seal(&bytes);
        CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
        test_case("another number of rows, %d", more);
        put_example(&bytes);
        put_at(&bytes, 40, (uint64_t)(FIRST_ROWS + SECOND_ROWS + more), 8);
        seal(&bytes);
        CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    }
    test_case("no bytes");
    bytes.size = 0;
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("the last section begins later than it could");
    put_example(&bytes);
    memmove(bytes.data + bytes.size - 8 * SECOND_ROWS + 64,
            bytes.data + bytes.size - 8 * SECOND_ROWS, 8 * SECOND_ROWS);
    memset(bytes.data + bytes.size - 8 * SECOND_ROWS, 0, 64);
    bytes.size += 64;
    put_at(&bytes, 16, bytes.size, 8);
    put_at(&bytes, HEADER + 3 * ENTRY + 8, bytes.size - 8 * SECOND_ROWS, 8);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("the largest id is the next one");
    put_example(&bytes);
    put_at(&bytes, 32, UINT64_C(1) << 40, 8);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);

    test_case("a quantizer of more centroids than its shape says");
    put_example(&bytes);
    put_parameter(&bytes, 0, 1, K - 1);
    seal(&bytes);
    CHECK_STATUS(load_bytes(&bytes), PQK_BAD_FILE);
    test_case("a quantizer's file with a collection's sections");
    put_example(&bytes);
    put_at(&bytes, 12, 1, 4);
    put_at(&bytes, 32, 0, 8);
    put_at(&bytes, 40, 0, 8);
    seal(&bytes);
    CHECK_STATUS(load_bytes(&bytes), PQK_BAD_FILE);
    for (size_t at = 24; at <= 40; at += 8) {
        test_case("a quantizer's file with %zu at %zu", (size_t)1, at);
        put_header(&bytes, 1, 1, 0, 0);
        put_quantizer(&bytes);
        put_at(&bytes, at, 1, 8);
        seal(&bytes);
        CHECK_STATUS(load_bytes(&bytes), at == 24 ? PQK_OK : PQK_BAD_FILE);
    }
}
END_TEST

/* Partitions, ids and labels that take more or less than they need. */
START_TEST(test_room)
{
    struct bytes bytes;
    size_t last;

    put_example(&bytes);
    last = bytes.size - 8;
    test_case("an id twice");
    put_at(&bytes, last - 8, get_at(&bytes, last, 8), 8);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("more ids than rows");
    put_example(&bytes);
    put_at(&bytes, bytes.size, (UINT64_C(1) << 40) + 1, 8);
    bytes.size += 8;
    put_at(&bytes, 16, bytes.size, 8);
    put_at(&bytes, HEADER + 3 * ENTRY + 16, 8 * (SECOND_ROWS + 1), 8);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("rows that all have the same bytes");
    put_example(&bytes);
    put_parameter(&bytes, 1, 0, FIRST_ROWS + 1000);
    put_parameter(&bytes, 1, 3, 0);
    put_parameter(&bytes, 1, 4, 0);
    put_parameter(&bytes, 1, 1, 1000);
    put_at(&bytes, 40, FIRST_ROWS + 1000 + SECOND_ROWS, 8);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    CHECK_STATUS(open_bytes(&bytes, NULL, PQK_UNVERIFIED), PQK_BAD_FILE);
    test_case("no rows");
    put_example(&bytes);
    put_parameter(&bytes, 1, 0, 0);
    put_parameter(&bytes, 1, 4, 0);
    put_at(&bytes, 40, SECOND_ROWS, 8);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("columns that run over to where they are again");
    put_example(&bytes);
    put_parameter(&bytes, 1, 2, 1);
    put_parameter(&bytes, 1, 3, UINT64_MAX);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("numbers of rows that take five bytes");
    put_foreign_example(&bytes);
    last = (size_t)get_at(&bytes, HEADER + 2 * ENTRY + 8, 8) + 30;
    for (size_t p = 0; p < FIRST_ROWS; p++)
        put_at(&bytes, last + 5 * p, p, 5);
    bytes.size += 10;
    put_at(&bytes, 16, bytes.size, 8);
    put_at(&bytes, HEADER + 2 * ENTRY + 16, 50, 8);
    put_parameter(&bytes, 2, 6, 5);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("numbers of rows behind their section");
    put_foreign_example(&bytes);
    put_parameter(&bytes, 2, 5, 40 - FIRST_ROWS + 1);
    for (size_t p = 0; p + 1 < FIRST_ROWS; p++) /* behind the file are zeros */
        bytes.data[bytes.size - FIRST_ROWS + 1 + p] = (unsigned char)(1 + p);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("labels with a parameter");
    put_foreign_example(&bytes);
    put_parameter(&bytes, 1, 0, 1);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    test_case("more labels than sub-vectors have");
    put_foreign_example(&bytes);
    put_at(&bytes, HEADER + ENTRY + 16, M * 256 + 64, 8);
    seal(&bytes);
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
}
END_TEST

/* Codes wide enough that the numbers of their rows are stored with them, by the
 * variants that put them into order. */
static pqk_collection *make_ordered(const pqk_kernel *kernel)
{
    enum { WIDTH = 16, ROWS = 2100 };
    static uint8_t codes[ROWS * WIDTH];
    const float centroids[WIDTH * K] = {1.0f, 2.0f, 3.0f};
    const pqk_codebook codebook = TEST_CODEBOOK(WIDTH, K, 1, centroids);
    struct test_random random = {8};
    pqk_quantizer *quantizer;
    pqk_collection *collection;

    for (size_t i = 0; i < sizeof codes; i++)
        codes[i] = (uint8_t)test_below(&random, K);
    CHECK_OK(pqk_quantizer_create(&codebook, PQK_L2, &quantizer));
    CHECK_OK(pqk_collection_create(quantizer, kernel, &collection));
    pqk_quantizer_free(quantizer);
    pqk_collection_set_sizes(collection, 2100, 900);
    CHECK_OK(pqk_collection_add_codes(collection, codes, NULL, ROWS, 1));
    return collection;
}

/* In a layout that is the variant's own, so that it would be mapped as it is. */
START_TEST(test_row_beyond)
{
    const char *path = test_path(folder, "large.pqk");
    const pqk_kernel *kernel = test_variant((size_t)_i);
    pqk_collection *collection = make_ordered(kernel);
    struct bytes bytes;
    unsigned char *file;

    CHECK_OK(pqk_collection_save(collection, path));
    pqk_collection_free(collection);
    file = test_read_file(path, &bytes.size);
    ck_assert(bytes.size <= sizeof bytes.data);
    memcpy(bytes.data, file, bytes.size);
    free(file);
    for (size_t i = 0; i < get_at(&bytes, 24, 8); i++) {
        const size_t entry = HEADER + i * ENTRY;
        const size_t width = (size_t)get_at(&bytes, entry + 80, 8);

        if (get_at(&bytes, entry, 4) != 3 || width == 0)
            continue;
        CHECK_STATUS(open_bytes(&bytes, kernel, 0), PQK_OK);
        test_case("%s: a row that there is not", pqk_kernel_name(kernel));
        put_at(&bytes,
               (size_t)(get_at(&bytes, entry + 8, 8) +
                        get_at(&bytes, entry + 72, 8)),
               UINT64_MAX, width);
        seal(&bytes);
        CHECK_STATUS(open_bytes(&bytes, kernel, 0), PQK_BAD_FILE);
        break;
    }
}
END_TEST

/* Codes and ids are not looked at: whoever says so wants them mapped at once. */
START_TEST(test_unverified)
{
    struct bytes bytes;

    test_case("a code that was altered");
    put_example(&bytes);
    bytes.data[get_at(&bytes, HEADER + ENTRY + 8, 8)] = 1;
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    CHECK_STATUS(open_bytes(&bytes, NULL, PQK_UNVERIFIED), PQK_OK);
    test_case("an id that was altered");
    put_example(&bytes);
    bytes.data[bytes.size - 16] = 21;
    CHECK_STATUS(open_bytes(&bytes, NULL, 0), PQK_BAD_FILE);
    CHECK_STATUS(open_bytes(&bytes, NULL, PQK_UNVERIFIED), PQK_OK);
    test_case("a centroid that was altered");
    put_example(&bytes);
    bytes.data[get_at(&bytes, HEADER + 8, 8)] ^= 1;
    CHECK_STATUS(load_bytes(&bytes), PQK_BAD_FILE);
    CHECK_STATUS(open_bytes(&bytes, NULL, PQK_UNVERIFIED), PQK_BAD_FILE);
}
END_TEST

/* Rows, labels and whatever else codes hold, wrong, and the checksums fit. */
START_TEST(test_wrong_codes)
{
    const char *path = test_path(folder, "large.pqk");

    for (size_t v = 0; v < test_variant_count(); v++) {
        pqk_collection *collection = make_large(test_variant(v));
        struct test_random random = {v};
        struct bytes bytes;
        unsigned char *file;

        CHECK_OK(pqk_collection_save(collection, path));
        pqk_collection_free(collection);
        for (size_t trial = 0; trial < test_scaled(300); trial++) {
            size_t section, at, size;

            test_case("wrong codes of %s, trial %zu",
                      pqk_kernel_name(test_variant(v)), trial);
            file = test_read_file(path, &bytes.size);
            ck_assert(bytes.size <= sizeof bytes.data);
            memcpy(bytes.data, file, bytes.size);
            free(file);
            section =
                HEADER +
                ENTRY * test_below(&random, (size_t)get_at(&bytes, 24, 8));
            at = (size_t)get_at(&bytes, section + 8, 8);
            size = (size_t)get_at(&bytes, section + 16, 8);
            for (size_t i = 0; i < 1 + trial % 50; i++)
                bytes.data[at + test_below(&random, size)] =
                    (unsigned char)test_next(&random);
            seal(&bytes);
            for (size_t w = 0; w < test_variant_count(); w++)
                (void)open_bytes(&bytes, test_variant(w), 0);
        }
    }
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Files that cannot be opened or written                                    */

START_TEST(test_no_file)
{
    pqk_collection *collection = NULL;
    pqk_quantizer *quantizer = NULL;

    test_case("a file that is not there");
    errno = 0;
    CHECK_STATUS(
        pqk_collection_open(test_path(folder, "none"), NULL, 0, &collection),
        PQK_IO_ERROR);
    CHECK_THAT(errno == ENOENT, "errno %d", errno);
    errno = 0;
    CHECK_STATUS(pqk_quantizer_load(test_path(folder, "none"), &quantizer),
                 PQK_IO_ERROR);
    CHECK_THAT(errno == ENOENT, "errno %d", errno);
    test_case("a folder");
    CHECK_STATUS(pqk_collection_open(folder, NULL, 0, &collection),
                 PQK_BAD_FILE);
    test_case("a device");
    CHECK_STATUS(pqk_collection_open("/dev/null", NULL, 0, &collection),
                 PQK_BAD_FILE);
    test_case("a fifo");
    CHECK_THAT(mkfifo(test_path(folder, "fifo"), 0600) == 0, "no fifo");
    CHECK_STATUS(
        pqk_collection_open(test_path(folder, "fifo"), NULL, 0, &collection),
        PQK_BAD_FILE);
    test_case("flags that do not exist");
    CHECK_STATUS(
        pqk_collection_open(test_path(folder, "none"), NULL, 2, &collection),
        PQK_INVALID_ARGUMENT);
    CHECK_THAT(!collection && !quantizer, "a failure touched something");
}
END_TEST

START_TEST(test_unavailable)
{
    const char *path = test_path(folder, "example.pqk");
    struct bytes bytes;

    put_example(&bytes);
    test_write_file(path, bytes.data, bytes.size);
    for (size_t i = 0; i < pqk_kernel_count(); i++) {
        const pqk_kernel *kernel = pqk_kernel_at(i);
        pqk_collection *collection = NULL;

        test_case("open for %s", pqk_kernel_name(kernel));
        CHECK_STATUS(pqk_collection_open(path, kernel, 0, &collection),
                     pqk_kernel_available(kernel) ? PQK_OK
                                                  : PQK_KERNEL_UNAVAILABLE);
        pqk_collection_free(collection);
    }
}
END_TEST

START_TEST(test_save_nowhere)
{
    pqk_collection *collection = make_example(NULL);

    test_case("save into a folder that is not there");
    errno = 0;
    CHECK_STATUS(pqk_collection_save(collection, test_path(folder, "none/x")),
                 PQK_IO_ERROR);
    CHECK_THAT(errno == ENOENT, "errno %d", errno);
    test_case("save over a folder");
    CHECK_THAT(mkdir(test_path(folder, "sub"), 0777) == 0, "no folder");
    errno = 0;
    CHECK_STATUS(pqk_collection_save(collection, test_path(folder, "sub")),
                 PQK_IO_ERROR);
    CHECK_THAT(errno == EISDIR, "errno %d", errno);
    test_case("save over a fifo");
    CHECK_THAT(mkfifo(test_path(folder, "fifo"), 0666) == 0, "no fifo");
    errno = 0;
    CHECK_STATUS(pqk_collection_save(collection, test_path(folder, "fifo")),
                 PQK_IO_ERROR);
    CHECK_THAT(errno == EINVAL, "errno %d", errno);
    CHECK_THAT(unlink(test_path(folder, "fifo")) == 0, "the fifo is gone");
    CHECK_THAT(test_count_files(folder) == 1, "a temporary file is left");
    test_case("save into the working folder");
    CHECK_THAT(chdir(folder) == 0, "no folder");
    CHECK_OK(pqk_collection_save(collection, "here.pqk"));
    CHECK_THAT(test_count_files(folder) == 2, "no file");
    pqk_collection_free(collection);
}
END_TEST

/* Not for root, who may write anywhere. */
START_TEST(test_save_unwritable)
{
    pqk_collection *collection = make_example(NULL);

    test_case("save into a folder without permission");
    if (geteuid() != 0) {
        CHECK_THAT(chmod(folder, 0500) == 0, "chmod");
        errno = 0;
        CHECK_STATUS(pqk_collection_save(collection, test_path(folder, "x")),
                     PQK_IO_ERROR);
        CHECK_THAT(errno == EACCES, "errno %d", errno);
        CHECK_THAT(chmod(folder, 0700) == 0, "chmod");
    }
    pqk_collection_free(collection);
}
END_TEST

/* A full disk, as far as the library can tell.  Check writes files as well. */
static pqk_status save_limited(const pqk_collection *collection, int whole,
                               const char *path, size_t size)
{
    const struct rlimit none = {RLIM_INFINITY, RLIM_INFINITY};
    const struct rlimit limit = {size, RLIM_INFINITY};
    pqk_status status;
    int saved_errno;

    errno = 0;
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return PQK_OK;
    status =
        whole ? pqk_collection_save(collection, path)
              : pqk_quantizer_save(pqk_collection_quantizer(collection), path);
    saved_errno = errno;
    (void)setrlimit(RLIMIT_FSIZE, &none);
    errno = saved_errno;
    return status;
}

START_TEST(test_save_full)
{
    const char *path = test_path(folder, "kept.pqk");
    pqk_collection *collection = make_example(pqk_kernel_at(0));
    struct bytes kept;

    put_example(&kept);
    test_write_file(path, kept.data, kept.size);
    signal(SIGXFSZ, SIG_IGN);
    for (int whole = 0; whole < 2; whole++)
        for (size_t size = whole ? kept.size - 1 : HEADER + ENTRY + 4;;
             size = size * 3 / 4) {
            test_case("save when the disk is full after %zu bytes", size);
            CHECK_STATUS(save_limited(collection, whole, path, size),
                         PQK_IO_ERROR);
            CHECK_THAT(errno == EFBIG, "errno %d", errno);
            CHECK_THAT(test_count_files(folder) == 1,
                       "a temporary file is left");
            check_bytes(path, &kept);
            if (size == 0)
                break;
        }
    pqk_collection_free(collection);
}
END_TEST

static unsigned mode_of(const char *path)
{
    struct stat info;

    CHECK_THAT(lstat(path, &info) == 0, "no %s", path);
    return (unsigned)info.st_mode & (S_IFMT | 0777);
}

START_TEST(test_save_over)
{
    const char *path = test_path(folder, "over.pqk");
    const char *link = test_path(folder, "link.pqk");
    pqk_collection *collection = make_example(pqk_kernel_at(0));
    struct bytes expected;

    put_example(&expected);
    umask(027);
    test_case("save a new file, with the usual mode");
    CHECK_OK(pqk_collection_save(collection, path));
    CHECK_THAT(mode_of(path) == (S_IFREG | 0640), "mode %o", mode_of(path));
    test_case("save over a file, with its mode");
    test_write_file(path, "longer than nothing", 19);
    CHECK_THAT(chmod(path, 0466) == 0, "chmod");
    CHECK_OK(pqk_collection_save(collection, path));
    check_bytes(path, &expected);
    CHECK_THAT(mode_of(path) == (S_IFREG | 0466), "mode %o", mode_of(path));
    CHECK_THAT(test_count_files(folder) == 1, "a temporary file is left");
    test_case("save over a link to a file");
    CHECK_THAT(chmod(path, 0600) == 0, "chmod");
    test_write_file(path, "longer than nothing", 19);
    CHECK_THAT(symlink("over.pqk", link) == 0, "no link");
    CHECK_OK(pqk_collection_save(collection, link));
    check_bytes(path, &expected);
    CHECK_THAT(S_ISLNK(mode_of(link)), "the link is gone");
    CHECK_THAT(test_count_files(folder) == 2, "a temporary file is left");
    pqk_collection_free(collection);
}
END_TEST

/* Somebody saves and saves, and is killed. */
START_TEST(test_killed)
{
    const char *path = test_path(folder, "killed.pqk");
    pqk_collection *collection = make_large(NULL), *opened;
    const size_t size = pqk_collection_size(collection);

    CHECK_OK(pqk_collection_save(collection, path));
    for (unsigned i = 0; i < 30; i++) {
        const pid_t child = fork();

        test_case("killed, time %u", i);
        if (child == 0)
            for (;;)
                if (pqk_collection_save(collection, path) != PQK_OK)
                    _exit(1);
        CHECK_THAT(child > 0, "no process");
        usleep(500 + 977 * i);
        CHECK_THAT(kill(child, SIGKILL) == 0, "not killed");
        CHECK_THAT(waitpid(child, NULL, 0) == child, "not ended");
        CHECK_OK(pqk_collection_open(path, NULL, 0, &opened));
        CHECK_THAT(pqk_collection_size(opened) == size, "%zu rows",
                   pqk_collection_size(opened));
        pqk_collection_free(opened);
    }
    pqk_collection_free(collection);
}
END_TEST

static void add_file_case(Suite *suite, const char *name, const TTest *test,
                          int end)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, 60);
    tcase_add_checked_fixture(tcase, make_folder, remove_folder);
    tcase_add_loop_test(tcase, test, 0, end);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("file");

    test_print_variants();
    add_file_case(suite, "documented bytes", test_documented_bytes, 1);
    add_file_case(suite, "foreign", test_foreign, 1);
    add_file_case(suite, "same again", test_same_again, 1);
    add_file_case(suite, "save over mapped", test_save_over_mapped, 1);
    add_file_case(suite, "sessions", test_sessions, 2);
    add_case(suite, "distinct", test_distinct, 10, 0, 4);
    add_file_case(suite, "flipped", test_flipped, 1);
    add_file_case(suite, "truncated", test_truncated, 1);
    add_file_case(suite, "versions", test_versions, 1);
    add_file_case(suite, "invented", test_invented, 2);
    add_file_case(suite, "contradictions", test_contradictions, 1);
    add_file_case(suite, "head", test_head, 1);
    add_file_case(suite, "room", test_room, 1);
    add_file_case(suite, "row beyond", test_row_beyond,
                  (int)test_variant_count());
    add_file_case(suite, "unverified", test_unverified, 1);
    add_file_case(suite, "wrong codes", test_wrong_codes, 1);
    add_file_case(suite, "no file", test_no_file, 1);
    add_file_case(suite, "unavailable", test_unavailable, 1);
    add_file_case(suite, "save nowhere", test_save_nowhere, 1);
    add_file_case(suite, "save unwritable", test_save_unwritable, 1);
    add_file_case(suite, "save full", test_save_full, 1);
    add_file_case(suite, "save over", test_save_over, 1);
    add_file_case(suite, "killed", test_killed, 1);
    return run_suite(suite);
}
