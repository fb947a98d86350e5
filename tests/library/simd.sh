#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The SIMD code of each variant really runs.  Equal results cannot show that: a
# variant that fell back to scalar code would pass every other test.  So: each
# variant's object has the instructions that its look-ups are made of, and on a
# CPU that runs it, it answers clearly faster than the reference does in the same
# rounds.
set -eu
skip() {
    echo "SKIP: $*"
    exit 77
}

cd "$abs_top_builddir"
test "$OBJDUMP" != no || skip "no objdump for this host"
case " $CFLAGS $LDFLAGS " in
  *" -flto"*) skip "objects hold no instructions with -flto" ;;
esac

# variant, an instruction that its look-ups consist of, least speed-up
variants() {
    case $PQK_HOST in
      x86_64-*)
        echo 'ssse3 pshufb.*%xmm 1.2'
        echo 'avx2 vpshufb.*%ymm 1.3'
        echo 'avx512 vpermi2w.*%zmm 2'
        echo 'avx512vbmi vperm[it]2b.*%zmm 2.5' ;;
      aarch64*-*)
        echo 'neon tbl[[:space:]]+v[0-9]+\.16b 1.2' ;;
      arm*-*)
        echo 'neon vtbl\.8 1.2' ;;
    esac
}

value_of() {
    sed -n "s/^$1: *//p" "$2" | sed 's/ .*//'
}

status=0
fail() {
    echo "FAIL: $*"
    status=1
}

# Timings mean nothing in an emulator, with sanitizers or without optimization.
timed=yes
test -z "$EMULATOR" || timed="no, this is an emulator"
case " $CFLAGS " in
  *" -fsanitize"*) timed="no, with sanitizers" ;;
  *" -O0 "*) timed="no, with -O0" ;;
esac

block=tests/simd.tmp
trap 'rm -f "$block"' EXIT
checked=0
variants >"$block.list"
while read -r variant instruction least; do
    object=$(find src -name "libpqk_${variant}_la-*.o" | head -n 1)
    if test -z "$object" ||
        ! "$OBJDUMP" -t "$object" | grep -q "pqk_kernel_$variant"; then
        echo "# $variant: not in this build"
        continue
    fi
    checked=$((checked + 1))
    count=$("$OBJDUMP" -d --no-show-raw-insn "$object" |
        grep -cE "$instruction") || :
    test "$count" -ge 4 ||
        fail "$variant: $object has $count times '$instruction'"
    if test "$timed" != yes; then
        echo "# $variant: has its instructions; timed: $timed"
        continue
    fi
    code=0
    ./run_experiment --source photos --num-queries 100 --kernel "$variant" \
        >"$block" 2>/dev/null </dev/null || code=$?
    if grep -q 'this CPU or its operating system cannot run it' "$block"; then
        echo "# $variant: has its instructions; this CPU cannot run it"
        continue
    fi
    speedup=$(value_of speedup "$block")
    if test "$code" != 0 || test "$(value_of kernel "$block")" != "$variant"
    then
        fail "$variant: run_experiment ended with $code, kernel" \
            "$(value_of kernel "$block"): $(value_of reason "$block")"
        continue
    fi
    echo "# $variant: has its instructions; $speedup times the reference"
    echo "$speedup $least" | awk '{ exit !($1 >= $2) }' ||
        fail "$variant: $speedup times the reference, expected $least or more"
done <"$block.list"
rm -f "$block.list"
test "$checked" -gt 0 || skip "no SIMD variant in this build"
test "$status" != 0 || echo "PASS: $checked variants"
exit "$status"
