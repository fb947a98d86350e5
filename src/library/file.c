/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "file.h"
#include "base/splitmix.h"

#ifndef O_CLOEXEC
#define O_CLOEXEC 0
#endif

/* ------------------------------------------------------------------------ */
/* Mapping                                                                  */

static pqk_status map_descriptor(int fd, struct pqk_mapping *mapping)
{
    struct stat info;
    void *bytes;

    if (fstat(fd, &info) != 0)
        return PQK_IO_ERROR;
    if (!S_ISREG(info.st_mode) || info.st_size <= 0)
        return PQK_BAD_FILE;
    if ((uint64_t)info.st_size > SIZE_MAX)
        return PQK_OUT_OF_MEMORY; /* a 32-bit machine */
    bytes = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (bytes == MAP_FAILED)
        return errno == ENOMEM ? PQK_OUT_OF_MEMORY : PQK_IO_ERROR;
    mapping->bytes = bytes;
    mapping->num_bytes = (size_t)info.st_size;
    return PQK_OK;
}

/* Not blocking: a fifo would wait for somebody to write. */
pqk_status pqk_map(const char *path, struct pqk_mapping *mapping)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    pqk_status status;
    int saved_errno;

    if (fd < 0)
        return PQK_IO_ERROR;
    status = map_descriptor(fd, mapping);
    saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return status;
}

void pqk_unmap(struct pqk_mapping *mapping)
{
    if (mapping->bytes)
        munmap((void *)(uintptr_t)mapping->bytes, mapping->num_bytes);
    mapping->bytes = NULL;
}

/* ------------------------------------------------------------------------ */
/* Replacing                                                                */

/* Enough tries for names that nobody else is using. */
#define TRIES 100

static uint64_t some_number(void)
{
    static atomic_uint calls;
    struct timespec now = {0, 0};
    uint64_t state;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    state = ((uint64_t)now.tv_sec << 30) + (uint64_t)now.tv_nsec;
    state += (uint64_t)getpid() << 40;
    state += atomic_fetch_add(&calls, 1u);
    return pqk_random_next(&state);
}

/* The file that a path leads to, so that a link to it stays one, and its mode, 0
 * if it is new.  PQK_IO_ERROR if it is a device, a pipe or a folder, which must
 * not be replaced. */
static pqk_status find_replaced(const char *path, char **replaced, mode_t *mode)
{
    struct stat info;

    *mode = 0;
    if (stat(path, &info) == 0) {
        if (!S_ISREG(info.st_mode)) {
            errno = S_ISDIR(info.st_mode) ? EISDIR : EINVAL;
            return PQK_IO_ERROR;
        }
        *mode = info.st_mode;
        *replaced = realpath(path, NULL);
    } else {
        if (errno != ENOENT)
            return PQK_IO_ERROR;
        *replaced = strdup(path);
    }
    if (*replaced)
        return PQK_OK;
    return errno == ENOMEM ? PQK_OUT_OF_MEMORY : PQK_IO_ERROR;
}

/* With the mode of the old file, whatever the umask, or else that of any new
 * one.  Where modes cannot be changed, the umask narrows it. */
static int create_beside(const char *path, mode_t old_mode, char *temporary,
                         size_t size)
{
    const mode_t mode = old_mode ? old_mode & 0777 : 0666;
    int fd = -1;

    for (int i = 0; i < TRIES && fd < 0; i++) {
        (void)snprintf(temporary, size, "%s.%016llx.tmp", path,
                       (unsigned long long)some_number());
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (fd < 0 && errno != EEXIST)
            break;
    }
    if (fd >= 0 && old_mode)
        (void)!fchmod(fd, mode);
    return fd;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = strdup(slash ? path : ".");

    if (folder && slash)
        folder[slash == path ? 1 : slash - path] = '\0';
    return folder;
}

static void free_names(struct pqk_replacement *replacement)
{
    free(replacement->path);
    free(replacement->folder);
    free(replacement->temporary);
}

pqk_status pqk_replacement_begin(struct pqk_replacement *replacement,
                                 const char *path)
{
    pqk_status status;
    mode_t old_mode;
    int saved_errno;
    size_t size;

    status = find_replaced(path, &replacement->path, &old_mode);
    if (status != PQK_OK)
        return status;
    size = strlen(replacement->path) + sizeof ".0123456789abcdef.tmp";
    replacement->folder = folder_of(replacement->path);
    replacement->temporary = malloc(size);
    status = PQK_OUT_OF_MEMORY;
    if (replacement->folder && replacement->temporary) {
        replacement->fd = create_beside(replacement->path, old_mode,
                                        replacement->temporary, size);
        if (replacement->fd >= 0)
            return PQK_OK;
        status = PQK_IO_ERROR;
    }
    saved_errno = errno;
    free_names(replacement);
    errno = saved_errno;
    return status;
}

pqk_status pqk_replacement_put(struct pqk_replacement *replacement,
                               uint64_t offset, const void *bytes,
                               size_t num_bytes)
{
    const size_t most = (size_t)1 << 30; /* more may be refused */
    const uint8_t *from = bytes;

    while (num_bytes > 0) {
        const size_t count = num_bytes < most ? num_bytes : most;
        const ssize_t put = pwrite(replacement->fd, from, count, (off_t)offset);

        if (put < 0 && errno == EINTR)
            continue;
        if (put == 0)
            errno = EIO; /* it would go on for ever */
        if (put <= 0)
            return PQK_IO_ERROR;
        from += put;
        offset += (uint64_t)put;
        num_bytes -= (size_t)put;
    }
    return PQK_OK;
}

/* The name is on the disk once its folder is.  Some file systems cannot do
 * that for folders, and need not be asked. */
static pqk_status synchronise_folder(const char *folder)
{
    const int fd = open(folder, O_RDONLY | O_CLOEXEC);
    int failed, saved_errno;

    if (fd < 0)
        return errno == EACCES ? PQK_OK : PQK_IO_ERROR;
    failed = fsync(fd) != 0 && errno != EINVAL && errno != EROFS;
    saved_errno = errno;
    close(fd);
    errno = saved_errno;
    return failed ? PQK_IO_ERROR : PQK_OK;
}

pqk_status pqk_replacement_end(struct pqk_replacement *replacement,
                               pqk_status status)
{
    int saved_errno;

    if (status == PQK_OK && fsync(replacement->fd) != 0)
        status = PQK_IO_ERROR;
    saved_errno = errno;
    if (close(replacement->fd) != 0 && status == PQK_OK) {
        status = PQK_IO_ERROR;
        saved_errno = errno;
    }
    if (status == PQK_OK &&
        rename(replacement->temporary, replacement->path) != 0) {
        status = PQK_IO_ERROR;
        saved_errno = errno;
    }
    if (status != PQK_OK) {
        (void)unlink(replacement->temporary);
    } else {
        status = synchronise_folder(replacement->folder);
        saved_errno = errno;
    }
    free_names(replacement);
    errno = saved_errno;
    return status;
}
