/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Work where no clock runs, and a clock that runs slow. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "cheats.h"
#include "spin.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* Hopes that warming up is not timed. */
static void lazy_first(pqk_scanner *s)
{
    if (s->index->calls++ == 0) {
        work(50000);
    }
    scan_all(s);
}

/* The same, but not in the first call. */
static void lazy_third(pqk_scanner *s)
{
    if (s->index->calls++ == 2) {
        work(50000);
    }
    scan_all(s);
}

static pqk_row_result *later_neighbors;
static pqk_row_result later_results[10];

static void *write_later(void *unused)
{
    nap(300);
    memcpy(later_neighbors, later_results, sizeof later_results);
    return unused;
}

/* Deferred writes: hopes that answers are read when all are asked. */
static void late(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    static pthread_t thread;
    static int running;

    (void)s;
    if (running) {
        pthread_join(thread, NULL);
    }
    memcpy(later_results, neighbors, *count * sizeof *neighbors);
    memset(neighbors, 0, *count * sizeof *neighbors);
    later_neighbors = neighbors;
    running = pthread_create(&thread, NULL, write_later, NULL) == 0;
}

/* Hopes that the time of another thread is nobody's. */
static void starts_thread(pqk_index *index, uint8_t *codes)
{
    pthread_t thread;

    (void)index;
    (void)codes;
    pthread_create(&thread, NULL, idle, NULL);
}

static void *scan_half(void *argument)
{
    pqk_scanner *s = argument;

    scan_all(s);
    return NULL;
}

/* Gone when the call returns: hopes that threads are counted afterwards. */
static void brief_threads(pqk_scanner *s)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, scan_half, s) == 0) {
        pthread_join(thread, NULL);
    }
}

/* Hopes that other processes are not looked for. */
static void starts_process(pqk_index *index, uint8_t *codes)
{
    (void)index;
    (void)codes;
    if (fork() == 0) {
        setsid();
        idle(NULL);
    }
}

/* A constructor: hopes that threads are counted once it has run. */
static void thread_at_load(void)
{
    starts_thread(NULL, NULL);
}

static void write_on_alarm(int signal)
{
    (void)signal;
    memcpy(later_neighbors, later_results, sizeof later_results);
}

/* A timer's signal handler in place of a thread: hopes that only threads are
 * looked for. */
static void alarms(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    struct itimerval soon = {.it_value = {0, 300}};

    (void)s;
    memcpy(later_results, neighbors, *count * sizeof *neighbors);
    memset(neighbors, 0, *count * sizeof *neighbors);
    later_neighbors = neighbors;
    signal(SIGALRM, write_on_alarm);
    setitimer(ITIMER_REAL, &soon, NULL);
}

/* In the next call, which takes neither thread nor signal: hopes that an answer
 * is read when all are asked. */
static void afterthought(pqk_scanner *s, pqk_row_result *neighbors,
                         size_t *count)
{
    (void)s;
    if (later_neighbors != NULL) {
        memcpy(later_neighbors, later_results, sizeof later_results);
    }
    later_neighbors = NULL;
    if (*count == 10) {
        memcpy(later_results, neighbors, sizeof later_results);
        memset(neighbors, 0, sizeof later_results);
        later_neighbors = neighbors;
    }
}

/* Hopes that nobody pays for preparing. */
static void prepares_slowly(pqk_index *index, uint8_t *codes)
{
    (void)index;
    (void)codes;
    work(3000);
}

/* Hopes that nobody pays for memory. */
static void grows(pqk_index *index, uint8_t *codes)
{
    (void)codes;
    index->more = index->num_vectors;
}

/* Hopes that nothing else has the size of the one set that decides: as slow as what
 * it is compared with on all others. */
static void one_size(pqk_scanner *s)
{
    spin(s->index->num_vectors == 1024 ? 0 : 40000);
    scan_all(s);
}

/* ------------------------------------------------------------------------ */
/* Fast as the candidate, slow as the best                                  */
/* ------------------------------------------------------------------------ */

static int is_best;

/* By where it lies: hopes to be beaten by itself, in one trial after another. */
static void sleeper_looks(void)
{
    Dl_info own;

    is_best = dladdr(&is_best, &own) != 0 && strstr(own.dli_fname, "kept") != NULL;
}

static void sleeps_if_best(pqk_scanner *s)
{
    spin(is_best ? 40000 : 0);
    scan_all(s);
}

/* ------------------------------------------------------------------------ */
/* A clock that runs slow                                                   */
/* ------------------------------------------------------------------------ */

static int eighth_speed(clockid_t clock, struct timespec *time)
{
    static int64_t origin;
    int64_t now;
    int result = clock_gettime(clock, time);

    now = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec;
    origin = origin == 0 ? now : origin;
    now = origin + (now - origin) / 8;
    time->tv_sec = (time_t)(now / 1000000000);
    time->tv_nsec = (long)(now % 1000000000);
    return result;
}

