/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif

#include "output.h"
#include "base/little_endian.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What a signal handler has to remove.  A name is taken out before its memory
 * is freed. */
#define MAX_UNFINISHED 8
static _Atomic(char *) unfinished[MAX_UNFINISHED];

static void remember(char *path)
{
    for (size_t i = 0; i < MAX_UNFINISHED; i++) {
        char *none = NULL;

        if (atomic_compare_exchange_strong(&unfinished[i], &none, path))
            return;
    }
}

static void forget(char *path)
{
    for (size_t i = 0; i < MAX_UNFINISHED; i++) {
        char *this = path;

        atomic_compare_exchange_strong(&unfinished[i], &this, NULL);
    }
}

void pqf_output_remove_unfinished(void)
{
    for (size_t i = 0; i < MAX_UNFINISHED; i++) {
        const char *path = atomic_load(&unfinished[i]);

        if (path != NULL)
            unlink(path);
    }
}

/* ------------------------------------------------------------------------ */

static int fail_writing(const char *path, int why, struct pqf_error *err)
{
    return pqf_fail(err, "%s: cannot be written: %s", path, strerror(why));
}

static void release(struct pqf_output *out)
{
    if (out->unfinished != NULL)
        forget(out->unfinished);
    free(out->unfinished);
    free(out->path);
    out->file = NULL;
    out->path = NULL;
    out->unfinished = NULL;
    out->failure = 0;
}

/* mkstemp gives mode 0600; a file here keeps the one it had, or has what open
 * would have given. */
static void set_mode(int fd, mode_t old_mode)
{
    mode_t mask = umask(0);

    umask(mask);
    (void)!fchmod(fd, old_mode != 0 ? old_mode & 0777 : 0666 & ~mask);
}

static const char suffix[] = ".XXXXXX";

/* old_mode is 0 if there is no file yet. */
static FILE *open_beside(struct pqf_output *out, mode_t old_mode)
{
    FILE *file = NULL;
    int fd;

    out->unfinished = malloc(strlen(out->path) + sizeof suffix);
    if (out->unfinished == NULL)
        return NULL;
    strcpy(out->unfinished, out->path);
    strcat(out->unfinished, suffix);
    fd = mkstemp(out->unfinished);
    if (fd < 0)
        return NULL;
    remember(out->unfinished);
    set_mode(fd, old_mode);
    file = fdopen(fd, "wb");
    if (file == NULL) {
        unlink(out->unfinished);
        close(fd);
    }
    return file;
}

/* A link stays one: the file that it leads to is replaced. */
static char *name_of_file(const char *path)
{
    struct stat status;
    int is_link = lstat(path, &status) == 0 && S_ISLNK(status.st_mode) &&
                  stat(path, &status) == 0 && S_ISREG(status.st_mode);

    return is_link ? realpath(path, NULL) : strdup(path);
}

/* Opening it by its name would replace a file that others write to, or cut off
 * what they have written. */
static FILE *open_stdout(void)
{
    int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0);
    FILE *file = fd >= 0 ? fdopen(fd, "wb") : NULL;

    if (file == NULL && fd >= 0)
        close(fd);
    return file;
}

int pqf_output_open(const char *path, struct pqf_output *out,
                    struct pqf_error *err)
{
    const int is_stdout = strcmp(path, "/dev/stdout") == 0;
    struct stat status;
    int exists = stat(path, &status) == 0;

    *out = (struct pqf_output){NULL, NULL, NULL, 0};
    out->path = is_stdout ? strdup(path) : name_of_file(path);
    if (out->path == NULL)
        return fail_writing(path, errno, err);
    if (is_stdout)
        out->file = open_stdout();
    else if (exists && !S_ISREG(status.st_mode))
        out->file = fopen(path, "wbe");
    else
        out->file = open_beside(out, exists ? status.st_mode : 0);
    if (out->file == NULL) {
        fail_writing(path, errno, err);
        release(out);
        return -1;
    }
    return 0;
}

void pqf_output_bytes(struct pqf_output *out, const void *bytes, size_t count)
{
    if (out->failure == 0 && count > 0 &&
        fwrite(bytes, 1, count, out->file) != count)
        out->failure = errno;
}

void pqf_output_integer(struct pqf_output *out, uint64_t value, size_t size)
{
    unsigned char bytes[8];

    pqk_put_uint(bytes, size, value);
    pqf_output_bytes(out, bytes, size);
}

void pqf_output_values(struct pqf_output *out, const void *values, size_t size,
                       size_t count)
{
    const unsigned char *from = values;

    if (size == 1) {
        pqf_output_bytes(out, values, count);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t wide = 0;
        uint32_t narrow = 0;

        if (size == 8)
            memcpy(&wide, from + i * size, sizeof wide);
        else
            memcpy(&narrow, from + i * size, sizeof narrow);
        pqf_output_integer(out, size == 8 ? wide : narrow, size);
    }
}

/* Closing can be what fails, when a disk is full. */
int pqf_output_close(struct pqf_output *out, struct pqf_error *err)
{
    if (out->failure == 0 && fflush(out->file) != 0)
        out->failure = errno;
    if (out->failure == 0 && out->unfinished != NULL &&
        fsync(fileno(out->file)) != 0)
        out->failure = errno;
    if (fclose(out->file) != 0 && out->failure == 0)
        out->failure = errno;
    out->file = NULL;
    if (out->failure == 0)
        return 0;
    fail_writing(out->path, out->failure, err);
    pqf_output_abandon(out);
    return -1;
}

int pqf_output_commit(struct pqf_output *out, struct pqf_error *err)
{
    if (out->file != NULL && pqf_output_close(out, err) != 0)
        return -1;
    if (out->unfinished != NULL && rename(out->unfinished, out->path) != 0) {
        fail_writing(out->path, errno, err);
        pqf_output_abandon(out);
        return -1;
    }
    release(out);
    return 0;
}

void pqf_output_abandon(struct pqf_output *out)
{
    if (out->file != NULL)
        fclose(out->file);
    if (out->unfinished != NULL)
        unlink(out->unfinished);
    release(out);
}

/* The name that it is to have, in its folder's own name; NULL if it is written in
 * place, or cannot be told. */
static char *real_name(const struct pqf_output *out)
{
    char *name = out->unfinished ? realpath(out->unfinished, NULL) : NULL;

    if (name != NULL)
        name[strlen(name) - (sizeof suffix - 1)] = '\0';
    return name;
}

static int same_name(const struct pqf_output *a, const struct pqf_output *b)
{
    char *x = real_name(a), *y = real_name(b);
    int same = x != NULL && y != NULL && strcmp(x, y) == 0;

    free(x);
    free(y);
    return same;
}

static int check_names(struct pqf_output *const *outputs, size_t count,
                       struct pqf_error *err)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (same_name(outputs[i], outputs[j]))
                return pqf_fail(err,
                                "%s: is to be written twice; give each output "
                                "a name of its own",
                                outputs[i]->path);
    return 0;
}

int pqf_outputs_commit(struct pqf_output *const *outputs, size_t count,
                       struct pqf_error *err)
{
    int result = check_names(outputs, count, err);

    for (size_t i = 0; result == 0 && i < count; i++)
        if (outputs[i]->path != NULL)
            result = pqf_output_close(outputs[i], err);
    for (size_t i = 0; result == 0 && i < count; i++)
        if (outputs[i]->path != NULL)
            result = pqf_output_commit(outputs[i], err);
    for (size_t i = 0; result != 0 && i < count; i++)
        pqf_output_abandon(outputs[i]);
    return result;
}
