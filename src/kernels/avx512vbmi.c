/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The variant for AVX-512 with VBMI (Ice Lake, Zen 4 and later), whose byte
 * permutations look 64 codes up at once in tables of 64 or, in pairs, 128
 * entries.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "kernels.h"

#if PQK_HAVE_AVX512VBMI

#include "kernels/zmm.h"

/* A table of 256, 128, 64 or 16 bytes; the shorter ones are in the first parts. */
struct isa_table {
    __m512i part[4];
};

ISA_INLINE unsigned isa_columns_at_once(enum isa_kind kind)
{
    /* 4 tables of 256 bytes, or 8 of 128, are 16 of the 32 registers. */
    return kind == TABLE_128 ? 8 : 4;
}

ISA_INLINE void isa_load_table(enum isa_kind kind, const uint8_t *from,
                               struct isa_table *table)
{
    if (kind == TABLE_16) {
        table->part[0] = zmm_four_times(from);
        return;
    }
    table->part[0] = isa_load(from);
    if (kind == TABLE_128)
        table->part[1] = isa_load(from + 64);
    if (kind == TABLE_256) {
        table->part[1] = isa_load(from + 64);
        table->part[2] = isa_load(from + 128);
        table->part[3] = isa_load(from + 192);
    }
}

/*
 * vpermi2b looks at 7 bits of an index and vpermb at 6; what is above is
 * ignored, so labels need no masking.  Bit 7 chooses between the halves of 256
 * entries.
 */
ISA_INLINE isa_bytes isa_look_up(enum isa_kind kind, isa_bytes labels,
                                 const struct isa_table *table)
{
    __m512i low, high;

    if (kind == TABLE_16)
        return zmm_look_up_16(labels, table->part[0]);
    if (kind == TABLE_64)
        return _mm512_permutexvar_epi8(labels, table->part[0]);
    if (kind == TABLE_128)
        return _mm512_permutex2var_epi8(table->part[0], labels, table->part[1]);
    /* A look-up overwrites its index.  Compilers would rather load that again
     * than copy it, but 512 bits take a load port two cycles. */
    __asm__("" : "+v"(labels));
    low = _mm512_permutex2var_epi8(table->part[0], labels, table->part[1]);
    high = _mm512_permutex2var_epi8(table->part[2], labels, table->part[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(labels), low, high);
}

/* 256 entries are so cheap that minima over groups do not pay for one query, whose
 * look-ups wait for memory; but on Intel's CPUs they do where codes are near. */
#define ISA_NAME           avx512vbmi
#define ISA_HAS_128        1
#define ISA_BY_GROUPS      0
#define ISA_ROW_TABLE      TABLE_256
#define ISA_FETCHING_TABLE TABLE_256
#define ISA_PLANS(num_queries, cpu, near)                                      \
    ((num_queries) > 1                        ? plans_of_pairs                 \
     : (near) && ((cpu)&PQK_CPU_SLOW_PERMI2B) ? plans_of_near_codes            \
                                              : plans_of_entries)

#include "kernels/variant.h"

#endif
