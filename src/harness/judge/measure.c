/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "measure.h"
#include "base/clock.h"
#include "base/progress.h"
#include "checks.h"
#include "prepare.h"
#include "queries.h"
#include "rounds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Measuring stops early when the candidate is surely slower at this level: judged
 * by sittings, or, after a few of these, by rounds.  Rounds do not show how
 * processes differ, so they need the larger margin. */
#define SURE_OUTSIDE  0.001
#define SURE_SITTINGS 3
#define SURE_MARGIN   0.05

/* If sittings take too long, this many are enough. */
#define ENOUGH_SITTINGS 6

/* Rounds while the sitting's time lasts; in the last one, at least as many as
 * there have to be. */
static int run_sitting(struct pqh_cell *cell, size_t first, size_t most,
                       struct pqh_outcome *outcome)
{
    uint64_t limit = cell->plan.measure_ns / cell->num_sittings;
    uint64_t start = pqk_clock();
    int last = cell->sitting + 1 == cell->num_sittings;
    int failed = 0, begun = 0;

    while (!failed && cell->claimed.count < most &&
           (!begun || pqk_clock() - start < limit ||
            (last && cell->claimed.count < first))) {
        size_t count;
        if (cell->next_task == cell->num_tasks) {
            pqh_cell_refill_tasks(cell, 0);
        }
        count = cell->num_tasks - cell->next_task;
        count = count < cell->round_size ? count : cell->round_size;
        cell->mixed = cell->next_task < cell->num_mixed;
        failed = pqh_cell_run_round(cell, cell->tasks + cell->next_task, count,
                                    outcome);
        cell->next_task += count;
        begun = 1;
        pqk_progress_add(count);
    }
    return failed;
}

/* Of the rounds from `first` on. */
static void enter_sitting(struct pqh_cell *cell, size_t first, double *scratch)
{
    const double *levels[PQH_MAX_ARMS];
    struct pqh_sitting sitting;

    for (size_t a = 0; a < PQH_MAX_ARMS; a++) {
        levels[a] = cell->levels[a].values + first;
    }
    sitting = pqh_sitting_of(levels, cell->speed.count - first, scratch);
    pqh_cell_push(&cell->sitting_speed, sitting.speed);
    pqh_cell_push(&cell->sitting_null, sitting.null);
}

static int surely_slower(const struct pqh_cell *cell, double *scratch)
{
    double least = log1p(cell->plan.stop_effect);
    size_t count = cell->sitting_speed.count;
    struct pqh_interval sittings, rounds;

    if (!(cell->plan.stop_effect > 0.0) || count < SURE_SITTINGS) {
        return 0;
    }
    memcpy(scratch, cell->sitting_speed.values, count * sizeof *scratch);
    pqh_sort(scratch, count);
    sittings = pqh_shift_interval(scratch, count, SURE_OUTSIDE);
    memcpy(scratch, cell->speed.values, cell->speed.count * sizeof *scratch);
    pqh_sort(scratch, cell->speed.count);
    rounds = pqh_median_interval_at(scratch, cell->speed.count, SURE_OUTSIDE);
    return sittings.high < -least || rounds.high < -least - SURE_MARGIN;
}

/* How many of the fixture's queries have to be asked for its recall. */
static size_t known_queries(const struct pqh_cell *cell)
{
    return cell->fixture->truth != NULL ? cell->fixture->num_queries : 0;
}

/* Whether half as much time again is over, and enough is known. */
static int is_late(const struct pqh_cell *cell, uint64_t start, size_t first)
{
    return cell->sitting_speed.count >= ENOUGH_SITTINGS &&
           cell->claimed.count >= first &&
           pqk_clock() - start > cell->plan.measure_ns / 2 * 3;
}

static int end_sitting(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    const struct pqh_arm *candidate = &cell->arms[PQH_CANDIDATE];

    cell->peak_bytes = fmax(cell->peak_bytes, pqh_arm_peak_bytes(candidate));
    cell->other_cpu_ns += pqh_arm_other_cpu(candidate);
    if (pqh_cell_check_sitting(cell, outcome) != 0) {
        return -1;
    }
    for (size_t a = 0; a < cell->num_arms; a++) {
        cell->idle_cpu_ns[a] += cell->arms[a].idle_cpu_ns;
        cell->idle_ns[a] += cell->arms[a].idle_ns;
        cell->turns[a] += cell->arms[a].turns;
        cell->awake[a] += cell->arms[a].awake;
        pqh_arm_kill(&cell->arms[a]);
    }
    return 0;
}

static int next_sitting(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    if (end_sitting(cell, outcome) != 0) {
        return -1;
    }
    cell->sitting++;
    cell->arms = cell->sittings[cell->sitting];
    cell->loaded = 0;
    cell->num_replays = 0;
    return pqh_cell_load(cell, outcome) != 0
               ? -1
               : pqh_cell_prepare_sitting(cell, outcome);
}

static int measure(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    size_t first = pqh_cell_count_first_tasks(cell),
           most = first + PQH_CELL_MORE;
    double *scratch = calloc(most + PQH_CELL_ROUND, sizeof *scratch);
    uint64_t start = pqk_clock();
    int failed = 0;

    if (scratch == NULL) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error", "out of memory");
    }
    pqh_cell_refill_tasks(cell, 1);
    pqk_progress_begin("measuring", first);
    for (;;) {
        size_t rounds = cell->speed.count;
        failed = run_sitting(cell, first, most, outcome);
        if (failed) {
            break;
        }
        enter_sitting(cell, rounds, scratch);
        cell->stopped_early =
            cell->known >= known_queries(cell) && surely_slower(cell, scratch);
        if (cell->stopped_early || cell->sitting + 1 == cell->num_sittings ||
            is_late(cell, start, first)) {
            break;
        }
        failed = next_sitting(cell, outcome);
        if (failed) {
            break;
        }
    }
    pqk_progress_end();
    free(scratch);
    return failed;
}

static void sort_samples(struct pqh_cell *cell)
{
    struct pqh_samples *const all[] = {
        &cell->speed,        &cell->null,          &cell->sitting_speed,
        &cell->sitting_null, &cell->prepare_speed, &cell->prepare_null};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        pqh_sort(all[i]->values, all[i]->count);
    }
}

int pqh_cell_run(struct pqh_cell *cell, const struct pqh_fixture *fixture,
                 uint64_t seed, struct pqh_outcome *outcome)
{
    size_t base = fixture->num_base;

    cell->fixture = cell->given = fixture;
    cell->asked_k = cell->plan.k;
    cell->baseline_prepare_ns = INFINITY;
    cell->random = seed;
    cell->k = cell->plan.k < base ? cell->plan.k : base;
    cell->k10 = cell->k < 10 ? cell->k : 10;
    if (fixture->dim > PQH_MAX_DIM) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error",
                       "%s: vectors of %zu values; at most %d can be judged",
                       fixture->source, fixture->dim, PQH_MAX_DIM);
    }
    if (pqh_cell_load(cell, outcome) != 0 ||
        pqh_cell_allocate(cell, outcome) != 0 ||
        pqh_cell_prepare(cell, outcome) != 0 || measure(cell, outcome) != 0 ||
        end_sitting(cell, outcome) != 0) {
        return -1;
    }
    sort_samples(cell);
    return pqh_cell_check(cell, outcome);
}
