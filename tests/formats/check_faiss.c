/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Faiss's index files: good ones, and every way of being bad. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "../checked.h"
#include "../scratch.h"

#include "formats/faiss.h"

#include <math.h>

enum { D = 6, M = 3, N = 5 };

/* Where things are in a plain file. */
enum {
    AT_D = 4,
    AT_NTOTAL = 8,
    AT_TRAINED = 32,
    AT_METRIC = 33,
    AT_PQ_D = 37,
    AT_PQ_M = 45,
    AT_PQ_BITS = 53,
    AT_NUM_CENTROIDS = 61,
    AT_CENTROIDS = 69,
    AT_NUM_CODES = AT_CENTROIDS + 4 * 256 * D,
    AT_CODES = AT_NUM_CODES + 8,
    AT_END = AT_CODES + N * M + 9
};

static float centroids[256 * D];
static const uint8_t codes[N * M] = {1, 2, 3, 4, 5,   6,   7,  8,
                                     9, 0, 0, 0, 255, 254, 253};
static const uint64_t ids[N] = {5, 1000000000000, 0, 7, 42};

static unsigned char made[16384];
static size_t length;

/* A file as the writer makes it, in memory for the tests to spoil. */
static const char *make(int has_ids)
{
    const struct pqf_faiss_shape shape = {D, M, N, PQF_FAISS_L2, has_ids};
    const char *path = scratch("x.index");
    struct pqf_output out;
    struct pqf_error err;

    for (int i = 0; i < 256 * D; i++)
        centroids[i] = (float)i * 0.5f - 3.0f;
    ck_assert_int_eq(pqf_output_open(path, &out, &err), 0);
    pqf_faiss_write_head(&out, &shape, centroids);
    pqf_output_bytes(&out, codes, sizeof codes);
    pqf_faiss_write_tail(&out, &shape);
    if (has_ids)
        pqf_output_values(&out, ids, 8, N);
    ck_assert_int_eq(pqf_output_commit(&out, &err), 0);
    length = scratch_read(path, (char *)made, sizeof made);
    return path;
}

static void refuse(const char *first, const char *second)
{
    const char *path = scratch("bad.index");
    float read[256 * D];
    uint64_t read_ids[N];
    struct pqf_error err = {""};
    struct pqf_faiss faiss;
    int result;

    scratch_write(path, made, length);
    test_case("%s", first);
    result = pqf_faiss_open(path, &faiss, &err);
    if (result == 0) {
        result = pqf_faiss_read_centroids(&faiss, read, &err);
        if (result == 0 && faiss.shape.has_ids)
            result = pqf_faiss_read_ids(&faiss, 0, N, read_ids, &err);
        pqf_faiss_close(&faiss);
    }
    CHECK_THAT(result == -1, "is accepted");
    CHECK_THAT(strstr(err.text, path) != NULL, "not named in: %s", err.text);
    CHECK_THAT(strstr(err.text, first) && strstr(err.text, second),
               "no '%s' or no '%s' in: %s", first, second, err.text);
}

/* With bytes that are spoiled at a place, of a plain file or one with ids. */
static void refuse_value(int has_ids, size_t at, uint64_t value, size_t size,
                         const char *first, const char *second)
{
    make(has_ids);
    for (size_t i = 0; i < size; i++)
        made[at + i] = (unsigned char)(value >> (8 * i));
    refuse(first, second);
}

/* ------------------------------------------------------------------------ */

/* What Faiss 1.7.3 writes for the same index, but for the centroids. */
START_TEST(test_bytes_on_disk)
{
    static const unsigned char head[] = {
        'I', 'x', 'P', 'q', 6, 0, 0, 0,  5, 0, 0, 0, 0, 0, 0,    0,   0, 0, 16,
        0,   0,   0,   0,   0, 0, 0, 16, 0, 0, 0, 0, 0, 1, 1,    0,   0, 0, 6,
        0,   0,   0,   0,   0, 0, 0, 3,  0, 0, 0, 0, 0, 0, 0,    8,   0, 0, 0,
        0,   0,   0,   0,   0, 6, 0, 0,  0, 0, 0, 0, 0, 0, 0x40, 0xc0};
    static const unsigned char tail[] = {0, 0, 0, 0, 0, 25, 0, 0, 0};

    make(0);
    ck_assert_uint_eq(length, AT_END);
    ck_assert_mem_eq(made, head, sizeof head);
    ck_assert_uint_eq(made[AT_NUM_CODES], N * M);
    ck_assert_mem_eq(made + AT_CODES, codes, sizeof codes);
    ck_assert_mem_eq(made + AT_CODES + N * M, tail, sizeof tail);
}
END_TEST

