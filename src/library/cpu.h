/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef PQK_CPU_H
#define PQK_CPU_H

/* Of PQK_CPU_AVX2 and the others in variants.h those that this CPU has and whose
 * registers its operating system saves, and what else they say of it. */
unsigned pqk_cpu_features(void);

#endif
