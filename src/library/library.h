/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What index.c and search.c share. */
#ifndef PQK_LIBRARY_H
#define PQK_LIBRARY_H

#include "kernels.h"

struct pqk_partition {
    size_t num_vectors;
    uint32_t first_id;
    void *codes; /* prepared */
};

struct pqk_index {
    const pqk_kernel *kernel;
    pqk_codebook codebook; /* centroids are owned */
    void *prepared_codebook;
    struct pqk_partition *partitions;
    size_t num_partitions;
    size_t partitions_capacity;
    size_t num_vectors;
    size_t bytes;
};

/* 64-byte aligned and at least one byte, or NULL; to be freed with free(). */
void *pqk_aligned_alloc(size_t bytes);

/* 1 if a and b are countable together. */
int pqk_product_fits(size_t a, size_t b);

#endif
