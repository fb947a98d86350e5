/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* pqkern: the library for the shell.  What it promises is in pqkern(1). */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"

#include <stdio.h>
#include <string.h>

static const struct tool_command *const commands[] = {
    &tool_train, &tool_build,   &tool_search, &tool_evaluate, &tool_info,
    &tool_bench, &tool_kernels, &tool_remove, &tool_import,   &tool_export,
};
#define NUM_COMMANDS (sizeof commands / sizeof commands[0])

static _Noreturn void print_help(void)
{
    puts("Usage: pqkern COMMAND [OPTION]... [OPERAND]...\n"
         "Product-quantize vectors, and search the codes exactly.\n");
    for (size_t i = 0; i < NUM_COMMANDS; i++)
        printf("  %-10s  %s\n", commands[i]->name, commands[i]->summary);
    puts("\n"
         "  pqkern COMMAND --help   a command's options\n"
         "  pqkern --version\n"
         "\n"
         "Exit status: 0 ok, 1 error, 64 usage.");
    tool_finish();
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";

    tool_keep_streams();
    tool_catch_signals();
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        print_help();
    if (strcmp(name, "--version") == 0) {
        printf("pqkern %s\n", pqk_version());
        tool_finish();
    }
    for (size_t i = 0; i < NUM_COMMANDS; i++) {
        int first;

        if (strcmp(commands[i]->name, name) != 0)
            continue;
        tool_set_name(name);
        first = tool_take_options(commands[i], argc - 1, argv + 1);
        commands[i]->run(argc - 1 - first, argv + 1 + first);
        tool_finish();
    }
    if (name[0] == '\0')
        tool_usage("a command is missing");
    tool_usage("'%s' is no command", name);
}
