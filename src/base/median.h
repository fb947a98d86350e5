/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* How sure a median is, whatever the distribution. */
#ifndef PQK_MEDIAN_H
#define PQK_MEDIAN_H

#include <stddef.h>

/*
 * The interval of the sign test: of `count` sorted values, that from number t - 1
 * to number count - t, from 0, with the greatest t for which the median of what
 * they were drawn from lies beyond either end with a probability of at most `each`.
 * Returns t, or 0 if there is no such interval.
 */
size_t pqk_median_trim(size_t count, double each);

#endif
