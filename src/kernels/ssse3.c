/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The variant for SSSE3, whose byte shuffles look 16 codes up at once in a table
 * of 16 entries: for x86 without AVX2.  Longer tables take as many shuffles.
 *
 * A shuffle here overwrites its table, so each takes a copy of it first, and a
 * load is as good as a copy: tables need not stay in the 16 registers.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "kernels.h"

#if PQK_HAVE_SSSE3

#include <math.h>
#include <tmmintrin.h>

/* 64 bytes: four registers. */
typedef struct {
    __m128i part[4];
} isa_bytes;

#define ISA_FLOATS 4

typedef __m128 isa_floats;

/* 4 integers of 32 bits, and 8 of 16. */
#define ISA_LANES     4
#define ISA_ESTIMATES 1

typedef __m128i isa_ints;

#include "kernels/isa.h"

static inline __m128i xmm_load(const uint8_t *from)
{
    return _mm_loadu_si128((const __m128i *)from);
}

/* Of the CPUs that this is for, many take several times as long over what might
 * not be aligned, and none has that as another instruction's operand. */
static inline __m128i xmm_load_aligned(const uint8_t *from)
{
    return _mm_load_si128((const __m128i *)from);
}

static inline void xmm_store_aligned(uint8_t *to, __m128i bytes)
{
    _mm_store_si128((__m128i *)to, bytes);
}

static inline isa_bytes isa_load(const uint8_t *from)
{
    return (isa_bytes){{xmm_load_aligned(from), xmm_load_aligned(from + 16),
                        xmm_load_aligned(from + 32),
                        xmm_load_aligned(from + 48)}};
}

static inline void isa_store(uint8_t *to, isa_bytes bytes)
{
    xmm_store_aligned(to, bytes.part[0]);
    xmm_store_aligned(to + 16, bytes.part[1]);
    xmm_store_aligned(to + 32, bytes.part[2]);
    xmm_store_aligned(to + 48, bytes.part[3]);
}

static inline isa_bytes isa_add(isa_bytes sums, isa_bytes terms)
{
    return (isa_bytes){{_mm_adds_epu8(sums.part[0], terms.part[0]),
                        _mm_adds_epu8(sums.part[1], terms.part[1]),
                        _mm_adds_epu8(sums.part[2], terms.part[2]),
                        _mm_adds_epu8(sums.part[3], terms.part[3])}};
}

/*
 * SSE2 compares bytes as signed numbers only, but subtracts unsigned ones down to
 * 0 and no further: which a sum gives that is <= the threshold.
 */
static inline uint32_t xmm_alive(__m128i sums, uint8_t threshold)
{
    const __m128i above = _mm_subs_epu8(sums, _mm_set1_epi8((char)threshold));

    return (uint32_t)_mm_movemask_epi8(
        _mm_cmpeq_epi8(above, _mm_setzero_si128()));
}

static inline unsigned isa_any_alive(isa_bytes sums, uint8_t threshold)
{
    return xmm_alive(_mm_min_epu8(_mm_min_epu8(sums.part[0], sums.part[1]),
                                  _mm_min_epu8(sums.part[2], sums.part[3])),
                     threshold) != 0;
}

static inline uint64_t isa_alive(const uint8_t *sums, uint8_t threshold)
{
    return xmm_alive(xmm_load_aligned(sums), threshold) |
           xmm_alive(xmm_load_aligned(sums + 16), threshold) << 16 |
           (uint64_t)(xmm_alive(xmm_load_aligned(sums + 32), threshold) |
                      xmm_alive(xmm_load_aligned(sums + 48), threshold) << 16)
               << 32;
}

/*
 * 16 entries first; or 64: the first 16, and behind them 16 more at a time, each
 * as what it differs in from the one 16 before it; or twice 128: the first 128 so,
 * then what the others differ in from those, in the same way.
 */
struct isa_table {
    __m128i part[16];
};

ISA_INLINE unsigned isa_columns_at_once(enum isa_kind kind)
{
    return kind == TABLE_256 ? 1 : 4;
}

ISA_INLINE void isa_load_table(enum isa_kind kind, const uint8_t *from,
                               struct isa_table *table)
{
    const int num_parts = kind == TABLE_256 ? 16 : kind == TABLE_64 ? 4 : 1;

    ISA_UNROLL
    for (int j = 0; j < num_parts; j++)
        table->part[j] = xmm_load_aligned(from + 16 * j);
    ISA_UNROLL
    for (int j = num_parts - 1; j >= 8; j--)
        table->part[j] = _mm_xor_si128(table->part[j], table->part[j - 8]);
    ISA_UNROLL
    for (int j = num_parts - 1; j > 0; j--)
        if (j != 8)
            table->part[j] = _mm_xor_si128(table->part[j], table->part[j - 1]);
}

