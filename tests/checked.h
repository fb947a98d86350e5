/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* testlib.h for programs that use Check. */
#ifndef PQK_CHECKED_H
#define PQK_CHECKED_H

#include <check.h>
#include <stdlib.h>

#include "testlib.h"

/* Fails with the current case and its own message unless condition holds. */
#define CHECK_THAT(condition, ...)                                             \
    do {                                                                       \
        const int check_holds_ = (condition) != 0;                             \
        const char *check_text_ = check_holds_ ? "" : test_fault(__VA_ARGS__); \
        ck_assert_msg(check_holds_, "%s", check_text_);                        \
    } while (0)

/* For functions that return a fault or NULL. */
#define CHECK_NO_FAULT(expression)                                             \
    do {                                                                       \
        const char *check_fault_ = (expression);                               \
        ck_assert_msg(check_fault_ == NULL, "%s", check_fault_);               \
    } while (0)

#define CHECK_STATUS(expression, expected)                                     \
    do {                                                                       \
        const pqk_status check_status_ = (expression);                         \
        CHECK_THAT(check_status_ == (expected),                                \
                   "%s gives \"%s\" (%d), not %s", #expression,                \
                   pqk_status_string(check_status_), (int)check_status_,       \
                   #expected);                                                 \
    } while (0)

#define CHECK_OK(expression) CHECK_STATUS(expression, PQK_OK)

/* A case of its own, so that each has its own time limit and name. */
static inline void add_case(Suite *suite, const char *name, const TTest *test,
                            double seconds, int first, int end)
{
    TCase *tcase = tcase_create(name);

    tcase_set_timeout(tcase, seconds);
    tcase_add_loop_test(tcase, test, first, end);
    suite_add_tcase(suite, tcase);
}

static inline int run_suite(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
