/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Libraries that are broken or cheat, to show that the judge is not taken in.
 * One module holds them all; the environment variable PQK_CHEAT names the one
 * to be.  tests/judge.sh says how each has to end.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "honest.h"

#include <fenv.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static void nap(long microseconds)
{
    struct timespec time = {microseconds / 1000000,
                            microseconds % 1000000 * 1000};

    nanosleep(&time, NULL);
}

static void work(long microseconds)
{
    struct timespec start, now;

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000000 +
                 (now.tv_nsec - start.tv_nsec) / 1000 <
             microseconds);
}

/* ------------------------------------------------------------------------ */
/* Broken: recall has to suffer                                             */
/* ------------------------------------------------------------------------ */

static void zeros(pqk_search *s, pqk_neighbor *neighbors, size_t *count)
{
    (void)s;
    memset(neighbors, 0, *count * sizeof *neighbors);
}

static void constant(pqk_search *s, pqk_neighbor *neighbors, size_t *count)
{
    (void)s;
    for (size_t i = 0; i < *count; i++) {
        neighbors[i] = (pqk_neighbor){(uint32_t)i, 1.0f};
    }
}

static void nothing(pqk_search *s)
{
    (void)s;
}

static void skips_one(pqk_search *s)
{
    scan(s, s->index->codebook.num_sub_vectors - 1);
}

static void shifted(pqk_search *s, pqk_neighbor *neighbors, size_t *count)
{
    (void)s;
    for (size_t i = 0; i < *count; i++) {
        neighbors[i].id++;
    }
}

static void beyond(pqk_search *s, pqk_neighbor *neighbors, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        neighbors[i].id += (uint32_t)s->index->num_vectors;
    }
}

static void duplicates(pqk_search *s, pqk_neighbor *neighbors, size_t *count)
{
    (void)s;
    for (size_t i = 1; i < *count; i++) {
        neighbors[i] = neighbors[0];
    }
}

/* Says that it has written, and has not. */
static void stale(pqk_search *s, pqk_neighbor *neighbors, size_t *count)
{
    (void)s;
    memset(neighbors, 0xa5, *count * sizeof *neighbors);
}

/* ------------------------------------------------------------------------ */
/* Remembering                                                              */
/* ------------------------------------------------------------------------ */

#define REMEMBERED 4096

/* By address: finds the answer to another query. */
static void by_address(pqk_search *s)
{
    static pqk_neighbor answers[REMEMBERED][10];
    static const float *queries[REMEMBERED];
    /* Mixed: the addresses lie whole pages apart. */
    size_t slot =
        (size_t)((uintptr_t)s->query / 4 * UINT64_C(0x9E3779B97F4A7C15) >> 32) %
        REMEMBERED;

    if (queries[slot] != s->query) {
        queries[slot] = s->query;
        scan(s, s->index->codebook.num_sub_vectors);
        memcpy(answers[slot], s->best, sizeof answers[slot]);
    }
    memcpy(s->best, answers[slot], sizeof answers[slot]);
    s->length = 10;
}

/* By content: never meets the same content again, so it does no harm. */
static void by_content(pqk_search *s)
{
    static pqk_neighbor answers[REMEMBERED][10];
    static float queries[REMEMBERED][4];
    size_t slot = (size_t)fabsf(s->query[0] * 1000.0f) % REMEMBERED;

    if (memcmp(queries[slot], s->query, sizeof queries[slot]) != 0) {
        memcpy(queries[slot], s->query, sizeof queries[slot]);
        scan(s, s->index->codebook.num_sub_vectors);
        memcpy(answers[slot], s->best, sizeof answers[slot]);
    }
    memcpy(s->best, answers[slot], sizeof answers[slot]);
    s->length = 10;
}

/* Real descriptors are whole numbers: those are the ones that recall needs. */
static int is_known(const pqk_search *s)
{
    size_t dim =
        s->index->codebook.num_sub_vectors * s->index->codebook.sub_vector_dim;

    for (size_t d = 0; d < dim; d++) {
        if (s->query[d] != floorf(s->query[d])) {
            return 0;
        }
    }
    return 1;
}

