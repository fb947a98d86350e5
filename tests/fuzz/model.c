/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "library/metric.h"
#include "model.h"
#include "../testlib.h"

static size_t code_bytes(const struct model *model)
{
    return test_codebook_of(model->quantizer).num_sub_vectors;
}

void model_free(struct model *model)
{
    free(model->ids);
    free(model->codes);
    *model = (struct model){.num_rows = 0};
}

size_t model_place(const struct model *model, uint64_t id)
{
    size_t row = 0;

    while (row < model->num_rows && model->ids[row] < id)
        row++;
    return row;
}

int model_has(const struct model *model, uint64_t id)
{
    const size_t row = model_place(model, id);

    return row < model->num_rows && model->ids[row] == id;
}

static void make_room(struct model *model, size_t num_rows)
{
    const size_t capacity = 2 * num_rows + 16;

    if (num_rows <= model->capacity)
        return;
    model->ids = realloc(model->ids, capacity * sizeof *model->ids);
    model->codes = realloc(model->codes, capacity * code_bytes(model));
    if (!model->ids || !model->codes)
        abort();
    model->capacity = capacity;
}

void model_add(struct model *model, uint64_t id, const uint8_t *code)
{
    const size_t M = code_bytes(model), row = model_place(model, id);
    const size_t behind = model->num_rows - row;

    make_room(model, model->num_rows + 1);
    memmove(model->ids + row + 1, model->ids + row, behind * sizeof id);
    memmove(model->codes + (row + 1) * M, model->codes + row * M, behind * M);
    model->ids[row] = id;
    memcpy(model->codes + row * M, code, M);
    model->num_rows++;
}

void model_remove(struct model *model, uint64_t id)
{
    const size_t M = code_bytes(model), row = model_place(model, id);
    size_t behind;

    if (!model_has(model, id))
        return;
    behind = --model->num_rows - row;
    memmove(model->ids + row, model->ids + row + 1, behind * sizeof id);
    memmove(model->codes + row * M, model->codes + (row + 1) * M, behind * M);
}

/* ------------------------------------------------------------------------ */
/* What is there                                                            */

static int are_ascending(const struct model *model)
{
    for (size_t row = 1; row < model->num_rows; row++)
        if (model->ids[row - 1] > model->ids[row])
            return 0;
    return 1;
}

static int are_distinct(const struct model *model)
{
    for (size_t row = 1; row < model->num_rows; row++)
        if (model->ids[row - 1] == model->ids[row])
            return 0;
    return 1;
}

const char *model_read(struct model *model, const pqk_collection *collection,
                       int *distinct)
{
    const size_t size = pqk_collection_size(collection);

    *model = (struct model){.quantizer = pqk_collection_quantizer(collection)};
    model->capacity = size + 1;
    model->ids = test_alloc((size + 1) * sizeof *model->ids);
    model->codes = test_alloc((size + 1) * code_bytes(model));
    model->num_rows = pqk_collection_ids(collection, 0, size + 1, model->ids);
    *distinct = are_distinct(model);
    if (model->num_rows != size || !are_ascending(model))
        return test_fault("%zu ids are listed of %zu, ascending: %d",
                          model->num_rows, size, are_ascending(model));
    if (*distinct && pqk_collection_codes(collection, model->ids, size,
                                          model->codes) != PQK_OK)
        return test_fault("the codes of all %zu ids are not there", size);
    return NULL;
}

const char *model_compare(const struct model *model,
                          const pqk_collection *collection)
{
    const size_t M = code_bytes(model), size = model->num_rows;
    struct model found;
    int distinct;
    const char *fault = model_read(&found, collection, &distinct);

    if (!fault && (found.num_rows != size || !distinct))
        fault = test_fault("%zu rows in place of %zu, distinct: %d",
                           found.num_rows, size, distinct);
    for (size_t row = 0; row < size && !fault; row++)
        if (found.ids[row] != model->ids[row] ||
            memcmp(found.codes + row * M, model->codes + row * M, M) != 0)
            fault = test_fault("row %zu: id %llx in place of %llx, or another "
                               "code",
                               row, (unsigned long long)found.ids[row],
                               (unsigned long long)model->ids[row]);
    model_free(&found);
    return fault;
}

/* ------------------------------------------------------------------------ */
/* What is found                                                            */

static float canonical(float value)
{
    static const uint32_t nan_bits = 0x7fc00000;
    float nan;

    memcpy(&nan, &nan_bits, sizeof nan);
    return isnan(value) ? nan : value + 0.0f;
}

/* Entries [M][256], as pqkern.h says. */
static float *table_of(const struct model *model, const float *query)
{
    const pqk_codebook codebook = test_codebook_of(model->quantizer);
    const size_t d = codebook.sub_vector_dim, K = codebook.num_centroids;
    const int is_l2 = pqk_quantizer_metric(model->quantizer) == PQK_L2;
    float *entries = test_alloc(codebook.num_sub_vectors * PQK_TABLE_STRIDE *
                                sizeof *entries);

    for (size_t m = 0; m < codebook.num_sub_vectors; m++)
        for (size_t c = 0; c < K; c++) {
            const float *centroid = codebook.centroids + (m * K + c) * d;
            float sum = 0.0f;

            for (size_t i = 0; i < d; i++) {
                const float q = query[m * d + i];

                sum += is_l2 ? (q - centroid[i]) * (q - centroid[i])
                             : q * centroid[i];
            }
            entries[m * PQK_TABLE_STRIDE + c] = is_l2 ? sum : -sum;
        }
    return entries;
}

