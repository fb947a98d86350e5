/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The variant for NEON, whose table look-ups take up to 64 entries on AArch64
 * and 32 on 32-bit ARM, 16 or 8 codes at a time.
 *
 * NEON on 32-bit ARM flushes denormal numbers to zero, and so its results are
 * not those of the reference.  There, floating-point work is plain C, which
 * compilers leave to VFP, and only integers are NEON's.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "kernels/common.h"

#if PQK_HAVE_NEON

#include <arm_neon.h>

#include "kernels/scan_ops.h"

/* 64 bytes: four registers. */
typedef struct {
    uint8x16_t part[4];
} isa_bytes;

static inline isa_bytes isa_load(const uint8_t *from)
{
    return (isa_bytes){{vld1q_u8(from), vld1q_u8(from + 16),
                        vld1q_u8(from + 32), vld1q_u8(from + 48)}};
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

static inline uint8_t neon_least_of_16(uint8x16_t bytes)
{
#ifdef __aarch64__
    return vminvq_u8(bytes);
#else
    uint8x8_t least = vpmin_u8(vget_low_u8(bytes), vget_high_u8(bytes));

    least = vpmin_u8(least, least);
    least = vpmin_u8(least, least);
    least = vpmin_u8(least, least);
    return vget_lane_u8(least, 0);
#endif
}

static inline unsigned isa_any_alive(isa_bytes sums, uint8_t threshold)
{
    return neon_least_of_16(vminq_u8(vminq_u8(sums.part[0], sums.part[1]),
                                     vminq_u8(sums.part[2], sums.part[3]))) <=
           threshold;
}

/* Pairs, which do not overlap, added: of the first register, then the second */
static inline uint8x16_t neon_add_pairs(uint8x16_t first, uint8x16_t second)
{
#ifdef __aarch64__
    return vpaddq_u8(first, second);
#else
    return vcombine_u8(vpadd_u8(vget_low_u8(first), vget_high_u8(first)),
                       vpadd_u8(vget_low_u8(second), vget_high_u8(second)));
#endif
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

#ifdef __aarch64__

/* 16 entries; or 64 in the first of the long ones; or 256. */
struct isa_table {
    uint8x16_t entries;
    uint8x16x4_t longer[4];
};

SCAN_INLINE unsigned isa_columns_at_once(enum scan_table kind)
{
    return kind == TABLE_256 ? 1 : 4; /* 16 of the 32 registers */
}

SCAN_INLINE struct isa_table isa_load_table(enum scan_table kind,
                                            const uint8_t *from)
{
    struct isa_table table;

    if (kind == TABLE_16) {
        table.entries = vld1q_u8(from);
        return table;
    }
    table.longer[0] = vld1q_u8_x4(from);
    if (kind == TABLE_256) {
        table.longer[1] = vld1q_u8_x4(from + 64);
        table.longer[2] = vld1q_u8_x4(from + 128);
        table.longer[3] = vld1q_u8_x4(from + 192);
    }
    return table;
}

/*
 * An index beyond the table gives 0 with TBL and leaves the byte as it is with
 * TBX.  So each of four look-ups fills in the labels of its 64 entries, and
 * those of the entries before have wrapped around to large indices.
 */
SCAN_INLINE uint8x16_t neon_look_up_256(uint8x16_t labels,
                                        const struct isa_table *table)
{
    const uint8x16_t next = vdupq_n_u8(64);
    uint8x16_t found = vqtbl4q_u8(table->longer[0], labels);

    labels = vsubq_u8(labels, next);
    found = vqtbx4q_u8(found, table->longer[1], labels);
    labels = vsubq_u8(labels, next);
    found = vqtbx4q_u8(found, table->longer[2], labels);
    labels = vsubq_u8(labels, next);
    return vqtbx4q_u8(found, table->longer[3], labels);
}

SCAN_INLINE uint8x16_t neon_look_up(enum scan_table kind, uint8x16_t labels,
                                    const struct isa_table *table)
{
    if (kind == TABLE_256)
        return neon_look_up_256(labels, table);
    if (kind == TABLE_64)
        return vqtbl4q_u8(table->longer[0], vandq_u8(labels, vdupq_n_u8(63)));
    return vqtbl1q_u8(table->entries, vandq_u8(labels, vdupq_n_u8(15)));
}

SCAN_INLINE isa_bytes isa_look_up(enum scan_table kind, isa_bytes labels,
                                  const struct isa_table *table)
{
    return (isa_bytes){{neon_look_up(kind, labels.part[0], table),
                        neon_look_up(kind, labels.part[1], table),
                        neon_look_up(kind, labels.part[2], table),
                        neon_look_up(kind, labels.part[3], table)}};
}

#else /* 32-bit ARM */

/* 16 entries in registers, or where 64 or 256 of them are. */
struct isa_table {
    uint8x8x2_t entries;
    const uint8_t *from;
};

SCAN_INLINE unsigned isa_columns_at_once(enum scan_table kind)
{
    return kind == TABLE_16 ? 4 : 1;
}

SCAN_INLINE struct isa_table isa_load_table(enum scan_table kind,
                                            const uint8_t *from)
{
    struct isa_table table = {.from = from};

    if (kind == TABLE_16) {
        table.entries.val[0] = vld1_u8(from);
        table.entries.val[1] = vld1_u8(from + 8);
    }
    return table;
}

SCAN_INLINE uint8x16_t neon_look_up_16(uint8x16_t labels, uint8x8x2_t entries)
{
    const uint8x16_t indices = vandq_u8(labels, vdupq_n_u8(15));

    return vcombine_u8(vtbl2_u8(entries, vget_low_u8(indices)),
                       vtbl2_u8(entries, vget_high_u8(indices)));
}

/* Fills in what 32 more entries have for the indices below 32. */
SCAN_INLINE uint8x16_t neon_look_up_32(uint8x16_t found, uint8x8x4_t entries,
                                       uint8x16_t indices)
{
    return vcombine_u8(
        vtbx4_u8(vget_low_u8(found), entries, vget_low_u8(indices)),
        vtbx4_u8(vget_high_u8(found), entries, vget_high_u8(indices)));
}

/*
 * Tables of 64 or 256 entries, 32 at a time, which all 64 labels are looked up
 * in before the next.  VTBX leaves a byte as it is if its index is beyond the
 * table, and the labels of entries before have wrapped around to large indices.
 */
SCAN_INLINE isa_bytes neon_look_up_longer(isa_bytes labels,
                                          const uint8_t *table, int num_entries)
{
    isa_bytes found = {
        {vdupq_n_u8(0), vdupq_n_u8(0), vdupq_n_u8(0), vdupq_n_u8(0)}};

    SCAN_UNROLL
    for (int j = 0; j < 4; j++)
        labels.part[j] =
            vandq_u8(labels.part[j], vdupq_n_u8((uint8_t)(num_entries - 1)));
    SCAN_UNROLL
    for (int begin = 0; begin < num_entries; begin += 32) {
        const uint8x8x4_t entries = {
            {vld1_u8(table + begin), vld1_u8(table + begin + 8),
             vld1_u8(table + begin + 16), vld1_u8(table + begin + 24)}};

        SCAN_UNROLL
        for (int j = 0; j < 4; j++) {
            found.part[j] =
                neon_look_up_32(found.part[j], entries, labels.part[j]);
            labels.part[j] = vsubq_u8(labels.part[j], vdupq_n_u8(32));
        }
    }
    return found;
}

SCAN_INLINE isa_bytes isa_look_up(enum scan_table kind, isa_bytes labels,
                                  const struct isa_table *table)
{
    if (kind == TABLE_256)
        return neon_look_up_longer(labels, table->from, 256);
    if (kind == TABLE_64)
        return neon_look_up_longer(labels, table->from, 64);
    return (isa_bytes){{neon_look_up_16(labels.part[0], table->entries),
                        neon_look_up_16(labels.part[1], table->entries),
                        neon_look_up_16(labels.part[2], table->entries),
                        neon_look_up_16(labels.part[3], table->entries)}};
}

#endif

/*
 * Floating-point numbers, four at a time, or one on 32-bit ARM.  The lesser of
 * two is taken by comparison, which a NaN fails: an instruction for minima
 * would return NaNs, or lose the other number to a signaling one.
 */
#ifdef __aarch64__

#define NUMBERS 4
typedef float32x4_t numbers;

static inline numbers neon_all(float number)
{
    return vdupq_n_f32(number);
}

static inline numbers neon_load(const float *from)
{
    return vld1q_f32(from);
}

static inline void neon_store(float *to, numbers from)
{
    vst1q_f32(to, from);
}

static inline numbers neon_lesser(numbers candidate, numbers least)
{
    return vbslq_f32(vcltq_f32(candidate, least), candidate, least);
}

static inline float neon_least(numbers from)
{
    return vminvq_f32(from);
}

#else

#define NUMBERS 1
typedef float numbers;

static inline numbers neon_all(float number)
{
    return number;
}

static inline numbers neon_load(const float *from)
{
    return *from;
}

static inline void neon_store(float *to, numbers from)
{
    *to = from;
}

static inline numbers neon_lesser(numbers candidate, numbers least)
{
    return candidate < least ? candidate : least;
}

static inline float neon_least(numbers from)
{
    return from;
}

#endif

/* 4 times 4 numbers, four times.  ZIP deals the rows of a pair out: after two of
 * them rows and columns have changed places. */
static inline void neon_turn_4(const float *from, size_t from_stride, float *to,
                               size_t to_stride)
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

static inline void isa_turn_8(const float *from, size_t from_stride, float *to,
                              size_t to_stride)
{
    for (size_t i = 0; i < 8; i += 4)
        for (size_t j = 0; j < 8; j += 4)
            neon_turn_4(from + i * from_stride + j, from_stride,
                        to + j * to_stride + i, to_stride);
}

/* (query - centroid)^2, rounded twice: no fused multiply-add. */
static inline numbers neon_square(numbers query, const float *centroids)
{
    numbers difference = query - neon_load(centroids);

    return difference * difference;
}

/* The sums begin with the first square instead of adding it to 0: a square is
 * not -0, so that is the same number. */
static float isa_table_row(const float *centroids, const float *query, size_t d,
                           float *row)
{
    numbers minimum = neon_all(INFINITY);

    for (size_t c = 0; c < 256; c += 8 * NUMBERS) {
        const float *of_dim = centroids + c;
        numbers sums[8], component = neon_all(query[0]);

        SCAN_UNROLL
        for (int j = 0; j < 8; j++)
            sums[j] = neon_square(component, of_dim + j * NUMBERS);
        for (size_t i = 1; i < d; i++) {
            of_dim += 256;
            component = neon_all(query[i]);
            SCAN_UNROLL
            for (int j = 0; j < 8; j++)
                sums[j] += neon_square(component, of_dim + j * NUMBERS);
        }
        SCAN_UNROLL
        for (int j = 0; j < 8; j++) {
            neon_store(row + c + j * NUMBERS, sums[j]);
            minimum = neon_lesser(sums[j], minimum);
        }
    }
    return neon_least(minimum);
}

static float isa_row_minimum(const float *row)
{
    numbers minimum = neon_all(INFINITY);

    for (size_t c = 0; c < 256; c += NUMBERS)
        minimum = neon_lesser(neon_load(row + c), minimum);
    return neon_least(minimum);
}

#ifdef __aarch64__

/* FMINNM returns the number if the other operand is a NaN, which arithmetic has
 * made a quiet one.  Hence 255 for NaN. */
static inline uint16x4_t neon_scale(const float *row, numbers bias,
                                    numbers scale)
{
    const numbers scaled = (neon_load(row) - bias) * scale;

    return vmovn_u32(vcvtq_u32_f32(vminnmq_f32(scaled, neon_all(255.0f))));
}

static void isa_quantize(const float *row, float bias, float scale,
                         uint8_t *out)
{
    const numbers biases = neon_all(bias), scales = neon_all(scale);

    for (size_t c = 0; c < 256; c += 8)
        vst1_u8(out + c, vmovn_u16(vcombine_u16(
                             neon_scale(row + c, biases, scales),
                             neon_scale(row + c + 4, biases, scales))));
}

#else

static void isa_quantize(const float *row, float bias, float scale,
                         uint8_t *out)
{
    for (size_t c = 0; c < 256; c++) {
        const float scaled = (row[c] - bias) * scale;

        out[c] = scaled < 255.0f ? (uint8_t)scaled : 255;
    }
}

#endif

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
SCAN_INLINE void neon_deal(const uint8x16_t from[16], uint8x16_t to[16])
{
    SCAN_UNROLL
    for (int i = 0; i < 8; i++) {
        const uint8x16x2_t dealt = vzipq_u8(from[i], from[i + 8]);

        to[2 * i] = dealt.val[0];
        to[2 * i + 1] = dealt.val[1];
    }
}

/* 16 rows.  After four of those rotations register and byte have changed
 * places. */
SCAN_INLINE void neon_transpose(const uint8_t *codes, size_t row_stride,
                                uint8_t *columns, size_t column_stride)
{
    uint8x16_t rows[16], dealt[16];

    SCAN_UNROLL
    for (size_t j = 0; j < 16; j++)
        rows[j] = vld1q_u8(codes + j * row_stride);
    neon_deal(rows, dealt);
    neon_deal(dealt, rows);
    neon_deal(rows, dealt);
    neon_deal(dealt, rows);
    SCAN_UNROLL
    for (size_t j = 0; j < 16; j++)
        vst1q_u8(columns + j * column_stride, rows[j]);
}

static void isa_transpose(const uint8_t *codes, size_t row_stride,
                          uint8_t *columns, size_t column_stride)
{
    for (size_t lane = 0; lane < 64; lane += 16) {
        for (size_t j = 0; j < 16; j += 4)
            scan_prefetch(codes + j * row_stride);
        neon_transpose(codes, row_stride, columns + lane, column_stride);
        codes += 16 * row_stride;
    }
}

static inline unsigned isa_transposed_row(unsigned lane)
{
    return lane;
}

#define ISA_USES_128 0

#include "kernels/passes.h"

/*
 * 256 entries cost about seven times as much per column as 16.  So minima over
 * groups go first, and what they lack is added at the end.  The plans differ in
 * how early a bound is given up that does not prune.
 *
 * On AArch64, 4 columns of 64 groups cost what 8 columns of 16 cost (see
 * scripts/neon_mca) and read half the bytes.  They leave more blocks alive, on
 * clustered SIFT two thirds instead of half, but then prune so much faster that
 * a scan reads a third less in all.  On 32-bit ARM a table of 64 does not stay
 * in registers, and takes two look-ups.
 */
#define ISA_USES_GROUPS  1
#define ISA_SINGLE_BOUND BOUND_64
#define ISA_ROW_TABLE    TABLE_64

#include "kernels/plans.h"

static const struct scan_plan isa_plans[] = {
#ifndef __aarch64__
    {0.00f,
     0.50f,
     6,
     {{BOUND_16, 0, 8},
      {BOUND_16, 8, 12},
      {BOUND_16, 12, 16},
      {BOUND_16_UP, 0, 2},
      {BOUND_16_UP, 2, 4},
      {BOUND_16_UP, 4, 8}}},
#endif
    {0.50f,
     0.90f,
     6,
     {{BOUND_64, 0, 4},
      {BOUND_64, 4, 6},
      {BOUND_64, 6, 8},
      {BOUND_64, 8, 12},
      {BOUND_64, 12, 16},
      {BOUND_64_UP, 0, 4}}},
    {0.50f,
     0.985f,
     5,
     {{BOUND_64, 0, 8},
      {BOUND_64, 8, 12},
      {BOUND_64, 12, 16},
      {BOUND_64_UP, 0, 2},
      {BOUND_64_UP, 2, 4}}},
    {0.90f,
     2.00f,
     3,
     {{BOUND_64, 0, 16}, {BOUND_64_UP, 0, 1}, {BOUND_64_UP, 1, 2}}},
};

#define ISA_PLANS(num_queries) isa_plans

#include "kernels/encode.h"
#include "kernels/row_major.h"

const struct pqk_kernel pqk_kernel_neon = {
    SCAN_KERNEL_FUNCTIONS,
};

#endif
