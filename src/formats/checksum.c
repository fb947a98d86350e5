/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "checksum.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

int pqf_checksum_of(const char *path, char hex[PQK_SHA256_HEX],
                    struct pqf_error *err)
{
    unsigned char buffer[16384];
    struct pqk_sha256 sha;
    size_t got;
    FILE *file = fopen(path, "rbe");

    if (file == NULL)
        return pqf_fail(err, "%s: cannot be opened: %s", path, strerror(errno));
    pqk_sha256_begin(&sha);
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0)
        pqk_sha256_add(&sha, buffer, got);
    if (ferror(file)) {
        pqf_fail(err, "%s: cannot be read: %s", path, strerror(errno));
        fclose(file);
        return -1;
    }
    fclose(file);
    pqk_sha256_end(&sha, hex);
    return 0;
}

static int read_checksum(const char *path, char hex[PQK_SHA256_HEX],
                         struct pqf_error *err)
{
    char name[PATH_MAX];
    size_t got;
    FILE *file;

    if (snprintf(name, sizeof name, "%s.sha256", path) >= PATH_MAX)
        return pqf_fail(err, "%s: the name is too long", path);
    file = fopen(name, "re");
    if (file == NULL)
        return pqf_fail(err, "%s: cannot be opened: %s", name, strerror(errno));
    got = fread(hex, 1, PQK_SHA256_HEX - 1, file);
    fclose(file);
    hex[got] = '\0';
    if (strspn(hex, "0123456789abcdef") != PQK_SHA256_HEX - 1)
        return pqf_fail(err,
                        "%s: does not begin with the 64 lower-case hexadecimal "
                        "digits of a SHA-256",
                        name);
    return 0;
}

int pqf_checksum_verify(const char *path, char hex[PQK_SHA256_HEX],
                        struct pqf_error *err)
{
    char expected[PQK_SHA256_HEX];

    if (read_checksum(path, expected, err) != 0 ||
        pqf_checksum_of(path, hex, err) != 0)
        return -1;
    if (strcmp(hex, expected) != 0)
        return pqf_fail(err, "%s: its SHA-256 is %s, but %s.sha256 says %s",
                        path, hex, path, expected);
    return 0;
}

int pqf_checksum_write(const struct pqf_output *closed, struct pqf_error *err)
{
    const char *slash = strrchr(closed->path, '/');
    char path[PATH_MAX], line[PATH_MAX], hex[PQK_SHA256_HEX];
    struct pqf_output out;
    int length;

    if (snprintf(path, sizeof path, "%s.sha256", closed->path) >= PATH_MAX)
        return pqf_fail(err, "%s: the name is too long", closed->path);
    if (pqf_checksum_of(closed->unfinished, hex, err) != 0 ||
        pqf_output_open(path, &out, err) != 0)
        return -1;
    length = snprintf(line, sizeof line, "%s  %s\n", hex,
                      slash != NULL ? slash + 1 : closed->path);
    pqf_output_bytes(&out, line, (size_t)length);
    return pqf_output_commit(&out, err);
}
