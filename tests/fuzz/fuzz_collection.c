/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Anything done to a collection in any order: it is what a list of ids and codes
 * would be, and finds what a plain scan of it finds.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "fuzz.h"
#include "library/collection/collection.h"
#include "model.h"

#define MAX_SUB_VECTORS  ((size_t)20)
#define MAX_DIM          (4 * MAX_SUB_VECTORS)
#define MAX_ROWS         ((size_t)3000)
#define MAX_ROWS_AT_ONCE ((size_t)300)
#define MAX_QUERIES      ((size_t)20)

struct state {
    struct fuzz_input *input;
    struct test_random random;
    size_t M, K;
    size_t max_partition_rows, max_tail_rows;
    pqk_quantizer *quantizer;
    pqk_collection *collection;
    struct model model;
    uint64_t next_id;
    uint64_t ids[MAX_ROWS_AT_ONCE];
    uint8_t codes[MAX_ROWS_AT_ONCE * MAX_SUB_VECTORS];
};

static const pqk_kernel *any_variant(struct fuzz_input *input)
{
    return test_variant(fuzz_byte(input) % test_variant_count());
}

/* ------------------------------------------------------------------------ */
/* Changing                                                                 */

/* Ids that are near each other, or anywhere; often there already. */
static uint64_t any_id(struct state *s)
{
    switch (test_below(&s->random, 8)) {
    case 0:
        return test_next(&s->random);
    case 1:
        return s->model.num_rows > 0
                   ? s->model.ids[test_below(&s->random, s->model.num_rows)]
                   : 0;
    case 2:
        return test_next(&s->random) >> test_below(&s->random, 60);
    default:
        return test_below(&s->random, 4000);
    }
}

static size_t any_count(struct state *s)
{
    return 1 + (fuzz_byte(s->input) % 4
                    ? fuzz_byte(s->input) % 8u
                    : fuzz_below(s->input, MAX_ROWS_AT_ONCE - 1));
}

static void fill_codes(struct state *s, size_t count)
{
    for (size_t i = 0; i < count * s->M; i++)
        s->codes[i] = (uint8_t)test_below(&s->random, s->K);
}

/* What adding them must come to. */
static pqk_status expected_of(const struct state *s, size_t count)
{
    pqk_status status = PQK_OK;

    for (size_t i = 0; i < count; i++) {
        if (s->ids[i] == PQK_NO_ID)
            return PQK_INVALID_ARGUMENT;
        if (model_has(&s->model, s->ids[i]))
            status = PQK_DUPLICATE_ID;
        for (size_t j = 0; j < i; j++)
            if (s->ids[i] == s->ids[j])
                status = PQK_DUPLICATE_ID;
    }
    return status;
}

static void added(struct state *s, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        model_add(&s->model, s->ids[i], s->codes + i * s->M);
        if (s->ids[i] >= s->next_id)
            s->next_id = s->ids[i] + 1;
    }
}

/* Distinct ids, unless the input wants trouble. */
static void add_under_ids(struct state *s)
{
    const int careless = fuzz_byte(s->input) % 8 == 0;
    const size_t threads = fuzz_byte(s->input) % 3, wanted = any_count(s);
    size_t count = 0;

    fill_codes(s, wanted);
    for (size_t i = 0; i < wanted; i++) {
        s->ids[count] = any_id(s);
        if (careless || expected_of(s, count + 1) == PQK_OK)
            count++;
    }
    FUZZ_THAT(pqk_collection_add_codes(s->collection, s->codes, s->ids, count,
                                       threads) == expected_of(s, count));
    if (expected_of(s, count) == PQK_OK)
        added(s, count);
}

static void add_in_order(struct state *s)
{
    const size_t count = any_count(s), threads = fuzz_byte(s->input) % 3;
    const int there_are = count <= PQK_NO_ID - s->next_id;
    const pqk_status expected = there_are ? PQK_OK : PQK_INVALID_ARGUMENT;

    fill_codes(s, count);
    FUZZ_THAT(pqk_collection_add_codes(s->collection, s->codes, NULL, count,
                                       threads) == expected);
    for (size_t i = 0; i < count; i++)
        s->ids[i] = s->next_id + i;
    if (there_are)
        added(s, count);
}

