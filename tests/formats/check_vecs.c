/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The readers of TEXMEX files: good files, and every way of being bad. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "../checked.h"
#include "../scratch.h"

#include "formats/checksum.h"
#include "formats/vecs.h"
#include "base/sha256.h"
#include "harness/fixture/store.h"

#include <fcntl.h>

static const char *const names[] = {
    [PQF_FVECS] = "x.fvecs", [PQF_BVECS] = "x.bvecs", [PQF_IVECS] = "x.ivecs"};

/* A file being made, byte by byte. */
static struct {
    unsigned char bytes[4096];
    size_t length;
} made;

static void put_le32(uint32_t value)
{
    for (int i = 0; i < 4; i++)
        made.bytes[made.length++] = (unsigned char)(value >> (8 * i));
}

/* A row of zeros. */
static void put_row(enum pqf_format type, uint32_t width)
{
    size_t bytes = type == PQF_BVECS ? width : (size_t)width * 4;

    put_le32(width);
    memset(made.bytes + made.length, 0, bytes);
    made.length += bytes;
}

static const char *save(enum pqf_format type)
{
    const char *path = scratch(names[type]);

    scratch_write(path, made.bytes, made.length);
    return path;
}

/* Open and read all; 0 or -1. */
static int load(const char *path, struct pqf_error *err)
{
    static struct test_arena arena;
    struct pqf_rows vecs;
    size_t values;
    int result;

    if (pqf_rows_open(path, &vecs, err) != 0)
        return -1;
    values = (size_t)vecs.num_rows * vecs.dim;
    if (vecs.format == PQF_FVECS)
        result = pqf_rows_read_floats(&vecs, 0, (size_t)vecs.num_rows,
                                      test_at_end(&arena, values * 4), err);
    else if (vecs.format == PQF_BVECS)
        result = pqf_rows_read_bytes(&vecs, 0, (size_t)vecs.num_rows,
                                     test_at_end(&arena, values), err);
    else
        result = pqf_rows_read_ints(&vecs, 0, (size_t)vecs.num_rows,
                                    test_at_end(&arena, values * 4), err);
    pqf_rows_close(&vecs);
    return result;
}

/* What was made must be refused with a message that names the file and says
 * each of the two things. */
static void refuse(enum pqf_format type, const char *first, const char *second)
{
    const char *path = save(type);
    struct pqf_error err = {""};

    test_case("%s of %zu bytes", names[type], made.length);
    CHECK_THAT(load(path, &err) == -1, "is accepted");
    CHECK_THAT(strstr(err.text, path) != NULL, "not named in: %s", err.text);
    CHECK_THAT(strstr(err.text, first) != NULL && strstr(err.text, second),
               "no '%s' or no '%s' in: %s", first, second, err.text);
    made.length = 0;
}

/* ------------------------------------------------------------------------ */

START_TEST(test_bytes_on_disk)
{
    static const float floats[] = {1.0f, -2.5f};
    static const unsigned char expected[] = {2,    0,    0, 0, 0,    0,
                                             0x80, 0x3f, 0, 0, 0x20, 0xc0};
    const char *path = scratch("x.fvecs");
    char read[64], hex[PQK_SHA256_HEX];
    struct pqf_error err;

    ck_assert_int_eq(pqh_vecs_store(path, PQF_FVECS, floats, 1, 2, &err), 0);
    ck_assert_uint_eq(scratch_read(path, read, sizeof read), sizeof expected);
    ck_assert_mem_eq(read, expected, sizeof expected);
    ck_assert_int_eq(pqf_checksum_verify(path, hex, &err), 0);
    scratch_read(scratch("x.fvecs.sha256"), read, sizeof read);
    ck_assert_mem_eq(read, hex, 63);
}
END_TEST

