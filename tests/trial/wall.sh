#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Trials that edit the kernels of the project itself; see tests/trial/wall.py.
PQK_TRIAL_TESTS=wall
. "$abs_top_srcdir/tests/trial/trial.sh"
