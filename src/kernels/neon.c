/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The variant for NEON, 16 or 8 codes at a time: what AArch64 and 32-bit ARM share.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "kernels.h"

#if PQK_HAVE_NEON

#include <arm_neon.h>
#include <math.h>

/* 64 bytes: four registers. */
typedef struct {
    uint8x16_t part[4];
} isa_bytes;

#ifdef __aarch64__
#define ISA_COUNTS       1
#define ISA_FLOAT_GROUPS 1
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define ISA_WORDS_OF_CODES 1
#endif
#define ISA_FLOATS          4
#define ISA_ESTIMATES       1
#define ISA_FLOAT_ESTIMATES 1
#define ISA_FORGET(pointer) __asm__("" : "+r"(pointer))
typedef float32x4_t isa_floats;
#else
#define ISA_FLOATS 1
typedef float isa_floats;
#endif

/* Half of the registers of AArch64. */
#define ISA_ROW_SUMS 16

#include "kernels/isa.h"
#ifdef __aarch64__
#include "kernels/neon_64.h"
#else
#include "kernels/neon_32.h"
#endif

/* On AArch64 four registers that follow each other, at once. */
static inline isa_bytes isa_load(const uint8_t *from)
{
#ifdef __aarch64__
    const uint8x16x4_t four = vld1q_u8_x4(from);

    return (isa_bytes){{four.val[0], four.val[1], four.val[2], four.val[3]}};
#else
    return (isa_bytes){{vld1q_u8(from), vld1q_u8(from + 16),
                        vld1q_u8(from + 32), vld1q_u8(from + 48)}};
#endif
}

static inline void isa_store(uint8_t *to, isa_bytes bytes)
{
    vst1q_u8(to, bytes.part[0]);
    vst1q_u8(to + 16, bytes.part[1]);
    vst1q_u8(to + 32, bytes.part[2]);
    vst1q_u8(to + 48, bytes.part[3]);
}

static inline isa_bytes isa_add(isa_bytes sums, isa_bytes terms)
{
    return (isa_bytes){{vqaddq_u8(sums.part[0], terms.part[0]),
                        vqaddq_u8(sums.part[1], terms.part[1]),
                        vqaddq_u8(sums.part[2], terms.part[2]),
                        vqaddq_u8(sums.part[3], terms.part[3])}};
}

static inline unsigned isa_any_alive(isa_bytes sums, uint8_t threshold)
{
    return neon_least_of_16(vminq_u8(vminq_u8(sums.part[0], sums.part[1]),
                                     vminq_u8(sums.part[2], sums.part[3]))) <=
           threshold;
}

/* The bit that a byte stands for, if it is alive: 8 bytes make up a byte. */
static inline uint8x16_t neon_alive(uint8x16_t sums, uint8_t threshold)
{
    static const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128,
                                     1, 2, 4, 8, 16, 32, 64, 128};

    return vandq_u8(vcleq_u8(sums, vdupq_n_u8(threshold)), vld1q_u8(bits));
}

static uint64_t isa_alive(const uint8_t *sums, uint8_t threshold)
{
    const isa_bytes bytes = isa_load(sums);
    const uint8x16_t pairs[2] = {
        neon_add_pairs(neon_alive(bytes.part[0], threshold),
                       neon_alive(bytes.part[1], threshold)),
        neon_add_pairs(neon_alive(bytes.part[2], threshold),
                       neon_alive(bytes.part[3], threshold))};
    uint8x16_t eights = neon_add_pairs(pairs[0], pairs[1]);

    eights = neon_add_pairs(eights, eights);
    return vgetq_lane_u64(vreinterpretq_u64_u8(eights), 0);
}

/* 4 times 4 numbers, four times.  ZIP deals the rows of a pair out: after two of
 * them rows and columns have changed places. */
static inline void neon_transpose_4(const float *from, size_t from_stride,
                                    float *to, size_t to_stride)
{
    const float32x4x2_t even =
        vzipq_f32(vld1q_f32(from), vld1q_f32(from + 2 * from_stride));
    const float32x4x2_t odd = vzipq_f32(vld1q_f32(from + from_stride),
                                        vld1q_f32(from + 3 * from_stride));
    const float32x4x2_t low = vzipq_f32(even.val[0], odd.val[0]);
    const float32x4x2_t high = vzipq_f32(even.val[1], odd.val[1]);

    vst1q_f32(to, low.val[0]);
    vst1q_f32(to + to_stride, low.val[1]);
    vst1q_f32(to + 2 * to_stride, high.val[0]);
    vst1q_f32(to + 3 * to_stride, high.val[1]);
}

/* 8 times 8 numbers side by side: LD4 deals two rows out to columns that are the
 * same modulo 4, and UZP those of two pairs of rows by what is left. */
static inline void neon_transpose_8(const float *from, float *to,
                                    size_t to_stride)
{
    for (size_t i = 0; i < 8; i += 4) {
        const float32x4x4_t low = vld4q_f32(from + i * 8),
                            high = vld4q_f32(from + i * 8 + 16);

        ISA_UNROLL
        for (size_t k = 0; k < 4; k++) {
            const float32x4x2_t dealt = vuzpq_f32(low.val[k], high.val[k]);

            vst1q_f32(to + k * to_stride + i, dealt.val[0]);
            vst1q_f32(to + (k + 4) * to_stride + i, dealt.val[1]);
        }
    }
}

static inline void isa_transpose_floats(const float *from, size_t from_stride,
                                        float *to, size_t to_stride)
{
    if (from_stride == 8) {
        neon_transpose_8(from, to, to_stride);
        return;
    }
    for (size_t i = 0; i < 8; i += 4)
        for (size_t j = 0; j < 8; j += 4)
            neon_transpose_4(from + i * from_stride + j, from_stride,
                             to + j * to_stride + i, to_stride);
}

