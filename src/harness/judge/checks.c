/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "checks.h"
#include "base/splitmix.h"
#include "queries.h"

#include <math.h>
#include <string.h>

/* Each replay comes after fewer than so many others. */
#define MAX_OTHERS 4

/* So many timings on processors of their own show what handing over takes. */
#define OWN_TIMINGS 500

/* Processor time between commands that is too little to matter: in all, and as a
 * share of that time beyond what the others use. */
#define IDLE_NS    1e6
#define IDLE_SHARE 0.003

/* Processor time that is short hides some of that.  So a child that is seen awake
 * after so many of its turns, twice as often as the others, is convicted, too. */
#define AWAKE_SHARE 0.3

/* Two hits in a thousand queries at k = 10 are no more than a change of ties. */
#define TOLERANCE 200 /* one in so many: 0.005 */

/* The same queries at other addresses, after an unpredictable number of others:
 * the answers must be the same bits. */
int pqh_cell_check_sitting(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    struct pqh_reply *replies = cell->replies[PQH_CANDIDATE];
    size_t dim = cell->fixture->dim;

    for (size_t i = 0; i < cell->num_replays; i++) {
        const struct pqh_reply *before = &cell->replays[i];
        size_t others = pqk_random_below(&cell->random, MAX_OTHERS);
        size_t count = pqh_cell_whole_requests(cell, others + 1);
        for (size_t j = 0; j < count; j++) {
            pqh_cell_make_any_query(cell, cell->queries + j * dim);
        }
        memcpy(cell->queries + others * dim, cell->replay_queries + i * dim,
               dim * sizeof(float));
        if (pqh_arm_turn(&cell->arms[PQH_CANDIDATE], cell->queries, dim, count,
                         cell->call_limit, &cell->random, replies,
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

/* Deferred preparation costs the first request a pass over all codes.  On a machine
 * with more work than processors, a child that has just prepared waits for one
 * each time: what the baseline's first requests suffer, too, proves nothing. */
static int check_deferral(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    double warm = pqh_cell_median(&cell->observed[PQH_CANDIDATE]);
    double first = cell->first_ns;

    warm *= (double)cell->group;
    if (cell->plan.creations > 1 && first > pqh_cell_first_limit(warm) &&
        first > 2.0 * cell->baseline_first_ns &&
        first - warm > 0.25 * cell->prepare_ns) {
        return pqh_end(
            outcome, PQH_EXIT_INTEGRITY, "integrity",
            "a request right after preparing takes at least %.3f "
            "ms, a later one %.3f ms, preparing %.3f ms: preparation is "
            "left to the queries",
            first / 1e6, warm / 1e6, cell->prepare_ns / 1e6);
    }
    return 0;
}

/* A quantile of an arm's excess: in the turns that it spent on a processor of
 * its own, or in all. */
static double excess_quantile(struct pqh_cell *cell, size_t a, int all,
                              double quantile)
{
    struct pqh_samples *samples = &cell->excess[a][all];
    const struct pqh_samples *own = &cell->excess[a][0];

    /* There is room: both together hold no more than one value a timing. */
    if (all) {
        memcpy(samples->values + samples->count, own->values,
               own->count * sizeof *own->values);
        samples->count += own->count;
    }
    pqh_sort(samples->values, samples->count);
    return pqh_quantile(samples->values, samples->count, quantile);
}

/*
 * The judge's clock sees more time than the child's claims: that of handing over,
 * which takes the baseline as long.  Other processes do not disturb the quickest
 * handovers, unless child and judge share a processor.  Whether they did is known
 * for the two ends of a turn only.  So if there are many turns in which they did
 * not, only those count; else all count, and more is allowed.  A clock that lies
 * does so in the very quickest handovers, too, so these are compared with quick
 * ones of the baseline: a busy machine slows both.  Few timings, as a guard has
 * there, may all have waited for a processor; the primary cell has a thousand.
 */
static int check_clock(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    int all = cell->excess[PQH_CANDIDATE][0].count < OWN_TIMINGS ||
              cell->excess[PQH_BASELINE][0].count < OWN_TIMINGS;
    double claimed = pqh_cell_median(&cell->claimed);
    double more = excess_quantile(cell, PQH_CANDIDATE, all, 0.02);
    double usual = excess_quantile(cell, PQH_BASELINE, all, 0.1);

    if (cell->claimed.count >= OWN_TIMINGS &&
        more > 2.0 * usual + 0.05 * claimed + (all ? 3e4 : 2e3)) {
        return pqh_end(outcome, PQH_EXIT_INTEGRITY, "integrity",
                       "the child's clock says %.1f us a query, the judge's "
                       "sees %.1f us more: the clock lies",
                       claimed / 1e3, more / 1e3);
    }
    return 0;
}

double pqh_cell_hidden(struct pqh_cell *cell)
{
    double usual = pqh_cell_median(&cell->placing[PQH_BASELINE]);

    if (cell->num_arms > PQH_NULL) {
        usual = fmax(usual, pqh_cell_median(&cell->placing[PQH_NULL]));
    }
    return pqh_cell_median(&cell->placing[PQH_CANDIDATE]) - usual;
}

/* Placing a query is the child's own work, and takes every arm as long; where
 * others want the processor it waits now and then, but not nearly always. */
static int check_placing(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    struct pqh_samples *placing = &cell->placing[PQH_CANDIDATE];
    double usual = pqh_cell_median(&cell->placing[PQH_BASELINE]);
    double query = pqh_cell_median(&cell->observed[PQH_BASELINE]);
    double hidden;

    pqh_sort(placing->values, placing->count);
    hidden = pqh_quantile(placing->values, placing->count, 0.1) - usual;
    if (hidden > usual + 0.05 * query) {
        return pqh_end(outcome, PQH_EXIT_INTEGRITY, "integrity",
                       "%.1f us a query pass before its time begins, %.1f us "
                       "more than with the baseline: work is done there",
                       (hidden + usual) / 1e3, hidden / 1e3);
    }
    return 0;
}

static struct pqh_interval interval_of(struct pqh_samples *samples)
{
    pqh_sort(samples->values, samples->count);
    return pqh_median_interval(samples->values, samples->count);
}

/* Answers prepared for the fixture's own queries show in two ways.  Speeds are
 * compared while both kinds are asked side by side, not with later rounds, which
 * the machine may have let run faster; and noise alone must not tell them apart,
 * as it does when requests are few and long. */
static int check_memorized(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    struct pqh_interval speed_known, speed_new;
    double ratio, known, fresh;

    if (cell->speed_known.count < 16 || cell->speed_new.count < 16) {
        return 0;
    }
    speed_known = interval_of(&cell->speed_known);
    speed_new = interval_of(&cell->speed_new);
    ratio = exp(speed_known.estimate - speed_new.estimate);
    if (ratio > 1.5 && speed_known.low > speed_new.high) {
        return pqh_end(outcome, PQH_EXIT_INTEGRITY, "integrity",
                       "queries of the fixture are answered %.2f times as fast "
                       "as others like them",
                       ratio);
    }
    known = (double)cell->overlap_known / (double)cell->known;
    fresh = (double)cell->overlap_new / (double)cell->fresh;
    if (fresh < known - 0.05 * (double)cell->k10) {
        return pqh_end(outcome, PQH_EXIT_INTEGRITY, "integrity",
                       "of the reference's first %zu, queries of the fixture "
                       "find %.2f on average, others like them %.2f",
                       cell->k10, known, fresh);
    }
    return 0;
}

static int check_helpers(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    double other = (double)cell->other_cpu_ns;
    double count = (double)cell->claimed.count;
    double own = exp(cell->log_ns[PQH_CANDIDATE] / count) * count;

    if (other > 5e6 && other > 0.05 * own) {
        return pqh_end(outcome, PQH_EXIT_INTEGRITY, "integrity",
                       "threads that were gone when looked for used %.0f ms of "
                       "processor time",
                       other / 1e6);
    }
    return 0;
}

static double awake_share(const struct pqh_cell *cell, size_t a)
{
    return cell->turns[a] > 0 ? (double)cell->awake[a] / cell->turns[a] : 0.0;
}

/* Between its commands a child sleeps.  What it does there slows down the others,
 * whose turn it is. */
static int check_idling(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    double used = (double)cell->idle_cpu_ns[PQH_CANDIDATE];
    double awake = awake_share(cell, PQH_CANDIDATE);
    double usual = 0.0, usually_awake = 0.0;

    for (size_t a = PQH_BASELINE; a < cell->num_arms; a++) {
        usual = fmax(usual, (double)cell->idle_cpu_ns[a]);
        usually_awake = fmax(usually_awake, awake_share(cell, a));
    }
    if (awake > AWAKE_SHARE && awake > 2.0 * usually_awake) {
        return pqh_end(outcome, PQH_EXIT_INTEGRITY, "integrity",
                       "it did not sleep between its commands, in the others' "
                       "turns, in %.0f of 100 cases",
                       100.0 * awake);
    }
    if (used > IDLE_NS &&
        used >
            2.0 * usual + IDLE_SHARE * (double)cell->idle_ns[PQH_CANDIDATE]) {
        return pqh_end(
            outcome, PQH_EXIT_INTEGRITY, "integrity",
            "it used %.1f ms of processor time between its commands, "
            "in the others' turns",
            used / 1e6);
    }
    return 0;
}

/* By either clock, a request took less time than reading one byte of each code
 * takes.  Compared with the fastest reading of all rounds, noise alone cannot
 * convict anybody. */
static int check_floor(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    double rate, least, took;

    pqh_sort(cell->stream.values, cell->stream.count);
    rate = pqh_quantile(cell->stream.values, cell->stream.count, 0.0) /
           (double)(cell->stream_bytes > 0 ? cell->stream_bytes : 1);
    least = (double)cell->fixture->num_base * rate;
    took = fmin(pqh_cell_median(&cell->observed[PQH_CANDIDATE]),
                pqh_cell_median(&cell->claimed)) *
           (double)cell->group;
    if (took < least) {
        return pqh_end(outcome, PQH_EXIT_INTEGRITY, "impossible",
                       "a request takes %.0f ns; reading one byte of each of "
                       "the %zu codes takes %.0f ns at best",
                       took, cell->fixture->num_base, least);
    }
    return 0;
}

int pqh_cell_check(struct pqh_cell *cell, struct pqh_outcome *outcome)
{
    if (check_helpers(cell, outcome) != 0 || check_idling(cell, outcome) != 0 ||
        check_clock(cell, outcome) != 0 || check_placing(cell, outcome) != 0 ||
        check_deferral(cell, outcome) != 0 ||
        check_memorized(cell, outcome) != 0) {
        return -1;
    }
    return check_floor(cell, outcome);
}

/* In whole hits, so that no rounding decides. */
int pqh_cell_check_recall(struct pqh_cell *cell, double floor,
                          struct pqh_outcome *outcome)
{
    size_t limits[2] = {cell->k10, cell->k};

    for (size_t j = 0; j < 2; j++) {
        size_t all = cell->known * limits[j];
        size_t hits = cell->hits[j];
        size_t wanted = cell->reference_hits[j];

        if (j == 0 && (double)hits < floor * (double)all - 1e-6) {
            return pqh_end(outcome, PQH_EXIT_RECALL, "recall",
                           "%zu hits of %zu are below the floor of %g; the "
                           "reference has %zu",
                           hits, all, floor, wanted);
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
