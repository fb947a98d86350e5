/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What can be computed again is kept in $XDG_CACHE_HOME/pqkern/<name>-<key>/,
 * as TEXMEX files with their checksums.  Whatever is wrong with the cache is
 * said on standard error and costs time, nothing else.
 */
#ifndef PQH_CACHE_H
#define PQH_CACHE_H

#include "formats/error.h"
#include "formats/rows.h"
#include "sha256.h"

#include <limits.h>

struct pqh_cache {
    char folder[PATH_MAX]; /* empty if there is no place for a cache */
    int complained;
};

/* $XDG_CACHE_HOME, else $HOME/.cache, and below it /pqkern.  -1 if neither is
 * set or the name is too long. */
int pqh_cache_root(char path[PATH_MAX]);

/* The folder for a name and the digest of all that its content depends on. */
void pqh_cache_init(struct pqh_cache *cache, const char *name,
                    const char key[PQH_SHA256_HEX]);

/* Add to a key what tells one file from another without reading it wholly: its
 * last name, size, time of change, first and last 64 KiB. */
int pqh_cache_key_add_file(struct pqh_sha256 *key, const char *path,
                           struct pqf_error *err);

/* A file's path in the cache; -1 if there is no cache. */
int pqh_cache_path(const struct pqh_cache *cache, const char *name,
                   char path[PATH_MAX]);

/* Read a file of exactly this shape.  1 if values were read; 0 if the file is
 * not there or, which is said, is damaged. */
int pqh_cache_load(const struct pqh_cache *cache, const char *name,
                   size_t num_rows, size_t dim, void *values);

/* Write a file, creating the folder.  1 if it is there now. */
int pqh_cache_store(struct pqh_cache *cache, const char *name,
                    enum pqf_format type, const void *values,
                    size_t num_rows, size_t dim);

#endif
