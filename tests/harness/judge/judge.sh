#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# How run_experiment ends: broken and cheating libraries are found out, whatever
# dies or hangs, and the block is there each time.  PQK_CASES has patterns of the
# labels of the cases that are to be run; if it is empty or not set, one of each kind
# is that does not take long, and with PQK_THOROUGH all are.
set -u
skip() {
    echo "SKIP: $*"
    exit 77
}
test "${PQK_SHARED-yes}" = yes ||
    skip "without shared libraries there is nothing to load and judge"
cd "$abs_top_builddir" || exit 1
cheats=${PQK_CHEATS-$abs_top_builddir/tests/harness/candidate/cheats/.libs}
work=tests/judge.tmp
EMULATOR=${EMULATOR-}
rm -rf $work
mkdir -p $work
# Every process that is started here has it in its environment.
PQK_JUDGED=judge.sh-$$
export PQK_JUDGED

# What a job in the background finds counts, too.
fails=$work/fails
: >$fails
fail() {
    echo "FAIL: $*"
    echo "$*" >>$fails
}

# Whether cases that are left out otherwise are among them.
thorough=${PQK_THOROUGH-}${PQK_CASES-}

# wanted LABEL: whether the case is to be run
ran=$work/ran
: >$ran
wanted() {
    if test -z "${PQK_CASES-}"; then
        return 0
    fi
    set -f
    for pattern in $PQK_CASES; do
        # shellcheck disable=SC2254
        case $1 in
          $pattern) echo "$1" >>$ran; set +f; return 0 ;;
        esac
    done
    set +f
    return 1
}

# library NAME [FILE]: the one that does NAME, in that file
library() {
    file=$work/${2-$1}.so
    test -f "$file" || {
        cp "$cheats/cheats.so" "$file"
        printf '\n#called %s %s\n' "$1" "$PWD/$file" >>"$file"
    }
}

# run LABEL NAME ARGUMENT...: run_experiment with the library that does NAME, for
# $seconds if that is no empty word
seconds=
run() {
    label=$1 name=$2
    shift 2
    library "$name"
    # shellcheck disable=SC2086
    $EMULATOR ./run_experiment --json $work/"$label".json \
        --library $work/"$name".so "$@" ${seconds:+--measure $seconds} \
        >$work/"$label".out 2>$work/"$label".err
    echo $? >$work/"$label".code
}

value() {
    sed -n "s/^$2: *//p" $work/"$1".out
}

# ended LABEL CODE STATUS REASON: as it had to
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
    if grep -vE '^(---|[a-z0-9_]{1,21}: {1,}[^ ].*)$' $work/"$1".out; then
        fail "$1: these lines have no place in a block"
    fi
    status=$(value "$1" status)
    test "$3" = - || test "$status" = "$3" ||
        fail "$1: status $status, not $3"
    reason=$(value "$1" reason)
    echo "$reason" | grep -qE -- "$4" || fail "$1: reason: $reason"
    if grep -E '^(---|status:)' $work/"$1".err; then
        fail "$1: a block on standard error"
    fi
    if command -v python3 >/dev/null 2>&1; then
        python3 -m json.tool $work/"$1".json >$work/"$1".text 2>&1 ||
            fail "$1: JSON: $(cat $work/"$1".text)"
    fi
    echo "$1: exit $code, $status${reason:+: $reason}"
}

# missing LABEL PART: does its sandbox lack that?
missing() {
    value "$1" sandbox | grep -q "no $2"
}

# label NAME [ARGUMENT...]: of its case
label() {
    echo "$*" | tr -d ' /'
}

measure=
# judged NAME CODE STATUS REASON [ARGUMENT...]
# CODE may be WITH:WITHOUT, where the machine decides: the second holds where the
# sandbox has no memory limit, for hogs and hoards, or no seccomp, for all others.
# Where there is seccomp, and a reason may be the system call that it forbids, it
# has to be that.  Some verdicts rest on timings, which another job can spoil: what
# does not end as it had to gets a second try, in which it must.  Before the two comes
# one that measures for $measure seconds only, if that says something.
judged() {
    name=$1 want=$2 word=$3 why=$4
    shift 4
    label=$(label "$name" "$@")
    tries='first second'
    case " $* " in
      *' --measure '*) ;;
      *) test -z "$measure" || tries="short $tries" ;;
    esac
    for try in $tries; do
        seconds=
        test $try != short || seconds=$measure
        run "$label" "$name" --source seed "$@"
        part=seccomp
        case $name in
          hogs | hoards) part='memory limit' ;;
        esac
        case $want in
          *:*) if missing "$label" "$part"; then
                want=${want#*:} word=- why=
            else
                want=${want%:*}
            fi ;;
        esac
        case $why in
          *'|system call'*)
            missing "$label" seccomp || why="system call${why##*|system call}" ;;
        esac
        if test "$(cat $work/"$label".code)" = "$want" &&
            printf '%s\n' "$(value "$label" reason)" | grep -qE -- "$why"; then
            break
        fi
        echo "$label: exit $(cat $work/"$label".code), not $want, for the" \
            "$try time: $(value "$label" reason)"
    done
    seconds=
    ended "$label" "$want" "$word" "$why"
}