/*
 * Compilers see a sum in a chain of exclusive ors, and shorten it by adding up its
 * terms as a tree.  That takes more registers than there are, and most terms go to
 * memory and back.
 */
ISA_INLINE void xmm_now(__m128i *term)
{
    __asm__("" : "+x"(*term));
}

/*
 * A shuffle gives 0 for an index with bit 7, else what the low 4 bits choose.
 * Labels 0 to 63, less 16 j, have bit 7 if they belong to entries before number
 * 16 j.  So an exclusive or of the four shuffles takes in the differences up to
 * the label's own 16 entries and no further.
 */
ISA_INLINE __m128i xmm_look_up_64(__m128i labels, const struct isa_table *table)
{
    __m128i indices = _mm_and_si128(labels, _mm_set1_epi8(63));
    __m128i entries = _mm_shuffle_epi8(table->part[0], indices);

    ISA_UNROLL
    for (int j = 1; j < 4; j++) {
        indices = _mm_subs_epi8(indices, _mm_set1_epi8(16));
        entries =
            _mm_xor_si128(entries, _mm_shuffle_epi8(table->part[j], indices));
        xmm_now(&entries);
    }
    return entries;
}

/*
 * The same for labels without bit 7, and beside it, with the same indices, for
 * what is to be added to the entry if the label has it.
 */
ISA_INLINE __m128i xmm_look_up_256(__m128i labels,
                                   const struct isa_table *table)
{
    __m128i indices = _mm_and_si128(labels, _mm_set1_epi8(127));
    __m128i entries = _mm_shuffle_epi8(table->part[0], indices);
    __m128i differences = _mm_shuffle_epi8(table->part[8], indices);

    ISA_UNROLL
    for (int j = 1; j < 8; j++) {
        indices = _mm_subs_epi8(indices, _mm_set1_epi8(16));
        entries =
            _mm_xor_si128(entries, _mm_shuffle_epi8(table->part[j], indices));
        differences = _mm_xor_si128(
            differences, _mm_shuffle_epi8(table->part[j + 8], indices));
        xmm_now(&entries);
        xmm_now(&differences);
    }
    return _mm_xor_si128(
        entries, _mm_and_si128(differences,
                               _mm_cmpgt_epi8(_mm_setzero_si128(), labels)));
}

/* The shuffle wants an index without bit 7; bits 4 to 6 it ignores. */
ISA_INLINE __m128i xmm_look_up(enum isa_kind kind, __m128i labels,
                               const struct isa_table *table)
{
    if (kind == TABLE_256)
        return xmm_look_up_256(labels, table);
    if (kind == TABLE_64)
        return xmm_look_up_64(labels, table);
    return _mm_shuffle_epi8(table->part[0],
                            _mm_and_si128(labels, _mm_set1_epi8(15)));
}

ISA_INLINE isa_bytes isa_look_up(enum isa_kind kind, isa_bytes labels,
                                 const struct isa_table *table)
{
    return (isa_bytes){{xmm_look_up(kind, labels.part[0], table),
                        xmm_look_up(kind, labels.part[1], table),
                        xmm_look_up(kind, labels.part[2], table),
                        xmm_look_up(kind, labels.part[3], table)}};
}

/* 4 times 4 numbers: pairs, then halves change places. */
static inline void xmm_transpose_4(const float *from, size_t from_stride,
                                   float *to, size_t to_stride)
{
    const __m128 a = _mm_loadu_ps(from);
    const __m128 b = _mm_loadu_ps(from + from_stride);
    const __m128 c = _mm_loadu_ps(from + 2 * from_stride);
    const __m128 d = _mm_loadu_ps(from + 3 * from_stride);
    const __m128 ab = _mm_unpacklo_ps(a, b), ab_high = _mm_unpackhi_ps(a, b);
    const __m128 cd = _mm_unpacklo_ps(c, d), cd_high = _mm_unpackhi_ps(c, d);

    _mm_storeu_ps(to, _mm_movelh_ps(ab, cd));
    _mm_storeu_ps(to + to_stride, _mm_movehl_ps(cd, ab));
    _mm_storeu_ps(to + 2 * to_stride, _mm_movelh_ps(ab_high, cd_high));
    _mm_storeu_ps(to + 3 * to_stride, _mm_movehl_ps(cd_high, ab_high));
}

static inline void isa_transpose_floats(const float *from, size_t from_stride,
                                        float *to, size_t to_stride)
{
    for (size_t i = 0; i < 8; i += 4)
        for (size_t j = 0; j < 8; j += 4)
            xmm_transpose_4(from + i * from_stride + j, from_stride,
                            to + j * to_stride + i, to_stride);
}

