/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Searching a collection.  The work is cut into units of a group of queries and
 * some of the sources, which are the partitions and the tail.  A unit finds the
 * best of one source after the other and merges them into the caller's results,
 * whose worst bounds what the next source has to look for.  That is exact,
 * whatever the order: a row that is among the k best of all is never beyond the
 * k-th of some.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/threads.h"
#include "collection.h"
#include "metric.h"
#include "quantizer_handle.h"
#include "reserved.h"
#include "results.h"

/* Queries that share a pass over the codes. */
#define GROUP ((size_t)16)

/* Of those, fewer if they keep more results than this together. */
#define RESULTS_OF_A_GROUP ((size_t)1 << 18)

/* With so many groups for each thread none waits long for the last one. */
#define GROUPS_PER_THREAD 4

#define MOST_RESULTS ((uint64_t)1 << 31)

/* How many results of a range are collected at first from one source. */
#define RANGE_RESULTS ((size_t)4096)

/* No row's key of a distance is greater. */
static inline uint64_t last_key(float distance)
{
    return pqk_result_key(distance, UINT32_MAX);
}

/* ------------------------------------------------------------------------ */
/* What is searched                                                         */

struct search {
    const pqk_collection *collection;
    const float *queries;
    size_t num_queries;
    size_t dim;
    size_t k; /* in a range, what is collected at first */
    float radius;
    const pqk_search_options *options;
    size_t num_sources;

    size_t group_size;
    size_t num_groups;
    size_t units_per_group;
    atomic_size_t next_unit;
    atomic_size_t next_scratch;
    struct scratch *scratches;

    pthread_mutex_t lock; /* of what follows */
    pqk_result *results;
    size_t *counts;        /* [num_queries] */
    size_t range_capacity; /* of results */
    pqk_status status;
    pqk_search_stats stats;
};

/* A partition, or behind them the tail. */
static struct pqk_rows source_rows(const pqk_collection *collection,
                                   size_t source)
{
    return source < collection->num_partitions
               ? collection->partitions[source]
               : pqk_tail_rows(&collection->tail);
}

/* ------------------------------------------------------------------------ */
/* A thread's memory                                                        */

struct scratch {
    size_t k; /* room for so many results of a query */
    void *tables;
    pqk_top_k_heap *heaps;     /* [group_size] */
    uint64_t *storage;         /* [group_size][pqk_top_k_heap_storage(k)] */
    pqk_row_result *neighbors; /* [k] */
    uint64_t *rows;            /* a bit per row, if there are filters by bits */
    float *entries;            /* a plain table, for the tail */
    float *scaled;             /* [group_size][dim] */

    size_t group;         /* the one that the following is of */
    const float *queries; /* as the metric compares them */
    size_t num_queries;
    int has_tables;
    pqk_search_stats stats;
};

static pqk_status reserve_results(struct scratch *scratch, size_t group_size,
                                  size_t k)
{
    const size_t storage = pqk_top_k_heap_storage(k);

    free(scratch->storage);
    free(scratch->neighbors);
    scratch->neighbors = pqk_array_alloc(k, sizeof *scratch->neighbors);
    scratch->storage =
        pqk_product_fits(group_size, storage)
            ? pqk_array_alloc(group_size * storage, sizeof *scratch->storage)
            : NULL;
    scratch->k = k;
    return scratch->neighbors && scratch->storage ? PQK_OK : PQK_OUT_OF_MEMORY;
}

/* Rows of the largest source that filters may need a bit of: none, if nothing is
 * filtered by bits.  What is a few times as large as all the rest would have
 * allocators give memory back after every search. */
static size_t rows_with_bits(const struct search *search)
{
    int any = search->options->allowed != NULL;

    for (size_t s = 0; s < search->num_sources && !any; s++)
        any = source_rows(search->collection, s).removed != NULL;
    return any ? pqk_collection_most_rows(search->collection) : 0;
}

static pqk_status create_scratch(const struct search *search, size_t k,
                                 struct scratch *scratch)
{
    const struct pqk_prepared *prepared = &search->collection->prepared;
    const size_t group_size = search->group_size;

