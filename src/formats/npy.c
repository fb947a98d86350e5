/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "npy.h"
#include "base/little_endian.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC      "\x93NUMPY"
#define MAGIC_SIZE 6
#define PREFIX     10 /* magic, version and 16 bits of length: version 1.0 */
#define ALIGNMENT  64 /* of the values, which NumPy wants for mapping */

/* Longer headers belong to types with fields, which are not read anyway. */
#define MAX_HEADER ((size_t)1 << 16)
#define MAX_DIM    ((uint64_t)1 << 24)

/* NumPy's names of the types; one byte has no order. */
static const struct {
    const char *descr;
    enum pqf_type type;
} descrs[] = {
    {"<f4", PQF_FLOAT32}, {"<f8", PQF_FLOAT64}, {"|u1", PQF_UINT8},
    {"<i4", PQF_INT32},   {"<u4", PQF_UINT32},  {"<i8", PQF_INT64},
    {"<u8", PQF_UINT64},
};
#define NUM_DESCRS (sizeof descrs / sizeof descrs[0])

/* What the header said. */
struct header {
    char descr[16];
    int fortran;
    uint64_t shape[2];
    size_t axes;
    unsigned seen; /* a bit for each key */
};

enum key { KEY_DESCR, KEY_FORTRAN, KEY_SHAPE, NUM_KEYS };

static const char *const keys[] = {[KEY_DESCR] = "descr",
                                   [KEY_FORTRAN] = "fortran_order",
                                   [KEY_SHAPE] = "shape"};

/* ------------------------------------------------------------------------ */
/* The dictionary                                                           */

/* The text of a header, which a zero byte ends, and the place in it. */
struct cursor {
    const char *at;
    const struct pqf_rows *rows;
    struct pqf_error *err;
};

static int fail_syntax(const struct cursor *c, const char *wanted)
{
    char found[21];

    pqf_printable(c->at, found, sizeof found);
    return pqf_fail(c->err,
                    "%s: the header is damaged: %s is missing before '%s'; "
                    "save the array again",
                    c->rows->source.path, wanted, found);
}

static void skip_blanks(struct cursor *c)
{
    c->at += strspn(c->at, " \t\n");
}

static int take(struct cursor *c, char wanted)
{
    skip_blanks(c);
    if (*c->at != wanted)
        return 0;
    c->at++;
    return 1;
}

static int take_word(struct cursor *c, const char *word)
{
    size_t length = strlen(word);

    skip_blanks(c);
    if (strncmp(c->at, word, length) != 0)
        return 0;
    c->at += length;
    return 1;
}

/* A string in either kind of quotes; Python escapes nothing in these.  It comes
 * out printable. */
static int take_string(struct cursor *c, char *text, size_t size)
{
    const char *end;
    char quote;

    skip_blanks(c);
    quote = *c->at;
    end = quote == '\'' || quote == '"' ? strchr(c->at + 1, quote) : NULL;
    if (end == NULL || (size_t)(end - c->at - 1) >= size)
        return 0;
    pqf_printable(c->at + 1, text, (size_t)(end - c->at));
    c->at = end + 1;
    return 1;
}

/* Python 2 wrote an L behind long numbers. */
static int take_length(struct cursor *c, uint64_t *length)
{
    *length = 0;
    skip_blanks(c);
    if (*c->at == '-')
        return pqf_fail(c->err, "%s: the shape has a negative length",
                        c->rows->source.path);
    if (*c->at < '0' || *c->at > '9')
        return fail_syntax(c, "a number");
    for (; *c->at >= '0' && *c->at <= '9'; c->at++) {
        uint64_t digit = (uint64_t)(*c->at - '0');

        if (*length > (UINT64_MAX - digit) / 10)
            return pqf_fail(c->err, "%s: the shape's numbers overflow",
                            c->rows->source.path);
        *length = *length * 10 + digit;
    }
    if (*c->at == 'L')
        c->at++;
    return 0;
}

static int parse_shape(struct cursor *c, struct header *header)
{
    uint64_t length;

    if (!take(c, '('))
        return fail_syntax(c, "'('");
    while (!take(c, ')')) {
        if (take_length(c, &length) != 0)
            return -1;
        if (header->axes < 2)
            header->shape[header->axes] = length;
        header->axes++;
        if (!take(c, ',') && *c->at != ')')
            return fail_syntax(c, "',' or ')'");
    }
    return 0;
}

