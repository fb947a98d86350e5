/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The reader and writer of .npy files: good files, and every way of being bad. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "../checked.h"
#include "../scratch.h"

#include "formats/npy.h"
#include "formats/rows.h"
#include "formats/vecs.h"

#include <fcntl.h>
#include <math.h>

/* A file being made. */
static struct {
    unsigned char bytes[8192];
    size_t length;
} made;

static void put(const void *bytes, size_t count)
{
    memcpy(made.bytes + made.length, bytes, count);
    made.length += count;
}

/* A header of a version, padded as NumPy does it. */
static void put_header(int version, const char *text)
{
    size_t prefix = version == 1 ? 10 : 12;
    size_t length = strlen(text), padded = length + 1;
    unsigned char begin[8] = {0x93, 'N', 'U', 'M', 'P', 'Y', 0, 0};

    while ((prefix + padded) % 64 != 0)
        padded++;
    begin[6] = (unsigned char)version;
    made.length = 0;
    put(begin, 8);
    for (size_t i = 0; i < prefix - 8; i++) {
        unsigned char byte = (unsigned char)(padded >> (8 * i));
        put(&byte, 1);
    }
    put(text, length);
    for (; length + 1 < padded; length++)
        put(" ", 1);
    put("\n", 1);
}

static const char *save(void)
{
    const char *path = scratch("x.npy");

    scratch_write(path, made.bytes, made.length);
    return path;
}

/* The bytes at hand through a pipe, as standard input. */
static void feed(void)
{
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(write(ends[1], made.bytes, made.length),
                     (ssize_t)made.length);
    close(ends[1]);
    ck_assert_int_eq(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    close(ends[0]);
}

/* The file must be refused, as a file and as a stream, with a message that names
 * it and has both parts. */
static void refuse(const char *first, const char *second)
{
    for (int stream = 0; stream < 2; stream++) {
        const char *path = stream ? "-" : save();
        const char *name = stream ? "standard input" : path;
        struct pqf_error err = {""};
        struct pqf_rows rows;
        float values[64];
        int result;
        size_t got;

        if (stream)
            feed();
        test_case("%s, '%s'", name, first);
        result = pqf_rows_open_any(path, "npy", &rows, &err);
        if (result == 0) {
            do
                result = pqf_rows_next_floats(&rows, 4, values, &got, &err);
            while (result == 0 && got > 0);
            pqf_rows_close(&rows);
        }
        CHECK_THAT(result == -1, "is accepted");
        CHECK_THAT(strstr(err.text, name) != NULL, "not named in: %s",
                   err.text);
        CHECK_THAT(strstr(err.text, first) && strstr(err.text, second),
                   "no '%s' or no '%s' in: %s", first, second, err.text);
    }
}

static void refuse_header(const char *text, const char *first,
                          const char *second)
{
    put_header(1, text);
    put("0123456789abcdef0123456789abcdef", 32);
    refuse(first, second);
}

#define DICT(descr, order, shape)                                              \
    "{'descr': '" descr "', 'fortran_order': " order ", 'shape': " shape ", }"

/* ------------------------------------------------------------------------ */

/* As numpy.save writes np.array([[1, -2.5]], dtype='<f4'). */
START_TEST(test_bytes_on_disk)
{
    static const float floats[] = {1.0f, -2.5f};
    static const unsigned char end[] = {'\n', 0, 0,    0x80, 0x3f,
                                        0,    0, 0x20, 0xc0};
    static const char begin[] =
        "\x93NUMPY\x01\x00\x76\x00"
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }";
    const char *path = scratch("y.npy");
    struct pqf_output out;
    struct pqf_error err;
    char read[256];

    ck_assert_int_eq(pqf_output_open(path, &out, &err), 0);
    pqf_npy_write_header(&out, PQF_FLOAT32, 1, 2);
    pqf_output_values(&out, floats, 4, 2);
    ck_assert_int_eq(pqf_output_commit(&out, &err), 0);
    ck_assert_uint_eq(scratch_read(path, read, sizeof read), 128 + 8);
    ck_assert_mem_eq(read, begin, sizeof begin - 1);
    ck_assert_mem_eq(read + 127, end, sizeof end);
}
END_TEST

