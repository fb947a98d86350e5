/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "judge.h"
#include "base/splitmix.h"
#include "checks.h"
#include "harness/candidate/sandbox.h"
#include "measure.h"
#include "seed.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define SECOND UINT64_C(1000000000)

/* What each cell may take, besides preparing. */
#define MEASURE_NS  (3 * SECOND)
#define COMPARE_NS  (6 * SECOND) /* with --against, where intervals decide */
#define GUARD_SHARE 4            /* of the primary cell's time */

/* A look has fewer sittings, but so many that a clear loser is seen. */
#define LOOK_SITTINGS 3

#define MIN_TIMINGS    1000
#define GUARD_TIMINGS  16
#define GUARD_SITTINGS 7
#define CREATIONS      5

/* Preparing that so few sittings saw that there is no interval must not take so
 * many times as long. */
#define FEW_TIMES 1.5

/* That the judge may have open. */
#define MAX_FILES 4096

/* Of a round: enough for a midmean; or, beyond the cache, where a query takes
 * milliseconds and nothing has to be warm, what gives enough rounds. */
#define MIN_ROUND   8
#define LARGE_ROUND 2

/* ------------------------------------------------------------------------ */
/* Children                                                                 */
/* ------------------------------------------------------------------------ */

static uint64_t measure_ns(const struct pqh_settings *settings)
{
    if (settings->measure > 0.0) {
        return (uint64_t)(settings->measure * (double)SECOND);
    }
    return settings->against != NULL ? COMPARE_NS : MEASURE_NS;
}

/* A look's are as long as they are in a whole comparison. */
static size_t num_sittings(const struct pqh_settings *settings)
{
    uint64_t count = measure_ns(settings) * PQH_MAX_SITTINGS / COMPARE_NS;

    if (settings->against == NULL) {
        return 1;
    }
    if (!settings->look || count > PQH_MAX_SITTINGS) {
        return PQH_MAX_SITTINGS;
    }
    return count > LOOK_SITTINGS ? (size_t)count : LOOK_SITTINGS;
}

static struct pqh_cell_plan primary_plan(const struct pqh_settings *settings)
{
    int compares = settings->against != NULL;

    return (struct pqh_cell_plan){
        .library = settings->library,
        .against = settings->against,
        .library_image = settings->library_image,
        .against_image = settings->against_image,
        .kernel = settings->kernel,
        .way = settings->way,
        .k = settings->k,
        .num_sittings = num_sittings(settings),
        .min_queries = settings->look ? GUARD_TIMINGS : MIN_TIMINGS,
        .measure_ns = measure_ns(settings),
        .min_round = MIN_ROUND,
        .creations = CREATIONS,
        .stop_effect = compares ? settings->min_effect : 0.0};
}

static struct pqh_cell_plan guard_plan(const struct pqh_settings *settings,
                                       enum pqh_guard guard)
{
    struct pqh_cell_plan plan = primary_plan(settings);

    plan.num_sittings = guard == PQH_GUARD_LARGE ? 1 : GUARD_SITTINGS;
    plan.min_queries = GUARD_TIMINGS;
    plan.measure_ns = measure_ns(settings) / GUARD_SHARE;
    plan.creations = 1;
    plan.stop_effect = 0.0;
    if (guard == PQH_GUARD_LARGE) {
        plan.min_round = LARGE_ROUND;
    } else if (guard == PQH_GUARD_K100) {
        plan.k = settings->k == 100 ? 10 : 100;
    } else if (guard == PQH_GUARD_ROWS) {
        plan.way = plan.way == pqh_way_find("rows") ? pqh_way_find("single")
                                                    : pqh_way_find("rows");
    }
    return plan;
}

