/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "rows.h"
#include "base/little_endian.h"
#include "npy.h"
#include "vecs.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES ((size_t)1 << 18)

/* ------------------------------------------------------------------------ */
/* Opening                                                                  */

static int begin(struct pqf_rows *rows, struct pqf_error *err)
{
    int result = rows->format == PQF_NPY ? pqf_npy_begin(rows, err)
                                         : pqf_vecs_begin(rows, err);

    if (result != 0)
        pqf_source_close(&rows->source);
    return result;
}

int pqf_rows_open(const char *path, struct pqf_rows *rows,
                  struct pqf_error *err)
{
    memset(rows, 0, sizeof *rows);
    if (pqf_format_of(path, &rows->format) != 0)
        return pqf_fail(err,
                        "%s: the name must end in .fvecs, .bvecs, .ivecs or "
                        ".npy, which says what is in it",
                        path);
    if (pqf_source_open(path, PQF_REGULAR_ONLY, &rows->source, err) != 0)
        return -1;
    return begin(rows, err);
}

int pqf_rows_open_any(const char *path, const char *format,
                      struct pqf_rows *rows, struct pqf_error *err)
{
    memset(rows, 0, sizeof *rows);
    if (format != NULL ? pqf_format_find(format, &rows->format) != 0
                       : pqf_format_of(path, &rows->format) != 0)
        return pqf_fail(err,
                        "%s: nothing tells what is in it; give it a name that "
                        "ends in .fvecs, .bvecs, .ivecs or .npy, or say "
                        "--format",
                        strcmp(path, "-") == 0 ? "standard input" : path);
    if (pqf_source_open(path, PQF_ANY_SOURCE, &rows->source, err) != 0)
        return -1;
    return begin(rows, err);
}

void pqf_rows_close(struct pqf_rows *rows)
{
    pqf_source_close(&rows->source);
}

/* ------------------------------------------------------------------------ */
/* From bytes to values                                                     */

/* Converts one row's bytes to values of the caller's type. */
typedef int row_parser(const struct pqf_rows *rows, uint64_t row,
                       const unsigned char *bytes, void *values,
                       struct pqf_error *err);

static int fail_value(const struct pqf_rows *rows, uint64_t row, size_t column,
                      double value, const char *rule, struct pqf_error *err)
{
    return pqf_fail(err,
                    "%s: row %" PRIu64 ", column %zu: the value is %g, but "
                    "must be %s; remove the row or the value",
                    rows->source.path, row, column, value, rule);
}

static int parse_float32(const struct pqf_rows *rows, uint64_t row,
                         const unsigned char *bytes, void *values,
                         struct pqf_error *err)
{
    float *floats = values;

    for (size_t d = 0; d < rows->dim; d++) {
        uint32_t bits = pqk_get_u32(bytes + 4 * d);

        memcpy(&floats[d], &bits, sizeof bits);
        if ((bits & UINT32_C(0x7F800000)) == UINT32_C(0x7F800000))
            return fail_value(rows, row, d, (double)floats[d], "finite", err);
    }
    return 0;
}

static int parse_float64(const struct pqf_rows *rows, uint64_t row,
                         const unsigned char *bytes, void *values,
                         struct pqf_error *err)
{
    float *floats = values;

    for (size_t d = 0; d < rows->dim; d++) {
        uint64_t bits = pqk_get_u64(bytes + 8 * d);
        uint32_t rounded;
        double value;

        memcpy(&value, &bits, sizeof value);
        floats[d] = (float)value;
        memcpy(&rounded, &floats[d], sizeof rounded);
        if ((rounded & UINT32_C(0x7F800000)) == UINT32_C(0x7F800000))
            return fail_value(rows, row, d, value, "finite as a float32", err);
    }
    return 0;
}

static int parse_uint8_as_floats(const struct pqf_rows *rows, uint64_t row,
                                 const unsigned char *bytes, void *values,
                                 struct pqf_error *err)
{
    float *floats = values;

    (void)row;
    (void)err;
    for (size_t d = 0; d < rows->dim; d++)
        floats[d] = bytes[d];
    return 0;
}

static int parse_uint8(const struct pqf_rows *rows, uint64_t row,
                       const unsigned char *bytes, void *values,
                       struct pqf_error *err)
{
    (void)row;
    (void)err;
    memcpy(values, bytes, rows->dim);
    return 0;
}

static int parse_int32(const struct pqf_rows *rows, uint64_t row,
                       const unsigned char *bytes, void *values,
                       struct pqf_error *err)
{
    int32_t *ints = values;

