/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The experiment: a fixture, a candidate library in a child process, a verdict.
 * Everything that it promises is in run_experiment(1).
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "base/clock.h"
#include "base/splitmix.h"
#include "formats/checksum.h"
#include "harness/candidate/image.h"
#include "harness/fixture/fixture.h"
#include "harness/judge/judge.h"
#include "harness/judge/report.h"
#include "harness/judge/seed.h"
#include "variants.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "unknown"
#endif

struct options {
    struct pqh_request request;
    struct pqh_settings settings;
    double time_budget; /* seconds */
    const char *json;
};

struct experiment {
    struct options options;
    struct pqh_report report;
    struct pqh_judge judge;
    sigset_t signals;
};

static struct experiment experiment;

/* ------------------------------------------------------------------------ */
/* Options                                                                  */
/* ------------------------------------------------------------------------ */

#define KERNEL_NAME(name, needs, built) " " #name
#define KERNEL_NAMES                    PQK_VARIANTS(KERNEL_NAME)

static const char usage[] =
    "Usage: run_experiment [OPTION]...\n"
    "Measure a build of libpqkern on a fixture, beside a baseline, and judge "
    "it.\n"
    "\n"
    "  --source S             auto, sift1m, photos, synthetic, seed, or a "
    "folder of\n"
    "                         vector files (default: auto)\n"
    "  --num-base N           use the first N base vectors\n"
    "  --num-queries N        use the first N queries\n"
    "  --k N                  results per query (default: 10)\n"
    "  --kernel NAME         " KERNEL_NAMES "\n"
    "                         (default: the best one for this CPU)\n"
    "  --scan WAY             single (default), batch, partitions or rows\n"
    "  --library FILE         the library to judge (default: the one built or\n"
    "                         installed with this program)\n"
    "  --against FILE         the library to compare with (default: the "
    "built-in\n"
    "                         scalar reference)\n"
    "  --min-effect PERCENT   the effect to resolve with --against (default: "
    "1)\n"
    "  --measure SECONDS      of the primary cell (default: 3, 6 with "
    "--against)\n"
    "  --look                 with --against: the primary cell alone, no "
    "verdict\n"
    "  --recall-floor F       least recall at 10 (default: 0.50)\n"
    "  --time-budget SECONDS  (default: 600)\n"
    "  --seed N               of the order and of the queries that are made "
    "up\n"
    "                         (default: another one each time)\n"
    "  --json FILE            write the result there, too\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 ok, 1 error, 2 recall, 3 time budget, 4 integrity,\n"
    "5 crash or hang, 6 unresolved, 64 usage.\n";

static int bad_value(struct pqh_outcome *outcome, const char *option,
                     const char *value, const char *allowed)
{
    return pqh_end(outcome, PQH_EXIT_USAGE, "usage", "--%s: '%s' is not %s",
                   option, value, allowed);
}

/* Digits only: no sign, no blank, nothing behind. */
static int parse_count(const char *option, const char *text, uint64_t least,
                       uint64_t most, uint64_t *value,
                       struct pqh_outcome *outcome)
{
    char allowed[96];

    errno = 0;
    *value = strtoull(text, NULL, 10);
    if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0' ||
        errno != 0 || *value < least || *value > most) {
        snprintf(allowed, sizeof allowed,
                 "a whole number from %" PRIu64 " to %" PRIu64, least, most);
        return bad_value(outcome, option, text, allowed);
    }
    return 0;
}

/* A decimal number; above least or from it on. */
static int parse_number(const char *option, const char *text, double least,
                        int open, double most, double *value,
                        struct pqh_outcome *outcome)
{
    char allowed[96];
    char *end;

    *value = strtod(text, &end);
    if (text[0] == '\0' || text[strspn(text, "0123456789.")] != '\0' ||
        *end != '\0' || *value < least || (open && *value <= least) ||
        *value > most) {
        snprintf(allowed, sizeof allowed, "a number %s %g, at most %g",
                 open ? "above" : "from", least, most);
        return bad_value(outcome, option, text, allowed);
    }
    return 0;
}

enum option_code {
    OPT_SOURCE = 256,
    OPT_NUM_BASE,
    OPT_NUM_QUERIES,
    OPT_K,
    OPT_KERNEL,
    OPT_SCAN,
    OPT_LIBRARY,
    OPT_AGAINST,
    OPT_MIN_EFFECT,
    OPT_MEASURE,
    OPT_LOOK,
    OPT_RECALL_FLOOR,
    OPT_TIME_BUDGET,
    OPT_SEED,
    OPT_JSON,
    OPT_HELP,
    OPT_VERSION
};

