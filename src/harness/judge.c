/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "judge.h"
#include "progress.h"
#include "random.h"
#include "reference.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)

/* At least so many timings; more while the time lasts, for the intervals. */
#define MIN_TIMINGS 1000
#define MAX_MORE    32768
#define MAX_ROUNDS  400
#define MEASURE_NS  (3 * SECOND)
#define COMPARE_NS  (6 * SECOND) /* with --against, where intervals decide */

/* A turn of the fastest arm takes so long, if that many queries are enough. */
#define TURN_NS     2e6
#define MIN_ROUND   8
#define MAX_ROUND   64
#define ROUND_BYTES ((size_t)32 << 20)

/* Before that it warms up for so long: a query that reads only a part of the
 * index leaves the rest of it where the other arm's turn has driven it. */
#define WARM_UP_NS  1.5e6
#define MIN_WARM_UP 2
#define MAX_WARM_UP 8

/* The index is made up to so many times, to see what its first queries take. */
#define MAX_CREATIONS  5
#define CREATION_NS    1.5e9
#define FIRST_REQUESTS 4

/* Asked again at the end, each after fewer than so many others. */
#define REPLAYS     16
#define MOST_OTHERS 4

/* So many timings on processors of their own show what handing over takes. */
#define OWN_TIMINGS 500

/* Two hits in a thousand queries at k = 10 are no more than a change of ties. */
#define TOLERANCE 200 /* one in so many: 0.005 */

/* ------------------------------------------------------------------------ */
/* Children                                                                 */
/* ------------------------------------------------------------------------ */

int pqh_judge_start(struct pqh_judge *judge,
                    const struct pqh_settings *settings,
                    struct pqh_report *report, struct pqh_outcome *outcome)
{
    struct pqh_candidate setup = {.library = settings->library,
                                  .kernel = settings->kernel,
                                  .way = settings->way,
                                  .k = settings->k};
    char path[64];

    memset(judge, 0, sizeof *judge);
    judge->settings = *settings;
    judge->report = report;
    judge->random = settings->seed;
    judge->group = pqh_way_group(settings->way);
    judge->call_limit = 10 * SECOND;
    judge->long_limit = 60 * SECOND;
    judge->inputs = pqh_anonymous_file("pqkern-inputs");
    /* For the children, a descriptor that cannot be written through. */
    snprintf(path, sizeof path, "/proc/self/fd/%d", judge->inputs);
    setup.inputs = open(path, O_RDONLY | O_CLOEXEC);
    if (judge->inputs < 0 || setup.inputs < 0) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error",
                       "cannot make a file for the inputs: %s",
                       strerror(errno));
    }

    /* The candidate first: it then inherits nothing of the others. */
    if (pqh_arm_start(&judge->arms[PQH_CANDIDATE], "candidate", &setup,
                      outcome) != 0) {
        return -1;
    }
    judge->num_arms = 1;
    setup.library = settings->against;
    setup.built_in = settings->against == NULL;
    if (pqh_arm_start(&judge->arms[PQH_BASELINE], "baseline", &setup,
                      outcome) != 0) {
        return -1;
    }
    judge->num_arms = 2;
    if (settings->against != NULL) {
        if (pqh_arm_start(&judge->arms[PQH_NULL], "second baseline", &setup,
                          outcome) != 0) {
            return -1;
        }
        judge->num_arms = 3;
    }
    close(setup.inputs);
    return 0;
}

int pqh_judge_load(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    struct pqh_report *report = judge->report;
    const struct pqh_slot *slot = judge->arms[PQH_CANDIDATE].setup.slot;
    struct pqh_command command = {.kind = PQH_LOAD};

    for (size_t a = 0; a < judge->num_arms; a++) {
        if (pqh_arm_command(&judge->arms[a], &command, judge->long_limit,
                            "loading the library", outcome) != 0) {
            return -1;
        }
    }
    pthread_mutex_lock(&report->lock);
    snprintf(report->kernel, sizeof report->kernel, "%.*s",
             (int)sizeof slot->kernel - 1, slot->kernel);
    snprintf(report->available, sizeof report->available, "%.*s",
             (int)sizeof slot->available - 1, slot->available);
    pthread_mutex_unlock(&report->lock);
    return 0;
}

void pqh_judge_kill(struct pqh_judge *judge)
{
    for (size_t a = 0; a < judge->num_arms; a++) {
        pqh_arm_kill(&judge->arms[a]);
    }
    pqh_kill_orphans();
}

void pqh_judge_show_logs(const struct pqh_judge *judge)
{
    for (size_t a = 0; a < judge->num_arms; a++) {
        pqh_arm_show_log(&judge->arms[a]);
    }
}

