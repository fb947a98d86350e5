/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"

#include <inttypes.h>
#include <stdlib.h>

static const char *codebook_path, *format;
static uint64_t threads;
static int json;

static const struct tool_option options[] = {
    {"codebook", '\0', "FILE",
     "take these centroids, .fvecs or .npy, a row each, the first sub-vector's "
     "first, and train nothing",
     TOOL_TEXT, &codebook_path, 0, 0},
    {"format", '\0', "NAME", "what standard input is: fvecs, bvecs or npy",
     TOOL_TEXT, &format, 0, 0},
    {"threads", 't', "N", "(default: one per processor)", TOOL_COUNT, &threads,
     1, 1024},
    {"json", '\0', NULL, "print JSON", TOOL_FLAG, &json, 0, 0},
    {NULL, '\0', NULL, NULL, TOOL_FLAG, NULL, 0, 0}};

/* How many sub-vectors and centroids make up the rows of a codebook. */
static void find_shape(const struct pqf_rows *rows, pqk_codebook *codebook)
{
    uint64_t parts = tool_training.num_sub_vectors;
    uint64_t centroids = tool_training.num_centroids;

    if (centroids == 0 && parts == 0)
        centroids = PQK_MAX_CENTROIDS;
    if (parts == 0)
        parts = rows->num_rows / centroids;
    if (centroids == 0)
        centroids = rows->num_rows / parts;
    if (parts * centroids != rows->num_rows || parts < 1 ||
        parts > PQK_MAX_SUB_VECTORS || centroids < 1 ||
        centroids > PQK_MAX_CENTROIDS)
        tool_die("%s: has %" PRIu64 " rows, which are not %" PRIu64
                 " sub-vectors of %" PRIu64 " centroids; say --sub-vectors and "
                 "--centroids",
                 rows->source.path, rows->num_rows, parts, centroids);
    *codebook = (pqk_codebook){
        .num_sub_vectors = (size_t)parts,
        .num_centroids = (size_t)centroids,
        .sub_vector_dim = rows->dim,
    };
}

static pqk_quantizer *take_codebook(void)
{
    pqk_metric metric = tool_metric(tool_training.metric);
    pqk_quantizer *quantizer = NULL;
    pqk_codebook codebook;
    struct pqf_error err;
    struct pqf_rows rows;
    size_t num_rows;
    float *centroids;

    if (tool_given("rounds") || tool_given("seed") || tool_given("sample"))
        tool_usage("--codebook trains nothing: --rounds, --seed and --sample "
                   "have no meaning");
    tool_check(pqf_rows_open(codebook_path, &rows, &err), &err);
    find_shape(&rows, &codebook);
    centroids = tool_read_floats(&rows, &num_rows);
    codebook.centroids = centroids;
    tool_check_status(pqk_quantizer_create(&codebook, metric, &quantizer),
                      codebook_path);
    pqf_rows_close(&rows);
    free(centroids);
    return quantizer;
}

static void run(int num_operands, char **operands)
{
    const char *vectors = num_operands == 2 ? operands[0] : NULL;
    const char *output = operands[num_operands - 1];
    pqk_quantizer *quantizer;
    pqk_codebook shape;
    struct pqf_rows rows;
    pqk_quantizer_error error = {.mean_squared = 0.0};
    size_t num_sampled = 0;

    if ((codebook_path == NULL) != (vectors != NULL))
        tool_usage("give either VECTORS or --codebook");
    tool_keep_input(codebook_path != NULL ? codebook_path : vectors, output);
    if (codebook_path != NULL) {
        quantizer = take_codebook();
    } else {
        tool_open_rows(vectors, format, 0, "", &rows);
        quantizer = tool_train_quantizer(
            &rows, threads > 0 ? threads : tool_processors(), &num_sampled,
            &error);
        pqf_rows_close(&rows);
    }
    tool_save_quantizer(quantizer, output);
    shape = tool_codebook_of(quantizer);
    tool_report_begin(json);
    tool_report_text("quantizer", output);
    tool_report_count("sub_vectors", shape.num_sub_vectors);
    tool_report_count("centroids", shape.num_centroids);
    tool_report_count("sub_vector_dim", shape.sub_vector_dim);
    tool_report_text("metric",
                     tool_metric_name(pqk_quantizer_metric(quantizer)));
    if (codebook_path == NULL) {
        tool_report_count("trained_on", num_sampled);
        tool_report_number("squared_error", error.mean_squared);
        tool_report_number("relative_error", error.relative);
    }
    tool_report_end();
    pqk_quantizer_free(quantizer);
}

const struct tool_command tool_train = {
    .name = "train",
    .operands = "[VECTORS] QUANTIZER",
    .summary = "Train a quantizer, or make one of given centroids.",
    .options = options,
    .more = tool_training_options,
    .min_operands = 1,
    .max_operands = 2,
    .run = run,
};
