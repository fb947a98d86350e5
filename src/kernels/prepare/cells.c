/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Weights of labels and representatives of cells, made from finished columns. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <string.h>

#include "kernels/prepare/cells.h"
#include "kernels/prepare/memory.h"

/* How often each label occurs, 16 being the average: enough to tell which
 * columns separate, from a sample. */
void pqk_prepare_weights(const struct pqk_layout *layout, size_t M,
                         uint8_t *prepared)
{
    const size_t step = (layout->num_vectors / 65536) | 1;

    for (size_t m = 0; m < M; m++) {
        const uint8_t *column = prepared + m * layout->column_stride;
        uint64_t histogram[LABELS] = {0};
        uint64_t count = 0;
        size_t i = 0;

        do {
            histogram[column[i]]++;
            count++;
            i += step;
        } while (i < layout->num_vectors);
        for (size_t label = 0; label < LABELS; label++) {
            uint64_t weight =
                (histogram[label] * 16 * LABELS + count / 2) / count;

            prepared[layout->weights + m * LABELS + label] =
                (uint8_t)(weight < 64 ? weight : 64);
        }
    }
}

/* The mean of one sub-vector over about 32 codes of a column. */
static void find_cell_mean(const float *values, size_t dim,
                           const uint8_t *column, size_t n, float *mean)
{
    const size_t step = n > 32 ? n / 32 : 1;
    const size_t count = (n + step - 1) / step;

    for (size_t i = 0; i < dim; i++, values += LABELS) {
        float sum = 0.0f;

        for (size_t j = 0; j < n; j += step)
            sum += values[column[j]];
        mean[i] = sum / (float)count;
    }
}

/* The label whose centroid is nearest: |x|^2 / 2 - x * mean is smallest. */
static uint8_t nearest_label(const float *half_squares, const float *values,
                             size_t dim, const float *mean)
{
    lanes_f32 best = {INFINITY, INFINITY, INFINITY, INFINITY};
    lanes_i32 best_at = {0, 0, 0, 0}, at = {0, 1, 2, 3};
    size_t winner = 0;

    for (size_t label = 0; label < LABELS; label += LANES, at += LANES) {
        const lanes_f32 *value = (const void *)(values + label);
        lanes_f32 sum =
            *(const lanes_f32 *)(const void *)(half_squares + label);
        lanes_i32 nearer;

        for (size_t i = 0; i < dim; i++, value += LABELS / LANES)
            sum -= mean[i] * *value;
        nearer = sum < best;
        best = (lanes_f32)((nearer & (lanes_i32)sum) |
                           (~nearer & (lanes_i32)best));
        best_at = (nearer & at) | (~nearer & best_at);
    }
    for (size_t lane = 1; lane < LANES; lane++)
        if (best[lane] < best[winner])
            winner = lane;
    return (uint8_t)best_at[winner];
}

/* For each cell and sub-vector, the centroid nearest to the mean. */
pqk_status pqk_prepare_representatives(const struct space *space,
                                       const struct pqk_layout *layout,
                                       uint8_t *prepared)
{
    const size_t cell_codes = layout->cell_blocks * PQK_BLOCK;
    float *mean = allocate(space->dim, sizeof *mean);

    if (!mean)
        return PQK_OUT_OF_MEMORY;
    for (size_t m = 0; m < space->num_sub_vectors; m++) {
        const float *values = space->centred + m * space->dim * LABELS;
        const uint8_t *column = prepared + m * layout->column_stride;
        uint8_t *to = prepared + layout->representatives +
                      m * layout->representative_stride;

        memset(to, 0, layout->representative_stride);
        for (size_t cell = 0; cell < layout->num_cells; cell++) {
            const size_t begin = cell * cell_codes;

            find_cell_mean(values, space->dim, column + begin,
                           smaller(cell_codes, layout->num_vectors - begin),
                           mean);
            to[cell] = nearest_label(space->half_squares + m * LABELS, values,
                                     space->dim, mean);
        }
    }
    free(mean);
    return PQK_OK;
}
