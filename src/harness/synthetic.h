/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The source `synthetic`: descriptors like SIFT, any number of them.
 *
 * Row i of a kind depends on the seed, the kind and i only, so that threads
 * make rows in parallel and the first rows of a large set are the small set.
 * Only integers and correctly rounded operations (+ - * / sqrt) make them, so
 * that they are the same bits on every machine.
 */
#ifndef PQH_SYNTHETIC_H
#define PQH_SYNTHETIC_H

#include <stddef.h>
#include <stdint.h>

#define PQH_SYNTHETIC_DIM 128

/* To be raised whenever a row would come out otherwise. */
#define PQH_SYNTHETIC_VERSION 1

enum pqh_synthetic_kind {
    PQH_SYNTHETIC_BASE,
    PQH_SYNTHETIC_LEARN,
    PQH_SYNTHETIC_QUERY
};

struct pqh_synthetic;

/* NULL if memory is out. */
struct pqh_synthetic *pqh_synthetic_create(uint64_t seed);

/* rows: [count][PQH_SYNTHETIC_DIM], integers from 0 to 255. */
void pqh_synthetic_rows(const struct pqh_synthetic *synthetic,
                        enum pqh_synthetic_kind kind, uint64_t first,
                        size_t count, float *rows);

void pqh_synthetic_free(struct pqh_synthetic *synthetic);

#endif
