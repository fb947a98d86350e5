/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the CPU and its operating system can do, and the choice of a variant.
 * Compiled for the baseline: it must run anywhere in order to say no.
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

#if defined(__x86_64__) || defined(__i386__)

#include <cpuid.h>

static uint64_t read_xcr0(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

/* Instruction sets are usable only if the operating system also saves their
 * registers: XCR0 tells (Intel SDM volume 1, 13.3 and 15.2). */
static unsigned detect_features(void)
{
    const uint64_t ymm_state = 0x06, zmm_state = 0xe6;
    unsigned a, b, c, d, features = 0;
    unsigned ext_c = 0;
    uint64_t xcr0;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_OSXSAVE) ||
        !(c & bit_POPCNT))
        return 0;
    xcr0 = read_xcr0();
    if ((xcr0 & ymm_state) != ymm_state)
        return 0;
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
        ext_c = c;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return 0;
    if (!(b & bit_AVX2) || !(b & bit_BMI) || !(b & bit_BMI2) ||
        !(ext_c & bit_LZCNT))
        return 0;
    features |= PQK_CPU_AVX2;
    if ((xcr0 & zmm_state) != zmm_state || !(b & bit_AVX512F) ||
        !(b & bit_AVX512BW) || !(b & bit_AVX512DQ) || !(b & bit_AVX512VL))
        return features;
    features |= PQK_CPU_AVX512;
    if (c & bit_AVX512VBMI)
        features |= PQK_CPU_AVX512_VBMI;
    return features;
}

#elif defined(__aarch64__)

static unsigned detect_features(void)
{
    return PQK_CPU_NEON; /* part of the base architecture */
}

#elif defined(__arm__) && defined(__linux__)

#include <asm/hwcap.h>
#include <sys/auxv.h>

/* The auxiliary vector and not /proc/cpuinfo, which shows the host's CPU
 * under emulation. */
static unsigned detect_features(void)
{
    return getauxval(AT_HWCAP) & HWCAP_NEON ? PQK_CPU_NEON : 0;
}

#else

static unsigned detect_features(void)
{
    return 0;
}

#endif

size_t pqk_kernel_count(void)
{
    size_t count = 0;

    while (pqk_kernels[count])
        count++;
    return count;
}

const pqk_kernel *pqk_kernel_at(size_t position)
{
    return position < pqk_kernel_count() ? pqk_kernels[position] : NULL;
}

const char *pqk_kernel_name(const pqk_kernel *kernel)
{
    return kernel->name;
}

/* CPUID traps in a virtual machine, so it is asked once.  Threads that race
 * here store the same answer. */
int pqk_kernel_available(const pqk_kernel *kernel)
{
    static _Atomic unsigned cached;
    const unsigned known = 1u << 31;
    unsigned features = atomic_load_explicit(&cached, memory_order_relaxed);

    if (!(features & known)) {
        features = detect_features() | known;
        atomic_store_explicit(&cached, features, memory_order_relaxed);
    }
    return (kernel->cpu_features & ~features) == 0;
}

static int is_known_name(const char *name)
{
    static const char *const names[] = {"scalar", "avx2", "avx512",
                                        "avx512vbmi", "neon"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return 1;
    return 0;
}

static pqk_status find_by_name(const char *name, const pqk_kernel **kernel)
{
    if (!is_known_name(name))
        return PQK_UNKNOWN_KERNEL;
    for (size_t i = 0; pqk_kernels[i]; i++)
        if (strcmp(pqk_kernels[i]->name, name) == 0 &&
            pqk_kernel_available(pqk_kernels[i])) {
            *kernel = pqk_kernels[i];
            return PQK_OK;
        }
    return PQK_KERNEL_UNAVAILABLE;
}

static pqk_status find_default(const pqk_kernel **kernel)
{
    const char *wanted = secure_getenv("PQKERN_ISA");

    if (wanted && *wanted)
        return find_by_name(wanted, kernel);
    for (size_t i = pqk_kernel_count(); i-- > 0;)
        if (pqk_kernel_available(pqk_kernels[i])) {
            *kernel = pqk_kernels[i];
            return PQK_OK;
        }
    return PQK_KERNEL_UNAVAILABLE;
}

/* Threads that race here find and store the same answer. */
pqk_status pqk_kernel_find(const char *name, const pqk_kernel **kernel)
{
    static _Atomic(const pqk_kernel *) cached;
    const pqk_kernel *found = NULL;
    pqk_status status;

    if (!kernel)
        return PQK_INVALID_ARGUMENT;
    if (name && *name)
        return find_by_name(name, kernel);
    found = atomic_load_explicit(&cached, memory_order_acquire);
    if (!found) {
        status = find_default(&found);
        if (status != PQK_OK)
            return status;
        atomic_store_explicit(&cached, found, memory_order_release);
    }
    *kernel = found;
    return PQK_OK;
}
