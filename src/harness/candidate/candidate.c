/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "candidate.h"
#include "base/clock.h"
#include "base/splitmix.h"
#include "module.h"
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Bytes watched on either side of the results. */
#define GUARD 64

/* Queries and results move by multiples of a float within so many bytes. */
#define SLACK 64

/* Calls of one turn whose memory is kept until the turn is over, to see whether
 * it changes; fewer if that would take more than ARENA_BYTES. */
#define MAX_KEPT    64
#define ARENA_BYTES ((size_t)32 << 20)

/* Memory that a library may map: so much, and so many times its inputs and its
 * results. */
#define FREE_BYTES    ((size_t)256 << 20)
#define TIMES_INPUTS  32
#define TIMES_RESULTS 64

/* What one request was given and left behind. */
struct call {
    float *queries;
    unsigned char *region; /* guard, results, guard, results, ..., guard */
    uint64_t query_mark, region_mark;
    size_t counts[PQH_MAX_GROUP_QUERIES];
    uint64_t table_ns, probe_ns; /* of all queries */
    pqk_search_stats stats;
};

/* What the row-major functions work on: the inputs, copied; private memory. */
struct rows {
    unsigned char *inputs;
    size_t inputs_size;
    pqk_codebook codebook;
    const uint8_t *codes;
    size_t num_vectors;
    unsigned char *room; /* for the two: */
    float *entries;
    uint64_t *storage; /* of the heap */
};

struct runner {
    const struct pqh_candidate *candidate;
    struct pqh_slot *slot;
    struct pqh_module library;
    const pqk_kernel *kernel;
    pqk_index *index;
    pqk_scanner *search;
    size_t partitions;
    size_t k; /* of a request, since the index was made */
    uint64_t place;
    struct rows rows;
    size_t dim;
    unsigned char *arena;
    size_t page, arena_size, call_size, results_at, kept;
    struct call calls[MAX_KEPT];
    unsigned char *stream;
    size_t stream_size;
};

struct pqh_way {
    const char *name;
    size_t group;     /* queries of one request */
    size_t partition; /* rows, at most */
    /* Returns the bytes that are prepared. */
    uint64_t (*prepare)(struct runner *r, const pqk_codebook *codebook,
                        const uint8_t *codes, size_t num_vectors);
    void (*answer)(struct runner *r, struct call *call);
};

static _Noreturn __attribute__((format(printf, 3, 4))) void
give_up(struct pqh_slot *slot, enum pqh_failure failure, const char *format,
        ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(slot->message, sizeof slot->message, format, arguments);
    va_end(arguments);
    atomic_store_explicit(&slot->failure, failure, memory_order_release);
    _exit(1);
}

static void need(struct runner *r, pqk_status status, const char *what)
{
    if (status != PQK_OK) {
        give_up(r->slot, PQH_CALL_FAILED, "%s failed: %s", what,
                r->library.pqk_status_string(status));
    }
}

static void *memory(struct runner *r, size_t size, int protection, int flags,
                    int file)
{
    void *address = mmap(NULL, size, protection, flags, file, 0);

    if (address == MAP_FAILED) {
        give_up(r->slot, PQH_HARNESS_FAILED, "cannot map %zu bytes: %s", size,
                strerror(errno));
    }
    return address;
}

/* ------------------------------------------------------------------------ */
/* Loading and preparing                                                    */
/* ------------------------------------------------------------------------ */

/* The block names the file: the image's name says nothing to anybody. */
static void forget_name(char *text, const char *name)
{
    char *at = strstr(text, name);
    size_t length = strlen(name);

    if (at != NULL && strncmp(at + length, ": ", 2) == 0) {
        memmove(at, at + length + 2, strlen(at + length + 2) + 1);
    }
}