/* ------------------------------------------------------------------------ */
/* Queries                                                                  */
/* ------------------------------------------------------------------------ */

static double random_unit(uint64_t *random)
{
    return (double)(pqh_random_next(random) >> 11) * 0x1p-53;
}

static size_t random_below(uint64_t *random, size_t bound)
{
    return (size_t)(random_unit(random) * (double)bound);
}

/*
 * A query like one of the fixture's that no process has ever seen: each value
 * moved by up to 1/64 of the mean size.  The work that it takes is the same, a
 * result stored for it is not.
 */
static void make_query(struct pqh_judge *judge, size_t from, float *query)
{
    size_t dim = judge->fixture->dim;
    const float *original = judge->fixture->queries + from * dim;
    double step = 0.0;

    for (size_t d = 0; d < dim; d++) {
        step += fabs((double)original[d]);
    }
    step /= 64.0 * (double)dim;
    if (!(step > 0.0 && step < 1e30)) {
        step = 1e-3;
    }
    for (size_t d = 0; d < dim; d++) {
        double noise = 2.0 * random_unit(&judge->random) - 1.0;
        query[d] = (float)((double)original[d] + step * noise);
    }
}

static void make_any_query(struct pqh_judge *judge, float *query)
{
    make_query(judge, random_below(&judge->random, judge->fixture->num_queries),
               query);
}

/* As many queries, or a few more, that whole requests come out. */
static size_t whole_requests(const struct pqh_judge *judge, size_t queries)
{
    return (queries + judge->group - 1) / judge->group * judge->group;
}

/* Tasks of the first time, when all queries of the fixture are asked. */
static size_t count_first_tasks(const struct pqh_judge *judge)
{
    size_t queries = judge->fixture->num_queries;
    size_t count = queries + queries / 4;

    return whole_requests(judge, count < MIN_TIMINGS ? MIN_TIMINGS : count);
}