    (void)row;
    (void)err;
    for (size_t d = 0; d < rows->dim; d++)
        ints[d] = (int32_t)pqk_get_u32(bytes + 4 * d);
    return 0;
}

static int parse_ids(const struct pqf_rows *rows, uint64_t row,
                     const unsigned char *bytes, void *values,
                     struct pqf_error *err)
{
    const size_t size = pqf_type_size(rows->type);
    const int is_signed = rows->type == PQF_INT32 || rows->type == PQF_INT64;
    uint64_t *ids = values;

    for (size_t d = 0; d < rows->dim; d++) {
        ids[d] = pqk_get_uint(bytes + size * d, size);
        if (is_signed && ids[d] >> (8 * size - 1) != 0)
            return pqf_fail(err,
                            "%s: row %" PRIu64 ", column %zu: the id is "
                            "%" PRId64 ", but must not be negative",
                            rows->source.path, row, d,
                            size == 4 ? (int32_t)ids[d] : (int64_t)ids[d]);
        if (ids[d] == UINT64_MAX)
            return pqf_fail(err,
                            "%s: row %" PRIu64 ", column %zu: the id is "
                            "%" PRIu64 ", which stands for none",
                            rows->source.path, row, d, ids[d]);
    }
    return 0;
}

/* What the caller wants; NULL if the file cannot give it. */
static row_parser *float_parser(enum pqf_type type)
{
    return type == PQF_FLOAT32   ? parse_float32
           : type == PQF_FLOAT64 ? parse_float64
           : type == PQF_UINT8   ? parse_uint8_as_floats
                                 : NULL;
}

static row_parser *id_parser(enum pqf_type type)
{
    return type == PQF_INT32 || type == PQF_UINT32 || type == PQF_INT64 ||
                   type == PQF_UINT64
               ? parse_ids
               : NULL;
}

static int fail_type(const struct pqf_rows *rows, const char *wanted,
                     struct pqf_error *err)
{
    return pqf_fail(err, "%s: holds %s values, but %s is needed here",
                    rows->source.path, pqf_type_name(rows->type), wanted);
}

#define WANT_FLOATS                                                            \
    "a .fvecs or .bvecs file, or a .npy file of float32, "                     \
    "float64 or uint8,"
#define WANT_BYTES "a .bvecs file, or a .npy file of uint8,"
#define WANT_INTS  "an .ivecs file, or a .npy file of int32,"
#define WANT_IDS   "an .ivecs file, or a .npy file of integers of 32 or 64 bits,"

/* ------------------------------------------------------------------------ */
/* Reading                                                                  */

static int parse_rows(const struct pqf_rows *rows, row_parser *parse,
                      uint64_t first, size_t count, const unsigned char *bytes,
                      unsigned char *values, size_t value_size,
                      struct pqf_error *err)
{
    const size_t stride = pqf_rows_stride(rows);

    for (size_t i = 0; i < count; i++, bytes += stride) {
        if (rows->row_header > 0 && pqk_get_u32(bytes) != rows->dim)
            return pqf_vecs_fail_mixed(rows, first + i, pqk_get_u32(bytes),
                                       err);
        if (parse(rows, first + i, bytes + rows->row_header,
                  values + i * rows->dim * value_size, err) != 0)
            return -1;
    }
    return 0;
}

/* A stream gives fewer rows than asked for at its end only. */
static int fetch_stream(const struct pqf_rows *rows, uint64_t first,
                        size_t count, unsigned char *bytes, size_t *got,
                        struct pqf_error *err)
{
    const size_t stride = pqf_rows_stride(rows);
    const size_t held = first == 0 ? rows->row_header : 0;
    size_t length;

    assert(stride > 0);
    memcpy(bytes, rows->held, held);
    if (pqf_source_read_next(&rows->source, bytes + held, count * stride - held,
                             &length, err) != 0)
        return -1;
    length += held;
    *got = length / stride;
    if (length % stride != 0 || (*got < count && rows->num_rows != PQF_UNKNOWN))
        return pqf_fail_size(rows, first + *got, length % stride, err);
    return 0;
}

static int fetch(const struct pqf_rows *rows, uint64_t first, size_t count,
                 unsigned char *bytes, size_t *got, struct pqf_error *err)
{
    const size_t stride = pqf_rows_stride(rows);

    if (!rows->source.regular)
        return fetch_stream(rows, first, count, bytes, got, err);
    *got = count;
    return pqf_source_read_at(&rows->source, rows->data + first * stride, bytes,
                              count * stride, err);
}

