/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "median.h"

#include <math.h>

/* The most for which P(Binomial(count, 1/2) <= trimmed - 1) <= each.  Logarithms,
 * since 2^-count underflows. */
size_t pqk_median_trim(size_t count, double each)
{
    double log_term = -(double)count * log(2.0);
    double tail = 0.0;
    size_t trimmed = 0;

    while (trimmed < count) {
        tail += exp(log_term);
        if (tail > each)
            break;
        log_term += log((double)(count - trimmed) / (double)(trimmed + 1));
        trimmed++;
    }
    return trimmed;
}
