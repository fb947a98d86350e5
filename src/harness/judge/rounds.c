/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What a cell asks, and how it enters the answers. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "base/clock.h"
#include "base/progress.h"
#include "base/splitmix.h"
#include "base/threads.h"
#include "cell.h"
#include "harness/fixture/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A loser is let go when that is sure at this level: by sittings; or, when some
 * have been, by rounds, which know nothing of how processes differ, and so have
 * to be clearer. */
#define SURE_OUTSIDE  0.001
#define SURE_SITTINGS 3
#define SURE_MARGIN   0.05

/* Where sittings take longer than they should, so many are enough. */
#define ENOUGH_SITTINGS 6

/* ------------------------------------------------------------------------ */
/* What to ask                                                              */
/* ------------------------------------------------------------------------ */

/* Puts runs of `length` tasks into any order. */
static void shuffle(struct pqh_cell *cell, struct pqh_task *tasks, size_t count,
                    size_t length)
{
    for (size_t i = count / length; i > 1; i--) {
        size_t j = pqk_random_below(&cell->random, i);
        for (size_t t = 0; t < length; t++) {
            struct pqh_task task = tasks[(i - 1) * length + t];
            tasks[(i - 1) * length + t] = tasks[j * length + t];
            tasks[j * length + t] = task;
        }
    }
}

/*
 * First all queries of the fixture, mixed with others in any order; afterwards
 * others only.  A request is of one kind (one request may be of both), so that
 * a difference between the kinds shows.
 */
static void refill_tasks(struct pqh_cell *cell, int first)
{
    size_t queries = cell->fixture->num_queries;
    size_t known = first && cell->fixture->truth != NULL ? queries : 0;
    size_t count = first ? pqh_cell_count_first_tasks(cell)
                         : pqh_cell_whole_requests(cell, queries);

    for (size_t i = 0, query = 0; i < count; i++) {
        cell->tasks[i].query = (uint32_t)query;
        cell->tasks[i].known = i < known;
        query = query + 1 < queries ? query + 1 : 0;
    }
    shuffle(cell, cell->tasks, known, 1);
    shuffle(cell, cell->tasks + known, count - known, 1);
    shuffle(cell, cell->tasks, count, cell->group);
    cell->num_tasks = count;
    cell->next_task = 0;
    cell->mixed = known > 0;
}

/* ------------------------------------------------------------------------ */
/* The right answers                                                        */
/* ------------------------------------------------------------------------ */

struct expecting {
    struct pqh_cell *cell;
    const float *queries;
};

static void expect_range(void *context, size_t part, size_t begin, size_t end)
{
    const struct expecting *task = context;
    struct pqh_cell *cell = task->cell;
    const struct pqh_fixture *fixture = cell->fixture;
    size_t num_sub_vectors = fixture->codebook.num_sub_vectors;
    float *entries = cell->entries + part * num_sub_vectors * PQK_TABLE_STRIDE;

    for (size_t i = begin; i < end; i++) {
        struct pqh_reply *expected = &cell->expected[i];
        pqh_reference_table(task->queries + i * fixture->dim,
                            &fixture->codebook, entries);
        expected->count = pqh_reference_probe(entries, num_sub_vectors,
                                              fixture->codes, fixture->num_base,
                                              cell->plan.k, expected->results);
    }
}

void pqh_cell_expect(struct pqh_cell *cell, const float *queries, size_t count)
{
    struct expecting task = {cell, queries};
    size_t threads = pqk_num_processors();

    pqk_parallel_for(count,
                     threads < PQH_CELL_HELPERS ? threads : PQH_CELL_HELPERS,
                     expect_range, &task);
}

static void new_mark(struct pqh_cell *cell)
{
    cell->mark++;
}

/* How many of the first `limit` results are marked; what is repeated or out of
 * range is a miss. */
static size_t count_marked(struct pqh_cell *cell, const pqk_neighbor *results,
                           size_t count, size_t limit)
{
    size_t hits = 0;

    for (size_t i = 0; i < count && i < limit; i++) {
        uint32_t id = results[i].id;
        if (id < cell->fixture->num_base && cell->marks[id] == cell->mark) {
            cell->marks[id] = 0;
            hits++;
        }
    }
    return hits;
}

