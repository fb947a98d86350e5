#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# How run_experiment ends: broken and cheating libraries are found out, whatever
# dies or hangs, and the block is there each time.
set -u
skip() {
    echo "SKIP: $*"
    exit 77
}
test "${PQK_SHARED-yes}" = yes ||
    skip "without shared libraries there is nothing to load and judge"
cd "$abs_top_builddir" || exit 1
cheats=${PQK_CHEATS-$abs_top_builddir/tests/cheats/.libs}
work=tests/judge.tmp
EMULATOR=${EMULATOR-}
rm -rf $work
mkdir -p $work
fails=0
fail() {
    echo "FAIL: $*"
    fails=$((fails + 1))
}

# Every process that is started here has it in its environment.
PQK_JUDGED=judge.sh-$$
export PQK_JUDGED

# run NAME ARGUMENT...: run_experiment with the library that does NAME
run() {
    name=$1
    shift
    # shellcheck disable=SC2086
    PQK_CHEAT=$name $EMULATOR ./run_experiment --json $work/"$name".json \
        --library "$cheats/cheats.so" "$@" \
        >$work/"$name".out 2>$work/"$name".err
    echo $? >$work/"$name".code
}

value() {
    sed -n "s/^$2: *//p" $work/"$1".out
}

# ended NAME CODE STATUS REASON: as it had to
ended() {
    code=$(cat $work/"$1".code)
    test "$code" = "$2" || fail "$1: exit $code, not $2"
    test "$(grep -c '^---$' $work/"$1".out)" = 1 ||
        fail "$1: not exactly one block"
    test "$(sed -n 1p $work/"$1".out)" = --- ||
        fail "$1: something was printed before the block"
    keys=$(sed -n '2,8s/:.*//p' $work/"$1".out | tr '\n' ' ')
    test "$keys" = "source num_base num_queries recall_at_10\
 geomean_ns_per_query peak_mem_mb total_seconds " ||
        fail "$1: the first keys are: $keys"
    if grep -vE '^(---|[a-z0-9_]{1,20}: {1,}[^ ].*)$' $work/"$1".out; then
        fail "$1: these lines have no place in a block"
    fi
    status=$(value "$1" status)
    test "$status" = "$3" || fail "$1: status $status, not $3"
    reason=$(value "$1" reason)
    echo "$reason" | grep -qE -- "$4" || fail "$1: reason: $reason"
    if grep -E '^(---|status:)' $work/"$1".err; then
        fail "$1: a block on standard error"
    fi
    if command -v python3 >/dev/null 2>&1; then
        python3 -m json.tool $work/"$1".json >$work/json 2>&1 ||
            fail "$1: JSON: $(cat $work/json)"
    fi
    echo "$1: exit $code, $status${reason:+: $reason}"
}

# judged NAME CODE STATUS REASON [ARGUMENT...]
# Some verdicts rest on timings, which another job can spoil: what does not end
# as it had to gets a second try, in which it must.
judged() {
    name=$1 want=$2 word=$3 why=$4
    shift 4
    run "$name" --source seed "$@"
    if test "$(cat $work/"$name".code)" != "$want" ||
        ! printf '%s\n' "$(value "$name" reason)" | grep -qE -- "$why"; then
        echo "$name: exit $(cat $work/"$name".code), not $want; once more:" \
            "$(value "$name" reason)"
        run "$name" --source seed "$@"
    fi
    ended "$name" "$want" "$word" "$why"
}

# Where there is seccomp, it is the system that finds them out.
forbidden='a system call that the contract forbids'

# Those that hang take ten seconds each: all at once, and aside.
for hangs in sleeps stops loops; do
    run $hangs --source seed &
done

# Every way to use the library.
for way in single batch partitions rows; do
    judged honest 0 ok '^$' --scan $way
    test "$(value honest scan)" = $way || fail "$way: another way"
    test "$(value honest recall_at_10)" = 0.6609 ||
        fail "$way: the golden number"
    test "$(value honest exact_queries)" = \
        "$(value honest timings)/$(value honest timings)" ||
        fail "$way: not exact"
    test "$(value honest timings)" -ge 1000 || fail "$way: too few timings"
done

judged zeros 2 recall 'hits of 640'
judged skips-one 2 recall 'more than 0.005 below'
judged lazy-third 4 integrity 'preparation is left to the queries'
judged late 4 integrity "changed after the call|more thread|$forbidden"
judged thread 4 integrity "1 more thread|$forbidden"
judged process 4 integrity "started another process|$forbidden: (clone|fork)"
judged rounds-down 4 integrity 'floating-point environment'
judged wavers 4 integrity 'two different answers'
judged keeps-codes 5 crash 'killed by SIG'
judged fakes-block 5 crash 'exited with status 0 while answering'
judged aborts 5 crash 'killed by SIGABRT .* while answering'
grep -q '^candidate: what the library said last$' $work/aborts.err ||
    fail "aborts: its last words are lost"
