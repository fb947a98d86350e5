#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# What a packager does: install under DESTDIR, build a program against it by
# pkg-config, shared and static, run it and the installed run_experiment,
# uninstall, and find nothing left.
set -eu
skip() {
    echo "SKIP: $*"
    exit 77
}
test -n "$PKG_CONFIG" || skip "no pkg-config"
case " $CFLAGS " in
  *" -fsanitize"*) skip "a preloaded sanitizer does not suit an install test" ;;
esac
cd "$abs_top_builddir"
work=$abs_top_builddir/tests/installed.tmp
rm -rf "$work"
mkdir -p "$work"
# Libtool installs into no path with a space: go there by another name.
case $work in
  *[[:space:]]*)
    alias=$(mktemp -d)
    trap 'rm -rf "$alias"' EXIT
    ln -s "$work" "$alias/work"
    work=$alias/work ;;
esac
root=$work/root
# The make that runs this test must not share its job server and flags.
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR || :
$MAKE -s install DESTDIR="$root" >"$work/install.log" 2>&1 || {
    cat "$work/install.log"
    echo "FAIL: make install"
    exit 1
}
status=0
fail() {
    echo "FAIL: $*"
    status=1
}

var() {
    sed -n "s|^$1 = ||p" Makefile | head -n 1
}
prefix=$(var prefix)
file=$(find "$root/" -name libpqkern.pc)
test -n "$file" || { echo "FAIL: no libpqkern.pc installed"; exit 1; }
pkg() {
    PKG_CONFIG_LIBDIR=$(dirname "$file") PKG_CONFIG_PATH='' \
        PKG_CONFIG_SYSROOT_DIR='' $PKG_CONFIG \
        --define-variable=prefix="$root$prefix" "$@" libpqkern
}
version=$(sed -n 's/^#define PACKAGE_VERSION "\(.*\)"$/\1/p' config.h)
test "$(pkg --modversion)" = "$version" || fail "the version in libpqkern.pc"
headers=$(find "$root" -name '*.h' ! -name pqkern.h)
test -z "$headers" || fail "installed a private header: $headers"
for name in bin/pqkern bin/run_experiment completions/pqkern man1/pqkern.1 \
    man1/run_experiment.1 man3/pqkern.3 man5/pqkern.5 \
    pqkern/photos_base.bvecs; do
    test -n "$(find "$root" -path "*/$name*")" || fail "$name is not installed"
done

cat >"$work/probe.c" <<'END'
#include <pqkern.h>
#include <stdio.h>
int main(void)
{
    static const float centroids[2] = {0.0f, 3.0f};
    static const unsigned char codes[3] = {1, 0, 1};
    const float query = 2.5f;
    pqk_codebook codebook = {.num_sub_vectors = 1,
                             .num_centroids = 2,
                             .sub_vector_dim = 1,
                             .centroids = centroids};
    pqk_index *index = NULL;
    pqk_row_result neighbors[2];
    size_t count = 0;
    if (pqk_index_create(&codebook, NULL, &index) != PQK_OK ||
        pqk_index_add(index, codes, 3) != PQK_OK ||
        pqk_index_search(index, &query, 2, neighbors, &count) != PQK_OK)
        return 1;
    if (count != 2 || neighbors[0].row != 0 || neighbors[1].row != 2 ||
        neighbors[0].distance != 0.25f)
        return 2;
    printf("%s %s\n", pqk_version(),
           pqk_kernel_name(pqk_index_kernel(index)));
    pqk_index_free(index);
    return 0;
}
END
libdir=$(dirname "$(dirname "$file")")
ran=
if test "$PQK_SHARED" = yes; then
    # shellcheck disable=SC2046
    if $CC $CPPFLAGS $CFLAGS $(pkg --cflags) -o "$work/shared" \
        "$work/probe.c" $(pkg --libs) $LDFLAGS -Wl,-rpath,"$libdir"; then
        $EMULATOR "$work/shared" || fail "a program with the shared library"
        ran="$ran shared"
    else
        fail "linking with the shared library"
    fi
    $READELF -d "$libdir/$PQK_SONAME" | grep -E 'R(UN)?PATH' &&
        fail "the library has a run path"
fi
if test "$PQK_STATIC" = yes; then
    mkdir "$work/static"
    cp "$libdir/libpqkern.a" "$work/static/"
    # shellcheck disable=SC2046
    if $CC $CPPFLAGS $CFLAGS $(pkg --cflags) -o "$work/with-static" \
        "$work/probe.c" -L"$work/static" $(pkg --static --libs |
            sed "s|-L[^ ]*||; s|-lpqkern|$work/static/libpqkern.a|") \
        $LDFLAGS; then
        $EMULATOR "$work/with-static" ||
            fail "a program with the static library"
        ran="$ran static"
    else
        fail "linking with the static library"
    fi
fi
$EMULATOR "$root$prefix/bin/run_experiment" --version ||
    fail "the installed run_experiment"
LD_LIBRARY_PATH=$libdir $EMULATOR "$root$prefix/bin/pqkern" --version ||
    fail "the installed pqkern"

$MAKE -s uninstall DESTDIR="$root" >"$work/uninstall.log" 2>&1 ||
    fail "make uninstall"
left=$(find "$root" ! -type d)
test -z "$left" || fail "uninstall left: $left"
test -z "$(find "$root$prefix" -type d -name pqkern)" ||
    fail "uninstall left a folder"
test $status = 0 && rm -rf "$abs_top_builddir/tests/installed.tmp"
test $status = 0 && echo "installed, linked ($ran ), ran, uninstalled"
exit $status
