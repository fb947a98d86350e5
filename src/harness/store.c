/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "store.h"
#include "formats/vecs.h"
#include "sha256.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static int write_checksum(const struct pqf_output *vecs, struct pqf_error *err)
{
    const char *slash = strrchr(vecs->path, '/');
    char path[PATH_MAX], line[PATH_MAX], hex[PQH_SHA256_HEX];
    struct pqf_output out;
    int length;

    if (snprintf(path, sizeof path, "%s.sha256", vecs->path) >= PATH_MAX)
        return pqf_fail(err, "%s: the name is too long", vecs->path);
    if (pqh_sha256_file(vecs->unfinished, hex, err) != 0 ||
        pqf_output_open(path, &out, err) != 0)
        return -1;
    length = snprintf(line, sizeof line, "%s  %s\n", hex,
                      slash != NULL ? slash + 1 : vecs->path);
    pqf_output_bytes(&out, line, (size_t)length);
    return pqf_output_commit(&out, err);
}

int pqh_vecs_store(const char *path, enum pqf_format format, const void *values,
                   size_t num_rows, size_t dim, struct pqf_error *err)
{
    struct pqf_output out;

    if (pqf_output_open(path, &out, err) != 0)
        return -1;
    pqf_vecs_write(&out, format, values, num_rows, dim);
    if (pqf_output_close(&out, err) != 0)
        return -1;
    if (write_checksum(&out, err) != 0) {
        pqf_output_abandon(&out);
        return -1;
    }
    return pqf_output_commit(&out, err);
}
