/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * One build of libpqkern as a table of functions: loaded by path, linked in
 * (where there is no shared library), or the built-in reference behind the same
 * functions.  Only children of run_experiment ever fill one from a file.
 */
#ifndef PQH_MODULE_H
#define PQH_MODULE_H

#include "formats/error.h"
#include "pqkern.h"

/* What a judged library has to export. */
#define PQH_MODULE_FUNCTIONS(X)                                                \
    X(pqk_status_string)                                                       \
    X(pqk_kernel_count)                                                        \
    X(pqk_kernel_at)                                                           \
    X(pqk_kernel_name)                                                         \
    X(pqk_kernel_available)                                                    \
    X(pqk_kernel_find)                                                         \
    X(pqk_index_create)                                                        \
    X(pqk_index_free)                                                          \
    X(pqk_index_add)                                                           \
    X(pqk_index_bytes)                                                         \
    X(pqk_scanner_create)                                                      \
    X(pqk_scanner_free)                                                        \
    X(pqk_scanner_begin)                                                       \
    X(pqk_scanner_tables)                                                      \
    X(pqk_scanner_probe)                                                       \
    X(pqk_scanner_results)                                                     \
    X(pqk_scanner_statistics)                                                  \
    X(pqk_compute_distance_table_l2_with)                                      \
    X(pqk_probe_pq_l2_top_k_with)                                              \
    X(pqk_top_k_heap_storage)                                                  \
    X(pqk_top_k_heap_init)                                                     \
    X(pqk_top_k_heap_into_sorted)

struct pqh_module {
#define PQH_MODULE_MEMBER(name) __typeof__(&name) name;
    PQH_MODULE_FUNCTIONS(PQH_MODULE_MEMBER)
#undef PQH_MODULE_MEMBER
};

/* path may be NULL in a static-only build alone: the functions linked in. */
int pqh_module_load(const char *path, struct pqh_module *module,
                    struct pqf_error *err);

/* The reference of reference.h. */
void pqh_module_reference(struct pqh_module *module);

#endif
