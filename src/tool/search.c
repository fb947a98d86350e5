/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"
#include "base/progress.h"

#include "formats/npy.h"
#include "formats/vecs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_K UINT64_C(2147483648)

/* Results in memory at a time. */
#define BATCH_RESULTS ((size_t)1 << 20)

/* Ids below this are allowed by a bit each: at most 64 MiB. */
#define MAX_BITS (UINT64_C(1) << 29)

static uint64_t k, threads, candidates;
static const char *kernel_name, *allow_path, *rerank_path, *ids_path, *format;
static const char *ivecs_path, *npy_path, *distances_path;
static float radius;
static int json;

static const struct tool_option options[] = {
    {"k", 'k', "N", "results per query (default: 10)", TOOL_COUNT, &k, 1,
     MAX_K},
    {"radius", 'r', "R", "all at most so distant, instead of the k nearest",
     TOOL_NUMBER, &radius, 0, 0},
    {"allow", 'a', "FILE",
     "only these ids may be results: .npy or .ivecs of one column", TOOL_TEXT,
     &allow_path, 0, 0},
    {"rerank", '\0', "VECTORS",
     "order by the distances to the original vectors, of which row i has id i",
     TOOL_TEXT, &rerank_path, 0, 0},
    {"candidates", '\0', "N",
     "how many to find by their codes for --rerank (default: 10 k)", TOOL_COUNT,
     &candidates, 1, MAX_K},
    {"ids", 'i', "FILE", "the ids of the rows for --rerank, as given to build",
     TOOL_TEXT, &ids_path, 0, 0},
    {"ivecs", '\0', "FILE", "write the ids there, a row per query, -1 for none",
     TOOL_TEXT, &ivecs_path, 0, 0},
    {"npy", '\0', "FILE", "the same as int64", TOOL_TEXT, &npy_path, 0, 0},
    {"distances", '\0', "FILE",
     "write the distances there, .fvecs or .npy, NaN for none", TOOL_TEXT,
     &distances_path, 0, 0},
    {"json", '\0', NULL, "print JSON", TOOL_FLAG, &json, 0, 0},
    {"format", '\0', "NAME", "what standard input is: fvecs, bvecs or npy",
     TOOL_TEXT, &format, 0, 0},
    {"kernel", '\0', "NAME", "(default: the best for this CPU)", TOOL_TEXT,
     &kernel_name, 0, 0},
    {"threads", 't', "N", "(default: one per processor)", TOOL_COUNT, &threads,
     1, 1024},
    {NULL, '\0', NULL, NULL, TOOL_FLAG, NULL, 0, 0}};

static void check_options(void)
{
    const int files =
        ivecs_path != NULL || npy_path != NULL || distances_path != NULL;

    if (tool_given("radius") &&
        (tool_given("k") || rerank_path != NULL || files))
        tool_usage("--radius finds any number of results: --k, --rerank and "
                   "files of so many per query do not go with it");
    if (rerank_path == NULL && (tool_given("candidates") || ids_path != NULL))
        tool_usage("--candidates and --ids are for --rerank");
    if (k == 0)
        k = 10;
    if (candidates == 0)
        candidates = k < MAX_K / 10 ? 10 * k : MAX_K;
    if (candidates < k)
        tool_usage("--candidates: fewer than --k %" PRIu64, k);
    if (threads == 0)
        threads = tool_processors();
}

/* ------------------------------------------------------------------------ */
/* Ids that are allowed                                                     */

struct allowed {
    uint64_t *ids; /* sorted */
    uint64_t *bits;
    size_t count;
};

static int is_allowed(void *context, uint64_t id)
{
    const struct allowed *allowed = context;

    return bsearch(&id, allowed->ids, allowed->count, sizeof id,
                   tool_compare_ids) != NULL;
}