/* Four vectors at a time, four components at a time. */
ISA_INLINE void isa_add_squares(const float *query,
                                const float *const vectors[8], float sums[8])
{
    for (size_t j = 0; j < 8; j += 4) {
        __m128 sum = _mm_loadu_ps(sums + j);

        for (size_t i = 0; i < 8; i += 4) {
            __m128 components[4];

            ISA_UNROLL
            for (size_t l = 0; l < 4; l++)
                components[l] = _mm_loadu_ps(vectors[j + l] + i);
            _MM_TRANSPOSE4_PS(components[0], components[1], components[2],
                              components[3]);
            ISA_UNROLL
            for (size_t l = 0; l < 4; l++) {
                const __m128 difference =
                    _mm_sub_ps(_mm_set1_ps(query[i + l]), components[l]);

                sum = _mm_add_ps(sum, _mm_mul_ps(difference, difference));
            }
        }
        _mm_storeu_ps(sums + j, sum);
    }
}

static inline isa_floats isa_all_floats(float number)
{
    return _mm_set1_ps(number);
}

static inline isa_floats isa_load_floats(const float *from)
{
    return _mm_load_ps(from);
}

static inline void isa_store_floats(float *to, isa_floats floats)
{
    _mm_store_ps(to, floats);
}

/* min_ps gives its second operand when one of them is a NaN. */
static inline isa_floats isa_lesser_floats(isa_floats candidate,
                                           isa_floats least)
{
    return _mm_min_ps(candidate, least);
}

static inline float isa_least_float(isa_floats floats)
{
    __m128 two = _mm_min_ps(floats, _mm_movehl_ps(floats, floats));

    return _mm_cvtss_f32(_mm_min_ss(two, _mm_shuffle_ps(two, two, 1)));
}

static float isa_row_minimum(const float *row)
{
    __m128 minimum = _mm_set1_ps(INFINITY);

    for (size_t c = 0; c < 256; c += 4)
        minimum = _mm_min_ps(_mm_loadu_ps(row + c), minimum);
    return isa_least_float(minimum);
}

/*
 * min_ps comes before the conversion, which has no answer for numbers beyond
 * its range, and makes a NaN 255, because 255 is its second operand.
 */
static inline __m128i xmm_scale(const float *row, __m128 bias, __m128 scale)
{
    __m128 scaled = _mm_mul_ps(_mm_sub_ps(_mm_loadu_ps(row), bias), scale);

    return _mm_cvttps_epi32(_mm_min_ps(scaled, _mm_set1_ps(255.0f)));
}

static void isa_quantize(const float *row, size_t count, float bias,
                         float scale, uint8_t *out)
{
    const __m128 biases = _mm_set1_ps(bias);
    const __m128 scales = _mm_set1_ps(scale);

    for (size_t c = 0; c < count; c += 16) {
        __m128i low = _mm_packs_epi32(xmm_scale(row + c, biases, scales),
                                      xmm_scale(row + c + 4, biases, scales));
        __m128i high = _mm_packs_epi32(xmm_scale(row + c + 8, biases, scales),
                                       xmm_scale(row + c + 12, biases, scales));

        xmm_store_aligned(out + c, _mm_packus_epi16(low, high));
    }
}

/* Two products of 255 * 64 fit into 16 bits with a sign: 32,640. */
static uint32_t isa_weigh(const uint8_t *entries, const uint8_t *weights)
{
    const __m128i ones = _mm_set1_epi16(1);
    __m128i sum = _mm_setzero_si128();

    for (size_t c = 0; c < 256; c += 16) {
        __m128i pairs =
            _mm_maddubs_epi16(xmm_load(entries + c), xmm_load(weights + c));

        sum = _mm_add_epi32(sum, _mm_madd_epi16(pairs, ones));
    }
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e)); /* 2 3 0 1 */
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1)); /* 1 0 3 2 */
    return (uint32_t)_mm_cvtsi128_si32(sum);
}

/*
 * Deals the bytes of registers i and i + 8 out to registers 2i and 2i + 1.
 * Seen as the number (register, byte), 4 bits each, the place of a byte is
 * rotated left by one bit.
 */
ISA_INLINE void xmm_deal(const __m128i from[16], __m128i to[16])
{
    ISA_UNROLL
    for (int i = 0; i < 8; i++) {
        to[2 * i] = _mm_unpacklo_epi8(from[i], from[i + 8]);
        to[2 * i + 1] = _mm_unpackhi_epi8(from[i], from[i + 8]);
    }
}

/* 16 rows.  After four of those rotations register and byte have changed
 * places. */
