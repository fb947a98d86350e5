# SPDX-License-Identifier: MIT OR Apache-2.0

# PQK_APPEND_FLAG(VARIABLE, FLAG)
# Append FLAG to VARIABLE if the compiler takes it without a complaint.
AC_DEFUN([PQK_APPEND_FLAG], [
AS_VAR_PUSHDEF([pqk_cache], [pqk_cv_flag_$2])
AC_CACHE_CHECK([whether $CC takes $2], [pqk_cache], [
    pqk_saved_CFLAGS=$CFLAGS
    CFLAGS="$CFLAGS -Werror $2"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
        [AS_VAR_SET([pqk_cache], [yes])], [AS_VAR_SET([pqk_cache], [no])])
    CFLAGS=$pqk_saved_CFLAGS])
AS_VAR_IF([pqk_cache], [yes], [$1="$$1 $2"])
AS_VAR_POPDEF([pqk_cache])
])

# PQK_WARNINGS
# Sets PQK_WARN_CFLAGS; --enable-werror adds -Werror to it.
AC_DEFUN([PQK_WARNINGS], [
AC_ARG_ENABLE([werror],
    [AS_HELP_STRING([--enable-werror], [make compiler warnings errors])],
    [], [enable_werror=no])
PQK_WARN_CFLAGS=
m4_foreach_w([pqk_flag], [-Wall -Wextra -Wshadow -Wconversion -Wsign-conversion
        -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
        -Wcast-align -Wcast-qual -Wpointer-arith -Wundef -Wvla -Wformat=2
        -Wwrite-strings -Wmissing-declarations -Wredundant-decls
        -Wnull-dereference],
    [PQK_APPEND_FLAG([PQK_WARN_CFLAGS], pqk_flag)])
AS_IF([test "x$enable_werror" = xyes],
    [PQK_WARN_CFLAGS="$PQK_WARN_CFLAGS -Werror"])
AC_SUBST([PQK_WARN_CFLAGS])
])

# PQK_PREFIX_MAP
# Debug information names files relative to the source tree, so that builds in
# different folders give the same objects.  Sets PQK_MAP_CFLAGS.
AC_DEFUN([PQK_PREFIX_MAP], [
pqk_map=
PQK_APPEND_FLAG([pqk_map], [-ffile-prefix-map=pqk_a=pqk_b])
PQK_MAP_CFLAGS=
AS_IF([test -n "$pqk_map"],
    [PQK_MAP_CFLAGS="-ffile-prefix-map='\$(abs_top_builddir)'=."
     PQK_MAP_CFLAGS="$PQK_MAP_CFLAGS -ffile-prefix-map='\$(top_srcdir)/'="])
AC_SUBST([PQK_MAP_CFLAGS])
])

# PQK_AR_FLAGS
# Archives without times and owners, where ar does not leave them out by itself;
# before LT_INIT, which takes AR_FLAGS as given.
AC_DEFUN([PQK_AR_FLAGS], [
AC_CACHE_CHECK([whether $AR takes crD], [pqk_cv_ar_deterministic], [
    pqk_cv_ar_deterministic=no
    AC_COMPILE_IFELSE([AC_LANG_SOURCE([[int pqk_probe;]])],
        [AS_IF([$AR crD conftest.a conftest.$ac_objext \
                >&AS_MESSAGE_LOG_FD 2>&1], [pqk_cv_ar_deterministic=yes])
         rm -f conftest.a])])
AS_IF([test $pqk_cv_ar_deterministic = yes], [: "${AR_FLAGS=crD}"])
])

