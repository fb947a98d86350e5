/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Files of quantizers and collections, damaged in any way: refused, or as good
 * as what they hold, to the bit.
 *
 * An input is three bytes of choices and a file.  Where they say so, it is one
 * without the zeros between its sections and with any checksums, which are put
 * right first: so damage gets behind them.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <unistd.h>

#include "fuzz.h"
#include "library/collection/collection.h"
#include "base/little_endian.h"
#include "base/xxh64.h"
#include "model.h"

/* pqkern(5): the header, an entry of the table, and what is where. */
#define HEADER_BYTES      ((size_t)64)
#define ENTRY_BYTES       ((size_t)96)
#define AT_NUM_BYTES      16
#define AT_NUM_SECTIONS   24
#define AT_TABLE_CHECKSUM 48
#define AT_HEAD_CHECKSUM  56
#define AT_TYPE           0
#define AT_OFFSET         8
#define AT_SIZE           16
#define AT_CHECKSUM       24
#define AT_NUM_ROWS       32
#define AT_ROWS           72
#define AT_ROW_BYTES      80
#define CODES             3

/* So that a few bytes do not become a large file. */
#define MAX_SECTIONS      ((size_t)64)
#define MAX_SECTION_BYTES ((size_t)8192)

enum { PLACED = 1, SUMMED = 2 };

struct image {
    uint8_t *bytes;
    size_t size;
};

/* ------------------------------------------------------------------------ */
/* From an input to a file                                                  */

/* As many as the bytes can have entries. */
static size_t num_sections_of(const uint8_t *bytes, size_t size)
{
    const uint64_t said =
        size < HEADER_BYTES ? 0 : pqk_get_u64(bytes + AT_NUM_SECTIONS);
    const size_t most =
        size < HEADER_BYTES ? 0 : (size - HEADER_BYTES) / ENTRY_BYTES;

    if (said > most || said > MAX_SECTIONS)
        return most < MAX_SECTIONS ? most : MAX_SECTIONS;
    return (size_t)said;
}

/* Sections at their places; what the input lacks of them is 0. */
static struct image place(const uint8_t *data, size_t size)
{
    const size_t num_sections = num_sections_of(data, size);
    const size_t head = HEADER_BYTES + num_sections * ENTRY_BYTES;
    const size_t room = size + head + num_sections * (MAX_SECTION_BYTES + 4096);
    struct image image = {calloc(1, room), head};
    size_t from = head;

    if (!image.bytes)
        abort();
    memcpy(image.bytes, data, size < head ? size : head);
    for (size_t i = 0; i < num_sections; i++) {
        uint8_t *entry = image.bytes + HEADER_BYTES + i * ENTRY_BYTES;
        const size_t alignment =
            pqk_get_u32(entry + AT_TYPE) == CODES ? 4096 : 64;
        const uint64_t said = pqk_get_u64(entry + AT_SIZE);
        const size_t bytes =
            said < MAX_SECTION_BYTES ? (size_t)said : MAX_SECTION_BYTES;
        const size_t there = bytes < size - from ? bytes : size - from;
        const size_t offset = (image.size + alignment - 1) & ~(alignment - 1);

        pqk_put_u64(entry + AT_OFFSET, offset);
        memcpy(image.bytes + offset, data + from, there);
        from += there;
        image.size = offset + bytes;
    }
    if (size >= HEADER_BYTES)
        pqk_put_u64(image.bytes + AT_NUM_BYTES, image.size);
    return image;
}

static void sum(const struct image *image)
{
    const size_t num_sections = num_sections_of(image->bytes, image->size);

    if (image->size < HEADER_BYTES)
        return;
    for (size_t i = 0; i < num_sections; i++) {
        uint8_t *entry = image->bytes + HEADER_BYTES + i * ENTRY_BYTES;
        const uint64_t offset = pqk_get_u64(entry + AT_OFFSET);
        const uint64_t bytes = pqk_get_u64(entry + AT_SIZE);

        if (offset <= image->size && bytes <= image->size - offset)
            pqk_put_u64(entry + AT_CHECKSUM,
                        pqk_xxh64(image->bytes + offset, (size_t)bytes));
    }
    pqk_put_u64(
        image->bytes + AT_TABLE_CHECKSUM,
        pqk_xxh64(image->bytes + HEADER_BYTES, num_sections * ENTRY_BYTES));
    pqk_put_u64(image->bytes + AT_HEAD_CHECKSUM,
                pqk_xxh64(image->bytes, AT_HEAD_CHECKSUM));
}

static struct image image_of(const struct fuzz_input *input, unsigned how)
{
    struct image image = {NULL, input->size};

