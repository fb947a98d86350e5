#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# What `pqkern bench` prints of regimes, and of growth, and what it refuses.  No figure
# is expected: they are of the machine, and an emulator's mean nothing.
work=tests/bench.tmp
. "$abs_top_srcdir/tests/tool/command.sh"
test -z "$EMULATOR" || exit 77

num_kernels=$(pq kernels | grep -c ' available')
does train --codebook "$data/photos_codebook.fvecs" $work/q
does build -q $work/q "$data/photos_base.bvecs" $work/c

# head_has LINE: one of the lines above the table
head_has() {
    sed '/^$/q' $work/out | grep -qxF "$1" || fail "no '$1' in: $(cat $work/out)"
}
# rows: regime, kernel, ns a code, ratio, reading
rows() {
    awk 'past { if (/^!/) exit; if (!/^ /) { regime = $1; $1 = ""; $0 = $0 }
         print regime, $1, $2, $3, $NF == "!" ? $(NF - 1) : $NF }
         /^regime / { past = 1 }' $work/out
}
# has_regimes NAME...: these, each with every kernel, and all with numbers
has_regimes() {
    rows >$work/rows
    test "$(cut -d ' ' -f 1 $work/rows | uniq | tr '\n' ' ')" = "$* " ||
        fail "regimes: $(cat $work/out)"
    test "$(wc -l <$work/rows)" = $(($# * num_kernels)) ||
        fail "not $num_kernels kernels: $(cat $work/out)"
    awk '!($3 > 0 && $4 > 0 && $5 > 0)' $work/rows | grep . &&
        fail "not above 0"
    awk '$1 != before && $4 != "1.000"; { before = $1 }' $work/rows | grep . &&
        fail "the first kernel is not as fast as itself"
}
matrix='photos-k10 photos-k100 photos-k1000 photos-batch16 photos-rows photos-10000
    large-k10 large-k100 large-k1000 large-batch16 large-rows parts-8192-k10
    parts-8192-k100 parts-8192-k1000 lists-2048-k10'

# --- the table ---------------------------------------------------------------

does bench --codes 3000 --rounds 6
head_has 'photos: photos, 20000 codes of 16 bytes, 500 queries'
head_has 'large: generated, 3000 codes of 16 bytes, 500 queries'
# shellcheck disable=SC2086
has_regimes $matrix
for name in $matrix; do
    for text in doc/bench.md man/pqkern.1; do
        sed 's/\\//g' "$abs_top_srcdir/$text" | grep -q -- "$name" ||
            fail "$text does not say what $name is"
    done
done
# The marks are those of the notes.
test "$(grep -c ' !$' $work/out)" = "$(grep -c '^! ' $work/out)" ||
    fail "marks and notes: $(cat $work/out)"

does bench --growth --codes 5000 --rounds 6
head_has 'large: generated, 4000 codes of 16 bytes, 500 queries'
has_regimes codes-1000 codes-4000

does bench --matrix --rounds 6 $work/c "$data/photos_query.bvecs"
head_has "large: $work/c, 20000 codes of 16 bytes, 500 queries"
does bench --growth --codes 1000 --rounds 6 --kernels scalar,scalar,scalar
test "$(rows | cut -d ' ' -f 2 | tr '\n' ' ')" = "scalar scalar scalar " ||
    fail "--kernels: $(cat $work/out)"
grep -q '^!' $work/out && fail "a kernel is weaker than itself: $(cat $work/out)"

# --- JSON --------------------------------------------------------------------

cat >$work/check.py <<'END'
import json, sys
found = json.load(open(sys.argv[1]))
assert found["measures"] == sys.argv[2], found["measures"]
assert found["rounds"] == 7 and found["cpu"] and found["version"]
for regime in found["regimes"]:
    kernels = regime["kernels"]
    assert [k["kernel"] for k in kernels] == sys.argv[3:], kernels
    assert kernels[0]["ratio_to_first"] == [1, 1, 1]
    name, last = regime["regime"], regime["regime"].split("-")[-1]
    assert regime["codes"] == (
        int(last) if last.isdigit() else 20000 if "photos" in name else 3000), name
    assert regime["k"] == (int(last[1:]) if last[0] == "k" else 10), name
    assert regime["batch"] == (16 if last == "batch16" else 1), name
    for kernel in kernels:
        for key in ("ns_per_code", "ratio_to_first", "reading"):
            low, median, high = kernel[key]
            assert 0 < low <= median <= high, (key, kernel)
        if "slower_than" in kernel:
            assert 1 < kernel["times_as_long"][0], kernel
        # Medians of times, and of their ratios, agree but for noise.
        product = kernel["ns_per_code"][1] * kernel["ratio_to_first"][1]
        assert 0.2 < product / kernels[0]["ns_per_code"][1] < 5, kernel
    print(regime["regime"], kernels[0]["ns_per_code"][1])
END
if command -v python3 >/dev/null 2>&1; then
    names=$(pq kernels | awk '/ available/ {print $1}' | tr '\n' ' ')
    does bench --json --codes 3000 --rounds 7
    # shellcheck disable=SC2086
    python3 $work/check.py $work/out matrix $names >$work/a ||
        fail "--json: $(cat $work/out)"
    test "$(wc -l <$work/a)" = "$(echo "$matrix" | wc -w)" || fail "JSON's regimes"
    mv $work/out $work/matrix.json
    does bench --growth --json --codes 4000 --rounds 7
    # shellcheck disable=SC2086
    python3 $work/check.py $work/out growth $names >$work/a ||
        fail "--growth --json: $(cat $work/out)"
    mv $work/out $work/growth.json
fi

# --- plots -------------------------------------------------------------------

# plot CODE TEXT ARGUMENT...: scripts/plot_bench ends so, and says so
plot() {
    code=$1 text=$2
    shift 2
    got=0
    python3 "$abs_top_srcdir/scripts/plot_bench" "$@" >$work/out 2>&1 || got=$?
    test $got = "$code" || fail "plot_bench $*: exit $got, not $code"
    grep -qF -- "$text" $work/out || fail "plot_bench $*: $(cat $work/out)"
}
if python3 -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
    plot 0 reading --table $work/matrix.json
    # shellcheck disable=SC2086
    test "$(sed 1d $work/out | cut -d ' ' -f 1)" = "$(printf '%s\n' $matrix)" ||
        fail "--table: $(cat $work/out)"
    plot 1 "$work/none.json: cannot be read" $work/none.json
    plot 1 "$work/q: is not what pqkern bench --json prints" $work/q
    pq bench --json --rounds 3 $work/c >$work/ways.json
    plot 1 "$work/ways.json: is not what" --table $work/ways.json
    if python3 "$abs_top_srcdir/scripts/plot_bench" $work/matrix.json \
        $work/growth.json >$work/out 2>&1; then
        for name in matrix growth; do
            grep -q '</svg>' $work/$name.svg || fail "$name.svg is none"
            test -s $work/$name.png || fail "$name.png is none"
        done
    else
        grep -q python3-matplotlib $work/out || fail "plot_bench: $(cat $work/out)"
    fi
fi

# --- where photographs come from ---------------------------------------------

mkdir $work/own
cp "$data"/photos_codebook.fvecs "$data"/photos_query.bvecs $work/own
PQKERN_DATA=$work/own
export PQKERN_DATA
does bench --codes 1000 --rounds 6 --kernels scalar
head_has 'photos: photos, 20000 codes of 16 bytes, 500 queries'
head -c 132000 "$data/photos_base.bvecs" >$work/own/photos_base.bvecs
does bench --codes 1000 --rounds 6 --kernels scalar
head_has 'photos: photos, 1000 codes of 16 bytes, 500 queries'
unset PQKERN_DATA
# Away from the build folder it is generated, unless it was installed.
mkdir -p $work/away/bin
cp $program $work/away/bin/pqkern
$work/away/bin/pqkern bench --codes 1000 --rounds 6 --kernels scalar \
    >$work/out 2>$work/err || fail "without photographs: $(cat $work/err)"
grep -qE '^photos: (generated|photos), 20000 codes of 16 bytes' $work/out ||
    fail "without photographs: $(cat $work/out)"

# --- what is wrong -----------------------------------------------------------

fails 64 'give either --matrix or --growth' bench --matrix --growth
fails 64 '--growth measures generated codes' bench --growth $work/c
fails 64 '--k: each regime has its own' bench -k 5
fails 64 '--batch: each regime has its own' bench --matrix -b 2 $work/c
fails 64 '--threads: each regime has its own' bench --growth -t 2
fails 64 "--rounds: '5' is too few for an interval" bench --rounds 5
fails 64 '--codes is how many to generate' bench --codes 1000 $work/c
fails 64 '--codes is how many to generate' bench --matrix --codes 1000 $work/c
fails 64 "--codes: '999' is not a whole number from 1000" bench --codes 999
fails 64 "'sse' is none" bench --kernels scalar,sse
fails 64 '--kernels: the list is empty' bench --kernels ,
fails 64 '--kernels: more than 16' bench --kernels \
    "$(yes scalar | head -n 17 | tr '\n' ',')"
fails 1 "$work/none" bench --matrix $work/none
head -c 396 "$data/photos_base.bvecs" >$work/three.bvecs
does build -q $work/q $work/three.bvecs $work/three
fails 1 "$work/three: 3 queries are too few" bench --matrix $work/three
fails 1 "$work/three.bvecs: 3 queries are too few" bench --matrix $work/c \
    $work/three.bvecs
does remove $work/three 0 1 2
fails 1 "$work/three: has no codes" bench --matrix $work/three \
    "$data/photos_query.bvecs"
does train --metric ip --codebook "$data/photos_codebook.fvecs" $work/ip.q
does build -q $work/ip.q "$data/photos_base.bvecs" $work/ip
fails 1 "$work/ip: its metric is ip" bench --matrix $work/ip
: >$work/empty.bvecs
fails 1 "$work/empty.bvecs: " bench --matrix $work/c $work/empty.bvecs
# A machine that has room for all of them would begin.
if awk '/^MemAvailable:/ && $2 > 50e6 {exit 1}' /proc/meminfo; then
    fails 1 '--codes 4294967295 takes more memory than is available' bench \
        --growth --codes 4294967295
fi

test $status = 0 && rm -rf $work
exit $status
