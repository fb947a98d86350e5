/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Top-k: keys are appended while they are within the bound.  When the memory is
 * full, a selection keeps the k best, and the worst of them is the new bound.  A
 * push costs a store, whatever k is; a heap of the books costs log k.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <string.h>

#include "kernels/results.h"

/* There are k + SLACK pushes between two selections.  A large SLACK makes
 * selections rare for a small k; a small one makes the bound fall sooner. */
#define SLACK 24

size_t pqk_top_k_heap_storage(size_t k)
{
    if (k == 0)
        return 0;
    return k > (SIZE_MAX - SLACK) / 2 ? SIZE_MAX : 2 * k + SLACK;
}

/* No key is 0, and none is above UINT64_MAX. */
static uint64_t open_bound(size_t k)
{
    return k == 0 ? 0 : UINT64_MAX;
}

void pqk_top_k_heap_init(pqk_top_k_heap *heap, uint64_t *storage, size_t k)
{
    heap->k = k;
    heap->length = 0;
    heap->bound = open_bound(k);
    heap->keys = storage;
    heap->reserved_ptr1 = NULL;
    heap->reserved_int1 = 0;
}

/* Keys that are parted with the help of memory of their own. */
#define ASIDE 1024

/* Puts the keys up to a limit first; returns how many.  No branch hangs on a key:
 * that is guessed wrong half of the time.  Few keys are written to one side or to
 * the other, which are never read: many are exchanged in place, where each has to
 * wait for the one before. */
static size_t keys_up_to(uint64_t *keys, size_t length, uint64_t limit)
{
    uint64_t above[ASIDE];
    size_t count = 0;

    if (length > ASIDE) {
        for (size_t i = 0; i < length; i++) {
            const uint64_t key = keys[i];

            keys[i] = keys[count];
            keys[count] = key;
            count += key <= limit;
        }
        return count;
    }
    for (size_t i = 0; i < length; i++) {
        const uint64_t key = keys[i];

        keys[count] = key;
        above[i - count] = key;
        count += key <= limit;
    }
    memcpy(keys + count, above, (length - count) * sizeof *keys);
    return count;
}

static uint64_t median_of_three(uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t low = a < b ? a : b, high = a < b ? b : a;

    return c < low ? low : c < high ? c : high;
}

/*
 * Lomuto's partition around the median of three: afterwards no key before the
 * returned position is greater than one at or behind it, and both parts have at
 * least one key; if all are equal, it returns length.  Needs length >= 2.
 *
 * If no key is less than the median, those equal to it are parted from the others,
 * or many equal keys would take as many rounds.
 */
static size_t partition_keys(uint64_t *keys, size_t length)
{
    const uint64_t pivot =
        median_of_three(keys[0], keys[(length - 1) / 2], keys[length - 1]);
    const size_t cut = keys_up_to(keys, length, pivot - 1);

    return cut > 0 ? cut : keys_up_to(keys, length, pivot);
}

/* Puts the k smallest keys first, in any order. */
static void select_keys(uint64_t *keys, size_t length, size_t k)
{
    while (length > 1 && k > 0 && k < length) {
        size_t cut = partition_keys(keys, length);

        if (cut == length)
            return;
        if (k < cut) {
            length = cut;
        } else {
            keys += cut;
            length -= cut;
            k -= cut;
        }
    }
}

/* Recurses into the shorter part, so log2(length) deep at most. */
static void sort_keys(uint64_t *keys, size_t length)
{
    while (length > 16) {
        size_t cut = partition_keys(keys, length);

        if (cut == length)
            return;
        if (cut < length / 2) {
            sort_keys(keys, cut);
            keys += cut;
            length -= cut;
        } else {
            sort_keys(keys + cut, length - cut);
            length = cut;
        }
    }
    for (size_t i = 1; i < length; i++) {
        uint64_t key = keys[i];
        size_t hole = i;

        for (; hole > 0 && keys[hole - 1] > key; hole--)
            keys[hole] = keys[hole - 1];
        keys[hole] = key;
    }
}

/* Fewer keys than this are sorted sooner by comparing them. */
#define MANY_KEYS 128

/* Copies keys in the order of 8 bits of what they are above the least one. */
static void deal_keys(const uint64_t *keys, size_t count, uint64_t least,
                      unsigned shift, uint64_t *to)
{
    size_t place[256] = {0}, first = 0;

    for (size_t i = 0; i < count; i++)
        place[(keys[i] - least) >> shift & 255]++;
    for (size_t digit = 0; digit < 256; digit++) {
        const size_t next = first + place[digit];

        place[digit] = first;
        first = next;
    }
    for (size_t i = 0; i < count; i++)
        to[place[(keys[i] - least) >> shift & 255]++] = keys[i];
}

/* Sorts by the 16 highest bits in which keys are apart, the lower eight first, with
 * memory for as many keys aside.  Those that are alike in them are compared. */
static void sort_many(uint64_t *keys, size_t count, uint64_t *aside)
{
    uint64_t least = keys[0], greatest = keys[0];
    unsigned bits, shift;

    for (size_t i = 1; i < count; i++) {
        least = keys[i] < least ? keys[i] : least;
        greatest = keys[i] > greatest ? keys[i] : greatest;
    }
    bits = 64 - (unsigned)__builtin_clzll((greatest - least) | 1);
    shift = bits > 16 ? bits - 16 : 0;
    deal_keys(keys, count, least, shift, aside);
    deal_keys(aside, count, least, shift + 8, keys);
    for (size_t i = 0, end; i < count; i = end) {
        end = i + 1;
        while (end < count &&
               (keys[end] - least) >> shift == (keys[i] - least) >> shift)
            end++;
        sort_keys(keys + i, end - i);
    }
}

void pqk_heap_tighten(pqk_top_k_heap *heap)
{
    uint64_t bound = 0;

    if (heap->length < heap->k || heap->k == 0)
        return;
    select_keys(heap->keys, heap->length, heap->k);
    heap->length = heap->k;
    for (size_t i = 0; i < heap->k; i++)
        bound = heap->keys[i] > bound ? heap->keys[i] : bound;
    heap->bound = bound;
}

void pqk_top_k_heap_push(pqk_top_k_heap *heap, uint32_t row, float distance)
{
    uint64_t key = pqk_result_key(distance, row);

    if (key > heap->bound)
        return;
    heap->keys[heap->length++] = key;
    if (heap->length == pqk_top_k_heap_storage(heap->k))
        pqk_heap_tighten(heap);
}

size_t pqk_top_k_heap_into_sorted(pqk_top_k_heap *heap, pqk_row_result *results)
{
    size_t count;

    pqk_heap_tighten(heap);
    count = heap->length;
    if (count < MANY_KEYS)
        sort_keys(heap->keys, count);
    else
        sort_many(heap->keys, count, heap->keys + count);
    for (size_t i = 0; i < count; i++) {
        results[i].row = (uint32_t)heap->keys[i];
        results[i].distance = pqk_key_distance(heap->keys[i]);
    }
    heap->length = 0;
    heap->bound = open_bound(heap->k);
    return count;
}