ISA_INLINE void xmm_transpose(const uint8_t *codes, size_t row_stride,
                              uint8_t *columns, size_t column_stride)
{
    __m128i rows[16], dealt[16];

    ISA_UNROLL
    for (size_t j = 0; j < 16; j++)
        rows[j] = xmm_load(codes + j * row_stride);
    xmm_deal(rows, dealt);
    xmm_deal(dealt, rows);
    xmm_deal(rows, dealt);
    xmm_deal(dealt, rows);
    ISA_UNROLL
    for (size_t j = 0; j < 16; j++)
        xmm_store_aligned(columns + j * column_stride, rows[j]);
}

static void isa_transpose_rows(const uint8_t *codes, size_t row_stride,
                               uint8_t *columns, size_t column_stride)
{
    for (size_t lane = 0; lane < 64; lane += 16) {
        for (size_t j = 0; j < 16; j += 4)
            isa_prefetch(codes + j * row_stride);
        xmm_transpose(codes, row_stride, columns + lane, column_stride);
        codes += 16 * row_stride;
    }
}

static inline unsigned isa_transposed_row(unsigned lane)
{
    return lane;
}

static inline isa_ints isa_load_ints(const int32_t *from)
{
    return _mm_load_si128((const __m128i *)from);
}

static inline void isa_store_ints(int32_t *to, isa_ints ints)
{
    _mm_store_si128((__m128i *)to, ints);
}

static inline isa_ints isa_all_ints(int32_t number)
{
    return _mm_set1_epi32(number);
}

static inline isa_floats isa_to_floats(isa_ints ints)
{
    return _mm_cvtepi32_ps(ints);
}

static inline isa_ints isa_add_ints(isa_ints a, isa_ints b)
{
    return _mm_add_epi32(a, b);
}

/* Minima of 32-bit integers came with SSE4.1. */
static inline isa_ints isa_lesser_ints(isa_ints a, isa_ints b)
{
    const __m128i a_is_greater = _mm_cmpgt_epi32(a, b);

    return _mm_or_si128(_mm_and_si128(a_is_greater, b),
                        _mm_andnot_si128(a_is_greater, a));
}

static inline isa_ints isa_multiply_pairs(isa_ints a, isa_ints b)
{
    return _mm_madd_epi16(a, b);
}

static inline int32_t isa_least_int(isa_ints ints)
{
    ints = isa_lesser_ints(ints, _mm_shuffle_epi32(ints, 0x4e));
    ints = isa_lesser_ints(ints, _mm_shuffle_epi32(ints, 0xb1));
    return _mm_cvtsi128_si32(ints);
}

static inline unsigned isa_ints_at_most(isa_ints ints, isa_ints threshold)
{
    return ~(unsigned)_mm_movemask_ps(
               _mm_castsi128_ps(_mm_cmpgt_epi32(ints, threshold))) &
           0xf;
}

/* Four values, in steps; adds to a mask those that are beyond their reach. */
ISA_INLINE __m128i xmm_round(const float *values, const float *centres,
                             const float *reach, float scale, __m128 *beyond)
{
    const __m128 sign = _mm_set1_ps(-0.0f);
    const __m128 steps =
        _mm_mul_ps(_mm_sub_ps(_mm_loadu_ps(values), _mm_loadu_ps(centres)),
                   _mm_set1_ps(scale));

    *beyond = _mm_or_ps(*beyond, _mm_cmpnle_ps(_mm_andnot_ps(sign, steps),
                                               _mm_loadu_ps(reach)));
    return _mm_cvtps_epi32(steps);
}

static inline int32_t isa_round(const float *values, const float *centres,
                                const float *reach, float scale, int16_t *out)
{
    __m128 beyond = _mm_setzero_ps();
    const __m128i low = xmm_round(values, centres, reach, scale, &beyond);
    const __m128i high =
        xmm_round(values + 4, centres + 4, reach + 4, scale, &beyond);
    const __m128i words = _mm_packs_epi32(low, high);
    __m128i sum = _mm_madd_epi16(words, words);

    _mm_storeu_si128((__m128i *)out, words);
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4e));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xb1));
    return _mm_movemask_ps(beyond) == 0 ? _mm_cvtsi128_si32(sum) : -1;
}

/* 256 entries cost sixteen times as much as 16, 64 cost four times as much. */
#define ISA_NAME                          ssse3
#define ISA_HAS_128                       0
#define ISA_BY_GROUPS                     1
#define ISA_ROW_TABLE                     TABLE_64
#define ISA_FETCHING_TABLE                TABLE_16
#define ISA_PLANS(num_queries, cpu, near) plans_of_groups

#include "kernels/variant.h"

#endif