/* Some hundred children with four files each; less than wanted may be enough. */
static void allow_files(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < MAX_FILES) {
        limit.rlim_cur =
            limit.rlim_max < MAX_FILES ? limit.rlim_max : MAX_FILES;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int start_guards(struct pqh_judge *judge, struct pqh_cell *cells,
                        struct pqh_outcome *outcome)
{
    for (int g = 0; g < PQH_NUM_GUARD_CELLS; g++) {
        struct pqh_cell_plan plan =
            guard_plan(&judge->settings, (enum pqh_guard)g);
        if (pqh_cell_start(&cells[g], &plan, judge->report, outcome) != 0) {
            return -1;
        }
    }
    return 0;
}

int pqh_judge_start(struct pqh_judge *judge,
                    const struct pqh_settings *settings,
                    struct pqh_report *report, struct pqh_outcome *outcome)
{
    struct pqh_cell_plan plan = primary_plan(settings);

    memset(judge, 0, sizeof *judge);
    judge->settings = *settings;
    judge->report = report;
    atomic_store(&judge->current, &judge->primary);
    pqh_sandbox_judge();
    allow_files();
    if (pqh_cell_start(&judge->primary, &plan, report, outcome) != 0) {
        return -1;
    }
    judge->primary.shown = 1;
    if (settings->against == NULL || settings->look) {
        return 0;
    }
    if (start_guards(judge, judge->guards, outcome) != 0 ||
        start_guards(judge, judge->appeals, outcome) != 0) {
        return -1;
    }
    plan.creations = 1;
    if (pqh_cell_start(&judge->confirmation, &plan, report, outcome) != 0) {
        return -1;
    }
    return pqh_holdout_start(&judge->holdout, &plan, report, outcome);
}

int pqh_judge_load(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    return pqh_cell_load(&judge->primary, outcome);
}

void pqh_judge_kill(struct pqh_judge *judge)
{
    pqh_cell_kill(&judge->primary);
    for (int g = 0; g < PQH_NUM_GUARD_CELLS; g++) {
        pqh_cell_kill(&judge->guards[g]);
        pqh_cell_kill(&judge->appeals[g]);
    }
    pqh_cell_kill(&judge->confirmation);
    pqh_holdout_kill(&judge->holdout);
    pqh_kill_orphans();
}

/* Of the hold-out, nothing. */
void pqh_judge_show_logs(const struct pqh_judge *judge)
{
    const struct pqh_cell *cell = atomic_load(&judge->current);

    if (cell != NULL) {
        pqh_cell_show_logs(cell);
    }
}

/* ------------------------------------------------------------------------ */
/* Cells in order                                                           */
/* ------------------------------------------------------------------------ */

/* Nobody knows it before it is needed. */
static uint64_t next_seed(struct pqh_judge *judge)
{
    return judge->settings.seeded ? pqk_random_next(&judge->random)
                                  : pqh_random_seed();
}

static struct pqh_interval ratio_of(struct pqh_interval logs)
{
    return (struct pqh_interval){exp(logs.estimate), exp(logs.low),
                                 exp(logs.high)};
}

/* Says where it was, if it was not the primary cell. */
static int ended_in(const char *where, struct pqh_outcome *outcome)
{
    char reason[sizeof outcome->reason];

    snprintf(reason, sizeof reason, "%s: %.1100s", where, outcome->reason);
    memcpy(outcome->reason, reason, sizeof reason);
    return -1;
}

/* Every answer that decides over a keep has to be right. */
static int check_exact(const struct pqh_cell *cell, const char *where,
                       struct pqh_outcome *outcome)
{
    size_t asked = cell->claimed.count;

    if (cell->exact == asked) {
        return 0;
    }
    return pqh_end(outcome, PQH_EXIT_RECALL, "recall",
                   "%s: %zu of %zu queries were not answered as the reference "
                   "answers them",
                   where, asked - cell->exact, asked);
}

static int run_primary(struct pqh_judge *judge, uint64_t seed,
                       struct pqh_outcome *outcome)
{
    struct pqh_cell *cell = &judge->primary;
    struct pqh_report *report = judge->report;
    struct pqh_fixture fixture = *judge->fixture;
    int failed;

    if (judge->settings.look) {
        fixture.truth = NULL; /* recall takes all of the fixture's queries */
    }
    failed = pqh_cell_run(cell, &fixture, seed, outcome);

    if (cell->speed.count > 0) {
        pthread_mutex_lock(&report->lock);
        report->speedup = ratio_of(pqh_cell_speed(cell));
        report->stream_ns = pqh_cell_median(&cell->stream);
        report->peak_bytes = cell->peak_bytes;
        report->stopped_early = cell->stopped_early;
        if (judge->settings.against != NULL) {
            report->null = ratio_of(pqh_cell_null(cell));
        }
        pthread_mutex_unlock(&report->lock);
    }
    if (failed) {
        return -1;
    }
    if (!judge->settings.look &&
        pqh_cell_check_recall(cell, judge->settings.recall_floor, outcome) !=
            0) {
        return -1;
    }
    return judge->settings.against != NULL
               ? check_exact(cell, "primary cell", outcome)
               : 0;
}

static int run_guard(struct pqh_judge *judge, enum pqh_guard guard,
                     struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    const struct pqh_fixture *primary = judge->fixture;
    double ns_per_code =
        judge->primary.baseline_prepare_ns / (double)primary->num_base;
    struct pqh_fixture fixture;
    struct pqf_error err;
    char where[64];
    int failed;

    snprintf(where, sizeof where, "guard %s", pqh_guard_name(guard));
    atomic_store(&judge->current, cell);
    if (pqh_guard_make(guard, primary, ns_per_code, next_seed(judge), &fixture,
                       &err) != 0) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error", "%s: %s", where,
                       err.text);
    }
    failed = pqh_cell_run(cell, &fixture, next_seed(judge), outcome) != 0
                 ? ended_in(where, outcome)
                 : check_exact(cell, where, outcome);
    pqh_guard_free(primary, &fixture);
    return failed;
}

