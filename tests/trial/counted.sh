#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Trials of a counted series; see tests/trial/counted.py.
PQK_TRIAL_TESTS=counted
. "$abs_top_srcdir/tests/trial/trial.sh"
