/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>
#include <sys/mman.h>

#include "memory.h"

/* Cache lines, and the widest vector register. */
#define ALIGNMENT ((size_t)64)

/* A scan reads many columns at once, each on a page of its own: with pages of
 * 4 KiB it waits for address translation.  Linux gives larger ones on request
 * to blocks that are aligned like them. */
#define HUGE_PAGE ((size_t)2 << 20)

void *pqk_aligned_alloc(size_t bytes)
{
    const size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
    void *memory;

    if (bytes > SIZE_MAX - 2 * HUGE_PAGE)
        return NULL;
    bytes = (bytes + alignment) & ~(alignment - 1);
    memory = aligned_alloc(alignment, bytes);
#ifdef MADV_HUGEPAGE
    if (memory && alignment == HUGE_PAGE)
        (void)madvise(memory, bytes, MADV_HUGEPAGE);
#endif
    return memory;
}

void *pqk_array_alloc(size_t count, size_t bytes_each)
{
    size_t bytes;

    if (!pqk_product_fits(count, bytes_each))
        return NULL;
    bytes = count * bytes_each;
    return malloc(bytes > 0 ? bytes : 1);
}
