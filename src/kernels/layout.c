/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Preparing codebooks and codes: layout.h says for what.
 *
 * The order of the codes comes from their principal components, which a table
 * per sub-vector gives as a sum of look-ups, without decoding anything.  A tree
 * of planes, learnt from a sample, deals the codes into cells that fit into a
 * cache; each cell is then halved again and again along its own longest axis
 * until blocks are left.  All of it is a heuristic whose rounding does not
 * matter, but equal input gives equal output: no random state, no thread.
 *
 * Data that have no order (one code repeated, a codebook with inf or NaN) need
 * no special case: all their projections are equal, every step moves rows
 * stably, and they stay where they were.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "layout.h"

#define LABELS 256 /* places for labels, used or not */

/* Four lanes wherever the compiler runs: it uses what the target has. */
#define LANES 4
typedef float lanes_f32 __attribute__((vector_size(16), may_alias));
typedef int32_t lanes_i32 __attribute__((vector_size(16)));
typedef int16_t lanes_i16 __attribute__((vector_size(16)));

/* How many principal components the order looks at.  More cost time and gave
 * nothing on image descriptors. */
#define COMPONENTS 16

/* One number per component. */
struct components {
    lanes_f32 lane[COMPONENTS / LANES];
};

/* The same, rounded: one code's place in the order's space. */
struct row {
    lanes_i16 lane[COMPONENTS / 8];
};

