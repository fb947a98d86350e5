/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A source is resolved to three streams of rows (base, queries, learn) and a
 * place for the cache; from there on all sources are treated alike.  The base
 * is read at most once, block by block, and not at all if the cache has its
 * codes and the truth is known.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "fixture.h"
#include "cache.h"
#include "folder.h"
#include "formats/vecs.h"
#include "parallel.h"
#include "progress.h"
#include "random.h"
#include "seeded.h"
#include "synthetic.h"
#include "truth.h"

#include "library/quantizer.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* To be raised whenever a codebook or codes would come out otherwise from the
 * same files. */
#define CACHE_VERSION 1

#define TRAINING_ROUNDS 25
#define TRAINING_SEED   UINT64_C(0x7071686B65726E01)

/* 256 rows a centroid: more make the codebook no better. */
#define MAX_LEARN_ROWS   65536
#define MAX_LEARN_VALUES ((size_t)1 << 26)
#define BLOCK_VALUES     ((size_t)1 << 21)

/* Columns of a computed truth, so that one file serves the usual k. */
#define TRUTH_COLUMNS 100

/* Of a folder, as many queries as a run times at least. */
#define USUAL_QUERIES 1000

/* Recall's standard error is below 0.007 with 500 queries of 10 neighbours, and
 * the truth for 1M rows takes some 5 s. */
#define SYNTHETIC_NUM_BASE 100000
#define SYNTHETIC_QUERIES  500
#define SYNTHETIC_SEED     UINT64_C(0x50514B45524E)

/* Where rows come from: a file, a generator or memory. */
struct rows {
    size_t num_rows, dim;
    struct pqf_rows vecs; /* if it has a path */
    const struct pqh_synthetic *synthetic;
    enum pqh_synthetic_kind kind;
    const float *values;
};

struct origin {
    struct rows base, query, learn; /* learn may have no rows: use base */
    size_t usual_base, usual_queries;
    char truth_file[PATH_MAX]; /* empty if there is none */
    char
        codebook_file[PATH_MAX]; /* a frozen codebook that came with the data */
    int cached;
    struct pqh_cache cache;
    struct pqh_synthetic *synthetic;
    int seeded;
    float *seeded_base, *seeded_queries;
};

/* ------------------------------------------------------------------------ */
/* Helpers                                                                  */

static void *allocate(size_t count, size_t width, size_t size,
                      struct pqf_error *err)
{
    size_t values, bytes;
    void *memory = NULL;

    if (!__builtin_mul_overflow(count, width, &values) &&
        !__builtin_mul_overflow(values, size, &bytes))
        memory = malloc(bytes > 0 ? bytes : 1);
    if (memory == NULL)
        pqf_fail(err,
                 "out of memory for %zu rows of %zu values; ask for fewer "
                 "with --num-base or --num-queries",
                 count, width);
    return memory;
}

/* How many rows so many values are; no reader lets a width of 0 through. */
static size_t rows_of(size_t values, size_t dim)
{
    assert(dim > 0);
    return values / dim;
}

static int read_rows(const struct rows *rows, size_t first, size_t count,
                     float *values, struct pqf_error *err)
{
    if (rows->vecs.source.path != NULL)
        return pqf_rows_read_floats(&rows->vecs, first, count, values, err);
    if (rows->values != NULL)
        memcpy(values, rows->values + first * rows->dim,
               count * rows->dim * sizeof *values);
    else
        pqh_synthetic_rows(rows->synthetic, rows->kind, first, count, values);
    return 0;
}

static int open_rows(const char *path, struct rows *rows, struct pqf_error *err)
{
    if (pqf_rows_open(path, &rows->vecs, err) != 0)
        return -1;
    if (rows->vecs.num_rows > UINT32_MAX)
        return pqf_fail(err,
                        "%s: %" PRIu64 " rows are more than 32-bit ids can "
                        "name; split the file",
                        path, rows->vecs.num_rows);
    rows->num_rows = (size_t)rows->vecs.num_rows;
    rows->dim = rows->vecs.dim;
    return 0;
}

static void close_origin(struct origin *origin)
{
    struct rows *all[] = {&origin->base, &origin->query, &origin->learn};

    for (int i = 0; i < 3; i++)
        if (all[i]->vecs.source.path != NULL)
            pqf_rows_close(&all[i]->vecs);
    pqh_synthetic_free(origin->synthetic);
    free(origin->seeded_base);
    free(origin->seeded_queries);
}

