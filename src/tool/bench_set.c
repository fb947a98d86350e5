/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "bench.h"
#include "base/host.h"
#include "base/progress.h"
#include "base/synthetic.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NUM_QUERIES 1000 /* at most, where they are made */
#define NUM_PHOTOS  20000

/* Generated: enough to train on for times, if not for recall. */
enum { SEED = 19, LEARN = 32768, ROUNDS = 10, GENERATED_QUERIES = 500 };

/* ------------------------------------------------------------------------ */
/* Queries for a collection                                                 */

/* Decoded vectors, a quarter of the way to others: on the codes themselves the
 * nearest would be at no distance. */
static float *make_queries(const pqk_collection *collection,
                           size_t *num_queries)
{
    const pqk_quantizer *quantizer = pqk_collection_quantizer(collection);
    const size_t dim = pqk_quantizer_dim(quantizer);
    const size_t size = pqk_collection_size(collection);
    const size_t width = tool_codebook_of(quantizer).num_sub_vectors;
    const size_t count = size < NUM_QUERIES ? size : NUM_QUERIES;
    uint64_t *ids = tool_alloc(size, sizeof *ids);
    uint8_t *codes = tool_alloc(count, width);
    float *decoded = tool_alloc(count, dim * sizeof *decoded);
    float *queries = tool_alloc(count, dim * sizeof *queries);

    if (size == 0)
        tool_die("the collection is empty: there is nothing to search");
    pqk_collection_ids(collection, 0, size, ids);
    for (size_t i = 0; i < count; i++)
        ids[i] = ids[i * (size / count)];
    tool_check_status(pqk_collection_codes(collection, ids, count, codes),
                      "getting codes");
    tool_check_status(pqk_quantizer_decode(quantizer, codes, count, decoded),
                      "decoding");
    for (size_t i = 0; i < count; i++) {
        const float *one = decoded + i * dim;
        const float *other = decoded + (i + count / 2) % count * dim;

        for (size_t d = 0; d < dim; d++)
            queries[i * dim + d] = 0.75f * one[d] + 0.25f * other[d];
    }
    free(decoded);
    free(codes);
    free(ids);
    *num_queries = count;
    return queries;
}

static float *read_all(const char *path, const char *format, size_t dim,
                       const char *of_what, size_t *count)
{
    struct pqf_rows rows;
    float *values;

    tool_open_rows(path, format, dim, of_what, &rows);
    values = tool_read_floats(&rows, count);
    if (*count == 0)
        tool_die("%s: has no rows", rows.source.path);
    pqf_rows_close(&rows);
    return values;
}

float *bench_queries(const pqk_collection *collection, const char *path,
                     size_t *num_queries)
{
    if (path == NULL)
        return make_queries(collection, num_queries);
    return read_all(path, bench_options.format,
                    pqk_quantizer_dim(pqk_collection_quantizer(collection)),
                    "the collection's vectors have", num_queries);
}

/* ------------------------------------------------------------------------ */
/* Codes of vectors                                                         */

static void make_room(struct bench_set *set, size_t num_codes)
{
    set->num_codes = num_codes;
    set->codes =
        tool_alloc(num_codes, tool_codebook_of(set->quantizer).num_sub_vectors);
}

static void encode(struct bench_set *set, size_t first, const float *vectors,
                   size_t count)
{
    const size_t width = tool_codebook_of(set->quantizer).num_sub_vectors;

    tool_check_status(pqk_quantizer_encode(set->quantizer, vectors, count,
                                           (size_t)tool_processors(),
                                           set->codes + first * width),
                      "encoding");
}

static pqk_quantizer *train(const struct pqk_synthetic *synthetic)
{
    const pqk_training training = {.dim = PQK_SYNTHETIC_DIM,
                                   .num_sub_vectors = PQK_SYNTHETIC_DIM / 8,
                                   .rounds = ROUNDS,
                                   .num_threads = (size_t)tool_processors(),
                                   .progress = pqk_progress_show};
    float *learn = tool_alloc(LEARN, PQK_SYNTHETIC_DIM * sizeof *learn);
    pqk_quantizer *quantizer = NULL;

    pqk_synthetic_rows(synthetic, PQK_SYNTHETIC_LEARN, 0, LEARN, learn);
    pqk_progress_begin("training", 0);
    tool_check_status(pqk_quantizer_train(learn, LEARN, &training, &quantizer),
                      "training");
    pqk_progress_end();
    free(learn);
    return quantizer;
}

void bench_generate(struct bench_set *set, size_t num_codes)
{
    enum { PIECE = 65536 };
    struct pqk_synthetic *synthetic = pqk_synthetic_create(SEED);
    const size_t row_bytes = PQK_SYNTHETIC_DIM * sizeof(float);
    float *piece = tool_alloc(PIECE, row_bytes);

    if (synthetic == NULL)
        tool_die("out of memory for generating vectors");
    *set =
        (struct bench_set){.name = "generated",
                           .quantizer = train(synthetic),
                           .queries = tool_alloc(GENERATED_QUERIES, row_bytes),
                           .num_queries = GENERATED_QUERIES};
    pqk_synthetic_rows(synthetic, PQK_SYNTHETIC_QUERY, 0, GENERATED_QUERIES,
                       set->queries);
    make_room(set, num_codes);
    pqk_progress_begin("generating codes", num_codes);
    for (size_t i = 0; i < num_codes; i += PIECE) {
        const size_t count = num_codes - i < PIECE ? num_codes - i : PIECE;

        pqk_synthetic_rows(synthetic, PQK_SYNTHETIC_BASE, i, count, piece);
        encode(set, i, piece, count);
        pqk_progress_add(count);
    }
    pqk_progress_end();
    free(piece);
    pqk_synthetic_free(synthetic);
}

