/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What scripts/costs counts: queries against one variant, regime by regime, each
 * between costs_begin() and costs_end().  To be linked statically, so that nothing
 * is counted but the program itself, at addresses that are always the same.
 *
 *     query encode CODEBOOK.fvecs BASE.bvecs >CODES
 *     query run KERNEL CODEBOOK.fvecs CODES QUERIES.bvecs CELL
 *     query time KERNEL CODEBOOK.fvecs CODES QUERIES.bvecs CELL
 *     query cells
 *
 * `time` asks the same several times, and says how many nanoseconds of processor
 * time the quickest took: what the model of these instructions is held against.
 *
 * Everything is fixed: the shipped photographs, and codes made of theirs.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "pqkern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    M = 16,
    CENTROIDS = 256,
    SUB_DIM = 8,
    DIM = M * SUB_DIM,
    LARGE = 1000000, /* codes */
    NEAR = 4, /* centroids that may replace one, of which it is the first */
    ENCODED = 128, /* vectors at a time */
    TIMES = 7, /* that `time` asks the same */
};

enum way { PROBE, ROWS, ENCODE };

/* A table a query, or one a partition. */
enum tables { SHARED, OWN };

struct cell {
    const char *name;
    enum way way;
    size_t codes;     /* 0: as many as there are photographs' */
    size_t partition; /* codes in one; 0: all */
    enum tables tables;
    size_t batch, k;
    size_t queries; /* few of what takes long: the reference has no filter */
};

static const struct cell cells[] = {
    {"photos-k10", PROBE, 0, 0, SHARED, 1, 10, 32},
    {"photos-k100", PROBE, 0, 0, SHARED, 1, 100, 32},
    {"photos-k1000", PROBE, 0, 0, SHARED, 1, 1000, 32},
    {"photos-batch16", PROBE, 0, 0, SHARED, 16, 10, 32},
    {"photos-rows", ROWS, 0, 0, SHARED, 1, 10, 32},
    {"parts-8192", PROBE, 0, 8192, SHARED, 1, 10, 32},
    {"lists-2048", PROBE, 0, 2048, OWN, 1, 10, 32},
    {"large-k10", PROBE, LARGE, 0, SHARED, 1, 10, 16},
    {"large-k100", PROBE, LARGE, 0, SHARED, 1, 100, 16},
    {"large-rows", ROWS, LARGE, 0, SHARED, 1, 10, 16},
    {"encode", ENCODE, 0, 0, SHARED, 1, 0, ENCODED},
};
enum { CELLS = sizeof cells / sizeof cells[0] };

struct inputs {
    const pqk_kernel *kernel;
    pqk_codebook codebook;
    float *centroids, *queries;
    uint8_t *codes, *large;
    size_t num_codes, num_queries;
    pqk_index *index;
};

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "query: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void ok(pqk_status status, const char *what)
{
    if (status != PQK_OK) {
        fail(what, pqk_status_string(status));
    }
}

static void *need(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size);
    if (memory == NULL) {
        fail("memory", "there is not enough");
    }
    return memory;
}

static uint8_t *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    size_t room = 1u << 16, got = 0, more;
    uint8_t *bytes = malloc(room);
    if (file == NULL || bytes == NULL) {
        fail(path, "cannot be read");
    }
    while ((more = fread(bytes + got, 1, room - got, file)) > 0) {
        got += more;
        if (got == room) {
            uint8_t *moved = realloc(bytes, room *= 2);
            if (moved == NULL) {
                fail(path, "is too large");
            }
            bytes = moved;
        }
    }
    if (ferror(file) || fclose(file) != 0) {
        fail(path, "cannot be read");
    }
    *length = got;
    return bytes;
}

