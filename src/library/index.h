/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* An index, for those who scan it. */
#ifndef PQK_INDEX_H
#define PQK_INDEX_H

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
