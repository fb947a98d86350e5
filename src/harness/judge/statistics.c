/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "statistics.h"
#include "base/median.h"

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

struct pqh_interval pqh_median_interval(const double *sorted, size_t count)
{
    return pqh_median_interval_at(sorted, count, 0.05);
}

struct pqh_interval pqh_median_interval_at(const double *sorted, size_t count,
                                           double outside)
{
    struct pqh_interval interval = {pqh_quantile(sorted, count, 0.5), -INFINITY,
                                    INFINITY};
    size_t trimmed = pqk_median_trim(count, outside / 2.0);

    /* trimmed values are below the interval's lowest, so that one is the
     * trimmed-th smallest, counted from 1. */
    if (trimmed > 0) {
        interval.low = sorted[trimmed - 1];
        interval.high = sorted[count - trimmed];
    }
    return interval;
}

/*
 * The same for the sums of ranks: how many subsets of 1..count have a sum of s,
 * as a share of all 2^count, gives P(W <= s).
 */
static size_t trimmed_sums(size_t count, double each)
{
    double shares[PQH_MAX_SHIFT * (PQH_MAX_SHIFT + 1) / 2 + 1] = {1.0};
    size_t most = count * (count + 1) / 2, trimmed = 0;
    double tail = 0.0;

    for (size_t rank = 1; rank <= count; rank++) {
        for (size_t sum = most + 1; sum-- > 0;) {
            double with = sum >= rank ? shares[sum - rank] : 0.0;
            shares[sum] = (shares[sum] + with) / 2.0;
        }
    }
    while (trimmed < most) {
        tail += shares[trimmed];
        if (tail > each) {
            break;
        }
        trimmed++;
    }
    return trimmed;
}

struct pqh_interval pqh_shift_interval(const double *sorted, size_t count,
                                       double outside)
{
    double means[PQH_MAX_SHIFT * (PQH_MAX_SHIFT + 1) / 2] = {0.0};
    struct pqh_interval interval = {0.0, -INFINITY, INFINITY};
    size_t used = 0, trimmed;

    count = count < PQH_MAX_SHIFT ? count : PQH_MAX_SHIFT;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j <= i; j++) {
            means[used++] = (sorted[i] + sorted[j]) / 2.0;
        }
    }
    pqh_sort(means, used);
    interval.estimate = pqh_quantile(means, used, 0.5);
    trimmed = trimmed_sums(count, outside / 2.0);
    if (trimmed > 0) {
        interval.low = means[trimmed - 1];
        interval.high = means[used - trimmed];
    }
    return interval;
}

struct pqh_sitting pqh_sitting_of(const double *const levels[PQH_MAX_ARMS],
                                  size_t count, double *scratch)
{
    double medians[PQH_MAX_ARMS], baseline;

    for (size_t a = 0; a < PQH_MAX_ARMS; a++) {
        for (size_t r = 0; r < count; r++) {
            double sum = levels[PQH_CANDIDATE][r] + levels[PQH_BASELINE][r] +
                         levels[PQH_NULL][r];
            scratch[r] = levels[a][r] - sum / PQH_MAX_ARMS;
        }
        pqh_sort(scratch, count);
        medians[a] = pqh_quantile(scratch, count, 0.5);
    }
    baseline = (medians[PQH_BASELINE] + medians[PQH_NULL]) / 2.0;
    return (struct pqh_sitting){baseline - medians[PQH_CANDIDATE],
                                medians[PQH_BASELINE] - medians[PQH_NULL]};
}

double pqh_null_band(struct pqh_interval null)
{
    return fmax(fabs(null.low), fabs(null.high));
}

enum pqh_verdict pqh_judge_speed(struct pqh_interval speed,
                                 struct pqh_interval null, double effect)
{
    double band = pqh_null_band(null);
    double least = log1p(effect);
    double clear = fmax(band, least);

    if (speed.low > clear) {
        return PQH_FASTER;
    }
    if (speed.high < -clear) {
        return PQH_SLOWER;
    }
    if (speed.low >= -least && speed.high <= least && band <= least) {
        return PQH_SAME;
    }
    return PQH_UNRESOLVED;
}

int pqh_guard_loses(struct pqh_interval speed, struct pqh_interval null,
                    double effect)
{
    return speed.high < 0.0 &&
           speed.estimate < -fmax(pqh_null_band(null), log1p(effect));
}

int pqh_guard_hides(struct pqh_interval speed, double effect)
{
    return !(speed.low >= -log1p(fmax(PQH_GUARD_HIDES, effect)));
}

double pqh_composite(double primary, const double *guards, size_t count)
{
    double cap = log(PQH_GUARD_CAP), sum = 0.0;

    for (size_t i = 0; i < count; i++) {
        sum += fmax(-cap, fmin(guards[i], cap));
    }
    return count > 0 ? (primary + sum / (double)count) / 2.0 : primary;
}
