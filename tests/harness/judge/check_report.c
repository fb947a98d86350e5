/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The block and the JSON file: every key in its order, and values that could break
 * a line, a number or a string. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <string.h>
#include <sys/wait.h>

#include "../../checked.h"
#include "../../scratch.h"
#include "harness/judge/report.h"

/* What program.md, run_experiment(1) and scripts/trial know the lines by. */
static const char *const keys[] = {
    "source",
    "num_base",
    "num_queries",
    "recall_at_10",
    "geomean_ns_per_query",
    "peak_mem_mb",
    "total_seconds",
    "contract",
    "status",
    "reason",
    "verdict",
    "kernel",
    "scan",
    "isa",
    "k",
    "seed",
    "timings",
    "exact_queries",
    "recall_at_k",
    "baseline_recall",
    "baseline_ns",
    "speedup",
    "speedup_ci95",
    "null_ci95",
    "guards",
    "guard_partition",
    "guard_large",
    "guard_k100",
    "guard_gaussian",
    "guard_rows",
    "guard_prepare",
    "guard_bytes",
    "composite",
    "confirmation",
    "holdout",
    "stopped_early",
    "sandbox",
    "stream_ns",
    "table_ns",
    "probe_ns",
    "prepare_seconds",
    "bytes_per_code",
    "bound_groups",
    "survivors",
    "bytes_read_per_code",
    "library",
    "library_sha256",
    "against",
    "cpu",
};

static char block[16384], json[16384];

/* In a process of its own: a block is printed once, and for ever. */
static int print(struct pqh_report *report, const struct pqh_outcome *outcome)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        if (freopen(scratch("block"), "w", stdout) == NULL ||
            freopen("/dev/null", "w", stderr) == NULL) {
            _exit(99);
        }
        _exit(pqh_report_print(report, outcome));
    }
    CHECK_THAT(child > 0 && waitpid(child, &status, 0) == child &&
                   WIFEXITED(status),
               "no end");
    scratch_read(scratch("block"), block, sizeof block);
    return WEXITSTATUS(status);
}

static void has(const char *text, const char *wanted)
{
    CHECK_THAT(strstr(text, wanted) != NULL, "no '%s' in: %s", wanted, text);
}

static void fill_report(struct pqh_report *report)
{
    pqh_report_init(report);
    report->k = 20;
    report->json = scratch("out.json");
    report->recall_at_k = 0.25;
    report->speedup = (struct pqh_interval){1.5, -INFINITY, INFINITY};
    report->null = (struct pqh_interval){1.0, 0.99, 1.01};
    for (int g = 0; g < PQH_NUM_GUARDS; g++) {
        report->guards[g] = (struct pqh_interval){g + 1.0, g + 0.5, g + 1.5};
        report->guard_bands[g] = g == 4 ? (double)INFINITY : 1.25;
    }
    report->guarded = 1;
    strcpy(report->hidden, "rows");
    strcpy(report->library, "/a\nstatus: ok \"b\\c\" \xc3\xa4 \xff\xc3(");
}

START_TEST(test_block)
{
    struct pqh_outcome outcome = {
        .code = PQH_EXIT_RECALL, .status = "recall", .reason = "why"};
    struct pqh_report report;
    const char *at = block;

    test_case("block");
    fill_report(&report);
    CHECK_THAT(print(&report, &outcome) == 2, "another exit code");
    CHECK_THAT(strncmp(at, "---\n", 4) == 0, "it begins: %s", block);
    at += 4;
    for (size_t i = 0; i < TEST_COUNT(keys); i++) {
        size_t length = strlen(keys[i]);
        CHECK_THAT(strncmp(at, keys[i], length) == 0 && at[length] == ':' &&
                       strcspn(at + length + 1, "\n") > 0,
                   "not %s, but: %.40s", keys[i], at);
        at = strchr(at, '\n') + 1;
    }
    CHECK_THAT(*at == '\0', "more: %s", at);
    has(block, "\nspeedup_ci95:         0.0000 0.0000\n");
    has(block, "\nnull_ci95:            0.9900 1.0100\n");
    has(block, "\nguards:               ok, not resolved: rows\n");
    has(block, "\nguard_large:          2.0000 1.5000 2.5000 1.2500\n");
    has(block, "\nguard_rows:           5.0000 0.0000 0.0000 0.0000\n");
    has(block, "\nrecall_at_k:          0.2500\n");
    has(block, "\nlibrary:              /a status: ok ");
    has(block, "\nagainst:              reference\n");
}
END_TEST

START_TEST(test_json)
{
    struct pqh_outcome outcome = {.code = PQH_EXIT_OK, .status = "ok"};
    struct pqh_report report;
    char key[64];

    test_case("JSON");
    fill_report(&report);
    report.k = 10;
    CHECK_THAT(print(&report, &outcome) == 0, "another exit code");
    CHECK_THAT(strstr(block, "recall_at_k") == NULL &&
                   strstr(block, "reason") == NULL,
               "what says nothing: %s", block);
    scratch_read(scratch("out.json"), json, sizeof json);
    for (size_t i = 0; i < TEST_COUNT(keys); i++) {
        snprintf(key, sizeof key, "\n  \"%s\": ", keys[i]);
        if (strcmp(keys[i], "recall_at_k") != 0 &&
            strcmp(keys[i], "reason") != 0) {
            has(json, key);
        }
    }
    has(json, "\"speedup_ci95\": [0.0000, 0.0000],\n");
    has(json, "\"num_base\": 0,\n");
    has(json, "\"library\": \"/a status: ok \\\"b\\\\c\\\" \xc3\xa4 "
              "\\ufffd\\ufffd(\",\n");
}
END_TEST

/* A caller that wants the file must not take the run for a success. */
START_TEST(test_no_json)
{
    struct pqh_outcome outcome = {.code = PQH_EXIT_OK, .status = "ok"};
    struct pqh_report report;

    test_case("JSON that cannot be written");
    fill_report(&report);
    report.json = scratch("none/out.json");
    CHECK_THAT(print(&report, &outcome) == 1, "a success all the same");
    has(block, "\nstatus:               error\n");
    CHECK_THAT(strncmp(block, "---\nsource:", 11) == 0 &&
                   strstr(block + 4, "---") == NULL,
               "not one block: %s", block);
    fill_report(&report);
    report.json = scratch("none/out.json");
    outcome.code = PQH_EXIT_CRASH;
    outcome.status = "crash";
    CHECK_THAT(print(&report, &outcome) == 5, "what happened before is lost");
    has(block, "\nstatus:               crash\n");
}
END_TEST

static void add_report_case(Suite *suite, const char *name, const TTest *test)
{
    TCase *tcase = tcase_create(name);

    tcase_add_unchecked_fixture(tcase, scratch_make, scratch_remove);
    tcase_add_test(tcase, test);
    suite_add_tcase(suite, tcase);
}

int main(void)
{
    Suite *suite = suite_create("report");

    add_report_case(suite, "block", test_block);
    add_report_case(suite, "JSON", test_json);
    add_report_case(suite, "no JSON", test_no_json);
    return run_suite(suite);
}
