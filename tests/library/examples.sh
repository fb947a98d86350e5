#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The examples do what their comments say.
set -eu
cd "$abs_top_builddir"
work=$abs_top_builddir/tests/examples.tmp
rm -rf "$work"
mkdir -p "$work"
status=0
fail() {
    echo "FAIL: $*"
    status=1
}
run() {
    example=$1
    shift
    # shellcheck disable=SC2086
    $EMULATOR ./examples/"$example" "$@"
}

run search >"$work/search" || fail "search ends with $?"
test "$(wc -l <"$work/search")" -eq 5 || fail "search does not find 5"
grep -q '^42 ' "$work/search" || fail "search does not find what it looks for"

run ivf >"$work/ivf" || fail "ivf ends with $?"
grep -q '^nearest to vector 0: vector 0 ' "$work/ivf" || fail "ivf: $(cat "$work/ivf")"

# Under an emulator the limit would be the emulator's.
if test -z "$EMULATOR"; then
    run mapped "$work/large.pqk" 8 >"$work/mapped" || fail "mapped ends with $?"
    grep -q '^524288 vectors' "$work/mapped" || fail "mapped: $(cat "$work/mapped")"
fi
run mapped >"$work/usage" 2>&1 && fail "mapped takes no arguments"
grep -q '^Usage: mapped' "$work/usage" || fail "mapped has no usage"

# Python loads the library for this machine, and only a shared one.
python=$(command -v python3 || :)
if test -z "$EMULATOR" && test -n "$python" && test "$PQK_SHARED" = yes; then
    # One vector of 64 values, 0.5 each, as in mapped.
    awk 'BEGIN { printf "@\\0\\0\\0"; for (i = 0; i < 64; i++) printf "\\0\\0\\0?" }' >"$work/format"
    # shellcheck disable=SC2059
    printf "$(cat "$work/format")" >"$work/query.fvecs"
    LIBPQKERN=$PWD/.libs/$PQK_SONAME "$python" \
        "$abs_top_srcdir/examples/search.py" "$work/large.pqk" \
        "$work/query.fvecs" 3 >"$work/python" || fail "search.py ends with $?"
    nearest=$(sed -n 's/.*nearest \([0-9]*\) at \(.*\)/0 \1 \2/p' "$work/mapped")
    test "$(head -n 1 "$work/python")" = "$nearest" ||
        fail "search.py: $(cat "$work/python"), not $nearest"
fi
rm -f "$work/large.pqk"
test $status -ne 0 || echo "PASS: the examples run"
exit $status
