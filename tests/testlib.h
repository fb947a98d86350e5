/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the tests share: memory between guard pages, random numbers, data that
 * attacks a kernel, the variants that can run here, and comparison of results
 * with the reference.  Needs no test framework, so that the plain self-test and
 * the fuzzers use it too; functions that find fault return a message, or NULL.
 */
#ifndef PQK_TESTLIB_H
#define PQK_TESTLIB_H

#include <stddef.h>
#include <stdint.h>

#include "pqkern.h"

#define TEST_COUNT(array) (sizeof(array) / sizeof(array)[0])

/* For library/quantizer.h: a pqk_effort of so many threads. */
#define WITH_THREADS(count) (&(struct pqk_effort){.num_threads = (count)})

/* An initializer: every other member is 0. */
#define TEST_CODEBOOK(M, K, d, values)                                         \
    {                                                                          \
        .num_sub_vectors = (M), .num_centroids = (K), .sub_vector_dim = (d),   \
        .centroids = (values)                                                  \
    }

static inline pqk_codebook test_codebook_of(const pqk_quantizer *quantizer)
{
    pqk_codebook codebook;

    pqk_quantizer_codebook(quantizer, &codebook);
    return codebook;
}

/* ------------------------------------------------------------------------ */
/* The case that runs.  A crash prints it, and every message begins with it. */

