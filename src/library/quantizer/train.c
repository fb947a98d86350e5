/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Training a quantizer: a sample, as the metric has it, and k-means on it. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "handle.h"
#include "base/memory.h"
#include "library/metric.h"
#include "library/prepared.h"
#include "library/quantizer.h"
#include "library/reserved.h"
#include "library/shape.h"
#include "base/splitmix.h"

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
