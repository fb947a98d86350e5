/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Reaching where they have no business. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "cheats.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <fenv.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Hopes that its roundings make it look more exact, or others less. */
static void rounds_down(pqk_scanner *s)
{
    fesetround(FE_DOWNWARD);
    scan_all(s);
}

/* Hopes that nobody needs subnormals. */
static void flushes(pqk_scanner *s)
{
#if defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040);
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | (1u << 24)));
#else
    fesetround(FE_UPWARD);
#endif
    scan_all(s);
}

/* Hopes that the reference reads the same codes. */
static void writes_codes(pqk_index *index, uint8_t *codes)
{
    (void)index;
    codes[0] = 1;
}

/* Row-major codes, which are the caller's: the same hope. */
static void writes_rows(const float *entries, uint8_t *codes)
{
    (void)entries;
    codes[0] ^= 1;
}

/* Hopes to save the copy. */
static void keeps_codes(pqk_index *index, uint8_t *codes)
{
    index->codes = codes;
}

/* Hopes that the reference gets the same query. */
static void writes_query(pqk_scanner *s, float *query)
{
    (void)s;
    query[0] += 1.0f;
}

/* Writes past the results: hopes that something useful lies there. */
static void writes_outside(pqk_scanner *s, pqk_row_result *neighbors,
                           size_t *count)
{
    (void)s;
    neighbors[*count] = neighbors[0];
}

/* Hopes that the judge reads as many as it is told. */
static void claims_more(pqk_scanner *s, pqk_row_result *neighbors,
                        size_t *count)
{
    (void)s;
    (void)neighbors;
    *count += 1;
}

/* The two nearest in an order that depends on the call: hopes that garbage that
 * is right now and then is not asked for again. */
static void wavers(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    (void)count;
    if (s->index->calls++ % 3 == 0) {
        pqk_row_result first = neighbors[0];
        neighbors[0] = neighbors[1];
        neighbors[1] = first;
    }
}

/* ------------------------------------------------------------------------ */
/* System calls: those that get what they hope for say so                   */
/* ------------------------------------------------------------------------ */

static void say(int got_through)
{
    if (got_through) {
        _exit(42);
    }
}

pid_t judge;

void find_judge(void)
{
    FILE *file = fopen("/proc/self/stat", "r");
    long parent = 0;

    if (file != NULL && fscanf(file, "%*d (%*[^)]) %*c %ld", &parent) == 1) {
        judge = (pid_t)parent;
    }
    if (file != NULL) {
        fclose(file);
    }
}

static int opens_of_judge(const char *name)
{
    char path[64];

    snprintf(path, sizeof path, "/proc/%ld/%s", (long)judge, name);
    return open(path, O_RDONLY) >= 0;
}

/* Hopes to read the answers in the judge's memory. */
static void peeks(pqk_scanner *s)
{
    char there[64];
    struct iovec to = {there, sizeof there};
    struct iovec from = {(void *)(uintptr_t)environ, sizeof there};

    (void)s; /* after fork, the environment is where it was */
    say(process_vm_readv(judge, &to, 1, &from, 1, 0) > 0);
}

/* The same through a file. */
static void peeks_mem(pqk_scanner *s)
{
    (void)s;
    say(opens_of_judge("mem"));
}

/* Hopes to find the fixture, the truth or the log open. */
static void peeks_files(pqk_scanner *s)
{
    (void)s;
    say(opens_of_judge("fd/0") || opens_of_judge("fd"));
}

/* Hopes to learn from the environment where data and results lie. */
static void peeks_environ(pqk_scanner *s)
{
    (void)s;
    say(opens_of_judge("environ"));
}

/* The same while files may be read: hopes that so are the judge's. */
static void peeks_at_load(void)
{
    find_judge();
    say(opens_of_judge("mem") || opens_of_judge("environ") ||
        opens_of_judge("fd/0") || opens_of_judge("fd/3") ||
        opens_of_judge("maps"));
}

/* Hopes to read the truth. */
static void reads_file(pqk_scanner *s)
{
    (void)s;
    say(open("/etc/passwd", O_RDONLY) >= 0);
}

/* Hopes to stop the judge and to write into it. */
static void traces(pqk_scanner *s)
{
    (void)s;
    say(ptrace(PTRACE_SEIZE, judge, NULL, NULL) == 0);
}

/* Hopes that a run that ends early ends well. */
static void kills_judge(pqk_scanner *s)
{
    kill(judge, SIGTERM);
    scan_all(s);
}