/* ------------------------------------------------------------------------ */
/* Sources                                                                  */

static int check_dims(const struct pqh_folder *folder,
                      const struct origin *origin, struct pqf_error *err)
{
    size_t dim = origin->base.dim;

    if (dim % PQH_SUB_VECTORS != 0)
        return pqf_fail(err,
                        "%s: the width %zu is no multiple of the %d "
                        "sub-vectors; pad every row of all files with zeros to "
                        "%zu, which changes no distance",
                        folder->files[PQH_BASE], dim, PQH_SUB_VECTORS,
                        dim + PQH_SUB_VECTORS - dim % PQH_SUB_VECTORS);
    if (origin->query.dim != dim)
        return pqf_fail(err, "%s: the width is %zu, but %s has %zu",
                        folder->files[PQH_QUERY], origin->query.dim,
                        folder->files[PQH_BASE], dim);
    if (origin->learn.num_rows > 0 && origin->learn.dim != dim)
        return pqf_fail(err, "%s: the width is %zu, but %s has %zu",
                        folder->files[PQH_LEARN], origin->learn.dim,
                        folder->files[PQH_BASE], dim);
    return 0;
}

static int key_of_files(const struct pqh_folder *folder, struct origin *origin,
                        struct pqf_error *err)
{
    static const enum pqh_role roles[] = {PQH_BASE, PQH_QUERY, PQH_LEARN};
    struct pqh_sha256 key;
    char text[64], hex[PQH_SHA256_HEX];
    int length = snprintf(text, sizeof text, "files %d %d %d\n", CACHE_VERSION,
                          PQH_SUB_VECTORS, PQH_CENTROIDS);

    pqh_sha256_begin(&key);
    pqh_sha256_add(&key, text, (size_t)length);
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (folder->files[roles[i]][0] != '\0' &&
            pqh_cache_key_add_file(&key, folder->files[roles[i]], err) != 0)
            return -1;
    pqh_sha256_end(&key, hex);
    origin->cached = 1;
    pqh_cache_init(&origin->cache, folder->name, hex);
    return 0;
}

static int open_folder(const struct pqh_folder *folder, struct origin *origin,
                       struct pqf_error *err)
{
    if (open_rows(folder->files[PQH_BASE], &origin->base, err) != 0 ||
        open_rows(folder->files[PQH_QUERY], &origin->query, err) != 0)
        return -1;
    if (folder->files[PQH_LEARN][0] != '\0' &&
        open_rows(folder->files[PQH_LEARN], &origin->learn, err) != 0)
        return -1;
    if (check_dims(folder, origin, err) != 0)
        return -1;
    origin->usual_base = origin->base.num_rows;
    origin->usual_queries = origin->query.num_rows < USUAL_QUERIES
                                ? origin->query.num_rows
                                : USUAL_QUERIES;
    memcpy(origin->truth_file, folder->files[PQH_TRUTH], PATH_MAX);
    memcpy(origin->codebook_file, folder->files[PQH_CODEBOOK], PATH_MAX);
    return key_of_files(folder, origin, err);
}

static int open_synthetic(struct origin *origin, struct pqf_error *err)
{
    struct rows rows = {.dim = PQH_SYNTHETIC_DIM, .num_rows = UINT32_MAX};
    struct pqh_sha256 key;
    char text[96], hex[PQH_SHA256_HEX];
    int length = snprintf(
        text, sizeof text, "synthetic %d %d %d %d %" PRIu64 "\n", CACHE_VERSION,
        PQH_SUB_VECTORS, PQH_CENTROIDS, PQH_SYNTHETIC_VERSION, SYNTHETIC_SEED);

    rows.synthetic = origin->synthetic = pqh_synthetic_create(SYNTHETIC_SEED);
    if (rows.synthetic == NULL)
        return pqf_fail(err, "out of memory");
    origin->base = origin->query = origin->learn = rows;
    origin->base.kind = PQH_SYNTHETIC_BASE;
    origin->query.kind = PQH_SYNTHETIC_QUERY;
    origin->learn.kind = PQH_SYNTHETIC_LEARN;
    origin->usual_base = SYNTHETIC_NUM_BASE;
    origin->usual_queries = SYNTHETIC_QUERIES;
    pqh_sha256_begin(&key);
    pqh_sha256_add(&key, text, (size_t)length);
    pqh_sha256_end(&key, hex);
    origin->cached = 1;
    pqh_cache_init(&origin->cache, "synthetic", hex);
    return 0;
}

