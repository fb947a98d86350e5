#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The public header stands alone, in C and in C++, without a warning, and its
# version is the package's.
set -eu
cd "$abs_top_builddir"
work=tests/headers.tmp
rm -rf $work
mkdir -p $work
cat >$work/probe.c <<'END'
#include <pqkern.h>
#include <pqkern.h>
int main(void)
{
    pqk_row_result neighbor = {0, 0.0f};
    return (int)neighbor.row + PQK_OK;
}
END
cp $work/probe.c $work/probe.cc
include="-I$abs_top_srcdir/include"
status=0
for standard in c99 c11 gnu17; do
    $CC $CPPFLAGS $CFLAGS -std=$standard -pedantic -Wall -Wextra -Wundef \
        -Wstrict-prototypes -Werror "$include" -c -o $work/probe.o \
        $work/probe.c || {
        echo "FAIL: pqkern.h as $standard"
        status=1
    }
done

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

# The C++ compiler beside the C one.
cxx=
case $CC in
  *gcc*) try=$(echo "$CC" | sed 's/gcc/g++/') ;;
  *clang*) try=$(echo "$CC" | sed 's/clang/clang++/') ;;
  *) try=c++ ;;
esac
if command -v "${try%% *}" >/dev/null 2>&1; then
    cxx=$try
fi
if test -n "$cxx"; then
    for standard in c++11 c++17; do
        $cxx -std=$standard -pedantic -Wall -Wextra -Werror "$include" \
            -c -o $work/probe.o $work/probe.cc || {
            echo "FAIL: pqkern.h as $standard"
            status=1
        }
    done
else
    echo "NOTE: no C++ compiler beside $CC: C only"
fi

version=$(sed -n 's/^#define PQKERN_VERSION_[A-Z]* *\([0-9]*\)$/\1/p' \
    "$abs_top_srcdir/include/pqkern.h" | tr '\n' . | sed 's/\.$//')
package=$(sed -n 's/^#define PACKAGE_VERSION "\(.*\)"$/\1/p' config.h)
test "$version" = "$package" || {
    echo "FAIL: pqkern.h says $version, configure.ac $package"
    status=1
}
rm -rf $work
exit $status
