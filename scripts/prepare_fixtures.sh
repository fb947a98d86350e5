#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# Get SIFT1M, check it, put it where run_experiment looks for it, and have its
# codebook trained and frozen.  Safe to interrupt and to run again: a download
# goes on where it ended, and no half file gets its final name.
set -eu
umask 022
LC_ALL=C
export LC_ALL

files='sift_learn.fvecs sift_base.fvecs sift_query.fvecs sift_groundtruth.ivecs'
url=${PQKERN_SIFT_URL:-ftp://ftp.irisa.fr/local/texmex/corpus/sift.tar.gz}
mirror=${PQKERN_SIFT_MIRROR:-}
size=${PQKERN_SIFT_SIZE:-168280445}
sha256=${PQKERN_SIFT_SHA256:-}
dest=
tarball=
tool=
train=yes
work=

usage() {
    cat <<EOF
Usage: prepare_fixtures.sh [OPTION]...
Get the data set SIFT1M (168 MB to fetch, 570 MB on disk) for
run_experiment --source sift1m.

  --tarball FILE  take sift.tar.gz from disk instead of fetching it
  --dest FOLDER   put the files there, not into \$XDG_CACHE_HOME/pqkern or
                  ~/.cache/pqkern; set PQKERN_DATA to it to have them found
  --tool FILE     the run_experiment that trains the codebook
  --no-train      leave the codebook to the first experiment
  --help          this text

Environment:
  PQKERN_SIFT_URL     where to fetch from first
                      (ftp://ftp.irisa.fr/local/texmex/corpus/sift.tar.gz)
  PQKERN_SIFT_MIRROR  where to fetch from if that fails
  PQKERN_SIFT_SIZE    bytes the tarball must have (168280445)
  PQKERN_SIFT_SHA256  SHA-256 the tarball must have; not checked if not set

The checksums of the extracted files are recorded in sift.sha256 the first time
and must be the same ever after.
EOF
}

say() {
    printf '%s\n' "prepare_fixtures: $*" >&2
}

die() {
    say "$*"
    exit 1
}

clean_up() {
    if [ -n "$work" ]; then
        rm -rf "$work"
    fi
}

need() {
    command -v "$1" >/dev/null 2>&1 ||
        die "$1 is needed and was not found; install it${2:+, or $2}"
}

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
        --help)
            usage
            exit 0
            ;;
        --no-train) train=no ;;
        --tarball | --dest | --tool)
            [ $# -ge 2 ] || {
                say "$1 needs a value; see --help"
                exit 64
            }
            case $1 in
            --tarball) tarball=$2 ;;
            --dest) dest=$2 ;;
            --tool) tool=$2 ;;
            esac
            shift
            ;;
        *)
            say "unknown argument '$1'; see --help"
            exit 64
            ;;
        esac
        shift
    done
    if [ -z "$dest" ]; then
        [ -n "${XDG_CACHE_HOME:-}${HOME:-}" ] ||
            die "neither XDG_CACHE_HOME nor HOME is set; give --dest FOLDER"
        dest=${XDG_CACHE_HOME:-$HOME/.cache}/pqkern
    fi
}

# --- what is there already ---------------------------------------------------

# All files there, and what they were the first time?
set_is_there() {
    for file in $files; do
        [ -f "$dest/$file" ] || return 1
    done
    [ -f "$dest/sift.sha256" ] || return 1
    (cd "$dest" && sha256sum --check --quiet --strict sift.sha256) >&2 ||
        die "$dest: a file is not what sift.sha256 recorded; if it was" \
            "damaged, remove that file and run again"
}

# --- the tarball -------------------------------------------------------------

bytes_of() {
    wc -c <"$1" | tr -d ' '
}

# Say what is wrong with a tarball; 0 if nothing is.
check_tarball() {
    found=$(bytes_of "$1")
    if [ "$found" -ne "$size" ]; then
        say "$1: has $found bytes, not $size"
        return 1
    fi
    if [ -n "$sha256" ]; then
        found=$(sha256sum <"$1" | cut -c 1-64)
        if [ "$found" != "$sha256" ]; then
            say "$1: its SHA-256 is $found, not $sha256"
            return 1
        fi
    fi
    gzip -t "$1" 2>/dev/null || {
        say "$1: is damaged: gzip cannot unpack it"
        return 1
    }
}

