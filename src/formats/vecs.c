/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "vecs.h"
#include "base/little_endian.h"

#include <inttypes.h>

static uint32_t swap_bytes(uint32_t x)
{
    return x >> 24 | (x >> 8 & 0xFF00) | (x << 8 & 0xFF0000) | x << 24;
}

static int check_first_width(const struct pqf_rows *rows, uint32_t width,
                             struct pqf_error *err)
{
    uint32_t swapped = swap_bytes(width);

    if (width >= 1 && width <= PQF_VECS_MAX_DIM)
        return 0;
    if (swapped >= 1 && swapped <= PQF_VECS_MAX_DIM)
        return pqf_fail(err,
                        "%s: row 0: the width reads %" PRId32 ", but %" PRIu32
                        " with its bytes swapped: the file "
                        "is big-endian; write it again in little-endian order",
                        rows->source.path, (int32_t)width, swapped);
    return pqf_fail(err,
                    "%s: row 0: the width is %" PRId32 ", but must be from 1 "
                    "to %d; this is no TEXMEX file, or it is damaged: fetch "
                    "or write it again",
                    rows->source.path, (int32_t)width, PQF_VECS_MAX_DIM);
}

int pqf_vecs_fail_mixed(const struct pqf_rows *rows, uint64_t row,
                        uint32_t width, struct pqf_error *err)
{
    return pqf_fail(err,
                    "%s: row %" PRIu64 ": the width is %" PRId32
                    ", but row 0 has %zu, and all rows must be as wide; the "
                    "file is damaged or of another kind than its name says: "
                    "fetch or write it again",
                    rows->source.path, row, (int32_t)width, rows->dim);
}

/* The size is no multiple of a row: say where it went wrong. */
static int explain_size(const struct pqf_rows *rows, struct pqf_error *err)
{
    const uint64_t stride = pqf_rows_stride(rows);
    uint64_t whole = rows->source.size / stride;
    uint64_t rest = rows->source.size % stride;
    unsigned char header[PQF_VECS_HEADER];

    for (uint64_t row = 0; row < whole + (rest >= sizeof header); row++) {
        if (pqf_source_read_at(&rows->source, row * stride, header,
                               sizeof header, err) != 0)
            return -1;
        if (pqk_get_u32(header) != rows->dim)
            return pqf_vecs_fail_mixed(rows, row, pqk_get_u32(header), err);
    }
    return pqf_fail_size(rows, whole, rest, err);
}

/* The first width of a regular file, and what that says of its size. */
static int begin_file(struct pqf_rows *rows, struct pqf_error *err)
{
    const struct pqf_source *source = &rows->source;
    unsigned char header[PQF_VECS_HEADER];

    if (source->size == 0)
        return pqf_fail(err, "%s: the file is empty; fetch or write it again",
                        source->path);
    if (source->size < sizeof header)
        return pqf_fail(err,
                        "%s: row 0 has %" PRIu64 " of the %d bytes of its "
                        "width: the file is cut short; fetch or write it again",
                        source->path, source->size, PQF_VECS_HEADER);
    if (pqf_source_read_at(source, 0, header, sizeof header, err) != 0 ||
        check_first_width(rows, pqk_get_u32(header), err) != 0)
        return -1;
    rows->dim = pqk_get_u32(header);
    if (source->size % pqf_rows_stride(rows) != 0)
        return explain_size(rows, err);
    rows->num_rows = source->size / pqf_rows_stride(rows);
    return 0;
}

static int begin_stream(struct pqf_rows *rows, struct pqf_error *err)
{
    size_t got;

    if (pqf_source_read_next(&rows->source, rows->held, sizeof rows->held, &got,
                             err) != 0)
        return -1;
    if (got < sizeof rows->held)
        return pqf_fail(err, "%s: has %zu bytes, and no row", rows->source.path,
                        got);
    if (check_first_width(rows, pqk_get_u32(rows->held), err) != 0)
        return -1;
    rows->dim = pqk_get_u32(rows->held);
    rows->num_rows = PQF_UNKNOWN;
    return 0;
}

int pqf_vecs_begin(struct pqf_rows *rows, struct pqf_error *err)
{
    rows->type = rows->format == PQF_FVECS   ? PQF_FLOAT32
                 : rows->format == PQF_BVECS ? PQF_UINT8
                                             : PQF_INT32;
    rows->row_header = PQF_VECS_HEADER;
    return rows->source.regular ? begin_file(rows, err)
                                : begin_stream(rows, err);
}

void pqf_vecs_write(struct pqf_output *out, enum pqf_format format,
                    const void *values, size_t num_rows, size_t dim)
{
    const size_t size = format == PQF_BVECS ? 1 : 4;
    const unsigned char *row = values;

    for (size_t i = 0; i < num_rows; i++, row += dim * size) {
        pqf_output_integer(out, dim, PQF_VECS_HEADER);
        pqf_output_values(out, row, size, dim);
    }
}
