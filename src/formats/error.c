/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int pqf_fail(struct pqf_error *err, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(err->text, sizeof err->text, format, arguments);
    va_end(arguments);
    return -1;
}

void pqf_printable(const char *from, char *text, size_t size)
{
    size_t i;

    for (i = 0; i + 1 < size && from[i] != '\0'; i++)
        text[i] = from[i] >= 0x20 && from[i] <= 0x7e ? from[i] : '?';
    text[i] = '\0';
}