static const struct option long_options[] = {
    {"source", required_argument, NULL, OPT_SOURCE},
    {"num-base", required_argument, NULL, OPT_NUM_BASE},
    {"num-queries", required_argument, NULL, OPT_NUM_QUERIES},
    {"k", required_argument, NULL, OPT_K},
    {"kernel", required_argument, NULL, OPT_KERNEL},
    {"scan", required_argument, NULL, OPT_SCAN},
    {"library", required_argument, NULL, OPT_LIBRARY},
    {"against", required_argument, NULL, OPT_AGAINST},
    {"min-effect", required_argument, NULL, OPT_MIN_EFFECT},
    {"measure", required_argument, NULL, OPT_MEASURE},
    {"look", no_argument, NULL, OPT_LOOK},
    {"recall-floor", required_argument, NULL, OPT_RECALL_FLOOR},
    {"time-budget", required_argument, NULL, OPT_TIME_BUDGET},
    {"seed", required_argument, NULL, OPT_SEED},
    {"json", required_argument, NULL, OPT_JSON},
    {"help", no_argument, NULL, OPT_HELP},
    {"version", no_argument, NULL, OPT_VERSION},
    {NULL, 0, NULL, 0}};

static _Noreturn void print_and_exit(const char *text)
{
    fputs(text, stdout);
    exit(fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
}

static int take_option(struct options *options, int code, const char *name,
                       const char *value, struct pqh_outcome *outcome)
{
    struct pqh_settings *settings = &options->settings;
    uint64_t count = 0;
    double number = 0.0;
    int bad = 0;

    switch (code) {
    case OPT_SOURCE:
        options->request.source = value;
        break;
    case OPT_NUM_BASE:
        bad = parse_count(name, value, 1, UINT32_MAX, &count, outcome);
        options->request.num_base = (size_t)count;
        break;
    case OPT_NUM_QUERIES:
        bad = parse_count(name, value, 1, 10000000, &count, outcome);
        options->request.num_queries = (size_t)count;
        break;
    case OPT_K:
        bad = parse_count(name, value, 1, 1000000, &count, outcome);
        settings->k = (size_t)count;
        break;
    case OPT_KERNEL:
        settings->kernel = value;
        bad = value[0] == '\0'
                  ? bad_value(outcome, name, value, "the name of a kernel")
                  : 0;
        break;
    case OPT_SCAN:
        settings->way = pqh_way_find(value);
        bad = settings->way == NULL
                  ? bad_value(outcome, name, value,
                              "single, batch, partitions or rows")
                  : 0;
        break;
    case OPT_LIBRARY:
        settings->library = value;
        break;
    case OPT_AGAINST:
        settings->against = value;
        break;
    case OPT_MIN_EFFECT:
        bad = parse_number(name, value, 0.0, 1, 100.0, &number, outcome);
        settings->min_effect = number / 100.0;
        break;
    case OPT_MEASURE:
        bad = parse_number(name, value, 0.0, 1, 3600.0, &settings->measure,
                           outcome);
        break;
    case OPT_LOOK:
        settings->look = 1;
        break;
    case OPT_RECALL_FLOOR:
        bad = parse_number(name, value, 0.0, 0, 1.0, &number, outcome);
        settings->recall_floor = number;
        break;
    case OPT_TIME_BUDGET:
        bad = parse_number(name, value, 0.0, 1, 86400.0, &number, outcome);
        options->time_budget = number;
        break;
    case OPT_SEED:
        bad = parse_count(name, value, 0, UINT64_MAX, &settings->seed, outcome);
        settings->seeded = 1;
        break;
    case OPT_JSON:
        options->json = value;
        bad = value[0] == '\0'
                  ? bad_value(outcome, name, value, "the name of a file")
                  : 0;
        break;
    case OPT_HELP:
        print_and_exit(usage);
    case OPT_VERSION:
        print_and_exit("run_experiment (pqkern) " PACKAGE_VERSION "\n");
    default:
        return pqh_end(outcome, PQH_EXIT_USAGE, "usage",
                       "unknown option, or an option without its value; see "
                       "run_experiment --help");
    }
    return bad;
}

static int take_options(struct options *options, int argc, char **argv,
                        struct pqh_outcome *outcome)
{
    int code, which = 0;

    *options = (struct options){.request = {.source = "auto"},
                                .settings = {.k = 10,
                                             .recall_floor = 0.5,
                                             .min_effect = 0.01,
                                             .way = pqh_way_find("single")},
                                .time_budget = 600.0};
    while ((code = getopt_long(argc, argv, "", long_options, &which)) != -1) {
        const char *name = code == '?' ? "" : long_options[which].name;
        if (take_option(options, code, name, optarg, outcome) != 0) {
            return -1;
        }
    }
    if (optind < argc) {
        return pqh_end(outcome, PQH_EXIT_USAGE, "usage",
                       "'%s' is no option; see run_experiment --help",
                       argv[optind]);
    }
    if (options->settings.look && options->settings.against == NULL) {
        return pqh_end(outcome, PQH_EXIT_USAGE, "usage",
                       "--look compares: it needs --against");
    }
    options->request.truth_k =
        options->settings.k > 10 ? options->settings.k : 10;
    return 0;
}

/* ------------------------------------------------------------------------ */
/* The libraries                                                            */
/* ------------------------------------------------------------------------ */

#ifdef PQK_STATIC_ONLY

static int find_libraries(struct experiment *e, struct pqh_outcome *outcome)
{
    struct pqh_settings *settings = &e->options.settings;

    if (settings->library != NULL || settings->against != NULL) {
        return pqh_end(outcome, PQH_EXIT_USAGE, "usage",
                       "--library and --against need a build with shared "
                       "libraries");
    }
    strcpy(e->report.library, "linked in");
    return 0;
}

static int library_changed(struct experiment *e, struct pqh_outcome *outcome)
{
    (void)e;
    (void)outcome;
    return 0;
}

#else

/* The one in the build tree around this program, else the installed one. */
static const char *default_library(void)
{
    static char path[4096 + 32];
    ssize_t length = readlink("/proc/self/exe", path, 4096);
    char *slash;

    if (length > 0) {
        path[length] = '\0';
        slash = strrchr(path, '/');
        if (slash != NULL) {
            strcpy(slash, "/.libs/libpqkern.so");
            if (access(path, R_OK) == 0) {
                return path;
            }
        }
    }
    return PQK_LIBDIR "/" PQK_SONAME;
}

static int resolve(const char *option, const char *path, char *resolved,
                   size_t size, struct pqh_outcome *outcome)
{
    char *real = realpath(path, NULL);

    if (real == NULL || strlen(real) >= size) {
        int why = real == NULL ? errno : ENAMETOOLONG;
        free(real);
        return pqh_end(outcome, PQH_EXIT_ERROR, "error", "%s: %s: %s", option,
                       path, strerror(why));
    }
    strcpy(resolved, real);
    free(real);
    return 0;
}

static int find_libraries(struct experiment *e, struct pqh_outcome *outcome)
{
    struct pqh_settings *settings = &e->options.settings;
    struct pqh_report *report = &e->report;
    struct pqf_error err;

    if (settings->library == NULL) {
        settings->library = default_library();
    }
    if (resolve("--library", settings->library, report->library,
                sizeof report->library, outcome) != 0) {
        return -1;
    }
    settings->library = report->library;
    if (settings->against != NULL) {
        if (resolve("--against", settings->against, report->against,
                    sizeof report->against, outcome) != 0) {
            return -1;
        }
        settings->against = report->against;
        settings->library_image =
            pqh_image_take(report->library, report->library_sha256, outcome);
        if (settings->library_image < 0) {
            return -1;
        }
        settings->against_image =
            pqh_image_take(report->against, report->against_sha256, outcome);
        return settings->against_image < 0 ? -1 : 0;
    }
    if (pqf_checksum_of(report->library, report->library_sha256, &err) != 0) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error", "%s", err.text);
    }
    return 0;
}

