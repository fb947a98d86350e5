/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The codebook: new labels for the codes of each sub-vector, and the centroids by
 * label.  Centroids are halved across their longest axis again and again; the way
 * down that tree is the label, so that those whose labels share low bits are near
 * each other, and the minimum over them is near each one.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <string.h>

#include "kernels/layout.h"
#include "kernels/prepare/memory.h"
#include "kernels/prepare/rounded.h"

const uint8_t *pqk_layout_labels(const struct pqk_layout_codebook *codebook)
{
    return (const uint8_t *)codebook + 64;
}

const uint8_t *
pqk_layout_codes_of_labels(const struct pqk_layout_codebook *codebook)
{
    return pqk_layout_labels(codebook) + codebook->num_sub_vectors * LABELS;
}

const float *pqk_layout_centroids(const struct pqk_layout_codebook *codebook)
{
    const void *centroids = pqk_layout_codes_of_labels(codebook) +
                            codebook->num_sub_vectors * LABELS;

    return centroids;
}

size_t pqk_layout_codebook_bytes(const pqk_codebook *shape)
{
    return 64 +
           shape->num_sub_vectors * LABELS *
               (2 + shape->sub_vector_dim * sizeof(float)) +
           pqk_layout_rounded_bytes(shape->num_sub_vectors,
                                    shape->sub_vector_dim);
}

/* What relabelling one sub-vector works on. */
struct relabelling {
    const float *centroids; /* [num_centroids][dim] */
    size_t dim;
    double *mean, *axis, *next; /* [dim] */
    double keys[LABELS];
    uint8_t *labels;
};

static double dot_with_axis(const struct relabelling *r, size_t code)
{
    const float *centroid = r->centroids + code * r->dim;
    double sum = 0.0;

    for (size_t i = 0; i < r->dim; i++)
        sum += ((double)centroid[i] - r->mean[i]) * r->axis[i];
    return sum;
}

static void find_mean(struct relabelling *r, const uint8_t *codes, size_t n)
{
    for (size_t i = 0; i < r->dim; i++) {
        double sum = 0.0;

        for (size_t j = 0; j < n; j++)
            sum += (double)r->centroids[codes[j] * r->dim + i];
        r->mean[i] = sum / (double)n;
    }
}

/* One round of power iteration. */
static void iterate_axis(struct relabelling *r, const uint8_t *codes, size_t n)
{
    double squares = 0.0;

    memset(r->next, 0, r->dim * sizeof *r->next);
    for (size_t j = 0; j < n; j++) {
        const float *centroid = r->centroids + codes[j] * r->dim;
        const double along = dot_with_axis(r, codes[j]);

        for (size_t i = 0; i < r->dim; i++)
            r->next[i] += along * ((double)centroid[i] - r->mean[i]);
    }
    for (size_t i = 0; i < r->dim; i++)
        squares += r->next[i] * r->next[i];
    if (!(squares > 0.0))
        return;
    for (size_t i = 0; i < r->dim; i++)
        r->axis[i] = r->next[i] / sqrt(squares);
}

static void sort_along_axis(struct relabelling *r, uint8_t *codes, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        const double key = dot_with_axis(r, codes[j]);
        const uint8_t code = codes[j];
        size_t hole = j;

        for (; hole > 0 && r->keys[hole - 1] > key; hole--) {
            r->keys[hole] = r->keys[hole - 1];
            codes[hole] = codes[hole - 1];
        }
        r->keys[hole] = key;
        codes[hole] = code;
    }
}

/* The way down the tree as a label: its first four steps are the low four bits,
 * which name the group that byte shuffles of 16 entries tell apart, the next
 * two complete the six bits that a shuffle of 64 entries looks at. */
static uint8_t label_of_path(size_t path)
{
    return (uint8_t)(path >> 4 | (path >> 2 & 3) << 4 | (path >> 1 & 1) << 6 |
                     (path & 1) << 7);
}

/* Halves the centroids across their longest axis and the paths with them.  At
 * most `paths` centroids, so that each half finds room in half the paths. */
