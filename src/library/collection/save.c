/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Writing a collection's file: partitions as they are, the tail and what has
 * lost rows prepared anew for it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <stdlib.h>

#include "collection.h"
#include "base/little_endian.h"
#include "base/memory.h"
#include "library/quantizer/section.h"
#include "sections.h"

/* Rows that become a partition of the file: a partition, or the tail. */
struct saved {
    const struct pqk_rows *rows;
    size_t num_rows; /* that are not removed */
    uint64_t first_id;
    int has_ids;
};

struct saving {
    const pqk_collection *collection;
    struct pqk_rows tail;
    struct saved *saved;
    size_t num_saved;
    struct pqk_head head;
    struct pqk_replacement file;
};

static struct saved describe_rows(const struct pqk_rows *rows)
{
    struct saved saved = {.rows = rows, .num_rows = pqk_rows_left(rows)};
    size_t first = 0, last = rows->num_rows - 1;

    while (pqk_rows_removed(rows, first))
        first++;
    while (pqk_rows_removed(rows, last))
        last--;
    saved.first_id = pqk_rows_id(rows, first);
    saved.has_ids =
        pqk_rows_id(rows, last) - saved.first_id != saved.num_rows - 1;
    return saved;
}

static struct pqk_section codes_section(const struct pqk_prepared *prepared,
                                        const struct saved *saved,
                                        uint32_t partition)
{
    const struct pqk_code_layout layout =
        prepared->kernel->code_layout(&prepared->codebook, saved->num_rows);

    return (struct pqk_section){
        .type = PQK_SECTION_CODES,
        .partition = partition,
        .num_bytes = layout.bytes,
        .parameters = {[AT_NUM_ROWS] = saved->num_rows,
                       [AT_FIRST_ID] = saved->has_ids ? 0 : saved->first_id,
                       [AT_COLUMNS] = layout.columns,
                       [AT_COLUMN_STRIDE] = layout.column_stride,
                       [AT_POSITION_STRIDE] = layout.position_stride,
                       [AT_ROWS] = layout.row_bytes ? layout.rows : 0,
                       [AT_ROW_BYTES] = layout.row_bytes},
    };
}

/* What will be in the file, in its order. */
static void list_sections(struct saving *saving)
{
    const pqk_collection *collection = saving->collection;
    const struct pqk_prepared *prepared = &collection->prepared;
    struct pqk_section *next = saving->head.sections;

    *next++ = pqk_quantizer_section(collection->quantizer);
    if (pqk_labels_of(prepared))
        *next++ = (struct pqk_section){
            .type = PQK_SECTION_LABELS,
            .num_bytes = prepared->codebook.num_sub_vectors * PQK_MAX_CENTROIDS,
        };
    for (size_t p = 0; p < saving->num_saved; p++) {
        const struct saved *saved = &saving->saved[p];

        *next++ = codes_section(prepared, saved, (uint32_t)p);
        if (saved->has_ids)
            *next++ = (struct pqk_section){
                .type = PQK_SECTION_IDS,
                .partition = (uint32_t)p,
                .num_bytes = 8 * (uint64_t)saved->num_rows,
            };
    }
    saving->head.num_sections = (size_t)(next - saving->head.sections);
    pqk_place_sections(&saving->head);
}

static pqk_status begin_saving(const pqk_collection *collection,
                               struct saving *saving)
{
    const size_t most = collection->num_partitions + 1;

    *saving = (struct saving){
        .collection = collection,
        .tail = pqk_tail_rows(&collection->tail),
        .head = {.kind = PQK_FILE_COLLECTION,
                 .next_id = collection->next_id,
                 .num_vectors = pqk_collection_size(collection)},
    };
    saving->saved = pqk_array_alloc(most, sizeof *saving->saved);
    saving->head.sections =
        pqk_array_alloc(2 + 2 * most, sizeof *saving->head.sections);
    if (!saving->saved || !saving->head.sections)
        return PQK_OUT_OF_MEMORY;
    for (size_t p = 0; p < collection->num_partitions; p++)
        saving->saved[saving->num_saved++] =
            describe_rows(&collection->partitions[p]);
    if (saving->tail.num_rows > 0)
        saving->saved[saving->num_saved++] = describe_rows(&saving->tail);
    list_sections(saving);
    return PQK_OK;
}

