/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "faiss.h"
#include "base/little_endian.h"

#include <inttypes.h>
#include <string.h>

#define FOURCC_BYTES 4
#define HEADER_BYTES (4 + 3 * 8 + 1 + 4)
#define SEARCH_BYTES (4 + 1 + 4) /* how to search, behind the codes */
#define MAX_DIM      ((uint64_t)1 << 24)
#define UNUSED       ((uint64_t)1 << 20) /* what Faiss writes where it reads none */

/* The reading of one file, in order. */
struct reading {
    struct pqf_faiss *faiss;
    uint64_t offset;
    int failed;
    struct pqf_error *err;
    unsigned char bytes[HEADER_BYTES]; /* those read last */
};

static const unsigned char *read_bytes(struct reading *r, size_t count)
{
    const struct pqf_source *source = &r->faiss->source;

    memset(r->bytes, 0, sizeof r->bytes);
    if (r->failed)
        return r->bytes;
    if (count > source->size - r->offset) {
        r->failed = 1;
        pqf_fail(r->err,
                 "%s: is cut short: it ends at byte %" PRIu64
                 " within its header; write it again",
                 source->path, source->size);
        return r->bytes;
    }
    r->failed =
        pqf_source_read_at(source, r->offset, r->bytes, count, r->err) != 0;
    r->offset += count;
    return r->bytes;
}

static uint64_t read_integer(struct reading *r, size_t size)
{
    return pqk_get_uint(read_bytes(r, size), size);
}

/* Skip a vector of count values, which the file must say and hold. */
static int skip_vector(struct reading *r, const char *name, uint64_t count,
                       uint64_t size, uint64_t *begin)
{
    const struct pqf_source *source = &r->faiss->source;
    uint64_t said = read_integer(r, 8);

    if (r->failed)
        return -1;
    if (said != count)
        return pqf_fail(r->err,
                        "%s: has %" PRIu64 " values of %s, but its shape needs "
                        "%" PRIu64 "; it is damaged",
                        source->path, said, name, count);
    if (count > (source->size - r->offset) / size)
        return pqf_fail(r->err,
                        "%s: is cut short: %" PRIu64 " of the %" PRIu64
                        " bytes of its %s are there; write it again",
                        source->path, source->size - r->offset, count * size,
                        name);
    *begin = r->offset;
    r->offset += count * size;
    return 0;
}

/* ------------------------------------------------------------------------ */

static int fail_kind(const struct reading *r, const unsigned char *fourcc)
{
    const char *path = r->faiss->source.path;
    char kind[FOURCC_BYTES + 1];

    if (fourcc[0] != 'I' || (fourcc[1] != 'x' && fourcc[1] != 'w'))
        return pqf_fail(r->err, "%s: is no index file of Faiss", path);
    pqf_printable((const char *)fourcc, kind, sizeof kind);
    return pqf_fail(r->err,
                    "%s: is a Faiss index of the kind \"%s\", but IndexPQ "
                    "(\"IxPq\") is the only one that is read, alone or in an "
                    "IndexIDMap (\"IxMp\", \"IxM2\"); write the codes into one",
                    path, kind);
}

static int read_header(struct reading *r)
{
    struct pqf_faiss_shape *shape = &r->faiss->shape;
    const char *path = r->faiss->source.path;
    const unsigned char *bytes = read_bytes(r, HEADER_BYTES);
    int32_t dim = (int32_t)pqk_get_u32(bytes);
    int64_t num_rows = (int64_t)pqk_get_u64(bytes + 4);
    int32_t metric = (int32_t)pqk_get_u32(bytes + 29);

    if (r->failed)
        return -1;
    if (dim < 1 || (uint64_t)dim > MAX_DIM ||
        (size_t)dim > SIZE_MAX / sizeof(float) / PQF_FAISS_CENTROIDS)
        return pqf_fail(r->err,
                        "%s: d is %" PRId32 ", but must be from 1 to %" PRIu64
                        "; it is damaged",
                        path, dim, MAX_DIM);
    if (num_rows < 0)
        return pqf_fail(r->err,
                        "%s: ntotal is %" PRId64 ", which is no number of "
                        "vectors; it is damaged",
                        path, num_rows);
    if (bytes[28] != 1)
        return pqf_fail(r->err, "%s: is not trained (%d); train it first", path,
                        bytes[28]);
    if (metric != PQF_FAISS_L2 && metric != PQF_FAISS_INNER_PRODUCT)
        return pqf_fail(r->err,
                        "%s: the metric is %" PRId32 ", but only 0, inner "
                        "product, and 1, L2, are read",
                        path, metric);
    shape->dim = (size_t)dim;
    shape->num_rows = (uint64_t)num_rows;
    shape->metric = (enum pqf_faiss_metric)metric;
    return 0;
}