/* The rows of a .bvecs or .fvecs file, without the widths before them. */
static uint8_t *read_rows(const char *path, size_t width, size_t size,
                          size_t *count)
{
    size_t length, row = width * size, stride = row + 4;
    uint8_t *bytes = read_file(path, &length);
    if (length == 0 || length % stride != 0) {
        fail(path, "has rows of another width");
    }
    *count = length / stride;
    for (size_t i = 0; i < *count; i++) {
        const uint8_t *at = bytes + i * stride;
        if (at[0] != width || at[1] != 0 || at[2] != 0 || at[3] != 0) {
            fail(path, "has rows of another width");
        }
        memmove(bytes + i * row, at + 4, row);
    }
    return bytes;
}

static float *read_bytes_as_floats(const char *path, size_t *count)
{
    uint8_t *bytes = read_rows(path, DIM, 1, count);
    float *floats = need(*count * DIM, sizeof *floats);
    for (size_t i = 0; i < *count * DIM; i++) {
        floats[i] = bytes[i];
    }
    free(bytes);
    return floats;
}

static void read_codebook(struct inputs *in, const char *path)
{
    size_t count;
    uint8_t *bytes = read_rows(path, SUB_DIM, sizeof(float), &count);
    if (count != (size_t)M * CENTROIDS) {
        fail(path, "has another number of centroids");
    }
    in->centroids = need(count * SUB_DIM, sizeof(float));
    memcpy(in->centroids, bytes, count * SUB_DIM * sizeof(float));
    free(bytes);
    in->codebook = (pqk_codebook){.num_sub_vectors = M,
                                  .num_centroids = CENTROIDS,
                                  .sub_vector_dim = SUB_DIM,
                                  .centroids = in->centroids};
}

/* Each centroid's nearest ones, itself first: [M][256][NEAR]. */
static uint8_t *near_centroids(const float *centroids)
{
    uint8_t *near = need((size_t)M * CENTROIDS * NEAR, 1);
    for (size_t i = 0; i < (size_t)M * CENTROIDS; i++) {
        float best[NEAR] = {0};
        size_t held = 0;
        for (size_t c = 0; c < CENTROIDS; c++) {
            const float *a = centroids + i * SUB_DIM;
            const float *b =
                centroids + (i / CENTROIDS * CENTROIDS + c) * SUB_DIM;
            float sum = 0.0f;
            size_t at = held;
            for (size_t d = 0; d < SUB_DIM; d++) {
                sum += (a[d] - b[d]) * (a[d] - b[d]);
            }
            while (at > 0 && sum < best[at - 1]) {
                at--;
            }
            if (at == NEAR) {
                continue;
            }
            held += held < NEAR;
            for (size_t j = held - 1; j > at; j--) {
                best[j] = best[j - 1];
                near[i * NEAR + j] = near[i * NEAR + j - 1];
            }
            best[at] = sum;
            near[i * NEAR + at] = (uint8_t)c;
        }
    }
    return near;
}

/* What a larger base would hold: each photograph's code, and others near it, in
 * which some centroids are replaced by near ones. */
static void make_large(struct inputs *in)
{
    uint8_t *near = near_centroids(in->centroids);
    uint64_t random = 1;
    in->large = need(LARGE, M);
    for (size_t i = 0; i < LARGE; i++) {
        const uint8_t *from = in->codes + i % in->num_codes * M;
        for (size_t m = 0; m < M; m++) {
            size_t which = 0;
            random = random * 6364136223846793005u + 1442695040888963407u;
            if (i >= in->num_codes && random >> 63) {
                which = random >> 61 & (NEAR - 1);
            }
            in->large[i * M + m] =
                near[(m * CENTROIDS + from[m]) * NEAR + which];
        }
    }
    free(near);
}

static void make_index(struct inputs *in, const uint8_t *codes,
                       size_t num_codes, size_t partition)
{
    ok(pqk_index_create(&in->codebook, in->kernel, &in->index), "index");
    for (size_t i = 0; i < num_codes; i += partition) {
        size_t rest = num_codes - i;
        ok(pqk_index_add(in->index, codes + i * M,
                         rest < partition ? rest : partition),
           "partition");
    }
}

