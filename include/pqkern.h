/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/**
 * \file        pqkern.h
 * \brief       Exact product-quantization (PQ) distance scans
 *
 * A vector of M * d float32 values is cut into M sub-vectors of d values, and
 * each is replaced by the number of its nearest centroid, one byte.  A query
 * builds one table of its squared distances to all centroids; the distance to
 * a code is the sum of M table entries (asymmetric distance computation, Jégou,
 * Douze and Schmid, "Product Quantization for Nearest Neighbor Search", 2011).
 *
 * A pqk_quantizer has the centroids, a pqk_collection the codes, under ids of the
 * caller's: begin with pqk_quantizer_train, pqk_collection_create,
 * pqk_collection_add and pqk_collection_search.  Below them is a level for search
 * engines that have lists of their own, which speaks of rows and their numbers.
 *
 * Numbers are part of the contract.  A table entry is the float32 sum, over
 * the sub-vector's dimensions in ascending order from 0.0f, of (q - c) * (q - c),
 * each operation rounded once and none fused.  A distance is the float32 sum of
 * the M entries in ascending order from 0.0f.  Results are ordered by
 * (distance, id), NaN after +inf.  Every variant on every CPU returns the same
 * ids and the same distance bits; a NaN is returned as 0x7fc00000, and -0 as 0.
 *
 * Parameters come in one order: the object; inputs, arrays before the count of
 * their elements, k and other limits last; options, which are a kernel variant,
 * threads, flags, or a structure of them; what is filled.
 *
 * Structures can grow without breaking programs, since they have reserved members.
 * Zero a structure before you fill it, by an initializer that names members or by
 * memset(): a reserved member that is not 0 asks for what only a later library
 * knows, and gets PQK_INVALID_ARGUMENT.  Where the library fills a structure, they
 * are 0.
 *
 * Thread safety: functions without state may be called from any thread; each object
 * says what may be done with it at a time.
 *
 * A function with a status checks its pointers for NULL.  One without takes none,
 * but where it says so.
 *
 * The caller's floating-point environment must be the default one (round to
 * nearest, subnormals kept).  Arrays need the alignment of their elements, no
 * other; they are the caller's and are not kept after a call unless it says so.
 */
#ifndef PQKERN_H
#define PQKERN_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(PQK_BUILD) && defined(__GNUC__)
#define PQK_API __attribute__((visibility("default")))
#else
#define PQK_API
#endif

/* A status that nobody looks at, and a NULL where there is no status to tell it by,
 * draw a warning. */
#ifdef __GNUC__
#define PQK_MUST_USE     __attribute__((warn_unused_result))
#define PQK_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#else
#define PQK_MUST_USE
#define PQK_NONNULL(...)
#endif

/* ------------------------------------------------------------------------ */
/* Version and status                                                       */
/* ------------------------------------------------------------------------ */

#define PQKERN_VERSION_MAJOR 0
#define PQKERN_VERSION_MINOR 1
#define PQKERN_VERSION_PATCH 0

/** \brief The header's version as a number that grows: 100 is 0.1.0 */
#define PQKERN_VERSION                                                             \
    (PQKERN_VERSION_MAJOR * 10000 + PQKERN_VERSION_MINOR * 100 +                   \
     PQKERN_VERSION_PATCH)

/** \brief      The library's version, "MAJOR.MINOR.PATCH" */
PQK_API const char *pqk_version(void);

/** \brief      The library's version as a number, to be compared with
 *              PQKERN_VERSION, which is that of the header a program was compiled
 *              with */
PQK_API uint32_t pqk_version_number(void);

/**
 * \brief What a call came to; 0 is success
 *
 * On failure no object is changed, and pointers, counts and structures that a
 * call would have set are untouched.  Arrays that it was to fill, and a search's
 * counts and statistics, may hold anything.
 */
typedef enum pqk_status {
    PQK_OK = 0,
    PQK_INVALID_ARGUMENT = 1,   /**< a pointer, size or shape out of its range */
    PQK_OUT_OF_MEMORY = 2,
    PQK_UNKNOWN_KERNEL = 3,     /**< no variant of that name exists anywhere */
    PQK_KERNEL_UNAVAILABLE = 4, /**< not in this build, or not on this CPU */
    PQK_IO_ERROR = 5,           /**< errno tells more */
    PQK_BAD_FILE = 6,           /**< of another kind, truncated, altered or
                                     contradictory */
    PQK_NEWER_FILE = 7,         /**< of a format that a later version writes */
    PQK_DUPLICATE_ID = 8,       /**< an id is there already, or given twice */
    PQK_CANCELLED = 9,          /**< a progress function said so */
    PQK_BUSY = 10               /**< another thread is using it */
} pqk_status;

/**
 * \brief       A sentence for a status
 * \return      a constant string, never NULL, also for an unknown value
 */
PQK_API const char *pqk_status_string(pqk_status status);

/* ------------------------------------------------------------------------ */
/* Objects                                                                  */
/* ------------------------------------------------------------------------ */

/** \brief A codebook and its metric; immutable, so any number of threads may use
 *         one */
typedef struct pqk_quantizer pqk_quantizer;