/* Every type that is read, in every version. */
START_TEST(test_versions)
{
    static const unsigned char floats[] = {0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0};
    static const unsigned char doubles[] = {0, 0, 0, 0, 0, 0, 0xf0, 0x3f,
                                            0, 0, 0, 0, 0, 0, 0x04, 0xc0};
    struct pqf_error err = {""};
    struct pqf_rows rows;
    float values[4] = {0};

    for (int version = 1; version <= 3; version++) {
        put_header(version, DICT("<f4", "False", "(1, 2)"));
        put(floats, sizeof floats);
        ck_assert_int_eq(pqf_rows_open(save(), &rows, &err), 0);
        ck_assert_uint_eq(rows.num_rows, 1);
        ck_assert_uint_eq(rows.dim, 2);
        ck_assert_int_eq(pqf_rows_read_floats(&rows, 0, 1, values, &err), 0);
        ck_assert(values[0] == 1.0f && values[1] == -2.5f);
        pqf_rows_close(&rows);
    }
    put_header(1, DICT("<f8", "False", "(2, 1)"));
    put(doubles, sizeof doubles);
    ck_assert_int_eq(pqf_rows_open(save(), &rows, &err), 0);
    ck_assert_int_eq(pqf_rows_read_floats(&rows, 0, 2, values, &err), 0);
    ck_assert(values[0] == 1.0f && values[1] == -2.5f);
    pqf_rows_close(&rows);
    put_header(1, DICT("|u1", "False", "(2, 2)"));
    put("\x00\x01\xfe\xff", 4);
    ck_assert_int_eq(pqf_rows_open(save(), &rows, &err), 0);
    ck_assert_int_eq(pqf_rows_read_floats(&rows, 0, 2, values, &err), 0);
    ck_assert(values[1] == 1.0f && values[3] == 255.0f);
    pqf_rows_close(&rows);
}
END_TEST

START_TEST(test_ids)
{
    static const struct {
        const char *header;
        size_t size;
    } kinds[] = {{DICT("<i8", "False", "(2,)"), 8},
                 {DICT("<u8", "False", "(2, 1)"), 8},
                 {DICT("<i4", "False", "(2,)"), 4},
                 {DICT("<u4", "True", "(2,)"), 4}};
    static const unsigned char two[16] = {7, 1, 0, 0, 0, 0, 0, 0, 9};
    static const unsigned char four[8] = {7, 1, 0, 0, 9};
    struct pqf_error err = {""};
    struct pqf_rows rows;
    uint64_t ids[2];
    size_t got;

    for (size_t i = 0; i < TEST_COUNT(kinds); i++) {
        put_header(1, kinds[i].header);
        put(kinds[i].size == 8 ? two : four, 2 * kinds[i].size);
        ck_assert_int_eq(pqf_rows_open(save(), &rows, &err), 0);
        ck_assert_int_eq(pqf_rows_next_ids(&rows, 2, ids, &got, &err), 0);
        ck_assert_uint_eq(got, 2);
        ck_assert_uint_eq(ids[0], 263);
        ck_assert_uint_eq(ids[1], 9);
        pqf_rows_close(&rows);
    }
}
END_TEST

START_TEST(test_bad_ids)
{
    static const struct {
        const char *header;
        unsigned char top;
        const char *message;
    } cases[] = {
        {DICT("<i4", "False", "(2,)"), 4, "row 1, column 0: the id is -1"},
        {DICT("<i8", "False", "(2,)"), 8, "row 1, column 0: the id is -1"},
        {DICT("<u8", "False", "(2,)"), 8, "which stands for none"},
        {DICT("<f4", "False", "(2,)"), 4, "float32 values"},
        {DICT("|u1", "False", "(2,)"), 1, "uint8 values"},
    };
    struct pqf_error err = {""};
    struct pqf_rows rows;
    uint64_t ids[2];
    size_t got;

    for (size_t i = 0; i < TEST_COUNT(cases); i++) {
        put_header(1, cases[i].header);
        put("\0\0\0\0\0\0\0\0", cases[i].top);
        put("\xff\xff\xff\xff\xff\xff\xff\xff", cases[i].top);
        ck_assert_int_eq(pqf_rows_open(save(), &rows, &err), 0);
        ck_assert_int_eq(pqf_rows_next_ids(&rows, 2, ids, &got, &err), -1);
        CHECK_THAT(strstr(err.text, cases[i].message) &&
                       strstr(err.text, "x.npy"),
                   "no '%s' in: %s", cases[i].message, err.text);
        pqf_rows_close(&rows);
    }
}
END_TEST