static void load_library(struct runner *r)
{
    const struct pqh_candidate *c = r->candidate;
    struct pqh_slot *slot = r->slot;
    const char *path = c->library;
    struct pqf_error err;
    pqk_status status;
    char image[32];
    size_t used = 0;

    if (c->unnamed) {
        snprintf(image, sizeof image, "/proc/self/fd/%d", c->image);
        path = image;
    }
    if (c->built_in) {
        pqh_module_reference(&r->library);
    } else if (pqh_module_load(path, &r->library, &err) != 0) {
        if (c->unnamed) {
            forget_name(err.text, image);
        }
        give_up(slot, PQH_LOAD_FAILED, "%s", err.text);
    }
    status = r->library.pqk_kernel_find(c->kernel, &r->kernel);
    if (status != PQK_OK) {
        give_up(slot,
                status == PQK_UNKNOWN_KERNEL ? PQH_KERNEL_UNKNOWN
                                             : PQH_KERNEL_MISSING,
                "%s: %s", c->kernel != NULL ? c->kernel : "the default kernel",
                r->library.pqk_status_string(status));
    }
    snprintf(slot->kernel, sizeof slot->kernel, "%s",
             r->library.pqk_kernel_name(r->kernel));
    for (size_t i = 0; i < r->library.pqk_kernel_count(); i++) {
        const pqk_kernel *kernel = r->library.pqk_kernel_at(i);
        if (r->library.pqk_kernel_available(kernel) &&
            used < sizeof slot->available) {
            used += (size_t)snprintf(
                slot->available + used, sizeof slot->available - used, "%s%s",
                used > 0 ? " " : "", r->library.pqk_kernel_name(kernel));
        }
    }
}

static void load(struct runner *r)
{
    pqh_sandbox_before_loading(r->slot, r->candidate->commands);
    load_library(r);
    if (r->candidate->image >= 0) {
        close(r->candidate->image);
    }
    pqh_sandbox_after_loading(r->slot, r->candidate->commands);
}

static size_t whole_pages(const struct runner *r, size_t size)
{
    return (size + r->page - 1) / r->page * r->page;
}

static size_t group_of(const struct runner *r)
{
    return r->candidate->way->group;
}

static size_t queries_size(const struct runner *r)
{
    return group_of(r) * r->dim * sizeof(float);
}

static size_t results_size(const struct runner *r)
{
    return r->k * sizeof(pqk_row_result);
}

static size_t region_size(const struct runner *r)
{
    return group_of(r) * (GUARD + results_size(r)) + GUARD;
}

static void make_unusable(struct runner *r, unsigned char *page)
{
    if (mprotect(page, r->page, PROT_NONE) != 0) {
        give_up(r->slot, PQH_HARNESS_FAILED, "cannot protect a page: %s",
                strerror(errno));
    }
}

/* Memory for the calls of a turn, faulted in beforehand.  Each has pages for its
 * queries and pages for its results, with one that kills behind either. */
static void make_arena(struct runner *r)
{
    if (r->arena != NULL) {
        munmap(r->arena, r->arena_size);
    }
    r->page = (size_t)sysconf(_SC_PAGESIZE);
    r->results_at = whole_pages(r, queries_size(r) + SLACK) + r->page;
    r->call_size =
        r->results_at + whole_pages(r, region_size(r) + SLACK) + r->page;
    r->kept = ARENA_BYTES / r->call_size;
    r->kept = r->kept > MAX_KEPT ? MAX_KEPT : r->kept < 1 ? 1 : r->kept;
    r->arena_size = r->kept * r->call_size;
    r->arena = memory(r, r->arena_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1);
    for (size_t i = 0; i < r->kept; i++) {
        unsigned char *call = r->arena + i * r->call_size;
        make_unusable(r, call + r->results_at - r->page);
        make_unusable(r, call + r->call_size - r->page);
    }
}

/* What an earlier prepare() made. */
static void clean_up(struct runner *r)
{
    r->library.pqk_scanner_free(r->search);
    r->library.pqk_index_free(r->index);
    r->search = NULL;
    r->index = NULL;
    if (r->rows.inputs != NULL) {
        munmap(r->rows.inputs, r->rows.inputs_size);
        free(r->rows.room);
    }
    memset(&r->rows, 0, sizeof r->rows);
}

/*
 * All preparation, timed.  The inputs are mapped for its duration alone and for
 * reading alone, so that a library that writes to them or keeps them dies.
 */
