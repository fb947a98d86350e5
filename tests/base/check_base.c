/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What everything else stands on: loops on threads, numbers in files, random
 * numbers and checksums that are known from elsewhere, and the line of progress. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../checked.h"
#include "../scratch.h"
#include "base/little_endian.h"
#include "base/progress.h"
#include "base/splitmix.h"
#include "base/team.h"
#include "base/threads.h"
#include "base/xxh64.h"

/* ------------------------------------------------------------------------ */
/* Threads                                                                  */

#define MANY 3000

struct visits {
    atomic_uint of[MANY], of_parts[MANY];
    size_t num_threads;
    atomic_int wrong;
};

static void visit(void *context, size_t part, size_t begin, size_t end)
{
    struct visits *visits = context;

    if (part >= visits->num_threads || begin >= end || end > MANY) {
        atomic_store(&visits->wrong, 1);
        return;
    }
    atomic_fetch_add(&visits->of_parts[part], 1);
    for (size_t i = begin; i < end; i++)
        atomic_fetch_add(&visits->of[i], 1);
}

static void check_loop(size_t count, size_t num_threads)
{
    static struct visits visits;

    memset(&visits, 0, sizeof visits);
    visits.num_threads = num_threads;
    test_case("%zu indices, %zu threads", count, num_threads);
    pqk_parallel_for(count, num_threads, visit, &visits);
    CHECK_THAT(!visits.wrong, "a range or a part that there is not");
    for (size_t i = 0; i < MANY; i++) {
        CHECK_THAT(visits.of[i] == (i < count), "index %zu is done %u times", i,
                   visits.of[i]);
        CHECK_THAT(visits.of_parts[i] <= 1, "part %zu is done %u times", i,
                   visits.of_parts[i]);
    }
}

/* More parts than there can be threads, too: some thread has to take two. */
START_TEST(test_loops)
{
    for (size_t count = 0; count < 14; count++)
        for (size_t num_threads = 1; num_threads < 7; num_threads++)
            check_loop(count, num_threads);
    check_loop(MANY, PQK_MAX_THREADS);
    check_loop(MANY, 2 * PQK_MAX_THREADS + 1);
    check_loop(MANY - 1, MANY);
}
END_TEST

static void *count_call(void *argument)
{
    atomic_fetch_add((atomic_uint *)argument, 1);
    return NULL;
}