/* Adds the guard's name to a list of them. */
static void add_name(char *list, size_t size, enum pqh_guard guard)
{
    size_t used = strlen(list);

    snprintf(list + used, size - used, "%s%s", used > 0 ? " " : "",
             pqh_guard_name(guard));
}

static int loses(const struct pqh_judge *judge, const struct pqh_cell *cell)
{
    return pqh_guard_loses(pqh_cell_speed(cell), pqh_cell_null(cell),
                           judge->settings.min_effect);
}

/* Enters what a guard showed. */
static void enter_guard(struct pqh_judge *judge, enum pqh_guard guard,
                        struct pqh_cell *cell, double *log_ratio)
{
    struct pqh_interval speed = pqh_cell_speed(cell);
    struct pqh_interval null = pqh_cell_null(cell);
    struct pqh_report *report = judge->report;
    double effect = judge->settings.min_effect;

    *log_ratio = speed.estimate;
    pthread_mutex_lock(&report->lock);
    report->guards[guard] = ratio_of(speed);
    report->guard_bands[guard] = exp(pqh_null_band(null));
    if (loses(judge, cell)) {
        add_name(report->lost, sizeof report->lost, guard);
    } else if (pqh_guard_hides(speed, effect)) {
        add_name(report->hidden, sizeof report->hidden, guard);
    }
    pthread_mutex_unlock(&report->lock);
    pqh_cell_free(cell);
}

/* A loss has to show again in fresh processes, as a gain has to: else a true gain
 * would be lost by chance as often as any of the guards is wrong. */
static int measure_guard(struct pqh_judge *judge, enum pqh_guard guard,
                         double *log_ratio, struct pqh_outcome *outcome)
{
    struct pqh_cell *cell = &judge->guards[guard];

    if (run_guard(judge, guard, cell, outcome) != 0) {
        return -1;
    }
    if (loses(judge, cell)) {
        pqh_cell_free(cell);
        cell = &judge->appeals[guard];
        if (run_guard(judge, guard, cell, outcome) != 0) {
            return -1;
        }
    }
    enter_guard(judge, guard, cell, log_ratio);
    return 0;
}

/* What the primary cell showed besides queries.  Noise of preparing is no reason to
 * leave a change open; too few sittings are those of one that takes very long. */
