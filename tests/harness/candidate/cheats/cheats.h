/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the cheats share. */
#ifndef CHEATS_H
#define CHEATS_H

#include "honest.h"

#include <sys/types.h>

/* Each ends with a name that is NULL. */
extern const struct hooks broken_cheats[], remembering_cheats[];
extern const struct hooks elsewhere_cheats[], reaching_cheats[], dying_cheats[];

/* The module's own file, as whoever copied it has called it. */
extern const char *cheat_file;

/* The judge's process, learnt while the library is loaded, when files may be
 * read. */
extern pid_t judge;
void find_judge(void);

/* As an honest one does. */
void scan_all(pqk_scanner *s);

void nap(long microseconds);

/* Keeps the processor busy. */
void work(long microseconds);

/* For ever; a thread's function. */
void *idle(void *unused);

#endif
