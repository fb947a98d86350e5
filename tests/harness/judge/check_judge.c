/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The rules by which a cell convicts or acquits, on cells that are filled by hand:
 * what an honest candidate on a busy machine looks like, and what lies just within
 * and just beyond each limit.  Then what a cell asks, and the guards' data.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <string.h>

#include "../../checked.h"
#include "harness/judge/checks.h"
#include "harness/judge/guards.h"
#include "harness/judge/measure.h"
#include "harness/judge/queries.h"
#include "harness/judge/varied.h"

#define TIMINGS 1000
#define ROOM    (2 * TIMINGS)
#define QUERIES 20
#define DIM     4

/* Nanoseconds of an honest candidate. */
#define CLAIMED  100000.0
#define OBSERVED 101000.0
#define PLACING  500.0

static struct pqh_cell cell; /* too large for a stack */
static struct pqh_fixture fixture;

static void fill(struct pqh_samples *samples, size_t count, double value)
{
    if (samples->values == NULL) {
        samples->values = test_alloc(ROOM * sizeof *samples->values);
    }
    for (samples->count = 0; samples->count < count;) {
        pqh_cell_push(samples, value);
    }
}

/* So many of every twenty values are another. */
static void spoil(struct pqh_samples *samples, size_t of_twenty, double value)
{
    for (size_t i = 0; i < samples->count; i++) {
        if (i % 20 < of_twenty) {
            samples->values[i] = value;
        }
    }
}

static void fill_timings(void)
{
    fill(&cell.claimed, TIMINGS, CLAIMED);
    for (size_t a = 0; a < PQH_MAX_ARMS; a++) {
        fill(&cell.observed[a], TIMINGS, OBSERVED);
        fill(&cell.placing[a], TIMINGS, PLACING);
        fill(&cell.excess[a][0], TIMINGS, OBSERVED - CLAIMED);
        fill(&cell.excess[a][1], 0, 0.0);
        cell.log_ns[a] = TIMINGS * log(OBSERVED);
    }
    fill(&cell.stream, 50, 16000.0);
    fill(&cell.speed_known, 100, 0.0);
    fill(&cell.speed_new, 100, 0.0);
}

/* An honest cell with one thousand codes of 16 bytes. */
static void begin(const char *what)
{
    test_case("%s", what);
    fixture.num_base = 1000;
    fixture.dim = DIM;
    fixture.num_queries = QUERIES;
    cell.fixture = &fixture;
    cell.plan.creations = 5;
    cell.num_arms = 3;
    cell.group = 1;
    cell.k10 = 10;
    cell.k = 10;
    fill_timings();
    cell.stream_bytes = 16000;
    cell.first_ns = cell.baseline_first_ns = 110000.0;
    cell.prepare_ns = 1e6;
    cell.other_cpu_ns = 0;
    cell.known = 100;
    cell.fresh = 900;
    cell.overlap_known = 990; /* 9.9 of ten */
    cell.overlap_new = 9 * 990;
}

static void acquits(const char *what)
{
    struct pqh_outcome outcome = {.code = PQH_EXIT_OK};

    CHECK_THAT(pqh_cell_check(&cell, &outcome) == 0, "%s: %s", what,
               outcome.reason);
}

static void convicts(const char *what, const char *status, const char *reason)
{
    struct pqh_outcome outcome = {.code = PQH_EXIT_OK, .status = "ok"};

    CHECK_THAT(pqh_cell_check(&cell, &outcome) == -1, "%s: nothing is found",
               what);
    CHECK_THAT(outcome.code == PQH_EXIT_INTEGRITY &&
                   strcmp(outcome.status, status) == 0 &&
                   strstr(outcome.reason, reason) != NULL,
               "%s: %d, %s: %s", what, (int)outcome.code, outcome.status,
               outcome.reason);
}

START_TEST(test_deferral)
{
    begin("deferral");
    acquits("as honest ones are");
    cell.first_ns = 8.0 * OBSERVED + 2e5 - 1000.0;
    acquits("caches that are cold");
    cell.first_ns += 2000.0;
    convicts("a first request too slow", "integrity", "left to the queries");
    cell.plan.creations = 1;
    acquits("prepared once");
    cell.plan.creations = 5;
    cell.baseline_first_ns = cell.first_ns / 2.0;
    acquits("the baseline's takes half as long");
    cell.baseline_first_ns = 110000.0;
    cell.prepare_ns = 4.0 * (cell.first_ns - OBSERVED) + 1000.0;
    acquits("a fourth of preparing");
    cell.prepare_ns -= 2000.0;
    convicts("more than a fourth", "integrity", "left to the queries");
    cell.group = 16;
    acquits("a request of sixteen");
}
END_TEST

