/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "tool.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define VALUE_COLUMN 20

static struct {
    int json;
    int members;
} report;

void tool_json_text(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;

        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

/* JSON knows finite numbers only.  Nine digits give a float32 back. */
void tool_json_number(double value)
{
    if (isfinite(value))
        printf("%.9g", value);
    else
        fputs("null", stdout);
}

void tool_report_begin(int json)
{
    report.json = json;
    report.members = 0;
    if (json)
        putchar('{');
}

static void put_key(const char *key)
{
    if (report.json) {
        fputs(report.members > 0 ? ", " : "", stdout);
        tool_json_text(key);
        fputs(": ", stdout);
    } else {
        int length = (int)strlen(key) + 1;
        printf("%s:%*s", key, length < VALUE_COLUMN ? VALUE_COLUMN - length : 1,
               "");
    }
    report.members++;
}

static void end_value(void)
{
    if (!report.json)
        putchar('\n');
}

void tool_report_text(const char *key, const char *value)
{
    put_key(key);
    if (report.json)
        tool_json_text(value);
    else
        fputs(value, stdout);
    end_value();
}

void tool_report_count(const char *key, uint64_t value)
{
    put_key(key);
    printf("%" PRIu64, value);
    end_value();
}

void tool_report_number(const char *key, double value)
{
    put_key(key);
    if (report.json)
        tool_json_number(value);
    else
        printf("%.9g", value);
    end_value();
}

void tool_report_end(void)
{
    if (report.json)
        puts("}");
}
