/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "bench.h"
#include "base/host.h"

#include <inttypes.h>
#include <stdio.h>

/* ------------------------------------------------------------------------ */
/* A table                                                                  */

static void print_set(const char *role, const struct bench_set *set)
{
    if (set != NULL)
        printf("%s: %s, %zu codes of %zu bytes, %zu queries\n", role, set->name,
               set->num_codes, tool_codebook_of(set->quantizer).num_sub_vectors,
               set->num_queries);
}

static void print_variant(const struct bench_result *result, size_t i)
{
    const struct bench_variant *v = &result->variants[i];
    char interval[64] = "";

    if (i > 0)
        snprintf(interval, sizeof interval, "(%.3f to %.3f)", v->ratio.low,
                 v->ratio.high);
    printf("%-17s %-12s %9.4f %8.3f  %-20s%7.3f%s\n",
           i == 0 ? result->regime->name : "", pqk_kernel_name(v->kernel),
           v->ns.median, v->ratio.median, interval, v->reading.median,
           v->weaker != NULL ? " !" : "");
}

/* What the marks are about. */
static void print_notes(const struct bench_report *report)
{
    for (size_t i = 0; i < report->num_results; i++)
        for (size_t j = 0; j < report->results[i].num_variants; j++) {
            const struct bench_result *result = &report->results[i];
            const struct bench_variant *v = &result->variants[j];

            if (v->weaker != NULL)
                printf("! %s: %s takes %.3f (%.3f to %.3f) times as long as "
                       "%s\n",
                       result->regime->name, pqk_kernel_name(v->kernel),
                       v->loss.median, v->loss.low, v->loss.high,
                       pqk_kernel_name(v->weaker));
        }
    if (report->most_codes > 0)
        printf("more than %zu codes do not fit into the memory that is "
               "available\n",
               report->most_codes);
}

static void print_table(const struct bench_report *report, const char *cpu)
{
    printf("%s, pqkern %s, one thread, %" PRIu64 " rounds\n", cpu,
           pqk_version(), bench_options.rounds);
    print_set("photos", report->small);
    print_set("large", report->large);
    printf("\n%-17s %-12s %9s %8s  %-20s%7s\n", "regime", "kernel", "ns/code",
           "ratio", "(95 %)", "reading");
    for (size_t i = 0; i < report->num_results; i++)
        for (size_t j = 0; j < report->results[i].num_variants; j++)
            print_variant(&report->results[i], j);
    print_notes(report);
}

/* ------------------------------------------------------------------------ */
/* JSON                                                                     */

void bench_json_spread(const char *key, struct bench_spread spread)
{
    printf(", \"%s\": [", key);
    tool_json_number(spread.low);
    fputs(", ", stdout);
    tool_json_number(spread.median);
    fputs(", ", stdout);
    tool_json_number(spread.high);
    putchar(']');
}

static void json_set(const char *role, const struct bench_set *set)
{
    if (set == NULL)
        return;
    printf(",\n \"%s\": {\"name\": ", role);
    tool_json_text(set->name);
    printf(", \"codes\": %zu, \"code_bytes\": %zu, \"queries\": %zu}",
           set->num_codes, tool_codebook_of(set->quantizer).num_sub_vectors,
           set->num_queries);
}

static void json_variant(const struct bench_variant *v)
{
    fputs("{\"kernel\": ", stdout);
    tool_json_text(pqk_kernel_name(v->kernel));
    bench_json_spread("ns_per_code", v->ns);
    bench_json_spread("ratio_to_first", v->ratio);
    bench_json_spread("reading", v->reading);
    if (v->weaker != NULL) {
        fputs(", \"slower_than\": ", stdout);
        tool_json_text(pqk_kernel_name(v->weaker));
        bench_json_spread("times_as_long", v->loss);
    }
    putchar('}');
}

static void json_result(const struct bench_result *result)
{
    const struct bench_regime *regime = result->regime;

    fputs("{\"regime\": ", stdout);
    tool_json_text(regime->name);
    printf(", \"codes\": %zu, \"k\": %zu, \"batch\": %zu, \"kernels\": [",
           result->num_codes, regime->k, regime->batch);
    for (size_t i = 0; i < result->num_variants; i++) {
        fputs(i == 0 ? "\n   " : ",\n   ", stdout);
        json_variant(&result->variants[i]);
    }
    fputs("]}", stdout);
}

static void print_json(const struct bench_report *report, const char *cpu)
{
    printf("{\"measures\": \"%s\", \"cpu\": ", report->measures);
    tool_json_text(cpu);
    fputs(", \"version\": ", stdout);
    tool_json_text(pqk_version());
    printf(", \"rounds\": %" PRIu64, bench_options.rounds);
    json_set("photos", report->small);
    json_set("large", report->large);
    fputs(",\n \"regimes\": [", stdout);
    for (size_t i = 0; i < report->num_results; i++) {
        fputs(i == 0 ? "\n  " : ",\n  ", stdout);
        json_result(&report->results[i]);
    }
    puts("]}");
}

void bench_print(const struct bench_report *report)
{
    char cpu[256];

    pqk_processor_name(cpu, sizeof cpu);
    if (bench_options.json)
        print_json(report, cpu);
    else
        print_table(report, cpu);
}