/* All variants have to give the same answers. */
static uint64_t digest = 0xcbf29ce484222325u;
/* Of prepared codes, by all queries; 0 where the library does not count them. */
static uint64_t bytes_read;

static void take(const void *memory, size_t length)
{
    const unsigned char *bytes = memory;
    for (size_t i = 0; i < length; i++) {
        digest = (digest ^ bytes[i]) * 0x100000001b3u;
    }
}

/* Found by their names; what is counted lies between them, whatever a compiler
 * would like to move. */
void costs_begin(void);
void costs_end(void);

__attribute__((noinline)) void costs_begin(void)
{
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void costs_end(void)
{
    __asm__ volatile("" ::: "memory");
}

/* Read outside of what is counted. */
static uint64_t began, least_ns = UINT64_MAX;

static uint64_t now_ns(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now) != 0) {
        fail("the clock", "cannot be read");
    }
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void begin(void)
{
    began = now_ns();
    costs_begin();
}

static void end(void)
{
    uint64_t took;
    costs_end();
    took = now_ns() - began;
    least_ns = took < least_ns ? took : least_ns;
}

static void probe(struct inputs *in, const struct cell *cell)
{
    pqk_scanner *scanner;
    pqk_row_result *found = need(cell->queries * cell->k, sizeof *found);
    pqk_search_stats stats;
    size_t count = 0;
    ok(pqk_scanner_create(in->index, cell->batch, cell->k, &scanner),
       "scanner");
    begin();
    for (size_t i = 0; i < cell->queries; i += cell->batch) {
        const float *query = in->queries + i % in->num_queries * DIM;
        ok(pqk_scanner_begin(scanner, cell->batch, cell->k), "begin");
        for (size_t p = 0; p < pqk_index_partitions(in->index); p++) {
            if (p == 0 || cell->tables == OWN) {
                ok(pqk_scanner_tables(scanner, query), "table");
            }
            ok(pqk_scanner_probe(scanner, p), "probe");
        }
        for (size_t j = 0; j < cell->batch; j++) {
            ok(pqk_scanner_results(scanner, j, found + (i + j) * cell->k,
                                   &count),
               "results");
        }
        ok(pqk_scanner_statistics(scanner, &stats), "statistics");
        bytes_read += stats.bytes_read;
    }
    end();
    take(found, cell->queries * cell->k * sizeof *found);
    pqk_scanner_free(scanner);
    free(found);
}

static void rows(const struct inputs *in, const struct cell *cell,
                 const uint8_t *codes, size_t num_codes)
{
    pqk_row_result *found = need(cell->queries * cell->k, sizeof *found);
    uint64_t *storage = need(pqk_top_k_heap_storage(cell->k), sizeof *storage);
    float *entries = need((size_t)M * PQK_TABLE_STRIDE, sizeof *entries);
    pqk_distance_table table = {.num_sub_vectors = M, .entries = entries};
    begin();
    for (size_t i = 0; i < cell->queries; i++) {
        const float *query = in->queries + i % in->num_queries * DIM;
        pqk_top_k_heap heap;
        ok(pqk_compute_distance_table_l2_with(in->kernel, query, &in->codebook,
                                              &table),
           "table");
        pqk_top_k_heap_init(&heap, storage, cell->k);
        ok(pqk_probe_pq_l2_top_k_with(in->kernel, &table, codes, num_codes,
                                      &heap),
           "probe");
        pqk_top_k_heap_into_sorted(&heap, found + i * cell->k);
    }
    end();
    take(found, cell->queries * cell->k * sizeof *found);
    free(entries);
    free(storage);
    free(found);
}

static void encode(const struct inputs *in)
{
    uint8_t *codes = need(ENCODED, M);
    pqk_quantizer *quantizer;
    ok(pqk_quantizer_create(&in->codebook, PQK_L2, &quantizer), "quantizer");
    begin();
    ok(pqk_quantizer_encode(quantizer, in->queries, ENCODED, 1, codes),
       "encode");
    end();
    take(codes, (size_t)ENCODED * M);
    pqk_quantizer_free(quantizer);
    free(codes);
}

