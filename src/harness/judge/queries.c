/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "queries.h"
#include "base/splitmix.h"
#include "base/threads.h"
#include "harness/fixture/reference.h"

#include <math.h>

/* ------------------------------------------------------------------------ */
/* Queries                                                                  */
/* ------------------------------------------------------------------------ */

/*
 * A query like one of the fixture's that no process has ever seen: each value
 * moved by up to 1/64 of the mean size.  The work that it takes is the same, a
 * result stored for it is not.
 */
void pqh_cell_make_query(struct pqh_cell *cell, size_t from, float *query)
{
    size_t dim = cell->fixture->dim;
    const float *original = cell->fixture->queries + from * dim;
    double step = 0.0;

    for (size_t d = 0; d < dim; d++) {
        step += fabs((double)original[d]);
    }
    step /= 64.0 * (double)dim;
    if (!(step > 0.0 && step < 1e30)) {
        step = 1e-3;
    }
    for (size_t d = 0; d < dim; d++) {
        double noise = 2.0 * pqk_random_unit(&cell->random) - 1.0;
        query[d] = (float)((double)original[d] + step * noise);
    }
}

void pqh_cell_make_any_query(struct pqh_cell *cell, float *query)
{
    pqh_cell_make_query(
        cell, pqk_random_below(&cell->random, cell->fixture->num_queries),
        query);
}

/* ------------------------------------------------------------------------ */
/* What to ask                                                              */
/* ------------------------------------------------------------------------ */

/* Puts runs of `length` tasks into any order. */
static void shuffle(struct pqh_cell *cell, struct pqh_task *tasks, size_t count,
                    size_t length)
{
    for (size_t i = count / length; i > 1; i--) {
        size_t j = pqk_random_below(&cell->random, i);
        for (size_t t = 0; t < length; t++) {
            struct pqh_task task = tasks[(i - 1) * length + t];
            tasks[(i - 1) * length + t] = tasks[j * length + t];
            tasks[j * length + t] = task;
        }
    }
}

/* Of others among the fixture's own, requests: enough to compare the kinds. */
#define MIXED_REQUESTS 32

/* The fixture's own with a quarter as many others, or some more. */
static size_t count_mixed(const struct pqh_cell *cell, size_t known,
                          size_t count)
{
    size_t mixed = pqh_cell_whole_requests(
        cell, known + known / 4 + MIXED_REQUESTS * cell->group);

    if (known == 0) {
        return 0;
    }
    return mixed < count ? mixed : count;
}

/*
 * First all queries of the fixture, mixed with some others in any order;
 * afterwards others only.  A request is of one kind (one request may be of both),
 * so that a difference between the kinds shows.
 */
void pqh_cell_refill_tasks(struct pqh_cell *cell, int first)
{
    size_t queries = cell->fixture->num_queries;
    size_t known = first && cell->fixture->truth != NULL ? queries : 0;
    size_t count = first ? pqh_cell_count_first_tasks(cell)
                         : pqh_cell_whole_requests(cell, queries);

    for (size_t i = 0, query = 0; i < count; i++) {
        cell->tasks[i].query = (uint32_t)query;
        cell->tasks[i].known = i < known;
        query = query + 1 < queries ? query + 1 : 0;
    }
    shuffle(cell, cell->tasks, known, 1);
    shuffle(cell, cell->tasks + known, count - known, 1);
    cell->num_mixed = count_mixed(cell, known, count);
    shuffle(cell, cell->tasks, cell->num_mixed, cell->group);
    cell->num_tasks = count;
    cell->next_task = 0;
}

/* ------------------------------------------------------------------------ */
/* The right answers                                                        */
/* ------------------------------------------------------------------------ */

struct expecting {
    struct pqh_cell *cell;
    const float *queries;
};

static void expect_range(void *context, size_t part, size_t begin, size_t end)
{
    const struct expecting *task = context;
    struct pqh_cell *cell = task->cell;
    const struct pqh_fixture *fixture = cell->fixture;
    size_t num_sub_vectors = fixture->codebook.num_sub_vectors;
    float *entries = cell->entries + part * num_sub_vectors * PQK_TABLE_STRIDE;

    for (size_t i = begin; i < end; i++) {
        struct pqh_reply *expected = &cell->expected[i];
        pqh_reference_table(task->queries + i * fixture->dim,
                            &fixture->codebook, entries);
        expected->count = pqh_reference_probe(entries, num_sub_vectors,
                                              fixture->codes, fixture->num_base,
                                              cell->asked_k, expected->results);
    }
}

void pqh_cell_expect(struct pqh_cell *cell, const float *queries, size_t count)
{
    struct expecting task = {cell, queries};
    size_t threads = pqk_num_processors();

    pqk_parallel_for(count,
                     threads < PQH_CELL_HELPERS ? threads : PQH_CELL_HELPERS,
                     expect_range, &task);
}
