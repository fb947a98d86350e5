/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Two seccomp filters, one on top of the other: while the library is loaded,
 * files may be opened for reading; afterwards what remains is memory, clocks,
 * the command pipe, and ending.  Whatever is forbidden raises SIGSYS, whose
 * handler leaves the call's number in the slot.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__) && defined(__AARCH64EL__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#elif defined(__arm__) && defined(AUDIT_ARCH_ARM)
#define ARCHITECTURE AUDIT_ARCH_ARM
#elif defined(__riscv) && __riscv_xlen == 64 && defined(AUDIT_ARCH_RISCV64)
#define ARCHITECTURE AUDIT_ARCH_RISCV64
#elif defined(__s390x__)
#define ARCHITECTURE AUDIT_ARCH_S390X
#endif

/* Sanitizers call the system in ways of their own, and map terabytes. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||     \
    __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

/* musl's allocator changes what pages are; s390x passes mmap's arguments in memory,
 * where no filter sees them. */
#if defined(__GLIBC__) && !defined(__s390x__)
#define FIXES_PAGES 1
#endif

/* A library with its dependencies, while it is loaded. */
#define LOADING_BYTES ((size_t)1 << 30)

/* Room for any filter below. */
#define MAX_INSTRUCTIONS 512

#ifdef SYS_mmap
#define MAPPING SYS_mmap
#else
#define MAPPING SYS_mmap2
#endif

/* ------------------------------------------------------------------------ */
/* What is missing, and what was called                                     */
/* ------------------------------------------------------------------------ */

void pqh_sandbox_describe(uint32_t missing, char *text, size_t size)
{
    static const struct {
        enum pqh_missing bit;
        const char *name;
    } names[] = {
        {PQH_NO_SECCOMP, "no seccomp"},
        {PQH_NO_NETWORK_NAMESPACE, "no network namespace"},
        {PQH_NO_MEMORY_LIMIT, "no memory limit"},
        {PQH_NO_PROCESS_LIMIT, "no process limit"},
        {PQH_NO_FIXED_PAGES, "no fixed pages"},
    };
    size_t used =
        (size_t)snprintf(text, size, "%s", missing == 0 ? "full" : "partial: ");
    const char *between = "";

    for (size_t i = 0; i < sizeof names / sizeof names[0] && used < size; i++) {
        if (missing & names[i].bit) {
            used += (size_t)snprintf(text + used, size - used, "%s%s", between,
                                     names[i].name);
            between = ", ";
        }
    }
}

const char *pqh_sandbox_call_name(int number)
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
        {SYS_clone, "clone"},
        {SYS_execve, "execve"},
        {SYS_socket, "socket"},
        {SYS_openat, "openat"},
        {SYS_rt_sigaction, "rt_sigaction"},
        {SYS_prctl, "prctl"},
        {SYS_ptrace, "ptrace"},
        {SYS_process_vm_readv, "process_vm_readv"},
        {SYS_process_vm_writev, "process_vm_writev"},
        {SYS_kill, "kill"},
        {SYS_tgkill, "tgkill"},
        {SYS_tkill, "tkill"},
        {SYS_read, "read"},
        {SYS_write, "write"},
        {MAPPING, "mmap"},
        {SYS_mprotect, "mprotect"},
        {SYS_unlinkat, "unlinkat"},
        {SYS_setpgid, "setpgid"},
        {SYS_setsid, "setsid"},
        {SYS_timer_create, "timer_create"},
        {SYS_setitimer, "setitimer"},
        {SYS_sched_setaffinity, "sched_setaffinity"},
        {SYS_sched_setscheduler, "sched_setscheduler"},
        {SYS_setpriority, "setpriority"},
        {SYS_perf_event_open, "perf_event_open"},
        {SYS_memfd_create, "memfd_create"},
        {SYS_ioctl, "ioctl"},
#ifdef SYS_clone3
        {SYS_clone3, "clone3"},
#endif
#ifdef SYS_fork
        {SYS_fork, "fork"},
#endif
#ifdef SYS_vfork
        {SYS_vfork, "vfork"},
#endif
#ifdef SYS_open
        {SYS_open, "open"},
