/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"

#include <stdio.h>

static int json;

static const struct tool_option options[] = {
    {"json", '\0', NULL, "print JSON", TOOL_FLAG, &json, 0, 0},
    {NULL, '\0', NULL, NULL, TOOL_FLAG, NULL, 0, 0}};

static void print_kernel(size_t i, const pqk_kernel *kernel, int chosen)
{
    const int available = pqk_kernel_available(kernel);

    if (!json) {
        printf("%-12s%s%s\n", pqk_kernel_name(kernel),
               available ? "available" : "not on this CPU",
               chosen ? ", chosen" : "");
        return;
    }
    fputs(i == 0 ? "[{\"name\": " : ",\n {\"name\": ", stdout);
    tool_json_text(pqk_kernel_name(kernel));
    printf(", \"available\": %s, \"chosen\": %s}", available ? "true" : "false",
           chosen ? "true" : "false");
}

/* What PQKERN_ISA cannot have is an error here, too, but told below the list. */
static void run(int num_operands, char **operands)
{
    const pqk_kernel *chosen = NULL;

    (void)num_operands;
    (void)operands;
    if (pqk_kernel_find(NULL, &chosen) != PQK_OK)
        chosen = NULL;
    for (size_t i = 0; i < pqk_kernel_count(); i++)
        print_kernel(i, pqk_kernel_at(i), pqk_kernel_at(i) == chosen);
    if (json)
        puts("]");
    if (chosen == NULL)
        tool_kernel(NULL);
}

const struct tool_command tool_kernels = {
    .name = "kernels",
    .operands = "",
    .summary = "List the variants of the kernels, and which is chosen.",
    .options = options,
    .min_operands = 0,
    .max_operands = 0,
    .run = run,
};
