/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "image.h"
#include "formats/checksum.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int pqh_anonymous_file(const char *name)
{
    const char *folder = getenv("TMPDIR");
    char path[4096];
    int file = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (file >= 0) {
        return file;
    }
    snprintf(path, sizeof path, "%s/pqkern-XXXXXX",
             folder != NULL && folder[0] != '\0' ? folder : "/tmp");
    file = mkostemp(path, O_CLOEXEC);
    if (file >= 0) {
        unlink(path);
    }
    return file;
}

int pqh_write_all(int file, const void *data, size_t size)
{
    const char *at = data;

    while (size > 0) {
        ssize_t written = write(file, at, size);
        if (written < 0 && errno != EINTR) {
            return -1;
        }
        if (written > 0) {
            at += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

int pqh_image_make(void)
{
    return pqh_anonymous_file("libpqkern.so");
}

int pqh_image_copy(int from, int to)
{
    char bytes[65536];
    off_t at = 0;
    ssize_t got;

    while ((got = pread(from, bytes, sizeof bytes, at)) != 0) {
        if (got < 0 && errno != EINTR) {
            return -1;
        }
        if (got > 0 && pqh_write_all(to, bytes, (size_t)got) != 0) {
            return -1;
        }
        at += got > 0 ? got : 0;
    }
#ifdef F_ADD_SEALS
    (void)fcntl(to, F_ADD_SEALS,
                F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
#endif
    return 0;
}

int pqh_image_take(const char *path, char sha256[PQK_SHA256_HEX],
                   struct pqh_outcome *outcome)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    int image = pqh_image_make();
    struct pqf_error err;
    char name[64];

    if (file < 0 || image < 0 || pqh_image_copy(file, image) != 0) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error", "%s: %s", path,
                       strerror(errno));
    }
    close(file);
    snprintf(name, sizeof name, "/proc/self/fd/%d", image);
    if (pqf_checksum_of(name, sha256, &err) != 0) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error", "%s", err.text);
    }
    return image;
}
