/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Keeps a judged library from doing anything but computing, as far as the system
 * can.  What the system lacks is named in the block; the judge's own checks
 * remain.
 */
#ifndef PQH_SANDBOX_H
#define PQH_SANDBOX_H

#include "slot.h"

/* What is missing; bits of pqh_slot's `missing`. */
enum pqh_missing {
    PQH_NO_SECCOMP = 1u << 0,
    PQH_NO_NETWORK_NAMESPACE = 1u << 1,
    PQH_NO_MEMORY_LIMIT = 1u << 2,
    PQH_NO_PROCESS_LIMIT = 1u << 3,
    PQH_NO_FIXED_PAGES = 1u << 4
};

/* "full", or "partial: " and what is missing. */
void pqh_sandbox_describe(uint32_t missing, char *text, size_t size);

/* A system call's name, or "a system call". */
const char *pqh_sandbox_call_name(int number);

/* For the judge, before it forks: no network for it and its children, and no
 * reading its memory.  What fails here the children try again. */
void pqh_sandbox_judge(void);

/* In the child, in this order: before the library is loaded; when it is. */
void pqh_sandbox_before_loading(struct pqh_slot *slot, int commands);
void pqh_sandbox_after_loading(struct pqh_slot *slot, int commands);

/* From now on the process may map so many bytes more than it has. */
void pqh_sandbox_limit_memory(struct pqh_slot *slot, size_t more);

#endif