/**
 * \brief       Codes of vectors under 64-bit ids: to be added to, removed from,
 *              searched, saved and mapped
 *
 * The codes are kept in partitions, prepared for scanning; rows that were added
 * lately wait in a small part of their own until they fill one.  None of it shows
 * in results, which are those of a plain scan over all rows, to the bit, in
 * (distance, id) order.
 *
 * Thread safety: any number of threads may search one collection, and call what
 * takes it as const; whoever changes it must be alone with it.  After fork() a
 * child may use and free it, if no other thread was using it then.
 */
typedef struct pqk_collection pqk_collection;

/** \brief One variant of the kernels: "scalar", "neon", "ssse3", "avx2",
 *         "avx512" or "avx512vbmi"; constant, never freed */
typedef struct pqk_kernel pqk_kernel;

/**
 * \brief       The level below: codes in one or more partitions, laid out for one
 *              variant
 *
 * A flat index has one partition; an inverted file (IVF) has many, which share
 * the prepared codebook.  Rows are counted through the partitions in the order of
 * pqk_index_add: the first partition's are 0 .. n0 - 1, the next one's
 * n0 .. n0 + n1 - 1, and so on.
 *
 * Thread safety: any number of threads may search one index, each with a
 * pqk_scanner of its own, as long as nobody adds to it or frees it.
 */
typedef struct pqk_index pqk_index;

/**
 * \brief       The level below: scratch memory for queries on one index
 *
 * Thread safety: one thread at a time.  Of two that use one at once, the second
 * gets PQK_BUSY, and the first goes on as if alone; nobody may free it meanwhile.
 */
typedef struct pqk_scanner pqk_scanner;

/* ------------------------------------------------------------------------ */
/* Quantizers                                                               */
/* ------------------------------------------------------------------------ */

/** \brief Bounds on a shape: M and the number of centroids */
#define PQK_MAX_SUB_VECTORS 256
#define PQK_MAX_CENTROIDS 256

/** \brief What near means; smaller distances are nearer under each */
typedef enum pqk_metric {
    PQK_L2 = 0,            /**< the squared Euclidean distance */
    PQK_INNER_PRODUCT = 1, /**< minus the inner product: a table entry is minus the
                                float32 sum, in ascending order, of q * c */
    PQK_COSINE = 2         /**< the same of vectors that are scaled to length 1 when
                                they are trained on, encoded or searched for: each
                                value is divided by the square root of the sum of
                                squares, in ascending order, in float64, and rounded
                                to float32; a vector without a direction (zero, not
                                finite) stays as it is */
} pqk_metric;

/**
 * \brief       Called now and then during long work, by one thread at a time
 * \param       context  the caller's
 * \param       done     of total, both in a unit that only their ratio shows
 * \return      0 to go on, anything else to stop: the work ends with
 *              PQK_CANCELLED
 */
typedef int (*pqk_progress)(void *context, uint64_t done, uint64_t total);

/** \brief How to train; all zeros but dim and num_sub_vectors is a good choice */
typedef struct pqk_training {
    size_t dim;              /**< of a vector; a multiple of num_sub_vectors */
    size_t num_sub_vectors;  /**< M, the bytes of a code, 1 to 256 */
    size_t num_centroids;    /**< per sub-vector; 0 means 256 */
    pqk_metric metric;
    uint32_t reserved_int1;
    size_t rounds;           /**< of Lloyd's algorithm; 0 means 25 */
    uint64_t seed;           /**< same seed and vectors, same codebook, on every
                                  machine and for any number of threads */
    size_t max_vectors;      /**< train on a random sample of at most so many;
                                  0 means 256 per centroid */
    size_t num_threads;      /**< 0 means 1 */
    pqk_progress progress;   /**< or NULL */
    void *progress_context;
    uint64_t reserved_int2;
    uint64_t reserved_int3;
    void *reserved_ptr1;
    void *reserved_ptr2;
} pqk_training;

/**
 * \brief       Train a quantizer: k-means for each sub-vector (Jégou, Douze and
 *              Schmid, 2011)
 * \param[in]   vectors      [num_vectors][dim], finite
 * \param       num_vectors  at least 1; with fewer than centroids, some centroids
 *                           are copies
 * \param[in]   training
 * \param[out]  quantizer    to be freed with pqk_quantizer_free; untouched on
 *                           failure
 * \return      PQK_OK, PQK_OUT_OF_MEMORY, PQK_CANCELLED, or PQK_INVALID_ARGUMENT,
 *              also if the centroids come out as not finite
 */
PQK_API pqk_status pqk_quantizer_train(const float *vectors, size_t num_vectors,
                                       const pqk_training *training,
                                       pqk_quantizer **quantizer) PQK_MUST_USE;

/** \brief A codebook, seen but not owned */
typedef struct pqk_codebook {
    size_t num_sub_vectors;  /**< M, 1 to 256 */
    size_t num_centroids;    /**< per sub-vector, 1 to 256 */
    size_t sub_vector_dim;   /**< d, at least 1 */
    const float *centroids;  /**< [M][num_centroids][d] */
    uint64_t reserved_int1;
    uint64_t reserved_int2;
    void *reserved_ptr1;
    void *reserved_ptr2;
} pqk_codebook;

