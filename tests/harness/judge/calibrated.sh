#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Changes whose effect is known: a null patch is never called faster, 2 % and 5 %
# are called right.  A noisy machine may leave them unresolved, and the wrong way
# round is a failure on any.
set -u
skip() {
    echo "SKIP: $*"
    exit 77
}
test "${PQK_SHARED-yes}" = yes ||
    skip "without shared libraries there is nothing to load and judge"
test -z "${EMULATOR-}" || skip "an emulator's timings say nothing"
cd "$abs_top_builddir" || exit 1
slowed=$abs_top_builddir/tests/harness/candidate/cheats/.libs/slowed.so
work=tests/calibrated.tmp
rm -rf $work
mkdir -p $work
fails=0
unresolved=
fail() {
    echo "FAIL: $*"
    fails=$((fails + 1))
}

value() {
    sed -n "s/^$1: *//p" $work/out
}

# compare CANDIDATE AGAINST [ARGUMENT...]: sets verdict
compare() {
    candidate=$1 against=$2
    shift 2
    ./run_experiment --source photos --library $work/"$candidate".so \
        --against $work/"$against".so "$@" >$work/out 2>$work/err
    verdict=$(value verdict)
    if test "$verdict" = unresolved; then
        verdict="unresolved: $(value reason)"
    elif test "$(value status)" != ok; then
        verdict="$(value status): $(value reason)"
    fi
    echo "$candidate against $against: $verdict; $(value speedup)" \
        "($(value speedup_ci95)), null $(value null_ci95)"
}

# called "WORD..." CANDIDATE AGAINST [ARGUMENT...]
# One of the words, or unresolved; the second time round if not the first.
called() {
    words=$1
    shift
    for try in first second; do
        compare "$@"
        case $verdict in
          unresolved:*) unresolved="$unresolved $1"; return ;;
        esac
        case " $words " in
          *" $verdict "*) return ;;
        esac
        echo "not $words, the $try time"
    done
    fail "$1 against $2: $verdict, not $words"
}

# ----- Null patches ---------------------------------------------------------

# compile FOLDER: its results.c, as the library's own is compiled, but for the
# debugging information, which counts lines
compile() {
    # shellcheck disable=SC2086
    $CC -DHAVE_CONFIG_H -I. -I"$abs_top_srcdir/include" \
        -I"$abs_top_srcdir/src" $CPPFLAGS $CFLAGS -g0 -std=gnu11 -fPIC \
        -DPQK_BUILD -fvisibility=hidden -ffp-contract=off -pthread \
        ${PQK_ALIGN_CFLAGS-} \
        -c -o $work/"$1"/results.o $work/"$1"/results.c
}

# link FOLDER: the library with its results.o
link() {
    # shellcheck disable=SC2086
    $CC -shared $CFLAGS $LDFLAGS -o $work/"$1".so $work/"$1"/results.o \
        $work/others/*.o -pthread -lm \
        -Wl,--version-script="$abs_top_srcdir/src/libpqkern.map"
}

source=$abs_top_srcdir/src/kernels/results.c
mkdir -p $work/original $work/comment $work/renamed $work/reordered
cp "$source" $work/original
sed 's|^static .*(.*|/* It says what is there already. */\n&|' "$source" \
    >$work/comment/results.c
sed 's/\<pivot\>/hinge/g; s/\<cut\>/edge/g; s/\<hole\>/gap/g' "$source" \
    >$work/renamed/results.c
# Two functions that headers declare go to the end.
awk '/^[a-z].*[ *](pqk_top_k_heap_init|pqk_top_k_heap_push)\(/ { moved = 1 }
     moved { kept = kept $0 "\n" }
     !moved { print }
     /^}/ { moved = 0 }
     END { printf "\n%s", kept }' "$source" >$work/reordered/results.c

mkdir -p $work/others
(cd $work/others && ar x ../../../.libs/libpqkern-core.a && rm ./libpqk_scalar_la-results.o)
for patch in original comment renamed reordered; do
    if test $patch != original &&
        cmp -s "$source" $work/$patch/results.c; then
        fail "$patch: the patch changes nothing"
    fi
    compile $patch || fail "$patch: does not compile"
    link $patch || fail "$patch: does not link"
done
for patch in comment renamed; do
    cmp $work/original/results.o $work/$patch/results.o ||
        fail "$patch: another object"
done
if cmp -s $work/original/results.o $work/reordered/results.o; then
    fail "reordered: the same object"
fi
test $fails = 0 || exit 1
# The same object needs no measurement.
called 'same slower' reordered original --kernel scalar

# ----- Calibrated changes ---------------------------------------------------

# The share of a query's time that a step of spin() takes, seen where there are
# so many of them that no noise matters.
many=10000
cp "$slowed" $work/slowed-0.so
cp "$slowed" $work/slowed-$many.so
compare slowed-$many slowed-0
test "$verdict" = slower || {
    echo "FAIL: twice the time is not slower"
    exit 1
}
share=$(value speedup | awk -v many=$many '{ print (1 / $1 - 1) / many }')

# steps TIME: the steps that make a query TIME times as long
steps() {
    awk -v time="$1" -v share="$share" 'BEGIN {
        printf "%d", (time - 1) / share + 0.5 }'
}

base=$(steps 1.2)
cp "$slowed" $work/slowed-"$base".so
for change in 'slower same:1.2*1.02' 'faster same:1.2/1.02' \
    'slower:1.2*1.05' 'faster:1.2/1.05'; do
    words=${change%:*}
    time=$(awk "BEGIN { print ${change#*:} }")
    changed=$(steps "$time")
    cp "$slowed" $work/slowed-"$changed".so
    echo "${change#*:} of a query:"
    called "$words" slowed-"$changed" slowed-"$base"
done

test -z "$unresolved" || echo "too noisy to tell:$unresolved"
if test $fails -gt 0; then
    echo "FAIL: $fails checks"
    exit 1
fi
rm -rf $work
