/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * An inverted file (IVF) in one's own program: vectors are dealt to lists by the
 * nearest of some coarse centroids, what remains of them is encoded, and a query
 * scans the lists nearest to it, one partition of a pqk_index each.
 */
#include <pqkern.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIM = 32, COUNT = 4000, LISTS = 32, M = 8, K = 10, QUERIES = 50 };

static float vectors[COUNT][DIM];
static float remains[COUNT][DIM];
static uint8_t list_of[COUNT];
static uint8_t codes[COUNT][M];

/* What the index counts through its partitions, as the number of a vector. */
static uint32_t vector_of[COUNT];

static void check(pqk_status status, const char *what)
{
    if (status == PQK_OK)
        return;
    fprintf(stderr, "ivf: %s: %s\n", what, pqk_status_string(status));
    exit(1);
}

/* Clustered, as real vectors are: sums of random numbers around a centre. */
static void make_vectors(void)
{
    static float centres[256][DIM];

    for (size_t i = 0; i < sizeof centres / sizeof(float); i++)
        centres[i / DIM][i % DIM] = (float)rand() / (float)RAND_MAX;
    for (size_t i = 0; i < COUNT; i++) {
        const float *centre = centres[(unsigned)rand() % 256];

        for (size_t j = 0; j < DIM; j++)
            vectors[i][j] =
                centre[j] + 0.3f * ((float)rand() / (float)RAND_MAX - 0.5f);
    }
}

static void subtract(const float *a, const float *b, float *difference)
{
    for (size_t j = 0; j < DIM; j++)
        difference[j] = a[j] - b[j];
}

/* A quantizer with one sub-vector is a k-means; its codes are list numbers. */
static pqk_quantizer *deal(void)
{
    pqk_training training = {
        .dim = DIM, .num_sub_vectors = 1, .num_centroids = LISTS, .rounds = 8};
    pqk_quantizer *coarse = NULL;

    check(pqk_quantizer_train(&vectors[0][0], COUNT, &training, &coarse),
          "coarse training");
    check(pqk_quantizer_encode(coarse, &vectors[0][0], COUNT, 1, list_of),
          "dealing");
    return coarse;
}

static pqk_index *fill(const float *centroids)
{
    pqk_training training = {.dim = DIM, .num_sub_vectors = M, .rounds = 8};
    pqk_quantizer *fine = NULL;
    pqk_codebook codebook;
    pqk_index *index = NULL;
    size_t placed = 0;

    for (size_t i = 0; i < COUNT; i++)
        subtract(vectors[i], centroids + list_of[i] * DIM, remains[i]);
    check(pqk_quantizer_train(&remains[0][0], COUNT, &training, &fine),
          "training");
    pqk_quantizer_codebook(fine, &codebook);
    check(pqk_index_create(&codebook, NULL, &index), "index");
    for (size_t list = 0; list < LISTS; list++) {
        const size_t first = placed;

        for (size_t i = 0; i < COUNT; i++) {
            if (list_of[i] != list)
                continue;
            check(pqk_quantizer_encode(fine, remains[i], 1, 1, codes[placed]),
                  "encoding");
            vector_of[placed++] = (uint32_t)i;
        }
        check(pqk_index_add(index, codes[first], placed - first), "adding");
    }
    pqk_quantizer_free(fine); /* the index has a copy of the codebook */
    return index;
}

static float squared_distance(const float *a, const float *b)
{
    float sum = 0.0f;

    for (size_t j = 0; j < DIM; j++)
        sum += (a[j] - b[j]) * (a[j] - b[j]);
    return sum;
}

/* The lists nearest to the query, nearest first. */
static void choose(const float *query, const float *centroids, size_t probes,
                   size_t *chosen)
{
    float distance[LISTS];

    for (size_t list = 0; list < LISTS; list++)
        distance[list] = squared_distance(query, centroids + list * DIM);
    for (size_t p = 0; p < probes; p++) {
        size_t nearest = 0;

        for (size_t list = 1; list < LISTS; list++)
            if (distance[list] < distance[nearest])
                nearest = list;
        chosen[p] = nearest;
        distance[nearest] = 1e30f;
    }
}

static size_t search(pqk_scanner *search, const float *query,
                     const float *centroids, size_t probes,
                     pqk_row_result *neighbors)
{
    size_t chosen[LISTS], count = 0;
    float remain[DIM];

    choose(query, centroids, probes, chosen);
    check(pqk_scanner_begin(search, 1, K), "begin");
    for (size_t p = 0; p < probes; p++) {
        subtract(query, centroids + chosen[p] * DIM, remain);
        check(pqk_scanner_tables(search, remain), "tables");
        check(pqk_scanner_probe(search, chosen[p]), "probe");
    }
    check(pqk_scanner_results(search, 0, neighbors, &count), "results");
    return count;
}

int main(void)
{
    pqk_quantizer *coarse;
    pqk_index *index;
    pqk_scanner *scratch = NULL;
    pqk_row_result all[K], few[K];
    pqk_codebook codebook;
    const float *centroids;
    size_t same = 0;

    make_vectors();
    coarse = deal();
    pqk_quantizer_codebook(coarse, &codebook);
    centroids = codebook.centroids;
    index = fill(centroids);
    check(pqk_scanner_create(index, 1, K, &scratch), "search");
    for (size_t q = 0; q < QUERIES; q++) {
        const float *query = vectors[q * (COUNT / QUERIES)];
        size_t n = search(scratch, query, centroids, LISTS, all);
        size_t f = search(scratch, query, centroids, 8, few);

        for (size_t i = 0; i < f; i++)
            for (size_t j = 0; j < n; j++)
                same += few[i].row == all[j].row;
        if (q == 0)
            printf("nearest to vector 0: vector %u at %.9g\n",
                   (unsigned)vector_of[all[0].row], (double)all[0].distance);
    }
    printf("8 of %d lists find %.1f %% of what all find\n", LISTS,
           100.0 * (double)same / (QUERIES * K));
    pqk_scanner_free(scratch);
    pqk_index_free(index);
    pqk_quantizer_free(coarse);
    return same < QUERIES * K * 8 / 10;
}