/**
 * \brief       Make a quantizer of centroids from elsewhere
 * \param[in]   codebook   copied; its values must be finite
 * \param       metric
 * \param[out]  quantizer  to be freed with pqk_quantizer_free; untouched on failure
 * \return      PQK_OK, PQK_INVALID_ARGUMENT or PQK_OUT_OF_MEMORY
 */
PQK_API pqk_status pqk_quantizer_create(const pqk_codebook *codebook,
                                        pqk_metric metric,
                                        pqk_quantizer **quantizer) PQK_MUST_USE;

/** \brief      Free a quantizer; NULL is allowed */
PQK_API void pqk_quantizer_free(pqk_quantizer *quantizer);

/** \brief      Values of a vector, M * d */
PQK_API size_t pqk_quantizer_dim(const pqk_quantizer *quantizer) PQK_NONNULL(1);

/** \brief      The metric that it was made for */
PQK_API pqk_metric pqk_quantizer_metric(const pqk_quantizer *quantizer)
    PQK_NONNULL(1);

/** \brief      Shape and centroids, which are valid as long as the quantizer */
PQK_API void pqk_quantizer_codebook(const pqk_quantizer *quantizer,
                                    pqk_codebook *codebook) PQK_NONNULL(1, 2);

/**
 * \brief       Encode vectors: the first nearest centroid of each sub-vector, by
 *              squared L2 distance under each metric
 * \param[in]   quantizer
 * \param[in]   vectors      [num_vectors][dim]; a NaN sub-vector gets code 0
 * \param       num_vectors
 * \param       num_threads  0 means 1; the result does not depend on it
 * \param[out]  codes        [num_vectors][M]; part of them may be written on
 *                           failure
 * \return      PQK_OK, PQK_INVALID_ARGUMENT or PQK_OUT_OF_MEMORY
 */
PQK_API pqk_status pqk_quantizer_encode(const pqk_quantizer *quantizer,
                                        const float *vectors,
                                        size_t num_vectors, size_t num_threads,
                                        uint8_t *codes) PQK_MUST_USE;

/**
 * \brief       Decode: the centroids that codes name
 * \param[in]   quantizer
 * \param[in]   codes        [num_vectors][M], every byte below num_centroids, else
 *                           PQK_INVALID_ARGUMENT
 * \param       num_vectors
 * \param[out]  vectors      [num_vectors][dim]
 * \return      PQK_OK or PQK_INVALID_ARGUMENT
 *
 * It copies, which one thread does as fast as the memory allows.
 */
PQK_API pqk_status pqk_quantizer_decode(const pqk_quantizer *quantizer,
                                        const uint8_t *codes,
                                        size_t num_vectors,
                                        float *vectors) PQK_MUST_USE;

/** \brief What encoding loses */
typedef struct pqk_quantizer_error {
    double mean_squared;  /**< squared L2 distance from a vector to its decoding,
                               averaged over the vectors */
    double relative;      /**< the same as a share of their variance: 0 is
                               lossless, 1 no better than their mean; inf if
                               equal vectors lose anything */
    float largest;        /**< the largest squared distance */
    uint32_t reserved_int1;
    uint64_t reserved_int2;
    uint64_t reserved_int3;
} pqk_quantizer_error;

/**
 * \brief       Measure what encoding loses on some vectors
 * \param[in]   quantizer
 * \param[in]   vectors      [num_vectors][dim], finite, which is not checked: other
 *                           values make the numbers meaningless; under PQK_COSINE
 *                           they are scaled first
 * \param       num_vectors  at least 1
 * \param       num_threads  0 means 1; the result does not depend on it
 * \param[out]  error        untouched on failure
 * \return      PQK_OK, PQK_INVALID_ARGUMENT or PQK_OUT_OF_MEMORY
 */
PQK_API pqk_status pqk_quantizer_measure(const pqk_quantizer *quantizer,
                                         const float *vectors,
                                         size_t num_vectors, size_t num_threads,
                                         pqk_quantizer_error *error) PQK_MUST_USE;

/**
 * \brief       Write a quantizer
 * \param[in]   quantizer
 * \param[in]   path   written beside, synchronised and renamed, so that a failure
 *                     or a crash leaves what was there
 * \return      PQK_OK, PQK_IO_ERROR with errno, or PQK_OUT_OF_MEMORY
 *
 * A file that is replaced hands on its permissions, but not its owner; a symbolic
 * link to a file stays, and the file is replaced.  What is no regular file is left
 * alone: PQK_IO_ERROR with EISDIR or EINVAL.  A file's name may have 21 bytes less
 * than the longest one, 234 where that has 255.  If only the folder cannot be
 * synchronised at the end, the new file is in place, and the call returns
 * PQK_IO_ERROR: the file may be the old one again after a crash.  A process that is
 * killed may leave a file path.*.tmp, which nobody needs.
 */
PQK_API pqk_status pqk_quantizer_save(const pqk_quantizer *quantizer,
                                      const char *path) PQK_MUST_USE;