static int read_quantizer(struct reading *r)
{
    struct pqf_faiss_shape *shape = &r->faiss->shape;
    const char *path = r->faiss->source.path;
    uint64_t dim = read_integer(r, 8);
    uint64_t num_sub_vectors = read_integer(r, 8);
    uint64_t num_bits = read_integer(r, 8);

    if (r->failed)
        return -1;
    if (dim != shape->dim)
        return pqf_fail(r->err,
                        "%s: the quantizer's d is %" PRIu64 ", but the index "
                        "has %zu; it is damaged",
                        path, dim, shape->dim);
    if (num_bits != 8)
        return pqf_fail(r->err,
                        "%s: has codes of %" PRIu64 " bits, but only 8 are "
                        "read; train an IndexPQ with nbits = 8",
                        path, num_bits);
    if (num_sub_vectors < 1 || num_sub_vectors > PQF_FAISS_MAX_SUB_VECTORS ||
        dim % num_sub_vectors != 0)
        return pqf_fail(r->err,
                        "%s: M is %" PRIu64 ", but must be from 1 to %d and "
                        "divide d, %" PRIu64,
                        path, num_sub_vectors, PQF_FAISS_MAX_SUB_VECTORS, dim);
    shape->num_sub_vectors = (size_t)num_sub_vectors;
    return 0;
}

static int read_index(struct reading *r)
{
    struct pqf_faiss *faiss = r->faiss;
    struct pqf_faiss_shape *shape = &faiss->shape;
    const unsigned char *fourcc = read_bytes(r, FOURCC_BYTES);

    if (r->failed)
        return -1;
    if (memcmp(fourcc, "IxPq", FOURCC_BYTES) != 0)
        return fail_kind(r, fourcc);
    if (read_header(r) != 0 || read_quantizer(r) != 0 ||
        skip_vector(r, "centroids", shape->dim * PQF_FAISS_CENTROIDS, 4,
                    &faiss->centroids) != 0)
        return -1;
    if (shape->num_rows > UINT64_MAX / shape->num_sub_vectors)
        return pqf_fail(r->err,
                        "%s: ntotal is %" PRIu64 ", which no file can hold; it "
                        "is damaged",
                        faiss->source.path, shape->num_rows);
    if (skip_vector(r, "codes", shape->num_rows * shape->num_sub_vectors, 1,
                    &faiss->codes) != 0)
        return -1;
    read_bytes(r, SEARCH_BYTES);
    return r->failed ? -1 : 0;
}

/* The wrapper's header must be one of this kind, too, and of as many rows. */
static int read_id_map(struct reading *r)
{
    struct pqf_faiss *faiss = r->faiss;
    uint64_t num_rows;

    if (read_header(r) != 0)
        return -1;
    num_rows = faiss->shape.num_rows;
    if (read_index(r) != 0)
        return -1;
    if (faiss->shape.num_rows != num_rows)
        return pqf_fail(r->err,
                        "%s: has ids for %" PRIu64 " vectors, but codes of "
                        "%" PRIu64 "; it is damaged",
                        faiss->source.path, num_rows, faiss->shape.num_rows);
    faiss->shape.has_ids = 1;
    return skip_vector(r, "ids", num_rows, 8, &faiss->ids);
}

static int read_file(struct reading *r)
{
    const struct pqf_source *source = &r->faiss->source;
    const unsigned char *fourcc = read_bytes(r, FOURCC_BYTES);
    int result;

    if (r->failed)
        return -1;
    if (memcmp(fourcc, "IxMp", FOURCC_BYTES) == 0 ||
        memcmp(fourcc, "IxM2", FOURCC_BYTES) == 0) {
        result = read_id_map(r);
    } else {
        r->offset = 0;
        result = read_index(r);
    }
    if (result == 0 && r->offset != source->size)
        return pqf_fail(r->err,
                        "%s: %" PRIu64 " bytes are left over behind the index; "
                        "write it again",
                        source->path, source->size - r->offset);
    return result;
}

int pqf_faiss_looks_like(const char *path)
{
    unsigned char bytes[FOURCC_BYTES] = {0};
    struct pqf_source source;
    struct pqf_error err;
    int like = 0;

    if (pqf_source_open(path, PQF_REGULAR_ONLY, &source, &err) != 0)
        return 0;
    if (source.size >= sizeof bytes &&
        pqf_source_read_at(&source, 0, bytes, sizeof bytes, &err) == 0)
        like = bytes[0] == 'I' && (bytes[1] == 'x' || bytes[1] == 'w');
    pqf_source_close(&source);
    return like;
}