/* ------------------------------------------------------------------------ */
/* The shipped photographs                                                  */

static int file_in(const char *folder, const char *name, char path[PATH_MAX])
{
    const int length = snprintf(path, PATH_MAX, "%s/%s", folder, name);

    return length < PATH_MAX && access(path, R_OK) == 0;
}

/* In the order in which run_experiment looks.  A program that Libtool has not
 * installed is in a folder below the one where it was built. */
static int find_photos(char base[PATH_MAX], char query[PATH_MAX],
                       char codebook[PATH_MAX])
{
    static const char *const places[] = {"/data", "/../data"};
    const char *named = getenv("PQKERN_DATA");
    char folders[4][PATH_MAX] = {"", "", "", PQK_PKGDATADIR};
    char own[PATH_MAX - 16];

    if (named != NULL)
        snprintf(folders[0], PATH_MAX, "%s", named);
    for (size_t i = 0; i < 2 && pqk_program_folder(own, sizeof own) == 0; i++)
        snprintf(folders[1 + i], PATH_MAX, "%s%s", own, places[i]);
    for (size_t i = 0; i < 4; i++)
        if (folders[i][0] != '\0' &&
            file_in(folders[i], "photos_base.bvecs", base) &&
            file_in(folders[i], "photos_query.bvecs", query) &&
            file_in(folders[i], "photos_codebook.fvecs", codebook))
            return 1;
    return 0;
}

static pqk_quantizer *read_codebook(const char *path)
{
    size_t num_rows;
    struct pqf_rows rows;
    float *centroids;
    pqk_quantizer *quantizer = NULL;
    pqk_codebook codebook = {.num_centroids = PQK_MAX_CENTROIDS};

    tool_open_rows(path, NULL, 0, "", &rows);
    centroids = tool_read_floats(&rows, &num_rows);
    codebook.num_sub_vectors = num_rows / PQK_MAX_CENTROIDS;
    codebook.sub_vector_dim = rows.dim;
    codebook.centroids = centroids;
    tool_check_status(pqk_quantizer_create(&codebook, PQK_L2, &quantizer),
                      path);
    pqf_rows_close(&rows);
    free(centroids);
    return quantizer;
}

void bench_take_photos(struct bench_set *set)
{
    char base[PATH_MAX], query[PATH_MAX], codebook[PATH_MAX];
    size_t dim, num_vectors;
    float *vectors;

    if (!find_photos(base, query, codebook)) {
        bench_generate(set, NUM_PHOTOS);
        return;
    }
    *set = (struct bench_set){.name = "photos",
                              .quantizer = read_codebook(codebook)};
    dim = pqk_quantizer_dim(set->quantizer);
    set->queries =
        read_all(query, NULL, dim, "the codebook's", &set->num_queries);
    vectors = read_all(base, NULL, dim, "the codebook's", &num_vectors);
    make_room(set, num_vectors);
    encode(set, 0, vectors, num_vectors);
    free(vectors);
}

/* ------------------------------------------------------------------------ */
/* A collection                                                             */

/* Its quantizer again, since the collection is not kept. */
static pqk_quantizer *copy_of(const pqk_quantizer *quantizer)
{
    const pqk_codebook codebook = tool_codebook_of(quantizer);
    pqk_quantizer *copy = NULL;

    tool_check_status(
        pqk_quantizer_create(&codebook, pqk_quantizer_metric(quantizer), &copy),
        "copying the quantizer");
    return copy;
}

void bench_take_collection(struct bench_set *set, const char *path,
                           const char *queries)
{
    pqk_collection *collection = tool_open_collection(path, NULL);
    const pqk_quantizer *quantizer = pqk_collection_quantizer(collection);
    const size_t size = pqk_collection_size(collection);
    uint64_t *ids;

    if (pqk_quantizer_metric(quantizer) != PQK_L2)
        tool_die("%s: its metric is %s, but regimes are measured under l2; "
                 "without --matrix its own searches are",
                 path, tool_metric_name(pqk_quantizer_metric(quantizer)));
    if (size == 0)
        tool_die("%s: has no codes: there is nothing to measure", path);
    if (size > UINT32_MAX)
        tool_die("%s: has %zu codes, but a regime takes %" PRIu32
                 " at most; give a part of it",
                 path, size, UINT32_MAX);
    *set = (struct bench_set){.name = path, .quantizer = copy_of(quantizer)};
    set->queries = bench_queries(collection, queries, &set->num_queries);
    if (set->num_queries < BENCH_MAX_BATCH)
        tool_die("%s: %zu queries are too few: a regime asks %d at a time; "
                 "give a file with more",
                 queries != NULL ? queries : path, set->num_queries,
                 BENCH_MAX_BATCH);
    make_room(set, size);
    ids = tool_alloc(size, sizeof *ids);
    pqk_collection_ids(collection, 0, size, ids);
    tool_check_status(pqk_collection_codes(collection, ids, size, set->codes),
                      "getting codes");
    free(ids);
    pqk_collection_free(collection);
}

void bench_free_set(struct bench_set *set)
{
    pqk_quantizer_free(set->quantizer);
    free(set->codes);
    free(set->queries);
}
