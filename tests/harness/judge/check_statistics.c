/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The judge's statistics against values known from elsewhere. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>

#include "../../checked.h"
#include "harness/judge/statistics.h"

#define MANY 100000

static void check_near(double found, double expected)
{
    CHECK_THAT(fabs(found - expected) <= 1e-12 * fabs(expected),
               "%.17g, not %.17g", found, expected);
}

START_TEST(test_levels)
{
    double values[] = {9.0, 1.0, 4.0, 2.0, 1000.0};
    double powers[] = {1.0, 10.0, 100.0};

    test_case("levels");
    pqh_sort(values, 5);
    check_near(pqh_quantile(values, 5, 0.0), 1.0);
    check_near(pqh_quantile(values, 5, 0.5), 4.0);
    check_near(pqh_quantile(values, 5, 1.0), 1000.0);
    check_near(pqh_quantile(values, 5, 0.25), 2.0);
    check_near(pqh_quantile(values, 5, 0.375), 3.0);
    check_near(pqh_quantile(values, 4, 0.5), 3.0);
    check_near(pqh_midmean(values, 5), 5.0);
    check_near(pqh_midmean(values, 4), 3.0);
    check_near(pqh_midmean(values, 3), 7.0 / 3.0);
    check_near(pqh_midmean(values, 1), 1.0);
    check_near(pqh_geometric_mean(powers, 3), 10.0);
    check_near(pqh_quantile(values, 0, 0.5), 0.0);
    check_near(pqh_midmean(values, 0), 0.0);
    check_near(pqh_geometric_mean(values, 0), 0.0);
}
END_TEST

/* Ranks from tables of the sign test, counted from 1. */
START_TEST(test_ranks)
{
    static const struct {
        size_t count, low, high;
    } known[] = {{6, 1, 6},   {8, 1, 8},    {9, 2, 8},     {20, 6, 15},
                 {25, 8, 18}, {50, 18, 33}, {100, 40, 61}, {1000, 469, 532}};
    double *values = test_alloc(MANY * sizeof *values);
    struct pqh_interval interval;

    for (size_t i = 0; i < MANY; i++) {
        values[i] = (double)(i + 1);
    }
    for (size_t i = 0; i < TEST_COUNT(known); i++) {
        test_case("%zu values", known[i].count);
        interval = pqh_median_interval(values, known[i].count);
        check_near(interval.estimate, (double)(known[i].count + 1) / 2.0);
        check_near(interval.low, (double)known[i].low);
        check_near(interval.high, (double)known[i].high);
    }
    for (size_t count = 0; count < 6; count++) {
        test_case("%zu values", count);
        interval = pqh_median_interval(values, count);
        CHECK_THAT(isinf(interval.low) && isinf(interval.high),
                   "too few values give an interval");
    }
    /* 2^-count underflows; the normal approximation is good. */
    test_case("%d values", MANY);
    interval = pqh_median_interval(values, MANY);
    CHECK_THAT(fabs(interval.low - (MANY / 2 - 1.96 * sqrt(MANY) / 2)) < 2.0,
               "low is %g", interval.low);
    free(values);
}
END_TEST

/* The interval holds the median in 95 of 100 cases, however skewed. */
START_TEST(test_coverage)
{
    struct test_random random = {1};
    double values[40];
    int held = 0;

    test_case("coverage");
    for (int i = 0; i < 4000; i++) {
        struct pqh_interval interval;
        for (size_t j = 0; j < TEST_COUNT(values); j++) {
            values[j] = exp(3.0 * (double)test_uniform(&random));
        }
        pqh_sort(values, TEST_COUNT(values));
        interval = pqh_median_interval(values, TEST_COUNT(values));
        held += interval.low <= exp(1.5) && exp(1.5) <= interval.high;
    }
    CHECK_THAT(held > 3800 && held < 3960, "%d of 4000", held);
}
END_TEST

/* Critical values of Wilcoxon's signed ranks, two-sided 5 %: tables have 0 for 6,
 * 8 for 10, 29 for 16, 52 for 20.  Of 1, 2, 3, ... the means are known. */