    if (how & PLACED) {
        image = place(input->data, input->size);
    } else {
        image.bytes = test_alloc(input->size);
        memcpy(image.bytes, input->data, input->size);
    }
    if (how & SUMMED)
        sum(&image);
    return image;
}

/* ------------------------------------------------------------------------ */
/* What is done with what could be opened                                   */

static const char *path_of(const char *name)
{
    return test_path(fuzz_folder("fuzz_file"), name);
}

static int may_be_refused(pqk_status status)
{
    return status == PQK_BAD_FILE || status == PQK_NEWER_FILE ||
           status == PQK_OUT_OF_MEMORY;
}

static int same_centroids(const pqk_quantizer *a, const pqk_quantizer *b)
{
    const pqk_codebook x = test_codebook_of(a);
    const pqk_codebook y = test_codebook_of(b);

    return pqk_quantizer_metric(a) == pqk_quantizer_metric(b) &&
           x.num_sub_vectors == y.num_sub_vectors &&
           x.num_centroids == y.num_centroids &&
           x.sub_vector_dim == y.sub_vector_dim &&
           memcmp(x.centroids, y.centroids,
                  x.num_sub_vectors * x.num_centroids * x.sub_vector_dim *
                      sizeof *x.centroids) == 0;
}

static void use_quantizer(const pqk_quantizer *quantizer)
{
    const pqk_codebook codebook = test_codebook_of(quantizer);
    const size_t dim = pqk_quantizer_dim(quantizer);
    float *vectors = test_alloc(2 * dim * sizeof *vectors);
    uint8_t *codes = test_alloc(2 * codebook.num_sub_vectors);
    pqk_quantizer *again;

    memcpy(vectors, codebook.centroids, dim * sizeof *vectors);
    memset(vectors + dim, 0, dim * sizeof *vectors);
    FUZZ_THAT(pqk_quantizer_encode(quantizer, vectors, 2, 1, codes) == PQK_OK);
    FUZZ_THAT(pqk_quantizer_decode(quantizer, codes, 2, vectors) == PQK_OK);
    FUZZ_THAT(pqk_quantizer_save(quantizer, path_of("quantizer")) == PQK_OK);
    FUZZ_THAT(pqk_quantizer_load(path_of("quantizer"), &again) == PQK_OK);
    FUZZ_THAT(same_centroids(quantizer, again));
    pqk_quantizer_free(again);
    free(codes);
    free(vectors);
}

/* A centroid of each sub-vector, zeros, and odd values. */
static void search(const pqk_collection *collection, const struct model *model,
                   struct test_random *random)
{
    const pqk_codebook codebook = test_codebook_of(model->quantizer);
    const size_t dim = pqk_quantizer_dim(model->quantizer);
    float *queries = test_alloc(3 * dim * sizeof *queries);
    uint64_t allowed[4];
    const pqk_search_options options = {.num_threads =
                                            1 + test_below(random, 2),
                                        .allowed = allowed,
                                        .num_allowed = test_below(random, 257)};
    const struct model_search plan = {
        queries, 3, test_below(random, 2) ? 3 : test_below(random, 200),
        test_below(random, 2) ? &options : NULL};

    for (size_t i = 0; i < TEST_COUNT(allowed); i++)
        allowed[i] = test_next(random) | test_next(random);
    memcpy(queries, codebook.centroids, dim * sizeof *queries);
    memset(queries + dim, 0, dim * sizeof *queries);
    for (size_t i = 0; i < dim; i++)
        queries[2 * dim + i] = test_below(random, 8) ? test_normal(random)
                                                     : test_any_float(random);
    fuzz_check(model_compare_search(model, collection, &plan));
    free(queries);
}

static void change(pqk_collection *collection, struct model *model,
                   struct test_random *random)
{
    const size_t M = test_codebook_of(model->quantizer).num_sub_vectors;
    uint8_t *code = calloc(M, 1);
    const uint64_t id = test_next(random) >> test_below(random, 64);

    for (int i = 0; i < 2 && model->num_rows > 0; i++) {
        const uint64_t gone = model->ids[test_below(random, model->num_rows)];

        FUZZ_THAT(pqk_collection_remove(collection, &gone, 1, NULL) == PQK_OK);
        model_remove(model, gone);
    }
    if (id != PQK_NO_ID && !model_has(model, id)) {
        FUZZ_THAT(pqk_collection_add_codes(collection, code, &id, 1, 1) ==
                  PQK_OK);
        model_add(model, id, code);
    }
    free(code);
}

