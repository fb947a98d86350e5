#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# What the shared library exports, what its version script lists and what the
# public header declares are the same functions; the static library's global
# names all begin with pqk_.
set -eu
skip() {
    echo "SKIP: $*"
    exit 77
}
cd "$abs_top_builddir"
work=tests/exported-symbols.tmp
rm -rf $work
mkdir -p $work
LC_ALL=C
export LC_ALL

# PQK_API ... name(
tr '\n' ' ' <"$abs_top_srcdir/include/pqkern.h" | sed 's/PQK_API/\
&/g' | sed -n 's/^PQK_API[^;({]*[ *]\(pqk_[a-z0-9_]*\) *(.*/\1/p' |
    sort -u >$work/header
sed -n '/^global:/,/^local:/s/^ *\(pqk_[a-z0-9_]*\);.*/\1/p' \
    "$abs_top_srcdir/src/libpqkern.map" | sort >$work/map
status=0
test "$(grep -c . $work/header)" -ge 20 || {
    echo "FAIL: found too few functions in pqkern.h"
    status=1
}
if ! diff $work/header $work/map >$work/diff; then
    echo "FAIL: include/pqkern.h (<) and src/libpqkern.map (>) differ:"
    cat $work/diff
    status=1
fi
sed -n 's/^ \(pqk_[a-z0-9_]*\)@.*/\1/p' \
    "$abs_top_srcdir/packaging/debian/libpqkern0.symbols" | sort >$work/debian
if ! diff $work/map $work/debian >$work/diff; then
    echo "FAIL: src/libpqkern.map (<) and packaging/debian/libpqkern0.symbols" \
        "(>) differ:"
    cat $work/diff
    status=1
fi
grep -q '^PQKERN_[0-9]* {' "$abs_top_srcdir/src/libpqkern.map" || {
    echo "FAIL: src/libpqkern.map has no version node"
    status=1
}

if test "$PQK_STATIC" = yes; then
    # Sanitizers add names of their own.
    $NM -g -P .libs/libpqkern.a 2>/dev/null |
        awk '$2 ~ /^[TDBRVW]$/ { print $1 }' |
        grep -Ev '^(pqk_|_*(asan|ubsan|odr_asan|gcov|llvm)|DW\.)' \
            >$work/strays || :
    if test -s $work/strays; then
        echo "FAIL: global names of libpqkern.a without pqk_:"
        cat $work/strays
        status=1
    fi
fi
ran="header, map, Debian's symbols"
test "$PQK_STATIC" != yes || ran="$ran, libpqkern.a"

if test "$PQK_SHARED" = yes; then
    test "$READELF" != no || skip "no readelf for this host"
    case " $CFLAGS " in
      *" -fsanitize"*|*" --coverage"*|*" -fprofile"*)
        skip "instrumentation exports names of its own" ;;
    esac
    library=.libs/$PQK_SONAME
    test -e "$library" || {
        echo "FAIL: no $library: does the soname agree with version-info?"
        exit 1
    }
    $READELF -d "$library" | grep -q "soname: \[$PQK_SONAME\]" || {
        echo "FAIL: $library has another soname:"
        $READELF -d "$library" | grep -i soname
        status=1
    }
    $READELF -W --dyn-syms "$library" |
        awk '$7 != "UND" && $7 != "ABS" && ($5 == "GLOBAL" || $5 == "WEAK") {
            print $8 }' | sed '/^_init$/d; /^_fini$/d; /^__bss_start/d
            /^_edata$/d; /^_end$/d; /^__bss_end__$/d; /^__end__$/d
            /^_bss_end__$/d' | sort >$work/dynamic.versioned
    sed 's/@.*//' $work/dynamic.versioned | sort -u >$work/dynamic
    if ! diff $work/header $work/dynamic >$work/diff; then
        echo "FAIL: include/pqkern.h (<) and exports of $library (>) differ:"
        cat $work/diff
        status=1
    fi
    if grep -v '@@PQKERN_[0-9]' $work/dynamic.versioned; then
        echo "FAIL: those have no version node"
        status=1
    fi
    ran="$ran, $library"
fi
rm -rf $work
test $status = 0 && echo "the same functions in: $ran"
exit $status
