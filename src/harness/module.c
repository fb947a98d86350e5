/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "module.h"
#include "reference.h"

#include <stdlib.h>
#include <string.h>

#ifdef PQK_STATIC_ONLY

int pqh_module_load(const char *path, struct pqh_module *module,
                    struct pqh_error *err)
{
    if (path != NULL) {
        return pqh_fail(err, "%s: this build has no shared library support",
                        path);
    }
#define LINKED(name) module->name = name;
    PQH_MODULE_FUNCTIONS(LINKED)
#undef LINKED
    return 0;
}

#else

#include <dlfcn.h>

/* A conversion from an object pointer, as POSIX has it, without a cast that
 * ISO C does not know. */
static int look_up(void *handle, const char *name, void *function, size_t size)
{
    void *symbol = dlsym(handle, name);

    memcpy(function, &symbol, size);
    return symbol != NULL;
}

int pqh_module_load(const char *path, struct pqh_module *module,
                    struct pqh_error *err)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (handle == NULL) {
        return pqh_fail(err, "cannot load the library: %s", dlerror());
    }
#define LOOK_UP(name)                                                          \
    if (!look_up(handle, #name, &module->name, sizeof module->name)) {         \
        return pqh_fail(err, "%s: does not export %s", path, #name);           \
    }
    PQH_MODULE_FUNCTIONS(LOOK_UP)
#undef LOOK_UP
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
    size_t num_vectors;
};

struct pqk_search {
    const pqk_index *index;
    size_t k;
    size_t count;
    float *entries;
    pqk_neighbor *results;
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

static const char *reference_kernel_name(const pqk_kernel *kernel)
{
    (void)kernel;
    return "reference";
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
    *kernel = NULL;
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
        free(index);
    }
}

static size_t reference_index_bytes(const pqk_index *index)
{
    return index->num_vectors * index->codebook.num_sub_vectors;
}

/* The judge adds one partition only. */
static pqk_status reference_index_add(pqk_index *index, const uint8_t *codes,
                                      size_t num_vectors)
{
    index->num_vectors = num_vectors;
    index->codes = malloc(reference_index_bytes(index));
    if (index->codes == NULL) {
        return PQK_OUT_OF_MEMORY;
    }
    memcpy(index->codes, codes, reference_index_bytes(index));
    return PQK_OK;
}

static void reference_search_free(pqk_search *search)
{
    if (search != NULL) {
        free(search->entries);
        free(search->results);
        free(search);
    }
}

static pqk_status reference_search_create(const pqk_index *index,
                                          size_t max_queries, size_t max_k,
                                          pqk_search **search)
{
    pqk_search *made = calloc(1, sizeof *made);

    (void)max_queries;
    if (made == NULL) {
        return PQK_OUT_OF_MEMORY;
    }
    made->index = index;
    made->entries = malloc(index->codebook.num_sub_vectors * PQK_TABLE_STRIDE *
                           sizeof *made->entries);
    made->results = malloc(max_k * sizeof *made->results);
    if (made->entries == NULL || made->results == NULL) {
        reference_search_free(made);
        return PQK_OUT_OF_MEMORY;
    }
    *search = made;
    return PQK_OK;
}

static pqk_status reference_search_begin(pqk_search *search, size_t num_queries,
                                         size_t k)
{
    (void)num_queries;
    search->k = k;
    search->count = 0;
    return PQK_OK;
}

static pqk_status reference_search_tables(pqk_search *search,
                                          const float *queries)
{
    pqh_reference_table(queries, &search->index->codebook, search->entries);
    return PQK_OK;
}

static pqk_status reference_search_probe(pqk_search *search, size_t partition)
{
    const pqk_index *index = search->index;

    (void)partition;
    search->count = pqh_reference_probe(
        search->entries, index->codebook.num_sub_vectors, index->codes,
        index->num_vectors, search->k, search->results);
    return PQK_OK;
}

static pqk_status reference_search_results(pqk_search *search, size_t query,
                                           pqk_neighbor *neighbors,
                                           size_t *count)
{
    (void)query;
    memcpy(neighbors, search->results, search->count * sizeof *neighbors);
    *count = search->count;
    return PQK_OK;
}

static pqk_search_stats reference_search_statistics(const pqk_search *search)
{
    uint64_t codes = search->index->num_vectors;

    return (pqk_search_stats){"reference", 0, codes, codes,
                              reference_index_bytes(search->index)};
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
        .pqk_search_create = reference_search_create,
        .pqk_search_free = reference_search_free,
        .pqk_search_begin = reference_search_begin,
        .pqk_search_tables = reference_search_tables,
        .pqk_search_probe = reference_search_probe,
        .pqk_search_results = reference_search_results,
        .pqk_search_statistics = reference_search_statistics,
    };
}
