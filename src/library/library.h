/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What index.c and search.c share. */
#ifndef PQK_LIBRARY_H
#define PQK_LIBRARY_H

#include "prepared.h"

struct pqk_partition {
    size_t num_vectors;
    uint32_t first_id;
    void *codes; /* prepared */
};

struct pqk_index {
    struct pqk_prepared prepared; /* whose centroids are owned */
    struct pqk_partition *partitions;
    size_t num_partitions;
    size_t partitions_capacity;
    size_t num_vectors;
    size_t bytes;
};

#endif
