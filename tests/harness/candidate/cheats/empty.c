/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A shared library that is not libpqkern. */
#include "pqkern.h"

PQK_API const char *pqk_version(void)
{
    return "none";
}
