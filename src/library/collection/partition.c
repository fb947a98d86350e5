/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "partition.h"

/* ------------------------------------------------------------------------ */
/* Finding rows by their ids                                                */

size_t pqk_rows_at_or_above(const struct pqk_rows *rows, size_t from,
                            uint64_t id)
{
    size_t low = from, step = 1, high;

    if (!rows->ids) {
        if (id <= rows->first_id)
            return from;
        id -= rows->first_id;
        return id < rows->num_rows ? (size_t)id : rows->num_rows;
    }
    while (step < rows->num_rows - low && rows->ids[low + step - 1] < id) {
        low += step;
        step *= 2;
    }
    high = step < rows->num_rows - low ? low + step : rows->num_rows;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (rows->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int compare_rows(const void *a, const void *b)
{
    const struct pqk_row *left = a, *right = b;

    return (left->id > right->id) - (left->id < right->id);
}

void pqk_sort_rows(struct pqk_row *rows, size_t count)
{
    size_t i = 1;

    while (i < count && rows[i - 1].id <= rows[i].id)
        i++;
    if (i < count)
        qsort(rows, count, sizeof *rows, compare_rows);
}

/* The first of the sought rows that is not below id. */
static size_t first_sought(const struct pqk_row *sought, size_t num_sought,
                           uint64_t id)
{
    size_t low = 0, high = num_sought;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (sought[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void pqk_rows_match(const struct pqk_rows *rows, const struct pqk_row *sought,
                    size_t num_sought, pqk_row_found found, void *context)
{
    size_t row = 0;

    if (rows->num_rows == 0)
        return;
    for (size_t i = first_sought(sought, num_sought, rows->first_id);
         i < num_sought; i++) {
        row = pqk_rows_at_or_above(rows, row, sought[i].id);
        if (row == rows->num_rows)
            return;
        if (pqk_rows_id(rows, row) == sought[i].id &&
            !pqk_rows_removed(rows, row))
            found(context, i, row);
    }
}

static void count_row(void *context, size_t i, size_t row)
{
    (void)i;
    (void)row;
    ++*(size_t *)context;
}

size_t pqk_rows_count(const struct pqk_rows *rows, const struct pqk_row *sought,
                      size_t num_sought)
{
    size_t found = 0;

    pqk_rows_match(rows, sought, num_sought, count_row, &found);
    return found;
}

/* A partition, from the first row on whose id is not known to be alone. */
struct place {
    const struct pqk_rows *rows;
    size_t row;
};

static uint64_t id_at(const struct place *place)
{
    return pqk_rows_id(place->rows, place->row);
}

/* Moves the place at `at` down a heap that has the lowest id first. */
static void sift_down(struct place *heap, size_t count, size_t at)
{
    const struct place moved = heap[at];
    size_t child;

    while ((child = 2 * at + 1) < count) {
        if (child + 1 < count && id_at(&heap[child + 1]) < id_at(&heap[child]))
            child++;
        if (id_at(&moved) <= id_at(&heap[child]))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

/* Merges: what is below the second lowest id of all is passed over at once. */
static pqk_status merge_distinct(struct place *heap, size_t count)
{
    for (size_t at = count / 2; at-- > 0;)
        sift_down(heap, count, at);
    while (count > 1) {
        const size_t second =
            count > 2 && id_at(&heap[2]) < id_at(&heap[1]) ? 2 : 1;
        const uint64_t id = id_at(&heap[second]);

        heap->row = pqk_rows_at_or_above(heap->rows, heap->row, id);
        if (heap->row == heap->rows->num_rows)
            *heap = heap[--count];
        else if (id_at(heap) == id)
            return PQK_DUPLICATE_ID;
        sift_down(heap, count, 0);
    }
    return PQK_OK;
}

pqk_status pqk_partitions_distinct(const struct pqk_rows *partitions,
                                   size_t count)
{
    struct place *heap = pqk_array_alloc(count, sizeof *heap);
    pqk_status status;

    if (!heap)
        return PQK_OUT_OF_MEMORY;
    for (size_t p = 0; p < count; p++)
        heap[p] = (struct place){&partitions[p], 0};
    status = merge_distinct(heap, count);
    free(heap);
    return status;
}

struct pqk_row *pqk_sorted_rows(const uint64_t *ids, size_t num_ids,
                                const uint8_t *codes, size_t num_sub_vectors)
{
    struct pqk_row *rows = pqk_array_alloc(num_ids, sizeof *rows);

    if (!rows)
        return NULL;
    for (size_t i = 0; i < num_ids; i++) {
        rows[i].id = ids[i];
        rows[i].code = codes ? codes + i * num_sub_vectors : NULL;
    }
    pqk_sort_rows(rows, num_ids);
    return rows;
}

/* ------------------------------------------------------------------------ */
/* Making and restoring                                                     */

static uint8_t *gather_codes(const struct pqk_row *rows, size_t num_rows,
                             size_t num_sub_vectors)
{
    uint8_t *codes = pqk_array_alloc(num_rows, num_sub_vectors);

    for (size_t i = 0; codes && i < num_rows; i++)
        memcpy(codes + i * num_sub_vectors, rows[i].code, num_sub_vectors);
    return codes;
}

static pqk_status list_ids(const struct pqk_row *rows, size_t num_rows,
                           struct pqk_rows *made)
{
    uint64_t *ids;

    made->first_id = rows[0].id;
    made->ids = NULL;
    if (rows[num_rows - 1].id - rows[0].id == num_rows - 1)
        return PQK_OK;
    ids = pqk_array_alloc(num_rows, sizeof *ids);
    if (!ids)
        return PQK_OUT_OF_MEMORY;
    for (size_t i = 0; i < num_rows; i++)
        ids[i] = rows[i].id;
    made->ids = ids;
    return PQK_OK;
}

pqk_status pqk_partition_make(const struct pqk_prepared *prepared,
                              const struct pqk_row *rows, size_t num_rows,
                              struct pqk_rows *made)
{
    struct pqk_rows partition = {.num_rows = num_rows};
    void *prepared_codes = NULL;
    uint8_t *codes =
        gather_codes(rows, num_rows, prepared->codebook.num_sub_vectors);
    pqk_status status = PQK_OUT_OF_MEMORY;

    if (!codes)
        return status;
    status = list_ids(rows, num_rows, &partition);
    if (status == PQK_OK)
        status = pqk_prepared_codes(prepared, codes, num_rows, &prepared_codes);
    free(codes);
    partition.codes = prepared_codes;
    if (status == PQK_OK)
        *made = partition;
    else
        pqk_partition_free(&partition);
    return status;
}

void pqk_partition_free(struct pqk_rows *partition)
{
    free(partition->removed);
    if (partition->mapped)
        return;
    free((void *)(uintptr_t)partition->ids);
    free((void *)(uintptr_t)partition->codes);
}

size_t pqk_partition_restore(const struct pqk_prepared *prepared,
                             const struct pqk_rows *partition, uint8_t *codes,
                             struct pqk_row *rows)
{
    const size_t num_sub_vectors = prepared->codebook.num_sub_vectors;
    size_t count = 0;

    prepared->kernel->restore_codes(prepared->memory, partition->codes,
                                    partition->num_rows, codes);
    for (size_t row = 0; row < partition->num_rows; row++) {
        if (pqk_rows_removed(partition, row))
            continue;
        rows[count].id = pqk_rows_id(partition, row);
        rows[count++].code = codes + row * num_sub_vectors;
    }
    return count;
}

struct pqk_code_layout pqk_partition_layout(const struct pqk_prepared *prepared,
                                            const struct pqk_rows *partition)
{
    return prepared->kernel->code_layout(&prepared->codebook,
                                         partition->num_rows);
}

void pqk_codes_of_labels(const pqk_codebook *shape, const uint8_t *labels,
                         uint8_t *codes_of_labels)
{
    for (size_t m = 0; m < shape->num_sub_vectors; m++)
        for (size_t code = 0; code < PQK_MAX_CENTROIDS; code++) {
            const size_t label =
                labels ? labels[m * PQK_MAX_CENTROIDS + code] : code;

            if (code < shape->num_centroids)
                codes_of_labels[m * PQK_MAX_CENTROIDS + label] = (uint8_t)code;
        }
}