START_TEST(test_checksum_names_file)
{
    static const unsigned char byte[] = {7};
    char read[128];
    struct pqf_error err;

    ck_assert_int_eq(
        pqh_vecs_store(scratch("y.bvecs"), PQF_BVECS, byte, 1, 1, &err), 0);
    scratch_read(scratch("y.bvecs.sha256"), read, sizeof read);
    ck_assert_str_eq(read + 64, "  y.bvecs\n");
    ck_assert_int_eq(
        pqh_vecs_store(scratch("none/y.bvecs"), PQF_BVECS, byte, 1, 1, &err),
        -1);
    ck_assert_ptr_nonnull(strstr(err.text, "none/y.bvecs"));
}
END_TEST

START_TEST(test_bad_checksum)
{
    static const unsigned char byte[] = {7};
    const char *path = scratch("z.bvecs"), *sum = scratch("z.bvecs.sha256");
    char hex[PQK_SHA256_HEX], line[128];
    struct pqf_error err;

    ck_assert_int_eq(pqh_vecs_store(path, PQF_BVECS, byte, 1, 1, &err), 0);
    ck_assert_int_eq(pqf_checksum_verify(path, hex, &err), 0);
    scratch_read(sum, line, sizeof line);
    ck_assert_mem_eq(line, hex, 64);
    line[63] = line[63] == '0' ? '1' : '0';
    scratch_write(sum, line, strlen(line));
    ck_assert_int_eq(pqf_checksum_verify(path, hex, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "its SHA-256 is"));
    line[63] = 'G';
    scratch_write(sum, line, strlen(line));
    ck_assert_int_eq(pqf_checksum_verify(path, hex, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "does not begin with the 64"));
    scratch_write(sum, line, 63);
    ck_assert_int_eq(pqf_checksum_verify(path, hex, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "does not begin with the 64"));
}
END_TEST

/* More rows than one read takes, and a part from the middle. */
START_TEST(test_round_trip)
{
    enum { ROWS = 5000, DIM = 37 };
    static int32_t ints[ROWS][DIM], read[ROWS][DIM];
    static uint8_t bytes[ROWS][DIM];
    static float floats[ROWS][DIM];
    struct pqf_error err;
    struct pqf_rows vecs;

    for (int i = 0; i < ROWS; i++)
        for (int d = 0; d < DIM; d++) {
            ints[i][d] = i * 400003 - d * 54321;
            bytes[i][d] = (uint8_t)(i * 7 + d);
        }
    ck_assert_int_eq(
        pqh_vecs_store(scratch("x.ivecs"), PQF_IVECS, ints, ROWS, DIM, &err),
        0);
    ck_assert_int_eq(
        pqh_vecs_store(scratch("x.bvecs"), PQF_BVECS, bytes, ROWS, DIM, &err),
        0);
    ck_assert_int_eq(pqf_rows_open(scratch("x.ivecs"), &vecs, &err), 0);
    ck_assert_uint_eq(vecs.num_rows, ROWS);
    ck_assert_uint_eq(vecs.dim, DIM);
    ck_assert_int_eq(pqf_rows_read_ints(&vecs, 0, ROWS, read[0], &err), 0);
    ck_assert_mem_eq(read, ints, sizeof ints);
    ck_assert_int_eq(pqf_rows_read_ints(&vecs, 4000, 3, read[0], &err), 0);
    ck_assert_mem_eq(read, ints[4000], 3 * sizeof ints[0]);
    ck_assert_int_eq(pqf_rows_read_floats(&vecs, 0, 1, floats[0], &err), -1);
    ck_assert_int_eq(pqf_rows_read_bytes(&vecs, 0, 1, bytes[0], &err), -1);
    pqf_rows_close(&vecs);
    ck_assert_int_eq(pqf_rows_open(scratch("x.bvecs"), &vecs, &err), 0);
    ck_assert_int_eq(pqf_rows_read_floats(&vecs, 1, ROWS - 1, floats[0], &err),
                     0);
    for (int i = 1; i < ROWS; i++)
        for (int d = 0; d < DIM; d++)
            ck_assert(floats[i - 1][d] == (float)bytes[i][d]);
    ck_assert_int_eq(pqf_rows_read_ints(&vecs, 0, 1, read[0], &err), -1);
    pqf_rows_close(&vecs);
}
END_TEST

