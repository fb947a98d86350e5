/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64 /* a base may be larger than 2 GiB */
#endif

#include "cache.h"
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define SAMPLE_BYTES 65536

int pqh_cache_root(char path[PATH_MAX])
{
    const char *home = getenv("XDG_CACHE_HOME");
    const char *below = "";

    /* A relative path is to be ignored, says the XDG specification. */
    if (home == NULL || home[0] != '/') {
        home = getenv("HOME");
        below = "/.cache";
    }
    if (home == NULL || home[0] == '\0')
        return -1;
    return snprintf(path, PATH_MAX, "%s%s/pqkern", home, below) < PATH_MAX ? 0
                                                                           : -1;
}

void pqh_cache_init(struct pqh_cache *cache, const char *name,
                    const char key[PQH_SHA256_HEX])
{
    char root[PATH_MAX];

    cache->complained = 0;
    if (pqh_cache_root(root) != 0 ||
        snprintf(cache->folder, sizeof cache->folder, "%s/%s-%.16s", root, name,
                 key) >= PATH_MAX)
        cache->folder[0] = '\0';
}

static int add_sample(struct pqh_sha256 *key, int fd, off_t offset)
{
    unsigned char buffer[4096];
    off_t end = offset + SAMPLE_BYTES;

    while (offset < end) {
        ssize_t got = pread(fd, buffer, sizeof buffer, offset);

        if (got < 0)
            return -1;
        if (got == 0)
            break;
        pqh_sha256_add(key, buffer, (size_t)got);
        offset += got;
    }
    return 0;
}

int pqh_cache_key_add_file(struct pqh_sha256 *key, const char *path,
                           struct pqf_error *err)
{
    const char *slash = strrchr(path, '/');
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat status;
    char text[PATH_MAX + 100];
    int length;

    if (fd < 0 || fstat(fd, &status) != 0 || add_sample(key, fd, 0) != 0 ||
        add_sample(key, fd,
                   status.st_size > SAMPLE_BYTES ? status.st_size - SAMPLE_BYTES
                                                 : 0) != 0) {
        pqf_fail(err, "%s: cannot be read: %s", path, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    close(fd);
    length = snprintf(text, sizeof text, "%s %lld %lld.%09ld\n",
                      slash ? slash + 1 : path, (long long)status.st_size,
                      (long long)status.st_mtim.tv_sec,
                      (long)status.st_mtim.tv_nsec);
    pqh_sha256_add(key, text, (size_t)length);
    return 0;
}

int pqh_cache_path(const struct pqh_cache *cache, const char *name,
                   char path[PATH_MAX])
{
    if (cache->folder[0] == '\0' ||
        snprintf(path, PATH_MAX, "%s/%s", cache->folder, name) >= PATH_MAX)
        return -1;
    return 0;
}

static int read_values(const struct pqf_rows *vecs, void *values,
                       struct pqf_error *err)
{
    const size_t num_rows = (size_t)vecs->num_rows;

    switch (vecs->format) {
    case PQF_FVECS:
        return pqf_rows_read_floats(vecs, 0, num_rows, values, err);
    case PQF_BVECS:
        return pqf_rows_read_bytes(vecs, 0, num_rows, values, err);
    case PQF_IVECS:
    case PQF_NPY:
    default:
        return pqf_rows_read_ints(vecs, 0, num_rows, values, err);
    }
}

static int load_checked(const char *path, size_t num_rows, size_t dim,
                        void *values, struct pqf_error *err)
{
    char hex[PQH_SHA256_HEX];
    struct pqf_rows vecs;
    int result;

    if (pqh_sha256_verify(path, hex, err) != 0 ||
        pqf_rows_open(path, &vecs, err) != 0)
        return -1;
    if (vecs.num_rows != num_rows || vecs.dim != dim)
        result = pqf_fail(err,
                          "%s: has %" PRIu64 " rows of width %zu, not %zu of "
                          "%zu",
                          path, vecs.num_rows, vecs.dim, num_rows, dim);
    else
        result = read_values(&vecs, values, err);
    pqf_rows_close(&vecs);
    return result;
}

int pqh_cache_load(const struct pqh_cache *cache, const char *name,
                   size_t num_rows, size_t dim, void *values)
{
    struct pqf_error err = {""};
    char path[PATH_MAX];

    if (pqh_cache_path(cache, name, path) != 0 || access(path, F_OK) != 0)
        return 0;
    if (load_checked(path, num_rows, dim, values, &err) == 0)
        return 1;
    fprintf(stderr, "pqkern: %s; it is computed again\n", err.text);
    return 0;
}

static int make_folders(const char *folder)
{
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s", folder);
    for (char *end = strchr(path + 1, '/');; end = strchr(end + 1, '/')) {
        if (end != NULL)
            *end = '\0';
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return -1;
        if (end == NULL)
            return 0;
        *end = '/';
    }
}

int pqh_cache_store(struct pqh_cache *cache, const char *name,
                    enum pqf_format type, const void *values,
                    size_t num_rows, size_t dim)
{
    struct pqf_error err = {""};
    char path[PATH_MAX];

    if (pqh_cache_path(cache, name, path) != 0)
        pqf_fail(&err, "neither XDG_CACHE_HOME nor HOME names a folder");
    else if (make_folders(cache->folder) != 0)
        pqf_fail(&err, "%s: cannot be created: %s", cache->folder,
                 strerror(errno));
    else if (pqh_vecs_store(path, type, values, num_rows, dim, &err) == 0)
        return 1;
    if (!cache->complained)
        fprintf(stderr,
                "pqkern: %s; going on without a cache (set XDG_CACHE_HOME to a "
                "folder that can be written)\n",
                err.text);
    cache->complained = 1;
    return 0;
}
