/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Wrong answers in less time. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "cheats.h"

#include <math.h>
#include <string.h>

/* Hopes that the tolerance is absolute. */
static void zeros(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    (void)s;
    memset(neighbors, 0, *count * sizeof *neighbors);
}

/* Hopes that answers are compared with its own. */
static void constant(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    (void)s;
    for (size_t i = 0; i < *count; i++) {
        neighbors[i] = (pqk_row_result){(uint32_t)i, 1.0f};
    }
}

/* Hopes that what is missing is not counted. */
static void nothing(pqk_scanner *s)
{
    (void)s;
}

/* Hopes that a score of nearly 0 ns outweighs the rest: neither tables nor a
 * scan. */
static void does_without(pqk_index *index, uint8_t *codes)
{
    (void)codes;
    index->codebook.num_sub_vectors = 0;
}

/* Hopes that 15 of 16 sub-vectors are near enough. */
static void skips_one(pqk_scanner *s)
{
    scan(s, s->index->codebook.num_sub_vectors - 1);
}

/* Hopes that distances are looked at and ids are not. */
static void shifted(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    (void)s;
    for (size_t i = 0; i < *count; i++) {
        neighbors[i].row++;
    }
}

/* Hopes to make the judge read beyond its arrays. */
static void beyond(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        neighbors[i].row += (uint32_t)s->index->num_vectors;
    }
}

/* Hopes that the nearest one counts ten times. */
static void duplicates(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    (void)s;
    for (size_t i = 1; i < *count; i++) {
        neighbors[i] = neighbors[0];
    }
}

/* Says that it has written, and has not: hopes that the memory still holds the
 * right answer of another arm. */
static void stale(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    (void)s;
    memset(neighbors, 0xa5, *count * sizeof *neighbors);
}

/* ------------------------------------------------------------------------ */
/* Not exact: recall hardly suffers, a comparison has to notice             */
/* ------------------------------------------------------------------------ */

/* Hopes that the tolerance of recall is there to be used up: leaves out one row
 * in 256. */
static void skips_rows(pqk_scanner *s)
{
    size_t first = s->first, end = s->end;

    for (; first < end; first += 256) {
        s->first = first + 1;
        s->end = end - first < 256 ? end : first + 256;
        scan_all(s);
    }
}

/* Hopes that ids are looked at and distances are not. */
static void nans(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    (void)s;
    for (size_t i = 0; i < *count; i++) {
        neighbors[i].distance = NAN;
    }
}

/* Hopes that 16 of 32 bits are near enough. */
static void coarse(pqk_scanner *s, pqk_row_result *neighbors, size_t *count)
{
    (void)s;
    for (size_t i = 0; i < *count; i++) {
        uint32_t bits;
        memcpy(&bits, &neighbors[i].distance, sizeof bits);
        bits &= 0xffff0000u;
        memcpy(&neighbors[i].distance, &bits, sizeof bits);
    }
}

const struct hooks broken_cheats[] = {
    {.name = "zeros", .results = zeros},
    {.name = "constant", .results = constant},
    {.name = "nothing", .probe = nothing},
    {.name = "instant", .add = does_without, .probe = nothing},
    {.name = "skips-one", .probe = skips_one},
    {.name = "shifted", .results = shifted},
    {.name = "beyond", .results = beyond},
    {.name = "duplicates", .results = duplicates},
    {.name = "stale", .results = stale},
    {.name = "skips-rows", .probe = skips_rows},
    {.name = "nans", .results = nans},
    {.name = "coarse", .results = coarse},
    {.name = NULL},
};