/**
 * \brief       Read the quantizer of a quantizer's or a collection's file
 * \param[in]   path
 * \param[out]  quantizer  to be freed with pqk_quantizer_free; untouched on failure
 * \return      PQK_OK, PQK_IO_ERROR with errno, PQK_BAD_FILE, PQK_NEWER_FILE or
 *              PQK_OUT_OF_MEMORY
 */
PQK_API pqk_status pqk_quantizer_load(const char *path,
                                      pqk_quantizer **quantizer) PQK_MUST_USE;

/* ------------------------------------------------------------------------ */
/* Collections: codes under ids of one's own                                */
/* ------------------------------------------------------------------------ */

/** \brief No vector's id; fills what a search did not find */
#define PQK_NO_ID UINT64_MAX

/**
 * \brief       Make an empty collection
 * \param[in]   quantizer   copied
 * \param       kernel      a variant, or NULL for pqk_kernel_find(NULL)
 * \param[out]  collection  to be freed with pqk_collection_free; untouched on
 *                          failure
 * \return      PQK_OK, PQK_INVALID_ARGUMENT, PQK_OUT_OF_MEMORY,
 *              PQK_KERNEL_UNAVAILABLE, or what pqk_kernel_find(NULL) says
 */
PQK_API pqk_status pqk_collection_create(const pqk_quantizer *quantizer,
                                         const pqk_kernel *kernel,
                                         pqk_collection **collection) PQK_MUST_USE;

/** \brief      Free a collection and unmap its file; NULL is allowed */
PQK_API void pqk_collection_free(pqk_collection *collection);

/**
 * \brief       Encode and add vectors
 * \param       collection
 * \param[in]   vectors      [num_vectors][dim]
 * \param[in]   ids          [num_vectors], none twice, none there already, none
 *                           PQK_NO_ID; or NULL for the numbers that follow the
 *                           largest id so far, removed ones included, from 0
 *                           on: PQK_INVALID_ARGUMENT if they reach PQK_NO_ID
 * \param       num_vectors
 * \param       num_threads  0 means 1; the result does not depend on it
 * \return      PQK_OK, PQK_DUPLICATE_ID, PQK_INVALID_ARGUMENT or
 *              PQK_OUT_OF_MEMORY; on failure nothing was added
 */
PQK_API pqk_status pqk_collection_add(pqk_collection *collection,
                                      const float *vectors, const uint64_t *ids,
                                      size_t num_vectors,
                                      size_t num_threads) PQK_MUST_USE;

/**
 * \brief       Add codes
 * \param       collection
 * \param[in]   codes        [num_vectors][M], every byte below num_centroids
 * \param[in]   ids          as for pqk_collection_add
 * \param       num_vectors
 * \param       num_threads  0 means 1; partitions are prepared in parallel
 * \return      as pqk_collection_add
 */
PQK_API pqk_status pqk_collection_add_codes(pqk_collection *collection,
                                            const uint8_t *codes,
                                            const uint64_t *ids,
                                            size_t num_vectors,
                                            size_t num_threads) PQK_MUST_USE;

/**
 * \brief       Remove vectors
 * \param       collection
 * \param[in]   ids          those that are not there are passed over
 * \param       num_ids
 * \param[out]  num_removed  how many were there; may be NULL
 * \return      PQK_OK, PQK_INVALID_ARGUMENT or PQK_OUT_OF_MEMORY; on failure
 *              nothing was removed
 */
PQK_API pqk_status pqk_collection_remove(pqk_collection *collection,
                                         const uint64_t *ids, size_t num_ids,
                                         size_t *num_removed) PQK_MUST_USE;

/* ------------------------------------------------------------------------ */
/* Collections: searching                                                   */
/* ------------------------------------------------------------------------ */

/** \brief A vector found */
typedef struct pqk_result {
    uint64_t id;
    float distance;     /**< as the metric says */
    uint32_t reserved;  /**< 0, so that equal results are equal bytes */
} pqk_result;

/** \brief      Whether a vector may be a result; asked only of those that are near
 *              enough, by several threads at once if the search has several, and
 *              sometimes more than once, so the answer must stay the same */
typedef int (*pqk_predicate)(void *context, uint64_t id);

/** \brief What a search did, or the probes since pqk_scanner_begin */
typedef struct pqk_search_stats {
    const char *kernel;      /**< the variant's name */
    uint32_t bound_groups;   /**< groups per sub-vector of the filter's last bound:
                                  16, 64, 128 or 256; 0 when nothing filtered */
    uint64_t codes;          /**< codes times queries that were decided */
    uint64_t survivors;      /**< of these, how many were summed in float32 */
    uint64_t bytes_read;     /**< of the prepared codes; a pass over them for
                                  several queries counts once */
    uint64_t reserved_int1;
    uint64_t reserved_int2;
    uint64_t reserved_int3;
    uint64_t reserved_int4;
} pqk_search_stats;

