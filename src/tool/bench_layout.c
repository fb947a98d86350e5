/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "bench.h"
#include "base/threads.h"

static pqk_status lay_out(const struct bench_layout *layout,
                          struct bench_arm *arm)
{
    const struct bench_set *set = layout->set;
    const pqk_codebook codebook = tool_codebook_of(set->quantizer);
    pqk_status status = pqk_index_create(&codebook, arm->kernel, &arm->index);

    for (size_t i = 0; i < layout->num_codes && status == PQK_OK;
         i += layout->partition) {
        const size_t left = layout->num_codes - i;

        status =
            pqk_index_add(arm->index, set->codes + i * codebook.num_sub_vectors,
                          left < layout->partition ? left : layout->partition);
    }
    return status != PQK_OK ? status
                            : pqk_scanner_create(arm->index, BENCH_MAX_BATCH,
                                                 BENCH_MAX_K, &arm->scanner);
}

static void lay_out_range(void *context, size_t part, size_t begin, size_t end)
{
    struct bench_layout *layout = context;

    (void)part;
    for (size_t i = begin; i < end; i++)
        layout->arms[i].status = lay_out(layout, &layout->arms[i]);
}

void bench_lay_out(struct bench_layout *layout)
{
    pqk_parallel_for(layout->num_arms, pqk_num_processors(), lay_out_range,
                     layout);
    for (size_t i = 0; i < layout->num_arms; i++)
        tool_check_status(layout->arms[i].status, "preparing codes");
}

void bench_free_layout(struct bench_layout *layout)
{
    for (size_t i = 0; i < layout->num_arms; i++) {
        pqk_scanner_free(layout->arms[i].scanner);
        pqk_index_free(layout->arms[i].index);
        layout->arms[i].scanner = NULL;
        layout->arms[i].index = NULL;
    }
}
