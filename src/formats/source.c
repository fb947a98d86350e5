/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64 /* a base may be larger than 2 GiB */
#endif

#include "source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) >= 8, "files may be larger than 2 GiB");

/* Standard input that is redirected from a file is as good as that file, if
 * nobody has read from it yet. */
static int at_start(int fd)
{
    return lseek(fd, 0, SEEK_CUR) == 0;
}

int pqf_source_open(const char *path, enum pqf_source_kind kind,
                    struct pqf_source *source, struct pqf_error *err)
{
    const int standard = kind == PQF_ANY_SOURCE && strcmp(path, "-") == 0;
    struct stat status;

    source->path = strdup(standard ? "standard input" : path);
    if (source->path == NULL)
        return pqf_fail(err, "out of memory");
    /* A pipe that is refused must not be waited for. */
    source->fd =
        standard ? dup(STDIN_FILENO)
                 : open(path, O_RDONLY | O_CLOEXEC |
                                  (kind == PQF_REGULAR_ONLY ? O_NONBLOCK : 0));
    if (source->fd < 0 || fstat(source->fd, &status) != 0) {
        pqf_fail(err, "%s: cannot be opened: %s", source->path,
                 strerror(errno));
        pqf_source_close(source);
        return -1;
    }
    source->regular = S_ISREG(status.st_mode) && at_start(source->fd);
    source->size = source->regular ? (uint64_t)status.st_size : 0;
    if (source->regular || (kind == PQF_ANY_SOURCE && !S_ISDIR(status.st_mode)))
        return 0;
    pqf_fail(err, "%s: is not a regular file", source->path);
    pqf_source_close(source);
    return -1;
}

void pqf_source_close(struct pqf_source *source)
{
    if (source->fd >= 0)
        close(source->fd);
    free(source->path);
    source->fd = -1;
    source->path = NULL;
}

static int fail_reading(const struct pqf_source *source, struct pqf_error *err)
{
    return pqf_fail(err, "%s: cannot be read: %s", source->path,
                    strerror(errno));
}

int pqf_source_read_at(const struct pqf_source *source, uint64_t offset,
                       unsigned char *bytes, size_t count,
                       struct pqf_error *err)
{
    while (count > 0) {
        ssize_t got = pread(source->fd, bytes, count, (off_t)offset);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_reading(source, err);
        if (got == 0)
            return pqf_fail(err,
                            "%s: became shorter while it was read; wait until "
                            "it is written, then run again",
                            source->path);
        bytes += got;
        offset += (uint64_t)got;
        count -= (size_t)got;
    }
    return 0;
}

int pqf_source_read_next(const struct pqf_source *source, unsigned char *bytes,
                         size_t count, size_t *got, struct pqf_error *err)
{
    *got = 0;
    while (*got < count) {
        ssize_t part = read(source->fd, bytes + *got, count - *got);

        if (part < 0 && errno == EINTR)
            continue;
        if (part < 0)
            return fail_reading(source, err);
        if (part == 0)
            break;
        *got += (size_t)part;
    }
    return 0;
}
