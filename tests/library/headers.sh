#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The public header stands alone, in C and in C++, without a warning, and its
# version is the package's; structures are laid out as tests/layout.c says; who does
# not look at a status, or passes NULL where nothing could tell of it, is warned.
set -eu
cd "$abs_top_builddir"
work=tests/headers.tmp
rm -rf $work
mkdir -p $work
cat >$work/probe.c <<'END'
#include <pqkern.h>
#include <pqkern.h>
#if PQKERN_VERSION < PQKERN_VERSION_MINOR * 100
#error "the preprocessor cannot compare the version"
#endif
int main(void)
{
    pqk_result result = {PQK_NO_ID, 0.0f, 0};
    pqk_row_result found = {0, 0.0f};
    unsigned flags = PQK_UNVERIFIED;
    return result.reserved != found.row || flags == PQK_OK;
}
END
cp $work/probe.c $work/probe.cc
include="-I$abs_top_srcdir/include"
status=0

# The compiler of this build, and others that are here.
compilers=$work/compilers
echo "$CC $CPPFLAGS $CFLAGS" >$compilers
test "$PQK_CROSS" = yes || for try in gcc clang; do
    test "$try" = "$CC" || ! command -v $try >/dev/null 2>&1 ||
        echo $try >>$compilers
done
while read -r compiler; do
    for standard in c99 c11 gnu17; do
        $compiler -std=$standard -pedantic -Wall -Wextra -Wundef -Wconversion \
            -Wcast-qual -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wredundant-decls -Werror "$include" -c -o $work/probe.o \
            $work/probe.c || {
            echo "FAIL: pqkern.h as $standard, $compiler"
            status=1
        }
    done
done <$compilers

# careless WARNING: of which lines of careless.c does the compiler complain so?
careless() {
    $CC $CPPFLAGS $CFLAGS -Wall "$include" -c -o $work/careless.o \
        $work/careless.c 2>&1 | grep -e "\[-W.*$1" |
        sed 's/^[^:]*careless\.c:\([0-9]*\):.*/\1/' | sort -un
}
# lines PATTERN: of which should it?
lines() {
    grep -n "$1" $work/careless.c | sed 's/:.*//'
}
# Every function that has a status, called by somebody who does not look at it, and
# some that have none.
{
    echo '#include <pqkern.h>'
    echo 'void careless(void);'
    echo 'void careless(void) {'
    tr '\n' ' ' <"$abs_top_srcdir/include/pqkern.h" | sed 's/PQK_API/\
&/g' | awk '
        /^PQK_API pqk_status / {
            sub(/^PQK_API pqk_status +/, "")
            call = parameters = $0
            sub(/ *\(.*/, "(0", call)
            sub(/^[^(]*\(/, "", parameters)
            sub(/\).*/, "", parameters)
            for (n = gsub(/,/, "", parameters); n > 0; n--)
                call = call ", 0"
            print call ");"
        }'
    echo 'pqk_index_codebook((pqk_index *)16, 0); /* no NULL */'
    for name in quantizer_dim kernel_name collection_size index_bytes; do
        echo "pqk_$name(0); /* no NULL */"
    done
    echo '}'
} >$work/careless.c
echo 'int f(int *p) __attribute__((nonnull(1), warn_unused_result));' >$work/none.c
if $CC -Werror -fsyntax-only $work/none.c >/dev/null 2>&1; then
    test "$(lines '^pqk_' | grep -c .)" -gt 30 || {
        echo "FAIL: found too few functions in pqkern.h"
        status=1
    }
    test "$(careless unused-result)" = "$(lines '^pqk_.*;$')" || {
        echo "FAIL: not of all statuses, which nobody looks at, does $CC complain:"
        cat -n $work/careless.c
        careless unused-result
        status=1
    }
    test "$(careless nonnull)" = "$(lines 'no NULL')" || {
        echo "FAIL: not of all NULLs that cannot be reported, or of others, does" \
            "$CC complain:"
        cat -n $work/careless.c
        careless nonnull
        status=1
    }
fi

# The structures of this machine, and of others that the compiler knows, for which
# there need be no library: i386 aligns 64 bits to 4 bytes, x32 to 8.
echo 'typedef int *pointer;' >$work/none.c
for machine in "" -m32 -mx32 -m31 -mabi=ilp32; do
    layout="$CC $CPPFLAGS -std=c11 -ffreestanding -fsyntax-only $machine"
    test -z "$machine" || $layout -Werror $work/none.c >/dev/null 2>&1 || continue
    $layout "$include" "$abs_top_srcdir/tests/library/layout.c" || {
        echo "FAIL: sizes of structures, $CC $machine"
        status=1
    }
    echo "sizes of structures: ${machine:-this machine}"
done

# The C++ compiler beside each C one.
while read -r compiler; do
    set -f
    # shellcheck disable=SC2086
    set -- $compiler
    set +f
    case $1 in
      *gcc*) cxx=$(echo "$1" | sed 's/gcc/g++/') ;;
      *clang*) cxx=$(echo "$1" | sed 's/clang/clang++/') ;;
      *) cxx=c++ ;;
    esac
    command -v "$cxx" >/dev/null 2>&1 || {
        echo "NOTE: no C++ compiler beside $1: C only"
        continue
    }
    for standard in c++11 c++14 c++17 c++20; do
        $cxx -std=$standard -fsyntax-only -x c++ /dev/null 2>/dev/null || continue
        $cxx -std=$standard -Wall -Wextra -Wpedantic -Wold-style-cast \
            -Wconversion -Wsign-conversion -Wundef -Wshadow \
            -Wzero-as-null-pointer-constant -Wredundant-decls -Werror \
            "$include" -c -o $work/probe.o $work/probe.cc || {
            echo "FAIL: pqkern.h as $standard, $cxx"
            status=1
        }
    done
done <$compilers

version=$(sed -n 's/^#define PQKERN_VERSION_[A-Z]* *\([0-9]*\)$/\1/p' \
    "$abs_top_srcdir/include/pqkern.h" | tr '\n' . | sed 's/\.$//')
package=$(sed -n 's/^#define PACKAGE_VERSION "\(.*\)"$/\1/p' config.h)
test "$version" = "$package" || {
    echo "FAIL: pqkern.h says $version, configure.ac $package"
    status=1
}
rm -rf $work
exit $status
