#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The command: the whole way from vectors to recall, files of others, every way of
# being wrong, and what is left of files when it is ended.
work=tests/tool.tmp
. "$abs_top_srcdir/tests/tool/command.sh"

# --- the whole way -----------------------------------------------------------

does train --codebook "$data/photos_codebook.fvecs" $work/q
is sub_vectors 16 train
does build -q $work/q "$data/photos_base.bvecs" $work/c
is vectors 20000 build
does evaluate $work/c "$data/photos_query.bvecs" "$data/photos_groundtruth.ivecs"
# The harness computes the same number for the same codebook.
is recall_at_10 0.6934 "evaluate"
is queries 500 evaluate
test -n "$(value us_per_query)" || fail "evaluate gives no time"

does search $work/c "$data/photos_query.bvecs"
mv $work/out $work/found
test "$(wc -l <$work/found)" = 5000 || fail "not 10 results for 500 queries"
test "$(cut -f 2 $work/found | sort -un | tr '\n' ' ')" = \
    "1 2 3 4 5 6 7 8 9 10 " || fail "ranks"

# finds COLLECTION WHAT [ARGUMENT...]: the same
finds() {
    collection=$1 what=$2
    shift 2
    does search "$@" "$collection" "$data/photos_query.bvecs"
    same $work/out $work/found "$what finds other results"
}
finds $work/c "one thread" -t 1
finds $work/c "five threads" --threads=5
pq kernels >$work/kernels
grep -q 'available, chosen$' $work/kernels || fail "no kernel is chosen"
kernels=$(awk '/ available/ {print $1}' $work/kernels)
for kernel in $kernels; do
    finds $work/c "$kernel" --kernel "$kernel"
    PQKERN_ISA=$kernel pq kernels | grep -q "^$kernel .*chosen" ||
        fail "PQKERN_ISA=$kernel is not chosen"
done

# Files of results hold what is printed.
does search --ivecs $work/r.ivecs --npy $work/r.npy --distances $work/d.fvecs \
    $work/c "$data/photos_query.bvecs"
test ! -s $work/out || fail "--ivecs prints, too"
does search --distances $work/d.npy $work/c "$data/photos_query.bvecs"
od -An -v -td4 -w44 $work/r.ivecs | awk '{for (i = 2; i <= NF; i++) print $i}' \
    >$work/a
cut -f 3 $work/found >$work/b
same $work/a $work/b "--ivecs"
tail -c 40000 $work/r.npy | od -An -v -td8 -w8 | tr -d ' ' >$work/a
same $work/a $work/b "--npy"
od -An -v -tx4 -w44 $work/d.fvecs | cut -c 10- >$work/a
tail -c 20000 $work/d.npy | od -An -v -tx4 -w40 >$work/b
same $work/a $work/b "--distances"
does info $work/r.npy
is rows 500 "info of --npy"
is type int64 "info of --npy"
# No result is -1, and not printed.
head -c 396 "$data/photos_base.bvecs" >$work/three.bvecs
does build -q $work/q $work/three.bvecs $work/three
does search -k 4 --ivecs $work/r.ivecs $work/three $work/three.bvecs
test "$(od -An -v -td4 -j 16 -N 4 $work/r.ivecs | tr -d ' ')" = -1 ||
    fail "a missing result is not -1"
does search -k 4 --rerank $work/three.bvecs --ivecs $work/r2.ivecs \
    $work/three $work/three.bvecs
same $work/r.ivecs $work/r2.ivecs "--rerank with missing results"
does search -k 4 $work/three $work/three.bvecs
test "$(wc -l <$work/out)" = 9 || fail "missing results are printed"

head -c 1320000 "$data/photos_base.bvecs" >$work/half.bvecs
# By another way to the same collection.  Where bytes come from is the same for every
# processor, and an emulator takes half a minute to encode them.
other_ways() {
    pq build --format bvecs -q $work/q - $work/c2 <"$data/photos_base.bvecs" \
        >/dev/null || fail "build of standard input"
    same $work/c $work/c2 "a redirected file"
    # shellcheck disable=SC2002
    cat "$data/photos_base.bvecs" | pq build --format bvecs -q $work/c - $work/c2 \
        >/dev/null || fail "build of a pipe"
    same $work/c $work/c2 "a pipe"
    tail -c 1320000 "$data/photos_base.bvecs" >$work/rest.bvecs
    does build -q $work/q $work/half.bvecs $work/c2
    does build --append $work/rest.bvecs $work/c2
    is added 10000 append
    is vectors 20000 append
    finds $work/c2 "--append"
}
test -n "$EMULATOR" || other_ways

# Everything out and in again.
does export $work/c --faiss $work/x.faiss --codes $work/x.bvecs \
    --ids $work/x.npy --vectors $work/v.fvecs --codebook $work/b.npy
