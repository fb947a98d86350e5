/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The variant for AVX2, whose byte shuffles look 32 codes up at once in a table
 * of 16 entries.  Longer tables take as many shuffles and a tree of blends.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "kernels.h"

#if PQK_HAVE_AVX2

#include <immintrin.h>
#include <math.h>

/* 64 bytes: two registers. */
typedef struct {
    __m256i half[2];
} isa_bytes;

#define ISA_FLOATS       8
#define ISA_FLOAT_GROUPS 1

typedef __m256 isa_floats;

/* 8 integers of 32 bits, and 16 of 16. */
#define ISA_LANES     8
#define ISA_ESTIMATES 1

typedef __m256i isa_ints;

#include "kernels/isa.h"
#include "kernels/ymm.h"

static inline __m256i ymm_load(const uint8_t *from)
{
    return _mm256_loadu_si256((const __m256i *)from);
}

static inline void ymm_store(uint8_t *to, __m256i bytes)
{
    _mm256_storeu_si256((__m256i *)to, bytes);
}

static inline isa_bytes isa_load(const uint8_t *from)
{
    return (isa_bytes){{ymm_load(from), ymm_load(from + 32)}};
}

static inline void isa_store(uint8_t *to, isa_bytes bytes)
{
    ymm_store(to, bytes.half[0]);
    ymm_store(to + 32, bytes.half[1]);
}

static inline isa_bytes isa_add(isa_bytes sums, isa_bytes terms)
{
    return (isa_bytes){{_mm256_adds_epu8(sums.half[0], terms.half[0]),
                        _mm256_adds_epu8(sums.half[1], terms.half[1])}};
}

/*
 * AVX2 compares bytes as signed numbers only, but has a minimum of unsigned
 * ones: a sum is <= the threshold if the minimum of both is the sum.
 */
static inline uint32_t ymm_alive(__m256i sums, uint8_t threshold)
{
    const __m256i thresholds = _mm256_set1_epi8((char)threshold);

    return (uint32_t)_mm256_movemask_epi8(
        _mm256_cmpeq_epi8(_mm256_min_epu8(sums, thresholds), sums));
}

static inline unsigned isa_any_alive(isa_bytes sums, uint8_t threshold)
{
    return ymm_alive(_mm256_min_epu8(sums.half[0], sums.half[1]), threshold) !=
           0;
}

static inline uint64_t isa_alive(const uint8_t *sums, uint8_t threshold)
{
    return ymm_alive(ymm_load(sums), threshold) |
           (uint64_t)ymm_alive(ymm_load(sums + 32), threshold) << 32;
}

/*
 * 16 entries: in the first register.  64 or 128: the first 16 in the first
 * register, and in each further one the next 16, as the exclusive or with the 16
 * before.  256: only their address.  Registers hold everything twice, because a
 * shuffle looks no further than its 128-bit lane.
 */
struct isa_table {
    __m256i part[8];
    const uint8_t *from;
};

ISA_INLINE unsigned isa_columns_at_once(enum isa_kind kind)
{
    return kind == TABLE_256 || kind == TABLE_128 ? 1 : 4;
}

ISA_INLINE __m256i ymm_twice(const uint8_t *entries)
{
    return _mm256_broadcastsi128_si256(
        _mm_load_si128((const __m128i *)entries));
}

ISA_INLINE void isa_load_table(enum isa_kind kind, const uint8_t *from,
                               struct isa_table *table)
{
    const int num_parts = kind == TABLE_128 ? 8 : kind == TABLE_64 ? 4 : 1;

    table->from = from;
    if (kind == TABLE_256)
        return;
    table->part[0] = ymm_twice(from);
    ISA_UNROLL
    for (int j = 1; j < num_parts; j++)
        table->part[j] = _mm256_xor_si256(ymm_twice(from + 16 * j - 16),
                                          ymm_twice(from + 16 * j));
}

/* The shuffle wants an index without bit 7; bits 4 to 6 it ignores. */
ISA_INLINE __m256i ymm_low_bits(__m256i labels)
{
    return _mm256_and_si256(labels, _mm256_set1_epi8(15));
}