static void open_seed(struct origin *origin)
{
    origin->seeded = 1;
    origin->base =
        (struct rows){.dim = PQH_SEEDED_DIM, .num_rows = PQH_SEEDED_NUM_BASE};
    origin->query = (struct rows){.dim = PQH_SEEDED_DIM,
                                  .num_rows = PQH_SEEDED_NUM_QUERIES};
    origin->usual_base = PQH_SEEDED_NUM_BASE;
    origin->usual_queries = PQH_SEEDED_NUM_QUERIES;
}

/* Its codebook is trained from the same stream of random numbers. */
static int generate_seed(struct origin *origin, struct pqh_fixture *fixture,
                         struct pqf_error *err)
{
    origin->seeded_base =
        allocate(PQH_SEEDED_NUM_BASE, PQH_SEEDED_DIM, sizeof(float), err);
    origin->seeded_queries =
        allocate(PQH_SEEDED_NUM_QUERIES, PQH_SEEDED_DIM, sizeof(float), err);
    fixture->centroids =
        allocate(PQH_CENTROIDS, PQH_SEEDED_DIM, sizeof(float), err);
    if (origin->seeded_base == NULL || origin->seeded_queries == NULL ||
        fixture->centroids == NULL)
        return -1;
    origin->base.values = origin->seeded_base;
    origin->query.values = origin->seeded_queries;
    return pqh_seeded_generate(origin->seeded_base, origin->seeded_queries,
                               fixture->centroids, err);
}

/* The last name of a path, without what would break a line or a path. */
static void name_folder(const char *path, char *name, size_t size)
{
    char resolved[PATH_MAX];
    const char *last = path;

    if (realpath(path, resolved) != NULL)
        last = strrchr(resolved, '/') + 1;
    snprintf(name, size, "%s", last[0] != '\0' ? last : "folder");
    for (char *c = name; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == '/' || *c == 127)
            *c = '_';
}

static int open_path(const char *path, struct origin *origin,
                     struct pqh_folder *folder, struct pqf_error *err)
{
    struct stat status;

    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        return pqf_fail(err,
                        "unknown source '%s': give sift1m, photos, synthetic, "
                        "seed, auto, or a folder with *_base.fvecs (or .bvecs) "
                        "and *_query.fvecs (or .bvecs)",
                        path);
    if (pqh_folder_scan(path, NULL, folder, err) != 0 ||
        pqh_folder_check(path, folder, err) != 0)
        return -1;
    name_folder(path, folder->name, sizeof folder->name);
    return open_folder(folder, origin, err);
}

static int open_named(const char *source, struct origin *origin,
                      struct pqh_folder *folder, struct pqf_error *err)
{
    int any = strcmp(source, "auto") == 0, found = 0;

    if (any || strcmp(source, "sift1m") == 0)
        found = pqh_folder_find_sift1m(folder, err);
    if (found == 0 && (any || strcmp(source, "photos") == 0))
        found = pqh_folder_find_photos(folder, err);
    if (found != 0)
        return found < 0 ? -1 : open_folder(folder, origin, err);
    if (strcmp(source, "sift1m") == 0)
        return pqf_fail(err,
                        "sift1m: sift_base.fvecs, sift_query.fvecs and "
                        "sift_groundtruth.ivecs are together neither in "
                        "$PQKERN_DATA, nor in $XDG_CACHE_HOME/pqkern (or "
                        "~/.cache/pqkern), nor in ~/.cache/lance-autoresearch; "
                        "run scripts/prepare_fixtures.sh");
    if (strcmp(source, "photos") == 0)
        return pqf_fail(err, "photos: the photos_* files are together neither "
                             "in $PQKERN_DATA, nor in data/ beside the "
                             "program, nor installed; set PQKERN_DATA to the "
                             "folder data of the source tree");
    if (strcmp(source, "seed") == 0) {
        snprintf(folder->name, sizeof folder->name, "seed");
        open_seed(origin);
        return 0;
    }
    if (any || strcmp(source, "synthetic") == 0) {
        snprintf(folder->name, sizeof folder->name, "synthetic");
        return open_synthetic(origin, err);
    }
    return open_path(source, origin, folder, err);
}

