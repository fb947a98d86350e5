/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a collection's file says that its partitions are, and whether that can
 * be: no byte outside of a section is named, and, if it is to be verified, no
 * row is missing and no code is of no centroid.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "base/little_endian.h"
#include "stored.h"

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

int pqk_read_labels(struct pqk_opening *opening, const pqk_codebook *codebook)
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

size_t pqk_read_stored(const struct pqk_reader *reader, size_t at,
                       uint32_t partition, size_t num_sub_vectors,
                       struct pqk_stored *stored)
{
    const struct pqk_section *codes = &reader->head.sections[at];
    const uint64_t *parameters = codes->parameters;

    if (codes->type != PQK_SECTION_CODES || codes->partition != partition ||
        parameters[AT_NUM_ROWS] - 1 >= PQK_MAX_ROWS ||
        parameters[NUM_USED] != 0)
        return 0;
    *stored = (struct pqk_stored){
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
static pqk_status check_rows(const struct pqk_opening *opening,
                             const struct pqk_stored *stored)
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

/* Every code is one: of 256 centroids each byte names one. */
static pqk_status check_codes(const struct pqk_opening *opening,
                              const struct pqk_stored *stored)
{
    const pqk_codebook *codebook = &opening->collection->prepared.codebook;
    const uint8_t *codes = pqk_section_bytes(opening->reader, stored->codes);

    if (codebook->num_centroids == PQK_MAX_CENTROIDS)
        return PQK_OK;
    for (size_t m = 0; m < codebook->num_sub_vectors; m++)
        for (size_t position = 0; position < stored->num_rows; position++)
            if (pqk_code_of_label(opening, m,
                                  pqk_layout_label_at(&stored->layout, codes, m,
                                                      position)) < 0)
                return PQK_BAD_FILE;
    return PQK_OK;
}

static int sections_are_intact(const struct pqk_opening *opening,
                               const struct pqk_stored *stored)
{
    const struct pqk_reader *reader = opening->reader;

    return pqk_section_is_intact(reader, stored->codes) &&
           (!stored->ids ||
            (pqk_section_is_intact(reader, stored->ids) &&
             ids_are_valid(pqk_section_bytes(reader, stored->ids),
                           stored->num_rows)));
}

pqk_status pqk_check_stored(const struct pqk_opening *opening,
                            const struct pqk_stored *stored)
{
    pqk_status status = PQK_BAD_FILE;

    if (sections_are_intact(opening, stored))
        status = check_rows(opening, stored);
    if (status == PQK_OK)
        status = check_codes(opening, stored);
    return status;
}