START_TEST(test_clock)
{
    /* Twice the baseline's, 5 % of a query, and 2 us. */
    const double limit = 2.0 * (OBSERVED - CLAIMED) + 0.05 * CLAIMED + 2e3;

    begin("clock");
    fill(&cell.excess[PQH_CANDIDATE][0], TIMINGS, limit - 1.0);
    acquits("within the limit");
    fill(&cell.excess[PQH_CANDIDATE][0], TIMINGS, limit + 1.0);
    convicts("beyond it", "integrity", "the clock lies");
    spoil(&cell.excess[PQH_CANDIDATE][0], 1, 1000.0);
    acquits("one of twenty as quick as the baseline's");
    fill(&cell.excess[PQH_CANDIDATE][0], TIMINGS / 2 - 1, limit + 1e6);
    fill(&cell.claimed, TIMINGS / 2 - 1, CLAIMED);
    acquits("few timings, all of which waited");
    fill(&cell.excess[PQH_CANDIDATE][0], TIMINGS / 2, limit + 1e6);
    fill(&cell.claimed, TIMINGS / 2, CLAIMED);
    convicts("half as many as the least", "integrity", "the clock lies");

    begin("clock, in a few turns on a processor of its own");
    fill(&cell.excess[PQH_CANDIDATE][0], TIMINGS / 2 - 1, limit + 1.0);
    fill(&cell.excess[PQH_CANDIDATE][1], TIMINGS / 2 + 1, limit + 1.0);
    acquits("more is allowed");
    fill(&cell.excess[PQH_CANDIDATE][0], TIMINGS / 2 - 1, limit + 3e4);
    fill(&cell.excess[PQH_CANDIDATE][1], TIMINGS / 2 + 1, limit + 3e4);
    convicts("but not everything", "integrity", "the clock lies");
}
END_TEST

START_TEST(test_placing)
{
    const double limit = 2.0 * PLACING + 0.05 * OBSERVED;

    begin("placing");
    fill(&cell.placing[PQH_CANDIDATE], TIMINGS, limit - 1.0);
    acquits("within the limit");
    fill(&cell.placing[PQH_CANDIDATE], TIMINGS, limit + 1.0);
    convicts("beyond it", "integrity", "before its time begins");
    spoil(&cell.placing[PQH_CANDIDATE], 4, PLACING);
    acquits("one of five as quick as the baseline's");

    begin("hidden");
    fill(&cell.placing[PQH_CANDIDATE], TIMINGS, PLACING + 300.0);
    fill(&cell.placing[PQH_NULL], TIMINGS, PLACING + 100.0);
    CHECK_THAT(pqh_cell_hidden(&cell) == 200.0, "%g ns, not 200",
               pqh_cell_hidden(&cell));
    cell.num_arms = 2;
    CHECK_THAT(pqh_cell_hidden(&cell) == 300.0, "%g ns, not 300",
               pqh_cell_hidden(&cell));
}
END_TEST

START_TEST(test_memorized)
{
    begin("answers from memory, by speed");
    fill(&cell.speed_known, 100, log(1.49));
    acquits("1.49 times as fast");
    fill(&cell.speed_known, 100, log(1.51));
    convicts("1.51 times as fast", "integrity", "1.51 times as fast");
    spoil(&cell.speed_known, 9, -1.0);
    spoil(&cell.speed_new, 9, 1.0);
    acquits("not surely faster");
    fill(&cell.speed_known, 15, log(4.0));
    fill(&cell.speed_new, 100, 0.0);
    acquits("fifteen of the fixture's");
    fill(&cell.speed_known, 100, log(4.0));
    fill(&cell.speed_new, 15, 0.0);
    acquits("fifteen others");

    begin("answers from memory, by results");
    cell.overlap_new = 9 * 941; /* half a result less */
    acquits("9.41 of 9.9");
    cell.overlap_new = 9 * 939;
    convicts("9.39 of 9.9", "integrity", "find 9.90 on average");
}
END_TEST

START_TEST(test_helpers)
{
    begin("other threads");
    cell.other_cpu_ns = 5040000;
    acquits("a twentieth of the time");
    cell.other_cpu_ns = 5060000;
    convicts("more", "integrity", "threads that were gone");
    fill(&cell.claimed, 100, CLAIMED);
    cell.log_ns[PQH_CANDIDATE] = 100.0 * log(OBSERVED);
    cell.other_cpu_ns = 4990000;
    acquits("a few milliseconds, in a short run");
}
END_TEST

