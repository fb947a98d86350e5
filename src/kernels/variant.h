/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A variant, made of the operations that its file has defined: included last there.
 * Everything in these headers is compiled with that variant's flags, and static.
 * With PQK_OPERATIONS it is the operations alone, for a test of each.
 */
#ifndef PQK_KERNELS_VARIANT_H
#define PQK_KERNELS_VARIANT_H

/* PREFIX_NAME */
#define ISA_SYMBOL(prefix)           ISA_JOIN(prefix, ISA_NAME)
#define ISA_JOIN(prefix, name)       ISA_JOIN_AGAIN(prefix, name)
#define ISA_JOIN_AGAIN(prefix, name) prefix##_##name

#ifdef PQK_OPERATIONS

#include "kernels/operation_table.h"

#else

#include "kernels/encode.h"
#include "kernels/row_major.h"
#include "kernels/scan.h"

const struct pqk_kernel ISA_SYMBOL(pqk_kernel) = {
    .compute_distance_table_l2 = scan_table,
    .probe_pq_l2_top_k = scan_row_major,
    .codebook_bytes = pqk_layout_codebook_bytes,
    .prepare_codebook = pqk_layout_prepare_codebook,
    .labels_of = pqk_layout_labels_of,
    .codes_bytes = pqk_layout_codes_bytes,
    .prepare_codes = pqk_layout_prepare_codes,
    .code_layout = pqk_layout_code_layout,
    .restore_codes = pqk_layout_restore_codes,
    .tables_bytes = scan_tables_bytes,
    .compute_tables = scan_compute_tables,
    .probe = scan_probe,
    .nearest_centroids = nearest_centroids,
};

#endif
#endif