static void fill_values(struct state *s, float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        values[i] = test_below(&s->random, 64) ? test_normal(&s->random)
                                               : test_any_float(&s->random);
}

static void add_vectors(struct state *s)
{
    const size_t count = 1 + fuzz_byte(s->input) % 8u;
    const pqk_status expected =
        count <= PQK_NO_ID - s->next_id ? PQK_OK : PQK_INVALID_ARGUMENT;
    float vectors[8 * MAX_DIM];

    fill_values(s, vectors, count * pqk_quantizer_dim(s->quantizer));
    FUZZ_THAT(pqk_quantizer_encode(s->quantizer, vectors, count, 1, s->codes) ==
              PQK_OK);
    FUZZ_THAT(pqk_collection_add(s->collection, vectors, NULL, count, 2) ==
              expected);
    for (size_t i = 0; i < count; i++)
        s->ids[i] = s->next_id + i;
    if (expected == PQK_OK)
        added(s, count);
}

/* A code that names no centroid among others: nothing is added. */
static void add_wrong_code(struct state *s)
{
    const size_t count = any_count(s);

    if (s->K == PQK_MAX_CENTROIDS)
        return;
    fill_codes(s, count);
    s->codes[test_below(&s->random, count * s->M)] = (uint8_t)s->K;
    FUZZ_THAT(pqk_collection_add_codes(s->collection, s->codes, NULL, count,
                                       1) == PQK_INVALID_ARGUMENT);
}

static void remove_some(struct state *s)
{
    const size_t count = any_count(s), before = s->model.num_rows;
    const size_t first = test_below(&s->random, before + 1);
    const int a_range = fuzz_byte(s->input) % 2;
    size_t removed = 0;

    for (size_t i = 0; i < count; i++)
        s->ids[i] =
            a_range && first + i < before ? s->model.ids[first + i] : any_id(s);
    FUZZ_THAT(pqk_collection_remove(s->collection, s->ids, count, &removed) ==
              PQK_OK);
    for (size_t i = 0; i < count; i++)
        model_remove(&s->model, s->ids[i]);
    FUZZ_THAT(removed == before - s->model.num_rows);
}

/* What was read back is another object, often of another variant. */
static void save_and_open(struct state *s)
{
    const char *path = test_path(fuzz_folder("fuzz_collection"), "file");
    pqk_collection *opened;

    FUZZ_THAT(pqk_collection_save(s->collection, path) == PQK_OK);
    FUZZ_THAT(pqk_collection_open(path, any_variant(s->input), 0, &opened) ==
              PQK_OK);
    if (fuzz_byte(s->input) % 2) {
        pqk_collection *kept = s->collection;

        s->collection = opened;
        opened = kept;
        pqk_collection_set_sizes(s->collection, s->max_partition_rows,
                                 s->max_tail_rows);
    }
    pqk_collection_free(opened);
}

/* ------------------------------------------------------------------------ */
/* Looking                                                                  */

static int is_odd(void *context, uint64_t id)
{
    (void)context;
    return (int)(id % 2);
}

static void search(struct state *s)
{
    const size_t num_queries = 1 + fuzz_byte(s->input) % MAX_QUERIES;
    const size_t dim = pqk_quantizer_dim(s->quantizer);
    const unsigned filters = fuzz_byte(s->input);
    float queries[MAX_QUERIES * MAX_DIM];
    uint64_t allowed[64];
    pqk_search_stats stats = {.kernel = NULL};
    const pqk_search_options options = {
        .num_threads = filters / 8 % 4,
        .allowed = filters & 1 ? allowed : NULL,
        .num_allowed = fuzz_below(s->input, 64 * TEST_COUNT(allowed) + 1),
        .predicate = filters & 2 ? is_odd : NULL,
        .stats = filters & 4 ? &stats : NULL};
    const struct model_search plan = {queries, num_queries,
                                      fuzz_byte(s->input) % 4
                                          ? fuzz_byte(s->input) % 16u
                                          : fuzz_below(s->input, 400),
                                      filters & 128 ? NULL : &options};

    fill_values(s, queries, num_queries * dim);
    for (size_t i = 0; i < TEST_COUNT(allowed); i++)
        allowed[i] = test_next(&s->random) & test_next(&s->random);
    fuzz_check(model_compare_search(&s->model, s->collection, &plan));
}

