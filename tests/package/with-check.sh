#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Says so where the unit tests were left out, instead of passing in silence.
case $PQK_CHECK_PROGRAMS in
  *check_*)
    echo "the unit tests are built" ;;
  *)
    echo "SKIP: configured without Check: the check_* tests are not built;" \
        "install it (Debian: check) and configure --with-check=yes"
    exit 77 ;;
esac
