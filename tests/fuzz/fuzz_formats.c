/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Files of other programs: TEXMEX's, NumPy's and Faiss's.  They are refused with
 * a message, or read, and then a stream of the same bytes gives the same values.
 *
 * An input is a byte that says of what kind the file is, and the file.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <unistd.h>

#include "formats/faiss.h"
#include "formats/npy.h"
#include "formats/rows.h"
#include "formats/vecs.h"
#include "fuzz.h"

/* Behind the formats of rows. */
enum { FAISS = PQF_NPY + 1, NUM_KINDS };

static const char *const names[] = {"file.fvecs", "file.bvecs", "file.ivecs",
                                    "file.npy", "file.faiss"};

static const char *path_of(const char *name)
{
    return test_path(fuzz_folder("fuzz_formats"), name);
}

static struct pqf_error no_message(void)
{
    return (struct pqf_error){{0}};
}

/* A result; a failure comes with a message that names the file. */
static int checked(int result, const struct pqf_error *err)
{
    FUZZ_THAT(result == 0 || result == -1);
    FUZZ_THAT(result == 0 || (memchr(err->text, '\0', sizeof err->text) &&
                              (strstr(err->text, fuzz_folder("fuzz_formats")) ||
                               strstr(err->text, "/dev/fd/"))));
    return result;
}

/* ------------------------------------------------------------------------ */
/* Rows                                                                     */

/* All that one kind of reading gives. */
struct values {
    int failed;
    uint64_t num_rows;
    size_t bytes;
    uint8_t *values;
};

enum reading { FLOATS, BYTES, IDS, NUM_READINGS };

static const size_t value_bytes[] = {sizeof(float), 1, sizeof(uint64_t)};

static int next(struct pqf_rows *rows, enum reading reading, size_t count,
                void *values, size_t *got, struct pqf_error *err)
{
    switch (reading) {
    case FLOATS:
        return pqf_rows_next_floats(rows, count, values, got, err);
    case BYTES:
        return pqf_rows_next_bytes(rows, count, values, got, err);
    case IDS:
    case NUM_READINGS:
    default:
        return pqf_rows_next_ids(rows, count, values, got, err);
    }
}

/* Some rows at a time, each into memory of exactly its size. */
static struct values read_on(struct pqf_rows *rows, enum reading reading,
                             size_t count)
{
    const size_t row_bytes = rows->dim * value_bytes[reading];
    struct pqf_error err = no_message();
    struct values all = {.values = NULL};
    size_t got = 1;

    while (got > 0 && !all.failed) {
        all.values = realloc(all.values, all.bytes + count * row_bytes);
        if (!all.values)
            abort();
        all.failed = checked(next(rows, reading, count, all.values + all.bytes,
                                  &got, &err),
                             &err) != 0;
        if (all.failed)
            break;
        FUZZ_THAT(got <= count);
        all.bytes += got * row_bytes;
        all.num_rows += got;
    }
    return all;
}

/* What a pipe cannot hold is not written by anybody here. */
static int open_pipe(const uint8_t *data, size_t size)
{
    int ends[2];

    if (pipe(ends) != 0 || write(ends[1], data, size) != (ssize_t)size)
        abort();
    close(ends[1]);
    return ends[0];
}

static void compare_with_stream(const uint8_t *data, size_t size,
                                enum pqf_format format, enum reading reading,
                                const struct values *expected)
{
    const int fd = open_pipe(data, size);
    struct pqf_error err = no_message();
    struct pqf_rows rows;
    struct values found = {.failed = 1};
    char path[32];

    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    if (checked(pqf_rows_open_any(path, pqf_format_name(format), &rows, &err),
                &err) == 0) {
        found = read_on(&rows, reading, 3);
        pqf_rows_close(&rows);
    }
    FUZZ_THAT(found.failed == expected->failed);
    FUZZ_THAT(found.failed ||
              (found.bytes == expected->bytes &&
               memcmp(found.values, expected->values, found.bytes) == 0));
    free(found.values);
    close(fd);
}

/* The same rows, asked for by their number. */
static void compare_ints(const struct pqf_rows *rows)
{
    const size_t count = (size_t)rows->num_rows;
    struct pqf_error err = no_message();
    int32_t *values = test_alloc(count * rows->dim * sizeof *values);

    (void)checked(pqf_rows_read_ints(rows, 0, count, values, &err), &err);
    free(values);
}

static void read_rows(const uint8_t *data, size_t size, enum pqf_format format)
{
    for (int reading = FLOATS; reading < NUM_READINGS; reading++) {
        struct pqf_error err = no_message();
        struct pqf_rows rows;
        struct values all = {.failed = 1};

        if (checked(pqf_rows_open(path_of(names[format]), &rows, &err), &err) ==
            0) {
            compare_ints(&rows);
            all = read_on(&rows, (enum reading)reading, 2);
            FUZZ_THAT(all.failed || all.num_rows == rows.num_rows);
            pqf_rows_close(&rows);
        }
        compare_with_stream(data, size, format, (enum reading)reading, &all);
        free(all.values);
    }
}

