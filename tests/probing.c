/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/fixture/reference.h"
#include "probing.h"

#define ALIGNMENT 64

/* That probe a part together. */
#define THREADS 3

static struct test_arena entries_arena, codes_arena, storage_arena;
static struct test_arena neighbors_arena, query_arena, centroids_arena;
static struct test_arena tables_arena, rows_arena, scratch_arena;

pqk_row_result *probing_reference(const float *entries, size_t num_sub_vectors,
                                  const uint8_t *codes, size_t num_vectors)
{
    pqk_row_result *neighbors = test_alloc(num_vectors * sizeof *neighbors);

    pqh_reference_probe(entries, num_sub_vectors, codes, num_vectors,
                        num_vectors, neighbors);
    return neighbors;
}

/* A copy between guard pages, some elements away from the one before if
 * placement says so. */
static const void *place_input(struct test_arena *arena, const void *source,
                               size_t bytes, size_t element, unsigned placement)
{
    size_t skew = placement % 2 ? placement / 2 * element : 0;
    unsigned char *block = test_place(arena, bytes + skew, placement);

    if (bytes > 0)
        memcpy(block + skew, source, bytes);
    return block + skew;
}

/* ------------------------------------------------------------------------ */
/* Row-major codes                                                           */

static void begin_heap(pqk_top_k_heap *heap, size_t k, unsigned placement)
{
    size_t slots = pqk_top_k_heap_storage(k);
    uint64_t *storage =
        test_place(&storage_arena, slots * sizeof *storage, placement);

    pqk_top_k_heap_init(heap, k > 0 ? storage : NULL, k);
}

static const char *compare_heap(pqk_top_k_heap *heap,
                                const pqk_row_result *expected, size_t count,
                                uint32_t first_id, unsigned placement)
{
    pqk_row_result *found =
        test_place(&neighbors_arena, heap->k * sizeof *found, placement);
    size_t found_count;

    if (heap->length < count)
        return test_fault("the heap's length is %zu, expected %zu or more",
                          heap->length, count);
    found_count = pqk_top_k_heap_into_sorted(heap, found);
    if (!test_canaries_intact(&storage_arena))
        return test_fault("the heap's storage was overrun");
    if (!test_canaries_intact(&neighbors_arena))
        return test_fault("the results were overrun");
    return test_compare(expected, count, first_id, found, found_count);
}

static const char *compare_inputs(const struct row_major *rows,
                                  const float *entries, const uint8_t *codes)
{
    size_t code_bytes = rows->num_vectors * rows->num_sub_vectors;

    if (memcmp(entries, rows->entries,
               rows->num_sub_vectors * PQK_TABLE_STRIDE * sizeof(float)) != 0 ||
        !test_canaries_intact(&entries_arena))
        return test_fault("the table was written to");
    if ((code_bytes > 0 && memcmp(codes, rows->codes, code_bytes) != 0) ||
        !test_canaries_intact(&codes_arena))
        return test_fault("the codes were written to");
    return NULL;
}

