/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Row-major codes from prepared ones, every byte as it was given. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "kernels/layout.h"
#include "kernels/prepare/memory.h"

static void restore_block(const struct pqk_layout_codebook *codebook,
                          const struct pqk_layout *layout,
                          const uint8_t *prepared, size_t begin, size_t count,
                          uint8_t *codes)
{
    const uint8_t *codes_of_labels = pqk_layout_codes_of_labels(codebook);
    const size_t M = codebook->num_sub_vectors;
    uint8_t *rows[PQK_BLOCK];

    for (size_t i = 0; i < count; i++)
        rows[i] =
            codes + (size_t)pqk_layout_row(layout, prepared, begin + i) * M;
    for (size_t m = 0; m < M; m++) {
        const uint8_t *column =
            prepared + layout->columns + m * layout->column_stride + begin;

        for (size_t i = 0; i < count; i++)
            rows[i][m] = codes_of_labels[m * LABELS + column[i]];
    }
}

void pqk_layout_restore_codes(const void *prepared_codebook,
                              const void *prepared_codes, size_t num_vectors,
                              uint8_t *codes)
{
    const struct pqk_layout_codebook *codebook = prepared_codebook;
    const struct pqk_layout layout =
        pqk_layout_of(codebook->num_sub_vectors, num_vectors);

    for (size_t begin = 0; begin < num_vectors; begin += PQK_BLOCK)
        restore_block(codebook, &layout, prepared_codes, begin,
                      smaller(PQK_BLOCK, num_vectors - begin), codes);
}
