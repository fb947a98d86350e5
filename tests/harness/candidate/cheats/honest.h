/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * As much of libpqkern as the judge calls, in the plainest C: honest, exact and
 * slow.  It has hooks for those who are not honest; see cheats.c.
 */
#ifndef HONEST_H
#define HONEST_H

#include "pqkern.h"

/* What one cheat does, and when; NULL for what it leaves honest. */
struct hooks {
    const char *name;
    void (*load)(void); /* when the library is loaded */
    void (*add)(pqk_index *index, uint8_t *codes);
    void (*tables)(pqk_scanner *search, float *query);
    void (*probe)(pqk_scanner *search); /* instead of scan() */
    /* Before row-major codes are scanned. */
    void (*rows)(const float *entries, uint8_t *codes);
    void (*results)(pqk_scanner *search, pqk_row_result *neighbors,
                    size_t *count);
};

extern const struct hooks *hooks;

struct pqk_index {
    pqk_codebook codebook;
    float *centroids;
    const uint8_t *codes;
    size_t num_vectors;
    size_t partitions, *ends;
    unsigned calls; /* for the cheats */
    size_t more;    /* bytes, for one of them */
};

/* One query; a search is an array of them. */
struct pqk_scanner {
    pqk_index *index;
    size_t max_queries, num_queries; /* of the array, in its first element */
    const float *query;
    size_t k, length;
    size_t first, end; /* rows to be scanned next */
    float *entries;
    pqk_row_result *best; /* sorted */
};

/* Entries of sub-vector m begin at m times PQK_TABLE_STRIDE. */
void make_table(const float *query, const pqk_codebook *shape, float *entries);

/* Scans the rows of the search that are next; looks at the first sub-vectors
 * alone if told so. */
void scan(pqk_scanner *search, size_t num_sub_vectors);

#endif
