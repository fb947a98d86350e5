/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Quantizers as objects: a codebook and a metric. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "handle.h"
#include "base/memory.h"
#include "library/reserved.h"
#include "library/shape.h"

int pqk_metric_is_known(pqk_metric metric)
{
    return metric == PQK_L2 || metric == PQK_INNER_PRODUCT ||
           metric == PQK_COSINE;
}

int pqk_centroids_are_finite(const pqk_codebook *codebook)
{
    const size_t count = pqk_num_centroid_values(codebook);

    for (size_t i = 0; i < count; i++)
        if (!isfinite(codebook->centroids[i]))
            return 0;
    return 1;
}

pqk_status pqk_quantizer_new(const pqk_codebook *codebook, pqk_metric metric,
                             pqk_quantizer **quantizer)
{
    const size_t count = pqk_num_centroid_values(codebook);
    pqk_quantizer *made = malloc(sizeof *made);

    if (!made)
        return PQK_OUT_OF_MEMORY;
    made->centroids = pqk_array_alloc(count, sizeof *made->centroids);
    if (!made->centroids) {
        free(made);
        return PQK_OUT_OF_MEMORY;
    }
    if (codebook->centroids)
        memcpy(made->centroids, codebook->centroids,
               count * sizeof *made->centroids);
    made->codebook = *codebook;
    made->codebook.centroids = made->centroids;
    made->metric = metric;
    *quantizer = made;
    return PQK_OK;
}

pqk_status pqk_quantizer_create(const pqk_codebook *codebook, pqk_metric metric,
                                pqk_quantizer **quantizer)
{
    if (!codebook || !codebook->centroids || !quantizer ||
        pqk_codebook_asks_more(codebook) || !pqk_shape_is_possible(codebook) ||
        !pqk_metric_is_known(metric) || !pqk_centroids_are_finite(codebook))
        return PQK_INVALID_ARGUMENT;
    return pqk_quantizer_new(codebook, metric, quantizer);
}

void pqk_quantizer_free(pqk_quantizer *quantizer)
{
    if (!quantizer)
        return;
    free(quantizer->centroids);
    free(quantizer);
}

size_t pqk_quantizer_dim(const pqk_quantizer *quantizer)
{
    return quantizer->codebook.num_sub_vectors *
           quantizer->codebook.sub_vector_dim;
}

pqk_metric pqk_quantizer_metric(const pqk_quantizer *quantizer)
{
    return quantizer->metric;
}

void pqk_quantizer_codebook(const pqk_quantizer *quantizer,
                            pqk_codebook *codebook)
{
    *codebook = quantizer->codebook;
}
