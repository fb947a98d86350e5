/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Rows between the tail and the partitions.  The tail stays small enough for a
 * plain scan; when it is full, its rows and those of small partitions become a
 * new one.  Partitions of a file are no others.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "collection.h"
#include "base/memory.h"
#include "base/threads.h"

/* Sorted rows, cut into partitions that any thread may make. */
struct making {
    const struct pqk_prepared *prepared;
    const struct pqk_row *rows;
    size_t num_rows;
    size_t rows_each;
    struct pqk_rows *made; /* no codes until it is made */
    size_t num_partitions;
    atomic_size_t next;
    atomic_int status;
};

static void *make_partitions(void *argument)
{
    struct making *making = argument;
    size_t p;

    while ((p = atomic_fetch_add(&making->next, 1)) < making->num_partitions) {
        const size_t first = p * making->rows_each;
        const size_t left = making->num_rows - first;
        const pqk_status status = pqk_partition_make(
            making->prepared, making->rows + first,
            left < making->rows_each ? left : making->rows_each,
            &making->made[p]);

        if (status != PQK_OK)
            atomic_store(&making->status, status);
    }
    return NULL;
}

/* All of them, or none. */
static pqk_status make_all_partitions(struct making *making, size_t num_threads)
{
    pqk_status status;

    if (num_threads > making->num_partitions)
        num_threads = making->num_partitions;
    pqk_run_on_threads(make_partitions, making, num_threads);
    status = (pqk_status)atomic_load(&making->status);
    for (size_t p = 0; status != PQK_OK && p < making->num_partitions; p++)
        pqk_partition_free(&making->made[p]);
    return status;
}

/* Rows that are about to become partitions and a new tail. */
struct pool {
    struct pqk_row *rows;
    size_t num_rows;
    size_t first_absorbed; /* from here on partitions whose rows they are */
    size_t end_absorbed;
    uint8_t *codes;       /* of those partitions */
    struct pqk_tail tail; /* of what makes no partition */
};

/* The smallest of the first `end` partitions, or end if there are none. */
static size_t smallest_partition(const pqk_collection *collection, size_t end)
{
    size_t smallest = end;

    for (size_t p = 0; p < end; p++)
        if (smallest == end ||
            pqk_rows_left(&collection->partitions[p]) <
                pqk_rows_left(&collection->partitions[smallest]))
            smallest = p;
    return smallest;
}

/* A partition joins rows if it is not more than so many times as large. */
#define ABSORBED_RATIO 4

static void swap_partitions(struct pqk_rows *a, struct pqk_rows *b)
{
    const struct pqk_rows partition = *a;

    *a = *b;
    *b = partition;
}

/* Small partitions join more rows that become partitions, as long as all fit
 * into one.  Those that are much larger than the rest wait until that has
 * grown, so that each row is prepared a few times in all and partitions do not
 * become many.  Those that join are put last; how many rows they have. */
static size_t absorb_partitions(pqk_collection *collection, size_t num_rows,
                                struct pool *pool)
{
    const size_t most = collection->max_partition_rows;
    size_t absorbed = 0;
    size_t end = collection->num_partitions;

    pool->end_absorbed = end;
    for (;;) {
        const size_t p = smallest_partition(collection, end);
        struct pqk_rows *partition;

        if (p == end || num_rows > most)
            break;
        partition = &collection->partitions[p];
        if (pqk_rows_left(partition) > most - num_rows ||
            pqk_rows_left(partition) / ABSORBED_RATIO > num_rows)
            break;
        num_rows += pqk_rows_left(partition);
        absorbed += partition->num_rows;
        swap_partitions(partition, &collection->partitions[--end]);
    }
    pool->first_absorbed = end;
    return absorbed;
}

/* The rows of partitions that join, of the tail, and the new ones. */
static pqk_status fill_pool(pqk_collection *collection,
                            const struct pqk_row *rows, size_t num_rows,
                            struct pool *pool)
{
    const size_t num_sub_vectors =
        collection->prepared.codebook.num_sub_vectors;
    const struct pqk_tail *tail = &collection->tail;
    const size_t absorbed =
        absorb_partitions(collection, tail->num_rows + num_rows, pool);
    uint8_t *codes = pqk_array_alloc(absorbed, num_sub_vectors);