    *scratch = (struct scratch){.group = SIZE_MAX};
    scratch->tables = pqk_aligned_alloc(
        prepared->kernel->tables_bytes(&prepared->codebook, group_size));
    scratch->heaps = pqk_array_alloc(group_size, sizeof *scratch->heaps);
    scratch->rows =
        pqk_array_alloc(rows_with_bits(search) / 64 + 1, sizeof *scratch->rows);
    scratch->entries =
        pqk_array_alloc(prepared->codebook.num_sub_vectors,
                        PQK_TABLE_STRIDE * sizeof *scratch->entries);
    scratch->scaled =
        pqk_array_alloc(search->dim, group_size * sizeof *scratch->scaled);
    if (!scratch->tables || !scratch->heaps || !scratch->rows ||
        !scratch->entries || !scratch->scaled)
        return PQK_OUT_OF_MEMORY;
    return reserve_results(scratch, group_size, k);
}

static void free_scratch(struct scratch *scratch)
{
    free(scratch->tables);
    free(scratch->heaps);
    free(scratch->storage);
    free(scratch->neighbors);
    free(scratch->rows);
    free(scratch->entries);
    free(scratch->scaled);
}

static void load_group(const struct search *search, size_t group,
                       struct scratch *scratch)
{
    const pqk_metric metric = search->collection->quantizer->metric;
    const size_t first = group * search->group_size;
    const size_t left = search->num_queries - first;

    if (scratch->group == group)
        return;
    scratch->group = group;
    scratch->has_tables = 0;
    scratch->num_queries =
        left < search->group_size ? left : search->group_size;
    scratch->queries = search->queries + first * search->dim;
    if (metric == PQK_COSINE) {
        pqk_metric_vectors(metric, scratch->queries, scratch->num_queries,
                           search->dim, scratch->scaled);
        scratch->queries = scratch->scaled;
    }
}

/* ------------------------------------------------------------------------ */
/* Filters                                                                  */

/* 64 bits of allowed from bit `first` on; those beyond its end are 0. */
static uint64_t allowed_bits(const pqk_search_options *options, uint64_t first)
{
    const size_t shift = first % 64;
    uint64_t bits, left;
    size_t word;

    if (first >= options->num_allowed)
        return 0;
    left = options->num_allowed - first;
    word = (size_t)(first / 64);
    bits = options->allowed[word] >> shift;
    if (shift > 0 && left > 64 - shift)
        bits |= options->allowed[word + 1] << (64 - shift);
    return left < 64 ? bits & (((uint64_t)1 << left) - 1) : bits;
}

/* Fills bits, one per row, with which rows may be results as far as bits can
 * say; 0 if there is none. */
static int fill_row_bits(const pqk_search_options *options,
                         const struct pqk_rows *rows, uint64_t *bits)
{
    const int by_allowed = options->allowed && !rows->ids;
    uint64_t any = 0;

    for (size_t row = 0; row < rows->num_rows; row += 64) {
        const size_t left = rows->num_rows - row;
        uint64_t word = UINT64_MAX;

        if (by_allowed)
            word = allowed_bits(options, rows->first_id + row);
        if (rows->removed)
            word &= ~rows->removed[row / 64];
        if (left < 64)
            word &= ((uint64_t)1 << left) - 1;
        bits[row / 64] = word;
        any |= word;
    }
    return any != 0;
}

struct asking {
    const pqk_search_options *options;
    const struct pqk_rows *rows;
};

/* Whether a row may be a result, as far as its bit did not say. */
static int allows_row(void *context, uint32_t row)
{
    const struct asking *asking = context;
    const pqk_search_options *options = asking->options;
    const uint64_t id = pqk_rows_id(asking->rows, row);

    if (options->allowed && asking->rows->ids &&
        !(allowed_bits(options, id) & 1))
        return 0;
    return !options->predicate ||
           options->predicate(options->predicate_context, id) != 0;
}

/* Makes a source's filter; 0 if no row may be a result. */
static int make_filter(const pqk_search_options *options,
                       const struct pqk_rows *rows, uint64_t *bits,
                       struct asking *asking, struct pqk_filter *filter)
{
    *asking = (struct asking){options, rows};
    *filter = (struct pqk_filter){.rows = NULL};
    if (rows->removed || (options->allowed && !rows->ids)) {
        if (!fill_row_bits(options, rows, bits))
            return 0;
        filter->rows = bits;
    }
    if (options->predicate || (options->allowed && rows->ids)) {
        filter->allows = allows_row;
        filter->context = asking;
    }
    return 1;
}

