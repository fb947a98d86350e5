/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include <stdlib.h>

#include "results.h"

static int compare_results(const void *a, const void *b)
{
    return pqk_result_before(b, a) - pqk_result_before(a, b);
}

void pqk_sort_results(pqk_result *results, size_t count)
{
    if (count > 1)
        qsort(results, count, sizeof *results, compare_results);
}