/* ------------------------------------------------------------------------ */
/* Faiss                                                                    */

static void read_faiss(void)
{
    struct pqf_error err = no_message();
    struct pqf_faiss faiss;
    size_t count;
    void *values;

    (void)pqf_faiss_looks_like(path_of(names[FAISS]));
    if (checked(pqf_faiss_open(path_of(names[FAISS]), &faiss, &err), &err) != 0)
        return;
    FUZZ_THAT(pqf_faiss_looks_like(path_of(names[FAISS])));
    count = (size_t)faiss.shape.num_rows;
    values = test_alloc(faiss.shape.dim * PQF_FAISS_CENTROIDS * sizeof(float));
    (void)checked(pqf_faiss_read_centroids(&faiss, values, &err), &err);
    free(values);
    values = test_alloc(count * faiss.shape.num_sub_vectors);
    FUZZ_THAT(pqf_faiss_read_codes(&faiss, 0, count, values, &err) == 0);
    free(values);
    values = test_alloc(count * sizeof(uint64_t));
    if (faiss.shape.has_ids)
        (void)checked(pqf_faiss_read_ids(&faiss, 0, count, values, &err), &err);
    free(values);
    pqf_faiss_close(&faiss);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    const unsigned kind = fuzz_byte(&input) % NUM_KINDS;

    if (size > FUZZ_MAX_BYTES)
        return 0;
    test_write_file(path_of(names[kind]), input.data, input.size);
    if (kind == FAISS)
        read_faiss();
    else
        read_rows(input.data, input.size, (enum pqf_format)kind);
    return 0;
}

#ifdef PQK_FUZZ_MAIN

/* ------------------------------------------------------------------------ */
/* Files as they are written, and those with a little damage                */

static void write_rows(struct pqf_output *out, unsigned kind, size_t num_rows,
                       size_t dim, struct test_random *random)
{
    static const enum pqf_type types[] = {PQF_FLOAT32, PQF_UINT8, PQF_INT32,
                                          PQF_UINT64};
    const enum pqf_type type = types[test_below(random, TEST_COUNT(types))];
    float values[8 * 8 * 2];

    for (size_t i = 0; i < TEST_COUNT(values); i++)
        values[i] = test_normal(random);
    if (kind == PQF_NPY) {
        pqf_npy_write_header(out, type, num_rows, dim);
        pqf_output_values(out, values, pqf_type_size(type), num_rows * dim);
    } else {
        pqf_vecs_write(out, (enum pqf_format)kind, values, num_rows, dim);
    }
}

static void write_faiss(struct pqf_output *out, size_t num_rows,
                        struct test_random *random)
{
    const size_t M = 1 + test_below(random, 4);
    const struct pqf_faiss_shape shape = {
        M, M, num_rows, (enum pqf_faiss_metric)test_below(random, 2),
        (int)test_below(random, 2)};
    float centroids[4 * PQF_FAISS_CENTROIDS] = {0};
    uint64_t ids[8];

    for (size_t i = 0; i < TEST_COUNT(ids); i++)
        ids[i] = test_next(random) >> 1;
    pqf_faiss_write_head(out, &shape, centroids);
    pqf_output_bytes(out, ids, num_rows * M);
    pqf_faiss_write_tail(out, &shape);
    if (shape.has_ids)
        pqf_output_values(out, ids, sizeof *ids, num_rows);
}

static size_t generate(struct test_random *random, uint8_t *data)
{
    const unsigned kind = (unsigned)test_below(random, NUM_KINDS);
    const size_t num_rows = test_below(random, 8);
    struct pqf_output out;
    struct pqf_error err;
    unsigned char *file;
    size_t size;

    FUZZ_THAT(pqf_output_open(path_of("seed"), &out, &err) == 0);
    if (kind == FAISS)
        write_faiss(&out, num_rows, random);
    else
        write_rows(&out, kind, num_rows, 1 + test_below(random, 8), random);
    FUZZ_THAT(pqf_output_commit(&out, &err) == 0);
    file = test_read_file(path_of("seed"), &size);
    data[0] = (uint8_t)kind;
    memcpy(data + 1, file, size);
    free(file);
    for (size_t left = test_below(random, 4); left > 0 && size > 0; left--)
        data[1 + test_below(random, size < 100 ? size : 100)] =
            (uint8_t)test_next(random);
    return 1 + size - (size > 0 && test_below(random, 8) == 0);
}

int main(int argc, char **argv)
{
    static const struct fuzz_plan plan = {"fuzz_formats", 1500, generate};

    return fuzz_main(argc, argv, &plan);
}

#endif
