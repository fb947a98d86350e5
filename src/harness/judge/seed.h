/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef PQH_SEED_H
#define PQH_SEED_H

#include <stdint.h>

/* A seed that nobody can know before; a JSON number keeps its 53 bits. */
uint64_t pqh_random_seed(void);

#endif