#endif
#ifdef SYS_pipe2
        {SYS_pipe2, "pipe2"},
#endif
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].number == number) {
            return names[i].name;
        }
    }
    return "number";
}

/* The handler's; one child has one. */
static struct pqh_slot *told;

static void report_call(int number, siginfo_t *info, void *context)
{
    (void)number;
    (void)context;
    told->forbidden_call = info->si_syscall;
    atomic_store_explicit(&told->failure, PQH_FORBIDDEN_CALL,
                          memory_order_release);
    _exit(1);
}

/* ------------------------------------------------------------------------ */
/* Filters                                                                  */
/* ------------------------------------------------------------------------ */

#define MAX_TESTS 3

/* A call that is allowed if each of these arguments, masked, has its value. */
struct rule {
    int number;
    size_t num_tests;
    struct {
        unsigned argument;
        uint32_t mask, value;
    } tests[MAX_TESTS];
};

#define ALL UINT32_MAX

/* clang-format off */
#define ALWAYS(name)             {SYS_##name, 0, {{0}}}
#define WITH(name, at, mask, is) {SYS_##name, 1, {{at, mask, is}}}
/* clang-format on */

/* The half of an address that is looked at: no page lies at a multiple of 4 GiB but
 * by intent. */
#define NOWHERE {0, ALL, 0}

/* What a library may do at any time. */
static const struct rule rules[] = {
    ALWAYS(munmap),
    ALWAYS(brk),
    ALWAYS(madvise),
    ALWAYS(futex),
    ALWAYS(clock_gettime),
    ALWAYS(clock_getres),
    ALWAYS(clock_nanosleep),
    ALWAYS(nanosleep),
    ALWAYS(gettimeofday),
    ALWAYS(sched_yield),
    ALWAYS(getcpu),
    ALWAYS(getpid),
    ALWAYS(gettid),
    ALWAYS(getrandom),
    ALWAYS(sysinfo),
    ALWAYS(rt_sigprocmask),
    ALWAYS(rt_sigreturn),
    ALWAYS(restart_syscall),
    ALWAYS(exit),
    ALWAYS(exit_group),
    ALWAYS(fstat),
#ifdef FIXES_PAGES
    /* Pages stay what they are: nothing is put in the place of what is there, and
     * what cannot be written or run stays so.  MAP_FIXED would also undo it, and a
     * place that was asked for. */
    {MAPPING, 3, {NOWHERE, {2, PROT_EXEC, 0}, {3, MAP_FIXED, 0}}},
    WITH(mprotect, 2, PROT_EXEC | PROT_WRITE, 0),
    WITH(mremap, 3, MREMAP_FIXED, 0),
#else
    /* Memory that can be written and run, or made so, is for loaders. */
    {MAPPING, 1, {{2, PROT_EXEC, 0}}},
    WITH(mprotect, 2, PROT_EXEC, 0),
    ALWAYS(mremap),
#endif
    /* What is open are /dev/null and the log; stdio asks what they are. */
    WITH(write, 0, ALL, STDOUT_FILENO),
    WITH(write, 0, ALL, STDERR_FILENO),
    WITH(writev, 0, ALL, STDOUT_FILENO),
    WITH(writev, 0, ALL, STDERR_FILENO),
    WITH(ioctl, 1, ALL, TCGETS),
    /* The limits of this process: they can only sink. */
    WITH(prlimit64, 0, ALL, 0),
#ifdef SYS_setrlimit
    ALWAYS(setrlimit),
#endif
#ifdef SYS_newfstatat
    ALWAYS(newfstatat),
#endif
#ifdef SYS_fstatat64
    ALWAYS(fstatat64),
#endif
#ifdef SYS_fstat64
    ALWAYS(fstat64),
#endif
#ifdef SYS_statx
    ALWAYS(statx),
#endif
#ifdef SYS_clock_gettime64
    ALWAYS(clock_gettime64),
    ALWAYS(clock_nanosleep_time64),
    ALWAYS(futex_time64),
#endif
#ifdef SYS_sigreturn
    ALWAYS(sigreturn),
#endif
};

