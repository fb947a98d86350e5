/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the sub-commands of pqkern share.  A sub-command runs once, and the process
 * ends where something is wrong, so its code shows the case that succeeds.
 */
#ifndef PQK_TOOL_H
#define PQK_TOOL_H

#include "formats/error.h"
#include "formats/output.h"
#include "formats/rows.h"
#include "pqkern.h"

#include <stddef.h>
#include <stdint.h>

/* ------------------------------------------------------------------------ */
/* Sub-commands and options                                                 */

enum tool_kind {
    TOOL_FLAG,   /* int: 1 if given */
    TOOL_COUNT,  /* uint64_t, from min to max */
    TOOL_NUMBER, /* float, any but a NaN; text may hold "inf" */
    TOOL_TEXT    /* const char *, not empty */
};

/* The one place where an option is described: parsing and --help come from it,
 * and a test compares the manual page and the completion with --help. */
struct tool_option {
    const char *name;
    char letter;       /* the short name, or '\0' */
    const char *value; /* what --help calls the value; NULL for a flag */
    const char *help;
    enum tool_kind kind;
    void *target;
    uint64_t min, max;
};

struct tool_command {
    const char *name;
    const char *operands;
    const char *summary; /* what it does, for both texts of --help */
    const struct tool_option *options; /* the last has no name */
    const struct tool_option *more;    /* options shared by some, or NULL */
    int min_operands, max_operands;
    void (*run)(int num_operands, char **operands);
};

extern const struct tool_command tool_train, tool_build, tool_search,
    tool_evaluate, tool_info, tool_kernels, tool_bench, tool_import,
    tool_export, tool_remove;

/* Take the options of argv[0], a sub-command's name; the index of the first
 * operand.  Ends the process after --help, and if an option is wrong. */
int tool_take_options(const struct tool_command *command, int argc,
                      char **argv);

/* Whether an option was given. */
int tool_given(const char *name);

/* ------------------------------------------------------------------------ */
/* The ways out                                                             */

enum { TOOL_EXIT_ERROR = 1, TOOL_EXIT_USAGE = 64 };

/* Messages begin with this. */
void tool_set_name(const char *command);

_Noreturn void tool_die(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

_Noreturn void tool_usage(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

/* Die of a failure's message. */
void tool_check(int result, const struct pqf_error *err);

/* Die unless the library did `what`. */
void tool_check_status(pqk_status status, const char *what);

/* End the process; what could not be written to standard output is an error. */
_Noreturn void tool_finish(void);

/* Keep files from the numbers of standard streams that are closed. */
void tool_keep_streams(void);

/* Remove unfinished files when a signal ends the process. */
void tool_catch_signals(void);

/* Signals wait while something is done as a whole. */
void tool_hold_signals(int hold);

/* Memory for count values, to be freed with free(), or death. */
void *tool_alloc(uint64_t count, uint64_t size);

/* ------------------------------------------------------------------------ */
/* Results on standard output                                               */

/* An object of names and values: a line each, or JSON. */
void tool_report_begin(int json);
void tool_report_text(const char *key, const char *value);
void tool_report_count(const char *key, uint64_t value);
void tool_report_number(const char *key, double value);
void tool_report_end(void);

/* The parts of other JSON. */
void tool_json_text(const char *text);
void tool_json_number(double value);

/* ------------------------------------------------------------------------ */
/* Vectors, codes and ids                                                   */

/* Open rows that are as wide as wanted says, or of any width if that is 0. */
void tool_open_rows(const char *path, const char *format, size_t wanted,
                    const char *of_what, struct pqf_rows *rows);

/* How many rows to read at a time. */
size_t tool_piece(size_t dim);

/* All rows; num_rows becomes their number. */
float *tool_read_floats(struct pqf_rows *rows, size_t *num_rows);

/* All ids of a file of one column. */
uint64_t *tool_read_ids(const char *path, size_t *num_ids);

/* Orders ids, for qsort and bsearch. */
int tool_compare_ids(const void *a, const void *b);

/* A random sample of at most `most` rows, all if there are no more. */
float *tool_sample(struct pqf_rows *rows, uint64_t most, uint64_t seed,
                   size_t *num_rows);

/* Die if an output, NULL if there is none, is the file that is read: replacing that
 * would lose it. */
void tool_keep_input(const char *input, const char *output);

/* ------------------------------------------------------------------------ */
/* The library's objects                                                    */

uint64_t tool_processors(void);

/* NULL for the default. */
const pqk_kernel *tool_kernel(const char *name);

const char *tool_metric_name(pqk_metric metric);

/* Shape and centroids, valid as long as the quantizer. */
pqk_codebook tool_codebook_of(const pqk_quantizer *quantizer);

pqk_quantizer *tool_load_quantizer(const char *path);
pqk_collection *tool_open_collection(const char *path,
                                     const pqk_kernel *kernel);

/* Open one to change and save it: until the process ends, no other command changes
 * it.  One process changes one collection. */
pqk_collection *tool_change_collection(const char *path);

void tool_save_quantizer(const pqk_quantizer *quantizer, const char *path);
void tool_save_collection(const pqk_collection *collection, const char *path);

/* What the options of training say. */
struct tool_training {
    uint64_t num_sub_vectors, num_centroids, rounds, seed, sample;
    const char *metric;
};
extern struct tool_training tool_training;

extern const struct tool_option tool_training_options[];

pqk_metric tool_metric(const char *name);

/* Train on a sample of rows, whose number num_sampled becomes.  error is what
 * encoding loses on it, or NULL. */
pqk_quantizer *tool_train_quantizer(struct pqf_rows *rows, uint64_t threads,
                                    size_t *num_sampled,
                                    pqk_quantizer_error *error);

/* Add count vectors, or codes if they are given, that are rows first and on of a
 * file; die of what is wrong with them. */
struct tool_batch {
    const float *vectors;
    const uint8_t *codes;
    const uint64_t *ids; /* or NULL */
    size_t count;
    uint64_t first;
    const char *path, *ids_path;
};
void tool_add(pqk_collection *collection, const struct tool_batch *batch,
              uint64_t threads);

#endif
