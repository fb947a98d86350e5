/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"
#include "base/progress.h"

#include "formats/faiss.h"
#include "formats/npy.h"
#include "formats/vecs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *faiss_path, *codes_path, *ids_path, *vectors_path;
static const char *codebook_path;

static const struct tool_option options[] = {
    {"faiss", 'f', "FILE",
     "an IndexPQ, within an IndexIDMap if ids are not 0 to the number of "
     "vectors less 1",
     TOOL_TEXT, &faiss_path, 0, 0},
    {"codes", 'c', "FILE", "the codes, .bvecs or .npy", TOOL_TEXT, &codes_path,
     0, 0},
    {"ids", 'i', "FILE", "the ids of their rows, .npy or .ivecs", TOOL_TEXT,
     &ids_path, 0, 0},
    {"vectors", 'x', "FILE", "what the codes stand for, .fvecs or .npy",
     TOOL_TEXT, &vectors_path, 0, 0},
    {"codebook", 'b', "FILE",
     "the centroids, .fvecs or .npy, a row each, the first sub-vector's first",
     TOOL_TEXT, &codebook_path, 0, 0},
    {NULL, '\0', NULL, NULL, TOOL_FLAG, NULL, 0, 0}};

/* A file of rows, TEXMEX's or NumPy's. */
struct rows_out {
    const char *path;
    enum pqf_format format;
    struct pqf_output out;
    size_t size, dim; /* bytes of a value, values of a row */
};

static void open_rows(struct rows_out *rows, const char *option,
                      const char *path, enum pqf_format vecs,
                      enum pqf_type type, uint64_t num_rows, size_t dim)
{
    struct pqf_error err;

    rows->path = path;
    if (path == NULL)
        return;
    if (pqf_format_of(path, &rows->format) != 0 ||
        (rows->format != vecs && rows->format != PQF_NPY))
        tool_usage("--%s: '%s' must end in .%s or .npy", option, path,
                   pqf_format_name(vecs));
    if (rows->format != PQF_NPY && dim > PQF_VECS_MAX_DIM)
        tool_die("%s: rows of %zu values are too wide for .%s; write .npy",
                 path, dim, pqf_format_name(vecs));
    rows->dim = dim;
    rows->size = rows->format == PQF_IVECS ? 4 : pqf_type_size(type);
    tool_check(pqf_output_open(path, &rows->out, &err), &err);
    if (rows->format == PQF_NPY)
        pqf_npy_write_header(&rows->out, type, num_rows, dim);
}

static void write_rows(struct rows_out *rows, const void *values, size_t count)
{
    if (rows->path == NULL)
        return;
    if (rows->format == PQF_NPY)
        pqf_output_values(&rows->out, values, rows->size, count * rows->dim);
    else
        pqf_vecs_write(&rows->out, rows->format, values, count, rows->dim);
}

static void write_ids(struct rows_out *rows, const uint64_t *ids, size_t count)
{
    const uint64_t most = rows->size == 4 ? INT32_MAX : INT64_MAX;

    for (size_t i = 0; rows->path != NULL && i < count; i++) {
        if (ids[i] > most)
            tool_die("%s: the id %" PRIu64 " does not fit into its integers%s",
                     rows->path, ids[i], rows->size == 4 ? "; write .npy" : "");
        if (rows->format != PQF_NPY)
            pqf_output_integer(&rows->out, 1, PQF_VECS_HEADER);
        pqf_output_integer(&rows->out, ids[i], rows->size);
    }
}

/* ------------------------------------------------------------------------ */

static void export_codebook(const pqk_quantizer *quantizer,
                            struct rows_out *rows)
{
    pqk_codebook c = tool_codebook_of(quantizer);
    const size_t num_rows = c.num_sub_vectors * c.num_centroids;

    open_rows(rows, "codebook", codebook_path, PQF_FVECS, PQF_FLOAT32, num_rows,
              c.sub_vector_dim);
    write_rows(rows, c.centroids, num_rows);
}

/* Faiss always has 256 centroids: the last one is repeated, which no code
 * names. */
static float *pad_centroids(const pqk_codebook *c)
{
    const size_t d = c->sub_vector_dim;
    float *padded = tool_alloc(c->num_sub_vectors * PQF_FAISS_CENTROIDS,
                               d * sizeof *padded);

    for (size_t m = 0; m < c->num_sub_vectors; m++)
        for (size_t i = 0; i < PQF_FAISS_CENTROIDS; i++) {
            size_t from = i < c->num_centroids ? i : c->num_centroids - 1;

            memcpy(padded + (m * PQF_FAISS_CENTROIDS + i) * d,
                   c->centroids + (m * c->num_centroids + from) * d,
                   d * sizeof *padded);
        }
    return padded;
}

/* Ids that are 0 to size - 1 go without saying. */
static int has_own_ids(const pqk_collection *collection)
{
    uint64_t beyond, size = pqk_collection_size(collection);

    return size > 0 && pqk_collection_ids(collection, size, 1, &beyond) > 0;
}

struct faiss_out {
    struct pqf_faiss_shape shape;
    struct pqf_output out;
};

