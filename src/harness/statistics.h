/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Statistics of timings: their noise is one-sided, heavy-tailed and drifts, so
 * nothing here assumes a normal distribution.
 */
#ifndef PQH_STATISTICS_H
#define PQH_STATISTICS_H

#include <stddef.h>

/* An estimate and its 95 % confidence interval. */
struct pqh_interval {
    double estimate;
    double low;
    double high;
};

enum pqh_verdict { PQH_SAME, PQH_FASTER, PQH_SLOWER, PQH_UNRESOLVED };

/* Ascending; no NaN. */
void pqh_sort(double *values, size_t count);

/* Of sorted values, linear between neighbours; 0 of none. */
double pqh_quantile(const double *sorted, size_t count, double fraction);

/* The mean of the middle half: a quarter of the sorted values is dropped at
 * either end; 0 of none. */
double pqh_midmean(const double *sorted, size_t count);

/* Of positive values; 0 of none. */
double pqh_geometric_mean(const double *values, size_t count);

/*
 * The median of sorted values with the interval of the sign test, which holds
 * for any distribution.  Fewer than 6 values cannot give 95 %: the interval is
 * then everything.
 */
struct pqh_interval pqh_median_interval(const double *sorted, size_t count);

/*
 * Whether a log speed-up is one.  Both intervals are of logarithms; `null` is
 * that of two equal arms, and how far it reaches from 0 widens the other at
 * either end.  With w the widened interval and e = log(1 + effect):
 *   faster, if w lies above 0 and the estimate is at least e;
 *   slower, if w lies below 0 and the estimate is at most -e;
 *   same, if w lies within [-e, e];
 *   otherwise unresolved.
 * effect is a fraction above 0: 0.01 is one per cent.
 */
enum pqh_verdict pqh_judge_speed(struct pqh_interval speed,
                                 struct pqh_interval null, double effect);

#endif
