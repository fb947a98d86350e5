/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Where the public structures' members are, in numbers: programs that are built
 * with one release run with the next.  Each is the same on all machines of 64
 * bits, and on all of 32, whether those align 64 bits to 4 bytes (i386) or to 8
 * (ARM).  Compiling this is the test; tests/headers.sh does it once more for
 * machines that the compiler can make code for.
 */
#include <pqkern.h>

#include <stddef.h>

#define WIDE (sizeof(void *) == 8)

#define SIZE(type, bytes_64, bytes_32)                                         \
    _Static_assert(sizeof(type) == (WIDE ? (bytes_64) : (bytes_32)),           \
                   "size of " #type)
#define MEMBER(type, member, at_64, at_32)                                     \
    _Static_assert(offsetof(type, member) == (WIDE ? (at_64) : (at_32)),       \
                   #type "." #member)
#define NUMBER(name, value) _Static_assert((name) == (value), #name)

NUMBER(sizeof(void *), WIDE ? 8 : 4);
NUMBER(sizeof(size_t), sizeof(void *));

MEMBER(pqk_training, dim, 0, 0);
MEMBER(pqk_training, num_sub_vectors, 8, 4);
MEMBER(pqk_training, num_centroids, 16, 8);
MEMBER(pqk_training, metric, 24, 12);
MEMBER(pqk_training, reserved_int1, 28, 16);
MEMBER(pqk_training, rounds, 32, 20);
MEMBER(pqk_training, seed, 40, 24);
MEMBER(pqk_training, max_vectors, 48, 32);
MEMBER(pqk_training, num_threads, 56, 36);
MEMBER(pqk_training, progress, 64, 40);
MEMBER(pqk_training, progress_context, 72, 44);
MEMBER(pqk_training, reserved_int2, 80, 48);
MEMBER(pqk_training, reserved_int3, 88, 56);
MEMBER(pqk_training, reserved_ptr1, 96, 64);
MEMBER(pqk_training, reserved_ptr2, 104, 68);
SIZE(pqk_training, 112, 72);

MEMBER(pqk_codebook, num_sub_vectors, 0, 0);
MEMBER(pqk_codebook, num_centroids, 8, 4);
MEMBER(pqk_codebook, sub_vector_dim, 16, 8);
MEMBER(pqk_codebook, centroids, 24, 12);
MEMBER(pqk_codebook, reserved_int1, 32, 16);
MEMBER(pqk_codebook, reserved_int2, 40, 24);
MEMBER(pqk_codebook, reserved_ptr1, 48, 32);
MEMBER(pqk_codebook, reserved_ptr2, 56, 36);
SIZE(pqk_codebook, 64, 40);

MEMBER(pqk_quantizer_error, mean_squared, 0, 0);
MEMBER(pqk_quantizer_error, relative, 8, 8);
MEMBER(pqk_quantizer_error, largest, 16, 16);
MEMBER(pqk_quantizer_error, reserved_int1, 20, 20);
MEMBER(pqk_quantizer_error, reserved_int2, 24, 24);
MEMBER(pqk_quantizer_error, reserved_int3, 32, 32);
SIZE(pqk_quantizer_error, 40, 40);

MEMBER(pqk_result, id, 0, 0);
MEMBER(pqk_result, distance, 8, 8);
MEMBER(pqk_result, reserved, 12, 12);
SIZE(pqk_result, 16, 16);

MEMBER(pqk_search_stats, kernel, 0, 0);
MEMBER(pqk_search_stats, bound_groups, 8, 4);
MEMBER(pqk_search_stats, codes, 16, 8);
MEMBER(pqk_search_stats, survivors, 24, 16);
MEMBER(pqk_search_stats, bytes_read, 32, 24);
MEMBER(pqk_search_stats, reserved_int1, 40, 32);
MEMBER(pqk_search_stats, reserved_int2, 48, 40);
MEMBER(pqk_search_stats, reserved_int3, 56, 48);
MEMBER(pqk_search_stats, reserved_int4, 64, 56);
SIZE(pqk_search_stats, 72, 64);

MEMBER(pqk_search_options, num_threads, 0, 0);
MEMBER(pqk_search_options, allowed, 8, 4);
MEMBER(pqk_search_options, num_allowed, 16, 8);
MEMBER(pqk_search_options, predicate, 24, 12);
MEMBER(pqk_search_options, predicate_context, 32, 16);
MEMBER(pqk_search_options, stats, 40, 20);
MEMBER(pqk_search_options, reserved_int1, 48, 24);
MEMBER(pqk_search_options, reserved_int2, 56, 32);
MEMBER(pqk_search_options, reserved_ptr1, 64, 40);
MEMBER(pqk_search_options, reserved_ptr2, 72, 44);
MEMBER(pqk_search_options, reserved_ptr3, 80, 48);
MEMBER(pqk_search_options, reserved_ptr4, 88, 52);
SIZE(pqk_search_options, 96, 56);

MEMBER(pqk_row_result, row, 0, 0);
MEMBER(pqk_row_result, distance, 4, 4);
SIZE(pqk_row_result, 8, 8);

MEMBER(pqk_distance_table, num_sub_vectors, 0, 0);
MEMBER(pqk_distance_table, entries, 8, 4);
MEMBER(pqk_distance_table, reserved_int1, 16, 8);
MEMBER(pqk_distance_table, reserved_int2, 24, 16);
SIZE(pqk_distance_table, 32, 24);

MEMBER(pqk_top_k_heap, k, 0, 0);
MEMBER(pqk_top_k_heap, length, 8, 4);
MEMBER(pqk_top_k_heap, bound, 16, 8);
MEMBER(pqk_top_k_heap, keys, 24, 16);
MEMBER(pqk_top_k_heap, reserved_ptr1, 32, 20);
MEMBER(pqk_top_k_heap, reserved_int1, 40, 24);
SIZE(pqk_top_k_heap, 48, 32);

SIZE(pqk_status, 4, 4);
NUMBER(PQK_OK, 0);
NUMBER(PQK_INVALID_ARGUMENT, 1);
NUMBER(PQK_OUT_OF_MEMORY, 2);
NUMBER(PQK_UNKNOWN_KERNEL, 3);
NUMBER(PQK_KERNEL_UNAVAILABLE, 4);
NUMBER(PQK_IO_ERROR, 5);
NUMBER(PQK_BAD_FILE, 6);
NUMBER(PQK_NEWER_FILE, 7);
NUMBER(PQK_DUPLICATE_ID, 8);
NUMBER(PQK_CANCELLED, 9);
NUMBER(PQK_BUSY, 10);

SIZE(pqk_metric, 4, 4);
NUMBER(PQK_L2, 0);
NUMBER(PQK_INNER_PRODUCT, 1);
NUMBER(PQK_COSINE, 2);

NUMBER(PQK_UNVERIFIED, 1);
NUMBER(PQK_NO_ID, 0xffffffffffffffff);
NUMBER(PQK_TABLE_STRIDE, 256);
