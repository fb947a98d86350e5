/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "varied.h"
#include "base/splitmix.h"

#include <stdlib.h>
#include <string.h>

void pqh_varied_free(struct pqh_fixture *varied)
{
    free(varied->codes);
    free(varied->queries);
    free(varied->centroids);
    memset(varied, 0, sizeof *varied);
}

static void draw_order(size_t *order, size_t count, uint64_t *random)
{
    for (size_t i = 0; i < count; i++) {
        size_t j = pqk_random_below(random, i + 1);
        order[i] = order[j];
        order[j] = i;
    }
}

/* Items of so many parts, the parts in another order. */
static void reorder(const void *from, void *to, size_t items, size_t parts,
                    size_t part_bytes, const size_t *order)
{
    const unsigned char *source = from;
    unsigned char *target = to;

    for (size_t i = 0; i < items; i++) {
        for (size_t p = 0; p < parts; p++) {
            memcpy(target, source + (i * parts + order[p]) * part_bytes,
                   part_bytes);
            target += part_bytes;
        }
    }
}

int pqh_varied_make(const struct pqh_fixture *from, size_t least, size_t most,
                    uint64_t *random, struct pqh_fixture *varied)
{
    const pqk_codebook *codebook = &from->codebook;
    size_t parts = codebook->num_sub_vectors;
    size_t rows =
        from->num_base - least - pqk_random_below(random, most - least + 1);
    size_t first = pqk_random_below(random, from->num_base - rows + 1);
    size_t part = codebook->sub_vector_dim * sizeof(float);
    size_t *order = calloc(parts, sizeof *order);

    *varied = *from;
    varied->truth = NULL;
    varied->num_base = rows;
    varied->codes = malloc(rows * parts);
    varied->queries = malloc(from->num_queries * parts * part);
    varied->centroids = malloc(parts * codebook->num_centroids * part);
    if (order == NULL || varied->codes == NULL || varied->queries == NULL ||
        varied->centroids == NULL) {
        free(order);
        pqh_varied_free(varied);
        return -1;
    }
    draw_order(order, parts, random);
    reorder(from->codes + first * parts, varied->codes, rows, parts, 1, order);
    reorder(from->queries, varied->queries, from->num_queries, parts, part,
            order);
    reorder(codebook->centroids, varied->centroids, 1, parts,
            codebook->num_centroids * part, order);
    varied->codebook.centroids = varied->centroids;
    free(order);
    return 0;
}