static int fail_records(const struct cursor *c)
{
    char found[41];

    pqf_printable(c->at, found, sizeof found);
    return pqf_fail(
        c->err,
        "%s: the array is of records (%s), not of numbers; save one "
        "field by itself",
        c->rows->source.path, found);
}

static int parse_value(struct cursor *c, enum key key, struct header *header)
{
    switch (key) {
    case KEY_DESCR:
        skip_blanks(c);
        if (*c->at == '[')
            return fail_records(c);
        return take_string(c, header->descr, sizeof header->descr)
                   ? 0
                   : fail_syntax(c, "the type's name");
    case KEY_FORTRAN:
        header->fortran = take_word(c, "True");
        return header->fortran || take_word(c, "False")
                   ? 0
                   : fail_syntax(c, "True or False");
    case KEY_SHAPE:
    case NUM_KEYS:
    default:
        return parse_shape(c, header);
    }
}

static int parse_item(struct cursor *c, struct header *header)
{
    char name[16];
    int key = 0;

    if (!take_string(c, name, sizeof name))
        return fail_syntax(c, "a key");
    while (key < NUM_KEYS && strcmp(name, keys[key]) != 0)
        key++;
    if (key == NUM_KEYS || (header->seen & 1u << key) != 0)
        return pqf_fail(c->err, "%s: the header has '%s' %s",
                        c->rows->source.path, name,
                        key == NUM_KEYS ? "of no meaning" : "twice");
    header->seen |= 1u << key;
    if (!take(c, ':'))
        return fail_syntax(c, "':'");
    return parse_value(c, (enum key)key, header);
}

static int parse_header(struct cursor *c, struct header *header)
{
    if (!take(c, '{'))
        return fail_syntax(c, "'{'");
    while (!take(c, '}')) {
        if (parse_item(c, header) != 0)
            return -1;
        if (!take(c, ',') && *c->at != '}')
            return fail_syntax(c, "',' or '}'");
    }
    skip_blanks(c);
    if (*c->at != '\0')
        return fail_syntax(c, "the end");
    for (int key = 0; key < NUM_KEYS; key++)
        if ((header->seen & 1u << key) == 0)
            return pqf_fail(c->err, "%s: the header lacks '%s'",
                            c->rows->source.path, keys[key]);
    return 0;
}

/* ------------------------------------------------------------------------ */
/* What it means                                                            */

static int set_type(struct pqf_rows *rows, const char *descr,
                    struct pqf_error *err)
{
    for (size_t i = 0; i < NUM_DESCRS; i++)
        if (strcmp(descr, descrs[i].descr) == 0) {
            rows->type = descrs[i].type;
            return 0;
        }
    if (descr[0] == '>')
        return pqf_fail(err,
                        "%s: the values are big-endian ('%s'); save them as "
                        "a.astype('<%s')",
                        rows->source.path, descr, descr + 1);
    return pqf_fail(err,
                    "%s: values of type '%s' are not read; save the array as "
                    "float32, float64, uint8, or integers of 32 or 64 bits",
                    rows->source.path, descr);
}

static int set_shape(struct pqf_rows *rows, const struct header *header,
                     struct pqf_error *err)
{
    uint64_t dim = header->axes == 1 ? 1 : header->shape[1];

    if (header->axes < 1 || header->axes > 2)
        return pqf_fail(err,
                        "%s: the array has %zu axes, but must have two, rows "
                        "and columns; save a.reshape(-1, a.shape[-1])",
                        rows->source.path, header->axes);
    if (header->fortran && header->axes == 2)
        return pqf_fail(err,
                        "%s: the array is in Fortran order; save "
                        "np.ascontiguousarray(a)",
                        rows->source.path);
    if (dim < 1 || dim > MAX_DIM)
        return pqf_fail(err,
                        "%s: the rows are %" PRIu64 " values wide, but must be "
                        "from 1 to %" PRIu64,
                        rows->source.path, dim, MAX_DIM);
    rows->dim = (size_t)dim;
    rows->num_rows = header->shape[0];
    if (rows->num_rows >= (UINT64_MAX - rows->data) / pqf_rows_stride(rows))
        return pqf_fail(err,
                        "%s: the header promises %" PRIu64 " rows, which no "
                        "file can hold; it is damaged",
                        rows->source.path, rows->num_rows);
    return 0;
}