START_TEST(test_threads)
{
    static const size_t wanted[] = {0, 1, 2, 7, 256, 257, 100000};

    for (size_t i = 0; i < TEST_COUNT(wanted); i++) {
        const size_t most =
            wanted[i] > 256 ? 256 : wanted[i] + (wanted[i] == 0);
        atomic_uint calls = 0;

        test_case("%zu threads", wanted[i]);
        pqk_run_on_threads(count_call, &calls, wanted[i]);
        CHECK_THAT(calls >= 1 && calls <= most, "%u calls", calls);
    }
    CHECK_THAT(pqk_num_processors() >= 1 && pqk_num_processors() <= 256,
               "%zu processors", pqk_num_processors());
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Teams                                                                    */

/* Work that is there to be taken by whoever comes. */
struct job {
    struct pqk_team *team;
    atomic_size_t next;
    atomic_uint done, calls, inside;
    int waits; /* the caller's thread, for another to come */
};

static void *take_part(void *argument)
{
    struct job *job = argument;

    atomic_fetch_add(&job->inside, 1);
    while (job->waits && atomic_load(&job->calls) == 0 &&
           atomic_load(&job->inside) < 2)
        usleep(100);
    atomic_fetch_add(&job->calls, 1);
    while (atomic_fetch_add(&job->next, 1) < 50)
        atomic_fetch_add(&job->done, 1);
    atomic_fetch_sub(&job->inside, 1);
    return NULL;
}

static void check_job(struct pqk_team *team, size_t num_threads, int waits)
{
    struct job job = {.team = team, .waits = waits};

    pqk_team_run(team, take_part, &job, num_threads);
    CHECK_THAT(atomic_load(&job.inside) == 0, "somebody is still at work");
    CHECK_THAT(atomic_load(&job.done) == 50, "%u done", job.done);
    CHECK_THAT(atomic_load(&job.calls) >= 1U + (unsigned)waits &&
                   atomic_load(&job.calls) <= num_threads + (num_threads == 0),
               "%u calls", job.calls);
}

/* A job inside a job of the same team. */
static void *take_part_twice(void *argument)
{
    struct job *job = argument;

    check_job(job->team, 2, 0);
    return take_part(argument);
}

/* One job after another, with members asleep, awake, too few and too many. */
START_TEST(test_team)
{
    struct pqk_team *team = pqk_team_create();
    struct job job = {.team = team};

    test_case("a team");
    ck_assert_ptr_nonnull(team);
    for (size_t i = 0; i < 300; i++)
        check_job(team, i % 6, 0);
    for (size_t i = 0; i < 20; i++) {
        check_job(team, 2 + i % 3, 1);
        if (i % 7 == 0)
            usleep(2000);
    }
    check_job(NULL, 3, 0);
    pqk_team_run(team, take_part_twice, &job, 3);
    CHECK_THAT(atomic_load(&job.done) == 50, "%u done", job.done);
    check_job(team, 2, 1);
    pqk_team_free(team);
    pqk_team_free(NULL);
    pqk_team_free(pqk_team_create());
}
END_TEST

/* A child process has none of its parent's threads.  QEMU 7.2 has them still when
 * the child starts one of its own, and gives up: an assertion of its plugins'. */
START_TEST(test_team_forked)
{
    const char *emulator = getenv("EMULATOR");
    struct pqk_team *team;
    int status;
    pid_t child;

    test_case("a team in a child process");
    if (emulator && strstr(emulator, "qemu"))
        return;
    team = pqk_team_create();
    check_job(team, 3, 1);
    child = fork();
    ck_assert(child >= 0);
    if (child == 0) {
        struct job job = {.waits = 1};

        alarm(10);
        pqk_team_run(team, take_part, &job, 2);
        pqk_team_free(team);
        _exit(atomic_load(&job.done) == 50 && atomic_load(&job.calls) == 2 ? 0
                                                                           : 1);
    }
    ck_assert(waitpid(child, &status, 0) == child);
    CHECK_THAT(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d",
               status);
    check_job(team, 3, 1);
    pqk_team_free(team);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Numbers                                                                  */

START_TEST(test_little_endian)
{
    static const uint8_t bytes[9] = {0x77, 0x01, 0x23, 0x45, 0x67,
                                     0x89, 0xab, 0xcd, 0xef};
    uint8_t put[9];

    test_case("little-endian numbers, at an odd place");
    CHECK_THAT(pqk_get_u32(bytes + 1) == 0x67452301u, "32 bits");
    CHECK_THAT(pqk_get_u64(bytes + 1) == UINT64_C(0xefcdab8967452301),
               "64 bits");
    for (size_t size = 1; size <= 8; size++) {
        const uint64_t number = UINT64_C(0xefcdab8967452301);
        const uint64_t all = UINT64_MAX >> (64 - 8 * size);

        test_subcase("of %zu bytes", size);
        CHECK_THAT(pqk_get_uint(bytes + 1, size) == (number & all), "read");
        memset(put, 0x77, sizeof put);
        pqk_put_uint(put + 1, size, number);
        CHECK_THAT(memcmp(put, bytes, size + 1) == 0, "written");
        CHECK_THAT(size == 8 || put[size + 1] == 0x77, "written beyond");
    }
    pqk_put_u32(put + 1, 0x67452301u);
    CHECK_THAT(memcmp(put, bytes, 5) == 0, "32 bits written");
    pqk_put_u64(put + 1, UINT64_C(0xefcdab8967452301));
    CHECK_THAT(memcmp(put, bytes, 9) == 0, "64 bits written");
}
END_TEST

/* The first numbers of other implementations for this seed. */
START_TEST(test_splitmix)
{
    static const uint64_t known[] = {
        UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),
        UINT64_C(9817491932198370423), UINT64_C(4593380528125082431),
        UINT64_C(16408922859458223821)};
    uint64_t state = 1234567;
    size_t seen[5] = {0};

    test_case("SplitMix64");
    for (size_t i = 0; i < TEST_COUNT(known); i++)
        CHECK_THAT(pqk_random_next(&state) == known[i], "number %zu", i);
    for (int i = 0; i < 10000; i++) {
        const double unit = pqk_random_unit(&state);
        const size_t below = pqk_random_below(&state, 5);

        CHECK_THAT(unit >= 0.0 && unit < 1.0, "%g of 0 to 1", unit);
        CHECK_THAT(below < 5, "%zu below 5", below);
        seen[below]++;
    }
    for (size_t i = 0; i < 5; i++)
        CHECK_THAT(seen[i] > 1800 && seen[i] < 2200, "%zu is drawn %zu times",
                   i, seen[i]);
}
END_TEST

/* From the specification's implementation, with seed 0, of texts and of the bytes
 * that its own tests draw. */
START_TEST(test_xxh64)
{
    static const struct {
        const char *text;
        uint64_t checksum;
    } known[] = {
        {"", UINT64_C(0xef46db3751d8e999)},
        {"a", UINT64_C(0xd24ec4f1a98c6e5b)},
        {"abc", UINT64_C(0x44bc2cf5ad770999)},
        {"Nobody inspects the spammish repetition",
         UINT64_C(0xfbcea83c8a378bf1)},
    };
    static const struct {
        size_t size;
        uint64_t checksum;
    } of_bytes[] = {{1, UINT64_C(0xe934a84adb052768)},
                    {4, UINT64_C(0x9136a0dca57457ee)},
                    {14, UINT64_C(0x8282dcc4994e35c8)},
                    {222, UINT64_C(0xb641ae8cb691c174)}};
    unsigned char bytes[222];
    uint64_t generator = 2654435761u;

    test_case("XXH64");
    for (size_t i = 0; i < TEST_COUNT(known); i++)
        CHECK_THAT(pqk_xxh64(known[i].text, strlen(known[i].text)) ==
                       known[i].checksum,
                   "of \"%s\"", known[i].text);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (unsigned char)(generator >> 56);
        generator *= UINT64_C(11400714785074694797);
    }
    for (size_t i = 0; i < TEST_COUNT(of_bytes); i++)
        CHECK_THAT(pqk_xxh64(bytes, of_bytes[i].size) == of_bytes[i].checksum,
                   "of %zu bytes", of_bytes[i].size);
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Progress                                                                 */

static void do_task(void)
{
    pqk_progress_begin("a task", 4);
    usleep(150000); /* a line is drawn again after a tenth of a second */
    pqk_progress_add(1);
    usleep(150000);
    pqk_progress_show(NULL, 3, 4);
    pqk_progress_end();
}

/* What a task says to a file or a terminal that is standard error. */
static size_t watch(int to, int from, char *said, size_t size)
{
    int keep = dup(STDERR_FILENO);
    size_t length = 0;
    ssize_t got;

    ck_assert_int_ge(to, 0);
    dup2(to, STDERR_FILENO);
    do_task();
    dup2(keep, STDERR_FILENO);
    close(keep);
    while ((got = read(from, said + length, size - 1 - length)) > 0)
        length += (size_t)got;
    said[length] = '\0';
    return length;
}

START_TEST(test_silent_progress)
{
    int ends[2];
    char said[256];

    test_case("progress that goes into a pipe");
    ck_assert_int_eq(pipe2(ends, O_NONBLOCK), 0);
    CHECK_THAT(watch(ends[1], ends[0], said, sizeof said) == 0, "says: %s",
               said);
}
END_TEST

START_TEST(test_progress)
{
    static const char cleared[] = "\r\033[K";
    int terminal = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
    char said[1024];
    size_t length;

    test_case("progress on a terminal");
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0)
        return; /* where there are none */
    length = watch(open(ptsname(terminal), O_RDWR | O_NOCTTY), terminal, said,
                   sizeof said);
    CHECK_THAT(strstr(said, "a task") != NULL && strstr(said, " 25 %") &&
                   strstr(said, " 75 %"),
               "says: %s", said);
    CHECK_THAT(length > 4 && strcmp(said + length - 4, cleared) == 0,
               "the line is left: %s", said);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");

    add_case(suite, "loops", test_loops, 20, 0, 1);
    add_case(suite, "threads", test_threads, 20, 0, 1);
    add_case(suite, "team", test_team, 20, 0, 1);
    add_case(suite, "team, forked", test_team_forked, 20, 0, 1);
    add_case(suite, "little-endian", test_little_endian, 4, 0, 1);
    add_case(suite, "SplitMix64", test_splitmix, 4, 0, 1);
    add_case(suite, "XXH64", test_xxh64, 4, 0, 1);
    add_case(suite, "silent progress", test_silent_progress, 4, 0, 1);
    add_case(suite, "progress", test_progress, 4, 0, 1);
    return run_suite(suite);
}