/** \brief How to search; all zeros is a good choice */
typedef struct pqk_search_options {
    size_t num_threads;       /**< 0 means 1; results do not depend on it.  They
                                   share groups of 16 queries, partitions, and, with
                                   32,768 vectors or more for each, one query in one
                                   partition.  The collection keeps the threads for
                                   its next search, until it is freed */
    const uint64_t *allowed;  /**< bit id % 64 of word id / 64 says whether id may
                                   be a result; NULL if all may */
    size_t num_allowed;       /**< bits in it; ids beyond are not allowed */
    pqk_predicate predicate;  /**< the same, by asking; NULL if all may.  With both,
                                   a result is one that both allow */
    void *predicate_context;
    pqk_search_stats *stats;  /**< what the search did; may be NULL */
    uint64_t reserved_int1;
    uint64_t reserved_int2;
    void *reserved_ptr1;
    void *reserved_ptr2;
    void *reserved_ptr3;
    void *reserved_ptr4;
} pqk_search_options;

/**
 * \brief       Find the k nearest to each query
 * \param[in]   collection
 * \param[in]   queries      [num_queries][dim]
 * \param       num_queries  many at a time share the reading of the codes
 * \param       k            at most 2^31
 * \param[in]   options      NULL for all zeros
 * \param[out]  results      [num_queries][k], each row in (distance, id) order,
 *                           filled up with PQK_NO_ID and a distance of NaN
 * \param[out]  counts       [num_queries], how many were found; may be NULL
 * \return      PQK_OK, PQK_INVALID_ARGUMENT or PQK_OUT_OF_MEMORY
 */
PQK_API pqk_status pqk_collection_search(const pqk_collection *collection,
                                         const float *queries,
                                         size_t num_queries, size_t k,
                                         const pqk_search_options *options,
                                         pqk_result *results,
                                         size_t *counts) PQK_MUST_USE;

/**
 * \brief       Find all within a distance of a query
 * \param[in]   collection
 * \param[in]   query      dim values
 * \param       radius     results are at most so distant, equality included; a NaN
 *                         finds nothing
 * \param[in]   options    NULL for all zeros
 * \param[out]  results    in (distance, id) order, to be freed with free(); NULL if
 *                         there are none; untouched on failure
 * \param[out]  count      how many
 * \return      PQK_OK, PQK_INVALID_ARGUMENT or PQK_OUT_OF_MEMORY
 */
PQK_API pqk_status pqk_collection_search_range(
    const pqk_collection *collection, const float *query, float radius,
    const pqk_search_options *options, pqk_result **results,
    size_t *count) PQK_MUST_USE;

/* ------------------------------------------------------------------------ */
/* Collections: looking at what is there                                    */
/* ------------------------------------------------------------------------ */

/** \brief      Vectors that are there */
PQK_API size_t pqk_collection_size(const pqk_collection *collection)
    PQK_NONNULL(1);

/** \brief      1 if a vector of that id is there */
PQK_API int pqk_collection_contains(const pqk_collection *collection,
                                    uint64_t id) PQK_NONNULL(1);

/**
 * \brief       List ids in ascending order
 * \param[in]   collection
 * \param       from     list ids that are not below this: 0 to begin, then the last
 *                       one that was written, plus 1
 * \param       max_ids
 * \param[out]  ids      room for max_ids; may be NULL if that is 0
 * \return      how many were written; fewer than max_ids if there are no more
 */
PQK_API size_t pqk_collection_ids(const pqk_collection *collection,
                                  uint64_t from, size_t max_ids,
                                  uint64_t *ids) PQK_NONNULL(1);

/**
 * \brief       Get codes back
 * \param[in]   collection
 * \param[in]   ids      [num_ids]
 * \param       num_ids
 * \param[out]  codes    [num_ids][M]; part of them may be written on failure
 * \return      PQK_OK, PQK_OUT_OF_MEMORY, or PQK_INVALID_ARGUMENT, also if an id is
 *              not there
 */
PQK_API pqk_status pqk_collection_codes(const pqk_collection *collection,
                                        const uint64_t *ids, size_t num_ids,
                                        uint8_t *codes) PQK_MUST_USE;

/** \brief      Bytes that codes and ids take, mapped ones included: what is not yet
 *              in a partition, and what was removed since, counts, so that a saved
 *              and opened collection may take less */
PQK_API size_t pqk_collection_bytes(const pqk_collection *collection)
    PQK_NONNULL(1);

/** \brief      The variant that it is laid out for */
PQK_API const pqk_kernel *
pqk_collection_kernel(const pqk_collection *collection) PQK_NONNULL(1);

/** \brief      Its quantizer, valid as long as the collection */
PQK_API const pqk_quantizer *
pqk_collection_quantizer(const pqk_collection *collection) PQK_NONNULL(1);

/* ------------------------------------------------------------------------ */
/* Collections: files                                                       */
/* ------------------------------------------------------------------------ */

/**
 * \brief       Write a collection, without what was removed
 * \param[in]   collection  may be mapped from the very file at path
 * \param[in]   path        written beside, synchronised and renamed, so that a
 *                          failure or a crash leaves what was there
 * \return      PQK_OK, PQK_IO_ERROR with errno, or PQK_OUT_OF_MEMORY
 *
 * Files are replaced as by pqk_quantizer_save.  If two programs open, change and
 * save one file at a time, the last one wins; pqkern(1) says how commands avoid it.
 */
