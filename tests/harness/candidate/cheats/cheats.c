/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Libraries that are broken or cheat, to show that the judge is not taken in.
 * One module holds them all.  A copy of it that is called after one is that one
 * (called.h); else the environment variable PQK_CHEAT names it.
 * tests/harness/judge/judge.sh says how each has to end, and each says here
 * what it hopes for.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "called.h"
#include "cheats.h"
#include "spin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *cheat_file;

/* ------------------------------------------------------------------------ */
/* What they share                                                          */
/* ------------------------------------------------------------------------ */

void scan_all(pqk_scanner *s)
{
    scan(s, s->index->codebook.num_sub_vectors);
}

void nap(long microseconds)
{
    struct timespec time = {microseconds / 1000000,
                            microseconds % 1000000 * 1000};

    nanosleep(&time, NULL);
}

void work(long microseconds)
{
    struct timespec start, now;

    clock_gettime(CLOCK_MONOTONIC, &start);
    do {
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - start.tv_sec) * 1000000 +
                 (now.tv_nsec - start.tv_nsec) / 1000 <
             microseconds);
}

void *idle(void *unused)
{
    for (;;) {
        nap(100000);
    }
    return unused;
}

/* ------------------------------------------------------------------------ */
/* Honest, but slower: spin-N takes N steps more a query                    */
/* ------------------------------------------------------------------------ */

static unsigned long steps;

static void spins(pqk_scanner *s)
{
    spin(steps);
    scan_all(s);
}

static const struct hooks honest_ones[] = {
    {.name = "honest"},
    {.name = "spin", .probe = spins},
    {.name = NULL},
};

/* ------------------------------------------------------------------------ */
/* Which one to be                                                          */
/* ------------------------------------------------------------------------ */

static const struct hooks *find(const char *name, size_t length)
{
    static const struct hooks *const kinds[] = {
        honest_ones,      broken_cheats,   remembering_cheats,
        elsewhere_cheats, reaching_cheats, dying_cheats};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        for (const struct hooks *one = kinds[i]; one->name != NULL; one++) {
            if (strlen(one->name) == length &&
                memcmp(one->name, name, length) == 0) {
                return one;
            }
        }
    }
    return NULL;
}

static __attribute__((constructor)) void choose(void)
{
    const char *name = called(&cheat_file, &cheat_file);
    size_t length;

    name = name != NULL ? name : getenv("PQK_CHEAT");
    name = name != NULL ? name : "";
    steps = steps_of(name);
    length = steps > 0 ? strlen("spin") : strlen(name);
    hooks = find(name, length);
    if (hooks == NULL) {
        fprintf(stderr, "neither the file's end nor PQK_CHEAT names a cheat\n");
        _exit(99);
    }
    if (hooks->load != NULL) {
        hooks->load();
    }
}
