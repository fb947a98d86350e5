/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A system that fails: every call that can, one after the other.  Each function
 * of the library then says so, gives back what it took, and leaves what was
 * there as it was, or it has done all that it was to do.  And one that is
 * killed leaves the old file or the new one.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../checked.h"
#include "faults.h"
#include "library/collection/collection.h"

#define M           ((size_t)4)
#define K           ((size_t)16)
#define DIM         ((size_t)8)
#define ROWS        ((size_t)300)
#define MORE_ROWS   ((size_t)200)
#define QUERIES     ((size_t)5)
#define NEAREST     ((size_t)10)
#define THREADS     ((size_t)3)
#define MAX_NUMBERS 10000

/* ------------------------------------------------------------------------ */
/* What the functions are given, and what they give                         */

/* Where a function is to put an object that it makes; stays if it fails. */
static char untouched;
#define UNTOUCHED ((void *)&untouched)

struct stage {
    char *folder;
    float centroids[M * K * (DIM / M)];
    pqk_codebook codebook;
    float vectors[(ROWS + MORE_ROWS) * DIM];
    uint8_t codes[(ROWS + MORE_ROWS) * M];

    pqk_quantizer *quantizer;
    pqk_collection *collection;
    pqk_index *index;

    pqk_quantizer *made_quantizer;
    pqk_collection *made_collection;
    pqk_index *made_index;
    pqk_scanner *made_search;
    pqk_result *made_results;
    size_t count;
    uint64_t outcome; /* a checksum of what else it gave, if it was PQK_OK */
};

static const char *path_of(const struct stage *stage)
{
    return test_path(stage->folder, "file");
}

static void begin_stage(struct stage *stage, char *folder)
{
    struct test_random random = {4711};

    *stage = (struct stage){.folder = folder,
                            .codebook =
                                TEST_CODEBOOK(M, K, DIM / M, stage->centroids),
                            .made_quantizer = UNTOUCHED,
                            .made_collection = UNTOUCHED,
                            .made_index = UNTOUCHED,
                            .made_search = UNTOUCHED,
                            .made_results = UNTOUCHED};
    for (size_t i = 0; i < TEST_COUNT(stage->centroids); i++)
        stage->centroids[i] = test_normal(&random);
    for (size_t i = 0; i < TEST_COUNT(stage->vectors); i++)
        stage->vectors[i] = test_normal(&random);
    for (size_t i = 0; i < TEST_COUNT(stage->codes); i++)
        stage->codes[i] = (uint8_t)test_below(&random, K);
}

static void end_stage(struct stage *stage)
{
    if (stage->made_quantizer != UNTOUCHED)
        pqk_quantizer_free(stage->made_quantizer);
    if (stage->made_collection != UNTOUCHED)
        pqk_collection_free(stage->made_collection);
    if (stage->made_search != UNTOUCHED)
        pqk_scanner_free(stage->made_search);
    if (stage->made_index != UNTOUCHED)
        pqk_index_free(stage->made_index);
    if (stage->made_results != UNTOUCHED)
        free(stage->made_results);
    pqk_collection_free(stage->collection);
    pqk_quantizer_free(stage->quantizer);
    pqk_index_free(stage->index);
}

/* ------------------------------------------------------------------------ */
/* Checksums of objects                                                     */

static uint64_t sum_of_quantizer(uint64_t sum, const pqk_quantizer *quantizer)
{
    pqk_codebook codebook;

    if (quantizer == NULL || quantizer == UNTOUCHED)
        return test_fnv(sum, &quantizer, sizeof quantizer);
    codebook = test_codebook_of(quantizer);
    return test_fnv(sum, codebook.centroids,
                    codebook.num_sub_vectors * codebook.num_centroids *
                        codebook.sub_vector_dim * sizeof(float));
}

static uint64_t sum_of_results(uint64_t sum, const pqk_result *results,
                               size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sum = test_fnv(sum, &results[i].id, sizeof results[i].id);
        sum = test_fnv(sum, &results[i].distance, sizeof(float));
    }
    return sum;
}

