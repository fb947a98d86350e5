/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"
#include "base/progress.h"

#include "formats/faiss.h"

#include <stdlib.h>

static uint64_t threads;
static int json;

static const struct tool_option options[] = {
    {"threads", 't', "N", "(default: one per processor)", TOOL_COUNT, &threads,
     1, 1024},
    {"json", '\0', NULL, "print JSON", TOOL_FLAG, &json, 0, 0},
    {NULL, '\0', NULL, NULL, TOOL_FLAG, NULL, 0, 0}};

static pqk_quantizer *get_quantizer(const struct pqf_faiss *faiss)
{
    const struct pqf_faiss_shape *shape = &faiss->shape;
    float *centroids =
        tool_alloc(shape->dim, PQF_FAISS_CENTROIDS * sizeof *centroids);
    pqk_codebook codebook = {
        .num_sub_vectors = shape->num_sub_vectors,
        .num_centroids = PQF_FAISS_CENTROIDS,
        .sub_vector_dim = shape->dim / shape->num_sub_vectors,
        .centroids = centroids,
    };
    pqk_metric metric =
        shape->metric == PQF_FAISS_L2 ? PQK_L2 : PQK_INNER_PRODUCT;
    pqk_quantizer *quantizer = NULL;
    struct pqf_error err;

    tool_check(pqf_faiss_read_centroids(faiss, centroids, &err), &err);
    tool_check_status(pqk_quantizer_create(&codebook, metric, &quantizer),
                      faiss->source.path);
    free(centroids);
    return quantizer;
}

static void add_all(const struct pqf_faiss *faiss, pqk_collection *collection)
{
    const struct pqf_faiss_shape *shape = &faiss->shape;
    size_t most = tool_piece(shape->num_sub_vectors);
    size_t piece = shape->num_rows < most ? (size_t)shape->num_rows : most;
    uint8_t *codes = tool_alloc(piece, shape->num_sub_vectors);
    uint64_t *ids = shape->has_ids ? tool_alloc(piece, sizeof(uint64_t)) : NULL;
    struct tool_batch batch = {.codes = codes,
                               .ids = ids,
                               .path = faiss->source.path,
                               .ids_path = faiss->source.path};
    struct pqf_error err;

    pqk_progress_begin("importing", 0);
    for (; batch.first < shape->num_rows; batch.first += batch.count) {
        uint64_t left = shape->num_rows - batch.first;

        batch.count = left < piece ? (size_t)left : piece;
        tool_check(
            pqf_faiss_read_codes(faiss, batch.first, batch.count, codes, &err),
            &err);
        if (ids != NULL)
            tool_check(
                pqf_faiss_read_ids(faiss, batch.first, batch.count, ids, &err),
                &err);
        tool_add(collection, &batch, threads);
        pqk_progress_show(NULL, batch.first + batch.count, shape->num_rows);
    }
    pqk_progress_end();
    free(ids);
    free(codes);
}

static void run(int num_operands, char **operands)
{
    pqk_collection *collection = NULL;
    pqk_quantizer *quantizer;
    struct pqf_faiss faiss;
    struct pqf_error err;

    (void)num_operands;
    tool_keep_input(operands[0], operands[1]);
    if (threads == 0)
        threads = tool_processors();
    tool_check(pqf_faiss_open(operands[0], &faiss, &err), &err);
    quantizer = get_quantizer(&faiss);
    tool_check_status(
        pqk_collection_create(quantizer, tool_kernel(NULL), &collection),
        "a new collection");
    add_all(&faiss, collection);
    tool_save_collection(collection, operands[1]);
    tool_report_begin(json);
    tool_report_text("collection", operands[1]);
    tool_report_count("vectors", pqk_collection_size(collection));
    tool_report_text("metric",
                     tool_metric_name(pqk_quantizer_metric(quantizer)));
    tool_report_end();
    pqf_faiss_close(&faiss);
    pqk_quantizer_free(quantizer);
    pqk_collection_free(collection);
}

const struct tool_command tool_import = {
    .name = "import",
    .operands = "FAISS-INDEX COLLECTION",
    .summary = "Make a collection of an IndexPQ of Faiss.",
    .options = options,
    .min_operands = 2,
    .max_operands = 2,
    .run = run,
};
