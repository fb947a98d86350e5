/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A row is a point of a curved surface with a little noise, scaled to the norm
 * of a SIFT descriptor and cut to integers:
 *
 *     latent = centre of one of 65,536 clusters + its width * normal   (20)
 *     hidden = max(0, latent * mixing + bias)                          (64)
 *     row    = max(0, hidden * output + noise), to norm 512, 0 to 255  (128)
 *
 * Why so: a set whose recall is to be told from exact truth must neither
 * become dense, where all codes of a neighbourhood are the same, nor be a few
 * clusters without inner structure.  The numbers of rows in the clusters are
 * spread (the square of a uniform number picks the cluster), as are their
 * widths, so that as rows are added the nearest neighbours come first from
 * elsewhere, then from the own cluster, and stay at a distance that a code of
 * 16 bytes resolves about as well.
 *
 * Recall@10 of the exact scan over codes 16x8, 500 queries, codebook of 65,536
 * learn rows, k-means of 25 rounds, and the mean distances to the 1st and the
 * 10th neighbour:
 *
 *            10,000 rows   100,000 rows   1,000,000 rows
 *     recall    0.685          0.633           0.610
 *     1st        239            201             171
 *     10th       292            251             208
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "synthetic.h"
#include "parallel.h"
#include "random.h"

#include <math.h>
#include <stdlib.h>

#define DIM      PQH_SYNTHETIC_DIM
#define LATENTS  20
#define HIDDEN   64
#define CLUSTERS 65536

#define BIAS          0.5f  /* standard deviations; those of latents are 1 */
#define CLUSTER_WIDTH 0.4f  /* mean; from half to one and a half of it */
#define NOISE         0.25f /* standard deviation; that of the output is 11 */
#define NORM          512.0f

struct pqh_synthetic {
    uint64_t seed;
    float mixing[LATENTS][HIDDEN];
    float bias[HIDDEN];
    float output[HIDDEN][DIM];
};

/* Almost normal, and exact but for one rounding: four uniform 16-bit numbers,
 * less their mean, over their standard deviation sqrt((2^32 - 1) / 3). */
static float next_normal(uint64_t *state)
{
    uint64_t r = pqh_random_next(state);
    uint32_t sum = (uint32_t)((r & 0xFFFF) + (r >> 16 & 0xFFFF) +
                              (r >> 32 & 0xFFFF) + (r >> 48));

    return ((float)sum - 131070.0f) * (1.0f / 37837.0f);
}

/* A stream of its own for every (purpose, number). */
static uint64_t stream(uint64_t seed, uint64_t purpose, uint64_t number)
{
    return pqh_random_mix(pqh_random_mix(seed + purpose) + number);
}

enum purpose { ROWS /* + kind */, MODEL = 16, CENTRES };

struct pqh_synthetic *pqh_synthetic_create(uint64_t seed)
{
    struct pqh_synthetic *synthetic = malloc(sizeof *synthetic);
    uint64_t state = stream(seed, MODEL, 0);

    if (synthetic == NULL)
        return NULL;
    synthetic->seed = seed;
    for (size_t l = 0; l < LATENTS; l++)
        for (size_t h = 0; h < HIDDEN; h++)
            synthetic->mixing[l][h] = next_normal(&state);
    for (size_t h = 0; h < HIDDEN; h++)
        synthetic->bias[h] = next_normal(&state) * BIAS;
    for (size_t h = 0; h < HIDDEN; h++)
        for (size_t d = 0; d < DIM; d++)
            synthetic->output[h][d] = next_normal(&state);
    return synthetic;
}

void pqh_synthetic_free(struct pqh_synthetic *synthetic)
{
    free(synthetic);
}

static void draw_latent(const struct pqh_synthetic *synthetic, uint64_t *state,
                        float latent[LATENTS])
{
    uint64_t u = pqh_random_next(state) >> 32;
    uint64_t cluster = (u * u >> 32) * CLUSTERS >> 32;
    uint64_t centre = stream(synthetic->seed, CENTRES, cluster);
    float uniform = (float)(pqh_random_next(&centre) >> 40) / 16777216.0f;
    float width = CLUSTER_WIDTH * (0.5f + uniform);

    for (size_t l = 0; l < LATENTS; l++) {
        float mean = next_normal(&centre);

        latent[l] = mean + width * next_normal(state);
    }
}

static void map_to_surface(const struct pqh_synthetic *synthetic,
                           const float latent[LATENTS], float row[DIM])
{
    const float scale = 1.0f / sqrtf((float)LATENTS);
    float hidden[HIDDEN];

    for (size_t h = 0; h < HIDDEN; h++)
        hidden[h] = synthetic->bias[h];
    for (size_t l = 0; l < LATENTS; l++)
        for (size_t h = 0; h < HIDDEN; h++)
            hidden[h] += latent[l] * scale * synthetic->mixing[l][h];
    for (size_t d = 0; d < DIM; d++)
        row[d] = 0.0f;
    for (size_t h = 0; h < HIDDEN; h++) {
        if (hidden[h] <= 0.0f)
            continue;
        for (size_t d = 0; d < DIM; d++)
            row[d] += hidden[h] * synthetic->output[h][d];
    }
}

/* The difference of two bytes has a standard deviation of 104.5. */
static void add_noise(uint64_t *state, float row[DIM])
{
    uint64_t r = 0;

    for (size_t d = 0; d < DIM; d++) {
        if (d % 4 == 0)
            r = pqh_random_next(state);
        row[d] += (float)((int)(r & 0xFF) - (int)(r >> 8 & 0xFF)) *
                  (NOISE * 4.0f / 104.5f);
        r >>= 16;
    }
}

static void scale_to_integers(float row[DIM])
{
    float square = 0.0f, scale;

    for (size_t d = 0; d < DIM; d++) {
        row[d] = row[d] > 0.0f ? row[d] : 0.0f;
        square += row[d] * row[d];
    }
    scale = square > 0.0f ? NORM / sqrtf(square) : 0.0f;
    for (size_t d = 0; d < DIM; d++) {
        float value = row[d] * scale;

        row[d] = value < 255.0f ? (float)(int)value : 255.0f;
    }
}

struct task {
    const struct pqh_synthetic *synthetic;
    enum pqh_synthetic_kind kind;
    uint64_t first;
    float *rows;
};

static void make_range(void *context, size_t part, size_t begin, size_t end)
{
    const struct task *task = context;

    (void)part;
    for (size_t i = begin; i < end; i++) {
        float *row = task->rows + i * DIM;
        float latent[LATENTS];
        uint64_t state =
            stream(task->synthetic->seed, (uint64_t)ROWS + (uint64_t)task->kind,
                   task->first + i);

        draw_latent(task->synthetic, &state, latent);
        map_to_surface(task->synthetic, latent, row);
        add_noise(&state, row);
        scale_to_integers(row);
    }
}

void pqh_synthetic_rows(const struct pqh_synthetic *synthetic,
                        enum pqh_synthetic_kind kind, uint64_t first,
                        size_t count, float *rows)
{
    struct task task = {synthetic, kind, first, rows};

    pqh_parallel_for(count, pqh_threads(), make_range, &task);
}
