/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* What stands behind the colon of the line that begins with key; 1 if there is
 * one. */
static int find_line(const char *path, const char *key, char *value,
                     size_t size)
{
    FILE *file = fopen(path, "re");
    char line[256];
    int found = 0;

    while (!found && file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *colon = strchr(line, ':');

        if (strncmp(line, key, strlen(key)) != 0 || colon == NULL)
            continue;
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(value, size, "%s", colon + 1 + strspn(colon + 1, " \t"));
        found = 1;
    }
    if (file != NULL)
        fclose(file);
    return found;
}

void pqk_processor_name(char *name, size_t size)
{
    struct utsname machine;

    name[0] = '\0';
    if (!find_line("/proc/cpuinfo", "model name", name, size) &&
        uname(&machine) == 0)
        snprintf(name, size, "%s", machine.machine);
}

uint64_t pqk_available_memory(void)
{
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    char kilobytes[64];

    if (find_line("/proc/meminfo", "MemAvailable", kilobytes, sizeof kilobytes))
        return strtoull(kilobytes, NULL, 10) * 1024;
    return pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size / 2 : 0;
}

int pqk_program_folder(char *path, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", path, size);
    char *slash;

    if (length < 0 || (size_t)length >= size)
        return -1;
    path[length] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL)
        return -1;
    *slash = '\0';
    return 0;
}
