/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the fuzzers share.  Each is a libFuzzer target; with PQK_FUZZ_MAIN it is
 * a plain test that runs generated inputs, the same ones every time, and its
 * corpus.
 */
#ifndef PQK_FUZZ_H
#define PQK_FUZZ_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../testlib.h"

#define FUZZ_MAX_BYTES 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is being run, to be told when it finds a fault. */
static char fuzz_running[4200];

static inline void fuzz_say(const char *kind, const char *name)
{
    snprintf(fuzz_running, sizeof fuzz_running, "%s %s: ", kind, name);
}

/* Ends the process if there is a fault: what libFuzzer calls a crash. */
static inline void fuzz_check(const char *fault)
{
    if (fault) {
        fprintf(stderr, "%s%s\n", fuzz_running, fault);
        abort();
    }
}

/* The same of what must hold. */
#define FUZZ_THAT(condition)                                                   \
    fuzz_check((condition) ? NULL                                              \
                           : test_fault("%s, line %d: not true: %s", __FILE__, \
                                        __LINE__, #condition))

static char *fuzz_own_folder;

static inline void fuzz_remove_folder(void)
{
    test_remove_folder(fuzz_own_folder);
}

/* A folder for this process's files, for as long as it runs. */
static inline const char *fuzz_folder(const char *name)
{
    if (!fuzz_own_folder) {
        fuzz_own_folder = test_folder(name);
        atexit(fuzz_remove_folder);
    }
    return fuzz_own_folder;
}

/* The input as a stream of small decisions; after its end all are 0. */
struct fuzz_input {
    const uint8_t *data;
    size_t size;
};

static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
    if (input->size == 0)
        return 0;
    input->size--;
    return *input->data++;
}

static inline uint32_t fuzz_word(struct fuzz_input *input)
{
    uint32_t word = 0;

    for (int i = 0; i < 4; i++)
        word = word << 8 | fuzz_byte(input);
    return word;
}

static inline uint64_t fuzz_long(struct fuzz_input *input)
{
    const uint64_t high = fuzz_word(input);

    return high << 32 | fuzz_word(input);
}

static inline size_t fuzz_below(struct fuzz_input *input, size_t bound)
{
    return (fuzz_byte(input) | (size_t)fuzz_byte(input) << 8) % bound;
}

/* ------------------------------------------------------------------------ */
/* A plain test                                                              */

struct fuzz_plan {
    const char *name;
    size_t num_inputs;
    /* Makes an input of at most FUZZ_MAX_BYTES; returns its size. */
    size_t (*generate)(struct test_random *random, uint8_t *data);
};

static inline void fuzz_replay_file(const char *path)
{
    size_t size = 0;
    unsigned char *data = test_read_file(path, &size);

    if (!data) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(EXIT_FAILURE);
    }
    fuzz_say("file", path);
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

/* A file, or the files of a folder; how many. */
static inline size_t fuzz_replay(const char *path)
{
    DIR *directory = opendir(path);
    struct dirent *item;
    size_t count = 0;

    if (!directory) {
        fuzz_replay_file(path);
        return 1;
    }
    while ((item = readdir(directory)))
        if (item->d_name[0] != '.') {
            fuzz_replay_file(test_path(path, item->d_name));
            count++;
        }
    closedir(directory);
    return count;
}

/* The inputs that found something once, or reach what is hard to reach.  A
 * bundle for another machine comes without them. */
static inline void fuzz_replay_corpus(const struct fuzz_plan *plan)
{
    const char *source = getenv("abs_top_srcdir");
    char folder[4096];

    if (!source) {
        printf("ok 2 - %s: corpus # SKIP abs_top_srcdir is not set\n",
               plan->name);
        return;
    }
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", source,
             plan->name);
    printf("ok 2 - %s: %zu files of its corpus\n", plan->name,
           fuzz_replay(folder));
}

/* Generated inputs, or those of them that go into an empty corpus. */
static inline void fuzz_generate(const struct fuzz_plan *plan, size_t count,
                                 const char *folder)
{
    uint8_t *data = test_alloc(FUZZ_MAX_BYTES);
    struct test_random random = {20260101};
    char name[32];

    for (size_t i = 0; i < count; i++) {
        const size_t size = plan->generate(&random, data);

        snprintf(name, sizeof name, "generated-%zu", i);
        fuzz_say("input", name);
        if (folder)
            test_write_file(test_path(folder, name), data, size);
        else
            LLVMFuzzerTestOneInput(data, size);
    }
    free(data);
}

/*
 * Without arguments the generated inputs and the corpus, as a test; else the
 * files and folders that are named; or --write FOLDER, to fill that.
 */
static inline int fuzz_main(int argc, char **argv, const struct fuzz_plan *plan)
{
    const size_t count = test_scaled(plan->num_inputs);

    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        fuzz_generate(plan, count, argv[2]);
        return EXIT_SUCCESS;
    }
    test_print_variants();
    for (int i = 1; i < argc; i++)
        fuzz_replay(argv[i]);
    if (argc == 1) {
        fuzz_generate(plan, count, NULL);
        printf("1..2\nok 1 - %s: %zu inputs\n", plan->name, count);
        fuzz_replay_corpus(plan);
    }
    return EXIT_SUCCESS;
}

#endif
