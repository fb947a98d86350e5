/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The door: what a kernel variant must provide to the library.
 *
 * A variant is a constant table of functions.  They know of no files, no
 * library objects and no other variant.  They hold no state: everything lives
 * in memory that the caller gives, every block of it 64-byte aligned.  Only the
 * two prepare functions may allocate, and they free what they allocate.
 *
 * This file is part of the judge's side of the contract and does not change
 * during research; src/kernels.c and src/kernels/ do.
 */
#ifndef PQK_KERNELS_H
#define PQK_KERNELS_H

#include "pqkern.h"

/* What a variant needs of the CPU; src/library/cpu.c finds out. */
enum {
    PQK_CPU_AVX2 = 1u << 0,   /* AVX2, BMI1, BMI2, LZCNT, POPCNT; YMM state */
    PQK_CPU_AVX512 = 1u << 1, /* the above, and F, BW, DQ, VL; ZMM state */
    PQK_CPU_AVX512_VBMI = 1u << 2, /* the above, and VBMI */
    PQK_CPU_NEON = 1u << 3
};

struct pqk_kernel {
    const char *name;
    unsigned cpu_features; /* all of these are needed */

    /*
     * The contract's three-part path: row-major codes and a plain table.
     * Shapes have been checked; num_vectors may be 0.  Entries of the table
     * may be anything, NaN and inf included.
     */
    void (*compute_distance_table_l2)(const float *query,
                                      const pqk_codebook *codebook,
                                      float *entries);
    void (*probe_pq_l2_top_k)(const float *entries, size_t num_sub_vectors,
                              const uint8_t *codes, size_t num_vectors,
                              pqk_top_k_heap *heap);

    /*
     * The prepared path: a codebook once, each partition's codes once, then
     * tables and a probe per query.  The prepared forms are flat memory that
     * the library allocates and may move, so they hold no pointers.
     * codebook->centroids is valid only during prepare_codebook.
     */
    size_t (*codebook_bytes)(const pqk_codebook *shape);
    pqk_status (*prepare_codebook)(const pqk_codebook *codebook,
                                   void *prepared_codebook);

    /* At most 1.25 * M bytes a code plus a constant.  Codes are below
     * num_centroids. */
    size_t (*codes_bytes)(const pqk_codebook *shape, size_t num_vectors);
    pqk_status (*prepare_codes)(const void *prepared_codebook,
                                const uint8_t *codes, size_t num_vectors,
                                void *prepared_codes);

    /* The row-major codes back, every byte as it was given. */
    void (*restore_codes)(const void *prepared_codebook,
                          const void *prepared_codes, size_t num_vectors,
                          uint8_t *codes);

    /* Tables and all scratch that a probe of num_queries queries needs. */
    size_t (*tables_bytes)(const pqk_codebook *shape, size_t num_queries);
    void (*compute_tables)(const void *prepared_codebook, const float *queries,
                           size_t num_queries, void *tables);

    /*
     * One pass over a partition for all queries.  Row i has id first_id + i.
     * heaps[q] may already hold results of other partitions, which compete.
     * Adds to stats; sets stats->bound_groups.
     */
    void (*probe)(const void *prepared_codebook, const void *prepared_codes,
                  size_t num_vectors, uint32_t first_id, void *tables,
                  size_t num_queries, pqk_top_k_heap *heaps,
                  pqk_search_stats *stats);
};

/* This build's variants, weakest first, ended by NULL; number 0 is scalar and
 * needs no feature. */
extern const struct pqk_kernel *const pqk_kernels[];

#endif