static size_t round_up(size_t n, size_t multiple)
{
    return (n + multiple - 1) / multiple * multiple;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static void *allocate(size_t count, size_t bytes)
{
    if (count > (SIZE_MAX - 64) / bytes)
        return NULL;
    return aligned_alloc(64, round_up(count * bytes + 1, 64));
}

/* The i-th place of a sample among n.  Multiples of the golden ratio spread
 * evenly and, unlike a stride, follow no period that the data may have. */
static size_t sampled(size_t i, size_t n)
{
    return (size_t)((uint64_t)(uint32_t)(i * 2654435769u) * n >> 32);
}

/* ------------------------------------------------------------------------ */
/* Geometry                                                                 */

/* With fewer codes than this a scan has nothing to skip. */
#define FEWEST_ORDERED 1024

/* An odd number of cache lines, so that columns do not compete for the same
 * sets of a cache when they are read abreast. */
static size_t column_stride(size_t num_blocks)
{
    return (num_blocks < 32 ? num_blocks : num_blocks | 1) * PQK_BLOCK;
}

/* Cells are large enough that their representatives take little time to look
 * at, and small enough that one of them is like its cell. */
static size_t cell_blocks(size_t num_blocks)
{
    size_t blocks = num_blocks <= 1024 ? 1 : 4;

    while ((num_blocks + blocks - 1) / blocks > 32768)
        blocks *= 2;
    return blocks;
}

static void place(struct pqk_layout *layout, size_t num_sub_vectors,
                  size_t id_bytes, int with_weights)
{
    size_t end = num_sub_vectors * layout->column_stride;

    layout->id_bytes = id_bytes;
    layout->num_cells = 0;
    if (id_bytes > 0)
        layout->num_cells = (layout->num_blocks + layout->cell_blocks - 1) /
                            layout->cell_blocks;
    layout->representative_stride = round_up(layout->num_cells, PQK_BLOCK);
    layout->representatives = end;
    end += num_sub_vectors * layout->representative_stride;
    layout->weights = with_weights ? end : 0;
    end += with_weights ? num_sub_vectors * LABELS : 0;
    layout->ids = end;
    layout->bytes = end + layout->num_vectors * id_bytes;
}

/* The best that fits into 1.25 bytes per byte of code. */
struct pqk_layout pqk_layout_of(size_t num_sub_vectors, size_t num_vectors)
{
    const size_t code_bytes = num_sub_vectors * num_vectors;
    const size_t limit = code_bytes + code_bytes / 4;
    size_t id_bytes = num_vectors < FEWEST_ORDERED ? 0
                      : num_vectors <= 65536       ? 2
                                                   : 3;
    struct pqk_layout layout = {.num_vectors = num_vectors};

    layout.num_blocks = num_vectors / PQK_BLOCK + (num_vectors % PQK_BLOCK > 0);
    layout.column_stride = column_stride(layout.num_blocks);
    layout.cell_blocks = cell_blocks(layout.num_blocks);
    for (;; id_bytes = id_bytes == 3 ? 2 : 0) {
        place(&layout, num_sub_vectors, id_bytes, 1);
        if (layout.bytes > limit)
            place(&layout, num_sub_vectors, id_bytes, 0);
        if (layout.bytes <= limit || id_bytes == 0)
            return layout;
    }
}

/* ------------------------------------------------------------------------ */
/* The codebook                                                             */

const uint8_t *pqk_layout_labels(const struct pqk_layout_codebook *codebook)
{
    return (const uint8_t *)codebook + 64;
}

const uint8_t *
pqk_layout_codes_of_labels(const struct pqk_layout_codebook *codebook)
{
    return pqk_layout_labels(codebook) + codebook->num_sub_vectors * LABELS;
}

const float *pqk_layout_centroids(const struct pqk_layout_codebook *codebook)
{
    const void *centroids = pqk_layout_codes_of_labels(codebook) +
                            codebook->num_sub_vectors * LABELS;

    return centroids;
}

size_t pqk_layout_codebook_bytes(const pqk_codebook *shape)
{
    return 64 + shape->num_sub_vectors * LABELS *
                    (2 + shape->sub_vector_dim * sizeof(float));
}

/* What relabelling one sub-vector works on. */
struct relabelling {
    const float *centroids; /* [num_centroids][dim] */
    size_t dim;
    double *mean, *axis, *next; /* [dim] */
    double keys[LABELS];
    uint8_t *labels;
};

static double dot_with_axis(const struct relabelling *r, size_t code)
{
    const float *centroid = r->centroids + code * r->dim;
    double sum = 0.0;

    for (size_t i = 0; i < r->dim; i++)
        sum += ((double)centroid[i] - r->mean[i]) * r->axis[i];
    return sum;
}

static void find_mean(struct relabelling *r, const uint8_t *codes, size_t n)
{
    for (size_t i = 0; i < r->dim; i++) {
        double sum = 0.0;

        for (size_t j = 0; j < n; j++)
            sum += (double)r->centroids[codes[j] * r->dim + i];
        r->mean[i] = sum / (double)n;
    }
}

/* One round of power iteration. */
static void turn_axis(struct relabelling *r, const uint8_t *codes, size_t n)
{
    double squares = 0.0;

    memset(r->next, 0, r->dim * sizeof *r->next);
    for (size_t j = 0; j < n; j++) {
        const float *centroid = r->centroids + codes[j] * r->dim;
        const double along = dot_with_axis(r, codes[j]);

        for (size_t i = 0; i < r->dim; i++)
            r->next[i] += along * ((double)centroid[i] - r->mean[i]);
    }
    for (size_t i = 0; i < r->dim; i++)
        squares += r->next[i] * r->next[i];
    if (!(squares > 0.0))
        return;
    for (size_t i = 0; i < r->dim; i++)
        r->axis[i] = r->next[i] / sqrt(squares);
}

static void sort_along_axis(struct relabelling *r, uint8_t *codes, size_t n)
{
    for (size_t j = 0; j < n; j++) {
        const double key = dot_with_axis(r, codes[j]);
        const uint8_t code = codes[j];
        size_t hole = j;

        for (; hole > 0 && r->keys[hole - 1] > key; hole--) {
            r->keys[hole] = r->keys[hole - 1];
            codes[hole] = codes[hole - 1];
        }
        r->keys[hole] = key;
        codes[hole] = code;
    }
}

/* The way down the tree as a label: its first four turns are the low four bits,
 * which name the group that byte shuffles of 16 entries tell apart, the next
 * two complete the six bits that a shuffle of 64 entries looks at. */
static uint8_t label_of_path(size_t path)
{
    return (uint8_t)(path >> 4 | (path >> 2 & 3) << 4 | (path >> 1 & 1) << 6 |
                     (path & 1) << 7);
}

/* Halves the centroids across their longest axis and the paths with them.  At
 * most `paths` centroids, so that each half finds room in half the paths. */
static void bisect_centroids(struct relabelling *r, uint8_t *codes, size_t n,
                             size_t path, size_t paths)
{
    if (n == 1) {
        r->labels[codes[0]] = label_of_path(path);
        return;
    }
    find_mean(r, codes, n);
    for (size_t i = 0; i < r->dim; i++)
        r->axis[i] = 1.0 + 0.1 * (double)i;
    for (size_t round = 0; round < 12; round++)
        turn_axis(r, codes, n);
    sort_along_axis(r, codes, n);
    bisect_centroids(r, codes, n / 2, path, paths / 2);
    bisect_centroids(r, codes + n / 2, n - n / 2, path + paths / 2, paths / 2);
}

static void relabel(struct relabelling *r, size_t num_centroids)
{
    uint8_t codes[LABELS];

    for (size_t c = 0; c < num_centroids; c++)
        codes[c] = (uint8_t)c;
    memset(r->labels, 0, LABELS);
    bisect_centroids(r, codes, num_centroids, 0, LABELS);
}

/* Returns 0 if two codes have the same label, as labels from outside may. */
static int invert_labels(const uint8_t *labels, size_t num_centroids,
                         uint8_t *codes_of_labels)
{
    memset(codes_of_labels, 0, LABELS);
    for (size_t c = 0; c < num_centroids; c++)
        codes_of_labels[labels[c]] = (uint8_t)c;
    for (size_t c = 0; c < num_centroids; c++)
        if (codes_of_labels[labels[c]] != c)
            return 0;
    return 1;
}

static void place_centroids(const struct relabelling *r, size_t num_centroids,
                            float *values)
{
    for (size_t i = 0; i < r->dim; i++) {
        float *row = values + i * LABELS;

        for (size_t label = 0; label < LABELS; label++)
            row[label] = INFINITY;
        for (size_t c = 0; c < num_centroids; c++)
            row[r->labels[c]] = r->centroids[c * r->dim + i];
    }
}

int pqk_layout_uses_label(const struct pqk_layout_codebook *codebook, size_t m,
                          size_t label)
{
    const size_t first = m * LABELS;
    const uint8_t code = pqk_layout_codes_of_labels(codebook)[first + label];

    return pqk_layout_labels(codebook)[first + code] == label;
}

const uint8_t *pqk_layout_labels_of(const void *prepared_codebook)
{
    return pqk_layout_labels(prepared_codebook);
}

pqk_status pqk_layout_prepare_codebook(const pqk_codebook *codebook,
                                       const uint8_t *labels,
                                       void *prepared_codebook)
{
    struct pqk_layout_codebook *prepared = prepared_codebook;
    const size_t d = codebook->sub_vector_dim;
    const size_t n = codebook->num_centroids;
    const size_t places = codebook->num_sub_vectors * LABELS;
    uint8_t *own_labels = (uint8_t *)prepared_codebook + 64;
    uint8_t *codes = own_labels + places;
    void *centroids = codes + places;
    pqk_status status = PQK_OK;
    double *vectors = allocate(d, 3 * sizeof *vectors);
    struct relabelling r = {.dim = d, .mean = vectors};

    if (!vectors)
        return PQK_OUT_OF_MEMORY;
    r.axis = vectors + d;
    r.next = vectors + 2 * d;
    memset(prepared, 0, 64);
    prepared->num_sub_vectors = codebook->num_sub_vectors;
    prepared->num_centroids = n;
    prepared->sub_vector_dim = d;
    if (labels)
        memcpy(own_labels, labels, places);
    for (size_t m = 0; m < codebook->num_sub_vectors; m++) {
        r.centroids = codebook->centroids + m * n * d;
        r.labels = own_labels + m * LABELS;
        if (!labels)
            relabel(&r, n);
        if (!invert_labels(r.labels, n, codes + m * LABELS))
            status = PQK_INVALID_ARGUMENT;
        place_centroids(&r, n, (float *)centroids + m * d * LABELS);
    }
    free(vectors);
    return status;
}

/* ------------------------------------------------------------------------ */
/* The space in which the order is sought                                   */

struct space {
    const struct pqk_layout_codebook *codebook;
    size_t num_sub_vectors, dim; /* dim of a sub-vector */
    float *centred;              /* [M][dim][label], |x| <= 1, 0 if not used */
    float *half_squares;         /* [M][label] of centred, +inf if not used */
    struct components *axes;     /* [M][dim] */
    struct components *shares;   /* [M][label], what a label adds to a sum */
    struct components *sums;     /* [M][label] */
    struct row *rows;            /* [M][code], shares rounded */
};

static void space_free(struct space *space)
{
    free(space->centred);
    free(space->half_squares);
    free(space->axes);
    free(space->shares);
    free(space->sums);
    free(space->rows);
}

static int space_allocate(struct space *space)
{
    const size_t places = space->num_sub_vectors * LABELS;
    const size_t dims = space->num_sub_vectors * space->dim;

    space->centred = allocate(dims * LABELS, sizeof(float));
    space->half_squares = allocate(places, sizeof(float));
    space->axes = allocate(dims, sizeof *space->axes);
    space->shares = allocate(places, sizeof *space->shares);
    space->sums = allocate(places, sizeof *space->sums);
    space->rows = allocate(places, sizeof *space->rows);
    return space->centred && space->half_squares && space->axes &&
           space->shares && space->sums && space->rows;
}

/* Centres one dimension of one sub-vector; returns the largest value left, inf
 * if one was not finite. */
static float centre(const struct space *space, const uint8_t *labels,
                    const float *from, float *to)
{
    const size_t n = space->codebook->num_centroids;
    float sum = 0.0f, largest = 0.0f;

    memset(to, 0, LABELS * sizeof *to);
    for (size_t c = 0; c < n; c++)
        sum += from[labels[c]];
    for (size_t c = 0; c < n; c++) {
        float value = from[labels[c]] - sum / (float)n;

        to[labels[c]] = value;
        if (!(fabsf(value) <= largest))
            largest = fabsf(value) <= FLT_MAX ? fabsf(value) : INFINITY;
    }
    return largest;
}

/* Centred and scaled, so that no sum below overflows whatever the units are;
 * all 0 if the codebook is not finite. */
static void centre_codebook(struct space *space)
{
    const size_t dims = space->num_sub_vectors * space->dim;
    const float *centroids = pqk_layout_centroids(space->codebook);
    float largest = 0.0f;

    for (size_t i = 0; i < dims; i++) {
        const uint8_t *labels =
            pqk_layout_labels(space->codebook) + i / space->dim * LABELS;
        float here = centre(space, labels, centroids + i * LABELS,
                            space->centred + i * LABELS);

        largest = here > largest ? here : largest;
    }
    for (size_t i = 0; i < dims * LABELS; i++)
        space->centred[i] = largest > 0.0f && largest <= FLT_MAX
                                ? space->centred[i] / largest
                                : 0.0f;
}

static void find_half_squares(struct space *space)
{
    const uint8_t *labels = pqk_layout_labels(space->codebook);

    for (size_t m = 0; m < space->num_sub_vectors; m++, labels += LABELS) {
        const float *values = space->centred + m * space->dim * LABELS;
        float *half_squares = space->half_squares + m * LABELS;

        for (size_t label = 0; label < LABELS; label++)
            half_squares[label] = INFINITY;
        for (size_t c = 0; c < space->codebook->num_centroids; c++) {
            float sum = 0.0f;

            for (size_t i = 0; i < space->dim; i++) {
                float value = values[i * LABELS + labels[c]];
                sum += value * value;
            }
            half_squares[labels[c]] = 0.5f * sum;
        }
    }
}

static void add_multiple(struct components *sum, float factor,
                         const struct components *add)
{
    for (size_t l = 0; l < COMPONENTS / LANES; l++)
        sum->lane[l] += factor * add->lane[l];
}

/* shares = centred * axes */
static void project_labels(struct space *space)
{
    for (size_t m = 0; m < space->num_sub_vectors; m++) {
        const struct components *axes = space->axes + m * space->dim;
        const float *values = space->centred + m * space->dim * LABELS;

        for (size_t label = 0; label < LABELS; label++) {
            struct components share = {0};

            for (size_t i = 0; i < space->dim; i++)
                add_multiple(&share, values[i * LABELS + label], axes + i);
            space->shares[m * LABELS + label] = share;
        }
    }
}

/* axes = transposed centred * sums */
static void collect_axes(struct space *space)
{
    for (size_t m = 0; m < space->num_sub_vectors; m++) {
        const struct components *sums = space->sums + m * LABELS;
        const float *values = space->centred + m * space->dim * LABELS;

        for (size_t i = 0; i < space->dim; i++, values += LABELS) {
            struct components axis = {0};

            for (size_t label = 0; label < LABELS; label++)
                add_multiple(&axis, values[label], sums + label);
            space->axes[m * space->dim + i] = axis;
        }
    }
}

/* The covariance of a sample times the axes, up to a factor, without the
 * covariance and without a decoded vector: what a code contributes depends on
 * its labels only, so it is looked up, and what it collects is added up by
 * label.  sample is [count][M], labels. */
static void multiply_by_covariance(struct space *space, const uint8_t *sample,
                                   size_t count, struct components *projected)
{
    const size_t M = space->num_sub_vectors;
    struct components mean = {0};

    project_labels(space);
    for (size_t i = 0; i < count; i++) {
        struct components sum = {0};

        for (size_t m = 0; m < M; m++)
            add_multiple(&sum, 1.0f,
                         space->shares + m * LABELS + sample[i * M + m]);
        projected[i] = sum;
        add_multiple(&mean, 1.0f / (float)count, &sum);
    }
    memset(space->sums, 0, M * LABELS * sizeof *space->sums);
    for (size_t i = 0; i < count; i++) {
        add_multiple(&projected[i], -1.0f, &mean);
        for (size_t m = 0; m < M; m++)
            add_multiple(space->sums + m * LABELS + sample[i * M + m], 1.0f,
                         &projected[i]);
    }
    collect_axes(space);
}

/* The products of one axis with all of them. */
static struct components axis_products(const struct space *space, size_t axis)
{
    const size_t dims = space->num_sub_vectors * space->dim;
    struct components products = {0};

    for (size_t i = 0; i < dims; i++) {
        const struct components *row = space->axes + i;

        add_multiple(&products, row->lane[axis / LANES][axis % LANES], row);
    }
    return products;
}

/* Takes an axis out of those behind it; leaves nothing of it if it depends on
 * those before, up to rounding.  Returns what its length must be divided by. */
static float sweep_axis(struct space *space, size_t axis, float squares_before)
{
    const size_t dims = space->num_sub_vectors * space->dim;
    struct components products = axis_products(space, axis);
    float squares = products.lane[axis / LANES][axis % LANES];

    if (!(squares > 1e-10f * squares_before) || !(squares > FLT_MIN))
        return INFINITY;
    for (size_t p = 0; p <= axis; p++)
        products.lane[p / LANES][p % LANES] = 0.0f;
    for (size_t i = 0; i < dims; i++) {
        struct components *row = space->axes + i;

        add_multiple(row, -row->lane[axis / LANES][axis % LANES] / squares,
                     &products);
    }
    return sqrtf(squares);
}

/* Gram and Schmidt's method; a dependent axis becomes 0. */
static void orthonormalise(struct space *space)
{
    const size_t dims = space->num_sub_vectors * space->dim;
    struct components squares = {0}, lengths;

    for (size_t i = 0; i < dims; i++)
        for (size_t l = 0; l < COMPONENTS / LANES; l++)
            squares.lane[l] += space->axes[i].lane[l] * space->axes[i].lane[l];
    for (size_t p = 0; p < COMPONENTS; p++)
        lengths.lane[p / LANES][p % LANES] =
            sweep_axis(space, p, squares.lane[p / LANES][p % LANES]);
    for (size_t i = 0; i < dims; i++)
        for (size_t l = 0; l < COMPONENTS / LANES; l++)
            space->axes[i].lane[l] /= lengths.lane[l];
}

/* Any axes will do to begin with. */
static void begin_axes(struct space *space)
{
    const size_t dims = space->num_sub_vectors * space->dim;
    uint32_t state = 1;

    for (size_t i = 0; i < dims; i++)
        for (size_t p = 0; p < COMPONENTS; p++) {
            state = state * 1664525u + 1013904223u;
            space->axes[i].lane[p / LANES][p % LANES] =
                (float)(int32_t)state * 0x1p-31f;
        }
}

static void sample_labels(const struct space *space, const uint8_t *codes,
                          size_t n, size_t count, uint8_t *sample)
{
    const uint8_t *labels = pqk_layout_labels(space->codebook);
    const size_t M = space->num_sub_vectors;

    for (size_t i = 0; i < count; i++) {
        const uint8_t *code = codes + sampled(i, n) * M;

        for (size_t m = 0; m < M; m++)
            sample[i * M + m] = labels[m * LABELS + code[m]];
    }
}

/* Orthogonal iteration.  The axes need not have converged: whatever they span
 * holds most of the variance after a few rounds. */
static pqk_status find_axes(struct space *space, const uint8_t *codes, size_t n)
{
    const size_t count = smaller(n, n < 8192 * 16 ? 512 + n / 32 : 8192);
    uint8_t *sample = allocate(count, space->num_sub_vectors);
    struct components *projected = allocate(count, sizeof *projected);

    if (!sample || !projected) {
        free(sample);
        free(projected);
        return PQK_OUT_OF_MEMORY;
    }
    sample_labels(space, codes, n, count, sample);
    begin_axes(space);
    for (size_t round = 0; round < 5; round++) {
        multiply_by_covariance(space, sample, count, projected);
        orthonormalise(space);
    }
    free(sample);
    free(projected);
    return PQK_OK;
}

/* How far the sum of one share of each sub-vector may be from 0. */
static float largest_projection(const struct space *space)
{
    float total = 0.0f;

    for (size_t m = 0; m < space->num_sub_vectors; m++) {
        float largest = 0.0f;

        for (size_t label = 0; label < LABELS; label++)
            for (size_t p = 0; p < COMPONENTS; p++) {
                float share = fabsf(space->shares[m * LABELS + label]
                                        .lane[p / LANES][p % LANES]);
                largest = share > largest ? share : largest;
            }
        total += largest;
    }
    return total;
}

/* Rounds the shares so that no sum of M of them leaves 16 bits: 32,000, and
 * at most 1 from rounding for each of 256 sub-vectors. */
static void round_shares(struct space *space)
{
    const uint8_t *labels = pqk_layout_labels(space->codebook);
    const float largest = largest_projection(space);
    const float scale = largest > 0.0f ? 32000.0f / largest : 0.0f;

    for (size_t m = 0; m < space->num_sub_vectors; m++)
        for (size_t c = 0; c < space->codebook->num_centroids; c++) {
            const size_t i = m * LABELS + labels[m * LABELS + c];
            struct row *row = space->rows + m * LABELS + c;

            for (size_t p = 0; p < COMPONENTS; p++)
                row->lane[p / 8][p % 8] = (int16_t)lrintf(
                    scale * space->shares[i].lane[p / LANES][p % LANES]);
        }
}

static pqk_status space_create(struct space *space,
                               const struct pqk_layout_codebook *codebook)
{
    *space = (struct space){
        .codebook = codebook,
        .num_sub_vectors = codebook->num_sub_vectors,
        .dim = codebook->sub_vector_dim,
    };
    if (!space_allocate(space)) {
        space_free(space);
        return PQK_OUT_OF_MEMORY;
    }
    centre_codebook(space);
    find_half_squares(space);
    return PQK_OK;
}

/* Fits the space to the codes that are to be ordered. */
static pqk_status space_fit(struct space *space, const uint8_t *codes, size_t n)
{
    pqk_status status = find_axes(space, codes, n);

    if (status != PQK_OK)
        return status;
    project_labels(space);
    round_shares(space);
    return PQK_OK;
}

static struct row project(const struct space *space, const uint8_t *code)
{
    const struct row *rows = space->rows;
    struct row sum = {0};

    for (size_t m = 0; m < space->num_sub_vectors; m++, rows += LABELS) {
        sum.lane[0] += rows[code[m]].lane[0];
        sum.lane[1] += rows[code[m]].lane[1];
    }
    return sum;
}

/* ------------------------------------------------------------------------ */
/* Planes                                                                   */

/* At most 16 * 32,256 * 255 from 0. */
static int32_t along(const struct row *row, const struct row *axis)
{
    int16_t x[COMPONENTS], y[COMPONENTS];
    int32_t sum = 0;

    memcpy(x, row, sizeof x);
    memcpy(y, axis, sizeof y);
    for (size_t p = 0; p < COMPONENTS; p++)
        sum += x[p] * y[p];
    return sum;
}

#define AXIS_SAMPLE 256

static float product(const struct components *a, const struct components *b)
{
    lanes_f32 sum = a->lane[0] * b->lane[0];

    for (size_t l = 1; l < COMPONENTS / LANES; l++)
        sum += a->lane[l] * b->lane[l];
    return sum[0] + sum[1] + sum[2] + sum[3];
}

/* A centred sample of rows; returns the axis of the largest variance. */
static size_t sample_rows(const struct row *rows, size_t n,
                          struct components *sample, size_t count)
{
    struct components mean = {0}, squares = {0};
    size_t widest = 0;

    for (size_t i = 0; i < count; i++) {
        const struct row *row = rows + (n == count ? i : sampled(i, n));

        for (size_t p = 0; p < COMPONENTS; p++)
            sample[i].lane[p / LANES][p % LANES] =
                (float)row->lane[p / 8][p % 8];
        add_multiple(&mean, 1.0f / (float)count, sample + i);
    }
    for (size_t i = 0; i < count; i++)
        for (size_t l = 0; l < COMPONENTS / LANES; l++) {
            sample[i].lane[l] -= mean.lane[l];
            squares.lane[l] += sample[i].lane[l] * sample[i].lane[l];
        }
    for (size_t p = 1; p < COMPONENTS; p++)
        if (squares.lane[p / LANES][p % LANES] >
            squares.lane[widest / LANES][widest % LANES])
            widest = p;
    return widest;
}

/* The direction in which rows differ most, or nearly: power iteration from the
 * widest component.  Its length is 255. */
static struct row longest_axis(const struct row *rows, size_t n, size_t count,
                               size_t rounds)
{
    struct components sample[AXIS_SAMPLE], axis = {0};
    struct row rounded;
    size_t widest;

    count = smaller(count, n);
    widest = sample_rows(rows, n, sample, count);
    axis.lane[widest / LANES][widest % LANES] = 1.0f;
    for (; rounds > 0; rounds--) {
        struct components next = {0};
        float length;

        for (size_t i = 0; i < count; i++)
            add_multiple(&next, product(sample + i, &axis), sample + i);
        length = sqrtf(product(&next, &next));
        if (!(length > 0.0f))
            break;
        for (size_t l = 0; l < COMPONENTS / LANES; l++)
            axis.lane[l] = next.lane[l] / length;
    }
    for (size_t p = 0; p < COMPONENTS; p++)
        rounded.lane[p / 8][p % 8] =
            (int16_t)lrintf(255.0f * axis.lane[p / LANES][p % LANES]);
    return rounded;
}

/* Rows, whose codes they are, and room to move them. */
struct sorter {
    struct row *rows, *spare_rows;
    uint32_t *ids, *spare_ids;
    int32_t *keys;
};

static void sorter_free(struct sorter *sorter)
{
    free(sorter->rows);
    free(sorter->spare_rows);
    free(sorter->spare_ids);
    free(sorter->keys);
}

static pqk_status sorter_create(struct sorter *sorter, size_t capacity)
{
    sorter->rows = allocate(capacity, sizeof *sorter->rows);
    sorter->spare_rows = allocate(capacity, sizeof *sorter->spare_rows);
    sorter->spare_ids = allocate(capacity, sizeof *sorter->spare_ids);
    sorter->keys = allocate(capacity, sizeof *sorter->keys);
    if (sorter->rows && sorter->spare_rows && sorter->spare_ids && sorter->keys)
        return PQK_OK;
    sorter_free(sorter);
    return PQK_OUT_OF_MEMORY;
}

/* Where to cut: keys below `low` go to the left, above `high` to the right, and
 * the first `fill` of those between to the left too. */
struct cut {
    int32_t low, high;
    size_t fill;
};

static struct cut key_range(const int32_t *keys, size_t n)
{
    struct cut cut = {keys[0], keys[0], 0};

    for (size_t i = 1; i < n; i++) {
        cut.low = keys[i] < cut.low ? keys[i] : cut.low;
        cut.high = keys[i] > cut.high ? keys[i] : cut.high;
    }
    return cut;
}

/* Finds the key of rank `left` by histograms, each of the last one's bin that
 * holds it, until that bin holds few keys: which of nearly equal rows goes
 * where does not matter. */
static struct cut find_cut(const int32_t *keys, size_t n, size_t left)
{
    struct cut cut = key_range(keys, n);
    size_t held = n;

    cut.fill = left;
    while (held > n / 64 + 1 && cut.low < cut.high) {
        uint32_t histogram[256] = {0};
        unsigned shift = 0, bin = 0;

        while ((cut.high - cut.low) >> shift > 255)
            shift++;
        for (size_t i = 0; i < n; i++)
            if (keys[i] >= cut.low && keys[i] <= cut.high)
                histogram[(uint32_t)(keys[i] - cut.low) >> shift]++;
        for (; bin < 255 && histogram[bin] <= cut.fill; bin++)
            cut.fill -= histogram[bin];
        held = histogram[bin];
        cut.low += (int32_t)(bin << shift);
        if (cut.high - cut.low >= 1 << shift)
            cut.high = cut.low + (1 << shift) - 1;
    }
    return cut;
}

/* Moves `left` of n rows from `begin` on to the front, those that lie least far
 * along the axis; returns where that ends on it. */
static int32_t split(struct sorter *sorter, size_t begin, size_t n, size_t left,
                     const struct row *axis)
{
    struct row *rows = sorter->rows + begin;
    uint32_t *ids = sorter->ids + begin;
    int32_t *keys = sorter->keys;
    size_t to[2] = {0, left};
    struct cut cut;

    for (size_t i = 0; i < n; i++)
        keys[i] = along(rows + i, axis);
    cut = find_cut(keys, n, left);
    for (size_t i = 0; i < n; i++) {
        const size_t between = keys[i] >= cut.low && keys[i] <= cut.high;
        const size_t filled = between & (cut.fill > 0);
        const size_t right = (keys[i] >= cut.low) & !filled;

        cut.fill -= filled;
        sorter->spare_rows[to[right]] = rows[i];
        sorter->spare_ids[to[right]] = ids[i];
        to[right]++;
    }
    memcpy(rows, sorter->spare_rows, n * sizeof *rows);
    memcpy(ids, sorter->spare_ids, n * sizeof *ids);
    return cut.high;
}

/* ------------------------------------------------------------------------ */
/* The order                                                                */

/* Cells of about this many codes stay in a cache while they are sorted. */
#define CELL_CODES 8192
#define TREE_DEPTH 8

/* Planes that deal codes into 2^depth cells.  Node 1 is the root, 2i and 2i + 1
 * are the sides of node i. */
struct tree {
    size_t depth;
    struct {
        struct row axis;
        int32_t cut; /* further along is on the second side */
    } nodes[1 << TREE_DEPTH];
};

static void learn_planes(struct tree *tree, struct sorter *sorter, size_t begin,
                         size_t n, size_t node)
{
    const size_t left = n / 2;

    if (node >> tree->depth > 0)
        return;
    tree->nodes[node].axis =
        longest_axis(sorter->rows + begin, n, AXIS_SAMPLE, 5);
    tree->nodes[node].cut =
        split(sorter, begin, n, left, &tree->nodes[node].axis);
    learn_planes(tree, sorter, begin, left, 2 * node);
    learn_planes(tree, sorter, begin + left, n - left, 2 * node + 1);
}

/* ids is room for n ids. */
static pqk_status learn_tree(struct tree *tree, const struct space *space,
                             const uint8_t *codes, size_t n, uint32_t *ids)
{
    struct sorter sorter = {.ids = ids};
    size_t count;
    pqk_status status;

    for (tree->depth = 0;
         tree->depth < TREE_DEPTH && n >> tree->depth > CELL_CODES;)
        tree->depth++;
    count = smaller(n, (size_t)128 << tree->depth);
    status = sorter_create(&sorter, count);
    if (status != PQK_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        ids[i] = (uint32_t)sampled(i, n);
        sorter.rows[i] =
            project(space, codes + ids[i] * space->num_sub_vectors);
    }
    learn_planes(tree, &sorter, 0, count, 1);
    sorter_free(&sorter);
    return PQK_OK;
}

static uint8_t find_cell(const struct tree *tree, const struct row *row)
{
    size_t node = 1;

    for (size_t level = 0; level < tree->depth; level++)
        node = 2 * node +
               (along(row, &tree->nodes[node].axis) > tree->nodes[node].cut);
    return (uint8_t)(node - ((size_t)1 << tree->depth));
}

/* Fills ids cell by cell, ascending within each; cell c ends at ends[c]. */
static pqk_status deal(const struct tree *tree, const struct space *space,
                       const uint8_t *codes, size_t n, uint32_t *ids,
                       size_t ends[1 << TREE_DEPTH])
{
    uint8_t *cells = allocate(n, 1);
    size_t sizes[1 << TREE_DEPTH] = {0};
    size_t end = 0;

    if (!cells)
        return PQK_OUT_OF_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct row row = project(space, codes + i * space->num_sub_vectors);

        cells[i] = find_cell(tree, &row);
        sizes[cells[i]]++;
    }
    for (size_t cell = 0; cell < (size_t)1 << tree->depth; cell++) {
        ends[cell] = end;
        end += sizes[cell];
    }
    for (size_t i = 0; i < n; i++)
        ids[ends[cells[i]]++] = (uint32_t)i;
    free(cells);
    return PQK_OK;
}

