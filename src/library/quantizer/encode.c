/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Vectors to codes, as the metric has them, and codes to vectors. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "handle.h"
#include "base/memory.h"
#include "library/metric.h"
#include "library/prepared.h"
#include "library/quantizer.h"

/* Vectors that are scaled at a time: enough work for many threads. */
#define SCALED_ROWS ((size_t)16384)

static pqk_status encode_scaled(const pqk_quantizer *quantizer,
                                const float *vectors, size_t num_vectors,
                                const struct pqk_effort *effort, uint8_t *codes)
{
    const size_t dim = pqk_quantizer_dim(quantizer);
    const size_t block = num_vectors < SCALED_ROWS ? num_vectors : SCALED_ROWS;
    float *scaled = pqk_product_fits(block, dim)
                        ? pqk_array_alloc(block * dim, sizeof *scaled)
                        : NULL;
    pqk_status status = scaled ? PQK_OK : PQK_OUT_OF_MEMORY;

    while (status == PQK_OK && num_vectors > 0) {
        const size_t count = num_vectors < block ? num_vectors : block;

        pqk_metric_vectors(quantizer->metric, vectors, count, dim, scaled);
        status = pqk_encode(&quantizer->codebook, scaled, count, effort, codes);
        vectors += count * dim;
        codes += count * quantizer->codebook.num_sub_vectors;
        num_vectors -= count;
    }
    free(scaled);
    return status;
}

pqk_status pqk_quantizer_encode_with(const pqk_quantizer *quantizer,
                                     const pqk_kernel *kernel,
                                     const float *vectors, size_t num_vectors,
                                     size_t num_threads, uint8_t *codes)
{
    const struct pqk_effort effort = {
        .nearest = kernel ? kernel->nearest_centroids : NULL,
        .num_threads = num_threads,
    };

    if (!pqk_vectors_fit(num_vectors, pqk_quantizer_dim(quantizer)))
        return PQK_INVALID_ARGUMENT;
    if (quantizer->metric == PQK_COSINE)
        return encode_scaled(quantizer, vectors, num_vectors, &effort, codes);
    return pqk_encode(&quantizer->codebook, vectors, num_vectors, &effort,
                      codes);
}

const pqk_kernel *pqk_usual_kernel(void)
{
    const pqk_kernel *kernel;

    return pqk_kernel_find(NULL, &kernel) == PQK_OK ? kernel : NULL;
}

pqk_status pqk_quantizer_encode(const pqk_quantizer *quantizer,
                                const float *vectors, size_t num_vectors,
                                size_t num_threads, uint8_t *codes)
{
    if (!quantizer || ((!vectors || !codes) && num_vectors > 0))
        return PQK_INVALID_ARGUMENT;
    return pqk_quantizer_encode_with(quantizer, pqk_usual_kernel(), vectors,
                                     num_vectors, num_threads, codes);
}

void pqk_decode(const pqk_codebook *codebook, const uint8_t *codes,
                float *vector)
{
    const size_t d = codebook->sub_vector_dim;
    const float *centroids = codebook->centroids;

    for (size_t m = 0; m < codebook->num_sub_vectors; m++) {
        memcpy(vector + m * d, centroids + codes[m] * d, d * sizeof *vector);
        centroids += codebook->num_centroids * d;
    }
}

pqk_status pqk_quantizer_decode(const pqk_quantizer *quantizer,
                                const uint8_t *codes, size_t num_vectors,
                                float *vectors)
{
    const pqk_codebook *codebook;
    size_t dim;

    if (!quantizer || ((!vectors || !codes) && num_vectors > 0))
        return PQK_INVALID_ARGUMENT;
    codebook = &quantizer->codebook;
    dim = pqk_quantizer_dim(quantizer);
    if (!pqk_vectors_fit(num_vectors, dim) ||
        !pqk_codes_name_centroids(codes,
                                  num_vectors * codebook->num_sub_vectors,
                                  codebook->num_centroids))
        return PQK_INVALID_ARGUMENT;
    for (size_t i = 0; i < num_vectors; i++)
        pqk_decode(codebook, codes + i * codebook->num_sub_vectors,
                   vectors + i * dim);
    return PQK_OK;
}