/*
 * A shuffle gives 0 for an index with bit 7, else what the low 4 bits choose.
 * Labels 0 to 127, less 16 j, have bit 7 if they belong to entries before number
 * 16 j.  So an exclusive or of the shuffles takes in the differences up to
 * the label's own 16 entries and no further.  That is one instruction more than
 * with blends, but a blend takes many processors two or three steps.
 */
ISA_INLINE __m256i ymm_look_up_groups(__m256i labels, int num_groups,
                                      const struct isa_table *table)
{
    __m256i indices =
        _mm256_and_si256(labels, _mm256_set1_epi8((char)(num_groups - 1)));
    __m256i entries = _mm256_shuffle_epi8(table->part[0], indices);

    ISA_UNROLL
    for (int j = 1; j < num_groups / 16; j++) {
        indices = _mm256_subs_epi8(indices, _mm256_set1_epi8(16));
        entries = _mm256_xor_si256(
            entries, _mm256_shuffle_epi8(table->part[j], indices));
    }
    return entries;
}

/* The same for 64 of 256 entries, by blends: bits 4 and 5 choose among 4. */
ISA_INLINE __m256i ymm_look_up_quarter(__m256i labels, const uint8_t *table)
{
    const __m256i low = ymm_low_bits(labels);
    const __m256i bit_4 = _mm256_slli_epi16(labels, 3);
    const __m256i bit_5 = _mm256_slli_epi16(labels, 2);
    const __m256i if_0 = _mm256_blendv_epi8(
        _mm256_shuffle_epi8(ymm_twice(table), low),
        _mm256_shuffle_epi8(ymm_twice(table + 16), low), bit_4);
    const __m256i if_1 = _mm256_blendv_epi8(
        _mm256_shuffle_epi8(ymm_twice(table + 32), low),
        _mm256_shuffle_epi8(ymm_twice(table + 48), low), bit_4);

    return _mm256_blendv_epi8(if_0, if_1, bit_5);
}

/* Blends look at bit 7 of a byte: labels are shifted to bring others there. */
ISA_INLINE __m256i ymm_look_up_256(__m256i labels, const uint8_t *table)
{
    const __m256i bit_6 = _mm256_add_epi8(labels, labels);
    const __m256i if_0 =
        _mm256_blendv_epi8(ymm_look_up_quarter(labels, table),
                           ymm_look_up_quarter(labels, table + 64), bit_6);
    const __m256i if_1 =
        _mm256_blendv_epi8(ymm_look_up_quarter(labels, table + 128),
                           ymm_look_up_quarter(labels, table + 192), bit_6);

    return _mm256_blendv_epi8(if_0, if_1, labels);
}

ISA_INLINE __m256i ymm_look_up(enum isa_kind kind, __m256i labels,
                               const struct isa_table *table)
{
    if (kind == TABLE_256)
        return ymm_look_up_256(labels, table->from);
    if (kind == TABLE_128)
        return ymm_look_up_groups(labels, 128, table);
    if (kind == TABLE_64)
        return ymm_look_up_groups(labels, 64, table);
    return _mm256_shuffle_epi8(table->part[0], ymm_low_bits(labels));
}

ISA_INLINE isa_bytes isa_look_up(enum isa_kind kind, isa_bytes labels,
                                 const struct isa_table *table)
{
    return (isa_bytes){{ymm_look_up(kind, labels.half[0], table),
                        ymm_look_up(kind, labels.half[1], table)}};
}

static inline isa_floats isa_all_floats(float number)
{
    return _mm256_set1_ps(number);
}

static inline isa_floats isa_load_floats(const float *from)
{
    return _mm256_load_ps(from);
}

static inline void isa_store_floats(float *to, isa_floats floats)
{
    _mm256_store_ps(to, floats);
}

/* min_ps gives its second operand when one of them is a NaN. */
static inline isa_floats isa_lesser_floats(isa_floats candidate,
                                           isa_floats least)
{
    return _mm256_min_ps(candidate, least);
}

static inline float isa_least_float(isa_floats floats)
{
    __m128 four = _mm_min_ps(_mm256_castps256_ps128(floats),
                             _mm256_extractf128_ps(floats, 1));
    __m128 two = _mm_min_ps(four, _mm_movehl_ps(four, four));

    return _mm_cvtss_f32(_mm_min_ss(two, _mm_shuffle_ps(two, two, 1)));
}

