/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the variants for AVX2 and AVX-512 share: eight numbers are all there are.
 */
#ifndef PQK_KERNELS_YMM_H
#define PQK_KERNELS_YMM_H

#include <immintrin.h>
#include <stdint.h>

static inline int32_t isa_round(const float *values, const float *centres,
                                const float *reach, float scale, int16_t *out)
{
    const __m256 sign = _mm256_set1_ps(-0.0f);
    const __m256 steps = _mm256_mul_ps(
        _mm256_sub_ps(_mm256_loadu_ps(values), _mm256_loadu_ps(centres)),
        _mm256_set1_ps(scale));
    const __m256i ints = _mm256_cvtps_epi32(steps);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(ints),
                                          _mm256_extracti128_si256(ints, 1));
    const __m256 beyond = _mm256_cmp_ps(_mm256_andnot_ps(sign, steps),
                                        _mm256_loadu_ps(reach), _CMP_NLE_UQ);
    __m128i sum = _mm_madd_epi16(words, words);

    _mm_storeu_si128((__m128i *)out, words);
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
    return _mm256_movemask_ps(beyond) == 0 ? _mm_cvtsi128_si32(sum) : -1;
}

#endif
