/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "report.h"
#include "base/clock.h"
#include "base/host.h"
#include "harness/candidate/sandbox.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define MAX_ENTRIES 64

enum entry_kind { TEXT, NUMBER, NUMBERS /* with blanks between them */ };

/* One line of the block, and one member of the JSON object. */
struct entry {
    const char *key;
    enum entry_kind kind;
    char value[1200];
};

struct entries {
    size_t count;
    struct entry items[MAX_ENTRIES];
};

void pqh_report_init(struct pqh_report *report)
{
    memset(report, 0, sizeof *report);
    pthread_mutex_init(&report->lock, NULL);
    report->start = pqk_clock();
    report->verdict = "none";
    report->confirmation = "none";
    report->holdout = "none";
    report->scan = "single";
}

static __attribute__((format(printf, 4, 5))) void add(struct entries *entries,
                                                      enum entry_kind kind,
                                                      const char *key,
                                                      const char *format, ...)
{
    struct entry *entry = &entries->items[entries->count++];
    va_list arguments;

    entry->key = key;
    entry->kind = kind;
    va_start(arguments, format);
    vsnprintf(entry->value, sizeof entry->value, format, arguments);
    va_end(arguments);
    for (char *c = entry->value; *c != '\0'; c++) {
        /* A name from elsewhere must not begin a line of its own. */
        if ((unsigned char)*c < 0x20 || *c == 0x7f) {
            *c = ' ';
        }
    }
    if (kind == TEXT && entry->value[0] == '\0') {
        strcpy(entry->value, "unknown");
    }
}

static void add_interval(struct entries *entries, const char *key,
                         struct pqh_interval interval)
{
    if (!isfinite(interval.low) || !isfinite(interval.high)) {
        interval.low = interval.high = 0.0;
    }
    add(entries, NUMBERS, key, "%.4f %.4f", interval.low, interval.high);
}

static void add_guards(struct entries *e, const struct pqh_report *r)
{
    static const char *const keys[PQH_NUM_GUARDS] = {
        "guard_partition", "guard_large",   "guard_k100", "guard_gaussian",
        "guard_rows",      "guard_prepare", "guard_bytes"};

    add(e, TEXT, "guards", "%s%s%s",
        !r->guarded          ? "none"
        : r->lost[0] != '\0' ? r->lost
                             : "ok",
        r->hidden[0] != '\0' ? ", not resolved: " : "", r->hidden);
    for (int g = 0; g < PQH_NUM_GUARDS; g++) {
        struct pqh_interval ratio = r->guards[g];
        double band = r->guard_bands[g];
        if (!isfinite(ratio.low) || !isfinite(ratio.high) || !isfinite(band)) {
            ratio.low = ratio.high = band = 0.0;
        }
        add(e, NUMBERS, keys[g], "%.4f %.4f %.4f %.4f", ratio.estimate,
            ratio.low, ratio.high, band);
    }
    add(e, NUMBER, "composite", "%.4f", r->composite);
    add(e, TEXT, "confirmation", "%s", r->confirmation);
    add(e, TEXT, "holdout", "%s", r->holdout);
    add(e, NUMBER, "stopped_early", "%d", r->stopped_early);
}

static void add_sandbox(struct entries *e, const struct pqh_report *r)
{
    char text[128] = "";

    if (r->sandboxed) {
        pqh_sandbox_describe(r->missing, text, sizeof text);
    }
    add(e, TEXT, "sandbox", "%s", text);
}

static void list_head(struct entries *e, const struct pqh_report *r)
{
    add(e, TEXT, "source", "%s", r->source);
    add(e, NUMBER, "num_base", "%zu", r->num_base);
    add(e, NUMBER, "num_queries", "%zu", r->num_queries);
    add(e, NUMBER, "recall_at_10", "%.4f", r->recall);
    add(e, NUMBER, "geomean_ns_per_query", "%.0f", r->nanoseconds);
    add(e, NUMBER, "peak_mem_mb", "%.1f", r->peak_bytes / 1048576.0);
    add(e, NUMBER, "total_seconds", "%.2f",
        (double)(pqk_clock() - r->start) / 1e9);
}

