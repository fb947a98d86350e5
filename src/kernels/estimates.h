/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Distances estimated with integers, and exact ones of single codes.  In: centroids
 * rounded to 16 bits, a query, a bound.  Out: a table whose entries are a little
 * off, sooner than an exact one, since that takes three operations a number and
 * reads twice the bytes; what its sums may lack of a distance; and the distances of
 * the codes that they let through, summed from centroids in the reference's order.
 * Where a bound is known beforehand, as in one list after another that have tables
 * of their own, those are few.  Never: an estimate given as a distance.
 *
 * How far an estimate is off.  The unit is a step of the rounded centroids.  A
 * query's sub-vector q is first moved to the nearest point p of the box |p_i| <=
 * reach_i around the centre.  Centroids c are in that box, which is convex, so
 *     |q - c|^2 >= |p - c|^2 + X,  X = |q - p|^2.
 * Both p and c are rounded to integers p' and c', each number by at most 1/2 +
 * 2^-8, since it is at most 2^14 and was itself rounded twice in float32 (half of
 * those 2^-8 are to spare, for the roundings of thresholds); that p was found from
 * a rounded q moves it no farther.  So with Z = |p' - c'|^2 and
 * w = (1 + 2^-7) sqrt(d),
 *     |p - c| >= sqrt(Z) - w,
 *     |p - c|^2 >= Z - 2 w sqrt(Z) >= (1 - a) Z - w^2 / a  for all a > 0,
 * and the same with Z + X' for Z on both sides, if X' <= X.  The estimate t' is
 * Z + X', an integer, rounded once.  The reference's entry t is rounded d + 2 times
 * at most, but for what underflows.  So with
 *     k = (1 - a) (1 - (d + 3) 2^-24 - 2^-23)
 * all codes have
 *     t' <= (steps^2 t + w^2 / a + d 2^-149 steps^2) / k,
 * which is what rounding.h asks for.
 *
 * With ISA_FLOAT_ESTIMATES.  Where integers are multiplied by one pipe, and floats
 * fused by two, the products are those of exact centroids, and only their norms
 * are integers.  Let e = 2^-24, z be the centre, s = steps, u = s (c - z), p = q -
 * z, g_i = -2 s^2 p_i:
 *     s^2 |q - c|^2 = F + |u|^2 + sum of g_i c_i,  F = sum of -g_i (p_i / 2 + z_i).
 * Reaches are up to 2^14, and centroids within two thirds of them: |u| <= 11000.
 * So with v = (1/2 + 2^-8) sqrt(d) the norm, of u rounded to integers, is within
 * A = v (22000 + v) of |u|^2.  All that is added up is at most, in magnitude,
 *     P = 2^28 + sum of |g_i| (|p_i| + 2 |z_i| + reach_i / s).
 * Of float32's roundings each takes at most e P: 3 of g, and of F d + 3 more, and
 * 3 for g; one each of the norm and of what is added to it; d of fused operations.
 * (2 d + 16) e P has some to spare for what these do to each other and for P's
 * own.  So a sum is off by no more than B = A + (2 d + 16) e P + 1, what underflows
 * included.  B is added to it, lest it be negative: the estimate t' is from 0 to
 * s^2 |q - c|^2 + 2 B.  The reference's entry t being rounded as above,
 *     t' <= (s^2 t + d 2^-149 s^2) / (1 - (d + 3) 2^-24 - 2^-23) + 2 B.
 * Where P is so large that roundings matter, there are no estimates.
 */
#ifndef PQK_KERNELS_ESTIMATES_H
#define PQK_KERNELS_ESTIMATES_H

#include <math.h>

#include "kernels/estimate_row.h"
#include "kernels/query.h"
#include "kernels/results.h"

/* Codes that are decoded together. */
#define DECODED 8

#if ISA_ESTIMATES

/* For more results exact distances of single codes take longer than a table. */
#define MOST_ESTIMATED 32

/* Whether a bound is there already, so that few codes are decoded. */
static int wants_estimates(const struct pqk_layout_codebook *codebook,
                           pqk_metric metric, const pqk_top_k_heap *heap)
{
    return metric == PQK_L2 && codebook->steps > 0.0f && heap->k > 0 &&
           heap->k <= MOST_ESTIMATED && has_bound(heap) &&
           (!ISA_FLOAT_ESTIMATES || codebook->num_centroids == 256);
}

/* For M entries of which each is at most (steps^2 t + off + d 2^-149 steps^2) / k,
 * as above, and their sum `beyond` more. */
