/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64 /* a base may be larger than 2 GiB */
#endif

#include "vecs.h"
#include "sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define HEADER       4 /* bytes of a row's width */
#define BUFFER_BYTES ((size_t)1 << 18)

_Static_assert(sizeof(off_t) >= 8, "files may be larger than 2 GiB");

static uint32_t load_le32(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static void store_le32(unsigned char *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
}

static uint32_t swap_bytes(uint32_t x)
{
    return x >> 24 | (x >> 8 & 0xFF00) | (x << 8 & 0xFF0000) | x << 24;
}

static size_t value_bytes(enum pqh_vecs_type type)
{
    return type == PQH_BVECS ? 1 : 4;
}

static size_t row_bytes(const struct pqh_vecs *vecs)
{
    return HEADER + vecs->dim * value_bytes(vecs->type);
}

/* ------------------------------------------------------------------------ */
/* Opening                                                                  */

static int type_from_name(const char *path, enum pqh_vecs_type *type,
                          struct pqh_error *err)
{
    static const char *const endings[] = {
        [PQH_FVECS] = ".fvecs", [PQH_BVECS] = ".bvecs", [PQH_IVECS] = ".ivecs"};
    size_t length = strlen(path);

    for (int i = PQH_FVECS; i <= PQH_IVECS; i++) {
        size_t ending = strlen(endings[i]);
        if (length > ending &&
            strcmp(path + length - ending, endings[i]) == 0) {
            *type = (enum pqh_vecs_type)i;
            return 0;
        }
    }
    return pqh_fail(err,
                    "%s: the name must end in .fvecs, .bvecs or .ivecs, which "
                    "says what is in it",
                    path);
}

static int read_at(const struct pqh_vecs *vecs, off_t offset,
                   unsigned char *bytes, size_t count, struct pqh_error *err)
{
    while (count > 0) {
        ssize_t got = pread(vecs->fd, bytes, count, offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return pqh_fail(err, "%s: cannot be read: %s", vecs->path,
                            strerror(errno));
        if (got == 0)
            return pqh_fail(err,
                            "%s: became shorter while it was read; wait until "
                            "it is written, then run again",
                            vecs->path);
        bytes += got;
        offset += got;
        count -= (size_t)got;
    }
    return 0;
}

static int check_first_width(const struct pqh_vecs *vecs, uint32_t width,
                             struct pqh_error *err)
{
    uint32_t swapped = swap_bytes(width);

    if (width >= 1 && width <= PQH_VECS_MAX_DIM)
        return 0;
    if (swapped >= 1 && swapped <= PQH_VECS_MAX_DIM)
        return pqh_fail(err,
                        "%s: row 0: the width reads %" PRId32 ", but %" PRIu32
                        " with its bytes swapped: the file "
                        "is big-endian; write it again in little-endian order",
                        vecs->path, (int32_t)width, swapped);
    return pqh_fail(err,
                    "%s: row 0: the width is %" PRId32 ", but must be from 1 "
                    "to %d; this is no TEXMEX file, or it is damaged: fetch "
                    "or write it again",
                    vecs->path, (int32_t)width, PQH_VECS_MAX_DIM);
}

static int fail_mixed(const struct pqh_vecs *vecs, size_t row, uint32_t width,
                      struct pqh_error *err)
{
    return pqh_fail(err,
                    "%s: row %zu: the width is %" PRId32 ", but row 0 has %zu, "
                    "and all rows must be as wide; the file is damaged or of "
                    "another kind than its name says: fetch or write it again",
                    vecs->path, row, (int32_t)width, vecs->dim);
}

/* The size is no multiple of a row: say where it went wrong. */
static int explain_size(const struct pqh_vecs *vecs, uint64_t size,
                        struct pqh_error *err)
{
    uint64_t whole = size / row_bytes(vecs), rest = size % row_bytes(vecs);
    unsigned char header[HEADER];

    for (uint64_t row = 0; row < whole + (rest >= HEADER); row++) {
        uint64_t offset = row * row_bytes(vecs);

        if (read_at(vecs, (off_t)offset, header, HEADER, err) != 0)
            return -1;
        if (load_le32(header) != vecs->dim)
            return fail_mixed(vecs, (size_t)row, load_le32(header), err);
    }
    return pqh_fail(err,
                    "%s: row %" PRIu64 " has %" PRIu64 " of its %zu bytes: the "
                    "file is cut short, or has bytes left over at its end; "
                    "fetch or write it again",
                    vecs->path, whole, rest, row_bytes(vecs));
}

static int check_size(struct pqh_vecs *vecs, uint64_t size,
                      struct pqh_error *err)
{
    unsigned char header[HEADER];
    uint64_t num_rows;

    if (size == 0)
        return pqh_fail(err, "%s: the file is empty; fetch or write it again",
                        vecs->path);
    if (size < HEADER)
        return pqh_fail(err,
                        "%s: row 0 has %" PRIu64 " of the %d bytes of its "
                        "width: the file is cut short; fetch or write it again",
                        vecs->path, size, HEADER);
    if (read_at(vecs, 0, header, HEADER, err) != 0 ||
        check_first_width(vecs, load_le32(header), err) != 0)
        return -1;
    vecs->dim = load_le32(header);
    if (size % row_bytes(vecs) != 0)
        return explain_size(vecs, size, err);
    num_rows = size / row_bytes(vecs);
    if (num_rows > UINT32_MAX)
        return pqh_fail(err,
                        "%s: %" PRIu64 " rows are more than 32-bit ids can "
                        "name; split the file",
                        vecs->path, num_rows);
    vecs->num_rows = (size_t)num_rows;
    return 0;
}

int pqh_vecs_open(const char *path, struct pqh_vecs *vecs,
                  struct pqh_error *err)
{
    struct stat status;

    if (type_from_name(path, &vecs->type, err) != 0)
        return -1;
    vecs->path = strdup(path);
    if (vecs->path == NULL)
        return pqh_fail(err, "out of memory");
    vecs->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (vecs->fd < 0 || fstat(vecs->fd, &status) != 0)
        pqh_fail(err, "%s: cannot be opened: %s", path, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        pqh_fail(err, "%s: is not a regular file", path);
    else if (check_size(vecs, (uint64_t)status.st_size, err) == 0)
        return 0;
    pqh_vecs_close(vecs);
    return -1;
}

void pqh_vecs_close(struct pqh_vecs *vecs)
{
    if (vecs->fd >= 0)
        close(vecs->fd);
    free(vecs->path);
    vecs->fd = -1;
    vecs->path = NULL;
}

/* ------------------------------------------------------------------------ */
/* Reading                                                                  */

/* Turns one row's bytes into values of the caller's type. */
typedef int row_parser(const struct pqh_vecs *vecs, size_t row,
                       const unsigned char *bytes, void *values,
                       struct pqh_error *err);

static int parse_floats(const struct pqh_vecs *vecs, size_t row,
                        const unsigned char *bytes, void *values,
                        struct pqh_error *err)
{
    float *floats = values;

    for (size_t d = 0; d < vecs->dim; d++) {
        uint32_t bits = load_le32(bytes + 4 * d);

        memcpy(&floats[d], &bits, sizeof bits);
        if ((bits & UINT32_C(0x7F800000)) == UINT32_C(0x7F800000))
            return pqh_fail(err,
                            "%s: row %zu, column %zu: the value is %g, but "
                            "must be finite; remove the row or the value",
                            vecs->path, row, d, (double)floats[d]);
    }
    return 0;
}

static int parse_bytes_as_floats(const struct pqh_vecs *vecs, size_t row,
                                 const unsigned char *bytes, void *values,
                                 struct pqh_error *err)
{
    float *floats = values;

    (void)row;
    (void)err;
    for (size_t d = 0; d < vecs->dim; d++)
        floats[d] = bytes[d];
    return 0;
}

static int parse_bytes(const struct pqh_vecs *vecs, size_t row,
                       const unsigned char *bytes, void *values,
                       struct pqh_error *err)
{
    (void)row;
    (void)err;
    memcpy(values, bytes, vecs->dim);
    return 0;
}

static int parse_ints(const struct pqh_vecs *vecs, size_t row,
                      const unsigned char *bytes, void *values,
                      struct pqh_error *err)
{
    int32_t *ints = values;

    (void)row;
    (void)err;
    for (size_t d = 0; d < vecs->dim; d++)
        ints[d] = (int32_t)load_le32(bytes + 4 * d);
    return 0;
}

static int read_rows(const struct pqh_vecs *vecs, size_t first, size_t count,
                     row_parser *parse, unsigned char *values,
                     size_t value_size, struct pqh_error *err)
{
    const size_t stride = row_bytes(vecs), per_read = BUFFER_BYTES / stride;
    const size_t row_size = vecs->dim * value_size;
    unsigned char *buffer =
        calloc(1, count < per_read ? count * stride + 1 : BUFFER_BYTES);
    int result = 0;

    if (buffer == NULL)
        return pqh_fail(err, "out of memory");
    for (size_t done = 0; done < count && result == 0; done += per_read) {
        size_t part = count - done < per_read ? count - done : per_read;
        uint64_t offset = (uint64_t)(first + done) * stride;

        result = read_at(vecs, (off_t)offset, buffer, part * stride, err);
        for (size_t i = 0; i < part && result == 0; i++) {
            const unsigned char *bytes = buffer + i * stride;
            size_t row = first + done + i;

            if (load_le32(bytes) != vecs->dim)
                result = fail_mixed(vecs, row, load_le32(bytes), err);
            else
                result = parse(vecs, row, bytes + HEADER,
                               values + (done + i) * row_size, err);
        }
    }
    free(buffer);
    return result;
}

/* A file of another type than the caller's can have come from outside only by
 * its name. */
static int fail_type(const struct pqh_vecs *vecs, const char *wanted,
                     struct pqh_error *err)
{
    return pqh_fail(err, "%s: %s is needed here", vecs->path, wanted);
}

int pqh_vecs_read_floats(const struct pqh_vecs *vecs, size_t first,
                         size_t count, float *values, struct pqh_error *err)
{
    if (vecs->type == PQH_IVECS)
        return fail_type(vecs, "an .fvecs or .bvecs file", err);
    return read_rows(vecs, first, count,
                     vecs->type == PQH_BVECS ? parse_bytes_as_floats
                                             : parse_floats,
                     (unsigned char *)values, sizeof *values, err);
}

int pqh_vecs_read_bytes(const struct pqh_vecs *vecs, size_t first, size_t count,
                        uint8_t *values, struct pqh_error *err)
{
    if (vecs->type != PQH_BVECS)
        return fail_type(vecs, "a .bvecs file", err);
    return read_rows(vecs, first, count, parse_bytes, values, sizeof *values,
                     err);
}

int pqh_vecs_read_ints(const struct pqh_vecs *vecs, size_t first, size_t count,
                       int32_t *values, struct pqh_error *err)
{
    if (vecs->type != PQH_IVECS)
        return fail_type(vecs, "an .ivecs file", err);
    return read_rows(vecs, first, count, parse_ints, (unsigned char *)values,
                     sizeof *values, err);
}

/* ------------------------------------------------------------------------ */
/* Writing                                                                  */

static void format_row(unsigned char *bytes, enum pqh_vecs_type type,
                       const unsigned char *values, size_t dim)
{
    store_le32(bytes, (uint32_t)dim);
    bytes += HEADER;
    if (type == PQH_BVECS) {
        memcpy(bytes, values, dim);
        return;
    }
    for (size_t d = 0; d < dim; d++) {
        uint32_t bits;

        memcpy(&bits, values + 4 * d, sizeof bits);
        store_le32(bytes + 4 * d, bits);
    }
}

static int write_rows(FILE *file, enum pqh_vecs_type type,
                      const unsigned char *values, size_t num_rows, size_t dim,
                      char hex[PQH_SHA256_HEX])
{
    const size_t row_size = dim * value_bytes(type);
    unsigned char *bytes = malloc(HEADER + row_size);
    struct pqh_sha256 sha;
    int result = bytes == NULL ? -1 : 0;

    pqh_sha256_begin(&sha);
    for (size_t i = 0; i < num_rows && result == 0; i++) {
        format_row(bytes, type, values + i * row_size, dim);
        pqh_sha256_add(&sha, bytes, HEADER + row_size);
        if (fwrite(bytes, HEADER + row_size, 1, file) != 1)
            result = -1;
    }
    pqh_sha256_end(&sha, hex);
    free(bytes);
    return result;
}

/* Closing can be what fails, when a disk is full. */
static int close_written(FILE *file, int result)
{
    if (fflush(file) != 0 || fsync(fileno(file)) != 0)
        result = -1;
    if (fclose(file) != 0)
        result = -1;
    return result;
}

static int write_checksum(const char *path, const char *name, const char *hex)
{
    const char *slash = strrchr(name, '/');
    FILE *file = fopen(path, "we");
    int result;

    if (file == NULL)
        return -1;
    result =
        fprintf(file, "%s  %s\n", hex, slash ? slash + 1 : name) < 0 ? -1 : 0;
    return close_written(file, result);
}

int pqh_vecs_write(const char *path, enum pqh_vecs_type type,
                   const void *values, size_t num_rows, size_t dim,
                   struct pqh_error *err)
{
    char unfinished[PATH_MAX], checksum[PATH_MAX],
        unfinished_checksum[PATH_MAX];
    char hex[PQH_SHA256_HEX];
    long pid = (long)getpid();
    int result = -1;
    FILE *file;

    /* The longest of the three names tells whether all fit. */
    snprintf(unfinished, sizeof unfinished, "%s.%ld", path, pid);
    snprintf(checksum, sizeof checksum, "%s.sha256", path);
    if (snprintf(unfinished_checksum, sizeof unfinished_checksum,
                 "%s.sha256.%ld", path, pid) >= PATH_MAX)
        return pqh_fail(err, "%s: the name is too long", path);
    file = fopen(unfinished, "we");
    if (file != NULL)
        result = close_written(
            file, write_rows(file, type, values, num_rows, dim, hex));
    if (result == 0)
        result = write_checksum(unfinished_checksum, path, hex);
    if (result == 0)
        result = rename(unfinished_checksum, checksum);
    if (result == 0)
        result = rename(unfinished, path);
    if (result != 0) {
        pqh_fail(err, "%s: cannot be written: %s", path, strerror(errno));
        unlink(unfinished);
        unlink(unfinished_checksum);
    }
    return result;
}
