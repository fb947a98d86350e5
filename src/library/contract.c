/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The contract's table and probe: arguments are checked here, once for all
 * variants, and not by the kernels.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "kernels.h"
#include "reserved.h"

pqk_status pqk_compute_distance_table_l2_with(const pqk_kernel *kernel,
                                              const float *query,
                                              const pqk_codebook *codebook,
                                              pqk_distance_table *table)
{
    if (!kernel || !query || !codebook || !codebook->centroids || !table ||
        !table->entries || pqk_codebook_asks_more(codebook) ||
        pqk_table_asks_more(table))
        return PQK_INVALID_ARGUMENT;
    if (codebook->num_sub_vectors - 1 >= PQK_MAX_SUB_VECTORS ||
        codebook->num_centroids - 1 >= PQK_MAX_CENTROIDS ||
        codebook->sub_vector_dim == 0 ||
        codebook->sub_vector_dim > SIZE_MAX / sizeof(float) /
                                       PQK_MAX_SUB_VECTORS / PQK_MAX_CENTROIDS)
        return PQK_INVALID_ARGUMENT;
    kernel->compute_distance_table_l2(query, codebook, table->entries);
    table->num_sub_vectors = codebook->num_sub_vectors;
    return PQK_OK;
}

pqk_status pqk_probe_pq_l2_top_k_with(const pqk_kernel *kernel,
                                      const pqk_distance_table *table,
                                      const uint8_t *codes, size_t num_vectors,
                                      pqk_top_k_heap *heap)
{
    if (!kernel || !table || !table->entries || !heap ||
        pqk_table_asks_more(table))
        return PQK_INVALID_ARGUMENT;
    if (table->num_sub_vectors - 1 >= PQK_MAX_SUB_VECTORS ||
        num_vectors > UINT32_MAX || (!codes && num_vectors > 0) ||
        num_vectors > SIZE_MAX / table->num_sub_vectors)
        return PQK_INVALID_ARGUMENT;
    kernel->probe_pq_l2_top_k(table->entries, table->num_sub_vectors, codes,
                              num_vectors, heap);
    return PQK_OK;
}

pqk_status pqk_compute_distance_table_l2(const float *query,
                                         const pqk_codebook *codebook,
                                         pqk_distance_table *table)
{
    const pqk_kernel *kernel;
    pqk_status status = pqk_kernel_find(NULL, &kernel);

    if (status != PQK_OK)
        return status;
    return pqk_compute_distance_table_l2_with(kernel, query, codebook, table);
}

pqk_status pqk_probe_pq_l2_top_k(const pqk_distance_table *table,
                                 const uint8_t *codes, size_t num_vectors,
                                 pqk_top_k_heap *heap)
{
    const pqk_kernel *kernel;
    pqk_status status = pqk_kernel_find(NULL, &kernel);

    if (status != PQK_OK)
        return status;
    return pqk_probe_pq_l2_top_k_with(kernel, table, codes, num_vectors, heap);
}
