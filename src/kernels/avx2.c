/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The AVX2 variant.  It has the scalar parts until better ones are written.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "kernels/common.h"

#if PQK_HAVE_AVX2

const struct pqk_kernel pqk_kernel_avx2 = {
    .name = "avx2",
    .cpu_features = PQK_CPU_AVX2,
    .compute_distance_table_l2 = pqk_scalar_table,
    .probe_pq_l2_top_k = pqk_scalar_probe,
    .codebook_bytes = pqk_scalar_codebook_bytes,
    .prepare_codebook = pqk_scalar_prepare_codebook,
    .codes_bytes = pqk_scalar_codes_bytes,
    .prepare_codes = pqk_scalar_prepare_codes,
    .restore_codes = pqk_scalar_restore_codes,
    .tables_bytes = pqk_scalar_tables_bytes,
    .compute_tables = pqk_scalar_compute_tables,
    .probe = pqk_scalar_prepared_probe,
};

#endif