static void guard_preparing(struct pqh_judge *judge)
{
    struct pqh_cell *cell = &judge->primary;
    struct pqh_interval speed = pqh_cell_prepare_speed(cell);
    struct pqh_interval null = pqh_cell_prepare_null(cell);
    struct pqh_report *report = judge->report;
    double effect = fmax(judge->settings.min_effect, PQH_PREPARE_EFFECT);
    double bytes = log((double)cell->index_bytes[PQH_BASELINE] /
                       (double)cell->index_bytes[PQH_CANDIDATE]);
    int few = !isfinite(speed.low);

    pthread_mutex_lock(&report->lock);
    report->guards[PQH_GUARD_PREPARE] = ratio_of(speed);
    report->guard_bands[PQH_GUARD_PREPARE] = exp(pqh_null_band(null));
    report->guards[PQH_GUARD_BYTES] =
        ratio_of((struct pqh_interval){bytes, bytes, bytes});
    report->guard_bands[PQH_GUARD_BYTES] = 1.0;
    if (pqh_guard_loses(speed, null, effect) ||
        (few && speed.estimate < -log(FEW_TIMES))) {
        add_name(report->lost, sizeof report->lost, PQH_GUARD_PREPARE);
    }
    if (bytes < -log1p(PQH_BYTES_EFFECT)) {
        add_name(report->lost, sizeof report->lost, PQH_GUARD_BYTES);
    }
    pthread_mutex_unlock(&report->lock);
}

static int run_guards(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    struct pqh_report *report = judge->report;
    double logs[PQH_NUM_GUARD_CELLS];

    pthread_mutex_lock(&report->lock);
    report->guarded = 1;
    pthread_mutex_unlock(&report->lock);
    for (int g = 0; g < PQH_NUM_GUARD_CELLS; g++) {
        if (measure_guard(judge, (enum pqh_guard)g, &logs[g], outcome) != 0) {
            return -1;
        }
    }
    guard_preparing(judge);
    pthread_mutex_lock(&report->lock);
    report->composite = exp(pqh_composite(
        pqh_cell_speed(&judge->primary).estimate, logs, PQH_NUM_GUARD_CELLS));
    pthread_mutex_unlock(&report->lock);
    return 0;
}

/* Whether what it takes longer before its time begins could be the effect. */
static int hides_effect(const struct pqh_judge *judge, struct pqh_cell *cell)
{
    return pqh_cell_hidden(cell) >
           judge->settings.min_effect *
               pqh_cell_median(&cell->observed[PQH_BASELINE]);
}

static enum pqh_verdict verdict_of(const struct pqh_judge *judge,
                                   struct pqh_cell *cell)
{
    enum pqh_verdict verdict = pqh_judge_speed(
        pqh_cell_speed(cell), pqh_cell_null(cell), judge->settings.min_effect);

    return verdict == PQH_FASTER && hides_effect(judge, cell) ? PQH_UNRESOLVED
                                                              : verdict;
}

/* 1 if the second run agrees. */
static int confirm(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    struct pqh_cell *cell = &judge->confirmation;
    int passed;

    atomic_store(&judge->current, cell);
    if (pqh_cell_run(cell, judge->fixture, next_seed(judge), outcome) != 0) {
        return ended_in("confirmation", outcome);
    }
    if (check_exact(cell, "confirmation", outcome) != 0) {
        return -1;
    }
    passed = verdict_of(judge, cell) == PQH_FASTER;
    pthread_mutex_lock(&judge->report->lock);
    judge->report->confirmation = passed ? "passed" : "failed";
    pthread_mutex_unlock(&judge->report->lock);
    return passed;
}

static int hold_out(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    int passed;

    atomic_store(&judge->current, NULL);
    passed = pqh_holdout_run(&judge->holdout, judge->fixture,
                             pqh_cell_speed(&judge->primary).estimate,
                             next_seed(judge), outcome);
    pthread_mutex_lock(&judge->report->lock);
    judge->report->holdout = passed == 1 ? "passed" : "failed";
    pthread_mutex_unlock(&judge->report->lock);
    return passed;
}

/* ------------------------------------------------------------------------ */
/* Verdict                                                                  */
/* ------------------------------------------------------------------------ */

