/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Files of vectors, ids and Faiss's indexes, damaged or not: a reader refuses
 * with a message or gives what is there, the same from a file and a pipe.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "fuzz.h"

#include <math.h>
#include <unistd.h>

#include "formats/faiss.h"
#include "formats/rows.h"

enum { FAISS = PQF_NPY + 1, NUM_KINDS };

static float values[FUZZ_MOST_BYTES * 2];
static float again[FUZZ_MOST_BYTES * 2];
static uint64_t ids[FUZZ_MOST_BYTES];

/* The input as a file, the same each time. */
static const char *save(const uint8_t *data, size_t size)
{
    static char path[] = "/tmp/pqkern-fuzz-XXXXXX";
    static int made;

    if (!made) {
        int fd = mkstemp(path);

        if (fd < 0)
            abort();
        close(fd);
        made = 1;
    }
    test_write_file(path, data, size);
    return path;
}

static const char *check_refusal(const char *path, const struct pqf_error *err)
{
    return strstr(err->text, path) ? NULL
                                   : test_fault("not named: %s", err->text);
}

/* All rows as floats, or as ids; how many values, or -1. */
static long read_all(struct pqf_rows *rows, float *into, struct pqf_error *err)
{
    const int is_ids = rows->type != PQF_FLOAT32 && rows->type != PQF_FLOAT64 &&
                       rows->type != PQF_UINT8;
    long count = 0;
    size_t got;

    /* More rows than the bytes there are can hold are none. */
    do {
        size_t room = (FUZZ_MOST_BYTES - (size_t)count) / rows->dim;
        size_t most = room < 3 ? room : 3;

        if (rows->dim > FUZZ_MOST_BYTES || most == 0)
            return pqf_fail(err, "%s: too many rows", rows->source.path);
        if (is_ids ? pqf_rows_next_ids(rows, most, ids, &got, err)
                   : pqf_rows_next_floats(rows, most, into + count, &got, err))
            return -1;
        for (size_t i = 0; is_ids && i < got * rows->dim; i++)
            into[count + (long)i] = (float)ids[i];
        count += (long)(got * rows->dim);
    } while (got > 0);
    return count;
}

static long read_rows(const char *path, const char *format, float *into,
                      struct pqf_error *err)
{
    struct pqf_rows rows;
    long count;

    if (pqf_rows_open_any(path, format, &rows, err) != 0)
        return -1;
    count = read_all(&rows, into, err);
    if (count >= 0 && rows.num_rows != PQF_UNKNOWN &&
        (uint64_t)count != rows.num_rows * rows.dim)
        fuzz_check(
            test_fault("%ld values of %zu rows", count, (size_t)rows.num_rows));
    pqf_rows_close(&rows);
    return count;
}

static const char *check_rows(enum pqf_format format, const uint8_t *data,
                              size_t size)
{
    const char *path = save(data, size), *name = pqf_format_name(format);
    struct pqf_error err = {""}, stream_err = {""};
    long count = read_rows(path, name, values, &err), streamed;
    int ends[2];

    if (pipe(ends) != 0 || write(ends[1], data, size) != (ssize_t)size ||
        dup2(ends[0], STDIN_FILENO) != STDIN_FILENO)
        return test_fault("no pipe");
    close(ends[0]);
    close(ends[1]);
    streamed = read_rows("-", name, again, &stream_err);
    if (count != streamed)
        return test_fault("%s: %ld values from a file, %ld from a pipe: %s%s",
                          name, count, streamed, err.text, stream_err.text);
    if (count < 0)
        return check_refusal(path, &err);
    for (long i = 0; i < count; i++)
        if (!isfinite(values[i]) || values[i] != again[i])
            return test_fault("%s: value %ld is %g, %g from a pipe", name, i,
                              (double)values[i], (double)again[i]);
    return NULL;
}

static const char *check_faiss(const uint8_t *data, size_t size)
{
    static uint8_t codes[FUZZ_MOST_BYTES];
    const char *path = save(data, size);
    struct pqf_error err = {""};
    struct pqf_faiss faiss;
    size_t count;
    int result;

    if (pqf_faiss_open(path, &faiss, &err) != 0)
        return check_refusal(path, &err);
    count = (size_t)faiss.shape.num_rows;
    if (faiss.shape.num_rows * faiss.shape.num_sub_vectors > size ||
        faiss.shape.dim * 4 * 256 > size)
        return test_fault("more than there is");
    result = pqf_faiss_read_centroids(&faiss, values, &err);
    if (result == 0)
        result = pqf_faiss_read_codes(&faiss, 0, count, codes, &err);
    if (result == 0 && faiss.shape.has_ids)
        result = pqf_faiss_read_ids(&faiss, 0, count, ids, &err);
    pqf_faiss_close(&faiss);
    return result == 0 ? NULL : check_refusal(path, &err);
}

