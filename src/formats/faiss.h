/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Index files of Faiss, as far as they hold product-quantization codes of 8 bits
 * and nothing else: IndexPQ, alone or within an IndexIDMap.  Little-endian:
 *
 *     "IxPq"                       4 bytes
 *     d                            i32
 *     ntotal                       i64
 *     nothing of use               2 x i64
 *     is_trained                   u8
 *     metric                       i32: 0 inner product, 1 squared L2
 *     d, M, nbits                  3 x u64
 *     centroids                    u64 count, f32 [M][256][d / M]
 *     codes                        u64 count, u8 [ntotal][M]
 *     how to search                i32, u8, i32
 *
 * An IndexIDMap is "IxMp" or "IxM2", such fields from d to metric, its index,
 * then the ids: u64 count, i64 [ntotal].
 */
#ifndef PQF_FAISS_H
#define PQF_FAISS_H

#include "output.h"
#include "source.h"

#define PQF_FAISS_CENTROIDS       256 /* per sub-vector: 8 bits */
#define PQF_FAISS_MAX_SUB_VECTORS 256

enum pqf_faiss_metric { PQF_FAISS_INNER_PRODUCT = 0, PQF_FAISS_L2 = 1 };

/* What is in a file. */
struct pqf_faiss_shape {
    size_t dim;
    size_t num_sub_vectors;
    uint64_t num_rows;
    enum pqf_faiss_metric metric;
    int has_ids; /* else row i has id i */
};

/* An open file. */
struct pqf_faiss {
    struct pqf_faiss_shape shape;
    struct pqf_source source;
    uint64_t centroids, codes, ids; /* where they begin */
};

/* Whether a file begins as a Faiss index of any kind that has a name of Ix.. or
 * Iw..; 0, too, if it cannot be read. */
int pqf_faiss_looks_like(const char *path);

/* On failure there is nothing to close. */
int pqf_faiss_open(const char *path, struct pqf_faiss *faiss,
                   struct pqf_error *err);

void pqf_faiss_close(struct pqf_faiss *faiss);

/* centroids: [M][256][d / M], finite */
int pqf_faiss_read_centroids(const struct pqf_faiss *faiss, float *centroids,
                             struct pqf_error *err);

/* Rows first .. first + count - 1, which must exist; ids only if it has some. */
int pqf_faiss_read_codes(const struct pqf_faiss *faiss, uint64_t first,
                         size_t count, uint8_t *codes, struct pqf_error *err);
int pqf_faiss_read_ids(const struct pqf_faiss *faiss, uint64_t first,
                       size_t count, uint64_t *ids, struct pqf_error *err);

/* Write what precedes the codes [num_rows][M], what follows them and, if there
 * are ids, what precedes these. */
void pqf_faiss_write_head(struct pqf_output *out,
                          const struct pqf_faiss_shape *shape,
                          const float *centroids);
void pqf_faiss_write_tail(struct pqf_output *out,
                          const struct pqf_faiss_shape *shape);

#endif