PQK_API pqk_status pqk_collection_save(const pqk_collection *collection,
                                       const char *path) PQK_MUST_USE;

/**
 * \brief Do not read codes and ids when opening: what they hold is not checked
 *
 * Then it depends on the file whether memory is accessed within its bounds, so the
 * file must come from somebody who is trusted.  Damage stays unseen, and saving the
 * collection gives it checksums that fit.
 */
#define PQK_UNVERIFIED 1u

/**
 * \brief       Map a file and use it as it is, without copying
 * \param[in]   path
 * \param       kernel      a variant, or NULL for pqk_kernel_find(NULL); one with
 *                          another layout than that of the writer's makes a copy
 * \param       flags       0, or PQK_UNVERIFIED
 * \param[out]  collection  to be freed with pqk_collection_free; untouched on
 *                          failure
 * \return      PQK_OK; PQK_BAD_FILE if it is no collection, is cut short, fails a
 *              checksum or holds an id twice; PQK_NEWER_FILE; PQK_IO_ERROR with
 *              errno; PQK_INVALID_ARGUMENT; PQK_OUT_OF_MEMORY;
 *              PQK_KERNEL_UNAVAILABLE, or what pqk_kernel_find(NULL) says
 *
 * The file must not be changed while it is mapped; pqk_collection_save replaces
 * files, it does not change them.
 */
PQK_API pqk_status pqk_collection_open(const char *path,
                                       const pqk_kernel *kernel, unsigned flags,
                                       pqk_collection **collection) PQK_MUST_USE;

/* ------------------------------------------------------------------------ */
/* Reranking                                                                */
/* ------------------------------------------------------------------------ */

/**
 * \brief       Where a caller keeps an original vector
 * \return      dim values that stay until the next call, or NULL if there is none:
 *              its result keeps no place
 *
 * Called by the thread that called pqk_rerank.
 */
typedef const float *(*pqk_vector_lookup)(void *context, uint64_t id);

/**
 * \brief       Order results by the distances to the original vectors
 * \param[in]   quantizer  for dim and metric
 * \param[in]   query      dim values
 * \param       lookup
 * \param       context    for lookup
 * \param       k          how many are wanted
 * \param       results    replaced by the nearest, with exact distances: under
 *                         PQK_L2 the float32 sum, in ascending order, of the
 *                         squared differences, under the others minus that of the
 *                         products, of vectors scaled to length 1 under
 *                         PQK_COSINE
 * \param       count      how many there are; how many are left, at most k
 * \return      PQK_OK, PQK_INVALID_ARGUMENT or PQK_OUT_OF_MEMORY
 */
PQK_API pqk_status pqk_rerank(const pqk_quantizer *quantizer,
                              const float *query, pqk_vector_lookup lookup,
                              void *context, size_t k, pqk_result *results,
                              size_t *count) PQK_MUST_USE;

/* ------------------------------------------------------------------------ */
/* Kernel variants                                                          */
/* ------------------------------------------------------------------------ */

/** \brief      How many variants this build holds, available here or not */
PQK_API size_t pqk_kernel_count(void);

/**
 * \brief       The variants of this build, weakest first; number 0 is "scalar"
 * \return      NULL if position is not below pqk_kernel_count()
 */
PQK_API const pqk_kernel *pqk_kernel_at(size_t position);

/** \brief      A variant's name, a constant string */
PQK_API const char *pqk_kernel_name(const pqk_kernel *kernel) PQK_NONNULL(1);

/** \brief      1 if this CPU and its operating system can run the variant */
PQK_API int pqk_kernel_available(const pqk_kernel *kernel) PQK_NONNULL(1);

/**
 * \brief       Choose a variant
 * \param[in]   name    a variant's name; NULL or "" for the default: the one
 *                      that the environment variable PQKERN_ISA names (ignored
 *                      in set-user-ID programs), else the strongest available
 * \param[out]  kernel  the variant; untouched on failure
 * \return      PQK_OK; PQK_UNKNOWN_KERNEL or PQK_KERNEL_UNAVAILABLE when the name,
 *              or PQKERN_ISA, asks for what is not there: never another variant;
 *              PQK_INVALID_ARGUMENT if kernel is NULL
 *
 * PQKERN_ISA is read once, by the first call that needs it.
 */
PQK_API pqk_status pqk_kernel_find(const char *name,
                                   const pqk_kernel **kernel) PQK_MUST_USE;

/* ------------------------------------------------------------------------ */
/* The level below: an index, codes prepared for scanning                   */
/* ------------------------------------------------------------------------ */

/** \brief A row found */
typedef struct pqk_row_result {
    uint32_t row;    /**< its number */
    float distance;  /**< squared L2 */
} pqk_row_result;

/**
 * \brief       Make an empty index; the codebook is copied
 * \param[in]   codebook  finite or not: NaN and inf are ordinary values
 * \param       kernel    a variant, or NULL for pqk_kernel_find(NULL)
 * \param[out]  index     to be freed with pqk_index_free; untouched on failure
 * \return      PQK_OK, PQK_INVALID_ARGUMENT, PQK_OUT_OF_MEMORY,
 *              PQK_KERNEL_UNAVAILABLE, or what pqk_kernel_find(NULL) says
 */