# alone, in_pairs: each line of standard input is NAME|CODE|STATUS|REASON or
# NAME|CODE|STATUS|REASON|ARGUMENTS, blanks at the end of a field do not count;
# a | within a reason is written as !.  What timings convict is judged alone.
# A + before the name: another of a kind that is run anyway, or one that takes the judge
# a quarter of a minute, so only PQK_THOROUGH and PQK_CASES have it run.
alone() {
    pairs=${1-0}
    while IFS='|' read -r name code status reason arguments; do
        case $name in
          +*)
            test -n "$thorough" || continue
            name=${name#+} ;;
        esac
        name=${name%% *} status=${status%% *}
        reason=$(echo "$reason" | sed 's/ *$//; s/!/|/g')
        # shellcheck disable=SC2086
        wanted "$(label $name $arguments)" || continue
        # Here: of a pair of that name, one could see half of the other's copy.
        library "$name"
        # shellcheck disable=SC2086
        if test "$pairs" = 0; then
            judged "$name" "$code" "$status" "$reason" $arguments </dev/null
        else
            judged "$name" "$code" "$status" "$reason" $arguments </dev/null &
            pairs=$((pairs + 1))
            test $((pairs % 2)) = 1 && wait
        fi
    done
    wait
}
in_pairs() {
    alone 1
}

# Those that hang take ten seconds each: all at once, and aside.
HANGS='loops sleeps'
for hangs in $HANGS; do
    wanted $hangs && run $hangs $hangs --source seed &
done

# Every way to use the library.  Whether answers are right does not depend on for how
# long they are timed: all queries are asked in any case, and a thousand timings taken.
measure=0.3
ways='single batch partitions rows'
test -z "$EMULATOR" || ways=rows
for way in $ways; do
    label=honest--scan$way
    wanted $label || continue
    judged honest 0 ok '^$' --scan $way
    test "$(value $label scan)" = $way || fail "$way: another way"
    test "$(value $label recall_at_10)" = 0.6609 ||
        fail "$way: the golden number"
    test "$(value $label exact_queries)" = \
        "$(value $label timings)/$(value $label timings)" ||
        fail "$way: not exact"
    test "$(value $label timings)" -ge 1000 || fail "$way: too few timings"
done
wait
for hangs in $HANGS; do
    ! wanted $hangs || ended $hangs 5 hang 'no answer after 1[0-9] s while answering'
done

in_pairs <<'END'
zeros          |2|recall     |below the floor of 0.5
rounds-down    |4|integrity  |floating-point environment
keeps-codes    |5|crash      |killed by SIG
END

