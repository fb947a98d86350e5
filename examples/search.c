/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The shortest use of libpqkern: train, add, search. */
#include <pqkern.h>
#include <stdio.h>
#include <stdlib.h>

enum { DIM = 32, COUNT = 1000, K = 5 };

int main(void)
{
    static float vectors[COUNT][DIM];
    pqk_training training = {.dim = DIM, .num_sub_vectors = 8};
    pqk_quantizer *quantizer = NULL;
    pqk_collection *collection = NULL;
    pqk_result found[K];
    pqk_status status;

    for (size_t i = 0; i < COUNT * DIM; i++)
        vectors[i / DIM][i % DIM] = (float)rand() / (float)RAND_MAX;
    status = pqk_quantizer_train(&vectors[0][0], COUNT, &training, &quantizer);
    if (status == PQK_OK)
        status = pqk_collection_create(quantizer, NULL, &collection);
    if (status == PQK_OK) /* ids 0, 1, 2, ... */
        status = pqk_collection_add(collection, &vectors[0][0], NULL, COUNT, 1);
    if (status == PQK_OK) /* what is nearest to the vector with id 42? */
        status = pqk_collection_search(collection, vectors[42], 1, K, NULL,
                                       found, NULL);
    for (size_t i = 0; status == PQK_OK && i < K; i++)
        printf("%llu %.9g\n", (unsigned long long)found[i].id,
               (double)found[i].distance);
    if (status != PQK_OK)
        fprintf(stderr, "search: %s\n", pqk_status_string(status));
    pqk_collection_free(collection);
    pqk_quantizer_free(quantizer);
    return status != PQK_OK;
}
