/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench_options bench_options = {.k = 10, .batch = 1, .rounds = 21};

static int matrix, growth;

static const struct tool_option options[] = {
    {"matrix", '\0', NULL,
     "every regime with every kernel, COLLECTION being the larger set; what is "
     "done without operands, with generated codes",
     TOOL_FLAG, &matrix, 0, 0},
    {"growth", '\0', NULL,
     "one query for 1,000 codes, four times as many, and so on", TOOL_FLAG,
     &growth, 0, 0},
    {"codes", '\0', "N",
     "generate so many (default: 1000000, or 16384000 for --growth)",
     TOOL_COUNT, &bench_options.num_codes, 1000, UINT32_MAX},
    {"k", 'k', "N", "results per query (default: 10)", TOOL_COUNT,
     &bench_options.k, 1, 1000000},
    {"batch", 'b', "N", "queries per search (default: 1)", TOOL_COUNT,
     &bench_options.batch, 1, 100000},
    {"kernels", '\0', "NAMES",
     "a list with commas, the first to compare with, or all (default: the "
     "best, or all for regimes)",
     TOOL_TEXT, &bench_options.kernels, 0, 0},
    {"threads", 't', "COUNTS", "a list with commas (default: 1)", TOOL_TEXT,
     &bench_options.threads, 0, 0},
    {"rounds", '\0', "N", "measurements of each (default: 21)", TOOL_COUNT,
     &bench_options.rounds, 3, 100000},
    {"format", '\0', "NAME", "what standard input is: fvecs, bvecs or npy",
     TOOL_TEXT, &bench_options.format, 0, 0},
    {"json", '\0', NULL, "print JSON", TOOL_FLAG, &bench_options.json, 0, 0},
    {NULL, '\0', NULL, NULL, TOOL_FLAG, NULL, 0, 0}};

/* ------------------------------------------------------------------------ */

static void add_kernel(const pqk_kernel *kernels[BENCH_MAX_KERNELS],
                       size_t *count, const pqk_kernel *kernel)
{
    if (*count == BENCH_MAX_KERNELS)
        tool_usage("--kernels: more than %d to compare", BENCH_MAX_KERNELS);
    kernels[(*count)++] = kernel;
}

size_t bench_kernels(const pqk_kernel *kernels[BENCH_MAX_KERNELS])
{
    const char *list = bench_options.kernels;
    char name[64];
    size_t count = 0;

    if (list == NULL || strcmp(list, "all") == 0) {
        for (size_t i = 0; i < pqk_kernel_count(); i++)
            if (pqk_kernel_available(pqk_kernel_at(i)))
                add_kernel(kernels, &count, pqk_kernel_at(i));
        return count;
    }
    for (; *list != '\0'; list += *list == ',') {
        const size_t length = strcspn(list, ",");

        /* A longer name is none, and stays none when it is cut. */
        if (length > 0) {
            snprintf(name, sizeof name, "%.*s", (int)length, list);
            add_kernel(kernels, &count, tool_kernel(name));
        }
        list += length;
    }
    if (count == 0)
        tool_usage("--kernels: the list is empty");
    return count;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

void bench_sort(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
}

/* ------------------------------------------------------------------------ */

static void check_regime_options(int num_operands)
{
    static const char *const of_ways[] = {"k", "batch", "threads"};

    for (size_t i = 0; i < sizeof of_ways / sizeof of_ways[0]; i++)
        if (tool_given(of_ways[i]))
            tool_usage("--%s: each regime has its own; it is for COLLECTION "
                       "without --matrix",
                       of_ways[i]);
    if (matrix && growth)
        tool_usage("give either --matrix or --growth");
    if (growth && num_operands > 0)
        tool_usage("--growth measures generated codes: it takes no COLLECTION");
    if (bench_options.rounds < BENCH_MIN_ROUNDS)
        tool_usage("--rounds: '%" PRIu64 "' is too few for an interval of 95 "
                   "%%, which takes %d",
                   bench_options.rounds, BENCH_MIN_ROUNDS);
}

static void run(int num_operands, char **operands)
{
    const char *collection = num_operands > 0 ? operands[0] : NULL;
    const char *queries = num_operands > 1 ? operands[1] : NULL;

    if (collection != NULL && tool_given("codes"))
        tool_usage("--codes is how many to generate: COLLECTION has its own");
    if (!matrix && !growth && collection != NULL) {
        bench_ways(collection, queries);
        return;
    }
    check_regime_options(num_operands);
    if (growth)
        bench_growth();
    else
        bench_matrix(collection, queries);
}

const struct tool_command tool_bench = {
    .name = "bench",
    .operands = "[COLLECTION [QUERIES]]",
    .summary =
        "Measure the kernels, or searches of a collection, side by side.",
    .options = options,
    .min_operands = 0,
    .max_operands = 2,
    .run = run,
};