START_TEST(test_empty)
{
    refuse((enum pqf_format)_i, "empty", "");
    for (size_t length = 1; length < 4; length++) {
        made.length = length;
        refuse((enum pqf_format)_i, "row 0", "cut short");
    }
}
END_TEST

/* Three rows, cut or lengthened to every other size. */
START_TEST(test_size)
{
    enum pqf_format type = (enum pqf_format)_i;
    const size_t row = type == PQF_BVECS ? 4 + 5 : 4 + 20;

    for (size_t length = 4; length < 5 * row; length++) {
        struct pqf_error err;
        char where[32];

        made.length = 0;
        for (int i = 0; i < 5; i++)
            put_row(type, 5);
        made.length = length;
        snprintf(where, sizeof where, "row %zu has %zu of", length / row,
                 length % row);
        if (length % row == 0)
            ck_assert_int_eq(load(save(type), &err), 0);
        else
            refuse(type, where, "cut short, or has bytes left over");
    }
}
END_TEST

START_TEST(test_mixed_width)
{
    enum pqf_format type = (enum pqf_format)_i;
    uint32_t whole = type == PQF_BVECS ? 14 : 11;

    /* The size is a multiple of row 0's, so that only reading tells. */
    put_row(type, 5);
    put_row(type, 5);
    put_row(type, whole);
    refuse(type, "row 2", type == PQF_BVECS ? "width is 14" : "width is 11");
    /* The size tells, too, but the width says more. */
    put_row(type, 5);
    put_row(type, 7);
    put_row(type, 5);
    refuse(type, "row 1", "width is 7, but row 0 has 5");
    /* A width of another row that is absurd must not lead anywhere. */
    put_row(type, 5);
    put_row(type, 5);
    made.bytes[made.length / 2 + 3] = 0xFF;
    refuse(type, "row 1", "width is -");
}
END_TEST

START_TEST(test_bad_width)
{
    static const struct {
        uint32_t width;
        const char *message;
    } cases[] = {
        {0, "width is 0"},
        {0xFFFFFFFF, "width is -1"},
        {0x80000001, "width is -2147483647"},
        {PQF_VECS_MAX_DIM + 1, "width is 32769"},
        {0x7FFFFFFF, "width is 2147483647"},
        {0x40404040, "width is 1077952576"},
    };

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        put_row((enum pqf_format)_i, 8);
        made.length = 0;
        put_le32(cases[i].width);
        made.length = 64;
        refuse((enum pqf_format)_i, "row 0", cases[i].message);
    }
}
END_TEST

/* All widths of use, written the wrong way round. */
START_TEST(test_wrong_endian)
{
    static const uint32_t widths[] = {1, 16, 100, 128, 256, 960, 1536};

    for (size_t i = 0; i < TEST_COUNT(widths); i++) {
        uint32_t w = widths[i];
        char swapped[64];

        put_le32(w << 24 | (w & 0xFF00) << 8);
        made.length = 100;
        snprintf(swapped, sizeof swapped, "but %u with its bytes swapped", w);
        refuse((enum pqf_format)_i, swapped, "big-endian");
    }
}
END_TEST

START_TEST(test_not_finite)
{
    static const uint32_t bits[] = {0x7F800000, 0xFF800000, 0x7FC00000,
                                    0xFFFFFFFF, 0x7F800001};

    for (size_t i = 0; i < TEST_COUNT(bits); i++) {
        for (int row = 0; row < 4; row++)
            put_row(PQF_FVECS, 3);
        made.length = 2 * 16 + 4 + 4;
        put_le32(bits[i]);
        made.length = 4 * 16;
        refuse(PQF_FVECS, "row 2, column 1", "must be finite");
    }
    put_le32(1);
    put_le32(0x7F7FFFFF); /* the largest that is finite */
    put_le32(1);
    put_le32(0x00000001); /* the smallest */
    ck_assert_int_eq(load(save(PQF_FVECS), &(struct pqf_error){""}), 0);
}
END_TEST

