/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A variant's operations by themselves, as src/operations.h wants them: included
 * in place of the scan where the variant is compiled with PQK_OPERATIONS, for
 * tests/kernels/check_operations.c.  No object of the library has this.
 */
#ifndef PQK_KERNELS_OPERATION_TABLE_H
#define PQK_KERNELS_OPERATION_TABLE_H

#include "kernels/bytes.h"
#include "kernels/pass.h"
#include "kernels/estimate_row.h"
#include "kernels/table_row.h"
#include "operations.h"

_Static_assert(MAX_PASS_COLUMNS <= PQK_MAX_PASS_COLUMNS,
               "what the test expects");

static enum isa_kind kind_of(unsigned table_size)
{
    switch (table_size) {
    case 256:
        return TABLE_256;
    case 128:
        return TABLE_128;
    case 64:
        return TABLE_64;
    default:
        return TABLE_16;
    }
}

static void operation_copy(const uint8_t *from, uint8_t *to)
{
    isa_store(to, isa_load(from));
}

static void operation_add(const uint8_t *a, const uint8_t *b, uint8_t *sums)
{
    isa_store(sums, isa_add(isa_load(a), isa_load(b)));
}

static unsigned operation_any_alive(const uint8_t *sums, uint8_t threshold)
{
    return isa_any_alive(isa_load(sums), threshold);
}

/* The kind of a table is a constant, as in a pass. */
ISA_INLINE void look_up_in(enum isa_kind kind, const uint8_t *labels,
                           const uint8_t *from, uint8_t *entries)
{
    struct isa_table table;

    isa_load_table(kind, from, &table);
    isa_store(entries, isa_look_up(kind, isa_load(labels), &table));
}

static void operation_look_up(unsigned table_size, const uint8_t *labels,
                              const uint8_t *table, uint8_t *entries)
{
    if (table_size == 256)
        look_up_in(TABLE_256, labels, table, entries);
    else if (ISA_HAS_128 && table_size == 128)
        look_up_in(TABLE_128, labels, table, entries);
    else if (table_size == 64)
        look_up_in(TABLE_64, labels, table, entries);
    else
        look_up_in(TABLE_16, labels, table, entries);
}

static unsigned operation_pass_columns(unsigned table_size, size_t left)
{
    return pass_columns(kind_of(table_size), left);
}

static struct scan_pass scan_pass_of(const struct pqk_operations_pass *from)
{
    struct scan_pass pass = {.table = kind_of(from->table_size),
                             .num_columns = from->num_columns};

    for (unsigned j = 0; j < from->num_columns; j++) {
        pass.tables[j] = from->tables[j];
        pass.columns[j] = from->columns[j];
    }
    return pass;
}

static void operation_pass_sum(const struct pqk_operations_pass *from,
                               size_t offset, size_t num_blocks, int first,
                               uint8_t *sums)
{
    const struct scan_pass pass = scan_pass_of(from);

    pass_sum(&pass, offset, num_blocks, first, sums);
}

/* A pass, and behind it a copy, whose columns every other one fetches if passes of
 * its kind can. */
struct two_passes {
    struct scan_pass passes[2];
};

static struct two_passes two_passes_of(const struct pqk_operations_pass *from,
                                       uint64_t number)
{
    const struct scan_pass pass = scan_pass_of(from);
    struct two_passes two = {{pass, pass}};

    two.passes[0].fetches =
        ISA_FETCHES && pass.table == ISA_FETCHING_TABLE && number % 2 != 0;
    return two;
}

static uint64_t operation_pass_filter(const struct pqk_operations_pass *from,
                                      size_t offset, size_t num_blocks,
                                      int first, uint8_t *sums,
                                      uint8_t threshold)
{
    const struct two_passes two = two_passes_of(from, num_blocks);

    return pass_filter(two.passes, offset, num_blocks, first, sums, threshold);
}

static uint64_t
operation_pass_filter_live(const struct pqk_operations_pass *from,
                           size_t offset, uint64_t live, uint8_t *sums,
                           uint8_t threshold)
{
    const struct two_passes two = two_passes_of(from, live);

    return pass_filter_live(two.passes, offset, live, sums, threshold);
}