static int read_rows(const struct pqf_rows *rows, uint64_t first, size_t count,
                     row_parser *parse, void *values, size_t value_size,
                     size_t *got, struct pqf_error *err)
{
    const size_t stride = pqf_rows_stride(rows);
    const size_t most = stride < BUFFER_BYTES ? BUFFER_BYTES / stride : 1;
    unsigned char *buffer = malloc((count < most ? count : most) * stride + 1);
    size_t part = 0, wanted;
    int result = 0;

    if (buffer == NULL)
        return pqf_fail(err, "out of memory");
    for (*got = 0; *got < count && result == 0; *got += part) {
        wanted = count - *got < most ? count - *got : most;
        result = fetch(rows, first + *got, wanted, buffer, &part, err);
        if (result == 0)
            result = parse_rows(rows, parse, first + *got, part, buffer,
                                (unsigned char *)values +
                                    *got * rows->dim * value_size,
                                value_size, err);
        if (part < wanted) {
            *got += part;
            break;
        }
    }
    free(buffer);
    return result;
}

/* What cannot be of use came from outside by a file's name only. */
static int read_exactly(const struct pqf_rows *rows, uint64_t first,
                        size_t count, row_parser *parse, const char *wanted,
                        void *values, size_t value_size, struct pqf_error *err)
{
    size_t got;

    if (parse == NULL)
        return fail_type(rows, wanted, err);
    return read_rows(rows, first, count, parse, values, value_size, &got, err);
}

int pqf_rows_read_floats(const struct pqf_rows *rows, uint64_t first,
                         size_t count, float *values, struct pqf_error *err)
{
    return read_exactly(rows, first, count, float_parser(rows->type),
                        WANT_FLOATS, values, sizeof *values, err);
}

int pqf_rows_read_bytes(const struct pqf_rows *rows, uint64_t first,
                        size_t count, uint8_t *values, struct pqf_error *err)
{
    return read_exactly(rows, first, count,
                        rows->type == PQF_UINT8 ? parse_uint8 : NULL,
                        WANT_BYTES, values, sizeof *values, err);
}

int pqf_rows_read_ints(const struct pqf_rows *rows, uint64_t first,
                       size_t count, int32_t *values, struct pqf_error *err)
{
    return read_exactly(rows, first, count,
                        rows->type == PQF_INT32 ? parse_int32 : NULL, WANT_INTS,
                        values, sizeof *values, err);
}

/* A stream must end where its header says, too. */
static int check_end(const struct pqf_rows *rows, struct pqf_error *err)
{
    unsigned char byte;
    size_t got;

    if (rows->source.regular || rows->num_rows == PQF_UNKNOWN)
        return 0;
    if (pqf_source_read_next(&rows->source, &byte, 1, &got, err) != 0)
        return -1;
    return got == 0 ? 0 : pqf_fail_size(rows, rows->num_rows, got, err);
}

static int read_next(struct pqf_rows *rows, size_t count, row_parser *parse,
                     const char *wanted, void *values, size_t value_size,
                     size_t *got, struct pqf_error *err)
{
    *got = 0;
    if (parse == NULL)
        return fail_type(rows, wanted, err);
    if (rows->num_rows != PQF_UNKNOWN && count > rows->num_rows - rows->next)
        count = (size_t)(rows->num_rows - rows->next);
    if (count == 0)
        return check_end(rows, err);
    if (read_rows(rows, rows->next, count, parse, values, value_size, got,
                  err) != 0)
        return -1;
    rows->next += *got;
    return 0;
}

int pqf_rows_next_floats(struct pqf_rows *rows, size_t count, float *values,
                         size_t *got, struct pqf_error *err)
{
    return read_next(rows, count, float_parser(rows->type), WANT_FLOATS, values,
                     sizeof *values, got, err);
}

int pqf_rows_next_bytes(struct pqf_rows *rows, size_t count, uint8_t *values,
                        size_t *got, struct pqf_error *err)
{
    return read_next(rows, count, rows->type == PQF_UINT8 ? parse_uint8 : NULL,
                     WANT_BYTES, values, sizeof *values, got, err);
}

int pqf_rows_next_ids(struct pqf_rows *rows, size_t count, uint64_t *values,
                      size_t *got, struct pqf_error *err)
{
    return read_next(rows, count, id_parser(rows->type), WANT_IDS, values,
                     sizeof *values, got, err);
}
