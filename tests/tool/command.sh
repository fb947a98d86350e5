# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=sh
# Sourced by the tests of the command: how it is run, and what it may say.  The
# caller sets `work`, a folder that is made.
set -u
cd "$abs_top_builddir" || exit 1
data=$abs_top_srcdir/data
EMULATOR=${EMULATOR-}
rm -rf $work
mkdir -p $work
LC_ALL=C
export LC_ALL
unset PQKERN_ISA || :

# Libtool's wrapper is a script, which no emulator runs.
program=./pqkern
if test -x .libs/pqkern; then
    program=.libs/pqkern
    LD_LIBRARY_PATH=$abs_top_builddir/.libs${LD_LIBRARY_PATH+:$LD_LIBRARY_PATH}
    export LD_LIBRARY_PATH
fi

status=0
fail() {
    echo "FAIL: $*"
    status=1
}
pq() {
    # shellcheck disable=SC2086
    $EMULATOR $program "$@"
}
# does ARGUMENT...: succeeds, and is silent on standard error, which is no terminal
does() {
    pq "$@" >$work/out 2>$work/err || fail "pqkern $*: exit $?: $(cat $work/err)"
    test ! -s $work/err || fail "pqkern $*: says: $(cat $work/err)"
}
# fails CODE TEXT ARGUMENT...: says one line that has TEXT, and nothing else
fails() {
    code=$1 text=$2
    shift 2
    got=0
    pq "$@" >$work/out 2>$work/err </dev/null || got=$?
    test $got = "$code" || fail "pqkern $*: exit $got, not $code"
    test "$(wc -l <$work/err)" -eq 1 || fail "pqkern $*: says: $(cat $work/err)"
    grep -qF -- "$text" $work/err ||
        fail "pqkern $*: no '$text' in: $(cat $work/err)"
    test ! -s $work/out || fail "pqkern $*: prints, too: $(cat $work/out)"
}
same() {
    cmp "$1" "$2" || fail "$3"
}
value() {
    sed -n "s/^$1: *//p" $work/out
}
is() {
    test "$(value "$1")" = "$2" || fail "$1 is $(value "$1"), not $2: $3"
}
le32() {
    for number; do
        # shellcheck disable=SC2059
        printf "$(printf '\\%03o\\%03o\\%03o\\%03o' $((number & 255)) \
            $((number >> 8 & 255)) $((number >> 16 & 255)) \
            $((number >> 24 & 255)))"
    done
}
# ids NUMBER...: an .ivecs file of one column
ids() {
    for id; do
        le32 1 "$id"
    done
}
