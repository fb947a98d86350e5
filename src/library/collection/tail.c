/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "tail.h"

void pqk_tail_free(struct pqk_tail *tail)
{
    free(tail->ids);
    free(tail->codes);
}

void pqk_tail_list(const struct pqk_tail *tail, size_t num_sub_vectors,
                   struct pqk_row *rows)
{
    for (size_t i = 0; i < tail->num_rows; i++) {
        rows[i].id = tail->ids[i];
        rows[i].code = tail->codes + i * num_sub_vectors;
    }
}

/* Doubles, so that one row at a time is no slower than many. */
pqk_status pqk_tail_reserve(struct pqk_tail *tail, size_t num_sub_vectors,
                            size_t num_rows)
{
    size_t capacity = tail->capacity * 2 > 64 ? tail->capacity * 2 : 64;
    uint64_t *ids;
    uint8_t *codes;

    if (num_rows <= tail->capacity)
        return PQK_OK;
    if (capacity < num_rows)
        capacity = num_rows;
    ids = reallocarray(tail->ids, capacity, sizeof *ids);
    if (!ids)
        return PQK_OUT_OF_MEMORY;
    tail->ids = ids;
    codes = reallocarray(tail->codes, capacity, num_sub_vectors);
    if (!codes)
        return PQK_OUT_OF_MEMORY;
    tail->codes = codes;
    tail->capacity = capacity;
    return PQK_OK;
}

/* Merges sorted rows in, from behind; there is room. */
void pqk_tail_merge(struct pqk_tail *tail, size_t num_sub_vectors,
                    const struct pqk_row *rows, size_t num_rows)
{
    size_t to = tail->num_rows + num_rows, old = tail->num_rows;

    tail->num_rows = to;
    while (num_rows > 0) {
        const struct pqk_row *row = &rows[num_rows - 1];
        uint8_t *code = tail->codes + --to * num_sub_vectors;

        if (old > 0 && tail->ids[old - 1] > row->id) {
            tail->ids[to] = tail->ids[--old];
            memcpy(code, tail->codes + old * num_sub_vectors, num_sub_vectors);
        } else {
            tail->ids[to] = row->id;
            memcpy(code, row->code, num_sub_vectors);
            num_rows--;
        }
    }
}

/* A tail of its own of sorted rows. */
pqk_status pqk_tail_make(const struct pqk_row *rows, size_t num_rows,
                         size_t num_sub_vectors, struct pqk_tail *tail)
{
    pqk_status status;

    *tail = (struct pqk_tail){.num_rows = 0};
    status = pqk_tail_reserve(tail, num_sub_vectors, num_rows);
    if (status == PQK_OK)
        pqk_tail_merge(tail, num_sub_vectors, rows, num_rows);
    else
        pqk_tail_free(tail);
    return status;
}

/* Deletes the sought rows, which are sorted; how many there were. */
size_t pqk_tail_remove(struct pqk_tail *tail, size_t num_sub_vectors,
                       const struct pqk_row *sought, size_t num_sought)
{
    const struct pqk_rows rows = pqk_tail_rows(tail);
    const size_t old = tail->num_rows;
    size_t from = pqk_rows_at_or_above(&rows, 0, sought[0].id), to = from;

    for (size_t i = 0; from < old; from++) {
        while (i < num_sought && sought[i].id < tail->ids[from])
            i++;
        if (i < num_sought && sought[i].id == tail->ids[from])
            continue;
        if (to < from) {
            tail->ids[to] = tail->ids[from];
            memcpy(tail->codes + to * num_sub_vectors,
                   tail->codes + from * num_sub_vectors, num_sub_vectors);
        }
        to++;
    }
    tail->num_rows = to;
    return old - to;
}