/* What a loader does besides. */
static const struct rule loading_rules[] = {
    {MAPPING, 0, {{0}}},
    ALWAYS(mprotect),
    ALWAYS(read),
    ALWAYS(pread64),
    ALWAYS(close),
    ALWAYS(lseek),
#ifdef SYS__llseek
    ALWAYS(_llseek),
#endif
    WITH(openat, 2, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY),
    WITH(fcntl, 1, ALL, F_SETFD), /* musl, after each open */
#ifdef SYS_fcntl64
    WITH(fcntl64, 1, ALL, F_SETFD),
#endif
#ifdef SYS_open
    WITH(open, 1, O_ACCMODE | O_CREAT | O_TRUNC, O_RDONLY),
#endif
#ifdef SYS_access
    ALWAYS(access),
#endif
#ifdef SYS_stat
    ALWAYS(stat),
    ALWAYS(lstat),
#endif
#ifdef SYS_readlink
    ALWAYS(readlink),
#endif
#ifdef SYS_getrlimit
    ALWAYS(getrlimit),
#endif
#ifdef SYS_ugetrlimit
    ALWAYS(ugetrlimit),
#endif
#ifdef SYS_arch_prctl
    ALWAYS(arch_prctl),
#endif
#ifdef SYS_riscv_hwprobe
    ALWAYS(riscv_hwprobe),
#endif
    ALWAYS(faccessat),
    ALWAYS(readlinkat),
    ALWAYS(getcwd),
    ALWAYS(uname),
    ALWAYS(getuid),
    ALWAYS(geteuid),
    ALWAYS(getgid),
    ALWAYS(getegid),
    ALWAYS(sched_getaffinity),
    ALWAYS(membarrier),
    WITH(prctl, 0, ALL, PR_SET_SECCOMP),
};

#ifdef ARCHITECTURE

struct program {
    unsigned short length;
    struct sock_filter code[MAX_INSTRUCTIONS];
};

static void emit(struct program *p, uint16_t code, uint32_t k, uint8_t yes,
                 uint8_t no)
{
    p->code[p->length++] = (struct sock_filter){code, yes, no, k};
}

static void load(struct program *p, size_t offset)
{
    emit(p, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0);
}

/* Of an argument, the half that holds an int. */
static size_t argument_offset(unsigned argument)
{
    size_t half = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0;

    return offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t) +
           half;
}

/* Expects the call's number loaded, and leaves it so. */
static void allow(struct program *p, const struct rule *rule)
{
    size_t behind = rule->num_tests > 0 ? 3 * rule->num_tests + 2 : 1;

    emit(p, BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)rule->number, 0,
         (uint8_t)behind);
    for (size_t i = 0; i < rule->num_tests; i++) {
        load(p, argument_offset(rule->tests[i].argument));
        emit(p, BPF_ALU | BPF_AND | BPF_K, rule->tests[i].mask, 0, 0);
        emit(p, BPF_JMP | BPF_JEQ | BPF_K, rule->tests[i].value, 0,
             (uint8_t)(3 * (rule->num_tests - i - 1) + 1));
    }
    emit(p, BPF_RET | BPF_K, SECCOMP_RET_ALLOW, 0, 0);
    if (rule->num_tests > 0) {
        load(p, offsetof(struct seccomp_data, nr));
    }
}

static void begin(struct program *p)
{
    p->length = 0;
    load(p, offsetof(struct seccomp_data, arch));
    emit(p, BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
    emit(p, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
    load(p, offsetof(struct seccomp_data, nr));
#ifdef __x86_64__
    /* x32: the same architecture, other numbers. */
    emit(p, BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);
    emit(p, BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS, 0, 0);
#endif
}

static void allow_all(struct program *p, const struct rule *some, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        allow(p, &some[i]);
    }
}

/* Adds a filter; 0 if the system has none. */
static int filter(int loading, int commands)
{
    /* abort() has to come through; killing others has not. */
    const struct rule own[] = {
        {SYS_read, 1, {{0, ALL, (uint32_t)commands}}},
        {SYS_tgkill,
         2,
         {{0, ALL, (uint32_t)getpid()}, {2, ALL, (uint32_t)SIGABRT}}},
    };
    static struct program p;
    struct sock_fprog installed;

    begin(&p);
    allow_all(&p, own, sizeof own / sizeof own[0]);
    allow_all(&p, rules, sizeof rules / sizeof rules[0]);
    if (loading) {
        allow_all(&p, loading_rules,
                  sizeof loading_rules / sizeof loading_rules[0]);
    }
    emit(&p, BPF_RET | BPF_K, SECCOMP_RET_TRAP, 0, 0);
    installed = (struct sock_fprog){p.length, p.code};
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &installed) == 0;
}

