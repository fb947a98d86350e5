/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What programs ask the system about itself. */
#ifndef PQK_HOST_H
#define PQK_HOST_H

#include <stddef.h>
#include <stdint.h>

/* The processor's name; the machine's kind where the system gives none. */
void pqk_processor_name(char *name, size_t size);

/* Bytes that can be had without swapping, as far as the system says; otherwise half
 * of what there is. */
uint64_t pqk_available_memory(void);

/* The folder that the running program is in.  Returns 0, or -1 if the system does
 * not tell, or the name is too long. */
int pqk_program_folder(char *path, size_t size);

#endif
