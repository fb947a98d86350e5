/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "holdout.h"
#include "base/splitmix.h"
#include "guards.h"
#include "measure.h"
#include "varied.h"
#include "harness/fixture/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND UINT64_C(1000000000)

/* Queries of one shape, a multiple of what makes a request. */
#define QUERIES 32

/* So many times as slow as the baseline is too slow, whatever else it wins. */
#define GROSS        1.1
#define GROSS_IF_FEW 2.0 /* by an estimate without interval */

/* A part of the primary cell has to show this much of what that showed, as far as
 * its interval tells; in so many sittings and such a part of the time. */
#define CLAIM          0.5
#define CLAIM_SITTINGS 7
#define CLAIM_SHARE    4

#define SPEED_NS   SECOND
#define SPEED_ROWS 60000

enum values { NORMAL, CLUSTERED, TIES, SPREAD };

struct shape {
    size_t num_sub_vectors, sub_vector_dim, num_centroids;
    size_t min_rows, max_rows; /* rows; drawn if they differ */
    size_t k;
    const char *way;
    enum values values;
};

static const struct shape shapes[PQH_HOLDOUT_SHAPES] = {
    {8, 4, 200, 20011, 20011, 10, "single", NORMAL},
    {24, 3, 256, 4095, 4095, 17, "single", CLUSTERED},
    {1, 2, 256, 300, 300, 400, "single", NORMAL},
    {16, 8, 256, 1, 300, 1, "partitions", NORMAL},
    {16, 4, 256, 20011, 20011, 17, "batch", CLUSTERED},
    {13, 5, 77, 1, 300, 17, "rows", NORMAL},
    {32, 2, 256, 16385, 20011, 10, "partitions", CLUSTERED},
    {16, 8, 256, 8192, 16384, 100, "batch", TIES},
    {16, 8, 256, 8191, 8191, 10, "single", SPREAD},
    {16, 8, 256, 4000, 9000, 10, "rows", SPREAD},
};

static const struct shape speed_shape = {
    16, 8, 256, SPEED_ROWS - 5000, SPEED_ROWS, 10, "single", CLUSTERED};

/* ------------------------------------------------------------------------ */
/* Data                                                                     */
/* ------------------------------------------------------------------------ */

static float draw(enum values values, uint64_t *random)
{
    float value = pqh_random_normal(random);

    if (values == SPREAD) {
        /* From subnormal squares to large ones. */
        value *= exp2f((float)pqk_random_below(random, 80) - 70.0f);
    }
    return value;
}

static void draw_codes(const struct shape *shape, uint64_t *random,
                       struct pqh_fixture *fixture)
{
    size_t width = shape->num_sub_vectors;
    size_t distinct = shape->values == TIES ? 97 : fixture->num_base;
    size_t near = shape->values == CLUSTERED ? 16 : shape->num_centroids;

    for (size_t i = 0; i < fixture->num_base; i++) {
        uint8_t *code = fixture->codes + i * width;
        size_t from = pqk_random_below(random, shape->num_centroids);
        if (i >= distinct) {
            memcpy(code,
                   fixture->codes + pqk_random_below(random, distinct) * width,
                   width);
            continue;
        }
        for (size_t m = 0; m < width; m++) {
            code[m] = (uint8_t)((from + pqk_random_below(random, near)) %
                                shape->num_centroids);
        }
    }
}

static void free_data(struct pqh_fixture *fixture)
{
    free(fixture->codes);
    free(fixture->queries);
    free(fixture->centroids);
}

static int make_data(const struct shape *shape, uint64_t seed,
                     struct pqh_fixture *fixture, struct pqh_outcome *outcome)
{
    size_t dim = shape->num_sub_vectors * shape->sub_vector_dim;
    size_t num_centroids = shape->num_centroids * dim;

    memset(fixture, 0, sizeof *fixture);
    fixture->dim = dim;
    fixture->num_queries = QUERIES;
    fixture->num_base =
        shape->min_rows +
        pqk_random_below(&seed, shape->max_rows - shape->min_rows + 1);
    fixture->codes = malloc(fixture->num_base * shape->num_sub_vectors);
    fixture->queries = malloc(QUERIES * dim * sizeof(float));
    fixture->centroids = malloc(num_centroids * sizeof(float));
    if (fixture->codes == NULL || fixture->queries == NULL ||
        fixture->centroids == NULL) {
        free_data(fixture);
        pqh_end(outcome, PQH_EXIT_ERROR, "error", "out of memory");
        return -1;
    }
    fixture->codebook = (pqk_codebook){
        .num_sub_vectors = shape->num_sub_vectors,
        .num_centroids = shape->num_centroids,
        .sub_vector_dim = shape->sub_vector_dim,
        .centroids = fixture->centroids,
    };
    for (size_t i = 0; i < num_centroids; i++) {
        fixture->centroids[i] = draw(shape->values, &seed);
    }
    for (size_t i = 0; i < QUERIES * dim; i++) {
        fixture->queries[i] = draw(shape->values, &seed);
    }
    draw_codes(shape, &seed, fixture);
    return 0;
}

