/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A partition that several threads probe together: who scans what of it. */
#ifndef PQK_SHARE_H
#define PQK_SHARE_H

#include <stdatomic.h>
#include <stddef.h>

/* Codes are shared out by the piece, as many places of a partition, in the order in
 * which it keeps them; the last piece may have fewer. */
#define PQK_PIECE ((size_t)4096)

struct pqk_share {
    atomic_size_t next; /* the first piece that nobody has taken */
    size_t end;         /* behind the last one */
    size_t num_threads; /* that may take some */
};

static inline size_t pqk_pieces_of(size_t num_vectors)
{
    return num_vectors / PQK_PIECE + (num_vectors % PQK_PIECE > 0);
}

/* Takes some pieces, at most `most`; 0 if there are none left.  The fewer are left
 * for each thread, the fewer it takes: so all end at about the same time. */
static inline int pqk_share_take(struct pqk_share *share, size_t most,
                                 size_t *first, size_t *end)
{
    size_t next = atomic_load_explicit(&share->next, memory_order_relaxed);

    do {
        size_t count;

        if (next >= share->end)
            return 0;
        count = (share->end - next) / (2 * share->num_threads) + 1;
        *first = next;
        *end = next + (count < most ? count : most);
    } while (!atomic_compare_exchange_weak_explicit(
        &share->next, &next, *end, memory_order_relaxed, memory_order_relaxed));
    return 1;
}

#endif
