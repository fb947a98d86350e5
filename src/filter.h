/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Which rows of a partition may be results: by bits, by a predicate, or both. */
#ifndef PQK_FILTER_H
#define PQK_FILTER_H

#include <stddef.h>
#include <stdint.h>

struct pqk_filter {
    const uint64_t *rows; /* bit row % 64 of word row / 64; NULL if all may */
    /* Asked last, of rows that are near enough; NULL if all may. */
    int (*allows)(void *context, uint32_t row);
    void *context;
};

/* Whether a filter's bits let a row be a result; asked before its distance is
 * known. */
static inline int pqk_filter_has_row(const struct pqk_filter *filter,
                                     uint32_t row)
{
    return !filter->rows || (filter->rows[row / 64] >> row % 64 & 1) != 0;
}

/* What is left to ask of a row that is near enough. */
static inline int pqk_filter_allows(const struct pqk_filter *filter,
                                    uint32_t row)
{
    return !filter->allows || filter->allows(filter->context, row);
}

#endif