does import $work/x.faiss $work/c2
same $work/c $work/c2 "import of an exported index"
does train --codebook $work/b.npy $work/q2
same $work/q $work/q2 "train of an exported codebook"
does build --codes --ids $work/x.npy -q $work/q2 $work/x.bvecs $work/c2
finds $work/c2 "build of exported codes"
does export $work/c --codes $work/x.npy --ids $work/x.ivecs \
    --vectors $work/v.npy --codebook $work/b.fvecs
does build -c -i $work/x.ivecs -q $work/q $work/x.npy $work/c2
finds $work/c2 "build of exported codes, .npy"
decoded() {
    does build -q $work/q $work/v.fvecs $work/c2
    finds $work/c2 "build of decoded vectors"
    does build -q $work/q $work/v.npy $work/c2
    finds $work/c2 "build of decoded vectors, .npy"
}
test -n "$EMULATOR" || decoded
same $work/b.fvecs "$data/photos_codebook.fvecs" "export --codebook"
does info $work/x.faiss
is kind 'Faiss IndexPQ' info
is vectors 20000 info

# A file that is replaced keeps its mode, and a link to it leads to the new one.
: >$work/mode.npy
chmod 604 $work/mode.npy
ln -s mode.npy $work/link.npy
does export --ids $work/link.npy $work/c
does export --ids $work/x.npy $work/c
same $work/mode.npy $work/x.npy "what a link leads to"
test -h $work/link.npy || fail "a link was replaced"
test -n "$(find $work/mode.npy -perm 604)" || fail "the mode of an output"

# Ids of one's own, which Faiss keeps in a map; removal.
ids 7 2147483647 3 >$work/ids.ivecs
does build -q $work/q -i $work/ids.ivecs $work/three.bvecs $work/own
does search -k 1 $work/own $work/three.bvecs
test "$(cut -f 3 $work/out | tr '\n' ' ')" = "7 2147483647 3 " ||
    fail "ids: $(cat $work/out)"
does export --faiss $work/own.faiss --ids $work/own.ivecs $work/own
does info $work/own.faiss
is kind 'Faiss IndexIDMap of IndexPQ' info
test "$(od -An -v -td4 -w8 $work/own.ivecs | awk '{print $2}' | tr '\n' ' ')" = \
    "3 7 2147483647 " || fail "exported ids are not in order"
does import $work/own.faiss $work/own2
does search -k 3 $work/own $work/three.bvecs
mv $work/out $work/a
does search -k 3 $work/own2 $work/three.bvecs
same $work/a $work/out "import of an index with ids"
ids 3 99 >$work/gone.ivecs
does remove $work/own 7 8 --ids $work/gone.ivecs
is removed 2 remove
is not_there 2 remove
is vectors 1 remove
does search $work/own $work/three.bvecs
test "$(cut -f 3 $work/out | sort -u)" = 2147483647 || fail "removed ids"
does remove $work/own 2147483647
does search $work/own $work/three.bvecs
test ! -s $work/out || fail "results from an empty collection"

# The other searches.
ids 17 19999 4 123456 >$work/allow.ivecs
does search -k 5 --allow $work/allow.ivecs $work/c "$data/photos_query.bvecs"
test "$(cut -f 3 $work/out | sort -nu | tr '\n' ' ')" = "4 17 19999 " ||
    fail "--allow"
mv $work/out $work/a
# The same with an id beyond the bits that memory is spent on.
{
    printf '\223NUMPY\001\000\166\000%-117s\n' \
        "{'descr': '<i8', 'fortran_order': False, 'shape': (4,), }"
    le32 17 0 19999 0 4 0 1 7
} >$work/allow.npy
does search -k 5 --allow $work/allow.npy $work/c "$data/photos_query.bvecs"
same $work/out $work/a "--allow of a large id"
does search -k 100 $work/c "$data/photos_query.bvecs"
awk '$4 <= 60000' $work/out >$work/a
does search --radius 60000 $work/c "$data/photos_query.bvecs"
awk '$2 <= 100' $work/out >$work/b
test "$(wc -l <$work/a)" -gt 100 || fail "the radius finds too few to be a test"
same $work/a $work/b "--radius"
does search -k 1 --rerank "$data/photos_base.bvecs" --candidates 200 $work/c \
    "$data/photos_query.bvecs"
cut -f 3 $work/out >$work/a
od -An -v -td4 -w404 "$data/photos_groundtruth.ivecs" | awk '{print $2}' \
    >$work/b
same $work/a $work/b "--rerank does not find the true nearest"
ids 7 2147483647 3 >$work/ids.ivecs
does build -q $work/q -i $work/ids.ivecs $work/three.bvecs $work/own
does search -k 1 --rerank $work/three.bvecs --ids $work/ids.ivecs $work/own \
    $work/three.bvecs