void test_case(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* More about it, in place of what test_subcase said before. */
void test_subcase(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
const char *test_case_name(void);

/* The case, then what is wrong with it; valid until the next call. */
const char *test_fault(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* ------------------------------------------------------------------------ */
/* How much to do: PQK_TEST_SCALE, a factor, 1 unless set; an emulator wants a
 * tenth.  Counts of repetitions and large sizes are scaled, never below 1. */

double test_scale(void);
size_t test_scaled(size_t count);

/* ------------------------------------------------------------------------ */
/* Memory between two pages that may not be touched                          */

struct test_arena {
    unsigned char *map; /* guard page, memory, guard page */
    unsigned char *memory;
    size_t capacity;
    unsigned char *block; /* the block in use */
    size_t block_bytes;
};

/*
 * A block of the arena, filled with 0xff (a NaN, an impossible id, the last
 * code), with canaries around it; it replaces the one before.  The first ends
 * where a guard page begins, the second begins where one ends, the third so many
 * bytes behind that, the fourth is aligned and as near to the guard page behind as
 * that allows.
 */
void *test_at_end(struct test_arena *arena, size_t bytes);
void *test_at_start(struct test_arena *arena, size_t bytes);
void *test_at_skew(struct test_arena *arena, size_t bytes, size_t skew);
void *test_aligned(struct test_arena *arena, size_t bytes, size_t alignment);

/* test_at_end if placement is even, test_at_start if it is odd. */
void *test_place(struct test_arena *arena, size_t bytes, unsigned placement);
void *test_place_copy(struct test_arena *arena, const void *source,
                      size_t bytes, unsigned placement);

/* 1 if nothing was written around the block. */
int test_canaries_intact(const struct test_arena *arena);

/* Before a kernel is called: what it reads of its stack without having written it
 * is a byte that no kernel has left there, another each time. */
void test_dirty_stack(void);

void test_arena_free(struct test_arena *arena);

/* malloc, calloc for tests: never NULL. */
void *test_alloc(size_t bytes);

/* ------------------------------------------------------------------------ */
/* Files                                                                     */

/* A new folder in the build tree, or else in TMPDIR; to be freed, and removed
 * with the files in it. */
char *test_folder(const char *name);
void test_remove_folder(char *folder);
size_t test_count_files(const char *folder);

/* folder/name, valid until the call after the next. */
const char *test_path(const char *folder, const char *name);

/* A whole file; test_read_file returns NULL if there is none. */
unsigned char *test_read_file(const char *path, size_t *num_bytes);
void test_write_file(const char *path, const void *bytes, size_t num_bytes);

/* ------------------------------------------------------------------------ */
/* Random numbers: SplitMix64, the same everywhere                           */

struct test_random {
    uint64_t state;
};

uint64_t test_next(struct test_random *random);
size_t test_below(struct test_random *random, size_t bound);
float test_uniform(struct test_random *random);   /* [0, 1), 24 bits */
float test_normal(struct test_random *random);    /* about normal, no libm */
float test_any_float(struct test_random *random); /* any bits */
float test_power(struct test_random *random, int lowest, int highest);

/* FNV-1a, to be begun with TEST_FNV_BASIS. */
#define TEST_FNV_BASIS UINT64_C(0xcbf29ce484222325)
uint64_t test_fnv(uint64_t checksum, const void *bytes, size_t num_bytes);
/* Of values as little-endian numbers, the same on every machine. */
uint64_t test_fnv_floats(uint64_t checksum, const float *values, size_t count);

/* ------------------------------------------------------------------------ */
/* Data that attacks                                                         */

enum test_table_kind {
    TEST_TABLE_UNIFORM,
    TEST_TABLE_REAL,      /* squared distances as SIFT gives them */
    TEST_TABLE_INTEGERS,  /* 0 to 3: ties everywhere */
    TEST_TABLE_EQUAL,     /* one value */
    TEST_TABLE_ZERO,      /* +0 and -0 */
    TEST_TABLE_ULP,       /* 1 and the numbers just above it */
    TEST_TABLE_LARGE_ULP, /* a large common part, ulps apart */
    TEST_TABLE_PERMUTED,  /* rows hold the same values: order decides */
    TEST_TABLE_ABSORB,    /* 2^24 swallows what comes after, not before */
    TEST_TABLE_ONE_HUGE,  /* one sub-vector dwarfs the others */
    TEST_TABLE_OUTLIERS,  /* small, with a few huge entries in every row */
    TEST_TABLE_SPREAD,    /* 1e-38 to 1e38 */
    TEST_TABLE_TINY,      /* small normal numbers around FLT_MIN */
    TEST_TABLE_DENORMAL,
    TEST_TABLE_OVERFLOW, /* sums that overflow, or nearly */
    TEST_TABLE_INF_SOME,
    TEST_TABLE_MOSTLY_INF,
    TEST_TABLE_INF_ALL,
    TEST_TABLE_NAN_SOME,
    TEST_TABLE_MOSTLY_NAN,
    TEST_TABLE_NAN_ALL,
    TEST_TABLE_CONSTANT_ROWS,  /* some sub-vectors separate nothing */
    TEST_TABLE_HIGH,           /* near the largest: quantized sums run over */
    TEST_TABLE_POSITIVE_KINDS, /* those below cannot come from distances */
    TEST_TABLE_NEGATIVE = TEST_TABLE_POSITIVE_KINDS,
    TEST_TABLE_NEGATIVE_ALL,
    TEST_TABLE_CANCEL,  /* large terms of either sign that cancel */
    TEST_TABLE_OFFSETS, /* the same, and all sums come out small */
    TEST_TABLE_VALLEY,  /* the same, but they go far below 0 at first */
    TEST_TABLE_INF_BOTH,
    TEST_TABLE_ANY_BITS,
    TEST_TABLE_KINDS
};

const char *test_table_name(enum test_table_kind kind);

/* entries [M][256], all of them. */
void test_fill_table(enum test_table_kind kind, size_t num_sub_vectors,
                     float *entries, struct test_random *random);

enum test_codes_kind {
    TEST_CODES_UNIFORM,
    TEST_CODES_DUPLICATES, /* few distinct rows */
    TEST_CODES_SAME,       /* one row */
    TEST_CODES_RAMP,       /* row i is i, i, i ... */
    TEST_CODES_EDGES,      /* first and last of a group of 16, 64, 128, 256 */
    TEST_CODES_KINDS
};

const char *test_codes_name(enum test_codes_kind kind);

/* codes [num_vectors][M], each below num_centroids. */
void test_fill_codes(enum test_codes_kind kind, size_t num_vectors,
                     size_t num_sub_vectors, size_t num_centroids,
                     uint8_t *codes, struct test_random *random);

/* ------------------------------------------------------------------------ */
/* Variants                                                                  */

/* The variants of this build that run here, weakest first. */
size_t test_variant_count(void);
const pqk_kernel *test_variant(size_t position);

/* Prints, once, which variants run and which do not, as a TAP comment. */
void test_print_variants(void);

/* PQKERN_EXPECT_ISA: names that must be among the variants that run. */
const char *test_missing_variants(void);

/* ------------------------------------------------------------------------ */
/* Results                                                                   */

int test_same_bits(float a, float b);
uint32_t test_bits(float value);

/* Sorts by (distance, id), NaN last and as 0x7fc00000, -0 as +0. */
void test_sort_results(pqk_row_result *neighbors, size_t count);

/* NULL, or where they differ; ids of `expected` count from first_id. */
const char *test_compare(const pqk_row_result *expected, size_t expected_count,
                         uint32_t first_id, const pqk_row_result *found,
                         size_t found_count);

/* NULL, or the first entry that differs; any NaN equals any other. */
const char *test_compare_tables(const float *expected, const float *found,
                                size_t num_entries);

#endif