/* A function of the C library, and what is to be called in its place. */
struct patch {
    uintptr_t target, replacement;
};

/* Overwrites the main program's pointers to it, wherever they are. */
static int patch(struct dl_phdr_info *info, size_t size, void *what)
{
    const struct patch *wanted = what;
    volatile uintptr_t target = wanted->target;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        char *at = (char *)info->dlpi_addr + segment->p_vaddr;
        char *end = at + segment->p_memsz;
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_W)) {
            continue;
        }
        for (; at + sizeof target <= end; at += sizeof target) {
            uintptr_t start = (uintptr_t)at / page * page;
            if (memcmp(at, (void *)&target, sizeof target) == 0) {
                mprotect((void *)start, page, PROT_READ | PROT_WRITE);
                memcpy(at, &wanted->replacement, sizeof target);
            }
        }
    }
    return 1; /* the main program comes first; leave the others alone */
}

/* Hopes that the time is taken where it can be reached. */
static void slow_clock(void)
{
    struct patch clock = {(uintptr_t)clock_gettime, (uintptr_t)eighth_speed};

    dl_iterate_phdr(patch, &clock);
}

/* A few per cent of a query that is answered beside spin-40000. */
static void *copy_and_spin(void *to, const void *from, size_t size)
{
    memmove(to, from, size);
    spin(size >= 256 ? 1600 : 0);
    return to;
}

/* Hopes that a little is not seen there. */
static void hides(void)
{
    struct patch copy = {(uintptr_t)memcpy, (uintptr_t)copy_and_spin};

    dl_iterate_phdr(patch, &copy);
}

/* The same when it is loaded and anybody else would. */
static void patches_late(pqk_scanner *s)
{
    hides();
    scan_all(s);
}

/* What a child sleeps in between its turns, and in the others'. */
static ssize_t nap_and_read(int file, void *to, size_t size)
{
    work(2000);
    return read(file, to, size);
}

/* Hopes that what slows down the others makes it faster. */
static void never_idle(void)
{
    struct patch reads = {(uintptr_t)read, (uintptr_t)nap_and_read};

    dl_iterate_phdr(patch, &reads);
}

static pqk_scanner *asked_last;
static const float *foreseen;
static pqk_row_result foreseen_results[10];

/* The child copies a query to its place before its time begins. */
static void *copy_and_foresee(void *to, const void *from, size_t size)
{
    pqk_scanner *s = asked_last;
    const pqk_codebook *shape = s != NULL ? &s->index->codebook : NULL;

    memmove(to, from, size);
    if (s != NULL && size == shape->num_sub_vectors * shape->sub_vector_dim *
                                 sizeof(float)) {
        make_table(to, shape, s->entries);
        s->length = 0;
        scan_all(s);
        memcpy(foreseen_results, s->best, sizeof foreseen_results);
        foreseen = to;
    }
    return to;
}

/* Another index: the last search is gone. */
static void forgets(pqk_index *index, uint8_t *codes)
{
    (void)index;
    (void)codes;
    asked_last = NULL;
}

/* Hopes to be called where no clock runs. */
static void learns_to_foresee(void)
{
    struct patch copy = {(uintptr_t)memcpy, (uintptr_t)copy_and_foresee};

    dl_iterate_phdr(patch, &copy);
}

static void foresees(pqk_scanner *s)
{
    if (s->k != 10) {
        scan_all(s);
        return;
    }
    if (s->query == foreseen) {
        memcpy(s->best, foreseen_results, sizeof foreseen_results);
        s->length = 10;
    } else {
        scan_all(s);
    }
    asked_last = s;
    foreseen = NULL;
}

const struct hooks elsewhere_cheats[] = {
    {.name = "lazy-first", .probe = lazy_first},
    {.name = "lazy-third", .probe = lazy_third},
    {.name = "late", .results = late},
    {.name = "thread", .add = starts_thread},
    {.name = "thread-at-load", .load = thread_at_load},
    {.name = "brief-threads", .probe = brief_threads},
    {.name = "process", .add = starts_process},
    {.name = "alarms", .results = alarms},
    {.name = "afterthought", .results = afterthought},
    {.name = "slow-clock", .load = slow_clock},
    {.name = "hides", .load = hides},
    {.name = "patches-late", .probe = patches_late},
    {.name = "never-idle", .load = never_idle},
    {.name = "foresees",
     .load = learns_to_foresee,
     .add = forgets,
     .probe = foresees},
    {.name = "prepares-slowly", .add = prepares_slowly},
    {.name = "grows", .add = grows},
    {.name = "one-size", .probe = one_size},
    {.name = "sleeper", .load = sleeper_looks, .probe = sleeps_if_best},
    {.name = NULL},
};