/* Halves a run until blocks are left, at block boundaries of the whole: `at` is
 * where the run is in that.  Small runs are cut with less care, since there are
 * many of them. */
static void halve(struct sorter *sorter, size_t begin, size_t n, size_t at)
{
    const size_t middle = (at + n / 2 + PQK_BLOCK / 2) / PQK_BLOCK * PQK_BLOCK;
    const size_t left = middle - at;
    struct row axis;

    if (n <= PQK_BLOCK || middle <= at || left >= n)
        return;
    axis = longest_axis(sorter->rows + begin, n, n > 2048 ? AXIS_SAMPLE : 96,
                        n > 512 ? 4 : 2);
    split(sorter, begin, n, left, &axis);
    halve(sorter, begin, left, at);
    halve(sorter, begin + left, n - left, middle);
}

static pqk_status sort_cells(const struct space *space, const uint8_t *codes,
                             uint32_t *ids, const size_t *ends,
                             size_t num_cells)
{
    struct sorter sorter;
    size_t largest = 0, begin = 0;
    pqk_status status;

    for (size_t cell = 0; cell < num_cells; begin = ends[cell++])
        if (ends[cell] - begin > largest)
            largest = ends[cell] - begin;
    status = sorter_create(&sorter, largest);
    if (status != PQK_OK)
        return status;
    begin = 0;
    for (size_t cell = 0; cell < num_cells; begin = ends[cell++]) {
        const size_t n = ends[cell] - begin;

        sorter.ids = ids + begin;
        for (size_t i = 0; i < n; i++)
            sorter.rows[i] =
                project(space, codes + sorter.ids[i] * space->num_sub_vectors);
        halve(&sorter, 0, n, begin);
    }
    sorter_free(&sorter);
    return PQK_OK;
}

