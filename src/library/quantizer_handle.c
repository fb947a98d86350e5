/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Quantizers as objects: a codebook, and what its metric does to vectors.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "metric.h"
#include "prepared.h"
#include "quantizer.h"
#include "quantizer_handle.h"
#include "reserved.h"
#include "shape.h"
#include "base/splitmix.h"

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

/* ------------------------------------------------------------------------ */
/* Training                                                                 */

#define VECTORS_PER_CENTROID 256 /* unless the caller says how many */
#define USUAL_ROUNDS         25

/* Keeps the sample's random numbers apart from those of k-means. */
#define SAMPLE_STREAM 0x73616d706c65u

/* Each of num_vectors is as likely as any other to be among the count taken;
 * they keep their order (Knuth's algorithm S). */
static void take_sample(const float *vectors, size_t num_vectors,
                        const pqk_training *training, size_t count,
                        float *sample)
{
    uint64_t state = training->seed ^ SAMPLE_STREAM;

    for (size_t i = 0; count > 0; i++) {
        if (pqk_random_next(&state) % (num_vectors - i) >= count)
            continue;
        pqk_metric_vectors(training->metric, vectors + i * training->dim, 1,
                           training->dim, sample);
        sample += training->dim;
        count--;
    }
}

static size_t sample_size(size_t num_vectors, const pqk_training *training,
                          size_t num_centroids)
{
    size_t most = training->max_vectors;

    if (most == 0)
        most = VECTORS_PER_CENTROID * num_centroids;
    return num_vectors < most ? num_vectors : most;
}

static pqk_status train_on(const float *vectors, size_t num_vectors,
                           const pqk_training *training,
                           pqk_quantizer *quantizer)
{
    const pqk_kernel *kernel = NULL;
    struct pqk_effort effort = {
        .num_threads = training->num_threads,
        .progress = training->progress,
        .progress_context = training->progress_context,
    };
    pqk_status status;

    if (pqk_kernel_find(NULL, &kernel) == PQK_OK)
        effort.nearest = kernel->nearest_centroids;
    status =
        pqk_train_codebook(vectors, num_vectors, &quantizer->codebook,
                           training->rounds ? training->rounds : USUAL_ROUNDS,
                           training->seed, &effort, quantizer->centroids);
    if (status == PQK_OK && !pqk_centroids_are_finite(&quantizer->codebook))
        return PQK_INVALID_ARGUMENT;
    return status;
}

static pqk_status train(const float *vectors, size_t num_vectors,
                        const pqk_training *training, pqk_quantizer *quantizer)
{
    const size_t count =
        sample_size(num_vectors, training, quantizer->codebook.num_centroids);
    float *sample;
    pqk_status status;

    if (count == num_vectors && training->metric != PQK_COSINE)
        return train_on(vectors, num_vectors, training, quantizer);
    sample = pqk_product_fits(count, training->dim)
                 ? pqk_array_alloc(count * training->dim, sizeof *sample)
                 : NULL;
    if (!sample)
        return PQK_OUT_OF_MEMORY;
    take_sample(vectors, num_vectors, training, count, sample);
    status = train_on(sample, count, training, quantizer);
    free(sample);
    return status;
}

/* 0 if no shape is meant. */
static int shape_of_training(const pqk_training *training, pqk_codebook *shape)
{
    if (training->num_sub_vectors == 0 ||
        training->dim % training->num_sub_vectors != 0)
        return 0;
    *shape = (pqk_codebook){
        .num_sub_vectors = training->num_sub_vectors,
        .num_centroids = training->num_centroids ? training->num_centroids
                                                 : PQK_MAX_CENTROIDS,
        .sub_vector_dim = training->dim / training->num_sub_vectors,
    };
    return pqk_shape_is_possible(shape);
}

pqk_status pqk_quantizer_train(const float *vectors, size_t num_vectors,
                               const pqk_training *training,
                               pqk_quantizer **quantizer)
{
    pqk_codebook shape;
    pqk_quantizer *made;
    pqk_status status;

    if (!vectors || num_vectors == 0 || !training || !quantizer ||
        pqk_training_asks_more(training) ||
        !pqk_metric_is_known(training->metric) ||
        !shape_of_training(training, &shape) ||
        !pqk_vectors_fit(num_vectors, training->dim))
        return PQK_INVALID_ARGUMENT;
    status = pqk_quantizer_new(&shape, training->metric, &made);
    if (status != PQK_OK)
        return status;
    status = train(vectors, num_vectors, training, made);
    if (status == PQK_OK)
        *quantizer = made;
    else
        pqk_quantizer_free(made);
    return status;
}

/* ------------------------------------------------------------------------ */
/* Encoding and decoding                                                    */

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

/* Every variant gives the same codes, so one that cannot be had is no reason
 * to fail. */
static const pqk_kernel *usual_kernel(void)
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
    return pqk_quantizer_encode_with(quantizer, usual_kernel(), vectors,
                                     num_vectors, num_threads, codes);
}

/* One vector of valid codes. */
static void decode(const pqk_codebook *codebook, const uint8_t *codes,
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
        decode(codebook, codes + i * codebook->num_sub_vectors,
               vectors + i * dim);
    return PQK_OK;
}

/* ------------------------------------------------------------------------ */
/* Measuring                                                                */

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
    const struct pqk_kernel *kernel = usual_kernel();
    const struct pqk_effort effort = {
        .nearest = kernel ? kernel->nearest_centroids : NULL,
        .num_threads = measurement->num_threads,
    };
    pqk_status status = pqk_encode(codebook, measurement->vectors, count,
                                   &effort, measurement->codes);

    for (size_t i = 0; status == PQK_OK && i < count; i++) {
        decode(codebook, measurement->codes + i * codebook->num_sub_vectors,
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
