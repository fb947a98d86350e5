/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "layout.h"

#include <inttypes.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} types[] = {
    [PQF_FLOAT32] = {"float32", 4}, [PQF_FLOAT64] = {"float64", 8},
    [PQF_UINT8] = {"uint8", 1},     [PQF_INT32] = {"int32", 4},
    [PQF_UINT32] = {"uint32", 4},   [PQF_INT64] = {"int64", 8},
    [PQF_UINT64] = {"uint64", 8},
};

size_t pqf_type_size(enum pqf_type type)
{
    return types[type].size;
}

const char *pqf_type_name(enum pqf_type type)
{
    return types[type].name;
}

size_t pqf_rows_stride(const struct pqf_rows *rows)
{
    return rows->row_header + rows->dim * pqf_type_size(rows->type);
}

int pqf_fail_size(const struct pqf_rows *rows, uint64_t row, uint64_t bytes,
                  struct pqf_error *err)
{
    return pqf_fail(err,
                    "%s: row %" PRIu64 " has %" PRIu64 " of its %zu bytes: the "
                    "file is cut short, or has bytes left over at its end; "
                    "fetch or write it again",
                    rows->source.path, row, bytes, pqf_rows_stride(rows));
}

static const char *const format_names[] = {[PQF_FVECS] = "fvecs",
                                           [PQF_BVECS] = "bvecs",
                                           [PQF_IVECS] = "ivecs",
                                           [PQF_NPY] = "npy"};

const char *pqf_format_name(enum pqf_format format)
{
    return format_names[format];
}

int pqf_format_find(const char *name, enum pqf_format *format)
{
    for (int i = PQF_FVECS; i <= PQF_NPY; i++)
        if (strcmp(name, format_names[i]) == 0) {
            *format = (enum pqf_format)i;
            return 0;
        }
    return -1;
}

int pqf_format_of(const char *path, enum pqf_format *format)
{
    const char *dot = strrchr(path, '.');

    /* A name that is nothing but an ending tells nothing. */
    if (dot == NULL || dot == path || dot[-1] == '/')
        return -1;
    return pqf_format_find(dot + 1, format);
}
