#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The suite again on an x86-64 CPU without AVX: a leaked instruction is an
# illegal one there, and the choice of a kernel must come to scalar.
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
qemu=
for try in qemu-x86_64 qemu-x86_64-static; do
    if command -v $try >/dev/null 2>&1; then
        qemu="$try -cpu Nehalem-v1"
        break
    fi
done
test -n "$qemu" || skip "no qemu-x86_64; on Debian: apt-get install qemu-user"

cd "$abs_top_builddir"
CK_TIMEOUT_MULTIPLIER=20
PQKERN_EXPECT_ISA=scalar
PQK_TEST_SCALE=${PQK_TEST_SCALE-0.05}
export CK_TIMEOUT_MULTIPLIER PQKERN_EXPECT_ISA PQK_TEST_SCALE
# Check's own report, not TAP.
unset CK_TAP_LOG_FILE_NAME CK_VERBOSITY

# A shared library's first program, and what is not there, say so.
timeout 60 $qemu ./run_experiment --version >/dev/null ||
    { echo "FAIL: run_experiment --version"; exit 1; }

failed=
passed=0
for program in $PQK_CHECK_PROGRAMS; do
    # Files and failures: tests/isa-leak.sh has looked at their objects, and what
    # they have of the kernels others run.
    case $program in
      tests/fuzz/*|*/check_faiss|*/check_faults|*/check_fixture|*/check_floors|\
      */check_npy|*/check_sha256|*/check_sizes|*/check_statistics|*/check_vecs)
        continue ;;
    esac
    echo "== $program"
    status=0
    timeout -k 5 600 $qemu "./$program" || status=$?
    if test $status = 0; then
        passed=$((passed + 1))
    else
        echo "FAIL: $program: exit $status"
        failed="$failed $program"
    fi
done
test -z "$failed" || {
    echo "FAIL under $qemu:$failed"
    exit 1
}
echo "$passed programs pass under $qemu"
