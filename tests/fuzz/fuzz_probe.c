/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Any variant, shape, table and codes, by either path: the same ids and the
 * same distance bits as the reference.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "fuzz.h"
#include "../probing.h"

#define MAX_SUB_VECTORS 40
#define MAX_ROWS        700

static float from_word(uint32_t word)
{
    float value;

    memcpy(&value, &word, sizeof value);
    return value;
}

/* Bytes that are left overwrite codes and values here and there. */
static void scatter(struct fuzz_input *input, uint8_t *codes, size_t num_codes,
                    size_t num_centroids, float *values, size_t num_values)
{
    while (input->size > 0) {
        if (fuzz_byte(input) % 2 && num_codes > 0)
            codes[fuzz_word(input) % num_codes] =
                (uint8_t)(fuzz_byte(input) % num_centroids);
        else
            values[fuzz_word(input) % num_values] = from_word(fuzz_word(input));
    }
}

struct choices {
    const pqk_kernel *kernel;
    size_t M, n, k;
    enum test_table_kind table;
    enum test_codes_kind codes;
    unsigned placement;
    struct test_random random;
};

static struct choices choose(struct fuzz_input *input)
{
    static const size_t usual[] = {16, 8, 32, 1, 2, 4, 15, 17};
    struct choices c;

    c.kernel = test_variant(fuzz_byte(input) % test_variant_count());
    c.M = usual[fuzz_byte(input) % TEST_COUNT(usual)];
    if (fuzz_byte(input) % 4 == 0)
        c.M = 1 + fuzz_below(input, MAX_SUB_VECTORS);
    c.n = fuzz_below(input, MAX_ROWS + 1);
    c.k = fuzz_below(input, 3) ? fuzz_below(input, 30)
                               : fuzz_below(input, c.n + 3);
    c.table = (enum test_table_kind)(fuzz_byte(input) % TEST_TABLE_KINDS);
    c.codes = (enum test_codes_kind)(fuzz_byte(input) % TEST_CODES_KINDS);
    c.placement = fuzz_byte(input);
    c.random.state = fuzz_word(input);
    return c;
}

static void describe(const struct choices *c, const char *path)
{
    test_case("%s: %s, M %zu, n %zu, %s table, %s codes, seed %llx",
              pqk_kernel_name(c->kernel), path, c->M, c->n,
              test_table_name(c->table), test_codes_name(c->codes),
              (unsigned long long)c->random.state);
}

static void row_major(struct choices *c, struct fuzz_input *input)
{
    float *entries = test_alloc(c->M * PQK_TABLE_STRIDE * sizeof *entries);
    uint8_t *codes = test_alloc(c->n * c->M);
    struct row_major rows = {c->kernel, entries, c->M,        codes,
                             c->n,      NULL,    c->placement};

    describe(c, "row-major");
    test_fill_table(c->table, c->M, entries, &c->random);
    test_fill_codes(c->codes, c->n, c->M, 256, codes, &c->random);
    scatter(input, codes, c->n * c->M, 256, entries, c->M * PQK_TABLE_STRIDE);
    rows.expected = probing_reference(entries, c->M, codes, c->n);
    fuzz_check(probing_row_major(&rows, c->k));
    free((void *)(uintptr_t)rows.expected);
    free(codes);
    free(entries);
}

static int odd_rows(uint32_t row)
{
    return row % 2 == 1;
}

static int some_rows(uint32_t row)
{
    return row % 11 < 2;
}

/* Of the bits, about as many are set as in as many bytes of the input. */
static uint64_t *make_bitmap(size_t n, struct fuzz_input *input,
                             struct test_random *random)
{
    const size_t share = fuzz_byte(input);
    uint64_t *rows = test_alloc((n / 64 + 1) * sizeof *rows);

    for (size_t i = 0; i < n; i++)
        rows[i / 64] |= (uint64_t)(test_below(random, 256) <= share) << i % 64;
    return rows;
}

struct narrowed {
    struct narrowing narrowing;
    struct preset preset;
    uint64_t *rows;
};

static void choose_narrowing(struct narrowed *to, struct choices *c,
                             struct fuzz_input *input)
{
    static int (*const predicates[])(uint32_t) = {NULL, NULL, odd_rows,
                                                  some_rows};
    const uint8_t what = fuzz_byte(input);

    memset(to, 0, sizeof *to);
    to->preset.by_rank = fuzz_byte(input) % 4 != 0;
    to->preset.rank = fuzz_below(input, MAX_ROWS + 1);
    to->preset.ulps = fuzz_byte(input) % 3 - 1;
    to->preset.value = from_word(fuzz_word(input));
    to->narrowing.allows = predicates[fuzz_byte(input) % 4];
    to->narrowing.part_rows = what & 1 ? fuzz_below(input, MAX_ROWS) : 0;
    to->narrowing.metric = what & 2 ? PQK_INNER_PRODUCT : PQK_L2;
    if (what & 4)
        to->narrowing.preset = &to->preset;
    if (what & 8)
        to->rows = make_bitmap(c->n, input, &c->random);
    to->narrowing.rows = to->rows;
}

/* Centroids at least as odd as the tables are, and queries that are 0, or -1 for
 * inner products, in most places. */
static void prepared(struct choices *c, struct fuzz_input *input)
{
    const size_t K = fuzz_byte(input) % 3 ? 256 : 1 + fuzz_below(input, 256);
    const size_t d = 1 + fuzz_byte(input) % 9, dim = c->M * d;
    const size_t num_queries = 1 + fuzz_below(input, 5);
    float *values =
        test_alloc(dim * (PQK_TABLE_STRIDE + num_queries) * sizeof *values);
    uint8_t *codes = test_alloc(c->n * c->M);
    pqk_codebook codebook = TEST_CODEBOOK(c->M, K, d, values);
    struct prepared_probe probe = {codes, c->n, values + dim * K, num_queries,
                                   &c->k, 1,    c->placement};
    struct narrowed narrowed;
    struct door door;

    choose_narrowing(&narrowed, c, input);
    describe(c, "prepared");
    test_fill_table(c->table, dim, values, &c->random);
    for (size_t i = 0; i < num_queries * dim; i++)
        values[dim * K + i] =
            narrowed.narrowing.metric == PQK_L2 ? 0.0f : -1.0f;
    test_fill_codes(c->codes, c->n, c->M, K, codes, &c->random);
    scatter(input, codes, c->n * c->M, K, values, dim * (K + num_queries));
    fuzz_check(probing_open(&door, c->kernel, &codebook));
    fuzz_check(probing_narrowed(&door, &probe, &narrowed.narrowing));
    probing_close(&door);
    free(narrowed.rows);
    free(codes);
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    const int by_rows = fuzz_byte(&input) % 2;
    struct choices choices;

    if (size > FUZZ_MAX_BYTES)
        return 0;
    choices = choose(&input);
    if (by_rows)
        row_major(&choices, &input);
    else
        prepared(&choices, &input);
    return 0;
}

#ifdef PQK_FUZZ_MAIN

static size_t generate(struct test_random *random, uint8_t *data)
{
    const size_t size = 24 + test_below(random, 120);

    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)test_next(random);
    return size;
}

int main(int argc, char **argv)
{
    static const struct fuzz_plan plan = {"fuzz_probe", 3000, generate};

    return fuzz_main(argc, argv, &plan);
}

#endif