PQK_API pqk_status pqk_index_create(const pqk_codebook *codebook,
                                    const pqk_kernel *kernel,
                                    pqk_index **index) PQK_MUST_USE;

/** \brief      Free an index; NULL is allowed */
PQK_API void pqk_index_free(pqk_index *index);

/**
 * \brief       Add one partition: all preparation happens here, none in a search
 * \param       index
 * \param[in]   codes        [num_vectors][M] row-major, copied; every byte must be
 *                           below num_centroids, else PQK_INVALID_ARGUMENT
 * \param       num_vectors  0 is allowed; all partitions together hold at most
 *                           2^32 - 1 vectors
 * \return      PQK_OK, PQK_INVALID_ARGUMENT or PQK_OUT_OF_MEMORY; on failure
 *              nothing was added
 */
PQK_API pqk_status pqk_index_add(pqk_index *index, const uint8_t *codes,
                                 size_t num_vectors) PQK_MUST_USE;

/**
 * \brief       Search all partitions for one query: begin, tables, probe, results
 * \param[in]   index
 * \param[in]   query    M * d values
 * \param       k        any; memory is taken for those that there are
 * \param[out]  results  room for k, in (distance, row) order
 * \param[out]  count    how many were written
 * \return      PQK_OK, PQK_INVALID_ARGUMENT or PQK_OUT_OF_MEMORY: it makes a
 *              scanner for the one call; for speed, keep a pqk_scanner
 */
PQK_API pqk_status pqk_index_search(const pqk_index *index, const float *query,
                                    size_t k, pqk_row_result *results,
                                    size_t *count) PQK_MUST_USE;

/** \brief      Vectors in all partitions */
PQK_API size_t pqk_index_size(const pqk_index *index) PQK_NONNULL(1);

/** \brief      Partitions added so far */
PQK_API size_t pqk_index_partitions(const pqk_index *index) PQK_NONNULL(1);

/** \brief      Bytes that the prepared codes take, without the codebook */
PQK_API size_t pqk_index_bytes(const pqk_index *index) PQK_NONNULL(1);

/** \brief      The variant that the index was laid out for */
PQK_API const pqk_kernel *pqk_index_kernel(const pqk_index *index)
    PQK_NONNULL(1);

/** \brief      The index's codebook, whose centroids are valid as long as it */
PQK_API void pqk_index_codebook(const pqk_index *index,
                                pqk_codebook *codebook) PQK_NONNULL(1, 2);

/* ------------------------------------------------------------------------ */
/* The level below: a scanner, for many queries on an index                 */
/* ------------------------------------------------------------------------ */

/**
 * \brief       Make scratch memory; nothing is allocated later
 * \param[in]   index        must outlive the scanner; partitions may be added
 *                           between searches
 * \param       max_queries  most queries at a time, at least 1
 * \param       max_k        most results per query, at most 2^32 - 1; memory
 *                           for so many is taken
 * \param[out]  scanner      to be freed with pqk_scanner_free; untouched on failure
 * \return      PQK_OK, PQK_INVALID_ARGUMENT or PQK_OUT_OF_MEMORY
 */
PQK_API pqk_status pqk_scanner_create(const pqk_index *index,
                                      size_t max_queries, size_t max_k,
                                      pqk_scanner **scanner) PQK_MUST_USE;

/** \brief      Free a scanner; NULL is allowed */
PQK_API void pqk_scanner_free(pqk_scanner *scanner);

/**
 * \brief       Begin new results: empties the heaps and the statistics
 * \param       scanner
 * \param       num_queries  1 to max_queries
 * \param       k            0 to max_k
 * \return      PQK_OK, PQK_INVALID_ARGUMENT, or PQK_BUSY if another thread is in a
 *              call with this scanner: nothing was done then
 */
PQK_API pqk_status pqk_scanner_begin(pqk_scanner *scanner, size_t num_queries,
                                     size_t k) PQK_MUST_USE;

/**
 * \brief       Build the tables of the queries that the next probes use
 * \param       scanner  begun; results that it holds stay, so that an inverted
 *                       file can give each partition its residual queries
 * \param[in]   queries  [num_queries][M * d]
 * \return      as pqk_scanner_begin
 */
PQK_API pqk_status pqk_scanner_tables(pqk_scanner *scanner,
                                      const float *queries) PQK_MUST_USE;

/**
 * \brief       Scan one partition for all queries in one pass over its codes
 * \param       scanner    with tables
 * \param       partition  below pqk_index_partitions(); its vectors compete once
 *                         more if it is probed once more
 * \return      as pqk_scanner_begin
 */
PQK_API pqk_status pqk_scanner_probe(pqk_scanner *scanner,
                                     size_t partition) PQK_MUST_USE;

/**
 * \brief       Take one query's results, nearest first; it has none afterwards
 * \param       scanner
 * \param       query    below num_queries
 * \param[out]  results  room for k, in (distance, row) order
 * \param[out]  count    how many were written: k, or fewer if fewer vectors
 *                       were probed
 * \return      as pqk_scanner_begin
 */