test "$(cut -f 3,4 $work/out | tr '\t\n' ' ;')" = "7 0;2147483647 0;3 0;" ||
    fail "--rerank with --ids: $(cat $work/out)"

# Training; the same whatever the number of threads.
small='--sub-vectors 4 --centroids 16 --rounds 3 --sample 500'
head -c 66000 "$data/photos_base.bvecs" >$work/some.bvecs
for metric in l2 ip cosine; do
    # shellcheck disable=SC2086
    does train $small --metric $metric "$data/photos_learn.bvecs" $work/t
    is metric $metric train
    is trained_on 500 train
    does info $work/t
    is metric $metric info
    is kind quantizer info
    does build -q $work/t $work/some.bvecs $work/tc
    does search -k 1 $work/tc $work/three.bvecs
    does export --faiss $work/t.faiss $work/tc
    does import $work/t.faiss $work/tc2
    does info $work/tc2
    is centroids 256 "info of an import"
done
# shellcheck disable=SC2086
does train $small --seed 1 -t 1 "$data/photos_learn.bvecs" $work/t
# shellcheck disable=SC2086
does train $small --seed 1 -t 3 "$data/photos_learn.bvecs" $work/t2
same $work/t $work/t2 "three threads train another quantizer"
# shellcheck disable=SC2086
does train $small --seed 2 "$data/photos_learn.bvecs" $work/t2
if cmp -s $work/t $work/t2; then
    fail "another seed trains the same quantizer"
fi
# shellcheck disable=SC2086,SC2002
cat "$data/photos_learn.bvecs" | pq train $small --format bvecs - $work/t2 \
    >$work/out 2>$work/err || fail "train of a pipe: $(cat $work/err)"
is trained_on 500 "train of a pipe"
# Samples are of all rows, not of the first.
head -c 66000 "$data/photos_learn.bvecs" >$work/first.bvecs
# shellcheck disable=SC2086
does train $small $work/first.bvecs $work/t
if cmp -s $work/t $work/t2; then
    fail "the sample of a pipe is its beginning"
fi
# shellcheck disable=SC2086
does train $small "$data/photos_learn.bvecs" $work/t2
if cmp -s $work/t $work/t2; then
    fail "the sample of a file is its beginning"
fi
# shellcheck disable=SC2086
does train $small --seed 1 "$data/photos_learn.bvecs" $work/t
# shellcheck disable=SC2086
does build $small --seed 1 "$data/photos_learn.bvecs" $work/tc
does export --codebook $work/a.npy $work/tc
does export --codebook $work/b.npy $work/t
same $work/a.npy $work/b.npy "build trains another quantizer than train"

does bench --rounds 3 $work/three
grep -q '^kernel' $work/out || fail "bench: $(cat $work/out)"
if command -v python3 >/dev/null 2>&1; then
    json() {
        does "$@"
        python3 -m json.tool $work/out >/dev/null ||
            fail "pqkern $*: JSON: $(cat $work/out)"
    }
    json search --json -k 2 $work/c "$data/photos_query.bvecs"
    json search --json --radius 1 $work/c $work/three.bvecs
    json evaluate --json $work/c "$data/photos_query.bvecs" \
        "$data/photos_groundtruth.ivecs"
    json info --json $work/c
    json info --json $work/x.faiss
    json kernels --json
    json bench --json --rounds 3 --kernels all -t 1,2 $work/three \
        $work/three.bvecs
    json build --json -q $work/q $work/three.bvecs $work/three
    json train --json --codebook "$data/photos_codebook.fvecs" $work/t
    json import --json $work/x.faiss $work/c2
    json remove --json $work/three 0
fi

# --- what is wrong -----------------------------------------------------------

fails 64 'a command is missing'
fails 64 "'frobnicate' is no command" frobnicate
fails 64 "'--color' is no option" search --color
fails 64 "'-k' lacks its value" search -k
fails 64 'operands are missing: COLLECTION QUERIES' search $work/c
fails 64 "'two' is too much" info one two
fails 64 "--k: '0' is not a whole number from 1" search -k 0 a b
fails 64 "--k: '5x' is not" search -k 5x a b
fails 64 "--threads: '-1' is not" search --threads=-1 a b
fails 64 "--k: '18446744073709551616' is not" search -k 18446744073709551616 a b
fails 64 "--radius: 'nan' is not a number" search --radius nan a b
fails 64 '--radius finds any number' search --radius 1 -k 2 a b
fails 64 '--candidates and --ids are for --rerank' search --candidates 20 a b
fails 64 '--candidates: fewer than --k 30' search --rerank a -k 30 \
    --candidates 20 a b
fails 64 "--format: 'csv' is not" search --format csv $work/c -
fails 64 "--kernel: 'sse' is none" search --kernel sse $work/c a
fails 64 "--ivecs: the value is empty" search --ivecs '' a b
fails 64 '--distances: the name must end in' search --distances d.txt $work/c \
    $work/three.bvecs
