/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Centroids as integers of 16 bits.
 * In: the prepared centroids.  Out: a scale for all of them, and by it the integers
 * of each, from which estimates.h makes a query's table.  Promised: an integer is
 * within 1/2 + 2^-8 of what it stands for, and squared distances to a query within
 * reach stay within PQK_MAX_STEPS_SQUARED.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <string.h>

#include "kernels/prepare/memory.h"
#include "kernels/prepare/rounded.h"

static int is_rounded(size_t d)
{
    return d % 8 == 0 && d <= PQK_MAX_ROUNDED_DIM;
}

/* Lays the arrays out from an address on, which may be 0 to ask for the size alone;
 * returns where they end. */
static uintptr_t lay_out(uintptr_t at, size_t num_sub_vectors, size_t d,
                         struct pqk_layout_rounded *rounded)
{
    const size_t dim = num_sub_vectors * d;

    rounded->centres = (void *)at;
    at += round_up(dim * sizeof(float), 64);
    rounded->reach = (void *)at;
    at += round_up(dim * sizeof(float), 64);
    rounded->norms = (void *)at;
    at += num_sub_vectors * LABELS * sizeof(int32_t);
    rounded->pairs = (void *)at;
    at += dim * LABELS * sizeof(int16_t);
    rounded->vectors = (void *)at;
    return at + dim * LABELS * sizeof(float);
}

size_t pqk_layout_rounded_bytes(size_t num_sub_vectors, size_t sub_vector_dim)
{
    struct pqk_layout_rounded rounded;

    return is_rounded(sub_vector_dim)
               ? lay_out(0, num_sub_vectors, sub_vector_dim, &rounded)
               : 0;
}

struct pqk_layout_rounded
pqk_layout_rounded_of(const struct pqk_layout_codebook *codebook)
{
    const size_t d = codebook->sub_vector_dim;
    struct pqk_layout_rounded rounded = {0};

    if (is_rounded(d))
        lay_out((uintptr_t)(pqk_layout_centroids(codebook) +
                            codebook->num_sub_vectors * d * LABELS),
                codebook->num_sub_vectors, d, &rounded);
    return rounded;
}

/* The middle of a dimension's centroids, and how far they reach; INFINITY if not
 * all are finite. */
static float find_middle(const struct pqk_layout_codebook *codebook, size_t m,
                         const float *values, float *centre)
{
    float low = INFINITY, high = -INFINITY;

    for (size_t label = 0; label < LABELS; label++) {
        if (!pqk_layout_uses_label(codebook, m, label))
            continue;
        if (!isfinite(values[label]))
            return INFINITY;
        low = values[label] < low ? values[label] : low;
        high = values[label] > high ? values[label] : high;
    }
    *centre = low * 0.5f + high * 0.5f;
    return fmaxf(high - *centre, *centre - low);
}

/* A query may be half as far again from the centre as any centroid, and somewhat
 * farther where centroids hardly differ. */
static float find_reach(const struct pqk_layout_codebook *codebook, size_t m,
                        const struct pqk_layout_rounded *to)
{
    const size_t d = codebook->sub_vector_dim;
    const float *values = pqk_layout_centroids(codebook) + m * d * LABELS;
    float *reach = to->reach + m * d;
    float farthest = 0.0f, square = 0.0f;

    for (size_t i = 0; i < d; i++) {
        reach[i] = find_middle(codebook, m, values + i * LABELS,
                               to->centres + m * d + i);
        if (!(reach[i] < INFINITY))
            return INFINITY;
        farthest = fmaxf(farthest, reach[i]);
    }
    for (size_t i = 0; i < d; i++) {
        reach[i] = 1.5f * reach[i] + farthest / 16;
        square += 4 * reach[i] * reach[i];
    }
    return square;
}

static void round_label(const struct pqk_layout_codebook *codebook, size_t m,
                        size_t label, const struct pqk_layout_rounded *to)
{
    const size_t d = codebook->sub_vector_dim;
    const float *centroids = pqk_layout_centroids(codebook) + m * d * LABELS;
    float *vector = to->vectors + (m * LABELS + label) * d;
    const int used = pqk_layout_uses_label(codebook, m, label);
    int32_t norm = 0;

    for (size_t i = 0; i < d; i++) {
        int16_t *pair =
            to->pairs + ((m * d + i) / 2 * LABELS + label) * 2 + i % 2;
        int32_t steps = 0;

        vector[i] = centroids[i * LABELS + label];
        if (used)
            steps = (int32_t)rintf((vector[i] - to->centres[m * d + i]) *
                                   codebook->steps);
        *pair = (int16_t)(-2 * steps);
        norm += steps * steps;
    }
    to->norms[m * LABELS + label] = used ? norm : PQK_MAX_STEPS_SQUARED;
}

void pqk_layout_round_centroids(struct pqk_layout_codebook *codebook)
{
    const size_t num_sub_vectors = codebook->num_sub_vectors;
    const size_t d = codebook->sub_vector_dim;
    const struct pqk_layout_rounded to = pqk_layout_rounded_of(codebook);
    float widest = 0.0f;

    codebook->steps = 0.0f;
    if (!is_rounded(d))
        return;
    for (size_t m = 0; m < num_sub_vectors; m++)
        widest = fmaxf(widest, find_reach(codebook, m, &to));
    if (!(widest > 0x1p-60f && widest < 0x1p60f))
        return;
    codebook->steps = 0x1p15f / sqrtf(widest);
    for (size_t i = 0; i < num_sub_vectors * d; i++)
        to.reach[i] *= codebook->steps;
    for (size_t m = 0; m < num_sub_vectors; m++)
        for (size_t label = 0; label < LABELS; label++)
            round_label(codebook, m, label, &to);
}