static void prepare(struct runner *r, const struct pqh_command *command)
{
    pqk_codebook codebook = {
        .num_sub_vectors = (size_t)command->num_sub_vectors,
        .num_centroids = (size_t)command->num_centroids,
        .sub_vector_dim = (size_t)command->sub_vector_dim,
    };
    size_t centroid_bytes = codebook.num_sub_vectors * codebook.num_centroids *
                            codebook.sub_vector_dim * sizeof(float);
    size_t num_vectors = (size_t)command->num_vectors;
    size_t size = centroid_bytes + num_vectors * codebook.num_sub_vectors;
    unsigned char *inputs;
    uint64_t start;

    clean_up(r);
    r->k = (size_t)command->k;
    r->place = command->place;
    r->dim = codebook.num_sub_vectors * codebook.sub_vector_dim;
    pqh_sandbox_limit_memory(r->slot,
                             FREE_BYTES + TIMES_INPUTS * size +
                                 TIMES_RESULTS * group_of(r) * results_size(r));
    make_arena(r);
    inputs = memory(r, size, PROT_READ, MAP_SHARED | MAP_POPULATE,
                    r->candidate->inputs);
    codebook.centroids = (const float *)(const void *)inputs;
    start = pqk_clock();
    r->slot->index_bytes = r->candidate->way->prepare(
        r, &codebook, inputs + centroid_bytes, num_vectors);
    r->slot->prepare_ns = pqk_clock() - start;
    munmap(inputs, size);
}

/* ------------------------------------------------------------------------ */
/* The ways to use the library                                              */
/* ------------------------------------------------------------------------ */

static pqk_row_result *results_of(const struct runner *r,
                                  const struct call *call, size_t query)
{
    return (pqk_row_result *)(void *)(call->region + GUARD +
                                      query * (results_size(r) + GUARD));
}

static uint64_t prepare_index(struct runner *r, const pqk_codebook *codebook,
                              const uint8_t *codes, size_t num_vectors)
{
    size_t most = r->candidate->way->partition;

    r->partitions = 0;
    need(r, r->library.pqk_index_create(codebook, r->kernel, &r->index),
         "pqk_index_create");
    for (size_t first = 0; first < num_vectors; r->partitions++) {
        size_t left = num_vectors - first;
        size_t count = left < most ? left : most;
        need(r,
             r->library.pqk_index_add(
                 r->index, codes + first * codebook->num_sub_vectors, count),
             "pqk_index_add");
        first += count;
    }
    need(r,
         r->library.pqk_scanner_create(r->index, group_of(r), r->k, &r->search),
         "pqk_scanner_create");
    return r->library.pqk_index_bytes(r->index);
}

/* All queries in one pass over each partition, with its own tables. */
static void search_index(struct runner *r, struct call *call)
{
    const struct pqh_module *library = &r->library;
    size_t group = group_of(r);
    uint64_t start = pqk_clock();
    uint64_t from;

    call->table_ns = 0;
    need(r, library->pqk_scanner_begin(r->search, group, r->k),
         "pqk_scanner_begin");
    for (size_t p = 0; p < r->partitions; p++) {
        from = p > 0 ? pqk_clock() : start;
        need(r, library->pqk_scanner_tables(r->search, call->queries),
             "pqk_scanner_tables");
        call->table_ns += pqk_clock() - from;
        need(r, library->pqk_scanner_probe(r->search, p), "pqk_scanner_probe");
    }
    for (size_t q = 0; q < group; q++) {
        need(r,
             library->pqk_scanner_results(r->search, q, results_of(r, call, q),
                                          &call->counts[q]),
             "pqk_scanner_results");
    }
    call->probe_ns = pqk_clock() - start - call->table_ns;
    need(r, library->pqk_scanner_statistics(r->search, &call->stats),
         "pqk_scanner_statistics");
}

/*
 * The table and the heap are the caller's, and malloc() aligns to 16 bytes.  So
 * they begin elsewhere in every sitting, but at the same place in each arm: when
 * one place held for a whole run, the length of a file's name decided it, and so
 * whether equal code 1 KiB further on was 1.4 % slower (Emerald Rapids).
 */
static void make_room(struct runner *r, size_t table_bytes, size_t heap_bytes)
{
    struct rows *rows = &r->rows;
    size_t places = r->page / 16;

    rows->room = malloc(table_bytes + r->page + heap_bytes + r->page);
    if (rows->room == NULL) {
        give_up(r->slot, PQH_HARNESS_FAILED, "out of memory");
    }
    rows->entries = (float *)(void *)(rows->room + r->place % places * 16);
    rows->storage = (uint64_t *)(void *)(rows->room + table_bytes + r->page +
                                         r->place / places % places * 16);
}