START_TEST(test_no_file)
{
    struct pqf_error err;
    struct pqf_rows vecs;

    ck_assert_int_eq(pqf_rows_open(scratch("none.fvecs"), &vecs, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "/none.fvecs: "));
    ck_assert_int_eq(mkdir(scratch("folder.fvecs"), 0777), 0);
    ck_assert_int_eq(pqf_rows_open(scratch("folder.fvecs"), &vecs, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "not a regular file"));
    ck_assert_int_eq(mkfifo(scratch("fifo.fvecs"), 0666), 0);
    ck_assert_int_eq(pqf_rows_open(scratch("fifo.fvecs"), &vecs, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "not a regular file"));
    scratch_write(scratch("x.csv"), "1", 1);
    ck_assert_int_eq(pqf_rows_open(scratch("x.csv"), &vecs, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, ".fvecs, .bvecs, .ivecs or .npy"));
}
END_TEST

START_TEST(test_cut_while_open)
{
    struct pqf_error err;
    struct pqf_rows vecs;
    uint8_t values[40];

    for (int i = 0; i < 4; i++)
        put_row(PQF_BVECS, 10);
    ck_assert_int_eq(pqf_rows_open(save(PQF_BVECS), &vecs, &err), 0);
    ck_assert_int_eq(truncate(vecs.source.path, 30), 0);
    ck_assert_int_eq(pqf_rows_read_bytes(&vecs, 0, 4, values, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "became shorter"));
    pqf_rows_close(&vecs);
}
END_TEST

/* The last row of a file of 6 GB, most of which no disk has to hold. */
START_TEST(test_large_file)
{
    const size_t num_rows = 48000000;
    struct pqf_error err;
    struct pqf_rows vecs;
    uint8_t values[128];
    int fd = open(scratch("large.bvecs"), O_RDWR | O_CREAT, 0666);

    put_row(PQF_BVECS, 128);
    made.bytes[made.length - 1] = 99;
    ck_assert_int_ge(fd, 0);
    if (pwrite(fd, made.bytes, 132, 0) != 132 ||
        pwrite(fd, made.bytes, 132, (off_t)132 * ((off_t)num_rows - 1)) !=
            132) {
        printf(
            "# no files of 6 GB here: the test of large files is left out\n");
        return;
    }
    close(fd);
    ck_assert_int_eq(pqf_rows_open(scratch("large.bvecs"), &vecs, &err), 0);
    ck_assert_uint_eq(vecs.num_rows, num_rows);
    ck_assert_int_eq(pqf_rows_read_bytes(&vecs, num_rows - 1, 1, values, &err),
                     0);
    ck_assert_uint_eq(values[127], 99);
    ck_assert_int_eq(pqf_rows_read_bytes(&vecs, num_rows - 2, 1, values, &err),
                     -1);
    ck_assert_ptr_nonnull(strstr(err.text, "row 47999998"));
    pqf_rows_close(&vecs);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("vecs");
    TCase *tcase = tcase_create("vecs");

    tcase_add_unchecked_fixture(tcase, scratch_make, scratch_remove);
    tcase_add_test(tcase, test_bytes_on_disk);
    tcase_add_test(tcase, test_checksum_names_file);
    tcase_add_test(tcase, test_bad_checksum);
    tcase_add_test(tcase, test_round_trip);
    tcase_add_loop_test(tcase, test_empty, PQF_FVECS, PQF_IVECS + 1);
    tcase_add_loop_test(tcase, test_size, PQF_FVECS, PQF_IVECS + 1);
    tcase_add_loop_test(tcase, test_mixed_width, PQF_FVECS, PQF_IVECS + 1);
    tcase_add_loop_test(tcase, test_bad_width, PQF_FVECS, PQF_IVECS + 1);
    tcase_add_loop_test(tcase, test_wrong_endian, PQF_FVECS, PQF_IVECS + 1);
    tcase_add_test(tcase, test_not_finite);
    tcase_add_test(tcase, test_no_file);
    tcase_add_test(tcase, test_cut_while_open);
    tcase_add_test(tcase, test_large_file);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