# PQK_EXACT_FLOAT
# Every build must give the same float32 bits: no fused multiply-add, no
# excess precision, no value-changing optimisation.  Sets PQK_FLOAT_CFLAGS.
AC_DEFUN([PQK_EXACT_FLOAT], [
AC_CACHE_CHECK([whether the flags keep IEEE float arithmetic],
    [pqk_cv_ieee_float], [
    pqk_cv_ieee_float=yes
    # What has a macro is asked of the compiler, the rest is read: the last
    # -ffp-contract wins and user's flags come last.
    for pqk_word in $CC $CPPFLAGS $CFLAGS $LDFLAGS; do
        case $pqk_word in #(
          -ffast-math|-Ofast|-funsafe-math-optimizations|\
          -fassociative-math|-freciprocal-math|-ffinite-math-only|\
          -ffp-contract=fast|-ffp-contract=on|-ffp-model=fast|\
          -ffp-model=aggressive|-mdaz-ftz|-mrecip)
            pqk_cv_ieee_float="no: $pqk_word" ;;
        esac
    done
    AC_COMPILE_IFELSE([AC_LANG_SOURCE([[
#if defined __FAST_MATH__ || defined __ASSOCIATIVE_MATH__ \
    || defined __RECIPROCAL_MATH__ \
    || (defined __FINITE_MATH_ONLY__ && __FINITE_MATH_ONLY__ > 0)
#error fast math
#endif
int pqk_probe;]])], [],
        [AS_CASE([$pqk_cv_ieee_float], [yes],
            [pqk_cv_ieee_float="no: fast math"])])])
AS_CASE([$pqk_cv_ieee_float], [no*],
    [AC_MSG_ERROR([the compiler's flags change float results ($pqk_cv_ieee_float);
pqkern's results must be the same bits everywhere.  Remedy: configure without
that flag in CC, CPPFLAGS, CFLAGS and LDFLAGS.])])

AC_CACHE_CHECK([for the flag that keeps multiply and add apart],
    [pqk_cv_fp_contract], [
    pqk_saved_CFLAGS=$CFLAGS
    CFLAGS="-Werror -ffp-contract=off $CFLAGS"
    AC_COMPILE_IFELSE([AC_LANG_PROGRAM([], [])],
        [pqk_cv_fp_contract=-ffp-contract=off], [pqk_cv_fp_contract=no])
    CFLAGS=$pqk_saved_CFLAGS])
AS_IF([test "x$pqk_cv_fp_contract" = xno],
    [AC_MSG_ERROR([$CC does not take -ffp-contract=off, without which results
differ between CPUs.  Remedy: use GCC 4.6, Clang 3.1 or later, as CC=...])])

# 32-bit x86 computes float32 in 80 bits unless SSE2 does it.
AC_CACHE_CHECK([for the flags that round every float operation],
    [pqk_cv_flt_eval], [
    pqk_cv_flt_eval=no
    pqk_saved_CFLAGS=$CFLAGS
    for pqk_try in '' '-msse2 -mfpmath=sse' '-fexcess-precision=fast'; do
        CFLAGS="$pqk_try $pqk_saved_CFLAGS"
        AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <float.h>
#if FLT_EVAL_METHOD != 0
#error float operations are not rounded one by one
#endif]], [])], [pqk_cv_flt_eval=$pqk_try; break])
    done
    CFLAGS=$pqk_saved_CFLAGS
    AS_IF([test -z "$pqk_cv_flt_eval"], [pqk_cv_flt_eval='none needed'])])
PQK_FLOAT_CFLAGS=$pqk_cv_fp_contract
AS_CASE([$pqk_cv_flt_eval],
    [no], [AC_MSG_ERROR([float operations are carried out in more than 32 bits
here (FLT_EVAL_METHOD is not 0), so results would differ between CPUs.
Remedy: CFLAGS that make the compiler round each operation.])],
    ['none needed'], [],
    [PQK_FLOAT_CFLAGS="$PQK_FLOAT_CFLAGS $pqk_cv_flt_eval"])
AC_SUBST([PQK_FLOAT_CFLAGS])
AH_BOTTOM([/* CFLAGS given to make, which configure never saw. */
#if defined __FAST_MATH__ || \
    (defined __FINITE_MATH_ONLY__ && __FINITE_MATH_ONLY__ > 0)
#error "pqkern must not be compiled with -ffast-math, -Ofast or their parts"
#endif])
])

# PQK_VERSION_SCRIPT
# Sets the conditional PQK_HAVE_VERSION_SCRIPT.
AC_DEFUN([PQK_VERSION_SCRIPT], [
AC_CACHE_CHECK([whether the linker takes a version script],
    [pqk_cv_version_script], [
    pqk_cv_version_script=no
    pqk_saved_CFLAGS=$CFLAGS
    pqk_saved_LDFLAGS=$LDFLAGS
    echo 'PQK_PROBE { global: pqk_probe; local: *; };' >conftest.map
    CFLAGS="$CFLAGS -fPIC"
    LDFLAGS="$LDFLAGS -shared -Wl,--version-script=conftest.map"
    AC_LINK_IFELSE([AC_LANG_SOURCE([[extern int pqk_probe(void);
int pqk_probe(void) { return 0; }]])], [pqk_cv_version_script=yes])
    CFLAGS=$pqk_saved_CFLAGS
    LDFLAGS=$pqk_saved_LDFLAGS
    rm -f conftest.map])
AM_CONDITIONAL([PQK_HAVE_VERSION_SCRIPT],
    [test "x$pqk_cv_version_script" = xyes])
])

# PQK_CONSTANT_POINTERS
# Substitutes in PQK_RELRO what makes a program's pointers to functions constant
# once it is loaded.
AC_DEFUN([PQK_CONSTANT_POINTERS], [
AC_CACHE_CHECK([whether pointers to functions can be made constant],
    [pqk_cv_relro], [
    pqk_cv_relro=no
    pqk_saved_LDFLAGS=$LDFLAGS
    LDFLAGS="$LDFLAGS -Wl,-z,relro -Wl,-z,now"
    AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [pqk_cv_relro=yes])
    LDFLAGS=$pqk_saved_LDFLAGS])
PQK_RELRO=
AS_IF([test "x$pqk_cv_relro" = xyes], [PQK_RELRO='-Wl,-z,relro -Wl,-z,now'])
AC_SUBST([PQK_RELRO])
])
