/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "cell.h"
#include "base/clock.h"
#include "base/splitmix.h"
#include "base/threads.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)

/* A turn of the fastest arm takes so long, if that many queries are enough. */
#define TURN_NS     2e6
#define ROUND_BYTES ((size_t)32 << 20)

/* Before that it warms up for so long: a query that reads only a part of the
 * index leaves the rest of it where the other arm's turn has driven it. */
#define WARM_UP_NS  1.5e6
#define MIN_WARM_UP 2
#define MAX_WARM_UP 8

/* The first index is made several times, to see what its first queries take,
 * unless that takes too long. */
#define CREATION_NS    1.5e9
#define FIRST_REQUESTS 4

/* Asked again at the ends of sittings. */
#define REPLAYS 16

/* ------------------------------------------------------------------------ */
/* Children                                                                 */
/* ------------------------------------------------------------------------ */

static int start_sitting(struct pqh_cell *cell, struct pqh_candidate setup,
                         struct pqh_arm *arms, struct pqh_outcome *outcome)
{
    static const char *const names[] = {"candidate", "baseline",
                                        "second baseline"};

    /* The candidate first: it then inherits nothing of the others. */
    for (size_t a = 0; a < cell->num_arms && a < PQH_MAX_ARMS; a++) {
        if (a == PQH_BASELINE) {
            setup.library = cell->plan.against;
            setup.built_in = cell->plan.against == NULL;
        }
        if (pqh_arm_start(&arms[a], names[a], &setup, outcome) != 0) {
            return -1;
        }
    }
    return 0;
}

int pqh_cell_start(struct pqh_cell *cell, const struct pqh_plan *plan,
                   struct pqh_report *report, struct pqh_outcome *outcome)
{
    struct pqh_candidate setup = {.library = plan->library,
                                  .kernel = plan->kernel,
                                  .way = plan->way,
                                  .k = plan->k};

    memset(cell, 0, sizeof *cell);
    cell->plan = *plan;
    cell->report = report;
    cell->group = pqh_way_group(plan->way);
    cell->num_arms = plan->against != NULL ? 3 : 2;
    cell->num_sittings = plan->num_sittings;
    cell->arms = cell->sittings[0];
    cell->call_limit = 10 * SECOND;
    cell->long_limit = 60 * SECOND;
    cell->inputs = pqh_inputs_make(&setup.inputs, outcome);
    if (cell->inputs < 0) {
        return -1;
    }
    for (size_t s = 0; s < cell->num_sittings; s++) {
        if (start_sitting(cell, setup, cell->sittings[s], outcome) != 0) {
            return -1;
        }
    }
    close(setup.inputs);
    return 0;
}

int pqh_cell_load(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    struct pqh_report *report = cell->report;
    struct pqh_command command = {.kind = PQH_LOAD};
    const struct pqh_slot *slot;

    for (size_t a = 0; a < cell->num_arms && !cell->loaded; a++) {
        if (pqh_arm_command(&cell->arms[a], &command, cell->long_limit,
                            "loading the library", outcome) != 0) {
            return -1;
        }
    }
    cell->loaded = 1;
    slot = cell->arms[PQH_CANDIDATE].setup.slot;
    pthread_mutex_lock(&report->lock);
    snprintf(report->kernel, sizeof report->kernel, "%.*s",
             (int)sizeof slot->kernel - 1, slot->kernel);
    snprintf(report->available, sizeof report->available, "%.*s",
             (int)sizeof slot->available - 1, slot->available);
    report->missing |= slot->missing;
    report->sandboxed = 1;
    pthread_mutex_unlock(&report->lock);
    return 0;
}

void pqh_cell_kill(struct pqh_cell *cell)
{
    for (size_t s = 0; s < cell->num_sittings; s++) {
        for (size_t a = 0; a < cell->num_arms; a++) {
            pqh_arm_kill(&cell->sittings[s][a]);
        }
    }
}

void pqh_cell_show_logs(const struct pqh_cell *cell)
{
    for (size_t a = 0; a < cell->num_arms; a++) {
        pqh_arm_show_log(&cell->arms[a]);
    }
}

/* ------------------------------------------------------------------------ */
/* Queries                                                                  */
/* ------------------------------------------------------------------------ */

/*
 * A query like one of the fixture's that no process has ever seen: each value
 * moved by up to 1/64 of the mean size.  The work that it takes is the same, a
 * result stored for it is not.
 */