/* Nothing but a copy, of which the library must change nothing. */
static uint64_t prepare_rows(struct runner *r, const pqk_codebook *codebook,
                             const uint8_t *codes, size_t num_vectors)
{
    const unsigned char *inputs =
        (const unsigned char *)(const void *)codebook->centroids;
    size_t before = (size_t)(codes - inputs);
    size_t bytes = num_vectors * codebook->num_sub_vectors;
    size_t storage = r->library.pqk_top_k_heap_storage(r->k);
    struct rows *rows = &r->rows;

    rows->inputs_size = before + bytes;
    rows->inputs = memory(r, rows->inputs_size, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1);
    memcpy(rows->inputs, inputs, rows->inputs_size);
    mprotect(rows->inputs, rows->inputs_size, PROT_READ);
    rows->codebook = *codebook;
    rows->codebook.centroids = (const float *)(const void *)rows->inputs;
    rows->codes = rows->inputs + before;
    rows->num_vectors = num_vectors;
    make_room(
        r, codebook->num_sub_vectors * PQK_TABLE_STRIDE * sizeof *rows->entries,
        storage * sizeof *rows->storage);
    return bytes;
}

static void search_rows(struct runner *r, struct call *call)
{
    const struct pqh_module *library = &r->library;
    const struct rows *rows = &r->rows;
    pqk_distance_table table = {.entries = rows->entries};
    pqk_top_k_heap heap;
    uint64_t start, tables;

    start = pqk_clock();
    need(r,
         library->pqk_compute_distance_table_l2_with(r->kernel, call->queries,
                                                     &rows->codebook, &table),
         "pqk_compute_distance_table_l2_with");
    tables = pqk_clock();
    library->pqk_top_k_heap_init(&heap, rows->storage, r->k);
    need(r,
         library->pqk_probe_pq_l2_top_k_with(r->kernel, &table, rows->codes,
                                             rows->num_vectors, &heap),
         "pqk_probe_pq_l2_top_k_with");
    call->counts[0] =
        library->pqk_top_k_heap_into_sorted(&heap, results_of(r, call, 0));
    call->probe_ns = pqk_clock() - tables;
    call->table_ns = tables - start;
}

static const struct pqh_way ways[] = {
    {"single", 1, SIZE_MAX, prepare_index, search_index},
    {"batch", PQH_MAX_GROUP_QUERIES, SIZE_MAX, prepare_index, search_index},
    {"partitions", 1, PQH_PARTITION, prepare_index, search_index},
    {"rows", 1, SIZE_MAX, prepare_rows, search_rows},
};

const struct pqh_way *pqh_way_find(const char *name)
{
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        if (strcmp(ways[i].name, name) == 0) {
            return &ways[i];
        }
    }
    return NULL;
}

const char *pqh_way_name(const struct pqh_way *way)
{
    return way->name;
}

size_t pqh_way_group(const struct pqh_way *way)
{
    return way->group;
}

/* ------------------------------------------------------------------------ */
/* Queries                                                                  */
/* ------------------------------------------------------------------------ */

/* Tells an accidental or careless change; eight bytes at a time, because k may
 * be large. */
static uint64_t mark(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint64_t hash = size;
    uint64_t word;

    for (; size >= sizeof word; size -= sizeof word, bytes += sizeof word) {
        memcpy(&word, bytes, sizeof word);
        hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
        hash ^= hash >> 29;
    }
    for (; size > 0; size--, bytes++) {
        hash = (hash ^ *bytes) * UINT64_C(0x9E3779B97F4A7C15);
    }
    return hash;
}

/*
 * Arithmetic that comes out differently in any other rounding mode or with
 * subnormals flushed; asking fegetround() would miss MXCSR on x86.
 */
static int floats_changed(void)
{
    volatile float one = 1.0f, ulp = FLT_EPSILON, least = FLT_MIN;
    volatile float subnormal = FLT_MIN / 8, big = 1048576.0f;
    volatile float up = one + ulp * 0.25f;
    volatile float down = one + ulp * 0.75f;
    volatile float flushed = least * 0.5f;
    volatile float read_as_zero = subnormal * big;

    return up != one || down != one + ulp || flushed == 0.0f ||
           read_as_zero == 0.0f;
}

/* What became of a call's memory since it returned. */
static void check_call(struct runner *r, const struct call *call)
{
    if (call->queries == NULL) {
        return;
    }
    if (mark(call->queries, queries_size(r)) != call->query_mark) {
        r->slot->offences |= PQH_WROTE_QUERY;
    }
    if (mark(call->region, region_size(r)) != call->region_mark) {
        r->slot->offences |= PQH_WROTE_LATE;
    }
}