/* The first byte says the kind of file, the rest is the file. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int kind = size > 0 ? data[0] % NUM_KINDS : 0;

    if (size == 0 || size > FUZZ_MOST_BYTES)
        return 0;
    if (kind == FAISS)
        fuzz_check(check_faiss(data + 1, size - 1));
    else
        fuzz_check(check_rows((enum pqf_format)kind, data + 1, size - 1));
    return 0;
}

#ifdef PQK_FUZZ_MAIN

struct writer {
    uint8_t *at;
};

static void put(struct writer *w, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        *w->at++ = (uint8_t)(value >> (8 * i));
}

static void put_text(struct writer *w, const char *text)
{
    for (; *text != '\0'; text++)
        put(w, (uint8_t)*text, 1);
}

static void put_vecs(struct writer *w, struct test_random *random, int kind)
{
    size_t dim = 1 + test_below(random, 5), rows = 1 + test_below(random, 20);

    for (size_t i = 0; i < rows; i++) {
        put(w, dim, 4);
        for (size_t d = 0; d < dim; d++)
            put(w, test_below(random, 100), kind == PQF_BVECS ? 1 : 4);
    }
}

static void put_npy(struct writer *w, struct test_random *random)
{
    static const char *const descrs[] = {"<f4", "<f8", "|u1", "<i4", "<i8"};
    static const size_t sizes[] = {4, 8, 1, 4, 8};
    size_t type = test_below(random, 5), dim = 1 + test_below(random, 5);
    size_t rows = test_below(random, 20);
    char header[118 + 1];

    memset(header, ' ', sizeof header);
    header[snprintf(header, sizeof header,
                    "{'descr': '%s', 'fortran_order': False, "
                    "'shape': (%zu, %zu), }",
                    descrs[type], rows, dim)] = ' ';
    header[117] = '\n';
    header[118] = '\0';
    put_text(w, "\x93NUMPY\x01");
    put(w, 0, 1);
    put(w, 118, 2);
    put_text(w, header);
    for (size_t i = 0; i < rows * dim; i++)
        put(w, test_below(random, 100), sizes[type]);
}

static void put_faiss_header(struct writer *w, const char *fourcc, size_t dim,
                             size_t rows)
{
    put_text(w, fourcc);
    put(w, dim, 4);
    put(w, rows, 8);
    put(w, 0, 8);
    put(w, 0, 8);
    put(w, 1, 1);
    put(w, 1, 4);
}

static void put_faiss(struct writer *w, struct test_random *random)
{
    size_t dim = 1 + test_below(random, 4), rows = test_below(random, 20);
    int has_ids = test_below(random, 2) == 0;

    if (has_ids)
        put_faiss_header(w, "IxMp", dim, rows);
    put_faiss_header(w, "IxPq", dim, rows);
    put(w, dim, 8);
    put(w, dim, 8);
    put(w, 8, 8);
    put(w, dim * 256, 8);
    for (size_t i = 0; i < dim * 256; i++)
        put(w, i, 4);
    put(w, rows * dim, 8);
    for (size_t i = 0; i < rows * dim; i++)
        put(w, i, 1);
    put(w, 0, 8);
    put(w, 0, 1);
    if (has_ids)
        put(w, rows, 8);
    for (size_t i = 0; has_ids && i < rows; i++)
        put(w, i * 3, 8);
}

/* A good file, as it is, or with some bytes changed, or cut, or lengthened.  Most
 * of the changes are near the beginning, where most is decided. */
static size_t generate(struct test_random *random, uint8_t *data)
{
    int kind = (int)test_below(random, NUM_KINDS);
    struct writer w = {data};
    size_t size;

    put(&w, (uint64_t)kind, 1);
    if (kind == FAISS)
        put_faiss(&w, random);
    else if (kind == PQF_NPY)
        put_npy(&w, random);
    else
        put_vecs(&w, random, kind);
    size = (size_t)(w.at - data);
    for (size_t i = test_below(random, 4); i-- > 0;) {
        size_t most = test_below(random, 2) == 0 || size < 200 ? size : 200;

        data[1 + test_below(random, most - 1)] = (uint8_t)test_next(random);
    }
    if (test_below(random, 4) == 0)
        size = 1 + test_below(random, size);
    for (size_t i = test_below(random, 4) == 0 ? test_below(random, 9) : 0;
         i > 0; i--)
        data[size++] = (uint8_t)test_next(random);
    return size;
}

int main(int argc, char **argv)
{
    static const struct fuzz_plan plan = {"formats", 5000, generate};
    int code = fuzz_main(argc, argv, &plan);

    unlink(save(NULL, 0));
    return code;
}

#endif