static float isa_row_minimum(const float *row)
{
    __m256 minimum = _mm256_set1_ps(INFINITY);

    for (size_t c = 0; c < 256; c += 8)
        minimum = _mm256_min_ps(_mm256_loadu_ps(row + c), minimum);
    return isa_least_float(minimum);
}

/*
 * min_ps comes before the conversion, which has no answer for numbers beyond
 * its range, and makes a NaN 255, because 255 is its second operand.
 */
static inline __m256i ymm_scale(const float *row, __m256 bias, __m256 scale)
{
    __m256 scaled =
        _mm256_mul_ps(_mm256_sub_ps(_mm256_loadu_ps(row), bias), scale);

    return _mm256_cvttps_epi32(_mm256_min_ps(scaled, _mm256_set1_ps(255.0f)));
}

/* Packing works within 128-bit lanes: groups of 4 bytes come out as 0, 2, 4, 6,
 * 1, 3, 5, 7 and are put back into order. */
static void isa_quantize(const float *row, size_t count, float bias,
                         float scale, uint8_t *out)
{
    const __m256 biases = _mm256_set1_ps(bias);
    const __m256 scales = _mm256_set1_ps(scale);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);

    for (size_t c = 0; c < count; c += 32) {
        __m256i low =
            _mm256_packs_epi32(ymm_scale(row + c, biases, scales),
                               ymm_scale(row + c + 8, biases, scales));
        __m256i high =
            _mm256_packs_epi32(ymm_scale(row + c + 16, biases, scales),
                               ymm_scale(row + c + 24, biases, scales));

        ymm_store(out + c, _mm256_permutevar8x32_epi32(
                               _mm256_packus_epi16(low, high), order));
    }
}

/* One by one, since a NaN is passed over as the first operand only. */
static inline isa_floats isa_least_of_four(isa_floats a, isa_floats b,
                                           isa_floats c, isa_floats d)
{
    const isa_floats least = _mm256_min_ps(a, _mm256_set1_ps(INFINITY));

    return _mm256_min_ps(d, _mm256_min_ps(c, _mm256_min_ps(b, least)));
}

static float isa_group_minima(const float *row, float *minima)
{
    __m256 minimum = _mm256_set1_ps(INFINITY);

    for (size_t c = 0; c < 64; c += 8) {
        const __m256 least = isa_least_of_four(
            _mm256_loadu_ps(row + c), _mm256_loadu_ps(row + c + 64),
            _mm256_loadu_ps(row + c + 128), _mm256_loadu_ps(row + c + 192));

        isa_store_floats(minima + c, least);
        minimum = _mm256_min_ps(least, minimum);
    }
    return isa_least_float(minimum);
}

ISA_INLINE void isa_load_vectors(const float *from, isa_floats components[8])
{
    ymm_transpose_8(from, 8, components);
}

/* Two products of 255 * 64 fit into 16 bits with a sign: 32,640. */
static inline __m256i ymm_products(__m256i bytes, __m256i weights)
{
    return _mm256_madd_epi16(_mm256_maddubs_epi16(bytes, weights),
                             _mm256_set1_epi16(1));
}

static inline uint32_t ymm_total(__m256i sum)
{
    __m128i four;

    four = _mm_add_epi32(_mm256_castsi256_si128(sum),
                         _mm256_extracti128_si256(sum, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e)); /* 2 3 0 1 */
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)); /* 1 0 3 2 */
    return (uint32_t)_mm_cvtsi128_si32(four);
}

static uint32_t isa_weigh(const uint8_t *entries, const uint8_t *weights)
{
    __m256i sum = _mm256_setzero_si256();

    for (size_t c = 0; c < 256; c += 32)
        sum = _mm256_add_epi32(
            sum, ymm_products(ymm_load(entries + c), ymm_load(weights + c)));
    return ymm_total(sum);
}

static uint32_t isa_weigh_64(const uint8_t *minima, const uint8_t *weights)
{
    __m256i sum = _mm256_setzero_si256();

    for (size_t c = 0; c < 256; c += 32)
        sum = _mm256_add_epi32(sum, ymm_products(ymm_load(minima + c % 64),
                                                 ymm_load(weights + c)));
    return ymm_total(sum);
}