/* ------------------------------------------------------------------------ */
/* One source                                                               */

static void push_tail(const struct pqk_rows *rows, size_t num_sub_vectors,
                      const float *entries, const struct pqk_filter *filter,
                      pqk_top_k_heap *heap)
{
    const uint8_t *code = rows->codes;
    float bound = pqk_heap_bound(heap);

    for (size_t row = 0; row < rows->num_rows; row++, code += num_sub_vectors) {
        float sum = 0.0f;

        for (size_t m = 0; m < num_sub_vectors; m++)
            sum += entries[m * PQK_TABLE_STRIDE + code[m]];
        if (sum > bound || !filter->allows(filter->context, (uint32_t)row))
            continue;
        pqk_top_k_heap_push(heap, (uint32_t)row, sum);
        bound = pqk_heap_bound(heap);
    }
}

static void probe_tail(const pqk_collection *collection,
                       const struct pqk_rows *rows,
                       const struct pqk_filter *filter, struct scratch *scratch)
{
    const struct pqk_prepared *prepared = &collection->prepared;
    const pqk_codebook *codebook = &prepared->codebook;
    const size_t num_sub_vectors = codebook->num_sub_vectors;
    const size_t dim = num_sub_vectors * codebook->sub_vector_dim;
    const uint64_t decided = (uint64_t)rows->num_rows * scratch->num_queries;

    for (size_t q = 0; q < scratch->num_queries; q++) {
        const float *query = scratch->queries + q * dim;

        if (collection->quantizer->metric == PQK_L2)
            prepared->kernel->compute_distance_table_l2(query, codebook,
                                                        scratch->entries);
        else
            pqk_inner_product_table(query, codebook, scratch->entries);
        if (filter->allows)
            push_tail(rows, num_sub_vectors, scratch->entries, filter,
                      &scratch->heaps[q]);
        else
            prepared->kernel->probe_pq_l2_top_k(
                scratch->entries, num_sub_vectors, rows->codes, rows->num_rows,
                &scratch->heaps[q]);
    }
    scratch->stats.codes += decided;
    scratch->stats.survivors += decided;
    scratch->stats.bytes_read += decided * num_sub_vectors;
}

static void probe_partition(const pqk_collection *collection,
                            const struct pqk_rows *rows,
                            const struct pqk_filter *filter,
                            struct scratch *scratch)
{
    const struct pqk_prepared *prepared = &collection->prepared;
    const int filters = filter->rows || filter->allows;

    if (!scratch->has_tables)
        prepared->kernel->compute_tables(
            prepared->memory, collection->quantizer->metric, scratch->queries,
            scratch->num_queries, scratch->tables);
    scratch->has_tables = 1;
    prepared->kernel->probe(prepared->memory, rows->codes, rows->num_rows, 0,
                            filters ? filter : NULL, scratch->tables,
                            scratch->num_queries, scratch->heaps,
                            &scratch->stats);
}

/* Probes for the group that is loaded, into heaps that are begun. */
static void probe_source(const pqk_collection *collection, size_t source,
                         const struct pqk_rows *rows,
                         const struct pqk_filter *filter,
                         struct scratch *scratch)
{
    if (source < collection->num_partitions)
        probe_partition(collection, rows, filter, scratch);
    else
        probe_tail(collection, rows, filter, scratch);
}

static void begin_heap(struct scratch *scratch, size_t query, size_t k,
                       uint64_t bound)
{
    const size_t storage = pqk_top_k_heap_storage(scratch->k);
    pqk_top_k_heap *heap = &scratch->heaps[query];

    pqk_top_k_heap_init(heap, scratch->storage + query * storage, k);
    if (heap->bound > bound)
        heap->bound = bound;
}

/* ------------------------------------------------------------------------ */
/* The k nearest                                                            */

/* Merges a source's sorted neighbours into sorted results, from behind, and
 * leaves out the last if there are more than k. */
