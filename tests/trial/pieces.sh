#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The rules of scripts/trial one by one; see tests/trial/pieces.py.
PQK_TRIAL_TESTS=pieces
. "$abs_top_srcdir/tests/trial/trial.sh"