/* Memory for a call: another place each time, results poisoned. */
static struct call *place_call(struct runner *r, uint32_t number)
{
    struct call *call = &r->calls[number % r->kept];
    unsigned char *base = r->arena + (number % r->kept) * r->call_size;
    unsigned char *end = base + r->call_size - r->page;
    size_t query_bytes = queries_size(r);
    size_t query_offset = r->slot->place % (SLACK / 4) * 4;
    size_t region_offset = r->slot->place / (SLACK / 4) % (SLACK / 4) * 4;

    check_call(r, call);
    memset(call, 0, sizeof *call);
    call->queries = (float *)(void *)(base + query_offset);
    call->region = end - region_size(r) - region_offset;
    memcpy(call->queries, r->slot->queries, query_bytes);
    call->query_mark = mark(call->queries, query_bytes);
    memset(call->region, 0xa5, region_size(r));
    return call;
}

/* Whether all that lies around the results is as it was. */
static int guards_broken(const struct runner *r, const struct call *call)
{
    for (size_t q = 0; q <= group_of(r); q++) {
        const unsigned char *guard =
            (const unsigned char *)(const void *)results_of(r, call, q) - GUARD;
        for (size_t i = 0; i < GUARD; i++) {
            if (guard[i] != 0xa5) {
                return 1;
            }
        }
    }
    return 0;
}

/* One request, by two clocks: the judge's stops when the reply is raised, so
 * that by then all that the judge takes has to be in the slot. */
static void answer(struct runner *r, struct call *call, uint32_t number)
{
    struct pqh_slot *slot = r->slot;
    size_t k = r->k;

    r->candidate->way->answer(r, call);

    call->region_mark = mark(call->region, region_size(r));
    for (size_t q = 0; q < group_of(r); q++) {
        if (call->counts[q] > k) {
            slot->offences |= PQH_TOO_MANY;
            call->counts[q] = 0;
        }
        slot->counts[q] = call->counts[q];
        memcpy(slot->results + q * k, results_of(r, call, q), results_size(r));
    }
    slot->table_ns = call->table_ns;
    slot->probe_ns = call->probe_ns;
    slot->stats = call->stats;
    atomic_store_explicit(&slot->reply, number, memory_order_release);

    if (floats_changed()) {
        slot->offences |= PQH_CHANGED_FLOATS;
    }
    if (guards_broken(r, call)) {
        slot->offences |= PQH_WROTE_OUTSIDE;
    }
}

static void await(const _Atomic uint32_t *word, uint32_t number,
                  unsigned patience)
{
    unsigned spins = 0;

    while (atomic_load_explicit(word, memory_order_acquire) != number) {
        pqh_relax(&spins, patience);
    }
}

static void turn(struct runner *r, uint32_t count)
{
    struct pqh_slot *slot = r->slot;
    uint32_t number =
        atomic_load_explicit(&slot->reply, memory_order_relaxed) + 1;

    memset(r->calls, 0, sizeof r->calls);
    for (uint32_t i = 0; i < count; i++, number++) {
        struct call *call;
        await(&slot->offer, number, slot->patience);
        call = place_call(r, number);
        atomic_store_explicit(&slot->taken, number, memory_order_release);
        await(&slot->request, number, slot->patience);
        answer(r, call, number);
    }
    for (size_t i = 0; i < r->kept; i++) {
        check_call(r, &r->calls[i]);
    }
}

/* ------------------------------------------------------------------------ */
/* The speed of memory                                                      */
/* ------------------------------------------------------------------------ */

typedef uint64_t lanes __attribute__((vector_size(16), may_alias));

/* Reads `count` runs of `length` lanes side by side; a multiple of 4. */
static uint64_t read_all(const lanes *data, size_t count, size_t length)
{
    lanes sum[4] = {{0}};

    for (size_t i = 0; i < length; i += 4) {
        for (size_t j = 0; j < count; j++) {
            const lanes *at = data + j * length + i;
            sum[0] ^= at[0];
            sum[1] ^= at[1];
            sum[2] ^= at[2];
            sum[3] ^= at[3];
        }
    }
    sum[0] ^= sum[1] ^ sum[2] ^ sum[3];
    return sum[0][0] ^ sum[0][1];
}