static void bisect_centroids(struct relabelling *r, uint8_t *codes, size_t n,
                             size_t path, size_t paths)
{
    if (n == 1) {
        r->labels[codes[0]] = label_of_path(path);
        return;
    }
    find_mean(r, codes, n);
    for (size_t i = 0; i < r->dim; i++)
        r->axis[i] = 1.0 + 0.1 * (double)i;
    for (size_t round = 0; round < 12; round++)
        iterate_axis(r, codes, n);
    sort_along_axis(r, codes, n);
    bisect_centroids(r, codes, n / 2, path, paths / 2);
    bisect_centroids(r, codes + n / 2, n - n / 2, path + paths / 2, paths / 2);
}

static void relabel(struct relabelling *r, size_t num_centroids)
{
    uint8_t codes[LABELS];

    for (size_t c = 0; c < num_centroids; c++)
        codes[c] = (uint8_t)c;
    memset(r->labels, 0, LABELS);
    bisect_centroids(r, codes, num_centroids, 0, LABELS);
}

/* Returns 0 if two codes have the same label, as labels from outside may. */
static int invert_labels(const uint8_t *labels, size_t num_centroids,
                         uint8_t *codes_of_labels)
{
    memset(codes_of_labels, 0, LABELS);
    for (size_t c = 0; c < num_centroids; c++)
        codes_of_labels[labels[c]] = (uint8_t)c;
    for (size_t c = 0; c < num_centroids; c++)
        if (codes_of_labels[labels[c]] != c)
            return 0;
    return 1;
}

static void place_centroids(const struct relabelling *r, size_t num_centroids,
                            float *values)
{
    for (size_t i = 0; i < r->dim; i++) {
        float *row = values + i * LABELS;

        for (size_t label = 0; label < LABELS; label++)
            row[label] = INFINITY;
        for (size_t c = 0; c < num_centroids; c++)
            row[r->labels[c]] = r->centroids[c * r->dim + i];
    }
}

int pqk_layout_uses_label(const struct pqk_layout_codebook *codebook, size_t m,
                          size_t label)
{
    const size_t first = m * LABELS;
    const uint8_t code = pqk_layout_codes_of_labels(codebook)[first + label];

    return pqk_layout_labels(codebook)[first + code] == label;
}

const uint8_t *pqk_layout_labels_of(const void *prepared_codebook)
{
    return pqk_layout_labels(prepared_codebook);
}

pqk_status pqk_layout_prepare_codebook(const pqk_codebook *codebook,
                                       const uint8_t *labels, unsigned cpu,
                                       void *prepared_codebook)
{
    struct pqk_layout_codebook *prepared = prepared_codebook;
    const size_t d = codebook->sub_vector_dim;
    const size_t n = codebook->num_centroids;
    const size_t places = codebook->num_sub_vectors * LABELS;
    uint8_t *own_labels = (uint8_t *)prepared_codebook + 64;
    uint8_t *codes = own_labels + places;
    void *centroids = codes + places;
    pqk_status status = PQK_OK;
    double *vectors = allocate(d, 3 * sizeof *vectors);
    struct relabelling r = {.dim = d, .mean = vectors};

    if (!vectors)
        return PQK_OUT_OF_MEMORY;
    r.axis = vectors + d;
    r.next = vectors + 2 * d;
    memset(prepared, 0, 64);
    prepared->num_sub_vectors = codebook->num_sub_vectors;
    prepared->num_centroids = n;
    prepared->sub_vector_dim = d;
    prepared->cpu = cpu;
    if (labels)
        memcpy(own_labels, labels, places);
    for (size_t m = 0; m < codebook->num_sub_vectors; m++) {
        r.centroids = codebook->centroids + m * n * d;
        r.labels = own_labels + m * LABELS;
        if (!labels)
            relabel(&r, n);
        if (!invert_labels(r.labels, n, codes + m * LABELS))
            status = PQK_INVALID_ARGUMENT;
        place_centroids(&r, n, (float *)centroids + m * d * LABELS);
    }
    free(vectors);
    pqk_layout_round_centroids(prepared);
    return status;
}
