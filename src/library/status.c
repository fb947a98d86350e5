/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif

#include "pqkern.h"
#include "variants.h"

#define STRING(x)        #x
#define NAME(name, needs, built) " " #name
#define VERSION(x, y, z) STRING(x) "." STRING(y) "." STRING(z)

const char *pqk_version(void)
{
    return VERSION(PQKERN_VERSION_MAJOR, PQKERN_VERSION_MINOR,
                   PQKERN_VERSION_PATCH);
}

uint32_t pqk_version_number(void)
{
    return PQKERN_VERSION;
}

const char *pqk_status_string(pqk_status status)
{
    switch (status) {
    case PQK_OK:
        return "success";
    case PQK_INVALID_ARGUMENT:
        return "invalid argument: a pointer, size or shape out of its range";
    case PQK_OUT_OF_MEMORY:
        return "out of memory";
    case PQK_UNKNOWN_KERNEL:
        return "no kernel variant of that name; known are:" PQK_VARIANTS(NAME);
    case PQK_KERNEL_UNAVAILABLE:
        return "that kernel variant is not in this build, or this CPU or its "
               "operating system cannot run it";
    case PQK_IO_ERROR:
        return "input or output failed";
    case PQK_BAD_FILE:
        return "not such a file, or truncated or altered";
    case PQK_NEWER_FILE:
        return "the file is of a format that a later version writes";
    case PQK_DUPLICATE_ID:
        return "an id is there already";
    case PQK_CANCELLED:
        return "cancelled";
    case PQK_BUSY:
        return "another thread is using it";
    }
    return "unknown status";
}
