/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "bench.h"
#include "base/median.h"
#include "base/progress.h"
#include "base/splitmix.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MEASURE_S    0.002 /* the least time of the fastest in a round */
#define MAX_SEARCHES 65536

/* ------------------------------------------------------------------------ */
/* What is timed                                                            */

/* One regime's measurements.  The last arm reads the codes, and does nothing. */
struct timing {
    const struct bench_layout *layout;
    const struct bench_regime *regime;
    size_t num_arms; /* without that one */
    pqk_codebook codebook;
    size_t searches; /* in one turn */
    float *entries;
    uint64_t *storage;
    pqk_row_result results[BENCH_MAX_K];
    double *seconds[BENCH_MAX_KERNELS + 1]; /* of a search, in each round */
};

/* Codes lie anywhere. */
typedef uint64_t lanes __attribute__((vector_size(16), may_alias, aligned(1)));

/* From front to back, as fast as that goes. */
static uint64_t read_codes(const struct timing *t)
{
    const uint8_t *codes = t->layout->set->codes;
    const size_t bytes = t->layout->num_codes * t->codebook.num_sub_vectors;
    const size_t count = bytes / sizeof(lanes) / 4 * 4;
    const lanes *at = (const lanes *)(const void *)codes;
    lanes sum[4] = {{0}};
    uint64_t rest = 0;

    for (size_t i = 0; i < count; i += 4) {
        sum[0] ^= at[i];
        sum[1] ^= at[i + 1];
        sum[2] ^= at[i + 2];
        sum[3] ^= at[i + 3];
    }
    for (size_t i = count * sizeof(lanes); i < bytes; i++)
        rest += codes[i];
    sum[0] ^= sum[1] ^ sum[2] ^ sum[3];
    return sum[0][0] ^ sum[0][1] ^ rest;
}

static void search_rows(struct timing *t, const pqk_kernel *kernel,
                        const float *query)
{
    pqk_distance_table table = {.entries = t->entries};
    pqk_top_k_heap heap;

    tool_check_status(
        pqk_compute_distance_table_l2_with(kernel, query, &t->codebook, &table),
        "making a table");
    pqk_top_k_heap_init(&heap, t->storage, t->regime->k);
    tool_check_status(pqk_probe_pq_l2_top_k_with(kernel, &table,
                                                 t->layout->set->codes,
                                                 t->layout->num_codes, &heap),
                      "scanning");
    pqk_top_k_heap_into_sorted(&heap, t->results);
}

static void search_index(struct timing *t, const struct bench_arm *arm,
                         const float *queries)
{
    const struct bench_regime *regime = t->regime;
    const size_t num_partitions = pqk_index_partitions(arm->index);
    size_t count;

    tool_check_status(pqk_scanner_begin(arm->scanner, regime->batch, regime->k),
                      "searching");
    for (size_t p = 0; p < num_partitions; p++) {
        if (p == 0 || regime->own_tables)
            tool_check_status(pqk_scanner_tables(arm->scanner, queries),
                              "making tables");
        tool_check_status(pqk_scanner_probe(arm->scanner, p), "scanning");
    }
    for (size_t q = 0; q < regime->batch; q++)
        tool_check_status(
            pqk_scanner_results(arm->scanner, q, t->results, &count),
            "searching");
}

static void search(struct timing *t, size_t arm, size_t number)
{
    static volatile uint64_t sink; /* so that reading is not left out */
    const struct bench_layout *layout = t->layout;
    const struct bench_set *set = layout->set;
    const size_t dim = pqk_quantizer_dim(set->quantizer);
    const size_t starts = set->num_queries - t->regime->batch + 1;
    const float *queries =
        set->queries + number * t->regime->batch % starts * dim;

    if (arm == t->num_arms)
        sink = sink + read_codes(t);
    else if (t->regime->rows)
        search_rows(t, layout->arms[arm].kernel, queries);
    else
        search_index(t, &layout->arms[arm], queries);
}

/* Of this thread alone: a busy machine's other processes are not in it. */
static double processor_seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Seconds of a search, after one that warms the caches up. */
static double take_turn(struct timing *t, size_t arm, size_t first)
{
    double begun;

    search(t, arm, first + t->searches);
    begun = processor_seconds();
    for (size_t i = 0; i < t->searches; i++)
        search(t, arm, first + i);
    return (processor_seconds() - begun) / (double)t->searches;
}

/* As many searches as the fastest needs to be timed. */
static void find_searches(struct timing *t)
{
    double least = 1.0;

    t->searches = 1;
    for (size_t i = 0; i < t->num_arms; i++) {
        const double seconds = take_turn(t, i, 0);

        least = seconds < least ? seconds : least;
    }
    while ((double)t->searches * least < MEASURE_S &&
           t->searches < MAX_SEARCHES)
        t->searches *= 2;
}

