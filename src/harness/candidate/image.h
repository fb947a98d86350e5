/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A library's file in memory.  What is compared is read once, hashed as it was
 * read, and given to each child as a file of its own with the same name for all: a
 * library that could see where it lies would know which arm it is.
 */
#ifndef PQH_IMAGE_H
#define PQH_IMAGE_H

#include <stddef.h>

#include "base/sha256.h"
#include "harness/outcome.h"

/* An unlinked file in memory, or in the folder for temporary files; -1. */
int pqh_anonymous_file(const char *name);

/* -1, and errno is set. */
int pqh_write_all(int file, const void *data, size_t size);

/* Reads the file; a descriptor, or -1 and the outcome set. */
int pqh_image_take(const char *path, char sha256[PQK_SHA256_HEX],
                   struct pqh_outcome *outcome);

/* An empty one; -1 if there can be none. */
int pqh_image_make(void);

/* Fills it and seals it where the system can; -1, and errno is set. */
int pqh_image_copy(int from, int to);

#endif