# On an emulator, the above is enough, takes long enough, and the processor's
# time is the emulator's affair.
test -n "$EMULATOR" || in_pairs <<'END'
thread         |4|integrity  |1 more thread!system call that the contract
fork-bomb      |4|integrity  |started another process!system call that the
aborts         |5|crash      |killed by SIGABRT .* while answering
dawdles        |3|time_budget|over the time budget of 2 s|--time-budget 2
skips-one      |2|recall     |more than 0.005 below
late           |4|integrity  |changed after!more thread!system call that the
process        |4|integrity  |started another process!system call that the
wavers         |4|integrity  |two different answers
fakes-block    |5|crash      |exited with status 0 while answering
+constant      |2|recall     |hits of 640
nothing        |2|recall     |^0 hits of 640
shifted        |2|recall     |hits of 640
+shifted       |2|recall     |hits of 640           |--scan batch
+shifted       |2|recall     |hits of 640           |--scan partitions
shifted        |2|recall     |hits of 640           |--scan rows
+beyond        |2|recall     |^0 hits of 640
duplicates     |2|recall     |hits of 640
stale          |2|recall     |^0 hits of 640
by-address     |4|integrity  |queries of the fixture find!two different answers
by-content     |0|ok         |^$
+counts        |4|integrity  |queries of the fixture find!two different answers
batches        |4|integrity  |queries of the fixture find!two different answers
right-if-known |4|integrity  |queries of the fixture find|--source photos
+wavers        |4|integrity  |two different answers |--scan batch
flushes        |4|integrity  |floating-point environment
thread-at-load |4|integrity  |1 more thread!system call that the contract
alarms         |4|integrity  |changed after the call!system call that the
afterthought   |4|integrity  |changed after the call
writes-query   |4|integrity  |the query was overwritten
writes-outside |4|integrity  |around the results
writes-outside |4|integrity  |around the results    |--scan batch
+writes-outside|4|integrity  |around the results    |--scan partitions
+writes-outside|4|integrity  |around the results    |--scan rows
claims-more    |4|integrity  |more than k
changes-file   |4|integrity  |changed during the run!system call .* open
changes-file-at-load|4|integrity|changed during the run!system call .* open
instant        |4|impossible |reading one byte of each of the 20000 codes|--source photos
writes-codes   |5|crash      |killed by SIG.* while preparing
writes-rows    |5|crash      |killed by SIG.* while answering|--scan rows
crashes        |5|crash      |killed by SIGSEGV .* while answering
+traps         |5|crash      |killed by SIG.* while answering
+overflows     |5|crash      |killed by SIGSEGV .* while answering
exits          |5|crash      |exited with status 0 while answering
exits-at-load  |5|crash      |exited with status 0 while loading
prints         |0|ok         |^$
END
test -n "$EMULATOR" || ! wanted aborts ||
    grep -q '^candidate: what the library said last$' $work/aborts.err ||
    fail "aborts: its last words are lost"

# Each child has the library somewhere else, even if the system has one place for all,
# and each sitting the table of row-major codes.
elsewhere() {
    called=$1 cheat=$2 told=$3
    shift 3
    at_one_place="setarch $(uname -m) -R"
    $at_one_place true 2>/dev/null || {
        echo "$called: not tried, setarch -R is not there or not allowed"
        return
    }
    EMULATOR=$at_one_place
    for number in 1 2 3; do
        run $called-$number $cheat --source seed "$@"
        sed -n "s/^candidate: $told lies at //p" $work/$called-$number.err
    done >$work/places
    EMULATOR=
    test "$(wc -l <$work/places)" = 3 || fail "$called: no place is told"
    test "$(sort -u $work/places | wc -l)" != 1 ||
        fail "$called: three children have it at $(sed -n 1p $work/places)"
}
test -n "$EMULATOR" || ! wanted elsewhere || elsewhere elsewhere aborts it
test -n "$EMULATOR" || ! wanted elsewhere-rows ||
    elsewhere elsewhere-rows aborts-rows 'its table' --scan rows

# What they hope for takes a system call.
test -n "$EMULATOR" || in_pairs <<'END'
peeks          |4:5|integrity|system call .* process_vm_readv
peeks-mem      |4:5|integrity|system call .* openat
peeks-files    |4:5|integrity|system call .* openat
peeks-environ  |4:5|integrity|system call .* openat
peeks-at-load  |0:5|ok       |^$
reads-file     |4:5|integrity|system call .* openat
traces         |4:5|integrity|system call .* ptrace
kills-judge    |4:1|integrity|system call .* kill
renices        |4:5|integrity|system call .* setpriority
moves          |4:5|integrity|system call .* sched_setaffinity
connects       |4:5|integrity|system call .* socket
executes       |4:5|integrity|system call .* execve
loads-more     |4:5|integrity|system call .* openat
writes-code    |4:5|integrity|system call .* mmap
unprotects     |4:5|integrity|system call .* mprotect
patches-late   |4:0|integrity|system call .* mprotect
remaps         |4:0|integrity|system call .* mmap
writes-inputs  |4:5|integrity|system call .* write
catches        |4:5|integrity|system call .* rt_sigaction
stops          |4:5|integrity|system call .* tgkill
hogs           |5:0|crash    |killed by SIGABRT .* while preparing
hoards         |5:0|crash    |killed by SIGABRT .* while preparing
END
# Clocks and the processor's time show in a third of the usual time, if nothing else
# runs.
measure=1
test -n "$EMULATOR" || alone <<'END'
+lazy-first    |4|integrity  |preparation is left to the queries
lazy-third     |4|integrity  |preparation is left to the queries
+lazy-third    |4|integrity  |preparation is left   |--scan batch
brief-threads  |4|integrity  |threads that were gone!system call that the
slow-clock     |4|integrity  |the clock lies        |--source photos
foresees       |4|integrity  |before its time begins
never-idle     |4|integrity  |between its commands
+slow-clock    |4|integrity  |the clock lies        |--source photos --scan batch
fast-if-known  |4|integrity  |times as fast         |--source photos
+fast-if-known |4|integrity  |times as fast         |--source photos --scan batch
END