judged dawdles 3 time_budget 'over the time budget of 2 s' --time-budget 2

# On an emulator, the above is enough, takes long enough, and the processor's
# time is the emulator's affair.
if test -z "$EMULATOR"; then
    for way in batch partitions rows; do
        judged writes-outside 4 integrity 'around the results' --scan $way
        judged shifted 2 recall 'hits of 640' --scan $way
    done
    judged wavers 4 integrity 'two different answers' --scan batch
    judged lazy-third 4 integrity 'preparation is left' --scan batch
    judged constant 2 recall 'hits of 640'
    judged nothing 2 recall '^0 hits of 640'
    judged shifted 2 recall 'hits of 640'
    judged beyond 2 recall '^0 hits of 640'
    judged duplicates 2 recall 'hits of 640'
    judged stale 2 recall '^0 hits of 640'
    judged by-address 4 integrity \
        'queries of the fixture find|two different answers'
    judged by-content 0 ok '^$'
    judged lazy-first 4 integrity 'preparation is left to the queries'
    judged flushes 4 integrity 'floating-point environment'
    judged writes-query 4 integrity 'the query was overwritten'
    judged writes-outside 4 integrity 'around the results'
    judged claims-more 4 integrity 'more than k'
    judged brief-threads 4 integrity "threads that were gone|$forbidden"
    judged slow-clock 4 integrity 'the clock lies' --source photos
    judged slow-clock 4 integrity 'the clock lies' --source photos --scan batch
    judged fast-if-known 4 integrity 'times as fast' --source photos \
        --scan batch
    judged fast-if-known 4 integrity 'times as fast' --source photos
    judged right-if-known 4 integrity 'queries of the fixture find' \
        --source photos
    judged writes-codes 5 crash 'killed by SIG.* while preparing'
    judged crashes 5 crash 'killed by SIGSEGV .* while answering'
    judged exits 5 crash 'exited with status 0 while answering'
    judged exits-at-load 5 crash 'exited with status 0 while loading'
fi
wait
for hangs in sleeps loops; do
    ended $hangs 5 hang 'no answer after 1[0-9] s while answering'
done
if test "$(cat $work/stops.code)" = 4; then
    ended stops 4 integrity "$forbidden: tgkill"
else
    ended stops 5 hang 'no answer after 1[0-9] s while answering'
fi

# Options and files.  The cheat is an honest one.
try() {
    name=$1 want=$2 word=$3 why=$4
    shift 4
    # shellcheck disable=SC2086
    PQK_CHEAT=honest $EMULATOR ./run_experiment --json $work/"$name".json \
        "$@" >$work/"$name".out 2>$work/"$name".err
    echo $? >$work/"$name".code
    ended "$name" "$want" "$word" "$why"
}
try no-library 1 error 'no-such.so: No such file' --library $work/no-such.so
echo text >$work/text.so
try no-shared-object 1 error 'cannot load' --library $work/text.so
try other-library 1 error 'does not export pqk_' \
    --library "$cheats/empty.so"
try scan 64 usage "'none' is not single, batch" --scan none
try unknown-kernel 64 usage 'no such kernel' \
    --library "$cheats/cheats.so" --kernel none
try unavailable-kernel 1 error 'strange: ' \
    --library "$cheats/cheats.so" --kernel strange
try unknown-option 64 usage 'unknown option' --no-such-option
try argument 64 usage 'is no option' argument
for bad in 0 -1 1x '' 1e3 99999999999999999999; do
    try "k=$bad" 64 usage "^--k: '$bad' is not a whole number" --k "$bad"
done
try recall-floor 64 usage "'1.1' is not a number from 0" --recall-floor 1.1
try time-budget 64 usage "'0' is not a number above 0" --time-budget 0
try floor-missed 2 recall 'below the floor of 0.9' --recall-floor 0.9 \
    --source seed --library "$cheats/cheats.so"
try no-source 1 error . --source $work/no-such-folder \
    --library "$cheats/cheats.so"

# A signal: the block comes, nothing stays behind.
PQK_CHEAT=sleeps
export PQK_CHEAT
# shellcheck disable=SC2086
$EMULATOR ./run_experiment --source seed --library "$cheats/cheats.so" \
    --json $work/interrupted.json \
    >$work/interrupted.out 2>$work/interrupted.err &
pid=$!
sleep 1
test -n "$EMULATOR" && sleep 4
kill -TERM $pid
wait $pid
echo $? >$work/interrupted.code
ended interrupted 1 interrupted 'signal 15'

for process in /proc/[0-9]*; do
    if test "$process" != /proc/$$ &&
        grep -qs "PQK_JUDGED=$PQK_JUDGED" "$process/environ"; then
        fail "left behind: $(tr '\0' ' ' <"$process/cmdline")"
    fi
done

if test $fails -gt 0; then
    echo "FAIL: $fails checks"
    exit 1
fi
rm -rf $work