/* Headers that Python takes for the same. */
START_TEST(test_syntax)
{
    static const char *const headers[] = {
        "{\"descr\": \"|u1\", \"fortran_order\": False, \"shape\": (2, 3)}",
        "{'shape':(2,3),'descr':'|u1','fortran_order':False}",
        ("{ 'fortran_order' : False , 'shape' : ( 2L , 3L , ) , "
         "'descr' : '|u1' , }  \n "),
    };
    struct pqf_error err = {""};
    struct pqf_rows rows;

    for (size_t i = 0; i < TEST_COUNT(headers); i++) {
        put_header(1, headers[i]);
        put("abcdef", 6);
        CHECK_THAT(pqf_rows_open(save(), &rows, &err) == 0, "%s", err.text);
        ck_assert_uint_eq(rows.num_rows, 2);
        ck_assert_uint_eq(rows.dim, 3);
        pqf_rows_close(&rows);
    }
}
END_TEST

START_TEST(test_bad_syntax)
{
    refuse_header("", "'{' is missing", "damaged");
    refuse_header("{'descr' '<f4'}", "':' is missing", "damaged");
    refuse_header("{'descr: '<f4'}", "", "");
    refuse_header("{descr: '<f4'}", "a key is missing", "damaged");
    refuse_header("{'descr': <f4}", "the type's name is missing", "damaged");
    refuse_header("{'descr': '<f4', 'fortran_order': 1}", "True or False",
                  "missing");
    refuse_header("{'descr': '<f4' 'shape': (1, 2)}", "',' or '}'", "missing");
    refuse_header("{'shape': 1, 2}", "'(' is missing", "");
    refuse_header("{'shape': (a, 2)}", "a number is missing", "");
    refuse_header("{'shape': (1; 2)}", "',' or ')'", "");
    refuse_header("{'shape': (1, 2", "',' or ')'", "");
    refuse_header("{'shape': (-1, 2)}", "negative", "");
    refuse_header("{'shape': (18446744073709551616, 2)}", "overflow", "");
    refuse_header("{'color': 'red'}", "'color'", "no meaning");
    refuse_header("{'\033[2J\n': 1}", "'?[2J?'", "no meaning");
    refuse_header("{'descr': \033\r\x7f\xc3}", "before '????}", "damaged");
    refuse_header("{'descr': '<f4', 'descr': '<f4'}", "'descr'", "twice");
    refuse_header("{'descr': '<f4', 'fortran_order': False}", "lacks 'shape'",
                  "");
    refuse_header("{'descr': '<f4', 'shape': (1, 2)}", "lacks 'fortran_order'",
                  "");
    refuse_header("{}", "lacks 'descr'", "");
    refuse_header(DICT("<f4", "False", "(1, 2)") " x", "the end is missing",
                  "");
}
END_TEST

START_TEST(test_bad_meaning)
{
    refuse_header(DICT("<f4", "True", "(2, 4)"), "Fortran",
                  "ascontiguousarray");
    refuse_header(DICT(">f4", "False", "(2, 4)"), "big-endian",
                  "a.astype('<f4')");
    refuse_header(DICT("<f2", "False", "(2, 8)"), "'<f2'", "save the array as");
    refuse_header(DICT("<c8", "False", "(2, 2)"), "'<c8'", "save the array as");
    refuse_header(DICT("|O", "False", "(2, 2)"), "'|O'", "save the array as");
    refuse_header("{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': "
                  "(8,)}",
                  "records", "[('x', '<f4')]");
    refuse_header("{'descr': [('\033', '<f4')]}", "records", "[('?', '<f4')]");
    refuse_header(DICT("<\033", "False", "(2, 2)"), "'<?'", "");
    refuse_header(DICT(">\033", "False", "(2, 2)"), "'>?'", "'<?'");
    refuse_header(DICT("<f4", "False", "()"), "0 axes", "reshape");
    refuse_header(DICT("<f4", "False", "(2, 2, 2)"), "3 axes", "reshape");
    refuse_header(DICT("<f4", "False", "(2, 0)"), "0 values wide", "");
    refuse_header(DICT("<f4", "False", "(1, 16777217)"), "16777217 values wide",
                  "");
    refuse_header(DICT("<f4", "False", "(4611686018427387904, 4)"),
                  "4611686018427387904 rows", "no file can hold");
    refuse_header(DICT("<f4", "False", "(18446744073709551615, 1)"),
                  "18446744073709551615 rows", "no file can hold");
    refuse_header(DICT("<i8", "False", "(2, 2)"), "int64 values",
                  "is needed here");
}
END_TEST

