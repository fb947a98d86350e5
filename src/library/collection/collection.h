/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A collection: what its parts, each a file here, share. */
#ifndef PQK_COLLECTION_H
#define PQK_COLLECTION_H

#include "base/team.h"
#include "library/file.h"
#include "partition.h"
#include "tail.h"

struct pqk_collection {
    pqk_quantizer *quantizer;
    struct pqk_prepared prepared;
    struct pqk_rows *partitions; /* none empty */
    size_t num_partitions;
    size_t partitions_capacity;
    struct pqk_tail tail;
    uint64_t next_id;          /* above the largest that there has been */
    size_t max_partition_rows; /* of those made here */
    size_t max_tail_rows;
    struct pqk_mapping mapping;
    struct pqk_team *team; /* of searches; NULL if there was no memory */
};

/* Takes the quantizer and, with labels that may be NULL, prepares it. */
pqk_status pqk_collection_new(pqk_quantizer *quantizer,
                              const pqk_kernel *kernel, const uint8_t *labels,
                              pqk_collection **collection);

/* Other sizes than the usual ones, before anything is added: for tests. */
void pqk_collection_set_sizes(pqk_collection *collection,
                              size_t max_partition_rows, size_t max_tail_rows);

/* Room for `more` partitions. */
pqk_status pqk_collection_reserve(pqk_collection *collection, size_t more);

/* The last partition takes the place of one that is freed. */
void pqk_collection_drop(pqk_collection *collection, size_t p);

/* Adds sorted rows for which the tail has no room. */
pqk_status pqk_collection_add_beyond_tail(pqk_collection *collection,
                                          const struct pqk_row *rows,
                                          size_t num_rows, size_t num_threads);

/* Small partitions go back into the tail, as far as it has room. */
pqk_status pqk_collection_reopen_tail(pqk_collection *collection);

/* Rows of the largest partition or the tail. */
size_t pqk_collection_max_rows(const pqk_collection *collection);

/* How many of the sought rows, which are sorted, are there. */
size_t pqk_collection_count(const pqk_collection *collection,
                            const struct pqk_row *sought, size_t num_sought);

#endif