START_TEST(test_shifts)
{
    static const struct {
        size_t count, trimmed;
    } known[] = {{6, 1}, {10, 9}, {16, 30}, {20, 53}};
    double values[20], means[210];

    for (size_t i = 0; i < TEST_COUNT(values); i++) {
        values[i] = exp((double)i / 7.0);
    }
    for (size_t i = 0; i < TEST_COUNT(known); i++) {
        struct pqh_interval interval =
            pqh_shift_interval(values, known[i].count, 0.05);
        size_t used = 0;
        test_case("%zu values", known[i].count);
        for (size_t a = 0; a < known[i].count; a++) {
            for (size_t b = 0; b <= a; b++) {
                means[used++] = (values[a] + values[b]) / 2.0;
            }
        }
        pqh_sort(means, used);
        check_near(interval.estimate, pqh_quantile(means, used, 0.5));
        check_near(interval.low, means[known[i].trimmed - 1]);
        check_near(interval.high, means[used - known[i].trimmed]);
    }
    CHECK_THAT(isinf(pqh_shift_interval(values, 5, 0.05).high),
               "five values give an interval");
    CHECK_THAT(isinf(pqh_shift_interval(values, 10, 0.001).high),
               "ten values give 99.9 %%");
    CHECK_THAT(isfinite(pqh_shift_interval(values, 11, 0.001).high),
               "eleven values give none");
    CHECK_THAT(isfinite(pqh_median_interval_at(values, 11, 0.001).high) &&
                   isinf(pqh_median_interval_at(values, 10, 0.001).high),
               "the sign test's level is another");
}
END_TEST

/* It holds the centre of what is symmetric, with outliers as a busy machine has
 * them. */
START_TEST(test_shift_coverage)
{
    struct test_random random = {2};
    double values[20];
    int held = 0;

    test_case("coverage");
    for (int i = 0; i < 4000; i++) {
        struct pqh_interval interval;
        for (size_t j = 0; j < TEST_COUNT(values); j++) {
            double u = (double)test_uniform(&random) - 0.5;
            values[j] = 1.0 + u * u * u * 8.0;
        }
        pqh_sort(values, TEST_COUNT(values));
        interval = pqh_shift_interval(values, TEST_COUNT(values), 0.05);
        held += interval.low <= 1.0 && 1.0 <= interval.high;
    }
    CHECK_THAT(held > 3750 && held < 3900, "%d of 4000", held);
}
END_TEST

START_TEST(test_guards)
{
    static const struct {
        struct pqh_interval speed, null;
        int loses, hides;
    } known[] = {
        {{-0.03, -0.04, -0.02}, {0.0, -0.005, 0.005}, 1, 0},
        /* less than was asked for, or than two equal arms differ by */
        {{-0.008, -0.009, -0.007}, {0.0, -0.005, 0.005}, 0, 0},
        {{-0.03, -0.04, -0.02}, {0.02, -0.005, 0.05}, 0, 0},
        /* noisy */
        {{-0.03, -0.09, 0.001}, {0.0, -0.005, 0.005}, 0, 1},
        {{0.01, -0.05, 0.07}, {0.0, -0.005, 0.005}, 0, 1},
        {{0.01, -0.048, 0.07}, {0.0, -0.005, 0.005}, 0, 0},
        {{-0.03, -INFINITY, INFINITY}, {0.0, -0.005, 0.005}, 0, 1},
        {{-0.03, -0.04, -0.02}, {0.0, -INFINITY, INFINITY}, 0, 0},
        {{0.2, 0.1, 0.3}, {0.0, -0.005, 0.005}, 0, 0},
    };
    static const double logs[] = {0.02, -0.04, 5.0, -5.0};

    for (size_t i = 0; i < TEST_COUNT(known); i++) {
        test_case("guard %zu", i);
        CHECK_THAT(pqh_guard_loses(known[i].speed, known[i].null, 0.01) ==
                       known[i].loses,
                   "not %d", known[i].loses);
        CHECK_THAT(pqh_guard_hides(known[i].speed, 0.01) == known[i].hides,
                   "hides: not %d", known[i].hides);
    }
    test_case("a guard, for an effect of 20 %%");
    CHECK_THAT(!pqh_guard_hides(known[3].speed, 0.2), "less than that");
    test_case("composite");
    check_near(pqh_composite(0.3, logs, 0), 0.3);
    check_near(pqh_composite(0.3, logs, 2), (0.3 - 0.01) / 2.0);
    check_near(pqh_composite(0.3, logs, 4), (0.3 - 0.005) / 2.0);
    check_near(pqh_composite(0.0, logs + 2, 1), log(1.1) / 2.0);
    check_near(pqh_composite(0.0, logs + 3, 1), -log(1.1) / 2.0);
}
END_TEST

