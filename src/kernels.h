/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The door: what a kernel variant must provide to the library.
 *
 * A variant is a constant table of functions.  They know of no files, no
 * library objects and no other variant.  They hold no state: everything lives
 * in memory that the caller gives, every block of it 64-byte aligned.  Only the
 * two prepare functions may allocate, and they free what they allocate.
 *
 * This file and the headers that it includes belong to the judge and do not change
 * in a trial; src/kernels.c and src/kernels/ do.  Nothing outside those includes a
 * header from there.
 */
#ifndef PQK_KERNELS_H
#define PQK_KERNELS_H

#include "filter.h"
#include "order.h"
#include "share.h"
#include "variants.h"

/*
 * Where prepared codes keep what was given, so that they can be stored, mapped
 * and read without the variant that made them.  The code at position p of
 * sub-vector m is the byte at
 *     columns + m * column_stride + p * position_stride
 * put through the codebook's labels, and belongs to row p; or, if row_bytes is
 * not 0, to the row that replaces the row_bytes low bytes of p by those at
 *     rows + p * row_bytes
 * in little-endian order.  Offsets and strides are in bytes.
 */
struct pqk_code_layout {
    uint64_t columns, column_stride, position_stride;
    uint64_t rows, row_bytes;
    uint64_t bytes; /* of everything */
};

struct pqk_kernel {
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
     * the library allocates and may move, so they hold no pointers; prepared
     * codes may be mapped from a file, prepared codebooks may not.
     * codebook->centroids is valid only during prepare_codebook.  cpu is what
     * pqk_cpu_features() says: a variant may choose by it what is faster, and any
     * number is right.
     *
     * Prepared codes hold labels, a permutation of the codes of each sub-vector:
     * labels [M][256] are those of an earlier prepare_codebook, or NULL to have
     * them chosen; PQK_INVALID_ARGUMENT if two codes share one.  labels_of gives
     * them back.  A label that no code has is not used; where every code is its
     * own label both may be NULL.
     */
    size_t (*codebook_bytes)(const pqk_codebook *shape);
    pqk_status (*prepare_codebook)(const pqk_codebook *codebook,
                                   const uint8_t *labels, unsigned cpu,
                                   void *prepared_codebook);
    const uint8_t *(*labels_of)(const void *prepared_codebook);

    /* At most 1.25 * M bytes a code plus a constant.  Codes are below
     * num_centroids. */
    size_t (*codes_bytes)(const pqk_codebook *shape, size_t num_vectors);
    pqk_status (*prepare_codes)(const void *prepared_codebook,
                                const uint8_t *codes, size_t num_vectors,
                                void *prepared_codes);

    /* Where they are in there; the same for every codebook of a shape.  Codes from
     * a file are safe to probe if each row is there once, whatever else the file
     * put into their bytes. */
    struct pqk_code_layout (*code_layout)(const pqk_codebook *shape,
                                          size_t num_vectors);

    /* The row-major codes back, every byte as it was given. */
    void (*restore_codes)(const void *prepared_codebook,
                          const void *prepared_codes, size_t num_vectors,
                          uint8_t *codes);

    /* Tables and all scratch that a probe of num_queries queries needs.  queries
     * are [num_queries][M * d].  heaps [num_queries] are only looked at: where they
     * have a bound, a variant may make tables that suit few results, and a probe
     * with other heaps is right as well. */
    size_t (*tables_bytes)(const pqk_codebook *shape, size_t num_queries);
    void (*compute_tables)(const void *prepared_codebook, pqk_metric metric,
                           const float *queries, size_t num_queries,
                           const pqk_top_k_heap *heaps, void *tables);

    /*
     * One pass over a partition for all queries.  Row i has id first_id + i.
     * heaps[q] may already hold results of other partitions, which compete.  Its
     * bound may be set lower than those results make it: then no key above it is
     * wanted, even while fewer than k are held.  filter is NULL if all rows may be
     * results.
     * Adds to stats; sets stats->bound_groups.
     *
     * share is NULL if one thread probes all.  Otherwise each thread has tables,
     * heaps without results and stats of its own, and scans the pieces that it
     * takes: the heaps of all together hold the results.  Asks a predicate of some
     * rows more than once.
     */
    void (*probe)(const void *prepared_codebook, const void *prepared_codes,
                  size_t num_vectors, uint32_t first_id,
                  const struct pqk_filter *filter, void *tables,
                  size_t num_queries, pqk_top_k_heap *heaps,
                  pqk_search_stats *stats, struct pqk_share *share);

    /*
     * Encoding one sub-vector: of 256 centroids [d][256], 64-byte aligned and
     * +inf where there are fewer, the first of those at the smallest distance,
     * rounded as in a table; 0 if none is at a finite distance.  Row i's values
     * are at rows + i * row_stride, its code goes to codes[i * code_stride].
     */
    void (*nearest_centroids)(const float *centroids, size_t d,
                              const float *rows, size_t num_rows,
                              size_t row_stride, uint8_t *codes,
                              size_t code_stride);
};

/* pqk_kernel_scalar and the others, as far as this build has them. */
#define PQK_DECLARE_KERNEL(name, needs, built)                                 \
    extern const struct pqk_kernel pqk_kernel_##name;
PQK_VARIANTS(PQK_DECLARE_KERNEL)
#undef PQK_DECLARE_KERNEL

#endif