static size_t merge_results(const struct pqk_rows *rows,
                            const pqk_row_result *neighbors,
                            size_t num_neighbors, pqk_result *results,
                            size_t num_results, size_t k)
{
    size_t to = num_results + num_neighbors;
    const size_t merged = to < k ? to : k;

    while (num_neighbors > 0) {
        const pqk_row_result *neighbor = &neighbors[num_neighbors - 1];
        const pqk_result new = {.id = pqk_rows_id(rows, neighbor->row),
                                .distance = neighbor->distance};
        const int take_old = num_results > 0 &&
                             pqk_result_before(&new, &results[num_results - 1]);
        const pqk_result last = take_old ? results[num_results - 1] : new;

        num_results -= (size_t)take_old;
        num_neighbors -= (size_t)!take_old;
        if (--to < k)
            results[to] = last;
    }
    return merged;
}

static void begin_heaps(struct search *search, const struct pqk_rows *rows,
                        struct scratch *scratch)
{
    const size_t first = scratch->group * search->group_size;
    const size_t left = pqk_rows_left(rows);
    const size_t k = search->k < left ? search->k : left;

    pthread_mutex_lock(&search->lock);
    for (size_t q = 0; q < scratch->num_queries; q++) {
        const size_t count = search->counts[first + q];
        const pqk_result *results = search->results + (first + q) * search->k;

        begin_heap(scratch, q, k,
                   count < search->k ? UINT64_MAX
                                     : last_key(results[count - 1].distance));
    }
    pthread_mutex_unlock(&search->lock);
}

static void merge_heaps(struct search *search, const struct pqk_rows *rows,
                        struct scratch *scratch)
{
    const size_t first = scratch->group * search->group_size;

    for (size_t q = 0; q < scratch->num_queries; q++) {
        const size_t found =
            pqk_top_k_heap_into_sorted(&scratch->heaps[q], scratch->neighbors);
        size_t *count = &search->counts[first + q];

        pthread_mutex_lock(&search->lock);
        *count = merge_results(rows, scratch->neighbors, found,
                               search->results + (first + q) * search->k,
                               *count, search->k);
        pthread_mutex_unlock(&search->lock);
    }
}

static void search_source(struct search *search, size_t source,
                          struct scratch *scratch)
{
    const struct pqk_rows rows = source_rows(search->collection, source);
    struct asking asking;
    struct pqk_filter filter;

    if (!make_filter(search->options, &rows, scratch->rows, &asking, &filter))
        return;
    begin_heaps(search, &rows, scratch);
    probe_source(search->collection, source, &rows, &filter, scratch);
    merge_heaps(search, &rows, scratch);
}

static void add_stats(struct search *search, const struct scratch *scratch)
{
    const pqk_search_stats *stats = &scratch->stats;

    pthread_mutex_lock(&search->lock);
    search->stats.codes += stats->codes;
    search->stats.survivors += stats->survivors;
    search->stats.bytes_read += stats->bytes_read;
    if (stats->bound_groups > search->stats.bound_groups)
        search->stats.bound_groups = stats->bound_groups;
    pthread_mutex_unlock(&search->lock);
}

static void *search_units(void *argument)
{
    struct search *search = argument;
    const size_t per_group = search->units_per_group;
    struct scratch *scratch =
        &search->scratches[atomic_fetch_add(&search->next_scratch, 1)];
    size_t unit;

    while ((unit = atomic_fetch_add(&search->next_unit, 1)) <
           search->num_groups * per_group) {
        const size_t turn = unit % per_group;
        const size_t sources = search->num_sources / per_group;

        load_group(search, unit / per_group, scratch);
        for (size_t i = 0; i < sources; i++)
            search_source(search, turn * sources + i, scratch);
    }
    add_stats(search, scratch);
    return NULL;
}

static size_t groups_of(size_t num_queries, size_t size)
{
    return num_queries / size + (num_queries % size > 0);
}

/* A unit is a group and one source, or all if that makes enough of them.  How
 * many threads have something to do. */