/* 16000 bytes in as many nanoseconds: a byte of each code takes 1000. */
START_TEST(test_floor)
{
    begin("floor");
    fill(&cell.observed[PQH_CANDIDATE], TIMINGS, 1001.0);
    fill(&cell.claimed, TIMINGS, 1001.0);
    acquits("above");
    fill(&cell.claimed, TIMINGS, 999.0);
    convicts("below by the child's clock", "impossible", "reading one byte");
    fill(&cell.observed[PQH_CANDIDATE], TIMINGS, 999.0);
    fill(&cell.claimed, TIMINGS, 1001.0);
    convicts("below by the judge's clock", "impossible", "reading one byte");
    cell.group = 2;
    acquits("a request of two");

    begin("floor, where reading is noisy");
    fill(&cell.observed[PQH_CANDIDATE], TIMINGS, 1500.0);
    fill(&cell.claimed, TIMINGS, 1500.0);
    fill(&cell.stream, 50, 48000.0);
    cell.stream.values[7] = 16000.0;
    acquits("the fastest reading counts");
    fill(&cell.stream, 50, 48000.0);
    convicts("all are as slow", "impossible", "reading one byte");
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Recall                                                                   */
/* ------------------------------------------------------------------------ */

static void recall_is(const char *what, int right)
{
    struct pqh_outcome outcome = {.code = PQH_EXIT_OK};
    int result = pqh_cell_check_recall(&cell, 0.5, &outcome);

    CHECK_THAT(result == (right ? 0 : -1) &&
                   outcome.code == (right ? PQH_EXIT_OK : PQH_EXIT_RECALL),
               "%s: %d, %s", what, result, outcome.reason);
}

/* Of 200 queries 2000 results: the floor of 0.5 are 1000 hits, the tolerance of
 * 0.005 is 10. */
START_TEST(test_recall)
{
    begin("recall");
    cell.known = 200;
    cell.hits[0] = cell.hits[1] = 1000;
    cell.reference_hits[0] = cell.reference_hits[1] = 1010;
    recall_is("just at the floor, and ten below the reference", 1);
    cell.hits[0] = cell.hits[1] = 999;
    cell.reference_hits[0] = cell.reference_hits[1] = 999;
    recall_is("one hit below the floor", 0);
    cell.hits[0] = cell.hits[1] = 1500;
    cell.reference_hits[0] = cell.reference_hits[1] = 1511;
    recall_is("eleven below the reference", 0);
    cell.reference_hits[0] = cell.reference_hits[1] = 1400;
    recall_is("above the reference", 1);
    cell.k = 100; /* 20000 results, a tolerance of 100 */
    cell.hits[1] = 3000;
    cell.reference_hits[1] = 3100;
    recall_is("no floor among a hundred", 1);
    cell.reference_hits[1] = 3101;
    recall_is("too few among a hundred", 0);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Intervals                                                                */
/* ------------------------------------------------------------------------ */

static void same_interval(struct pqh_interval found,
                          struct pqh_interval expected)
{
    CHECK_THAT(found.estimate == expected.estimate &&
                   found.low == expected.low && found.high == expected.high,
               "%g (%g to %g), not %g (%g to %g)", found.estimate, found.low,
               found.high, expected.estimate, expected.low, expected.high);
}

START_TEST(test_intervals)
{
    begin("intervals");
    fill(&cell.speed, 20, 0.01);
    fill(&cell.null, 20, 0.002);
    fill(&cell.sitting_speed, 6, 0.02);
    fill(&cell.sitting_null, 6, 0.003);
    spoil(&cell.sitting_speed, 1, -0.02);
    same_interval(pqh_cell_speed(&cell),
                  pqh_shift_interval(cell.sitting_speed.values, 6, 0.05));
    same_interval(pqh_cell_null(&cell),
                  pqh_shift_interval(cell.sitting_null.values, 6, 0.05));
    test_case("intervals of five sittings");
    cell.sitting_speed.count = cell.sitting_null.count = 5;
    same_interval(pqh_cell_speed(&cell),
                  pqh_median_interval(cell.speed.values, 20));
    same_interval(pqh_cell_null(&cell),
                  pqh_median_interval(cell.null.values, 20));
}
END_TEST

/* The median of what each arm takes longer than its round: 3, 0 and -3 here,
 * whatever the rounds are like. */
START_TEST(test_sitting)
{
    double times[3][9], scratch[9];
    const double *const levels[3] = {times[0], times[1], times[2]};
    struct pqh_sitting sitting;

    test_case("a sitting");
    for (size_t r = 0; r < 9; r++) {
        double shared = (double)(r * r % 7) * 100.0;
        times[PQH_CANDIDATE][r] = shared + 8.0 - (r == 4 ? 900.0 : 0.0);
        times[PQH_BASELINE][r] = shared + 5.0;
        times[PQH_NULL][r] = shared + 2.0;
    }
    sitting = pqh_sitting_of(levels, 9, scratch);
    CHECK_THAT(fabs(sitting.speed + 4.5) < 1e-9, "%g faster, not -4.5",
               sitting.speed);
    CHECK_THAT(fabs(sitting.null - 3.0) < 1e-9,
               "the baselines differ by %g, not 3", sitting.null);
    test_case("a sitting that drifts, and is disturbed in the middle");
    for (size_t a = 0; a < PQH_MAX_ARMS; a++) {
        for (size_t r = 0; r < 9; r++) {
            times[a][r] = 100.0 * (double)r;
        }
    }
    times[PQH_CANDIDATE][4] += 9.0;
    sitting = pqh_sitting_of(levels, 9, scratch);
    CHECK_THAT(fabs(sitting.speed) < 1e-9, "%g faster, not 0", sitting.speed);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* What is asked                                                            */
/* ------------------------------------------------------------------------ */

/* Values around +-1: each query may be moved by a 64th. */
START_TEST(test_queries)
{
    static float queries[QUERIES * DIM];
    float first[DIM], second[DIM], again[DIM];
    double farthest = 0.0;

    begin("queries like the fixture's");
    for (size_t i = 0; i < QUERIES * DIM; i++) {
        queries[i] = i % 2 == 0 ? 1.0f : -1.0f;
    }
    fixture.queries = queries;
    for (uint64_t seed = 0; seed < 100; seed++) {
        cell.random = seed;
        pqh_cell_make_query(&cell, 3, first);
        pqh_cell_make_query(&cell, 3, second);
        cell.random = seed;
        pqh_cell_make_query(&cell, 3, again);
        CHECK_THAT(memcmp(first, again, sizeof first) == 0,
                   "the seed does not make them");
        CHECK_THAT(memcmp(first, second, sizeof first) != 0, "the same twice");
        CHECK_THAT(memcmp(first, queries + 3 * DIM, sizeof first) != 0,
                   "the fixture's own");
        for (size_t d = 0; d < DIM; d++) {
            double moved = fabs((double)first[d] - (double)queries[d]);
            farthest = moved > farthest ? moved : farthest;
        }
    }
    CHECK_THAT(farthest > 0.9 / 64.0 && farthest <= 1.0001 / 64.0,
               "moved by up to %g", farthest);
    test_case("a query like one of zeros");
    memset(queries, 0, sizeof queries);
    pqh_cell_make_query(&cell, 3, first);
    pqh_cell_make_query(&cell, 3, second);
    CHECK_THAT(memcmp(first, second, sizeof first) != 0, "the same twice");
}
END_TEST

START_TEST(test_tasks)
{
    static uint32_t truth[QUERIES];
    static struct pqh_task tasks[100];
    size_t seen[QUERIES] = {0}, first = 0;

    begin("tasks");
    fixture.truth = truth;
    cell.plan.min_queries = 100;
    cell.tasks = tasks;
    cell.random = 1;
    pqh_cell_refill_tasks(&cell, 1);
    CHECK_THAT(cell.num_tasks == 100 &&
                   cell.num_mixed == QUERIES + QUERIES / 4 + 32,
               "%zu tasks, %zu mixed", cell.num_tasks, cell.num_mixed);
    for (size_t i = 0; i < 100; i++) {
        CHECK_THAT(tasks[i].query < QUERIES, "query %u", tasks[i].query);
        seen[tasks[i].query] += tasks[i].known;
        first += i < QUERIES && tasks[i].known;
        CHECK_THAT(i < cell.num_mixed || !tasks[i].known,
                   "task %zu is one of the fixture's own", i);
    }
    for (size_t q = 0; q < QUERIES; q++) {
        CHECK_THAT(seen[q] == 1, "query %zu is asked %zu times", q, seen[q]);
    }
    CHECK_THAT(first < QUERIES / 2, "%zu of %d come first", first, QUERIES);
    pqh_cell_refill_tasks(&cell, 0);
    CHECK_THAT(cell.num_tasks == QUERIES && cell.num_mixed == 0 && !tasks[0].known,
               "the fixture's own are asked again");
}
END_TEST

START_TEST(test_wide)
{
    struct pqh_outcome outcome = {.code = PQH_EXIT_OK};

    begin("vectors that no slot holds");
    fixture.dim = PQH_MAX_DIM + 1;
    CHECK_THAT(pqh_cell_run(&cell, &fixture, 1, &outcome) == -1 &&
                   outcome.code == PQH_EXIT_ERROR &&
                   strstr(outcome.reason, "at most 65536 can be judged"),
               "%d: %s", (int)outcome.code, outcome.reason);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* The guards' data                                                         */
/* ------------------------------------------------------------------------ */

#define PRIMARY_ROWS 20000

static void make_guard(enum pqh_guard guard, double ns_per_code, uint64_t seed,
                       struct pqh_fixture *made)
{
    struct pqf_error err;

    CHECK_THAT(pqh_guard_make(guard, &fixture, ns_per_code, seed, made, &err) ==
                   0,
               "%s", err.text);
    CHECK_THAT(made->truth == NULL, "it has a truth");
}

START_TEST(test_guard_data)
{
    static uint8_t codes[PRIMARY_ROWS * 16];
    struct pqh_fixture made, other;

    test_case("guards");
    fixture.num_base = PRIMARY_ROWS;
    fixture.codes = codes;
    fixture.codebook.num_sub_vectors = 16;
    for (size_t i = 0; i < sizeof codes; i++) {
        codes[i] = (uint8_t)(i % 16); /* tells where in a code it was */
    }
    make_guard(PQH_GUARD_PARTITION, 1.0, 1, &made);
    make_guard(PQH_GUARD_PARTITION, 1.0, 2, &other);
    CHECK_THAT(made.num_base == 8192 && made.codes >= codes &&
                   made.codes + (size_t)8192 * 16 <= codes + sizeof codes,
               "a partition of %zu rows", made.num_base);
    CHECK_THAT(made.codes != other.codes, "any seed gives the same rows");
    pqh_guard_free(&fixture, &made);
    pqh_guard_free(&fixture, &other);
    test_case("guards that take 1 ms to prepare a code");
    make_guard(PQH_GUARD_LARGE, 1e6, 1, &made);
    CHECK_THAT(made.num_base == 2001, "%zu rows, not 2001", made.num_base);
    CHECK_THAT(memcmp(made.codes, codes, 16) == 0, "codes that are put askew");
    pqh_guard_free(&fixture, &made);
    make_guard(PQH_GUARD_GAUSSIAN, 1e6, 1, &made);
    CHECK_THAT(made.num_base == 2001 && made.dim == 128 &&
                   made.queries != fixture.queries,
               "%zu rows, not 2001", made.num_base);
    pqh_guard_free(&fixture, &made);
}
END_TEST

START_TEST(test_idling)
{
    begin("processor time between commands");
    cell.idle_ns[PQH_CANDIDATE] = 200000000;
    cell.idle_cpu_ns[PQH_CANDIDATE] = 990000;
    acquits("little in all");
    cell.idle_ns[PQH_CANDIDATE] = 1000000000;
    cell.idle_cpu_ns[PQH_CANDIDATE] = 2990000;
    acquits("a small part");
    cell.idle_cpu_ns[PQH_CANDIDATE] = 3010000;
    convicts("more", "integrity", "between its commands");
    cell.idle_cpu_ns[PQH_NULL] = 100000;
    acquits("where the others do it, too");
    cell.idle_cpu_ns[PQH_CANDIDATE] = 3210000;
    convicts("more than these", "integrity", "between its commands");
    cell.idle_cpu_ns[PQH_CANDIDATE] = cell.idle_cpu_ns[PQH_NULL] = 0;
    for (size_t a = 0; a < PQH_MAX_ARMS; a++) {
        cell.turns[a] = 100;
    }
    cell.awake[PQH_CANDIDATE] = 29;
    acquits("awake now and then");
    cell.awake[PQH_CANDIDATE] = 31;
    convicts("awake often", "integrity", "did not sleep between its commands");
    cell.awake[PQH_BASELINE] = 16;
    acquits("where the others are, too");
    cell.awake[PQH_CANDIDATE] = cell.awake[PQH_BASELINE] = 0;
}
END_TEST

enum { VARIED_ROWS = 160, PARTS = 4, CENTROIDS = 5, VARIED_QUERIES = 3 };

/* Which of the given parts has become this one: its centroids tell. */
static size_t part_of(const float *centroids, const struct pqh_fixture *varied,
                      size_t part)
{
    size_t size = (size_t)CENTROIDS * 2;

    for (size_t p = 0; p < PARTS; p++) {
        if (memcmp(varied->codebook.centroids + part * size,
                   centroids + p * size, size * sizeof(float)) == 0) {
            return p;
        }
    }
    return PARTS;
}

/* Rows, queries and centroids in one and the same order. */
static void check_varied(const struct pqh_fixture *given,
                         const struct pqh_fixture *varied, unsigned *moved)
{
    unsigned seen = 0;

    for (size_t p = 0; p < PARTS; p++) {
        size_t from = part_of(given->codebook.centroids, varied, p);
        CHECK_THAT(from < PARTS && !(seen >> from & 1), "part %zu is lost", p);
        seen |= 1u << from;
        *moved += from != p;
        for (size_t i = 0; i < varied->num_base; i++) {
            CHECK_THAT(varied->codes[i * PARTS + p] % 8 == from,
                       "row %zu, part %zu: %d", i, p,
                       varied->codes[i * PARTS + p]);
        }
        for (size_t q = 0; q < VARIED_QUERIES; q++) {
            CHECK_THAT(memcmp(varied->queries + (q * PARTS + p) * 2,
                              given->queries + (q * PARTS + from) * 2,
                              2 * sizeof(float)) == 0,
                       "query %zu, part %zu", q, p);
        }
    }
}

START_TEST(test_varied)
{
    float centroids[PARTS * CENTROIDS * 2], queries[VARIED_QUERIES * PARTS * 2];
    uint8_t codes[VARIED_ROWS * PARTS];
    struct pqh_fixture given = {.dim = (size_t)PARTS * 2,
                                .num_base = VARIED_ROWS,
                                .num_queries = VARIED_QUERIES,
                                .queries = queries,
                                .codes = codes,
                                .codebook = {.num_sub_vectors = PARTS,
                                             .num_centroids = CENTROIDS,
                                             .sub_vector_dim = 2,
                                             .centroids = centroids}};
    size_t least = VARIED_ROWS, most = 0;
    uint64_t random = 1;
    unsigned moved = 0;

    test_case("varied");
    for (size_t i = 0; i < PARTS * CENTROIDS * 2; i++)
        centroids[i] = (float)i;
    for (size_t i = 0; i < VARIED_QUERIES * PARTS * 2; i++)
        queries[i] = (float)i;
    for (size_t i = 0; i < sizeof codes; i++)
        codes[i] = (uint8_t)(i % PARTS);
    for (size_t i = 0; i < 200; i++) {
        struct pqh_fixture varied;
        CHECK_THAT(pqh_varied_make(&given, 4, 10, &random, &varied) == 0,
                   "no memory");
        check_varied(&given, &varied, &moved);
        least = varied.num_base < least ? varied.num_base : least;
        most = varied.num_base > most ? varied.num_base : most;
        pqh_varied_free(&varied);
    }
    CHECK_THAT(least == VARIED_ROWS - 10 && most == VARIED_ROWS - 4,
               "%zu to %zu rows", least, most);
    CHECK_THAT(moved > 200, "the order stays");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("judge");

    add_case(suite, "deferral", test_deferral, 4, 0, 1);
    add_case(suite, "clock", test_clock, 4, 0, 1);
    add_case(suite, "placing", test_placing, 4, 0, 1);
    add_case(suite, "memorized", test_memorized, 4, 0, 1);
    add_case(suite, "helpers", test_helpers, 4, 0, 1);
    add_case(suite, "floor", test_floor, 4, 0, 1);
    add_case(suite, "recall", test_recall, 4, 0, 1);
    add_case(suite, "intervals", test_intervals, 4, 0, 1);
    add_case(suite, "sitting", test_sitting, 4, 0, 1);
    add_case(suite, "queries", test_queries, 4, 0, 1);
    add_case(suite, "tasks", test_tasks, 4, 0, 1);
    add_case(suite, "wide", test_wide, 4, 0, 1);
    add_case(suite, "guards", test_guard_data, 10, 0, 1);
    add_case(suite, "varied", test_varied, 4, 0, 1);
    add_case(suite, "idling", test_idling, 4, 0, 1);
    return run_suite(suite);
}
