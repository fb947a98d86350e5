/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Opening a collection's file: it is mapped, and what this machine or the
 * variant has otherwise is copied.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "base/little_endian.h"
#include "base/memory.h"
#include "library/quantizer/section.h"
#include "library/quantizer/handle.h"
#include "stored.h"

/* What the codes' layout is to the kernel: its own? */
static int layout_is_own(const struct pqk_opening *opening,
                         const struct pqk_stored *stored)
{
    const struct pqk_prepared *prepared = &opening->collection->prepared;
    const struct pqk_code_layout own =
        prepared->kernel->code_layout(&prepared->codebook, stored->num_rows);

    return (pqk_labels_of(prepared) != NULL) == (opening->labels != NULL) &&
           own.columns == stored->layout.columns &&
           own.column_stride == stored->layout.column_stride &&
           own.position_stride == stored->layout.position_stride &&
           (own.row_bytes == 0 || own.rows == stored->layout.rows) &&
           own.row_bytes == stored->layout.row_bytes &&
           own.bytes == stored->layout.bytes;
}

/* Row-major codes, from any layout; 0 if a row or a code is none. */
static int read_codes(const struct pqk_opening *opening,
                      const struct pqk_stored *stored, uint8_t *codes)
{
    const pqk_codebook *codebook = &opening->collection->prepared.codebook;
    const uint8_t *from = pqk_section_bytes(opening->reader, stored->codes);

    for (size_t position = 0; position < stored->num_rows; position++) {
        const size_t row = pqk_layout_row_at(&stored->layout, from, position);
        uint8_t *to;

        if (row >= stored->num_rows)
            return 0;
        to = codes + row * codebook->num_sub_vectors;
        for (size_t m = 0; m < codebook->num_sub_vectors; m++) {
            const int code = pqk_code_of_label(
                opening, m,
                pqk_layout_label_at(&stored->layout, from, m, position));

            if (code < 0)
                return 0;
            to[m] = (uint8_t)code;
        }
    }
    return 1;
}

static pqk_status copy_codes(const struct pqk_opening *opening,
                             const struct pqk_stored *stored,
                             struct pqk_rows *rows)
{
    const struct pqk_prepared *prepared = &opening->collection->prepared;
    uint8_t *codes =
        calloc(stored->num_rows, prepared->codebook.num_sub_vectors);
    void *prepared_codes = NULL;
    pqk_status status = PQK_BAD_FILE;

    if (!codes)
        return PQK_OUT_OF_MEMORY;
    if (read_codes(opening, stored, codes))
        status = pqk_prepared_codes(prepared, codes, stored->num_rows,
                                    &prepared_codes);
    rows->codes = prepared_codes;
    free(codes);
    return status;
}

static pqk_status copy_ids(const struct pqk_opening *opening,
                           const struct pqk_stored *stored,
                           struct pqk_rows *rows)
{
    uint64_t *ids = pqk_array_alloc(stored->num_rows, sizeof *ids);

    if (!ids)
        return PQK_OUT_OF_MEMORY;
    for (size_t row = 0; row < stored->num_rows; row++)
        ids[row] = pqk_get_u64(pqk_section_bytes(opening->reader, stored->ids) +
                               8 * row);
    rows->ids = ids;
    return PQK_OK;
}

/* Sections are aligned, and numbers in them as this machine has them. */
static const uint64_t *mapped_ids(const struct pqk_opening *opening,
                                  const struct pqk_stored *stored)
{
    const void *bytes = pqk_section_bytes(opening->reader, stored->ids);

    return bytes;
}

#ifdef WORDS_BIGENDIAN
#define IDS_CAN_BE_MAPPED 0
#else
#define IDS_CAN_BE_MAPPED 1
#endif

static void map_partition(const struct pqk_opening *opening,
                          const struct pqk_stored *stored,
                          struct pqk_rows *rows)
{
    rows->mapped = 1;
    rows->codes = pqk_section_bytes(opening->reader, stored->codes);
    if (stored->ids)
        rows->ids = mapped_ids(opening, stored);
}

static pqk_status copy_partition(const struct pqk_opening *opening,
                                 const struct pqk_stored *stored,
                                 struct pqk_rows *rows)
{
    pqk_status status = copy_codes(opening, stored, rows);

    if (status == PQK_OK && stored->ids)
        status = copy_ids(opening, stored, rows);
    return status;
}

