/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "prepare.h"
#include "base/clock.h"
#include "base/splitmix.h"
#include "queries.h"
#include "varied.h"

#include <math.h>

/* A round has as many queries as keep the fastest arm busy this long, up to
 * PQH_CELL_ROUND. */
#define TURN_NS 2e6

/* Before that it warms up this long: the other arm's turn has driven this arm's
 * index out of the caches, and one query reads only a part of it back. */
#define WARM_UP_NS  1.5e6
#define MIN_WARM_UP 2

/* The first index is made several times, to see what its first queries take,
 * unless that takes too long. */
#define CREATION_NS 1.5e9

/* And so many times as long as its first queries look too slow: deferred work stays
 * however often, a machine that is busy forgives one of many. */
#define MOST_CREATIONS 40

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
    size_t count = PQH_CELL_FIRST_REQUESTS * cell->group;

    for (size_t i = 0; i < count; i++) {
        pqh_cell_make_any_query(cell, cell->queries + i * dim);
    }
    if (pqh_arm_turn(&cell->arms[a], cell->queries, dim, count,
                     cell->call_limit, &cell->random, cell->replies[a],
                     outcome) != 0) {
        return -1;
    }
    for (size_t j = 0; j < PQH_CELL_FIRST_REQUESTS; j++) {
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
                                .k = cell->asked_k,
                                .place = cell->place,
                                .num_sub_vectors = codebook->num_sub_vectors,
                                .num_centroids = codebook->num_centroids,
                                .sub_vector_dim = codebook->sub_vector_dim,
                                .num_vectors = cell->fixture->num_base};
}

/*
 * Makes the candidate's index several times and sends a few requests after each.
 * What counts is the least time of the first request, the least of the second,
 * and so on: chance does not slow the same one every time, deferred work does.
 */
static int prepare_often(struct pqh_cell *cell, double *fastest,
                         struct pqh_outcome *outcome)
{
    struct pqh_arm *arm = &cell->arms[PQH_CANDIDATE];
    struct pqh_command command = prepare_command(cell);
    double least[PQH_CELL_FIRST_REQUESTS], total = 0.0;
    int most = cell->plan.creations;

    cell->prepare_ns = INFINITY;
    for (size_t j = 0; j < PQH_CELL_FIRST_REQUESTS; j++) {
        least[j] = INFINITY;
    }
    for (int i = 0; i < most && (i < 2 || total < CREATION_NS); i++) {
        double took, quickest = INFINITY, slowest = 0.0;
        if (pqh_arm_command(arm, &command, cell->long_limit,
                            "preparing the index", outcome) != 0 ||
            ask_first(cell, PQH_CANDIDATE, least, outcome) != 0) {
            return -1;
        }
        took = (double)arm->setup.slot->prepare_ns;
        cell->prepare_ns = fmin(took, cell->prepare_ns);
        total += took;
        for (size_t j = 0; j < PQH_CELL_FIRST_REQUESTS; j++) {
            slowest = fmax(slowest, least[j]);
            quickest = fmin(quickest, least[j]);
        }
        if (i + 1 == most && most < MOST_CREATIONS &&
            slowest > pqh_cell_first_limit(quickest)) {
            most++;
        }
        cell->first_ns = slowest;
        *fastest = quickest / (double)cell->group;
    }
    return 0;
}

/* The arms from `first` on, side by side. */
static int prepare_once(struct pqh_cell *cell, size_t first, double *fastest,
                        struct pqh_outcome *outcome)
{
    struct pqh_command command = prepare_command(cell);
    size_t order[PQH_MAX_ARMS];

    pqh_cell_draw_order(cell, order);
    for (size_t i = 0; i < cell->num_arms; i++) {
        if (order[i] >= first &&
            pqh_arm_begin(&cell->arms[order[i]], &command, outcome) != 0) {
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
        double least[PQH_CELL_FIRST_REQUESTS];
        for (size_t j = 0; j < PQH_CELL_FIRST_REQUESTS; j++) {
            least[j] = INFINITY;
        }
        if (ask_first(cell, a, least, outcome) != 0) {
            return -1;
        }
        for (size_t j = 0; j < PQH_CELL_FIRST_REQUESTS; j++) {
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
        pqh_cell_whole_requests(cell, (size_t)fmin(warm_up, PQH_CELL_WARM_UP));
}

/* What preparing took each arm; the candidate's only if all made it once. */
static void enter_preparing(struct pqh_cell *cell, int all)
{
    double logs[PQH_MAX_ARMS] = {0.0};

    for (size_t a = 0; a < cell->num_arms; a++) {
        double took = fmax((double)cell->arms[a].setup.slot->prepare_ns, 1.0);
        logs[a] = log(took);
        cell->index_bytes[a] = cell->arms[a].setup.slot->index_bytes;
        if (a != PQH_CANDIDATE) {
            cell->baseline_prepare_ns = fmin(cell->baseline_prepare_ns, took);
        }
    }
    if (all && cell->num_arms == PQH_MAX_ARMS) {
        pqh_cell_push(&cell->prepare_speed,
                      (logs[PQH_BASELINE] + logs[PQH_NULL]) / 2.0 -
                          logs[PQH_CANDIDATE]);
        pqh_cell_push(&cell->prepare_null, logs[PQH_BASELINE] - logs[PQH_NULL]);
    }
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
    cell->max_replays = PQH_CELL_REPLAYS / cell->num_sittings;
    cell->max_replays = cell->max_replays > 0 ? cell->max_replays : 1;
}

int pqh_cell_prepare(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    uint64_t raw_bytes = (uint64_t)cell->fixture->num_base *
                         cell->fixture->codebook.num_sub_vectors;
    double fastest = INFINITY;
    int often = cell->plan.creations > 1;
    uint64_t start;

    cell->place = pqk_random_next(&cell->random);
    if (pqh_inputs_write(cell->inputs[0], cell->fixture, outcome) != 0) {
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
    enter_preparing(cell, 0);
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

/* Once the fixture's own queries have all been asked, which need its codes as they
 * are, each sitting has other sizes: what is made for one alone wins nothing. */
static int vary(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    size_t k = cell->plan.k;

    if (cell->next_task < cell->num_mixed) {
        return 0;
    }
    pqh_varied_free(&cell->varied);
    if (pqh_varied_make(cell->given, 0, cell->given->num_base / PQH_VARIES,
                        &cell->random, &cell->varied) != 0) {
        cell->fixture = cell->given;
        return pqh_end(outcome, PQH_EXIT_ERROR, "error", "out of memory");
    }
    cell->fixture = &cell->varied;
    cell->asked_k = k - pqk_random_below(&cell->random, k / PQH_VARIES_K + 1);
    return 0;
}

int pqh_cell_prepare_sitting(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    double fastest = INFINITY;

    cell->place = pqk_random_next(&cell->random);
    if (vary(cell, outcome) != 0 ||
        pqh_inputs_write(cell->inputs[cell->sitting], cell->fixture, outcome) !=
            0 ||
        prepare_once(cell, PQH_CANDIDATE, &fastest, outcome) != 0) {
        return -1;
    }
    enter_preparing(cell, 1);
    take_places(cell);
    return 0;
}
