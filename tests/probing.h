/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Runs one variant's kernels in guarded memory and compares every id and every
 * distance bit with the harness's reference.  Functions return a fault, or
 * NULL if there is none.
 */
#ifndef PQK_PROBING_H
#define PQK_PROBING_H

#include "kernels.h"
#include "testlib.h"

/* All rows in the order of results: the first k are the k best.  To be
 * freed. */
pqk_row_result *probing_reference(const float *entries, size_t num_sub_vectors,
                                  const uint8_t *codes, size_t num_vectors);

/* Row-major codes and a plain table. */
struct row_major {
    const pqk_kernel *kernel;
    const float *entries;
    size_t num_sub_vectors;
    const uint8_t *codes;
    size_t num_vectors;
    const pqk_row_result *expected; /* of probing_reference */
    unsigned placement; /* even: blocks end at a guard page; odd: they begin
                           after one, at placement / 2 elements from it */
};

const char *probing_row_major(const struct row_major *rows, size_t k);

/* The same with a heap that already holds what was pushed: `held`. */
const char *probing_row_major_held(const struct row_major *rows, size_t k,
                                   const pqk_row_result *held, size_t num_held);

/* The table of one query, by the contract's path. */
const char *probing_table(const pqk_kernel *kernel, const float *query,
                          const pqk_codebook *codebook, unsigned placement);

/* A codebook prepared through the door, then moved in memory. */
struct door {
    const pqk_kernel *kernel;
    pqk_codebook codebook;
    struct test_arena prepared;
    void *prepared_codebook;
    unsigned char *copy; /* of it, to see that nothing changes it */
};

const char *probing_open(struct door *door, const pqk_kernel *kernel,
                         const pqk_codebook *codebook);
void probing_close(struct door *door);

/* Codes to prepare and restore, queries to answer for every k of a list. */
struct prepared_probe {
    const uint8_t *codes;
    size_t num_vectors;
    const float *queries;
    size_t num_queries;
    const size_t *ks;
    size_t num_ks;
    uint32_t first_id;
};

const char *probing_prepared(const struct door *door,
                             const struct prepared_probe *probe);

/* A bound that heaps begin with: a distance among those of all rows, moved by
 * some ulps, or a value. */
struct preset {
    int by_rank;
    size_t rank; /* modulo the number of rows */
    int ulps;
    float value;
};

/* What may be a result, by which metric, and in how many partitions: all zeros
 * for everything, by squared distance, in one. */
struct narrowing {
    pqk_metric metric;
    const uint64_t *rows;        /* a bit for each row, or NULL */
    int (*allows)(uint32_t row); /* or NULL */
    const struct preset *preset; /* or NULL */
    size_t part_rows;            /* of a partition; 0: all */
};

const char *probing_narrowed(const struct door *door,
                             const struct prepared_probe *probe,
                             const struct narrowing *narrowing);

/* NULL, or what is implausible about statistics of `codes` decided codes. */
const char *probing_statistics(const pqk_search_stats *stats,
                               const char *kernel, uint64_t codes,
                               uint64_t least_survivors);

#endif