static uint64_t sum_of_collection(uint64_t sum,
                                  const pqk_collection *collection)
{
    uint64_t ids[2 * (ROWS + MORE_ROWS)];
    uint8_t codes[sizeof ids / sizeof *ids * M];
    pqk_result found[NEAREST];
    const float query[DIM] = {0.5f};
    size_t size;

    if (collection == NULL || collection == UNTOUCHED)
        return test_fnv(sum, &collection, sizeof collection);
    size = pqk_collection_ids(collection, 0, TEST_COUNT(ids), ids);
    CHECK_THAT(size == pqk_collection_size(collection), "%zu ids of %zu", size,
               pqk_collection_size(collection));
    CHECK_OK(pqk_collection_codes(collection, ids, size, codes));
    CHECK_OK(pqk_collection_search(collection, query, 1, NEAREST, NULL, found,
                                   NULL));
    sum = test_fnv(sum, ids, size * sizeof *ids);
    sum = test_fnv(sum, codes, size * M);
    sum = test_fnv(sum, &collection->next_id, sizeof collection->next_id);
    return sum_of_results(sum, found, NEAREST);
}

static uint64_t sum_of_index(uint64_t sum, const pqk_index *index)
{
    const float query[DIM] = {0.5f};
    pqk_row_result found[NEAREST];
    size_t size, count;

    if (index == NULL || index == UNTOUCHED)
        return test_fnv(sum, &index, sizeof index);
    size = pqk_index_size(index) * 16 + pqk_index_partitions(index);
    CHECK_OK(pqk_index_search(index, query, NEAREST, found, &count));
    sum = test_fnv(sum, &size, sizeof size);
    return test_fnv(sum, found, count * sizeof *found);
}

/* What the file holds, if there is one, and how many are beside it. */
static uint64_t sum_of_files(uint64_t sum, const struct stage *stage)
{
    const size_t files = test_count_files(stage->folder);
    pqk_collection *collection;
    pqk_quantizer *quantizer;

    sum = test_fnv(sum, &files, sizeof files);
    if (access(path_of(stage), F_OK) != 0)
        return sum;
    if (pqk_collection_open(path_of(stage), NULL, 0, &collection) == PQK_OK) {
        sum = sum_of_collection(sum, collection);
        pqk_collection_free(collection);
    }
    CHECK_OK(pqk_quantizer_load(path_of(stage), &quantizer));
    sum = sum_of_quantizer(sum, quantizer);
    pqk_quantizer_free(quantizer);
    return sum;
}

/* Pointers to nothing are equal in every run; those of objects are not used. */
static uint64_t sum_of_stage(const struct stage *stage)
{
    uint64_t sum = TEST_FNV_BASIS;
    const int has_search = stage->made_search != UNTOUCHED;

    sum = sum_of_quantizer(sum, stage->quantizer);
    sum = sum_of_quantizer(sum, stage->made_quantizer);
    sum = sum_of_collection(sum, stage->collection);
    sum = sum_of_collection(sum, stage->made_collection);
    sum = sum_of_index(sum, stage->index);
    sum = sum_of_index(sum, stage->made_index);
    sum = test_fnv(sum, &has_search, sizeof has_search);
    sum = sum_of_results(sum, stage->made_results,
                         stage->made_results == UNTOUCHED ? 0 : stage->count);
    sum = test_fnv(sum, &stage->outcome, sizeof stage->outcome);
    return sum_of_files(sum, stage);
}

/* ------------------------------------------------------------------------ */
/* Before the call                                                          */

static void begin_nothing(struct stage *stage)
{
    (void)stage;
}

static void make_quantizer(struct stage *stage, pqk_metric metric)
{
    CHECK_OK(pqk_quantizer_create(&stage->codebook, metric, &stage->quantizer));
}

static void begin_quantizer(struct stage *stage)
{
    make_quantizer(stage, PQK_L2);
}

