/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The layout that the SIMD variants scan: columns, one per sub-vector, of
 * relabelled codes in an order in which neighbours resemble each other.
 *
 * Columns, because a scan then reads only the sub-vectors that it needs, as
 * sequential streams that the prefetcher follows.  An order by similarity,
 * because the codes that survive a few columns then share few blocks of 64, and
 * the other blocks' remaining columns are never read.  New labels, because the
 * minimum over centroids that share the low 4 (or 6) bits of their label is near
 * each of them only if they are near each other.  No result shows any of it: ids
 * are mapped back, and table entries are the same numbers under other labels.
 *
 * Nothing here depends on the instruction set or has to be exact: any permutation
 * and any labels give the same results.
 */
#ifndef PQK_KERNELS_LAYOUT_H
#define PQK_KERNELS_LAYOUT_H

#include "kernels.h"

#define PQK_BLOCK 64 /* codes */

#define LABELS 256 /* places for labels, used or not */

/* The prepared codebook: this, then what the functions below find behind it. */
struct pqk_layout_codebook {
    size_t num_sub_vectors;
    size_t num_centroids;
    size_t sub_vector_dim;
    unsigned cpu; /* what the library says of it: PQK_CPU_... */
    float steps;  /* of the rounded centroids per unit; 0 if there are none */
};

/* [M][256], the label of a code; a code that names no centroid has none. */
const uint8_t *pqk_layout_labels(const struct pqk_layout_codebook *codebook);

/* [M][256], the code of a label, 0 for a label that is not used. */
const uint8_t *
pqk_layout_codes_of_labels(const struct pqk_layout_codebook *codebook);

/* Whether a label is that of a code. */
int pqk_layout_uses_label(const struct pqk_layout_codebook *codebook, size_t m,
                          size_t label);

/* [M][d][256] by label, 64-byte aligned; +inf for labels that are not used,
 * which makes their distances larger than any other. */
const float *pqk_layout_centroids(const struct pqk_layout_codebook *codebook);

/*
 * Centroids as integers of 16 bits: how far from a centre they are, in steps.
 * There are none if sub_vector_dim is no multiple of 8 or they are too far apart:
 * then steps is 0.  All arrays are 64-byte aligned.
 */
struct pqk_layout_rounded {
    float *centres; /* [M][d] */
    float *reach;   /* [M][d], in steps: centroids are within two thirds */
    int32_t *norms; /* [M][256], by label: squared lengths */
    int16_t *pairs; /* [M][d / 2][256][2]: -2 times the integers */
    float *vectors; /* [M][256][d]: what was rounded */
};

/* What the squared distance of a centroid's integers to those of a query within
 * reach is at most; what a label that is not used has for a norm. */
#define PQK_MAX_STEPS_SQUARED (1 << 30)

/* Of more dimensions they are not rounded: each would have too few steps. */
#define PQK_MAX_ROUNDED_DIM 128

/* Where they are, NULL where sub_vector_dim allows none; written only while a
 * codebook is prepared. */
struct pqk_layout_rounded
pqk_layout_rounded_of(const struct pqk_layout_codebook *codebook);

/* Where things are in the prepared codes of num_vectors, as offsets. */
struct pqk_layout {
    size_t num_vectors;
    size_t num_blocks; /* the last one may be filled up with label 0 */
    size_t columns;    /* [M], 64-byte aligned, column_stride apart */
    size_t column_stride;
    size_t cell_blocks;     /* blocks per cell, a run of similar codes */
    size_t num_cells;       /* 0: the codes are in the order given */
    size_t representatives; /* [M][representative_stride]: a code per cell */
    size_t representative_stride; /* num_cells, rounded up to whole blocks */
    size_t weights;  /* [M][256]: how often a label occurs, 0 to 64;
                             * 0: none are stored */
    size_t ids;      /* [num_vectors][id_bytes], little-endian */
    size_t id_bytes; /* 2 or 3; 0: the codes are in the order given */
    size_t bytes;    /* of everything */
};

struct pqk_layout pqk_layout_of(size_t num_sub_vectors, size_t num_vectors);

/* The row that the code at a position was given as.  Codes move only within
 * sections of as many rows as an id can count, so that a few bytes are enough
 * for any number of codes. */
static inline uint32_t pqk_layout_row(const struct pqk_layout *layout,
                                      const uint8_t *prepared, size_t position)
{
    const uint8_t *id = prepared + layout->ids + position * layout->id_bytes;

    switch (layout->id_bytes) {
    case 0:
        return (uint32_t)position;
    case 2:
        return ((uint32_t)position & 0xffff0000u) | (uint32_t)id[0] |
               (uint32_t)id[1] << 8;
    default:
        return ((uint32_t)position & 0xff000000u) | (uint32_t)id[0] |
               (uint32_t)id[1] << 8 | (uint32_t)id[2] << 16;
    }
}

/* The door's functions. */
size_t pqk_layout_codebook_bytes(const pqk_codebook *shape);
pqk_status pqk_layout_prepare_codebook(const pqk_codebook *codebook,
                                       const uint8_t *labels, unsigned cpu,
                                       void *prepared_codebook);
const uint8_t *pqk_layout_labels_of(const void *prepared_codebook);
size_t pqk_layout_codes_bytes(const pqk_codebook *shape, size_t num_vectors);
pqk_status pqk_layout_prepare_codes(const void *prepared_codebook,
                                    const uint8_t *codes, size_t num_vectors,
                                    void *prepared_codes);
struct pqk_code_layout pqk_layout_code_layout(const pqk_codebook *shape,
                                              size_t num_vectors);
void pqk_layout_restore_codes(const void *prepared_codebook,
                              const void *prepared_codes, size_t num_vectors,
                              uint8_t *codes);

#endif
