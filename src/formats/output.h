/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A file being written.  It is written beside its place and gets its name when
 * it is complete and on the disk, so that a failure or a crash leaves what was
 * there.  The new file has the old one's mode.  What is no regular file (a
 * pipe, /dev/stdout) is written as it is.
 */
#ifndef PQF_OUTPUT_H
#define PQF_OUTPUT_H

#include "error.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct pqf_output {
    FILE *file; /* NULL once it is closed */
    char *path;
    char *unfinished; /* the name until then; NULL if written in place */
    int failure;      /* errno of the first failure, else 0 */
};

/* On failure there is nothing to abandon. */
int pqf_output_open(const char *path, struct pqf_output *out,
                    struct pqf_error *err);

/* A failure to write is told by pqf_output_close, or _commit. */
void pqf_output_bytes(struct pqf_output *out, const void *bytes, size_t count);
void pqf_output_integer(struct pqf_output *out, uint64_t value, size_t size);

/* values of `size` bytes each, 1, 4 or 8, little-endian from here on. */
void pqf_output_values(struct pqf_output *out, const void *values, size_t size,
                       size_t count);

/* All is written: put it on the disk, still under its unfinished name.  On
 * failure it is abandoned. */
int pqf_output_close(struct pqf_output *out, struct pqf_error *err);

/* Close it, if that is still to be done, and give it its name. */
int pqf_output_commit(struct pqf_output *out, struct pqf_error *err);

/* Give several their names, once all of them are on the disk; what is all zeros
 * was not opened, and is passed over.  Two of one name are a failure.  On failure
 * those that are left are abandoned. */
int pqf_outputs_commit(struct pqf_output *const *outputs, size_t count,
                       struct pqf_error *err);

/* Leave what was there; nothing to do after a commit. */
void pqf_output_abandon(struct pqf_output *out);

/* Remove what is unfinished, for a handler of signals that end the process. */
void pqf_output_remove_unfinished(void);

#endif
