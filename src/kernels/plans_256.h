/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Plans for instruction sets that look 256 entries up as fast as memory brings
 * the codes: no minima of groups.  On clustered data four columns leave less
 * than half of the blocks alive; on data that do not cluster twelve leave few.
 */
#ifndef PQK_KERNELS_PLANS_256_H
#define PQK_KERNELS_PLANS_256_H

#include "kernels/plans.h"

static const struct scan_plan isa_plans[] = {
    {0.00f,
     0.78f,
     5,
     {{BOUND_256, 0, 4},
      {BOUND_256, 4, 6},
      {BOUND_256, 6, 8},
      {BOUND_256, 8, 12},
      {BOUND_256, 12, 16}}},
    {0.35f,
     0.80f,
     4,
     {{BOUND_256, 0, 6},
      {BOUND_256, 6, 8},
      {BOUND_256, 8, 12},
      {BOUND_256, 12, 16}}},
    {0.45f,
     0.90f,
     4,
     {{BOUND_256, 0, 8},
      {BOUND_256, 8, 10},
      {BOUND_256, 10, 12},
      {BOUND_256, 12, 16}}},
    {0.15f, 2.00f, 2, {{BOUND_256, 0, 12}, {BOUND_256, 12, 16}}},
};

#endif