START_TEST(test_round_trip)
{
    const char *path = make(_i);
    float read_centroids[256 * D];
    uint8_t read_codes[N * M];
    uint64_t read_ids[N];
    struct pqf_error err = {""};
    struct pqf_faiss faiss;

    ck_assert_int_eq(pqf_faiss_looks_like(path), 1);
    CHECK_THAT(pqf_faiss_open(path, &faiss, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(faiss.shape.dim, D);
    ck_assert_uint_eq(faiss.shape.num_sub_vectors, M);
    ck_assert_uint_eq(faiss.shape.num_rows, N);
    ck_assert_int_eq((int)faiss.shape.metric, PQF_FAISS_L2);
    ck_assert_int_eq(faiss.shape.has_ids, _i);
    ck_assert_int_eq(pqf_faiss_read_centroids(&faiss, read_centroids, &err), 0);
    ck_assert_mem_eq(read_centroids, centroids, sizeof centroids);
    ck_assert_int_eq(pqf_faiss_read_codes(&faiss, 0, 2, read_codes, &err), 0);
    ck_assert_int_eq(
        pqf_faiss_read_codes(&faiss, 2, N - 2, read_codes + 2 * M, &err), 0);
    ck_assert_mem_eq(read_codes, codes, sizeof codes);
    if (_i) {
        ck_assert_int_eq(pqf_faiss_read_ids(&faiss, 0, 1, read_ids, &err), 0);
        ck_assert_int_eq(
            pqf_faiss_read_ids(&faiss, 1, N - 1, read_ids + 1, &err), 0);
        ck_assert_mem_eq(read_ids, ids, sizeof ids);
    }
    pqf_faiss_close(&faiss);
}
END_TEST

/* Cut to every shorter size, and lengthened. */
START_TEST(test_size)
{
    for (int has_ids = 0; has_ids < 2; has_ids++) {
        size_t whole;

        make(has_ids);
        whole = length;
        for (length = 0; length < whole; length++)
            /* The centroids are all alike. */
            if (length < AT_CENTROIDS + 50 || length > AT_NUM_CODES - 10)
                refuse("is cut short", "write it again");
        for (length = whole + 1; length < whole + 12; length++)
            refuse("left over", "write it again");
    }
}
END_TEST

START_TEST(test_bad_values)
{
    refuse_value(0, 0, 'J', 1, "is no index file of Faiss", "");
    refuse_value(0, 1, 0x615277, 3, "\"IwRa\"", "IndexPQ");
    refuse_value(0, 2, 0x5150, 2, "\"IxPQ\"", "the only one");
    refuse_value(0, 2, 0x0a1b, 2, "\"Ix??\"", "the only one");
    refuse_value(0, AT_D, 0, 4, "d is 0", "damaged");
    refuse_value(0, AT_D, UINT64_MAX, 4, "d is -1", "damaged");
    refuse_value(0, AT_D, 12, 4, "quantizer's d is 6", "the index has 12");
    refuse_value(0, AT_NTOTAL, UINT64_MAX, 8, "ntotal is -1", "damaged");
    refuse_value(0, AT_NTOTAL, INT64_MAX, 8, "ntotal is 9223372036854775807",
                 "no file can hold");
    refuse_value(0, AT_NTOTAL, 4, 8, "15 values of codes", "needs 12");
    refuse_value(0, AT_TRAINED, 0, 1, "not trained", "");
    refuse_value(0, AT_METRIC, 2, 4, "metric is 2", "L2");
    refuse_value(0, AT_METRIC, UINT64_MAX, 4, "metric is -1", "L2");
    refuse_value(0, AT_PQ_D, 7, 8, "quantizer's d is 7", "the index has 6");
    refuse_value(0, AT_PQ_M, 0, 8, "M is 0", "divide d");
    refuse_value(0, AT_PQ_M, 4, 8, "M is 4", "divide d");
    refuse_value(0, AT_PQ_M, UINT64_MAX, 8, "M is 18446744073709551615",
                 "1 to 256");
    refuse_value(0, AT_PQ_BITS, 4, 8, "codes of 4 bits", "nbits = 8");
    refuse_value(0, AT_NUM_CENTROIDS, 1537, 8, "1537 values of centroids",
                 "needs 1536");
    refuse_value(0, AT_NUM_CODES, UINT64_MAX, 8,
                 "18446744073709551615 values of codes", "needs 15");
    refuse_value(0, AT_NUM_CODES, 14, 8, "14 values of codes", "needs 15");
    refuse_value(0, AT_CENTROIDS + 4 * 9, 0x7F800000, 4,
                 "value 9 of the centroids is inf", "finite");
    refuse_value(0, AT_CENTROIDS + 4 * 1535, 0xFFC00000, 4, "value 1535",
                 "finite");
}
END_TEST

/* The wrapper is AT_PQ_D bytes; what it wraps moves as much. */
START_TEST(test_bad_id_maps)
{
    const size_t after = AT_PQ_D + AT_END;

    make(1);
    made[3] = '2';
    made[AT_PQ_D + 3] = 'Q';
    refuse("\"IxPQ\"", "the only one");
    refuse_value(1, AT_NTOTAL, 4, 8, "ids for 4 vectors", "codes of 5");
    refuse_value(1, AT_NTOTAL, 6, 8, "ids for 6 vectors", "codes of 5");
    refuse_value(1, after, 6, 8, "6 values of ids", "needs 5");
    refuse_value(1, after + 8 + 8 * 3, UINT64_MAX - 6, 8, "row 3 has the id -7",
                 "must not be negative");
    /* Wrapped twice. */
    make(1);
    memmove(made + AT_PQ_D, made, length);
    length += AT_PQ_D;
    refuse("\"IxMp\"", "the only one");
}
END_TEST

START_TEST(test_no_file)
{
    struct pqf_error err = {""};
    struct pqf_faiss faiss;

    ck_assert_int_eq(pqf_faiss_looks_like(scratch("none")), 0);
    ck_assert_int_eq(pqf_faiss_open(scratch("none"), &faiss, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "/none: "));
    ck_assert_int_eq(pqf_faiss_open("-", &faiss, &err), -1);
    ck_assert_int_eq(pqf_faiss_open(scratch_folder, &faiss, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "not a regular file"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("faiss");
    TCase *tcase = tcase_create("faiss");

    tcase_add_unchecked_fixture(tcase, scratch_make, scratch_remove);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, test_bytes_on_disk);
    tcase_add_loop_test(tcase, test_round_trip, 0, 2);
    tcase_add_test(tcase, test_size);
    tcase_add_test(tcase, test_bad_values);
    tcase_add_test(tcase, test_bad_id_maps);
    tcase_add_test(tcase, test_no_file);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