void pqh_cell_make_query(struct pqh_cell *cell, size_t from, float *query)
{
    size_t dim = cell->fixture->dim;
    const float *original = cell->fixture->queries + from * dim;
    double step = 0.0;

    for (size_t d = 0; d < dim; d++) {
        step += fabs((double)original[d]);
    }
    step /= 64.0 * (double)dim;
    if (!(step > 0.0 && step < 1e30)) {
        step = 1e-3;
    }
    for (size_t d = 0; d < dim; d++) {
        double noise = 2.0 * pqk_random_unit(&cell->random) - 1.0;
        query[d] = (float)((double)original[d] + step * noise);
    }
}

void pqh_cell_make_any_query(struct pqh_cell *cell, float *query)
{
    pqh_cell_make_query(
        cell, pqk_random_below(&cell->random, cell->fixture->num_queries),
        query);
}

/* As many queries, or a few more, that whole requests come out. */
size_t pqh_cell_whole_requests(const struct pqh_cell *cell, size_t queries)
{
    return (queries + cell->group - 1) / cell->group * cell->group;
}

/* Without a truth, the fixture's queries are only there to be changed. */
size_t pqh_cell_count_first_tasks(const struct pqh_cell *cell)
{
    size_t queries =
        cell->fixture->truth != NULL ? cell->fixture->num_queries : 0;
    size_t count = queries + queries / 4;

    return pqh_cell_whole_requests(
        cell, count < cell->plan.least ? cell->plan.least : count);
}

/* ------------------------------------------------------------------------ */
/* Memory                                                                   */
/* ------------------------------------------------------------------------ */

static void *need(struct pqh_outcome *outcome, size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size);

    if (memory == NULL) {
        pqh_end(outcome, PQH_EXIT_ERROR, "error",
                "out of memory: %zu times %zu bytes", count, size);
    }
    return memory;
}

static int need_series(struct pqh_series *series, size_t count,
                       struct pqh_outcome *outcome)
{
    series->values = need(outcome, count, sizeof *series->values);
    return series->values != NULL ? 0 : -1;
}

static struct pqh_reply *need_replies(struct pqh_outcome *outcome, size_t count,
                                      size_t k)
{
    struct pqh_reply *replies = need(outcome, count, sizeof *replies);
    pqk_neighbor *results = need(outcome, count * k, sizeof *results);

    if (replies == NULL || results == NULL) {
        free(replies);
        free(results);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        replies[i].results = results + i * k;
    }
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): replies[0] holds results */
    return replies;
}

static void free_replies(struct pqh_reply *replies)
{
    if (replies != NULL) {
        free(replies[0].results);
        free(replies);
    }
}

enum { NUM_SERIES = 8 + 5 * PQH_MAX_ARMS };

/* All series of a cell. */
static void list_series(struct pqh_cell *cell,
                        struct pqh_series *all[NUM_SERIES])
{
    struct pqh_series *const single[8] = {&cell->claimed,     &cell->speed,
                                          &cell->null,        &cell->stream,
                                          &cell->speed_known, &cell->speed_new,
                                          &cell->sat_speed,   &cell->sat_null};
    size_t count = 0;

    for (; count < 8; count++) {
        all[count] = single[count];
    }
    for (size_t a = 0; a < PQH_MAX_ARMS; a++) {
        all[count++] = &cell->levels[a];
        all[count++] = &cell->observed[a];
        all[count++] = &cell->placing[a];
        all[count++] = &cell->excess[a][0];
        all[count++] = &cell->excess[a][1];
    }
}

