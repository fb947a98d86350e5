/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Principal components of codes, by orthogonal iteration: space.h says for what. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/prepare/memory.h"
#include "kernels/prepare/space.h"

void pqk_prepare_space_free(struct space *space)
{
    free(space->centred);
    free(space->half_squares);
    free(space->axes);
    free(space->shares);
    free(space->sums);
    free(space->points);
}

static int space_allocate(struct space *space)
{
    const size_t places = space->num_sub_vectors * LABELS;
    const size_t dims = space->num_sub_vectors * space->dim;

    space->centred = allocate(dims * LABELS, sizeof(float));
    space->half_squares = allocate(places, sizeof(float));
    space->axes = allocate(dims, sizeof *space->axes);
    space->shares = allocate(places, sizeof *space->shares);
    space->sums = allocate(places, sizeof *space->sums);
    space->points = allocate(places, sizeof *space->points);
    return space->centred && space->half_squares && space->axes &&
           space->shares && space->sums && space->points;
}

/* Centres one dimension of one sub-vector; returns the largest value left, inf
 * if one was not finite. */
static float centre(const struct space *space, const uint8_t *labels,
                    const float *from, float *to)
{
    const size_t n = space->codebook->num_centroids;
    float sum = 0.0f, largest = 0.0f;

    memset(to, 0, LABELS * sizeof *to);
    for (size_t c = 0; c < n; c++)
        sum += from[labels[c]];
    for (size_t c = 0; c < n; c++) {
        float value = from[labels[c]] - sum / (float)n;

        to[labels[c]] = value;
        if (!(fabsf(value) <= largest))
            largest = fabsf(value) <= FLT_MAX ? fabsf(value) : INFINITY;
    }
    return largest;
}

/* Centred and scaled, so that no sum below overflows whatever the units are;
 * all 0 if the codebook is not finite. */
static void centre_codebook(struct space *space)
{
    const size_t dims = space->num_sub_vectors * space->dim;
    const float *centroids = pqk_layout_centroids(space->codebook);
    float largest = 0.0f;

    for (size_t i = 0; i < dims; i++) {
        const uint8_t *labels =
            pqk_layout_labels(space->codebook) + i / space->dim * LABELS;
        float here = centre(space, labels, centroids + i * LABELS,
                            space->centred + i * LABELS);

        largest = here > largest ? here : largest;
    }
    for (size_t i = 0; i < dims * LABELS; i++)
        space->centred[i] = largest > 0.0f && largest <= FLT_MAX
                                ? space->centred[i] / largest
                                : 0.0f;
}

static void find_half_squares(struct space *space)
{
    const uint8_t *labels = pqk_layout_labels(space->codebook);

    for (size_t m = 0; m < space->num_sub_vectors; m++, labels += LABELS) {
        const float *values = space->centred + m * space->dim * LABELS;
        float *half_squares = space->half_squares + m * LABELS;

        for (size_t label = 0; label < LABELS; label++)
            half_squares[label] = INFINITY;
        for (size_t c = 0; c < space->codebook->num_centroids; c++) {
            float sum = 0.0f;

            for (size_t i = 0; i < space->dim; i++) {
                float value = values[i * LABELS + labels[c]];
                sum += value * value;
            }
            half_squares[labels[c]] = 0.5f * sum;
        }
    }
}

/* shares = centred * axes */
static void project_labels(struct space *space)
{
    for (size_t m = 0; m < space->num_sub_vectors; m++) {
        const struct components *axes = space->axes + m * space->dim;
        const float *values = space->centred + m * space->dim * LABELS;

        for (size_t label = 0; label < LABELS; label++) {
            struct components share = {0};

            for (size_t i = 0; i < space->dim; i++)
                add_multiple(&share, values[i * LABELS + label], axes + i);
            space->shares[m * LABELS + label] = share;
        }
    }
}

/* axes = transposed centred * sums */
static void collect_axes(struct space *space)
{
    for (size_t m = 0; m < space->num_sub_vectors; m++) {
        const struct components *sums = space->sums + m * LABELS;
        const float *values = space->centred + m * space->dim * LABELS;

        for (size_t i = 0; i < space->dim; i++, values += LABELS) {
            struct components axis = {0};

            for (size_t label = 0; label < LABELS; label++)
                add_multiple(&axis, values[label], sums + label);
            space->axes[m * space->dim + i] = axis;
        }
    }
}

