/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Plans: in which order, and with which terms, a scan looks at the columns.
 *
 * A scan of one query begins with all blocks of 64 codes.  Its first stage adds up
 * terms of some columns for all of them; each later stage goes on with the blocks
 * in which a code is alive still, and what is left at the end is summed in float32.
 * Columns stand in the order of this query, those that separate most first.
 *
 * A list begins with the plan for data on which few columns rule out much, and
 * ends with the one for data on which they hardly do.  Which one is used is decided
 * while scanning, by the share of blocks that are alive after the first stage:
 * above `max_alive` the next one is taken, below `min_alive` the one before.
 */
#ifndef PQK_KERNELS_PLAN_H
#define PQK_KERNELS_PLAN_H

#include <stddef.h>
#include <stdint.h>

/* What a stage adds per column. */
enum plan_term {
    ENTRIES,    /* the byte of the label itself */
    MINIMA_128, /* the least byte of the labels with the same 7 low bits */
    MINIMA_64,  /* of those with the same 6 low bits */
    MINIMA_16,  /* of those with the same 4 low bits */
    STEPS_64,   /* what MINIMA_16 lacks of MINIMA_64 */
    RESTS_64    /* what MINIMA_64 lacks of the entry */
};

/* Columns from, ..., to - 1 in sixteenths of M.  What lacks something comes after
 * the minima that lack it. */
struct plan_stage {
    uint8_t term;
    uint8_t from;
    uint8_t to;
};

/* The term of a scan in one stage, and of one that looks at representatives. */
#define SINGLE_TERM (ISA_BY_GROUPS ? MINIMA_64 : ENTRIES)

#define MAX_STAGES 7

struct plan {
    float min_alive;
    float max_alive; /* above 1: not left for what is alive */
    size_t num_stages;
    struct plan_stage stages[MAX_STAGES];
};

/* The last plan's max_alive.  It takes over where others let too many codes
 * through; where it does so, too, nothing is filtered for a while. */
#define LAST 2.0f

/* clang-format off */

/*
 * For instruction sets that look 256 entries up as fast as memory brings the codes.
 * Minima over 16 groups are looked up up to four times as fast, and yet lose: they
 * need twice as many columns to leave as few blocks alive.  On clustered data four
 * columns leave less than half of the blocks alive; on data that do not cluster
 * twelve leave few.
 */
static const struct plan plans_of_entries[] = {
    {0.00f, 0.78f, 5, {{ENTRIES, 0, 4}, {ENTRIES, 4, 6}, {ENTRIES, 6, 8},
                       {ENTRIES, 8, 12}, {ENTRIES, 12, 16}}},
    {0.35f, 0.80f, 4, {{ENTRIES, 0, 6}, {ENTRIES, 6, 8}, {ENTRIES, 8, 12},
                       {ENTRIES, 12, 16}}},
    {0.45f, 0.90f, 4, {{ENTRIES, 0, 8}, {ENTRIES, 8, 10}, {ENTRIES, 10, 12},
                       {ENTRIES, 12, 16}}},
    {0.15f, LAST, 2, {{ENTRIES, 0, 12}, {ENTRIES, 12, 16}}},
};

/*
 * For batches where 128 entries take half the time of 256, since their look-ups do
 * not wait for memory: minima over pairs of centroids leave a tenth more bytes to
 * look at, and four columns a pass save some passes.
 */
static const struct plan plans_of_pairs[] = {
    {0.00f, 0.80f, 4, {{MINIMA_128, 0, 4}, {MINIMA_128, 4, 8},
                       {MINIMA_128, 8, 12}, {ENTRIES, 12, 16}}},
    {0.35f, 0.90f, 3, {{MINIMA_128, 0, 8}, {MINIMA_128, 8, 12},
                       {ENTRIES, 12, 16}}},
    {0.15f, LAST, 2, {{MINIMA_128, 0, 12}, {ENTRIES, 12, 16}}},
};

/*
 * For codes near the processor, where permutations of bytes from two registers are
 * slow: a look-up takes longer than the load that it waits for, one of 64 entries
 * a quarter of the time of 256, one of 128 half.  What these let through is summed.
 * Of codes that come from memory too many bytes would be read.
 */