static void allow(struct allowed *allowed, pqk_search_options *search)
{
    size_t num_bits;

    allowed->ids = tool_read_ids(allow_path, &allowed->count);
    qsort(allowed->ids, allowed->count, sizeof *allowed->ids, tool_compare_ids);
    if (allowed->count > 0 && allowed->ids[allowed->count - 1] >= MAX_BITS) {
        search->predicate = is_allowed;
        search->predicate_context = allowed;
        return;
    }
    num_bits =
        allowed->count > 0 ? (size_t)allowed->ids[allowed->count - 1] + 1 : 0;
    allowed->bits = tool_alloc(num_bits / 64 + 1, sizeof *allowed->bits);
    memset(allowed->bits, 0, (num_bits / 64 + 1) * sizeof *allowed->bits);
    for (size_t i = 0; i < allowed->count; i++)
        allowed->bits[allowed->ids[i] / 64] |= UINT64_C(1)
                                               << allowed->ids[i] % 64;
    search->allowed = allowed->bits;
    search->num_allowed = num_bits;
}

/* ------------------------------------------------------------------------ */
/* Original vectors                                                         */

struct place {
    uint64_t id, row;
};

struct originals {
    struct pqf_rows rows;
    struct place *places; /* sorted by id; NULL if row i has id i */
    float *vector;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

static void open_originals(size_t dim, struct originals *originals)
{
    uint64_t *ids;
    size_t count;

    tool_open_rows(rerank_path, NULL, dim, "the collection's vectors have",
                   &originals->rows);
    if (!originals->rows.source.regular)
        tool_die("%s: is not a regular file, and vectors are looked up in it",
                 rerank_path);
    originals->vector = tool_alloc(dim, sizeof(float));
    originals->places = NULL;
    if (ids_path == NULL)
        return;
    ids = tool_read_ids(ids_path, &count);
    if (count != originals->rows.num_rows)
        tool_die("%s: has %zu ids, but %s has %" PRIu64 " rows", ids_path,
                 count, rerank_path, originals->rows.num_rows);
    originals->places = tool_alloc(count, sizeof *originals->places);
    for (size_t i = 0; i < count; i++)
        originals->places[i] = (struct place){ids[i], i};
    qsort(originals->places, count, sizeof *originals->places, compare_places);
    free(ids);
}

/* PQF_UNKNOWN if there is none. */
static uint64_t row_of(const struct originals *originals, uint64_t id)
{
    const struct place wanted = {id, 0};
    const struct place *place;

    if (originals->places == NULL)
        return id < originals->rows.num_rows ? id : PQF_UNKNOWN;
    place =
        bsearch(&wanted, originals->places, (size_t)originals->rows.num_rows,
                sizeof wanted, compare_places);
    return place != NULL ? place->row : PQF_UNKNOWN;
}

static const float *look_up(void *context, uint64_t id)
{
    struct originals *originals = context;
    const uint64_t row = row_of(originals, id);
    struct pqf_error err;

    if (row == PQF_UNKNOWN)
        tool_die("%s: has no row for the id %" PRIu64 "; give the vectors that "
                 "the collection was built of%s",
                 rerank_path, id, ids_path == NULL ? ", or --ids" : "");
    tool_check(
        pqf_rows_read_floats(&originals->rows, row, 1, originals->vector, &err),
        &err);
    return originals->vector;
}

/* ------------------------------------------------------------------------ */
/* Where results go                                                         */

struct sink {
    struct pqf_output ivecs, npy, distances;
    enum pqf_format distances_format;
    int prints;
};

static void check_sink(struct sink *sink)
{
    if (k > PQF_VECS_MAX_DIM && ivecs_path != NULL)
        tool_usage("--ivecs: rows are at most %d wide", PQF_VECS_MAX_DIM);
    if (distances_path == NULL)
        return;
    if (pqf_format_of(distances_path, &sink->distances_format) != 0 ||
        (sink->distances_format != PQF_FVECS &&
         sink->distances_format != PQF_NPY))
        tool_usage("--distances: the name must end in .fvecs or .npy");
    if (k > PQF_VECS_MAX_DIM && sink->distances_format == PQF_FVECS)
        tool_usage("--distances: rows of .fvecs are at most %d wide; write "
                   ".npy",
                   PQF_VECS_MAX_DIM);
}

static void open_sink(struct sink *sink, uint64_t num_queries)
{
    struct pqf_error err;

    check_sink(sink);
    sink->prints = json || (ivecs_path == NULL && npy_path == NULL &&
                            distances_path == NULL);
    if (ivecs_path != NULL)
        tool_check(pqf_output_open(ivecs_path, &sink->ivecs, &err), &err);
    if (npy_path != NULL) {
        tool_check(pqf_output_open(npy_path, &sink->npy, &err), &err);
        pqf_npy_write_header(&sink->npy, PQF_INT64, num_queries, (size_t)k);
    }
    if (distances_path == NULL)
        return;
    tool_check(pqf_output_open(distances_path, &sink->distances, &err), &err);
    if (sink->distances_format == PQF_NPY)
        pqf_npy_write_header(&sink->distances, PQF_FLOAT32, num_queries,
                             (size_t)k);
}

static void close_sink(struct sink *sink)
{
    struct pqf_output *const outputs[] = {&sink->ivecs, &sink->npy,
                                          &sink->distances};
    struct pqf_error err;

    tool_check(
        pqf_outputs_commit(outputs, sizeof outputs / sizeof outputs[0], &err),
        &err);
}

static uint64_t id_for(const char *path, uint64_t id, uint64_t most)
{
    if (id != PQK_NO_ID && id > most)
        tool_die("%s: the id %" PRIu64 " does not fit into its integers; write "
                 "%s",
                 path, id, most == INT32_MAX ? "--npy" : "text");
    return id;
}

static void write_row(struct sink *sink, const pqk_result *results)
{
    if (ivecs_path != NULL)
        pqf_output_integer(&sink->ivecs, k, PQF_VECS_HEADER);
    if (distances_path != NULL && sink->distances_format == PQF_FVECS)
        pqf_output_integer(&sink->distances, k, PQF_VECS_HEADER);
    for (size_t i = 0; i < k; i++) {
        if (ivecs_path != NULL)
            pqf_output_integer(&sink->ivecs,
                               id_for(ivecs_path, results[i].id, INT32_MAX), 4);
        if (npy_path != NULL)
            pqf_output_integer(&sink->npy,
                               id_for(npy_path, results[i].id, INT64_MAX), 8);
        if (distances_path != NULL)
            pqf_output_values(&sink->distances, &results[i].distance, 4, 1);
    }
}

static void print_row(uint64_t query, const pqk_result *results, size_t count)
{
    if (json)
        printf("%s{\"query\": %" PRIu64 ", \"results\": [",
               query == 0 ? "" : ",\n ", query);
    for (size_t i = 0; i < count; i++) {
        if (json) {
            printf("%s{\"id\": %" PRIu64 ", \"distance\": ", i == 0 ? "" : ", ",
                   results[i].id);
            tool_json_number((double)results[i].distance);
            putchar('}');
        } else {
            printf("%" PRIu64 "\t%zu\t%" PRIu64 "\t%.9g\n", query, i + 1,
                   results[i].id, (double)results[i].distance);
        }
    }
    if (json)
        fputs("]}", stdout);
}

/* ------------------------------------------------------------------------ */

/* One search: a collection, its queries, and how. */
struct job {
    const pqk_collection *collection;
    const float *queries;
    size_t num_queries, dim;
    pqk_search_options how;
    struct originals originals;
};

/* No more than all rows can be found, so there is room for no more; rows of a file
 * of results have k values in any case. */
static void limit_results(size_t size)
{
    const uint64_t most = size > 0 ? size : 1;

    if (ivecs_path == NULL && npy_path == NULL && distances_path == NULL &&
        k > most)
        k = most;
    if (candidates > most)
        candidates = most > k ? most : k;
}

/* Progress must not mix with results on the same screen. */
static void begin_progress(int prints)
{
    if (!prints || !isatty(STDOUT_FILENO))
        pqk_progress_begin("searching", 0);
}

/* Put a query's results into their last order; `count` becomes their number. */
static void finish_row(struct job *job, size_t query, pqk_result *results,
                       size_t *count)
{
    const pqk_quantizer *quantizer = pqk_collection_quantizer(job->collection);

    if (rerank_path == NULL)
        return;
    tool_check_status(pqk_rerank(quantizer, job->queries + query * job->dim,
                                 look_up, &job->originals, (size_t)k, results,
                                 count),
                      "reranking");
}

static void search_nearest(struct job *job, struct sink *sink)
{
    const size_t wanted = (size_t)(rerank_path != NULL ? candidates : k);
    const size_t most = wanted < BATCH_RESULTS ? BATCH_RESULTS / wanted : 1;
    const size_t batch = most < job->num_queries ? most : job->num_queries;
    pqk_result *results = tool_alloc(batch, wanted * sizeof *results);
    size_t *counts = tool_alloc(batch, sizeof *counts);

    begin_progress(sink->prints);
    for (size_t first = 0; first < job->num_queries; first += batch) {
        size_t left = job->num_queries - first;
        size_t count = left < batch ? left : batch;

        tool_check_status(pqk_collection_search(
                              job->collection, job->queries + first * job->dim,
                              count, wanted, &job->how, results, counts),
                          "searching");
        for (size_t q = 0; q < count; q++) {
            finish_row(job, first + q, results + q * wanted, &counts[q]);
            write_row(sink, results + q * wanted);
            if (sink->prints)
                print_row(first + q, results + q * wanted, counts[q]);
        }
        pqk_progress_show(NULL, first + count, job->num_queries);
    }
    pqk_progress_end();
    free(counts);
    free(results);
}

static void search_range(struct job *job)
{
    begin_progress(1);
    for (size_t q = 0; q < job->num_queries; q++) {
        pqk_result *results = NULL;
        size_t count = 0;

        tool_check_status(pqk_collection_search_range(
                              job->collection, job->queries + q * job->dim,
                              radius, &job->how, &results, &count),
                          "searching");
        print_row(q, results, count);
        free(results);
        pqk_progress_show(NULL, q + 1, job->num_queries);
    }
    pqk_progress_end();
}

/* No file of results is one that is read. */
static void keep_inputs(char **operands)
{
    const char *const read[] = {operands[0], operands[1], allow_path,
                                rerank_path, ids_path};
    const char *const written[] = {ivecs_path, npy_path, distances_path};

    for (size_t i = 0; i < sizeof read / sizeof read[0]; i++)
        for (size_t j = 0; j < sizeof written / sizeof written[0]; j++)
            tool_keep_input(read[i], written[j]);
}

static void run(int num_operands, char **operands)
{
    struct allowed allowed = {NULL, NULL, 0};
    struct job job = {.collection = NULL};
    struct sink sink = {.prints = 1};
    pqk_collection *collection;
    struct pqf_rows rows;
    float *queries;

    (void)num_operands;
    check_options();
    keep_inputs(operands);
    collection = tool_open_collection(operands[0], tool_kernel(kernel_name));
    job.collection = collection;
    job.dim = pqk_quantizer_dim(pqk_collection_quantizer(collection));
    job.how.num_threads = (size_t)threads;
    tool_open_rows(operands[1], format, job.dim,
                   "the collection's vectors have", &rows);
    queries = tool_read_floats(&rows, &job.num_queries);
    pqf_rows_close(&rows);
    job.queries = queries;
    if (allow_path != NULL)
        allow(&allowed, &job.how);
    if (rerank_path != NULL)
        open_originals(job.dim, &job.originals);
    limit_results(pqk_collection_size(collection));
    if (!tool_given("radius"))
        open_sink(&sink, job.num_queries);
    if (json)
        putchar('[');
    if (tool_given("radius"))
        search_range(&job);
    else
        search_nearest(&job, &sink);
    if (json)
        puts("]");
    close_sink(&sink);
    if (rerank_path != NULL)
        pqf_rows_close(&job.originals.rows);
    free(job.originals.places);
    free(job.originals.vector);
    free(allowed.ids);
    free(allowed.bits);
    free(queries);
    pqk_collection_free(collection);
}

const struct tool_command tool_search = {
    .name = "search",
    .operands = "COLLECTION QUERIES",
    .summary = "Find the nearest to each query.",
    .options = options,
    .min_operands = 2,
    .max_operands = 2,
    .run = run,
};
