/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Sums of bytes as lower bounds of distances.
 *
 * Why a byte sum is a lower bound.  Let e = 2^-24, t_m >= 0 a table entry,
 * b_m the minimum of its column, B the sum of the b_m, S the exact sum of a
 * code's t_m, S_ref the float32 sum in ascending order, s > 0 the scale.
 *
 *  1. d = fl(t - b) <= (t - b)(1 + e), and x = fl(d s) <= d s (1 + e) where
 *     x >= 1, far above underflow.  The byte u = min(255, trunc x) is <= x, and
 *     0 where x < 1.  So u_m <= s (1 + e)^2 (t_m - b_m).
 *  2. Group minima are <= u_m; a column left out drops a term >= 0; a refinement
 *     adds u_m minus the group's minimum to that minimum; saturating additions
 *     of terms >= 0 give min(255, sum) in any order.  So every partial sum of
 *     bytes is <= s (1 + e)^2 (S - B).
 *  3. The reference's first addition is exact, each other one loses at most a
 *     share e of its result (float32 addition does not underflow), so
 *     S <= S_ref (1 + M e) for all M up to 256.
 *  4. A code that may enter the results has S_ref <= T, equality included since
 *     ids decide it.  So its byte sum is at most
 *         y = s (1 + e)^2 (T (1 + M e) - B),
 *     and may be dropped only if it is > floor(y).  byte_threshold() computes
 *     that in double with M 2^-23 for M e and 1 + 2^-21 for (1 + e)^2, which
 *     covers the roundings of B, of y and of the float32 scale as well.
 *  5. 255 means "255 or more", so a threshold must be below it.  The scale is
 *     chosen such that y is about 253, and T only falls.  (Cutting a higher
 *     threshold down to 254 would drop codes that belong to the results.)
 *  6. Entries that are +inf or NaN become 255 and are dropped, which is right
 *     as long as T is finite: their sums rank behind it.  Without a finite T
 *     nothing is filtered.
 */
#ifndef PQK_KERNELS_BOUND_H
#define PQK_KERNELS_BOUND_H

#include <math.h>
#include <stddef.h>

/* What ties a query's byte tables to its distances. */
struct byte_bound {
    double sum_of_minima; /* B */
    float scale;          /* s */
    int threshold;        /* floor(y), -1 if nothing can enter the results */
};

static inline double widened_range(const struct byte_bound *bound,
                                   size_t num_sub_vectors, float distance)
{
    return (double)distance * (1.0 + (double)num_sub_vectors * 0x1p-23) -
           bound->sum_of_minima;
}

/* floor(y) of the proof above, -1 if even a sum of 0 is too much. */
static inline int byte_threshold(const struct byte_bound *bound,
                                 size_t num_sub_vectors, float distance)
{
    double y = (double)bound->scale *
               widened_range(bound, num_sub_vectors, distance) *
               (1.0 + 0x1p-21);

    return y < 0.0 ? -1 : y >= 254.0 ? 254 : (int)y;
}

/* A scale at which 253 stands for `distance`, and the threshold for that. */
static inline void choose_scale(struct byte_bound *bound,
                                size_t num_sub_vectors, float distance)
{
    const double range = widened_range(bound, num_sub_vectors, distance);
    const double scale = range > 0.0 ? 253.0 / range : HUGE_VAL;

    /* Not inf, since 0 * inf is no bound. */
    bound->scale = scale < 1e37 ? (float)scale : 1e37f;
    bound->threshold = byte_threshold(bound, num_sub_vectors, distance);
}

#endif