static pqk_status write_ids(struct saving *saving, struct pqk_section *section,
                            const struct pqk_rows *rows)
{
    uint8_t *bytes = pqk_array_alloc(rows->num_rows, 8);
    pqk_status status;

    if (!bytes)
        return PQK_OUT_OF_MEMORY;
    for (size_t row = 0; row < rows->num_rows; row++)
        pqk_put_u64(bytes + 8 * row, pqk_rows_id(rows, row));
    status = pqk_write_section(&saving->file, section, bytes);
    free(bytes);
    return status;
}

/* The sections of a partition that is as it shall be. */
static pqk_status write_partition(struct saving *saving,
                                  struct pqk_section *sections,
                                  const struct pqk_rows *rows, int has_ids)
{
    pqk_status status =
        pqk_write_section(&saving->file, &sections[0], rows->codes);

    if (status == PQK_OK && has_ids)
        status = write_ids(saving, &sections[1], rows);
    return status;
}

/* Prepares a partition of the rows that are left, for as long as it takes to
 * write it. */
static pqk_status write_rows(struct saving *saving,
                             struct pqk_section *sections,
                             const struct saved *saved)
{
    const struct pqk_prepared *prepared = &saving->collection->prepared;
    const struct pqk_rows *from = saved->rows;
    const int is_tail = from == &saving->tail;
    uint8_t *codes = pqk_array_alloc(is_tail ? 0 : from->num_rows,
                                     prepared->codebook.num_sub_vectors);
    struct pqk_row *rows = pqk_array_alloc(from->num_rows, sizeof *rows);
    struct pqk_rows made;
    pqk_status status = PQK_OUT_OF_MEMORY;

    if (codes && rows) {
        if (is_tail)
            pqk_tail_list(&saving->collection->tail,
                          prepared->codebook.num_sub_vectors, rows);
        else
            (void)pqk_partition_restore(prepared, from, codes, rows);
        status = pqk_partition_make(prepared, rows, saved->num_rows, &made);
    }
    free(codes);
    free(rows);
    if (status != PQK_OK)
        return status;
    status = write_partition(saving, sections, &made, saved->has_ids);
    pqk_partition_free(&made);
    return status;
}

static pqk_status write_sections(struct saving *saving)
{
    const pqk_collection *collection = saving->collection;
    struct pqk_section *next = saving->head.sections;
    pqk_status status =
        pqk_write_quantizer(&saving->file, next++, collection->quantizer);

    if (status == PQK_OK && pqk_labels_of(&collection->prepared))
        status = pqk_write_section(&saving->file, next++,
                                   pqk_labels_of(&collection->prepared));
    for (size_t p = 0; status == PQK_OK && p < saving->num_saved; p++) {
        const struct saved *saved = &saving->saved[p];

        if (saved->rows == &saving->tail || saved->rows->num_removed > 0)
            status = write_rows(saving, next, saved);
        else
            status = write_partition(saving, next, saved->rows, saved->has_ids);
        next += saved->has_ids ? 2 : 1;
    }
    if (status == PQK_OK)
        status = pqk_write_head(&saving->file, &saving->head);
    return status;
}

pqk_status pqk_collection_save(const pqk_collection *collection,
                               const char *path)
{
    struct saving saving;
    int saved_errno;
    pqk_status status;

    if (!collection || !path)
        return PQK_INVALID_ARGUMENT;
    status = begin_saving(collection, &saving);
    if (status == PQK_OK)
        status = pqk_replacement_begin(&saving.file, path);
    if (status == PQK_OK)
        status = pqk_replacement_end(&saving.file, write_sections(&saving));
    saved_errno = errno;
    free(saving.saved);
    free(saving.head.sections);
    errno = saved_errno;
    return status;
}
