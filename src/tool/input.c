/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"
#include "base/progress.h"

#include "base/splitmix.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Values read at a time: 64 MiB of floats. */
#define PIECE_VALUES ((size_t)1 << 24)

size_t tool_piece(size_t dim)
{
    return dim < PIECE_VALUES ? PIECE_VALUES / dim : 1;
}

void tool_open_rows(const char *path, const char *format, size_t wanted,
                    const char *of_what, struct pqf_rows *rows)
{
    enum pqf_format known;
    struct pqf_error err;

    if (format != NULL && pqf_format_find(format, &known) != 0)
        tool_usage("--format: '%s' is not fvecs, bvecs, ivecs or npy", format);
    tool_check(pqf_rows_open_any(path, format, rows, &err), &err);
    if (wanted != 0 && rows->dim != wanted)
        tool_die("%s: the rows are %zu values wide, but %s %zu; give a file "
                 "that fits",
                 rows->source.path, rows->dim, of_what, wanted);
}

/* Room for all rows, which grows if their number is not known. */
static void *grow(void *values, uint64_t *room, uint64_t used, size_t row_bytes)
{
    void *more;

    if (used < *room)
        return values;
    *room = 2 * *room + 1;
    more = tool_alloc(*room, row_bytes);
    if (used > 0)
        memcpy(more, values, (size_t)used * row_bytes);
    free(values);
    return more;
}

/* A stream's word for its number of rows is not worth more memory than it has
 * filled so far. */
static uint64_t first_room(const struct pqf_rows *rows)
{
    const uint64_t few =
        tool_piece(rows->dim) < 1024 ? tool_piece(rows->dim) : 1024;

    if (!rows->source.regular && rows->num_rows >= few)
        return few;
    /* One more, so that the end is seen without growing. */
    return rows->num_rows + 1;
}

float *tool_read_floats(struct pqf_rows *rows, size_t *num_rows)
{
    uint64_t room = first_room(rows), used = 0;
    float *values = tool_alloc(room, rows->dim * sizeof *values);
    struct pqf_error err;
    size_t got;

    do {
        values = grow(values, &room, used, rows->dim * sizeof *values);
        tool_check(pqf_rows_next_floats(rows, (size_t)(room - used),
                                        values + used * rows->dim, &got, &err),
                   &err);
        used += got;
    } while (got > 0);
    *num_rows = (size_t)used;
    return values;
}

int tool_compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

uint64_t *tool_read_ids(const char *path, size_t *num_ids)
{
    struct pqf_rows rows;
    uint64_t room, used = 0;
    uint64_t *ids;
    struct pqf_error err;
    size_t got;

    tool_open_rows(path, NULL, 1, "ids are", &rows);
    room = first_room(&rows);
    ids = tool_alloc(room, sizeof *ids);
    do {
        ids = grow(ids, &room, used, sizeof *ids);
        tool_check(pqf_rows_next_ids(&rows, (size_t)(room - used), ids + used,
                                     &got, &err),
                   &err);
        used += got;
    } while (got > 0);
    pqf_rows_close(&rows);
    *num_ids = (size_t)used;
    return ids;
}

void tool_keep_input(const char *input, const char *output)
{
    struct stat in, out;

    if (input != NULL && output != NULL && stat(input, &in) == 0 &&
        stat(output, &out) == 0 && S_ISREG(in.st_mode) &&
        in.st_dev == out.st_dev && in.st_ino == out.st_ino)
        tool_usage("%s: is read and cannot be the output, too; name another "
                   "file",
                   output);
}

/* ------------------------------------------------------------------------ */
/* Samples: the same of the same seed and rows, on every machine             */

/* Knuth's Algorithm S: of a file only the rows of the sample are read. */
static void select_rows(struct pqf_rows *rows, uint64_t most, uint64_t seed,
                        float *sample)
{
    uint64_t chosen = 0;
    struct pqf_error err;

    pqk_progress_begin("drawing a sample", 0);
    for (uint64_t row = 0; chosen < most; row++) {
        double left = (double)(rows->num_rows - row);

        if (pqk_random_unit(&seed) * left >= (double)(most - chosen))
            continue;
        tool_check(pqf_rows_read_floats(rows, row, 1,
                                        sample + chosen * rows->dim, &err),
                   &err);
        pqk_progress_show(NULL, ++chosen, most);
    }
    pqk_progress_end();
}

/* Vitter's Algorithm R: each row of a stream may take the place of another. */
static size_t draw_from_stream(struct pqf_rows *rows, uint64_t most,
                               uint64_t seed, float *sample)
{
    const size_t bytes = rows->dim * sizeof *sample;
    const size_t piece = tool_piece(rows->dim);
    float *read = tool_alloc(piece, bytes);
    struct pqf_error err;
    uint64_t seen = 0;
    size_t got;

    pqk_progress_begin("reading", 0);
    do {
        tool_check(pqf_rows_next_floats(rows, piece, read, &got, &err), &err);
        for (size_t i = 0; i < got; i++, seen++) {
            uint64_t place =
                seen < most
                    ? seen
                    : (uint64_t)(pqk_random_unit(&seed) * (double)(seen + 1));

            if (place < most)
                memcpy(sample + place * rows->dim, read + i * rows->dim, bytes);
        }
        pqk_progress_show(NULL, seen, 0);
    } while (got > 0);
    pqk_progress_end();
    free(read);
    return (size_t)(seen < most ? seen : most);
}

float *tool_sample(struct pqf_rows *rows, uint64_t most, uint64_t seed,
                   size_t *num_rows)
{
    float *sample;

    if (rows->num_rows <= most)
        return tool_read_floats(rows, num_rows);
    sample = tool_alloc(most, rows->dim * sizeof *sample);
    if (rows->source.regular) {
        select_rows(rows, most, seed, sample);
        *num_rows = (size_t)most;
    } else {
        *num_rows = draw_from_stream(rows, most, seed, sample);
    }
    return sample;
}