static size_t count_true(struct pqh_cell *cell, size_t query,
                         const pqk_neighbor *results, size_t count,
                         size_t limit)
{
    const uint32_t *truth =
        cell->fixture->truth + query * cell->fixture->truth_k;

    new_mark(cell);
    for (size_t i = 0; i < limit; i++) {
        cell->marks[truth[i]] = cell->mark;
    }
    return count_marked(cell, results, count, limit);
}

static size_t count_expected(struct pqh_cell *cell,
                             const struct pqh_reply *expected,
                             const struct pqh_reply *reply)
{
    new_mark(cell);
    for (size_t i = 0; i < cell->k10; i++) {
        cell->marks[expected->results[i].id] = cell->mark;
    }
    return count_marked(cell, reply->results, reply->count, cell->k10);
}

static int same_answers(const struct pqh_reply *a, const struct pqh_reply *b)
{
    return a->count == b->count &&
           memcmp(a->results, b->results, a->count * sizeof *a->results) == 0;
}

/* Checks the candidate's answer to task i of the round. */
static void check_answer(struct pqh_cell *cell, const struct pqh_task *task,
                         size_t i)
{
    const struct pqh_reply *reply =
        &cell->replies[PQH_CANDIDATE][cell->warm_up + i];
    const struct pqh_reply *expected = &cell->expected[i];
    size_t limits[2] = {cell->k10, cell->k};
    size_t overlap = count_expected(cell, expected, reply);

    cell->exact += (size_t)same_answers(reply, expected);
    if (!task->known) {
        cell->overlap_new += overlap;
        cell->fresh++;
        return;
    }
    cell->overlap_known += overlap;
    cell->known++;
    for (size_t j = 0; j < 2; j++) {
        cell->hits[j] += count_true(cell, task->query, reply->results,
                                    reply->count, limits[j]);
        cell->reference_hits[j] += count_true(
            cell, task->query, expected->results, expected->count, limits[j]);
    }
}

/* ------------------------------------------------------------------------ */
/* Timings                                                                  */
/* ------------------------------------------------------------------------ */

static void push(struct pqh_series *series, double value)
{
    series->values[series->count++] = value;
}

static double claimed_ns(const struct pqh_reply *reply)
{
    return fmax((double)(reply->table_ns + reply->probe_ns), 1.0);
}

/* What the candidate says of the time that the judge saw. */
static void enter_claims(struct pqh_cell *cell, const struct pqh_reply *reply)
{
    double seen = (double)reply->observed_ns / claimed_ns(reply);

    push(&cell->claimed, claimed_ns(reply));
    cell->log_table += log(fmax((double)reply->table_ns * seen, 1.0));
    cell->log_probe += log(fmax((double)reply->probe_ns * seen, 1.0));
    cell->survivors += (double)reply->stats.survivors;
    cell->bytes_read += (double)reply->stats.bytes_read;
    cell->codes += (double)cell->fixture->num_base;
}

/* Enters the timings of query i of the round. */
static void enter_timings(struct pqh_cell *cell, const struct pqh_task *task,
                          size_t i, double logs[PQH_MAX_ARMS])
{
    for (size_t a = 0; a < cell->num_arms; a++) {
        const struct pqh_reply *timed = &cell->replies[a][i];
        double ns = fmax((double)timed->observed_ns, 1.0);
        push(&cell->observed[a], ns);
        push(&cell->placing[a], (double)timed->placing_ns);
        push(&cell->excess[a][timed->shared], ns - claimed_ns(timed));
        logs[a] = log(ns);
    }
    if (cell->num_arms < PQH_MAX_ARMS) {
        logs[PQH_NULL] = logs[PQH_BASELINE];
    }
    for (size_t a = 0; a < PQH_MAX_ARMS; a++) {
        cell->log_ns[a] += logs[a];
    }
    enter_claims(cell, &cell->replies[PQH_CANDIDATE][i]);
    if (cell->mixed && i % cell->group == 0) {
        push(task->known ? &cell->speed_known : &cell->speed_new,
             logs[PQH_BASELINE] - logs[PQH_CANDIDATE]);
    }
}