fails 64 "--metric: 'l1' is not l2, ip or cosine" train --metric l1 \
    $work/three.bvecs $work/t
fails 64 'give either VECTORS or --codebook' train $work/t
fails 64 'give either VECTORS or --codebook' train --codebook a b c
fails 64 '--codebook trains nothing' train --codebook a --rounds 3 c
fails 64 '--append takes the collection' build --append -q a b c
fails 64 '--codes needs --quantizer' build --codes a b
fails 64 '--rounds is for training' build --rounds 3 -q a b c
fails 64 'say what to write' export $work/c
fails 64 "--codes: '$work/x.txt' must end in .bvecs or .npy" export \
    --codes $work/x.txt $work/c
mkdir $work/begun
fails 64 '--distances: the name must end in' search --ivecs $work/begun/a.ivecs \
    --distances $work/begun/d.txt $work/c $work/three.bvecs
fails 64 "--ids: '$work/begun/b.txt' must end in" export \
    --codes $work/begun/a.npy --ids $work/begun/b.txt $work/c
fails 64 '--ivecs: rows are at most' search -k 32769 \
    --ivecs $work/begun/a.ivecs $work/c $work/three.bvecs
fails 64 '--distances: rows of .fvecs are at most' search -k 32769 \
    --distances $work/begun/d.fvecs $work/c $work/three.bvecs
rmdir $work/begun || fail "an output that was begun is left"
# More than there is costs nothing.
does search -k 1000 $work/three $work/three.bvecs
mv $work/out $work/all
does search -k 2147483648 $work/three $work/three.bvecs
same $work/out $work/all "a huge -k finds other than all"
does search -k 2147483648 --json $work/three $work/three.bvecs
does search -k 2 --rerank $work/three.bvecs --candidates 2147483648 \
    $work/three $work/three.bvecs
test "$(wc -l <$work/out)" -eq 6 || fail "a huge --candidates finds other"
# No number follows the largest id.
{
    printf '\223NUMPY\001\000\166\000%-117s\n' \
        "{'descr': '<u8', 'fortran_order': False, 'shape': (3,), }"
    le32 1 0 2 0 -2 -1
} >$work/last.npy
does build -q $work/q -i $work/last.npy $work/three.bvecs $work/last
fails 1 "$work/three.bvecs: too few numbers follow" build -a $work/three.bvecs \
    $work/last
does export -c $work/last_codes.npy $work/three
fails 1 "$work/last_codes.npy: too few numbers follow" build -a -c \
    $work/last_codes.npy $work/last
# An output that is an input.
cp $work/three.bvecs $work/kept.bvecs
ln -s kept.bvecs $work/kept-too.bvecs
cp $work/c $work/kept-c
for command in "train $work/kept.bvecs $work/kept.bvecs" \
    "build -q $work/c $work/kept.bvecs $work/kept-too.bvecs" \
    "import $work/kept-c $work/kept-c" \
    "export --codes $work/kept-c $work/kept-c" \
    "search --ivecs $work/kept-too.bvecs $work/kept-c $work/kept.bvecs" \
    "search --npy $work/kept-c $work/kept-c $work/kept.bvecs"; do
    # shellcheck disable=SC2086
    fails 64 'cannot be the output, too' $command
done
cmp -s $work/three.bvecs $work/kept.bvecs || fail "an input was replaced"
cmp -s $work/c $work/kept-c || fail "a collection was replaced"

# Two outputs of one name.
echo kept >$work/twice.npy
ln -s . $work/here
fails 1 'is to be written twice' export --codes $work/twice.npy \
    --ids $work/here/twice.npy $work/c
fails 1 'is to be written twice' search --npy $work/twice.npy \
    --distances $work/twice.npy $work/c $work/three.bvecs
fails 1 'is to be written twice' export --codes $work/new.npy \
    --ids $work/./new.npy $work/c
test "$(cat $work/twice.npy)" = kept || fail "an output of two is replaced"
test "$(echo $work/twice.npy* $work/new.npy*)" = \
    "$work/twice.npy $work/new.npy*" || fail "an output of two is left"
fails 64 'say which ids' remove $work/c
fails 64 "'-7' is no" remove $work/c -7
fails 64 "'x7' is no id" remove $work/c x7
fails 64 "--threads: 'x' is not" bench -t 1,x $work/c
for isa in no-such neon avx512vbmi; do
    if pq kernels | grep -q "^$isa .*available"; then
        continue
    fi
    PQKERN_ISA=$isa
    export PQKERN_ISA
    for command in "info $work/c" "info $work/q" "remove $work/c 1" \
        "export -c $work/t.npy $work/c" "search $work/c $work/three.bvecs" \
        "build -a $work/three.bvecs $work/c"; do
        # shellcheck disable=SC2086
        fails 1 "PQKERN_ISA: " $command
    done
    pq kernels >$work/out 2>$work/err && fail "kernels has PQKERN_ISA=$isa"
    grep -q PQKERN_ISA $work/err || fail "kernels does not name PQKERN_ISA"
    grep -q '^scalar .*available$' $work/out || fail "kernels lists none"
    grep -q chosen $work/out && fail "kernels has chosen one"
    unset PQKERN_ISA
