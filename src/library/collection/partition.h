/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Partitions of a collection: prepared codes of rows in ascending order of their
 * ids, so that a scan that prefers lower rows prefers lower ids.
 */
#ifndef PQK_PARTITION_H
#define PQK_PARTITION_H

#include "library/prepared.h"

/* Rows are numbers of 32 bits to the kernels, and the last one is no row. */
#define PQK_MAX_ROWS ((size_t)UINT32_MAX - 1)

struct pqk_rows {
    size_t num_rows;
    uint64_t first_id;   /* of row 0 */
    const uint64_t *ids; /* ascending; NULL if they follow first_id */
    uint64_t *removed;   /* a bit per row; NULL if none is */
    size_t num_removed;
    const uint8_t *codes; /* prepared; row-major where rows wait for that */
    int mapped;           /* codes and ids belong to a file */
};

/* A code under an id, wherever it is. */
struct pqk_row {
    uint64_t id;
    const uint8_t *code;
};

static inline uint64_t pqk_rows_id(const struct pqk_rows *rows, size_t row)
{
    return rows->ids ? rows->ids[row] : rows->first_id + row;
}

static inline int pqk_rows_removed(const struct pqk_rows *rows, size_t row)
{
    return rows->removed && (rows->removed[row / 64] >> row % 64 & 1);
}

static inline size_t pqk_rows_left(const struct pqk_rows *rows)
{
    return rows->num_rows - rows->num_removed;
}

/* The first row whose id is not below id; num_rows if there is none.  Takes
 * time that grows with the logarithm of its distance from row `from`, up to
 * which all ids must be below. */
size_t pqk_rows_at_or_above(const struct pqk_rows *rows, size_t from,
                            uint64_t id);

/* Puts rows that are sought or made in ascending order of their ids. */
void pqk_sort_rows(struct pqk_row *rows, size_t count);

/* Sorted rows of ids; codes [num_ids], which may be NULL, are told apart by
 * theirs.  To be freed; NULL if there is no memory. */
struct pqk_row *pqk_sorted_rows(const uint64_t *ids, size_t num_ids,
                                const uint8_t *codes, size_t num_sub_vectors);

/* Calls found for each of the sought rows, which are in ascending order, that is
 * there: it is sought[i], and number `row` here. */
typedef void (*pqk_row_found)(void *context, size_t i, size_t row);
void pqk_rows_match(const struct pqk_rows *rows, const struct pqk_row *sought,
                    size_t num_sought, pqk_row_found found, void *context);

/* How many of the sought rows are there. */
size_t pqk_rows_count(const struct pqk_rows *rows, const struct pqk_row *sought,
                      size_t num_sought);

/* PQK_DUPLICATE_ID if an id is in two of the partitions, none of which is empty;
 * removed rows count. */
pqk_status pqk_partitions_distinct(const struct pqk_rows *partitions,
                                   size_t count);

/* Prepares rows in ascending order of their ids, at least one.  On failure
 * `made` is untouched. */
pqk_status pqk_partition_make(const struct pqk_prepared *prepared,
                              const struct pqk_row *rows, size_t num_rows,
                              struct pqk_rows *made);

/* Frees what a partition owns. */
void pqk_partition_free(struct pqk_rows *partition);

/* Restores codes to [num_rows][M], and lists those rows that are not removed;
 * how many those are. */
size_t pqk_partition_restore(const struct pqk_prepared *prepared,
                             const struct pqk_rows *partition, uint8_t *codes,
                             struct pqk_row *rows);

/* Where the kernel keeps a partition's codes. */
struct pqk_code_layout pqk_partition_layout(const struct pqk_prepared *prepared,
                                            const struct pqk_rows *partition);

/* The row at a position of prepared codes. */
static inline size_t pqk_layout_row_at(const struct pqk_code_layout *layout,
                                       const uint8_t *codes, size_t position)
{
    const uint64_t low = layout->rows + position * layout->row_bytes;
    size_t row = position;

    for (size_t i = 0; i < layout->row_bytes; i++)
        row = (row & ~((size_t)0xff << 8 * i)) | (size_t)codes[low + i]
                                                     << 8 * i;
    return row;
}

static inline uint8_t pqk_layout_label_at(const struct pqk_code_layout *layout,
                                          const uint8_t *codes, size_t m,
                                          size_t position)
{
    return codes[layout->columns + m * layout->column_stride +
                 position * layout->position_stride];
}

/* The code of each label, [M][256]; labels may be NULL. */
void pqk_codes_of_labels(const pqk_codebook *shape, const uint8_t *labels,
                         uint8_t *codes_of_labels);

#endif