#else

static int filter(int loading, int commands)
{
    (void)loading;
    (void)commands;
    (void)rules;
    (void)loading_rules;
    return 0;
}

#endif

/* ------------------------------------------------------------------------ */
/* Limits                                                                   */
/* ------------------------------------------------------------------------ */

/* What glibc has an enumeration for is a plain number elsewhere. */
#ifdef __GLIBC__
typedef __rlimit_resource_t limited;
#else
typedef int limited;
#endif

/* Hard, and whether it holds: an emulator may accept what it does not keep. */
static int limit(limited resource, size_t value)
{
    struct rlimit wanted = {(rlim_t)value, (rlim_t)value};
    struct rlimit got = {0, 0};

    return setrlimit(resource, &wanted) == 0 &&
           getrlimit(resource, &got) == 0 && got.rlim_cur == wanted.rlim_cur;
}

/* Of the address space, in bytes; 0 if the system does not tell. */
static size_t mapped_bytes(void)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    if (file != NULL) {
        if (fscanf(file, "%lu", &pages) != 1) {
            pages = 0;
        }
        fclose(file);
    }
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* Root or not, none of its privileges. */
static void drop_capabilities(void)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

    memset(none, 0, sizeof none);
    (void)syscall(SYS_capset, &header, none);
}

static int judge_has_no_network;

void pqh_sandbox_judge(void)
{
    judge_has_no_network = unshare(CLONE_NEWNET) == 0;
    prctl(PR_SET_DUMPABLE, 0);
}

/* Bytes mapped when the library was loaded. */
static size_t loaded_bytes;

void pqh_sandbox_before_loading(struct pqh_slot *slot, int commands)
{
    struct sigaction action = {.sa_flags = SA_SIGINFO};
    uint32_t missing = 0;

    if (!judge_has_no_network && unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
        missing |= PQH_NO_NETWORK_NAMESPACE;
    }
    drop_capabilities();
    /* Changing credentials has undone it. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, (size_t)1 << 20);
    limit(RLIMIT_NOFILE, 1024);
    loaded_bytes = mapped_bytes();
    if (SANITIZED || loaded_bytes == 0 ||
        !limit(RLIMIT_AS, loaded_bytes + LOADING_BYTES)) {
        missing |= PQH_NO_MEMORY_LIMIT;
    }
    told = slot;
    action.sa_sigaction = report_call;
    sigaction(SIGSYS, &action, NULL);
#ifndef FIXES_PAGES
    missing |= PQH_NO_FIXED_PAGES;
#endif
    /* Where nothing forbids to start one, one is looked for. */
    if (SANITIZED || !filter(1, commands)) {
        missing |= PQH_NO_SECCOMP | PQH_NO_PROCESS_LIMIT;
    } else {
        limit(RLIMIT_NPROC, 0);
    }
    slot->missing = missing;
}

void pqh_sandbox_after_loading(struct pqh_slot *slot, int commands)
{
    if (!(slot->missing & PQH_NO_MEMORY_LIMIT)) {
        loaded_bytes = mapped_bytes();
    }
    limit(RLIMIT_NOFILE, 0);
    if (!(slot->missing & PQH_NO_SECCOMP) && !filter(0, commands)) {
        slot->missing |= PQH_NO_SECCOMP;
    }
}

void pqh_sandbox_limit_memory(struct pqh_slot *slot, size_t more)
{
    if (!(slot->missing & PQH_NO_MEMORY_LIMIT) &&
        !limit(RLIMIT_AS, loaded_bytes + more)) {
        slot->missing |= PQH_NO_MEMORY_LIMIT;
    }
}