static void save_and_open(const pqk_collection *collection,
                          const struct model *model, struct test_random *random)
{
    const size_t kernel = test_below(random, test_variant_count());
    pqk_collection *again;

    FUZZ_THAT(pqk_collection_save(collection, path_of("saved")) == PQK_OK);
    FUZZ_THAT(pqk_collection_open(path_of("saved"), test_variant(kernel), 0,
                                  &again) == PQK_OK);
    fuzz_check(model_compare(model, again));
    search(again, model, random);
    pqk_collection_free(again);
}

static void use_collection(pqk_collection *collection,
                           struct test_random *random)
{
    struct model model;
    int distinct;

    fuzz_check(model_read(&model, collection, &distinct));
    FUZZ_THAT(distinct);
    search(collection, &model, random);
    change(collection, &model, random);
    fuzz_check(model_compare(&model, collection));
    save_and_open(collection, &model, random);
    model_free(&model);
}

/* Each row of a section of codes has one position. */
static int has_each_row(const uint8_t *entry, const uint8_t *codes)
{
    const size_t num_rows = (size_t)pqk_get_u64(entry + AT_NUM_ROWS);
    const size_t row_bytes = (size_t)pqk_get_u64(entry + AT_ROW_BYTES);
    const uint8_t *from = codes + pqk_get_u64(entry + AT_ROWS);
    uint8_t *seen = calloc(num_rows, 1);
    int each = 1;

    for (size_t p = 0; p < num_rows && each; p++) {
        size_t row = p >> 8 * row_bytes << 8 * row_bytes;

        for (size_t i = 0; i < row_bytes; i++)
            row |= (size_t)from[p * row_bytes + i] << 8 * i;
        each = row < num_rows && !seen[row]++;
    }
    free(seen);
    return each;
}