/* Puts runs of `length` tasks into any order. */
static void shuffle(struct pqh_judge *judge, struct pqh_task *tasks,
                    size_t count, size_t length)
{
    for (size_t i = count / length; i > 1; i--) {
        size_t j = random_below(&judge->random, i);
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
static void refill_tasks(struct pqh_judge *judge, int first)
{
    size_t queries = judge->fixture->num_queries;
    size_t count =
        first ? count_first_tasks(judge) : whole_requests(judge, queries);

    for (size_t i = 0, query = 0; i < count; i++) {
        judge->tasks[i].query = (uint32_t)query;
        judge->tasks[i].known = first && i < queries;
        query = query + 1 < queries ? query + 1 : 0;
    }
    shuffle(judge, judge->tasks, queries, 1);
    shuffle(judge, judge->tasks + queries, count - queries, 1);
    shuffle(judge, judge->tasks, count, judge->group);
    judge->num_tasks = count;
    judge->next_task = 0;
    judge->mixed = first;
}

static double claimed_ns(const struct pqh_reply *reply)
{
    return fmax((double)(reply->table_ns + reply->probe_ns), 1.0);
}

/* ------------------------------------------------------------------------ */
/* Memory, inputs, preparation                                              */
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

static void push(struct pqh_series *series, double value)
{
    series->values[series->count++] = value;
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

/* Everything that a run needs; nothing is allocated later. */
static int allocate(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    const struct pqh_fixture *fixture = judge->fixture;
    size_t k = judge->settings.k;
    size_t by_bytes = ROUND_BYTES / (k * sizeof(pqk_neighbor));
    size_t round = by_bytes > MAX_ROUND ? MAX_ROUND : by_bytes;
    size_t most = count_first_tasks(judge);
    size_t turn;

    round = whole_requests(judge, round < MIN_ROUND ? MIN_ROUND : round);
    judge->round_size = round;
    judge->tasks = need(outcome, most, sizeof *judge->tasks);
    most += MAX_MORE + round;
    turn = round + whole_requests(judge, MAX_WARM_UP);
    turn = turn > FIRST_REQUESTS * judge->group ? turn
                                                : FIRST_REQUESTS * judge->group;
    judge->queries = need(outcome, turn * fixture->dim, sizeof(float));
    judge->entries =
        need(outcome, fixture->codebook.num_sub_vectors * PQK_TABLE_STRIDE,
             sizeof(float));
    judge->expected = need(outcome, k, sizeof *judge->expected);
    judge->marks = need(outcome, fixture->num_base, sizeof *judge->marks);
    judge->replay_queries =
        need(outcome, REPLAYS * fixture->dim, sizeof(float));
    judge->replays = need_replies(outcome, REPLAYS, k);
    for (size_t a = 0; a < judge->num_arms; a++) {
        judge->replies[a] = need_replies(outcome, turn, k);
        if (judge->replies[a] == NULL ||
            need_series(&judge->claimed[a], most, outcome) != 0 ||
            need_series(&judge->excess[a][0], most, outcome) != 0 ||
            need_series(&judge->excess[a][1], most, outcome) != 0) {
            return -1;
        }
    }
    if (judge->tasks == NULL || judge->queries == NULL ||
        judge->entries == NULL || judge->expected == NULL ||
        judge->marks == NULL || judge->replay_queries == NULL ||
        judge->replays == NULL ||
        need_series(&judge->speed, most, outcome) != 0 ||
        need_series(&judge->null, most, outcome) != 0 ||
        need_series(&judge->stream, most, outcome) != 0 ||
        need_series(&judge->speed_known, most, outcome) != 0 ||
        need_series(&judge->speed_new, most, outcome) != 0) {
        return -1;
    }
    return 0;
}

static int write_all(int file, const void *data, size_t size)
{
    const char *at = data;

    while (size > 0) {
        ssize_t written = write(file, at, size);
        if (written < 0 && errno != EINTR) {
            return -1;
        }
        if (written > 0) {
            at += written;
            size -= (size_t)written;
        }
    }
    return 0;
}

/* What the children map for preparing.  Sealed where the system can, so that no
 * process can write to it any more. */
static int write_inputs(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    const struct pqh_fixture *fixture = judge->fixture;
    const pqk_codebook *codebook = &fixture->codebook;
    size_t centroid_bytes = codebook->num_sub_vectors *
                            codebook->num_centroids * codebook->sub_vector_dim *
                            sizeof(float);

    if (write_all(judge->inputs, codebook->centroids, centroid_bytes) != 0 ||
        write_all(judge->inputs, fixture->codes,
                  fixture->num_base * codebook->num_sub_vectors) != 0) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error",
                       "cannot write the inputs for the children: %s",
                       strerror(errno));
    }
#ifdef F_ADD_SEALS
    (void)fcntl(judge->inputs, F_ADD_SEALS,
                F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
#endif
    return 0;
}

/* The right answer to a query. */
static void find_expected(struct pqh_judge *judge, const float *query)
{
    const struct pqh_fixture *fixture = judge->fixture;

    pqh_reference_table(query, &fixture->codebook, judge->entries);
    judge->num_expected = pqh_reference_probe(
        judge->entries, fixture->codebook.num_sub_vectors, fixture->codes,
        fixture->num_base, judge->settings.k, judge->expected);
}

/* Hours on an emulator are not a hang: time what the reference takes here. */
static void set_limits(struct pqh_judge *judge)
{
    uint64_t start = pqh_clock();
    uint64_t took;

    find_expected(judge, judge->fixture->queries);
    took = (pqh_clock() - start) * judge->group;
    if (judge->call_limit < 100 * took) {
        judge->call_limit = 100 * took;
    }
    if (judge->long_limit < 1000 * took) {
        judge->long_limit = 1000 * took;
    }
}

/* The first requests after preparing: least time of each so far. */
static int ask_first(struct pqh_judge *judge, size_t a, double *least,
                     struct pqh_outcome *outcome)
{
    size_t dim = judge->fixture->dim;
    size_t count = FIRST_REQUESTS * judge->group;

    for (size_t i = 0; i < count; i++) {
        make_any_query(judge, judge->queries + i * dim);
    }
    if (pqh_arm_turn(&judge->arms[a], judge->queries, dim, count,
                     judge->call_limit, &judge->random, judge->replies[a],
                     outcome) != 0) {
        return -1;
    }
    for (size_t j = 0; j < FIRST_REQUESTS; j++) {
        least[j] =
            fmin(least[j], claimed_ns(&judge->replies[a][j * judge->group]) *
                               (double)judge->group);
    }
    return 0;
}

/*
 * Makes an arm's index several times and sends a few requests after each.  Of
 * the time that the first one takes we want the least, then of the second, and
 * so on: chance does not strike the same one every time, deferred work does.
 */
static int prepare_arm(struct pqh_judge *judge, size_t a, double *fastest,
                       struct pqh_outcome *outcome)
{
    struct pqh_arm *arm = &judge->arms[a];
    const pqk_codebook *codebook = &judge->fixture->codebook;
    struct pqh_command command = {.kind = PQH_PREPARE,
                                  .num_sub_vectors = codebook->num_sub_vectors,
                                  .num_centroids = codebook->num_centroids,
                                  .sub_vector_dim = codebook->sub_vector_dim,
                                  .num_vectors = judge->fixture->num_base};
    double least[FIRST_REQUESTS], total = 0.0, shortest = INFINITY;

    for (size_t j = 0; j < FIRST_REQUESTS; j++) {
        least[j] = INFINITY;
    }
    for (int i = 0; i < MAX_CREATIONS && (i < 2 || total < CREATION_NS); i++) {
        double took;
        if (pqh_arm_command(arm, &command, judge->long_limit,
                            "preparing the index", outcome) != 0 ||
            ask_first(judge, a, least, outcome) != 0) {
            return -1;
        }
        took = (double)arm->setup.slot->prepare_ns;
        shortest = fmin(took, shortest);
        total += took;
        if (a != PQH_CANDIDATE) {
            break;
        }
    }
    if (a == PQH_CANDIDATE) {
        judge->prepare_ns = shortest;
    }
    for (size_t j = 0; j < FIRST_REQUESTS; j++) {
        if (a == PQH_CANDIDATE) {
            judge->first_ns = fmax(judge->first_ns, least[j]);
        }
        *fastest = fmin(*fastest, least[j] / (double)judge->group);
    }
    return 0;
}

/* How long rounds are, and their warming up, when the fastest query takes so
 * many nanoseconds. */
static void set_round(struct pqh_judge *judge, double fastest)
{
    double round = fmax(ceil(TURN_NS / fastest), MIN_ROUND);
    double warm_up = fmax(ceil(WARM_UP_NS / fastest), MIN_WARM_UP);

    if (round < (double)judge->round_size) {
        judge->round_size = whole_requests(judge, (size_t)round);
    }
    judge->warm_up = whole_requests(judge, (size_t)fmin(warm_up, MAX_WARM_UP));
}

static int prepare(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    struct pqh_report *report = judge->report;
    const struct pqh_arm *candidate = &judge->arms[PQH_CANDIDATE];
    uint64_t raw_bytes = (uint64_t)judge->fixture->num_base *
                         judge->fixture->codebook.num_sub_vectors;
    double fastest = INFINITY;

    if (write_inputs(judge, outcome) != 0) {
        return -1;
    }
    set_limits(judge);
    for (size_t a = 0; a < judge->num_arms; a++) {
        if (prepare_arm(judge, a, &fastest, outcome) != 0) {
            return -1;
        }
    }
    set_round(judge, fastest);
    /* What the candidate says, within reason. */
    judge->stream_bytes = candidate->setup.slot->index_bytes;
    if (judge->stream_bytes > 2 * raw_bytes) {
        judge->stream_bytes = 2 * raw_bytes;
    }
    pthread_mutex_lock(&report->lock);
    report->prepare_seconds = judge->prepare_ns / 1e9;
    report->bytes_per_code = (double)candidate->setup.slot->index_bytes /
                             (double)judge->fixture->num_base;
    report->peak_bytes = pqh_arm_peak_bytes(candidate);
    pthread_mutex_unlock(&report->lock);
    return 0;
}

/* ------------------------------------------------------------------------ */
/* One round                                                                */
/* ------------------------------------------------------------------------ */

static void new_mark(struct pqh_judge *judge)
{
    judge->mark++;
}

/* How many of the first `limit` results are marked; what is repeated or out of
 * range is a miss. */
static size_t count_marked(struct pqh_judge *judge, const pqk_neighbor *results,
                           size_t count, size_t limit)
{
    size_t hits = 0;

    for (size_t i = 0; i < count && i < limit; i++) {
        uint32_t id = results[i].id;
        if (id < judge->fixture->num_base && judge->marks[id] == judge->mark) {
            judge->marks[id] = 0;
            hits++;
        }
    }
    return hits;
}

static size_t count_true(struct pqh_judge *judge, size_t query,
                         const pqk_neighbor *results, size_t count,
                         size_t limit)
{
    const uint32_t *truth =
        judge->fixture->truth + query * judge->fixture->truth_k;

    new_mark(judge);
    for (size_t i = 0; i < limit; i++) {
        judge->marks[truth[i]] = judge->mark;
    }
    return count_marked(judge, results, count, limit);
}

static size_t count_expected(struct pqh_judge *judge,
                             const struct pqh_reply *reply)
{
    new_mark(judge);
    for (size_t i = 0; i < judge->k10; i++) {
        judge->marks[judge->expected[i].id] = judge->mark;
    }
    return count_marked(judge, reply->results, reply->count, judge->k10);
}

static int is_exact(const struct pqh_judge *judge,
                    const struct pqh_reply *reply)
{
    return reply->count == judge->num_expected &&
           memcmp(reply->results, judge->expected,
                  reply->count * sizeof *reply->results) == 0;
}

/* Checks the candidate's answer to query i of the round. */
static void check_answer(struct pqh_judge *judge, const struct pqh_task *task,
                         size_t i, size_t *exact)
{
    const struct pqh_reply *reply = &judge->replies[PQH_CANDIDATE][i];
    size_t limits[2] = {judge->k10, judge->k};
    size_t overlap;

    find_expected(judge, judge->queries + i * judge->fixture->dim);
    *exact += (size_t)is_exact(judge, reply);
    overlap = count_expected(judge, reply);
    if (!task->known) {
        judge->overlap_new += overlap;
        judge->fresh++;
        return;
    }
    judge->overlap_known += overlap;
    judge->known++;
    for (size_t j = 0; j < 2; j++) {
        judge->hits[j] += count_true(judge, task->query, reply->results,
                                     reply->count, limits[j]);
        judge->reference_hits[j] +=
            count_true(judge, task->query, judge->expected, judge->num_expected,
                       limits[j]);
    }
}

/* Enters the timings of query i of the round; returns its log ratio. */
static double enter_timings(struct pqh_judge *judge,
                            const struct pqh_task *task, size_t i, double *null)
{
    const struct pqh_reply *reply = &judge->replies[PQH_CANDIDATE][i];
    double logs[PQH_MAX_ARMS] = {0.0};

    for (size_t a = 0; a < judge->num_arms; a++) {
        const struct pqh_reply *timed = &judge->replies[a][i];
        double ns = claimed_ns(timed);
        push(&judge->claimed[a], ns);
        push(&judge->excess[a][timed->shared], (double)timed->observed_ns - ns);
        logs[a] = log(ns);
        judge->log_ns[a] += logs[a];
    }
    judge->log_table += log(fmax((double)reply->table_ns, 1.0));
    judge->log_probe += log(fmax((double)reply->probe_ns, 1.0));
    judge->survivors += (double)reply->stats.survivors;
    judge->bytes_read += (double)reply->stats.bytes_read;
    judge->codes += (double)judge->fixture->num_base;
    *null = logs[PQH_BASELINE] - logs[PQH_NULL];
    logs[PQH_BASELINE] -= logs[PQH_CANDIDATE];
    if (judge->mixed && i % judge->group == 0) {
        push(task->known ? &judge->speed_known : &judge->speed_new,
             logs[PQH_BASELINE]);
    }
    return logs[PQH_BASELINE];
}

/* Keeps an answer now and then, spread over the run. */
static void keep_for_replay(struct pqh_judge *judge, size_t i)
{
    const struct pqh_reply *from = &judge->replies[PQH_CANDIDATE][i];
    size_t dim = judge->fixture->dim;
    struct pqh_reply *to;

    if (judge->num_replays == REPLAYS) {
        return;
    }
    to = &judge->replays[judge->num_replays];
    memcpy(judge->replay_queries + judge->num_replays * dim,
           judge->queries + i * dim, dim * sizeof(float));
    memcpy(to->results, from->results, from->count * sizeof *to->results);
    to->count = from->count;
    judge->num_replays++;
}

static void update_report(struct pqh_judge *judge, size_t exact)
{
    struct pqh_report *report = judge->report;
    double timings = (double)judge->claimed[PQH_CANDIDATE].count;
    double answers = fmax((double)judge->known, 1.0);

    pthread_mutex_lock(&report->lock);
    report->timings = judge->claimed[PQH_CANDIDATE].count;
    report->exact += exact;
    report->recall = (double)judge->hits[0] / answers / (double)judge->k10;
    report->recall_at_k = (double)judge->hits[1] / answers / (double)judge->k;
    report->reference_recall =
        (double)judge->reference_hits[0] / answers / (double)judge->k10;
    report->nanoseconds = exp(judge->log_ns[PQH_CANDIDATE] / timings);
    report->baseline_nanoseconds = exp(judge->log_ns[PQH_BASELINE] / timings);
    report->table_ns = exp(judge->log_table / timings);
    report->probe_ns = exp(judge->log_probe / timings);
    report->survivors = judge->survivors / judge->codes;
    report->bytes_read = judge->bytes_read / judge->codes;
    report->bound_groups = judge->replies[PQH_CANDIDATE][0].stats.bound_groups;
    pthread_mutex_unlock(&report->lock);
}

/* All arms answer the same queries, in random order; those that go first are
 * not timed and warm the caches. */
static int ask_arms(struct pqh_judge *judge, const struct pqh_task *tasks,
                    size_t count, struct pqh_outcome *outcome)
{
    const struct pqh_fixture *fixture = judge->fixture;
    size_t order[PQH_MAX_ARMS] = {0, 1, 2};

    for (size_t i = 0; i < judge->warm_up; i++) {
        make_any_query(judge, judge->queries + i * fixture->dim);
    }
    for (size_t i = 0; i < count; i++) {
        float *query = judge->queries + (judge->warm_up + i) * fixture->dim;
        if (tasks[i].known) {
            memcpy(query, fixture->queries + tasks[i].query * fixture->dim,
                   fixture->dim * sizeof(float));
        } else {
            make_query(judge, tasks[i].query, query);
        }
    }
    for (size_t i = judge->num_arms; i > 0; i--) {
        size_t j = random_below(&judge->random, i);
        size_t a = order[j];
        order[j] = order[i - 1];
        if (pqh_arm_turn(&judge->arms[a], judge->queries, fixture->dim,
                         judge->warm_up + count, judge->call_limit,
                         &judge->random, judge->replies[a], outcome) != 0) {
            return -1;
        }
    }
    return 0;
}

static double midmean_of(double *values, size_t count)
{
    pqh_sort(values, count);
    return pqh_midmean(values, count);
}

static int run_round(struct pqh_judge *judge, const struct pqh_task *tasks,
                     size_t count, struct pqh_outcome *outcome)
{
    struct pqh_arm *baseline = &judge->arms[PQH_BASELINE];
    struct pqh_command stream = {.kind = PQH_STREAM,
                                 .bytes = judge->stream_bytes};
    double ratios[MAX_ROUND], nulls[MAX_ROUND];
    size_t warm_up = judge->warm_up, exact = 0;

    if (ask_arms(judge, tasks, count, outcome) != 0) {
        return -1;
    }
    if (pqh_arm_command(baseline, &stream, judge->long_limit, "reading memory",
                        outcome) != 0) {
        return -1;
    }
    push(&judge->stream, (double)baseline->setup.slot->stream_ns);
    for (size_t i = 0; i < count; i++) {
        check_answer(judge, &tasks[i], warm_up + i, &exact);
        if (judge->settings.against == NULL &&
            !is_exact(judge, &judge->replies[PQH_BASELINE][warm_up + i])) {
            return pqh_end(outcome, PQH_EXIT_ERROR, "error",
                           "the reference contradicts itself");
        }
        ratios[i] = enter_timings(judge, &tasks[i], warm_up + i, &nulls[i]);
    }
    keep_for_replay(judge, warm_up + random_below(&judge->random, count));
    push(&judge->speed, midmean_of(ratios, count));
    push(&judge->null, midmean_of(nulls, count));
    update_report(judge, exact);
    return 0;
}

static int measure(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    uint64_t limit = judge->settings.against != NULL ? COMPARE_NS : MEASURE_NS;
    uint64_t start = pqh_clock();
    size_t rounds = 0, timings = 0, first;
    int failed = 0;

    refill_tasks(judge, 1);
    first = judge->num_tasks;
    pqh_progress_begin("measuring", first);
    while (!failed && (timings < first ||
                       (timings < first + MAX_MORE && rounds < MAX_ROUNDS &&
                        pqh_clock() - start < limit))) {
        size_t count;
        if (judge->next_task == judge->num_tasks) {
            refill_tasks(judge, 0);
        }
        count = judge->num_tasks - judge->next_task;
        count = count < judge->round_size ? count : judge->round_size;
        failed =
            run_round(judge, judge->tasks + judge->next_task, count, outcome);
        judge->next_task += count;
        timings += count;
        rounds++;
        pqh_progress_add(count);
    }
    pqh_progress_end();
    return failed;
}

/* ------------------------------------------------------------------------ */
/* Integrity                                                                */
/* ------------------------------------------------------------------------ */

static double median_of(struct pqh_series *series)
{
    pqh_sort(series->values, series->count);
    return pqh_quantile(series->values, series->count, 0.5);
}

static struct pqh_interval interval_of(struct pqh_series *series)
{
    pqh_sort(series->values, series->count);
    return pqh_median_interval(series->values, series->count);
}

/* The same queries at other addresses, after an unpredictable number of others:
 * the answers must be the same bits. */
static int check_replays(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    struct pqh_reply *replies = judge->replies[PQH_CANDIDATE];
    size_t dim = judge->fixture->dim;

    for (size_t i = 0; i < judge->num_replays; i++) {
        const struct pqh_reply *before = &judge->replays[i];
        size_t others = random_below(&judge->random, MOST_OTHERS);
        size_t count = whole_requests(judge, others + 1);
        for (size_t j = 0; j < count; j++) {
            make_any_query(judge, judge->queries + j * dim);
        }
        memcpy(judge->queries + others * dim, judge->replay_queries + i * dim,
               dim * sizeof(float));
        if (pqh_arm_turn(&judge->arms[PQH_CANDIDATE], judge->queries, dim,
                         count, judge->call_limit, &judge->random, replies,
                         outcome) != 0) {
            return -1;
        }
        if (replies[others].count != before->count ||
            memcmp(replies[others].results, before->results,
                   before->count * sizeof *before->results) != 0) {
            return pqh_end(outcome, PQH_EXIT_INTEGRITY, "integrity",
                           "the same query got two different answers");
        }
    }
    return 0;
}

/* Honest first queries meet cold caches and fresh pages, which costs a few times
 * a warm query; deferred preparation costs a pass over all codes. */
static int check_deferral(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    double warm = median_of(&judge->claimed[PQH_CANDIDATE]);
    double first = judge->first_ns;

    warm *= (double)judge->group;
    if (first > 8.0 * warm + 2e5 && first - warm > 0.25 * judge->prepare_ns) {
        return pqh_end(
            outcome, PQH_EXIT_INTEGRITY, "integrity",
            "a request right after preparing takes at least %.3f "
            "ms, a later one %.3f ms, preparing %.3f ms: preparation is "
            "left to the queries",
            first / 1e6, warm / 1e6, judge->prepare_ns / 1e6);
    }
    return 0;
}

/* A quantile of an arm's excess: in the turns that it spent on a processor of
 * its own, or in all. */
static double excess_quantile(struct pqh_judge *judge, size_t a, int all,
                              double quantile)
{
    struct pqh_series *series = &judge->excess[a][all];
    const struct pqh_series *own = &judge->excess[a][0];

    /* There is room: both together hold no more than one value a timing. */
    for (size_t i = 0; all && i < own->count; i++) {
        push(series, own->values[i]);
    }
    pqh_sort(series->values, series->count);
    return pqh_quantile(series->values, series->count, quantile);
}

/*
 * What the judge's clock sees beyond what the child's claims is handing over,
 * which takes the baseline as long.  The quickest handovers are not disturbed
 * by other processes, unless the child shares the judge's processor.  Whether it
 * did is known of the turn's ends only, so there have to be many turns in which
 * it did not; else all count, and more is allowed.  A clock that lies does so
 * in the very quickest handovers, too, so these are compared with quick ones of
 * the baseline: a busy machine slows both.
 */
static int check_clock(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    int all = judge->excess[PQH_CANDIDATE][0].count < OWN_TIMINGS ||
              judge->excess[PQH_BASELINE][0].count < OWN_TIMINGS;
    double claimed = median_of(&judge->claimed[PQH_CANDIDATE]);
    double more = excess_quantile(judge, PQH_CANDIDATE, all, 0.02);
    double usual = excess_quantile(judge, PQH_BASELINE, all, 0.1);

    if (more > 2.0 * usual + 0.05 * claimed + (all ? 3e4 : 2e3)) {
        return pqh_end(outcome, PQH_EXIT_INTEGRITY, "integrity",
                       "the child's clock says %.1f us a query, the judge's "
                       "sees %.1f us more: the clock lies",
                       claimed / 1e3, more / 1e3);
    }
    return 0;
}

/* Answers prepared for the fixture's own queries show in two ways.  Speeds are
 * compared while both kinds are asked side by side, not with later rounds, which
 * the machine may have let run faster; and noise alone must not tell them apart,
 * as it does when requests are few and long. */
static int check_memorized(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    struct pqh_interval speed_known, speed_new;
    double ratio, known, fresh;

    if (judge->speed_known.count < 16 || judge->speed_new.count < 16) {
        return 0;
    }
    speed_known = interval_of(&judge->speed_known);
    speed_new = interval_of(&judge->speed_new);
    ratio = exp(speed_known.estimate - speed_new.estimate);
    if (ratio > 1.5 && speed_known.low > speed_new.high) {
        return pqh_end(outcome, PQH_EXIT_INTEGRITY, "integrity",
                       "queries of the fixture are answered %.2f times as fast "
                       "as others like them",
                       ratio);
    }
    known = (double)judge->overlap_known / (double)judge->known;
    fresh = (double)judge->overlap_new / (double)judge->fresh;
    if (fresh < known - 0.05 * (double)judge->k10) {
        return pqh_end(outcome, PQH_EXIT_INTEGRITY, "integrity",
                       "of the reference's first %zu, queries of the fixture "
                       "find %.2f on average, others like them %.2f",
                       judge->k10, known, fresh);
    }
    return 0;
}

static int check_helpers(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    double other = (double)pqh_arm_other_cpu(&judge->arms[PQH_CANDIDATE]);
    double own = exp(judge->log_ns[PQH_CANDIDATE] /
                     (double)judge->claimed[PQH_CANDIDATE].count) *
                 (double)judge->claimed[PQH_CANDIDATE].count;

    if (other > 5e6 && other > 0.05 * own) {
        return pqh_end(outcome, PQH_EXIT_INTEGRITY, "integrity",
                       "threads that were gone when looked for used %.0f ms of "
                       "processor time",
                       other / 1e6);
    }
    return 0;
}

/* ------------------------------------------------------------------------ */
/* Verdict                                                                  */
/* ------------------------------------------------------------------------ */

/* In whole hits, so that no rounding decides. */
static int check_recall(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    size_t limits[2] = {judge->k10, judge->k};

    for (size_t j = 0; j < 2; j++) {
        size_t all = judge->known * limits[j];
        size_t hits = judge->hits[j];
        size_t wanted = judge->reference_hits[j];

        if (j == 0 &&
            (double)hits < judge->settings.recall_floor * (double)all - 1e-6) {
            return pqh_end(outcome, PQH_EXIT_RECALL, "recall",
                           "%zu hits of %zu are below the floor of %g; the "
                           "reference has %zu",
                           hits, all, judge->settings.recall_floor, wanted);
        }
        if (wanted > hits && (wanted - hits) * TOLERANCE > all) {
            return pqh_end(outcome, PQH_EXIT_RECALL, "recall",
                           "%zu hits of %zu among the first %zu, the "
                           "reference has %zu: more than 0.005 below",
                           hits, all, limits[j], wanted);
        }
    }
    return 0;
}

static struct pqh_interval ratio_of(struct pqh_interval logs)
{
    return (struct pqh_interval){exp(logs.estimate), exp(logs.low),
                                 exp(logs.high)};
}

/* Fills in what only the whole run tells. */
static int conclude(struct pqh_judge *judge, struct pqh_outcome *outcome)
{
    static const char *const names[] = {"same", "faster", "slower",
                                        "unresolved"};
    struct pqh_report *report = judge->report;
    struct pqh_interval speed, null;
    enum pqh_verdict verdict;

    speed = interval_of(&judge->speed);
    null = interval_of(&judge->null);
    verdict = pqh_judge_speed(speed, null, judge->settings.min_effect);

    pthread_mutex_lock(&report->lock);
    report->speedup = ratio_of(speed);
    report->stream_ns = median_of(&judge->stream);
    report->peak_bytes = pqh_arm_peak_bytes(&judge->arms[PQH_CANDIDATE]);
    if (judge->settings.against != NULL) {
        report->null = ratio_of(null);
        report->verdict = names[verdict];
    }
    pthread_mutex_unlock(&report->lock);

    if (check_helpers(judge, outcome) != 0 ||
        check_clock(judge, outcome) != 0 ||
        check_deferral(judge, outcome) != 0 ||
        check_memorized(judge, outcome) != 0 ||
        check_replays(judge, outcome) != 0 ||
        check_recall(judge, outcome) != 0) {
        return -1;
    }
    if (judge->settings.against != NULL && verdict == PQH_UNRESOLVED) {
        return pqh_end(outcome, PQH_EXIT_UNRESOLVED, "unresolved",
                       "the noise is above the effect asked for");
    }
    outcome->code = PQH_EXIT_OK;
    outcome->status = "ok";
    return 0;
}

int pqh_judge_run(struct pqh_judge *judge, const struct pqh_fixture *fixture,
                  struct pqh_outcome *outcome)
{
    size_t base = fixture->num_base;

    judge->fixture = fixture;
    judge->k = judge->settings.k < base ? judge->settings.k : base;
    judge->k10 = judge->k < 10 ? judge->k : 10;
    if (fixture->dim > PQH_MAX_DIM) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error",
                       "%s: vectors of %zu values; at most %d can be judged",
                       fixture->source, fixture->dim, PQH_MAX_DIM);
    }
    if (allocate(judge, outcome) != 0 || prepare(judge, outcome) != 0 ||
        measure(judge, outcome) != 0) {
        return -1;
    }
    return conclude(judge, outcome);
}
