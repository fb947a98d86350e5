/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A codebook prepared for a variant, and codes prepared with it. */
#ifndef PQK_PREPARED_H
#define PQK_PREPARED_H

#include "kernels.h"

struct pqk_prepared {
    const pqk_kernel *kernel;
    pqk_codebook codebook; /* the centroids belong to somebody else */
    void *memory;          /* the prepared codebook */
};

/* The variant to use: *kernel, or the default one if that is NULL.  Fails if it
 * cannot run here. */
pqk_status pqk_choose_kernel(const pqk_kernel **kernel);

/* labels: NULL to have them chosen, as kernels.h says. */
pqk_status pqk_prepared_create(struct pqk_prepared *prepared,
                               const pqk_codebook *codebook,
                               const pqk_kernel *kernel, const uint8_t *labels);
void pqk_prepared_free(struct pqk_prepared *prepared);

/* Every byte below num_centroids? */
int pqk_codes_name_centroids(const uint8_t *codes, size_t num_codes,
                             size_t num_centroids);

size_t pqk_prepared_codes_bytes(const struct pqk_prepared *prepared,
                                size_t num_vectors);

/* Prepares valid codes; to be freed with free(). */
pqk_status pqk_prepared_codes(const struct pqk_prepared *prepared,
                              const uint8_t *codes, size_t num_vectors,
                              void **prepared_codes);

#endif