# Beside an honest one that is slower, which tempts: several times slower, which
# shows beside another run, too, and in a third of the usual time.
measure=2
library spin-4000
library spin-40000
test -n "$EMULATOR" || in_pairs <<END
by-width       |2|holdout    |hold-out was not passed|--against $work/spin-40000.so
+by-shape      |2|recall     |guard .*: .* not answered|--against $work/spin-4000.so
by-k           |2|recall     |guard k100: .* not answ|--against $work/spin-40000.so
+by-rows       |2|recall     |guard rows: .* not answ|--against $work/spin-40000.so
+slow-if-new   |2|holdout    |hold-out was not passed|--against $work/spin-40000.so
skips-rows     |2|recall     |primary cell: .* not an|--against $work/spin-4000.so
+nans          |2|recall     |primary cell: .* not an|--against $work/spin-4000.so
+coarse        |2|recall     |primary cell: .* not an|--against $work/spin-4000.so
END
test -n "$EMULATOR" || alone <<END
one-cell       |0|ok         |in the guard cells: [a-z]|--against $work/spin-4000.so
honest         |0|ok         |^$|--against $work/honest.so --look --measure 1
+prepares-slowly|0|ok        |guard cells: .*prepare|--against $work/spin-40000.so --measure 2
+grows         |0|ok         |guard cells: .*bytes|--against $work/spin-40000.so --measure 2
hides          |6|unresolved |longer before its time be|--against $work/spin-40000.so
END

# Fast at the one size that decides, if anything has it.  Whether that is the same,
# unresolved or seen in the hold-out is the noise's affair.
one_size() {
    label=$(label one-size --against $work/spin-40000.so --measure 2)
    wanted "$label" || return 0
    run "$label" one-size --against $work/spin-40000.so --measure 2 --source seed
    ended "$label" "$(cat $work/"$label".code)" - ''
    case $(cat $work/"$label".code):$(value "$label" verdict) in
      0:same | 0:slower | 0:vetoed | 6:unresolved | 2:none) ;;
      *) fail "$label: $(value "$label" status), $(value "$label" verdict)" ;;
    esac
}
test -z "$thorough" || test -n "$EMULATOR" || one_size

# Fast as the candidate and slow as the best, if they find out which they are: the
# same file is as fast as itself, in a second's look.
library sleeper kept-sleeper
test -n "$EMULATOR" || alone <<END
sleeper        |0|ok         |^$|--against $work/kept-sleeper.so --look --measure 1
END
# equal NAME: of itself under another name
equal() {
    label=$(label "$1" --against $work/kept-"$1".so --look --measure 1)
    wanted "$label" || return 0
    value "$label" speedup | awk '{ exit !($1 > 0.8 && $1 < 1.25) }' ||
        fail "$label: $(value "$label" speedup) times as fast as itself"
}
test -n "$EMULATOR" || equal sleeper

# Those that know the confirmation, if the system tells them which children there
# are.
test -n "$EMULATOR" || ! test -r /proc/$$/task/$$/children || in_pairs <<END
forgets        |2|recall     |confirmation: .* not an|--against $work/spin-40000.so
+tires         |6|unresolved |second run did not conf|--against $work/spin-40000.so
END

# Slow in one guard for the first time, which its second run takes back.  What other
# jobs spoil is tried again.
stumbles() {
    label=$(label stumbles --against $work/spin-40000.so)
    wanted "$label" || return 0
    for try in first second third; do
        test $try != first || seconds=2
        run "$label" stumbles --against $work/spin-40000.so --source seed
        seconds=
        if value "$label" guard_k100 | awk '{ exit !($1 > 1) }'; then
            test "$(value "$label" verdict)" != vetoed ||
                fail "$label: $(value "$label" reason)"
            echo "$label: $(value "$label" verdict)"
            return
        fi
        echo "$label: guard_k100 $(value "$label" guard_k100) for the $try time"
    done
    fail "$label: $(value "$label" reason)"
}
test -z "$thorough" || test -n "$EMULATOR" ||
    ! test -r /proc/$$/task/$$/children || stumbles

