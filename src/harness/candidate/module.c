/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "module.h"
#include "harness/fixture/reference.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef PQK_STATIC_ONLY

int pqh_module_load(const char *path, struct pqh_module *module,
                    struct pqf_error *err)
{
    if (path != NULL) {
        return pqf_fail(err, "%s: this build has no shared library support",
                        path);
    }
#define LINKED(name) module->name = name;
    PQH_MODULE_FUNCTIONS(LINKED)
#undef LINKED
    return 0;
}

#else

#include <dlfcn.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

typedef ElfW(Phdr) segment_header;

/* The pages of one segment, written to with what they hold, so that the kernel
 * copies them.  1 if the segment is not what it was. */
static int copy_pages(const struct dl_phdr_info *info,
                      const segment_header *segment)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = (uintptr_t)(info->dlpi_addr + segment->p_vaddr);
    uintptr_t end = begin + segment->p_memsz;
    int protection = (segment->p_flags & PF_R ? PROT_READ : 0) |
                     (segment->p_flags & PF_X ? PROT_EXEC : 0);
    unsigned char *address;

    begin -= begin % page;
    address = (unsigned char *)begin; /* NOLINT(performance-no-int-to-ptr) */
    if (mprotect(address, end - begin, PROT_READ | PROT_WRITE) != 0) {
        return 0; /* a system may forbid it */
    }
    for (size_t at = 0; at < end - begin; at += page) {
        volatile unsigned char *byte = address + at;
        unsigned char held = *byte;
        *byte = held;
    }
    __builtin___clear_cache((char *)address, (char *)address + (end - begin));
    return mprotect(address, end - begin, protection) != 0;
}

/* dl_iterate_phdr ends at the first that is not 0. */
static int copy_segments(struct dl_phdr_info *info, size_t size, void *address)
{
    uintptr_t inside = (uintptr_t)address - (uintptr_t)info->dlpi_addr;
    int ours = 0, failed = 0;

    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const segment_header *segment = &info->dlpi_phdr[i];
        ours |= segment->p_type == PT_LOAD &&
                inside - segment->p_vaddr < segment->p_memsz;
    }
    for (size_t i = 0; ours && i < info->dlpi_phnum; i++) {
        const segment_header *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD && !(segment->p_flags & PF_W)) {
            failed |= copy_pages(info, segment);
        }
    }
    return failed ? -1 : ours;
}

/*
 * Gives this process the library's code on pages of its own.  Where the pages of
 * a file lie in memory has made scans of rows differ by 6 %, in each process that
 * mapped the file: no sitting would average that out, and the equal arms, which
 * map the same file, would not show it.
 */
static int copy_code(void *function)
{
    return dl_iterate_phdr(copy_segments, function) < 0 ? -1 : 0;
}

/* A conversion from an object pointer, as POSIX has it, without a cast that
 * ISO C does not know. */
static int look_up(void *handle, const char *name, void *function, size_t size)
{
    void *symbol = dlsym(handle, name);

    memcpy(function, &symbol, size);
    return symbol != NULL;
}

static void *address_of(const struct pqh_module *module)
{
    void *address;

    memcpy(&address, &module->pqk_status_string, sizeof address);
    return address;
}

int pqh_module_load(const char *path, struct pqh_module *module,
                    struct pqf_error *err)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL) {
        return pqf_fail(err, "cannot load the library: %s", dlerror());
    }
