/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Codes of vectors that are as the metric has them: the first nearest centroids. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "library/shape.h"
#include "nearest.h"
#include "work.h"

#define ROWS_PER_PIECE 4096

struct encoding {
    const pqk_codebook *codebook;
    float *transposed; /* [M][d][256] */
    const float *vectors;
    size_t num_vectors;
    uint8_t *codes;
};

/* One sub-vector at a time, whose centroids then stay in the first-level
 * cache. */
static pqk_status encode_piece(struct pqk_work *work, void *context,
                               size_t number)
{
    const struct encoding *encoding = context;
    pqk_nearest_function *nearest = pqk_nearest_of(work->effort);
    const size_t num_sub_vectors = encoding->codebook->num_sub_vectors;
    const size_t d = encoding->codebook->sub_vector_dim;
    const size_t first = number * ROWS_PER_PIECE;
    const size_t left = encoding->num_vectors - first;

    for (size_t m = 0; m < num_sub_vectors; m++)
        nearest(encoding->transposed + m * d * PQK_MAX_CENTROIDS, d,
                encoding->vectors + (first * num_sub_vectors + m) * d,
                left < ROWS_PER_PIECE ? left : ROWS_PER_PIECE,
                num_sub_vectors * d,
                encoding->codes + first * num_sub_vectors + m, num_sub_vectors);
    return pqk_step_done(work);
}

pqk_status pqk_encode(const pqk_codebook *codebook, const float *vectors,
                      size_t num_vectors, const struct pqk_effort *effort,
                      uint8_t *codes)
{
    struct encoding encoding = {codebook, NULL, vectors, num_vectors, codes};
    struct pqk_work work = {.piece = encode_piece,
                            .context = &encoding,
                            .effort = effort ? effort : &pqk_plain_effort};
    size_t d;
    pqk_status status;

    if (!codebook || !codebook->centroids ||
        ((!vectors || !codes) && num_vectors > 0) ||
        !pqk_shape_is_possible(codebook))
        return PQK_INVALID_ARGUMENT;
    d = codebook->sub_vector_dim;
    encoding.transposed = pqk_transposed_create(codebook->num_sub_vectors * d);
    if (!encoding.transposed)
        return PQK_OUT_OF_MEMORY;
    for (size_t m = 0; m < codebook->num_sub_vectors; m++)
        pqk_transpose_centroids(
            codebook->centroids + m * codebook->num_centroids * d,
            codebook->num_centroids, d,
            encoding.transposed + m * d * PQK_MAX_CENTROIDS);
    work.num_pieces =
        num_vectors / ROWS_PER_PIECE + (num_vectors % ROWS_PER_PIECE != 0);
    work.num_steps = work.num_pieces;
    status = pqk_share_work(&work);
    free(encoding.transposed);
    return status;
}
