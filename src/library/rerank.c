/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "base/memory.h"
#include "metric.h"
#include "quantizer/handle.h"
#include "results.h"

/* Exact distances, for those results that have a vector; how many. */
static size_t measure_results(pqk_metric metric, const float *query, size_t dim,
                              pqk_vector_lookup lookup, void *context,
                              float *scaled, pqk_result *results, size_t count)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        const float *vector = lookup(context, results[i].id);

        if (!vector)
            continue;
        if (metric == PQK_COSINE) {
            pqk_metric_vectors(metric, vector, 1, dim, scaled);
            vector = scaled;
        }
        results[kept++] = (pqk_result){
            .id = results[i].id,
            .distance = pqk_canonical_distance(
                pqk_metric_distance(metric, query, vector, dim)),
        };
    }
    return kept;
}

pqk_status pqk_rerank(const pqk_quantizer *quantizer, const float *query,
                      pqk_vector_lookup lookup, void *context, size_t k,
                      pqk_result *results, size_t *count)
{
    size_t dim, kept;
    float *scaled;

    if (!quantizer || !query || !lookup || !count || (!results && *count > 0) ||
        *count > SIZE_MAX / sizeof *results)
        return PQK_INVALID_ARGUMENT;
    dim = pqk_quantizer_dim(quantizer);
    /* The query and a vector. */
    scaled = pqk_array_alloc(dim, 2 * sizeof *scaled);
    if (!scaled)
        return PQK_OUT_OF_MEMORY;
    pqk_metric_vectors(quantizer->metric, query, 1, dim, scaled);
    kept = measure_results(quantizer->metric, scaled, dim, lookup, context,
                           scaled + dim, results, *count);
    free(scaled);
    pqk_sort_results(results, kept);
    *count = kept < k ? kept : k;
    return PQK_OK;
}