/* ------------------------------------------------------------------------ */
/* Exactness                                                                */
/* ------------------------------------------------------------------------ */

struct answers {
    struct pqh_reply replies[QUERIES];
    pqk_row_result *results;  /* of all replies */
    pqk_row_result *expected; /* of one */
    float *entries;
};

static int compare(const struct pqh_fixture *fixture, size_t k,
                   struct answers *answers)
{
    size_t width = fixture->codebook.num_sub_vectors;

    for (size_t i = 0; i < QUERIES; i++) {
        const struct pqh_reply *reply = &answers->replies[i];
        size_t count;
        pqh_reference_table(fixture->queries + i * fixture->dim,
                            &fixture->codebook, answers->entries);
        count = pqh_reference_probe(answers->entries, width, fixture->codes,
                                    fixture->num_base, k, answers->expected);
        if (reply->count != count ||
            memcmp(reply->results, answers->expected,
                   count * sizeof *answers->expected) != 0) {
            return 0;
        }
    }
    return 1;
}

static int ask_all(struct pqh_arm *arm, const struct pqh_fixture *fixture,
                   uint64_t *random, struct answers *answers,
                   struct pqh_outcome *outcome)
{
    const pqk_codebook *codebook = &fixture->codebook;
    struct pqh_command load = {.kind = PQH_LOAD};
    struct pqh_command prepare = {.kind = PQH_PREPARE,
                                  .k = arm->setup.k,
                                  .num_sub_vectors = codebook->num_sub_vectors,
                                  .num_centroids = codebook->num_centroids,
                                  .sub_vector_dim = codebook->sub_vector_dim,
                                  .num_vectors = fixture->num_base};

    if (pqh_arm_command(arm, &load, 60 * SECOND, "loading the library",
                        outcome) != 0 ||
        pqh_arm_command(arm, &prepare, 60 * SECOND, "preparing the index",
                        outcome) != 0) {
        return -1;
    }
    return pqh_arm_turn(arm, fixture->queries, fixture->dim, QUERIES,
                        10 * SECOND, random, answers->replies, outcome);
}

/* 1 if all answers are right, 0 if not or if the candidate did not give them. */
static int is_exact(struct pqh_holdout *holdout, size_t i,
                    const struct pqh_fixture *fixture, uint64_t *random,
                    struct pqh_outcome *outcome)
{
    size_t k = shapes[i].k, width = shapes[i].num_sub_vectors;
    struct pqh_outcome own = {.code = PQH_EXIT_OK};
    struct answers answers = {
        .results = malloc(QUERIES * k * sizeof(pqk_row_result)),
        .expected = malloc(k * sizeof(pqk_row_result)),
        .entries = malloc(width * PQK_TABLE_STRIDE * sizeof(float))};
    int exact = 0;

    if (answers.results == NULL || answers.expected == NULL ||
        answers.entries == NULL) {
        exact = pqh_end(outcome, PQH_EXIT_ERROR, "error", "out of memory");
    } else {
        for (size_t q = 0; q < QUERIES; q++) {
            answers.replies[q].results = answers.results + q * k;
        }
        exact =
            ask_all(&holdout->arms[i], fixture, random, &answers, &own) == 0 &&
            compare(fixture, k, &answers);
    }
    free(answers.results);
    free(answers.expected);
    free(answers.entries);
    return exact;
}

static int all_exact(struct pqh_holdout *holdout, uint64_t *random,
                     struct pqh_outcome *outcome)
{
    int exact = 1;

    for (size_t i = 0; i < PQH_HOLDOUT_SHAPES && exact == 1; i++) {
        struct pqh_fixture fixture;
        if (make_data(&shapes[i], pqk_random_next(random), &fixture, outcome) !=
            0) {
            return -1;
        }
        exact = pqh_inputs_write(holdout->inputs[i], &fixture, outcome) != 0
                    ? -1
                    : is_exact(holdout, i, &fixture, random, outcome);
        free_data(&fixture);
    }
    return exact;
}

/* ------------------------------------------------------------------------ */
/* Speed, and all of it                                                     */
/* ------------------------------------------------------------------------ */

/* Too few rounds for an interval are those of a busy machine, whose estimates are
 * worth little, or of a candidate so slow that there were no more. */
static int is_grossly_slower(const struct pqh_cell *cell)
{
    const struct pqh_interval speed = pqh_cell_speed(cell);

    return isfinite(speed.high) ? speed.high <= -log(GROSS)
                                : !(speed.estimate > -log(GROSS_IF_FEW));
}