/* Hopes to make the judge slow, and its clock coarse. */
static void renices(pqk_scanner *s)
{
    (void)s;
    say(setpriority(PRIO_PROCESS, (id_t)judge, 19) == 0);
}

/* Hopes to make the others share a processor. */
static void moves(pqk_scanner *s)
{
    cpu_set_t first;

    (void)s;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    say(sched_setaffinity(judge, sizeof first, &first) == 0);
}

/* Hopes to ask somebody else. */
static void connects(pqk_scanner *s)
{
    (void)s;
    say(socket(AF_INET, SOCK_STREAM, 0) >= 0);
}

/* Hopes that another program is not judged. */
static void executes(pqk_scanner *s)
{
    (void)s;
    execl("/bin/sh", "sh", "-c", "exit 42", (char *)NULL);
}

/* Hopes that another library is not judged. */
static void loads_more(pqk_scanner *s)
{
    (void)s;
    say(dlopen("libresolv.so.2", RTLD_NOW) != NULL);
}

/* Hopes to write code that no gate has seen. */
static void writes_code(pqk_scanner *s)
{
    void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)s;
    say(code != MAP_FAILED);
}

/* The same with memory that was mapped to be written. */
static void unprotects(pqk_scanner *s)
{
    void *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)s;
    say(code != MAP_FAILED && mprotect(code, 4096, PROT_READ | PROT_EXEC) == 0);
}

/* Hopes to put pages of its own in the place of others, constant ones too. */
static void remaps(pqk_scanner *s)
{
    static char pages[8192];
    uintptr_t page = ((uintptr_t)pages + 4095) / 4096 * 4096;

    if (mmap((void *)page, 4096, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
        _exit(1);
    }
    scan_all(s);
}

/* Hopes that the inputs are open, to be written to. */
static void writes_inputs(pqk_scanner *s)
{
    (void)s;
    for (int file = STDERR_FILENO + 1; file < 64; file++) {
        say(write(file, "", 1) == 1);
    }
}

/* Hopes that what is kept is not what was judged. */
static void changes_file(pqk_index *index, uint8_t *codes)
{
    int file = open(cheat_file, O_WRONLY | O_APPEND);

    (void)index;
    (void)codes;
    if (file >= 0 && write(file, "", 1) == 1) {
        close(file);
    }
}

/* The same while the library is loaded, which takes system calls anyway. */
static void changes_file_at_load(void)
{
    changes_file(NULL, NULL);
}

static sigjmp_buf fallback;

static void fall_back(int signal)
{
    (void)signal;
    siglongjmp(fallback, 1);
}

/* Hopes that nobody sees it crash. */
static void catches(pqk_scanner *s)
{
    signal(SIGSEGV, fall_back);
    if (sigsetjmp(fallback, 1) == 0) {
        *(volatile int *)(uintptr_t)s->length = 1;
    }
    say(1);
}

const struct hooks reaching_cheats[] = {
    {.name = "rounds-down", .probe = rounds_down},
    {.name = "flushes", .probe = flushes},
    {.name = "writes-codes", .add = writes_codes},
    {.name = "writes-rows", .rows = writes_rows},
    {.name = "keeps-codes", .add = keeps_codes},
    {.name = "writes-query", .tables = writes_query},
    {.name = "writes-outside", .results = writes_outside},
    {.name = "claims-more", .results = claims_more},
    {.name = "wavers", .results = wavers},
    {.name = "peeks", .load = find_judge, .probe = peeks},
    {.name = "peeks-mem", .load = find_judge, .probe = peeks_mem},
    {.name = "peeks-files", .load = find_judge, .probe = peeks_files},
    {.name = "peeks-environ", .load = find_judge, .probe = peeks_environ},
    {.name = "peeks-at-load", .load = peeks_at_load},
    {.name = "reads-file", .probe = reads_file},
    {.name = "traces", .load = find_judge, .probe = traces},
    {.name = "kills-judge", .load = find_judge, .probe = kills_judge},
    {.name = "renices", .load = find_judge, .probe = renices},
    {.name = "moves", .load = find_judge, .probe = moves},
    {.name = "connects", .probe = connects},
    {.name = "executes", .probe = executes},
    {.name = "loads-more", .probe = loads_more},
    {.name = "writes-code", .probe = writes_code},
    {.name = "unprotects", .probe = unprotects},
    {.name = "remaps", .probe = remaps},
    {.name = "writes-inputs", .probe = writes_inputs},
    {.name = "changes-file", .add = changes_file},
    {.name = "changes-file-at-load", .load = changes_file_at_load},
    {.name = "catches", .probe = catches},
    {.name = NULL},
};
