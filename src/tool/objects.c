/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"
#include "base/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct tool_training tool_training = {.metric = "l2"};

const struct tool_option tool_training_options[] = {
    {"sub-vectors", 'm', "M",
     "bytes of a code (default: an eighth of the values, at most 256)",
     TOOL_COUNT, &tool_training.num_sub_vectors, 1, PQK_MAX_SUB_VECTORS},
    {"centroids", '\0', "N", "per sub-vector (default: 256)", TOOL_COUNT,
     &tool_training.num_centroids, 1, PQK_MAX_CENTROIDS},
    {"metric", '\0', "NAME", "l2 (default), ip or cosine", TOOL_TEXT,
     &tool_training.metric, 0, 0},
    {"rounds", '\0', "N", "of Lloyd's algorithm (default: 25)", TOOL_COUNT,
     &tool_training.rounds, 1, 100000},
    {"seed", '\0', "N", "of the sample and the first centroids (default: 0)",
     TOOL_COUNT, &tool_training.seed, 0, UINT64_MAX},
    {"sample", '\0', "N",
     "train on so many vectors, drawn at random (default: 256 per centroid)",
     TOOL_COUNT, &tool_training.sample, 1, UINT32_MAX},
    {NULL, '\0', NULL, NULL, TOOL_FLAG, NULL, 0, 0}};

uint64_t tool_processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);

    return count > 0 ? (uint64_t)count : 1;
}

const pqk_kernel *tool_kernel(const char *name)
{
    const pqk_kernel *kernel = NULL;
    pqk_status status = pqk_kernel_find(name, &kernel);

    if (name != NULL && status == PQK_UNKNOWN_KERNEL)
        tool_usage("--kernel: '%s' is none; pqkern kernels lists them", name);
    if (status != PQK_OK)
        tool_die("%s: %s; pqkern kernels lists them",
                 name != NULL ? name : "PQKERN_ISA", pqk_status_string(status));
    return kernel;
}

static const char *const metric_names[] = {
    [PQK_L2] = "l2", [PQK_INNER_PRODUCT] = "ip", [PQK_COSINE] = "cosine"};

const char *tool_metric_name(pqk_metric metric)
{
    return metric_names[metric];
}

pqk_metric tool_metric(const char *name)
{
    for (int i = PQK_L2; i <= PQK_COSINE; i++)
        if (strcmp(name, metric_names[i]) == 0)
            return (pqk_metric)i;
    tool_usage("--metric: '%s' is not l2, ip or cosine", name);
}

/* ------------------------------------------------------------------------ */
/* Files of the library                                                     */

static _Noreturn void die_of_file(const char *path, const char *kind,
                                  pqk_status status)
{
    if (status == PQK_IO_ERROR)
        tool_die("%s: cannot be read: %s", path, strerror(errno));
    if (status == PQK_BAD_FILE)
        tool_die("%s: is no %s, or it was cut short or altered; pqkern info "
                 "says what a file is",
                 path, kind);
    tool_die("%s: %s", path, pqk_status_string(status));
}

pqk_codebook tool_codebook_of(const pqk_quantizer *quantizer)
{
    pqk_codebook codebook;

    pqk_quantizer_codebook(quantizer, &codebook);
    return codebook;
}

pqk_quantizer *tool_load_quantizer(const char *path)
{
    pqk_quantizer *quantizer = NULL;
    pqk_status status = pqk_quantizer_load(path, &quantizer);

    if (status != PQK_OK)
        die_of_file(path, "quantizer or collection", status);
    return quantizer;
}

pqk_collection *tool_open_collection(const char *path, const pqk_kernel *kernel)
{
    const pqk_kernel *used = kernel != NULL ? kernel : tool_kernel(NULL);
    pqk_collection *collection = NULL;
    pqk_status status = pqk_collection_open(path, used, 0, &collection);

    if (status != PQK_OK)
        die_of_file(path, "collection", status);
    return collection;
}

/* ------------------------------------------------------------------------ */
/* Locks: a command that changes a collection locks its file before reading it,
 * until the process ends.  Searches need no lock: files are replaced as a whole. */

/* As writers, if possible: some network file systems ask for that. */
static int open_regular(const char *path)
{
    struct stat status;
    int fd;

    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode))
        return -1;
    fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    return fd >= 0 ? fd : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
}

/* 0 where files have no locks. */
static int lock(int fd)
{
    int result = flock(fd, LOCK_EX | LOCK_NB);

    if (result == 0 || errno != EWOULDBLOCK)
        return result == 0;
    pqk_progress_begin("waiting for another command", 0);
    do {
        result = flock(fd, LOCK_EX);
    } while (result != 0 && errno == EINTR);
    pqk_progress_end();
    return result == 0;
}

/* Locks the file that the name leads to once the lock is held.  A file that is not
 * there, or cannot be opened, is reported by whoever opens it next. */
static void take_lock(const char *path)
{
    static int taken;
    struct stat named, opened;
    int fd;

    while (!taken && (fd = open_regular(path)) >= 0) {
        taken = !lock(fd) || fstat(fd, &opened) != 0 ||
                (stat(path, &named) == 0 && named.st_dev == opened.st_dev &&
                 named.st_ino == opened.st_ino);
        if (!taken)
            close(fd);
    }
}

pqk_collection *tool_change_collection(const char *path)
{
    take_lock(path);
    return tool_open_collection(path, NULL);
}

/* ------------------------------------------------------------------------ */

static void end_saving(pqk_status status, const char *path)
{
    if (status == PQK_IO_ERROR)
        tool_die("%s: cannot be written: %s", path, strerror(errno));
    tool_check_status(status, path);
    tool_hold_signals(0);
}