/* Keeps an answer now and then, spread over the rounds. */
static void keep_for_replay(struct pqh_cell *cell, size_t i)
{
    const struct pqh_reply *from = &cell->replies[PQH_CANDIDATE][i];
    size_t dim = cell->fixture->dim;
    struct pqh_reply *to;

    if (cell->num_replays == cell->most_replays) {
        return;
    }
    to = &cell->replays[cell->num_replays];
    memcpy(cell->replay_queries + cell->num_replays * dim,
           cell->queries + i * dim, dim * sizeof(float));
    memcpy(to->results, from->results, from->count * sizeof *to->results);
    to->count = from->count;
    cell->num_replays++;
}

static void update_report(struct pqh_cell *cell, size_t count, size_t exact)
{
    struct pqh_report *report = cell->report;
    double timings = (double)cell->claimed.count;
    double answers = fmax((double)cell->known, 1.0);

    if (cell->hidden) {
        return;
    }
    pthread_mutex_lock(&report->lock);
    report->checked += count;
    report->exact += exact;
    if (cell->shown) {
        report->timings = cell->claimed.count;
        report->recall = (double)cell->hits[0] / answers / (double)cell->k10;
        report->recall_at_k = (double)cell->hits[1] / answers / (double)cell->k;
        report->reference_recall =
            (double)cell->reference_hits[0] / answers / (double)cell->k10;
        report->nanoseconds = exp(cell->log_ns[PQH_CANDIDATE] / timings);
        report->baseline_nanoseconds =
            exp((cell->log_ns[PQH_BASELINE] + cell->log_ns[PQH_NULL]) / 2.0 /
                timings);
        report->table_ns = exp(cell->log_table / timings);
        report->probe_ns = exp(cell->log_probe / timings);
        report->survivors = cell->survivors / cell->codes;
        report->bytes_read = cell->bytes_read / cell->codes;
        report->bound_groups =
            cell->replies[PQH_CANDIDATE][0].stats.bound_groups;
    }
    pthread_mutex_unlock(&report->lock);
}

/* ------------------------------------------------------------------------ */
/* Rounds and sittings                                                      */
/* ------------------------------------------------------------------------ */

/* All arms answer the same queries, in random order; those that go first are
 * not timed and warm the caches. */