/* Two rows of four floats, cut or lengthened to every other size. */
START_TEST(test_size)
{
    for (size_t length = 0; length <= 64 + 64 + 48; length++) {
        char where[48];

        put_header(1, DICT("<f4", "False", "(2, 4)"));
        memset(made.bytes + made.length, 0, 48);
        ck_assert_uint_eq(made.length, 128);
        made.length = length;
        if (length == 128 + 32)
            continue;
        snprintf(where, sizeof where, "row %zu has %zu of",
                 length < 128 ? 0 : (length - 128) / 16, (length - 128) % 16);
        if (length < 128)
            refuse("header is cut short", "");
        else if (length < 128 + 32)
            refuse(where, "cut short");
        else
            refuse("left over", "");
    }
}
END_TEST

START_TEST(test_not_npy)
{
    made.length = 0;
    put("PK\x03\x04 and more", 13);
    refuse("does not begin as a .npy file", ".npz");
    for (size_t i = 0; i < 6; i++) {
        put_header(1, DICT("<f4", "False", "(1, 1)"));
        made.bytes[i] ^= 0x20;
        refuse("does not begin as a .npy file", ".npz");
    }
    put_header(1, DICT("<f4", "False", "(1, 1)"));
    made.bytes[6] = 4;
    refuse("version 4.0", "1.0 to 3.0");
    made.bytes[6] = 0;
    refuse("version 0.0", "1.0 to 3.0");
    put_header(2, DICT("<f4", "False", "(1, 1)"));
    made.bytes[11] = 0x7F;
    refuse("bytes long", "damaged");
}
END_TEST

START_TEST(test_not_finite)
{
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    static const double large = 1e39, small = 1e-60;
    struct pqf_error err = {""};
    struct pqf_rows rows;
    float zero = 0.0f;

    for (size_t i = 0; i < TEST_COUNT(bad); i++) {
        uint32_t bits;
        unsigned char bytes[4];

        memcpy(&bits, &bad[i], sizeof bits);
        for (int b = 0; b < 4; b++)
            bytes[b] = (unsigned char)(bits >> (8 * b));
        put_header(1, DICT("<f4", "False", "(2, 2)"));
        for (int v = 0; v < 4; v++)
            put(v == 3 ? bytes : (const unsigned char *)&zero, 4);
        refuse("row 1, column 1", "must be finite");
    }
    for (int i = 0; i < 2; i++) {
        uint64_t bits;
        unsigned char bytes[8];

        memcpy(&bits, i == 0 ? &large : &small, sizeof bits);
        for (int b = 0; b < 8; b++)
            bytes[b] = (unsigned char)(bits >> (8 * b));
        put_header(1, DICT("<f8", "False", "(1, 1)"));
        put(bytes, 8);
        if (i == 0) {
            refuse("row 0, column 0: the value is 1e+39",
                   "finite as a float32");
            continue;
        }
        /* Too small is zero, as everywhere. */
        ck_assert_int_eq(pqf_rows_open(save(), &rows, &err), 0);
        ck_assert_int_eq(pqf_rows_read_floats(&rows, 0, 1, &zero, &err), 0);
        ck_assert(zero == 0.0f);
        pqf_rows_close(&rows);
    }
}
END_TEST

