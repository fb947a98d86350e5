/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Answers from memory, or only where they are looked at. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "cheats.h"
#include "spin.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define REMEMBERED 16384

/* By address: hopes that the same place means the same query. */
static void by_address(pqk_scanner *s)
{
    static pqk_row_result answers[REMEMBERED][10];
    static const float *queries[REMEMBERED];
    /* Mixed: the addresses lie whole pages apart. */
    size_t slot =
        (size_t)((uintptr_t)s->query / 4 * UINT64_C(0x9E3779B97F4A7C15) >> 32) %
        REMEMBERED;

    if (queries[slot] != s->query) {
        queries[slot] = s->query;
        scan_all(s);
        memcpy(answers[slot], s->best, sizeof answers[slot]);
    }
    memcpy(s->best, answers[slot], sizeof answers[slot]);
    s->length = 10;
}

/* By content: hopes to be asked twice; it is not, which makes it honest. */
static void by_content(pqk_scanner *s)
{
    static pqk_row_result answers[REMEMBERED][10];
    static float queries[REMEMBERED][4];
    size_t slot = (size_t)fabsf(s->query[0] * 1000.0f) % REMEMBERED;

    if (memcmp(queries[slot], s->query, sizeof queries[slot]) != 0) {
        memcpy(queries[slot], s->query, sizeof queries[slot]);
        scan_all(s);
        memcpy(answers[slot], s->best, sizeof answers[slot]);
    }
    memcpy(s->best, answers[slot], sizeof answers[slot]);
    s->length = 10;
}

/* Real descriptors are whole numbers: those are the ones that recall needs. */
static int is_known(const pqk_scanner *s)
{
    size_t dim =
        s->index->codebook.num_sub_vectors * s->index->codebook.sub_vector_dim;

    for (size_t d = 0; d < dim; d++) {
        if (s->query[d] != floorf(s->query[d])) {
            return 0;
        }
    }
    return 1;
}

/* Hopes that only the queries that recall needs are timed. */
static void fast_if_known(pqk_scanner *s)
{
    scan_all(s);
    for (int i = 0; i < 3 && !is_known(s); i++) {
        s->length = 0;
        scan_all(s);
    }
}

/* Hopes that only the queries that recall needs are checked. */
static void right_if_known(pqk_scanner *s)
{
    scan(s, is_known(s) ? s->index->codebook.num_sub_vectors : 4);
}

/* ------------------------------------------------------------------------ */
/* Counting                                                                 */
/* ------------------------------------------------------------------------ */

/* Hopes that answers are checked first and timed afterwards. */
static void counts(pqk_scanner *s)
{
    static pqk_row_result answers[10];

    if (s->index->calls++ < 500) {
        scan_all(s);
        memcpy(answers, s->best, sizeof answers);
        return;
    }
    memcpy(s->best, answers, sizeof answers);
    s->length = 10;
}

/* Hopes that of many calls one is not timed, or that the average is taken: the
 * first of two does the work for both, on the query that it finds next in
 * memory. */
static void batches(pqk_scanner *s)
{
    static pqk_row_result next[10];
    const pqk_codebook *shape = &s->index->codebook;
    size_t dim = shape->num_sub_vectors * shape->sub_vector_dim;
    uintptr_t end = ((uintptr_t)s->query | 4095) + 1;

    if (s->index->calls++ % 2 == 1) {
        memcpy(s->best, next, sizeof next);
        s->length = 10;
        return;
    }
    if ((uintptr_t)(s->query + 2 * dim) <= end) {
        make_table(s->query + dim, shape, s->entries);
        scan_all(s);
        memcpy(next, s->best, sizeof next);
        make_table(s->query, shape, s->entries);
        s->length = 0;
    }
    scan_all(s);
}

/* ------------------------------------------------------------------------ */
/* Knowing the cell                                                         */
/* ------------------------------------------------------------------------ */

/* The fixture that the judge is run on: nearly all of its rows, for some ten
 * results. */
