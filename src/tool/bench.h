/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the files of `pqkern bench` share. */
#ifndef PQK_TOOL_BENCH_H
#define PQK_TOOL_BENCH_H

#include "tool.h"

#include <stddef.h>
#include <stdint.h>

#define BENCH_MAX_KERNELS 16

struct bench_options {
    uint64_t k, batch, rounds, num_codes;
    const char *kernels, *threads, *format;
    int json;
};
extern struct bench_options bench_options;

/* What --kernels asks for, in its order; all that run here if it is not given, the
 * weakest first.  How many there are. */
size_t bench_kernels(const pqk_kernel *kernels[BENCH_MAX_KERNELS]);

/* Ascending. */
void bench_sort(double *values, size_t count);

/* A median, and what lies on either side of it. */
struct bench_spread {
    double low, median, high;
};

/* ------------------------------------------------------------------------ */
/* Ways to search one collection (bench_ways.c)                             */

void bench_ways(const char *collection, const char *queries);

/* ------------------------------------------------------------------------ */
/* Codes, and queries for them (bench_set.c)                                */

struct bench_set {
    const char *name;
    pqk_quantizer *quantizer;
    uint8_t *codes; /* row-major */
    size_t num_codes;
    float *queries;
    size_t num_queries;
};

/* The photographs' descriptors; as many generated ones where they are not there. */
void bench_take_photos(struct bench_set *set);

/* The first rows of a larger set are the smaller one. */
void bench_generate(struct bench_set *set, size_t num_codes);

/* queries is a file, or NULL for decoded codes. */
void bench_take_collection(struct bench_set *set, const char *path,
                           const char *queries);

void bench_free_set(struct bench_set *set);

/* The queries of a file, or made of codes if path is NULL. */
float *bench_queries(const pqk_collection *collection, const char *path,
                     size_t *num_queries);

/* ------------------------------------------------------------------------ */
/* Codes laid out for each variant (bench_layout.c)                         */

struct bench_layout {
    const struct bench_set *set;
    size_t num_codes, partition, num_arms;
    struct bench_arm {
        const pqk_kernel *kernel;
        pqk_index *index;
        pqk_scanner *scanner;
        pqk_status status;
    } arms[BENCH_MAX_KERNELS];
};

void bench_lay_out(struct bench_layout *layout);
void bench_free_layout(struct bench_layout *layout);

/* ------------------------------------------------------------------------ */
/* Regimes (bench_matrix.c)                                                 */

struct bench_regime {
    const char *name;
    int large;        /* of the large set, else of the small one */
    size_t num_codes; /* so many of its first; 0: all */
    size_t partition; /* codes in one; 0: all */
    int own_tables;   /* each partition has its own */
    int rows;         /* codes as they are, nothing prepared */
    size_t batch, k;
};

#define BENCH_MAX_BATCH 16
#define BENCH_MAX_K     1000

/* Every regime with every variant.  The large set is a collection, or generated if
 * that is NULL. */
void bench_matrix(const char *collection, const char *queries);

/* One query for ever more codes. */
void bench_growth(void);

/* ------------------------------------------------------------------------ */
/* Rounds (bench_time.c)                                                    */

/* Fewer give no interval of 95 %. */
#define BENCH_MIN_ROUNDS 6

/* Spreads are 95 % intervals. */
struct bench_variant {
    const pqk_kernel *kernel;
    struct bench_spread ns;    /* a code and query */
    struct bench_spread ratio; /* times as fast as the first variant */
    struct bench_spread
        reading; /* all codes once, as a share of a query's time */
    /* The weaker one by which it is beaten most, or NULL, and how many times as
     * long as that it takes. */
    const pqk_kernel *weaker;
    struct bench_spread loss;
};

struct bench_result {
    const struct bench_regime *regime;
    size_t num_codes, num_variants;
    struct bench_variant variants[BENCH_MAX_KERNELS];
};

/* One step of progress a round. */
void bench_measure(const struct bench_layout *layout,
                   const struct bench_regime *regime,
                   struct bench_result *result);

/* ------------------------------------------------------------------------ */
/* What is printed (bench_print.c)                                          */

struct bench_report {
    const char *measures;                  /* "matrix" or "growth" */
    const struct bench_set *small, *large; /* NULL if not measured */
    const struct bench_result *results;
    size_t num_results;
    size_t
        most_codes; /* that memory allows, if those are fewer than usual, else 0 */
};

void bench_print(const struct bench_report *report);

/* A member of an object, and not the first one. */
void bench_json_spread(const char *key, struct bench_spread spread);

#endif