/* No rows are an ordinary case. */
START_TEST(test_empty)
{
    for (int stream = 0; stream < 2; stream++) {
        struct pqf_error err = {""};
        struct pqf_rows rows;
        float value;
        size_t got;

        put_header(1, DICT("<f4", "False", "(0, 4)"));
        if (stream)
            feed();
        ck_assert_int_eq(
            pqf_rows_open_any(stream ? "-" : save(), "npy", &rows, &err), 0);
        ck_assert_int_eq(pqf_rows_next_floats(&rows, 1, &value, &got, &err), 0);
        ck_assert_uint_eq(got, 0);
        pqf_rows_close(&rows);
    }
}
END_TEST

/* Streams of each format give what files give, in pieces of any size. */
START_TEST(test_streams)
{
    static const char *const formats[] = {"npy", "fvecs", "bvecs"};
    enum { ROWS = 13, DIM = 3 };
    float values[ROWS * DIM + DIM];

    for (size_t f = 0; f < TEST_COUNT(formats); f++)
        for (size_t piece = 1; piece <= ROWS + 1; piece++) {
            struct pqf_error err = {""};
            struct pqf_rows rows;
            size_t got, all = 0;

            put_header(1, DICT("|u1", "False", "(13, 3)"));
            made.length = f == 0 ? made.length : 0;
            for (int i = 0; i < ROWS; i++) {
                static const unsigned char width[4] = {DIM};
                const unsigned char row[] = {(unsigned char)i, 0, 7};
                const unsigned char wide[] = {
                    0, 0, (unsigned char)i, 0x3f, 0, 0, 0, 0, 0, 0, 0x80, 0x3f};

                if (f > 0)
                    put(width, 4);
                put(f == 1 ? wide : row, f == 1 ? 12 : 3);
            }
            feed();
            ck_assert_int_eq(pqf_rows_open_any("-", formats[f], &rows, &err),
                             0);
            ck_assert_uint_eq(rows.dim, DIM);
            ck_assert_int_eq(rows.source.regular, 0);
            do {
                CHECK_THAT(pqf_rows_next_floats(&rows, piece,
                                                values + all * DIM, &got,
                                                &err) == 0,
                           "%s: %s", formats[f], err.text);
                all += got;
            } while (got > 0 && all <= ROWS);
            ck_assert_uint_eq(all, ROWS);
            ck_assert(values[(ROWS - 1) * DIM + 2] == (f == 1 ? 1.0f : 7.0f));
            if (f != 1)
                ck_assert(values[(ROWS - 1) * DIM] == ROWS - 1);
            pqf_rows_close(&rows);
        }
}
END_TEST

/* A stream of TEXMEX rows that ends within one, or changes its width. */
START_TEST(test_bad_streams)
{
    static const unsigned char rows_of_two[] = {2, 0, 0, 0, 1, 2,
                                                2, 0, 0, 0, 3, 4};

    for (size_t length = 0; length < sizeof rows_of_two; length++) {
        struct pqf_error err = {""};
        struct pqf_rows rows;
        uint8_t bytes[8];
        size_t got;
        int result;

        made.length = 0;
        put(rows_of_two, length);
        feed();
        result = pqf_rows_open_any("-", "bvecs", &rows, &err);
        if (result == 0) {
            result = pqf_rows_next_bytes(&rows, 4, bytes, &got, &err);
            pqf_rows_close(&rows);
        }
        CHECK_THAT((result == 0) == (length == 6), "%zu bytes: %s", length,
                   err.text);
        CHECK_THAT(result == 0 || strstr(err.text, "standard input"),
                   "%zu bytes: %s", length, err.text);
    }
}
END_TEST

