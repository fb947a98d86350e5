/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The variants of this build, and the choice of one. */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "kernels.h"

#define IF_BUILT(built, address)  IF_BUILT_(built, address)
#define IF_BUILT_(built, address) IF_BUILT_##built(address)
#define IF_BUILT_0(address)       NULL
#define IF_BUILT_1(address)       address

/* All that there are, weakest first; kernel is NULL for those not in this build. */
static const struct variant {
    const char *name;
    unsigned needs;
    const pqk_kernel *kernel;
} variants[] = {
#define VARIANT(name, needs, built)                                            \
    {#name, needs, IF_BUILT(built, &pqk_kernel_##name)},
    PQK_VARIANTS(VARIANT)
#undef VARIANT
};

#define NUM_VARIANTS (sizeof variants / sizeof variants[0])

static const struct variant *variant_of(const pqk_kernel *kernel)
{
    size_t i = 0;

    while (variants[i].kernel != kernel)
        i++;
    return &variants[i];
}

size_t pqk_kernel_count(void)
{
    size_t count = 0;

    for (size_t i = 0; i < NUM_VARIANTS; i++)
        count += variants[i].kernel != NULL;
    return count;
}

const pqk_kernel *pqk_kernel_at(size_t position)
{
    for (size_t i = 0; i < NUM_VARIANTS; i++)
        if (variants[i].kernel && position-- == 0)
            return variants[i].kernel;
    return NULL;
}

const char *pqk_kernel_name(const pqk_kernel *kernel)
{
    return variant_of(kernel)->name;
}

/* CPUID traps in a virtual machine, so it is asked once.  Threads that race
 * here store the same answer. */
static int cpu_has(unsigned needs)
{
    static _Atomic unsigned cached;
    const unsigned known = 1u << 31;
    unsigned features = atomic_load_explicit(&cached, memory_order_relaxed);

    if (!(features & known)) {
        features = pqk_cpu_features() | known;
        atomic_store_explicit(&cached, features, memory_order_relaxed);
    }
    return (needs & ~features) == 0;
}

int pqk_kernel_available(const pqk_kernel *kernel)
{
    return cpu_has(variant_of(kernel)->needs);
}

static pqk_status find_by_name(const char *name, const pqk_kernel **kernel)
{
    for (size_t i = 0; i < NUM_VARIANTS; i++) {
        if (strcmp(variants[i].name, name) != 0)
            continue;
        if (!variants[i].kernel || !cpu_has(variants[i].needs))
            return PQK_KERNEL_UNAVAILABLE;
        *kernel = variants[i].kernel;
        return PQK_OK;
    }
    return PQK_UNKNOWN_KERNEL;
}

static pqk_status find_default(const pqk_kernel **kernel)
{
    const char *wanted = secure_getenv("PQKERN_ISA");

    if (wanted && *wanted)
        return find_by_name(wanted, kernel);
    for (size_t i = NUM_VARIANTS; i-- > 0;)
        if (variants[i].kernel && cpu_has(variants[i].needs)) {
            *kernel = variants[i].kernel;
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
