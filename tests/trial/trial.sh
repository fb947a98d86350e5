#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# scripts/trial and the object gate; see tests/trial/trial.py, or what
# tests/trial/wall.sh has
# run instead.
set -u
skip() {
    echo "SKIP: $*"
    exit 77
}
python=
for name in python3 /usr/bin/python3; do
    if $name -c 'import sys; sys.exit(sys.version_info < (3, 9))' \
        2>/dev/null; then
        python=$name
        break
    fi
done
test -n "$python" || skip "scripts/trial needs Python 3.9 (Debian: python3)"
test -z "$EMULATOR" || skip "scripts/trial measures this machine, no emulator"
for tool in git objdump; do
    command -v $tool >/dev/null 2>&1 || skip "scripts/trial needs $tool"
done
PYTHONDONTWRITEBYTECODE=1
export PYTHONDONTWRITEBYTECODE
PQK_TRIAL_WORK=$abs_top_builddir/tests/${PQK_TRIAL_TESTS=trial}.tmp
export PQK_TRIAL_WORK
rm -rf "$PQK_TRIAL_WORK"
mkdir -p "$PQK_TRIAL_WORK"
"$python" "$abs_top_srcdir/tests/trial/$PQK_TRIAL_TESTS.py" "$@" || {
    test $? = 77 || exit 1
    exit 77
}
rm -rf "$PQK_TRIAL_WORK"
