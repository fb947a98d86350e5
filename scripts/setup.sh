# SPDX-License-Identifier: MIT OR Apache-2.0
# shellcheck shell=sh
# Sourced by scripts/quickstart and scripts/check: what both need of the
# distribution's packages, and quiet steps that keep a log.
# The caller sets `may_install` (yes or no) and `log` (a file).

say() {
    printf '%s\n' "$*"
}

die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

have() {
    command -v "$1" >/dev/null 2>&1
}

jobs_default() {
    nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1
}

manager() {
    for name in apt-get dnf apk; do
        if have "$name"; then
            echo "$name"
            return
        fi
    done
    echo none
}

# The words before a command that installs: none for root, sudo if it asks for
# no password, else "no".
as_root() {
    if test "$(id -u)" = 0; then
        echo
    elif have sudo && sudo -n true 2>/dev/null; then
        echo sudo
    else
        echo no
    fi
}

install_command() {
    case $(manager) in
      apt-get) echo apt-get install -y --no-install-recommends ;;
      dnf) echo dnf install -y ;;
      apk) echo apk add ;;
    esac
}

# step TEXT COMMAND...: run quietly; on failure show the end of the log.
step() {
    text=$1
    shift
    printf '%s ...' "$text"
    began=$(date +%s)
    printf '\n== %s: %s\n' "$text" "$*" >>"$log"
    if "$@" >>"$log" 2>&1 </dev/null; then
        printf ' done (%s s)\n' $(($(date +%s) - began))
    else
        printf ' failed\n'
        tail -n 30 "$log"
        say "The whole log: $log"
        return 1
    fi
}

# apt-get answers at once if what it knows of the archive suffices; a fresh
# container knows nothing and a stale list names files that are gone.
apt_install() {
    sudo_word=$1
    shift
    set -- -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"
    $sudo_word env DEBIAN_FRONTEND=noninteractive apt-get "$@" && return
    $sudo_word apt-get -o DPkg::Lock::Timeout=300 update
    $sudo_word env DEBIAN_FRONTEND=noninteractive apt-get "$@"
}

# install_packages PACKAGE...: install, or say how and return 1.
install_packages() {
    test $# -gt 0 || return 0
    root=$(as_root)
    if test "$may_install" != yes || test "$root" = no; then
        say "Missing: $*"
        say "Install it as root with:"
        say "    $(install_command) $*"
        say "and run this again."
        return 1
    fi
    case $(manager) in
      apt-get) step "installing $*" apt_install "$root" "$@" ;;
      dnf) step "installing $*" $root dnf install -y "$@" ;;
      apk) step "installing $*" $root apk add "$@" ;;
    esac
}

# need COMMAND APT DNF APK: note the package that brings COMMAND, if it is not
# there.  "-" is a package that the distribution does not need or have.
missing=
need() {
    have "$1" && return
    note_missing "$2" "$3" "$4"
}

note_missing() {
    case $(manager) in
      apt-get) package=$1 ;;
      dnf) package=$2 ;;
      apk) package=$3 ;;
      *) package=$1 ;;
    esac
    test "$package" = - && return
    case " $missing " in
      *" $package "*) ;;
      *) missing="$missing $package" ;;
    esac
}

# libc_headers COMPILER: can it build a program at all?
builds_programs() {
    have "$1" || return 1
    printf '#include <math.h>\nint main(void) { return 0; }\n' |
        "$1" -x c -o /dev/null - >/dev/null 2>&1
}

# What every build needs.
need_build_tools() {
    builds_programs "${CC:-gcc}" || {
        note_missing gcc gcc gcc
        note_missing libc6-dev glibc-devel musl-dev
    }
    need make make make make
    if ! test -x "$top/configure" || test -e "$top/.git"; then
        need autoconf autoconf autoconf autoconf
        need automake automake automake automake
        need libtoolize libtool libtool libtool
    fi
    need pkg-config pkg-config pkgconf-pkg-config pkgconf
}

need_check() {
    if ! have pkg-config || ! pkg-config --exists 'check >= 0.10'; then
        note_missing check check-devel check-dev
    fi
}

install_missing() {
    if test -n "$missing" && test "$(manager)" = none; then
        die "missing, under the names that Debian has for them:$missing;" \
            "no apt-get, dnf or apk here: install them and run this again"
    fi
    # shellcheck disable=SC2086
    install_packages $missing
}

# bootstrap_if_needed: configure is generated once and when its sources change.
bootstrap_if_needed() {
    if test -f "$top/config.status"; then
        die "$top is configured in the source tree itself, which keeps" \
            "make from building elsewhere; remedy: make -C $top distclean"
    fi
    stale=no
    test -x "$top/configure" || stale=yes
    if test $stale = no && test -n "$(find "$top/configure.ac" \
            "$top/Makefile.am" "$top/m4" "$top/src/local.mk" \
            "$top/tests/local.mk" -name '*[mck]' \
            -newer "$top/configure" ! -name 'lt*' ! -name 'libtool.m4')"; then
        stale=yes
    fi
    test $stale = no || step "bootstrap" "$top/bootstrap"
}

# configure_in DIR ARGUMENT...: skipped if DIR was configured with just these.
configure_in() {
    dir=$1
    shift
    mkdir -p "$dir"
    arguments=$*
    if test -x "$dir/config.status" && test -f "$dir/Makefile" &&
        test -f "$dir/.arguments" &&
        test "$(cat "$dir/.arguments")" = "$arguments" &&
        test -z "$(find "$top/configure" -newer "$dir/config.status")"; then
        return 0
    fi
    rm -f "$dir/.arguments" "$dir/config.cache"
    (cd "$dir" && "$top/configure" "$@") || return
    printf '%s\n' "$arguments" >"$dir/.arguments"
}
