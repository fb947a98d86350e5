/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* TEXMEX-style folders: which file plays which role is told by its name. */
#ifndef PQH_FOLDER_H
#define PQH_FOLDER_H

#include "formats/error.h"

#include <limits.h>

enum pqh_role {
    PQH_BASE,     /* *_base.fvecs or .bvecs */
    PQH_QUERY,    /* *_query.fvecs or .bvecs */
    PQH_TRUTH,    /* *_groundtruth.ivecs */
    PQH_LEARN,    /* *_learn.fvecs or .bvecs */
    PQH_CODEBOOK, /* *_codebook.fvecs */
    PQH_NUM_ROLES
};

struct pqh_folder {
    char name[64];                       /* to be shown */
    char files[PQH_NUM_ROLES][PATH_MAX]; /* empty if there is none */
};

/*
 * Look for the files of a folder.  With a prefix only <prefix>_base.fvecs and
 * so on count.  Roles may stay empty; two files for one role are an error, and
 * so is a folder that cannot be read.
 */
int pqh_folder_scan(const char *path, const char *prefix,
                    struct pqh_folder *folder, struct pqf_error *err);

/* An error unless there are a base and queries. */
int pqh_folder_check(const char *path, const struct pqh_folder *folder,
                     struct pqf_error *err);

/*
 * Find the first of the usual places that holds base, queries and truth of the
 * set sift1m (its files begin with sift_) or photos.  1 if found, 0 if not, -1
 * for an error.
 */
int pqh_folder_find_sift1m(struct pqh_folder *folder, struct pqf_error *err);
int pqh_folder_find_photos(struct pqh_folder *folder, struct pqf_error *err);

#endif
