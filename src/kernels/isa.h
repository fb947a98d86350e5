/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * All that an instruction set provides.  A variant's file defines the types
 * isa_bytes, isa_floats and, if it has integers for encoding, isa_ints; includes
 * this; defines the operations below and struct isa_table; and ends with variant.h,
 * which makes the scan of them.  An operation that is missing or of another type is
 * an error of the compiler's; tests/kernels/check_operations.c tries each alone.
 *
 * A block is 64 codes of a column.  Sums are bytes that saturate at 255, and a code
 * is alive whose sum is <= a threshold of at most 254.  "Aligned" is to 64 bytes;
 * what is not said to be may be anywhere.
 *
 * Choices, as macros: what pays on this instruction set.
 *   ISA_NAME       the variant's name in src/variants.h
 *   ISA_HAS_128    1 if it looks 128 entries up, else 0
 *   ISA_BY_GROUPS  1 if 256 entries cost so much more than 64 that minima over
 *                  groups of centroids go first, 0 if such minima do not pay
 *   ISA_ROW_TABLE  what row-major codes, whose groups are arbitrary, are filtered
 *                  by where 64 groups let too many through: TABLE_256, TABLE_128,
 *                  or TABLE_64 if nothing better pays
 *   ISA_FLOAT_GROUPS  1 if minima over 64 groups are found in float32, while a row
 *                  of the table is made, and only they are made bytes until a plan
 *                  wants all entries; else 0, as if not defined.  64 is a multiple
 *                  of ISA_FLOATS * ISA_ROW_SUMS / 4 then (table_row.h)
 *   ISA_ESTIMATES  1 if tables of estimates take less time than exact ones
 *                  (estimates.h); else 0, as if not defined.  ISA_FLOATS is the
 *                  number of 32-bit integers in a register then
 *   ISA_FLOAT_ESTIMATES  1 if fused operations of isa_floats make them instead of
 *                  integers: with ISA_ESTIMATES and ISA_FLOAT_GROUPS; else 0, as if
 *                  not defined.  64 is a multiple of 2 * ISA_FLOATS then
 *   ISA_WORDS_OF_CODES  1 if taking a code out of a word takes less time than
 *                  loading it, on a little-endian machine; else 0, as if not
 *                  defined
 *   ISA_COUNTS     1 if counting compares with bytes takes less time than with
 *                  isa_alive()'s bits; else 0, as if not defined
 *   ISA_FETCHING_TABLE  what passes look up that fetch, where codes come from far,
 *                  what the next pass reads (pass.h); not defined if none does
 *   ISA_PLANS(num_queries, cpu, near)  one of plan.h's lists of plans; cpu has bits
 *                  PQK_CPU_... of variants.h, near says that codes are few and no
 *                  other partition was scanned before: a cache may have them
 */
#ifndef PQK_KERNELS_ISA_H
#define PQK_KERNELS_ISA_H

#include <stddef.h>
#include <stdint.h>

#ifndef ISA_WORDS_OF_CODES
#define ISA_WORDS_OF_CODES 0
#endif
#ifndef ISA_COUNTS
#define ISA_COUNTS 0
#endif
#ifndef ISA_ESTIMATES
#define ISA_ESTIMATES 0
#endif
#ifndef ISA_FLOAT_ESTIMATES
#define ISA_FLOAT_ESTIMATES 0
#endif
#ifndef ISA_FLOAT_GROUPS
#define ISA_FLOAT_GROUPS 0
#endif

/* Unrolls a loop over a few registers, so that an array of them needs no memory. */
#if defined __clang__
#define ISA_UNROLL _Pragma("clang loop unroll(full)")
#else
#define ISA_UNROLL _Pragma("GCC unroll 16")
#endif

/* A variant may make compilers forget what a pointer was made of, where adding to
 * it takes less time than loading one of many that were made beforehand and do not
 * all fit into registers. */
#ifndef ISA_FORGET
#define ISA_FORGET(pointer) (void)(pointer)
#endif

/* For bodies that are specialised by constant arguments. */
#define ISA_INLINE static inline __attribute__((always_inline))

/* How far ahead columns are prefetched: 64 blocks.  Hardware prefetchers alone
 * follow too few columns at once.  Prefetching beyond the end does no harm. */
#define ISA_PREFETCH_BYTES 4096

static inline void isa_prefetch(const uint8_t *from)
{
    __builtin_prefetch((const void *)((uintptr_t)from + ISA_PREFETCH_BYTES));
}

/* ------------------------------------------------------------------------ */
/* The bytes of a block: isa_bytes, 64 of them in registers, aligned in memory */

static isa_bytes isa_load(const uint8_t *from);
static void isa_store(uint8_t *to, isa_bytes bytes);

/* Byte by byte, saturating at 255. */
static isa_bytes isa_add(isa_bytes sums, isa_bytes terms);

/* 1 if a byte is <= the threshold, else 0. */
static unsigned isa_any_alive(isa_bytes sums, uint8_t threshold);

/* Which of 64 codes are alive: bit j for the sum at sums[j]. */
static uint64_t isa_alive(const uint8_t *sums, uint8_t threshold);

#if ISA_COUNTS

/* How many codes of so many blocks are alive. */
static size_t isa_count_alive(const uint8_t *sums, size_t num_blocks,
                              uint8_t threshold);

#endif

/* ------------------------------------------------------------------------ */
/* Look-ups: struct isa_table has a table, in registers if it fits          */

/* Tables by their entries, which the low 8, 7, 6 or 4 bits of a label choose from,
 * whatever is above them. */
enum isa_kind { TABLE_256, TABLE_128, TABLE_64, TABLE_16 };
struct isa_table;

/* 1, 2, 4 or 8: how many tables of a kind can be in registers at a time. */
static unsigned isa_columns_at_once(enum isa_kind kind);

