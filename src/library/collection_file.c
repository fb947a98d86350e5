/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A collection's file: its quantizer, the labels that the codes are in, and for
 * each partition the codes as they are prepared, and the ids unless they follow
 * each other.  pqkern(5) describes it.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/little_endian.h"
#include "base/memory.h"
#include "collection.h"
#include "quantizer_file.h"
#include "quantizer_handle.h"

/* Parameters of a section of codes. */
enum {
    AT_NUM_ROWS,
    AT_FIRST_ID,
    AT_COLUMNS,
    AT_COLUMN_STRIDE,
    AT_POSITION_STRIDE,
    AT_ROWS,
    AT_ROW_BYTES,
    NUM_USED
};

/* ------------------------------------------------------------------------ */
/* Saving                                                                   */

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

static const uint8_t *labels_of(const struct pqk_prepared *prepared)
{
    return prepared->kernel->labels_of(prepared->memory);
}

/* What will be in the file, in its order. */
static void list_sections(struct saving *saving)
{
    const pqk_collection *collection = saving->collection;
    const struct pqk_prepared *prepared = &collection->prepared;
    struct pqk_section *next = saving->head.sections;

    *next++ = pqk_quantizer_section(collection->quantizer);
    if (labels_of(prepared))
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

    if (status == PQK_OK && labels_of(&collection->prepared))
        status = pqk_write_section(&saving->file, next++,
                                   labels_of(&collection->prepared));
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

/* ------------------------------------------------------------------------ */
/* Opening                                                                  */

struct opening {
    const struct pqk_reader *reader;
    int verified;          /* codes and ids are read */
    const uint8_t *labels; /* of the codes; NULL if each is its own label */
    uint8_t *codes_of_labels;
    pqk_collection *collection;
};

/* A partition as the file describes it, in its sections' order. */
struct stored {
    size_t num_rows;
    uint64_t first_id;
    struct pqk_code_layout layout;
    const struct pqk_section *codes;
    const struct pqk_section *ids; /* NULL if they follow first_id */
};

/* Labels are 256 of each sub-vector, no two codes' the same. */
static int labels_are_distinct(const pqk_codebook *codebook,
                               const uint8_t *labels)
{
    for (size_t m = 0; m < codebook->num_sub_vectors; m++) {
        uint8_t seen[PQK_MAX_CENTROIDS] = {0};

        for (size_t c = 0; c < codebook->num_centroids; c++)
            if (seen[labels[m * PQK_MAX_CENTROIDS + c]]++ > 0)
                return 0;
    }
    return 1;
}

/* How many sections there are of labels, or -1 if they are none. */
static int read_labels(struct opening *opening, const pqk_codebook *codebook)
{
    const struct pqk_reader *reader = opening->reader;
    const struct pqk_section *section = reader->head.sections + 1;

    if (reader->head.num_sections < 2 || section->type != PQK_SECTION_LABELS)
        return 0;
    opening->labels = pqk_section_bytes(reader, section);
    for (size_t i = 0; i < PQK_PARAMETERS; i++)
        if (section->parameters[i] != 0)
            return -1;
    if (section->partition != 0 ||
        section->num_bytes != codebook->num_sub_vectors * PQK_MAX_CENTROIDS ||
        !pqk_section_is_intact(reader, section) ||
        !labels_are_distinct(codebook, opening->labels))
        return -1;
    return 1;
}

/* 1 if count numbers of `bytes` bytes, stride apart from offset on, are within
 * size bytes; count is at least 1. */
static int are_within(uint64_t offset, uint64_t stride, uint64_t count,
                      uint64_t bytes, uint64_t size)
{
    return offset <= size && bytes <= size - offset &&
           (stride == 0 || count - 1 <= (size - offset - bytes) / stride);
}

/* Every byte that the layout names is in the section; and every code takes one
 * of its own, so that a small file cannot stand for a large collection. */
static int layout_is_possible(const struct pqk_code_layout *layout,
                              size_t num_rows, size_t num_sub_vectors)
{
    const uint64_t size = layout->bytes;
    uint64_t last_column;

    if (num_rows > size / num_sub_vectors || layout->row_bytes > 4 ||
        !are_within(layout->columns, layout->column_stride, num_sub_vectors, 1,
                    size))
        return 0;
    last_column =
        layout->columns + (num_sub_vectors - 1) * layout->column_stride;
    return are_within(last_column, layout->position_stride, num_rows, 1,
                      size) &&
           (layout->row_bytes == 0 ||
            are_within(layout->rows, layout->row_bytes, num_rows,
                       layout->row_bytes, size));
}

/* Reads the section of codes at `at` and that of ids, if it follows; how many
 * these are, or 0 if they are no partition. */
static size_t read_partition(const struct pqk_reader *reader, size_t at,
                             uint32_t partition, size_t num_sub_vectors,
                             struct stored *stored)
{
    const struct pqk_section *codes = &reader->head.sections[at];
    const uint64_t *parameters = codes->parameters;

    if (codes->type != PQK_SECTION_CODES || codes->partition != partition ||
        parameters[AT_NUM_ROWS] - 1 >= PQK_MOST_ROWS ||
        parameters[NUM_USED] != 0)
        return 0;
    *stored = (struct stored){
        .num_rows = (size_t)parameters[AT_NUM_ROWS],
        .first_id = parameters[AT_FIRST_ID],
        .layout = {.columns = parameters[AT_COLUMNS],
                   .column_stride = parameters[AT_COLUMN_STRIDE],
                   .position_stride = parameters[AT_POSITION_STRIDE],
                   .rows = parameters[AT_ROWS],
                   .row_bytes = parameters[AT_ROW_BYTES],
                   .bytes = codes->num_bytes},
        .codes = codes,
    };
    if (!layout_is_possible(&stored->layout, stored->num_rows, num_sub_vectors))
        return 0;
    if (at + 1 == reader->head.num_sections || codes[1].type != PQK_SECTION_IDS)
        return stored->num_rows <= PQK_NO_ID - stored->first_id;
    for (size_t i = 0; i < PQK_PARAMETERS; i++)
        if (codes[1].parameters[i] != 0)
            return 0;
    stored->ids = &codes[1];
    return codes[1].partition == partition && stored->first_id == 0 &&
                   codes[1].num_bytes == 8 * (uint64_t)stored->num_rows
               ? 2
               : 0;
}

/* Ids ascend and none is PQK_NO_ID. */
static int ids_are_valid(const uint8_t *bytes, size_t num_rows)
{
    for (size_t row = 1; row < num_rows; row++)
        if (pqk_get_u64(bytes + 8 * row - 8) >= pqk_get_u64(bytes + 8 * row))
            return 0;
    return pqk_get_u64(bytes + 8 * (num_rows - 1)) != PQK_NO_ID;
}

/* Every row has a position, and none has two. */
static pqk_status check_rows(const struct opening *opening,
                             const struct stored *stored)
{
    const uint8_t *codes = pqk_section_bytes(opening->reader, stored->codes);
    pqk_status status = PQK_OK;
    uint64_t *seen;

    if (stored->layout.row_bytes == 0)
        return PQK_OK;
    seen = calloc(stored->num_rows / 64 + 1, sizeof *seen);
    if (!seen)
        return PQK_OUT_OF_MEMORY;
    for (size_t position = 0; position < stored->num_rows; position++) {
        const size_t row = pqk_layout_row_at(&stored->layout, codes, position);
        const uint64_t bit = (uint64_t)1 << row % 64;

        if (row >= stored->num_rows || seen[row / 64] & bit) {
            status = PQK_BAD_FILE;
            break;
        }
        seen[row / 64] |= bit;
    }
    free(seen);
    return status;
}

/* The code that a label stands for; -1 if it stands for none. */
static int code_of_label(const struct opening *opening, size_t m, uint8_t label)
{
    const size_t first = m * PQK_MAX_CENTROIDS;
    const uint8_t code = opening->codes_of_labels[first + label];

    return label == (opening->labels ? opening->labels[first + code] : code)
               ? code
               : -1;
}

/* Every code is one: of 256 centroids each byte names one. */
static pqk_status check_codes(const struct opening *opening,
                              const struct stored *stored)
{
    const pqk_codebook *codebook = &opening->collection->prepared.codebook;
    const uint8_t *codes = pqk_section_bytes(opening->reader, stored->codes);

    if (codebook->num_centroids == PQK_MAX_CENTROIDS)
        return PQK_OK;
    for (size_t m = 0; m < codebook->num_sub_vectors; m++)
        for (size_t position = 0; position < stored->num_rows; position++)
            if (code_of_label(opening, m,
                              pqk_layout_label_at(&stored->layout, codes, m,
                                                  position)) < 0)
                return PQK_BAD_FILE;
    return PQK_OK;
}

static int sections_are_intact(const struct opening *opening,
                               const struct stored *stored)
{
    const struct pqk_reader *reader = opening->reader;

    return pqk_section_is_intact(reader, stored->codes) &&
           (!stored->ids ||
            (pqk_section_is_intact(reader, stored->ids) &&
             ids_are_valid(pqk_section_bytes(reader, stored->ids),
                           stored->num_rows)));
}

static pqk_status check_sections(const struct opening *opening,
                                 const struct stored *stored)
{
    pqk_status status = PQK_BAD_FILE;

    if (sections_are_intact(opening, stored))
        status = check_rows(opening, stored);
    if (status == PQK_OK)
        status = check_codes(opening, stored);
    return status;
}

/* What the codes' layout is to the kernel: its own? */
static int layout_is_own(const struct opening *opening,
                         const struct stored *stored)
{
    const struct pqk_prepared *prepared = &opening->collection->prepared;
    const struct pqk_code_layout own =
        prepared->kernel->code_layout(&prepared->codebook, stored->num_rows);

    return (labels_of(prepared) != NULL) == (opening->labels != NULL) &&
           own.columns == stored->layout.columns &&
           own.column_stride == stored->layout.column_stride &&
           own.position_stride == stored->layout.position_stride &&
           (own.row_bytes == 0 || own.rows == stored->layout.rows) &&
           own.row_bytes == stored->layout.row_bytes &&
           own.bytes == stored->layout.bytes;
}

/* Row-major codes, from any layout; 0 if a row or a code is none. */
static int read_codes(const struct opening *opening,
                      const struct stored *stored, uint8_t *codes)
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
            const int code = code_of_label(
                opening, m,
                pqk_layout_label_at(&stored->layout, from, m, position));

            if (code < 0)
                return 0;
            to[m] = (uint8_t)code;
        }
    }
    return 1;
}