static int open_source(const char *source, struct origin *origin,
                       struct pqh_fixture *fixture, struct pqf_error *err)
{
    /* Too large for the stack of a small machine. */
    struct pqh_folder *folder = calloc(1, sizeof *folder);
    int result;

    if (folder == NULL)
        return pqf_fail(err, "out of memory");
    result = open_named(source, origin, folder, err);
    memcpy(fixture->source, folder->name, sizeof fixture->source);
    free(folder);
    return result;
}

/* ------------------------------------------------------------------------ */
/* Sizes                                                                    */

static int choose(const char *source, const char *what, size_t asked,
                  size_t usual, size_t most, size_t *chosen,
                  struct pqf_error *err)
{
    *chosen = asked == 0 ? usual : asked;
    if (*chosen <= most)
        return 0;
    return pqf_fail(err,
                    "%s has %zu %s, not %zu; ask for fewer, or take the "
                    "source synthetic, which has any number",
                    source, most, what, asked);
}

static int choose_sizes(const struct pqh_request *request,
                        const struct origin *origin,
                        struct pqh_fixture *fixture, struct pqf_error *err)
{
    size_t wanted = request->truth_k == 0 ? 10 : request->truth_k;

    if (choose(fixture->source, "base rows", request->num_base,
               origin->usual_base, origin->base.num_rows, &fixture->num_base,
               err) != 0 ||
        choose(fixture->source, "queries", request->num_queries,
               origin->usual_queries, origin->query.num_rows,
               &fixture->num_queries, err) != 0)
        return -1;
    fixture->dim = origin->base.dim;
    fixture->truth_k = wanted < fixture->num_base ? wanted : fixture->num_base;
    return 0;
}

/* ------------------------------------------------------------------------ */
/* Codebook                                                                 */

static size_t learn_limit(size_t dim)
{
    size_t most = rows_of(MAX_LEARN_VALUES, dim);

    return most < MAX_LEARN_ROWS ? most : MAX_LEARN_ROWS;
}

/* Exactly `count` rows of the whole base, in order, each as likely as any other
 * (Knuth's algorithm S, in integers). */
static int sample_base(const struct rows *base, size_t count, float *values,
                       struct pqf_error *err)
{
    uint64_t state = TRAINING_SEED;
    size_t taken = 0;

    for (size_t row = 0; taken < count; row++) {
        uint64_t left = base->num_rows - row;

        if (pqh_random_next(&state) % left >= count - taken)
            continue;
        if (read_rows(base, row, 1, values + taken * base->dim, err) != 0)
            return -1;
        taken++;
    }
    return 0;
}

static int train(const struct origin *origin, const pqk_codebook *shape,
                 float *centroids, struct pqf_error *err)
{
    int sampled = origin->learn.num_rows == 0;
    const struct rows *from = sampled ? &origin->base : &origin->learn;
    const struct pqk_effort effort = {.num_threads = pqh_threads()};
    size_t count = learn_limit(from->dim);
    float *values;
    int result;

    if (from->num_rows < count)
        count = from->num_rows;
    values = allocate(count, from->dim, sizeof *values, err);
    if (values == NULL)
        return -1;
    pqh_progress_begin("training the codebook", 0);
    result = sampled ? sample_base(from, count, values, err)
                     : read_rows(from, 0, count, values, err);
    if (result == 0 &&
        pqk_train_codebook(values, count, shape, TRAINING_ROUNDS, TRAINING_SEED,
                           &effort, centroids) != PQK_OK)
        result = pqf_fail(err, "out of memory for training the codebook");
    pqh_progress_end();
    free(values);
    return result;
}

/* A codebook that is there is frozen: whatever is wrong with it is an error. */
static int read_codebook(const char *path, size_t sub_vector_dim,
                         float *centroids, char hex[PQH_SHA256_HEX],
                         struct pqf_error *err)
{
    const size_t num_rows = (size_t)PQH_SUB_VECTORS * PQH_CENTROIDS;
    struct pqf_error cause;
    struct pqf_rows vecs;
    int result;