static void list_page(struct state *s)
{
    const size_t most = fuzz_below(s->input, MAX_ROWS_AT_ONCE);
    const uint64_t from = fuzz_byte(s->input) % 4 ? any_id(s) : 0;
    const size_t first = model_place(&s->model, from);
    const size_t left = s->model.num_rows - first;
    const size_t count = pqk_collection_ids(s->collection, from, most, s->ids);

    FUZZ_THAT(count == (left < most ? left : most));
    FUZZ_THAT(count == 0 || memcmp(s->ids, s->model.ids + first,
                                   count * sizeof *s->ids) == 0);
    FUZZ_THAT(pqk_collection_contains(s->collection, from) ==
              model_has(&s->model, from));
}

static void get_codes(struct state *s)
{
    const size_t count = any_count(s);
    pqk_status expected = PQK_OK;

    for (size_t i = 0; i < count; i++) {
        s->ids[i] = any_id(s);
        if (!model_has(&s->model, s->ids[i]))
            expected = PQK_INVALID_ARGUMENT;
    }
    FUZZ_THAT(pqk_collection_codes(s->collection, s->ids, count, s->codes) ==
              expected);
    for (size_t i = 0; i < count && expected == PQK_OK; i++) {
        const size_t row = model_place(&s->model, s->ids[i]);

        FUZZ_THAT(memcmp(s->codes + i * s->M, s->model.codes + row * s->M,
                         s->M) == 0);
    }
}

/* ------------------------------------------------------------------------ */

static void begin(struct state *s)
{
    const size_t M = 1 + fuzz_byte(s->input) % MAX_SUB_VECTORS;
    const size_t d = 1 + fuzz_byte(s->input) % 4;
    const size_t K =
        fuzz_byte(s->input) % 8 ? 1 + fuzz_byte(s->input) % 32 : 256;
    float *values = test_alloc(M * K * d * sizeof *values);
    const pqk_codebook codebook = TEST_CODEBOOK(M, K, d, values);

    s->M = M;
    s->K = K;
    s->random.state = fuzz_word(s->input);
    for (size_t i = 0; i < M * K * d; i++)
        values[i] = test_normal(&s->random);
    FUZZ_THAT(pqk_quantizer_create(&codebook,
                                   (pqk_metric)(fuzz_byte(s->input) % 3),
                                   &s->quantizer) == PQK_OK);
    free(values);
    FUZZ_THAT(pqk_collection_create(s->quantizer, any_variant(s->input),
                                    &s->collection) == PQK_OK);
    s->max_partition_rows = 1 + fuzz_below(s->input, 500);
    s->max_tail_rows = fuzz_byte(s->input) % 128u;
    pqk_collection_set_sizes(s->collection, s->max_partition_rows,
                             s->max_tail_rows);
    s->model.quantizer = s->quantizer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const steps[])(struct state *) = {
        add_under_ids,  add_under_ids, add_in_order, add_vectors,
        add_wrong_code, remove_some,   remove_some,  save_and_open,
        search,         search,        list_page,    get_codes};
    struct fuzz_input input = {data, size};
    struct state s = {.input = &input};

    if (size > FUZZ_MAX_BYTES)
        return 0;
    begin(&s);
    while (input.size > 0 && s.model.num_rows < MAX_ROWS)
        steps[fuzz_byte(&input) % TEST_COUNT(steps)](&s);
    fuzz_check(model_compare(&s.model, s.collection));
    model_free(&s.model);
    pqk_collection_free(s.collection);
    pqk_quantizer_free(s.quantizer);
    return 0;
}

#ifdef PQK_FUZZ_MAIN

static size_t generate(struct test_random *random, uint8_t *data)
{
    const size_t size = 16 + test_below(random, 150);

    for (size_t i = 0; i < size; i++)
        data[i] = (uint8_t)test_next(random);
    return size;
}

int main(int argc, char **argv)
{
    static const struct fuzz_plan plan = {"fuzz_collection", 300, generate};

    return fuzz_main(argc, argv, &plan);
}

#endif
