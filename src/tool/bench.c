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
#include <string.h>

#define MAX_WAYS      64
#define NUM_SYNTHETIC 1000
#define MEASURE_S     0.02 /* the least time of one measurement */

static const char *kernel_names, *thread_counts, *format;
static uint64_t k = 10, batch = 1, rounds = 21;
static int json;

static const struct tool_option options[] = {
    {"k", 'k', "N", "results per query (default: 10)", TOOL_COUNT, &k, 1,
     1000000},
    {"batch", 'b', "N", "queries per search (default: 1)", TOOL_COUNT, &batch,
     1, 100000},
    {"kernels", '\0', "NAMES",
     "a list with commas, the first to compare with, or all (default: the "
     "best)",
     TOOL_TEXT, &kernel_names, 0, 0},
    {"threads", 't', "COUNTS", "a list with commas (default: 1)", TOOL_TEXT,
     &thread_counts, 0, 0},
    {"rounds", '\0', "N", "measurements of each (default: 21)", TOOL_COUNT,
     &rounds, 3, 100000},
    {"format", '\0', "NAME", "what standard input is: fvecs, bvecs or npy",
     TOOL_TEXT, &format, 0, 0},
    {"json", '\0', NULL, "print JSON", TOOL_FLAG, &json, 0, 0},
    {NULL, '\0', NULL, NULL, TOOL_FLAG, NULL, 0, 0}};

/* One way to search, and the times it took. */
struct way {
    pqk_collection *collection;
    size_t num_threads;
    double *seconds; /* per query, in each round */
};

struct bench {
    struct way ways[MAX_WAYS];
    size_t num_ways;
    float *queries;
    size_t num_queries, dim;
    pqk_result *results;
};

/* ------------------------------------------------------------------------ */
/* Ways                                                                     */

static char *copy_of(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(tool_alloc(size, 1), text, size);
}

static void add_ways(struct bench *b, const char *path, const char *name)
{
    char *counts = copy_of(thread_counts != NULL ? thread_counts : "1");
    pqk_collection *collection = tool_open_collection(path, tool_kernel(name));
    char *rest = NULL;

    for (char *text = strtok_r(counts, ",", &rest); text != NULL;
         text = strtok_r(NULL, ",", &rest)) {
        unsigned long count = strtoul(text, NULL, 10);

        if (text[strspn(text, "0123456789")] != '\0' || count < 1 ||
            count > 1024)
            tool_usage("--threads: '%s' is not a whole number from 1 to 1024",
                       text);
        if (b->num_ways == MAX_WAYS)
            tool_usage("more than %d ways to compare", MAX_WAYS);
        b->ways[b->num_ways++] =
            (struct way){collection, count, tool_alloc(rounds, sizeof(double))};
    }
    if (b->num_ways == 0)
        tool_usage("--threads: the list is empty");
    free(counts);
}

static void add_kernels(struct bench *b, const char *path)
{
    char *names = copy_of(kernel_names != NULL ? kernel_names : "");
    char *rest = NULL;

    if (strcmp(names, "all") == 0)
        for (size_t i = 0; i < pqk_kernel_count(); i++) {
            if (pqk_kernel_available(pqk_kernel_at(i)))
                add_ways(b, path, pqk_kernel_name(pqk_kernel_at(i)));
        }
    else
        for (char *name = strtok_r(names, ",", &rest); name != NULL;
             name = strtok_r(NULL, ",", &rest))
            add_ways(b, path, name);
    if (b->num_ways == 0)
        add_ways(b, path, NULL);
    free(names);
}

/* Ways of one kernel share their collection. */
static void free_ways(struct bench *b)
{
    for (size_t i = 0; i < b->num_ways; i++) {
        if (i == 0 || b->ways[i].collection != b->ways[i - 1].collection)
            pqk_collection_free(b->ways[i].collection);
        free(b->ways[i].seconds);
    }
}

/* ------------------------------------------------------------------------ */
/* Queries                                                                  */

/* Decoded vectors, a quarter of the way to others: on the codes themselves the
 * nearest would be at no distance. */
static void make_queries(struct bench *b, const pqk_collection *collection)
{
    const pqk_quantizer *quantizer = pqk_collection_quantizer(collection);
    const size_t size = pqk_collection_size(collection);
    const size_t width = tool_codebook_of(quantizer).num_sub_vectors;
    const size_t count = size < NUM_SYNTHETIC ? size : NUM_SYNTHETIC;
    uint64_t *ids = tool_alloc(size, sizeof *ids);
    uint8_t *codes = tool_alloc(count, width);
    float *decoded = tool_alloc(count, b->dim * sizeof *decoded);

    if (size == 0)
        tool_die("the collection is empty: there is nothing to search");
    pqk_collection_ids(collection, 0, size, ids);
    for (size_t i = 0; i < count; i++)
        ids[i] = ids[i * (size / count)];
    tool_check_status(pqk_collection_codes(collection, ids, count, codes),
                      "getting codes");
    tool_check_status(pqk_quantizer_decode(quantizer, codes, count, decoded),
                      "decoding");
    b->queries = tool_alloc(count, b->dim * sizeof *b->queries);
    for (size_t i = 0; i < count; i++) {
        const float *one = decoded + i * b->dim;
        const float *other = decoded + (i + count / 2) % count * b->dim;

        for (size_t d = 0; d < b->dim; d++)
            b->queries[i * b->dim + d] = 0.75f * one[d] + 0.25f * other[d];
    }
    b->num_queries = count;
    free(decoded);
    free(codes);
    free(ids);
}

