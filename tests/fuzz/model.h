/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a collection must be: ids with their codes, in ascending order, and a
 * plain scan over all of them.
 */
#ifndef PQK_FUZZ_MODEL_H
#define PQK_FUZZ_MODEL_H

#include "pqkern.h"

struct model {
    const pqk_quantizer *quantizer; /* somebody else's */
    size_t num_rows, capacity;
    uint64_t *ids;
    uint8_t *codes; /* [num_rows][M] */
};

void model_free(struct model *model);

/* Where id is, or would have to be. */
size_t model_place(const struct model *model, uint64_t id);
int model_has(const struct model *model, uint64_t id);

void model_add(struct model *model, uint64_t id, const uint8_t *code);
void model_remove(struct model *model, uint64_t id);

/* Reads all of a collection that is not expected to be anything; its quantizer
 * becomes the model's.  NULL, or what is wrong with it; ids that are there more
 * than once are not, and make *distinct 0. */
const char *model_read(struct model *model, const pqk_collection *collection,
                       int *distinct);

/* NULL, or how a collection's size, ids and codes are not the model's. */
const char *model_compare(const struct model *model,
                          const pqk_collection *collection);

/* A search for the k nearest, and one for all up to the k-th. */
struct model_search {
    const float *queries;
    size_t num_queries, k;
    const pqk_search_options *options;
};

/* NULL, or how what a collection finds is not what a plain scan finds. */
const char *model_compare_search(const struct model *model,
                                 const pqk_collection *collection,
                                 const struct model_search *search);

#endif
