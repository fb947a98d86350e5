#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# scripts/trial and the object gate; see tests/trial.py.
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
work=$abs_top_builddir/tests/trial.tmp
rm -rf "$work"
mkdir -p "$work"
"$python" "$abs_top_srcdir/tests/trial.py" "$@" || exit 1
rm -rf "$work"