/* Rows 2j and 2j + 1, one in each 128-bit lane. */
static inline __m256i ymm_two_rows(const uint8_t *codes, size_t row_stride)
{
    return _mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)codes)),
        _mm_loadu_si128((const __m128i *)(codes + row_stride)), 1);
}

/*
 * Deals the bytes of registers i and i + 8 out to registers 2i and 2i + 1, in
 * both 128-bit lanes by themselves.  Seen as the number (register, byte), 4
 * bits each, the place of a byte is rotated left by one bit.
 */
ISA_INLINE void ymm_deal(const __m256i from[16], __m256i to[16])
{
    ISA_UNROLL
    for (int i = 0; i < 8; i++) {
        to[2 * i] = _mm256_unpacklo_epi8(from[i], from[i + 8]);
        to[2 * i + 1] = _mm256_unpackhi_epi8(from[i], from[i + 8]);
    }
}

/*
 * 32 rows.  After four of those rotations register and byte have changed
 * places: a register holds a column, in lane l the rows 2r + l at bytes r.
 */
ISA_INLINE void ymm_transpose(const uint8_t *codes, size_t row_stride,
                              uint8_t *columns, size_t column_stride)
{
    __m256i rows[16], dealt[16];

    ISA_UNROLL
    for (size_t j = 0; j < 16; j++)
        rows[j] = ymm_two_rows(codes + 2 * j * row_stride, row_stride);
    ymm_deal(rows, dealt);
    ymm_deal(dealt, rows);
    ymm_deal(rows, dealt);
    ymm_deal(dealt, rows);
    ISA_UNROLL
    for (size_t j = 0; j < 16; j++)
        ymm_store(columns + j * column_stride, rows[j]);
}

static void isa_transpose_rows(const uint8_t *codes, size_t row_stride,
                               uint8_t *columns, size_t column_stride)
{
    for (size_t half = 0; half < 2; half++) {
        for (size_t j = 0; j < 32; j += 4)
            isa_prefetch(codes + j * row_stride);
        ymm_transpose(codes, row_stride, columns + half * 32, column_stride);
        codes += 32 * row_stride;
    }
}

static inline unsigned isa_transposed_row(unsigned lane)
{
    return lane / 32 * 32 + lane % 16 * 2 + lane / 16 % 2;
}

static inline isa_ints isa_load_ints(const int32_t *from)
{
    return _mm256_load_si256((const __m256i *)from);
}

static inline void isa_store_ints(int32_t *to, isa_ints ints)
{
    _mm256_store_si256((__m256i *)to, ints);
}

static inline isa_ints isa_all_ints(int32_t number)
{
    return _mm256_set1_epi32(number);
}

static inline isa_floats isa_to_floats(isa_ints ints)
{
    return _mm256_cvtepi32_ps(ints);
}

static inline isa_ints isa_add_ints(isa_ints a, isa_ints b)
{
    return _mm256_add_epi32(a, b);
}

static inline isa_ints isa_lesser_ints(isa_ints a, isa_ints b)
{
    return _mm256_min_epi32(a, b);
}

static inline isa_ints isa_multiply_pairs(isa_ints a, isa_ints b)
{
    return _mm256_madd_epi16(a, b);
}

static inline int32_t isa_least_int(isa_ints ints)
{
    __m128i least = _mm_min_epi32(_mm256_castsi256_si128(ints),
                                  _mm256_extracti128_si256(ints, 1));

    least = _mm_min_epi32(least, _mm_shuffle_epi32(least, 0x4e));
    least = _mm_min_epi32(least, _mm_shuffle_epi32(least, 0xb1));
    return _mm_cvtsi128_si32(least);
}

static inline unsigned isa_ints_at_most(isa_ints ints, isa_ints threshold)
{
    return ~(unsigned)_mm256_movemask_ps(
               _mm256_castsi256_ps(_mm256_cmpgt_epi32(ints, threshold))) &
           0xff;
}

/* 256 entries cost sixteen times as much as 16, 128 eight and 64 four times. */
#define ISA_NAME                          avx2
#define ISA_HAS_128                       1
#define ISA_BY_GROUPS                     1
#define ISA_ROW_TABLE                     TABLE_128
#define ISA_PLANS(num_queries, cpu, near) plans_of_groups

#include "kernels/variant.h"

#endif
