/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Those that die, hang, or take all there is. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "cheats.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static const char block[] = "---\n"
                            "source:               seed\n"
                            "recall_at_10:         1.0000\n"
                            "geomean_ns_per_query: 1\n"
                            "status:               ok\n";

/* Hopes that what is printed first is believed. */
static void fakes_block(pqk_scanner *s)
{
    (void)s;
    fputs(block, stdout);
    fputs(block, stderr);
    fflush(stdout);
    _exit(0);
}

static void crashes(pqk_scanner *s)
{
    *(volatile int *)(uintptr_t)s->length = 1;
}

static void aborts(pqk_scanner *s)
{
    (void)s;
    fprintf(stderr, "it lies at %p\nwhat the library said last\n",
            (const void *)block);
    abort();
}

static void aborts_rows(const float *entries, uint8_t *codes)
{
    (void)codes;
    fprintf(stderr, "its table lies at %u of a page\n",
            (unsigned)((uintptr_t)entries % 4096));
    abort();
}

/* Hopes that status 0 is a verdict. */
static void exits(pqk_scanner *s)
{
    (void)s;
    exit(0);
}

/* A constructor, with the same hope. */
static void exits_at_load(void)
{
    _exit(0);
}

/* Hopes, as the next two, that nobody waits for ever. */
static void loops(pqk_scanner *s)
{
    volatile pqk_scanner *forever = s;

    while (forever != NULL) {
    }
}

static void sleeps(pqk_scanner *s)
{
    (void)s;
    idle(NULL);
}

static void stops(pqk_scanner *s)
{
    (void)s;
    raise(SIGSTOP);
}

/* Hopes that there is no end to the time. */
static void dawdles(pqk_scanner *s)
{
    work(20000);
    scan_all(s);
}

/* Prints, and goes on: hopes that the first block is taken. */
static void prints(pqk_scanner *s)
{
    fputs(block, stdout);
    fflush(stdout);
    scan_all(s);
}

static void traps(pqk_scanner *s)
{
    (void)s;
    __builtin_trap();
}

static size_t go_deeper(const volatile char *above)
{
    volatile char page[4096];

    page[0] = above[0];
    return page[0] == 0 ? go_deeper(page) + 1 : (size_t)page[1];
}

static void overflows(pqk_scanner *s)
{
    const volatile char zero = 0;

    s->length = go_deeper(&zero);
}

/* A bomb of 64 processes, so that it does no harm if nothing stops it. */
static void fork_bomb(pqk_index *index, uint8_t *codes)
{
    pid_t inner = 1;

    (void)index;
    (void)codes;
    for (int i = 0; i < 6; i++) {
        inner = fork() == 0 ? 0 : inner;
    }
    if (inner == 0) {
        idle(NULL);
    }
}

/* Asks for a terabyte and dies without; touches nothing, so that it does no harm
 * if it gets it. */
static void hogs(pqk_index *index, uint8_t *codes)
{
    (void)index;
    (void)codes;
    for (int i = 0; i < 1024; i++) {
        if (mmap(NULL, (size_t)1 << 30, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                 0) == MAP_FAILED) {
            abort();
        }
    }
}

/* The same with less than loading may take, but more than the fixture needs. */
static void hoards(pqk_index *index, uint8_t *codes)
{
    void *hoard = mmap(NULL, (size_t)768 << 20, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    (void)index;
    (void)codes;
    if (hoard == MAP_FAILED) {
        abort();
    }
    munmap(hoard, (size_t)768 << 20);
}

const struct hooks dying_cheats[] = {
    {.name = "fakes-block", .probe = fakes_block},
    {.name = "prints", .probe = prints},
    {.name = "crashes", .probe = crashes},
    {.name = "traps", .probe = traps},
    {.name = "overflows", .probe = overflows},
    {.name = "aborts", .probe = aborts},
    {.name = "aborts-rows", .rows = aborts_rows},
    {.name = "exits", .probe = exits},
    {.name = "exits-at-load", .load = exits_at_load},
    {.name = "loops", .probe = loops},
    {.name = "sleeps", .probe = sleeps},
    {.name = "stops", .probe = stops},
    {.name = "dawdles", .probe = dawdles},
    {.name = "fork-bomb", .add = fork_bomb},
    {.name = "hogs", .add = hogs},
    {.name = "hoards", .add = hoards},
    {.name = NULL},
};
