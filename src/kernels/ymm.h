/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the variants for AVX2 and AVX-512 share: operations on eight numbers, which
 * wider registers would not speed up.
 */
#ifndef PQK_KERNELS_YMM_H
#define PQK_KERNELS_YMM_H

#include <immintrin.h>
#include <stdint.h>

/* 8 times 8 numbers: pairs, then fours, then halves change places. */
ISA_INLINE void ymm_transpose_rows(const __m256 rows[8], __m256 to[8])
{
    __m256 pairs[8], fours[8];

    ISA_UNROLL
    for (size_t i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_ps(rows[i], rows[i + 1]);
    }
    ISA_UNROLL
    for (size_t i = 0; i < 8; i += 2) {
        const size_t row = i / 4 * 4 + i % 4 / 2; /* 0, 1, 4, 5 */
        const __m256 a = pairs[row], b = pairs[row + 2];

        fours[i] = _mm256_shuffle_ps(a, b, 0x44);     /* 0 1 0 1 */
        fours[i + 1] = _mm256_shuffle_ps(a, b, 0xee); /* 2 3 2 3 */
    }
    ISA_UNROLL
    for (size_t i = 0; i < 4; i++) {
        to[i] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x20);
        to[i + 4] = _mm256_permute2f128_ps(fours[i], fours[i + 4], 0x31);
    }
}

ISA_INLINE void ymm_transpose_8(const float *from, size_t from_stride,
                                __m256 to[8])
{
    __m256 rows[8];

    ISA_UNROLL
    for (size_t i = 0; i < 8; i++)
        rows[i] = _mm256_loadu_ps(from + i * from_stride);
    ymm_transpose_rows(rows, to);
}

ISA_INLINE void isa_add_squares(const float *query,
                                const float *const vectors[8], float sums[8])
{
    __m256 rows[8], components[8], sum = _mm256_loadu_ps(sums);

    ISA_UNROLL
    for (size_t j = 0; j < 8; j++)
        rows[j] = _mm256_loadu_ps(vectors[j]);
    ymm_transpose_rows(rows, components);
    ISA_UNROLL
    for (size_t i = 0; i < 8; i++) {
        const __m256 difference =
            _mm256_sub_ps(_mm256_broadcast_ss(query + i), components[i]);

        sum = _mm256_add_ps(sum, _mm256_mul_ps(difference, difference));
    }
    _mm256_storeu_ps(sums, sum);
}

static inline void isa_transpose_floats(const float *from, size_t from_stride,
                                        float *to, size_t to_stride)
{
    __m256 columns[8];

    ymm_transpose_8(from, from_stride, columns);
    ISA_UNROLL
    for (size_t i = 0; i < 8; i++)
        _mm256_storeu_ps(to + i * to_stride, columns[i]);
}

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
