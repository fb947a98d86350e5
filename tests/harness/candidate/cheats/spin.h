/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A known amount of work more, for comparisons whose outcome is known. */
#ifndef SPIN_H
#define SPIN_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Each step needs the one before: so many cycles, whatever the frequency. */
static inline void spin(unsigned long steps)
{
    uint32_t state = 1;

    for (unsigned long i = 0; i < steps; i++) {
        state = state * 1664525u + 1013904223u;
        __asm__ volatile("" : "+r"(state));
    }
}

/* N of what is called ...-N; else 0. */
static inline unsigned long steps_of(const char *path)
{
    const char *dash = strrchr(path, '-');

    return dash != NULL && strchr(dash, '/') == NULL
               ? strtoul(dash + 1, NULL, 10)
               : 0;
}

#endif
