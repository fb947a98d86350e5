/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What NEON has on AArch64: tables of 64 entries in one look-up, and IEEE
 * arithmetic. */
#ifndef PQK_KERNELS_NEON_64_H
#define PQK_KERNELS_NEON_64_H

static inline uint8_t neon_least_of_16(uint8x16_t bytes)
{
    return vminvq_u8(bytes);
}

/* Pairs, which do not overlap, added: of the first register, then the second */
static inline uint8x16_t neon_add_pairs(uint8x16_t first, uint8x16_t second)
{
    return vpaddq_u8(first, second);
}

/* A comparison that holds is -1: each byte counts those of its lane, of 255 blocks
 * at most. */
static inline size_t neon_count_alive(const uint8_t *sums, size_t num_blocks,
                                      uint8_t threshold)
{
    const uint8x16_t most = vdupq_n_u8(threshold);
    uint8x16_t counts[4];
    size_t count = 0;

    ISA_UNROLL
    for (int i = 0; i < 4; i++)
        counts[i] = vdupq_n_u8(0);
#pragma GCC unroll 16
    for (size_t b = 0; b < num_blocks; b++) {
        ISA_UNROLL
        for (size_t i = 0; i < 4; i++)
            counts[i] = vsubq_u8(
                counts[i], vcleq_u8(vld1q_u8(sums + b * 64 + i * 16), most));
    }
    ISA_UNROLL
    for (int i = 0; i < 4; i++)
        count += vaddlvq_u8(counts[i]);
    return count;
}

static size_t isa_count_alive(const uint8_t *sums, size_t num_blocks,
                              uint8_t threshold)
{
    size_t count = 0;

    for (size_t b = 0; b < num_blocks; b += 255)
        count += neon_count_alive(sums + b * 64,
                                  num_blocks - b < 255 ? num_blocks - b : 255,
                                  threshold);
    return count;
}

/* 16 entries; or where 64 or 256 are, which are loaded for each block: registers do
 * not hold many, and GCC copies what holds them. */
struct isa_table {
    uint8x16_t entries;
    const uint8_t *longer;
};

ISA_INLINE unsigned isa_columns_at_once(enum isa_kind kind)
{
    return kind == TABLE_16 ? 4 : 8;
}

ISA_INLINE void isa_load_table(enum isa_kind kind, const uint8_t *from,
                               struct isa_table *table)
{
    if (kind == TABLE_16)
        table->entries = vld1q_u8(from);
    else
        table->longer = from;
}

/*
 * An index beyond the table gives 0.  So each of four look-ups finds the labels of
 * its 64 entries, and those of the entries before have wrapped around to large
 * indices.  TBX, which leaves such a byte as it is, would spare the ORRs, but takes
 * as long as TBL and two of them (Neoverse-N1), and each waits for the one before.
 */
ISA_INLINE isa_bytes neon_look_up_256(isa_bytes labels, const uint8_t *entries)
{
    uint8x16x4_t table;
    isa_bytes found;

    /* One column after the other: GCC would load the tables of the next ones
     * before, and run out of registers. */
    __asm__ volatile("" ::: "memory");
    table = vld1q_u8_x4(entries);
    ISA_UNROLL
    for (int i = 0; i < 4; i++)
        found.part[i] = vqtbl4q_u8(table, labels.part[i]);
    ISA_UNROLL
    for (unsigned first = 64; first < 256; first += 64) {
        const uint8x16_t before = vdupq_n_u8((uint8_t)first);

        table = vld1q_u8_x4(entries + first);
        ISA_UNROLL
        for (int i = 0; i < 4; i++)
            found.part[i] =
                vorrq_u8(found.part[i],
                         vqtbl4q_u8(table, vsubq_u8(labels.part[i], before)));
    }
    return found;
}

ISA_INLINE isa_bytes isa_look_up(enum isa_kind kind, isa_bytes labels,
                                 const struct isa_table *table)
{
    const uint8x16_t low = vdupq_n_u8(kind == TABLE_64 ? 63 : 15);
    isa_bytes found;

    if (kind == TABLE_256)
        return neon_look_up_256(labels, table->longer);
    if (kind == TABLE_64) {
        const uint8x16x4_t entries = vld1q_u8_x4(table->longer);

        ISA_UNROLL
        for (int i = 0; i < 4; i++)
            found.part[i] = vqtbl4q_u8(entries, vandq_u8(labels.part[i], low));
        return found;
    }
    ISA_UNROLL
    for (int i = 0; i < 4; i++)
        found.part[i] =
            vqtbl1q_u8(table->entries, vandq_u8(labels.part[i], low));
    return found;
}

static inline isa_floats isa_all_floats(float number)
{
    return vdupq_n_f32(number);
}

static inline isa_floats isa_load_floats(const float *from)
{
    return vld1q_f32(from);
}

static inline void isa_store_floats(float *to, isa_floats from)
{
    vst1q_f32(to, from);
}

/* FMINNM returns the number if the other operand is a NaN that is quiet, as what
 * arithmetic gives is. */
static inline isa_floats isa_lesser_floats(isa_floats candidate,
                                           isa_floats least)
{
    return vminnmq_f32(candidate, least);
}

/* A comparison, which a NaN fails: a signaling one, as tables that come from
 * elsewhere may have, would make FMINNM lose the other number. */
static inline isa_floats neon_lesser_of_any(isa_floats candidate,
                                            isa_floats least)
{
    return vbslq_f32(vcltq_f32(candidate, least), candidate, least);
}

static inline float isa_least_float(isa_floats from)
{
    return vminvq_f32(from);
}

