/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Descriptors like SIFT, any number of them: what run_experiment calls synthetic.
 *
 * Row i of a kind depends on the seed, the kind and i only, so that threads
 * make rows in parallel and the first rows of a large set are the small set.
 * Only integers and correctly rounded operations (+ - * / sqrt) make them, so
 * that they are the same bits on every machine.
 */
#ifndef PQK_SYNTHETIC_H
#define PQK_SYNTHETIC_H

#include <stddef.h>
#include <stdint.h>

#define PQK_SYNTHETIC_DIM 128

/* To be raised whenever a row would come out otherwise. */
#define PQK_SYNTHETIC_VERSION 1

enum pqk_synthetic_kind {
    PQK_SYNTHETIC_BASE,
    PQK_SYNTHETIC_LEARN,
    PQK_SYNTHETIC_QUERY
};

struct pqk_synthetic;

/* NULL if memory is out. */
struct pqk_synthetic *pqk_synthetic_create(uint64_t seed);

/* rows: [count][PQK_SYNTHETIC_DIM], integers from 0 to 255. */
void pqk_synthetic_rows(const struct pqk_synthetic *synthetic,
                        enum pqk_synthetic_kind kind, uint64_t first,
                        size_t count, float *rows);

void pqk_synthetic_free(struct pqk_synthetic *synthetic);

#endif
