/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Writes codes as columns of labels in their new order, with the ids of their
 * rows, and then what a scan looks at first (cells.h).  An id counts rows within a
 * section only, so each section is ordered by itself.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <string.h>

#include "kernels/prepare/cells.h"
#include "kernels/prepare/memory.h"
#include "kernels/prepare/order.h"

/* One block of each column from the codes of up to 64 rows, then label 0. */
static void write_block(const struct pqk_layout_codebook *codebook,
                        const uint8_t *const *rows, size_t count,
                        uint8_t *block, size_t stride)
{
    const uint8_t *labels = pqk_layout_labels(codebook);

    for (size_t m = 0; m < codebook->num_sub_vectors;
         m++, labels += LABELS, block += stride) {
        for (size_t i = 0; i < count; i++)
            block[i] = labels[rows[i][m]];
        memset(block + count, 0, PQK_BLOCK - count);
    }
}

/* The columns from position `begin` on; ids is NULL for the order given. */
static void write_columns(const struct pqk_layout_codebook *codebook,
                          const struct pqk_layout *layout, uint8_t *prepared,
                          size_t begin, const uint8_t *codes, size_t n,
                          const uint32_t *ids)
{
    const size_t M = codebook->num_sub_vectors;
    uint8_t *block = prepared + layout->columns + begin;

    for (size_t at = 0; at < n; at += PQK_BLOCK, block += PQK_BLOCK) {
        const uint8_t *rows[PQK_BLOCK];
        const size_t count = smaller(PQK_BLOCK, n - at);

        for (size_t i = 0; i < count; i++) {
            rows[i] = codes + (ids ? ids[at + i] : at + i) * M;
            if (ids && n - at > 2 * PQK_BLOCK)
                __builtin_prefetch(codes + ids[at + i + PQK_BLOCK] * M);
        }
        write_block(codebook, rows, count, block, layout->column_stride);
    }
}

static void write_ids(const struct pqk_layout *layout, uint8_t *prepared,
                      size_t begin, const uint32_t *ids, size_t n)
{
    uint8_t *to = prepared + layout->ids + begin * layout->id_bytes;

    for (size_t i = 0; i < n; i++)
        for (size_t byte = 0; byte < layout->id_bytes; byte++)
            *to++ = (uint8_t)(ids[i] >> 8 * byte);
}

/* Sections of as many codes as their ids can count, one after another. */
static pqk_status write_ordered(struct space *space,
                                const struct pqk_layout *layout,
                                const uint8_t *codes, uint8_t *prepared)
{
    const size_t n = layout->num_vectors;
    const size_t section = smaller(n, (size_t)1 << 8 * layout->id_bytes);
    uint32_t *ids = allocate(section, sizeof *ids);
    pqk_status status = ids ? PQK_OK : PQK_OUT_OF_MEMORY;

    for (size_t at = 0; at < n && status == PQK_OK; at += section) {
        const uint8_t *from = codes + at * space->num_sub_vectors;
        const size_t count = smaller(section, n - at);

        status = pqk_prepare_order(space, from, count, ids);
        if (status != PQK_OK)
            break;
        write_columns(space->codebook, layout, prepared, at, from, count, ids);
        write_ids(layout, prepared, at, ids, count);
    }
    free(ids);
    return status;
}

static pqk_status prepare_ordered(const struct pqk_layout_codebook *codebook,
                                  const struct pqk_layout *layout,
                                  const uint8_t *codes, uint8_t *prepared)
{
    struct space space;
    pqk_status status = pqk_prepare_space(&space, codebook);

    if (status != PQK_OK)
        return status;
    status = write_ordered(&space, layout, codes, prepared);
    if (status == PQK_OK)
        status = pqk_prepare_representatives(&space, layout, prepared);
    pqk_prepare_space_free(&space);
    return status;
}

pqk_status pqk_layout_prepare_codes(const void *prepared_codebook,
                                    const uint8_t *codes, size_t num_vectors,
                                    void *prepared_codes)
{
    const struct pqk_layout_codebook *codebook = prepared_codebook;
    const size_t M = codebook->num_sub_vectors;
    const struct pqk_layout layout = pqk_layout_of(M, num_vectors);
    pqk_status status = PQK_OK;

    if (layout.num_cells > 0)
        status = prepare_ordered(codebook, &layout, codes, prepared_codes);
    else
        write_columns(codebook, &layout, prepared_codes, 0, codes, num_vectors,
                      NULL);
    if (status == PQK_OK && layout.weights > 0)
        pqk_prepare_weights(&layout, M, prepared_codes);
    return status;
}