static int conclude(struct pqh_judge *judge, const char *verdict,
                    struct pqh_outcome *outcome)
{
    pthread_mutex_lock(&judge->report->lock);
    judge->report->verdict = verdict;
    pthread_mutex_unlock(&judge->report->lock);
    outcome->code = PQH_EXIT_OK;
    outcome->status = "ok";
    return 0;
}

static int leave_open(struct pqh_judge *judge, const char *why,
                      struct pqh_outcome *outcome)
{
    conclude(judge, "unresolved", outcome);
    return pqh_end(outcome, PQH_EXIT_UNRESOLVED, "unresolved", "%s", why);
}

/* What has to agree before a candidate is called faster.  What convicts it comes
 * before guards that are not resolved: noise is no excuse. */
static int prove(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    int agrees = confirm(judge, outcome);
    char why[160];

    if (agrees < 0) {
        return -1;
    }
    if (!agrees) {
        return leave_open(judge, "a second run did not confirm the first",
                          outcome);
    }
    agrees = hold_out(judge, outcome);
    if (agrees < 0) {
        return -1;
    }
    if (!agrees) {
        return pqh_end(outcome, PQH_EXIT_RECALL, "holdout",
                       "the hold-out was not passed");
    }
    if (judge->report->hidden[0] != '\0') {
        snprintf(why, sizeof why,
                 "faster in the primary cell, but these guards are not "
                 "resolved: %s",
                 judge->report->hidden);
        return leave_open(judge, why, outcome);
    }
    return conclude(judge, "faster", outcome);
}

/* Why the primary cell is neither faster nor slower nor the same. */
static const char *why_open(struct pqh_judge *judge, char *text, size_t size)
{
    struct pqh_interval speed = ratio_of(pqh_cell_speed(&judge->primary));
    double effect = judge->settings.min_effect;
    double band = exp(pqh_null_band(pqh_cell_null(&judge->primary))) - 1.0;

    if (hides_effect(judge, &judge->primary)) {
        return "it takes longer before its time begins, by more than the "
               "effect asked for";
    }
    if (!isfinite(speed.low) || !isfinite(speed.high)) {
        return "too few rounds for an interval";
    }
    snprintf(text, size,
             "the interval, %.4f to %.4f, lies neither above %.4f nor below "
             "%.4f%s",
             speed.low, speed.high, 1.0 + fmax(effect, band),
             1.0 / (1.0 + fmax(effect, band)),
             band > effect ? ", which is how much two equal arms differ"
                           : ", nor between them");
    return text;
}

static int conclude_guards(struct pqh_judge *judge, enum pqh_verdict verdict,
                           struct pqh_outcome *outcome)
{
    const struct pqh_report *report = judge->report;

    if (report->lost[0] != '\0') {
        conclude(judge, "vetoed", outcome);
        snprintf(outcome->reason, sizeof outcome->reason,
                 "%s in the primary cell, slower in the guard cells: %s",
                 verdict == PQH_FASTER ? "faster" : "the same", report->lost);
        return 0;
    }
    if (verdict != PQH_FASTER) {
        return conclude(judge, "same", outcome);
    }
    return prove(judge, outcome);
}

static int compare(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    enum pqh_verdict verdict = verdict_of(judge, &judge->primary);
    char why[160];

    if (judge->primary.stopped_early || verdict == PQH_SLOWER) {
        return conclude(judge, "slower", outcome);
    }
    if (verdict == PQH_UNRESOLVED) {
        return leave_open(judge, why_open(judge, why, sizeof why), outcome);
    }
    return run_guards(judge, outcome) != 0
               ? -1
               : conclude_guards(judge, verdict, outcome);
}

int pqh_judge_run(struct pqh_judge *judge, uint64_t seed,
                  const struct pqh_fixture *fixture,
                  struct pqh_outcome *outcome)
{
    judge->fixture = fixture;
    judge->random = pqk_random_mix(seed);
    if (run_primary(judge, seed, outcome) != 0) {
        return -1;
    }
    if (judge->settings.against != NULL && !judge->settings.look) {
        return compare(judge, outcome);
    }
    outcome->code = PQH_EXIT_OK;
    outcome->status = "ok";
    return 0;
}
