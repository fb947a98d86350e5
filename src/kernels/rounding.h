/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * How a query's table is rounded to bytes, and why sums of them are lower bounds of
 * distances.
 *
 * Why a byte sum is a lower bound.  Let e = 2^-24, t_m a table entry, b_m the
 * minimum of its column, B the sum of the b_m, N the sum of what the b_m are
 * below 0 (0 for squared distances), S the exact sum of a code's t_m, S_ref the
 * float32 sum in ascending order, s > 0 the scale.
 *
 *  1. d = fl(t - b) <= (t - b)(1 + e), and x = fl(d s) <= d s (1 + e) where
 *     x >= 1, far above underflow.  The byte u = min(255, trunc x) is <= x, and
 *     0 where x < 1.  So u_m <= s (1 + e)^2 (t_m - b_m).  Nor does it harm if
 *     t - b overflows: t - b > FLT_MAX then, and s FLT_MAX > 255, since 253 / s
 *     is at most T (1 + M 2^-23) + N (1 + M 2^-22), or 253 / 226 of that where a
 *     scale is kept, and both are below MAX_FILTERED.
 *  2.  Group minima are <= u_m; a column left out drops a term >= 0; a refinement
 *     adds u_m minus the group's minimum to that minimum; saturating additions
 *     of terms >= 0 give min(255, sum) in any order.  So every partial sum of
 *     bytes is <= s (1 + e)^2 (S - B).
 *  3.  The reference's first addition is exact, each other one loses at most a
 *     share e of its result (float32 addition does not underflow), so S and S_ref
 *     differ by at most M e times the sum of the |t_m|, for all M up to 256.
 *     (The textbooks' limit for M - 1 of them is (M - 1) e / (1 - (M - 1) e).)
 *     That sum is S plus twice what the t_m are below 0, so at most S + 2 N.
 *     With g = M e,
 *         S <= S_ref + g (S + 2 N),  S <= S_ref + g (S_ref + 2 N) / (1 - g).
 *     If a sum of finite entries overflows, then upwards, since N < MAX_FILTERED:
 *     S_ref is inf or, with an entry that is NaN, NaN; 6. is about those.
 *  4.  A code that may enter the results has S_ref <= T, equality included since
 *     ids decide it.  So its byte sum is at most
 *         y = s (1 + e)^2 (T + g (T + 2 N) / (1 - g) - B),
 *     and may be dropped only if it is > floor(y).  byte_threshold() computes
 *     that in double with 2 g for g / (1 - g) and 1 + 2^-21 for (1 + e)^2.  What
 *     2 g has to spare, about g (T + 2 N), covers the roundings of B, of N and of
 *     y: |T|, |B| and N are at most about T + 2 N, or else nothing can enter the
 *     results (S_ref >= -N (1 + g)), and then any threshold is right.
 *  5. 255 means "255 or more", so a threshold must be below it.  The scale is
 *     chosen such that y is about 253, and T only falls; a scale that was chosen
 *     for another T is kept only while y is from 226 to below 254 (follow_bound()
 *     in scan.h).  (Cutting a higher threshold down to 254 would drop codes that
 *     belong to the results.)
 *  6.  Entries that are +inf or NaN become 255 and are dropped, which is right
 *     as long as T is finite: their sums rank behind it, since finite entries do
 *     not add up to -inf.  Without a T below MAX_FILTERED nothing is filtered, nor
 *     where N is not below it or B is not finite, as with entries of -inf.
 *  7.  A table of estimates (estimates.h) has entries t' >= 0, for some r > 0 and
 *     l >= 0 all at most r t_m + l.  1. and 2. hold for those and their minima, and
 *     since a sum of them is at most r S + M l, y has r (T + g T / (1 - g)) + M l
 *     for T + g T / (1 - g).  For an exact table r is 1 and l is 0.  A float32 sum
 *     of estimates is at most 1 + 2 g times that, too.
 */
#ifndef PQK_KERNELS_ROUNDING_H
#define PQK_KERNELS_ROUNDING_H

#include <float.h>
#include <math.h>
#include <stddef.h>

/* Distances from here on are not filtered by. */
#define MAX_FILTERED (FLT_MAX / 4)

/* What ties a query's byte tables to its distances. */
struct rounding {
    double sum_of_minima; /* B */
    double below_zero;    /* N */
    double stretch;       /* r */
    double slack;         /* M l */
    float scale;          /* s */
    int threshold;        /* floor(y), -1 if nothing can enter the results */
};

static inline void clear_minima(struct rounding *rounding)
{
    rounding->sum_of_minima = 0.0;
    rounding->below_zero = 0.0;
    rounding->stretch = 1.0;
    rounding->slack = 0.0;
    rounding->scale = 0.0f;
}

/* The least entry of one more column. */
static inline void add_minimum(struct rounding *rounding, float minimum)
{
    rounding->sum_of_minima += (double)minimum;
    if (minimum < 0.0f)
        rounding->below_zero -= (double)minimum;
}

/* Whether a table can be filtered by; also not if a column has no number. */
static inline int has_minima(const struct rounding *rounding)
{
    return rounding->sum_of_minima < (double)FLT_MAX &&
           rounding->below_zero < (double)MAX_FILTERED;
}

/* r (T + 2 g T) + M l + 4 g N - B */
static inline double widened_range(const struct rounding *rounding,
                                   size_t num_sub_vectors, float distance)
{
    return (double)distance * (1.0 + (double)num_sub_vectors * 0x1p-23) *
               rounding->stretch +
           rounding->slack +
           rounding->below_zero * ((double)num_sub_vectors * 0x1p-22) -
           rounding->sum_of_minima;
}

/* What a float32 sum of estimates is at most, if the distance is no more than
 * that. */
static inline float most_estimated(const struct rounding *rounding,
                                   size_t num_sub_vectors, float distance)
{
    const double g = (double)num_sub_vectors * 0x1p-23;

    return (float)(((double)distance * (1.0 + g) * rounding->stretch +
                    rounding->slack) *
                   (1.0 + g) * (1.0 + 0x1p-23));
}

/* floor(y) of the proof above, -1 if even a sum of 0 is too much. */
static inline int byte_threshold(const struct rounding *rounding,
                                 size_t num_sub_vectors, float distance)
{
    double y = (double)rounding->scale *
               widened_range(rounding, num_sub_vectors, distance) *
               (1.0 + 0x1p-21);

    return y < 0.0 ? -1 : y < 254.0 ? (int)y : 254;
}

/* A scale at which 253 stands for `distance`, and the threshold for that. */
static inline void choose_scale(struct rounding *rounding,
                                size_t num_sub_vectors, float distance)
{
    const double range = widened_range(rounding, num_sub_vectors, distance);
    const double scale = range > 0.0 ? 253.0 / range : HUGE_VAL;

    /* Not inf, since 0 * inf is no number. */
    rounding->scale = scale < 1e37 ? (float)scale : 1e37f;
    rounding->threshold = byte_threshold(rounding, num_sub_vectors, distance);
}

#endif
