/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A folder for a test's files.  It is made and removed by an unchecked fixture,
 * in the process that outlives each case.
 */
#ifndef PQK_SCRATCH_H
#define PQK_SCRATCH_H

#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch_folder[PATH_MAX];

static inline void scratch_make(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(scratch_folder, sizeof scratch_folder, "%s/pqkern-test-XXXXXX",
             tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    if (mkdtemp(scratch_folder) == NULL) {
        perror(scratch_folder);
        exit(EXIT_FAILURE);
    }
}

static inline int scratch_remove_one(const char *path,
                                     const struct stat *status, int type,
                                     struct FTW *place)
{
    (void)status;
    (void)type;
    (void)place;
    return remove(path);
}

static inline void scratch_remove(void)
{
    nftw(scratch_folder, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* A name in the folder; valid for the next 64 calls. */
static inline const char *scratch(const char *name)
{
    static char paths[64][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % 64];

    if (snprintf(path, PATH_MAX, "%s/%s", scratch_folder, name) >= PATH_MAX)
        abort();
    return path;
}

static inline void scratch_write(const char *path, const void *bytes,
                                 size_t count)
{
    FILE *file = fopen(path, "w");

    if (file == NULL || fwrite(bytes, 1, count, file) != count ||
        fclose(file) != 0) {
        perror(path);
        abort();
    }
}

/* At most size - 1 bytes and a terminating zero; how many bytes. */
static inline size_t scratch_read(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    size_t got;

    if (file == NULL) {
        perror(path);
        abort();
    }
    got = fread(text, 1, size - 1, file);
    text[got] = '\0';
    fclose(file);
    return got;
}

#endif
