/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "seeded.h"
#include "fixture.h"
#include "library/quantizer.h"
#include "random.h"

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define SEED    UINT64_C(0xC0FFEEC0FFEE)
#define DIM     PQH_SEEDED_DIM
#define CENTRES 32
#define ROUNDS  12

static float next_uniform(uint64_t *state)
{
    return (float)(pqh_random_next(state) >> 40) * (1.0f / 16777216.0f);
}

/* Box and Muller, the cosine branch only. */
static float next_normal(uint64_t *state)
{
    const float tau = 6.28318530717958647692f;
    float u1 = next_uniform(state), u2 = next_uniform(state);

    if (u1 < 1e-7f)
        u1 = 1e-7f;
    return sqrtf(-2.0f * logf(u1)) * cosf(tau * u2);
}

static void draw_around(uint64_t *state, const float *centre, float width,
                        float *row)
{
    for (size_t d = 0; d < DIM; d++)
        row[d] = centre[d] + width * next_normal(state);
}

/* The order of the draws is part of the golden number. */
int pqh_seeded_generate(float *base, float *queries, float *centroids,
                        struct pqf_error *err)
{
    const size_t d = DIM / PQH_SUB_VECTORS;
    static const float origin[DIM];
    float centres[CENTRES][DIM];
    uint64_t state = SEED;

    for (size_t i = 0; i < CENTRES; i++)
        draw_around(&state, origin, 1.0f, centres[i]);
    for (size_t i = 0; i < PQH_SEEDED_NUM_BASE; i++)
        draw_around(&state, centres[i % CENTRES], 0.15f, base + i * DIM);
    for (size_t i = 0; i < PQH_SEEDED_NUM_QUERIES; i++) {
        size_t row = (size_t)(pqh_random_next(&state) % PQH_SEEDED_NUM_BASE);

        draw_around(&state, base + row * DIM, 0.05f, queries + i * DIM);
    }
    for (size_t m = 0; m < PQH_SUB_VECTORS; m++)
        if (pqk_kmeans(base + m * d, PQH_SEEDED_NUM_BASE, DIM, d, PQH_CENTROIDS,
                       ROUNDS, NULL, &state,
                       centroids + m * PQH_CENTROIDS * d) != PQK_OK)
            return pqf_fail(err, "out of memory");
    return 0;
}
