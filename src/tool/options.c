/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_OPTIONS 24
#define CODE        256 /* of option 0; above all letters */
#define HELP_COLUMN 26
#define LINE_WIDTH  79

static const struct tool_option *known; /* of the command that runs */
static int given[MAX_OPTIONS];

int tool_given(const char *name)
{
    for (size_t i = 0; known[i].name != NULL; i++)
        if (strcmp(known[i].name, name) == 0)
            return given[i];
    return 0;
}

/* ------------------------------------------------------------------------ */

/* Text in a column of its own, broken at blanks. */
static void print_wrapped(const char *text, size_t column)
{
    size_t at = column;

    while (*text != '\0') {
        size_t length = strcspn(text, " ");

        if (at > column && at + 1 + length > LINE_WIDTH) {
            printf("\n%*s", (int)column, "");
            at = column;
        } else if (at > column) {
            putchar(' ');
            at++;
        }
        printf("%.*s", (int)length, text);
        at += length;
        text += length;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_option(char letter, const char *name, const char *value,
                         const char *help)
{
    char left[64];
    int length;

    if (letter == '\0')
        length = snprintf(left, sizeof left, "      --%s%s%s", name,
                          value == NULL ? "" : " ", value == NULL ? "" : value);
    else
        length =
            snprintf(left, sizeof left, "  -%c, --%s%s%s", letter, name,
                     value == NULL ? "" : " ", value == NULL ? "" : value);
    printf("%s", left);
    if (length + 2 > HELP_COLUMN)
        printf("\n%*s", HELP_COLUMN, "");
    else
        printf("%*s", HELP_COLUMN - length, "");
    print_wrapped(help, HELP_COLUMN);
}

static _Noreturn void print_help(const struct tool_command *command)
{
    printf("Usage: pqkern %s [OPTION]... %s\n", command->name,
           command->operands);
    print_wrapped(command->summary, 0);
    putchar('\n');
    for (const struct tool_option *o = command->options; o->name != NULL; o++)
        print_option(o->letter, o->name, o->value, o->help);
    print_option('h', "help", NULL, "this text");
    printf("\npqkern(1) has it in full.\n");
    tool_finish();
}

/* ------------------------------------------------------------------------ */

/* Digits only: no sign, no blank, nothing behind. */
static void parse_count(const struct tool_option *option, const char *text)
{
    uint64_t value;

    errno = 0;
    value = strtoull(text, NULL, 10);
    if (text[0] == '\0' || text[strspn(text, "0123456789")] != '\0' ||
        errno != 0 || value < option->least || value > option->most)
        tool_usage("--%s: '%s' is not a whole number from %" PRIu64
                   " to %" PRIu64,
                   option->name, text, option->least, option->most);
    *(uint64_t *)option->target = value;
}

static void parse_number(const struct tool_option *option, const char *text)
{
    char *end;
    float value = strtof(text, &end);

    if (text[0] == '\0' || *end != '\0' || isnan(value))
        tool_usage("--%s: '%s' is not a number", option->name, text);
    *(float *)option->target = value;
}

static void take(const struct tool_option *option, const char *text)
{
    switch (option->kind) {
    case TOOL_FLAG:
        *(int *)option->target = 1;
        break;
    case TOOL_COUNT:
        parse_count(option, text);
        break;
    case TOOL_NUMBER:
        parse_number(option, text);
        break;
    case TOOL_TEXT:
    default:
        if (text[0] == '\0')
            tool_usage("--%s: the value is empty", option->name);
        *(const char **)option->target = text;
        break;
    }
}

/* getopt's forms of the table: its arrays end with a zero. */
static void prepare(const struct tool_option *options, struct option *longs,
                    char *shorts)
{
    size_t i = 0;

    *shorts++ = ':';
    for (; options[i].name != NULL; i++) {
        const int takes = options[i].value != NULL;

        if (i + 2 >= MAX_OPTIONS)
            abort();
        longs[i] = (struct option){options[i].name,
                                   takes ? required_argument : no_argument,
                                   NULL, CODE + (int)i};
        if (options[i].letter != '\0') {
            *shorts++ = options[i].letter;
            if (takes)
                *shorts++ = ':';
        }
    }
    longs[i] = (struct option){"help", no_argument, NULL, 'h'};
    strcpy(shorts, "h");
}

int tool_take_options(const struct tool_command *command, int argc, char **argv)
{
    struct option longs[MAX_OPTIONS] = {{0}};
    char shorts[2 * MAX_OPTIONS + 2];
    int code;

    known = command->options;
    prepare(known, longs, shorts);
    optind = 1;
    while ((code = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        size_t i = code >= CODE ? (size_t)(code - CODE) : 0;

        if (code == 'h')
            print_help(command);
        if (code == ':')
            tool_usage("'%s' lacks its value", argv[optind - 1]);
        if (code == '?')
            tool_usage("'%s' is no option, or not one that takes a value",
                       argv[optind - 1]);
        while (code < CODE && known[i].letter != code)
            i++;
        take(&known[i], optarg);
        given[i] = 1;
    }
    if (argc - optind < command->least_operands)
        tool_usage("operands are missing: %s", command->operands);
    if (argc - optind > command->most_operands)
        tool_usage("'%s' is too much", argv[optind + command->most_operands]);
    return optind;
}