static void begin_cosine(struct stage *stage)
{
    make_quantizer(stage, PQK_COSINE);
}

static void begin_index(struct stage *stage)
{
    CHECK_OK(pqk_index_create(&stage->codebook, NULL, &stage->index));
    CHECK_OK(pqk_index_add(stage->index, stage->codes, ROWS));
}

/* Partitions with and without ids of their own, and a tail. */
static void begin_collection(struct stage *stage)
{
    uint64_t ids[ROWS];

    begin_quantizer(stage);
    CHECK_OK(pqk_collection_create(stage->quantizer, NULL, &stage->collection));
    pqk_collection_set_sizes(stage->collection, 64, 30);
    for (size_t i = 0; i < ROWS; i++)
        ids[i] = i < 100 ? i : 3 * i;
    for (size_t first = 0; first < ROWS; first += 75)
        CHECK_OK(pqk_collection_add_codes(
            stage->collection, stage->codes + first * M, ids + first, 75, 1));
}

static void begin_holes(struct stage *stage)
{
    const uint64_t ids[] = {3, 5, 450, 453, 897};

    begin_collection(stage);
    CHECK_OK(
        pqk_collection_remove(stage->collection, ids, TEST_COUNT(ids), NULL));
}

/* The file holds what is not saved over it. */
static void begin_saving(struct stage *stage)
{
    begin_collection(stage);
    CHECK_OK(pqk_collection_save(stage->collection, path_of(stage)));
    pqk_collection_free(stage->collection);
    stage->collection = NULL;
    pqk_quantizer_free(stage->quantizer);
    begin_holes(stage);
}

static void begin_mapped(struct stage *stage)
{
    begin_holes(stage);
    CHECK_OK(pqk_collection_save(stage->collection, path_of(stage)));
    pqk_collection_free(stage->collection);
    CHECK_OK(pqk_collection_open(path_of(stage), NULL, 0, &stage->collection));
}

static void begin_file(struct stage *stage)
{
    begin_mapped(stage);
    pqk_collection_free(stage->collection);
    stage->collection = NULL;
}

/* ------------------------------------------------------------------------ */
/* The calls                                                                */

static pqk_status create_index(struct stage *stage)
{
    return pqk_index_create(&stage->codebook, NULL, &stage->made_index);
}

static pqk_status add_to_index(struct stage *stage)
{
    return pqk_index_add(stage->index, stage->codes + ROWS * M, MORE_ROWS);
}

static pqk_status create_search(struct stage *stage)
{
    return pqk_scanner_create(stage->index, QUERIES, NEAREST,
                              &stage->made_search);
}

static pqk_status search_index(struct stage *stage)
{
    pqk_row_result found[NEAREST];
    size_t count = 0;
    const pqk_status status =
        pqk_index_search(stage->index, stage->vectors, NEAREST, found, &count);

    if (status == PQK_OK)
        stage->outcome = test_fnv(1, found, count * sizeof *found);
    return status;
}

static pqk_status train(struct stage *stage, pqk_metric metric,
                        size_t max_vectors)
{
    const pqk_training training = {.dim = DIM,
                                   .num_sub_vectors = M,
                                   .num_centroids = K,
                                   .metric = metric,
                                   .rounds = 2,
                                   .max_vectors = max_vectors,
                                   .num_threads = THREADS};

    return pqk_quantizer_train(stage->vectors, ROWS, &training,
                               &stage->made_quantizer);
}

static pqk_status train_l2(struct stage *stage)
{
    return train(stage, PQK_L2, 0);
}

static pqk_status train_cosine(struct stage *stage)
{
    return train(stage, PQK_COSINE, 0);
}

static pqk_status train_on_sample(struct stage *stage)
{
    return train(stage, PQK_INNER_PRODUCT, 100);
}

static pqk_status create_quantizer(struct stage *stage)
{
    return pqk_quantizer_create(&stage->codebook, PQK_L2,
                                &stage->made_quantizer);
}