static void allow_for_entries(struct rounding *rounding,
                              const struct pqk_layout_codebook *codebook,
                              double a, double off, double beyond)
{
    const double steps = (double)codebook->steps, squared_steps = steps * steps;
    const double m = (double)codebook->num_sub_vectors;
    const double d = (double)codebook->sub_vector_dim;
    const double k = (1.0 - a) * (1.0 - (d + 3.0) * 0x1p-24 - 0x1p-23);

    rounding->stretch = squared_steps / k;
    rounding->slack = beyond + m * (off + d * 0x1p-149 * squared_steps) / k;
}

#if ISA_FLOAT_ESTIMATES

/* Factors for all of a query; returns 0 if a number is not finite or too far from
 * the centroids or these from 0. */
static int round_query(const struct pqk_layout_codebook *codebook,
                       const struct pqk_layout_rounded *rounded,
                       struct scan_query *query)
{
    const size_t d = codebook->sub_vector_dim;
    const struct scan_arrays *arrays = &query->arrays;
    const double v = (0.5 + 0x1p-8) * sqrt((double)d);
    const float step = 1.0f / codebook->steps;
    double slack = 0.0;

    for (size_t m = 0; m < codebook->num_sub_vectors; m++)
        slack +=
            2.0 * find_factors(arrays->components + m * d,
                               rounded->centres + m * d, rounded->reach + m * d,
                               d, codebook->steps, step, v * (22000.0 + v),
                               arrays->factors + m * d, arrays->constants + m);
    if (!(slack < HUGE_VAL))
        return 0;
    query->rounding.slack = slack;
    return 1;
}

/* Row m of a query's table; returns the least entry. */
static float make_estimates(const struct pqk_layout_codebook *codebook,
                            const struct pqk_layout_rounded *rounded, size_t m,
                            const struct scan_arrays *arrays)
{
    const size_t d = codebook->sub_vector_dim;

    return estimate_row(rounded->norms + m * 256,
                        pqk_layout_centroids(codebook) + m * d * 256,
                        arrays->factors + m * d, d, arrays->constants[m],
                        arrays->table + m * 256, arrays->group_minima + m * 64);
}

/* How far sums may be off: by what round_query() found. */
static void allow_for_estimates(struct rounding *rounding,
                                const struct pqk_layout_codebook *codebook)
{
    allow_for_entries(rounding, codebook, 0.0, 0.0, rounding->slack);
}

#else

/* Eight numbers of a sub-vector of which some are out of reach, or no numbers at
 * all: then -1.  Adds X' of the proof. */
static int32_t round_far(const float *values, const float *centres,
                         const float *reach, float steps, int16_t *integers,
                         double *excess)
{
    int32_t square = 0;

    for (size_t i = 0; i < 8; i++) {
        const float value = (values[i] - centres[i]) * steps;
        const float size = fabsf(value);
        int32_t integer;

        if (!(size < INFINITY))
            return -1;
        integer = (int32_t)lrintf(size > reach[i] ? reach[i] : size);
        if (size > reach[i] + 0x1p-8f) {
            const double beyond = (double)size - (double)reach[i] - 0x1p-8;

            *excess += beyond * beyond * (1.0 - 0x1p-19);
        }
        integers[i] = (int16_t)(value < 0.0f ? -integer : integer);
        square += integer * integer;
    }
    return square;
}

/* A query as integers, and for each sub-vector what all its entries have in common;
 * returns 0 if a number is not finite or much too far. */
static int round_query(const struct pqk_layout_codebook *codebook,
                       const struct pqk_layout_rounded *rounded,
                       struct scan_query *query)
{
    const size_t d = codebook->sub_vector_dim;
    const struct scan_arrays *arrays = &query->arrays;

    for (size_t m = 0; m < codebook->num_sub_vectors; m++) {
        double excess = 0.0;
        int32_t sum = 0;

        for (size_t i = m * d; i < m * d + d; i += 8) {
            int32_t square = isa_round(arrays->components + i,
                                       rounded->centres + i, rounded->reach + i,
                                       codebook->steps, arrays->integers + i);

            if (square < 0)
                square = round_far(arrays->components + i, rounded->centres + i,
                                   rounded->reach + i, codebook->steps,
                                   arrays->integers + i, &excess);
            if (square < 0)
                return 0;
            sum += square;
        }
        if (excess > 0x1p29)
            return 0;
        arrays->common[m] = sum + (int32_t)excess;
    }
    return 1;
}

