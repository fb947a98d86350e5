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

/* Numbers; the owner makes room for as many as there can be. */
struct pqh_samples {
    double *values;
    size_t count;
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

/* The same at another level: outside is 0.001 for 99.9 %. */
struct pqh_interval pqh_median_interval_at(const double *sorted, size_t count,
                                           double outside);

/*
 * The centre of up to PQH_MAX_SHIFT sorted values with the interval of
 * Wilcoxon's signed ranks (Hodges and Lehmann): for differences of two equal
 * things, which are symmetric, it holds for any distribution, and is narrower
 * than the median's by a fifth.  Fewer than 6 values give no 95 %, fewer than 11
 * no 99.9 %.
 */
#define PQH_MAX_SHIFT 64
struct pqh_interval pqh_shift_interval(const double *sorted, size_t count,
                                       double outside);

/* The second baseline is the first again, so what lies between them is noise. */
enum { PQH_CANDIDATE, PQH_BASELINE, PQH_NULL, PQH_MAX_ARMS };

/*
 * What a sitting says: log speed-up of the candidate over the mean baseline, and
 * of one baseline over the other.  levels[a][r] is arm a's log time in round r.
 * The median of each arm is taken first, of what it takes longer than the mean
 * arm of its round, and the medians are subtracted: so equal arms differ by 0 on
 * average, whatever their noise.  A median of differences would favour the
 * candidate: the mean of two one-sided noises lies above a third more often than
 * not.
 */
struct pqh_sitting {
    double speed, null;
};

/* scratch: count values. */
struct pqh_sitting pqh_sitting_of(const double *const levels[PQH_MAX_ARMS],
                                  size_t count, double *scratch);

/* How far the interval of two equal arms reaches from 0. */
double pqh_null_band(struct pqh_interval null);

/*
 * Whether a log speed-up is one.  Both intervals are of logarithms; `null` is
 * that of two equal arms.  With e = log(1 + effect) and t the larger of e and
 * the null band:
 *   faster, if the interval lies above t;
 *   slower, if it lies below -t;
 *   same, if it lies within [-e, e], and the null band is no wider;
 *   otherwise unresolved.
 * effect is a fraction above 0: 0.01 is one per cent.
 */
enum pqh_verdict pqh_judge_speed(struct pqh_interval speed,
                                 struct pqh_interval null, double effect);

/*
 * Whether a guard cell loses: its interval lies below 0 and its estimate below
 * -t.  A guard that is only noisy has an interval around 0, and does not.
 */
int pqh_guard_loses(struct pqh_interval speed, struct pqh_interval null,
                    double effect);

/*
 * Whether a guard cell that does not lose could hide a loss that matters: its
 * interval reaches below -log(1 + PQH_GUARD_HIDES), or below the effect if that
 * is larger.
 */
#define PQH_GUARD_HIDES 0.05
int pqh_guard_hides(struct pqh_interval speed, double effect);

/* A guard's part in the composite: the others must be able to outweigh it. */
#define PQH_GUARD_CAP 1.1

/*
 * Weighted mean of log ratios: half of it the primary cell's, the other half the
 * guards', each held within +-log(PQH_GUARD_CAP).
 */
double pqh_composite(double primary, const double *guards, size_t count);

#endif