static pqk_status encode(struct stage *stage)
{
    uint8_t codes[ROWS * M];
    const pqk_status status = pqk_quantizer_encode(
        stage->quantizer, stage->vectors, ROWS, THREADS, codes);

    if (status == PQK_OK)
        stage->outcome = test_fnv(1, codes, sizeof codes);
    return status;
}

static pqk_status measure(struct stage *stage)
{
    pqk_quantizer_error error = {.mean_squared = 0.0};
    const pqk_status status = pqk_quantizer_measure(
        stage->quantizer, stage->vectors, ROWS, THREADS, &error);

    if (status == PQK_OK)
        stage->outcome = test_fnv(1, &error.mean_squared, sizeof(double));
    return status;
}

static pqk_status save_quantizer(struct stage *stage)
{
    return pqk_quantizer_save(stage->quantizer, path_of(stage));
}

static pqk_status load_quantizer(struct stage *stage)
{
    return pqk_quantizer_load(path_of(stage), &stage->made_quantizer);
}

static pqk_status create_collection(struct stage *stage)
{
    return pqk_collection_create(stage->quantizer, NULL,
                                 &stage->made_collection);
}

static pqk_status add_few(struct stage *stage)
{
    return pqk_collection_add(stage->collection, stage->vectors, NULL, 3, 1);
}

static pqk_status add_many(struct stage *stage)
{
    return pqk_collection_add(stage->collection, stage->vectors + ROWS * DIM,
                              NULL, MORE_ROWS, THREADS);
}

static pqk_status add_codes(struct stage *stage)
{
    uint64_t ids[MORE_ROWS];

    for (size_t i = 0; i < MORE_ROWS; i++)
        ids[i] = 3000 - 7 * i;
    return pqk_collection_add_codes(stage->collection, stage->codes + ROWS * M,
                                    ids, MORE_ROWS, THREADS);
}

/* How much of a partition is passed over is nobody's business: with no memory
 * for another it stays, with more that is marked. */
static pqk_status remove_many(struct stage *stage)
{
    uint64_t ids[ROWS];
    size_t removed = 0;
    pqk_status status;

    for (size_t i = 0; i < ROWS; i++)
        ids[i] = 4 * i;
    status = pqk_collection_remove(stage->collection, ids, ROWS, &removed);
    stage->outcome = removed;
    return status;
}

static pqk_status get_codes(struct stage *stage)
{
    const uint64_t ids[] = {0, 99, 300, 891, 17};
    uint8_t codes[TEST_COUNT(ids) * M];
    const pqk_status status =
        pqk_collection_codes(stage->collection, ids, TEST_COUNT(ids), codes);

    if (status == PQK_OK)
        stage->outcome = test_fnv(1, codes, sizeof codes);
    return status;
}

static pqk_status save(struct stage *stage)
{
    return pqk_collection_save(stage->collection, path_of(stage));
}

static pqk_status open_file(struct stage *stage)
{
    return pqk_collection_open(path_of(stage), NULL, 0,
                               &stage->made_collection);
}

static pqk_status open_for_scalar(struct stage *stage)
{
    return pqk_collection_open(path_of(stage), pqk_kernel_at(0), 0,
                               &stage->made_collection);
}

static pqk_status open_unverified(struct stage *stage)
{
    return pqk_collection_open(path_of(stage), NULL, PQK_UNVERIFIED,
                               &stage->made_collection);
}

static int even(void *context, uint64_t id)
{
    (void)context;
    return id % 2 == 0;
}

static pqk_status search(struct stage *stage)
{
    const pqk_search_options options = {.num_threads = THREADS,
                                        .predicate = even};
    pqk_result found[QUERIES * NEAREST];
    const pqk_status status =
        pqk_collection_search(stage->collection, stage->vectors, QUERIES,
                              NEAREST, &options, found, NULL);

    if (status == PQK_OK)
        stage->outcome = sum_of_results(1, found, QUERIES * NEAREST);
    return status;
}

