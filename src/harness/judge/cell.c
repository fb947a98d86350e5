/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "cell.h"

#include "base/splitmix.h"
#include "seed.h"
#include "varied.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)

#define ROUND_BYTES ((size_t)32 << 20)

/* ------------------------------------------------------------------------ */
/* Children                                                                 */
/* ------------------------------------------------------------------------ */

static const char *const names[PQH_MAX_ARMS] = {"candidate", "baseline",
                                                "second baseline"};

/* Which child is which arm: drawn when all of them are there, so that nothing in
 * a child's memory says it. */
static void draw_roles(struct pqh_cell *cell, struct pqh_arm *arms)
{
    uint64_t random = pqh_random_seed();

    for (size_t i = cell->num_arms; i > 1; i--) {
        size_t j = pqk_random_below(&random, i);
        struct pqh_arm arm = arms[j];
        arms[j] = arms[i - 1];
        arms[i - 1] = arm;
    }
    for (size_t a = 0; a < cell->num_arms && a < PQH_MAX_ARMS; a++) {
        arms[a].name = names[a];
        arms[a].library = a == PQH_CANDIDATE ? cell->plan.library_image
                                             : cell->plan.against_image;
    }
}

static int start_sitting(struct pqh_cell *cell, struct pqh_candidate setup,
                         struct pqh_arm *arms, struct pqh_outcome *outcome)
{
    for (size_t a = 0; a < cell->num_arms && a < PQH_MAX_ARMS; a++) {
        setup.built_in = a == PQH_BASELINE && !setup.unnamed;
        if (pqh_arm_start(&arms[a], names[a], &setup, outcome) != 0) {
            return -1;
        }
    }
    if (setup.unnamed) {
        draw_roles(cell, arms);
    }
    return 0;
}

void pqh_cell_draw_order(struct pqh_cell *cell, size_t order[PQH_MAX_ARMS])
{
    for (size_t a = 0; a < PQH_MAX_ARMS; a++) {
        order[a] = a;
    }
    for (size_t i = cell->num_arms; i > 1; i--) {
        size_t j = pqk_random_below(&cell->random, i);
        size_t a = order[j];
        order[j] = order[i - 1];
        order[i - 1] = a;
    }
}