static void get_queries(struct bench *b, const char *path)
{
    struct pqf_rows rows;

    if (path == NULL) {
        make_queries(b, b->ways[0].collection);
        return;
    }
    tool_open_rows(path, format, b->dim, "the collection's vectors have",
                   &rows);
    b->queries = tool_read_floats(&rows, &b->num_queries);
    if (b->num_queries == 0)
        tool_die("%s: has no queries", rows.source.path);
    pqf_rows_close(&rows);
}

/* ------------------------------------------------------------------------ */
/* Measuring                                                                */

/* Seconds per query of `searches` searches; the queries go round from first. */
static double measure(const struct bench *b, const struct way *way,
                      size_t first, size_t searches)
{
    const pqk_search_options how = {.num_threads = way->num_threads};
    const size_t size = (size_t)batch;
    const size_t starts = b->num_queries - size + 1;
    const uint64_t begun = pqk_clock();

    for (size_t i = 0; i < searches; i++) {
        size_t query = (first + i * size) % starts;

        tool_check_status(
            pqk_collection_search(way->collection, b->queries + query * b->dim,
                                  size, (size_t)k, &how, b->results, NULL),
            "searching");
    }
    return (double)(pqk_clock() - begun) / 1e9 / (double)searches /
           (double)size;
}

/* In a round all ways, one after another, answer the same queries, so that what
 * slows the machine down for a while slows all of them. */
static void measure_all(struct bench *b)
{
    size_t searches = 1, size = (size_t)batch;

    /* Warm up, and find how many searches take long enough to be timed. */
    for (size_t i = 0; i < b->num_ways; i++)
        measure(b, &b->ways[i], 0, 1);
    while (measure(b, &b->ways[0], 0, searches) * (double)(searches * size) <
               MEASURE_S &&
           searches < (size_t)1 << 20)
        searches *= 2;
    pqk_progress_begin("measuring", 0);
    for (size_t r = 0; r < rounds; r++) {
        for (size_t i = 0; i < b->num_ways; i++) {
            struct way *way = &b->ways[(i + r) % b->num_ways];

            way->seconds[r] = measure(b, way, r * searches * size, searches);
        }
        pqk_progress_show(NULL, r + 1, rounds);
    }
    pqk_progress_end();
}

/* ------------------------------------------------------------------------ */
/* Results                                                                  */

struct spread {
    double low, median, high; /* quartiles */
};

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static struct spread spread_of(double *values)
{
    qsort(values, (size_t)rounds, sizeof *values, compare_doubles);
    return (struct spread){values[rounds / 4], values[rounds / 2],
                           values[rounds - 1 - rounds / 4]};
}

static void print_spread(const char *key, struct spread spread)
{
    printf(", \"%s\": [", key);
    tool_json_number(spread.low);
    fputs(", ", stdout);
    tool_json_number(spread.median);
    fputs(", ", stdout);
    tool_json_number(spread.high);
    putchar(']');
}

static void print_way(const struct bench *b, size_t i)
{
    const struct way *way = &b->ways[i];
    const char *name = pqk_kernel_name(pqk_collection_kernel(way->collection));
    double *values = tool_alloc(rounds, sizeof *values);
    struct spread rate, ratio;

    for (size_t r = 0; r < rounds; r++)
        values[r] = 1.0 / way->seconds[r];
    rate = spread_of(values);
    for (size_t r = 0; r < rounds; r++)
        values[r] = b->ways[0].seconds[r] / way->seconds[r];
    ratio = spread_of(values);
    free(values);
    if (json) {
        fputs(i == 0 ? "[{\"kernel\": " : ",\n {\"kernel\": ", stdout);
        tool_json_text(name);
        printf(", \"threads\": %zu", way->num_threads);
        print_spread("queries_per_second", rate);
        print_spread("ratio_to_first", ratio);
        putchar('}');
    } else {
        printf("%-12s %7zu %10.0f  (%.0f to %.0f) %8.3f  (%.3f to %.3f)\n",
               name, way->num_threads, rate.median, rate.low, rate.high,
               ratio.median, ratio.low, ratio.high);
    }
}

static void run(int num_operands, char **operands)
{
    struct bench b = {.num_ways = 0};

    add_kernels(&b, operands[0]);
    b.dim = pqk_quantizer_dim(pqk_collection_quantizer(b.ways[0].collection));
    get_queries(&b, num_operands > 1 ? operands[1] : NULL);
    if (batch > b.num_queries)
        batch = b.num_queries;
    b.results = tool_alloc(batch, k * sizeof *b.results);
    measure_all(&b);
    if (!json)
        printf("%-12s %7s %10s  %s\n", "kernel", "threads", "queries/s",
               "(quartiles), ratio to the first (quartiles)");
    for (size_t i = 0; i < b.num_ways; i++)
        print_way(&b, i);
    if (json)
        puts("]");
    free(b.results);
    free(b.queries);
    free_ways(&b);
}

const struct tool_command tool_bench = {
    .name = "bench",
    .operands = "COLLECTION [QUERIES]",
    .summary = "Measure queries per second, side by side.",
    .options = options,
    .min_operands = 1,
    .max_operands = 2,
    .run = run,
};
