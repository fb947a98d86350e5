/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The real library, in front of whose probe stands one that takes N steps more:
 * a copy of this module that is called slowed-N (called.h).  The rest is found
 * in the library behind it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "called.h"
#include "pqkern.h"
#include "spin.h"

typedef pqk_status (*probe_function)(pqk_scanner *search, size_t partition);

static unsigned long steps;
static probe_function probe;

PQK_API pqk_status pqk_scanner_probe(pqk_scanner *search, size_t partition)
{
    spin(steps);
    return probe(search, partition);
}

static __attribute__((constructor)) void look_behind(void)
{
    void *found = dlsym(RTLD_NEXT, "pqk_scanner_probe");
    const char *path, *name = called(&steps, &path);

    if (found == NULL) {
        fprintf(stderr, "libpqkern %s: no probe to be found\n", pqk_version());
        abort();
    }
    memcpy(&probe, &found, sizeof probe);
    steps = name != NULL ? steps_of(name) : 0;
}