static int check_size(const struct pqf_rows *rows, struct pqf_error *err)
{
    const uint64_t size = rows->source.size;
    const uint64_t whole = rows->data + rows->num_rows * pqf_rows_stride(rows);

    if (!rows->source.regular || size == whole)
        return 0;
    if (size > whole)
        return pqf_fail(err,
                        "%s: %" PRIu64 " bytes are left over behind the "
                        "%" PRIu64 " rows that the header promises; save the "
                        "array again",
                        rows->source.path, size - whole, rows->num_rows);
    return pqf_fail_size(rows, (size - rows->data) / pqf_rows_stride(rows),
                         (size - rows->data) % pqf_rows_stride(rows), err);
}

/* ------------------------------------------------------------------------ */

/* The header is read in order, so that a stream will do. */
static int read_part(struct pqf_rows *rows, unsigned char *bytes, size_t count,
                     struct pqf_error *err)
{
    size_t got;

    if (pqf_source_read_next(&rows->source, bytes, count, &got, err) != 0)
        return -1;
    rows->data += got;
    return got == count
               ? 0
               : pqf_fail(err,
                          "%s: the header is cut short at byte %" PRIu64
                          "; fetch or write the file again",
                          rows->source.path, rows->data);
}

static int read_length(struct pqf_rows *rows, size_t *length,
                       struct pqf_error *err)
{
    unsigned char prefix[MAGIC_SIZE + 2], bytes[4];
    size_t size;

    if (read_part(rows, prefix, sizeof prefix, err) != 0)
        return -1;
    if (memcmp(prefix, MAGIC, MAGIC_SIZE) != 0)
        return pqf_fail(err,
                        "%s: does not begin as a .npy file does; it is of "
                        "another kind than its name says (a .npz has to be "
                        "unpacked)",
                        rows->source.path);
    if (prefix[MAGIC_SIZE] < 1 || prefix[MAGIC_SIZE] > 3)
        return pqf_fail(err,
                        "%s: is of version %d.%d of the format, but 1.0 to 3.0 "
                        "are read",
                        rows->source.path, prefix[MAGIC_SIZE],
                        prefix[MAGIC_SIZE + 1]);
    size = prefix[MAGIC_SIZE] == 1 ? 2 : 4;
    if (read_part(rows, bytes, size, err) != 0)
        return -1;
    *length = (size_t)pqk_get_uint(bytes, size);
    if (*length > MAX_HEADER)
        return pqf_fail(err,
                        "%s: the header is %zu bytes long, more than an array "
                        "of numbers needs; it is damaged",
                        rows->source.path, *length);
    return 0;
}

int pqf_npy_begin(struct pqf_rows *rows, struct pqf_error *err)
{
    struct header header = {"", 0, {0, 0}, 0, 0};
    struct cursor cursor = {NULL, rows, err};
    size_t length = 0;
    char *text;
    int result;

    if (read_length(rows, &length, err) != 0)
        return -1;
    text = calloc(1, length + 1);
    if (text == NULL)
        return pqf_fail(err, "out of memory");
    cursor.at = text;
    result = read_part(rows, (unsigned char *)text, length, err);
    if (result == 0)
        result = parse_header(&cursor, &header);
    free(text);
    if (result != 0 || set_type(rows, header.descr, err) != 0 ||
        set_shape(rows, &header, err) != 0)
        return -1;
    return check_size(rows, err);
}

void pqf_npy_write_header(struct pqf_output *out, enum pqf_type type,
                          uint64_t num_rows, size_t dim)
{
    char text[2 * ALIGNMENT + 1];
    size_t i = 0, length;

    while (descrs[i].type != type)
        i++;
    snprintf(text, sizeof text,
             "{'descr': '%s', 'fortran_order': False, "
             "'shape': (%" PRIu64 ", %zu), }",
             descrs[i].descr, num_rows, dim);
    length = strlen(text);
    while ((PREFIX + length + 1) % ALIGNMENT != 0)
        text[length++] = ' ';
    text[length++] = '\n';
    pqf_output_bytes(out, MAGIC "\x01\x00", MAGIC_SIZE + 2);
    pqf_output_integer(out, length, 2);
    pqf_output_bytes(out, text, length);
}
