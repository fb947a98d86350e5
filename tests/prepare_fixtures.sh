#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# scripts/prepare_fixtures.sh against a server on this machine, with a small
# stand-in for SIFT1M: whole, cut short, resumed, corrupted, from the mirror.
set -u
skip() {
    echo "SKIP: $*"
    exit 77
}
for tool in python3 curl gzip tar sha256sum; do
    command -v $tool >/dev/null 2>&1 || skip "needs $tool"
done
script=$(cd "${top_srcdir-.}" && pwd)/scripts/prepare_fixtures.sh
cd "${abs_top_builddir-.}" || exit 1
build=$(pwd)
EMULATOR=${EMULATOR-}
work=$build/tests/prepare.tmp
rm -rf "$work"
mkdir -p "$work/served"
cd "$work" || exit 1
fails=0

# The stand-in, its damaged forms, and a server that says where it listens, logs
# the ranges that it was asked for, and can be made to ignore them.
cat >make.py <<'END'
import gzip, io, random, struct, tarfile
random.seed(1)
def rows(n, code, make):
    return b"".join(struct.pack("<i32" + code, 32, *make(i)) for i in range(n))
floats = lambda i: [random.randrange(200) for _ in range(32)]
ids = lambda i: random.sample(range(400), 32)
data = io.BytesIO()
with tarfile.open(fileobj=data, mode="w") as tar:
    for name, body in (("base.fvecs", rows(400, "f", floats)),
                       ("learn.fvecs", rows(300, "f", floats)),
                       ("query.fvecs", rows(5, "f", floats)),
                       ("groundtruth.ivecs", rows(5, "i", ids))):
        info = tarfile.TarInfo("sift/sift_" + name)
        info.size = len(body)
        tar.addfile(info, io.BytesIO(body))
whole = gzip.compress(data.getvalue(), mtime=0)
middle = len(whole) // 2
open("served/whole.tar.gz", "wb").write(whole)
open("served/short.tar.gz", "wb").write(whole[:middle])
open("served/corrupt.tar.gz", "wb").write(
    whole[:middle] + bytes(b ^ 85 for b in whole[middle:middle + 999])
    + whole[middle + 999:])
open("served/other.tar.gz", "wb").write(gzip.compress(bytes(len(whole))))
END
cat >serve.py <<'END'
import http.server, os, re
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        try:
            body = open("served" + self.path.replace("/plain", ""), "rb").read()
        except OSError:
            self.send_error(404)
            return
        asked = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        open("ranges", "a").write("%s %s\n" % (self.path, asked and asked[1]))
        start = int(asked[1]) if asked and "plain" not in self.path else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", "bytes %d-%d/%d"
                             % (start, len(body) - 1, len(body)))
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:])
    def log_message(self, *arguments):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
open("port.new", "w").write(str(server.server_address[1]))
os.rename("port.new", "port")
server.serve_forever()
END
python3 make.py || exit 1
python3 serve.py &
server=$!
trap 'kill $server; cd / && rm -rf "$work"' EXIT
tries=0
while ! test -f port; do
    tries=$((tries + 1))
    test $tries -lt 100 || skip "no server can be started on 127.0.0.1"
    sleep 0.1
done
here=http://127.0.0.1:$(cat port)
PQKERN_SIFT_SIZE=$(wc -c <served/whole.tar.gz | tr -d ' ')
PQKERN_SIFT_URL=$here/whole.tar.gz
XDG_CACHE_HOME=$work/cache
no_proxy=127.0.0.1
export PQKERN_SIFT_SIZE PQKERN_SIFT_URL XDG_CACHE_HOME no_proxy
unset PQKERN_SIFT_MIRROR PQKERN_SIFT_SHA256 PQKERN_DATA 2>/dev/null
sha256=$(sha256sum <served/whole.tar.gz | cut -c 1-64)

fail() {
    echo "FAIL: $case: $*"
    sed 's/^/    /' log
    fails=$((fails + 1))
}

# run STATUS TEXT ARGUMENT...: must exit so and say so; nothing half may stay
run() {
    expected=$1 text=$2
    shift 2
    sh "$script" --no-train --dest "$work/got" "$@" >log 2>&1
    status=$?
    test $status -eq "$expected" || fail "exit status $status, not $expected"
    grep -qF -e "$text" log || fail "does not say: $text"
    if test "$expected" -ne 0 && test -f got/sift_base.fvecs; then
        fail "failed, but sift_base.fvecs is there"
    fi
    if ls -d got/.sift* >/dev/null 2>&1; then
        fail "left its working folder"
    fi
}