/* Which code is to stand where. */
static pqk_status find_order(struct space *space, const uint8_t *codes,
                             size_t n, uint32_t *ids)
{
    struct tree tree;
    size_t ends[1 << TREE_DEPTH];
    pqk_status status = space_fit(space, codes, n);

    if (status == PQK_OK)
        status = learn_tree(&tree, space, codes, n, ids);
    if (status == PQK_OK)
        status = deal(&tree, space, codes, n, ids, ends);
    if (status == PQK_OK)
        status = sort_cells(space, codes, ids, ends, (size_t)1 << tree.depth);
    return status;
}

/* ------------------------------------------------------------------------ */
/* The codes                                                                */

/* One block of each column from the codes of up to 64 rows, then label 0. */
static void write_block(const struct pqk_layout_codebook *codebook,
                        const uint8_t *const *rows, size_t count,
                        uint8_t *block, size_t stride)
{
    const uint8_t *labels = pqk_layout_labels(codebook);

    for (size_t m = 0; m < codebook->num_sub_vectors;
         m++, labels += LABELS, block += stride) {
        for (size_t i = 0; i < count; i++)
            block[i] = labels[rows[i][m]];
        memset(block + count, 0, PQK_BLOCK - count);
    }
}

/* The columns from position `begin` on; ids is NULL for the order given. */
static void write_columns(const struct pqk_layout_codebook *codebook,
                          const struct pqk_layout *layout, uint8_t *prepared,
                          size_t begin, const uint8_t *codes, size_t n,
                          const uint32_t *ids)
{
    const size_t M = codebook->num_sub_vectors;
    uint8_t *block = prepared + layout->columns + begin;

    for (size_t at = 0; at < n; at += PQK_BLOCK, block += PQK_BLOCK) {
        const uint8_t *rows[PQK_BLOCK];
        const size_t count = smaller(PQK_BLOCK, n - at);

        for (size_t i = 0; i < count; i++) {
            rows[i] = codes + (ids ? ids[at + i] : at + i) * M;
            if (ids && n - at > 2 * PQK_BLOCK)
                __builtin_prefetch(codes + ids[at + i + PQK_BLOCK] * M);
        }
        write_block(codebook, rows, count, block, layout->column_stride);
    }
}

