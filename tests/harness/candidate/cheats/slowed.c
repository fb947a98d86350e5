/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The real library, in front of whose probe stands one that takes N steps more:
 * a copy of this module that is named slowed-N.so.  The rest is found in the
 * library behind it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "pqkern.h"
#include "spin.h"

#include <dlfcn.h>
#include <stdio.h>

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
    Dl_info own;

    if (found == NULL) {
        fprintf(stderr, "libpqkern %s: no probe to be found\n", pqk_version());
        abort();
    }
    memcpy(&probe, &found, sizeof probe);
    if (dladdr(&steps, &own) != 0) {
        steps = steps_of(own.dli_fname);
    }
}
