/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The micro-benchmarks: building a table, probing row-major codes, probing
 * prepared codes, a whole query, and encoding, for every variant that runs here.
 *
 * Inputs are fixed.  In a round all variants answer the same query, in random
 * order; a ratio is the median over the rounds of the ratio within one, so that
 * what slows a whole round down cancels.  For a decision use
 * run_experiment, which checks answers and trusts nobody; this is to look at.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "base/splitmix.h"
#include "harness/judge/statistics.h"
#include "kernels.h"
#include "library/quantizer.h"
#include "pqkern.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    M = 16,
    CENTROIDS = 256,
    SUB_DIM = 8,
    DIM = M * SUB_DIM,
    CODES = 65536,
    TRAINED = 8192,
    QUERIES = 64,
    ENCODED = 1024, /* vectors at a time */
    K = 10,
    MAX_VARIANTS = 16,
    MAX_ROUNDS = 301,
    MIN_ROUNDS = 15
};

/* For all rounds of one benchmark. */
#define SECONDS 3.0

enum part { TABLE, PROBE_ROWS, PROBE_PREPARED, WHOLE, ENCODE, PARTS };

static const struct {
    const char *name;
    int repeats; /* calls of which the mean is taken */
    int share;   /* what is timed is so many of what is named */
} parts[PARTS] = {{"table build", 32, 1},
                  {"probe, row-major codes", 1, 1},
                  {"probe, prepared codes", 4, 1},
                  {"one query, end to end", 4, 1},
                  {"encoding, one vector", 1, ENCODED}};

struct variant {
    const pqk_kernel *kernel;
    pqk_index *index;
    pqk_scanner *search;
    double ns[MAX_ROUNDS];
    double ratios[MAX_ROUNDS];
};

struct bench {
    float *centroids, *queries, *vectors;
    float *transposed; /* the centroids, as encoding wants them */
    uint8_t *codes, *encoded;
    pqk_codebook codebook;
    pqk_distance_table table;
    uint64_t *heap;
    size_t count;
    struct variant variants[MAX_VARIANTS];
};

static void ok(pqk_status status, const char *what)
{
    if (status != PQK_OK) {
        fprintf(stderr, "bench: %s: %s\n", what, pqk_status_string(status));
        exit(EXIT_FAILURE);
    }
}

