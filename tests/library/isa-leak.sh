#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The flags of an instruction set touch that variant's object and no other:
# disassembles every other object and fails on an instruction that not every CPU
# of the architecture has.
set -eu
skip() {
    echo "SKIP: $*"
    exit 77
}

case " $CC $CPPFLAGS $CFLAGS " in
  *" -march="*|*" -mcpu="*|*" -mfpu="*|*" -mavx"*|*" -msse"[34]*|*" -mbmi"*|\
  *" -mssse3 "*|*" -mpopcnt "*|*" -mfma "*|*" -mlzcnt "*)
    skip "the user's flags choose the instruction set: $CC $CFLAGS" ;;
  *" -flto"*)
    skip "objects hold no instructions with -flto" ;;
esac
test "$OBJDUMP" != no || skip "no objdump for this host"

# Words as objdump prints them: the mnemonic stands between tabs.  tzcnt is not
# among them: it is how "rep bsf" reads, which old CPUs run as bsf.
case $PQK_HOST in
  x86_64-*)
    bad='	(v[a-z0-9]+|k(mov|or|and|xor|not|test|unpck|shift)[a-z]*'
    bad="$bad|andn|bextr|blsi|blsr|blsmsk|bzhi|mulx|pdep|pext|rorx|sarx|shlx"
    bad="$bad|shrx|lzcnt|popcnt|movbe|crc32[bwlq]?|lddqu|mov(ddup|s[hl]dup)"
    bad="$bad|(addsub|hadd|hsub)p[sd]|pabs[bwd]|palignr|ph(add|sub)[a-z]+"
    bad="$bad|pmaddubsw|pmulhrsw|pshufb|psign[bwd]|blendv?p[sd]|dpp[sd]"
    bad="$bad|extractps|insertps|movntdqa|mpsadbw|packusdw|pblend(vb|w)"
    bad="$bad|pcmp(eq|gt)q|pextr[bdq]|pinsr[bdq]|phminposuw|pm(ax|in)(s[bd]|u[dw])"
    bad="$bad|pmov[sz]x[a-z]+|pmul(dq|ld)|ptest|round[sp][sd]|pcmp[ei]str[im]"
    bad="$bad|aes[a-z0-9]+|pclmul[a-z]*)([	 ]|\$)|%[yz]mm[0-9]" ;;
  arm*-*)
    bad='	v[a-z0-9.]+	(.*[ ,{])?(q([0-9]|1[0-5])|d(1[6-9]|2[0-9]|3[01]))([],} .[]|$)' ;;
  aarch64*-*)
    bad='	([su]dot|[su]mmla|ptrue|whilelo)[	 ]|[ 	{]z[0-9]+\.[bhsd]' ;;
  *)
    skip "no list of instructions for $PQK_HOST" ;;
esac

cd "$abs_top_builddir"
objects=$(find . -name '*.o' \( -path './src/*' -o -path './tests/*' \) \
    ! -path './tests/*.tmp/*' \
    ! -name 'tests_libops_*_la-*' \
    \( ! -name 'libpqk_*_la-*' -o -name 'libpqk_scalar_la-*' \) | sort)
count=$(echo "$objects" | grep -c .) || :
variants=$(find . -name 'libpqk_*_la-*.o' ! -name 'libpqk_scalar_la-*' |
    grep -c .) || :
scalar=$(echo "$objects" | grep -c 'libpqk_scalar_la-') || :
if test "$count" -lt 10 || test "$variants" -lt 2 || test "$scalar" -lt 2; then
    echo "FAIL: found only $count objects and $variants variants' in $PWD:" \
        "have the file names changed?"
    exit 1
fi

# An address in a comment, "@ d24", looks like a register of NEON's.
comments='s/	@ .*//'
status=0
for object in $objects; do
    found=$("$OBJDUMP" -d --no-show-raw-insn "$object" | sed "$comments" |
        grep -E "$bad" | head -n 3) || :
    if test -n "$found"; then
        echo "FAIL: $object:"
        echo "$found"
        status=1
    fi
done

# The pattern itself: what it is for must match it.
work=tests/isa-leak.tmp
rm -rf $work
mkdir $work
case $PQK_HOST in
  x86_64-*)
    flags=${PQK_AVX2_CFLAGS:--mavx2}
    echo '#include <immintrin.h>
void f(__m256i *p) { *p = _mm256_shuffle_epi8(*p, *p); }' ;;
  arm*-*)
    flags=${PQK_NEON_CFLAGS:--mfpu=neon}
    echo '#include <arm_neon.h>
void f(uint8x16_t *p) { *p = vaddq_u8(*p, *p); }' ;;
  aarch64*-*)
    flags=-march=armv8.2-a+sve
    echo '#include <arm_sve.h>
void f(svuint8_t *p) { *p = svadd_u8_x(svptrue_b8(), *p, *p); }' ;;
esac >$work/probe.c
if $CC $CPPFLAGS $CFLAGS $flags -c -o $work/probe.o $work/probe.c; then
    "$OBJDUMP" -d --no-show-raw-insn $work/probe.o | grep -Eq "$bad" || {
        echo "FAIL: an instruction of $flags is not seen by this test"
        status=1
    }
else
    echo "NOTE: no proof that this test sees anything: $CC takes no $flags"
fi
rm -rf $work
test $status = 0 || {
    echo "An instruction set's flags belong in its own library's _CFLAGS in" \
        "src/local.mk, and its inline functions in files that only it includes"
    exit 1
}
echo "$count objects hold baseline instructions only"