    pool->codes = codes;
    if (num_rows > SIZE_MAX / sizeof *rows - tail->num_rows - absorbed)
        return PQK_OUT_OF_MEMORY;
    pool->rows =
        pqk_array_alloc(absorbed + tail->num_rows + num_rows, sizeof *rows);
    if (!pool->rows || !codes)
        return PQK_OUT_OF_MEMORY;
    for (size_t p = pool->first_absorbed; p < pool->end_absorbed; p++) {
        const struct pqk_rows *partition = &collection->partitions[p];

        pool->num_rows +=
            pqk_partition_restore(&collection->prepared, partition, codes,
                                  pool->rows + pool->num_rows);
        codes += partition->num_rows * num_sub_vectors;
    }
    pqk_tail_list(tail, num_sub_vectors, pool->rows + pool->num_rows);
    pool->num_rows += tail->num_rows;
    memcpy(pool->rows + pool->num_rows, rows, num_rows * sizeof *rows);
    pool->num_rows += num_rows;
    pqk_sort_rows(pool->rows, pool->num_rows);
    return PQK_OK;
}

/* What is less than a partition waits in the tail, if that is not too much. */
static pqk_status make_of_pool(pqk_collection *collection, struct pool *pool,
                               size_t num_threads)
{
    const size_t rows_each = collection->max_partition_rows;
    const size_t over = pool->num_rows % rows_each;
    const size_t left = over <= collection->max_tail_rows ? over : 0;
    struct making making = {
        .prepared = &collection->prepared,
        .rows = pool->rows,
        .num_rows = pool->num_rows - left,
        .rows_each = rows_each,
        .num_partitions = pool->num_rows / rows_each + (over > left),
        .status = PQK_OK,
    };
    pqk_status status = pqk_tail_make(
        pool->rows + making.num_rows, left,
        collection->prepared.codebook.num_sub_vectors, &pool->tail);

    if (status != PQK_OK)
        return status;
    status = pqk_collection_reserve(collection, making.num_partitions);
    if (status == PQK_OK) {
        making.made = collection->partitions + collection->num_partitions;
        memset(making.made, 0, making.num_partitions * sizeof *making.made);
        status = make_all_partitions(&making, num_threads);
    }
    if (status == PQK_OK)
        collection->num_partitions += making.num_partitions;
    else
        pqk_tail_free(&pool->tail);
    return status;
}

pqk_status pqk_collection_add_beyond_tail(pqk_collection *collection,
                                          const struct pqk_row *rows,
                                          size_t num_rows, size_t num_threads)
{
    struct pool pool = {.rows = NULL};
    pqk_status status = fill_pool(collection, rows, num_rows, &pool);

    if (status == PQK_OK)
        status = make_of_pool(collection, &pool, num_threads);
    if (status == PQK_OK) {
        for (size_t p = pool.end_absorbed; p-- > pool.first_absorbed;)
            pqk_collection_drop(collection, p);
        pqk_tail_free(&collection->tail);
        collection->tail = pool.tail;
    }
    free(pool.rows);
    free(pool.codes);
    return status;
}

/* A partition's rows go back into the tail, where there is room. */
static pqk_status return_to_tail(pqk_collection *collection, size_t p)
{
    const size_t num_sub_vectors =
        collection->prepared.codebook.num_sub_vectors;
    const struct pqk_rows *partition = &collection->partitions[p];
    const size_t left = pqk_rows_left(partition);
    struct pqk_tail *tail = &collection->tail;
    uint8_t *codes = pqk_array_alloc(partition->num_rows, num_sub_vectors);
    struct pqk_row *rows = pqk_array_alloc(partition->num_rows, sizeof *rows);
    pqk_status status = PQK_OUT_OF_MEMORY;

    if (codes && rows)
        status = pqk_tail_reserve(tail, num_sub_vectors, tail->num_rows + left);
    if (status == PQK_OK) {
        (void)pqk_partition_restore(&collection->prepared, partition, codes,
                                    rows);
        pqk_tail_merge(tail, num_sub_vectors, rows, left);
        pqk_collection_drop(collection, p);
    }
    free(codes);
    free(rows);
    return status;
}

/* Saving makes a partition of each tail.  Without this, they would stay as small
 * as what is added between opening and saving, and become as many. */
pqk_status pqk_collection_reopen_tail(pqk_collection *collection)
{
    pqk_status status = PQK_OK;

    while (status == PQK_OK) {
        const size_t end = collection->num_partitions;
        const size_t p = smallest_partition(collection, end);

        if (p == end ||
            collection->tail.num_rows >= collection->max_tail_rows ||
            pqk_rows_left(&collection->partitions[p]) >
                collection->max_tail_rows - collection->tail.num_rows)
            break;
        status = return_to_tail(collection, p);
    }
    return status;
}
