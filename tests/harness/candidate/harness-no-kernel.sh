#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The judge's side never links the code that it judges: run_experiment and the
# harness define no name of the library but the quantizer's, and want none.
set -eu
skip() {
    echo "SKIP: $*"
    exit 77
}
test "$PQK_SHARED" = yes ||
    skip "without a shared library, run_experiment has the kernels linked in"
cd "$abs_top_builddir"
work=tests/harness-no-kernel.tmp
rm -rf $work
mkdir -p $work
LC_ALL=C
export LC_ALL

names() {
    # names TYPES FILE...: of those types, also the local ones
    types=$1
    shift
    $NM -P "$@" 2>/dev/null | awk -v types="^[$types]\$" '$2 ~ types {
        print $1 }' | sort -u
}
# All functions of the library, hidden ones too, less the quantizer's.
names 'TDBRVW' .libs/libpqkern-core.a | grep '^pqk_' >$work/library
names 'TDBRVW' .libs/libquantizer.a >$work/quantizer
comm -23 $work/library $work/quantizer >$work/forbidden
test "$(grep -c . $work/forbidden)" -ge 20 || {
    echo "FAIL: found too few functions in libpqkern-core.a"
    exit 1
}
status=0
names 'TtDdBbRrVWU' run_experiment >$work/experiment
names 'TtDdBbRrVWU' .libs/libharness.a >$work/harness
for who in experiment harness; do
    test -s $work/$who || { echo "FAIL: no names of $who"; exit 1; }
    if comm -12 $work/forbidden $work/$who | grep .; then
        echo "FAIL: these names of the library are in: $who"
        status=1
    fi
done
if test "$READELF" != no && $READELF -d run_experiment | grep pqkern; then
    echo "FAIL: run_experiment is linked with libpqkern"
    status=1
fi
# The candidate lies beside it in the child: what it calls through is constant.
if test "$READELF" != no && grep '^PQK_RELRO = .' Makefile >/dev/null; then
    if ! $READELF -lW run_experiment | grep GNU_RELRO >/dev/null ||
        ! $READELF -d run_experiment | grep NOW >/dev/null; then
        echo "FAIL: run_experiment's pointers to functions can be written"
        status=1
    fi
fi
rm -rf $work
exit $status