static void write_ids(const struct pqk_layout *layout, uint8_t *prepared,
                      size_t begin, const uint32_t *ids, size_t n)
{
    uint8_t *to = prepared + layout->ids + begin * layout->id_bytes;

    for (size_t i = 0; i < n; i++)
        for (size_t byte = 0; byte < layout->id_bytes; byte++)
            *to++ = (uint8_t)(ids[i] >> 8 * byte);
}

/* Sections of as many codes as their ids can count, one after another. */
static pqk_status write_ordered(struct space *space,
                                const struct pqk_layout *layout,
                                const uint8_t *codes, uint8_t *prepared)
{
    const size_t n = layout->num_vectors;
    const size_t section = smaller(n, (size_t)1 << 8 * layout->id_bytes);
    uint32_t *ids = allocate(section, sizeof *ids);
    pqk_status status = ids ? PQK_OK : PQK_OUT_OF_MEMORY;

    for (size_t at = 0; at < n && status == PQK_OK; at += section) {
        const uint8_t *from = codes + at * space->num_sub_vectors;
        const size_t count = smaller(section, n - at);

        status = find_order(space, from, count, ids);
        if (status != PQK_OK)
            break;
        write_columns(space->codebook, layout, prepared, at, from, count, ids);
        write_ids(layout, prepared, at, ids, count);
    }
    free(ids);
    return status;
}