static void run_cell(struct inputs *in, const struct cell *cell, int times)
{
    size_t num_codes = cell->codes == 0 ? in->num_codes : cell->codes;
    const uint8_t *codes = in->codes;
    if (cell->codes != 0) {
        make_large(in);
        codes = in->large;
    }
    if (cell->way == PROBE) {
        make_index(in, codes, num_codes,
                   cell->partition == 0 ? num_codes : cell->partition);
    }
    for (int i = 0; i < (times == 0 ? 1 : times); i++) {
        switch (cell->way) {
        case PROBE:
            probe(in, cell);
            break;
        case ROWS:
            rows(in, cell, codes, num_codes);
            break;
        case ENCODE:
            num_codes = 1;
            encode(in);
            break;
        }
    }
    if (times != 0) {
        printf("%s %zu %zu %llu\n", cell->name, cell->queries, num_codes,
               (unsigned long long)least_ns);
        return;
    }
    printf("%s %zu %zu %016llx %llu\n", cell->name, cell->queries, num_codes,
           (unsigned long long)digest, (unsigned long long)bytes_read);
}

/* One cell a process: what another one leaves in the heap moves what this one gets,
 * and copying takes some instructions more or less by where it starts. */
static int run(char **argv, int times)
{
    struct inputs in = {0};
    const char *kernel = argv[2];
    size_t length, c = 0;
    /* For what takes the default variant. */
    if (setenv("PQKERN_ISA", kernel, 1) != 0) {
        fail(kernel, "cannot be chosen");
    }
    ok(pqk_kernel_find(kernel, &in.kernel), kernel);
    read_codebook(&in, argv[3]);
    in.codes = read_file(argv[4], &length);
    in.num_codes = length / M;
    in.queries = read_bytes_as_floats(argv[5], &in.num_queries);
    if (in.num_codes == 0 || in.num_queries < ENCODED) {
        fail(argv[4], "too little");
    }
    while (c < CELLS && strcmp(cells[c].name, argv[6]) != 0) {
        c++;
    }
    if (c == CELLS) {
        fail(argv[6], "no such cell");
    }
    run_cell(&in, &cells[c], times);
    pqk_index_free(in.index);
    free(in.centroids);
    free(in.queries);
    free(in.codes);
    free(in.large);
    return EXIT_SUCCESS;
}

static int encode_base(char **argv)
{
    struct inputs in = {0};
    size_t count;
    float *base = read_bytes_as_floats(argv[3], &count);
    uint8_t *codes = need(count, M);
    pqk_quantizer *quantizer;
    read_codebook(&in, argv[2]);
    ok(pqk_quantizer_create(&in.codebook, PQK_L2, &quantizer), "quantizer");
    ok(pqk_quantizer_encode(quantizer, base, count, 1, codes), "encode");
    if (fwrite(codes, M, count, stdout) != count || fclose(stdout) != 0) {
        fail("standard output", "cannot be written");
    }
    pqk_quantizer_free(quantizer);
    free(in.centroids);
    free(codes);
    free(base);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "cells") == 0) {
        for (size_t i = 0; i < CELLS; i++) {
            printf("%s\n", cells[i].name);
        }
        return EXIT_SUCCESS;
    }
    if (argc == 4 && strcmp(argv[1], "encode") == 0) {
        return encode_base(argv);
    }
    if (argc == 7 && strcmp(argv[1], "run") == 0) {
        return run(argv, 0);
    }
    if (argc == 7 && strcmp(argv[1], "time") == 0) {
        return run(argv, TIMES);
    }
    fputs("Usage: query encode CODEBOOK.fvecs BASE.bvecs >CODES\n"
          "       query run|time KERNEL CODEBOOK.fvecs CODES QUERIES.bvecs CELL\n"
          "       query cells\n",
          stderr);
    return 64;
}
