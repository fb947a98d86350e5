/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "seed.h"
#include "base/clock.h"

#include <stdio.h>

uint64_t pqh_random_seed(void)
{
    uint64_t seed = pqk_clock();
    FILE *file = fopen("/dev/urandom", "re");

    if (file != NULL) {
        if (fread(&seed, sizeof seed, 1, file) != 1) {
            seed = pqk_clock();
        }
        fclose(file);
    }
    return seed >> 11;
}