/* The covariance of a sample times the axes, up to a factor, without the
 * covariance and without a decoded vector: what a code contributes depends on
 * its labels only, so it is looked up, and what it collects is added up by
 * label.  sample is [count][M], labels. */
static void multiply_by_covariance(struct space *space, const uint8_t *sample,
                                   size_t count, struct components *projected)
{
    const size_t M = space->num_sub_vectors;
    struct components mean = {0};

    project_labels(space);
    for (size_t i = 0; i < count; i++) {
        struct components sum = {0};

        for (size_t m = 0; m < M; m++)
            add_multiple(&sum, 1.0f,
                         space->shares + m * LABELS + sample[i * M + m]);
        projected[i] = sum;
        add_multiple(&mean, 1.0f / (float)count, &sum);
    }
    memset(space->sums, 0, M * LABELS * sizeof *space->sums);
    for (size_t i = 0; i < count; i++) {
        add_multiple(&projected[i], -1.0f, &mean);
        for (size_t m = 0; m < M; m++)
            add_multiple(space->sums + m * LABELS + sample[i * M + m], 1.0f,
                         &projected[i]);
    }
    collect_axes(space);
}

/* The products of one axis with all of them. */
static struct components axis_products(const struct space *space, size_t axis)
{
    const size_t dims = space->num_sub_vectors * space->dim;
    struct components products = {0};

    for (size_t i = 0; i < dims; i++) {
        const struct components *row = space->axes + i;

        add_multiple(&products, row->lane[axis / LANES][axis % LANES], row);
    }
    return products;
}

/* Takes an axis out of those behind it; leaves nothing of it if it depends on
 * those before, up to rounding.  Returns what its length must be divided by. */
static float sweep_axis(struct space *space, size_t axis, float squares_before)
{
    const size_t dims = space->num_sub_vectors * space->dim;
    struct components products = axis_products(space, axis);
    float squares = products.lane[axis / LANES][axis % LANES];

    if (!(squares > 1e-10f * squares_before) || !(squares > FLT_MIN))
        return INFINITY;
    for (size_t p = 0; p <= axis; p++)
        products.lane[p / LANES][p % LANES] = 0.0f;
    for (size_t i = 0; i < dims; i++) {
        struct components *row = space->axes + i;

        add_multiple(row, -row->lane[axis / LANES][axis % LANES] / squares,
                     &products);
    }
    return sqrtf(squares);
}

/* Gram and Schmidt's method; a dependent axis becomes 0. */
static void orthonormalise(struct space *space)
{
    const size_t dims = space->num_sub_vectors * space->dim;
    struct components squares = {0}, lengths;

    for (size_t i = 0; i < dims; i++)
        for (size_t l = 0; l < COMPONENTS / LANES; l++)
            squares.lane[l] += space->axes[i].lane[l] * space->axes[i].lane[l];
    for (size_t p = 0; p < COMPONENTS; p++)
        lengths.lane[p / LANES][p % LANES] =
            sweep_axis(space, p, squares.lane[p / LANES][p % LANES]);
    for (size_t i = 0; i < dims; i++)
        for (size_t l = 0; l < COMPONENTS / LANES; l++)
            space->axes[i].lane[l] /= lengths.lane[l];
}

/* Any axes will do to begin with. */
static void begin_axes(struct space *space)
{
    const size_t dims = space->num_sub_vectors * space->dim;
    uint32_t state = 1;

    for (size_t i = 0; i < dims; i++)
        for (size_t p = 0; p < COMPONENTS; p++) {
            state = state * 1664525u + 1013904223u;
            space->axes[i].lane[p / LANES][p % LANES] =
                (float)(int32_t)state * 0x1p-31f;
        }
}

static void sample_labels(const struct space *space, const uint8_t *codes,
                          size_t n, size_t count, uint8_t *sample)
{
    const uint8_t *labels = pqk_layout_labels(space->codebook);
    const size_t M = space->num_sub_vectors;

    for (size_t i = 0; i < count; i++) {
        const uint8_t *code = codes + sampled(i, n) * M;

        for (size_t m = 0; m < M; m++)
            sample[i * M + m] = labels[m * LABELS + code[m]];
    }
}