done

none=$work/none
for command in "train $none.npy t" "build -q $none a.npy t" \
    "build $none.npy t" "search $none $work/three.bvecs" \
    "search $work/c $none.npy" "evaluate $work/c $none.npy a.ivecs" \
    "evaluate $work/c $work/three.bvecs $none.ivecs" "info $none" \
    "bench $none" "remove $none 1" "import $none t" \
    "export --codes x.npy $none" "build -q $work/q -i $none.npy \
    $work/three.bvecs t" "search --allow $none.npy $work/c $work/three.bvecs" \
    "search --rerank $none.npy $work/c $work/three.bvecs"; do
    # shellcheck disable=SC2086
    fails 1 "$none" $command
done
test ! -e t || fail "a failed command wrote a file"
fails 1 'nothing tells what is in it' search $work/c $work/c
fails 1 'nothing tells what is in it' search $work/c -
fails 1 'is no collection' search $work/q $work/three.bvecs
fails 1 'is no quantizer or collection' build -q "$data/README" \
    $work/three.bvecs $work/t
fails 1 'is no collection, quantizer or index' info "$data/README"
fails 1 'is no index file of Faiss' import $work/c $work/t
fails 1 'the rows are 8 values wide, but the collection' search $work/c \
    "$data/photos_codebook.fvecs"
fails 1 'the rows are 128 values wide, but the quantizer' build --codes \
    -q $work/q $work/three.bvecs $work/t
fails 1 '128 values cannot be cut into 7' train -m 7 $work/three.bvecs $work/t
fails 1 'has 4096 rows, which are not 16 sub-vectors of 255' train -m 16 \
    --centroids 255 --codebook "$data/photos_codebook.fvecs" $work/t
fails 1 'has 500 rows, but there are 3 queries' evaluate $work/c \
    $work/three.bvecs "$data/photos_groundtruth.ivecs"
fails 1 'has no row for the id' search --rerank $work/three.bvecs $work/c \
    "$data/photos_query.bvecs"
ids 1 2 >$work/two.ivecs
fails 1 "$work/two.ivecs: has 2 ids, but $work/three.bvecs has 3 rows" build \
    -q $work/q -i $work/two.ivecs $work/three.bvecs $work/t
ids 1 2 3 4 >$work/four.ivecs
for count in two four; do
    # shellcheck disable=SC2002
    cat $work/three.bvecs | {
        pq build --format bvecs -q $work/q -i $work/$count.ivecs - $work/t \
            >/dev/null 2>$work/err
        echo $? >>$work/err
    }
    sed "s/.*$count.ivecs: has \([a-z]*\) ids than standard input has rows/\1/" \
        $work/err | tr '\n' ' ' >>$work/counts
done
test "$(cat $work/counts)" = "fewer 1 more 1 " ||
    fail "ids of a pipe: $(cat $work/counts)"
ids 5 6 5 >$work/twice.ivecs
fails 1 "$work/twice.ivecs: the id 5 is given twice" build -q $work/q \
    -i $work/twice.ivecs $work/three.bvecs $work/t
ids 5 6 7 >$work/there.ivecs
fails 1 "$work/there.ivecs: row 2: the id 7 is there already" build --append \
    -i $work/there.ivecs $work/three.bvecs $work/own
ids 5 -6 7 >$work/minus.ivecs
fails 1 "$work/minus.ivecs: row 1, column 0: the id is -6" build -q $work/q \
    -i $work/minus.ivecs $work/three.bvecs $work/t
{ le32 2; printf 'ab'; } >$work/two.bvecs
{ le32 1 0 1 1065353216 1 0 1 1065353216; } >$work/codebook.fvecs
does train --sub-vectors 2 --centroids 2 --codebook $work/codebook.fvecs $work/t2
fails 1 "$work/two.bvecs: row 0, column 0: the code is 97, but there are 2" \
    build --codes -q $work/t2 $work/two.bvecs $work/t
head -c 1000 $work/c >$work/short
fails 1 "$work/short: is no" search $work/short $work/three.bvecs
fails 1 "$work/short: is a collection, but was cut short" info $work/short
{ head -c 200000 $work/c; printf '\377\377'; tail -c +200003 $work/c; } \
    >$work/altered
fails 1 "$work/altered: is no" search $work/altered $work/three.bvecs
# Its quantizer is whole, and might be taken for all of it.
fails 1 "$work/altered: is a collection, but was cut" info $work/altered
head -c 1000 "$data/photos_query.bvecs" >$work/short.bvecs
fails 1 "$work/short.bvecs: row 7 has 76 of its 132 bytes" search $work/c \
    $work/short.bvecs