/* The sum in the report must be that of what ran. */
static int library_changed(struct experiment *e, struct pqh_outcome *outcome)
{
    char now[PQK_SHA256_HEX];
    struct pqf_error err;

    if (pqf_checksum_of(e->report.library, now, &err) != 0) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error", "%s", err.text);
    }
    if (strcmp(now, e->report.library_sha256) != 0) {
        return pqh_end(outcome, PQH_EXIT_INTEGRITY, "integrity",
                       "%s was changed during the run", e->report.library);
    }
    return 0;
}

#endif

/* ------------------------------------------------------------------------ */
/* The way out                                                              */
/* ------------------------------------------------------------------------ */

/* Prints the block and ends the process, whichever thread comes first. */
static _Noreturn void finish(struct experiment *e,
                             const struct pqh_outcome *outcome)
{
    int code = pqh_report_print(&e->report, outcome);

    if (outcome->code != PQH_EXIT_OK) {
        pqh_judge_show_logs(&e->judge);
        fprintf(stderr, "run_experiment: %s\n", outcome->reason);
    }
    pqh_judge_kill(&e->judge);
    _exit(code);
}

/* Owns the deadline and the signals that ask for an end. */
static void *watch(void *argument)
{
    struct experiment *e = argument;
    struct pqh_outcome outcome = {.code = PQH_EXIT_ERROR};
    double budget = e->options.time_budget;
    double left = budget - (double)(pqk_clock() - e->report.start) / 1e9;
    struct timespec wait;
    int signal;

    left = left > 0.0 ? left : 0.0;
    wait.tv_sec = (time_t)left;
    wait.tv_nsec = (long)((left - floor(left)) * 1e9);
    signal = sigtimedwait(&e->signals, NULL, &wait);
    if (signal > 0) {
        pqh_end(&outcome, PQH_EXIT_ERROR, "interrupted",
                "interrupted by signal %d (%s)", signal, strsignal(signal));
    } else {
        pqh_end(&outcome, PQH_EXIT_TIME, "time_budget",
                "over the time budget of %g s", budget);
    }
    finish(e, &outcome);
}