static int is_fast_enough(struct pqh_holdout *holdout, uint64_t *random,
                          struct pqh_outcome *outcome)
{
    struct pqh_outcome own = {.code = PQH_EXIT_OK};
    struct pqh_fixture fixture;
    int passed;

    if (make_data(&speed_shape, pqk_random_next(random), &fixture, outcome) !=
        0) {
        return -1;
    }
    passed = pqh_cell_run(&holdout->speed, &fixture, pqk_random_next(random),
                          &own) == 0 &&
             holdout->speed.exact == holdout->speed.claimed.count &&
             !is_grossly_slower(&holdout->speed);
    pqh_cell_free(&holdout->speed);
    free_data(&fixture);
    if (!passed && own.code == PQH_EXIT_ERROR) {
        *outcome = own;
        return -1;
    }
    return passed;
}

/* Half of the primary cell's rows, or some more.  A gain that is worth something is
 * there, too, and not only at the one size. */
static int shows_claim(struct pqh_holdout *holdout,
                       const struct pqh_fixture *primary, double claimed,
                       uint64_t *random, struct pqh_outcome *outcome)
{
    struct pqh_outcome own = {.code = PQH_EXIT_OK};
    size_t rows = primary->num_base;
    struct pqh_fixture fixture;
    struct pqh_interval speed;
    int passed;

    if (pqh_varied_make(primary, rows / 8, rows / 2, random, &fixture) != 0) {
        return pqh_end(outcome, PQH_EXIT_ERROR, "error", "out of memory");
    }
    passed = pqh_cell_run(&holdout->claim, &fixture, pqk_random_next(random),
                          &own) == 0 &&
             holdout->claim.exact == holdout->claim.claimed.count;
    if (passed) {
        speed = pqh_cell_speed(&holdout->claim);
        passed = !pqh_guard_loses(speed, pqh_cell_null(&holdout->claim),
                                  holdout->effect) &&
                 speed.high >= CLAIM * claimed;
    }
    pqh_cell_free(&holdout->claim);
    pqh_varied_free(&fixture);
    if (!passed && own.code == PQH_EXIT_ERROR) {
        *outcome = own;
        return -1;
    }
    return passed;
}

int pqh_holdout_start(struct pqh_holdout *holdout,
                      const struct pqh_cell_plan *plan,
                      struct pqh_report *report, struct pqh_outcome *outcome)
{
    struct pqh_cell_plan speed = *plan;

    memset(holdout, 0, sizeof *holdout);
    for (size_t i = 0; i < PQH_HOLDOUT_SHAPES; i++) {
        struct pqh_candidate setup = {.unnamed = plan->against != NULL,
                                      .library = plan->library,
                                      .kernel = plan->kernel,
                                      .way = pqh_way_find(shapes[i].way),
                                      .k = shapes[i].k};
        holdout->inputs[i] = pqh_inputs_make(&setup.inputs, outcome);
        if (holdout->inputs[i] < 0 ||
            pqh_arm_start(&holdout->arms[i], "candidate", &setup, outcome) !=
                0) {
            return -1;
        }
        holdout->arms[i].library = plan->library_image;
        close(setup.inputs);
    }
    speed.way = pqh_way_find(speed_shape.way);
    speed.k = speed_shape.k;
    speed.num_sittings = 1;
    speed.min_queries = 16;
    speed.measure_ns = SPEED_NS;
    speed.min_round = 8;
    speed.creations = 1;
    speed.stop_effect = 0.0;
    if (pqh_cell_start(&holdout->speed, &speed, report, outcome) != 0) {
        return -1;
    }
    holdout->speed.hidden = 1;
    speed = *plan;
    speed.num_sittings = CLAIM_SITTINGS;
    speed.min_queries = 16;
    speed.measure_ns = plan->measure_ns / CLAIM_SHARE;
    speed.creations = 1;
    speed.stop_effect = 0.0;
    holdout->effect = plan->stop_effect;
    if (pqh_cell_start(&holdout->claim, &speed, report, outcome) != 0) {
        return -1;
    }
    holdout->claim.hidden = 1;
    return 0;
}

int pqh_holdout_run(struct pqh_holdout *holdout,
                    const struct pqh_fixture *primary, double claimed,
                    uint64_t seed, struct pqh_outcome *outcome)
{
    int passed = all_exact(holdout, &seed, outcome);

    passed = passed == 1 ? is_fast_enough(holdout, &seed, outcome) : passed;
    return passed == 1 ? shows_claim(holdout, primary, claimed, &seed, outcome)
                       : passed;
}

void pqh_holdout_kill(struct pqh_holdout *holdout)
{
    for (size_t i = 0; i < PQH_HOLDOUT_SHAPES; i++) {
        pqh_arm_kill(&holdout->arms[i]);
    }
    pqh_cell_kill(&holdout->speed);
    pqh_cell_kill(&holdout->claim);
}