head -c 450000 $work/x.faiss >$work/short.faiss
fails 1 "$work/short.faiss: is cut short" import $work/short.faiss $work/t
fails 1 "$work/no/t: cannot be written" build -q $work/q $work/three.bvecs \
    $work/no/t
fails 1 "$work/no/t: cannot be written" train --codebook \
    "$data/photos_codebook.fvecs" $work/no/t
mkdir $work/folder
fails 1 "$work/folder: cannot be written" build -q $work/q $work/three.bvecs \
    $work/folder
mkfifo $work/fifo
fails 1 "$work/fifo: cannot be written" build -q $work/q $work/three.bvecs \
    $work/fifo
test -p $work/fifo || fail "a fifo was replaced"
fails 1 "$work/no/t.npy: cannot be written" export --ids $work/no/t.npy $work/c
# Memory is for rows that come, not for those that a stream announces.
{ printf '\223NUMPY\001\000v\000'
  printf '%-117s\n' "{'descr': '|u1', 'fortran_order': False, \
'shape': (70368744177664, 128), }"
  printf 'half a row'; } >$work/claim.npy
# shellcheck disable=SC2002
cat $work/claim.npy | {
    pq search --format npy $work/c - >/dev/null 2>$work/err
    test $? = 1 || fail "a stream that announces more than it has"
    grep -q 'standard input: row 0 has 10 of its' $work/err ||
        fail "a stream that announces more than it has: $(cat $work/err)"
}
# The truth by a pipe: all of it, one row too few, one too many.
rm -f $work/truth.ivecs
mkfifo $work/truth.ivecs
for rows in 500 499 501; do
    { cat "$data/photos_groundtruth.ivecs" "$data/photos_groundtruth.ivecs"; } |
        head -c $((rows * 404)) >$work/truth.ivecs &
    case $rows in
    500) does evaluate $work/c "$data/photos_query.bvecs" $work/truth.ivecs
         is recall_at_10 0.6934 "evaluate with a pipe" ;;
    499) fails 1 'has fewer rows than there are queries, 500' evaluate $work/c \
             "$data/photos_query.bvecs" $work/truth.ivecs ;;
    501) fails 1 'has more rows than there are queries, 500' evaluate $work/c \
             "$data/photos_query.bvecs" $work/truth.ivecs ;;
    esac
    wait
done
# shellcheck disable=SC2002
cat "$data/photos_base.bvecs" | {
    pq build --format bvecs - $work/t >/dev/null 2>$work/err
    test $? = 1 || fail "training on a pipe that is needed again"
    grep -q 'standard input: can be read once only' $work/err ||
        fail "training on a pipe: $(cat $work/err)"
}

# What follows is about the system and the texts, the same for every processor, and an
# emulator takes its time.
if test -n "$EMULATOR"; then
    test $status = 0 && rm -rf $work
    exit $status
fi

# --- a disk that is full, readers that go away -------------------------------

full=$work/full
mkdir $full
cp $work/c $full/c
if test -w /dev/full; then
    query=$data/photos_query.bvecs
    codebook=$data/photos_codebook.fvecs
    for command in --help --version 'search --help' kernels 'kernels --json' \
        "search $work/c $query" "search --json $work/c $query" \
        "search --radius 60000 $work/c $query" "info $work/c" \
        "info --json $work/q" "info $work/x.faiss" "info $work/x.npy" \
        "evaluate $work/c $query $data/photos_groundtruth.ivecs" \
        "bench --rounds 3 $work/three" "train --codebook $codebook $full/q" \
        "build -q $work/q $work/three.bvecs $full/b" "remove $full/c 0" \
        "build --append $work/three.bvecs $full/b" \
        "import --json $work/x.faiss $full/b"; do
        got=0
        # shellcheck disable=SC2086
        pq $command >/dev/full 2>$work/err || got=$?
        test $got = 1 || fail "pqkern $command >/dev/full: exit $got"
        grep -q 'standard output: cannot be written' $work/err ||
            fail "pqkern $command >/dev/full: $(cat $work/err)"
    done
    ln -s /dev/full $work/full.fvecs
    ln -s /dev/full $work/full.bvecs
    fails 1 '/dev/full: cannot be written' export --faiss /dev/full $work/three
    fails 1 "$work/full.fvecs: cannot be written" export \
        --vectors $work/full.fvecs $work/three
    fails 1 "$work/full.bvecs: cannot be written" export \
        --codes $work/full.bvecs $work/three
    fails 1 "$work/full.fvecs: cannot be written" search \
        --distances $work/full.fvecs $work/three $work/three.bvecs
    fails 1 '/dev/full: cannot be written' search --ivecs /dev/full $work/c \
        "$data/photos_query.bvecs"
    # What cannot be written last keeps what comes before from its name.
    mkdir $work/begun
    ln -s /dev/full $work/full.npy
    fails 1 '/dev/full: cannot be written' search --ivecs $work/begun/a.ivecs \
        --npy /dev/full $work/c "$data/photos_query.bvecs"
    fails 1 "$work/full.npy: cannot be written" export \
        --codebook $work/begun/b.npy --codes $work/begun/a.npy \
        --ids $work/full.npy $work/c
    rmdir $work/begun || fail "some of the outputs are left"