#if ISA_BY_GROUPS
static void operation_find_groups(const uint8_t *bytes, uint8_t *minima_64,
                                  uint8_t *minima_16, uint8_t *steps_64,
                                  uint8_t *rests_64)
{
    const struct scan_arrays arrays = {.bytes = (uint8_t *)(uintptr_t)bytes,
                                       .rests_64 = rests_64,
                                       .minima_64 = minima_64,
                                       .minima_16 = minima_16,
                                       .steps_64 = steps_64};

    if (ISA_FLOAT_GROUPS) /* they are there before */
        find_minima_64(bytes, minima_64);
    find_term(&arrays, MINIMA_16, 0);
    find_term(&arrays, STEPS_64, 0);
    find_term(&arrays, RESTS_64, 0);
}
#endif

#ifdef ISA_LANES
static void operation_copy_ints(const int32_t *from, int32_t *to)
{
    isa_store_ints(to, isa_load_ints(from));
}

static void operation_all_ints(int32_t number, int32_t *to)
{
    isa_store_ints(to, isa_all_ints(number));
}

static void operation_add_ints(const int32_t *a, const int32_t *b,
                               int32_t *sums)
{
    isa_store_ints(sums, isa_add_ints(isa_load_ints(a), isa_load_ints(b)));
}

static void operation_lesser_ints(const int32_t *a, const int32_t *b,
                                  int32_t *lesser)
{
    isa_store_ints(lesser, isa_lesser_ints(isa_load_ints(a), isa_load_ints(b)));
}

static void operation_multiply_pairs(const int16_t *a, const int16_t *b,
                                     int32_t *sums)
{
    isa_store_ints(sums, isa_multiply_pairs(isa_load_ints((const int32_t *)a),
                                            isa_load_ints((const int32_t *)b)));
}

static int32_t operation_least_int(const int32_t *ints)
{
    return isa_least_int(isa_load_ints(ints));
}

static unsigned operation_ints_at_most(const int32_t *ints, const int32_t *most)
{
    return isa_ints_at_most(isa_load_ints(ints), isa_load_ints(most));
}
#endif

const struct pqk_operations ISA_SYMBOL(pqk_operations) = {
    .table_sizes = 256 | (ISA_HAS_128 ? 128 : 0) | 64 | 16,
    .copy = operation_copy,
    .add = operation_add,
    .any_alive = operation_any_alive,
    .alive = isa_alive,
#if ISA_COUNTS
    .count_alive = isa_count_alive,
#endif
    .look_up = operation_look_up,
    .pass_columns = operation_pass_columns,
    .pass_sum = operation_pass_sum,
    .pass_filter = operation_pass_filter,
    .pass_filter_live = operation_pass_filter_live,
    .table_row = table_row,
    .transpose_floats = isa_transpose_floats,
    .row_minimum = isa_row_minimum,
    .quantize = isa_quantize,
    .weigh = isa_weigh,
#if ISA_FLOAT_GROUPS
    .group_minima = isa_group_minima,
    .weigh_64 = isa_weigh_64,
    .table_row_of_groups = table_row_of_groups,
#endif
#if ISA_ESTIMATES
    .add_squares = isa_add_squares,
#endif
#if ISA_FLOAT_ESTIMATES
    .estimate_floats = estimate_row,
    .find_factors = find_factors,
#elif ISA_ESTIMATES
    .estimate_row = estimate_row,
    .float_groups = ISA_FLOAT_GROUPS,
    .round = isa_round,
#endif
    .transpose_rows = isa_transpose_rows,
    .transposed_row = isa_transposed_row,
#if ISA_HAS_128
    .minima_128 = find_minima_128,
#endif
#if ISA_BY_GROUPS
    .minima_64 = find_minima_64,
    .groups = operation_find_groups,
#endif
#ifdef ISA_LANES
    .lanes = ISA_LANES,
    .copy_ints = operation_copy_ints,
    .all_ints = operation_all_ints,
    .add_ints = operation_add_ints,
    .lesser_ints = operation_lesser_ints,
    .multiply_pairs = operation_multiply_pairs,
    .least_int = operation_least_int,
    .ints_at_most = operation_ints_at_most,
#endif
};

#endif