# Fetch $1, going on where $part ends.
fetch() {
    quiet='--silent --show-error'
    [ ! -t 2 ] || quiet=--progress-bar
    # shellcheck disable=SC2086 # may be two options
    curl $quiet --fail --location --connect-timeout 30 --retry 2 \
        --speed-limit 1000 --speed-time 60 \
        --continue-at - --output "$part" "$1" && return 0
    case $? in
    31 | 33 | 36)
        say "$1: the server cannot go on with a part; beginning anew"
        rm -f "$part"
        fetch "$1"
        ;;
    *) return 1 ;;
    esac
}

# Leaves a good tarball at $part, or ends.
download() {
    need curl "fetch sift.tar.gz yourself and give --tarball FILE"
    part=$dest/sift.tar.gz.part
    for from in "$url" ${mirror:+"$mirror"}; do
        if [ ! -f "$part" ] || [ "$(bytes_of "$part")" -ne "$size" ]; then
            say "fetching $from"
            fetch "$from" || {
                say "$from: could not be fetched whole"
                continue
            }
        fi
        if check_tarball "$part"; then
            tarball=$part
            return 0
        fi
        # A shorter file may be a good part; any other is of no use.
        if [ "$(bytes_of "$part")" -ge "$size" ]; then
            say "$part: removed"
            rm -f "$part"
        fi
    done
    die "SIFT1M could not be fetched; run again to go on, set" \
        "PQKERN_SIFT_MIRROR to another place that has sift.tar.gz, or give" \
        "--tarball FILE"
}

# --- the files ---------------------------------------------------------------

extract() {
    work=$(mktemp -d "$dest/.sift.XXXXXX")
    say "unpacking"
    # shellcheck disable=SC2046,SC2086 # lists
    gzip -dc "$tarball" |
        (cd "$work" && tar -xof - $(printf 'sift/%s ' $files)) 2>"$work/log" || :
    for file in $files; do
        [ -f "$work/sift/$file" ] || {
            cat "$work/log" >&2
            die "$tarball: holds no sift/$file; get another tarball"
        }
    done
}

# Move what was unpacked to its final names, the truth last: without it the set
# does not count as complete.
install_files() {
    # shellcheck disable=SC2086 # a list
    (cd "$work/sift" && sha256sum $files) >"$work/sift.sha256"
    if [ -f "$dest/sift.sha256" ]; then
        cmp -s "$work/sift.sha256" "$dest/sift.sha256" ||
            die "$tarball: its files are not what $dest/sift.sha256" \
                "recorded; if the tarball is right, remove sift.sha256 and" \
                "run again"
    else
        mv "$work/sift.sha256" "$dest/sift.sha256"
    fi
    for file in $files; do
        mv "$work/sift/$file" "$dest/$file"
    done
}

# --- the codebook ------------------------------------------------------------

find_tool() {
    here=$(dirname "$0")
    for candidate in "$tool" ./run_experiment "$here/../run_experiment" \
        "$(command -v run_experiment || :)"; do
        if [ -n "$candidate" ] && [ -x "$candidate" ]; then
            tool=$candidate
            return 0
        fi
        [ -z "$tool" ] || die "$tool: cannot be run; give another --tool"
    done
    return 1
}

# Any experiment trains the codebook and freezes it in the cache.
freeze_codebook() {
    if ! find_tool; then
        say "run_experiment was not found: the first experiment will train" \
            "the codebook"
        return 0
    fi
    say "training the codebook"
    PQKERN_DATA=$dest "$tool" --source sift1m --num-queries 1 \
        --recall-floor 0 >"$dest/.sift.log" 2>&1 || {
        cat "$dest/.sift.log" >&2
        rm -f "$dest/.sift.log"
        die "$tool failed on the new files: see above"
    }
    rm -f "$dest/.sift.log"
}

parse "$@"
need sha256sum
need gzip
need tar
trap clean_up EXIT
trap 'exit 130' HUP INT TERM
mkdir -p "$dest" || die "$dest: cannot be created; give --dest FOLDER"
dest=$(cd "$dest" && pwd)
if set_is_there; then
    say "$dest: SIFT1M is there and unchanged"
else
    if [ -n "$tarball" ]; then
        [ -f "$tarball" ] || die "$tarball: no such file"
        check_tarball "$tarball" || die "fetch the tarball again"
    else
        download
    fi
    extract
    install_files
    rm -f "$dest/sift.tar.gz.part"
fi
if [ "$train" = yes ]; then
    freeze_codebook
fi
say "ready: run_experiment --source sift1m"