fi
test "$(pq search $work/c "$data/photos_query.bvecs" 2>$work/err | head -n 1)" = \
    "$(head -n 1 $work/found)" || fail "the first line through a pipe"
test ! -s $work/err || fail "a closed pipe: $(cat $work/err)"
# Whoever ignores SIGPIPE is told.
for command in "search $work/c $data/photos_query.bvecs" \
    "export --faiss /dev/stdout $work/c"; do
    {
        trap '' PIPE
        # shellcheck disable=SC2086
        pq $command 2>$work/err
        echo $? >>$work/err
    } | :
    grep -q 'stdout\|standard output: cannot be written' $work/err ||
        fail "a closed pipe, SIGPIPE ignored: $(cat $work/err)"
    test "$(tail -n 1 $work/err)" = 1 ||
        fail "a closed pipe, SIGPIPE ignored: exit $(tail -n 1 $work/err)"
done

# grows_too_large OUTPUT ARGUMENT...: a file of more than two blocks cannot be
# written; the old one stays, and nothing beside it
echo 'ulimit -f 2; exec "$@"' >$work/limited
grows_too_large() {
    output=$1
    shift
    test -e "$output" || echo old >"$output"
    cp "$output" $work/old
    ls $full >$work/names
    EMULATOR="sh $work/limited"
    fails 1 "$output: cannot be written" "$@"
    EMULATOR=
    same "$output" $work/old "pqkern $*: the old file"
    ls $full >$work/names2
    same $work/names $work/names2 "pqkern $*: leaves a file"
}
grows_too_large $full/t train --codebook "$data/photos_codebook.fvecs" $full/t
grows_too_large $full/n build -q $work/q "$data/photos_base.bvecs" $full/n
grows_too_large $full/c build --append $work/three.bvecs $full/c
grows_too_large $full/c remove $full/c 1
grows_too_large $full/i import $work/x.faiss $full/i
for name in ivecs.ivecs npy.npy distances.fvecs distances.npy; do
    grows_too_large $full/$name search --${name%.*} $full/$name $work/c \
        "$data/photos_query.bvecs"
done
for name in faiss.faiss codes.bvecs codes.npy ids.ivecs ids.npy vectors.fvecs \
    vectors.npy codebook.fvecs codebook.npy; do
    grows_too_large $full/$name export --${name%.*} $full/$name $work/c
done

# What is written to /dev/stdout goes where the rest goes, whatever that is.
{ echo before; pq export --faiss /dev/stdout $work/c; echo after; } >$work/a
{ echo before; cat $work/x.faiss; echo after; } >$work/b
same $work/a $work/b "export to /dev/stdout, a file"
# A closed standard output is none of the files that are opened.
does search --ivecs $work/a.ivecs $work/c "$data/photos_query.bvecs"
pq search --json --ivecs $work/b.ivecs $work/c "$data/photos_query.bvecs" >&- \
    2>$work/err && fail "a closed standard output is no error"
grep -q 'standard output: cannot be written' $work/err ||
    fail "a closed standard output: $(cat $work/err)"
same $work/a.ivecs $work/b.ivecs "a closed standard output"

# --- ended by a signal: the old file stays, and nothing else ------------------

begin() {
    # shellcheck disable=SC2086
    $EMULATOR $program "$@" >/dev/null 2>&1 &
    process=$!
}
mkdir $work/end
mkfifo $work/end/in.bvecs $work/end/out.fvecs
cp $work/three $work/end/c
for signal in TERM KILL; do
    rm -f $work/begun
    begin build -q $work/q $work/end/in.bvecs $work/end/c
    # That the pipe could be opened means that there is a reader.
    { : >$work/begun; cat $work/three.bvecs; sleep 2; } >$work/end/in.bvecs &
    tries=0
    until test -e $work/begun; do
        tries=$((tries + 1))
        test $tries -lt 600 || exit 1
        sleep 0.1
    done
    sleep 0.5
    kill -$signal $process
    wait $process && fail "build ends well on SIG$signal"
    same $work/three $work/end/c "SIG$signal during build"
    wait
done
# The codes are being written when there is nobody to read the vectors.
begin export --codes $work/end/x.npy --vectors $work/end/out.fvecs $work/c
tries=0
until ls $work/end/x.npy.* >/dev/null 2>&1; do
    tries=$((tries + 1))
    test $tries -lt 600 || break
    sleep 0.1
