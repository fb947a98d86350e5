/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The index file: little-endian, codes row-major, so that it is the same bytes
 * from every variant on every CPU and outlives any prepared layout.
 *
 *     magic               8 bytes, "pqkern" 0 1
 *     M, centroids, d     3 x u32
 *     partitions          u32
 *     vectors             u64 per partition
 *     centroids           f32 [M][num_centroids][d]
 *     codes               u8 [vectors][M], partition by partition
 *     checksum            u64, FNV-1a of all that precedes
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "library.h"
#include "shape.h"

#define HEADER_BYTES (8 + 4 * 4)

static const uint8_t magic[8] = {'p', 'q', 'k', 'e', 'r', 'n', 0, 1};

/* A file being written or read, and the checksum of what went through. */
struct stream {
    FILE *file;
    uint64_t checksum;
    pqk_status status; /* the first failure */
};

/* Fowler, Noll and Vo's 64-bit FNV-1a: against accidents, not malice. */
static void add_to_checksum(struct stream *stream, const uint8_t *bytes,
                            size_t num_bytes)
{
    uint64_t checksum = stream->checksum;

    for (size_t i = 0; i < num_bytes; i++)
        checksum = (checksum ^ bytes[i]) * 0x100000001b3u;
    stream->checksum = checksum;
}

#define FNV_OFFSET_BASIS 0xcbf29ce484222325u

/* ------------------------------------------------------------------------ */
/* Writing                                                                  */

static void put_bytes(struct stream *out, const void *bytes, size_t num_bytes)
{
    add_to_checksum(out, bytes, num_bytes);
    if (out->status == PQK_OK && num_bytes > 0 &&
        fwrite(bytes, 1, num_bytes, out->file) != num_bytes)
        out->status = PQK_IO_ERROR;
}

static void put_integer(struct stream *out, uint64_t value, size_t num_bytes)
{
    uint8_t bytes[8];

    for (size_t i = 0; i < num_bytes; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    put_bytes(out, bytes, num_bytes);
}

static void put_floats(struct stream *out, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;

        memcpy(&bits, &values[i], sizeof bits);
        put_integer(out, bits, 4);
    }
}

static void put_codes(struct stream *out, const pqk_index *index)
{
    const size_t num_sub_vectors = index->codebook.num_sub_vectors;

    for (size_t p = 0; p < index->num_partitions; p++) {
        const struct pqk_partition *partition = &index->partitions[p];
        const size_t bytes = partition->num_vectors * num_sub_vectors;
        uint8_t *codes = malloc(bytes + 1);

        if (!codes) {
            out->status = PQK_OUT_OF_MEMORY;
            return;
        }
        if (bytes > 0)
            index->kernel->restore_codes(index->prepared_codebook,
                                         partition->codes,
                                         partition->num_vectors, codes);
        put_bytes(out, codes, bytes);
        free(codes);
    }
}

static void put_index(struct stream *out, const pqk_index *index)
{
    const pqk_codebook *codebook = &index->codebook;

    put_bytes(out, magic, sizeof magic);
    put_integer(out, codebook->num_sub_vectors, 4);
    put_integer(out, codebook->num_centroids, 4);
    put_integer(out, codebook->sub_vector_dim, 4);
    put_integer(out, index->num_partitions, 4);
    for (size_t p = 0; p < index->num_partitions; p++)
        put_integer(out, index->partitions[p].num_vectors, 8);
    put_floats(out, codebook->centroids,
               codebook->num_sub_vectors * codebook->num_centroids *
                   codebook->sub_vector_dim);
    put_codes(out, index);
    put_integer(out, out->checksum, 8);
}

/* mkstemp gives mode 0600; a saved file has what open would have given. */
static void set_usual_mode(int fd)
{
    mode_t mask = umask(0);

    umask(mask);
    (void)!fchmod(fd, 0666 & ~mask);
}

static pqk_status write_file(int fd, const pqk_index *index)
{
    struct stream out = {fdopen(fd, "wb"), FNV_OFFSET_BASIS, PQK_OK};

    if (!out.file) {
        close(fd);
        return PQK_IO_ERROR;
    }
    set_usual_mode(fd);
    put_index(&out, index);
    if (out.status == PQK_OK && (fflush(out.file) != 0 || fsync(fd) != 0))
        out.status = PQK_IO_ERROR;
    if (fclose(out.file) != 0 && out.status == PQK_OK)
        out.status = PQK_IO_ERROR;
    return out.status;
}

pqk_status pqk_index_save(const pqk_index *index, const char *path)
{
    static const char suffix[] = ".XXXXXX";
    char *temporary;
    pqk_status status = PQK_IO_ERROR;
    int fd, saved_errno;

    if (!index || !path)
        return PQK_INVALID_ARGUMENT;
    temporary = malloc(strlen(path) + sizeof suffix);
    if (!temporary)
        return PQK_OUT_OF_MEMORY;
    strcpy(temporary, path);
    strcat(temporary, suffix);
    fd = mkstemp(temporary);
    if (fd >= 0) {
        status = write_file(fd, index);
        if (status == PQK_OK && rename(temporary, path) != 0)
            status = PQK_IO_ERROR;
        saved_errno = errno;
        if (status != PQK_OK)
            unlink(temporary);
        errno = saved_errno;
    }
    free(temporary);
    return status;
}

/* ------------------------------------------------------------------------ */
/* Reading                                                                  */

static void get_bytes(struct stream *in, void *bytes, size_t num_bytes)
{
    if (in->status != PQK_OK || num_bytes == 0)
        return;
    if (fread(bytes, 1, num_bytes, in->file) != num_bytes) {
        in->status = ferror(in->file) ? PQK_IO_ERROR : PQK_BAD_FILE;
        return;
    }
    add_to_checksum(in, bytes, num_bytes);
}

