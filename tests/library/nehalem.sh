#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Tests of the kernels and the contract again on an x86-64 CPU without AVX, and some
# of it on one without SSE4 and on one without SSSE3: a leaked instruction is an illegal
# one there, and only the variants that such a CPU runs may be chosen.  With
# PQK_THOROUGH the long ones are, too: check_kernels, and those of encoding, collections,
# files, quantizers and threads.
set -eu
skip() {
    echo "SKIP: $*"
    exit 77
}
case $PQK_HOST in
  x86_64-*) ;;
  *) skip "for x86-64 only, not $PQK_HOST" ;;
esac
case " $CC $CFLAGS " in
  *" -fsanitize"*) skip "sanitizers do not run under QEMU user mode" ;;
  *" -march="*|*" -mavx"*|*" -msse4"*|*" -mbmi"*)
    skip "the user's flags ask for a newer CPU: $CFLAGS" ;;
esac
test -z "$EMULATOR" || skip "the suite runs under $EMULATOR already"
user_mode=
for try in qemu-x86_64 qemu-x86_64-static; do
    if command -v $try >/dev/null 2>&1; then
        user_mode=$try
        break
    fi
done
test -n "$user_mode" || skip "no qemu-x86_64; on Debian: apt-get install qemu-user"

cd "$abs_top_builddir"
CK_TIMEOUT_MULTIPLIER=20
PQKERN_EXPECT_ISA=
# Whatever the tests that run natively have of random cases.
PQK_TEST_SCALE=0.02
export CK_TIMEOUT_MULTIPLIER PQKERN_EXPECT_ISA PQK_TEST_SCALE
# Check's own report, not TAP.
unset CK_TAP_LOG_FILE_NAME CK_VERBOSITY

# A shared library's first program, and what is not there, say so.
timeout 60 "$user_mode" -cpu Nehalem-v1 ./run_experiment --version >/dev/null ||
    { echo "FAIL: run_experiment --version"; exit 1; }

failed=
passed=0
# shapes passes, and says of variants that those run that such a CPU has, as far as
# they are in this build.
on_cpu() {
    # on_cpu CPU VARIANT...
    qemu="$user_mode -cpu $1"
    cpu=$1
    shift
    PQKERN_EXPECT_ISA=
    said=$(timeout -k 5 600 $qemu tests/kernels/shapes) || {
        echo "FAIL: tests/kernels/shapes: exit $?: $said"
        failed="$failed tests/kernels/shapes"
    }
    said=$(echo "$said" | grep '^# variants:') || :
    for variant in "$@"; do
        case $said in
          *" $variant (not in this build)"*) ;;
          *) PQKERN_EXPECT_ISA="$PQKERN_EXPECT_ISA $variant" ;;
        esac
    done
    echo "== $cpu $said"
    test "${said%%;*}" = "# variants:$PQKERN_EXPECT_ISA" || {
        echo "FAIL: on $cpu, expected$PQKERN_EXPECT_ISA"
        failed="$failed $cpu"
    }
}
try_program() {
    echo "== $1"
    status=0
    timeout -k 5 600 $qemu "./$1" || status=$?
    if test $status = 0; then
        passed=$((passed + 1))
    else
        echo "FAIL: $1: exit $status"
        failed="$failed $1"
    fi
}
on_cpu Nehalem-v1 scalar ssse3
for program in $PQK_CHECK_PROGRAMS; do
    # Files and failures: tests/library/isa-leak.sh has looked at their objects, and what
    # they have of the kernels others run.
    case $program in
      tests/selftest|*/shapes|tests/fuzz/*|tests/base/*|tests/formats/*|tests/harness/*|\
      */check_faults|*/check_filters|*/check_sizes)
        continue ;;
      # They prepare and scan as shapes and the contract's tests do, with more of it
      # in shapes, files, threads and training.
      */check_api|*/check_collection|*/check_encode|*/check_file|\
      */check_kernels|*/check_quantizer|*/check_quantizers|*/check_threads)
        test -n "${PQK_THOROUGH-}" || continue ;;
    esac
    try_program "$program"
done
# SSSE3 and no more: no SSE4, no POPCNT; and POPCNT without SSSE3.
on_cpu Conroe-v1 scalar ssse3
on_cpu Opteron_G3-v1 scalar
try_program tests/library/check_contract
test -z "$failed" || {
    echo "FAIL under $user_mode:$failed"
    exit 1
}
echo "$passed programs pass under $user_mode"
