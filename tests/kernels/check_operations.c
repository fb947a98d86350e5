/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Every operation of every instruction set by itself, against plain C: random and
 * extreme values, each position and each tail, between pages that may not be
 * touched.  What a scan does with an operation may hide that it is wrong, or reach
 * too few of its inputs.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "../checked.h"
#include "operations.h"

#define BLOCK 64

/* Plain C itself. */
const struct pqk_operations pqk_operations_scalar = {0};

#define IF_BUILT(built, address)  IF_BUILT_(built, address)
#define IF_BUILT_(built, address) IF_BUILT_##built(address)
#define IF_BUILT_0(address)       NULL
#define IF_BUILT_1(address)       address

static const struct variant {
    const char *name;
    const struct pqk_operations *operations; /* NULL: not in this build */
} variants[] = {
#define VARIANT(name, needs, built)                                            \
    {#name, IF_BUILT(built, &pqk_operations_##name)},
    PQK_VARIANTS(VARIANT)
#undef VARIANT
};

/* What a case is about. */
static const struct pqk_operations *operations;

static void begin(int variant, const char *operation)
{
    operations = variants[variant].operations;
    test_case("%s: %s", variants[variant].name, operation);
}

/* ------------------------------------------------------------------------ */
/* Arguments                                                                 */

static struct test_arena in_a, in_b, in_c, out_a, out_b, out_c, out_d;
static struct test_arena columns_arenas[PQK_MAX_PASS_COLUMNS];
static struct test_arena tables_arenas[PQK_MAX_PASS_COLUMNS];

/* Placements: as near as alignment allows to the guard page behind if even; if odd,
 * some steps of alignment behind the one before, 0 to 63 bytes. */
#define PLACEMENTS 128

static void *place(struct test_arena *arena, size_t bytes, size_t alignment,
                   unsigned placement)
{
    if (placement % 2 == 0)
        return test_aligned(arena, bytes, alignment);
    return test_at_skew(arena, bytes, placement / 2 * alignment % BLOCK);
}

/* Check writes to a pipe whenever something holds. */
#define EXPECT(condition, ...)                                                 \
    do {                                                                       \
        if (!(condition))                                                      \
            CHECK_THAT(0, __VA_ARGS__);                                        \
    } while (0)

#define CHECK_INTACT(arena)                                                    \
    EXPECT(test_canaries_intact(&(arena)), "%s was overrun", #arena)

static void check_bytes(const uint8_t *expected, const uint8_t *found,
                        size_t count)
{
    if (memcmp(expected, found, count) == 0)
        return;
    for (size_t i = 0; i < count; i++)
        EXPECT(found[i] == expected[i], "byte %zu is %d, expected %d", i,
               found[i], expected[i]);
}

/* Bytes of a kind: any, the extreme ones, 0 and 255, or small ones. */
#define BYTE_KINDS 4

static uint8_t make_byte(unsigned kind, struct test_random *random)
{
    static const uint8_t extremes[] = {0, 1, 127, 128, 254, 255};

    switch (kind % BYTE_KINDS) {
    case 0:
        return (uint8_t)test_next(random);
    case 1:
        return extremes[test_below(random, TEST_COUNT(extremes))];
    case 2:
        return test_below(random, 2) ? 255 : 0;
    default:
        return (uint8_t)test_below(random, 24);
    }
}

static void make_bytes(unsigned kind, uint8_t *to, size_t count,
                       struct test_random *random)
{
    for (size_t i = 0; i < count; i++)
        to[i] = make_byte(kind, random);
}

/* Numbers of a kind; all of those before ANY_FLOAT are finite. */
enum {
    NORMAL_FLOATS,
    SMALL_INTEGERS,
    NEAR_FLOATS, /* of one order, so that the order of additions shows */
    TINY_FLOATS, /* squares are subnormal */
    SPREAD_FLOATS,
    ANY_FLOAT,
    SPECIAL_FLOATS,
    FEW_SPECIAL_FLOATS,
    FLOAT_KINDS
};

static float special_float(struct test_random *random)
{
    const float specials[] = {0.0f,     -0.0f,          NAN,     -NAN,
                              INFINITY, -INFINITY,      FLT_MAX, -FLT_MAX,
                              FLT_MIN,  FLT_MIN / 1024, 1.0f,    0x1p-149f};

    return specials[test_below(random, TEST_COUNT(specials))];
}

static float make_float(unsigned kind, struct test_random *random)
{
    switch (kind % FLOAT_KINDS) {
    case NORMAL_FLOATS:
        return test_normal(random);
    case SMALL_INTEGERS:
        return (float)test_below(random, 16) - 8.0f;
    case NEAR_FLOATS:
        return test_power(random, -3, 12);
    case TINY_FLOATS:
        return test_power(random, -76, -60);
    case SPREAD_FLOATS:
        return test_power(random, -120, 120);
    case ANY_FLOAT:
        return test_any_float(random);
    case SPECIAL_FLOATS:
        return special_float(random);
    default:
        return test_below(random, 20) ? test_normal(random)
                                      : special_float(random);
    }
}

static void make_floats(unsigned kind, float *to, size_t count,
                        struct test_random *random)
{
    for (size_t i = 0; i < count; i++)
        to[i] = make_float(kind, random);
}

/* Without NaNs; +inf if nothing else is there. */
static float least_of(const float *row)
{
    float least = INFINITY;

    for (size_t c = 0; c < 256; c++)
        if (row[c] < least)
            least = row[c];
    return least;
}

/* ------------------------------------------------------------------------ */
/* Blocks of bytes                                                           */

START_TEST(test_copy)
{
    struct test_random random = {1};

    begin(_i, "copy");
    for (unsigned placement = 0; placement < 2; placement++) {
        uint8_t *from = place(&in_a, BLOCK, BLOCK, placement);
        uint8_t *to = place(&out_a, BLOCK, BLOCK, placement);

        make_bytes(0, from, BLOCK, &random);
        operations->copy(from, to);
        check_bytes(from, to, BLOCK);
        CHECK_INTACT(out_a);
    }
}
END_TEST

/* Every pair of bytes, in each position. */
START_TEST(test_add)
{
    begin(_i, "add");
    for (unsigned shift = 0; shift < test_scaled(BLOCK); shift++) {
        uint8_t *a = place(&in_a, BLOCK, BLOCK, shift);
        uint8_t *b = place(&in_b, BLOCK, BLOCK, shift);
        uint8_t *sums = place(&out_a, BLOCK, BLOCK, shift);
        uint8_t expected[BLOCK];

        for (unsigned first = 0; first < 65536; first += BLOCK) {
            for (unsigned j = 0; j < BLOCK; j++) {
                const unsigned pair = first + (j + shift) % BLOCK;
                const unsigned sum = pair / 256 + pair % 256;

                a[j] = (uint8_t)(pair / 256);
                b[j] = (uint8_t)(pair % 256);
                expected[j] = (uint8_t)(sum < 255 ? sum : 255);
            }
            operations->add(a, b, sums);
            check_bytes(expected, sums, BLOCK);
        }
        CHECK_INTACT(out_a);
    }
}
END_TEST

/* The least, the largest, or any. */
static uint8_t byte_above(int threshold, unsigned kind,
                          struct test_random *random)
{
    const size_t above = (size_t)(255 - threshold);

    if (kind == 0)
        return (uint8_t)(threshold + 1);
    return kind == 1 ? 255 : (uint8_t)(255 - test_below(random, above));
}

/* Every threshold, and in each position a byte around it among others above. */
static void each_block(void (*check)(const uint8_t *sums, uint8_t threshold))
{
    static const int around[] = {-255, -1, 0, 1, 255};
    struct test_random random = {2};

    for (unsigned round = 0; round < 255 * 3; round++) {
        const int threshold = (int)round / 3;
        uint8_t *sums = place(&in_a, BLOCK, BLOCK, round);

        for (size_t j = 0; j < BLOCK; j++)
            sums[j] = byte_above(threshold, round % 3, &random);
        check(sums, (uint8_t)threshold);
        for (size_t j = 0; j < BLOCK; j++) {
            const uint8_t others = sums[j];

            for (size_t i = 0; i < TEST_COUNT(around); i++) {
                const int byte = threshold + around[i];

                sums[j] = (uint8_t)(byte < 0 ? 0 : byte > 255 ? 255 : byte);
                check(sums, (uint8_t)threshold);
            }
            sums[j] = others;
        }
        make_bytes(round, sums, BLOCK, &random);
        check(sums, (uint8_t)threshold);
    }
}

static uint64_t alive_of(const uint8_t *sums, uint8_t threshold)
{
    uint64_t alive = 0;

    for (size_t j = 0; j < BLOCK; j++)
        alive |= (uint64_t)(sums[j] <= threshold) << j;
    return alive;
}

static void check_any_alive(const uint8_t *sums, uint8_t threshold)
{
    const unsigned found = operations->any_alive(sums, threshold);

    EXPECT(found == (alive_of(sums, threshold) != 0),
           "%u for a threshold of %d", found, threshold);
}

START_TEST(test_any_alive)
{
    begin(_i, "any_alive");
    each_block(check_any_alive);
}
END_TEST

static void check_alive(const uint8_t *sums, uint8_t threshold)
{
    const uint64_t found = operations->alive(sums, threshold);

    EXPECT(found == alive_of(sums, threshold),
           "%llx for a threshold of %d, expected %llx",
           (unsigned long long)found, threshold,
           (unsigned long long)alive_of(sums, threshold));
}

START_TEST(test_alive)
{
    begin(_i, "alive");
    each_block(check_alive);
}
END_TEST

/* Bytes that count are full at 255: more blocks than that, all alive, too. */
START_TEST(test_count_alive)
{
    static const size_t counts[] = {0,   1,   2,   15,  16, 17,
                                    254, 255, 256, 511, 700};
    struct test_random random = {24};

    begin(_i, "count_alive");
    for (size_t i = 0; i < TEST_COUNT(counts); i++)
        for (unsigned kind = 0; kind < 4; kind++) {
            const size_t bytes = counts[i] * BLOCK;
            uint8_t *sums = place(&in_a, bytes, BLOCK, kind);
            const uint8_t threshold = (uint8_t)test_below(&random, 255);
            size_t expected = 0, found;

            make_bytes(kind, sums, bytes, &random);
            if (kind == 3)
                memset(sums, threshold, bytes);
            for (size_t j = 0; j < bytes; j++)
                expected += sums[j] <= threshold;
            found = operations->count_alive(sums, counts[i], threshold);
            EXPECT(found == expected, "%zu of %zu blocks, expected %zu", found,
                   counts[i], expected);
        }
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Look-ups                                                                  */

static const unsigned sizes[] = {16, 64, 128, 256};

static size_t table_alignment(unsigned size)
{
    return size == 16 ? 16 : BLOCK;
}

/* All labels in all positions, by themselves and with the others. */
static void check_table(unsigned size, const uint8_t *table, uint8_t *labels,
                        uint8_t *entries)
{
    for (unsigned step = 0; step < 2; step++)
        for (unsigned label = 0; label < 256; label++) {
            uint8_t expected[BLOCK];

            for (unsigned j = 0; j < BLOCK; j++) {
                labels[j] = (uint8_t)(label + step * j);
                expected[j] = table[labels[j] % size];
            }
            operations->look_up(size, labels, table, entries);
            check_bytes(expected, entries, BLOCK);
        }
}

START_TEST(test_look_up)
{
    struct test_random random = {3};

    for (size_t i = 0; i < TEST_COUNT(sizes); i++)
        for (unsigned round = 0; round < 4 * BYTE_KINDS; round++) {
            const unsigned size = sizes[i], placement = round / BYTE_KINDS;
            uint8_t *table =
                place(&in_a, size, table_alignment(size), placement);
            uint8_t *labels = place(&in_b, BLOCK, BLOCK, placement);
            uint8_t *entries = place(&out_a, BLOCK, BLOCK, placement);

            begin(_i, "look_up");
            test_subcase(", %u entries, round %u", size, round);
            if (!(operations->table_sizes & size))
                continue;
            make_bytes(round, table, size, &random);
            check_table(size, table, labels, entries);
            CHECK_INTACT(out_a);
        }
}
END_TEST

START_TEST(test_pass_columns)
{
    begin(_i, "pass_columns");
    for (size_t i = 0; i < TEST_COUNT(sizes); i++) {
        if (!(operations->table_sizes & sizes[i]))
            continue;
        for (size_t left = 1; left <= 4096; left++) {
            const unsigned columns = operations->pass_columns(sizes[i], left);

            EXPECT(columns >= 1 && columns <= left &&
                       columns <= PQK_MAX_PASS_COLUMNS,
                   "%u of %zu with tables of %u", columns, left, sizes[i]);
        }
    }
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Passes                                                                    */

/* More than a filter takes. */
#define COLUMN_BLOCKS 80

/* A pass, what it looks up in all blocks, and sums to add that to. */
struct looked_up {
    struct pqk_operations_pass pass;
    unsigned placement;
    uint8_t terms[COLUMN_BLOCKS * BLOCK];
    uint8_t before[COLUMN_BLOCKS * BLOCK];
};

static void add_column(struct looked_up *looked_up, unsigned column,
                       unsigned kind, struct test_random *random)
{
    const unsigned size = looked_up->pass.table_size;
    const unsigned placement = looked_up->placement;
    uint8_t *labels =
        place(&columns_arenas[column], COLUMN_BLOCKS * BLOCK, BLOCK, placement);
    uint8_t *table =
        place(&tables_arenas[column], size, table_alignment(size), placement);

    make_bytes(0, labels, COLUMN_BLOCKS * BLOCK, random);
    make_bytes(kind, table, size, random);
    looked_up->pass.columns[column] = labels;
    looked_up->pass.tables[column] = table;
    for (size_t i = 0; i < COLUMN_BLOCKS * BLOCK; i++) {
        const unsigned sum = looked_up->terms[i] + table[labels[i] % size];

        looked_up->terms[i] = (uint8_t)(sum < 255 ? sum : 255);
    }
}

static void look_up(struct looked_up *looked_up, unsigned kind,
                    struct test_random *random)
{
    memset(looked_up->terms, 0, sizeof looked_up->terms);
    for (unsigned j = 0; j < looked_up->pass.num_columns; j++)
        add_column(looked_up, j, kind, random);
    make_bytes(kind, looked_up->before, sizeof looked_up->before, random);
}

/* What is asked of a pass: some of its blocks, those alone that live has. */
struct asked {
    size_t first_block, num_blocks;
    int first;
    int filters;
    uint64_t live; /* of at most 64 if it filters, else all */
    uint8_t threshold;
};

static int is_live(const struct asked *asked, size_t block)
{
    return !asked->filters || (asked->live >> block & 1) != 0;
}

/* The sums that come out; what was there stays where it is not added to. */
static void expect_sums(const struct looked_up *looked_up,
                        const struct asked *asked, uint8_t *sums)
{
    const size_t from = asked->first_block * BLOCK;

    for (size_t i = 0; i < asked->num_blocks * BLOCK; i++) {
        const unsigned before = asked->first ? 0 : looked_up->before[from + i];
        const unsigned term =
            is_live(asked, i / BLOCK) ? looked_up->terms[from + i] : 0;

        sums[i] = (uint8_t)(before + term < 255 ? before + term : 255);
    }
}

static uint64_t expect_alive(const struct asked *asked, const uint8_t *sums)
{
    uint64_t alive = 0;

    for (size_t b = 0; b < asked->num_blocks && asked->filters; b++)
        if (is_live(asked, b) &&
            alive_of(sums + b * BLOCK, asked->threshold) != 0)
            alive |= (uint64_t)1 << b;
    return alive;
}

/* The least sum of a block or just below it, so that one block decides. */
static uint8_t choose_threshold(const struct asked *asked, const uint8_t *sums,
                                struct test_random *random)
{
    const uint8_t *block = sums + test_below(random, asked->num_blocks) * BLOCK;
    unsigned least = 255;

    if (test_below(random, 4) == 0)
        return (uint8_t)(make_byte(1, random) % 255);
    for (size_t j = 0; j < BLOCK; j++)
        least = block[j] < least ? block[j] : least;
    least -= least > 0 && test_below(random, 2);
    return (uint8_t)(least < 254 ? least : 254);
}

typedef uint64_t run_pass(const struct pqk_operations_pass *pass,
                          const struct asked *asked, uint8_t *sums);

static void check_pass(const struct looked_up *looked_up, struct asked *asked,
                       run_pass *run, struct test_random *random)
{
    const size_t bytes = asked->num_blocks * BLOCK;
    uint8_t *sums = place(&out_a, bytes, BLOCK, looked_up->placement);
    uint8_t expected[COLUMN_BLOCKS * BLOCK];
    uint64_t alive, found;

    test_subcase(
        ", %u columns of %u, placement %u, blocks %zu + %zu, first %d, "
        "live %llx",
        looked_up->pass.num_columns, looked_up->pass.table_size,
        looked_up->placement, asked->first_block, asked->num_blocks,
        asked->first, (unsigned long long)asked->live);
    if (!asked->first)
        memcpy(sums, looked_up->before + asked->first_block * BLOCK, bytes);
    expect_sums(looked_up, asked, expected);
    asked->threshold = choose_threshold(asked, expected, random);
    found = run(&looked_up->pass, asked, sums);
    check_bytes(expected, sums, bytes);
    CHECK_INTACT(out_a);
    alive = expect_alive(asked, expected);
    EXPECT(found == alive, "%llx with a threshold of %d, expected %llx",
           (unsigned long long)found, asked->threshold,
           (unsigned long long)alive);
}

/* Blocks that end where the columns end, that begin there, or anywhere. */
static size_t choose_first(const struct looked_up *looked_up, size_t num_blocks,
                           struct test_random *random)
{
    const size_t most = COLUMN_BLOCKS - num_blocks;

    if (looked_up->placement == 0)
        return most;
    return looked_up->placement == 1 ? 0 : test_below(random, most + 1);
}

/* Every number of columns that a pass can have, with tables of every size. */
static void each_pass(void (*check)(const struct looked_up *looked_up,
                                    struct test_random *random))
{
    static struct looked_up looked_up;
    struct test_random random = {4};
    unsigned known = 0;

    for (size_t i = 0; i < TEST_COUNT(sizes); i++, known = 0)
        for (unsigned left = 1; left <= PQK_MAX_PASS_COLUMNS; left++) {
            looked_up.pass.table_size = sizes[i];
            if (!(operations->table_sizes & sizes[i]))
                continue;
            looked_up.pass.num_columns =
                operations->pass_columns(sizes[i], left);
            if (looked_up.pass.num_columns == known)
                continue;
            known = looked_up.pass.num_columns;
            for (unsigned round = 0; round < 3 * test_scaled(4); round++) {
                looked_up.placement = round % 3;
                look_up(&looked_up, 3 - round / 3, &random);
                check(&looked_up, &random);
            }
        }
}

static uint64_t run_dense(const struct pqk_operations_pass *pass,
                          const struct asked *asked, uint8_t *sums)
{
    operations->pass_sum(pass, asked->first_block * BLOCK, asked->num_blocks,
                         asked->first, sums);
    return 0;
}

static void check_dense(const struct looked_up *looked_up,
                        struct test_random *random)
{
    for (size_t num_blocks = 1; num_blocks <= COLUMN_BLOCKS; num_blocks++)
        for (int first = 0; first < 2; first++) {
            struct asked asked = {.num_blocks = num_blocks, .first = first};

            asked.first_block = choose_first(looked_up, num_blocks, random);
            check_pass(looked_up, &asked, run_dense, random);
        }
}

START_TEST(test_pass_sum)
{
    begin(_i, "pass_sum");
    each_pass(check_dense);
}
END_TEST

static uint64_t run_filter(const struct pqk_operations_pass *pass,
                           const struct asked *asked, uint8_t *sums)
{
    return operations->pass_filter(pass, asked->first_block * BLOCK,
                                   asked->num_blocks, asked->first, sums,
                                   asked->threshold);
}

static void check_filter(const struct looked_up *looked_up,
                         struct test_random *random)
{
    for (size_t num_blocks = 1; num_blocks <= 64; num_blocks++)
        for (int first = 0; first < 2; first++) {
            struct asked asked = {.num_blocks = num_blocks,
                                  .first = first,
                                  .filters = 1,
                                  .live = ~(uint64_t)0};

            asked.first_block = choose_first(looked_up, num_blocks, random);
            check_pass(looked_up, &asked, run_filter, random);
        }
}

START_TEST(test_pass_filter)
{
    begin(_i, "filter");
    each_pass(check_filter);
}
END_TEST

static uint64_t run_filter_live(const struct pqk_operations_pass *pass,
                                const struct asked *asked, uint8_t *sums)
{
    return operations->pass_filter_live(pass, asked->first_block * BLOCK,
                                        asked->live, sums, asked->threshold);
}

/* Memory ends behind the last block that is live. */
static void check_live(const struct looked_up *looked_up, uint64_t live,
                       struct test_random *random)
{
    struct asked asked = {.num_blocks = 1, .filters = 1, .live = live};

    while (asked.num_blocks < 64 && live >> asked.num_blocks != 0)
        asked.num_blocks++;
    asked.first_block = choose_first(looked_up, asked.num_blocks, random);
    check_pass(looked_up, &asked, run_filter_live, random);
}

/* None, each one alone, all, and any. */
static void check_filter_live(const struct looked_up *looked_up,
                              struct test_random *random)
{
    check_live(looked_up, 0, random);
    check_live(looked_up, ~(uint64_t)0, random);
    for (unsigned block = 0; block < 64; block++) {
        check_live(looked_up, (uint64_t)1 << block, random);
        check_live(looked_up, test_next(random) >> block, random);
    }
}

START_TEST(test_pass_filter_live)
{
    begin(_i, "pass_filter_live");
    each_pass(check_filter_live);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Tables                                                                    */

static float expect_row(const float *centroids, const float *query, size_t d,
                        float *row)
{
    for (size_t c = 0; c < 256; c++) {
        row[c] = 0.0f;
        for (size_t i = 0; i < d; i++) {
            const float difference = query[i] - centroids[i * 256 + c];
            const float square = difference * difference;

            row[c] += square;
        }
    }
    return least_of(row);
}

/* Of each group the least number, or +inf if there is none. */
static void check_minima_of(const float *row, const float *minima)
{
    float expected[64];

    for (size_t g = 0; g < 64; g++)
        expected[g] = INFINITY;
    for (size_t c = 0; c < 256; c++)
        if (row[c] < expected[c % 64])
            expected[c % 64] = row[c];
    for (size_t g = 0; g < 64; g++)
        EXPECT(minima[g] == expected[g],
               "the minimum of group %zu is %.9g, expected %.9g", g,
               (double)minima[g], (double)expected[g]);
}

static void check_row_least(float found, float expected)
{
    EXPECT(found == expected, "the minimum is %.9g, expected %.9g",
           (double)found, (double)expected);
}

/* By table_row, or by table_row_of_groups, which may say NaN of a group without
 * numbers. */
static void check_table_row(int of_groups, size_t d, unsigned kind,
                            unsigned placement, struct test_random *random)
{
    const size_t row_bytes = 256 * sizeof(float);
    float *centroids = place(&in_a, d * row_bytes, BLOCK, placement);
    float *query = place(&in_b, d * sizeof *query, sizeof *query, placement);
    float *row = place(&out_a, row_bytes, BLOCK, placement);
    float *minima = place(&out_b, row_bytes / 4, BLOCK, placement);
    float expected[256], least;
    const char *fault;

    test_subcase(", d %zu, values %u, placement %u", d, kind, placement);
    make_floats(kind, centroids, d * 256, random);
    make_floats(kind == SPECIAL_FLOATS ? NORMAL_FLOATS : kind, query, d,
                random);
    least = expect_row(centroids, query, d, expected);
    check_row_least(of_groups ? operations->table_row_of_groups(
                                    centroids, query, d, row, minima)
                              : operations->table_row(centroids, query, d, row),
                    least);
    fault = test_compare_tables(expected, row, 256);
    if (fault)
        CHECK_NO_FAULT(fault);
    for (size_t g = 0; of_groups && g < 64; g++)
        minima[g] = isnan(minima[g]) ? INFINITY : minima[g];
    if (of_groups)
        check_minima_of(expected, minima);
    CHECK_INTACT(out_a);
    CHECK_INTACT(out_b);
}

static void check_table_rows(int of_groups)
{
    static const size_t dims[] = {1,  2,  3,  4,  5,  6,  7,  8,  9, 10,
                                  11, 12, 13, 14, 15, 16, 17, 32, 40};
    struct test_random random = {5};
    unsigned placement = 0;

    for (size_t round = 0; round < test_scaled(4); round++)
        for (size_t i = 0; i < TEST_COUNT(dims); i++)
            for (unsigned kind = 0; kind < FLOAT_KINDS; kind++, placement++)
                check_table_row(of_groups, dims[i], kind, placement, &random);
}

START_TEST(test_table_row)
{
    begin(_i, "table_row");
    check_table_rows(0);
}
END_TEST

START_TEST(test_table_row_of_groups)
{
    begin(_i, "table_row_of_groups");
    check_table_rows(1);
}
END_TEST

/* A row of estimates in out_a, minima in out_b if there are any. */
static void check_estimated(const float *expected, float least,
                            const float *row, const float *minima)
{
    check_row_least(least, least_of(expected));
    CHECK_NO_FAULT(test_compare_tables(expected, row, 256));
    if (minima)
        check_minima_of(expected, minima);
    CHECK_INTACT(out_a);
    CHECK_INTACT(out_b);
}

/* Integers of which no sum that an instruction set may form is beyond 32 bits. */
static void check_estimates(size_t num_pairs, unsigned placement,
                            struct test_random *random)
{
    const size_t row_bytes = 256 * sizeof(float);
    const size_t most = (1 << 30 >> 14) / (2 * num_pairs);
    int32_t *norms = place(&in_a, row_bytes, BLOCK, placement);
    int16_t *pairs = place(&in_b, num_pairs * 1024, BLOCK, placement);
    int16_t *integers = place(&in_c, num_pairs * 4, 4, placement);
    float *row = place(&out_a, row_bytes, BLOCK, placement);
    float *minima = place(&out_b, row_bytes / 4, BLOCK, placement);
    const int32_t common = (int32_t)test_below(random, 1 << 29);
    float expected[256];

    test_subcase(", %zu pairs, placement %u", num_pairs, placement);
    for (size_t i = 0; i < 2 * num_pairs; i++)
        integers[i] = (int16_t)(test_below(random, 2 * most) - most);
    for (size_t c = 0; c < 256; c++) {
        int64_t sum = norms[c] = (int32_t)test_below(random, 1 << 29);

        for (size_t p = 0; p < num_pairs; p++)
            for (size_t i = 0; i < 2; i++) {
                int16_t *to = &pairs[(256 * p + c) * 2 + i];

                *to = (int16_t)(test_below(random, 1 << 15) - (1 << 14));
                sum += *to * integers[2 * p + i];
            }
        expected[c] = (float)(int32_t)(sum + common);
    }
    check_estimated(expected,
                    operations->estimate_row(norms, pairs, integers, num_pairs,
                                             common, row, minima),
                    row, operations->float_groups ? minima : NULL);
}

START_TEST(test_estimate_row)
{
    static const size_t pairs[] = {4, 8, 12, 16, 60, 64};
    struct test_random random = {23};
    unsigned placement = 0;

    begin(_i, "estimate_row");
    for (size_t round = 0; round < test_scaled(16); round++)
        for (size_t i = 0; i < TEST_COUNT(pairs); i++)
            check_estimates(pairs[i], placement++, &random);
}
END_TEST

/* Norms and a constant of any order next to the products, so that it shows what is
 * rounded and in which order. */
static void check_estimate_floats(unsigned kind, size_t d, unsigned placement,
                                  struct test_random *random)
{
    const size_t row_bytes = 256 * sizeof(float);
    const unsigned shift = (unsigned)test_below(random, 31);
    int32_t *norms = place(&in_a, row_bytes, BLOCK, placement);
    float *centroids = place(&in_b, d * row_bytes, BLOCK, placement);
    float *factors =
        place(&in_c, d * sizeof *factors, sizeof *factors, placement);
    float *row = place(&out_a, row_bytes, BLOCK, placement);
    float *minima = place(&out_b, row_bytes / 4, BLOCK, placement);
    const float common = test_power(random, -4, 30);
    float expected[256];

    test_subcase(", d %zu, values %u, placement %u", d, kind, placement);
    make_floats(kind, centroids, d * 256, random);
    make_floats(kind == TINY_FLOATS || kind == SPREAD_FLOATS ? NEAR_FLOATS
                                                             : kind,
                factors, d, random);
    for (size_t i = 0; i < d * 256; i++)
        centroids[i] = fmaxf(-0x1p90f, fminf(centroids[i], 0x1p90f));
    for (size_t c = 0; c < 256; c++) {
        norms[c] = (int32_t)(test_below(random, (size_t)1 << 30) >> shift);
        expected[c] = common + (float)norms[c];
        for (size_t i = 0; i < d; i++)
            expected[c] = fmaf(factors[i], centroids[i * 256 + c], expected[c]);
    }
    check_estimated(expected,
                    operations->estimate_floats(norms, centroids, factors, d,
                                                common, row, minima),
                    row, minima);
}

START_TEST(test_estimate_floats)
{
    static const size_t dims[] = {8, 16, 24, 32, 120, 128};
    struct test_random random = {24};
    unsigned placement = 0;

    begin(_i, "estimate_floats");
    for (size_t round = 0; round < test_scaled(4); round++)
        for (size_t i = 0; i < TEST_COUNT(dims); i++)
            for (unsigned kind = 0; kind < ANY_FLOAT; kind++, placement++)
                check_estimate_floats(kind, dims[i], placement, &random);
}
END_TEST

/* Where centroids are, and a query: centres up to that far from 0, a query up to
 * that far from them. */
struct factors_case {
    float steps;
    int centres, away; /* powers of 2, of a step */
};

static void expect_within(const char *what, double found, double expected,
                          double most)
{
    EXPECT(fabs(found - expected) <= most,
           "%s is %.17g, expected %.17g, by %g at most", what, found, expected,
           most);
}

static float any_sign(float size, struct test_random *random)
{
    return test_below(random, 2) ? size : -size;
}

/* Against sums in double, whose roundings are far less. */
static void check_factors(const struct factors_case *of, size_t d,
                          unsigned placement, struct test_random *random)
{
    const size_t bytes = d * sizeof(float);
    const float step = 1.0f / of->steps;
    const double squared = (double)of->steps * (double)of->steps;
    const double norms = 1000.0 + (double)test_below(random, 100000);
    const double e = 0x1p-24;
    float *values = place(&in_a, bytes, sizeof *values, placement);
    float *centres = place(&in_b, bytes, sizeof *centres, placement);
    float *reach = place(&in_c, bytes, sizeof *reach, placement);
    float *factors = place(&out_a, bytes, BLOCK, placement);
    float common = 0.0f;
    double P = 0x1p28, F = 0.0, B, expected;

    test_subcase(", d %zu, steps %g, 2^%d from 0, query 2^%d from there, "
                 "placement %u",
                 d, (double)of->steps, of->centres, of->away, placement);
    for (size_t i = 0; i < d; i++) {
        double p, g;

        reach[i] = (float)(1 + test_below(random, 8192));
        centres[i] =
            step *
            any_sign(test_power(random, of->centres - 2, of->centres), random);
        values[i] =
            centres[i] +
            step * any_sign(test_power(random, of->away - 2, of->away), random);
        p = (double)values[i] - (double)centres[i];
        g = -2.0 * squared * p;
        P += fabs(g) * (fabs(p) + 2.0 * fabs((double)centres[i]) +
                        (double)reach[i] / (double)of->steps);
        F -= g * (p / 2.0 + (double)centres[i]);
    }
    B = operations->find_factors(values, centres, reach, d, of->steps, step,
                                 norms, factors, &common);
    CHECK_INTACT(out_a);
    if (P >= 0x1.001p35)
        EXPECT(!(B < HUGE_VAL), "for a P of %g B is %g", P, B);
    if (!(B < HUGE_VAL)) {
        EXPECT(P > 0x1.ffep34, "for a P of %g B is infinite", P);
        return;
    }
    expected = norms + (2.0 * (double)d + 16.0) * e * P + 1.0;
    expect_within("B", B, expected,
                  (2.0 * (double)d + 16.0) * e * P * 0x1p-16 + 0x1p-16);
    expect_within("common", (double)common - B, F, ((double)d + 9.0) * e * P);
    for (size_t i = 0; i < d; i++) {
        const double p = (double)values[i] - (double)centres[i];

        expect_within("a factor", (double)factors[i], -2.0 * squared * p,
                      3.01 * e * fabs(2.0 * squared * p));
    }
}

/* What is no number, and what is so large that a sum is none. */
static void check_no_factors(size_t which, float value, float centre)
{
    const size_t d = 16;
    float values[16], centres[16], reach[16];
    float *factors = place(&out_a, d * sizeof *factors, BLOCK, 0);
    float common = 0.0f;
    double found;

    test_subcase(", number %zu is %g, its centre %g", which, (double)value,
                 (double)centre);
    for (size_t i = 0; i < d; i++) {
        values[i] = (float)i;
        centres[i] = 1.0f;
        reach[i] = 100.0f;
    }
    values[which] = value;
    centres[which] = centre;
    found = operations->find_factors(values, centres, reach, d, 2.0f, 0.5f, 9.0,
                                     factors, &common);
    EXPECT(found == HUGE_VAL, "B is %g", found);
    CHECK_INTACT(out_a);
}

START_TEST(test_find_factors)
{
    static const struct factors_case cases[] = {
        {1.0f, 8, 8},        {3.0f, 13, 12},   {0x1.8p-14f, 16, 12},
        {0x1.1p44f, 14, 13}, {1234.5f, 0, 14}, {0.7f, 20, 6},
        {1.3f, 18, 12},      {777.0f, 16, 15}, {9.0f, 0, -20},
        {0x1.fp-13f, 5, 16}, {1.0f, 30, 7},    {1e3f, 11, 17},
    };
    static const size_t dims[] = {8, 16, 24, 120, 128};
    static const float without[] = {NAN, INFINITY, -INFINITY, FLT_MAX,
                                    -FLT_MAX};
    struct test_random random = {25};
    unsigned placement = 0;

    begin(_i, "find_factors");
    for (size_t round = 0; round < test_scaled(20); round++)
        for (size_t i = 0; i < TEST_COUNT(dims); i++)
            for (size_t j = 0; j < TEST_COUNT(cases); j++, placement++)
                check_factors(&cases[j], dims[i], placement, &random);
    for (size_t which = 0; which < 16; which++) {
        for (size_t i = 0; i < TEST_COUNT(without); i++)
            check_no_factors(which, without[i], 1.0f);
        check_no_factors(which, FLT_MAX, -FLT_MAX);
        check_no_factors(which, 0x1.8p120f, 0x1p120f);
    }
}
END_TEST

/* Vectors anywhere, sums that have begun. */
static void check_squares(unsigned kind, unsigned placement,
                          struct test_random *random)
{
    const size_t bytes = 8 * sizeof(float);
    float *query = place(&in_a, bytes, sizeof *query, placement);
    float *all = place(&in_b, 16 * bytes, sizeof *all, placement);
    float *sums = place(&out_a, bytes, sizeof *sums, placement);
    const float *vectors[8];
    float expected[8];

    test_subcase(", values %u, placement %u", kind, placement);
    make_floats(kind, query, 8, random);
    make_floats(kind, all, 128, random);
    make_floats(NORMAL_FLOATS, sums, 8, random);
    for (size_t j = 0; j < 8; j++) {
        vectors[j] = all + test_below(random, 121);
        expected[j] = sums[j];
        for (size_t i = 0; i < 8; i++) {
            const float difference = query[i] - vectors[j][i];

            expected[j] += difference * difference;
        }
    }
    operations->add_squares(query, vectors, sums);
    CHECK_NO_FAULT(test_compare_tables(expected, sums, 8));
    CHECK_INTACT(out_a);
}

START_TEST(test_add_squares)
{
    struct test_random random = {24};

    begin(_i, "add_squares");
    for (unsigned placement = 0; placement < test_scaled(256); placement++)
        for (unsigned kind = 0; kind < FLOAT_KINDS; kind++)
            check_squares(kind, placement, &random);
}
END_TEST

static void check_groups_of_row(const float *row, unsigned placement)
{
    float *minima = place(&out_a, 64 * sizeof *minima, BLOCK, placement);

    check_row_least(operations->group_minima(row, minima), least_of(row));
    check_minima_of(row, minima);
    CHECK_INTACT(out_a);
}

/* Also one number in each place that is less than all, or the only one. */
START_TEST(test_group_minima)
{
    struct test_random random = {21};

    begin(_i, "group_minima");
    for (unsigned placement = 0; placement < PLACEMENTS; placement++) {
        float *row = place(&in_a, 256 * sizeof *row, sizeof *row, placement);

        for (unsigned kind = 0; kind < FLOAT_KINDS; kind++) {
            make_floats(kind, row, 256, &random);
            check_groups_of_row(row, placement);
        }
        for (size_t c = 0; c < 256; c++) {
            const float others[] = {NAN, INFINITY, FLT_MAX, 2.0f};

            for (size_t i = 0; i < 256; i++)
                row[i] = others[placement % TEST_COUNT(others)];
            row[c] = c % 2 ? 1.0f : -FLT_MAX;
            check_groups_of_row(row, placement);
        }
    }
}
END_TEST

static void check_minimum(float *row, float expected)
{
    const float found = operations->row_minimum(row);

    EXPECT(found == expected, "%.9g, expected %.9g", (double)found,
           (double)expected);
}

/* Also one number in each place that is less than all, or the only one. */
START_TEST(test_row_minimum)
{
    struct test_random random = {6};

    begin(_i, "row_minimum");
    for (unsigned placement = 0; placement < PLACEMENTS; placement++) {
        float *row = place(&in_a, 256 * sizeof *row, sizeof *row, placement);

        for (unsigned kind = 0; kind < FLOAT_KINDS; kind++) {
            make_floats(kind, row, 256, &random);
            check_minimum(row, least_of(row));
        }
        for (size_t c = 0; c < 256; c++) {
            const float others[] = {NAN, INFINITY, FLT_MAX, 2.0f};

            for (size_t i = 0; i < 256; i++)
                row[i] = others[placement % TEST_COUNT(others)];
            check_minimum(row, isnan(row[0]) ? INFINITY : row[0]);
            row[c] = c % 2 ? 1.0f : -FLT_MAX;
            check_minimum(row, row[c]);
            row[c] = c % 2 ? -INFINITY : NAN;
            check_minimum(row, least_of(row));
        }
    }
}
END_TEST

static uint8_t expect_quantized(float number, float bias, float scale)
{
    const float above = number - bias;
    const float scaled = above * scale;

    return scaled < 255.0f ? (uint8_t)scaled : 255;
}

static void check_quantize_some(const float *numbers, size_t count, float bias,
                                float scale, unsigned placement)
{
    float *row = place(&in_a, count * sizeof *row, sizeof *row, placement);
    uint8_t *bytes = place(&out_a, count, BLOCK, placement);

    memcpy(row, numbers, count * sizeof *row);
    operations->quantize(row, count, bias, scale, bytes);
    for (size_t c = 0; c < count; c++) {
        const uint8_t expected = expect_quantized(row[c], bias, scale);

        EXPECT(bytes[c] == expected,
               "byte %zu is %d, expected %d: %.9g, bias %.9g, scale %.9g", c,
               bytes[c], expected, (double)row[c], (double)bias, (double)scale);
    }
    CHECK_INTACT(out_a);
}

/* 256 numbers at once, and 64 at a time. */
static void check_quantize(const float *numbers, float bias, float scale,
                           unsigned placement)
{
    check_quantize_some(numbers, 256, bias, scale, placement);
    for (size_t c = 0; c < 256; c += 64)
        check_quantize_some(numbers + c, 64, bias, scale, placement);
}

/* Integers and the numbers next to them, at other biases and scales too. */
static void check_quantize_steps(unsigned placement)
{
    static const float scales[] = {1.0f, 0x1p100f, 0x1p-100f, 0.75f, 3.0f};

    for (size_t i = 0; i < TEST_COUNT(scales); i++)
        for (int part = 0; part < 3; part++) {
            float numbers[256];

            for (int c = 0; c < 256; c++) {
                const float number = (float)(c + (part > 0)) / scales[i];

                numbers[c] = part == 0   ? number
                             : part == 1 ? nextafterf(number, 0.0f)
                                         : nextafterf(number, INFINITY);
            }
            check_quantize(numbers, 0.0f, scales[i], placement);
            for (int c = 0; c < 256; c++)
                numbers[c] -= 1024.0f / scales[i];
            check_quantize(numbers, -1024.0f / scales[i], scales[i], placement);
        }
}

/* Numbers that are not below the bias, and those that are none. */
static void check_quantize_floats(unsigned kind, unsigned placement,
                                  struct test_random *random)
{
    const float scales[] = {
        1.0f,  100.0f, 0x1p-80f, 0x1p80f,
        1e37f, 1e-36f, FLT_MIN,  test_power(random, -20, 20)};
    float numbers[256], bias = INFINITY;

    make_floats(kind, numbers, 256, random);
    for (size_t c = 0; c < 256; c++) {
        if (numbers[c] == -INFINITY)
            numbers[c] = INFINITY;
        if (numbers[c] < bias)
            bias = numbers[c];
    }
    if (bias == INFINITY)
        bias = 0.0f;
    for (size_t i = 0; i < TEST_COUNT(scales); i++)
        check_quantize(numbers, bias, scales[i], placement);
    for (size_t c = 0; c < 256; c++)
        numbers[c] = fabsf(numbers[c]);
    for (size_t i = 0; i < TEST_COUNT(scales); i++)
        check_quantize(numbers, 0.0f, scales[i], placement);
}

START_TEST(test_quantize)
{
    struct test_random random = {7};

    for (unsigned placement = 0; placement < PLACEMENTS; placement++) {
        begin(_i, "quantize");
        test_subcase(", placement %u", placement);
        check_quantize_steps(placement);
        for (unsigned kind = 0; kind < FLOAT_KINDS; kind++)
            check_quantize_floats(kind, placement, &random);
    }
}
END_TEST

typedef uint32_t weigh(const uint8_t *bytes, const uint8_t *weights);

/* Byte b is that of all weights whose numbers are b modulo num_bytes; 256 of them
 * may count as 255. */
static void check_weigh(weigh *operation, const uint8_t *bytes,
                        size_t num_bytes, const uint8_t *weights)
{
    const uint32_t found = operation(bytes, weights);
    uint32_t least = 0, most = 0;

    for (size_t b = 0; b < num_bytes; b++) {
        unsigned weight = 0;

        for (size_t i = b; i < 256; i += num_bytes)
            weight += weights[i];
        least += bytes[b] * (weight < 256 ? weight : 255);
        most += bytes[b] * weight;
    }
    EXPECT(found >= least && found <= most, "%lu, expected %lu to %lu",
           (unsigned long)found, (unsigned long)least, (unsigned long)most);
}

static void check_weigh_all(weigh *operation, size_t num_bytes)
{
    struct test_random random = {8};

    for (unsigned round = 0; round < 64; round++) {
        uint8_t *bytes = place(&in_a, num_bytes, BLOCK, round);
        uint8_t *weights = place(&in_b, 256, BLOCK, round);

        make_bytes(round / 2, bytes, num_bytes, &random);
        for (size_t i = 0; i < 256; i++)
            weights[i] = (uint8_t)test_below(&random, 65);
        check_weigh(operation, bytes, num_bytes, weights);
        memset(weights, 64, 256);
        check_weigh(operation, bytes, num_bytes, weights);
        memset(bytes, 255, num_bytes);
        check_weigh(operation, bytes, num_bytes, weights);
        memset(weights, 0, 256);
        for (size_t i = 0; i < 256; i++) {
            weights[i] = (uint8_t)(1 + round);
            check_weigh(operation, bytes, num_bytes, weights);
            weights[i] = 0;
        }
    }
}

START_TEST(test_weigh)
{
    begin(_i, "weigh");
    check_weigh_all(operations->weigh, 256);
}
END_TEST

START_TEST(test_weigh_64)
{
    begin(_i, "weigh_64");
    check_weigh_all(operations->weigh_64, 64);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Rows into columns                                                         */

static void check_transposition(size_t from_stride, size_t to_stride,
                                unsigned placement, struct test_random *random)
{
    const size_t from_bytes = (7 * from_stride + 8) * sizeof(float);
    const size_t to_bytes = (7 * to_stride + 8) * sizeof(float);
    float *from = place(&in_a, from_bytes, sizeof *from, placement);
    float *to = place(&out_a, to_bytes, sizeof *to, placement);
    unsigned char *expected = test_alloc(to_bytes);

    test_subcase(", strides %zu and %zu, placement %u", from_stride, to_stride,
                 placement);
    make_bytes(0, (uint8_t *)from, from_bytes, random);
    memset(expected, 0xff, to_bytes);
    for (size_t i = 0; i < 8; i++)
        for (size_t j = 0; j < 8; j++)
            memcpy(expected + (j * to_stride + i) * sizeof *to,
                   from + i * from_stride + j, sizeof *to);
    operations->transpose_floats(from, from_stride, to, to_stride);
    check_bytes(expected, (const uint8_t *)to, to_bytes);
    CHECK_INTACT(out_a);
    free(expected);
}

START_TEST(test_transpose_floats)
{
    static const size_t strides[] = {8, 9, 12, 15, 16, 17, 31, 64, 256};
    struct test_random random = {9};

    begin(_i, "transpose_floats");
    for (size_t i = 0; i < TEST_COUNT(strides); i++)
        for (size_t j = 0; j < TEST_COUNT(strides); j++)
            for (unsigned placement = 0; placement < 33; placement++)
                check_transposition(strides[i], strides[j], placement, &random);
}
END_TEST

static void check_transpose(size_t row_stride, size_t column_stride,
                            unsigned placement, struct test_random *random)
{
    const size_t bytes = 63 * row_stride + 16;
    const size_t columns_bytes = 15 * column_stride + BLOCK;
    uint8_t *codes = place(&in_a, bytes, 1, placement);
    uint8_t *columns = place(&out_a, columns_bytes, BLOCK, placement);
    uint8_t *expected = test_alloc(columns_bytes);

    test_subcase(", strides %zu and %zu, placement %u", row_stride,
                 column_stride, placement);
    make_bytes(0, codes, bytes, random);
    memset(expected, 0xff, columns_bytes);
    for (size_t c = 0; c < 16; c++)
        for (unsigned j = 0; j < BLOCK; j++)
            expected[c * column_stride + j] =
                codes[operations->transposed_row(j) * row_stride + c];
    operations->transpose_rows(codes, row_stride, columns, column_stride);
    check_bytes(expected, columns, columns_bytes);
    CHECK_INTACT(out_a);
    free(expected);
}

START_TEST(test_transpose_rows)
{
    static const size_t row_strides[] = {16, 17, 31, 32,  33, 48,
                                         64, 80, 96, 255, 256};
    static const size_t column_strides[] = {64, 128, 1088};
    struct test_random random = {10};

    begin(_i, "transpose");
    EXPECT(operations->transposed_row != NULL, "no transposed_row");
    for (size_t i = 0; i < TEST_COUNT(row_strides); i++)
        for (unsigned placement = 0; placement < PLACEMENTS; placement++)
            check_transpose(row_strides[i], column_strides[placement % 3],
                            placement, &random);
}
END_TEST

START_TEST(test_transposed_row)
{
    uint64_t rows = 0;

    begin(_i, "transposed_row");
    for (unsigned lane = 0; lane < BLOCK; lane++) {
        const unsigned row = operations->transposed_row(lane);

        EXPECT(row < BLOCK && !(rows >> row & 1), "%u of lane %u", row, lane);
        rows |= (uint64_t)1 << row;
    }
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Minima of groups                                                          */

static void expect_minima(const uint8_t *bytes, size_t num_groups,
                          uint8_t *minima)
{
    memset(minima, 255, num_groups);
    for (size_t i = 0; i < 256; i++)
        if (bytes[i] < minima[i % num_groups])
            minima[i % num_groups] = bytes[i];
}

/* Also one byte less than all others, in every place. */
static void each_bytes(void (*check)(const uint8_t *bytes, unsigned placement))
{
    struct test_random random = {11};

    for (unsigned round = 0; round < 64; round++) {
        uint8_t *bytes = place(&in_a, 256, BLOCK, round);

        make_bytes(round / 2, bytes, 256, &random);
        check(bytes, round);
    }
    for (unsigned i = 0; i < 256; i++) {
        uint8_t *bytes = place(&in_a, 256, BLOCK, i);

        memset(bytes, 128, 256);
        bytes[i] = 127;
        check(bytes, i);
    }
}

static void check_group_128(const uint8_t *bytes, unsigned placement)
{
    uint8_t *minima = place(&out_a, 128, BLOCK, placement);
    uint8_t expected[128];

    expect_minima(bytes, 128, expected);
    operations->minima_128(bytes, minima);
    check_bytes(expected, minima, 128);
    CHECK_INTACT(out_a);
}

START_TEST(test_minima_128)
{
    begin(_i, "minima_128");
    each_bytes(check_group_128);
}
END_TEST

static void check_group_64(const uint8_t *bytes, unsigned placement)
{
    uint8_t *minima = place(&out_a, 64, BLOCK, placement);
    uint8_t expected[64];

    expect_minima(bytes, 64, expected);
    operations->minima_64(bytes, minima);
    check_bytes(expected, minima, 64);
    CHECK_INTACT(out_a);
}

START_TEST(test_minima_64)
{
    begin(_i, "minima_64");
    each_bytes(check_group_64);
}
END_TEST

/* What `of` has above the minima of its groups. */
static void check_above(const char *what, const uint8_t *of, size_t count,
                        const uint8_t *minima, size_t num_groups,
                        const uint8_t *above)
{
    uint8_t expected[256];

    test_subcase(" of %s", what);
    for (size_t i = 0; i < count; i++)
        expected[i] = (uint8_t)(of[i] - minima[i % num_groups]);
    check_bytes(expected, above, count);
}

static void check_groups(const uint8_t *bytes, unsigned placement)
{
    uint8_t *minima_64 = place(&out_a, 64, BLOCK, placement);
    uint8_t *minima_16 = place(&out_b, 16, 16, placement);
    uint8_t *steps_64 = place(&out_c, 64, BLOCK, placement);
    uint8_t *rests_64 = place(&out_d, 256, BLOCK, placement);
    uint8_t expected_64[64], expected_16[64];

    expect_minima(bytes, 64, expected_64);
    expect_minima(bytes, 16, expected_16);
    operations->groups(bytes, minima_64, minima_16, steps_64, rests_64);
    check_bytes(expected_64, minima_64, 64);
    check_bytes(expected_16, minima_16, 16);
    check_above("16", expected_64, 64, expected_16, 16, steps_64);
    check_above("64", bytes, 256, expected_64, 64, rests_64);
    CHECK_INTACT(out_a);
    CHECK_INTACT(out_b);
    CHECK_INTACT(out_c);
    CHECK_INTACT(out_d);
}

START_TEST(test_groups)
{
    begin(_i, "groups");
    each_bytes(check_groups);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Integers, for encoding                                                    */

#define MAX_LANES 64

static int32_t make_int(struct test_random *random)
{
    static const int32_t extremes[] = {INT32_MIN, INT32_MIN + 1, -1,       0,
                                       1,         INT32_MAX - 1, INT32_MAX};

    if (test_below(random, 3) == 0)
        return extremes[test_below(random, TEST_COUNT(extremes))];
    return (int32_t)(test_next(random) >> 33) - (1 << 30);
}

static int32_t *place_ints(struct test_arena *arena, unsigned placement)
{
    const size_t bytes = operations->lanes * sizeof(int32_t);

    return place(arena, bytes, bytes, placement);
}

static int32_t *make_ints(struct test_arena *arena, unsigned placement,
                          struct test_random *random)
{
    int32_t *ints = place_ints(arena, placement);

    for (unsigned j = 0; j < operations->lanes; j++)
        ints[j] = make_int(random);
    return ints;
}

static void check_ints(const int32_t *expected, const int32_t *found)
{
    for (unsigned j = 0; j < operations->lanes; j++)
        EXPECT(found[j] == expected[j], "integer %u is %ld, expected %ld", j,
               (long)found[j], (long)expected[j]);
    CHECK_INTACT(out_a);
}

START_TEST(test_copy_ints)
{
    struct test_random random = {12};

    begin(_i, "copy_ints");
    for (unsigned round = 0; round < 64; round++) {
        const int32_t *from = make_ints(&in_a, round, &random);
        int32_t *to = place_ints(&out_a, round);

        operations->copy_ints(from, to);
        check_ints(from, to);
    }
}
END_TEST

START_TEST(test_all_ints)
{
    struct test_random random = {13};

    begin(_i, "all_ints");
    for (unsigned round = 0; round < 64; round++) {
        int32_t *to = place_ints(&out_a, round), expected[MAX_LANES];
        const int32_t number = make_int(&random);

        for (unsigned j = 0; j < operations->lanes; j++)
            expected[j] = number;
        operations->all_ints(number, to);
        check_ints(expected, to);
    }
}
END_TEST

START_TEST(test_add_ints)
{
    struct test_random random = {14};

    begin(_i, "add_ints");
    for (unsigned round = 0; round < 1024; round++) {
        const int32_t *a = make_ints(&in_a, round, &random);
        int32_t *b = make_ints(&in_b, round, &random);
        int32_t *to = place_ints(&out_a, round), expected[MAX_LANES];

        for (unsigned j = 0; j < operations->lanes; j++) {
            if ((a[j] < 0) == (b[j] < 0)) /* the sum could be beyond them */
                b[j] = -(b[j] / 2) - (a[j] < 0 ? 0 : 1);
            expected[j] = a[j] + b[j];
        }
        operations->add_ints(a, b, to);
        check_ints(expected, to);
    }
}
END_TEST

START_TEST(test_lesser_ints)
{
    struct test_random random = {15};

    begin(_i, "lesser_ints");
    for (unsigned round = 0; round < 1024; round++) {
        const int32_t *a = make_ints(&in_a, round, &random);
        const int32_t *b = make_ints(&in_b, round, &random);
        int32_t *to = place_ints(&out_a, round), expected[MAX_LANES];

        for (unsigned j = 0; j < operations->lanes; j++)
            expected[j] = a[j] < b[j] ? a[j] : b[j];
        operations->lesser_ints(a, b, to);
        check_ints(expected, to);
    }
}
END_TEST

static int16_t make_word(struct test_random *random)
{
    static const int16_t extremes[] = {INT16_MIN, INT16_MIN + 1, -1,       0,
                                       1,         INT16_MAX - 1, INT16_MAX};

    if (test_below(random, 2))
        return extremes[test_below(random, TEST_COUNT(extremes))];
    return (int16_t)((int)test_below(random, 65536) - 32768);
}

START_TEST(test_multiply_pairs)
{
    struct test_random random = {16};

    begin(_i, "multiply_pairs");
    for (unsigned round = 0; round < 4096; round++) {
        int16_t *a = (void *)place_ints(&in_a, round);
        int16_t *b = (void *)place_ints(&in_b, round);
        int32_t *to = place_ints(&out_a, round), expected[MAX_LANES];

        for (unsigned j = 0; j < 2 * operations->lanes; j++) {
            a[j] = make_word(&random);
            b[j] = make_word(&random);
        }
        for (unsigned j = 0; j < operations->lanes; j++) {
            int64_t sum = a[2 * j] * b[2 * j];

            if (sum + a[2 * j + 1] * b[2 * j + 1] > INT32_MAX)
                b[2 * j + 1] = INT16_MAX; /* all four were the least */
            expected[j] = (int32_t)(sum + a[2 * j + 1] * b[2 * j + 1]);
        }
        operations->multiply_pairs(a, b, to);
        check_ints(expected, to);
    }
}
END_TEST

static void check_least(const int32_t *ints)
{
    const int32_t found = operations->least_int(ints);
    int32_t expected = INT32_MAX;

    for (unsigned j = 0; j < operations->lanes; j++)
        expected = ints[j] < expected ? ints[j] : expected;
    EXPECT(found == expected, "%ld, expected %ld", (long)found, (long)expected);
}

START_TEST(test_least_int)
{
    struct test_random random = {17};

    begin(_i, "least_int");
    for (unsigned round = 0; round < 256; round++) {
        int32_t *ints = make_ints(&in_a, round, &random);

        check_least(ints);
        for (unsigned j = 0; j < operations->lanes; j++) {
            for (unsigned i = 0; i < operations->lanes; i++)
                ints[i] = i == j ? (int32_t)round - 128 : INT32_MAX;
            check_least(ints);
        }
    }
}
END_TEST

START_TEST(test_ints_at_most)
{
    struct test_random random = {18};

    begin(_i, "ints_at_most");
    for (unsigned round = 0; round < 4096; round++) {
        const int32_t *ints = make_ints(&in_a, round, &random);
        int32_t *most = make_ints(&in_b, round, &random);
        unsigned expected = 0, found;

        for (unsigned j = 0; j < operations->lanes; j++) {
            if (test_below(&random, 2))
                most[j] = ints[j];
            else if (test_below(&random, 2) && ints[j] > INT32_MIN)
                most[j] = ints[j] - 1;
            expected |= (unsigned)(ints[j] <= most[j]) << j;
        }
        found = operations->ints_at_most(ints, most);
        EXPECT(found == expected, "%x, expected %x", found, expected);
    }
}
END_TEST

/* Eight values to be rounded. */
struct rounded {
    float values[8], centres[8], reach[8], scale;
};

static int32_t expect_rounded(const struct rounded *from, int16_t *steps)
{
    int32_t sum = 0;

    for (int j = 0; j < 8; j++) {
        const float difference = from->values[j] - from->centres[j];
        const float step = difference * from->scale;

        if (!(fabsf(step) <= from->reach[j]))
            return -1;
        steps[j] = (int16_t)rintf(step);
        sum += steps[j] * steps[j];
    }
    return sum;
}

static void check_round(const struct rounded *from, unsigned placement)
{
    const size_t bytes = sizeof from->values;
    float *values = place(&in_a, bytes, sizeof *values, placement);
    float *centres = place(&in_b, bytes, sizeof *centres, placement);
    float *reach = place(&in_c, bytes, sizeof *reach, placement);
    int16_t *steps = place(&out_a, 8 * sizeof *steps, 16, placement);
    int16_t expected[8];
    int32_t sum = expect_rounded(from, expected), found;

    memcpy(values, from->values, bytes);
    memcpy(centres, from->centres, bytes);
    memcpy(reach, from->reach, bytes);
    found = operations->round(values, centres, reach, from->scale, steps);
    EXPECT(found == sum, "%ld, expected %ld", (long)found, (long)sum);
    for (int j = 0; j < 8 && sum >= 0; j++)
        EXPECT(steps[j] == expected[j], "step %d is %d, expected %d", j,
               steps[j], expected[j]);
    CHECK_INTACT(out_a);
}

/* The largest reach of eight, and of one whose others have none. */
#define REACH_OF_8 5792
#define REACH_OF_1 16384

/* Halves of integers, and numbers next to them. */
static void check_round_halves(unsigned placement, struct test_random *random)
{
    struct rounded from = {.scale = 1.0f};

    for (int j = 0; j < 8; j++) {
        const int half = (int)test_below(random, 4 * REACH_OF_8 + 1);
        const float number = (float)(half - 2 * REACH_OF_8) * 0.5f;

        from.values[j] = number;
        if (test_below(random, 2))
            from.values[j] = nextafterf(number, 0.0f);
        from.reach[j] = REACH_OF_8;
    }
    check_round(&from, placement);
}

/* Any values, of which the centres and the scale make steps. */
static void check_round_steps(unsigned placement, struct test_random *random)
{
    struct rounded from = {.scale = test_power(random, -40, 40)};

    for (int j = 0; j < 8; j++) {
        const float step = (test_uniform(random) - 0.5f) * 1.9f * REACH_OF_8;

        from.centres[j] = test_normal(random) * 100.0f / from.scale;
        from.values[j] = from.centres[j] + step / from.scale;
        from.reach[j] = REACH_OF_8;
    }
    check_round(&from, placement);
}

/* In each position what is just within reach, just beyond, or no step at all. */
static void check_round_reach(int j, unsigned placement)
{
    const float beyond[] = {nextafterf(REACH_OF_1, INFINITY),
                            REACH_OF_1 + 1,
                            65536.0f,
                            0x1p31f,
                            1e38f,
                            INFINITY,
                            NAN};
    struct rounded from = {.scale = 1.0f};

    from.reach[j] = REACH_OF_1;
    for (int sign = -1; sign < 2; sign += 2) {
        from.values[j] = (float)sign * REACH_OF_1;
        check_round(&from, placement);
        from.values[j] = nextafterf(from.values[j], 0.0f);
        check_round(&from, placement);
        for (size_t i = 0; i < TEST_COUNT(beyond); i++) {
            from.values[j] = (float)sign * beyond[i];
            check_round(&from, placement);
        }
    }
}

START_TEST(test_round)
{
    struct test_random random = {19};

    begin(_i, "round");
    for (unsigned placement = 0; placement < PLACEMENTS; placement++) {
        for (int round = 0; round < 64; round++) {
            check_round_halves(placement, &random);
            check_round_steps(placement, &random);
        }
        for (int j = 0; j < 8; j++)
            check_round_reach(j, placement);
    }
}
END_TEST

/* ------------------------------------------------------------------------ */

struct operation {
    const char *name;
    size_t offset;
    const TTest *test;
};

static int has(const struct pqk_operations *table,
               const struct operation *operation)
{
    void (*function)(void);

    memcpy(&function, (const char *)table + operation->offset, sizeof function);
    return function != NULL;
}

/* The cases of a variant; says which operations it has none of. */
static void add_variant(Suite *suite, int variant, const struct operation *all,
                        size_t count)
{
    const struct pqk_operations *table = variants[variant].operations;
    const pqk_kernel *kernel;
    size_t found = 0;

    if (!table || pqk_kernel_find(variants[variant].name, &kernel) != PQK_OK)
        return;
    for (size_t i = 0; i < count; i++)
        found += has(table, &all[i]) != 0;
    printf("# %s: %zu of %zu operations", variants[variant].name, found, count);
    for (size_t i = 0, others = 0; i < count; i++)
        if (has(table, &all[i]))
            add_case(suite, all[i].name, all[i].test, 20, variant, variant + 1);
        else if (found > 0)
            printf("%s %s", others++ ? "," : ", without", all[i].name);
    printf("\n");
    fflush(stdout);
}

START_TEST(test_variants_that_ran)
{
    CHECK_NO_FAULT(test_missing_variants());
}
END_TEST

#define OPERATION(name)                                                        \
    {                                                                          \
#name, offsetof(struct pqk_operations, name), test_##name              \
    }

int main(void)
{
    const struct operation all[] = {
        OPERATION(copy),
        OPERATION(add),
        OPERATION(any_alive),
        OPERATION(alive),
        OPERATION(look_up),
        OPERATION(pass_columns),
        OPERATION(pass_sum),
        OPERATION(pass_filter),
        OPERATION(pass_filter_live),
        OPERATION(table_row),
        OPERATION(transpose_floats),
        OPERATION(row_minimum),
        OPERATION(quantize),
        OPERATION(weigh),
        OPERATION(group_minima),
        OPERATION(weigh_64),
        OPERATION(count_alive),
        OPERATION(table_row_of_groups),
        OPERATION(estimate_row),
        OPERATION(estimate_floats),
        OPERATION(find_factors),
        OPERATION(add_squares),
        OPERATION(transpose_rows),
        OPERATION(transposed_row),
        OPERATION(minima_128),
        OPERATION(minima_64),
        OPERATION(groups),
        OPERATION(copy_ints),
        OPERATION(all_ints),
        OPERATION(add_ints),
        OPERATION(lesser_ints),
        OPERATION(multiply_pairs),
        OPERATION(least_int),
        OPERATION(ints_at_most),
        OPERATION(round),
    };
    Suite *suite = suite_create("operations");

    test_print_variants();
    add_case(suite, "expected variants", test_variants_that_ran, 4, 0, 1);
    for (int variant = 0; variant < (int)TEST_COUNT(variants); variant++)
        add_variant(suite, variant, all, TEST_COUNT(all));
    return run_suite(suite);
}
