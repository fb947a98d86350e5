/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <string.h>

#include "metric.h"

/* Squares of float32 values are exact in float64, and neither they nor their
 * sum overflow or vanish there. */
static void scale_to_one(const float *from, size_t dim, float *to)
{
    double squares = 0.0, length;

    for (size_t i = 0; i < dim; i++)
        squares += (double)from[i] * (double)from[i];
    length = sqrt(squares);
    if (!(length > 0.0 && length < (double)INFINITY))
        length = 1.0;
    for (size_t i = 0; i < dim; i++)
        to[i] = (float)((double)from[i] / length);
}

void pqk_metric_vectors(pqk_metric metric, const float *from,
                        size_t num_vectors, size_t dim, float *to)
{
    if (metric != PQK_COSINE) {
        if (from != to && num_vectors > 0)
            memcpy(to, from, num_vectors * dim * sizeof *to);
        return;
    }
    for (size_t i = 0; i < num_vectors; i++)
        scale_to_one(from + i * dim, dim, to + i * dim);
}

static float inner_product(const float *a, const float *b, size_t dim)
{
    float sum = 0.0f;

    for (size_t i = 0; i < dim; i++)
        sum += a[i] * b[i];
    return sum;
}

float pqk_metric_distance(pqk_metric metric, const float *a, const float *b,
                          size_t dim)
{
    float sum = 0.0f;

    if (metric != PQK_L2)
        return -inner_product(a, b, dim);
    for (size_t i = 0; i < dim; i++) {
        float difference = a[i] - b[i];

        sum += difference * difference;
    }
    return sum;
}

void pqk_inner_product_table(const float *query, const pqk_codebook *codebook,
                             float *entries)
{
    const size_t d = codebook->sub_vector_dim;
    const float *centroid = codebook->centroids;

    for (size_t m = 0; m < codebook->num_sub_vectors; m++, query += d)
        for (size_t c = 0; c < PQK_TABLE_STRIDE; c++) {
            if (c >= codebook->num_centroids) {
                *entries++ = INFINITY;
                continue;
            }
            *entries++ = -inner_product(query, centroid, d);
            centroid += d;
        }
}
