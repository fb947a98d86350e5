/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "arm.h"
#include "base/clock.h"
#include "base/splitmix.h"
#include "image.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* How often to see whether a child is still alive. */
#define LOOK_NS 1000000u

/* At a child that should be asleep: some hundred microseconds. */
#define MAX_LOOKS 20

/* ------------------------------------------------------------------------ */
/* What the system knows about a process                                    */
/* ------------------------------------------------------------------------ */

/* The link count of the folder tells without reading it. */
static int count_threads(pid_t pid)
{
    struct stat folder;
    char path[64];

    snprintf(path, sizeof path, "/proc/%ld/task", (long)pid);
    return stat(path, &folder) == 0 ? (int)folder.st_nlink - 2 : 0;
}

/* Child processes, at most `room`; none if the system does not tell. */
static size_t find_children(pid_t pid, pid_t *children, size_t room)
{
    char path[96];
    size_t count = 0;
    long child;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)pid,
             (long)pid);
    file = fopen(path, "re");
    while (file != NULL && count < room && fscanf(file, "%ld", &child) == 1) {
        children[count++] = (pid_t)child;
    }
    if (file != NULL) {
        fclose(file);
    }
    return count;
}

/* A process with its descendants; stopped first, so that it makes no more. */
static void kill_tree(pid_t pid)
{
    pid_t children[32];
    size_t count;

    kill(pid, SIGSTOP);
    count = find_children(pid, children, 32);
    for (size_t i = 0; i < count; i++) {
        kill_tree(children[i]);
    }
    kill(-pid, SIGKILL);
    kill(pid, SIGKILL);
}

/* Of all its threads; 0 if the system does not tell. */
static uint64_t read_cpu(pid_t pid)
{
    struct timespec time;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0 ||
        clock_gettime(clock, &time) != 0) {
        return 0;
    }
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t read_other_cpu(pid_t pid)
{
    unsigned long long main_thread = 0;
    uint64_t all = 0;
    char path[96];
    FILE *file;
    int got = 0;

    snprintf(path, sizeof path, "/proc/%ld/task/%ld/schedstat", (long)pid,
             (long)pid);
    file = fopen(path, "re");
    if (file != NULL) {
        got = fscanf(file, "%llu", &main_thread) == 1;
        fclose(file);
    }
    if (got) {
        all = read_cpu(pid);
    }
    return all > main_thread ? all - main_thread : 0;
}

uint64_t pqh_arm_other_cpu(const struct pqh_arm *arm)
{
    uint64_t now = read_other_cpu(arm->pid);

    return now > arm->other_cpu_ns ? now - arm->other_cpu_ns : 0;
}

/* Reads what the system says of a process; returns what follows its name, which is
 * field 2, or NULL. */
static const char *read_fields(pid_t pid, char *line, size_t size)
{
    const char *at = NULL;
    char path[64];
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    file = fopen(path, "re");
    if (file != NULL) {
        if (fgets(line, (int)size, file) != NULL) {
            at = strrchr(line, ')');
        }
        fclose(file);
    }
    return at;
}

/* Whether it does so at once; a state that the system does not tell is sleep. */
static int falls_asleep(pid_t pid)
{
    char line[1024];

    for (int i = 0; i < MAX_LOOKS; i++) {
        const char *at = read_fields(pid, line, sizeof line);
        if (at == NULL || strncmp(at, ") R", 3) != 0) {
            return 1;
        }
    }
    return 0;
}

/* The processor that a process ran on last; -1 if the system does not tell. */
static int last_processor(pid_t pid)
{
    char line[1024];
    const char *at = read_fields(pid, line, sizeof line);

    for (int field = 2; at != NULL && field < 39; field++) {
        at = strchr(at + 1, ' ');
    }
    return at != NULL ? atoi(at) : -1;
}

double pqh_arm_peak_bytes(const struct pqh_arm *arm)
{
    char path[64], line[256];
    double kilobytes = 0.0;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%ld/status", (long)arm->pid);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "VmHWM:", 6) == 0) {
            kilobytes = strtod(line + 6, NULL);
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return kilobytes * 1024.0;
}

/* ------------------------------------------------------------------------ */
/* Life and death                                                           */
/* ------------------------------------------------------------------------ */