static void list_rest(struct entries *e, const struct pqh_report *r,
                      const struct pqh_outcome *outcome)
{
    struct utsname machine;
    char cpu[256];

    add(e, NUMBER, "contract", "%d", PQH_CONTRACT);
    add(e, TEXT, "status", "%s", outcome->status);
    if (outcome->reason[0] != '\0') {
        add(e, TEXT, "reason", "%s", outcome->reason);
    }
    add(e, TEXT, "verdict", "%s", r->verdict);
    add(e, TEXT, "kernel", "%s", r->kernel);
    add(e, TEXT, "scan", "%s", r->scan);
    add(e, TEXT, "isa", "%s: %s", uname(&machine) == 0 ? machine.machine : "?",
        r->available[0] != '\0' ? r->available : "unknown");
    add(e, NUMBER, "k", "%zu", r->k);
    add(e, NUMBER, "seed", "%" PRIu64, r->seed);
    add(e, NUMBER, "timings", "%zu", r->timings);
    add(e, TEXT, "exact_queries", "%zu/%zu", r->exact, r->checked);
    if (r->k != 10) {
        add(e, NUMBER, "recall_at_k", "%.4f", r->recall_at_k);
    }
    add(e, NUMBER, "baseline_recall", "%.4f", r->reference_recall);
    add(e, NUMBER, "baseline_ns", "%.0f", r->baseline_nanoseconds);
    add(e, NUMBER, "speedup", "%.4f", r->speedup.estimate);
    add_interval(e, "speedup_ci95", r->speedup);
    add_interval(e, "null_ci95", r->null);
    add_guards(e, r);
    add_sandbox(e, r);
    add(e, NUMBER, "stream_ns", "%.0f", r->stream_ns);
    add(e, NUMBER, "table_ns", "%.0f", r->table_ns);
    add(e, NUMBER, "probe_ns", "%.0f", r->probe_ns);
    add(e, NUMBER, "prepare_seconds", "%.6f", r->prepare_seconds);
    add(e, NUMBER, "bytes_per_code", "%.3f", r->bytes_per_code);
    add(e, NUMBER, "bound_groups", "%u", r->bound_groups);
    add(e, NUMBER, "survivors", "%.6f", r->survivors);
    add(e, NUMBER, "bytes_read_per_code", "%.3f", r->bytes_read);
    add(e, TEXT, "library", "%s", r->library);
    add(e, TEXT, "library_sha256", "%s", r->library_sha256);
    add(e, TEXT, "against", "%s",
        r->against[0] != '\0' ? r->against : "reference");
    if (r->against[0] != '\0') {
        add(e, TEXT, "against_sha256", "%s", r->against_sha256);
    }
    pqk_processor_name(cpu, sizeof cpu);
    add(e, TEXT, "cpu", "%s", cpu);
}

/* Bytes of the well-formed UTF-8 character at text, 0 if it is not one. */
static size_t utf8_length(const unsigned char *text)
{
    size_t length = *text < 0x80   ? 1
                    : *text < 0xc2 ? 0
                    : *text < 0xe0 ? 2
                    : *text < 0xf0 ? 3
                    : *text < 0xf5 ? 4
                                   : 0;

    for (size_t i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

static void put_string(FILE *file, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;

    putc('"', file);
    while (*at != '\0') {
        size_t length = utf8_length(at);
        if (*at == '"' || *at == '\\') {
            putc('\\', file);
        }
        if (length == 0) {
            fputs("\\ufffd", file);
            at++;
        } else {
            fwrite(at, 1, length, file);
            at += length;
        }
    }
    putc('"', file);
}

/* What stands between blanks. */
static void put_numbers(FILE *file, const char *text)
{
    putc('[', file);
    for (; *text != '\0'; text++) {
        if (*text == ' ') {
            putc(',', file);
        }
        putc(*text, file);
    }
    putc(']', file);
}

static void put_json(FILE *file, const struct entries *entries)
{
    fputs("{", file);
    for (size_t i = 0; i < entries->count; i++) {
        const struct entry *entry = &entries->items[i];
        fprintf(file, "%s\n  \"%s\": ", i > 0 ? "," : "", entry->key);
        if (entry->kind == TEXT) {
            put_string(file, entry->value);
        } else if (entry->kind == NUMBER) {
            fputs(entry->value, file);
        } else {
            put_numbers(file, entry->value);
        }
    }
    fputs("\n}\n", file);
}

/* To another name first, so that nobody reads half a file. */
static int write_json(const char *path, const struct entries *entries)
{
    char temporary[4096];
    FILE *file;
    int failed;

    if (snprintf(temporary, sizeof temporary, "%s.%ld.tmp", path,
                 (long)getpid()) >= (int)sizeof temporary) {
        errno = ENAMETOOLONG;
        return -1;
    }
    file = fopen(temporary, "we");
    if (file == NULL) {
        return -1;
    }
    put_json(file, entries);
    failed = ferror(file);
    failed |= fclose(file);
    if (failed || rename(temporary, path) != 0) {
        int why = errno;
        unlink(temporary);
        errno = why;
        return -1;
    }
    return 0;
}

static void print_block(const struct entries *entries)
{
    puts("---");
    for (size_t i = 0; i < entries->count; i++) {
        const struct entry *entry = &entries->items[i];
        int width = 21 - (int)strlen(entry->key);
        printf("%s:%*s%s\n", entry->key, width, "", entry->value);
    }
}

int pqh_report_print(struct pqh_report *report,
                     const struct pqh_outcome *outcome)
{
    static struct entries entries;
    struct pqh_outcome failed;

    pthread_mutex_lock(&report->lock);
    list_head(&entries, report);
    list_rest(&entries, report, outcome);
    if (report->json != NULL && write_json(report->json, &entries) != 0) {
        fprintf(stderr, "run_experiment: %s: %s\n", report->json,
                strerror(errno));
        if (outcome->code == PQH_EXIT_OK) {
            pqh_end(&failed, PQH_EXIT_ERROR, "error", "%s: %s", report->json,
                    strerror(errno));
            outcome = &failed;
            entries.count = 0;
            list_head(&entries, report);
            list_rest(&entries, report, outcome);
        }
    }
    print_block(&entries);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "run_experiment: standard output: %s\n",
                strerror(errno));
        return outcome->code != PQH_EXIT_OK ? (int)outcome->code
                                            : (int)PQH_EXIT_ERROR;
    }
    return (int)outcome->code;
}
