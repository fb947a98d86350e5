/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Which rows of a partition or the tail may be results: what options allow, and
 * what was not removed, as bits as far as ids follow each other, else by
 * asking.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "search.h"

/* 64 bits of allowed from bit `first` on; those beyond its end are 0. */
static uint64_t allowed_bits(const pqk_search_options *options, uint64_t first)
{
    const size_t shift = first % 64;
    uint64_t bits, left;
    size_t word;

    if (first >= options->num_allowed)
        return 0;
    left = options->num_allowed - first;
    word = (size_t)(first / 64);
    bits = options->allowed[word] >> shift;
    if (shift > 0 && left > 64 - shift)
        bits |= options->allowed[word + 1] << (64 - shift);
    return left < 64 ? bits & (((uint64_t)1 << left) - 1) : bits;
}

/* Fills bits, one per row, with which rows may be results as far as bits can
 * say; 0 if there is none. */
static int fill_row_bits(const pqk_search_options *options,
                         const struct pqk_rows *rows, uint64_t *bits)
{
    const int by_allowed = options->allowed && !rows->ids;
    uint64_t any = 0;

    for (size_t row = 0; row < rows->num_rows; row += 64) {
        const size_t left = rows->num_rows - row;
        uint64_t word = UINT64_MAX;

        if (by_allowed)
            word = allowed_bits(options, rows->first_id + row);
        if (rows->removed)
            word &= ~rows->removed[row / 64];
        if (left < 64)
            word &= ((uint64_t)1 << left) - 1;
        bits[row / 64] = word;
        any |= word;
    }
    return any != 0;
}

/* Whether a row may be a result, as far as its bit did not say. */
static int allows_row(void *context, uint32_t row)
{
    const struct pqk_asking *asking = context;
    const pqk_search_options *options = asking->options;
    const uint64_t id = pqk_rows_id(asking->rows, row);

    if (options->allowed && asking->rows->ids &&
        !(allowed_bits(options, id) & 1))
        return 0;
    return !options->predicate ||
           options->predicate(options->predicate_context, id) != 0;
}

int pqk_make_filter(const pqk_search_options *options,
                    const struct pqk_rows *rows, uint64_t *bits,
                    struct pqk_asking *asking, struct pqk_filter *filter)
{
    *asking = (struct pqk_asking){options, rows};
    *filter = (struct pqk_filter){.rows = NULL};
    if (rows->removed || (options->allowed && !rows->ids)) {
        if (!fill_row_bits(options, rows, bits))
            return 0;
        filter->rows = bits;
    }
    if (options->predicate || (options->allowed && rows->ids)) {
        filter->allows = allows_row;
        filter->context = asking;
    }
    return 1;
}