# The files are all there, as in the tarball, and nothing else is.
check_whole() {
    mkdir -p expected && tar -xzf served/whole.tar.gz -C expected
    for file in expected/sift/*; do
        cmp "$file" "got/${file##*/}" || fail "${file##*/} differs"
    done
    test "$(find got -type f | wc -l)" -eq 5 || fail "left more: $(ls -A got)"
}

case=help
sh "$script" --help | grep -q -e --tarball || fail "no help"
run 64 "unknown argument '--nix'" --nix

case=whole
PQKERN_SIFT_SHA256=$sha256
export PQKERN_SIFT_SHA256
run 0 ready
check_whole
case=again
: >ranges
run 0 "there and unchanged"
test ! -s ranges || fail "fetched again"
case="changed file"
printf x >>got/sift_query.fvecs
sh "$script" --no-train --dest "$work/got" >log 2>&1 && fail "not noticed"
grep -q "sift_query.fvecs: FAILED" log || fail "does not name the file"
rm got/sift_query.fvecs
run 0 ready
check_whole
rm -rf got

case=truncated
run_from() {
    PQKERN_SIFT_URL=$here/$1
    shift
    run "$@"
}
run_from short.tar.gz 1 "not $PQKERN_SIFT_SIZE"
test -f got/sift.tar.gz.part || fail "threw the part away"
case=resumed
: >ranges
run_from whole.tar.gz 0 ready
grep -q "whole.tar.gz $((PQKERN_SIFT_SIZE / 2))\$" ranges ||
    fail "did not go on with the part: $(cat ranges)"
check_whole
rm -rf got
case="resumed, but the server cannot"
run_from short.tar.gz 1 "run again to go on"
run_from plain/whole.tar.gz 0 "beginning anew"
check_whole
rm -rf got
case="resumed from the mirror"
PQKERN_SIFT_MIRROR=$here/whole.tar.gz
export PQKERN_SIFT_MIRROR
run_from short.tar.gz 0 ready
check_whole
rm -rf got
case="nothing there but at the mirror"
run_from none.tar.gz 0 "could not be fetched whole"
check_whole
rm -rf got
unset PQKERN_SIFT_MIRROR

case=unreachable
PQKERN_SIFT_URL=http://127.0.0.1:1/sift.tar.gz
run 1 "set PQKERN_SIFT_MIRROR"
case=corrupted
run_from corrupt.tar.gz 1 "its SHA-256 is"
test ! -f got/sift.tar.gz.part || fail "kept what is of no use"
unset PQKERN_SIFT_SHA256
run_from corrupt.tar.gz 1 damaged
run_from whole.tar.gz 0 ready
check_whole

case="files that changed since they were recorded"
sed 's/^..../0000/' got/sift.sha256 >sum && mv sum got/sift.sha256
rm got/sift_*
run 1 "recorded"
rm -rf got

case="a tarball on disk"
run 1 "no such file" --tarball none
run 1 "not $PQKERN_SIFT_SIZE" --tarball served/short.tar.gz
run 0 ready --tarball served/whole.tar.gz
check_whole
rm -rf got
PQKERN_SIFT_SIZE=$(wc -c <served/other.tar.gz | tr -d ' ')
run 1 "holds no sift/" --tarball served/other.tar.gz

case="training the codebook"
PQKERN_SIFT_SIZE=$(wc -c <served/whole.tar.gz | tr -d ' ')
printf '#!/bin/sh\nexec %s "%s/run_experiment" "$@"\n' "$EMULATOR" "$build" >tool
chmod +x tool
if test -x "$build/run_experiment"; then
    sh "$script" --tarball served/whole.tar.gz --tool ./tool >log 2>&1 ||
        fail "exit status $?"
    ls cache/pqkern/sift1m-*/codebook.fvecs.sha256 >log 2>&1 ||
        fail "no frozen codebook"
fi
printf '#!/bin/sh\necho it is broken\nexit 1\n' >tool
sh "$script" --tarball served/whole.tar.gz --tool ./tool >log 2>&1 &&
    fail "takes a tool that fails for one that works"
grep -q "it is broken" log || fail "does not say what the tool said"

test $fails -eq 0
