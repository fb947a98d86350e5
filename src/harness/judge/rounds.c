/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "rounds.h"
#include "base/splitmix.h"
#include "queries.h"

#include <math.h>
#include <string.h>

/* One round in so many reads memory, which wakes each arm once more. */
#define STREAM_EVERY 4

/* ------------------------------------------------------------------------ */
/* Answers                                                                  */
/* ------------------------------------------------------------------------ */

static void new_mark(struct pqh_cell *cell)
{
    cell->mark++;
}

/* How many of the first `limit` results are marked; what is repeated or out of
 * range is a miss. */
static size_t count_marked(struct pqh_cell *cell, const pqk_row_result *results,
                           size_t count, size_t limit)
{
    size_t hits = 0;

    for (size_t i = 0; i < count && i < limit; i++) {
        uint32_t id = results[i].row;
        if (id < cell->fixture->num_base && cell->marks[id] == cell->mark) {
            cell->marks[id] = 0;
            hits++;
        }
    }
    return hits;
}

static size_t count_true(struct pqh_cell *cell, size_t query,
                         const pqk_row_result *results, size_t count,
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
        cell->marks[expected->results[i].row] = cell->mark;
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
    size_t overlap;

    cell->exact += (size_t)same_answers(reply, expected);
    if (cell->fixture != cell->given) {
        return;
    }
    overlap = count_expected(cell, expected, reply);
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

static double claimed_ns(const struct pqh_reply *reply)
{
    return fmax((double)(reply->table_ns + reply->probe_ns), 1.0);
}

/* What the candidate says of the time that the judge saw. */
static void enter_claims(struct pqh_cell *cell, const struct pqh_reply *reply)
{
    double seen = (double)reply->observed_ns / claimed_ns(reply);

    pqh_cell_push(&cell->claimed, claimed_ns(reply));
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
        pqh_cell_push(&cell->observed[a], ns);
        pqh_cell_push(&cell->placing[a], (double)timed->placing_ns);
        pqh_cell_push(&cell->excess[a][timed->shared], ns - claimed_ns(timed));
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
        pqh_cell_push(task->known ? &cell->speed_known : &cell->speed_new,
                      logs[PQH_BASELINE] - logs[PQH_CANDIDATE]);
    }
}

/* Keeps an answer now and then, spread over the rounds. */
static void keep_for_replay(struct pqh_cell *cell, size_t i)
{
    const struct pqh_reply *from = &cell->replies[PQH_CANDIDATE][i];
    size_t dim = cell->fixture->dim;
    struct pqh_reply *to;

    if (cell->num_replays == cell->max_replays) {
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
    size_t order[PQH_MAX_ARMS];

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
    pqh_cell_draw_order(cell, order);
    for (size_t i = 0; i < cell->num_arms; i++) {
        size_t a = order[i];
        if (pqh_arm_turn(&cell->arms[a], cell->queries, fixture->dim,
                         cell->warm_up + count, cell->call_limit, &cell->random,
                         cell->replies[a], outcome) != 0) {
            return -1;
        }
    }
    return 0;
}

/* In each round the candidate is compared with one of the two baselines,
 * alternately, never with their mean: then equal arms differ symmetrically, which
 * the sign test assumes. */
static void enter_round(struct pqh_cell *cell,
                        double logs[PQH_MAX_ARMS][PQH_CELL_ROUND], size_t count)
{
    size_t met = cell->speed.count % 2 == 0 ? PQH_BASELINE : PQH_NULL;
    double levels[PQH_MAX_ARMS];

    for (size_t a = 0; a < PQH_MAX_ARMS; a++) {
        pqh_sort(logs[a], count);
        levels[a] = pqh_midmean(logs[a], count);
        pqh_cell_push(&cell->levels[a], levels[a]);
    }
    pqh_cell_push(&cell->speed, levels[met] - levels[PQH_CANDIDATE]);
    pqh_cell_push(&cell->null, levels[PQH_BASELINE] - levels[PQH_NULL]);
}

/* The baseline's counts; the others do it, too, so that none is told apart. */
static int time_stream(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    struct pqh_command stream = {.kind = PQH_STREAM,
                                 .bytes = cell->stream_bytes};
    size_t order[PQH_MAX_ARMS];

    pqh_cell_draw_order(cell, order);
    for (size_t i = 0; i < cell->num_arms; i++) {
        size_t a = order[i];
        if ((a == PQH_BASELINE || cell->num_arms == PQH_MAX_ARMS) &&
            pqh_arm_command(&cell->arms[a], &stream, cell->long_limit,
                            "reading memory", outcome) != 0) {
            return -1;
        }
    }
    pqh_cell_push(&cell->stream,
                  (double)cell->arms[PQH_BASELINE].setup.slot->stream_ns);
    return 0;
}

int pqh_cell_run_round(struct pqh_cell *cell, const struct pqh_task *tasks,
                       size_t count, struct pqh_outcome *outcome)
{
    double logs[PQH_MAX_ARMS][PQH_CELL_ROUND];
    size_t warm_up = cell->warm_up, exact = cell->exact;
    int failed;

    pqh_processors_enter(&cell->processors);
    failed = ask_arms(cell, tasks, count, outcome) != 0 ||
             (cell->speed.count % STREAM_EVERY == 0 &&
              time_stream(cell, outcome) != 0);
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