static const struct plan plans_of_near_codes[] = {
    {0.00f, 0.92f, 3, {{MINIMA_64, 0, 6}, {MINIMA_128, 6, 10},
                       {MINIMA_128, 10, 16}}},
    {0.15f, LAST, 2, {{MINIMA_128, 0, 12}, {ENTRIES, 12, 16}}},
};

/*
 * For instruction sets whose look-ups of 256 entries cost sixteen times as much as
 * of 16, and those of 64 three or four times: minima over 16 groups of all columns,
 * then what minima over 64 groups add to those.  Exact sums of the few codes that
 * are left take less time than looking 256 entries up, but where groups rule hardly
 * any code out, as with data that do not cluster, entries take half the time of
 * exact sums of all.  The plans differ in how soon they go from one term to the
 * next.
 */
static const struct plan plans_of_groups[] = {
    {0.00f, 0.50f, 6, {{MINIMA_16, 0, 8}, {MINIMA_16, 8, 16}, {STEPS_64, 0, 4},
                       {STEPS_64, 4, 8}, {STEPS_64, 8, 12}, {STEPS_64, 12, 16}}},
    {0.50f, 0.90f, 4, {{MINIMA_64, 0, 4}, {MINIMA_64, 4, 8}, {MINIMA_64, 8, 12},
                       {MINIMA_64, 12, 16}}},
    {0.50f, 0.985f, 3, {{MINIMA_64, 0, 8}, {MINIMA_64, 8, 12},
                        {MINIMA_64, 12, 16}}},
    {0.90f, 1.01f, 3, {{MINIMA_64, 0, 16}, {RESTS_64, 0, 1}, {RESTS_64, 1, 2}}},
    {0.15f, LAST, 3, {{ENTRIES, 0, 8}, {ENTRIES, 8, 12}, {ENTRIES, 12, 16}}},
};

/*
 * For instruction sets on which 4 columns of 64 groups cost as much as 8 columns of
 * 16.  They read half the bytes and leave more blocks alive (on clustered SIFT two
 * thirds instead of half), but later columns then rule out so many more that a scan
 * reads a third less in all.  256 entries cost four times as much as 64: what 64
 * groups lack is added at the end.
 */
static const struct plan plans_of_64_groups[] = {
    {0.00f, 0.90f, 5, {{MINIMA_64, 0, 4}, {MINIMA_64, 4, 8}, {MINIMA_64, 8, 12},
                       {MINIMA_64, 12, 16}, {RESTS_64, 0, 4}}},
    {0.50f, 0.985f, 5, {{MINIMA_64, 0, 8}, {MINIMA_64, 8, 12}, {MINIMA_64, 12, 16},
                        {RESTS_64, 0, 2}, {RESTS_64, 2, 4}}},
    {0.90f, 1.01f, 3, {{MINIMA_64, 0, 16}, {RESTS_64, 0, 1}, {RESTS_64, 1, 2}}},
    {0.15f, LAST, 3, {{ENTRIES, 0, 8}, {ENTRIES, 8, 12}, {ENTRIES, 12, 16}}},
};

/*
 * The same where registers are short: to look up what groups lack in a block takes
 * as long as exact sums of ten codes (Neoverse-N1, modelled), more than it rules
 * out, and its tables need bytes of all entries.
 */
static const struct plan plans_of_64_minima[] = {
    {0.00f, 0.75f, 4, {{MINIMA_64, 0, 4}, {MINIMA_64, 4, 8}, {MINIMA_64, 8, 12},
                       {MINIMA_64, 12, 16}}},
    {0.30f, 0.985f, 3, {{MINIMA_64, 0, 8}, {MINIMA_64, 8, 12},
                        {MINIMA_64, 12, 16}}},
    {0.90f, 1.01f, 3, {{MINIMA_64, 0, 16}, {RESTS_64, 0, 1}, {RESTS_64, 1, 2}}},
    {0.15f, LAST, 3, {{ENTRIES, 0, 8}, {ENTRIES, 8, 12}, {ENTRIES, 12, 16}}},
};

/* clang-format on */

#endif
