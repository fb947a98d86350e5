/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include "faults.h"

static struct fault current;
static size_t first_met;
static atomic_int armed, renamed, synced_before, synced_after;
static atomic_size_t calls, met;
static atomic_long blocks, files, mappings, threads;

void faults_begin(const struct fault *fault, size_t number)
{
    current = *fault;
    first_met = number;
    atomic_store(&calls, 0);
    atomic_store(&met, 0);
    atomic_store(&renamed, 0);
    atomic_store(&synced_before, 0);
    atomic_store(&synced_after, 0);
    atomic_store(&armed, 1);
}

size_t faults_end(void)
{
    atomic_store(&armed, 0);
    return atomic_load(&met);
}

int faults_renamed(void)
{
    return atomic_load(&renamed);
}

int faults_synchronised(void)
{
    return atomic_load(&synced_before) && atomic_load(&synced_after);
}

struct faults_held faults_held(void)
{
    return (struct faults_held){atomic_load(&blocks), atomic_load(&files),
                                atomic_load(&mappings), atomic_load(&threads)};
}

static void die(void)
{
    (void)kill(getpid(), SIGKILL);
}

/* 1 if the fault meets this call. */
static int meets(enum fault_calls kind)
{
    size_t number;

    if (!atomic_load(&armed) || kind != current.calls)
        return 0;
    number = atomic_fetch_add(&calls, 1) + 1;
    if (number < first_met || (number > first_met && !current.persists))
        return 0;
    atomic_fetch_add(&met, 1);
    if (current.manner == FAULT_KILLS)
        die();
    return 1;
}

/* 1, with errno, if this call is to fail.  It moves no bytes, so a fault of
 * those is not for it. */
static int fails(enum fault_calls kind)
{
    if (current.manner != FAULT_FAILS && current.manner != FAULT_KILLS)
        return 0;
    if (!meets(kind))
        return 0;
    errno = current.error;
    return 1;
}

#define NONE SIZE_MAX

/* How many bytes this call may read or write; NONE, with errno, if it is to
 * fail. */
static size_t allowed(size_t count, int *dies)
{
    *dies = 0;
    if (count == 0 || !meets(FAULT_FILES))
        return count;
    switch (current.manner) {
    case FAULT_FAILS:
        errno = current.error;
        return NONE;
    case FAULT_INTERRUPTED:
        errno = EINTR;
        return NONE;
    case FAULT_ONE_LESS:
        return count > 1 ? count - 1 : 1;
    case FAULT_KILLS_HALFWAY:
        *dies = 1;
        return (count + 1) / 2;
    case FAULT_HALF:
    case FAULT_KILLS:
    default:
        return (count + 1) / 2;
    }
}

static ssize_t moved(ssize_t count, int dies)
{
    if (dies)
        die();
    return count;
}

/* ------------------------------------------------------------------------ */
/* Memory                                                                   */

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *memory, size_t bytes);
void *__real_reallocarray(void *memory, size_t count, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
char *__real_strdup(const char *text);
void __real_free(void *memory);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *memory, size_t bytes);
void *__wrap_reallocarray(void *memory, size_t count, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text);
void __wrap_free(void *memory);

static void *counted(void *memory)
{
    if (memory)
        atomic_fetch_add(&blocks, 1);
    return memory;
}

void *__wrap_malloc(size_t bytes)
{
    return fails(FAULT_MEMORY) ? NULL : counted(__real_malloc(bytes));
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return fails(FAULT_MEMORY) ? NULL : counted(__real_calloc(count, bytes));
}

/* A block that grows is counted already. */
void *__wrap_realloc(void *memory, size_t bytes)
{
    if (fails(FAULT_MEMORY))
        return NULL;
    return memory ? __real_realloc(memory, bytes)
                  : counted(__real_realloc(NULL, bytes));
}

void *__wrap_reallocarray(void *memory, size_t count, size_t bytes)
{
    if (fails(FAULT_MEMORY))
        return NULL;
    return memory ? __real_reallocarray(memory, count, bytes)
                  : counted(__real_reallocarray(NULL, count, bytes));
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return fails(FAULT_MEMORY)
               ? NULL
               : counted(__real_aligned_alloc(alignment, bytes));
}

char *__wrap_strdup(const char *text)
{
    return fails(FAULT_MEMORY) ? NULL : counted(__real_strdup(text));
}

void __wrap_free(void *memory)
{
    if (memory)
        atomic_fetch_sub(&blocks, 1);
    __real_free(memory);
}

/* ------------------------------------------------------------------------ */
/* Threads                                                                  */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument);
int __real_pthread_join(pthread_t thread, void **result);
int __real_pthread_mutex_init(pthread_mutex_t *mutex,
                              const pthread_mutexattr_t *attributes);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument);
int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_mutex_init(pthread_mutex_t *mutex,
                              const pthread_mutexattr_t *attributes);

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*run)(void *), void *argument)
{
    int error;

    if (fails(FAULT_THREADS))
        return current.error;
    error = __real_pthread_create(thread, attributes, run, argument);
    if (error == 0)
        atomic_fetch_add(&threads, 1);
    return error;
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
    atomic_fetch_sub(&threads, 1);
    return __real_pthread_join(thread, result);
}

int __wrap_pthread_mutex_init(pthread_mutex_t *mutex,
                              const pthread_mutexattr_t *attributes)
{
    return fails(FAULT_THREADS) ? current.error
                                : __real_pthread_mutex_init(mutex, attributes);
}

/* ------------------------------------------------------------------------ */
/* Files                                                                    */