START_TEST(test_verdicts)
{
    static const struct {
        struct pqh_interval speed, null;
        enum pqh_verdict verdict;
    } known[] = {
        {{0.02, 0.015, 0.025}, {0.0, -0.001, 0.001}, PQH_FASTER},
        {{-0.02, -0.025, -0.015}, {0.0, -0.001, 0.001}, PQH_SLOWER},
        {{0.001, -0.002, 0.004}, {0.0, -0.001, 0.001}, PQH_SAME},
        /* surely faster, but by less than was asked for */
        {{0.005, 0.003, 0.007}, {0.0, -0.001, 0.001}, PQH_SAME},
        /* too wide for either */
        {{0.005, -0.004, 0.014}, {0.0, -0.001, 0.001}, PQH_UNRESOLVED},
        {{0.009, 0.007, 0.011}, {0.0, -0.001, 0.001}, PQH_UNRESOLVED},
        /* above the effect, but not surely by that much */
        {{0.012, 0.009, 0.015}, {0.0, -0.001, 0.001}, PQH_UNRESOLVED},
        {{-0.012, -0.015, -0.009}, {0.0, -0.001, 0.001}, PQH_UNRESOLVED},
        /* the larger counts, not the sum */
        {{0.02, 0.015, 0.025}, {0.0, -0.014, 0.012}, PQH_FASTER},
        {{0.001, -0.002, 0.004}, {0.0, -0.014, 0.012}, PQH_UNRESOLVED},
        /* the null arm is as far off as the candidate */
        {{0.02, 0.015, 0.025}, {0.015, 0.010, 0.020}, PQH_UNRESOLVED},
        {{0.02, 0.015, 0.025}, {-0.015, -0.020, -0.010}, PQH_UNRESOLVED},
        {{-0.02, -0.025, -0.015}, {0.015, 0.010, 0.020}, PQH_UNRESOLVED},
        /* nothing is known */
        {{0.0, -INFINITY, INFINITY},
         {0.0, -INFINITY, INFINITY},
         PQH_UNRESOLVED},
    };

    for (size_t i = 0; i < TEST_COUNT(known); i++) {
        enum pqh_verdict verdict =
            pqh_judge_speed(known[i].speed, known[i].null, 0.01);
        test_case("verdict %zu", i);
        CHECK_THAT(verdict == known[i].verdict, "%d, not %d", (int)verdict,
                   (int)known[i].verdict);
    }
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Whole comparisons, with noise that is made up                            */
/* ------------------------------------------------------------------------ */

#define SITTINGS 20
#define ROUNDS   12

/* Standard deviations of logarithms: of a round; of a process, for as long as it
 * lives; of a step in a random walk that all arms make together, of which one
 * round, short as it is, sees a small part. */
struct noise {
    const char *name;
    double round, process, drift;
    double alike;  /* 0 to 1: how much of a round's noise the next one keeps */
    int heavy;     /* one-sided, as interrupts are; now and then ten times */
    double chance; /* of one that hits a whole sitting of one arm, by 3 % */
    int found;     /* 2 % has to be, so many times of 100 */
};

static const struct noise noises[] = {
    {"quiet", 0.004, 0.004, 0.0, 0.0, 0, 0.0, 95},
    {"heavy-tailed", 0.004, 0.004, 0.0, 0.0, 1, 0.0, 95},
    {"drifting", 0.004, 0.004, 0.02, 0.0, 0, 0.0, 95},
    {"autocorrelated", 0.004, 0.004, 0.0, 0.9, 0, 0.0, 95},
    {"bimodal", 0.004, 0.004, 0.0, 0.0, 0, 0.2, 30},
    {"unlike processes", 0.01, 0.03, 0.0, 0.0, 0, 0.0, 0},
    {"all of it", 0.006, 0.006, 0.01, 0.7, 1, 0.1, 40},
};

static double normal_deviate(struct test_random *random)
{
    double sum = -6.0;

    for (int i = 0; i < 12; i++) {
        sum += (double)test_uniform(random);
    }
    return sum;
}

static double round_noise(const struct noise *noise, struct test_random *random,
                          double before)
{
    double fresh = noise->round * normal_deviate(random);

    if (noise->heavy) {
        fresh = fabs(fresh);
        fresh *= (double)test_uniform(random) < 0.05 ? 10.0 : 1.0;
    }
    return noise->alike * before +
           sqrt(1.0 - noise->alike * noise->alike) * fresh;
}

/* The candidate is slower by `effect`. */
static enum pqh_verdict simulate(const struct noise *noise, double effect,
                                 struct test_random *random)
{
    double speed[SITTINGS], null[SITTINGS], shared = 0.0;

    for (size_t s = 0; s < SITTINGS; s++) {
        double process[3], last[3] = {0.0}, times[3][ROUNDS], scratch[ROUNDS];
        const double *const levels[3] = {times[0], times[1], times[2]};
        struct pqh_sitting sitting;
        for (size_t a = 0; a < 3; a++) {
            process[a] = noise->process * normal_deviate(random);
            process[a] +=
                (double)test_uniform(random) < noise->chance ? 0.03 : 0.0;
        }
        for (size_t r = 0; r < ROUNDS; r++) {
            size_t start = (size_t)(3.0 * (double)test_uniform(random));
            for (size_t t = 0; t < 3; t++, start++) {
                size_t a = start % 3;
                shared += noise->drift / 3.0 * normal_deviate(random) / 3.0;
                last[a] = round_noise(noise, random, last[a]);
                times[a][r] = process[a] + last[a] + shared;
                times[a][r] += a == PQH_CANDIDATE ? effect : 0.0;
            }
        }
        sitting = pqh_sitting_of(levels, ROUNDS, scratch);
        speed[s] = sitting.speed;
        null[s] = sitting.null;
    }
    pqh_sort(speed, SITTINGS);
    pqh_sort(null, SITTINGS);
    return pqh_judge_speed(pqh_shift_interval(speed, SITTINGS, 0.05),
                           pqh_shift_interval(null, SITTINGS, 0.05), 0.01);
}

/* Noise of one side only, as interrupts and cold caches make it, favours none of
 * three equal arms.  The bounds are five standard errors. */
START_TEST(test_equal_arms)
{
    struct test_random random = {3};
    double times[3][ROUNDS], scratch[ROUNDS], speed = 0.0, null = 0.0;
    const double *const levels[3] = {times[0], times[1], times[2]};
    int count = (int)test_scaled(4000);
    double bound = 0.1 / sqrt((double)count);

    test_case("one-sided noise");
    for (int i = 0; i < count; i++) {
        struct pqh_sitting sitting;
        for (size_t r = 0; r < ROUNDS; r++) {
            double shared = (double)test_uniform(&random);
            for (size_t a = 0; a < 3; a++) {
                double u = (double)test_uniform(&random);
                times[a][r] = shared - 0.05 * log(1.0 - u);
            }
        }
        sitting = pqh_sitting_of(levels, ROUNDS, scratch);
        speed += sitting.speed / count;
        null += sitting.null / count;
    }
    CHECK_THAT(fabs(speed) < bound, "on average %g faster", speed);
    CHECK_THAT(fabs(null) < bound, "baselines differ by %g on average", null);
}
END_TEST

/* Of equal arms fewer than one in a hundred is called faster, by the primary
 * cell alone. */
START_TEST(test_false_positives)
{
    const struct noise *noise = &noises[_i];
    struct test_random random = {(uint64_t)_i + 7};
    int count = (int)test_scaled(2000), faster = 0, slower = 0;

    test_case("%s", noise->name);
    for (int i = 0; i < count; i++) {
        enum pqh_verdict verdict = simulate(noise, 0.0, &random);
        faster += verdict == PQH_FASTER;
        slower += verdict == PQH_SLOWER;
    }
    CHECK_THAT(faster * 100 < count && slower * 100 < count,
               "of %d equal ones %d are faster, %d slower", count, faster,
               slower);
}
END_TEST

/* 2 % is found, and is never called the opposite. */
START_TEST(test_detection)
{
    const struct noise *noise = &noises[_i];
    struct test_random random = {(uint64_t)_i + 77};
    int count = (int)test_scaled(500), found = 0, wrong = 0;

    test_case("%s", noise->name);
    for (int i = 0; i < count; i++) {
        int faster = i % 2 == 0;
        enum pqh_verdict verdict =
            simulate(noise, log(1.02) * (faster ? -1.0 : 1.0), &random);
        found += verdict == (faster ? PQH_FASTER : PQH_SLOWER);
        wrong += verdict == (faster ? PQH_SLOWER : PQH_FASTER);
    }
    CHECK_THAT(wrong == 0, "%d of %d the wrong way round", wrong, count);
    CHECK_THAT(found * 100 >= count * noise->found, "%d of %d found", found,
               count);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("statistics");

    add_case(suite, "levels", test_levels, 4, 0, 1);
    add_case(suite, "ranks", test_ranks, 4, 0, 1);
    add_case(suite, "coverage", test_coverage, 10, 0, 1);
    add_case(suite, "shifts", test_shifts, 4, 0, 1);
    add_case(suite, "shift coverage", test_shift_coverage, 20, 0, 1);
    add_case(suite, "guards", test_guards, 4, 0, 1);
    add_case(suite, "verdicts", test_verdicts, 4, 0, 1);
    add_case(suite, "equal arms", test_equal_arms, 20, 0, 1);
    add_case(suite, "false positives", test_false_positives, 60, 0,
             TEST_COUNT(noises));
    add_case(suite, "detection", test_detection, 60, 0, TEST_COUNT(noises));
    return run_suite(suite);
}