/* Entries are aligned, the 16 of TABLE_16 to 16 bytes. */
static void isa_load_table(enum isa_kind kind, const uint8_t *entries,
                           struct isa_table *table);
static isa_bytes isa_look_up(enum isa_kind kind, isa_bytes labels,
                             const struct isa_table *table);

/* ------------------------------------------------------------------------ */
/* A query's table: isa_floats, ISA_FLOATS numbers of rows of 256           */

/* Sums are + and * of isa_floats.  Memory is aligned to their size. */
static isa_floats isa_all_floats(float number);
static isa_floats isa_load_floats(const float *from);
static void isa_store_floats(float *to, isa_floats floats);

/* Lane by lane: the candidate if it is less than `least`, else `least`.  `least` is
 * no NaN, and a candidate that is one is passed over. */
static isa_floats isa_lesser_floats(isa_floats candidate, isa_floats least);
static float isa_least_float(isa_floats floats);

/* The minimum of a row, which passes over NaNs; +inf if there is nothing else. */
static float isa_row_minimum(const float *row);

/* min(255, (numbers[c] - bias) * scale), rounded down, to aligned bytes; 255 for a
 * NaN.  There are 256 or 64, none less than the bias; that and the scale, above 0,
 * are finite. */
static void isa_quantize(const float *numbers, size_t count, float bias,
                         float scale, uint8_t *bytes);

/* The sum of 256 products of aligned bytes, if no weight is greater than 64; else
 * any number, since weights may come from a file. */
static uint32_t isa_weigh(const uint8_t *bytes, const uint8_t *weights);

#if ISA_FLOAT_GROUPS

/* The least of four, NaNs passed over, of which no one is signaling. */
static isa_floats isa_least_of_four(isa_floats a, isa_floats b, isa_floats c,
                                    isa_floats d);

/* The 64 minima of a row, over the entries whose numbers share the 6 low bits;
 * returns the row's.  NaNs are passed over, as by isa_row_minimum(). */
static float isa_group_minima(const float *row, float *minima);

/* The sum of products of the weights with the bytes of their groups.  A group's
 * weights that add up to 256 may count as 255: it is to order by. */
static uint32_t isa_weigh_64(const uint8_t *minima, const uint8_t *weights);

#endif

/* ------------------------------------------------------------------------ */
/* Other layouts                                                            */

/* to[j * to_stride + i] = from[i * from_stride + j] for i, j = 0, ..., 7. */
static void isa_transpose_floats(const float *from, size_t from_stride,
                                 float *to, size_t to_stride);

#if ISA_FLOAT_GROUPS

/* Component i of ISA_FLOATS vectors of 8, which are side by side. */
static void isa_load_vectors(const float *from, isa_floats components[8]);

#endif

/* 64 rows of 16 bytes become 16 aligned columns; byte j of a column is that of row
 * isa_transposed_row(j). */
static void isa_transpose_rows(const uint8_t *codes, size_t row_stride,
                               uint8_t *columns, size_t column_stride);
static unsigned isa_transposed_row(unsigned lane);

/* ------------------------------------------------------------------------ */
/* Integers of 32 bits: isa_ints, ISA_LANES of them, if encoding with them pays */

#if defined ISA_LANES || (ISA_ESTIMATES && !ISA_FLOAT_ESTIMATES)

/* Memory is aligned to all lanes. */
static isa_ints isa_load_ints(const int32_t *from);
static isa_ints isa_all_ints(int32_t number);
static isa_ints isa_add_ints(isa_ints a, isa_ints b);

/* out[i], 16-byte aligned: (values[i] - centres[i]) * scale, rounded to the nearest
 * integer, for 8 of them.  Returns the sum of the squares, or -1 if a magnitude is
 * beyond its reach.  The squares of the reaches add up to at most 2^28. */
static int32_t isa_round(const float *values, const float *centres,
                         const float *reach, float scale, int16_t *out);

#endif
#ifdef ISA_LANES

static void isa_store_ints(int32_t *to, isa_ints ints);
static isa_ints isa_lesser_ints(isa_ints a, isa_ints b);

/* Sees an integer as two of 16 bits and adds their two products; not all four of
 * those are -2^15. */
static isa_ints isa_multiply_pairs(isa_ints a, isa_ints b);

static int32_t isa_least_int(isa_ints ints);

/* Bit j if integer j is <= that of the threshold. */
static unsigned isa_ints_at_most(isa_ints ints, isa_ints threshold);

#endif
#if ISA_FLOAT_ESTIMATES

/* Each as the nearest float.  Memory is aligned to all lanes. */
static isa_floats isa_load_ints_as_floats(const int32_t *from);

/* sum + a * b, rounded once. */
static isa_floats isa_multiply_add(isa_floats sum, isa_floats a, isa_floats b);

static isa_floats isa_magnitudes(isa_floats floats);

/* Added up in any order. */
static float isa_sum_floats(isa_floats floats);

#elif ISA_ESTIMATES

/* Each as the nearest float. */
static isa_floats isa_to_floats(isa_ints ints);

/* The sum, for p = 0, ..., num_pairs - 1, of the products of pairs of 16-bit
 * integers of a[p] with those at b + 512 p, which are aligned.  It and all parts of
 * it are less than 2^31.  Where there is isa_multiply_pairs(), estimate_row.h has
 * it. */
static isa_ints isa_sum_products(const isa_ints *a, const int16_t *b,
                                 size_t num_pairs);

#endif
#if ISA_ESTIMATES

/* sums[j] += (query[i] - vectors[j][i])^2, for i = 0, ..., 7 in that order. */
static void isa_add_squares(const float *query, const float *const vectors[8],
                            float sums[8]);

#endif
#endif