# What a comparison says, where there is no doubt.
library honest
library crashes
test -n "$EMULATOR" || in_pairs <<END
honest         |1|error      |baseline: killed by SIGSE|--against $work/crashes.so
spin-40000     |0|ok         |^$|--against $work/honest.so
+spin-40000    |0|ok         |^$|--against $work/honest.so --min-effect 100
END
# slower ARGUMENT...: spin-40000 was, which was clear before all was measured; its
# recall is that of all queries
slower() {
    label=$(label spin-40000 --against $work/honest.so "$@")
    wanted "$label" || return 0
    test "$(value "$label" verdict)" = slower ||
        fail "$label: verdict $(value "$label" verdict)"
    test "$(value "$label" stopped_early)" = 1 ||
        fail "$label: measured to the end"
    test "$(value "$label" recall_at_10)" = 0.6609 ||
        fail "$label: recall $(value "$label" recall_at_10)"
}
test -n "$EMULATOR" || {
    slower
    test -z "$thorough" || slower --min-effect 100
}

# A veto is no loss of the primary cell; a look says what it saw and decides nothing.
says() {
    wanted "$1" || return 0
    test "$(value "$1" "$2")" = "$3" || fail "$1: $2 $(value "$1" "$2")"
}
test -n "$EMULATOR" || {
    says "$(label one-cell --against $work/spin-4000.so)" verdict vetoed
    test -z "$thorough" ||
        says "$(label prepares-slowly --against $work/spin-40000.so --measure 2)" \
            verdict vetoed
    look=$(label honest --against $work/honest.so --look --measure 1)
    says "$look" verdict none
    says "$look" guards none
    ! wanted "$look" || test "$(value "$look" timings)" -gt 100 ||
        fail "$look: $(value "$look" timings) timings"
}

# Options and files.  The cheat is an honest one.
try() {
    name=$1 want=$2 word=$3 why=$4
    shift 4
    wanted "$name" || return 0
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
try look-alone 64 usage 'it needs --against' --look
try measure 64 usage "'0' is not a number above 0" --measure 0
try seed-too-large 64 usage "^--seed: '99999999999999999999' is not" \
    --seed 99999999999999999999
try seed-7 0 ok '^$' --seed 7 --source seed --measure 0.3 \
    --library "$cheats/cheats.so"
! wanted seed-7 || test "$(value seed-7 seed)" = 7 ||
    fail "seed-7: seed $(value seed-7 seed)"
for bad in 0 -1 1x '' 1e3 99999999999999999999; do
    try "k=$bad" 64 usage "^--k: '$bad' is not a whole number" --k "$bad"
done
try recall-floor 64 usage "'1.1' is not a number from 0" --recall-floor 1.1
try time-budget 64 usage "'0' is not a number above 0" --time-budget 0
try floor-missed 2 recall 'below the floor of 0.9' --recall-floor 0.9 \
    --source seed --measure 0.3 --library "$cheats/cheats.so"
try no-source 1 error . --source $work/no-such-folder \
    --library "$cheats/cheats.so"

# The library's file is another one when the run is over.
changed() {
    library honest
    cp $work/honest.so $work/kept.so
    run changed honest --source seed &
    sleep 2
    cp "$cheats/empty.so" $work/other.so
    mv $work/other.so $work/honest.so
    wait $!
    mv $work/kept.so $work/honest.so
    ended changed 4 integrity 'was changed during the run'
}
test -n "$EMULATOR" || ! wanted changed || changed

# A signal: the block comes, nothing stays behind.
interrupt() {
    # shellcheck disable=SC2086
    PQK_CHEAT=sleeps $EMULATOR ./run_experiment --source seed \
        --library "$cheats/cheats.so" --json $work/interrupted.json \
        >$work/interrupted.out 2>$work/interrupted.err &
    pid=$!
    sleep 1
    test -n "$EMULATOR" && sleep 4
    kill -TERM $pid
    wait $pid
    echo $? >$work/interrupted.code
    ended interrupted 1 interrupted 'signal 15'
}
! wanted interrupted || interrupt

for process in /proc/[0-9]*; do
    if test "$process" != /proc/$$ &&
        grep -qs "PQK_JUDGED=$PQK_JUDGED" "$process/environ"; then
        fail "left behind: $(tr '\0' ' ' <"$process/cmdline")"
    fi
done

test -z "${PQK_CASES-}" || test -s $ran || fail "no case is called $PQK_CASES"
if test -s $fails; then
    echo "FAIL: $(wc -l <$fails) checks"
    exit 1
fi
rm -rf $work