static void *had(void *memory)
{
    if (memory == NULL) {
        fputs("bench: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    return memory;
}

static void *need(size_t bytes)
{
    return had(malloc(bytes));
}

static float unit(uint64_t *random)
{
    return (float)(pqk_random_next(random) >> 40) * 0x1p-24f;
}

/* Vectors in clusters, as real ones are: the sum of a few uniform numbers round
 * one of 256 centres. */
static void make_vectors(float *vectors, size_t count, const float *centres,
                         uint64_t *random)
{
    for (size_t i = 0; i < count; i++) {
        size_t centre = pqk_random_next(random) % 256;
        for (size_t d = 0; d < DIM; d++) {
            float noise = unit(random) + unit(random) + unit(random) - 1.5f;
            vectors[i * DIM + d] = centres[centre * DIM + d] + 0.5f * noise;
        }
    }
}

static void transpose_centroids(struct bench *b)
{
    b->transposed =
        had(aligned_alloc(64, (size_t)M * CENTROIDS * SUB_DIM * sizeof(float)));
    for (size_t i = 0; i < (size_t)M * CENTROIDS; i++) {
        size_t m = i / CENTROIDS, c = i % CENTROIDS;
        for (size_t d = 0; d < SUB_DIM; d++) {
            b->transposed[(m * SUB_DIM + d) * CENTROIDS + c] =
                b->centroids[i * SUB_DIM + d];
        }
    }
}

static void make_inputs(struct bench *b)
{
    static const struct pqk_effort two_threads = {.num_threads = 2};
    uint64_t random = 42;
    float *centres = need(256 * DIM * sizeof(float));

    b->vectors = need((size_t)CODES * DIM * sizeof(float));
    b->centroids = need((size_t)M * CENTROIDS * SUB_DIM * sizeof(float));
    b->queries = need((size_t)QUERIES * DIM * sizeof(float));
    b->codes = need((size_t)CODES * M);
    b->encoded = need((size_t)ENCODED * M);
    b->table.entries = need((size_t)M * PQK_TABLE_STRIDE * sizeof(float));
    for (size_t i = 0; i < 256 * DIM; i++) {
        centres[i] = unit(&random);
    }
    make_vectors(b->vectors, CODES, centres, &random);
    make_vectors(b->queries, QUERIES, centres, &random);
    b->heap = need(pqk_top_k_heap_storage(K) * sizeof *b->heap);
    b->codebook = (pqk_codebook){
        .num_sub_vectors = M,
        .num_centroids = CENTROIDS,
        .sub_vector_dim = SUB_DIM,
        .centroids = b->centroids,
    };
    ok(pqk_train_codebook(b->vectors, TRAINED, &b->codebook, 4, 1, &two_threads,
                          b->centroids),
       "training");
    ok(pqk_encode(&b->codebook, b->vectors, CODES, &two_threads, b->codes),
       "encoding");
    transpose_centroids(b);
    free(centres);
}

static void make_variants(struct bench *b)
{
    for (size_t i = 0; i < pqk_kernel_count(); i++) {
        const pqk_kernel *kernel = pqk_kernel_at(i);
        struct variant *v = &b->variants[b->count];
        if (!pqk_kernel_available(kernel) || b->count == MAX_VARIANTS) {
            printf("not available here: %s\n", pqk_kernel_name(kernel));
            continue;
        }
        v->kernel = kernel;
        ok(pqk_index_create(&b->codebook, kernel, &v->index), "index");
        ok(pqk_index_add(v->index, b->codes, CODES), "index");
        ok(pqk_scanner_create(v->index, 1, K, &v->search), "search");
        b->count++;
    }
}

static double read_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double clock_ns(void)
{
    return read_ns(CLOCK_MONOTONIC);
}

static void whole_query(const struct variant *v, const float *query)
{
    pqk_row_result neighbors[K];
    size_t count;

    ok(pqk_scanner_begin(v->search, 1, K), "begin");
    ok(pqk_scanner_tables(v->search, query), "tables");
    ok(pqk_scanner_probe(v->search, 0), "probe");
    ok(pqk_scanner_results(v->search, 0, neighbors, &count), "results");
}

static void table(struct bench *b, const struct variant *v, const float *query)
{
    ok(pqk_compute_distance_table_l2_with(v->kernel, query, &b->codebook,
                                          &b->table),
       "table");
}

static void probe_rows(struct bench *b, const struct variant *v)
{
    pqk_top_k_heap heap;

    pqk_top_k_heap_init(&heap, b->heap, K);
    ok(pqk_probe_pq_l2_top_k_with(v->kernel, &b->table, b->codes, CODES, &heap),
       "probe");
}

/* Other vectors each round, as queries are. */
static void encode(struct bench *b, const struct variant *v, size_t round)
{
    const float *vectors = b->vectors + round * ENCODED % CODES * DIM;

    for (size_t m = 0; m < M; m++) {
        v->kernel->nearest_centroids(b->transposed + m * SUB_DIM * CENTROIDS,
                                     SUB_DIM, vectors + m * SUB_DIM, ENCODED,
                                     DIM, b->encoded + m, M);
    }
}

/* Nanoseconds of one call, the mean of a few, after one that warms up. */
static double time_part(struct bench *b, enum part part,
                        const struct variant *v, size_t round)
{
    const float *query = b->queries + round % QUERIES * DIM;
    /* Encoding takes long enough to lose the processor to others now and then,
     * the slower the variant the more often. */
    const clockid_t clock =
        part == ENCODE ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    double total = 0.0;

    table(b, v, query);
    for (int i = -1; i < parts[part].repeats; i++) {
        double start;
        if (part == PROBE_PREPARED) {
            ok(pqk_scanner_begin(v->search, 1, K), "begin");
            ok(pqk_scanner_tables(v->search, query), "tables");
        }
        start = read_ns(clock);
        switch (part) {
        case TABLE:
            table(b, v, query);
            break;
        case PROBE_ROWS:
            probe_rows(b, v);
            break;
        case PROBE_PREPARED:
            ok(pqk_scanner_probe(v->search, 0), "probe");
            break;
        case WHOLE:
            whole_query(v, query);
            break;
        default:
            encode(b, v, round);
            break;
        }
        total += i < 0 ? 0.0 : read_ns(clock) - start;
    }
    return total / parts[part].repeats / parts[part].share;
}

static void shuffle(size_t *order, size_t count, uint64_t *random)
{
    for (size_t i = count; i > 1; i--) {
        size_t j = pqk_random_next(random) % i;
        size_t at = order[i - 1];
        order[i - 1] = order[j];
        order[j] = at;
    }
}

static void print_row(struct variant *v, size_t rounds)
{
    struct pqh_interval ns, ratio;

    pqh_sort(v->ns, rounds);
    pqh_sort(v->ratios, rounds);
    ns = pqh_median_interval(v->ns, rounds);
    ratio = pqh_median_interval(v->ratios, rounds);
    printf("  %-12s %12.0f  [%.0f, %.0f] %*s %8.3f  [%.3f, %.3f]\n",
           pqk_kernel_name(v->kernel), ns.estimate, ns.low, ns.high,
           (int)(20 - snprintf(NULL, 0, "[%.0f, %.0f]", ns.low, ns.high)), "",
           ratio.estimate, ratio.low, ratio.high);
}

static void run_part(struct bench *b, enum part part, uint64_t *random)
{
    const size_t count = b->count;
    size_t order[MAX_VARIANTS];
    double start = clock_ns();
    size_t rounds = 0;

    for (size_t i = 0; i < count; i++) {
        order[i] = i;
    }
    while (rounds < MAX_ROUNDS &&
           (rounds < MIN_ROUNDS || clock_ns() - start < SECONDS * 1e9)) {
        shuffle(order, count, random);
        for (size_t i = 0; i < count; i++) {
            struct variant *v = &b->variants[order[i]];
            v->ns[rounds] = time_part(b, part, v, rounds);
        }
        for (size_t i = 0; i < count; i++) {
            b->variants[i].ratios[rounds] =
                b->variants[0].ns[rounds] / b->variants[i].ns[rounds];
        }
        rounds++;
    }
    printf("\n%s (%zu rounds)\n", parts[part].name, rounds);
    printf("  %-12s %12s  %-20s %9s  %s\n", "variant", "ns", "95 %", "speed-up",
           "95 %");
    for (size_t i = 0; i < count; i++) {
        print_row(&b->variants[i], rounds);
    }
}

int main(void)
{
    static struct bench b;
    uint64_t random = 1;

    printf("pqkern %s: %d codes of %d bytes, %d centroids, %d dimensions, "
           "k = %d\n",
           pqk_version(), CODES, M, CENTROIDS, DIM, K);
    make_inputs(&b);
    make_variants(&b);
    for (int part = 0; part < PARTS; part++) {
        run_part(&b, (enum part)part, &random);
    }
    for (size_t i = 0; i < b.count; i++) {
        pqk_scanner_free(b.variants[i].search);
        pqk_index_free(b.variants[i].index);
    }
    free(b.heap);
    free(b.table.entries);
    free(b.encoded);
    free(b.codes);
    free(b.vectors);
    free(b.queries);
    free(b.centroids);
    free(b.transposed);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
