/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A tree of planes, learnt from a sample, divides the codes into parts that fit
 * into a cache.  Each part is then halved across its longest axis, again and
 * again, until blocks are left.
 *
 * Data that have no order (one code repeated, a codebook with inf or NaN) need no
 * special case: all their projections are equal, every step moves points stably,
 * and they stay where they were.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <string.h>

#include "kernels/prepare/memory.h"
#include "kernels/prepare/order.h"

/* At most 16 * 32,256 * 255 from 0. */
static int32_t along(const struct point *point, const struct point *axis)
{
    int16_t x[COMPONENTS], y[COMPONENTS];
    int32_t sum = 0;

    memcpy(x, point, sizeof x);
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

/* A centred sample of points; returns the axis of the largest variance. */
static size_t sample_points(const struct point *points, size_t n,
                            struct components *sample, size_t count)
{
    struct components mean = {0}, squares = {0};
    size_t widest = 0;

    for (size_t i = 0; i < count; i++) {
        const struct point *point = points + (n == count ? i : sampled(i, n));

        for (size_t p = 0; p < COMPONENTS; p++)
            sample[i].lane[p / LANES][p % LANES] =
                (float)point->lane[p / 8][p % 8];
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

/* The direction in which points differ most, or nearly: power iteration from the
 * widest component.  Its length is 255. */
static struct point longest_axis(const struct point *points, size_t n,
                                 size_t count, size_t rounds)
{
    struct components sample[AXIS_SAMPLE], axis = {0};
    struct point rounded;
    size_t widest;

    count = smaller(count, n);
    widest = sample_points(points, n, sample, count);
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
    struct point *points, *spare_points;
    uint32_t *ids, *spare_ids;
    int32_t *keys;
};

static void sorter_free(struct sorter *sorter)
{
    free(sorter->points);
    free(sorter->spare_points);
    free(sorter->spare_ids);
    free(sorter->keys);
}

static pqk_status sorter_create(struct sorter *sorter, size_t capacity)
{
    sorter->points = allocate(capacity, sizeof *sorter->points);
    sorter->spare_points = allocate(capacity, sizeof *sorter->spare_points);
    sorter->spare_ids = allocate(capacity, sizeof *sorter->spare_ids);
    sorter->keys = allocate(capacity, sizeof *sorter->keys);
    if (sorter->points && sorter->spare_points && sorter->spare_ids &&
        sorter->keys)
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
 * holds it, until that bin holds few keys: which of nearly equal points goes
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

/* Moves `left` of n points from `begin` on to the front, those that lie least far
 * along the axis; returns where that ends on it. */
static int32_t split(struct sorter *sorter, size_t begin, size_t n, size_t left,
                     const struct point *axis)
{
    struct point *points = sorter->points + begin;
    uint32_t *ids = sorter->ids + begin;
    int32_t *keys = sorter->keys;
    size_t to[2] = {0, left};
    struct cut cut;

    for (size_t i = 0; i < n; i++)
        keys[i] = along(points + i, axis);
    cut = find_cut(keys, n, left);
    for (size_t i = 0; i < n; i++) {
        const size_t between = keys[i] >= cut.low && keys[i] <= cut.high;
        const size_t filled = between & (cut.fill > 0);
        const size_t right = (keys[i] >= cut.low) & !filled;

        cut.fill -= filled;
        sorter->spare_points[to[right]] = points[i];
        sorter->spare_ids[to[right]] = ids[i];
        to[right]++;
    }
    memcpy(points, sorter->spare_points, n * sizeof *points);
    memcpy(ids, sorter->spare_ids, n * sizeof *ids);
    return cut.high;
}

/* ------------------------------------------------------------------------ */
/* The order                                                                */

/* Cells of about this many codes stay in a cache while they are sorted. */
#define PART_CODES 8192
#define TREE_DEPTH 8

/* Planes that deal codes into 2^depth parts.  Node 1 is the root, 2i and 2i + 1
 * are the sides of node i. */
struct tree {
    size_t depth;
    struct {
        struct point axis;
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
        longest_axis(sorter->points + begin, n, AXIS_SAMPLE, 5);
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
         tree->depth < TREE_DEPTH && n >> tree->depth > PART_CODES;)
        tree->depth++;
    count = smaller(n, (size_t)128 << tree->depth);
    status = sorter_create(&sorter, count);
    if (status != PQK_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        ids[i] = (uint32_t)sampled(i, n);
        sorter.points[i] =
            project(space, codes + ids[i] * space->num_sub_vectors);
    }
    learn_planes(tree, &sorter, 0, count, 1);
    sorter_free(&sorter);
    return PQK_OK;
}

static uint8_t find_part(const struct tree *tree, const struct point *point)
{
    size_t node = 1;

    for (size_t level = 0; level < tree->depth; level++)
        node = 2 * node +
               (along(point, &tree->nodes[node].axis) > tree->nodes[node].cut);
    return (uint8_t)(node - ((size_t)1 << tree->depth));
}

/* Fills ids part by part, ascending within each; part c ends at ends[c]. */
static pqk_status deal(const struct tree *tree, const struct space *space,
                       const uint8_t *codes, size_t n, uint32_t *ids,
                       size_t ends[1 << TREE_DEPTH])
{
    uint8_t *parts = allocate(n, 1);
    size_t sizes[1 << TREE_DEPTH] = {0};
    size_t end = 0;

    if (!parts)
        return PQK_OUT_OF_MEMORY;
    for (size_t i = 0; i < n; i++) {
        struct point point = project(space, codes + i * space->num_sub_vectors);

        parts[i] = find_part(tree, &point);
        sizes[parts[i]]++;
    }
    for (size_t part = 0; part < (size_t)1 << tree->depth; part++) {
        ends[part] = end;
        end += sizes[part];
    }
    for (size_t i = 0; i < n; i++)
        ids[ends[parts[i]]++] = (uint32_t)i;
    free(parts);
    return PQK_OK;
}

/* Halves a run until blocks are left, at block boundaries of the whole: `at` is
 * where the run is in that.  Small runs are cut with less care, since there are
 * many of them. */
static void halve(struct sorter *sorter, size_t begin, size_t n, size_t at)
{
    const size_t middle = (at + n / 2 + PQK_BLOCK / 2) / PQK_BLOCK * PQK_BLOCK;
    const size_t left = middle - at;
    struct point axis;

    if (n <= PQK_BLOCK || middle <= at || left >= n)
        return;
    axis = longest_axis(sorter->points + begin, n, n > 2048 ? AXIS_SAMPLE : 96,
                        n > 512 ? 4 : 2);
    split(sorter, begin, n, left, &axis);
    halve(sorter, begin, left, at);
    halve(sorter, begin + left, n - left, middle);
}

static pqk_status sort_parts(const struct space *space, const uint8_t *codes,
                             uint32_t *ids, const size_t *ends,
                             size_t num_parts)
{
    struct sorter sorter;
    size_t largest = 0, begin = 0;
    pqk_status status;

    for (size_t part = 0; part < num_parts; begin = ends[part++])
        if (ends[part] - begin > largest)
            largest = ends[part] - begin;
    status = sorter_create(&sorter, largest);
    if (status != PQK_OK)
        return status;
    begin = 0;
    for (size_t part = 0; part < num_parts; begin = ends[part++]) {
        const size_t n = ends[part] - begin;

        sorter.ids = ids + begin;
        for (size_t i = 0; i < n; i++)
            sorter.points[i] =
                project(space, codes + sorter.ids[i] * space->num_sub_vectors);
        halve(&sorter, 0, n, begin);
    }
    sorter_free(&sorter);
    return PQK_OK;
}

/* Which code is to stand where. */
pqk_status pqk_prepare_order(struct space *space, const uint8_t *codes,
                             size_t n, uint32_t *ids)
{
    struct tree tree;
    size_t ends[1 << TREE_DEPTH];
    pqk_status status = pqk_prepare_fit_space(space, codes, n);

    if (status == PQK_OK)
        status = learn_tree(&tree, space, codes, n, ids);
    if (status == PQK_OK)
        status = deal(&tree, space, codes, n, ids, ends);
    if (status == PQK_OK)
        status = sort_parts(space, codes, ids, ends, (size_t)1 << tree.depth);
    return status;
}