static pqk_status search_range(struct stage *stage)
{
    const pqk_search_options options = {.num_threads = THREADS};

    return pqk_collection_search_range(stage->collection, stage->vectors, 10.0f,
                                       &options, &stage->made_results,
                                       &stage->count);
}

static const float *look_up(void *context, uint64_t id)
{
    const struct stage *stage = context;

    return id < ROWS ? stage->vectors + id * DIM : NULL;
}

static pqk_status rerank(struct stage *stage)
{
    pqk_result results[NEAREST];
    size_t count = NEAREST;
    pqk_status status;

    for (size_t i = 0; i < NEAREST; i++)
        results[i] = (pqk_result){.id = 29 * i};
    status = pqk_rerank(stage->quantizer, stage->vectors, look_up, stage, 5,
                        results, &count);
    if (status == PQK_OK)
        stage->outcome = sum_of_results(count, results, count);
    return status;
}

static const struct scenario {
    const char *name;
    void (*begin)(struct stage *stage);
    pqk_status (*call)(struct stage *stage);
} scenarios[] = {
    {"pqk_index_create", begin_nothing, create_index},
    {"pqk_index_add", begin_index, add_to_index},
    {"pqk_scanner_create", begin_index, create_search},
    {"pqk_index_search", begin_index, search_index},
    {"pqk_quantizer_train", begin_nothing, train_l2},
    {"pqk_quantizer_train, cosine", begin_nothing, train_cosine},
    {"pqk_quantizer_train, sample", begin_nothing, train_on_sample},
    {"pqk_quantizer_create", begin_nothing, create_quantizer},
    {"pqk_quantizer_encode", begin_quantizer, encode},
    {"pqk_quantizer_encode, cosine", begin_cosine, encode},
    {"pqk_quantizer_measure", begin_cosine, measure},
    {"pqk_quantizer_save", begin_quantizer, save_quantizer},
    {"pqk_quantizer_save, over a file", begin_saving, save_quantizer},
    {"pqk_quantizer_load", begin_file, load_quantizer},
    {"pqk_collection_create", begin_quantizer, create_collection},
    {"pqk_collection_add, few", begin_collection, add_few},
    {"pqk_collection_add, many", begin_collection, add_many},
    {"pqk_collection_add, to a mapped one", begin_mapped, add_many},
    {"pqk_collection_add_codes", begin_holes, add_codes},
    {"pqk_collection_remove", begin_collection, remove_many},
    {"pqk_collection_remove, mapped", begin_mapped, remove_many},
    {"pqk_collection_codes", begin_holes, get_codes},
    {"pqk_collection_save", begin_holes, save},
    {"pqk_collection_save, over a file", begin_saving, save},
    {"pqk_collection_save, over its own file", begin_mapped, save},
    {"pqk_collection_open", begin_file, open_file},
    {"pqk_collection_open, for another variant", begin_file, open_for_scalar},
    {"pqk_collection_open, unverified", begin_file, open_unverified},
    {"pqk_collection_search", begin_holes, search},
    {"pqk_collection_search, mapped", begin_mapped, search},
    {"pqk_collection_search_range", begin_holes, search_range},
    {"pqk_rerank", begin_quantizer, rerank},
};

/* ------------------------------------------------------------------------ */
/* Failures                                                                 */

static const struct {
    const char *name;
    struct fault fault;
} faults[] = {
    {"no memory once", {FAULT_MEMORY, FAULT_FAILS, ENOMEM, 0}},
    {"no memory from then on", {FAULT_MEMORY, FAULT_FAILS, ENOMEM, 1}},
    {"no thread once", {FAULT_THREADS, FAULT_FAILS, EAGAIN, 0}},
    {"no thread from then on", {FAULT_THREADS, FAULT_FAILS, EAGAIN, 1}},
    {"EIO", {FAULT_FILES, FAULT_FAILS, EIO, 0}},
    {"ENOSPC", {FAULT_FILES, FAULT_FAILS, ENOSPC, 0}},
    {"EINTR", {FAULT_FILES, FAULT_FAILS, EINTR, 0}},
    {"ENOMEM of a file", {FAULT_FILES, FAULT_FAILS, ENOMEM, 0}},
    {"interrupted", {FAULT_FILES, FAULT_INTERRUPTED, 0, 0}},
    {"one byte less", {FAULT_FILES, FAULT_ONE_LESS, 0, 0}},
    {"one byte less each time", {FAULT_FILES, FAULT_ONE_LESS, 0, 1}},
    {"half of the bytes", {FAULT_FILES, FAULT_HALF, 0, 0}},
    {"half of the bytes each time", {FAULT_FILES, FAULT_HALF, 0, 1}},
};

