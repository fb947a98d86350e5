/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What NEON has on 32-bit ARM: look-ups in 32 entries.  It flushes denormal numbers
 * to zero, so its results are not those of the reference: floating-point work is
 * plain C, one number at a time, which compilers leave to VFP, and only integers
 * are NEON's.
 */
#ifndef PQK_KERNELS_NEON_32_H
#define PQK_KERNELS_NEON_32_H

static inline uint8_t neon_least_of_16(uint8x16_t bytes)
{
    uint8x8_t least = vpmin_u8(vget_low_u8(bytes), vget_high_u8(bytes));

    least = vpmin_u8(least, least);
    least = vpmin_u8(least, least);
    least = vpmin_u8(least, least);
    return vget_lane_u8(least, 0);
}

/* Pairs, which do not overlap, added: of the first register, then the second */
static inline uint8x16_t neon_add_pairs(uint8x16_t first, uint8x16_t second)
{
    return vcombine_u8(vpadd_u8(vget_low_u8(first), vget_high_u8(first)),
                       vpadd_u8(vget_low_u8(second), vget_high_u8(second)));
}

/* 16 entries in registers, or where 64 or 256 of them are. */
struct isa_table {
    uint8x8x2_t entries;
    const uint8_t *from;
};

ISA_INLINE unsigned isa_columns_at_once(enum isa_kind kind)
{
    return kind == TABLE_16 ? 4 : 1;
}

ISA_INLINE void isa_load_table(enum isa_kind kind, const uint8_t *from,
                               struct isa_table *table)
{
    table->from = from;
    if (kind == TABLE_16) {
        table->entries.val[0] = vld1_u8(from);
        table->entries.val[1] = vld1_u8(from + 8);
    }
}

ISA_INLINE uint8x16_t neon_look_up_16(uint8x16_t labels, uint8x8x2_t entries)
{
    const uint8x16_t indices = vandq_u8(labels, vdupq_n_u8(15));

    return vcombine_u8(vtbl2_u8(entries, vget_low_u8(indices)),
                       vtbl2_u8(entries, vget_high_u8(indices)));
}

/* Fills in what 32 more entries have for the indices below 32. */
ISA_INLINE uint8x16_t neon_look_up_32(uint8x16_t found, uint8x8x4_t entries,
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
ISA_INLINE isa_bytes neon_look_up_longer(isa_bytes labels, const uint8_t *table,
                                         int num_entries)
{
    isa_bytes found = {
        {vdupq_n_u8(0), vdupq_n_u8(0), vdupq_n_u8(0), vdupq_n_u8(0)}};

    ISA_UNROLL
    for (int j = 0; j < 4; j++)
        labels.part[j] =
            vandq_u8(labels.part[j], vdupq_n_u8((uint8_t)(num_entries - 1)));
    ISA_UNROLL
    for (int begin = 0; begin < num_entries; begin += 32) {
        const uint8x8x4_t entries = {
            {vld1_u8(table + begin), vld1_u8(table + begin + 8),
             vld1_u8(table + begin + 16), vld1_u8(table + begin + 24)}};

        ISA_UNROLL
        for (int j = 0; j < 4; j++) {
            found.part[j] =
                neon_look_up_32(found.part[j], entries, labels.part[j]);
            labels.part[j] = vsubq_u8(labels.part[j], vdupq_n_u8(32));
        }
    }
    return found;
}

ISA_INLINE isa_bytes isa_look_up(enum isa_kind kind, isa_bytes labels,
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

static inline isa_floats isa_all_floats(float number)
{
    return number;
}

static inline isa_floats isa_load_floats(const float *from)
{
    return *from;
}

static inline void isa_store_floats(float *to, isa_floats from)
{
    *to = from;
}

static inline isa_floats isa_lesser_floats(isa_floats candidate,
                                           isa_floats least)
{
    return candidate < least ? candidate : least;
}

static inline isa_floats neon_lesser_of_any(isa_floats candidate,
                                            isa_floats least)
{
    return isa_lesser_floats(candidate, least);
}

static inline float isa_least_float(isa_floats from)
{
    return from;
}

static void isa_quantize(const float *row, size_t count, float bias,
                         float scale, uint8_t *out)
{
    for (size_t c = 0; c < count; c++) {
        const float scaled = (row[c] - bias) * scale;

        out[c] = scaled < 255.0f ? (uint8_t)scaled : 255;
    }
}

#endif