    if (pqh_sha256_verify(path, hex, &cause) != 0)
        return pqf_fail(err,
                        "%s; the codebook is frozen: put the original back, or "
                        "remove both files to have a new one trained",
                        cause.text);
    if (pqf_rows_open(path, &vecs, err) != 0)
        return -1;
    if (vecs.num_rows != num_rows || vecs.dim != sub_vector_dim)
        result =
            pqf_fail(err,
                     "%s: has %" PRIu64 " rows of width %zu, but this data "
                     "needs %zu of width %zu; put the right codebook there, or "
                     "remove it to have one trained",
                     path, vecs.num_rows, vecs.dim, num_rows, sub_vector_dim);
    else
        result = pqf_rows_read_floats(&vecs, 0, num_rows, centroids, err);
    pqf_rows_close(&vecs);
    return result;
}

static int get_codebook(struct origin *origin, struct pqh_fixture *fixture,
                        char hex[PQH_SHA256_HEX], struct pqf_error *err)
{
    const size_t d = fixture->dim / PQH_SUB_VECTORS;
    char path[PATH_MAX];

    fixture->codebook =
        (pqk_codebook){PQH_SUB_VECTORS, PQH_CENTROIDS, d, fixture->centroids};
    if (fixture->centroids != NULL)
        return 0;
    fixture->centroids =
        allocate(PQH_CENTROIDS, fixture->dim, sizeof(float), err);
    if (fixture->centroids == NULL)
        return -1;
    fixture->codebook.centroids = fixture->centroids;
    if (origin->codebook_file[0] != '\0')
        return read_codebook(origin->codebook_file, d, fixture->centroids, hex,
                             err);
    if (pqh_cache_path(&origin->cache, "codebook.fvecs", path) == 0 &&
        access(path, F_OK) == 0)
        return read_codebook(path, d, fixture->centroids, hex, err);
    if (train(origin, &fixture->codebook, fixture->centroids, err) != 0)
        return -1;
    if (!pqh_cache_store(&origin->cache, "codebook.fvecs", PQF_FVECS,
                         fixture->centroids,
                         (size_t)PQH_SUB_VECTORS * PQH_CENTROIDS, d)) {
        origin->cached = 0;
        return 0;
    }
    return read_codebook(path, d, fixture->centroids, hex, err);
}

/* ------------------------------------------------------------------------ */
/* Codes and truth                                                          */

/* What one pass over the base is to give; NULL for what is there already. */
struct pass {
    uint8_t *codes;
    struct pqh_truth *truth;
};

