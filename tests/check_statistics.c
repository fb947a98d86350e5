/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The judge's statistics against values known from elsewhere. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>

#include "checked.h"
#include "harness/statistics.h"

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
        int loses;
    } known[] = {
        {{-0.03, -0.04, -0.02}, {0.0, -0.005, 0.005}, 1},
        /* less than was asked for, or than two equal arms differ by */
        {{-0.008, -0.009, -0.007}, {0.0, -0.005, 0.005}, 0},
        {{-0.03, -0.04, -0.02}, {0.02, -0.005, 0.05}, 0},
        /* noisy */
        {{-0.03, -0.09, 0.001}, {0.0, -0.005, 0.005}, 0},
        {{-0.03, -INFINITY, INFINITY}, {0.0, -0.005, 0.005}, 0},
        {{-0.03, -0.04, -0.02}, {0.0, -INFINITY, INFINITY}, 0},
        {{0.2, 0.1, 0.3}, {0.0, -0.005, 0.005}, 0},
    };
    static const double logs[] = {0.02, -0.04, 5.0, -5.0};

    for (size_t i = 0; i < TEST_COUNT(known); i++) {
        test_case("guard %zu", i);
        CHECK_THAT(pqh_guard_loses(known[i].speed, known[i].null, 0.01) ==
                       known[i].loses,
                   "not %d", known[i].loses);
    }
    test_case("composite");
    check_near(pqh_composite(0.3, logs, 0), 0.3);
    check_near(pqh_composite(0.3, logs, 2), (0.3 - 0.01) / 2.0);
    check_near(pqh_composite(0.3, logs, 4), (0.3 - 0.005) / 2.0);
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
    return run_suite(suite);
}
