/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What encoding loses: a pass over the vectors for their mean, and one for the
 * errors. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "handle.h"
#include "kernels.h"
#include "base/memory.h"
#include "library/metric.h"
#include "library/quantizer.h"

#define MEASURED_ROWS ((size_t)4096)

/* Vectors of which some at a time are looked at; sums are taken in their order,
 * whoever encodes them. */
struct measurement {
    const pqk_quantizer *quantizer;
    size_t dim;
    size_t num_threads;
    double *mean;    /* [dim] */
    float *vectors;  /* [MEASURED_ROWS][dim], as the metric compares them */
    float *decoded;  /* [dim] */
    uint8_t *codes;  /* [MEASURED_ROWS][M] */
    double variance; /* sums over all vectors */
    double squared;
    double largest;
};

static void add_to_mean(struct measurement *measurement, size_t count)
{
    const float *value = measurement->vectors;

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < measurement->dim; j++)
            measurement->mean[j] += (double)*value++;
}

static void add_errors_of(struct measurement *measurement, const float *vector,
                          const float *decoded)
{
    double squared = 0.0;

    for (size_t j = 0; j < measurement->dim; j++) {
        const double spread = (double)vector[j] - measurement->mean[j];
        const double error = (double)vector[j] - (double)decoded[j];

        measurement->variance += spread * spread;
        squared += error * error;
    }
    measurement->squared += squared;
    if (squared > measurement->largest)
        measurement->largest = squared;
}

static pqk_status add_errors(struct measurement *measurement, size_t count)
{
    const pqk_codebook *codebook = &measurement->quantizer->codebook;
    const struct pqk_kernel *kernel = pqk_usual_kernel();
    const struct pqk_effort effort = {
        .nearest = kernel ? kernel->nearest_centroids : NULL,
        .num_threads = measurement->num_threads,
    };
    pqk_status status = pqk_encode(codebook, measurement->vectors, count,
                                   &effort, measurement->codes);

    for (size_t i = 0; status == PQK_OK && i < count; i++) {
        pqk_decode(codebook, measurement->codes + i * codebook->num_sub_vectors,
                   measurement->decoded);
        add_errors_of(measurement, measurement->vectors + i * measurement->dim,
                      measurement->decoded);
    }
    return status;
}

static pqk_status measure(struct measurement *measurement, const float *vectors,
                          size_t num_vectors, int for_mean)
{
    const size_t dim = measurement->dim;
    pqk_status status = PQK_OK;

    for (size_t i = 0; i < num_vectors && status == PQK_OK;
         i += MEASURED_ROWS) {
        const size_t left = num_vectors - i;
        const size_t count = left < MEASURED_ROWS ? left : MEASURED_ROWS;

        pqk_metric_vectors(measurement->quantizer->metric, vectors + i * dim,
                           count, dim, measurement->vectors);
        if (for_mean)
            add_to_mean(measurement, count);
        else
            status = add_errors(measurement, count);
    }
    for (size_t j = 0; for_mean && j < dim; j++)
        measurement->mean[j] /= (double)num_vectors;
    return status;
}

static pqk_status allocate_measurement(struct measurement *measurement)
{
    const size_t dim = measurement->dim;

    measurement->mean = calloc(dim, sizeof *measurement->mean);
    measurement->decoded = pqk_array_alloc(dim, sizeof(float));
    measurement->vectors = pqk_array_alloc(dim, MEASURED_ROWS * sizeof(float));
    measurement->codes = malloc(
        MEASURED_ROWS * measurement->quantizer->codebook.num_sub_vectors);
    return measurement->mean && measurement->decoded && measurement->vectors &&
                   measurement->codes
               ? PQK_OK
               : PQK_OUT_OF_MEMORY;
}

static void free_measurement(struct measurement *measurement)
{
    free(measurement->mean);
    free(measurement->decoded);
    free(measurement->vectors);
    free(measurement->codes);
}

pqk_status pqk_quantizer_measure(const pqk_quantizer *quantizer,
                                 const float *vectors, size_t num_vectors,
                                 size_t num_threads, pqk_quantizer_error *error)
{
    struct measurement measurement = {.quantizer = quantizer,
                                      .num_threads = num_threads};
    pqk_status status;

    if (!quantizer || !vectors || num_vectors == 0 || !error)
        return PQK_INVALID_ARGUMENT;
    measurement.dim = pqk_quantizer_dim(quantizer);
    if (!pqk_vectors_fit(num_vectors, measurement.dim))
        return PQK_INVALID_ARGUMENT;
    status = allocate_measurement(&measurement);
    if (status == PQK_OK)
        status = measure(&measurement, vectors, num_vectors, 1);
    if (status == PQK_OK)
        status = measure(&measurement, vectors, num_vectors, 0);
    if (status == PQK_OK)
        *error = (pqk_quantizer_error){
            .mean_squared = measurement.squared / (double)num_vectors,
            /* Equal vectors have no variance to lose a share of. */
            .relative = measurement.squared == 0.0
                            ? 0.0
                            : measurement.squared / measurement.variance,
            .largest = (float)measurement.largest,
        };
    free_measurement(&measurement);
    return status;
}
