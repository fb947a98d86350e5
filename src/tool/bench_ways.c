/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "bench.h"
#include "base/clock.h"
#include "base/progress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WAYS  64
#define MEASURE_S 0.02 /* the least time of one measurement */

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
    size_t k, batch, rounds;
    pqk_result *results;
};

/* ------------------------------------------------------------------------ */
/* Ways                                                                     */

static char *copy_of(const char *text)
{
    size_t size = strlen(text) + 1;

    return memcpy(tool_alloc(size, 1), text, size);
}

static void add_ways(struct bench *b, const char *path,
                     const pqk_kernel *kernel)
{
    const char *list = bench_options.threads;
    char *counts = copy_of(list != NULL ? list : "1");
    pqk_collection *collection = tool_open_collection(path, kernel);
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
        b->ways[b->num_ways++] = (struct way){
            collection, count, tool_alloc(b->rounds, sizeof(double))};
    }
    if (b->num_ways == 0)
        tool_usage("--threads: the list is empty");
    free(counts);
}

static void add_kernels(struct bench *b, const char *path)
{
    const pqk_kernel *kernels[BENCH_MAX_KERNELS] = {tool_kernel(NULL)};
    size_t count = 1, i = 0;

    if (bench_options.kernels != NULL)
        count = bench_kernels(kernels);
    do {
        add_ways(b, path, kernels[i]);
    } while (++i < count);
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
/* Measuring                                                                */

/* Seconds per query of `searches` searches; the queries go round from first. */
static double measure(const struct bench *b, const struct way *way,
                      size_t first, size_t searches)
{
    const pqk_search_options how = {.num_threads = way->num_threads};
    const size_t size = b->batch;
    const size_t starts = b->num_queries - size + 1;
    const uint64_t begun = pqk_clock();

    for (size_t i = 0; i < searches; i++) {
        size_t query = (first + i * size) % starts;

        tool_check_status(
            pqk_collection_search(way->collection, b->queries + query * b->dim,
                                  size, b->k, &how, b->results, NULL),
            "searching");
    }
    return (double)(pqk_clock() - begun) / 1e9 / (double)searches /
           (double)size;
}

/* In a round all ways, one after another, answer the same queries, so that what
 * slows the machine down for a while slows all of them. */
static void measure_all(struct bench *b)
{
    size_t searches = 1, size = b->batch;

    /* Warm up, and find how many searches take long enough to be timed. */
    for (size_t i = 0; i < b->num_ways; i++)
        measure(b, &b->ways[i], 0, 1);
    while (measure(b, &b->ways[0], 0, searches) * (double)(searches * size) <
               MEASURE_S &&
           searches < (size_t)1 << 20)
        searches *= 2;
    pqk_progress_begin("measuring", 0);
    for (size_t r = 0; r < b->rounds; r++) {
        for (size_t i = 0; i < b->num_ways; i++) {
            struct way *way = &b->ways[(i + r) % b->num_ways];

            way->seconds[r] = measure(b, way, r * searches * size, searches);
        }
        pqk_progress_show(NULL, r + 1, b->rounds);
    }
    pqk_progress_end();
}

/* ------------------------------------------------------------------------ */
/* Results                                                                  */

/* The quartiles. */
static struct bench_spread spread_of(double *values, size_t count)
{
    bench_sort(values, count);
    return (struct bench_spread){values[count / 4], values[count / 2],
                                 values[count - 1 - count / 4]};
}

static void print_way(const struct bench *b, size_t i)
{
    const struct way *way = &b->ways[i];
    const char *name = pqk_kernel_name(pqk_collection_kernel(way->collection));
    double *values = tool_alloc(b->rounds, sizeof *values);
    struct bench_spread rate, ratio;

    for (size_t r = 0; r < b->rounds; r++)
        values[r] = 1.0 / way->seconds[r];
    rate = spread_of(values, b->rounds);
    for (size_t r = 0; r < b->rounds; r++)
        values[r] = b->ways[0].seconds[r] / way->seconds[r];
    ratio = spread_of(values, b->rounds);
    free(values);
    if (bench_options.json) {
        fputs(i == 0 ? "[{\"kernel\": " : ",\n {\"kernel\": ", stdout);
        tool_json_text(name);
        printf(", \"threads\": %zu", way->num_threads);
        bench_json_spread("queries_per_second", rate);
        bench_json_spread("ratio_to_first", ratio);
        putchar('}');
    } else {
        printf("%-12s %7zu %10.0f  (%.0f to %.0f) %8.3f  (%.3f to %.3f)\n",
               name, way->num_threads, rate.median, rate.low, rate.high,
               ratio.median, ratio.low, ratio.high);
    }
}

void bench_ways(const char *collection, const char *queries)
{
    struct bench b = {.rounds = (size_t)bench_options.rounds,
                      .batch = (size_t)bench_options.batch,
                      .k = (size_t)bench_options.k};

    add_kernels(&b, collection);
    b.dim = pqk_quantizer_dim(pqk_collection_quantizer(b.ways[0].collection));
    b.queries = bench_queries(b.ways[0].collection, queries, &b.num_queries);
    if (b.batch > b.num_queries)
        b.batch = b.num_queries;
    b.results = tool_alloc(b.batch, b.k * sizeof *b.results);
    measure_all(&b);
    if (!bench_options.json)
        printf("%-12s %7s %10s  %s\n", "kernel", "threads", "queries/s",
               "(quartiles), ratio to the first (quartiles)");
    for (size_t i = 0; i < b.num_ways; i++)
        print_way(&b, i);
    if (bench_options.json)
        puts("]");
    free(b.results);
    free(b.queries);
    free_ways(&b);
}
