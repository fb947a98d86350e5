/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "bench.h"
#include "base/host.h"
#include "base/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LARGE = 1000000, FIRST = 1000, MOST = 16384000, FACTOR = 4 };

/* Regimes that share a layout stand together: it is made once. */
static const struct bench_regime regimes[] = {
    /* name, large, codes, partition, own tables, rows, batch, k */
    {"photos-k10", 0, 0, 0, 0, 0, 1, 10},
    {"photos-k100", 0, 0, 0, 0, 0, 1, 100},
    {"photos-k1000", 0, 0, 0, 0, 0, 1, 1000},
    {"photos-batch16", 0, 0, 0, 0, 0, BENCH_MAX_BATCH, 10},
    {"photos-rows", 0, 0, 0, 0, 1, 1, 10},
    {"photos-10000", 0, 10000, 0, 0, 0, 1, 10},
    {"large-k10", 1, 0, 0, 0, 0, 1, 10},
    {"large-k100", 1, 0, 0, 0, 0, 1, 100},
    {"large-k1000", 1, 0, 0, 0, 0, 1, BENCH_MAX_K},
    {"large-batch16", 1, 0, 0, 0, 0, BENCH_MAX_BATCH, 10},
    {"large-rows", 1, 0, 0, 0, 1, 1, 10},
    {"parts-8192-k10", 1, 0, 8192, 0, 0, 1, 10},
    {"parts-8192-k100", 1, 0, 8192, 0, 0, 1, 100},
    {"parts-8192-k1000", 1, 0, 8192, 0, 0, 1, BENCH_MAX_K},
    {"lists-2048-k10", 1, 0, 2048, 1, 0, 1, 10},
};
#define NUM_REGIMES (sizeof regimes / sizeof regimes[0])

/* ------------------------------------------------------------------------ */

/* Lay codes out as a regime wants them, unless they are. */
static void change_layout(struct bench_layout *layout,
                          const struct bench_set *set,
                          const struct bench_regime *regime)
{
    const size_t num_codes =
        regime->num_codes == 0 || regime->num_codes > set->num_codes
            ? set->num_codes
            : regime->num_codes;
    const size_t partition =
        regime->partition == 0 ? num_codes : regime->partition;

    if (layout->set == set && layout->num_codes == num_codes &&
        layout->partition == partition)
        return;
    bench_free_layout(layout);
    layout->set = set;
    layout->num_codes = num_codes;
    layout->partition = partition;
    bench_lay_out(layout);
}

static void measure_all(struct bench_report *report,
                        const struct bench_regime *list, size_t count)
{
    struct bench_result *results = tool_alloc(count, sizeof *results);
    const pqk_kernel *kernels[BENCH_MAX_KERNELS];
    struct bench_layout layout = {.num_arms = bench_kernels(kernels)};

    for (size_t i = 0; i < layout.num_arms; i++)
        layout.arms[i].kernel = kernels[i];
    pqk_progress_begin("measuring", count * bench_options.rounds);
    for (size_t i = 0; i < count; i++) {
        change_layout(&layout, list[i].large ? report->large : report->small,
                      &list[i]);
        bench_measure(&layout, &list[i], &results[i]);
    }
    pqk_progress_end();
    bench_free_layout(&layout);
    report->results = results;
    report->num_results = count;
    bench_print(report);
    free(results);
}

/* ------------------------------------------------------------------------ */

/* How many generated codes fit into memory with what is made of them: for each
 * variant the prepared codes, and twice as much while they are prepared. */
static uint64_t most_that_fit(void)
{
    const pqk_kernel *kernels[BENCH_MAX_KERNELS];
    const uint64_t code_bytes = 16;

    return pqk_available_memory() / code_bytes /
           (1 + 3 * bench_kernels(kernels));
}

/* What --codes says, which has to fit, or else as many as fit of the usual number:
 * then the report tells. */
static size_t num_generated(size_t usual, struct bench_report *report)
{
    const uint64_t asked = bench_options.num_codes;
    const uint64_t most = most_that_fit();

    if (asked > most)
        tool_die("--codes %" PRIu64 " takes more memory than is available; "
                 "give %" PRIu64 " or less",
                 asked, most);
    if (asked > 0)
        return (size_t)asked;
    if (usual <= most)
        return usual;
    report->most_codes = (size_t)most;
    return most < FIRST ? FIRST : (size_t)most;
}

void bench_matrix(const char *collection, const char *queries)
{
    struct bench_set small, large;
    struct bench_report report = {
        .measures = "matrix", .small = &small, .large = &large};

    if (collection != NULL)
        bench_take_collection(&large, collection, queries);
    else
        bench_generate(&large, num_generated(LARGE, &report));
    bench_take_photos(&small);
    measure_all(&report, regimes, NUM_REGIMES);
    bench_free_set(&small);
    bench_free_set(&large);
}

void bench_growth(void)
{
    enum { STEPS = 16 };
    struct bench_regime steps[STEPS];
    char names[STEPS][32];
    struct bench_set large;
    struct bench_report report = {.measures = "growth", .large = &large};
    const size_t most = num_generated(MOST, &report);
    size_t count = 0, num_codes = 0;

    for (uint64_t n = FIRST; n <= most && count < STEPS; n *= FACTOR) {
        num_codes = (size_t)n;
        snprintf(names[count], sizeof names[count], "codes-%zu", num_codes);
        steps[count] = (struct bench_regime){.name = names[count],
                                             .large = 1,
                                             .num_codes = num_codes,
                                             .batch = 1,
                                             .k = 10};
        count++;
    }
    bench_generate(&large, num_codes);
    measure_all(&report, steps, count);
    bench_free_set(&large);
}