int __real_munmap(void *memory, size_t bytes);
int __real_close(int fd);
int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
char *__real_realpath(const char *path, char *resolved);
ssize_t __real_read(int fd, void *bytes, size_t count);
ssize_t __real_write(int fd, const void *bytes, size_t count);
int __wrap_munmap(void *memory, size_t bytes);
int __wrap_close(int fd);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
char *__wrap_realpath(const char *path, char *resolved);
ssize_t __wrap_read(int fd, void *bytes, size_t count);
ssize_t __wrap_write(int fd, const void *bytes, size_t count);

int __wrap_munmap(void *memory, size_t bytes)
{
    atomic_fetch_sub(&mappings, 1);
    return __real_munmap(memory, bytes);
}

/* The file is closed even so. */
int __wrap_close(int fd)
{
    const int failed = fails(FAULT_FILES), saved_errno = errno;

    atomic_fetch_sub(&files, 1);
    if (!failed)
        return __real_close(fd);
    (void)__real_close(fd);
    errno = saved_errno;
    return -1;
}

int __wrap_fsync(int fd)
{
    const int result = fails(FAULT_FILES) ? -1 : __real_fsync(fd);

    if (result == 0)
        atomic_store(atomic_load(&renamed) ? &synced_after : &synced_before, 1);
    return result;
}

int __wrap_rename(const char *from, const char *to)
{
    const int result = fails(FAULT_FILES) ? -1 : __real_rename(from, to);

    if (result == 0)
        atomic_store(&renamed, 1);
    return result;
}

/* The name is a new block. */
char *__wrap_realpath(const char *path, char *resolved)
{
    return fails(FAULT_FILES) ? NULL : counted(__real_realpath(path, resolved));
}

ssize_t __wrap_read(int fd, void *bytes, size_t count)
{
    int dies;

    count = allowed(count, &dies);
    return count == NONE ? -1 : moved(__real_read(fd, bytes, count), dies);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t count)
{
    int dies;

    count = allowed(count, &dies);
    return count == NONE ? -1 : moved(__real_write(fd, bytes, count), dies);
}

/* ------------------------------------------------------------------------ */
/* Files again, by the names that the GNU C library has for offsets of 64 bits
 * and for the others; elsewhere there is one name. */

static unsigned mode_of(int flags, va_list arguments)
{
    return flags & O_CREAT ? va_arg(arguments, unsigned) : 0;
}

static int opened(int fd)
{
    if (fd >= 0)
        atomic_fetch_add(&files, 1);
    return fd;
}

static void *mapped(void *memory)
{
    if (memory != MAP_FAILED)
        atomic_fetch_add(&mappings, 1);
    return memory;
}

#define WRAP_FILES(suffix, offset_type)                                        \
    int __real_open##suffix(const char *path, int flags, ...);                 \
    int __real_fstat##suffix(int fd, void *status);                            \
    void *__real_mmap##suffix(void *at, size_t bytes, int protection,          \
                              int flags, int fd, offset_type offset);          \
    ssize_t __real_pread##suffix(int fd, void *bytes, size_t count,            \
                                 offset_type offset);                          \
    ssize_t __real_pwrite##suffix(int fd, const void *bytes, size_t count,     \
                                  offset_type offset);                         \
    int __wrap_open##suffix(const char *path, int flags, ...);                 \
    int __wrap_fstat##suffix(int fd, void *status);                            \
    void *__wrap_mmap##suffix(void *at, size_t bytes, int protection,          \
                              int flags, int fd, offset_type offset);          \
    ssize_t __wrap_pread##suffix(int fd, void *bytes, size_t count,            \
                                 offset_type offset);                          \
    ssize_t __wrap_pwrite##suffix(int fd, const void *bytes, size_t count,     \
                                  offset_type offset);                         \
                                                                               \
    int __wrap_open##suffix(const char *path, int flags, ...)                  \
    {                                                                          \
        va_list arguments;                                                     \
        unsigned mode;                                                         \
                                                                               \
        va_start(arguments, flags);                                            \
        mode = mode_of(flags, arguments);                                      \
        va_end(arguments);                                                     \
        return fails(FAULT_FILES)                                              \
                   ? -1                                                        \
                   : opened(__real_open##suffix(path, flags, mode));           \
    }                                                                          \
                                                                               \
    int __wrap_fstat##suffix(int fd, void *status)                             \
    {                                                                          \
        return fails(FAULT_FILES) ? -1 : __real_fstat##suffix(fd, status);     \
    }                                                                          \
                                                                               \
    void *__wrap_mmap##suffix(void *at, size_t bytes, int protection,          \
                              int flags, int fd, offset_type offset)           \
    {                                                                          \
        return fails(FAULT_FILES)                                              \
                   ? MAP_FAILED                                                \
                   : mapped(__real_mmap##suffix(at, bytes, protection, flags,  \
                                                fd, offset));                  \
    }                                                                          \
                                                                               \
    ssize_t __wrap_pread##suffix(int fd, void *bytes, size_t count,            \
                                 offset_type offset)                           \
    {                                                                          \
        int dies;                                                              \
                                                                               \
        count = allowed(count, &dies);                                         \
        return count == NONE                                                   \
                   ? -1                                                        \
                   : moved(__real_pread##suffix(fd, bytes, count, offset),     \
                           dies);                                              \
    }                                                                          \
                                                                               \
    ssize_t __wrap_pwrite##suffix(int fd, const void *bytes, size_t count,     \
                                  offset_type offset)                          \
    {                                                                          \
        int dies;                                                              \
                                                                               \
        count = allowed(count, &dies);                                         \
        return count == NONE                                                   \
                   ? -1                                                        \
                   : moved(__real_pwrite##suffix(fd, bytes, count, offset),    \
                           dies);                                              \
    }

#ifdef __GLIBC__
WRAP_FILES(, long)
WRAP_FILES(64, int64_t)
#else
WRAP_FILES(, off_t)
#endif
