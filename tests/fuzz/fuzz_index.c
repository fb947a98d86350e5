/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Any bytes as an index file: pqk_index_load refuses them or gives an index
 * that can be searched and that saves as the same bytes.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <unistd.h>

#include "fuzz.h"

static char path[4096], again[4110];

static void remove_files(void)
{
    remove(path);
    remove(again);
}

static void choose_paths(void)
{
    const char *build = getenv("abs_top_builddir"), *tmp = getenv("TMPDIR");

    if (path[0])
        return;
    snprintf(path, sizeof path, "%s%s/fuzz_index-%ld.tmp",
             build ? build
             : tmp ? tmp
                   : "/tmp",
             build ? "/tests" : "", (long)getpid());
    snprintf(again, sizeof again, "%s.again", path);
    atexit(remove_files);
}

static void search(const pqk_index *index)
{
    const pqk_codebook codebook = pqk_index_codebook(index);
    float *query = test_alloc(codebook.num_sub_vectors *
                              codebook.sub_vector_dim * sizeof *query);
    size_t size = pqk_index_size(index), count = 0;
    pqk_neighbor found[7];
    pqk_status status = pqk_index_search(index, query, 7, found, &count);

    if (status != PQK_OK || count != (size < 7 ? size : 7))
        fuzz_check(test_fault("search gives status %d, %zu results",
                              (int)status, count));
    for (size_t i = 0; i < count; i++)
        if (found[i].id >= size)
            fuzz_check(test_fault("id %lu", (unsigned long)found[i].id));
    free(query);
}

static void save_again(const pqk_index *index, const uint8_t *data, size_t size)
{
    size_t saved_size = 0;
    unsigned char *saved;

    if (pqk_index_save(index, again) != PQK_OK)
        fuzz_check(test_fault("it was loaded but is not saved"));
    saved = test_read_file(again, &saved_size);
    if (saved_size != size || memcmp(saved, data, size) != 0)
        fuzz_check(test_fault("it saves as other bytes"));
    free(saved);
}

static void load(const uint8_t *data, size_t size, const pqk_kernel *kernel)
{
    pqk_index *index = NULL;
    pqk_status status;

    test_case("%s: a file of %zu bytes, checksum %016llx",
              pqk_kernel_name(kernel), size,
              (unsigned long long)test_fnv(TEST_FNV_BASIS, data, size));
    test_write_file(path, data, size);
    status = pqk_index_load(path, kernel, &index);
    if (status == PQK_OK) {
        search(index);
        save_again(index, data, size);
    } else if (index ||
               (status != PQK_BAD_FILE && status != PQK_OUT_OF_MEMORY)) {
        fuzz_check(
            test_fault("status %d, index %p", (int)status, (void *)index));
    }
    pqk_index_free(index);
}

static void put_checksum(uint8_t *data, size_t size)
{
    uint64_t checksum = test_fnv(TEST_FNV_BASIS, data, size);

    for (size_t i = 0; i < 8; i++)
        data[size + i] = (uint8_t)(checksum >> 8 * i);
}

/* The first byte chooses the variant, and whether the checksum is mended. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const pqk_kernel *kernel;
    uint8_t *mended;

    if (size == 0 || size > FUZZ_MOST_BYTES)
        return 0;
    choose_paths();
    kernel = test_variant((data[0] >> 1) % test_variant_count());
    if (data[0] % 2 == 0) {
        load(data + 1, size - 1, kernel);
        return 0;
    }
    mended = test_alloc(size + 8);
    memcpy(mended, data + 1, size - 1);
    put_checksum(mended, size - 1);
    load(mended, size + 7, kernel);
    free(mended);
    return 0;
}

#ifdef PQK_FUZZ_MAIN

static size_t put(uint8_t *data, size_t at, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++)
        data[at + i] = (uint8_t)(value >> 8 * i);
    return at + width;
}

/* A good file without its checksum. */
static size_t good_file(struct test_random *random, uint8_t *data)
{
    const size_t M = 1 + test_below(random, 9), K = 1 + test_below(random, 20);
    const size_t d = 1 + test_below(random, 4), P = test_below(random, 4);
    size_t at = 0, rows = 0, sizes[4];

    memcpy(data, (const uint8_t[]){'p', 'q', 'k', 'e', 'r', 'n', 0, 1}, 8);
    at = put(data, 8, M, 4);
    at = put(data, at, K, 4);
    at = put(data, at, d, 4);
    at = put(data, at, P, 4);
    for (size_t p = 0; p < P; p++) {
        sizes[p] = test_below(random, 40);
        rows += sizes[p];
        at = put(data, at, sizes[p], 8);
    }
    for (size_t i = 0; i < M * K * d; i++)
        at = put(data, at, test_next(random), 4);
    for (size_t i = 0; i < rows * M; i++)
        at = put(data, at, test_below(random, K), 1);
    return at;
}

/* One in four is good; the others are bent in a field, a byte or the end. */
static size_t generate(struct test_random *random, uint8_t *data)
{
    static const uint64_t odd[] = {0,
                                   1,
                                   2,
                                   255,
                                   256,
                                   257,
                                   0x7fffffff,
                                   0x80000000,
                                   0xffffffff,
                                   UINT64_MAX,
                                   (uint64_t)1 << 63,
                                   (uint64_t)1 << 32};
    size_t size = 1 + good_file(random, data + 1);

    data[0] = (uint8_t)test_next(random);
    switch (test_below(random, 4)) {
    case 0:
        data[0] |= 1;
        break;
    case 1:
        put(data, 1 + 8 + 4 * test_below(random, 8),
            odd[test_below(random, TEST_COUNT(odd))],
            test_below(random, 2) ? 4 : 8);
        break;
    case 2:
        data[test_below(random, size)] ^=
            (uint8_t)(1 + test_below(random, 255));
        break;
    default:
        size -= test_below(random, size < 60 ? size : 60);
        break;
    }
    return size;
}

int main(int argc, char **argv)
{
    static const struct fuzz_plan plan = {"fuzz_index", 1500, generate};

    return fuzz_main(argc, argv, &plan);
}

#endif