PQK_API pqk_status pqk_scanner_results(pqk_scanner *scanner, size_t query,
                                       pqk_row_result *results,
                                       size_t *count) PQK_MUST_USE;

/**
 * \brief       What the probes since pqk_scanner_begin did
 * \param       scanner
 * \param[out]  stats    untouched on failure
 * \return      as pqk_scanner_begin
 */
PQK_API pqk_status pqk_scanner_statistics(pqk_scanner *scanner,
                                          pqk_search_stats *stats) PQK_MUST_USE;

/* ------------------------------------------------------------------------ */
/* The level below: table, probe and top-k on codes that stay where they are */
/* ------------------------------------------------------------------------ */

/** \brief Entries a table keeps per sub-vector, whatever the codebook's size */
#define PQK_TABLE_STRIDE 256

/** \brief A distance table whose memory the caller owns */
typedef struct pqk_distance_table {
    size_t num_sub_vectors;  /**< M, 1 to 256 */
    float *entries;          /**< [M][256]; no alignment is needed */
    uint64_t reserved_int1;
    uint64_t reserved_int2;
} pqk_distance_table;

/**
 * \brief       The k best of what was pushed, in memory that the caller owns
 *
 * The members are for the library, which sets all of them in pqk_top_k_heap_init;
 * read nothing from them but k.
 *
 * Thread safety: one thread at a time, which is not checked.
 */
typedef struct pqk_top_k_heap {
    size_t k;        /**< how many are wanted */
    size_t length;   /**< how many are held, sometimes more than k */
    uint64_t bound;  /**< no key above this can be among the k best */
    uint64_t *keys;  /**< (distance, row) as one ordered integer each */
    void *reserved_ptr1;
    uint64_t reserved_int1;
} pqk_top_k_heap;

/** \brief      How many uint64_t a heap for k results needs */
PQK_API size_t pqk_top_k_heap_storage(size_t k);

/**
 * \brief       Begin an empty heap
 * \param[out]  heap
 * \param       storage  at least pqk_top_k_heap_storage(k) elements, used until
 *                       the heap is no longer needed; may be NULL if k is 0
 * \param       k        how many results are wanted; 0 holds none
 */
PQK_API void pqk_top_k_heap_init(pqk_top_k_heap *heap, uint64_t *storage,
                                 size_t k) PQK_NONNULL(1);

/** \brief      Offer one result; equal distances prefer the lower row */
PQK_API void pqk_top_k_heap_push(pqk_top_k_heap *heap, uint32_t row,
                                 float distance) PQK_NONNULL(1);

/**
 * \brief       Take the results out, nearest first; the heap is empty afterwards
 * \param       heap
 * \param[out]  results  room for k; may be NULL if that is 0
 * \return      how many were written, at most k
 */
PQK_API size_t pqk_top_k_heap_into_sorted(pqk_top_k_heap *heap,
                                          pqk_row_result *results)
    PQK_NONNULL(1);

/**
 * \brief       Squared distances of a query's sub-vectors to all centroids
 * \param[in]   query     M * d values, no alignment needed
 * \param[in]   codebook
 * \param[out]  table     num_sub_vectors is set; entries [M][256] are written,
 *                        those past num_centroids with +inf, so that a code that
 *                        names no centroid ranks behind those that do; which bits
 *                        a NaN entry has depends on the CPU
 * \return      PQK_OK; PQK_INVALID_ARGUMENT for a NULL or an impossible shape;
 *              what pqk_kernel_find(NULL) says if no variant can be chosen
 */
PQK_API pqk_status
pqk_compute_distance_table_l2(const float *query, const pqk_codebook *codebook,
                              pqk_distance_table *table) PQK_MUST_USE;

/**
 * \brief       Scan row-major codes for the nearest
 * \param[in]   table
 * \param[in]   codes        [num_vectors][M], no alignment needed; may be NULL
 *                           if num_vectors is 0
 * \param       num_vectors  at most 2^32 - 1; they are rows 0 to num_vectors - 1
 * \param       heap         initialised; what it holds already competes
 * \return      as pqk_compute_distance_table_l2
 *
 * It takes about 100 KiB of the stack.
 */
PQK_API pqk_status pqk_probe_pq_l2_top_k(const pqk_distance_table *table,
                                         const uint8_t *codes,
                                         size_t num_vectors,
                                         pqk_top_k_heap *heap) PQK_MUST_USE;

/** \brief      pqk_compute_distance_table_l2 with a chosen variant, which must be
 *              available */
PQK_API pqk_status pqk_compute_distance_table_l2_with(
    const pqk_kernel *kernel, const float *query, const pqk_codebook *codebook,
    pqk_distance_table *table) PQK_MUST_USE;

/** \brief      pqk_probe_pq_l2_top_k with a chosen variant, which must be
 *              available */
PQK_API pqk_status pqk_probe_pq_l2_top_k_with(
    const pqk_kernel *kernel, const pqk_distance_table *table,
    const uint8_t *codes, size_t num_vectors,
    pqk_top_k_heap *heap) PQK_MUST_USE;

#ifdef __cplusplus
}
#endif

#endif