/* A file for the slot: either side maps it after the fork, so that no child
 * inherits another one's.  Sealed, so that none can cut it off. */
static int make_slot(size_t size)
{
    int file = pqh_anonymous_file("pqkern-slot");

    if (file >= 0 && ftruncate(file, (off_t)size) != 0) {
        close(file);
        return -1;
    }
#ifdef F_ADD_SEALS
    (void)fcntl(file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
#endif
    return file;
}

static struct pqh_slot *map_slot(int file, size_t size)
{
    void *slot = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);

    close(file);
    return slot != MAP_FAILED ? slot : NULL;
}

static _Noreturn void live(struct pqh_arm *arm)
{
    arm->setup.slot = map_slot(arm->slot_file, arm->slot_size);
    if (arm->setup.slot == NULL) {
        _exit(1);
    }
    pqh_candidate_run(&arm->setup);
}

/* Before the first command. */
static int meet(struct pqh_arm *arm, struct pqh_outcome *outcome)
{
    if (arm->setup.slot == NULL) {
        arm->setup.slot = map_slot(arm->slot_file, arm->slot_size);
    }
    if (arm->setup.slot == NULL) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error",
                       "cannot map %zu bytes: %s", arm->slot_size,
                       strerror(errno));
    }
    arm->setup.slot->patience = PQH_IMPATIENT;
    return 0;
}

int pqh_arm_start(struct pqh_arm *arm, const char *name,
                  const struct pqh_candidate *setup,
                  struct pqh_outcome *outcome)
{
    int ends[2];
    pid_t pid;

    arm->name = name;
    arm->setup = *setup;
    arm->slot_size = sizeof(struct pqh_slot) + pqh_way_group(setup->way) *
                                                   setup->k *
                                                   sizeof(pqk_row_result);
    arm->setup.slot = NULL;
    arm->slot_file = make_slot(arm->slot_size);
    arm->setup.log = pqh_anonymous_file("pqkern-log");
    arm->setup.image = setup->unnamed ? pqh_image_make() : -1;
    if (arm->slot_file < 0 || arm->setup.log < 0 ||
        (setup->unnamed && arm->setup.image < 0) ||
        pipe2(ends, O_CLOEXEC) != 0) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error",
                       "cannot set up a child process: %s", strerror(errno));
    }
    arm->setup.commands = ends[0];
    arm->commands = ends[1];
    pid = fork();
    if (pid == 0) {
        live(arm);
    }
    close(ends[0]);
    if (pid < 0) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error", "cannot fork: %s",
                       strerror(errno));
    }
    setpgid(pid, pid); /* as the child does: whoever comes first */
    arm->pid = pid;
    return 0;
}

void pqh_arm_kill(struct pqh_arm *arm)
{
    pid_t pid = atomic_exchange(&arm->pid, 0);

    if (pid > 0) {
        kill_tree(pid);
        waitpid(pid, NULL, 0);
    }
}

/* What a dead child left behind has become ours. */
void pqh_kill_orphans(void)
{
    pid_t pid;

    while (find_children(getpid(), &pid, 1) == 1) {
        kill_tree(pid);
        if (waitpid(pid, NULL, 0) < 0) {
            break;
        }
    }
}

void pqh_arm_show_log(const struct pqh_arm *arm)
{
    char text[4096];
    off_t size = lseek(arm->setup.log, 0, SEEK_END);
    off_t from = size > (off_t)sizeof text ? size - (off_t)sizeof text : 0;
    ssize_t length = pread(arm->setup.log, text, sizeof text, from);
    int fresh = 1;

    for (ssize_t i = 0; i < length; i++) {
        if (fresh) {
            fprintf(stderr, "%s: ", arm->name);
        }
        putc(text[i], stderr);
        fresh = text[i] == '\n';
    }
    if (length > 0 && !fresh) {
        putc('\n', stderr);
    }
}

