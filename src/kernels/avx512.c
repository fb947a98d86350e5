/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The variant for AVX-512 F, BW, DQ and VL (Skylake-X and later), whose word
 * permutations look 32 codes up at once in tables of 64 words.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "kernels.h"

#if PQK_HAVE_AVX512

#include "kernels/zmm.h"

/*
 * A table of 256 entries; or one of 64, of which each part has 16, four times;
 * or one of 16 in the first part, four times.
 */
struct isa_table {
    __m512i part[4];
};

ISA_INLINE unsigned isa_columns_at_once(enum isa_kind kind)
{
    (void)kind; /* 4 tables of 256 or 64 are 16 of the 32 registers */
    return 4;
}

ISA_INLINE void isa_load_table(enum isa_kind kind, const uint8_t *from,
                               struct isa_table *table)
{
    ISA_UNROLL
    for (int j = 0; j < 4; j++) {
        if (kind == TABLE_256)
            table->part[j] = isa_load(from + j * 64);
        else if (kind == TABLE_64 || j == 0)
            table->part[j] = zmm_four_times(from + j * 16);
    }
}

/*
 * 256 bytes as 128 words in 4 registers: bits 1 to 7 of a label are the number
 * of a word, bit 0 that of a byte in it.  vpermi2w picks from 64 words in 2
 * registers and ignores what is above bit 5 of an index, so a shifted label
 * need not be masked.  One half of the labels is looked up at a time, since an
 * index takes a whole word.
 */
ISA_INLINE isa_bytes zmm_look_up_256(isa_bytes labels,
                                     const struct isa_table *table)
{
    const __m512i low_bytes = _mm512_set1_epi16(0xff);
    const __m512i even = _mm512_srli_epi16(labels, 1);
    const __m512i odd = _mm512_srli_epi16(labels, 9);
    const __mmask32 even_high =
        _mm512_movepi16_mask(_mm512_slli_epi16(labels, 8));
    const __mmask32 odd_high = _mm512_movepi16_mask(labels);
    const __m512i even_words = _mm512_mask_blend_epi16(
        even_high,
        _mm512_permutex2var_epi16(table->part[0], even, table->part[1]),
        _mm512_permutex2var_epi16(table->part[2], even, table->part[3]));
    const __m512i odd_words = _mm512_mask_blend_epi16(
        odd_high,
        _mm512_permutex2var_epi16(table->part[0], odd, table->part[1]),
        _mm512_permutex2var_epi16(table->part[2], odd, table->part[3]));
    /* 0xca: the second operand where the first is 1, else the third */
    const __m512i if_0 = _mm512_ternarylogic_epi32(
        low_bytes, even_words, _mm512_slli_epi16(odd_words, 8), 0xca);
    const __m512i if_1 = _mm512_ternarylogic_epi32(
        low_bytes, _mm512_srli_epi16(even_words, 8), odd_words, 0xca);

    return _mm512_mask_blend_epi8(
        _mm512_test_epi8_mask(labels, _mm512_set1_epi8(1)), if_0, if_1);
}

/* Shuffles by the low 4 bits; the next two choose among the results. */
ISA_INLINE isa_bytes zmm_look_up_64(isa_bytes labels,
                                    const struct isa_table *table)
{
    const __mmask64 bit_4 = _mm512_test_epi8_mask(labels, _mm512_set1_epi8(16));
    const __mmask64 bit_5 = _mm512_test_epi8_mask(labels, _mm512_set1_epi8(32));
    const __m512i low = _mm512_and_si512(labels, _mm512_set1_epi8(15));
    const __m512i if_0 = _mm512_mask_shuffle_epi8(
        _mm512_shuffle_epi8(table->part[0], low), bit_4, table->part[1], low);
    const __m512i if_1 = _mm512_mask_shuffle_epi8(
        _mm512_shuffle_epi8(table->part[2], low), bit_4, table->part[3], low);

    return _mm512_mask_blend_epi8(bit_5, if_0, if_1);
}

ISA_INLINE isa_bytes isa_look_up(enum isa_kind kind, isa_bytes labels,
                                 const struct isa_table *table)
{
    if (kind == TABLE_256)
        return zmm_look_up_256(labels, table);
    if (kind == TABLE_64)
        return zmm_look_up_64(labels, table);
    return zmm_look_up_16(labels, table->part[0]);
}

#define ISA_NAME                          avx512
#define ISA_HAS_128                       0
#define ISA_BY_GROUPS                     0
#define ISA_ROW_TABLE                     TABLE_256
#define ISA_FETCHING_TABLE                TABLE_64
#define ISA_PLANS(num_queries, cpu, near) plans_of_64_groups

#include "kernels/variant.h"

#endif
