/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the CPU and its operating system can do.  Compiled for the baseline: it must
 * run anywhere in order to say no.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdint.h>

#include "cpu.h"
#include "variants.h"

#if defined(__x86_64__) || defined(__i386__)

#include <cpuid.h>

static uint64_t read_xcr0(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static int is_intel(void)
{
    unsigned a, b, c, d;

    return __get_cpuid(0, &a, &b, &c, &d) && b == signature_INTEL_ebx &&
           c == signature_INTEL_ecx && d == signature_INTEL_edx;
}

/*
 * Instruction sets beyond SSE are usable only if the operating system also saves
 * their registers: XCR0 tells (Intel SDM volume 1, 13.3 and 15.2).  Those of SSE it
 * does for all that has been compiled for the baseline, or, on 32-bit x86, with
 * floating-point numbers in SSE2.
 */
unsigned pqk_cpu_features(void)
{
    const uint64_t ymm_state = 0x06, zmm_state = 0xe6;
    unsigned a, b, c, d, features = 0;
    unsigned ext_c = 0;
    uint64_t xcr0;

    if (!__get_cpuid(1, &a, &b, &c, &d))
        return 0;
    if (c & bit_SSSE3)
        features |= PQK_CPU_SSSE3;
    if (!(c & bit_OSXSAVE) || !(c & bit_POPCNT))
        return features;
    xcr0 = read_xcr0();
    if ((xcr0 & ymm_state) != ymm_state)
        return features;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
        ext_c = c;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return features;
    if (!(b & bit_AVX2) || !(b & bit_BMI) || !(b & bit_BMI2) ||
        !(ext_c & bit_LZCNT))
        return features;
    features |= PQK_CPU_AVX2;
    if ((xcr0 & zmm_state) != zmm_state || !(b & bit_AVX512F) ||
        !(b & bit_AVX512BW) || !(b & bit_AVX512DQ) || !(b & bit_AVX512VL))
        return features;
    features |= PQK_CPU_AVX512;
    if (c & bit_AVX512VBMI)
        features |= PQK_CPU_AVX512_VBMI;
    if (is_intel())
        features |= PQK_CPU_SLOW_PERMI2B;
    return features;
}

#elif defined(__aarch64__)

unsigned pqk_cpu_features(void)
{
    return PQK_CPU_NEON; /* part of the base architecture */
}

#elif defined(__arm__) && defined(__linux__)

#include <asm/hwcap.h>
#include <sys/auxv.h>

/* The auxiliary vector and not /proc/cpuinfo, which shows the host's CPU
 * under emulation. */
unsigned pqk_cpu_features(void)
{
    return getauxval(AT_HWCAP) & HWCAP_NEON ? PQK_CPU_NEON : 0;
}

#else

unsigned pqk_cpu_features(void)
{
    return 0;
}

#endif