/*
 * How long reading so many bytes takes at best, warm: one run from front to
 * back, or four side by side, which keeps more prefetchers busy.
 */
static void stream(struct runner *r, uint64_t bytes)
{
    size_t size = (size_t)bytes / 256 * 256 + 256;
    size_t total = size / sizeof(lanes);
    volatile uint64_t sink;
    uint64_t start, one, four;

    if (r->stream_size != size) {
        if (r->stream != NULL) {
            munmap(r->stream, r->stream_size);
        }
        r->stream_size = size;
        r->stream = memory(r, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1);
        memset(r->stream, 1, size);
    }
    sink = read_all((lanes *)(void *)r->stream, 1, total);
    start = pqk_clock();
    sink = read_all((lanes *)(void *)r->stream, 1, total);
    one = pqk_clock() - start;
    start = pqk_clock();
    sink = read_all((lanes *)(void *)r->stream, 4, total / 4);
    four = pqk_clock() - start;
    (void)sink;
    r->slot->stream_ns = one < four ? one : four;
}

/* ------------------------------------------------------------------------ */
/* The process                                                              */
/* ------------------------------------------------------------------------ */

/* Closes all but what it needs, which gets the same numbers in every child. */
static void keep_open(struct pqh_candidate *c)
{
    int *const kept[] = {&c->commands, &c->inputs, &c->image};
    int count = (int)(sizeof kept / sizeof kept[0]);
    int first = STDERR_FILENO + 1;
    long most = sysconf(_SC_OPEN_MAX);
    int closed = 0;

    for (int i = 0; i < count; i++) {
        if (*kept[i] >= 0) {
            *kept[i] = fcntl(*kept[i], F_DUPFD, first + count);
        }
    }
    for (int i = 0; i < count; i++) {
        if (*kept[i] >= 0) {
            *kept[i] = dup2(*kept[i], first + i);
        } else {
            close(first + i);
        }
    }
#ifdef SYS_close_range
    closed = syscall(SYS_close_range, first + count, ~0u, 0) == 0;
#endif
    for (int i = first + count; !closed && i < (most > 0 ? most : 1024); i++) {
        close(i);
    }
}

/*
 * A process group of its own, so that all of it can be killed; nothing open but
 * what it needs; nowhere to print a result; dead when its parent is.
 */
static void settle_in(struct pqh_candidate *c)
{
    int null = open("/dev/null", O_RDWR);
    sigset_t all;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(c->log, STDERR_FILENO);
    keep_open(c);
    signal(SIGPIPE, SIG_DFL);
    sigfillset(&all);
    sigprocmask(SIG_UNBLOCK, &all, NULL);
}

static int next_command(int file, struct pqh_command *command)
{
    ssize_t got;

    do {
        got = read(file, command, sizeof *command);
    } while (got < 0 && errno == EINTR);
    return got == (ssize_t)sizeof *command;
}

/*
 * Has the library loaded at another address than in other children, for which some
 * pages of address space are given away.  Forks of one process would have it at the
 * same, and by addresses a processor keeps what it learns of branches: two equal
 * arms taught each other, and a third one, which differed by a single instruction,
 * looked 1.5 % slower (Zen 5).
 */
static void move_away(void)
{
    uint64_t random = pqk_random_mix(pqk_clock() ^ (uint64_t)getpid() << 32);
    size_t pages = 1 + pqk_random_below(&random, 8192);

    (void)mmap(NULL, pages * (size_t)sysconf(_SC_PAGESIZE), PROT_NONE,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

_Noreturn void pqh_candidate_run(struct pqh_candidate *candidate)
{
    static struct runner r;
    struct pqh_command command;

    move_away();
    settle_in(candidate);
    r.candidate = candidate;
    r.slot = candidate->slot;
    while (next_command(candidate->commands, &command)) {
        switch (command.kind) {
        case PQH_LOAD:
            load(&r);
            break;
        case PQH_PREPARE:
            prepare(&r, &command);
            break;
        case PQH_TURN:
            turn(&r, command.count);
            break;
        case PQH_STREAM:
            stream(&r, command.bytes);
            break;
        default:
            break;
        }
        atomic_fetch_add_explicit(&r.slot->done, 1, memory_order_release);
    }
    _exit(0);
}