int pqh_cell_start(struct pqh_cell *cell, const struct pqh_cell_plan *plan,
                   struct pqh_report *report, struct pqh_outcome *outcome)
{
    struct pqh_candidate setup = {.unnamed = plan->against != NULL,
                                  .library = plan->library,
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
    for (size_t s = 0; s < cell->num_sittings; s++) {
        cell->inputs[s] = pqh_inputs_make(&setup.inputs, outcome);
        if (cell->inputs[s] < 0 ||
            start_sitting(cell, setup, cell->sittings[s], outcome) != 0) {
            return -1;
        }
        close(setup.inputs);
    }
    return 0;
}

int pqh_cell_load(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    struct pqh_report *report = cell->report;
    struct pqh_command command = {.kind = PQH_LOAD};
    const struct pqh_slot *slot;
    size_t order[PQH_MAX_ARMS];

    pqh_cell_draw_order(cell, order);
    for (size_t i = 0; i < cell->num_arms && !cell->loaded; i++) {
        if (pqh_arm_command(&cell->arms[order[i]], &command, cell->long_limit,
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
/* Sizes                                                                    */
/* ------------------------------------------------------------------------ */

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
        cell, count < cell->plan.min_queries ? cell->plan.min_queries : count);
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

static int need_samples(struct pqh_samples *samples, size_t count,
                        struct pqh_outcome *outcome)
{
    samples->values = need(outcome, count, sizeof *samples->values);
    return samples->values != NULL ? 0 : -1;
}

static struct pqh_reply *need_replies(struct pqh_outcome *outcome, size_t count,
                                      size_t k)
{
    struct pqh_reply *replies = need(outcome, count, sizeof *replies);
    pqk_row_result *results = need(outcome, count * k, sizeof *results);

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

enum { NUM_SINGLE = 10, NUM_SAMPLES = NUM_SINGLE + 5 * PQH_MAX_ARMS };

/* All samples of a cell. */
static void list_samples(struct pqh_cell *cell,
                         struct pqh_samples *all[NUM_SAMPLES])
{
    struct pqh_samples *const single[NUM_SINGLE] = {
        &cell->claimed,       &cell->speed,        &cell->null,
        &cell->stream,        &cell->speed_known,  &cell->speed_new,
        &cell->sitting_speed, &cell->sitting_null, &cell->prepare_speed,
        &cell->prepare_null};
    size_t count = 0;

    for (; count < NUM_SINGLE; count++) {
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

static int allocate_samples(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    size_t most =
        pqh_cell_count_first_tasks(cell) + PQH_CELL_MORE + cell->round_size;
    struct pqh_samples *all[NUM_SAMPLES];

    list_samples(cell, all);
    for (size_t i = 0; i < NUM_SAMPLES; i++) {
        if (need_samples(all[i], most, outcome) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Everything that a run needs; nothing is allocated later. */
int pqh_cell_allocate(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    const struct pqh_fixture *fixture = cell->fixture;
    size_t k = cell->plan.k, dim = fixture->dim;
    size_t by_bytes = ROUND_BYTES / (k * sizeof(pqk_row_result));
    size_t round = by_bytes > PQH_CELL_ROUND ? PQH_CELL_ROUND : by_bytes;
    size_t first = PQH_CELL_FIRST_REQUESTS * cell->group, tasks, turn;

    round = round < cell->plan.min_round ? cell->plan.min_round : round;
    round = pqh_cell_whole_requests(cell, round);
    cell->round_size = round;
    turn = round + pqh_cell_whole_requests(cell, PQH_CELL_WARM_UP);
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
    cell->replay_queries = need(outcome, PQH_CELL_REPLAYS * dim, sizeof(float));
    cell->replays = need_replies(outcome, PQH_CELL_REPLAYS, k);
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
    return allocate_samples(cell, outcome);
}

void pqh_cell_free(struct pqh_cell *cell)
{
    struct pqh_samples *all[NUM_SAMPLES];

    list_samples(cell, all);
    for (size_t i = 0; i < NUM_SAMPLES; i++) {
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
    pqh_varied_free(&cell->varied);
    for (size_t s = 0; s < cell->plan.num_sittings; s++) {
        close(cell->inputs[s]);
    }
}

/* ------------------------------------------------------------------------ */
/* Intervals                                                                */
/* ------------------------------------------------------------------------ */

double pqh_cell_median(struct pqh_samples *samples)
{
    pqh_sort(samples->values, samples->count);
    return pqh_quantile(samples->values, samples->count, 0.5);
}

/* Of sittings, if there were enough of them, else of rounds. */
static struct pqh_interval interval_of(const struct pqh_samples *sittings,
                                       const struct pqh_samples *rounds)
{
    struct pqh_interval interval =
        pqh_shift_interval(sittings->values, sittings->count, 0.05);

    if (isfinite(interval.low)) {
        return interval;
    }
    return pqh_median_interval(rounds->values, rounds->count);
}

/* Too few sittings give no interval. */
struct pqh_interval pqh_cell_prepare_speed(const struct pqh_cell *cell)
{
    return pqh_shift_interval(cell->prepare_speed.values,
                              cell->prepare_speed.count, 0.05);
}

struct pqh_interval pqh_cell_prepare_null(const struct pqh_cell *cell)
{
    return pqh_shift_interval(cell->prepare_null.values,
                              cell->prepare_null.count, 0.05);
}

struct pqh_interval pqh_cell_speed(const struct pqh_cell *cell)
{
    return interval_of(&cell->sitting_speed, &cell->speed);
}

struct pqh_interval pqh_cell_null(const struct pqh_cell *cell)
{
    return interval_of(&cell->sitting_null, &cell->null);
}
