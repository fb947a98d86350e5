/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The variants of the kernels: a line each, weakest first.  Names, what they need
 * of the CPU and their order are the contract's; what they do is in src/kernels/.
 *
 * A new one is a line here, a PQK_KERNEL in configure.ac that probes for its
 * flags, its library in src/local.mk and, for its operations, one in
 * tests/local.mk, and what it needs of the CPU in src/library/cpu.c.  Where the
 * tests say which CPUs and instructions are to be seen it has a line, too: in
 * tests/library/simd.sh, scripts/check (native_isa) and, for x86-64,
 * tests/library/nehalem.sh.  README, pqkern.h and pqkern(3) name it, or
 * tests/tool/tool.sh fails.
 */
#ifndef PQK_VARIANTS_H
#define PQK_VARIANTS_H

/* What a variant may need of the CPU; src/library/cpu.c finds out. */
enum {
    PQK_CPU_NEON = 1u << 0,
    PQK_CPU_SSSE3 = 1u << 1,
    PQK_CPU_AVX2 = 1u << 2,   /* AVX2, BMI1, BMI2, LZCNT, POPCNT; YMM state */
    PQK_CPU_AVX512 = 1u << 3, /* the above, and F, BW, DQ, VL; ZMM state */
    PQK_CPU_AVX512_VBMI = 1u << 4 /* the above, and VBMI */
};

/* What more src/library/cpu.c says of it, for a variant to choose by. */
enum {
    /* VPERMI2B takes two cycles or more: on all of Intel's, where it is three
     * operations, two of them for one port (uops.info), but not on AMD's. */
    PQK_CPU_SLOW_PERMI2B = 1u << 16
};

/* VARIANT(name, what it needs of the CPU, 1 or 0: whether this build has it) */
#define PQK_VARIANTS(VARIANT)                                                  \
    VARIANT(scalar, 0, 1)                                                      \
    VARIANT(neon, PQK_CPU_NEON, PQK_HAVE_NEON)                                 \
    VARIANT(ssse3, PQK_CPU_SSSE3, PQK_HAVE_SSSE3)                              \
    VARIANT(avx2, PQK_CPU_AVX2, PQK_HAVE_AVX2)                                 \
    VARIANT(avx512, PQK_CPU_AVX512, PQK_HAVE_AVX512)                           \
    VARIANT(avx512vbmi, PQK_CPU_AVX512_VBMI, PQK_HAVE_AVX512VBMI)

#endif
