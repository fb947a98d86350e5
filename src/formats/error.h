/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A message for the person who ran the program: it names the file, the value
 * and the remedy. */
#ifndef PQF_ERROR_H
#define PQF_ERROR_H

#include <stddef.h>

struct pqf_error {
    char text[1024];
};

/* Formats the message, cut to fit, and returns -1, so that a failure is
 * `return pqf_fail(err, ...)`. */
int pqf_fail(struct pqf_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Copies text from a file for a message, up to its zero byte, cut to size - 1;
 * what might be an order to a terminal becomes '?'. */
void pqf_printable(const char *from, char *text, size_t size);

#endif