int pqf_faiss_open(const char *path, struct pqf_faiss *faiss,
                   struct pqf_error *err)
{
    struct reading reading = {faiss, 0, 0, err, {0}};

    memset(faiss, 0, sizeof *faiss);
    if (pqf_source_open(path, PQF_REGULAR_ONLY, &faiss->source, err) != 0)
        return -1;
    if (read_file(&reading) == 0)
        return 0;
    pqf_source_close(&faiss->source);
    return -1;
}

void pqf_faiss_close(struct pqf_faiss *faiss)
{
    pqf_source_close(&faiss->source);
}

/* ------------------------------------------------------------------------ */

/* Values of 4 or 8 bytes, as they are in the file, then as they are here. */
static int read_values(const struct pqf_faiss *faiss, uint64_t offset,
                       size_t count, size_t size, void *values,
                       struct pqf_error *err)
{
    unsigned char *bytes = values;

    if (pqf_source_read_at(&faiss->source, offset, bytes, count * size, err) !=
        0)
        return -1;
    for (size_t i = 0; i < count; i++, bytes += size) {
        uint64_t wide = pqk_get_uint(bytes, size);
        uint32_t narrow = (uint32_t)wide;

        memcpy(bytes, size == 4 ? (void *)&narrow : (void *)&wide, size);
    }
    return 0;
}

int pqf_faiss_read_centroids(const struct pqf_faiss *faiss, float *centroids,
                             struct pqf_error *err)
{
    const size_t count = faiss->shape.dim * PQF_FAISS_CENTROIDS;

    if (read_values(faiss, faiss->centroids, count, 4, centroids, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;

        memcpy(&bits, &centroids[i], sizeof bits);
        if ((bits & UINT32_C(0x7F800000)) == UINT32_C(0x7F800000))
            return pqf_fail(err,
                            "%s: value %zu of the centroids is %g, but must be "
                            "finite; train the index again",
                            faiss->source.path, i, (double)centroids[i]);
    }
    return 0;
}

int pqf_faiss_read_codes(const struct pqf_faiss *faiss, uint64_t first,
                         size_t count, uint8_t *codes, struct pqf_error *err)
{
    const size_t width = faiss->shape.num_sub_vectors;

    return pqf_source_read_at(&faiss->source, faiss->codes + first * width,
                              codes, count * width, err);
}

int pqf_faiss_read_ids(const struct pqf_faiss *faiss, uint64_t first,
                       size_t count, uint64_t *ids, struct pqf_error *err)
{
    if (read_values(faiss, faiss->ids + first * 8, count, 8, ids, err) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (ids[i] > INT64_MAX)
            return pqf_fail(err,
                            "%s: row %" PRIu64 " has the id %" PRId64 ", but "
                            "it must not be negative",
                            faiss->source.path, first + i, (int64_t)ids[i]);
    return 0;
}

/* ------------------------------------------------------------------------ */

static void write_header(struct pqf_output *out, const char *fourcc,
                         const struct pqf_faiss_shape *shape)
{
    pqf_output_bytes(out, fourcc, FOURCC_BYTES);
    pqf_output_integer(out, shape->dim, 4);
    pqf_output_integer(out, shape->num_rows, 8);
    pqf_output_integer(out, UNUSED, 8);
    pqf_output_integer(out, UNUSED, 8);
    pqf_output_integer(out, 1, 1);
    pqf_output_integer(out, shape->metric, 4);
}

void pqf_faiss_write_head(struct pqf_output *out,
                          const struct pqf_faiss_shape *shape,
                          const float *centroids)
{
    const size_t num_values = shape->dim * PQF_FAISS_CENTROIDS;

    if (shape->has_ids)
        write_header(out, "IxMp", shape);
    write_header(out, "IxPq", shape);
    pqf_output_integer(out, shape->dim, 8);
    pqf_output_integer(out, shape->num_sub_vectors, 8);
    pqf_output_integer(out, 8, 8);
    pqf_output_integer(out, num_values, 8);
    pqf_output_values(out, centroids, 4, num_values);
    pqf_output_integer(out, shape->num_rows * shape->num_sub_vectors, 8);
}

void pqf_faiss_write_tail(struct pqf_output *out,
                          const struct pqf_faiss_shape *shape)
{
    /* Search all codes, by distances from the query as it is. */
    pqf_output_integer(out, 0, 4);
    pqf_output_integer(out, 0, 1);
    pqf_output_integer(out, shape->num_sub_vectors * 8 + 1, 4);
    if (shape->has_ids)
        pqf_output_integer(out, shape->num_rows, 8);
}
