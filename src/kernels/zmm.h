/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The primitives that the AVX-512 variants share, with and without VBMI:
 * everything but the look-ups of more than 16 entries.  isa.h says
 * what those that begin with isa_ must do.
 */
#ifndef PQK_KERNELS_ZMM_H
#define PQK_KERNELS_ZMM_H

#include <immintrin.h>
#include <math.h>

typedef __m512i isa_bytes;

#define ISA_FLOATS 16

typedef __m512 isa_floats;

/* 16 integers of 32 bits, and 32 of 16. */
#define ISA_LANES     16
#define ISA_ESTIMATES 1

typedef __m512i isa_ints;

#include "kernels/isa.h"
#include "kernels/ymm.h"

static inline isa_bytes isa_load(const uint8_t *from)
{
    return _mm512_loadu_si512(from);
}

static inline void isa_store(uint8_t *to, isa_bytes bytes)
{
    _mm512_storeu_si512(to, bytes);
}

static inline isa_bytes isa_add(isa_bytes sums, isa_bytes terms)
{
    return _mm512_adds_epu8(sums, terms);
}

static inline uint64_t zmm_alive(isa_bytes sums, uint8_t threshold)
{
    return _mm512_cmple_epu8_mask(sums, _mm512_set1_epi8((char)threshold));
}

static inline unsigned isa_any_alive(isa_bytes sums, uint8_t threshold)
{
    return zmm_alive(sums, threshold) != 0;
}

static inline uint64_t isa_alive(const uint8_t *sums, uint8_t threshold)
{
    return zmm_alive(isa_load(sums), threshold);
}

/* 16 entries, four times. */
static inline __m512i zmm_four_times(const uint8_t *entries)
{
    return _mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)entries));
}

/* The shuffle wants an index without bit 7; bits 4 to 6 it ignores. */
static inline isa_bytes zmm_look_up_16(isa_bytes labels, __m512i entries)
{
    const __m512i low_bits = _mm512_set1_epi8(15);

    return _mm512_shuffle_epi8(entries, _mm512_and_si512(labels, low_bits));
}

static inline isa_floats isa_all_floats(float number)
{
    return _mm512_set1_ps(number);
}

static inline isa_floats isa_load_floats(const float *from)
{
    return _mm512_load_ps(from);
}

static inline void isa_store_floats(float *to, isa_floats floats)
{
    _mm512_store_ps(to, floats);
}

/* min_ps gives its second operand when one of them is a NaN. */
static inline isa_floats isa_lesser_floats(isa_floats candidate,
                                           isa_floats least)
{
    return _mm512_min_ps(candidate, least);
}

static inline float isa_least_float(isa_floats floats)
{
    return _mm512_reduce_min_ps(floats);
}

static inline float isa_row_minimum(const float *row)
{
    __m512 minimum = _mm512_set1_ps(INFINITY);

    for (size_t c = 0; c < 256; c += 16)
        minimum = _mm512_min_ps(_mm512_loadu_ps(row + c), minimum);
    return isa_least_float(minimum);
}

/*
 * min_ps comes before the conversion, which has no answer for numbers beyond
 * its range, and makes a NaN 255, because 255 is its second operand.
 */
static inline __m512i zmm_quantize_16(const float *row, __m512 biases,
                                      __m512 scales)
{
    const __m512 scaled =
        _mm512_mul_ps(_mm512_sub_ps(_mm512_loadu_ps(row), biases), scales);

    return _mm512_cvttps_epi32(_mm512_min_ps(scaled, _mm512_set1_ps(255.0f)));
}

/* Packing keeps to 128-bit lanes: of what it leaves, four bytes of each of the four
 * sources in each lane, the permutation makes their order. */
static inline void isa_quantize(const float *row, size_t count, float bias,
                                float scale, uint8_t *out)
{
    const __m512 biases = _mm512_set1_ps(bias);
    const __m512 scales = _mm512_set1_ps(scale);
    const __m512i order =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);

    for (size_t c = 0; c < count; c += 64) {
        const __m512i first =
            _mm512_packus_epi32(zmm_quantize_16(row + c, biases, scales),
                                zmm_quantize_16(row + c + 16, biases, scales));
        const __m512i second =
            _mm512_packus_epi32(zmm_quantize_16(row + c + 32, biases, scales),
                                zmm_quantize_16(row + c + 48, biases, scales));

        isa_store(out + c, _mm512_permutexvar_epi32(
                               order, _mm512_packus_epi16(first, second)));
    }
}