static const char *probe_rows(const struct row_major *rows,
                              pqk_top_k_heap *heap,
                              const pqk_row_result *expected, size_t count)
{
    const size_t M = rows->num_sub_vectors;
    const unsigned placement = rows->placement;
    const float *entries =
        place_input(&entries_arena, rows->entries,
                    M * PQK_TABLE_STRIDE * sizeof(float), 4, placement);
    const uint8_t *codes = place_input(&codes_arena, rows->codes,
                                       rows->num_vectors * M, 1, placement);
    const pqk_distance_table table = {.num_sub_vectors = M,
                                      .entries = (float *)(uintptr_t)entries};
    const char *fault;
    pqk_status status;

    test_dirty_stack();
    status = pqk_probe_pq_l2_top_k_with(rows->kernel, &table,
                                        rows->num_vectors ? codes : NULL,
                                        rows->num_vectors, heap);
    if (status != PQK_OK)
        return test_fault("probe: %s", pqk_status_string(status));
    fault = compare_heap(heap, expected, count, 0, placement);
    return fault ? fault : compare_inputs(rows, entries, codes);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

const char *probing_row_major(const struct row_major *rows, size_t k)
{
    pqk_top_k_heap heap;

    test_subcase(", k %zu", k);
    begin_heap(&heap, k, rows->placement);
    return probe_rows(rows, &heap, rows->expected, least(k, rows->num_vectors));
}

const char *probing_row_major_held(const struct row_major *rows, size_t k,
                                   const pqk_row_result *held, size_t num_held)
{
    const size_t total = rows->num_vectors + num_held;
    pqk_row_result *expected = test_alloc(total * sizeof *expected);
    pqk_top_k_heap heap;
    const char *fault;

    test_subcase(", k %zu, %zu held", k, num_held);
    memcpy(expected, rows->expected, rows->num_vectors * sizeof *expected);
    memcpy(expected + rows->num_vectors, held, num_held * sizeof *held);
    test_sort_results(expected, total);
    begin_heap(&heap, k, rows->placement);
    for (size_t i = 0; i < num_held; i++)
        pqk_top_k_heap_push(&heap, held[i].row, held[i].distance);
    fault = probe_rows(rows, &heap, expected, least(k, total));
    free(expected);
    return fault;
}

const char *probing_table(const pqk_kernel *kernel, const float *query,
                          const pqk_codebook *codebook, unsigned placement)
{
    const size_t M = codebook->num_sub_vectors, d = codebook->sub_vector_dim;
    const size_t query_bytes = M * d * sizeof(float);
    const size_t centroids_bytes = query_bytes * codebook->num_centroids;
    const size_t num_entries = M * PQK_TABLE_STRIDE;
    const size_t skew = placement % 2 ? placement / 2 : 0;
    pqk_distance_table table = {.num_sub_vectors = 12345, .entries = NULL};
    pqk_codebook guarded = *codebook;
    const float *placed =
        place_input(&query_arena, query, query_bytes, 4, placement);
    float *expected = test_alloc(num_entries * sizeof *expected);
    const char *fault = NULL;
    pqk_status status;

    guarded.centroids = place_input(&centroids_arena, codebook->centroids,
                                    centroids_bytes, 4, placement);
    /* It needs no alignment, either. */
    table.entries =
        (float *)test_place(&entries_arena,
                            (num_entries + skew) * sizeof(float), placement) +
        skew;
    test_dirty_stack();
    status =
        pqk_compute_distance_table_l2_with(kernel, placed, &guarded, &table);
    pqh_reference_table(query, codebook, expected);
    if (status != PQK_OK)
        fault = test_fault("table: %s", pqk_status_string(status));
    else if (table.num_sub_vectors != M)
        fault = test_fault("num_sub_vectors is %zu", table.num_sub_vectors);
    else if (!test_canaries_intact(&entries_arena))
        fault = test_fault("the table was overrun");
    else if (memcmp(placed, query, query_bytes) != 0 ||
             memcmp(guarded.centroids, codebook->centroids, centroids_bytes))
        fault = test_fault("the query or the codebook was written to");
    else
        fault = test_compare_tables(expected, table.entries, num_entries);
    free(expected);
    return fault;
}

/* ------------------------------------------------------------------------ */
/* The prepared path, through the door                                       */

/* A prepared block, as the library may do, is moved: pointers into the old
 * place would now lead to NaN.  Returns the new place; *copy is to be freed. */
static void *move(struct test_arena *to, size_t bytes, unsigned char **copy)
{
    void *moved;

    *copy = test_alloc(bytes);
    memcpy(*copy, scratch_arena.block, bytes);
    memset(scratch_arena.block, 0xff, bytes);
    moved = test_aligned(to, bytes, ALIGNMENT);
    memcpy(moved, *copy, bytes);
    return moved;
}

const char *probing_open(struct door *door, const pqk_kernel *kernel,
                         const pqk_codebook *codebook)
{
    const size_t bytes = kernel->codebook_bytes(codebook);
    const size_t centroids_bytes = codebook->num_sub_vectors *
                                   codebook->num_centroids *
                                   codebook->sub_vector_dim * sizeof(float);
    const unsigned cpu = /* whatever it is */
        test_bits(codebook->centroids[0]) % 2 ? 0 : ~0u;
    void *prepared = test_aligned(&scratch_arena, bytes, ALIGNMENT);
    pqk_codebook given = *codebook;
    pqk_status status;

    memset(door, 0, sizeof *door);
    door->kernel = kernel;
    door->codebook = *codebook;
    given.centroids = place_input(&centroids_arena, codebook->centroids,
                                  centroids_bytes, 4, 0);
    test_dirty_stack();
    status = kernel->prepare_codebook(&given, NULL, cpu, prepared);
    if (status != PQK_OK)
        return test_fault("prepare_codebook: %s", pqk_status_string(status));
    if (!test_canaries_intact(&scratch_arena))
        return test_fault("the prepared codebook was overrun");
    if (memcmp(given.centroids, codebook->centroids, centroids_bytes) != 0)
        return test_fault("prepare_codebook wrote to the codebook");
    door->prepared_codebook = move(&door->prepared, bytes, &door->copy);
    status = kernel->prepare_codebook(
        &given, kernel->labels_of(door->prepared_codebook), cpu,
        scratch_arena.block);
    if (status != PQK_OK)
        return test_fault("prepare_codebook, with labels: %s",
                          pqk_status_string(status));
    if (memcmp(scratch_arena.block, door->prepared_codebook, bytes) != 0)
        return test_fault("labels make another codebook");
    test_place(&centroids_arena, centroids_bytes, 0);
    return NULL;
}

void probing_close(struct door *door)
{
    test_arena_free(&door->prepared);
    free(door->copy);
}

/* Some of a probe's rows, prepared. */
struct part {
    size_t first, num_vectors;
    struct test_arena arena;
    void *codes;
    unsigned char *copy;
};

static const char *prepare_part(const struct door *door, const uint8_t *codes,
                                struct part *part)
{
    const size_t M = door->codebook.num_sub_vectors;
    const size_t code_bytes = part->num_vectors * M;
    const size_t bytes =
        door->kernel->codes_bytes(&door->codebook, part->num_vectors);
    const uint8_t *placed;
    pqk_status status;

    codes += part->first * M;
    placed = place_input(&codes_arena, codes, code_bytes, 1, 0);
    test_aligned(&scratch_arena, bytes, ALIGNMENT);
    test_dirty_stack();
    status =
        door->kernel->prepare_codes(door->prepared_codebook, placed,
                                    part->num_vectors, scratch_arena.block);
    if (status != PQK_OK)
        return test_fault("prepare_codes: %s", pqk_status_string(status));
    if (!test_canaries_intact(&scratch_arena))
        return test_fault("the prepared codes were overrun");
    if (code_bytes > 0 && memcmp(placed, codes, code_bytes) != 0)
        return test_fault("prepare_codes wrote to the codes");
    part->codes = move(&part->arena, bytes, &part->copy);
    test_place(&codes_arena, code_bytes, 0);
    return NULL;
}

static const char *restore_codes(const struct door *door,
                                 const uint8_t *expected,
                                 const struct part *part)
{
    const size_t M = door->codebook.num_sub_vectors;
    const size_t code_bytes = part->num_vectors * M;
    uint8_t *codes = test_place(&codes_arena, code_bytes, 0);

    expected += part->first * M;
    test_dirty_stack();
    door->kernel->restore_codes(door->prepared_codebook, part->codes,
                                part->num_vectors, codes);
    if (!test_canaries_intact(&codes_arena))
        return test_fault("restore_codes overran its output");
    for (size_t i = 0; i < code_bytes; i++)
        if (codes[i] != expected[i])
            return test_fault("restored code [%zu][%zu] is %d, not %d", i / M,
                              i % M, codes[i], expected[i]);
    return NULL;
}

static size_t row_of(const struct pqk_code_layout *layout,
                     const uint8_t *prepared, size_t position)
{
    size_t row = position;

    for (size_t b = 0; b < layout->row_bytes; b++) {
        row &= ~((size_t)0xff << 8 * b);
        row |= (size_t)prepared[layout->rows + position * layout->row_bytes + b]
               << 8 * b;
    }
    return row;
}

/* The same by code_layout and labels_of, as somebody reads a file. */
static const char *read_codes(const struct door *door, const uint8_t *expected,
                              const struct part *part)
{
    const size_t M = door->codebook.num_sub_vectors, n = part->num_vectors;
    const uint8_t *labels = door->kernel->labels_of(door->prepared_codebook);
    const struct pqk_code_layout layout =
        door->kernel->code_layout(&door->codebook, n);
    const uint8_t *prepared = part->codes;
    uint8_t *seen = test_alloc(n);
    const char *fault = NULL;

    expected += part->first * M;
    if (layout.bytes != door->kernel->codes_bytes(&door->codebook, n))
        fault = test_fault("a layout of %llu bytes",
                           (unsigned long long)layout.bytes);
    for (size_t i = 0; i < n && !fault; i++) {
        const size_t row = row_of(&layout, prepared, i);

        if (row >= n || seen[row]++)
            fault = test_fault("row %zu at %zu, out of range or again", row, i);
        for (size_t m = 0; m < M && !fault; m++) {
            const uint8_t code = expected[row * M + m];
            const uint8_t label =
                prepared[layout.columns + m * layout.column_stride +
                         i * layout.position_stride];

            if (label != (labels ? labels[m * 256 + code] : code))
                fault = test_fault("another label at [%zu][%zu]", i, m);
        }
    }
    free(seen);
    return fault;
}

static const char *check_part(const struct door *door,
                              const struct prepared_probe *probe,
                              const struct part *part)
{
    const char *fault = restore_codes(door, probe->codes, part);

    if (!fault)
        fault = read_codes(door, probe->codes, part);
    return fault;
}

static int is_group_count(uint32_t groups)
{
    return groups == 0 || groups == 16 || groups == 64 || groups == 128 ||
           groups == 256;
}

const char *probing_statistics(const pqk_search_stats *stats,
                               const char *kernel, uint64_t codes,
                               uint64_t least_survivors)
{
    if (!stats->kernel || strcmp(stats->kernel, kernel) != 0)
        return test_fault("statistics name kernel %s, not %s",
                          stats->kernel ? stats->kernel : "NULL", kernel);
    if (!is_group_count(stats->bound_groups))
        return test_fault("statistics: %lu groups",
                          (unsigned long)stats->bound_groups);
    if (stats->codes != codes)
        return test_fault("statistics: %llu codes, expected %llu",
                          (unsigned long long)stats->codes,
                          (unsigned long long)codes);
    if (stats->survivors > codes || stats->survivors < least_survivors)
        return test_fault("statistics: %llu survivors of %llu codes, expected "
                          "at least %llu",
                          (unsigned long long)stats->survivors,
                          (unsigned long long)codes,
                          (unsigned long long)least_survivors);
    if (least_survivors > 0 && stats->bytes_read == 0)
        return test_fault("statistics: no bytes read");
    return NULL;
}

/* ------------------------------------------------------------------------ */
/* What narrows a search                                                     */

/* What a predicate is asked of, and what it was asked that it should not. */
struct asked {
    const struct narrowing *narrowing;
    const struct part *part;
    size_t k;
    const float *distances; /* by row of all, or NULL */
    const pqk_top_k_heap *heap;
    const char *fault;
};

static int is_in_bitmap(const uint64_t *rows, size_t row)
{
    return !rows || (rows[row / 64] >> row % 64 & 1);
}

static int ask(void *context, uint32_t row)
{
    struct asked *asked = context;
    const size_t of_all = asked->part->first + row;

    if (row >= asked->part->num_vectors)
        asked->fault = "a row that is none";
    else if (asked->k == 0)
        asked->fault = "a row, though none is wanted";
    else if (!is_in_bitmap(asked->narrowing->rows, of_all))
        asked->fault = "a row that the bits do not allow";
    else if (asked->distances &&
             asked->distances[of_all] > pqk_heap_bound(asked->heap))
        asked->fault = "a row beyond the bound";
    return asked->narrowing->allows((uint32_t)of_all);
}

/* The bits of one part's rows, in as many words as they take; those that are
 * left over in the last word are set. */
static const uint64_t *rows_of_part(const uint64_t *rows,
                                    const struct part *part)
{
    const size_t words = (part->num_vectors + 63) / 64;
    uint64_t *placed = test_at_end(&rows_arena, words * sizeof *placed);

    for (size_t i = 0; i < part->num_vectors; i++)
        if (!is_in_bitmap(rows, part->first + i))
            placed[i / 64] &= ~((uint64_t)1 << i % 64);
    return placed;
}

static float moved(float value, int ulps)
{
    for (; ulps > 0; ulps--)
        value = nextafterf(value, INFINITY);
    for (; ulps < 0; ulps++)
        value = nextafterf(value, -INFINITY);
    return value;
}

/* The bound that a query's heap begins with. */
static float limit_of(const struct preset *preset, const pqk_row_result *all,
                      size_t count)
{
    return preset->by_rank
               ? moved(all[preset->rank % count].distance, preset->ulps)
               : preset->value;
}

/* Leaves those that may be results, and returns how many they are. */
static size_t narrow(const struct narrowing *narrowing, float limit,
                     pqk_row_result *all, size_t count)
{
    const uint64_t most = pqk_result_key(limit, UINT32_MAX);
    size_t left = 0;

    for (size_t i = 0; i < count; i++)
        if (is_in_bitmap(narrowing->rows, all[i].row) &&
            (!narrowing->allows || narrowing->allows(all[i].row)) &&
            (!narrowing->preset ||
             pqk_result_key(all[i].distance, all[i].row) <= most))
            all[left++] = all[i];
    return left;
}

/* ------------------------------------------------------------------------ */
/* Passes                                                                    */

struct expected {
    pqk_row_result *neighbors; /* those that may be results, sorted */
    size_t count;
    float limit;
    float *distances; /* by row */
};

/* One pass over each part for all queries, into heaps whose storage lies side
 * by side. */
struct pass {
    const struct door *door;
    const struct prepared_probe *probe;
    const struct narrowing *narrowing;
    const struct part *parts;
    size_t num_parts;
    void *tables;
    struct expected *expected; /* [num_queries] */
    int together;              /* several threads probe each part */
    unsigned num_made;         /* tables were made so often */
};

static void begin_heaps(const struct pass *pass, size_t k,
                        pqk_top_k_heap *heaps)
{
    const size_t slots = pqk_top_k_heap_storage(k);
    const size_t num_queries = pass->probe->num_queries;
    uint64_t *storage =
        test_at_end(&storage_arena, num_queries * slots * sizeof *storage);

    for (size_t q = 0; q < num_queries; q++) {
        pqk_top_k_heap_init(&heaps[q], storage + q * slots, k);
        if (pass->narrowing->preset && k > 0)
            heaps[q].bound =
                pqk_result_key(pass->expected[q].limit, UINT32_MAX);
    }
}

/* Probes as several threads do that share a part, one after another, each with an
 * equal share, and adds what they found to the heaps. */
static void probe_together(const struct pass *pass, const struct part *part,
                           const struct pqk_filter *filter,
                           pqk_top_k_heap *heaps, pqk_search_stats *stats)
{
    const size_t k = heaps->k, num_queries = pass->probe->num_queries;
    const size_t slots = pqk_top_k_heap_storage(k);
    const size_t pieces = pqk_pieces_of(part->num_vectors);
    uint64_t *storage = test_alloc(num_queries * slots * sizeof *storage + 1);
    pqk_top_k_heap *own = test_alloc(num_queries * sizeof *own);
    pqk_row_result *found = test_alloc(k * sizeof *found + 1);

    for (size_t t = 0; t < THREADS; t++) {
        struct pqk_share share = {.end = pieces * (t + 1) / THREADS,
                                  .num_threads = 1 + t % 2};

        atomic_init(&share.next, pieces * t / THREADS);
        for (size_t q = 0; q < num_queries; q++) {
            pqk_top_k_heap_init(&own[q], storage + q * slots, k);
            own[q].bound = heaps[q].bound;
        }
        test_dirty_stack();
        pass->door->kernel->probe(
            pass->door->prepared_codebook, part->codes, part->num_vectors,
            pass->probe->first_id + (uint32_t)part->first, filter, pass->tables,
            num_queries, own, stats, &share);
        for (size_t q = 0; q < num_queries; q++) {
            const size_t count = pqk_top_k_heap_into_sorted(&own[q], found);

            for (size_t i = 0; i < count; i++)
                pqk_top_k_heap_push(&heaps[q], found[i].row, found[i].distance);
        }
    }
    free(storage);
    free(own);
    free(found);
}

static const char *probe_part(const struct pass *pass, const struct part *part,
                              pqk_top_k_heap *heaps, pqk_search_stats *stats)
{
    const struct narrowing *narrowing = pass->narrowing;
    const size_t num_queries = pass->probe->num_queries;
    struct asked asked = {narrowing, part, heaps->k, NULL, heaps, NULL};
    struct pqk_filter filter = {NULL, NULL, &asked};
    const int filters = narrowing->rows || narrowing->allows;

    if (num_queries == 1)
        asked.distances = pass->expected->distances;
    if (narrowing->rows)
        filter.rows = rows_of_part(narrowing->rows, part);
    if (narrowing->allows)
        filter.allows = ask;
    test_dirty_stack();
    if (pass->together)
        probe_together(pass, part, filters ? &filter : NULL, heaps, stats);
    else
        pass->door->kernel->probe(pass->door->prepared_codebook, part->codes,
                                  part->num_vectors,
                                  pass->probe->first_id + (uint32_t)part->first,
                                  filters ? &filter : NULL, pass->tables,
                                  num_queries, heaps, stats, NULL);
    return asked.fault
               ? test_fault("the predicate was asked of %s", asked.fault)
               : NULL;
}

/* What the heaps of a probe may have been when its tables were made: the same, or
 * empty, or with other results. */
static void earlier_heap(const struct pass *pass, size_t q,
                         pqk_top_k_heap *heap)
{
    const struct expected *expected = &pass->expected[q];

    switch ((pass->num_made + q) % 3) {
    case 1:
        heap->bound = UINT64_MAX;
        break;
    case 2:
        if (expected->count > 0)
            heap->bound = pqk_result_key(
                expected->neighbors[heap->k % expected->count].distance,
                UINT32_MAX);
        break;
    default:
        break;
    }
}

static const char *make_tables(struct pass *pass, const pqk_top_k_heap *heaps)
{
    const struct door *door = pass->door;
    const struct prepared_probe *probe = pass->probe;
    const size_t num_queries = probe->num_queries;
    const size_t query_bytes = num_queries * sizeof(float) *
                               door->codebook.num_sub_vectors *
                               door->codebook.sub_vector_dim;
    const float *queries =
        place_input(&query_arena, probe->queries, query_bytes, 4, 0);
    pqk_top_k_heap *earlier = test_alloc(num_queries * sizeof *earlier);

    memcpy(earlier, heaps, num_queries * sizeof *earlier);
    for (size_t q = 0; q < num_queries; q++)
        earlier_heap(pass, q, &earlier[q]);
    pass->num_made++;
    test_dirty_stack();
    door->kernel->compute_tables(door->prepared_codebook,
                                 pass->narrowing->metric, queries, num_queries,
                                 earlier, pass->tables);
    free(earlier);
    if (!test_canaries_intact(&tables_arena))
        return test_fault("the tables were overrun");
    if (memcmp(queries, probe->queries, query_bytes) != 0)
        return test_fault("compute_tables wrote to the queries");
    test_place(&query_arena, query_bytes, 0);
    return NULL;
}

static const char *run_pass(struct pass *pass, size_t k)
{
    const struct prepared_probe *probe = pass->probe;
    const size_t num_queries = probe->num_queries;
    pqk_top_k_heap *heaps = test_alloc(num_queries * sizeof *heaps);
    pqk_search_stats stats = {.kernel = "nobody",
                              .bound_groups = 77,
                              .codes = 1000,
                              .survivors = 100,
                              .bytes_read = 10};
    const char *fault = NULL;
    uint64_t results = 0;

    begin_heaps(pass, k, heaps);
    test_subcase(", k %zu, %zu queries%s", k, num_queries,
                 pass->together ? " together" : "");
    fault = make_tables(pass, heaps);
    for (size_t p = 0; p < pass->num_parts && !fault; p++) {
        fault = probe_part(pass, &pass->parts[p], heaps, &stats);
        if (!fault && p % 2 == 0) /* as lists have tables of their own */
            fault = make_tables(pass, heaps);
    }
    for (size_t q = 0; q < num_queries && !fault; q++) {
        const struct expected *expected = &pass->expected[q];
        const size_t count = least(k, expected->count);

        test_subcase(", k %zu, query %zu of %zu", k, q, num_queries);
        fault = compare_heap(&heaps[q], expected->neighbors, count,
                             probe->first_id, 0);
        results += count;
    }
    free(heaps);
    if (fault)
        return fault;
    if (!test_canaries_intact(&tables_arena))
        return test_fault("the tables were overrun by a probe");
    stats.codes -= 1000;
    stats.survivors -= 100;
    return probing_statistics(
        &stats, "nobody", (uint64_t)probe->num_vectors * num_queries, results);
}

/* Minus the sums of products, as the header defines them. */
static void table_of_products(const float *query, const pqk_codebook *codebook,
                              float *entries)
{
    const size_t d = codebook->sub_vector_dim;
    const float *centroid = codebook->centroids;

    for (size_t m = 0; m < codebook->num_sub_vectors; m++)
        for (size_t c = 0; c < PQK_TABLE_STRIDE; c++) {
            float sum = 0.0f;

            if (c < codebook->num_centroids)
                for (size_t i = 0; i < d; i++)
                    sum += query[m * d + i] * *centroid++;
            entries[m * PQK_TABLE_STRIDE + c] =
                c < codebook->num_centroids ? -sum : INFINITY;
        }
}

static struct expected expect(const struct pass *pass, size_t q)
{
    const struct prepared_probe *probe = pass->probe;
    const struct narrowing *narrowing = pass->narrowing;
    const pqk_codebook *codebook = &pass->door->codebook;
    const size_t M = codebook->num_sub_vectors, n = probe->num_vectors;
    const float *query = probe->queries + q * M * codebook->sub_vector_dim;
    float *entries = test_alloc(M * PQK_TABLE_STRIDE * sizeof *entries);
    struct expected expected = {NULL, 0, 0.0f, NULL};

    if (narrowing->metric == PQK_L2)
        pqh_reference_table(query, codebook, entries);
    else
        table_of_products(query, codebook, entries);
    expected.neighbors = probing_reference(entries, M, probe->codes, n);
    expected.distances = test_alloc(n * sizeof(float));
    for (size_t i = 0; i < n; i++)
        expected.distances[expected.neighbors[i].row] =
            expected.neighbors[i].distance;
    if (narrowing->preset)
        expected.limit = limit_of(narrowing->preset, expected.neighbors, n);
    expected.count = narrow(narrowing, expected.limit, expected.neighbors, n);
    free(entries);
    return expected;
}

static const char *run_passes(struct pass *pass)
{
    const struct door *door = pass->door;
    const struct prepared_probe *probe = pass->probe;
    const char *fault = NULL;

    pass->tables = test_aligned(
        &tables_arena,
        door->kernel->tables_bytes(&door->codebook, probe->num_queries),
        ALIGNMENT);
    pass->expected = test_alloc(probe->num_queries * sizeof *pass->expected);
    for (size_t q = 0; q < probe->num_queries; q++)
        pass->expected[q] = expect(pass, q);
    for (size_t i = 0; i < probe->num_ks && !fault; i++)
        fault = run_pass(pass, probe->ks[i]);
    pass->together = 1;
    for (size_t i = 0;
         i < probe->num_ks && !fault && probe->num_vectors > PQK_PIECE; i++)
        fault = run_pass(pass, probe->ks[i]);
    for (size_t q = 0; q < probe->num_queries; q++) {
        free(pass->expected[q].neighbors);
        free(pass->expected[q].distances);
    }
    free(pass->expected);
    return fault;
}

static const char *check_untouched(const struct door *door,
                                   const struct part *part)
{
    if (memcmp(part->codes, part->copy, part->arena.block_bytes) != 0)
        return test_fault("the prepared codes were written to");
    if (memcmp(door->prepared_codebook, door->copy,
               door->prepared.block_bytes) != 0)
        return test_fault("the prepared codebook was written to");
    if (!test_canaries_intact(&part->arena))
        return test_fault("the prepared codes were overrun");
    return NULL;
}

const char *probing_narrowed(const struct door *door,
                             const struct prepared_probe *probe,
                             const struct narrowing *narrowing)
{
    const size_t n = probe->num_vectors;
    const size_t rows = narrowing->part_rows ? narrowing->part_rows : n;
    const size_t num_parts = n > 0 ? (n + rows - 1) / rows : 1;
    struct part *parts = test_alloc(num_parts * sizeof *parts);
    struct pass pass = {.door = door,
                        .probe = probe,
                        .narrowing = narrowing,
                        .parts = parts,
                        .num_parts = num_parts};
    const char *fault = NULL;

    for (size_t p = 0; p < num_parts && !fault; p++) {
        parts[p].first = p * rows;
        parts[p].num_vectors = least(rows, n - p * rows);
        fault = prepare_part(door, probe->codes, &parts[p]);
        if (!fault && n > 0)
            fault = check_part(door, probe, &parts[p]);
    }
    if (!fault && n > 0)
        fault = run_passes(&pass);
    for (size_t p = 0; p < num_parts; p++) {
        if (!fault)
            fault = check_untouched(door, &parts[p]);
        test_arena_free(&parts[p].arena);
        free(parts[p].copy);
    }
    free(parts);
    return fault;
}

const char *probing_prepared(const struct door *door,
                             const struct prepared_probe *probe)
{
    static const struct narrowing none;

    return probing_narrowed(door, probe, &none);
}
