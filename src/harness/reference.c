/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The scalar reference.  It shares no code with the library, on purpose: what
 * both get wrong in the same way nobody would see.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "reference.h"

#include <math.h>
#include <string.h>

/*
 * A max-heap of results, the worst one on top.  Its order is that of
 * (distance, id) with every NaN after +inf: worse() says which of two ranks
 * behind the other.
 */
struct heap {
    size_t k;
    size_t length;
    pqk_neighbor *items;
};

void pqh_reference_table(const float *query, const pqk_codebook *codebook,
                         float *entries)
{
    size_t dim = codebook->sub_vector_dim;
    const float *centroid = codebook->centroids;

    for (size_t m = 0; m < codebook->num_sub_vectors; m++) {
        const float *part = query + m * dim;
        float *row = entries + m * PQK_TABLE_STRIDE;

        for (size_t j = 0; j < codebook->num_centroids; j++) {
            float sum = 0.0f;
            for (size_t d = 0; d < dim; d++) {
                float difference = part[d] - centroid[d];
                sum += difference * difference;
            }
            row[j] = sum;
            centroid += dim;
        }
        for (size_t j = codebook->num_centroids; j < PQK_TABLE_STRIDE; j++) {
            row[j] = INFINITY;
        }
    }
}

static int worse(pqk_neighbor a, pqk_neighbor b)
{
    int a_nan = isnan(a.distance) != 0;
    int b_nan = isnan(b.distance) != 0;

    if (a_nan != b_nan) {
        return a_nan;
    }
    if (!a_nan && a.distance != b.distance) {
        return a.distance > b.distance;
    }
    return a.id > b.id;
}

static void sift_down(pqk_neighbor *items, size_t length, size_t at,
                      pqk_neighbor item)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= length) {
            break;
        }
        if (child + 1 < length && worse(items[child + 1], items[child])) {
            child++;
        }
        if (!worse(items[child], item)) {
            break;
        }
        items[at] = items[child];
        at = child;
    }
    items[at] = item;
}

static void offer(struct heap *heap, uint32_t id, float distance)
{
    pqk_neighbor item = {id, distance};
    size_t at = heap->length;

    if (heap->length == heap->k) {
        if (worse(heap->items[0], item)) {
            sift_down(heap->items, heap->length, 0, item);
        }
        return;
    }
    heap->length++;
    while (at > 0 && worse(item, heap->items[(at - 1) / 2])) {
        heap->items[at] = heap->items[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap->items[at] = item;
}

/*
 * The distance that a later row has to stay below.  Until the heap is full, and
 * while it holds a NaN, that is NaN: the scan asks `!(sum >= threshold)`, which
 * then lets everything through to offer().
 */
static float threshold(const struct heap *heap)
{
    return heap->length == heap->k ? heap->items[0].distance : NAN;
}

/*
 * Inlined with a constant num_sub_vectors the inner loop unrolls, and the
 * additions of several rows overlap; keeping four sums side by side by hand
 * measured no faster.
 */
static inline __attribute__((always_inline)) void
scan(const float *entries, size_t num_sub_vectors, const uint8_t *codes,
     size_t num_vectors, uint32_t first, struct heap *heap)
{
    float limit = threshold(heap);

    for (size_t i = 0; i < num_vectors; i++) {
        const uint8_t *code = codes + i * num_sub_vectors;
        float sum = 0.0f;

#pragma GCC unroll 16
        for (size_t m = 0; m < num_sub_vectors; m++) {
            sum += entries[m * PQK_TABLE_STRIDE + code[m]];
        }
        if (!(sum >= limit)) {
            offer(heap, first + (uint32_t)i, sum);
            limit = threshold(heap);
        }
    }
}

/* Heap sort: the worst goes last, over and over. */
void pqh_reference_sort(pqk_neighbor *items, size_t length)
{
    static const uint32_t canonical_nan = 0x7fc00000u;

    for (size_t end = length; end > 1; end--) {
        pqk_neighbor worst = items[0];
        sift_down(items, end - 1, 0, items[end - 1]);
        items[end - 1] = worst;
    }
    for (size_t i = 0; i < length; i++) {
        if (isnan(items[i].distance)) {
            memcpy(&items[i].distance, &canonical_nan, sizeof canonical_nan);
        }
    }
}

size_t pqh_reference_scan(const float *entries, size_t num_sub_vectors,
                          const uint8_t *codes, size_t num_vectors,
                          uint32_t first, size_t k, pqk_neighbor *neighbors,
                          size_t length)
{
    struct heap heap = {k, length, neighbors};

    if (k == 0) {
        return 0;
    }
    if (num_sub_vectors == 16) {
        scan(entries, 16, codes, num_vectors, first, &heap);
    } else {
        scan(entries, num_sub_vectors, codes, num_vectors, first, &heap);
    }
    return heap.length;
}

size_t pqh_reference_probe(const float *entries, size_t num_sub_vectors,
                           const uint8_t *codes, size_t num_vectors, size_t k,
                           pqk_neighbor *neighbors)
{
    size_t length = pqh_reference_scan(entries, num_sub_vectors, codes,
                                       num_vectors, 0, k, neighbors, 0);

    pqh_reference_sort(neighbors, length);
    return length;
}
