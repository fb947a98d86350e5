/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A file or standard input, being read. */
#ifndef PQF_SOURCE_H
#define PQF_SOURCE_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>

struct pqf_source {
    char *path; /* for messages */
    int fd;
    int regular;   /* else a pipe, a terminal, a device */
    uint64_t size; /* of a regular file */
};

/* Whether what is no regular file may be read. */
enum pqf_source_kind { PQF_REGULAR_ONLY, PQF_ANY_SOURCE };

/* "-" is standard input, if any source will do.  On failure there is nothing to
 * close. */
int pqf_source_open(const char *path, enum pqf_source_kind kind,
                    struct pqf_source *source, struct pqf_error *err);

void pqf_source_close(struct pqf_source *source);

/* Read from within a regular file; an end before count bytes is an error. */
int pqf_source_read_at(const struct pqf_source *source, uint64_t offset,
                       unsigned char *bytes, size_t count,
                       struct pqf_error *err);

/* Read on; fewer bytes than count are the end. */
int pqf_source_read_next(const struct pqf_source *source, unsigned char *bytes,
                         size_t count, size_t *got, struct pqf_error *err);

#endif