done
ls $work/end/x.npy.* >/dev/null || fail "export has not begun"
kill -TERM $process
wait $process && fail "export ends well on SIGTERM"
left=$(cd $work/end && echo *)
test "$left" = "c in.bvecs out.fvecs" || fail "left behind: $left"

# --- several at a time: all that they do is there -----------------------

# beside ARGUMENT...: does it in the background, without a pipe that is written to
beside() {
    { pq "$@" || echo "$*" >>$work/failed; } >/dev/null 2>&1 &
}
mkdir $work/writers
mkfifo $work/writers/in.bvecs
cp $work/c $work/writers/c
ln -s c $work/writers/link
begin build --append $work/writers/in.bvecs $work/writers/c
{
    # That the pipe could be opened means that the first one has the collection.
    cat $work/three.bvecs
    beside build --append $work/half.bvecs $work/writers/link
    beside remove $work/writers/c 17
    sleep 2
} >$work/writers/in.bvecs
wait
does info $work/writers/c
is vectors 30002 "two appends and a removal at a time"
does export --ids $work/writers/ids.ivecs $work/writers/c
od -An -v -td4 -w8 $work/writers/ids.ivecs | awk '{print $2}' >$work/a
seq 0 30002 | grep -vx 17 >$work/b
same $work/a $work/b "ids of appends at a time"
# A collection that is replaced is not what an append began with.
begin build --append $work/writers/in.bvecs $work/writers/c
{
    cat $work/three.bvecs
    beside build -q $work/q $work/half.bvecs $work/writers/c
    sleep 2
} >$work/writers/in.bvecs
wait
does info $work/writers/c
is vectors 10000 "a new collection while one appends"
for threads in 1 2 3 4 5 6 7 8; do
    beside build -t $threads --append $work/three.bvecs $work/writers/c
done
wait
does info $work/writers/c
is vectors 10024 "eight appends at a time"
test ! -e $work/failed || fail "at a time: $(cat $work/failed)"
test "$(cd $work/writers && echo *)" = "c ids.ivecs in.bvecs link" ||
    fail "appends leave $(ls $work/writers)"

# --- one list of options -----------------------------------------------------

help_options() {
    sed -nE 's/^ +((-[a-z], )?--[a-z-]+( [A-Z]+)?)( .*)?$/\1/p' | grep -v -- --help
}
page=$abs_top_srcdir/man/pqkern.1
completion=$abs_top_srcdir/completion/pqkern
commands=$(pq --help | sed -nE 's/^  ([a-z]+)  .*[.]$/\1/p')
test "$(echo "$commands" | wc -w)" = 10 || fail "commands: $commands"
test "$(sed -n "s/^_pqkern_commands='\(.*\)'/\1/p" "$completion")" = \
    "$(echo "$commands" | tr '\n' ' ' | sed 's/ $//')" ||
    fail "the completion knows other commands"
for command in $commands; do
    pq "$command" --help >$work/help || fail "$command --help"
    help_options <$work/help | sort >$work/a
    sed -n "/^\.SS $command /,/^\.S[SH] /p" "$page" |
        sed -nE 's/\\f[BIR]//g; s/\\-/-/g; /^(-[a-z], )?--[a-z]/p' |
        sort >$work/b
    same $work/a $work/b "$command: --help and pqkern(1) differ"
    usage=$(sed -n "1s/Usage: pqkern //p" $work/help)
    grep '^\.SS '"$command " "$page" | sed 's/^\.SS //; s/\\f[A-Z]//g' \
        >$work/b
    test "$(cat $work/b)" = "$(echo "$usage" | sed 's/ *$//')" ||
        fail "$command: usage is '$usage', not '$(cat $work/b)'"
    awk 'length > 79' $work/help | grep . && fail "$command --help is too wide"
    if command -v bash >/dev/null 2>&1; then
        bash -c ". $completion; _pqkern_options $command" | tr ' ' '\n' |
            grep -vE '^(-h|--help)$' | sort >$work/b
        sed 's/ [A-Z]*$//; s/,//' $work/a | tr ' ' '\n' | sort >$work/c1
        same $work/b $work/c1 "$command: the completion knows other options"
    fi
done

# What an unknown variant is answered with is the list of all there are.
variants=$(PQKERN_ISA=x pq kernels 2>&1 >$work/out |
    sed -n 's/.*; known are: \(.*\);.*/\1/p')
test "$(echo "$variants" | wc -w)" -ge 6 || fail "known variants: $variants"
for variant in $variants; do
    for text in README include/pqkern.h man/pqkern.3; do
        grep -qw "$variant" "$abs_top_srcdir/$text" ||
            fail "$text has no variant $variant"
    done
done

test $status = 0 && rm -rf $work
exit $status