static void open_faiss(struct faiss_out *faiss,
                       const pqk_collection *collection)
{
    const pqk_quantizer *quantizer = pqk_collection_quantizer(collection);
    pqk_codebook c = tool_codebook_of(quantizer);
    float *centroids = pad_centroids(&c);
    struct pqf_error err;

    faiss->shape = (struct pqf_faiss_shape){
        pqk_quantizer_dim(quantizer), c.num_sub_vectors,
        pqk_collection_size(collection),
        pqk_quantizer_metric(quantizer) == PQK_L2 ? PQF_FAISS_L2
                                                  : PQF_FAISS_INNER_PRODUCT,
        has_own_ids(collection)};
    tool_check(pqf_output_open(faiss_path, &faiss->out, &err), &err);
    pqf_faiss_write_head(&faiss->out, &faiss->shape, centroids);
    free(centroids);
}

/* ------------------------------------------------------------------------ */

/* A part of a collection, in ascending order of ids. */
struct piece {
    const pqk_collection *collection;
    size_t max_rows, count;
    uint64_t *ids;
    uint8_t *codes;
    float *vectors;
};

static int next_piece(struct piece *p)
{
    const uint64_t from = p->count > 0 ? p->ids[p->count - 1] + 1 : 0;

    p->count = pqk_collection_ids(p->collection, from, p->max_rows, p->ids);
    return p->count > 0;
}

static void get_codes(struct piece *p)
{
    tool_check_status(
        pqk_collection_codes(p->collection, p->ids, p->count, p->codes),
        "getting codes");
    if (vectors_path != NULL)
        tool_check_status(
            pqk_quantizer_decode(pqk_collection_quantizer(p->collection),
                                 p->codes, p->count, p->vectors),
            "decoding");
}

/* Faiss has its ids behind all codes. */
static void end_faiss(struct faiss_out *faiss, struct piece *p)
{
    struct rows_out ids = {.path = faiss_path, .format = PQF_NPY, .size = 8};

    pqf_faiss_write_tail(&faiss->out, &faiss->shape);
    ids.out = faiss->out;
    p->count = 0;
    while (faiss->shape.has_ids && next_piece(p))
        write_ids(&ids, p->ids, p->count);
    faiss->out = ids.out;
}

/* All that may be asked for, which gets its names together. */
struct files {
    struct rows_out codebook, codes, ids, vectors;
    struct faiss_out faiss;
};

static void export_collection(const pqk_collection *collection,
                              struct files *files)
{
    const pqk_quantizer *quantizer = pqk_collection_quantizer(collection);
    const size_t dim = pqk_quantizer_dim(quantizer);
    const size_t width = tool_codebook_of(quantizer).num_sub_vectors;
    const size_t size = pqk_collection_size(collection);
    struct piece p = {collection, tool_piece(dim), 0, NULL, NULL, NULL};
    uint64_t done = 0;

    p.ids = tool_alloc(p.max_rows, sizeof *p.ids);
    p.codes = tool_alloc(p.max_rows, width);
    p.vectors = tool_alloc(vectors_path != NULL ? p.max_rows : 0,
                           dim * sizeof *p.vectors);
    open_rows(&files->codes, "codes", codes_path, PQF_BVECS, PQF_UINT8, size,
              width);
    open_rows(&files->ids, "ids", ids_path, PQF_IVECS, PQF_INT64, size, 1);
    open_rows(&files->vectors, "vectors", vectors_path, PQF_FVECS, PQF_FLOAT32,
              size, dim);
    if (faiss_path != NULL)
        open_faiss(&files->faiss, collection);
    pqk_progress_begin("exporting", 0);
    while (next_piece(&p)) {
        get_codes(&p);
        write_rows(&files->codes, p.codes, p.count);
        write_ids(&files->ids, p.ids, p.count);
        write_rows(&files->vectors, p.vectors, p.count);
        if (faiss_path != NULL)
            pqf_output_bytes(&files->faiss.out, p.codes, p.count * width);
        pqk_progress_show(NULL, done += p.count, size);
    }
    pqk_progress_end();
    if (faiss_path != NULL)
        end_faiss(&files->faiss, &p);
    free(p.vectors);
    free(p.codes);
    free(p.ids);
}

static void run(int num_operands, char **operands)
{
    const int wants_codes = faiss_path != NULL || codes_path != NULL ||
                            ids_path != NULL || vectors_path != NULL;
    struct files files = {.codebook = {.path = NULL}};
    struct pqf_output *const outputs[] = {&files.codebook.out, &files.codes.out,
                                          &files.ids.out, &files.vectors.out,
                                          &files.faiss.out};
    const char *const paths[] = {codebook_path, codes_path, ids_path,
                                 vectors_path, faiss_path};
    pqk_collection *collection;
    pqk_quantizer *quantizer;
    struct pqf_error err;

    (void)num_operands;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        tool_keep_input(operands[0], paths[i]);
    if (!wants_codes && codebook_path == NULL)
        tool_usage("say what to write: --faiss, --codes, --ids, --vectors or "
                   "--codebook");
    if (codebook_path != NULL) {
        quantizer = tool_load_quantizer(operands[0]);
        export_codebook(quantizer, &files.codebook);
        pqk_quantizer_free(quantizer);
    }
    if (wants_codes) {
        collection = tool_open_collection(operands[0], NULL);
        export_collection(collection, &files);
        pqk_collection_free(collection);
    }
    tool_check(
        pqf_outputs_commit(outputs, sizeof outputs / sizeof outputs[0], &err),
        &err);
}

const struct tool_command tool_export = {
    .name = "export",
    .operands = "FILE",
    .summary =
        "Write a collection's parts, or a quantizer's centroids, for others.",
    .options = options,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