/* How often each label occurs, 16 being the average: enough to tell which
 * columns separate, from a sample. */
static void write_weights(const struct pqk_layout *layout, size_t M,
                          uint8_t *prepared)
{
    const size_t step = (layout->num_vectors / 65536) | 1;

    for (size_t m = 0; m < M; m++) {
        const uint8_t *column = prepared + m * layout->column_stride;
        uint64_t histogram[LABELS] = {0};
        uint64_t count = 0;

        for (size_t i = 0; i < layout->num_vectors; i += step, count++)
            histogram[column[i]]++;
        for (size_t label = 0; label < LABELS; label++) {
            uint64_t weight =
                (histogram[label] * 16 * LABELS + count / 2) / count;

            prepared[layout->weights + m * LABELS + label] =
                (uint8_t)(weight < 64 ? weight : 64);
        }
    }
}

/* The mean of one sub-vector over about 32 codes of a column. */
static void find_cell_mean(const float *values, size_t dim,
                           const uint8_t *column, size_t n, float *mean)
{
    const size_t step = n > 32 ? n / 32 : 1;
    const size_t count = (n + step - 1) / step;

    for (size_t i = 0; i < dim; i++, values += LABELS) {
        float sum = 0.0f;

        for (size_t j = 0; j < n; j += step)
            sum += values[column[j]];
        mean[i] = sum / (float)count;
    }
}