static size_t cut_into_units(struct search *search, size_t num_threads)
{
    const size_t num_queries = search->num_queries;
    size_t size = RESULTS_OF_A_GROUP / search->k;
    size_t units;

    if (size > GROUP)
        size = GROUP;
    if (size > num_queries)
        size = num_queries;
    /* Rather few queries to a pass than threads without any. */
    if (size > 0 &&
        groups_of(num_queries, size) < num_threads / search->num_sources)
        size = num_queries * search->num_sources / num_threads;
    if (size == 0)
        size = 1;
    search->group_size = size;
    search->num_groups = groups_of(num_queries, size);
    search->units_per_group =
        num_threads == 1 || search->num_groups / GROUPS_PER_THREAD > num_threads
            ? 1
            : search->num_sources;
    units = search->num_groups * search->units_per_group;
    return units < num_threads ? units : num_threads;
}

/* Runs with as many threads as there is memory for, at least one. */
static void run_search(struct search *search, void *(*run)(void *),
                       size_t num_threads)
{
    const size_t most = pqk_collection_most_rows(search->collection);
    const size_t k = search->k < most ? search->k : most;
    size_t made = 0;

    search->scratches = pqk_array_alloc(num_threads, sizeof(struct scratch));
    if (!search->scratches) {
        search->status = PQK_OUT_OF_MEMORY;
        return;
    }
    for (; made < num_threads; made++)
        if (create_scratch(search, k, &search->scratches[made]) != PQK_OK) {
            free_scratch(&search->scratches[made]);
            break;
        }
    if (made > 0 && pthread_mutex_init(&search->lock, NULL) == 0) {
        pqk_run_on_threads(run, search, made);
        pthread_mutex_destroy(&search->lock);
    } else {
        search->status = PQK_OUT_OF_MEMORY;
    }
    while (made > 0)
        free_scratch(&search->scratches[--made]);
    free(search->scratches);
}

static struct search begin_search(const pqk_collection *collection,
                                  const float *queries, size_t num_queries,
                                  size_t k, const pqk_search_options *options)
{
    static const pqk_search_options no_options;

    return (struct search){
        .collection = collection,
        .queries = queries,
        .num_queries = num_queries,
        .dim = pqk_quantizer_dim(collection->quantizer),
        .k = k,
        .options = options ? options : &no_options,
        .num_sources = collection->num_partitions +
                       (collection->tail.num_rows > 0 ? 1 : 0),
        .status = PQK_OK,
        .stats = {.kernel = pqk_kernel_name(collection->prepared.kernel)},
    };
}

static size_t threads_wanted(const struct search *search)
{
    const size_t wanted = search->options->num_threads;

    return wanted == 0                ? 1
           : wanted < PQK_MAX_THREADS ? wanted
                                      : PQK_MAX_THREADS;
}

static void give_stats(const struct search *search)
{
    if (search->status == PQK_OK && search->options->stats)
        *search->options->stats = search->stats;
}

static void fill_up(const struct search *search)
{
    const pqk_result nothing = {.id = PQK_NO_ID,
                                .distance = pqk_key_distance(UINT64_MAX)};

    for (size_t q = 0; q < search->num_queries; q++)
        for (size_t i = search->counts[q]; i < search->k; i++)
            search->results[q * search->k + i] = nothing;
}

pqk_status pqk_collection_search(const pqk_collection *collection,
                                 const float *queries, size_t num_queries,
                                 size_t k, const pqk_search_options *options,
                                 pqk_result *results, size_t *counts)
{
    struct search search;
    size_t *own_counts = NULL;
    size_t num_threads;

    if (!collection || (!queries && num_queries > 0) || k > MOST_RESULTS ||
        (!results && num_queries > 0 && k > 0) ||
        (options && pqk_options_ask_more(options)) ||
        !pqk_product_fits(num_queries, 2 * sizeof *results) ||
        !pqk_product_fits(num_queries * 2 * sizeof *results, k) ||
        !pqk_vectors_fit(num_queries, pqk_quantizer_dim(collection->quantizer)))
        return PQK_INVALID_ARGUMENT;
    search = begin_search(collection, queries, num_queries, k, options);
    if (!counts)
        counts = own_counts = pqk_array_alloc(num_queries, sizeof *counts);
    if (!counts)
        return PQK_OUT_OF_MEMORY;
    for (size_t q = 0; q < num_queries; q++)
        counts[q] = 0;
    search.results = results;
    search.counts = counts;
    if (num_queries > 0 && k > 0 && search.num_sources > 0) {
        num_threads = cut_into_units(&search, threads_wanted(&search));
        run_search(&search, search_units, num_threads);
    }
    if (search.status == PQK_OK)
        fill_up(&search);
    give_stats(&search);
    free(own_counts);
    return search.status;
}