#define LOOK_UP(name)                                                          \
    if (!look_up(handle, #name, &module->name, sizeof module->name)) {         \
        return pqf_fail(err, "%s: does not export %s", path, #name);           \
    }
    PQH_MODULE_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
    if (copy_code(address_of(module)) != 0) {
        return pqf_fail(err, "%s: cannot copy its code: %s", path,
                        strerror(errno));
    }
    return 0;
}

#endif

/* ------------------------------------------------------------------------ */
/* The reference, dressed as a library                                      */
/* ------------------------------------------------------------------------ */

struct pqk_index {
    pqk_codebook codebook;
    float *centroids;
    uint8_t *codes;
    size_t *ends; /* of the partitions */
    size_t partitions;
};

/* One query; a search is an array of them. */
struct pqk_scanner {
    const pqk_index *index;
    size_t max_queries, num_queries; /* of the array, in its first element */
    size_t k;
    size_t count;
    float *entries;
    pqk_row_result *results; /* a heap, sorted in the end */
};

static const char *reference_status_string(pqk_status status)
{
    return status == PQK_OK ? "success" : "out of memory";
}

static size_t reference_kernel_count(void)
{
    return 0;
}

static const pqk_kernel *reference_kernel_at(size_t position)
{
    (void)position;
    return NULL;
}

/* Its only variant, which is in no list. */
struct pqk_kernel {
    const char *name;
};
static const pqk_kernel reference_kernel = {"reference"};

static const char *reference_kernel_name(const pqk_kernel *kernel)
{
    return kernel->name;
}

static int reference_kernel_available(const pqk_kernel *kernel)
{
    (void)kernel;
    return 1;
}

static pqk_status reference_kernel_find(const char *name,
                                        const pqk_kernel **kernel)
{
    (void)name;
    *kernel = &reference_kernel;
    return PQK_OK;
}

static pqk_status reference_index_create(const pqk_codebook *codebook,
                                         const pqk_kernel *kernel,
                                         pqk_index **index)
{
    size_t bytes = codebook->num_sub_vectors * codebook->num_centroids *
                   codebook->sub_vector_dim * sizeof(float);
    pqk_index *made = calloc(1, sizeof *made);

    (void)kernel;
    if (made == NULL || (made->centroids = malloc(bytes)) == NULL) {
        free(made);
        return PQK_OUT_OF_MEMORY;
    }
    memcpy(made->centroids, codebook->centroids, bytes);
    made->codebook = *codebook;
    made->codebook.centroids = made->centroids;
    *index = made;
    return PQK_OK;
}

static void reference_index_free(pqk_index *index)
{
    if (index != NULL) {
        free(index->centroids);
        free(index->codes);
        free(index->ends);
        free(index);
    }
}

/* Vectors in the first partitions. */
static size_t size_up_to(const pqk_index *index, size_t partitions)
{
    return partitions > 0 ? index->ends[partitions - 1] : 0;
}

static size_t reference_index_bytes(const pqk_index *index)
{
    return size_up_to(index, index->partitions) *
           index->codebook.num_sub_vectors;
}

static pqk_status reference_index_add(pqk_index *index, const uint8_t *codes,
                                      size_t num_vectors)
{
    size_t before = reference_index_bytes(index);
    size_t more = num_vectors * index->codebook.num_sub_vectors;
    size_t *ends =
        realloc(index->ends, (index->partitions + 1) * sizeof *index->ends);
    uint8_t *all;

    if (ends == NULL) {
        return PQK_OUT_OF_MEMORY;
    }
    index->ends = ends;
    all = realloc(index->codes, before + more);
    if (all == NULL) {
        return PQK_OUT_OF_MEMORY;
    }
    index->codes = all;
    memcpy(all + before, codes, more);
    ends[index->partitions] =
        size_up_to(index, index->partitions) + num_vectors;
    index->partitions++;
    return PQK_OK;
}

static void reference_scanner_free(pqk_scanner *search)
{
    for (size_t q = 0; search != NULL && q < search->max_queries; q++) {
        free(search[q].entries);
        free(search[q].results);
    }
    free(search);
}

static pqk_status reference_scanner_create(const pqk_index *index,
                                           size_t max_queries, size_t max_k,
                                           pqk_scanner **search)
{
    size_t entries = index->codebook.num_sub_vectors * PQK_TABLE_STRIDE;
    pqk_scanner *made = calloc(max_queries, sizeof *made);

    if (made == NULL) {
        return PQK_OUT_OF_MEMORY;
    }
    made->max_queries = max_queries;
    for (size_t q = 0; q < max_queries; q++) {
        made[q].index = index;
        made[q].entries = malloc(entries * sizeof *made->entries);
        made[q].results = malloc(max_k * sizeof *made->results);
        if (made[q].entries == NULL || made[q].results == NULL) {
            reference_scanner_free(made);
            return PQK_OUT_OF_MEMORY;
        }
    }
    *search = made;
    return PQK_OK;
}

static pqk_status reference_scanner_begin(pqk_scanner *search,
                                          size_t num_queries, size_t k)
{
    search->num_queries = num_queries;
    for (size_t q = 0; q < num_queries; q++) {
        search[q].k = k;
        search[q].count = 0;
    }
    return PQK_OK;
}

static pqk_status reference_scanner_tables(pqk_scanner *search,
                                           const float *queries)
{
    const pqk_codebook *codebook = &search->index->codebook;
    size_t dim = codebook->num_sub_vectors * codebook->sub_vector_dim;

    for (size_t q = 0; q < search->num_queries; q++) {
        pqh_reference_table(queries + q * dim, codebook, search[q].entries);
    }
    return PQK_OK;
}

/* Several queries one by one: the baseline knows no better. */
static pqk_status reference_scanner_probe(pqk_scanner *search, size_t partition)
{
    const pqk_index *index = search->index;
    size_t num_sub_vectors = index->codebook.num_sub_vectors;
    size_t first = size_up_to(index, partition);
    size_t end = size_up_to(index, partition + 1);

    for (size_t q = 0; q < search->num_queries; q++) {
        search[q].count = pqh_reference_scan(
            search[q].entries, num_sub_vectors,
            index->codes + first * num_sub_vectors, end - first,
            (uint32_t)first, search[q].k, search[q].results, search[q].count);
    }
    return PQK_OK;
}

static pqk_status reference_scanner_results(pqk_scanner *search, size_t query,
                                            pqk_row_result *neighbors,
                                            size_t *count)
{
    const pqk_scanner *one = &search[query];

    pqh_reference_sort(one->results, one->count);
    memcpy(neighbors, one->results, one->count * sizeof *neighbors);
    *count = one->count;
    return PQK_OK;
}

static pqk_status reference_scanner_statistics(pqk_scanner *search,
                                               pqk_search_stats *stats)
{
    uint64_t codes = size_up_to(search->index, search->index->partitions) *
                     search->num_queries;

    *stats = (pqk_search_stats){
        .kernel = "reference",
        .codes = codes,
        .survivors = codes,
        .bytes_read =
            reference_index_bytes(search->index) * search->num_queries,
    };
    return PQK_OK;
}

static pqk_status reference_compute_table(const pqk_kernel *kernel,
                                          const float *query,
                                          const pqk_codebook *codebook,
                                          pqk_distance_table *table)
{
    (void)kernel;
    table->num_sub_vectors = codebook->num_sub_vectors;
    pqh_reference_table(query, codebook, table->entries);
    return PQK_OK;
}

static size_t reference_heap_storage(size_t k)
{
    return k;
}

/* The keys are the neighbors of pqh_reference_scan. */
_Static_assert(sizeof(pqk_row_result) == sizeof(uint64_t), "one for one");

static void reference_heap_init(pqk_top_k_heap *heap, uint64_t *storage,
                                size_t k)
{
    *heap = (pqk_top_k_heap){.k = k, .keys = storage};
}

static pqk_status reference_probe_rows(const pqk_kernel *kernel,
                                       const pqk_distance_table *table,
                                       const uint8_t *codes, size_t num_vectors,
                                       pqk_top_k_heap *heap)
{
    pqk_row_result *neighbors = (pqk_row_result *)(void *)heap->keys;

    (void)kernel;
    heap->length =
        pqh_reference_scan(table->entries, table->num_sub_vectors, codes,
                           num_vectors, 0, heap->k, neighbors, heap->length);
    return PQK_OK;
}

static size_t reference_heap_into_sorted(pqk_top_k_heap *heap,
                                         pqk_row_result *neighbors)
{
    size_t count = heap->length;

    memcpy(neighbors, heap->keys, count * sizeof *neighbors);
    pqh_reference_sort(neighbors, count);
    heap->length = 0;
    return count;
}

void pqh_module_reference(struct pqh_module *module)
{
    *module = (struct pqh_module){
        .pqk_status_string = reference_status_string,
        .pqk_kernel_count = reference_kernel_count,
        .pqk_kernel_at = reference_kernel_at,
        .pqk_kernel_name = reference_kernel_name,
        .pqk_kernel_available = reference_kernel_available,
        .pqk_kernel_find = reference_kernel_find,
        .pqk_index_create = reference_index_create,
        .pqk_index_free = reference_index_free,
        .pqk_index_add = reference_index_add,
        .pqk_index_bytes = reference_index_bytes,
        .pqk_scanner_create = reference_scanner_create,
        .pqk_scanner_free = reference_scanner_free,
        .pqk_scanner_begin = reference_scanner_begin,
        .pqk_scanner_tables = reference_scanner_tables,
        .pqk_scanner_probe = reference_scanner_probe,
        .pqk_scanner_results = reference_scanner_results,
        .pqk_scanner_statistics = reference_scanner_statistics,
        .pqk_compute_distance_table_l2_with = reference_compute_table,
        .pqk_probe_pq_l2_top_k_with = reference_probe_rows,
        .pqk_top_k_heap_storage = reference_heap_storage,
        .pqk_top_k_heap_init = reference_heap_init,
        .pqk_top_k_heap_into_sorted = reference_heap_into_sorted,
    };
}
