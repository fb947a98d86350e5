/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the scan expects of an instruction set: a variant's file defines these
 * static functions, those of passes.h among them, and then includes scan.h.
 * Blocks are 64 codes, sums bytes that saturate at 255, and a code is alive
 * whose sum is <= a threshold of at most 254.
 *
 *   unsigned isa_pass_columns(table, left)
 *       How many columns a pass can have, of so many that are left.
 *   void isa_dense(pass, offset, num_blocks, first, sums)
 *       Look the blocks from an offset in the pass's columns on up, and store the
 *       look-ups, or add them to the sums if the pass is not the first.
 *   uint64_t isa_filter(pass, offset, num_blocks, first, sums, threshold)
 *       The same for at most 64 blocks, and in which of them a code is alive: bit
 *       b for block b.
 *   uint64_t isa_filter_live(pass, offset, live, sums, threshold)
 *       Add the look-ups of those blocks that `live` has a bit for to their
 *       sums; return the bits of those in which a code is alive still.
 *   uint64_t isa_alive(sums, threshold)
 *       Which codes of a block are alive: bit j for code j.
 *
 *   float isa_table_row(centroids, query, d, row)
 *       row[c] = sum over i = 0, ..., d - 1 of the square of query[i] -
 *       centroids[i * 256 + c], 256 of them, rounded like the reference; return
 *       their minimum.  Arrays are 64-byte aligned.
 *   void isa_turn_8(from, from_stride, to, to_stride)
 *       to[j * to_stride + i] = from[i * from_stride + j] for i, j = 0, ..., 7.
 *   float isa_row_minimum(row)
 *       The minimum of 256 numbers.  Minima pass over NaNs; they are +inf if
 *       there is nothing else.
 *   void isa_quantize(row, bias, scale, out)
 *       256 times min(255, (row[c] - bias) * scale), rounded down; 255 for NaN.
 *       No number is less than the bias.
 *   uint32_t isa_weigh(entries, weights)
 *       The sum of 256 products of bytes; no weight is greater than 64.
 *   void isa_transpose(codes, row_stride, columns, column_stride)
 *       Turns 64 rows of 16 bytes, anywhere, into 16 columns of 64 bytes, which
 *       are 64-byte aligned.  Byte j of a column is that of row
 *       isa_transposed_row(j).
 */
#ifndef PQK_KERNELS_SCAN_OPS_H
#define PQK_KERNELS_SCAN_OPS_H

#include <stddef.h>
#include <stdint.h>

/* Entries per sub-vector: looked up by the low 8, 7, 6 or 4 bits of a label. */
enum scan_table { TABLE_256, TABLE_128, TABLE_64, TABLE_16 };

/* The most columns that any instruction set looks up together. */
#define PASS_COLUMNS 8

struct scan_pass {
    enum scan_table table;
    unsigned num_columns;                 /* 1 to PASS_COLUMNS */
    const uint8_t *tables[PASS_COLUMNS];  /* 64-byte aligned, TABLE_16 to 16 */
    const uint8_t *columns[PASS_COLUMNS]; /* 64-byte aligned */
};

/* Loops over a few registers disappear, and with them arrays of registers. */
#if defined __clang__
#define SCAN_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SCAN_UNROLL _Pragma("GCC unroll 16")
#endif

/* For bodies that are specialised by constant arguments. */
#define SCAN_INLINE static inline __attribute__((always_inline))

/*
 * What is read in sequence is asked for this far ahead: the next 64 blocks of a
 * column.  Hardware prefetchers alone follow too few columns at once.  Asking
 * for what lies beyond the end does no harm.
 */
#define SCAN_PREFETCH_BYTES 4096

static inline void scan_prefetch(const uint8_t *from)
{
    __builtin_prefetch((const void *)((uintptr_t)from + SCAN_PREFETCH_BYTES));
}

#endif
