/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Files as bytes: mapped to be read, and replaced as a whole. */
#ifndef PQK_FILE_H
#define PQK_FILE_H

#include "pqkern.h"

struct pqk_mapping {
    const uint8_t *bytes; /* NULL if there is none */
    size_t num_bytes;
};

/* PQK_IO_ERROR with errno; PQK_BAD_FILE if it is empty or no regular file. */
pqk_status pqk_map(const char *path, struct pqk_mapping *mapping);
void pqk_unmap(struct pqk_mapping *mapping);

/* A file that is written beside the one it is to replace. */
struct pqk_replacement {
    char *path;   /* of the file itself, if the name is a link to it */
    char *folder; /* the one that it is in */
    char *temporary;
    int fd;
};

/* PQK_IO_ERROR with errno, also EISDIR or EINVAL if what is there is no file. */
pqk_status pqk_replacement_begin(struct pqk_replacement *replacement,
                                 const char *path);

/* PQK_IO_ERROR with errno.  What is never written is 0. */
pqk_status pqk_replacement_put(struct pqk_replacement *replacement,
                               uint64_t offset, const void *bytes,
                               size_t num_bytes);

/* If status is PQK_OK, puts the new file in the old one's place and on the disk;
 * else, or if that fails, removes it.  If only the folder cannot be synchronised,
 * the new file stays and PQK_IO_ERROR is returned.  Returns the first status that
 * was not PQK_OK, with its errno. */
pqk_status pqk_replacement_end(struct pqk_replacement *replacement,
                               pqk_status status);

#endif