static void fast_if_known(pqk_search *s)
{
    scan(s, s->index->codebook.num_sub_vectors);
    for (int i = 0; i < 3 && !is_known(s); i++) {
        s->length = 0;
        scan(s, s->index->codebook.num_sub_vectors);
    }
}

static void right_if_known(pqk_search *s)
{
    scan(s, is_known(s) ? s->index->codebook.num_sub_vectors : 4);
}

/* ------------------------------------------------------------------------ */
/* Work where no clock runs                                                 */
/* ------------------------------------------------------------------------ */

static void lazy_first(pqk_search *s)
{
    if (s->index->calls++ == 0) {
        work(50000);
    }
    scan(s, s->index->codebook.num_sub_vectors);
}

static void lazy_third(pqk_search *s)
{
    if (s->index->calls++ == 2) {
        work(50000);
    }
    scan(s, s->index->codebook.num_sub_vectors);
}

static pqk_neighbor *later_neighbors;
static pqk_neighbor later_results[10];

static void *write_later(void *unused)
{
    nap(300);
    memcpy(later_neighbors, later_results, sizeof later_results);
    return unused;
}

static void late(pqk_search *s, pqk_neighbor *neighbors, size_t *count)
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

static void *idle(void *unused)
{
    for (;;) {
        nap(100000);
    }
    return unused;
}

static void starts_thread(pqk_index *index, uint8_t *codes)
{
    pthread_t thread;

    (void)index;
    (void)codes;
    pthread_create(&thread, NULL, idle, NULL);
}

static void *scan_half(void *argument)
{
    pqk_search *s = argument;

    scan(s, s->index->codebook.num_sub_vectors);
    return NULL;
}

/* Gone when the call returns. */
static void brief_threads(pqk_search *s)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, scan_half, s) == 0) {
        pthread_join(thread, NULL);
    }
}

static void starts_process(pqk_index *index, uint8_t *codes)
{
    (void)index;
    (void)codes;
    if (fork() == 0) {
        setsid();
        idle(NULL);
    }
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

/* Overwrites the main program's pointer to clock_gettime, wherever it is. */
static int patch(struct dl_phdr_info *info, size_t size, void *unused)
{
    int (*volatile target)(clockid_t, struct timespec *) = clock_gettime;
    int (*replacement)(clockid_t, struct timespec *) = eighth_speed;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

    (void)size;
    (void)unused;
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
                memcpy(at, &replacement, sizeof replacement);
            }
        }
    }
    return 1; /* the main program comes first; leave the others alone */
}

static void slow_clock(void)
{
    dl_iterate_phdr(patch, NULL);
}

/* ------------------------------------------------------------------------ */
/* Reaching where it has no business                                        */
/* ------------------------------------------------------------------------ */

static void rounds_down(pqk_search *s)
{
    fesetround(FE_DOWNWARD);
    scan(s, s->index->codebook.num_sub_vectors);
}

static void flushes(pqk_search *s)
{
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | (1u << 24)));
#else
    fesetround(FE_UPWARD);
#endif
    scan(s, s->index->codebook.num_sub_vectors);
}

static void writes_codes(pqk_index *index, uint8_t *codes)
{
    (void)index;
    codes[0] = 1;
}

static void keeps_codes(pqk_index *index, uint8_t *codes)
{
    index->codes = codes;
}

static void writes_query(pqk_search *s, float *query)
{
    (void)s;
    query[0] += 1.0f;
}

static void writes_outside(pqk_search *s, pqk_neighbor *neighbors,
                           size_t *count)
{
    (void)s;
    neighbors[*count] = neighbors[0];
}

static void claims_more(pqk_search *s, pqk_neighbor *neighbors, size_t *count)
{
    (void)s;
    (void)neighbors;
    *count += 1;
}

