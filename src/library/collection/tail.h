/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The rows that wait for a partition. */
#ifndef PQK_TAIL_H
#define PQK_TAIL_H

#include "partition.h"

/* Row-major, in ascending order of the ids. */
struct pqk_tail {
    size_t num_rows;
    size_t capacity;
    uint64_t *ids;
    uint8_t *codes;
};

/* The tail, to be looked at like a partition. */
static inline struct pqk_rows pqk_tail_rows(const struct pqk_tail *tail)
{
    return (struct pqk_rows){
        .num_rows = tail->num_rows,
        .first_id = tail->num_rows > 0 ? tail->ids[0] : 0,
        .ids = tail->ids,
        .codes = tail->codes,
    };
}

/* Makes a tail of sorted rows.  On failure there is nothing to free. */
pqk_status pqk_tail_make(const struct pqk_row *rows, size_t num_rows,
                         size_t num_sub_vectors, struct pqk_tail *tail);
void pqk_tail_free(struct pqk_tail *tail);

/* Room for num_rows rows in all. */
pqk_status pqk_tail_reserve(struct pqk_tail *tail, size_t num_sub_vectors,
                            size_t num_rows);

/* Puts sorted rows in, for which there is room. */
void pqk_tail_merge(struct pqk_tail *tail, size_t num_sub_vectors,
                    const struct pqk_row *rows, size_t num_rows);

/* Deletes those of the sought rows, at least one and sorted, that are there; how
 * many those were. */
size_t pqk_tail_remove(struct pqk_tail *tail, size_t num_sub_vectors,
                       const struct pqk_row *sought, size_t num_sought);

/* Lists all rows. */
void pqk_tail_list(const struct pqk_tail *tail, size_t num_sub_vectors,
                   struct pqk_row *rows);

#endif
