/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Encoding: in, centroids of one sub-vector and rows; out, the first of the nearest
 * centroids for each, as float32 distances decide.  Where integers pay, a grid
 * (grid.h) rules most centroids out first.
 */
#ifndef PQK_KERNELS_ENCODE_H
#define PQK_KERNELS_ENCODE_H

#include <string.h>

#include "kernels/nearest.h"

#ifdef ISA_LANES

#include "kernels/grid.h"

static void nearest_centroids(const float *centroids, size_t d,
                              const float *rows, size_t num_rows,
                              size_t row_stride, uint8_t *codes,
                              size_t code_stride)
{
    struct grid grid;
    struct grid_row block[GRID_ROWS];
    int any = 0;

    if (num_rows < 64 || !lay_grid(centroids, d, &grid)) {
        nearest_of_all(centroids, d, rows, num_rows, row_stride, codes,
                       code_stride);
        return;
    }
    for (size_t c = 0; c < 256; c++) {
        round_centroid(centroids, d, c, &grid);
        any |= grid.norms[c] != INT32_MAX;
    }
    for (; num_rows >= GRID_ROWS && any; num_rows -= GRID_ROWS) {
        round_rows(&grid, d, rows, row_stride, block);
        measure_rows(&grid, d, block);
        find_quads(&grid, block);
        pick_nearest(centroids, d, rows, row_stride, &grid, block, codes,
                     code_stride);
        rows += GRID_ROWS * row_stride;
        codes += GRID_ROWS * code_stride;
    }
    nearest_of_all(centroids, d, rows, num_rows, row_stride, codes,
                   code_stride);
}

#else

static void nearest_centroids(const float *centroids, size_t d,
                              const float *rows, size_t num_rows,
                              size_t row_stride, uint8_t *codes,
                              size_t code_stride)
{
    nearest_of_all(centroids, d, rows, num_rows, row_stride, codes,
                   code_stride);
}

#endif
#endif