/* Row m of a query's table; returns the least entry. */
static float make_estimates(const struct pqk_layout_codebook *codebook,
                            const struct pqk_layout_rounded *rounded, size_t m,
                            const struct scan_arrays *arrays)
{
    const size_t d = codebook->sub_vector_dim;

    return estimate_row(rounded->norms + m * 256, rounded->pairs + m * d * 256,
                        arrays->integers + m * d, d / 2, arrays->common[m],
                        arrays->table + m * 256, arrays->group_minima + m * 64);
}

/* How far sums may be off: the `a` that takes off least from entries twice as large
 * as the least ones. */
static void allow_for_estimates(struct rounding *rounding,
                                const struct pqk_layout_codebook *codebook)
{
    const double w = (1.0 + 0x1p-7) * sqrt((double)codebook->sub_vector_dim);
    const double z =
        rounding->sum_of_minima / (double)codebook->num_sub_vectors;
    const double best = w / sqrt(2.0 * z + w * w);
    const double a = best < 0x1p-4 ? best : 0x1p-4;

    allow_for_entries(rounding, codebook, a, w * w / a, 0.0);
}

#endif

/* Row m of a query's table, and its minimum. */
static void estimate_query_row(const struct pqk_layout_codebook *codebook,
                               const struct pqk_layout_rounded *rounded,
                               size_t m, struct scan_query *query)
{
    const float minimum = make_estimates(codebook, rounded, m, &query->arrays);

    query->arrays.row_minima[m] = minimum;
    add_minimum(&query->rounding, minimum);
}

/* ------------------------------------------------------------------------ */
/* Exact distances without an exact table                                   */

/* The distances of the codes at some positions of the columns, from their
 * centroids: entries summed over dimensions, then sub-vectors, each in ascending
 * order. */
ISA_INLINE void decode_dims(const struct scan *scan, size_t d,
                            const uint32_t positions[DECODED],
                            float distances[DECODED])
{
    const float *query = scan->query->arrays.components;
    const float *of_sub_vector = scan->vectors;
    const uint8_t *labels = column(scan, 0);
    float sums[DECODED] = {0.0f};

    for (size_t m = 0; m < scan->num_sub_vectors; m++) {
        const float *vectors[DECODED];
        float entries[DECODED] = {0.0f};

        ISA_UNROLL
        for (int j = 0; j < DECODED; j++)
            vectors[j] = of_sub_vector + labels[positions[j]] * d;
        for (size_t i = 0; i < d; i += 8) {
            isa_add_squares(query + i, vectors, entries);
            ISA_UNROLL
            for (int j = 0; j < DECODED; j++)
                vectors[j] += 8;
        }
        ISA_UNROLL
        for (int j = 0; j < DECODED; j++)
            sums[j] += entries[j];
        query += d;
        of_sub_vector += 256 * d;
        labels += scan->layout.column_stride;
    }
    memcpy(distances, sums, sizeof sums);
}

/* With 8 dimensions addresses take no multiplications, and one after the other no
 * loop. */
static void decode_distances(const struct scan *scan,
                             const uint32_t positions[DECODED],
                             float distances[DECODED])
{
    const size_t d = scan->codebook->sub_vector_dim;

    if (d == 8)
        decode_dims(scan, 8, positions, distances);
    else
        decode_dims(scan, d, positions, distances);
}

#else

/* Without such integers all tables are exact: only the first one is called. */

static int wants_estimates(const struct pqk_layout_codebook *codebook,
                           pqk_metric metric, const pqk_top_k_heap *heap)
{
    (void)codebook, (void)metric, (void)heap;
    return 0;
}

static inline int round_query(const struct pqk_layout_codebook *codebook,
                              const struct pqk_layout_rounded *rounded,
                              struct scan_query *query)
{
    (void)codebook, (void)rounded, (void)query;
    return 0;
}

static inline void
estimate_query_row(const struct pqk_layout_codebook *codebook,
                   const struct pqk_layout_rounded *rounded, size_t m,
                   struct scan_query *query)
{
    (void)codebook, (void)rounded, (void)m, (void)query;
}

static inline void
allow_for_estimates(struct rounding *rounding,
                    const struct pqk_layout_codebook *codebook)
{
    (void)rounding, (void)codebook;
}

static inline void decode_distances(const struct scan *scan,
                                    const uint32_t positions[DECODED],
                                    float distances[DECODED])
{
    (void)scan, (void)positions, (void)distances;
}

#endif
#endif