/* The two nearest in an order that depends on the call. */
static void wavers(pqk_search *s, pqk_neighbor *neighbors, size_t *count)
{
    (void)count;
    if (s->index->calls++ % 3 == 0) {
        pqk_neighbor first = neighbors[0];
        neighbors[0] = neighbors[1];
        neighbors[1] = first;
    }
}

/* ------------------------------------------------------------------------ */
/* Dying                                                                    */
/* ------------------------------------------------------------------------ */

static const char block[] = "---\n"
                            "source:               seed\n"
                            "recall_at_10:         1.0000\n"
                            "geomean_ns_per_query: 1\n"
                            "status:               ok\n";

static void fakes_block(pqk_search *s)
{
    (void)s;
    fputs(block, stdout);
    fputs(block, stderr);
    fflush(stdout);
    _exit(0);
}

static void crashes(pqk_search *s)
{
    *(volatile int *)(uintptr_t)s->length = 1;
}

static void aborts(pqk_search *s)
{
    (void)s;
    fputs("what the library said last\n", stderr);
    abort();
}

static void exits(pqk_search *s)
{
    (void)s;
    exit(0);
}

static void exits_at_load(void)
{
    _exit(0);
}

static void loops(pqk_search *s)
{
    volatile pqk_search *forever = s;

    while (forever != NULL) {
    }
}

static void sleeps(pqk_search *s)
{
    (void)s;
    idle(NULL);
}

static void stops(pqk_search *s)
{
    (void)s;
    raise(SIGSTOP);
}

static void dawdles(pqk_search *s)
{
    nap(20000);
    scan(s, s->index->codebook.num_sub_vectors);
}

/* ------------------------------------------------------------------------ */

static const struct hooks cheats[] = {
    {.name = "honest"},
    {.name = "zeros", .results = zeros},
    {.name = "constant", .results = constant},
    {.name = "nothing", .probe = nothing},
    {.name = "skips-one", .probe = skips_one},
    {.name = "shifted", .results = shifted},
    {.name = "beyond", .results = beyond},
    {.name = "duplicates", .results = duplicates},
    {.name = "stale", .results = stale},
    {.name = "by-address", .probe = by_address},
    {.name = "by-content", .probe = by_content},
    {.name = "fast-if-known", .probe = fast_if_known},
    {.name = "right-if-known", .probe = right_if_known},
    {.name = "lazy-first", .probe = lazy_first},
    {.name = "lazy-third", .probe = lazy_third},
    {.name = "late", .results = late},
    {.name = "thread", .add = starts_thread},
    {.name = "brief-threads", .probe = brief_threads},
    {.name = "process", .add = starts_process},
    {.name = "slow-clock", .load = slow_clock},
    {.name = "rounds-down", .probe = rounds_down},
    {.name = "flushes", .probe = flushes},
    {.name = "writes-codes", .add = writes_codes},
    {.name = "keeps-codes", .add = keeps_codes},
    {.name = "writes-query", .tables = writes_query},
    {.name = "writes-outside", .results = writes_outside},
    {.name = "claims-more", .results = claims_more},
    {.name = "wavers", .results = wavers},
    {.name = "fakes-block", .probe = fakes_block},
    {.name = "crashes", .probe = crashes},
    {.name = "aborts", .probe = aborts},
    {.name = "exits", .probe = exits},
    {.name = "exits-at-load", .load = exits_at_load},
    {.name = "loops", .probe = loops},
    {.name = "sleeps", .probe = sleeps},
    {.name = "stops", .probe = stops},
    {.name = "dawdles", .probe = dawdles},
};

static __attribute__((constructor)) void choose(void)
{
    const char *name = getenv("PQK_CHEAT");

    for (size_t i = 0; i < sizeof cheats / sizeof cheats[0]; i++) {
        if (name != NULL && strcmp(cheats[i].name, name) == 0) {
            hooks = &cheats[i];
        }
    }
    if (hooks == NULL) {
        fprintf(stderr, "PQK_CHEAT names no cheat\n");
        _exit(99);
    }
    if (hooks->load != NULL) {
        hooks->load();
    }
}