static int pass_over_base(const struct origin *origin,
                          const struct pqh_fixture *fixture,
                          const struct pass *pass, struct pqf_error *err)
{
    const size_t limit = rows_of(BLOCK_VALUES, fixture->dim);
    const struct pqk_effort effort = {.num_threads = pqh_threads()};
    float *block = allocate(limit, fixture->dim, sizeof *block, err);
    int result = block == NULL ? -1 : 0;

    pqh_progress_begin(pass->truth == NULL ? "encoding the base"
                       : pass->codes == NULL
                           ? "computing the exact neighbours"
                           : "encoding and searching the base",
                       fixture->num_base);
    for (size_t first = 0; first < fixture->num_base && result == 0;) {
        size_t left = fixture->num_base - first;
        size_t count = left < limit ? left : limit;

        result = read_rows(&origin->base, first, count, block, err);
        if (result == 0 && pass->codes != NULL &&
            pqk_encode(&fixture->codebook, block, count, &effort,
                       pass->codes + first * PQH_SUB_VECTORS) != PQK_OK)
            result = pqf_fail(err, "out of memory for encoding");
        if (result == 0 && pass->truth != NULL)
            pqh_truth_add(pass->truth, block, count, (uint32_t)first);
        pqh_progress_add(count);
        first += count;
    }
    pqh_progress_end();
    free(block);
    return result;
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static int check_truth_row(const char *path, size_t row, const uint32_t *ids,
                           uint32_t *sorted, size_t k, size_t num_base,
                           struct pqf_error *err)
{
    memcpy(sorted, ids, k * sizeof *ids);
    qsort(sorted, k, sizeof *sorted, compare_ids);
    if (sorted[k - 1] >= num_base)
        return pqf_fail(err,
                        "%s: row %zu: names row %" PRId32 " of a base of %zu; "
                        "put the truth of this base there, or remove it to "
                        "have it computed",
                        path, row, (int32_t)sorted[k - 1], num_base);
    for (size_t i = 1; i < k; i++)
        if (sorted[i] == sorted[i - 1])
            return pqf_fail(err,
                            "%s: row %zu: the id %" PRIu32 " stands there "
                            "twice; put the right truth there, or remove it "
                            "to have it computed",
                            path, row, sorted[i]);
    return 0;
}

/* Keep the first columns of rows of width `columns`. */
static int keep_truth(const char *path, const int32_t *ids, size_t columns,
                      struct pqh_fixture *fixture, struct pqf_error *err)
{
    size_t k = fixture->truth_k;
    uint32_t *row = allocate(2, columns, sizeof *row, err);
    int result = row == NULL ? -1 : 0;

    for (size_t q = 0; q < fixture->num_queries && result == 0; q++) {
        for (size_t i = 0; i < columns; i++)
            row[i] = (uint32_t)ids[q * columns + i];
        memcpy(fixture->truth + q * k, row, k * sizeof *row);
        result = check_truth_row(path, q, row, row + columns, columns,
                                 fixture->num_base, err);
    }
    free(row);
    return result;
}

/* 1 if the data's own truth was taken, 0 if it does not fit the request, -1 if
 * something is wrong with it. */
static int read_truth_file(const struct origin *origin,
                           struct pqh_fixture *fixture, struct pqf_error *err)
{
    struct pqf_rows vecs;
    int32_t *ids = NULL;
    int result = 0;

    if (origin->truth_file[0] == '\0' ||
        fixture->num_base != origin->base.num_rows)
        return 0;
    if (pqf_rows_open(origin->truth_file, &vecs, err) != 0)
        return -1;
    if (vecs.num_rows != origin->query.num_rows)
        result = pqf_fail(err,
                          "%s: has %" PRIu64 " rows, but there are %zu "
                          "queries; put "
                          "the truth of these queries there, or remove it to "
                          "have it computed",
                          vecs.source.path, vecs.num_rows, origin->query.num_rows);
    else if (vecs.dim >= fixture->truth_k)
        result = 1;
    if (result == 1) {
        ids = allocate(fixture->num_queries, vecs.dim, sizeof *ids, err);
        if (ids == NULL ||
            pqf_rows_read_ints(&vecs, 0, fixture->num_queries, ids, err) != 0 ||
            keep_truth(vecs.source.path, ids, vecs.dim, fixture, err) != 0)
            result = -1;
    }
    free(ids);
    pqf_rows_close(&vecs);
    return result;
}

/* Names in the cache, and what is computed under them. */
struct plan {
    char codes_name[128], truth_name[128];
    size_t truth_columns;
    uint32_t *truth; /* [num_queries][truth_columns]; NULL if not needed */
    int have_codes, have_truth;
};

static void plan_names(const struct pqh_fixture *fixture,
                       const char hex[PQH_SHA256_HEX], struct plan *plan)
{
    size_t k = fixture->truth_k;

    k = k > TRUTH_COLUMNS ? k : TRUTH_COLUMNS;
    plan->truth_columns = k < fixture->num_base ? k : fixture->num_base;
    snprintf(plan->codes_name, sizeof plan->codes_name, "codes-%zu-%.16s.bvecs",
             fixture->num_base, hex);
    snprintf(plan->truth_name, sizeof plan->truth_name,
             "truth-%zu-%zu-%zu.ivecs", fixture->num_base, fixture->num_queries,
             plan->truth_columns);
}

/* Look for codes and truth wherever they may be already. */
static int find_ready(const struct origin *origin, struct pqh_fixture *fixture,
                      struct plan *plan, struct pqf_error *err)
{
    int from_file = read_truth_file(origin, fixture, err);

    if (from_file < 0)
        return -1;
    if (origin->cached)
        plan->have_codes =
            pqh_cache_load(&origin->cache, plan->codes_name, fixture->num_base,
                           PQH_SUB_VECTORS, fixture->codes);
    if (from_file == 1) {
        plan->have_truth = 1;
        return 0;
    }
    /* Only a row that a TEXMEX file can hold is cached. */
    plan->truth = allocate(fixture->num_queries, plan->truth_columns,
                           sizeof *plan->truth, err);
    if (plan->truth == NULL)
        return -1;
    if (origin->cached && plan->truth_columns <= PQF_VECS_MAX_DIM)
        plan->have_truth = pqh_cache_load(&origin->cache, plan->truth_name,
                                          fixture->num_queries,
                                          plan->truth_columns, plan->truth);
    return 0;
}

static int compute_missing(struct origin *origin, struct pqh_fixture *fixture,
                           struct plan *plan, struct pqf_error *err)
{
    struct pass pass = {plan->have_codes ? NULL : fixture->codes, NULL};
    int result = 0;

    if (plan->have_codes && plan->have_truth)
        return 0;
    if (!plan->have_truth)
        result = pqh_truth_begin(fixture->queries, fixture->num_queries,
                                 fixture->dim, plan->truth_columns, &pass.truth,
                                 err);
    if (result == 0)
        result = pass_over_base(origin, fixture, &pass, err);
    if (result == 0 && pass.truth != NULL)
        pqh_truth_take(pass.truth, plan->truth);
    pqh_truth_free(pass.truth);
    if (result != 0 || !origin->cached)
        return result;
    if (pass.codes != NULL)
        pqh_cache_store(&origin->cache, plan->codes_name, PQF_BVECS,
                        fixture->codes, fixture->num_base, PQH_SUB_VECTORS);
    if (!plan->have_truth && plan->truth_columns <= PQF_VECS_MAX_DIM)
        pqh_cache_store(&origin->cache, plan->truth_name, PQF_IVECS,
                        plan->truth, fixture->num_queries, plan->truth_columns);
    return 0;
}

static int get_codes_and_truth(struct origin *origin,
                               struct pqh_fixture *fixture,
                               const char hex[PQH_SHA256_HEX],
                               struct pqf_error *err)
{
    struct plan plan = {.truth = NULL};
    int result;

    fixture->codes = allocate(fixture->num_base, PQH_SUB_VECTORS, 1, err);
    fixture->truth = allocate(fixture->num_queries, fixture->truth_k,
                              sizeof *fixture->truth, err);
    if (fixture->codes == NULL || fixture->truth == NULL)
        return -1;
    plan_names(fixture, hex, &plan);
    result = find_ready(origin, fixture, &plan, err);
    if (result == 0)
        result = compute_missing(origin, fixture, &plan, err);
    if (result == 0 && plan.truth != NULL)
        for (size_t q = 0; q < fixture->num_queries; q++)
            memcpy(fixture->truth + q * fixture->truth_k,
                   plan.truth + q * plan.truth_columns,
                   fixture->truth_k * sizeof *fixture->truth);
    free(plan.truth);
    return result;
}

/* ------------------------------------------------------------------------ */

static int fill(const char *source, const struct pqh_request *request,
                struct origin *origin, struct pqh_fixture *fixture,
                struct pqf_error *err)
{
    char hex[PQH_SHA256_HEX] = "";

    if (open_source(source, origin, fixture, err) != 0 ||
        choose_sizes(request, origin, fixture, err) != 0)
        return -1;
    if (origin->seeded && generate_seed(origin, fixture, err) != 0)
        return -1;
    fixture->queries =
        allocate(fixture->num_queries, fixture->dim, sizeof(float), err);
    if (fixture->queries == NULL ||
        read_rows(&origin->query, 0, fixture->num_queries, fixture->queries,
                  err) != 0 ||
        get_codebook(origin, fixture, hex, err) != 0)
        return -1;
    return get_codes_and_truth(origin, fixture, hex, err);
}

int pqh_fixture_load(const struct pqh_request *request,
                     struct pqh_fixture *fixture, struct pqf_error *err)
{
    const char *source = request->source == NULL ? "auto" : request->source;
    /* Too large for the stack of a small machine. */
    struct origin *origin = calloc(1, sizeof *origin);
    int result;

    memset(fixture, 0, sizeof *fixture);
    if (origin == NULL)
        return pqf_fail(err, "out of memory");
    result = fill(source, request, origin, fixture, err);
    close_origin(origin);
    free(origin);
    if (result != 0)
        pqh_fixture_free(fixture);
    return result;
}

void pqh_fixture_free(struct pqh_fixture *fixture)
{
    free(fixture->queries);
    free(fixture->truth);
    free(fixture->codes);
    free(fixture->centroids);
    memset(fixture, 0, sizeof *fixture);
}