/* The label whose centroid is nearest: |x|^2 / 2 - x * mean is smallest. */
static uint8_t nearest_label(const float *half_squares, const float *values,
                             size_t dim, const float *mean)
{
    lanes_f32 best = {INFINITY, INFINITY, INFINITY, INFINITY};
    lanes_i32 best_at = {0, 0, 0, 0}, at = {0, 1, 2, 3};
    size_t winner = 0;

    for (size_t label = 0; label < LABELS; label += LANES, at += LANES) {
        const lanes_f32 *value = (const void *)(values + label);
        lanes_f32 sum =
            *(const lanes_f32 *)(const void *)(half_squares + label);
        lanes_i32 nearer;

        for (size_t i = 0; i < dim; i++, value += LABELS / LANES)
            sum -= mean[i] * *value;
        nearer = sum < best;
        best = (lanes_f32)((nearer & (lanes_i32)sum) |
                           (~nearer & (lanes_i32)best));
        best_at = (nearer & at) | (~nearer & best_at);
    }
    for (size_t lane = 1; lane < LANES; lane++)
        if (best[lane] < best[winner])
            winner = lane;
    return (uint8_t)best_at[winner];
}

/* For each cell and sub-vector, the centroid nearest to the mean. */
static pqk_status write_representatives(const struct space *space,
                                        const struct pqk_layout *layout,
                                        uint8_t *prepared)
{
    const size_t cell_codes = layout->cell_blocks * PQK_BLOCK;
    float *mean = allocate(space->dim, sizeof *mean);

    if (!mean)
        return PQK_OUT_OF_MEMORY;
    for (size_t m = 0; m < space->num_sub_vectors; m++) {
        const float *values = space->centred + m * space->dim * LABELS;
        const uint8_t *column = prepared + m * layout->column_stride;
        uint8_t *to = prepared + layout->representatives +
                      m * layout->representative_stride;

        memset(to, 0, layout->representative_stride);
        for (size_t cell = 0; cell < layout->num_cells; cell++) {
            const size_t begin = cell * cell_codes;

            find_cell_mean(values, space->dim, column + begin,
                           smaller(cell_codes, layout->num_vectors - begin),
                           mean);
            to[cell] = nearest_label(space->half_squares + m * LABELS, values,
                                     space->dim, mean);
        }
    }
    free(mean);
    return PQK_OK;
}