/* ------------------------------------------------------------------------ */
/* What comes of it                                                         */

static struct bench_spread spread_of(double *values)
{
    const size_t count = (size_t)bench_options.rounds;
    const size_t trimmed = pqk_median_trim(count, 0.025);

    bench_sort(values, count);
    return (struct bench_spread){values[trimmed - 1],
                                 (values[(count - 1) / 2] + values[count / 2]) /
                                     2.0,
                                 values[count - trimmed]};
}

/* Of the ratios within each round. */
static struct bench_spread ratio_of(const struct timing *t, size_t above,
                                    size_t below, double *scratch)
{
    for (size_t r = 0; r < bench_options.rounds; r++)
        scratch[r] = t->seconds[above][r] / t->seconds[below][r];
    return spread_of(scratch);
}

static struct bench_spread scaled(struct bench_spread spread, double factor)
{
    return (struct bench_spread){spread.low * factor, spread.median * factor,
                                 spread.high * factor};
}

static size_t strength(const pqk_kernel *kernel)
{
    size_t position = 0;

    while (pqk_kernel_at(position) != kernel)
        position++;
    return position;
}

/* A weaker variant beats this one if all of the interval says so. */
static void find_weaker(const struct timing *t, size_t arm,
                        struct bench_variant *variant, double *scratch)
{
    for (size_t i = 0; i < t->num_arms; i++) {
        const pqk_kernel *other = t->layout->arms[i].kernel;
        struct bench_spread loss;

        if (strength(other) >= strength(variant->kernel))
            continue;
        loss = ratio_of(t, arm, i, scratch);
        if (loss.low > 1.0 &&
            (variant->weaker == NULL || loss.median > variant->loss.median)) {
            variant->weaker = other;
            variant->loss = loss;
        }
    }
}

static void summarize(const struct timing *t, struct bench_result *result)
{
    const size_t num_arms = t->num_arms;
    const size_t rounds = (size_t)bench_options.rounds;
    const double batch = (double)t->regime->batch;
    double *scratch = tool_alloc(rounds, sizeof *scratch);

    *result = (struct bench_result){.regime = t->regime,
                                    .num_codes = t->layout->num_codes,
                                    .num_variants = num_arms};
    for (size_t i = 0; i < num_arms; i++) {
        struct bench_variant *variant = &result->variants[i];

        variant->kernel = t->layout->arms[i].kernel;
        memcpy(scratch, t->seconds[i], rounds * sizeof *scratch);
        variant->ns = scaled(spread_of(scratch),
                             1e9 / batch / (double)t->layout->num_codes);
        variant->ratio = ratio_of(t, 0, i, scratch);
        variant->reading = scaled(ratio_of(t, num_arms, i, scratch), batch);
        find_weaker(t, i, variant, scratch);
    }
    free(scratch);
}

static void shuffle(size_t *order, size_t count, uint64_t *random)
{
    for (size_t i = count; i > 1; i--) {
        const size_t j = pqk_random_below(random, i);
        const size_t last = order[i - 1];

        order[i - 1] = order[j];
        order[j] = last;
    }
}

/* In a round all arms, one after another in random order, answer the same queries,
 * so that what slows the machine down for a while slows all of them. */
void bench_measure(const struct bench_layout *layout,
                   const struct bench_regime *regime,
                   struct bench_result *result)
{
    const size_t num_arms = layout->num_arms;
    size_t order[BENCH_MAX_KERNELS + 1] = {0};
    uint64_t random = 0;
    struct timing t = {.layout = layout,
                       .regime = regime,
                       .num_arms = num_arms,
                       .codebook = tool_codebook_of(layout->set->quantizer)};

    t.entries = tool_alloc(t.codebook.num_sub_vectors,
                           PQK_TABLE_STRIDE * sizeof *t.entries);
    t.storage =
        tool_alloc(pqk_top_k_heap_storage(regime->k), sizeof *t.storage);
    for (size_t i = 0; i <= num_arms; i++) {
        t.seconds[i] = tool_alloc(bench_options.rounds, sizeof(double));
        order[i] = i;
    }
    find_searches(&t);
    for (size_t r = 0; r < bench_options.rounds; r++) {
        shuffle(order, num_arms + 1, &random);
        for (size_t i = 0; i <= num_arms; i++)
            t.seconds[order[i]][r] = take_turn(&t, order[i], r * t.searches);
        pqk_progress_add(1);
    }
    summarize(&t, result);
    for (size_t i = 0; i <= num_arms; i++)
        free(t.seconds[i]);
    free(t.storage);
    free(t.entries);
}