static int start_watching(struct experiment *e, struct pqh_outcome *outcome)
{
    pthread_t thread;
    int failed = pthread_create(&thread, NULL, watch, e);

    if (failed) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error",
                       "cannot start a thread: %s", strerror(failed));
    }
    return 0;
}

static int load_fixture(struct experiment *e, struct pqh_fixture *fixture,
                        struct pqh_outcome *outcome)
{
    struct pqh_report *report = &e->report;
    struct pqf_error err;

    if (pqh_fixture_load(&e->options.request, fixture, &err) != 0) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error", "%s", err.text);
    }
    pthread_mutex_lock(&report->lock);
    snprintf(report->source, sizeof report->source, "%s", fixture->source);
    report->num_base = fixture->num_base;
    report->num_queries = fixture->num_queries;
    pthread_mutex_unlock(&report->lock);
    return 0;
}

/* Not before the children are there: they would inherit it. */
static uint64_t draw_seed(struct experiment *e)
{
    const struct pqh_settings *settings = &e->options.settings;
    uint64_t seed = settings->seeded ? settings->seed : pqh_random_seed();

    pthread_mutex_lock(&e->report.lock);
    e->report.seed = seed;
    pthread_mutex_unlock(&e->report.lock);
    return seed;
}

static int run(struct experiment *e, int argc, char **argv,
               struct pqh_outcome *outcome)
{
    struct pqh_fixture fixture;
    int bad = take_options(&e->options, argc, argv, outcome);

    e->report.json = e->options.json;
    e->report.k = e->options.settings.k;
    if (e->options.settings.way != NULL) {
        e->report.scan = pqh_way_name(e->options.settings.way);
    }
    snprintf(e->report.source, sizeof e->report.source, "%s",
             e->options.request.source);
    if (bad || find_libraries(e, outcome) != 0 ||
        pqh_judge_start(&e->judge, &e->options.settings, &e->report, outcome) !=
            0 ||
        start_watching(e, outcome) != 0 ||
        pqh_judge_load(&e->judge, outcome) != 0 ||
        load_fixture(e, &fixture, outcome) != 0) {
        return -1;
    }
    pqh_judge_run(&e->judge, draw_seed(e), &fixture, outcome);
    /* Weighs more than a gate that was missed, less than a crash. */
    if (outcome->code == PQH_EXIT_OK || outcome->code == PQH_EXIT_RECALL ||
        outcome->code == PQH_EXIT_UNRESOLVED) {
        return library_changed(e, outcome);
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct experiment *e = &experiment;
    struct pqh_outcome outcome = {.code = PQH_EXIT_ERROR, .status = "error"};

    pqh_report_init(&e->report);
    signal(SIGPIPE, SIG_IGN);
    /* All threads leave these to watch(); the children unblock them. */
    sigemptyset(&e->signals);
    sigaddset(&e->signals, SIGINT);
    sigaddset(&e->signals, SIGTERM);
    sigaddset(&e->signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &e->signals, NULL);
    /* What a child leaves behind becomes ours, and ends with us. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);

    run(e, argc, argv, &outcome);
    finish(e, &outcome);
}
