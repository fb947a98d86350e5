/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What a program asks for with members that only a later version of this library
 * knows: 1 if it does.  It gets PQK_INVALID_ARGUMENT then, instead of something
 * else than it asked for.
 */
#ifndef PQK_RESERVED_H
#define PQK_RESERVED_H

#include "pqkern.h"

static inline int pqk_codebook_asks_more(const pqk_codebook *codebook)
{
    return (codebook->reserved_int1 | codebook->reserved_int2) != 0 ||
           codebook->reserved_ptr1 || codebook->reserved_ptr2;
}

static inline int pqk_table_asks_more(const pqk_distance_table *table)
{
    return (table->reserved_int1 | table->reserved_int2) != 0;
}

static inline int pqk_training_asks_more(const pqk_training *training)
{
    return (training->reserved_int1 | training->reserved_int2 |
            training->reserved_int3) != 0 ||
           training->reserved_ptr1 || training->reserved_ptr2;
}

static inline int pqk_options_ask_more(const pqk_search_options *options)
{
    return (options->reserved_int1 | options->reserved_int2) != 0 ||
           options->reserved_ptr1 || options->reserved_ptr2 ||
           options->reserved_ptr3 || options->reserved_ptr4;
}

#endif
