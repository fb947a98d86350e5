#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Changes whose effect is known: a null patch is never called faster, 25 % and, with
# PQK_THOROUGH, 2 and 5 % are called right.  The wrong way round is a failure on any
# machine.  A noisy one may leave a comparison unresolved; but of all those of one
# effect some has to be resolved, unless each time two equal arms differ by half of
# that effect or more, or the interval reaches as far; and of 25 % whatever they do.
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
fail() {
    echo "FAIL: $*"
    fails=$((fails + 1))
}

value() {
    sed -n "s/^$1: *//p" $work/out
}

# compare CANDIDATE AGAINST [ARGUMENT...]: sets verdict, and noise to the percentage
# by which equal arms differed, or to half the width of the interval if that is more
compare() {
    candidate=$1 against=$2
    shift 2
    ./run_experiment --source photos --library $work/"$candidate".so \
        --against $work/"$against".so "$@" >$work/out 2>$work/err
    verdict=$(value verdict)
    if test "$(value status)" != ok && test "$verdict" != unresolved; then
        verdict="$(value status): $(value reason)"
    fi
    noise=$(echo "$(value null_ci95) $(value speedup_ci95)" | awk '
        function size(x) { x = x > 0 ? log(x) : 1; return x < 0 ? -x : x }
        { most = size($1); if (size($2) > most) most = size($2)
          half = $3 > 0 && $4 > 0 ? log($4 / $3) / 2 : 1
          printf "%.2f", 100 * (half > most ? half : most) }')
    echo "$candidate against $against: $verdict; $(value speedup)" \
        "($(value speedup_ci95)), noise $noise %"
}

# called "WORD..." CANDIDATE AGAINST [ARGUMENT...]: 0 if it is one of the words, 1 if
# it is unresolved; what is neither must not be so the second time round
called() {
    words=$1
    shift
    for try in first second; do
        compare "$@"
        test "$verdict" != unresolved || return 1
        case " $words " in
          *" $verdict "*) return 0 ;;
        esac
        echo "not $words, the $try time"
    done
    fail "$1 against $2: $verdict, not $words"
    return 0
}

# resolved PERCENT [SECONDS]: each line of standard input is
# WORDS|CANDIDATE|AGAINST|ARGUMENTS, and some has to be resolved, in one of three
# rounds.  The first measures for so many seconds if that says something.
resolved() {
    percent=$1 any=0 least=100 seconds=${2-}
    cat >$work/changes
    for round in 1 2 3; do
        while IFS='|' read -r words candidate against arguments; do
            # shellcheck disable=SC2086
            ! called "$words" "$candidate" "$against" $arguments \
                ${seconds:+--measure "$seconds"} </dev/null || any=1
            least=$(echo "$least $noise" | awk '{ print $1 < $2 ? $1 : $2 }')
        done <$work/changes
        test $any = 0 || return 0
        seconds=
        echo "$percent %: nothing is resolved in round $round"
    done
    if awk "BEGIN { exit !($percent >= 25 || $least < $percent / 2) }"; then
        fail "$percent % is never resolved, with as little noise as $least %"
    else
        echo "$percent %: too noisy to tell, noise is $least % at least"
    fi
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
resolved 1 <<END
same slower|reordered|original|--kernel scalar
END

# ----- Calibrated changes ---------------------------------------------------

# The share of a query's time that a step of spin() takes, seen where there are
# so many of them that no noise matters.
many=10000
copy() {
    cp "$slowed" $work/slowed-"$1".so
    printf '\n#called slowed-%s -\n' "$1" >>$work/slowed-"$1".so
}
copy 0
copy $many
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

# slowed TIME: the library that makes a query TIME times as long
slowed() {
    count=$(steps "$(awk "BEGIN { print $1 }")")
    copy "$count"
    echo "slowed-$count"
}

# More than 25 %, so that something is left that can be taken away.
base=$(slowed 1.3)
for percent in ${PQK_THOROUGH:+2 5} 25; do
    also=
    test $percent != 2 || also=' same'
    # So much is seen in a third of the usual time.
    brief=
    test $percent -lt 25 || brief=2
    echo "$percent % of a query:"
    resolved $percent $brief <<END
slower$also|$(slowed "1.3 * (1 + $percent / 100)")|$base|
faster$also|$(slowed "1.3 / (1 + $percent / 100)")|$base|
END
done

if test $fails -gt 0; then
    echo "FAIL: $fails checks"
    exit 1
fi
rm -rf $work
