/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "statistics.h"

#include <math.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

void pqh_sort(double *values, size_t count)
{
    if (count > 1) {
        qsort(values, count, sizeof *values, compare);
    }
}

double pqh_quantile(const double *sorted, size_t count, double fraction)
{
    double at;
    size_t below;

    if (count == 0) {
        return 0.0;
    }
    at = fraction * (double)(count - 1);
    below = (size_t)at;
    if (below + 1 >= count) {
        return sorted[count - 1];
    }
    return sorted[below] +
           (at - (double)below) * (sorted[below + 1] - sorted[below]);
}

double pqh_midmean(const double *sorted, size_t count)
{
    size_t drop = count / 4;
    double sum = 0.0;

    if (count == 0) {
        return 0.0;
    }
    for (size_t i = drop; i < count - drop; i++) {
        sum += sorted[i];
    }
    return sum / (double)(count - 2 * drop);
}

double pqh_geometric_mean(const double *values, size_t count)
{
    double sum = 0.0;

    if (count == 0) {
        return 0.0;
    }
    for (size_t i = 0; i < count; i++) {
        sum += log(values[i]);
    }
    return exp(sum / (double)count);
}

/*
 * How many values to leave out at either end: the most for which the median
 * lies outside with a probability of at most 2.5 % each side, that is
 * P(Binomial(count, 1/2) <= trimmed - 1) <= 0.025.  Logarithms, since 2^-count
 * underflows.
 */
static size_t trimmed_each_side(size_t count)
{
    double log_term = -(double)count * log(2.0);
    double tail = 0.0;
    size_t trimmed = 0;

    while (trimmed < count) {
        tail += exp(log_term);
        if (tail > 0.025) {
            break;
        }
        log_term += log((double)(count - trimmed) / (double)(trimmed + 1));
        trimmed++;
    }
    return trimmed;
}

struct pqh_interval pqh_median_interval(const double *sorted, size_t count)
{
    struct pqh_interval interval = {pqh_quantile(sorted, count, 0.5), -INFINITY,
                                    INFINITY};
    size_t trimmed = trimmed_each_side(count);

    /* trimmed values are below the interval's lowest, so that one is the
     * trimmed-th smallest, counted from 1. */
    if (trimmed > 0) {
        interval.low = sorted[trimmed - 1];
        interval.high = sorted[count - trimmed];
    }
    return interval;
}

enum pqh_verdict pqh_judge_speed(struct pqh_interval speed,
                                 struct pqh_interval null, double effect)
{
    double band = fmax(fabs(null.low), fabs(null.high));
    double low = speed.low - band;
    double high = speed.high + band;
    double least = log1p(effect);

    if (low > 0.0 && speed.estimate >= least) {
        return PQH_FASTER;
    }
    if (high < 0.0 && speed.estimate <= -least) {
        return PQH_SLOWER;
    }
    if (low >= -least && high <= least) {
        return PQH_SAME;
    }
    return PQH_UNRESOLVED;
}