/* ------------------------------------------------------------------------ */
/* All within a radius                                                      */

/* Under the lock. */
static pqk_status append_results(struct search *search,
                                 const struct pqk_rows *rows,
                                 const pqk_row_result *neighbors, size_t count)
{
    size_t needed = search->counts[0] + count;

    if (needed > search->range_capacity) {
        const size_t capacity = needed > SIZE_MAX / 2 ? needed : 2 * needed;
        pqk_result *grown =
            reallocarray(search->results, capacity, sizeof *grown);

        if (!grown)
            return PQK_OUT_OF_MEMORY;
        search->results = grown;
        search->range_capacity = capacity;
    }
    for (size_t i = 0; i < count; i++)
        search->results[search->counts[0]++] =
            (pqk_result){.id = pqk_rows_id(rows, neighbors[i].row),
                         .distance = neighbors[i].distance};
    return PQK_OK;
}

/* Collects with room for more and more results, until some is left. */
static pqk_status collect_range(const struct search *search, size_t source,
                                const struct pqk_rows *rows,
                                const struct pqk_filter *filter,
                                struct scratch *scratch, size_t *count)
{
    const size_t left = pqk_rows_left(rows);
    size_t k = scratch->k < left ? scratch->k : left;

    for (;;) {
        begin_heap(scratch, 0, k, last_key(search->radius));
        probe_source(search->collection, source, rows, filter, scratch);
        *count =
            pqk_top_k_heap_into_sorted(&scratch->heaps[0], scratch->neighbors);
        if (*count < k || k == left)
            return PQK_OK;
        k = k < left / 4 ? 4 * k : left;
        if (k > scratch->k && reserve_results(scratch, 1, k) != PQK_OK)
            return PQK_OUT_OF_MEMORY;
    }
}

static pqk_status range_source(struct search *search, size_t source,
                               struct scratch *scratch)
{
    const struct pqk_rows rows = source_rows(search->collection, source);
    struct asking asking;
    struct pqk_filter filter;
    size_t count;
    pqk_status status;

    if (!make_filter(search->options, &rows, scratch->rows, &asking, &filter))
        return PQK_OK;
    status = collect_range(search, source, &rows, &filter, scratch, &count);
    if (status != PQK_OK || count == 0)
        return status;
    pthread_mutex_lock(&search->lock);
    status = append_results(search, &rows, scratch->neighbors, count);
    pthread_mutex_unlock(&search->lock);
    return status;
}

static void *range_units(void *argument)
{
    struct search *search = argument;
    struct scratch *scratch =
        &search->scratches[atomic_fetch_add(&search->next_scratch, 1)];
    pqk_status status = PQK_OK;
    size_t source;

    load_group(search, 0, scratch);
    while (status == PQK_OK &&
           (source = atomic_fetch_add(&search->next_unit, 1)) <
               search->num_sources)
        status = range_source(search, source, scratch);
    add_stats(search, scratch);
    if (status != PQK_OK) {
        pthread_mutex_lock(&search->lock);
        search->status = status;
        pthread_mutex_unlock(&search->lock);
    }
    return NULL;
}

pqk_status pqk_collection_search_range(const pqk_collection *collection,
                                       const float *query, float radius,
                                       const pqk_search_options *options,
                                       pqk_result **results, size_t *count)
{
    struct search search;
    size_t found = 0, num_threads;

    if (!collection || !query || !results || !count ||
        (options && pqk_options_ask_more(options)))
        return PQK_INVALID_ARGUMENT;
    search = begin_search(collection, query, 1, RANGE_RESULTS, options);
    search.radius = radius;
    search.counts = &found;
    search.group_size = 1;
    if (!isnan(radius) && search.num_sources > 0) {
        num_threads = threads_wanted(&search);
        if (num_threads > search.num_sources)
            num_threads = search.num_sources;
        run_search(&search, range_units, num_threads);
    }
    if (search.status != PQK_OK) {
        free(search.results);
        return search.status;
    }
    pqk_sort_results(search.results, found);
    give_stats(&search);
    *results = search.results;
    *count = found;
    return PQK_OK;
}
