/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the fuzzers share.  Each is a libFuzzer target; with PQK_FUZZ_MAIN it is
 * a plain test that runs generated inputs, the same ones every time, or the
 * files that it is given.
 */
#ifndef PQK_FUZZ_H
#define PQK_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testlib.h"

#define FUZZ_MOST_BYTES 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process if there is a fault: what libFuzzer calls a crash. */
static inline void fuzz_check(const char *fault)
{
    if (fault) {
        fprintf(stderr, "%s\n", fault);
        abort();
    }
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

static inline size_t fuzz_below(struct fuzz_input *input, size_t bound)
{
    return (fuzz_byte(input) | (size_t)fuzz_byte(input) << 8) % bound;
}

/* A plain test of generated inputs, or of the files that it is given. */
struct fuzz_plan {
    const char *name;
    size_t num_inputs;
    /* Makes an input of at most FUZZ_MOST_BYTES; returns its size. */
    size_t (*generate)(struct test_random *random, uint8_t *data);
};

static inline void fuzz_file(const char *path)
{
    size_t size = 0;
    unsigned char *data = test_read_file(path, &size);

    if (!data) {
        fprintf(stderr, "%s: cannot be read\n", path);
        exit(EXIT_FAILURE);
    }
    LLVMFuzzerTestOneInput(data, size);
    free(data);
}

static inline int fuzz_main(int argc, char **argv, const struct fuzz_plan *plan)
{
    const size_t count = test_scaled(plan->num_inputs);
    uint8_t *data = test_alloc(FUZZ_MOST_BYTES);
    struct test_random random = {20260101};

    test_print_variants();
    for (int i = 1; i < argc; i++)
        fuzz_file(argv[i]);
    for (size_t i = 0; i < count && argc == 1; i++)
        LLVMFuzzerTestOneInput(data, plan->generate(&random, data));
    free(data);
    if (argc == 1)
        printf("ok 1 - %s: %zu inputs\n1..1\n", plan->name, count);
    return EXIT_SUCCESS;
}

#endif
