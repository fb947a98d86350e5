/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the scan hands to an instruction set's primitives.  scan.h, which is
 * included behind them, says what it expects of each.
 */
#ifndef PQK_KERNELS_SCAN_OPS_H
#define PQK_KERNELS_SCAN_OPS_H

#include <stddef.h>
#include <stdint.h>

/* Entries per sub-vector: looked up by the low 8, 6 or 4 bits of a label. */
enum scan_table { TABLE_256, TABLE_64, TABLE_16 };

/* Up to 4 columns that are looked up together. */
struct scan_pass {
    enum scan_table table;
    unsigned num_columns;      /* 1 to 4 */
    const uint8_t *tables[4];  /* 16-byte aligned, TABLE_256 and _64 to 64 */
    const uint8_t *columns[4]; /* 64-byte aligned */
};

/* Blocks that are still alive, with their sums so far. */
struct scan_blocks {
    uint8_t *sums; /* [..][64], 64-byte aligned */
    uint32_t *blocks;
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
