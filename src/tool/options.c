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

/* The options of the command that runs. */
static struct {
    struct tool_option option;
    int given;
} known[MAX_OPTIONS];
static size_t num_known;

int tool_given(const char *name)
{
    for (size_t i = 0; i < num_known; i++)
        if (strcmp(known[i].option.name, name) == 0)
            return known[i].given;
    return 0;
}

static void know(const struct tool_option *options)
{
    for (; options != NULL && options->name != NULL; options++) {
        if (num_known == MAX_OPTIONS)
            abort();
        known[num_known++].option = *options;
    }
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
        length = snprintf(left, sizeof left, "  -%c, --%s%s%s", letter, name,
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
    for (size_t i = 0; i < num_known; i++)
        print_option(known[i].option.letter, known[i].option.name,
                     known[i].option.value, known[i].option.help);
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
        errno != 0 || value < option->min || value > option->max)
        tool_usage("--%s: '%s' is not a whole number from %" PRIu64
                   " to %" PRIu64,
                   option->name, text, option->min, option->max);
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
static void prepare(struct option longs[MAX_OPTIONS + 2],
                    char shorts[2 * MAX_OPTIONS + 3])
{
    *shorts++ = ':';
    for (size_t i = 0; i < num_known; i++) {
        const struct tool_option *o = &known[i].option;
        const int takes = o->value != NULL;

        longs[i] =
            (struct option){o->name, takes ? required_argument : no_argument,
                            NULL, CODE + (int)i};
        if (o->letter != '\0') {
            *shorts++ = o->letter;
            if (takes)
                *shorts++ = ':';
        }
    }
    longs[num_known] = (struct option){"help", no_argument, NULL, 'h'};
    strcpy(shorts, "h");
}

int tool_take_options(const struct tool_command *command, int argc, char **argv)
{
    struct option longs[MAX_OPTIONS + 2] = {{0}};
    char shorts[2 * MAX_OPTIONS + 3];
    int code;

    know(command->options);
    know(command->more);
    prepare(longs, shorts);
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
        while (code < CODE && known[i].option.letter != code)
            i++;
        take(&known[i].option, optarg);
        known[i].given = 1;
    }
    if (argc - optind < command->min_operands)
        tool_usage("operands are missing: %s", command->operands);
    if (argc - optind > command->max_operands)
        tool_usage("'%s' is too much", argv[optind + command->max_operands]);
    return optind;
}