static const char *signal_name(int number)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
        {SIGSEGV, "SIGSEGV"}, {SIGBUS, "SIGBUS"},   {SIGABRT, "SIGABRT"},
        {SIGILL, "SIGILL"},   {SIGFPE, "SIGFPE"},   {SIGKILL, "SIGKILL"},
        {SIGTERM, "SIGTERM"}, {SIGTRAP, "SIGTRAP"}, {SIGXFSZ, "SIGXFSZ"},
        {SIGPIPE, "SIGPIPE"}, {SIGSYS, "SIGSYS"},   {SIGXCPU, "SIGXCPU"},
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].number == number) {
            return names[i].name;
        }
    }
    return "a signal";
}

/* What ended the arm: of the candidate, that is its fault; of another arm, it
 * only means that there is nothing to compare with. */
static int arm_failed(const struct pqh_arm *arm, struct pqh_outcome *outcome,
                      enum pqh_exit code, const char *status,
                      const char *message)
{
    if (strcmp(arm->name, "candidate") != 0) {
        code = PQH_EXIT_ERROR;
        status = "error";
    }
    return pqh_end(outcome, code, status, "%s: %s", arm->name, message);
}

/* Where the handler did not come through, the signal tells. */
static int made_forbidden_call(uint32_t failure, int status)
{
    return failure == PQH_FORBIDDEN_CALL ||
           (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static int report_call(struct pqh_arm *arm, struct pqh_outcome *outcome)
{
    int number = arm->setup.slot->forbidden_call;
    char message[128];

    snprintf(message, sizeof message,
             "a system call that the contract forbids: %s (%d)",
             pqh_sandbox_call_name(number), number);
    return arm_failed(arm, outcome, PQH_EXIT_INTEGRITY, "integrity", message);
}

static int report_death(struct pqh_arm *arm, int status, double bytes,
                        const char *doing, struct pqh_outcome *outcome)
{
    uint32_t failure =
        atomic_load_explicit(&arm->setup.slot->failure, memory_order_acquire);
    char message[700], told[512];

    memcpy(told, arm->setup.slot->message, sizeof told);
    told[sizeof told - 1] = '\0';
    if (made_forbidden_call(failure, status)) {
        return report_call(arm, outcome);
    }
    switch (failure) {
    case PQH_LOAD_FAILED:
    case PQH_KERNEL_MISSING:
    case PQH_HARNESS_FAILED:
        return arm_failed(arm, outcome, PQH_EXIT_ERROR, "error", told);
    case PQH_KERNEL_UNKNOWN:
        return arm_failed(arm, outcome, PQH_EXIT_USAGE, "usage", told);
    case PQH_CALL_FAILED:
        return arm_failed(arm, outcome, PQH_EXIT_CRASH, "crash", told);
    default:
        break;
    }
    if (WIFSIGNALED(status)) {
        snprintf(message, sizeof message,
                 "killed by %s (%d) while %s; it had used %.0f MiB of memory",
                 signal_name(WTERMSIG(status)), WTERMSIG(status), doing,
                 bytes / 1048576.0);
    } else {
        snprintf(message, sizeof message, "exited with status %d while %s",
                 WEXITSTATUS(status), doing);
    }
    return arm_failed(arm, outcome, PQH_EXIT_CRASH, "crash", message);
}

/* ------------------------------------------------------------------------ */
/* Talking                                                                  */
/* ------------------------------------------------------------------------ */

/* Whether the child is still there and within its time. */
static int look(struct pqh_arm *arm, uint64_t waited, uint64_t limit,
                const char *doing, struct pqh_outcome *outcome)
{
    pid_t pid = arm->pid;
    struct rusage used;
    char message[128];
    int status;

    if (pid > 0 && wait4(pid, &status, WNOHANG, &used) == pid) {
        kill(-pid, SIGKILL); /* what it may have started */
        arm->pid = 0;
        return report_death(arm, status, (double)used.ru_maxrss * 1024.0, doing,
                            outcome);
    }
    if (waited > limit) {
        snprintf(message, sizeof message, "no answer after %.0f s while %s",
                 (double)waited / 1e9, doing);
        return arm_failed(arm, outcome, PQH_EXIT_CRASH, "hang", message);
    }
    return 0;
}

/* Waits for a word of the slot: spinning for a query, asleep for what takes
 * longer than waking up. */
static int await(struct pqh_arm *arm, const _Atomic uint32_t *word,
                 uint32_t value, int spin, uint64_t limit, const char *doing,
                 struct pqh_outcome *outcome)
{
    static const struct timespec nap = {0, 50000};
    uint64_t start = pqk_clock();
    uint64_t next = start + LOOK_NS;
    unsigned spins = 0;

    while (atomic_load_explicit(word, memory_order_acquire) != value) {
        uint64_t now;
        if (spin) {
            pqh_relax(&spins, arm->setup.slot->patience);
        } else {
            nanosleep(&nap, NULL);
        }
        now = pqk_clock();
        if (now >= next) {
            if (look(arm, now - start, limit, doing, outcome) != 0) {
                return -1;
            }
            next = now + LOOK_NS;
        }
    }
    return 0;
}

/*
 * Before a command: has the process used more since the last one than that took?
 * The system counts what a process uses when it goes to sleep, so what one command
 * seems to have left unused may be counted with the next one.
 */
static void look_back(struct pqh_arm *arm)
{
    uint64_t cpu = read_cpu(arm->pid);
    uint64_t now = pqk_clock();

    if (arm->done_at > 0 && cpu > 0) {
        uint64_t used = cpu - arm->cpu_before;
        uint64_t took = arm->done_at - arm->sent_at;
        uint64_t more = used > took ? used - took : 0;
        arm->idle_cpu_ns += more > arm->unused ? more - arm->unused : 0;
        arm->idle_ns += now - arm->done_at;
        arm->unused = took > used ? took - used : 0;
    }
    arm->cpu_before = cpu;
    arm->sent_at = now;
    arm->done_at = 0;
}

static int send_command(struct pqh_arm *arm, const struct pqh_command *command,
                        struct pqh_outcome *outcome)
{
    look_back(arm);
    arm->sent++;
    if (write(arm->commands, command, sizeof *command) ==
        (ssize_t)sizeof *command) {
        return 0;
    }
    /* The pipe is broken: the child is dead or about to be. */
    return await(arm, &arm->setup.slot->done, arm->sent, 0, LOOK_NS,
                 "waiting for a command", outcome);
}

static int give_library(struct pqh_arm *arm, struct pqh_outcome *outcome)
{
    if (arm->setup.image >= 0) {
        if (pqh_image_copy(arm->library, arm->setup.image) != 0) {
            return pqh_end(outcome, PQH_EXIT_ERROR, "error",
                           "cannot copy the library: %s", strerror(errno));
        }
        close(arm->setup.image);
        arm->setup.image = -1;
    }
    return 0;
}

int pqh_arm_begin(struct pqh_arm *arm, const struct pqh_command *command,
                  struct pqh_outcome *outcome)
{
    if (command->kind == PQH_LOAD) {
        if (meet(arm, outcome) != 0 || give_library(arm, outcome) != 0) {
            return -1;
        }
        arm->threads = count_threads(arm->pid);
        arm->other_cpu_ns = read_other_cpu(arm->pid);
    }
    if (command->kind == PQH_PREPARE) {
        arm->setup.k = (size_t)command->k;
    }
    return send_command(arm, command, outcome);
}

int pqh_arm_end(struct pqh_arm *arm, uint64_t limit, const char *doing,
                struct pqh_outcome *outcome)
{
    int failed =
        await(arm, &arm->setup.slot->done, arm->sent, 0, limit, doing, outcome);

    arm->done_at = pqk_clock();
    return failed;
}

int pqh_arm_command(struct pqh_arm *arm, const struct pqh_command *command,
                    uint64_t limit, const char *doing,
                    struct pqh_outcome *outcome)
{
    if (pqh_arm_begin(arm, command, outcome) != 0) {
        return -1;
    }
    return pqh_arm_end(arm, limit, doing, outcome);
}

/* What the library did besides answering. */
static int check_conduct(struct pqh_arm *arm, struct pqh_outcome *outcome)
{
    static const struct {
        unsigned offence;
        const char *message;
    } offences[] = {
        {PQH_WROTE_LATE, "the results changed after the call had returned"},
        {PQH_WROTE_OUTSIDE, "bytes around the results were overwritten"},
        {PQH_WROTE_QUERY, "the query was overwritten"},
        {PQH_CHANGED_FLOATS, "the floating-point environment was changed"},
        {PQH_TOO_MANY, "more than k results were claimed"},
    };
    uint32_t seen = arm->setup.slot->offences;
    int threads = count_threads(arm->pid);
    char message[128];
    pid_t child;

    for (size_t i = 0; i < sizeof offences / sizeof offences[0]; i++) {
        if (seen & offences[i].offence) {
            return arm_failed(arm, outcome, PQH_EXIT_INTEGRITY, "integrity",
                              offences[i].message);
        }
    }
    if (threads > arm->threads) {
        snprintf(message, sizeof message, "it runs %d more thread(s)",
                 threads - arm->threads);
        return arm_failed(arm, outcome, PQH_EXIT_INTEGRITY, "integrity",
                          message);
    }
    if (find_children(arm->pid, &child, 1) > 0) {
        return arm_failed(arm, outcome, PQH_EXIT_INTEGRITY, "integrity",
                          "it started another process");
    }
    return 0;
}

/* Each query's share of what a request came to. */
static void share_out(const struct pqh_arm *arm, uint64_t placing_ns,
                      uint64_t observed_ns, struct pqh_reply *replies)
{
    const struct pqh_slot *slot = arm->setup.slot;
    size_t group = pqh_way_group(arm->setup.way);
    size_t k = arm->setup.k;
    pqk_search_stats stats = slot->stats;

    stats.codes /= group;
    stats.survivors /= group;
    stats.bytes_read /= group;
    for (size_t q = 0; q < group; q++) {
        uint64_t count = slot->counts[q];
        replies[q].placing_ns = placing_ns / group;
        replies[q].observed_ns = observed_ns / group;
        replies[q].table_ns = slot->table_ns / group;
        replies[q].probe_ns = slot->probe_ns / group;
        replies[q].stats = stats;
        replies[q].count = count <= k ? (size_t)count : 0;
        memcpy(replies[q].results, slot->results + q * k,
               k * sizeof *slot->results);
    }
}

/* One request.  What the child does before it is not a part of its time, but
 * watched: a library that patches the child can be called there, too. */
static int ask(struct pqh_arm *arm, const float *queries, size_t dim,
               uint64_t limit, uint32_t place, struct pqh_reply *replies,
               struct pqh_outcome *outcome)
{
    struct pqh_slot *slot = arm->setup.slot;
    uint64_t offered, start;

    memcpy(slot->queries, queries,
           pqh_way_group(arm->setup.way) * dim * sizeof *queries);
    slot->place = place;
    offered = pqk_clock();
    atomic_store_explicit(&slot->offer, ++arm->asked, memory_order_release);
    if (await(arm, &slot->taken, arm->asked, 1, limit, "taking a query",
              outcome) != 0) {
        return -1;
    }
    start = pqk_clock();
    atomic_store_explicit(&slot->request, arm->asked, memory_order_release);
    if (await(arm, &slot->reply, arm->asked, 1, limit, "answering a query",
              outcome) != 0) {
        return -1;
    }
    share_out(arm, start - offered, pqk_clock() - start, replies);
    return 0;
}

int pqh_arm_turn(struct pqh_arm *arm, const float *queries, size_t dim,
                 size_t count, uint64_t limit, uint64_t *random,
                 struct pqh_reply *replies, struct pqh_outcome *outcome)
{
    size_t group = pqh_way_group(arm->setup.way);
    struct pqh_command command = {.kind = PQH_TURN,
                                  .count = (uint32_t)(count / group)};
    int before = sched_getcpu();
    int child;

    if (send_command(arm, &command, outcome) != 0) {
        return -1;
    }
    for (size_t i = 0; i < count; i += group) {
        if (ask(arm, queries + i * dim, dim, limit,
                (uint32_t)pqk_random_next(random), &replies[i], outcome) != 0) {
            return -1;
        }
    }
    if (await(arm, &arm->setup.slot->done, arm->sent, 1, limit, "ending a turn",
              outcome) != 0) {
        return -1;
    }
    arm->done_at = pqk_clock();
    arm->turns++;
    arm->awake += !falls_asleep(arm->pid);
    child = last_processor(arm->pid);
    for (size_t i = 0; i < count; i++) {
        replies[i].shared = child == before || child == sched_getcpu();
    }
    return check_conduct(arm, outcome);
}