/* The library writes beside under a name that only it knows, so that a signal
 * has to wait until the file is whole. */
void tool_save_quantizer(const pqk_quantizer *quantizer, const char *path)
{
    tool_hold_signals(1);
    end_saving(pqk_quantizer_save(quantizer, path), path);
}

void tool_save_collection(const pqk_collection *collection, const char *path)
{
    take_lock(path);
    tool_hold_signals(1);
    end_saving(pqk_collection_save(collection, path), path);
}

/* ------------------------------------------------------------------------ */
/* Training                                                                 */

static size_t default_sub_vectors(size_t dim)
{
    size_t count =
        dim / 8 < PQK_MAX_SUB_VECTORS ? dim / 8 : PQK_MAX_SUB_VECTORS;

    while (count > 1 && dim % count != 0)
        count--;
    return count > 0 ? count : 1;
}

pqk_quantizer *tool_train_quantizer(struct pqf_rows *rows, uint64_t threads,
                                    size_t *num_sampled,
                                    pqk_quantizer_error *error)
{
    struct tool_training *t = &tool_training;
    pqk_metric metric = tool_metric(t->metric);
    pqk_training training = {.dim = rows->dim, .metric = metric};
    pqk_quantizer *quantizer = NULL;
    pqk_status status;
    float *sample;

    if (t->num_sub_vectors == 0)
        t->num_sub_vectors = default_sub_vectors(rows->dim);
    if (rows->dim % t->num_sub_vectors != 0)
        tool_die("%s: rows of %zu values cannot be cut into %" PRIu64
                 " equal parts; give --sub-vectors a divisor of %zu",
                 rows->source.path, rows->dim, t->num_sub_vectors, rows->dim);
    if (t->num_centroids == 0)
        t->num_centroids = PQK_MAX_CENTROIDS;
    if (t->sample == 0)
        t->sample = 256 * t->num_centroids;
    sample = tool_sample(rows, t->sample, t->seed, num_sampled);
    if (*num_sampled == 0)
        tool_die("%s: has no rows to train on", rows->source.path);
    training.num_sub_vectors = (size_t)t->num_sub_vectors;
    training.num_centroids = (size_t)t->num_centroids;
    training.rounds = (size_t)t->rounds;
    training.seed = t->seed;
    training.max_vectors = *num_sampled;
    training.num_threads = (size_t)threads;
    training.progress = pqk_progress_show;
    pqk_progress_begin("training", 0);
    status = pqk_quantizer_train(sample, *num_sampled, &training, &quantizer);
    pqk_progress_end();
    tool_check_status(status, "training");
    if (error != NULL)
        tool_check_status(pqk_quantizer_measure(quantizer, sample, *num_sampled,
                                                (size_t)threads, error),
                          "measuring the quantizer");
    free(sample);
    return quantizer;
}

/* ------------------------------------------------------------------------ */
/* Adding                                                                   */

static _Noreturn void die_of_duplicate(const pqk_collection *collection,
                                       const struct tool_batch *batch)
{
    const size_t count = batch->ids == NULL ? 0 : batch->count;
    uint64_t *sorted = tool_alloc(count, sizeof *sorted);

    for (size_t i = 0; i < count; i++)
        if (pqk_collection_contains(collection, batch->ids[i]))
            tool_die("%s: row %" PRIu64 ": the id %" PRIu64 " is there "
                     "already; remove it first, or give another",
                     batch->ids_path, batch->first + i, batch->ids[i]);
    if (count > 0)
        memcpy(sorted, batch->ids, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, tool_compare_ids);
    for (size_t i = 1; i < count; i++)
        if (sorted[i] == sorted[i - 1])
            tool_die("%s: the id %" PRIu64 " is given twice; all ids must "
                     "differ",
                     batch->ids_path, sorted[i]);
    tool_die("%s: %s", batch->path, pqk_status_string(PQK_DUPLICATE_ID));
}

static _Noreturn void die_of_numbers(const struct tool_batch *batch)
{
    tool_die("%s: too few numbers follow the largest id so far; give --ids",
             batch->path);
}

static _Noreturn void die_of_code(const pqk_collection *collection,
                                  const struct tool_batch *batch)
{
    pqk_codebook shape = tool_codebook_of(pqk_collection_quantizer(collection));

    for (size_t i = 0; i < batch->count * shape.num_sub_vectors; i++)
        if (batch->codes[i] >= shape.num_centroids)
            tool_die("%s: row %" PRIu64 ", column %zu: the code is %d, but "
                     "there are %zu centroids; these codes are of another "
                     "quantizer",
                     batch->path, batch->first + i / shape.num_sub_vectors,
                     i % shape.num_sub_vectors, batch->codes[i],
                     shape.num_centroids);
    if (batch->ids == NULL)
        die_of_numbers(batch);
    tool_die("%s: %s", batch->path, pqk_status_string(PQK_INVALID_ARGUMENT));
}

void tool_add(pqk_collection *collection, const struct tool_batch *batch,
              uint64_t threads)
{
    pqk_status status =
        batch->codes != NULL
            ? pqk_collection_add_codes(collection, batch->codes, batch->ids,
                                       batch->count, (size_t)threads)
            : pqk_collection_add(collection, batch->vectors, batch->ids,
                                 batch->count, (size_t)threads);

    if (status == PQK_DUPLICATE_ID)
        die_of_duplicate(collection, batch);
    if (status == PQK_INVALID_ARGUMENT && batch->codes != NULL)
        die_of_code(collection, batch);
    if (status == PQK_INVALID_ARGUMENT && batch->ids == NULL)
        die_of_numbers(batch);
    tool_check_status(status, batch->path);
}
