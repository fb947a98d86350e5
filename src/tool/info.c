/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"

#include "formats/faiss.h"
#include "formats/source.h"

#include <errno.h>
#include <string.h>

static int json;

static const struct tool_option options[] = {
    {"json", '\0', NULL, "print JSON", TOOL_FLAG, &json, 0, 0},
    {NULL, '\0', NULL, NULL, TOOL_FLAG, NULL, 0, 0}};

static void begin(const char *path, const char *kind)
{
    tool_report_begin(json);
    tool_report_text("file", path);
    tool_report_text("kind", kind);
}

static void report_rows(const char *path)
{
    struct pqf_error err;
    struct pqf_rows rows;

    tool_check(pqf_rows_open(path, &rows, &err), &err);
    begin(path, pqf_format_name(rows.format));
    tool_report_count("rows", rows.num_rows);
    tool_report_count("dim", rows.dim);
    tool_report_text("type", pqf_type_name(rows.type));
    tool_report_end();
    pqf_rows_close(&rows);
}

static void report_faiss(const char *path)
{
    struct pqf_error err;
    struct pqf_faiss faiss;

    tool_check(pqf_faiss_open(path, &faiss, &err), &err);
    begin(path, faiss.shape.has_ids ? "Faiss IndexIDMap of IndexPQ"
                                    : "Faiss IndexPQ");
    tool_report_count("vectors", faiss.shape.num_rows);
    tool_report_count("dim", faiss.shape.dim);
    tool_report_count("sub_vectors", faiss.shape.num_sub_vectors);
    tool_report_count("centroids", PQF_FAISS_CENTROIDS);
    tool_report_text("metric",
                     faiss.shape.metric == PQF_FAISS_L2 ? "l2" : "ip");
    tool_report_end();
    pqf_faiss_close(&faiss);
}

static void report_quantizer(const pqk_quantizer *quantizer)
{
    pqk_codebook shape = tool_codebook_of(quantizer);

    tool_report_count("dim", pqk_quantizer_dim(quantizer));
    tool_report_count("sub_vectors", shape.num_sub_vectors);
    tool_report_count("centroids", shape.num_centroids);
    tool_report_count("sub_vector_dim", shape.sub_vector_dim);
    tool_report_text("metric",
                     tool_metric_name(pqk_quantizer_metric(quantizer)));
}

/* How a collection's file begins: pqkern(5). */
static int claims_collection(const char *path)
{
    static const unsigned char magic[8] = {0x89, 'P',  'Q',  'K',
                                           '\r', '\n', 0x1a, '\n'};
    static const unsigned char kind[4] = {2, 0, 0, 0};
    unsigned char bytes[16];
    struct pqf_source source;
    struct pqf_error err;
    int claims;

    if (pqf_source_open(path, PQF_REGULAR_ONLY, &source, &err) != 0)
        return 0;
    claims = source.size >= sizeof bytes &&
             pqf_source_read_at(&source, 0, bytes, sizeof bytes, &err) == 0 &&
             memcmp(bytes, magic, sizeof magic) == 0 &&
             memcmp(bytes + 12, kind, sizeof kind) == 0;
    pqf_source_close(&source);
    return claims;
}

/* 1 if it is one.  The quantizer of a damaged one may be whole, which must not
 * pass for all that there is. */
static int report_collection(const char *path)
{
    pqk_collection *collection = NULL;
    pqk_status status =
        pqk_collection_open(path, tool_kernel(NULL), 0, &collection);

    if (status == PQK_BAD_FILE && claims_collection(path))
        tool_die("%s: is a collection, but was cut short or altered", path);
    if (status == PQK_BAD_FILE)
        return 0;
    if (status == PQK_IO_ERROR)
        tool_die("%s: cannot be read: %s", path, strerror(errno));
    tool_check_status(status, path);
    begin(path, "collection");
    tool_report_count("vectors", pqk_collection_size(collection));
    report_quantizer(pqk_collection_quantizer(collection));
    tool_report_count("bytes", pqk_collection_bytes(collection));
    tool_report_text("kernel",
                     pqk_kernel_name(pqk_collection_kernel(collection)));
    tool_report_end();
    pqk_collection_free(collection);
    return 1;
}

static void report_other(const char *path)
{
    pqk_quantizer *quantizer = NULL;
    pqk_status status;

    if (report_collection(path))
        return;
    status = pqk_quantizer_load(path, &quantizer);
    if (status == PQK_BAD_FILE)
        tool_die("%s: is no collection, quantizer or index of Faiss, or it was "
                 "cut short or altered; files of rows have names that end in "
                 ".fvecs, .bvecs, .ivecs or .npy",
                 path);
    tool_check_status(status, path);
    begin(path, "quantizer");
    report_quantizer(quantizer);
    tool_report_end();
    pqk_quantizer_free(quantizer);
}

static void run(int num_operands, char **operands)
{
    enum pqf_format format;

    (void)num_operands;
    if (pqf_format_of(operands[0], &format) == 0)
        report_rows(operands[0]);
    else if (pqf_faiss_looks_like(operands[0]))
        report_faiss(operands[0]);
    else
        report_other(operands[0]);
}

const struct tool_command tool_info = {
    .name = "info",
    .operands = "FILE",
    .summary = "Say what a file is.",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
