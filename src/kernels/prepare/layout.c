/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Where things are in prepared codes: this follows from the shape and the number of
 * codes alone. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "kernels/layout.h"
#include "kernels/prepare/memory.h"

/* An order saves a scan of so many codes a fifth of its instructions (AVX2, NEON)
 * and less of fewer; variants that look 256 entries up sum as many whole. */
#define MIN_ORDERED 2048

/* An odd number of cache lines, so that columns do not compete for the same
 * sets of a cache when they are read abreast. */
static size_t column_stride(size_t num_blocks)
{
    return (num_blocks < 32 ? num_blocks : num_blocks | 1) * PQK_BLOCK;
}

/* Cells are large enough that their representatives take little time to look
 * at, and small enough that one of them is like its cell. */
static size_t cell_blocks(size_t num_blocks)
{
    size_t blocks = num_blocks <= 1024 ? 1 : 4;

    while ((num_blocks + blocks - 1) / blocks > 32768)
        blocks *= 2;
    return blocks;
}

static void place(struct pqk_layout *layout, size_t num_sub_vectors,
                  size_t id_bytes, int with_weights)
{
    size_t end = num_sub_vectors * layout->column_stride;

    layout->id_bytes = id_bytes;
    layout->num_cells = 0;
    if (id_bytes > 0)
        layout->num_cells = (layout->num_blocks + layout->cell_blocks - 1) /
                            layout->cell_blocks;
    layout->representative_stride = round_up(layout->num_cells, PQK_BLOCK);
    layout->representatives = end;
    end += num_sub_vectors * layout->representative_stride;
    layout->weights = with_weights ? end : 0;
    end += with_weights ? num_sub_vectors * LABELS : 0;
    layout->ids = end;
    layout->bytes = end + layout->num_vectors * id_bytes;
}

/* The best that fits into 1.25 bytes per byte of code. */
struct pqk_layout pqk_layout_of(size_t num_sub_vectors, size_t num_vectors)
{
    const size_t code_bytes = num_sub_vectors * num_vectors;
    const size_t limit = code_bytes + code_bytes / 4;
    size_t id_bytes = num_vectors < MIN_ORDERED ? 0
                      : num_vectors <= 65536    ? 2
                                                : 3;
    struct pqk_layout layout = {.num_vectors = num_vectors};

    layout.num_blocks = num_vectors / PQK_BLOCK + (num_vectors % PQK_BLOCK > 0);
    layout.column_stride = column_stride(layout.num_blocks);
    layout.cell_blocks = cell_blocks(layout.num_blocks);
    for (;; id_bytes = id_bytes == 3 ? 2 : 0) {
        place(&layout, num_sub_vectors, id_bytes, 1);
        if (layout.bytes > limit)
            place(&layout, num_sub_vectors, id_bytes, 0);
        if (layout.bytes <= limit || id_bytes == 0)
            return layout;
    }
}

size_t pqk_layout_codes_bytes(const pqk_codebook *shape, size_t num_vectors)
{
    return pqk_layout_of(shape->num_sub_vectors, num_vectors).bytes;
}

struct pqk_code_layout pqk_layout_code_layout(const pqk_codebook *shape,
                                              size_t num_vectors)
{
    const struct pqk_layout layout =
        pqk_layout_of(shape->num_sub_vectors, num_vectors);

    return (struct pqk_code_layout){.columns = layout.columns,
                                    .column_stride = layout.column_stride,
                                    .position_stride = 1,
                                    .rows = layout.ids,
                                    .row_bytes = layout.id_bytes,
                                    .bytes = layout.bytes};
}