static int is_allowed(const pqk_search_options *options, uint64_t id)
{
    if (!options)
        return 1;
    if (options->allowed && (id >= options->num_allowed ||
                             !(options->allowed[id / 64] >> id % 64 & 1)))
        return 0;
    return !options->predicate ||
           options->predicate(options->predicate_context, id);
}

static int compare_results(const void *a, const void *b)
{
    const pqk_result *x = a, *y = b;
    const int x_nan = isnan(x->distance), y_nan = isnan(y->distance);

    if (x_nan != y_nan)
        return x_nan - y_nan;
    if (!x_nan && x->distance < y->distance)
        return -1;
    if (!x_nan && x->distance > y->distance)
        return 1;
    return (x->id > y->id) - (x->id < y->id);
}

/* All rows that are allowed, nearest first; how many. */
static size_t scan(const struct model *model, const float *query,
                   const pqk_search_options *options, pqk_result *results)
{
    const size_t M = code_bytes(model),
                 dim = pqk_quantizer_dim(model->quantizer);
    float *scaled = test_alloc(dim * sizeof *scaled), *entries;
    size_t count = 0;

    pqk_metric_vectors(pqk_quantizer_metric(model->quantizer), query, 1, dim,
                       scaled);
    entries = table_of(model, scaled);
    for (size_t row = 0; row < model->num_rows; row++) {
        float sum = 0.0f;

        if (!is_allowed(options, model->ids[row]))
            continue;
        for (size_t m = 0; m < M; m++)
            sum += entries[m * PQK_TABLE_STRIDE + model->codes[row * M + m]];
        results[count++] =
            (pqk_result){.id = model->ids[row], .distance = canonical(sum)};
    }
    qsort(results, count, sizeof *results, compare_results);
    free(entries);
    free(scaled);
    return count;
}

static const char *compare(const char *what, const pqk_result *expected,
                           size_t expected_count, const pqk_result *found,
                           size_t found_count)
{
    if (found_count != expected_count)
        return test_fault("%s: %zu results in place of %zu", what, found_count,
                          expected_count);
    for (size_t i = 0; i < expected_count; i++)
        if (found[i].id != expected[i].id ||
            !test_same_bits(found[i].distance, expected[i].distance))
            return test_fault("%s: result %zu is %llx at %a, not %llx at %a",
                              what, i, (unsigned long long)found[i].id,
                              (double)found[i].distance,
                              (unsigned long long)expected[i].id,
                              (double)expected[i].distance);
    return NULL;
}

/* The plain scan's results up to the distance of the k-th. */
static const char *compare_range(const pqk_collection *collection,
                                 const struct model_search *search,
                                 const float *query, const pqk_result *all,
                                 size_t num_all)
{
    const size_t last = search->k < num_all ? search->k : num_all;
    const float radius = last > 0 ? all[last - 1].distance : 1.0f;
    pqk_result *found = NULL;
    size_t expected = 0, count = 0;
    const char *fault;

    while (expected < num_all && all[expected].distance <= radius)
        expected++;
    if (pqk_collection_search_range(collection, query, radius, search->options,
                                    &found, &count) != PQK_OK)
        return test_fault("a range within %a cannot be searched",
                          (double)radius);
    fault = compare("range", all, expected, found, count);
    free(found);
    return fault;
}

const char *model_compare_search(const struct model *model,
                                 const pqk_collection *collection,
                                 const struct model_search *search)
{
    const size_t dim = pqk_quantizer_dim(model->quantizer), k = search->k;
    pqk_result *all = test_alloc((model->num_rows + 1) * sizeof *all);
    pqk_result *found = test_alloc((search->num_queries * k + 1) * sizeof *all);
    size_t *counts = test_alloc(search->num_queries * sizeof *counts);
    const pqk_status status =
        pqk_collection_search(collection, search->queries, search->num_queries,
                              k, search->options, found, counts);
    const char *fault =
        status == PQK_OK ? NULL : test_fault("%s", pqk_status_string(status));

    for (size_t q = 0; q < search->num_queries && !fault; q++) {
        const float *query = search->queries + q * dim;
        const size_t num_all = scan(model, query, search->options, all);
        const size_t expected = num_all < k ? num_all : k;

        fault = compare("search", all, expected, found + q * k, counts[q]);
        for (size_t i = expected; i < k && !fault; i++)
            if (found[q * k + i].id != PQK_NO_ID)
                fault = test_fault("no result %zu, but an id", i);
        if (!fault && q == 0)
            fault = compare_range(collection, search, query, all, num_all);
    }
    free(counts);
    free(found);
    free(all);
    return fault;
}
