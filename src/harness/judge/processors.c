/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "processors.h"
#include "base/splitmix.h"

#include <stdio.h>

static int draw(const cpu_set_t *from, uint64_t *random)
{
    size_t left = pqk_random_below(random, (size_t)CPU_COUNT(from));

    for (size_t i = 0; i < CPU_SETSIZE; i++) {
        if (CPU_ISSET(i, from) && left-- == 0) {
            return (int)i;
        }
    }
    return -1;
}

static long topology(int processor, const char *what)
{
    char path[128];
    long value = -1;
    FILE *file;

    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s",
             processor, what);
    file = fopen(path, "re");
    if (file != NULL) {
        if (fscanf(file, "%ld", &value) != 1) {
            value = -1;
        }
        fclose(file);
    }
    return value;
}

static int same_core(int a, int b)
{
    return topology(a, "core_id") == topology(b, "core_id") &&
           topology(a, "physical_package_id") ==
               topology(b, "physical_package_id");
}

void pqh_processors_draw(struct pqh_processors *processors, uint64_t *random)
{
    cpu_set_t others;

    processors->judge = processors->child = -1;
    if (sched_getaffinity(0, sizeof processors->all, &processors->all) != 0 ||
        CPU_COUNT(&processors->all) < 2) {
        return;
    }
    others = processors->all;
    processors->child = draw(&others, random);
    CPU_CLR((size_t)processors->child, &others);
    do {
        processors->judge = draw(&others, random);
        CPU_CLR((size_t)processors->judge, &others);
    } while (CPU_COUNT(&others) > 0 &&
             same_core(processors->judge, processors->child));
}

static void pin(pid_t pid, int processor)
{
    cpu_set_t one;

    if (processor >= 0) {
        CPU_ZERO(&one);
        CPU_SET((size_t)processor, &one);
        (void)sched_setaffinity(pid, sizeof one, &one);
    }
}

void pqh_processors_enter(const struct pqh_processors *processors)
{
    pin(0, processors->judge);
}

void pqh_processors_leave(const struct pqh_processors *processors)
{
    if (processors->judge >= 0) {
        (void)sched_setaffinity(0, sizeof processors->all, &processors->all);
    }
}

void pqh_processors_give(const struct pqh_processors *processors, pid_t child)
{
    pin(child, processors->child);
}
