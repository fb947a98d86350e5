# SPDX-License-Identifier: MIT OR Apache-2.0

# PQK_EMULATOR
# When cross-compiling, find what can run this build's programs, unless EMULATOR
# is given.  The probe forks and waits, as the tests do: an emulator that takes
# the loader from one libc and the library from another (two versions of the
# foreign libc, one of them through -L) runs simple programs and hangs in every
# forked child.  So plain names come first, -L is for a libc that is only there,
# and each try has a time limit.
AC_DEFUN([PQK_EMULATOR], [
AC_REQUIRE([AC_CANONICAL_HOST])
AC_ARG_VAR([EMULATOR], [command that runs the built programs in make check when
    cross-compiling, such as qemu-aarch64; looked for if not set])
pqk_can_run=yes
AS_IF([test "x$cross_compiling" = xyes && test -z "$EMULATOR"], [
    AC_CACHE_CHECK([for an emulator that can fork], [pqk_cv_emulator], [
        pqk_cv_emulator=no
        AS_CASE([$host_cpu],
            [arm*], [pqk_cpu=arm],
            [i?86], [pqk_cpu=i386],
            [powerpc64le], [pqk_cpu=ppc64le],
            [powerpc64], [pqk_cpu=ppc64],
            [pqk_cpu=$host_cpu])
        pqk_sysroot=`$CC -print-sysroot 2>/dev/null`
        AC_LINK_IFELSE([AC_LANG_PROGRAM([[
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>]], [[
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        setpgid(0, 0);
        _exit(42);
    }
    return !(child > 0 && waitpid(child, &status, 0) == child &&
             WIFEXITED(status) && WEXITSTATUS(status) == 42);]])], [
            for pqk_qemu in qemu-$pqk_cpu qemu-$pqk_cpu-static; do
                for pqk_root in '' "$pqk_sysroot" /usr/$host_alias; do
                    AS_CASE(["$pqk_root"],
                        [''], [pqk_try=$pqk_qemu],
                        [/], [continue],
                        [pqk_try="$pqk_qemu -L $pqk_root"])
                    AS_IF([timeout -k 1 10 $pqk_try ./conftest$EXEEXT \
                            >&AS_MESSAGE_LOG_FD 2>&1 </dev/null],
                        [pqk_cv_emulator=$pqk_try
                         break 2])
                    AS_ECHO(["not usable: $pqk_try"]) >&AS_MESSAGE_LOG_FD
                done
            done])])
    AS_IF([test "x$pqk_cv_emulator" = xno], [pqk_can_run=no],
        [EMULATOR=$pqk_cv_emulator])])
AM_CONDITIONAL([PQK_CAN_RUN], [test $pqk_can_run = yes])
AC_SUBST([EMULATOR])
])

# PQK_CHECK
# --with-check: the unit tests need Check.  A cross build without a pkg-config
# of its own would be told about the build machine's libraries, so it is pointed
# to the host's directory where there is one, and the answer must link.
# Sets the conditional HAVE_CHECK.
AC_DEFUN([PQK_CHECK], [
AC_ARG_WITH([check],
    [AS_HELP_STRING([--with-check=yes|no|auto],
        [build the unit tests that use Check @<:@auto@:>@])],
    [AS_CASE([$withval], [yes|no|auto], [],
        [AC_MSG_ERROR([--with-check takes yes, no or auto, not $withval])])],
    [with_check=auto])
PKG_PROG_PKG_CONFIG
pqk_have_check=no
AS_IF([test "x$with_check" != xno], [
    AS_IF([test "x$cross_compiling" = xyes && test -z "$PKG_CONFIG_LIBDIR" &&
           test -z "$PKG_CONFIG_SYSROOT_DIR"],
        [AS_CASE([$PKG_CONFIG], [*$host_alias-*], [],
            [AS_IF([test -d "/usr/lib/$host_alias/pkgconfig"],
                [PKG_CONFIG_LIBDIR=/usr/lib/$host_alias/pkgconfig:/usr/share/pkgconfig
                 export PKG_CONFIG_LIBDIR])])])
    PKG_CHECK_MODULES([CHECK], [check >= 0.10], [
        AC_CACHE_CHECK([whether a program with Check links],
            [pqk_cv_check_links], [
            pqk_saved_CFLAGS=$CFLAGS
            pqk_saved_LIBS=$LIBS
            CFLAGS="$CHECK_CFLAGS $CFLAGS"
            LIBS="$CHECK_LIBS $LIBS"
            AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <check.h>]],
                    [[srunner_free(srunner_create(suite_create("probe")));]])],
                [pqk_cv_check_links=yes], [pqk_cv_check_links=no])
            CFLAGS=$pqk_saved_CFLAGS
            LIBS=$pqk_saved_LIBS])
        pqk_have_check=$pqk_cv_check_links], [pqk_have_check=no])
    AS_IF([test "$pqk_have_check" = no], [
        AS_IF([test "x$with_check" = xyes],
            [AC_MSG_ERROR([--with-check: Check is not there for $host.
Remedy: install it (Debian: check, or check:arm64 and the like for a cross
build), set PKG_CONFIG_LIBDIR to the directory that holds its check.pc, or
configure with --with-check=no.])],
            [AC_MSG_WARN([no Check for $host: its unit tests are not built])])])])
AM_CONDITIONAL([HAVE_CHECK], [test "$pqk_have_check" = yes])
])
