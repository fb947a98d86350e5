# SPDX-License-Identifier: MIT OR Apache-2.0

# PQK_SIMD
# --disable-simd makes `no' the default of every variant.
AC_DEFUN([PQK_SIMD], [
AC_ARG_ENABLE([simd],
    [AS_HELP_STRING([--disable-simd],
        [build the scalar kernel only, but for variants that are asked for])],
    [], [enable_simd=yes])
AS_IF([test "x$enable_simd" = xno], [pqk_simd_default=no],
    [pqk_simd_default=auto])
pqk_kernels_built=scalar
pqk_kernels_said=
AC_SUBST([PQK_VARIANT_FLAGS])
])

# PQK_KERNEL(NAME, MACRO, WHAT, CPUS, FLAGS, PROLOGUE, BODY)
# Ask whether kernel variant NAME can be built: for a host CPU that the shell
# pattern CPUS matches, link a real intrinsic with each of the sets of FLAGS,
# quoted shell words, in the place where Automake puts them: before CFLAGS.
# Nothing is run, so the answer is the same when cross-compiling.
# Defines PQK_HAVE_MACRO to 1 or 0, substitutes PQK_MACRO_CFLAGS, and adds to
# PQK_VARIANT_FLAGS, all of them as assignments for a shell in a Makefile's rule, and
# to $pqk_kernels_said, a line each for people.
AC_DEFUN([PQK_KERNEL], [
AC_REQUIRE([AC_CANONICAL_HOST])
AC_REQUIRE([PQK_SIMD])
AC_ARG_ENABLE([$1],
    [AS_HELP_STRING([--disable-$1], [do not build the $3 kernel; --enable-$1
        makes it an error if it cannot be built])],
    [AS_CASE([$enableval], [yes|no|auto], [],
        [AC_MSG_ERROR([--enable-$1 takes yes, no or auto, not $enableval])])],
    [enable_$1=$pqk_simd_default])
pqk_have=0
PQK_$2_CFLAGS=
AS_IF([test "x$enable_$1" != xno], [
    AC_CACHE_CHECK([for the flags of the $1 kernel], [pqk_cv_kernel_$1], [
        pqk_cv_kernel_$1=no
        AS_CASE([$host_cpu], [$4], [
            pqk_saved_CFLAGS=$CFLAGS
            for pqk_try in $5; do
                CFLAGS="$pqk_try $pqk_saved_CFLAGS"
                AC_LINK_IFELSE([AC_LANG_PROGRAM([$6], [$7])],
                    [pqk_cv_kernel_$1=$pqk_try; break])
            done
            CFLAGS=$pqk_saved_CFLAGS
            AS_IF([test -z "$pqk_cv_kernel_$1"],
                [pqk_cv_kernel_$1='none needed'])])])
    AS_CASE([$pqk_cv_kernel_$1],
        [no], [AS_IF([test "x$enable_$1" = xyes], [AC_MSG_ERROR(
            [--enable-$1: the $3 kernel cannot be built by
  $CC $CFLAGS
for $host_cpu.  Remedy: a compiler for a CPU that has it and no CFLAGS that
switch it off (config.log tells what failed), or leave --enable-$1 out.])])],
        ['none needed'], [pqk_have=1],
        [pqk_have=1
         PQK_$2_CFLAGS=$pqk_cv_kernel_$1])])
AS_IF([test $pqk_have = 1],
    [pqk_kernels_built="$pqk_kernels_built $1"
     pqk_said="yes $PQK_$2_CFLAGS"],
    [test "x$enable_$1" = xno], [pqk_said="no (disabled)"],
    [pqk_said="no (not for $host_cpu with this compiler and CFLAGS)"])
pqk_kernels_said="$pqk_kernels_said
    m4_format([%-15s], [$1]) $pqk_said"
PQK_VARIANT_FLAGS="$PQK_VARIANT_FLAGS PQK_$2_CFLAGS='\$(PQK_$2_CFLAGS)'"
AC_DEFINE_UNQUOTED([PQK_HAVE_$2], [$pqk_have],
    [Define to 1 if the $3 kernel is built, else 0.])
AC_SUBST([PQK_$2_CFLAGS])
])