/* What was opened deserved it, as far as nothing else would show. */
static void check_rows(const struct image *image)
{
    const size_t num_sections = num_sections_of(image->bytes, image->size);

    for (size_t i = 0; i < num_sections; i++) {
        const uint8_t *entry = image->bytes + HEADER_BYTES + i * ENTRY_BYTES;

        if (pqk_get_u32(entry + AT_TYPE) == CODES)
            FUZZ_THAT(has_each_row(entry, image->bytes +
                                              pqk_get_u64(entry + AT_OFFSET)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    const unsigned how = fuzz_byte(&input);
    const size_t kernel = fuzz_byte(&input) % test_variant_count();
    struct test_random random = {fuzz_byte(&input)};
    struct image image;
    pqk_collection *collection = NULL;
    pqk_quantizer *quantizer = NULL;
    pqk_status status;

    if (size > FUZZ_MAX_BYTES)
        return 0;
    image = image_of(&input, how);
    test_write_file(path_of("file"), image.bytes, image.size);
    status = pqk_collection_open(path_of("file"), test_variant(kernel), 0,
                                 &collection);
    FUZZ_THAT(status == PQK_OK || may_be_refused(status));
    if (status == PQK_OK) {
        check_rows(&image);
        use_collection(collection, &random);
        pqk_collection_free(collection);
    }
    free(image.bytes);
    if (pqk_collection_open(path_of("file"), test_variant(kernel),
                            PQK_UNVERIFIED, &collection) == PQK_OK)
        pqk_collection_free(collection);
    else
        FUZZ_THAT(status != PQK_OK);
    status = pqk_quantizer_load(path_of("file"), &quantizer);
    FUZZ_THAT(status == PQK_OK || may_be_refused(status));
    if (status == PQK_OK) {
        use_quantizer(quantizer);
        pqk_quantizer_free(quantizer);
    }
    return 0;
}

#ifdef PQK_FUZZ_MAIN

/* ------------------------------------------------------------------------ */
/* Files as they are written, and those with a little damage                */

static pqk_quantizer *any_quantizer(struct test_random *random)
{
    const size_t M = 1 + test_below(random, 6), d = 1 + test_below(random, 3);
    const size_t K = test_below(random, 4) ? 1 + test_below(random, 16)
                                           : 1 + test_below(random, 60);
    float *values = test_alloc(M * K * d * sizeof *values);
    const pqk_codebook codebook = TEST_CODEBOOK(M, K, d, values);
    pqk_quantizer *quantizer;

    for (size_t i = 0; i < M * K * d; i++)
        values[i] = test_normal(random);
    FUZZ_THAT(pqk_quantizer_create(&codebook, (pqk_metric)test_below(random, 3),
                                   &quantizer) == PQK_OK);
    free(values);
    return quantizer;
}

static void save_collection(const pqk_quantizer *quantizer, const char *path,
                            struct test_random *random)
{
    const pqk_codebook codebook = test_codebook_of(quantizer);
    const size_t kernel = test_below(random, test_variant_count());
    const size_t step = 1 + test_below(random, 3);
    pqk_collection *collection;

    FUZZ_THAT(pqk_collection_create(quantizer, test_variant(kernel),
                                    &collection) == PQK_OK);
    pqk_collection_set_sizes(collection, 40, 10);
    for (size_t left = test_below(random, 90), id = 0; left > 0; left--) {
        uint8_t code[8];
        const uint64_t ids[] = {id};

        for (size_t m = 0; m < codebook.num_sub_vectors; m++)
            code[m] = (uint8_t)test_below(random, codebook.num_centroids);
        FUZZ_THAT(pqk_collection_add_codes(collection, code, ids, 1, 1) ==
                  PQK_OK);
        id += step > 1 && test_below(random, 4) == 0 ? 2 : 1;
    }
    FUZZ_THAT(pqk_collection_save(collection, path) == PQK_OK);
    pqk_collection_free(collection);
}

/* A file without the zeros between its sections; 0 if that is too much. */
static size_t pack(const struct image *image, uint8_t *data)
{
    const size_t num_sections = num_sections_of(image->bytes, image->size);
    size_t size = HEADER_BYTES + num_sections * ENTRY_BYTES;

    memcpy(data, image->bytes, size);
    for (size_t i = 0; i < num_sections; i++) {
        const uint8_t *entry = image->bytes + HEADER_BYTES + i * ENTRY_BYTES;
        const size_t bytes = (size_t)pqk_get_u64(entry + AT_SIZE);

        if (bytes > FUZZ_MAX_BYTES - 8 - size)
            return 0;
        memcpy(data + size, image->bytes + pqk_get_u64(entry + AT_OFFSET),
               bytes);
        size += bytes;
    }
    return size;
}

static size_t generate_file(struct test_random *random, uint8_t *data)
{
    pqk_quantizer *quantizer = any_quantizer(random);
    struct image image;
    size_t size;

    if (test_below(random, 8))
        save_collection(quantizer, path_of("seed"), random);
    else
        FUZZ_THAT(pqk_quantizer_save(quantizer, path_of("seed")) == PQK_OK);
    image.bytes = test_read_file(path_of("seed"), &image.size);
    size = pack(&image, data);
    free(image.bytes);
    pqk_quantizer_free(quantizer);
    return size;
}

/* Puts the rows of the last partition into another order, as variants do with
 * many rows; now and then two positions are the same row's. */
static size_t shuffle_rows(struct test_random *random, uint8_t *data,
                           size_t size)
{
    const size_t num_sections = num_sections_of(data, size);
    uint8_t *last = data + HEADER_BYTES + (num_sections - 1) * ENTRY_BYTES;
    const size_t num_rows = (size_t)pqk_get_u64(last + AT_NUM_ROWS);
    uint8_t *rows = data + size;

    if (pqk_get_u32(last + AT_TYPE) != CODES ||
        size + num_rows > FUZZ_MAX_BYTES - 8)
        return size;
    pqk_put_u64(last + AT_ROWS, pqk_get_u64(last + AT_SIZE));
    pqk_put_u64(last + AT_ROW_BYTES, 1);
    pqk_put_u64(last + AT_SIZE, pqk_get_u64(last + AT_SIZE) + num_rows);
    for (size_t row = 0; row < num_rows; row++) {
        const size_t other = test_below(random, row + 1);

        rows[row] = rows[other];
        rows[other] = (uint8_t)row;
    }
    if (test_below(random, 4) == 0)
        rows[0] = rows[num_rows - 1];
    return size + num_rows;
}

/* Mostly in the header and the table, where a byte means most, or in the codes
 * at the end. */
static void damage(struct test_random *random, uint8_t *data, size_t size)
{
    const size_t most = size < 400 ? size : 400;

    for (size_t left = test_below(random, 4); left > 0; left--) {
        const size_t near = test_below(random, most);
        const size_t at = test_below(random, 2) ? near : size - 1 - near;

        data[at] = test_below(random, 2)
                       ? (uint8_t)(data[at] ^ 1u << test_below(random, 8))
                       : (uint8_t)test_next(random);
    }
}

static size_t generate(struct test_random *random, uint8_t *data)
{
    size_t size = 0;

    while (size == 0)
        size = generate_file(random, data + 3);
    if (test_below(random, 4) == 0)
        size = shuffle_rows(random, data + 3, size);
    data[0] = test_below(random, 16) ? PLACED | SUMMED
                                     : (uint8_t)test_below(random, 4);
    data[1] = (uint8_t)test_next(random);
    data[2] = (uint8_t)test_next(random);
    damage(random, data + 3, size);
    return 3 + size;
}

int main(int argc, char **argv)
{
    static const struct fuzz_plan plan = {"fuzz_file", 500, generate};

    return fuzz_main(argc, argv, &plan);
}

#endif
