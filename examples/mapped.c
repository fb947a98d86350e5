/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A collection larger than the memory that the program may use: it is written in
 * a child process, then mapped by one whose data may take a quarter of that.
 */
#include <pqkern.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DIM = 64, M = 32, K = 3, PIECE = 65536 };

static void check(pqk_status status, const char *what)
{
    if (status == PQK_OK)
        return;
    fprintf(stderr, "mapped: %s: %s\n", what, pqk_status_string(status));
    exit(1);
}

/* Codes as they might come from a file, piece by piece. */
static void write_collection(const char *path, size_t pieces)
{
    static float some[1024][DIM];
    static uint8_t codes[PIECE][M];
    pqk_training training = {.dim = DIM, .num_sub_vectors = M, .rounds = 2};
    pqk_quantizer *quantizer = NULL;
    pqk_collection *collection = NULL;

    for (size_t i = 0; i < 1024 * DIM; i++)
        some[i / DIM][i % DIM] = (float)rand() / (float)RAND_MAX;
    check(pqk_quantizer_train(&some[0][0], 1024, &training, &quantizer),
          "training");
    check(pqk_collection_create(quantizer, NULL, &collection), "collection");
    for (size_t piece = 0; piece < pieces; piece++) {
        for (size_t i = 0; i < PIECE * M; i++)
            codes[i / M][i % M] = (uint8_t)(rand() >> 7);
        check(
            pqk_collection_add_codes(collection, &codes[0][0], NULL, PIECE, 1),
            "adding");
    }
    check(pqk_collection_save(collection, path), path);
    pqk_collection_free(collection);
    pqk_quantizer_free(quantizer);
}

static void search_mapped(const char *path, rlim_t limit)
{
    const struct rlimit data = {limit, limit};
    float query[DIM];
    pqk_collection *collection = NULL;
    pqk_result found[K];

    if (setrlimit(RLIMIT_DATA, &data) != 0)
        perror("mapped: setrlimit");
    check(pqk_collection_open(path, NULL, 0, &collection), path);
    for (size_t i = 0; i < DIM; i++)
        query[i] = 0.5f;
    check(pqk_collection_search(collection, query, 1, K, NULL, found, NULL),
          "search");
    printf("%zu vectors, nearest %llu at %.9g\n",
           pqk_collection_size(collection), (unsigned long long)found[0].id,
           (double)found[0].distance);
    pqk_collection_free(collection);
}

int main(int argc, char **argv)
{
    struct stat info;
    int status = 1;
    pid_t writer;

    if (argc != 3 || atoi(argv[2]) < 1) {
        fprintf(stderr, "Usage: mapped FILE PIECES\n"
                        "Write PIECES times 65536 random codes to FILE and "
                        "search them from a map.\n");
        return 64;
    }
    writer = fork();
    if (writer == 0) {
        write_collection(argv[1], (size_t)atoi(argv[2]));
        exit(0);
    }
    if (writer < 0 || waitpid(writer, &status, 0) < 0 || status != 0 ||
        stat(argv[1], &info) != 0) {
        fprintf(stderr, "mapped: %s was not written\n", argv[1]);
        return 1;
    }
    search_mapped(argv[1], (rlim_t)info.st_size / 4);
    return 0;
}
