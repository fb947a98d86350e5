/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "folder.h"
#include "cache.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct ending {
    enum pqh_role role;
    const char *text;
} endings[] = {
    {PQH_BASE, "_base.fvecs"},         {PQH_BASE, "_base.bvecs"},
    {PQH_QUERY, "_query.fvecs"},       {PQH_QUERY, "_query.bvecs"},
    {PQH_LEARN, "_learn.fvecs"},       {PQH_LEARN, "_learn.bvecs"},
    {PQH_TRUTH, "_groundtruth.ivecs"}, {PQH_CODEBOOK, "_codebook.fvecs"},
};

/* The role of a file name, or PQH_NUM_ROLES. */
static enum pqh_role role_of(const char *name, const char *prefix)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        size_t ending = strlen(endings[i].text);

        /* A leading dot hides a file: what archivers leave, for example. */
        if (length <= ending || name[0] == '.' ||
            strcmp(name + length - ending, endings[i].text) != 0)
            continue;
        if (prefix == NULL || (strlen(prefix) == length - ending &&
                               strncmp(name, prefix, length - ending) == 0))
            return endings[i].role;
    }
    return PQH_NUM_ROLES;
}

static int take_file(const char *path, const char *name, char file[PATH_MAX],
                     struct pqf_error *err)
{
    const char *slash = path[strlen(path) - 1] == '/' ? "" : "/";

    if (file[0] != '\0')
        return pqf_fail(err,
                        "%s: both %s and %s could be meant; move one of them "
                        "to another folder",
                        path, strrchr(file, '/') + 1, name);
    if (snprintf(file, PATH_MAX, "%s%s%s", path, slash, name) >= PATH_MAX)
        return pqf_fail(err, "%s/%s: the name is too long", path, name);
    return 0;
}

int pqh_folder_scan(const char *path, const char *prefix,
                    struct pqh_folder *folder, struct pqf_error *err)
{
    DIR *directory = opendir(path);
    const struct dirent *entry;
    int result = 0;

    for (int role = 0; role < PQH_NUM_ROLES; role++)
        folder->files[role][0] = '\0';
    if (directory == NULL)
        return pqf_fail(err, "%s: the folder cannot be read: %s", path,
                        strerror(errno));
    while (result == 0 && (entry = readdir(directory)) != NULL) {
        enum pqh_role role = role_of(entry->d_name, prefix);

        if (role != PQH_NUM_ROLES)
            result = take_file(path, entry->d_name, folder->files[role], err);
    }
    closedir(directory);
    return result;
}

int pqh_folder_check(const char *path, const struct pqh_folder *folder,
                     struct pqf_error *err)
{
    if (folder->files[PQH_BASE][0] == '\0')
        return pqf_fail(err,
                        "%s: no file is named *_base.fvecs or *_base.bvecs; "
                        "put the vectors to be searched there under such a "
                        "name",
                        path);
    if (folder->files[PQH_QUERY][0] == '\0')
        return pqf_fail(err,
                        "%s: no file is named *_query.fvecs or *_query.bvecs; "
                        "put the queries there under such a name",
                        path);
    return 0;
}

/* ------------------------------------------------------------------------ */
/* Named sets                                                               */

/* Look in one place; 1 if base, queries and truth are there. */
static int look_in(const char *path, const char *prefix,
                   struct pqh_folder *folder, struct pqf_error *err)
{
    if (access(path, F_OK) != 0)
        return 0;
    if (pqh_folder_scan(path, prefix, folder, err) != 0)
        return -1;
    return folder->files[PQH_BASE][0] != '\0' &&
           folder->files[PQH_QUERY][0] != '\0' &&
           folder->files[PQH_TRUTH][0] != '\0';
}

int pqh_folder_find_sift1m(struct pqh_folder *folder, struct pqf_error *err)
{
    const char *data = getenv("PQKERN_DATA"), *home = getenv("HOME");
    char path[PATH_MAX];
    int found = 0;

    snprintf(folder->name, sizeof folder->name, "sift1m");
    if (data != NULL && data[0] != '\0')
        found = look_in(data, "sift", folder, err);
    if (found == 0 && pqh_cache_root(path) == 0)
        found = look_in(path, "sift", folder, err);
    if (found == 0 && home != NULL &&
        snprintf(path, sizeof path, "%s/.cache/lance-autoresearch", home) <
            PATH_MAX)
        found = look_in(path, "sift", folder, err);
    return found;
}

/* Beside the program, as in a tree where it was built. */
static int program_data(char path[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", path, PATH_MAX - 1);
    char *slash;

    if (length < 0)
        return -1;
    path[length] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL || slash - path + (ssize_t)sizeof "/data" > PATH_MAX)
        return -1;
    memcpy(slash, "/data", sizeof "/data");
    return 0;
}

int pqh_folder_find_photos(struct pqh_folder *folder, struct pqf_error *err)
{
    const char *data = getenv("PQKERN_DATA");
    char path[PATH_MAX];
    int found = 0;

    snprintf(folder->name, sizeof folder->name, "photos");
    if (data != NULL && data[0] != '\0')
        found = look_in(data, "photos", folder, err);
    if (found == 0 && program_data(path) == 0)
        found = look_in(path, "photos", folder, err);
#ifdef PQK_PKGDATADIR
    if (found == 0)
        found = look_in(PQK_PKGDATADIR, "photos", folder, err);
#endif
    return found;
}