static pqk_status copy_codes(const struct opening *opening,
                             const struct stored *stored, struct pqk_rows *rows)
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

static pqk_status copy_ids(const struct opening *opening,
                           const struct stored *stored, struct pqk_rows *rows)
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
static const uint64_t *mapped_ids(const struct opening *opening,
                                  const struct stored *stored)
{
    const void *bytes = pqk_section_bytes(opening->reader, stored->ids);

    return bytes;
}

#ifdef WORDS_BIGENDIAN
#define IDS_CAN_BE_MAPPED 0
#else
#define IDS_CAN_BE_MAPPED 1
#endif

static void map_partition(const struct opening *opening,
                          const struct stored *stored, struct pqk_rows *rows)
{
    rows->mapped = 1;
    rows->codes = pqk_section_bytes(opening->reader, stored->codes);
    if (stored->ids)
        rows->ids = mapped_ids(opening, stored);
}

static pqk_status copy_partition(const struct opening *opening,
                                 const struct stored *stored,
                                 struct pqk_rows *rows)
{
    pqk_status status = copy_codes(opening, stored, rows);

    if (status == PQK_OK && stored->ids)
        status = copy_ids(opening, stored, rows);
    return status;
}

static pqk_status open_partition(const struct opening *opening,
                                 const struct stored *stored)
{
    pqk_collection *collection = opening->collection;
    struct pqk_rows rows = {.num_rows = stored->num_rows,
                            .first_id = stored->first_id};
    pqk_status status = PQK_OK;

    if (opening->verified)
        status = check_sections(opening, stored);
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

static pqk_status open_partitions(const struct opening *opening, size_t at)
{
    const struct pqk_head *head = &opening->reader->head;
    pqk_collection *collection = opening->collection;
    const size_t num_sub_vectors =
        collection->prepared.codebook.num_sub_vectors;
    pqk_status status = PQK_OK;
    struct stored stored;

    for (uint32_t partition = 0; status == PQK_OK && at < head->num_sections;
         partition++) {
        const size_t sections = read_partition(opening->reader, at, partition,
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
static pqk_status open_with(struct opening *opening, const pqk_kernel *kernel,
                            pqk_quantizer *quantizer)
{
    const pqk_codebook *codebook = &quantizer->codebook;
    const int num_labels = read_labels(opening, codebook);
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
    struct opening opening = {.reader = reader,
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