static int is_expected(pqk_status status, int error, const struct fault *fault)
{
    if (status == PQK_OK)
        return 1;
    if (fault->manner != FAULT_FAILS)
        return 0;
    return fault->calls == FAULT_FILES && status == PQK_IO_ERROR
               ? error == fault->error
               : status == PQK_OUT_OF_MEMORY &&
                     (fault->calls != FAULT_FILES || fault->error == ENOMEM);
}

static void check_nothing_held(const struct faults_held *before)
{
    const struct faults_held after = faults_held();

    CHECK_THAT(after.blocks == before->blocks, "%ld blocks are not freed",
               after.blocks - before->blocks);
    CHECK_THAT(after.files == before->files, "%ld files are not closed",
               after.files - before->files);
    CHECK_THAT(after.mappings == before->mappings, "%ld files stay mapped",
               after.mappings - before->mappings);
    CHECK_THAT(after.threads == before->threads, "%ld threads are not joined",
               after.threads - before->threads);
}

/* The checksums before and after a call that nothing keeps from its work. */
struct outcomes {
    uint64_t untouched, done;
};

static struct outcomes run_undisturbed(const struct scenario *scenario)
{
    const struct faults_held before = faults_held();
    struct outcomes outcomes;
    struct stage stage;

    test_case("%s, undisturbed", scenario->name);
    begin_stage(&stage, test_folder("check_faults"));
    scenario->begin(&stage);
    outcomes.untouched = sum_of_stage(&stage);
    CHECK_OK(scenario->call(&stage));
    outcomes.done = sum_of_stage(&stage);
    end_stage(&stage);
    test_remove_folder(stage.folder);
    check_nothing_held(&before);
    return outcomes;
}

/* How many calls were met. */
static size_t run_with(const struct scenario *scenario,
                       const struct outcomes *outcomes,
                       const struct fault *fault, size_t number)
{
    const struct faults_held before = faults_held();
    struct stage stage;
    pqk_status status;
    int error;
    size_t met;
    uint64_t sum;

    begin_stage(&stage, test_folder("check_faults"));
    scenario->begin(&stage);
    faults_begin(fault, number);
    errno = 0;
    status = scenario->call(&stage);
    error = errno;
    met = faults_end();
    CHECK_THAT(is_expected(status, error, fault), "%s, errno %d",
               pqk_status_string(status), error);
    CHECK_THAT(met > 0 || status == PQK_OK, "it failed undisturbed");
    sum = sum_of_stage(&stage);
    /* A file that has its name stays, even if its folder cannot be
     * synchronised. */
    if (status == PQK_OK || faults_renamed())
        CHECK_THAT(sum == outcomes->done, "not all is done");
    else
        CHECK_THAT(sum == outcomes->untouched, "not all is as it was");
    CHECK_THAT(met > 0 || !faults_renamed() || faults_synchronised(),
               "a name is not on the disk, or was before the file");
    end_stage(&stage);
    test_remove_folder(stage.folder);
    check_nothing_held(&before);
    return met;
}

START_TEST(each_call_fails)
{
    const struct scenario *scenario = &scenarios[_i];
    const struct outcomes outcomes = run_undisturbed(scenario);

    for (size_t f = 0; f < TEST_COUNT(faults); f++)
        for (size_t number = 1; number < MAX_NUMBERS; number++) {
            test_case("%s: %s, call %zu", scenario->name, faults[f].name,
                      number);
            if (run_with(scenario, &outcomes, &faults[f].fault, number) == 0)
                break;
        }
}
END_TEST