static pqk_status open_partition(const struct pqk_opening *opening,
                                 const struct pqk_stored *stored)
{
    pqk_collection *collection = opening->collection;
    struct pqk_rows rows = {.num_rows = stored->num_rows,
                            .first_id = stored->first_id};
    pqk_status status = PQK_OK;

    if (opening->verified)
        status = pqk_check_stored(opening, stored);
    if (status == PQK_OK)
        status = pqk_collection_reserve(collection, 1);
    if (status != PQK_OK)
        return status;
    if (layout_is_own(opening, stored) && (IDS_CAN_BE_MAPPED || !stored->ids))
        map_partition(opening, stored, &rows);
    else
        status = copy_partition(opening, stored, &rows);
    if (rows.ids)
        rows.first_id = rows.ids[0];
    if (status == PQK_OK &&
        pqk_rows_id(&rows, rows.num_rows - 1) >= opening->reader->head.next_id)
        status = PQK_BAD_FILE;
    if (status == PQK_OK)
        collection->partitions[collection->num_partitions++] = rows;
    else
        pqk_partition_free(&rows);
    return status;
}

static pqk_status open_partitions(const struct pqk_opening *opening, size_t at)
{
    const struct pqk_head *head = &opening->reader->head;
    pqk_collection *collection = opening->collection;
    const size_t num_sub_vectors =
        collection->prepared.codebook.num_sub_vectors;
    pqk_status status = PQK_OK;
    struct pqk_stored stored;

    for (uint32_t partition = 0; status == PQK_OK && at < head->num_sections;
         partition++) {
        const size_t sections = pqk_read_stored(opening->reader, at, partition,
                                                num_sub_vectors, &stored);

        if (sections == 0)
            return PQK_BAD_FILE;
        status = open_partition(opening, &stored);
        at += sections;
    }
    if (status == PQK_OK &&
        pqk_collection_size(collection) != head->num_vectors)
        return PQK_BAD_FILE;
    if (status == PQK_OK && opening->verified)
        status = pqk_partitions_distinct(collection->partitions,
                                         collection->num_partitions);
    return status == PQK_DUPLICATE_ID ? PQK_BAD_FILE : status;
}

/* With a quantizer, which becomes the collection's. */
static pqk_status open_with(struct pqk_opening *opening,
                            const pqk_kernel *kernel, pqk_quantizer *quantizer)
{
    const pqk_codebook *codebook = &quantizer->codebook;
    const int num_labels = pqk_read_labels(opening, codebook);
    pqk_status status;

    if (num_labels < 0)
        return PQK_BAD_FILE;
    opening->codes_of_labels =
        calloc(codebook->num_sub_vectors, PQK_MAX_CENTROIDS);
    if (!opening->codes_of_labels)
        return PQK_OUT_OF_MEMORY;
    pqk_codes_of_labels(codebook, opening->labels, opening->codes_of_labels);
    status = pqk_collection_new(quantizer, kernel, opening->labels,
                                &opening->collection);
    if (status != PQK_OK)
        return status == PQK_INVALID_ARGUMENT ? PQK_BAD_FILE : status;
    return open_partitions(opening, 1 + (size_t)num_labels);
}

static int uses_mapping(const pqk_collection *collection)
{
    for (size_t p = 0; p < collection->num_partitions; p++)
        if (collection->partitions[p].mapped)
            return 1;
    return 0;
}

static pqk_status open_reader(struct pqk_reader *reader,
                              const pqk_kernel *kernel, unsigned flags,
                              pqk_collection **collection)
{
    struct pqk_opening opening = {.reader = reader,
                                  .verified = !(flags & PQK_UNVERIFIED)};
    pqk_quantizer *quantizer;
    pqk_status status;

    if (reader->head.kind != PQK_FILE_COLLECTION)
        return PQK_BAD_FILE;
    status = pqk_read_quantizer(reader, &quantizer);
    if (status != PQK_OK)
        return status;
    status = open_with(&opening, kernel, quantizer);
    free(opening.codes_of_labels);
    if (status == PQK_OK) {
        opening.collection->next_id = reader->head.next_id;
        if (uses_mapping(opening.collection)) {
            opening.collection->mapping = reader->mapping;
            reader->mapping = (struct pqk_mapping){NULL, 0};
        }
        *collection = opening.collection;
    } else if (opening.collection) {
        pqk_collection_free(opening.collection);
    } else {
        pqk_quantizer_free(quantizer);
    }
    return status;
}

pqk_status pqk_collection_open(const char *path, const pqk_kernel *kernel,
                               unsigned flags, pqk_collection **collection)
{
    struct pqk_reader reader;
    pqk_status status;

    if (!path || !collection || flags & ~PQK_UNVERIFIED)
        return PQK_INVALID_ARGUMENT;
    status = pqk_choose_kernel(&kernel);
    if (status == PQK_OK)
        status = pqk_reader_open(&reader, path);
    if (status != PQK_OK)
        return status;
    status = open_reader(&reader, kernel, flags, collection);
    pqk_reader_close(&reader);
    return status;
}