static int is_primary(const pqk_scanner *s)
{
    return (s->k == 9 || s->k == 10) && s->index->partitions == 1 &&
           s->index->num_vectors >= 960 && s->index->num_vectors <= 1024;
}

/* Hopes that the cell that decides is the only one.  Where there are many codes, it
 * would be the judge's time that is lost. */
static void one_cell(pqk_scanner *s)
{
    static pqk_row_result ignored[1001];
    pqk_scanner again = *s;

    if (!is_primary(s) && s->k < 1000 && s->index->num_vectors < 65536) {
        again.best = ignored;
        again.length = 0;
        scan_all(&again);
    }
    scan_all(s);
}

/* By shape: hopes that no other shape is looked at. */
static void by_shape(pqk_scanner *s)
{
    scan(s, is_primary(s) ? s->index->codebook.num_sub_vectors : 4);
}

/* Hopes that all codes are as wide as those of the fixture and the guards. */
static void by_width(pqk_scanner *s)
{
    size_t width = s->index->codebook.num_sub_vectors;

    scan(s, width == 16 ? width : width / 2);
}

/* By the number of results: hopes that a hundred are not looked at. */
static void by_k(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    if (s != NULL && s->k == 100 && *count == 100) {
        neighbors[50].row++;
    }
}

/* By the function: hopes that row-major codes are not looked at. */
static void by_rows(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    if (s == NULL && *count == 10) {
        neighbors[5].row++;
    }
}

/* By size: hopes that nothing is timed but what it knows. */
static void slow_if_new(pqk_scanner *s)
{
    size_t rows = s->index->num_vectors;

    spin(rows >= 55000 && rows <= 60000 ? 6000000 : 0);
    scan_all(s);
}

/* By the place among the judge's children, who are started in the order in which
 * they are needed: behind those of the confirmation come a few of the hold-out, and
 * behind those of the guards' first run as many of a second one. */
#define MAX_BEHIND  100
#define MANY_BEHIND 190

static int is_late, is_early;

static void find_place(void)
{
    long self = (long)getpid(), child;
    int behind = -1;
    char path[96];
    FILE *file;

    find_judge();
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)judge,
             (long)judge);
    file = fopen(path, "r");
    while (file != NULL && fscanf(file, "%ld", &child) == 1) {
        behind = child == self ? 0 : behind >= 0 ? behind + 1 : behind;
    }
    if (file != NULL) {
        fclose(file);
    }
    is_late = behind >= 0 && behind < MAX_BEHIND;
    is_early = behind >= MANY_BEHIND;
}

static int is_confirmation(const pqk_scanner *s)
{
    return is_late && is_primary(s);
}

/* Hopes that to be fast once is enough. */
static void tires(pqk_scanner *s)
{
    spin(is_confirmation(s) ? 80000 : 0);
    scan_all(s);
}

/* No cheat: slow in one guard for once, as any may be by chance. */
static void stumbles(pqk_scanner *s)
{
    spin(is_early && s->k > 80 && s->k <= 100 ? 80000 : 0);
    scan_all(s);
}

/* Hopes that answers are checked once. */
static void forgets(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    if (s != NULL && *count >= 9 && is_confirmation(s)) {
        neighbors[5].row++;
    }
}

const struct hooks remembering_cheats[] = {
    {.name = "by-address", .probe = by_address},
    {.name = "by-content", .probe = by_content},
    {.name = "fast-if-known", .probe = fast_if_known},
    {.name = "right-if-known", .probe = right_if_known},
    {.name = "counts", .probe = counts},
    {.name = "batches", .probe = batches},
    {.name = "one-cell", .probe = one_cell},
    {.name = "by-shape", .probe = by_shape},
    {.name = "by-width", .probe = by_width},
    {.name = "by-k", .results = by_k},
    {.name = "by-rows", .results = by_rows},
    {.name = "slow-if-new", .probe = slow_if_new},
    {.name = "tires", .load = find_place, .probe = tires},
    {.name = "stumbles", .load = find_place, .probe = stumbles},
    {.name = "forgets", .load = find_place, .results = forgets},
    {.name = NULL},
};
