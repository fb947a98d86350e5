/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "outcome.h"

#include <stdarg.h>
#include <stdio.h>

int pqh_end(struct pqh_outcome *outcome, enum pqh_exit code, const char *status,
            const char *format, ...)
{
    va_list arguments;

    outcome->code = code;
    outcome->status = status;
    va_start(arguments, format);
    vsnprintf(outcome->reason, sizeof outcome->reason, format, arguments);
    va_end(arguments);
    return -1;
}