static uint64_t get_integer(struct stream *in, size_t num_bytes)
{
    uint8_t bytes[8] = {0};
    uint64_t value = 0;

    get_bytes(in, bytes, num_bytes);
    for (size_t i = num_bytes; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

/* What the header promises, checked against the file's size before anything
 * is allocated from it. */
struct header {
    pqk_codebook shape;
    size_t num_partitions;
    uint64_t *sizes; /* [num_partitions] */
};

static int take(uint64_t *left, uint64_t count, uint64_t size)
{
    if (count > *left / size)
        return 0;
    *left -= count * size;
    return 1;
}

static pqk_status get_sizes(struct stream *in, struct header *header,
                            uint64_t left)
{
    if (!take(&left, header->num_partitions, 8))
        return PQK_BAD_FILE;
    header->sizes = calloc(header->num_partitions + 1, sizeof(uint64_t));
    if (!header->sizes)
        return PQK_OUT_OF_MEMORY;
    if (!take(&left,
              (uint64_t)header->shape.num_sub_vectors *
                  header->shape.num_centroids,
              4 * (uint64_t)header->shape.sub_vector_dim))
        return PQK_BAD_FILE;
    for (size_t p = 0; p < header->num_partitions; p++) {
        header->sizes[p] = get_integer(in, 8);
        if (!take(&left, header->sizes[p], header->shape.num_sub_vectors))
            return PQK_BAD_FILE;
        if (header->sizes[p] > SIZE_MAX / 2 / header->shape.num_sub_vectors)
            return PQK_OUT_OF_MEMORY; /* a 32-bit machine */
    }
    return left == 8 ? in->status : PQK_BAD_FILE;
}

static pqk_status get_header(struct stream *in, struct header *header)
{
    uint8_t found[sizeof magic] = {0};
    struct stat info;

    if (fstat(fileno(in->file), &info) != 0)
        return PQK_IO_ERROR;
    if (!S_ISREG(info.st_mode) || info.st_size < HEADER_BYTES)
        return PQK_BAD_FILE;
    get_bytes(in, found, sizeof found);
    header->shape.num_sub_vectors = (size_t)get_integer(in, 4);
    header->shape.num_centroids = (size_t)get_integer(in, 4);
    header->shape.sub_vector_dim = (size_t)get_integer(in, 4);
    header->num_partitions = (size_t)get_integer(in, 4);
    if (in->status != PQK_OK)
        return in->status;
    if (memcmp(found, magic, sizeof magic) != 0 ||
        !pqk_shape_is_possible(&header->shape))
        return PQK_BAD_FILE;
    return get_sizes(in, header, (uint64_t)info.st_size - HEADER_BYTES);
}

static pqk_status get_codebook(struct stream *in, const pqk_codebook *shape,
                               const pqk_kernel *kernel, pqk_index **index)
{
    const size_t count =
        shape->num_sub_vectors * shape->num_centroids * shape->sub_vector_dim;
    float *centroids = malloc(count * sizeof *centroids);
    pqk_codebook codebook = *shape;
    pqk_status status = PQK_OUT_OF_MEMORY;

    if (!centroids)
        return status;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = (uint32_t)get_integer(in, 4);

        memcpy(&centroids[i], &bits, sizeof bits);
    }
    codebook.centroids = centroids;
    status = in->status;
    if (status == PQK_OK)
        status = pqk_index_create(&codebook, kernel, index);
    free(centroids);
    return status == PQK_INVALID_ARGUMENT ? PQK_BAD_FILE : status;
}

static pqk_status get_codes(struct stream *in, uint64_t num_vectors,
                            pqk_index *index)
{
    const size_t bytes = (size_t)num_vectors * index->codebook.num_sub_vectors;
    uint8_t *codes = malloc(bytes + 1);
    pqk_status status = PQK_OUT_OF_MEMORY;

    if (codes) {
        get_bytes(in, codes, bytes);
        status = in->status;
        if (status == PQK_OK)
            status = pqk_index_add(index, codes, (size_t)num_vectors);
    }
    free(codes);
    return status == PQK_INVALID_ARGUMENT ? PQK_BAD_FILE : status;
}

static pqk_status get_index(struct stream *in, const pqk_kernel *kernel,
                            pqk_index **index)
{
    struct header header = {{0, 0, 0, NULL}, 0, NULL};
    pqk_status status = get_header(in, &header);
    uint64_t expected;

    if (status == PQK_OK)
        status = get_codebook(in, &header.shape, kernel, index);
    for (size_t p = 0; status == PQK_OK && p < header.num_partitions; p++)
        status = get_codes(in, header.sizes[p], *index);
    free(header.sizes);
    if (status != PQK_OK)
        return status;
    expected = in->checksum;
    if (get_integer(in, 8) != expected && in->status == PQK_OK)
        return PQK_BAD_FILE;
    return in->status;
}

pqk_status pqk_index_load(const char *path, const pqk_kernel *kernel,
                          pqk_index **index)
{
    struct stream in = {NULL, FNV_OFFSET_BASIS, PQK_OK};
    pqk_index *made = NULL;
    pqk_status status;

    if (!path || !index)
        return PQK_INVALID_ARGUMENT;
    in.file = fopen(path, "rb");
    if (!in.file)
        return PQK_IO_ERROR;
    status = get_index(&in, kernel, &made);
    fclose(in.file);
    if (status == PQK_OK)
        *index = made;
    else
        pqk_index_free(made);
    return status;
}
