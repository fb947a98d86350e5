/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "prepared.h"
#include "base/memory.h"

pqk_status pqk_choose_kernel(const pqk_kernel **kernel)
{
    if (!*kernel)
        return pqk_kernel_find(NULL, kernel);
    return pqk_kernel_available(*kernel) ? PQK_OK : PQK_KERNEL_UNAVAILABLE;
}

pqk_status pqk_prepared_create(struct pqk_prepared *prepared,
                               const pqk_codebook *codebook,
                               const pqk_kernel *kernel, const uint8_t *labels)
{
    pqk_status status;

    prepared->kernel = kernel;
    prepared->codebook = *codebook;
    prepared->memory = pqk_aligned_alloc(kernel->codebook_bytes(codebook));
    if (!prepared->memory)
        return PQK_OUT_OF_MEMORY;
    status = kernel->prepare_codebook(codebook, labels, pqk_cpu_features(),
                                      prepared->memory);
    if (status != PQK_OK)
        pqk_prepared_free(prepared);
    return status;
}

void pqk_prepared_free(struct pqk_prepared *prepared)
{
    free(prepared->memory);
    prepared->memory = NULL;
}

int pqk_codes_name_centroids(const uint8_t *codes, size_t num_codes,
                             size_t num_centroids)
{
    uint8_t largest = 0;

    for (size_t i = 0; i < num_codes; i++)
        largest = codes[i] > largest ? codes[i] : largest;
    return largest < num_centroids;
}

size_t pqk_prepared_codes_bytes(const struct pqk_prepared *prepared,
                                size_t num_vectors)
{
    return prepared->kernel->codes_bytes(&prepared->codebook, num_vectors);
}

pqk_status pqk_prepared_codes(const struct pqk_prepared *prepared,
                              const uint8_t *codes, size_t num_vectors,
                              void **prepared_codes)
{
    const size_t bytes = pqk_prepared_codes_bytes(prepared, num_vectors);
    void *memory = pqk_aligned_alloc(bytes);
    pqk_status status;

    if (!memory)
        return PQK_OUT_OF_MEMORY;
    /* What lies between columns goes into files, too. */
    memset(memory, 0, bytes);
    status = prepared->kernel->prepare_codes(prepared->memory, codes,
                                             num_vectors, memory);
    if (status == PQK_OK)
        *prepared_codes = memory;
    else
        free(memory);
    return status;
}