static int allocate_series(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    size_t most =
        pqh_cell_count_first_tasks(cell) + PQH_CELL_MORE + cell->round_size;
    struct pqh_series *all[NUM_SERIES];

    list_series(cell, all);
    for (size_t i = 0; i < NUM_SERIES; i++) {
        if (need_series(all[i], most, outcome) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Everything that a run needs; nothing is allocated later. */
static int allocate(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    const struct pqh_fixture *fixture = cell->fixture;
    size_t k = cell->plan.k, dim = fixture->dim;
    size_t by_bytes = ROUND_BYTES / (k * sizeof(pqk_neighbor));
    size_t round = by_bytes > PQH_CELL_ROUND ? PQH_CELL_ROUND : by_bytes;
    size_t first = FIRST_REQUESTS * cell->group, tasks, turn;

    round = round < cell->plan.min_round ? cell->plan.min_round : round;
    round = pqh_cell_whole_requests(cell, round);
    cell->round_size = round;
    turn = round + pqh_cell_whole_requests(cell, MAX_WARM_UP);
    turn = turn > first ? turn : first;
    tasks = pqh_cell_count_first_tasks(cell) +
            pqh_cell_whole_requests(cell, fixture->num_queries);
    cell->tasks = need(outcome, tasks, sizeof *cell->tasks);
    cell->queries = need(outcome, turn * dim, sizeof(float));
    cell->entries = need(outcome,
                         PQH_CELL_HELPERS * fixture->codebook.num_sub_vectors *
                             PQK_TABLE_STRIDE,
                         sizeof(float));
    cell->expected = need_replies(outcome, round, k);
    cell->marks = need(outcome, fixture->num_base, sizeof *cell->marks);
    cell->replay_queries = need(outcome, REPLAYS * dim, sizeof(float));
    cell->replays = need_replies(outcome, REPLAYS, k);
    for (size_t a = 0; a < cell->num_arms; a++) {
        cell->replies[a] = need_replies(outcome, turn, k);
        if (cell->replies[a] == NULL) {
            return -1;
        }
    }
    if (cell->tasks == NULL || cell->queries == NULL || cell->entries == NULL ||
        cell->expected == NULL || cell->marks == NULL ||
        cell->replay_queries == NULL || cell->replays == NULL) {
        return -1;
    }
    return allocate_series(cell, outcome);
}

void pqh_cell_free(struct pqh_cell *cell)
{
    struct pqh_series *all[NUM_SERIES];

    list_series(cell, all);
    for (size_t i = 0; i < NUM_SERIES; i++) {
        free(all[i]->values);
    }
    for (size_t a = 0; a < cell->num_arms; a++) {
        free_replies(cell->replies[a]);
    }
    free_replies(cell->expected);
    free_replies(cell->replays);
    free(cell->tasks);
    free(cell->queries);
    free(cell->entries);
    free(cell->marks);
    free(cell->replay_queries);
    close(cell->inputs);
}

/* ------------------------------------------------------------------------ */
/* Preparation                                                              */
/* ------------------------------------------------------------------------ */

/* Hours on an emulator are not a hang: time what the reference takes here. */
static void set_limits(struct pqh_cell *cell)
{
    uint64_t start = pqk_clock();
    uint64_t took;

    pqh_cell_expect(cell, cell->fixture->queries, 1);
    took = (pqk_clock() - start) * cell->group;
    if (cell->call_limit < 100 * took) {
        cell->call_limit = 100 * took;
    }
    if (cell->long_limit < 1000 * took) {
        cell->long_limit = 1000 * took;
    }
}

/* The first requests after preparing: least time of each so far. */
static int ask_first(struct pqh_cell *cell, size_t a, double *least,
                     struct pqh_outcome *outcome)
{
    size_t dim = cell->fixture->dim;
    size_t count = FIRST_REQUESTS * cell->group;

    for (size_t i = 0; i < count; i++) {
        pqh_cell_make_any_query(cell, cell->queries + i * dim);
    }
    if (pqh_arm_turn(&cell->arms[a], cell->queries, dim, count,
                     cell->call_limit, &cell->random, cell->replies[a],
                     outcome) != 0) {
        return -1;
    }
    for (size_t j = 0; j < FIRST_REQUESTS; j++) {
        least[j] = fmin(least[j],
                        (double)cell->replies[a][j * cell->group].observed_ns *
                            (double)cell->group);
    }
    return 0;
}

static struct pqh_command prepare_command(const struct pqh_cell *cell)
{
    const pqk_codebook *codebook = &cell->fixture->codebook;

    return (struct pqh_command){.kind = PQH_PREPARE,
                                .num_sub_vectors = codebook->num_sub_vectors,
                                .num_centroids = codebook->num_centroids,
                                .sub_vector_dim = codebook->sub_vector_dim,
                                .num_vectors = cell->fixture->num_base};
}

/*
 * Makes the candidate's index several times and sends a few requests after each.
 * Of the time that the first one takes we want the least, then of the second,
 * and so on: chance does not strike the same one every time, deferred work does.
 */
static int prepare_often(struct pqh_cell *cell, double *fastest,
                         struct pqh_outcome *outcome)
{
    struct pqh_arm *arm = &cell->arms[PQH_CANDIDATE];
    struct pqh_command command = prepare_command(cell);
    double least[FIRST_REQUESTS], total = 0.0;
    int most = cell->plan.creations;

    cell->prepare_ns = INFINITY;
    for (size_t j = 0; j < FIRST_REQUESTS; j++) {
        least[j] = INFINITY;
    }
    for (int i = 0; i < most && (i < 2 || total < CREATION_NS); i++) {
        double took;
        if (pqh_arm_command(arm, &command, cell->long_limit,
                            "preparing the index", outcome) != 0 ||
            ask_first(cell, PQH_CANDIDATE, least, outcome) != 0) {
            return -1;
        }
        took = (double)arm->setup.slot->prepare_ns;
        cell->prepare_ns = fmin(took, cell->prepare_ns);
        total += took;
    }
    for (size_t j = 0; j < FIRST_REQUESTS; j++) {
        cell->first_ns = fmax(cell->first_ns, least[j]);
        *fastest = fmin(*fastest, least[j] / (double)cell->group);
    }
    return 0;
}

/* The arms from `first` on, side by side. */
static int prepare_once(struct pqh_cell *cell, size_t first, double *fastest,
                        struct pqh_outcome *outcome)
{
    struct pqh_command command = prepare_command(cell);

    for (size_t a = first; a < cell->num_arms; a++) {
        if (pqh_arm_begin(&cell->arms[a], &command, outcome) != 0) {
            return -1;
        }
    }
    for (size_t a = first; a < cell->num_arms; a++) {
        if (pqh_arm_end(&cell->arms[a], cell->long_limit, "preparing the index",
                        outcome) != 0) {
            return -1;
        }
    }
    for (size_t a = first; a < cell->num_arms; a++) {
        double least[FIRST_REQUESTS];
        for (size_t j = 0; j < FIRST_REQUESTS; j++) {
            least[j] = INFINITY;
        }
        if (ask_first(cell, a, least, outcome) != 0) {
            return -1;
        }
        for (size_t j = 0; j < FIRST_REQUESTS; j++) {
            *fastest = fmin(*fastest, least[j] / (double)cell->group);
            if (a == PQH_BASELINE) {
                cell->baseline_first_ns =
                    fmax(cell->baseline_first_ns, least[j]);
            }
        }
    }
    return 0;
}

/* How long rounds are, and their warming up, when the fastest query takes so
 * many nanoseconds. */
static void set_round(struct pqh_cell *cell, double fastest)
{
    double least = (double)cell->plan.min_round;
    double round = fmax(ceil(TURN_NS / fastest), least);
    double warm_up = fmax(ceil(WARM_UP_NS / fastest), fmin(MIN_WARM_UP, least));

    if (round < (double)cell->round_size) {
        cell->round_size = pqh_cell_whole_requests(cell, (size_t)round);
    }
    cell->warm_up =
        pqh_cell_whole_requests(cell, (size_t)fmin(warm_up, MAX_WARM_UP));
}

static void report_preparation(struct pqh_cell *cell)
{
    const struct pqh_arm *candidate = &cell->arms[PQH_CANDIDATE];
    struct pqh_report *report = cell->report;

    pthread_mutex_lock(&report->lock);
    report->prepare_seconds = cell->prepare_ns / 1e9;
    report->bytes_per_code = (double)candidate->setup.slot->index_bytes /
                             (double)cell->fixture->num_base;
    report->peak_bytes = pqh_arm_peak_bytes(candidate);
    pthread_mutex_unlock(&report->lock);
}

/* All arms on the same processor, not always the same one. */
static void take_places(struct pqh_cell *cell)
{
    pqh_processors_draw(&cell->processors, &cell->random);
    for (size_t a = 0; a < cell->num_arms; a++) {
        pqh_processors_give(&cell->processors, cell->arms[a].pid);
        if (cell->processors.child >= 0) {
            cell->arms[a].setup.slot->patience = PQH_PATIENT;
        }
    }
}

/* As many sittings as half of the time lets us prepare. */
static void count_sittings(struct pqh_cell *cell, uint64_t took)
{
    uint64_t most = cell->plan.measure_ns / 2 / (took > 0 ? took : 1);

    if (cell->num_sittings > most) {
        cell->num_sittings = most > 0 ? (size_t)most : 1;
    }
    cell->most_replays = REPLAYS / cell->num_sittings;
    cell->most_replays = cell->most_replays > 0 ? cell->most_replays : 1;
}

static int prepare(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    uint64_t raw_bytes = (uint64_t)cell->fixture->num_base *
                         cell->fixture->codebook.num_sub_vectors;
    double fastest = INFINITY;
    int often = cell->plan.creations > 1;
    uint64_t start;

    if (pqh_inputs_write(cell->inputs, cell->fixture, outcome) != 0) {
        return -1;
    }
    set_limits(cell);
    if (often && prepare_often(cell, &fastest, outcome) != 0) {
        return -1;
    }
    start = pqk_clock();
    if (prepare_once(cell, often ? PQH_BASELINE : PQH_CANDIDATE, &fastest,
                     outcome) != 0) {
        return -1;
    }
    take_places(cell);
    set_round(cell, fastest);
    count_sittings(cell, pqk_clock() - start);
    /* What the candidate says, within reason. */
    cell->stream_bytes = cell->arms[PQH_CANDIDATE].setup.slot->index_bytes;
    if (cell->stream_bytes > 2 * raw_bytes) {
        cell->stream_bytes = 2 * raw_bytes;
    }
    if (cell->shown) {
        report_preparation(cell);
    }
    return 0;
}

/* ------------------------------------------------------------------------ */
/* Sittings                                                                 */
/* ------------------------------------------------------------------------ */

static int end_sitting(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    const struct pqh_arm *candidate = &cell->arms[PQH_CANDIDATE];

    cell->peak_bytes = fmax(cell->peak_bytes, pqh_arm_peak_bytes(candidate));
    cell->other_cpu_ns += pqh_arm_other_cpu(candidate);
    if (pqh_cell_check_sitting(cell, outcome) != 0) {
        return -1;
    }
    for (size_t a = 0; a < cell->num_arms; a++) {
        pqh_arm_kill(&cell->arms[a]);
    }
    return 0;
}

int pqh_cell_next_sitting(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    double fastest = INFINITY;

    if (end_sitting(cell, outcome) != 0) {
        return -1;
    }
    cell->sitting++;
    cell->arms = cell->sittings[cell->sitting];
    cell->loaded = 0;
    cell->num_replays = 0;
    if (pqh_cell_load(cell, outcome) != 0) {
        return -1;
    }
    if (prepare_once(cell, PQH_CANDIDATE, &fastest, outcome) != 0) {
        return -1;
    }
    take_places(cell);
    return 0;
}

double pqh_cell_median(struct pqh_series *series)
{
    pqh_sort(series->values, series->count);
    return pqh_quantile(series->values, series->count, 0.5);
}

/* Of sittings, if there were enough of them, else of rounds. */
static struct pqh_interval interval_of(const struct pqh_series *sittings,
                                       const struct pqh_series *rounds)
{
    struct pqh_interval interval =
        pqh_shift_interval(sittings->values, sittings->count, 0.05);

    if (isfinite(interval.low)) {
        return interval;
    }
    return pqh_median_interval(rounds->values, rounds->count);
}

struct pqh_interval pqh_cell_speed(const struct pqh_cell *cell)
{
    return interval_of(&cell->sat_speed, &cell->speed);
}

struct pqh_interval pqh_cell_null(const struct pqh_cell *cell)
{
    return interval_of(&cell->sat_null, &cell->null);
}

static void sort_series(struct pqh_cell *cell)
{
    struct pqh_series *const all[] = {&cell->speed, &cell->null,
                                      &cell->sat_speed, &cell->sat_null};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        pqh_sort(all[i]->values, all[i]->count);
    }
}

int pqh_cell_run(struct pqh_cell *cell, const struct pqh_fixture *fixture,
                 uint64_t seed, struct pqh_outcome *outcome)
{
    size_t base = fixture->num_base;

    cell->fixture = fixture;
    cell->random = seed;
    cell->k = cell->plan.k < base ? cell->plan.k : base;
    cell->k10 = cell->k < 10 ? cell->k : 10;
    if (fixture->dim > PQH_MAX_DIM) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error",
                       "%s: vectors of %zu values; at most %d can be judged",
                       fixture->source, fixture->dim, PQH_MAX_DIM);
    }
    if (pqh_cell_load(cell, outcome) != 0 || allocate(cell, outcome) != 0 ||
        prepare(cell, outcome) != 0 || pqh_cell_measure(cell, outcome) != 0 ||
        end_sitting(cell, outcome) != 0) {
        return -1;
    }
    sort_series(cell);
    return pqh_cell_check(cell, outcome);
}