/* ------------------------------------------------------------------------ */
/* Deaths                                                                   */

static const struct {
    const char *name;
    struct fault fault;
} deaths[] = {
    {"killed before a call", {FAULT_FILES, FAULT_KILLS, 0, 0}},
    {"killed within a call", {FAULT_FILES, FAULT_KILLS_HALFWAY, 0, 0}},
};

/* What was begun beside the file: at most one, by its own name. */
static void remove_leftover(const char *folder)
{
    DIR *directory = opendir(folder);
    struct dirent *item;
    size_t count = 0;

    CHECK_THAT(directory != NULL, "opendir: errno %d", errno);
    while ((item = readdir(directory)))
        if (strncmp(item->d_name, "file.", 5) == 0) {
            (void)unlink(test_path(folder, item->d_name));
            count++;
        }
    closedir(directory);
    CHECK_THAT(count <= 1, "%zu files are left over", count);
}

/* 1 if the child was killed; else it did all that it was to do. */
static int dies(const struct scenario *scenario, const struct fault *fault,
                size_t number, struct stage *stage)
{
    const pid_t child = fork();
    int how = 0;

    CHECK_THAT(child >= 0, "fork: errno %d", errno);
    if (child == 0) {
        faults_begin(fault, number);
        _exit(scenario->call(stage) == PQK_OK ? 0 : 1);
    }
    CHECK_THAT(waitpid(child, &how, 0) == child, "waitpid: errno %d", errno);
    CHECK_THAT(WIFSIGNALED(how) ? WTERMSIG(how) == SIGKILL
                                : WIFEXITED(how) && WEXITSTATUS(how) == 0,
               "it ended with %#x", (unsigned)how);
    return WIFSIGNALED(how);
}

/* Until one survives: first the old file is found, then the new one. */
static void die_at_each_call(const struct scenario *scenario,
                             const struct fault *fault)
{
    size_t found_old = 0, found_new = 0;
    int died = 1;

    for (size_t number = 1; died; number++) {
        struct stage stage;
        uint64_t old, found, whole;

        test_subcase(", call %zu", number);
        begin_stage(&stage, test_folder("check_faults"));
        scenario->begin(&stage);
        old = sum_of_files(1, &stage);
        died = dies(scenario, fault, number, &stage);
        remove_leftover(stage.folder);
        found = sum_of_files(1, &stage);
        CHECK_OK(scenario->call(&stage));
        whole = sum_of_files(1, &stage);
        CHECK_THAT(found == old || found == whole, "neither old nor new");
        CHECK_THAT(found == whole || found_new == 0, "old after new");
        found_old += found == old && died;
        found_new += found == whole && died;
        end_stage(&stage);
        test_remove_folder(stage.folder);
    }
    CHECK_THAT(found_old > 1, "the old file was found %zu times", found_old);
    CHECK_THAT(found_new > 0 || fault->manner == FAULT_KILLS_HALFWAY,
               "the new file was never found");
}

START_TEST(each_call_kills)
{
    const struct scenario *scenario = &scenarios[_i];

    if (scenario->call != save && scenario->call != save_quantizer)
        return;
    for (size_t i = 0; i < TEST_COUNT(deaths); i++) {
        test_case("%s, %s", scenario->name, deaths[i].name);
        die_at_each_call(scenario, &deaths[i].fault);
    }
}
END_TEST

/* ------------------------------------------------------------------------ */

int main(void)
{
    Suite *suite = suite_create("faults");

    test_print_variants();
    add_case(suite, "each call fails", each_call_fails, 60, 0,
             (int)TEST_COUNT(scenarios));
    add_case(suite, "each call kills", each_call_kills, 60, 0,
             (int)TEST_COUNT(scenarios));
    return run_suite(suite);
}
