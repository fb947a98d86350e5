/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "harness/reference.h"
#include "probing.h"

#define ALIGNMENT 64

static struct test_arena entries_arena, codes_arena, storage_arena;
static struct test_arena neighbors_arena, query_arena, centroids_arena;
static struct test_arena prepared_codes_arena, tables_arena, scratch_arena;

pqk_neighbor *probing_reference(const float *entries, size_t num_sub_vectors,
                                const uint8_t *codes, size_t num_vectors)
{
    pqk_neighbor *neighbors = test_alloc(num_vectors * sizeof *neighbors);

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
                                const pqk_neighbor *expected, size_t count,
                                uint32_t first_id, unsigned placement)
{
    pqk_neighbor *found =
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
                              const pqk_neighbor *expected, size_t count)
{
    const size_t M = rows->num_sub_vectors;
    const unsigned placement = rows->placement;
    const float *entries =
        place_input(&entries_arena, rows->entries,
                    M * PQK_TABLE_STRIDE * sizeof(float), 4, placement);
    const uint8_t *codes = place_input(&codes_arena, rows->codes,
                                       rows->num_vectors * M, 1, placement);
    const pqk_distance_table table = {M, (float *)(uintptr_t)entries};
    const char *fault;
    pqk_status status = pqk_probe_pq_l2_top_k_with(
        rows->kernel, &table, rows->num_vectors ? codes : NULL,
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
                                   const pqk_neighbor *held, size_t num_held)
{
    const size_t total = rows->num_vectors + num_held;
    pqk_neighbor *expected = test_alloc(total * sizeof *expected);
    pqk_top_k_heap heap;
    const char *fault;

    test_subcase(", k %zu, %zu held", k, num_held);
    memcpy(expected, rows->expected, rows->num_vectors * sizeof *expected);
    memcpy(expected + rows->num_vectors, held, num_held * sizeof *held);
    test_sort_results(expected, total);
    begin_heap(&heap, k, rows->placement);
    for (size_t i = 0; i < num_held; i++)
        pqk_top_k_heap_push(&heap, held[i].id, held[i].distance);
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
    pqk_distance_table table = {12345, NULL};
    pqk_codebook guarded = *codebook;
    const float *placed =
        place_input(&query_arena, query, query_bytes, 4, placement);
    float *expected = test_alloc(num_entries * sizeof *expected);
    const char *fault = NULL;
    pqk_status status;

    guarded.centroids = place_input(&centroids_arena, codebook->centroids,
                                    centroids_bytes, 4, placement);
    table.entries =
        test_place(&entries_arena, num_entries * sizeof(float), placement);
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
    void *prepared = test_aligned(&scratch_arena, bytes, ALIGNMENT);
    pqk_codebook given = *codebook;
    pqk_status status;

    memset(door, 0, sizeof *door);
    door->kernel = kernel;
    door->codebook = *codebook;
    given.centroids = place_input(&centroids_arena, codebook->centroids,
                                  centroids_bytes, 4, 0);
    status = kernel->prepare_codebook(&given, NULL, prepared);
    if (status != PQK_OK)
        return test_fault("prepare_codebook: %s", pqk_status_string(status));
    if (!test_canaries_intact(&scratch_arena))
        return test_fault("the prepared codebook was overrun");
    if (memcmp(given.centroids, codebook->centroids, centroids_bytes) != 0)
        return test_fault("prepare_codebook wrote to the codebook");
    door->prepared_codebook = move(&door->prepared, bytes, &door->copy);
    test_place(&centroids_arena, centroids_bytes, 0);
    return NULL;
}

void probing_close(struct door *door)
{
    test_arena_free(&door->prepared);
    free(door->copy);
}

static const char *prepare_codes(const struct door *door,
                                 const struct prepared_probe *probe,
                                 void **prepared_codes, unsigned char **copy)
{
    const size_t n = probe->num_vectors;
    const size_t code_bytes = n * door->codebook.num_sub_vectors;
    const size_t bytes = door->kernel->codes_bytes(&door->codebook, n);
    const uint8_t *codes;
    pqk_status status;

    codes = place_input(&codes_arena, probe->codes, code_bytes, 1, 0);
    test_aligned(&scratch_arena, bytes, ALIGNMENT);
    status = door->kernel->prepare_codes(door->prepared_codebook, codes, n,
                                         scratch_arena.block);
    if (status != PQK_OK)
        return test_fault("prepare_codes: %s", pqk_status_string(status));
    if (!test_canaries_intact(&scratch_arena))
        return test_fault("the prepared codes were overrun");
    if (code_bytes > 0 && memcmp(codes, probe->codes, code_bytes) != 0)
        return test_fault("prepare_codes wrote to the codes");
    *prepared_codes = move(&prepared_codes_arena, bytes, copy);
    test_place(&codes_arena, code_bytes, 0);
    return NULL;
}

static const char *restore_codes(const struct door *door,
                                 const struct prepared_probe *probe,
                                 const void *prepared_codes)
{
    const size_t code_bytes =
        probe->num_vectors * door->codebook.num_sub_vectors;
    uint8_t *codes = test_place(&codes_arena, code_bytes, 0);

    door->kernel->restore_codes(door->prepared_codebook, prepared_codes,
                                probe->num_vectors, codes);
    if (!test_canaries_intact(&codes_arena))
        return test_fault("restore_codes overran its output");
    for (size_t i = 0; i < code_bytes; i++)
        if (codes[i] != probe->codes[i])
            return test_fault("restored code [%zu][%zu] is %d, not %d",
                              i / door->codebook.num_sub_vectors,
                              i % door->codebook.num_sub_vectors, codes[i],
                              probe->codes[i]);
    return NULL;
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

/* One pass for all queries into heaps whose storage lies side by side. */
struct pass {
    const struct door *door;
    const struct prepared_probe *probe;
    const void *prepared_codes;
    void *tables;
    pqk_neighbor **expected; /* [num_queries] */
};

static const char *run_pass(const struct pass *pass, size_t k)
{
    const struct prepared_probe *probe = pass->probe;
    const struct door *door = pass->door;
    const size_t slots = pqk_top_k_heap_storage(k), n = probe->num_vectors;
    const size_t num_queries = probe->num_queries;
    pqk_top_k_heap *heaps = test_alloc(num_queries * sizeof *heaps);
    uint64_t *storage =
        test_at_end(&storage_arena, num_queries * slots * sizeof *storage);
    pqk_search_stats stats = {"nobody", 77, 1000, 100, 10};
    const char *fault = NULL;

    for (size_t q = 0; q < num_queries; q++)
        pqk_top_k_heap_init(&heaps[q], storage + q * slots, k);
    test_subcase(", k %zu, %zu queries", k, num_queries);
    door->kernel->probe(door->prepared_codebook, pass->prepared_codes, n,
                        probe->first_id, NULL, pass->tables, num_queries, heaps,
                        &stats);
    for (size_t q = 0; q < num_queries && !fault; q++) {
        test_subcase(", k %zu, query %zu of %zu", k, q, num_queries);
        fault = compare_heap(&heaps[q], pass->expected[q], least(k, n),
                             probe->first_id, 0);
    }
    free(heaps);
    if (fault)
        return fault;
    if (!test_canaries_intact(&tables_arena))
        return test_fault("the tables were overrun by a probe");
    stats.codes -= 1000;
    stats.survivors -= 100;
    return probing_statistics(&stats, "nobody", (uint64_t)n * num_queries,
                              (uint64_t)least(k, n) * num_queries);
}

static pqk_neighbor **expect(const struct door *door,
                             const struct prepared_probe *probe)
{
    const size_t M = door->codebook.num_sub_vectors;
    const size_t dim = M * door->codebook.sub_vector_dim;
    pqk_neighbor **expected = test_alloc(probe->num_queries * sizeof *expected);
    float *entries = test_alloc(M * PQK_TABLE_STRIDE * sizeof *entries);

    for (size_t q = 0; q < probe->num_queries; q++) {
        pqh_reference_table(probe->queries + q * dim, &door->codebook, entries);
        expected[q] =
            probing_reference(entries, M, probe->codes, probe->num_vectors);
    }
    free(entries);
    return expected;
}

static const char *run_passes(const struct door *door,
                              const struct prepared_probe *probe,
                              const void *prepared_codes)
{
    const size_t query_bytes = probe->num_queries * sizeof(float) *
                               door->codebook.num_sub_vectors *
                               door->codebook.sub_vector_dim;
    const float *queries =
        place_input(&query_arena, probe->queries, query_bytes, 4, 0);
    struct pass pass = {door, probe, prepared_codes, NULL, NULL};
    const char *fault = NULL;

    pass.tables = test_aligned(
        &tables_arena,
        door->kernel->tables_bytes(&door->codebook, probe->num_queries),
        ALIGNMENT);
    door->kernel->compute_tables(door->prepared_codebook, PQK_L2, queries,
                                 probe->num_queries, pass.tables);
    if (!test_canaries_intact(&tables_arena))
        return test_fault("the tables were overrun");
    if (memcmp(queries, probe->queries, query_bytes) != 0)
        return test_fault("compute_tables wrote to the queries");
    test_place(&query_arena, query_bytes, 0);
    pass.expected = expect(door, probe);
    for (size_t i = 0; i < probe->num_ks && !fault; i++)
        fault = run_pass(&pass, probe->ks[i]);
    for (size_t q = 0; q < probe->num_queries; q++)
        free(pass.expected[q]);
    free(pass.expected);
    return fault;
}

const char *probing_prepared(const struct door *door,
                             const struct prepared_probe *probe)
{
    unsigned char *copy = NULL;
    void *prepared_codes = NULL;
    const char *fault = prepare_codes(door, probe, &prepared_codes, &copy);

    if (!fault && probe->num_vectors > 0)
        fault = restore_codes(door, probe, prepared_codes);
    if (!fault && probe->num_vectors > 0)
        fault = run_passes(door, probe, prepared_codes);
    if (!fault && prepared_codes && copy &&
        memcmp(prepared_codes, copy, prepared_codes_arena.block_bytes) != 0)
        fault = test_fault("the prepared codes were written to");
    if (!fault && memcmp(door->prepared_codebook, door->copy,
                         door->prepared.block_bytes) != 0)
        fault = test_fault("the prepared codebook was written to");
    if (!fault && !test_canaries_intact(&prepared_codes_arena))
        fault = test_fault("the prepared codes were overrun");
    free(copy);
    return fault;
}
