/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"
#include "base/progress.h"

#include <inttypes.h>
#include <stdlib.h>

static const char *quantizer_path, *ids_path, *format;
static uint64_t threads;
static int append, codes, json;

static const struct tool_option options[] = {
    {"quantizer", 'q', "FILE",
     "the quantizer, or a collection that has it (default: train one on INPUT)",
     TOOL_TEXT, &quantizer_path, 0, 0},
    {"ids", 'i', "FILE",
     "an id for each row, .npy or .ivecs of one column (default: the numbers "
     "that follow the largest id, from 0 on)",
     TOOL_TEXT, &ids_path, 0, 0},
    {"append", 'a', NULL, "add to a COLLECTION that exists", TOOL_FLAG, &append,
     0, 0},
    {"codes", 'c', NULL, "INPUT has codes already: .bvecs, or .npy of uint8",
     TOOL_FLAG, &codes, 0, 0},
    {"format", '\0', "NAME", "what standard input is: fvecs, bvecs or npy",
     TOOL_TEXT, &format, 0, 0},
    {"threads", 't', "N", "(default: one per processor)", TOOL_COUNT, &threads,
     1, 1024},
    {"json", '\0', NULL, "print JSON", TOOL_FLAG, &json, 0, 0},
    {NULL, '\0', NULL, NULL, TOOL_FLAG, NULL, 0, 0}};

static void check_options(void)
{
    const int trains = !append && quantizer_path == NULL;

    if (append && quantizer_path != NULL)
        tool_usage("--append takes the collection's quantizer, not "
                   "--quantizer");
    if (codes && trains)
        tool_usage("--codes needs --quantizer, whose codes they are");
    for (const struct tool_option *o = tool_training_options; o->name != NULL;
         o++)
        if (!trains && tool_given(o->name))
            tool_usage("--%s is for training, and there is a quantizer already",
                       o->name);
}

/* A quantizer for new collections, trained if none is given. */
static pqk_quantizer *get_quantizer(const char *input)
{
    pqk_quantizer *quantizer;
    struct pqf_rows rows;
    size_t num_sampled;

    if (quantizer_path != NULL)
        return tool_load_quantizer(quantizer_path);
    tool_open_rows(input, format, 0, "", &rows);
    if (!rows.source.regular)
        tool_die("%s: can be read once only, and training needs it first; "
                 "give --quantizer, or a file",
                 rows.source.path);
    quantizer = tool_train_quantizer(&rows, threads, &num_sampled, NULL);
    pqf_rows_close(&rows);
    return quantizer;
}

static pqk_collection *get_collection(const char *input, const char *path)
{
    pqk_collection *collection = NULL;
    pqk_quantizer *quantizer;

    if (append)
        return tool_change_collection(path);
    quantizer = get_quantizer(input);
    tool_check_status(
        pqk_collection_create(quantizer, tool_kernel(NULL), &collection),
        "a new collection");
    pqk_quantizer_free(quantizer);
    return collection;
}

/* ------------------------------------------------------------------------ */

/* The input, piece by piece, and the ids beside it. */
struct reading {
    struct pqf_rows rows, ids;
    void *values; /* floats, or codes */
    uint64_t *id_values;
    size_t piece;
};

static void open_input(const char *input, const pqk_quantizer *quantizer,
                       struct reading *r)
{
    if (codes)
        tool_open_rows(input, format,
                       tool_codebook_of(quantizer).num_sub_vectors,
                       "the quantizer's codes have", &r->rows);
    else
        tool_open_rows(input, format, pqk_quantizer_dim(quantizer),
                       "the quantizer's vectors have", &r->rows);
    r->piece = tool_piece(r->rows.dim);
    if (r->rows.num_rows < r->piece)
        r->piece = (size_t)r->rows.num_rows;
    r->values = tool_alloc(r->piece, r->rows.dim * (codes ? 1 : sizeof(float)));
    r->id_values = NULL;
    if (ids_path == NULL)
        return;
    tool_open_rows(ids_path, NULL, 1, "ids are", &r->ids);
    if (r->rows.num_rows != PQF_UNKNOWN && r->ids.num_rows != PQF_UNKNOWN &&
        r->rows.num_rows != r->ids.num_rows)
        tool_die("%s: has %" PRIu64 " ids, but %s has %" PRIu64 " rows",
                 ids_path, r->ids.num_rows, r->rows.source.path,
                 r->rows.num_rows);
    r->id_values = tool_alloc(r->piece, sizeof *r->id_values);
}

static void close_input(struct reading *r)
{
    pqf_rows_close(&r->rows);
    if (r->id_values != NULL)
        pqf_rows_close(&r->ids);
    free(r->values);
    free(r->id_values);
}

/* The next rows with their ids; how many there are. */
static size_t read_piece(struct reading *r)
{
    struct pqf_error err;
    size_t got, got_ids;

    tool_check(
        codes ? pqf_rows_next_bytes(&r->rows, r->piece, r->values, &got, &err)
              : pqf_rows_next_floats(&r->rows, r->piece, r->values, &got, &err),
        &err);
    if (r->id_values == NULL)
        return got;
    /* One more is asked for at the end, to see that there is none. */
    tool_check(pqf_rows_next_ids(&r->ids, got > 0 ? got : r->piece,
                                 r->id_values, &got_ids, &err),
               &err);
    if (got_ids != got)
        tool_die("%s: has %s ids than %s has rows", ids_path,
                 got_ids < got ? "fewer" : "more", r->rows.source.path);
    return got;
}

static uint64_t add_all(const char *input, pqk_collection *collection)
{
    struct reading r;
    struct tool_batch batch = {.ids_path = ids_path};

    open_input(input, pqk_collection_quantizer(collection), &r);
    batch.path = r.rows.source.path;
    batch.ids = r.id_values;
    if (codes)
        batch.codes = r.values;
    else
        batch.vectors = r.values;
    pqk_progress_begin(codes ? "adding codes" : "encoding", 0);
    while ((batch.count = read_piece(&r)) > 0) {
        tool_add(collection, &batch, threads);
        batch.first += batch.count;
        pqk_progress_show(NULL, batch.first,
                          r.rows.num_rows == PQF_UNKNOWN ? 0 : r.rows.num_rows);
    }
    pqk_progress_end();
    close_input(&r);
    return batch.first;
}

static void run(int num_operands, char **operands)
{
    const char *input = operands[0], *path = operands[1];
    pqk_collection *collection;
    uint64_t added;

    (void)num_operands;
    check_options();
    tool_keep_input(input, path);
    tool_keep_input(ids_path, path);
    if (threads == 0)
        threads = tool_processors();
    collection = get_collection(input, path);
    added = add_all(input, collection);
    tool_save_collection(collection, path);
    tool_report_begin(json);
    tool_report_text("collection", path);
    tool_report_count("added", added);
    tool_report_count("vectors", pqk_collection_size(collection));
    tool_report_count("bytes", pqk_collection_bytes(collection));
    tool_report_end();
    pqk_collection_free(collection);
}

const struct tool_command tool_build = {
    .name = "build",
    .operands = "INPUT COLLECTION",
    .summary = "Encode vectors into a collection, or add to one.",
    .options = options,
    .more = tool_training_options,
    .min_operands = 2,
    .max_operands = 2,
    .run = run,
};