/* By four chains, none of which waits for another. */
static float isa_row_minimum(const float *row)
{
    isa_floats minima[4];

    for (int i = 0; i < 4; i++)
        minima[i] = isa_all_floats(INFINITY);
    for (size_t c = 0; c < 256; c += 4 * ISA_FLOATS) {
        ISA_UNROLL
        for (size_t i = 0; i < 4; i++)
            minima[i] = neon_lesser_of_any(
                isa_load_floats(row + c + i * ISA_FLOATS), minima[i]);
    }
    minima[0] = isa_lesser_floats(minima[0], minima[1]);
    minima[2] = isa_lesser_floats(minima[2], minima[3]);
    return isa_least_float(isa_lesser_floats(minima[0], minima[2]));
}

/* A product of 255 * 64 fits into 16 bits. */
static uint32_t isa_weigh(const uint8_t *entries, const uint8_t *weights)
{
    uint32x4_t sum = vdupq_n_u32(0);
    uint64x2_t halves;

    for (size_t c = 0; c < 256; c += 8)
        sum = vpadalq_u16(sum,
                          vmull_u8(vld1_u8(entries + c), vld1_u8(weights + c)));
    halves = vpaddlq_u32(sum);
    return (uint32_t)(vgetq_lane_u64(halves, 0) + vgetq_lane_u64(halves, 1));
}

/*
 * Deals the bytes of registers i and i + 8 out to registers 2i and 2i + 1.
 * Seen as the number (register, byte), 4 bits each, the place of a byte is
 * rotated left by one bit.
 */
ISA_INLINE void neon_deal(const uint8x16_t from[16], uint8x16_t to[16])
{
    ISA_UNROLL
    for (int i = 0; i < 8; i++) {
        const uint8x16x2_t dealt = vzipq_u8(from[i], from[i + 8]);

        to[2 * i] = dealt.val[0];
        to[2 * i + 1] = dealt.val[1];
    }
}

/* 16 rows.  After four of those rotations register and byte have changed
 * places. */
ISA_INLINE void neon_transpose(const uint8_t *codes, size_t row_stride,
                               uint8_t *columns, size_t column_stride)
{
    uint8x16_t rows[16], dealt[16];

    ISA_UNROLL
    for (size_t j = 0; j < 16; j++)
        rows[j] = vld1q_u8(codes + j * row_stride);
    neon_deal(rows, dealt);
    neon_deal(dealt, rows);
    neon_deal(rows, dealt);
    neon_deal(dealt, rows);
    ISA_UNROLL
    for (size_t j = 0; j < 16; j++)
        vst1q_u8(columns + j * column_stride, rows[j]);
}

/* 16 rows side by side: LD4 deals 4 of them out to columns that are the same modulo
 * 4, and UZP twice by what is left, in half the instructions. */
ISA_INLINE void neon_transpose_16(const uint8_t *codes, uint8_t *columns,
                                  size_t column_stride)
{
    const uint8x16x4_t first = vld4q_u8(codes), second = vld4q_u8(codes + 64),
                       third = vld4q_u8(codes + 128),
                       fourth = vld4q_u8(codes + 192);

    ISA_UNROLL
    for (size_t k = 0; k < 4; k++) {
        const uint8x16x2_t low = vuzpq_u8(first.val[k], second.val[k]),
                           high = vuzpq_u8(third.val[k], fourth.val[k]);
        const uint8x16x2_t even = vuzpq_u8(low.val[0], high.val[0]),
                           odd = vuzpq_u8(low.val[1], high.val[1]);

        vst1q_u8(columns + k * column_stride, even.val[0]);
        vst1q_u8(columns + (k + 4) * column_stride, odd.val[0]);
        vst1q_u8(columns + (k + 8) * column_stride, even.val[1]);
        vst1q_u8(columns + (k + 12) * column_stride, odd.val[1]);
    }
}

static void isa_transpose_rows(const uint8_t *codes, size_t row_stride,
                               uint8_t *columns, size_t column_stride)
{
    if (row_stride == 16) {
        for (size_t lane = 0; lane < 64; lane += 16) {
            isa_prefetch(codes + lane * 16);
            isa_prefetch(codes + lane * 16 + 64);
            isa_prefetch(codes + lane * 16 + 128);
            isa_prefetch(codes + lane * 16 + 192);
            neon_transpose_16(codes + lane * 16, columns + lane, column_stride);
        }
        return;
    }
    for (size_t lane = 0; lane < 64; lane += 16) {
        for (size_t j = 0; j < 16; j += 4)
            isa_prefetch(codes + j * row_stride);
        neon_transpose(codes, row_stride, columns + lane, column_stride);
        codes += 16 * row_stride;
    }
}

static inline unsigned isa_transposed_row(unsigned lane)
{
    return lane;
}

/* 256 entries cost about seven times as much per column as 16.  On 32-bit ARM a
 * table of 64 does not stay in registers, and takes two look-ups. */
#define ISA_NAME      neon
#define ISA_HAS_128   0
#define ISA_BY_GROUPS 1
#ifdef __aarch64__ /* see doc/notebook/neon.md */
#define ISA_ROW_TABLE                     TABLE_256
#define ISA_PLANS(num_queries, cpu, near) plans_of_64_minima
#else
#define ISA_ROW_TABLE                     TABLE_64
#define ISA_PLANS(num_queries, cpu, near) plans_of_groups
#endif

#include "kernels/variant.h"

#endif
