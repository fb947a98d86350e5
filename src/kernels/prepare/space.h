/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The space in which the order of the codes is sought: their first principal
 * components, which a table per sub-vector gives as a sum of look-ups, without
 * decoding anything.  Rounding does not matter, but equal input gives equal output:
 * no random state, no thread.
 */
#ifndef PQK_PREPARE_SPACE_H
#define PQK_PREPARE_SPACE_H

#include "kernels/layout.h"

/* Four lanes wherever the compiler runs: it uses what the target has. */
#define LANES 4
typedef float lanes_f32 __attribute__((vector_size(16), may_alias));
typedef int32_t lanes_i32 __attribute__((vector_size(16)));
typedef int16_t lanes_i16 __attribute__((vector_size(16)));

/* How many principal components the order looks at.  More cost time and gave
 * nothing on image descriptors. */
#define COMPONENTS 16

/* One number per component. */
struct components {
    lanes_f32 lane[COMPONENTS / LANES];
};

/* The same, rounded: one code's place in the order's space. */
struct point {
    lanes_i16 lane[COMPONENTS / 8];
};

struct space {
    const struct pqk_layout_codebook *codebook;
    size_t num_sub_vectors, dim; /* dim of a sub-vector */
    float *centred;              /* [M][dim][label], |x| <= 1, 0 if not used */
    float *half_squares;         /* [M][label] of centred, +inf if not used */
    struct components *axes;     /* [M][dim] */
    struct components *shares;   /* [M][label], what a label adds to a sum */
    struct components *sums;     /* [M][label] */
    struct point *points;        /* [M][code], shares rounded */
};

/* The space of a codebook, not yet fitted to codes; to be freed unless this fails.
 * */
pqk_status pqk_prepare_space(struct space *space,
                             const struct pqk_layout_codebook *codebook);
void pqk_prepare_space_free(struct space *space);

/* Fits it to n codes, [n][M], that are to be ordered; may be done again. */
pqk_status pqk_prepare_fit_space(struct space *space, const uint8_t *codes,
                                 size_t n);

/* The place of a code in a space that is fitted. */
static inline struct point project(const struct space *space,
                                   const uint8_t *code)
{
    const struct point *points = space->points;
    struct point sum = {0};

    for (size_t m = 0; m < space->num_sub_vectors; m++, points += LABELS) {
        sum.lane[0] += points[code[m]].lane[0];
        sum.lane[1] += points[code[m]].lane[1];
    }
    return sum;
}

static inline void add_multiple(struct components *sum, float factor,
                                const struct components *add)
{
#pragma GCC unroll 4
    for (size_t l = 0; l < COMPONENTS / LANES; l++)
        sum->lane[l] += factor * add->lane[l];
}

/* The i-th place of a sample among n.  Multiples of the golden ratio spread
 * evenly and, unlike a stride, follow no period that the data may have. */
static inline size_t sampled(size_t i, size_t n)
{
    return (size_t)((uint64_t)(uint32_t)(i * 2654435769u) * n >> 32);
}

#endif