static int ask_arms(struct pqh_cell *cell, const struct pqh_task *tasks,
                    size_t count, struct pqh_outcome *outcome)
{
    const struct pqh_fixture *fixture = cell->fixture;
    size_t order[PQH_MAX_ARMS] = {0, 1, 2};

    for (size_t i = 0; i < cell->warm_up; i++) {
        pqh_cell_make_any_query(cell, cell->queries + i * fixture->dim);
    }
    for (size_t i = 0; i < count; i++) {
        float *query = cell->queries + (cell->warm_up + i) * fixture->dim;
        if (tasks[i].known) {
            memcpy(query, fixture->queries + tasks[i].query * fixture->dim,
                   fixture->dim * sizeof(float));
        } else {
            pqh_cell_make_query(cell, tasks[i].query, query);
        }
    }
    for (size_t i = cell->num_arms; i > 0; i--) {
        size_t j = pqk_random_below(&cell->random, i);
        size_t a = order[j];
        order[j] = order[i - 1];
        if (pqh_arm_turn(&cell->arms[a], cell->queries, fixture->dim,
                         cell->warm_up + count, cell->call_limit, &cell->random,
                         cell->replies[a], outcome) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Of the two baselines the candidate meets one in each round, in turns, never
 * their mean: equal arms then differ symmetrically, as the sign test wants it. */
static void enter_round(struct pqh_cell *cell,
                        double logs[PQH_MAX_ARMS][PQH_CELL_ROUND], size_t count)
{
    size_t met = cell->speed.count % 2 == 0 ? PQH_BASELINE : PQH_NULL;
    double levels[PQH_MAX_ARMS];

    for (size_t a = 0; a < PQH_MAX_ARMS; a++) {
        pqh_sort(logs[a], count);
        levels[a] = pqh_midmean(logs[a], count);
        push(&cell->levels[a], levels[a]);
    }
    push(&cell->speed, levels[met] - levels[PQH_CANDIDATE]);
    push(&cell->null, levels[PQH_BASELINE] - levels[PQH_NULL]);
}

static int time_stream(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    struct pqh_arm *baseline = &cell->arms[PQH_BASELINE];
    struct pqh_command stream = {.kind = PQH_STREAM,
                                 .bytes = cell->stream_bytes};

    if (pqh_arm_command(baseline, &stream, cell->long_limit, "reading memory",
                        outcome) != 0) {
        return -1;
    }
    push(&cell->stream, (double)baseline->setup.slot->stream_ns);
    return 0;
}

static int run_round(struct pqh_cell *cell, const struct pqh_task *tasks,
                     size_t count, struct pqh_outcome *outcome)
{
    double logs[PQH_MAX_ARMS][PQH_CELL_ROUND];
    size_t warm_up = cell->warm_up, exact = cell->exact;
    int failed;

    pqh_processors_enter(&cell->processors);
    failed = ask_arms(cell, tasks, count, outcome) != 0 ||
             time_stream(cell, outcome) != 0;
    pqh_processors_leave(&cell->processors);
    if (failed) {
        return -1;
    }
    pqh_cell_expect(cell, cell->queries + warm_up * cell->fixture->dim, count);
    for (size_t i = 0; i < count; i++) {
        double times[PQH_MAX_ARMS] = {0.0};
        check_answer(cell, &tasks[i], i);
        if (cell->plan.against == NULL &&
            !same_answers(&cell->expected[i],
                          &cell->replies[PQH_BASELINE][warm_up + i])) {
            return pqh_end(outcome, PQH_EXIT_ERROR, "error",
                           "the reference contradicts itself");
        }
        enter_timings(cell, &tasks[i], warm_up + i, times);
        for (size_t a = 0; a < PQH_MAX_ARMS; a++) {
            logs[a][i] = times[a];
        }
    }
    keep_for_replay(cell, warm_up + pqk_random_below(&cell->random, count));
    enter_round(cell, logs, count);
    update_report(cell, count, cell->exact - exact);
    return 0;
}

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
            refill_tasks(cell, 0);
        }
        count = cell->num_tasks - cell->next_task;
        count = count < cell->round_size ? count : cell->round_size;
        failed = run_round(cell, cell->tasks + cell->next_task, count, outcome);
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
    push(&cell->sat_speed, sitting.speed);
    push(&cell->sat_null, sitting.null);
}

static int surely_slower(const struct pqh_cell *cell, double *scratch)
{
    double least = log1p(cell->plan.stop_effect);
    size_t count = cell->sat_speed.count;
    struct pqh_interval sittings, rounds;

    if (!(cell->plan.stop_effect > 0.0) || count < SURE_SITTINGS) {
        return 0;
    }
    memcpy(scratch, cell->sat_speed.values, count * sizeof *scratch);
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
    return cell->sat_speed.count >= ENOUGH_SITTINGS &&
           cell->claimed.count >= first &&
           pqk_clock() - start > cell->plan.measure_ns / 2 * 3;
}

int pqh_cell_measure(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    size_t first = pqh_cell_count_first_tasks(cell),
           most = first + PQH_CELL_MORE;
    double *scratch = calloc(most + PQH_CELL_ROUND, sizeof *scratch);
    uint64_t start = pqk_clock();
    int failed = 0;

    if (scratch == NULL) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error", "out of memory");
    }
    refill_tasks(cell, 1);
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
        failed = pqh_cell_next_sitting(cell, outcome);
        if (failed) {
            break;
        }
    }
    pqk_progress_end();
    free(scratch);
    return failed;
}