/* Two products of 255 * 64 fit into 16 bits with a sign: 32,640. */
static inline uint32_t isa_weigh(const uint8_t *entries, const uint8_t *weights)
{
    const __m512i ones = _mm512_set1_epi16(1);
    __m512i sum = _mm512_setzero_si512();

    for (size_t c = 0; c < 256; c += 64) {
        __m512i pairs =
            _mm512_maddubs_epi16(isa_load(entries + c), isa_load(weights + c));

        sum = _mm512_add_epi32(sum, _mm512_madd_epi16(pairs, ones));
    }
    return (uint32_t)_mm512_reduce_add_epi32(sum);
}

/* Rows 4j to 4j + 3, one in each 128-bit lane. */
static inline __m512i zmm_four_rows(const uint8_t *codes, size_t row_stride)
{
    const uint8_t *row = codes;
    __m512i rows;

    isa_prefetch(codes);
    if (row_stride == 16)
        return isa_load(codes);
    rows = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)row));
    row += row_stride;
    rows = _mm512_inserti32x4(rows, _mm_loadu_si128((const __m128i *)row), 1);
    row += row_stride;
    rows = _mm512_inserti32x4(rows, _mm_loadu_si128((const __m128i *)row), 2);
    row += row_stride;
    return _mm512_inserti32x4(rows, _mm_loadu_si128((const __m128i *)row), 3);
}

/*
 * Deals the bytes of registers i and i + 8 out to registers 2i and 2i + 1, in
 * every 128-bit lane by itself.  Seen as the number (register, byte), 4 bits
 * each, the place of a byte is rotated left by one bit.
 */
ISA_INLINE void zmm_deal(const __m512i from[16], __m512i to[16])
{
    ISA_UNROLL
    for (int i = 0; i < 8; i++) {
        to[2 * i] = _mm512_unpacklo_epi8(from[i], from[i + 8]);
        to[2 * i + 1] = _mm512_unpackhi_epi8(from[i], from[i + 8]);
    }
}

/*
 * After four of those rotations register and byte have changed places: a
 * register holds a column, in lane l the rows 4r + l at bytes r.  Bringing them
 * into order would take as long again, and nobody needs it.
 */
ISA_INLINE void zmm_transpose(const uint8_t *codes, size_t row_stride,
                              uint8_t *columns, size_t column_stride)
{
    __m512i rows[16], dealt[16];

    ISA_UNROLL
    for (size_t j = 0; j < 16; j++)
        rows[j] = zmm_four_rows(codes + 4 * j * row_stride, row_stride);
    zmm_deal(rows, dealt);
    zmm_deal(dealt, rows);
    zmm_deal(rows, dealt);
    zmm_deal(dealt, rows);
    ISA_UNROLL
    for (size_t j = 0; j < 16; j++)
        _mm512_store_si512(columns + j * column_stride, rows[j]);
}

static inline void isa_transpose_rows(const uint8_t *codes, size_t row_stride,
                                      uint8_t *columns, size_t column_stride)
{
    if (row_stride == 16)
        zmm_transpose(codes, 16, columns, column_stride);
    else
        zmm_transpose(codes, row_stride, columns, column_stride);
}

static inline unsigned isa_transposed_row(unsigned lane)
{
    return 4 * (lane % 16) + lane / 16;
}

static inline isa_ints isa_load_ints(const int32_t *from)
{
    return _mm512_load_si512(from);
}

static inline void isa_store_ints(int32_t *to, isa_ints ints)
{
    _mm512_store_si512(to, ints);
}

static inline isa_ints isa_all_ints(int32_t number)
{
    return _mm512_set1_epi32(number);
}

static inline isa_floats isa_to_floats(isa_ints ints)
{
    return _mm512_cvtepi32_ps(ints);
}

static inline isa_ints isa_add_ints(isa_ints a, isa_ints b)
{
    return _mm512_add_epi32(a, b);
}

static inline isa_ints isa_lesser_ints(isa_ints a, isa_ints b)
{
    return _mm512_min_epi32(a, b);
}

static inline isa_ints isa_multiply_pairs(isa_ints a, isa_ints b)
{
    return _mm512_madd_epi16(a, b);
}

static inline int32_t isa_least_int(isa_ints ints)
{
    return _mm512_reduce_min_epi32(ints);
}

static inline unsigned isa_ints_at_most(isa_ints ints, isa_ints threshold)
{
    return _mm512_cmple_epi32_mask(ints, threshold);
}

#endif