/* Nothing is there under its name before it is complete. */
START_TEST(test_output)
{
    const char *path = scratch("out.npy");
    struct pqf_output out;
    struct pqf_error err = {""};
    struct stat status;
    char *unfinished;
    char read[8];

    scratch_write(path, "old", 3);
    ck_assert_int_eq(pqf_output_open(path, &out, &err), 0);
    pqf_output_bytes(&out, "new", 3);
    unfinished = strdup(out.unfinished);
    pqf_output_abandon(&out);
    ck_assert_int_ne(stat(unfinished, &status), 0);
    free(unfinished);
    scratch_read(path, read, sizeof read);
    ck_assert_str_eq(read, "old");

    ck_assert_int_eq(pqf_output_open(path, &out, &err), 0);
    pqf_output_bytes(&out, "new", 3);
    ck_assert_int_eq(stat(out.unfinished, &status), 0);
    pqf_output_remove_unfinished();
    ck_assert_int_ne(stat(out.unfinished, &status), 0);
    ck_assert_int_eq(pqf_output_commit(&out, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, path));
    scratch_read(path, read, sizeof read);
    ck_assert_str_eq(read, "old");

    ck_assert_int_eq(pqf_output_open(path, &out, &err), 0);
    pqf_output_bytes(&out, "new", 3);
    ck_assert_int_eq(pqf_output_commit(&out, &err), 0);
    scratch_read(path, read, sizeof read);
    ck_assert_str_eq(read, "new");

    ck_assert_int_eq(pqf_output_open(scratch("no/out"), &out, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "no/out: cannot be written"));
    if (access("/dev/full", W_OK) == 0) {
        ck_assert_int_eq(pqf_output_open("/dev/full", &out, &err), 0);
        pqf_output_bytes(&out, "new", 3);
        ck_assert_int_eq(pqf_output_commit(&out, &err), -1);
        ck_assert_ptr_nonnull(strstr(err.text, "/dev/full: cannot be written"));
    }
}
END_TEST

static void write_new(const char *path)
{
    struct pqf_output out;
    struct pqf_error err = {""};

    ck_assert_int_eq(pqf_output_open(path, &out, &err), 0);
    pqf_output_bytes(&out, "new", 3);
    ck_assert_int_eq(pqf_output_commit(&out, &err), 0);
}

static unsigned mode_of(const char *path)
{
    struct stat status;

    ck_assert_int_eq(stat(path, &status), 0);
    return (unsigned)status.st_mode & 0777;
}

START_TEST(test_output_mode)
{
    const char *path = scratch("mode");

    umask(027);
    write_new(path);
    ck_assert_uint_eq(mode_of(path), 0640);
    ck_assert_int_eq(chmod(path, 0464), 0);
    write_new(path);
    ck_assert_uint_eq(mode_of(path), 0464);
}
END_TEST

/* What would overwrite itself is not written at all, by whatever name. */
START_TEST(test_output_twice)
{
    struct pqf_output outs[2], *both[] = {&outs[0], &outs[1]};
    struct pqf_error err = {""};
    struct stat status;

    ck_assert_int_eq(pqf_output_open(scratch("twice"), &outs[0], &err), 0);
    ck_assert_int_eq(pqf_output_open(scratch("./twice"), &outs[1], &err), 0);
    ck_assert_int_eq(pqf_outputs_commit(both, 2, &err), -1);
    ck_assert_ptr_nonnull(strstr(err.text, "is to be written twice"));
    ck_assert_int_ne(stat(scratch("twice"), &status), 0);
    ck_assert_int_eq(pqf_output_open(scratch("once"), &outs[0], &err), 0);
    ck_assert_int_eq(pqf_output_open(scratch("other"), &outs[1], &err), 0);
    ck_assert_int_eq(pqf_outputs_commit(both, 2, &err), 0);
    ck_assert_int_eq(stat(scratch("once"), &status), 0);
    ck_assert_int_eq(stat(scratch("other"), &status), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("npy");
    TCase *tcase = tcase_create("npy");

    tcase_add_unchecked_fixture(tcase, scratch_make, scratch_remove);
    tcase_add_test(tcase, test_bytes_on_disk);
    tcase_add_test(tcase, test_versions);
    tcase_add_test(tcase, test_ids);
    tcase_add_test(tcase, test_bad_ids);
    tcase_add_test(tcase, test_syntax);
    tcase_add_test(tcase, test_bad_syntax);
    tcase_add_test(tcase, test_bad_meaning);
    tcase_add_test(tcase, test_size);
    tcase_add_test(tcase, test_not_npy);
    tcase_add_test(tcase, test_not_finite);
    tcase_add_test(tcase, test_empty);
    tcase_add_test(tcase, test_streams);
    tcase_add_test(tcase, test_bad_streams);
    tcase_add_test(tcase, test_output);
    tcase_add_test(tcase, test_output_mode);
    tcase_add_test(tcase, test_output_twice);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
