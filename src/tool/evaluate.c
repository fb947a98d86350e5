/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"
#include "base/clock.h"
#include "base/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char *kernel_name, *format;
static uint64_t threads = 1;
static int json;

static const struct tool_option options[] = {
    {"format", '\0', "NAME", "what standard input is: fvecs, bvecs or npy",
     TOOL_TEXT, &format, 0, 0},
    {"kernel", '\0', "NAME", "(default: the best for this CPU)", TOOL_TEXT,
     &kernel_name, 0, 0},
    {"threads", 't', "N", "(default: 1)", TOOL_COUNT, &threads, 1, 1024},
    {"json", '\0', NULL, "print JSON", TOOL_FLAG, &json, 0, 0},
    {NULL, '\0', NULL, NULL, TOOL_FLAG, NULL, 0, 0}};

static const size_t depths[] = {1, 10, 100};
#define NUM_DEPTHS (sizeof depths / sizeof depths[0])
#define MAX_DEPTH  100

/* Queries with the ids of their true neighbours, nearest first. */
struct truth {
    uint64_t *ids; /* [num_queries][width] */
    size_t width;
};

static void read_truth(const char *path, size_t num_queries,
                       struct truth *truth)
{
    struct pqf_error err;
    struct pqf_rows rows;
    size_t got;

    tool_open_rows(path, NULL, 0, "", &rows);
    if (rows.num_rows != PQF_UNKNOWN && rows.num_rows != num_queries)
        tool_die("%s: has %" PRIu64 " rows, but there are %zu queries; give "
                 "the truth of these queries",
                 path, rows.num_rows, num_queries);
    truth->width = rows.dim;
    /* Of a pipe one more is asked for, to see that there is none. */
    truth->ids = tool_alloc(num_queries + 1, rows.dim * sizeof *truth->ids);
    tool_check(
        pqf_rows_next_ids(&rows, num_queries + 1, truth->ids, &got, &err),
        &err);
    if (got != num_queries)
        tool_die("%s: has %s rows than there are queries, %zu; give the truth "
                 "of these queries",
                 path, got < num_queries ? "fewer" : "more", num_queries);
    pqf_rows_close(&rows);
}

/* How many of the first `depth` found are among the first `within` true ones. */
static size_t count_hits(const pqk_result *found, size_t depth,
                         const uint64_t *truth, size_t within)
{
    size_t hits = 0;

    for (size_t i = 0; i < within; i++)
        for (size_t j = 0; j < depth; j++)
            if (found[j].id == truth[i]) {
                hits++;
                break;
            }
    return hits;
}

static void report_recall(const pqk_result *results, const struct truth *truth,
                          size_t num_queries, size_t within, const char *key)
{
    char name[32];

    for (size_t d = 0; d < NUM_DEPTHS; d++) {
        size_t depth = depths[d], hits = 0;
        size_t wanted = within > 0 ? within : depth;

        if (wanted > truth->width)
            break;
        for (size_t q = 0; q < num_queries; q++)
            hits += count_hits(results + q * MAX_DEPTH, depth,
                               truth->ids + q * truth->width, wanted);
        snprintf(name, sizeof name, "%s_%zu", key, depth);
        tool_report_number(name,
                           (double)hits / (double)wanted / (double)num_queries);
    }
}

static void run(int num_operands, char **operands)
{
    pqk_search_options how = {.num_threads = 0};
    const pqk_quantizer *quantizer;
    pqk_collection *collection;
    struct pqf_rows rows;
    struct truth truth;
    size_t num_queries;
    pqk_result *results;
    uint64_t begun;
    double seconds;
    float *queries;

    (void)num_operands;
    how.num_threads = (size_t)threads;
    collection = tool_open_collection(operands[0], tool_kernel(kernel_name));
    quantizer = pqk_collection_quantizer(collection);
    tool_open_rows(operands[1], format, pqk_quantizer_dim(quantizer),
                   "the collection's vectors have", &rows);
    queries = tool_read_floats(&rows, &num_queries);
    if (num_queries == 0)
        tool_die("%s: has no queries", rows.source.path);
    pqf_rows_close(&rows);
    read_truth(operands[2], num_queries, &truth);
    results = tool_alloc(num_queries, MAX_DEPTH * sizeof *results);
    pqk_progress_begin("searching", 0);
    begun = pqk_clock();
    tool_check_status(pqk_collection_search(collection, queries, num_queries,
                                            MAX_DEPTH, &how, results, NULL),
                      "searching");
    seconds = (double)(pqk_clock() - begun) / 1e9;
    pqk_progress_end();

    tool_report_begin(json);
    tool_report_text("collection", operands[0]);
    tool_report_count("vectors", pqk_collection_size(collection));
    tool_report_count("queries", num_queries);
    report_recall(results, &truth, num_queries, 0, "recall_at");
    report_recall(results, &truth, num_queries, 1, "nearest_at");
    tool_report_text("kernel",
                     pqk_kernel_name(pqk_collection_kernel(collection)));
    tool_report_count("threads", threads);
    tool_report_number("us_per_query", 1e6 * seconds / (double)num_queries);
    tool_report_end();
    free(results);
    free(truth.ids);
    free(queries);
    pqk_collection_free(collection);
}

const struct tool_command tool_evaluate = {
    .name = "evaluate",
    .operands = "COLLECTION QUERIES GROUNDTRUTH",
    .summary = "Measure recall and time per query.",
    .options = options,
    .min_operands = 3,
    .max_operands = 3,
    .run = run,
};