size_t pqk_layout_codes_bytes(const pqk_codebook *shape, size_t num_vectors)
{
    return pqk_layout_of(shape->num_sub_vectors, num_vectors).bytes;
}

static pqk_status prepare_ordered(const struct pqk_layout_codebook *codebook,
                                  const struct pqk_layout *layout,
                                  const uint8_t *codes, uint8_t *prepared)
{
    struct space space;
    pqk_status status = space_create(&space, codebook);

    if (status != PQK_OK)
        return status;
    status = write_ordered(&space, layout, codes, prepared);
    if (status == PQK_OK)
        status = write_representatives(&space, layout, prepared);
    space_free(&space);
    return status;
}

pqk_status pqk_layout_prepare_codes(const void *prepared_codebook,
                                    const uint8_t *codes, size_t num_vectors,
                                    void *prepared_codes)
{
    const struct pqk_layout_codebook *codebook = prepared_codebook;
    const size_t M = codebook->num_sub_vectors;
    const struct pqk_layout layout = pqk_layout_of(M, num_vectors);
    pqk_status status = PQK_OK;

    if (layout.num_cells > 0)
        status = prepare_ordered(codebook, &layout, codes, prepared_codes);
    else
        write_columns(codebook, &layout, prepared_codes, 0, codes, num_vectors,
                      NULL);
    if (status == PQK_OK && layout.weights > 0)
        write_weights(&layout, M, prepared_codes);
    return status;
}

struct pqk_code_layout pqk_layout_code_layout(const pqk_codebook *shape,
                                              size_t num_vectors)
{
    const struct pqk_layout layout =
        pqk_layout_of(shape->num_sub_vectors, num_vectors);

    return (struct pqk_code_layout){.columns = layout.columns,
                                    .column_stride = layout.column_stride,
                                    .position_stride = 1,
                                    .rows = layout.ids,
                                    .row_bytes = layout.id_bytes,
                                    .bytes = layout.bytes};
}

static void restore_block(const struct pqk_layout_codebook *codebook,
                          const struct pqk_layout *layout,
                          const uint8_t *prepared, size_t begin, size_t count,
                          uint8_t *codes)
{
    const uint8_t *codes_of_labels = pqk_layout_codes_of_labels(codebook);
    const size_t M = codebook->num_sub_vectors;
    uint8_t *rows[PQK_BLOCK];

    for (size_t i = 0; i < count; i++)
        rows[i] =
            codes + (size_t)pqk_layout_row(layout, prepared, begin + i) * M;
    for (size_t m = 0; m < M; m++) {
        const uint8_t *column =
            prepared + layout->columns + m * layout->column_stride + begin;

        for (size_t i = 0; i < count; i++)
            rows[i][m] = codes_of_labels[m * LABELS + column[i]];
    }
}

void pqk_layout_restore_codes(const void *prepared_codebook,
                              const void *prepared_codes, size_t num_vectors,
                              uint8_t *codes)
{
    const struct pqk_layout_codebook *codebook = prepared_codebook;
    const struct pqk_layout layout =
        pqk_layout_of(codebook->num_sub_vectors, num_vectors);

    for (size_t begin = 0; begin < num_vectors; begin += PQK_BLOCK)
        restore_block(codebook, &layout, prepared_codes, begin,
                      smaller(PQK_BLOCK, num_vectors - begin), codes);
}
