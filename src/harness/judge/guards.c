/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "guards.h"
#include "base/splitmix.h"
#include "harness/candidate/candidate.h"
#include "varied.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The working set of `large`: so much of the last-level cache, whose size some
 * systems do not tell and some overstate. */
#define CACHES      1.5
#define USUAL_CACHE ((size_t)32 << 20)
#define MAX_BYTES   ((size_t)64 << 20)

/* Preparing an arm's index may take so long. */
#define PREPARE_NS 2e9

#define GAUSSIAN_CODES   100000
#define GAUSSIAN_QUERIES 200
#define GAUSSIAN_DIM     8 /* of a sub-vector */

const char *pqh_guard_name(enum pqh_guard guard)
{
    static const char *const names[PQH_NUM_GUARDS] = {
        "partition", "large", "k100", "gaussian", "rows", "prepare", "bytes"};

    return names[guard];
}

/* Box and Muller. */
float pqh_random_normal(uint64_t *random)
{
    const double tau = 6.28318530717958647692;
    double u = 1.0 - pqk_random_unit(random), v = pqk_random_unit(random);

    return (float)(sqrt(-2.0 * log(u)) * cos(tau * v));
}

/* From sysfs: what sysconf says is several caches' sum on some processors. */
static size_t cache_bytes(void)
{
    FILE *file = fopen("/sys/devices/system/cpu/cpu0/cache/index3/size", "re");
    unsigned long kilobytes = 0;
    long bytes = -1;

    if (file != NULL) {
        if (fscanf(file, "%luK", &kilobytes) != 1) {
            kilobytes = 0;
        }
        fclose(file);
    }
    if (kilobytes > 0) {
        return (size_t)kilobytes * 1024;
    }
#ifdef _SC_LEVEL3_CACHE_SIZE
    bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    return bytes > 0 ? (size_t)bytes : USUAL_CACHE;
}

/* As many as wanted, but no more than can be prepared in time. */
static size_t affordable(size_t wanted, double ns_per_code)
{
    double most = PREPARE_NS / fmax(ns_per_code, 1e-3);

    return (double)wanted > most ? (size_t)most + 1 : wanted;
}

static int need_codes(struct pqh_fixture *fixture, struct pqf_error *err)
{
    size_t bytes = fixture->num_base * fixture->codebook.num_sub_vectors;

    fixture->codes = malloc(bytes);
    return fixture->codes != NULL
               ? 0
               : pqf_fail(err, "out of memory: %zu bytes of codes", bytes);
}

static int make_partition(const struct pqh_fixture *primary, uint64_t seed,
                          struct pqh_fixture *fixture)
{
    size_t most = primary->num_base;
    size_t rows = most < PQH_PARTITION ? most : PQH_PARTITION;
    size_t first = pqk_random_below(&seed, most - rows + 1);

    fixture->num_base = rows;
    fixture->codes = primary->codes + first * primary->codebook.num_sub_vectors;
    return 0;
}

/* Each new code is the beginning of one and the end of another. */
static int make_large(const struct pqh_fixture *primary, double ns_per_code,
                      uint64_t seed, struct pqh_fixture *fixture,
                      struct pqf_error *err)
{
    size_t width = primary->codebook.num_sub_vectors;
    size_t bytes = (size_t)(CACHES * (double)cache_bytes());

    bytes = bytes < MAX_BYTES ? bytes : MAX_BYTES;
    bytes -= pqk_random_below(&seed, bytes / PQH_VARIES + 1);
    fixture->num_base = affordable(bytes / width, ns_per_code);
    if (need_codes(fixture, err) != 0) {
        return -1;
    }
    for (size_t i = 0; i < fixture->num_base; i++) {
        uint8_t *code = fixture->codes + i * width;
        const uint8_t *one =
            primary->codes + pqk_random_below(&seed, primary->num_base) * width;
        const uint8_t *other =
            primary->codes + pqk_random_below(&seed, primary->num_base) * width;
        size_t cut = pqk_random_below(&seed, width);
        memcpy(code, one, cut);
        memcpy(code + cut, other + cut, width - cut);
    }
    return 0;
}

static float *normals(uint64_t *random, size_t count)
{
    float *values = malloc(count * sizeof *values);

    for (size_t i = 0; values != NULL && i < count; i++) {
        values[i] = pqh_random_normal(random);
    }
    return values;
}

static int make_gaussian(double ns_per_code, uint64_t seed,
                         struct pqh_fixture *fixture, struct pqf_error *err)
{
    size_t dim = (size_t)PQH_SUB_VECTORS * GAUSSIAN_DIM;
    size_t count;

    fixture->dim = dim;
    fixture->num_base = affordable(GAUSSIAN_CODES, ns_per_code);
    fixture->num_queries = GAUSSIAN_QUERIES;
    fixture->queries = normals(&seed, GAUSSIAN_QUERIES * dim);
    fixture->centroids = normals(&seed, PQH_CENTROIDS * dim);
    fixture->codebook = (pqk_codebook){
        .num_sub_vectors = PQH_SUB_VECTORS,
        .num_centroids = PQH_CENTROIDS,
        .sub_vector_dim = GAUSSIAN_DIM,
        .centroids = fixture->centroids,
    };
    if (fixture->queries == NULL || fixture->centroids == NULL) {
        return pqf_fail(err, "out of memory");
    }
    if (need_codes(fixture, err) != 0) {
        return -1;
    }
    count = fixture->num_base * PQH_SUB_VECTORS;
    for (size_t i = 0; i < count; i++) {
        fixture->codes[i] = (uint8_t)(pqk_random_next(&seed) >> 56);
    }
    return 0;
}

int pqh_guard_make(enum pqh_guard guard, const struct pqh_fixture *primary,
                   double ns_per_code, uint64_t seed,
                   struct pqh_fixture *fixture, struct pqf_error *err)
{
    *fixture = *primary;
    fixture->truth = NULL;
    switch (guard) {
    case PQH_GUARD_PARTITION:
        return make_partition(primary, seed, fixture);
    case PQH_GUARD_LARGE:
        fixture->codes = NULL;
        return make_large(primary, ns_per_code, seed, fixture, err);
    case PQH_GUARD_GAUSSIAN:
        fixture->codes = NULL;
        return make_gaussian(ns_per_code, seed, fixture, err);
    case PQH_GUARD_K100:
    case PQH_GUARD_ROWS:
    case PQH_GUARD_PREPARE:
    case PQH_GUARD_BYTES:
    case PQH_NUM_GUARDS:
    default:
        return 0;
    }
}

void pqh_guard_free(const struct pqh_fixture *primary,
                    struct pqh_fixture *fixture)
{
    const uint8_t *end =
        primary->codes + primary->num_base * primary->codebook.num_sub_vectors;

    if (fixture->codes < primary->codes || fixture->codes >= end) {
        free(fixture->codes);
    }
    if (fixture->queries != primary->queries) {
        free(fixture->queries);
        free(fixture->centroids);
    }
}