/* FMINNM returns the number if the other operand is a NaN, which arithmetic has
 * made a quiet one.  Hence 255 for NaN. */
static inline uint16x8_t neon_scale(const float *row, isa_floats bias,
                                    isa_floats scale)
{
    const isa_floats most = isa_all_floats(255.0f);
    const isa_floats low = (isa_load_floats(row) - bias) * scale,
                     high = (isa_load_floats(row + 4) - bias) * scale;

    return vuzp1q_u16(
        vreinterpretq_u16_u32(vcvtq_u32_f32(vminnmq_f32(low, most))),
        vreinterpretq_u16_u32(vcvtq_u32_f32(vminnmq_f32(high, most))));
}

/* UZP1 narrows two registers to one, since nothing is above 255 any more. */
static void isa_quantize(const float *row, size_t count, float bias,
                         float scale, uint8_t *out)
{
    const isa_floats biases = isa_all_floats(bias),
                     scales = isa_all_floats(scale);

    for (size_t c = 0; c < count; c += 16)
        vst1q_u8(
            out + c,
            vuzp1q_u8(
                vreinterpretq_u8_u16(neon_scale(row + c, biases, scales)),
                vreinterpretq_u8_u16(neon_scale(row + c + 8, biases, scales))));
}

static inline isa_floats isa_least_of_four(isa_floats a, isa_floats b,
                                           isa_floats c, isa_floats d)
{
    return isa_lesser_floats(isa_lesser_floats(a, b), isa_lesser_floats(c, d));
}

static float isa_group_minima(const float *row, float *minima)
{
    isa_floats minimum = isa_all_floats(INFINITY);

    for (size_t c = 0; c < 64; c += ISA_FLOATS) {
        isa_floats least = isa_all_floats(INFINITY);

        ISA_UNROLL
        for (size_t i = 0; i < 256; i += 64)
            least = neon_lesser_of_any(isa_load_floats(row + c + i), least);
        isa_store_floats(minima + c, least);
        minimum = isa_lesser_floats(least, minimum);
    }
    return isa_least_float(minimum);
}

/* Weights of a group add up to 256 at most, which is seldom; products of 255 * 255
 * fit into 16 bits. */
static uint32_t isa_weigh_64(const uint8_t *minima, const uint8_t *weights)
{
    uint32x4_t sum = vdupq_n_u32(0);

    for (size_t c = 0; c < 64; c += 16) {
        const uint8x16_t bytes = vld1q_u8(minima + c);
        const uint8x16_t of_group = vqaddq_u8(
            vqaddq_u8(vld1q_u8(weights + c), vld1q_u8(weights + c + 64)),
            vqaddq_u8(vld1q_u8(weights + c + 128),
                      vld1q_u8(weights + c + 192)));

        sum = vpadalq_u16(sum,
                          vmull_u8(vget_low_u8(bytes), vget_low_u8(of_group)));
        sum = vpadalq_u16(sum, vmull_high_u8(bytes, of_group));
    }
    return vaddvq_u32(sum);
}

/* LD4 deals two vectors out to components that are the same modulo 4, and UZP those
 * of two pairs by what is left. */
ISA_INLINE void isa_load_vectors(const float *from, isa_floats components[8])
{
    const float32x4x4_t low = vld4q_f32(from), high = vld4q_f32(from + 16);

    ISA_UNROLL
    for (int i = 0; i < 4; i++) {
        components[i] = vuzp1q_f32(low.val[i], high.val[i]);
        components[i + 4] = vuzp2q_f32(low.val[i], high.val[i]);
    }
}

static inline isa_floats isa_load_ints_as_floats(const int32_t *from)
{
    return vcvtq_f32_s32(vld1q_s32(from));
}

static inline isa_floats isa_multiply_add(isa_floats sum, isa_floats a,
                                          isa_floats b)
{
    return vfmaq_f32(sum, a, b);
}

static inline isa_floats isa_magnitudes(isa_floats floats)
{
    return vabsq_f32(floats);
}

static inline float isa_sum_floats(isa_floats floats)
{
    return vaddvq_f32(floats);
}

/* Squares of differences, of four components of a vector. */
ISA_INLINE float32x4_t neon_squares(float32x4_t query, const float *vector)
{
    const float32x4_t difference = vsubq_f32(query, vld1q_f32(vector));

    return vmulq_f32(difference, difference);
}

/* Four vectors at a time, four components at a time, which change places when they
 * are squares already: the query's have not to be dealt out. */
ISA_INLINE void isa_add_squares(const float *query,
                                const float *const vectors[8], float sums[8])
{
    for (size_t j = 0; j < 8; j += 4) {
        float32x4_t sum = vld1q_f32(sums + j);

        for (size_t i = 0; i < 8; i += 4) {
            const float32x4_t of_query = vld1q_f32(query + i);
            const float32x4x2_t even =
                vzipq_f32(neon_squares(of_query, vectors[j] + i),
                          neon_squares(of_query, vectors[j + 2] + i));
            const float32x4x2_t odd =
                vzipq_f32(neon_squares(of_query, vectors[j + 1] + i),
                          neon_squares(of_query, vectors[j + 3] + i));
            const float32x4x2_t low = vzipq_f32(even.val[0], odd.val[0]);
            const float32x4x2_t high = vzipq_f32(even.val[1], odd.val[1]);

            sum = vaddq_f32(sum, low.val[0]);
            sum = vaddq_f32(sum, low.val[1]);
            sum = vaddq_f32(sum, high.val[0]);
            sum = vaddq_f32(sum, high.val[1]);
        }
        vst1q_f32(sums + j, sum);
    }
}

#endif