/* Rounds take the same time for any number of codes.  For few codes two are enough:
 * a scan of 8,192 executes 0.5 % more instructions than after five, one of 20,000
 * 5 %. */
#define FEW_CODES 8192

/* Orthogonal iteration.  The axes need not have converged: whatever they span
 * holds most of the variance after a few rounds. */
static pqk_status find_axes(struct space *space, const uint8_t *codes, size_t n)
{
    const size_t count = smaller(n, n < 8192 * 16 ? 512 + n / 32 : 8192);
    uint8_t *sample = allocate(count, space->num_sub_vectors);
    struct components *projected = allocate(count, sizeof *projected);

    if (!sample || !projected) {
        free(sample);
        free(projected);
        return PQK_OUT_OF_MEMORY;
    }
    sample_labels(space, codes, n, count, sample);
    begin_axes(space);
    for (size_t round = 0; round < (n < FEW_CODES ? 2 : 5); round++) {
        multiply_by_covariance(space, sample, count, projected);
        orthonormalise(space);
    }
    free(sample);
    free(projected);
    return PQK_OK;
}

static lanes_f32 larger(lanes_f32 a, lanes_f32 b)
{
    const lanes_i32 is_b = b > a;

    return (lanes_f32)((is_b & (lanes_i32)b) | (~is_b & (lanes_i32)a));
}

/* How far the sum of one share of each sub-vector may be from 0. */
static float largest_projection(const struct space *space)
{
    float total = 0.0f;

    for (size_t m = 0; m < space->num_sub_vectors; m++) {
        const lanes_f32 *shares = space->shares[m * LABELS].lane;
        lanes_f32 most = {0.0f};
        float largest = 0.0f;

        for (size_t i = 0; i < LABELS * COMPONENTS / LANES; i++) {
            most = larger(most, shares[i]);
            most = larger(most, -shares[i]);
        }
        for (size_t i = 0; i < LANES; i++)
            largest = most[i] > largest ? most[i] : largest;
        total += largest;
    }
    return total;
}

/* As lrintf(), which is a call, up to 2^22: the sum has no bits below 1. */
static int32_t nearest_integer(float x)
{
    const float sum = x + 0x1.8p23f, zero = 0x1.8p23f;
    int32_t bits, bits_of_zero;

    memcpy(&bits, &sum, sizeof bits);
    memcpy(&bits_of_zero, &zero, sizeof bits_of_zero);
    return bits - bits_of_zero;
}

/* Rounds the shares so that no sum of M of them leaves 16 bits: 32,000, and
 * at most 1 from rounding for each of 256 sub-vectors. */
static void round_shares(struct space *space)
{
    const uint8_t *labels = pqk_layout_labels(space->codebook);
    const float largest = largest_projection(space);
    const float scale = largest > 0.0f ? 32000.0f / largest : 0.0f;

    for (size_t m = 0; m < space->num_sub_vectors; m++)
        for (size_t c = 0; c < space->codebook->num_centroids; c++) {
            const size_t i = m * LABELS + labels[m * LABELS + c];
            struct point *point = space->points + m * LABELS + c;

            for (size_t p = 0; p < COMPONENTS; p++)
                point->lane[p / 8][p % 8] = (int16_t)nearest_integer(
                    scale * space->shares[i].lane[p / LANES][p % LANES]);
        }
}

pqk_status pqk_prepare_space(struct space *space,
                             const struct pqk_layout_codebook *codebook)
{
    *space = (struct space){
        .codebook = codebook,
        .num_sub_vectors = codebook->num_sub_vectors,
        .dim = codebook->sub_vector_dim,
    };
    if (!space_allocate(space)) {
        pqk_prepare_space_free(space);
        return PQK_OUT_OF_MEMORY;
    }
    centre_codebook(space);
    find_half_squares(space);
    return PQK_OK;
}

/* Fits the space to the codes that are to be ordered. */
pqk_status pqk_prepare_fit_space(struct space *space, const uint8_t *codes,
                                 size_t n)
{
    pqk_status status = find_axes(space, codes, n);

    if (status != PQK_OK)
        return status;
    project_labels(space);
    round_shares(space);
    return PQK_OK;
}
