#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
# The wall between the kernels and what judges them, as scripts/lint sees it: a
# small tree in which every include that is marked BAD has to be found, no other.
set -u
skip() {
    echo "SKIP: $*"
    exit 77
}
for tool in awk grep; do
    command -v $tool >/dev/null 2>&1 || skip "scripts/lint needs $tool"
done
work=$abs_top_builddir/tests/lint.tmp
rm -rf "$work"
(mkdir -p "$work" && cd "$work" &&
    mkdir -p bench build examples include scripts src/base src/kernels/deeper \
        src/library src/tool tests/fuzz tests/harness/candidate/cheats \
        tests/kernels) || exit 1
cp "$abs_top_srcdir/scripts/lint" "$abs_top_srcdir/scripts/rooms" \
    "$work/scripts/" || exit 1
cd "$work" || exit 1
: >build/config.h
failed=0
fail() {
    echo "FAIL: $*"
    failed=1
}

# file NAME: its text from standard input, its name on a list for make.
file() {
    { echo "/* SPDX-License-Identifier: MIT OR Apache-2.0 */" && cat; } >"$1"
    echo "$1" >>src/local.mk
}
for mk in Makefile.am src/local.mk tests/local.mk; do
    echo "# SPDX-License-Identifier: MIT OR Apache-2.0" >$mk
done
for name in src/kernels.h src/order.h src/filter.h src/variants.h \
    src/operations.h include/pqkern.h src/library/results.h tests/testlib.h \
    src/kernels/common.h src/kernels/deeper/layout.h; do
    file $name </dev/null
done

file src/kernels.c <<'END'
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include <string.h>
#include "kernels/common.h"
#include "kernels/deeper/layout.h"
#include "library/results.h"              /* BAD */
#include <library/results.h>              /* BAD */
#include "src/library/results.h"          /* BAD */
END
file src/kernels/avx2.c <<'END'
#include "kernels.h"
#include "../order.h"
#include <filter.h>
#include "variants.h"
#include "operations.h"
#include <pqkern.h>
#include "common.h"
#include "deeper/layout.h"
#include <immintrin.h>
#include "../library/results.h"           /* BAD */
#include "deeper/../../library/results.h" /* BAD */
#include "testlib.h"                      /* BAD */
#include <testlib.h>                      /* BAD */
#include "tests/testlib.h"                /* BAD */
#include "../../tests/testlib.h"          /* BAD */
#include "/etc/passwd"                    /* BAD */
#include </etc/passwd>                    /* BAD */
#include "harness/not_there.h"            /* BAD */
#include HIDDEN                           /* BAD */
__asm__(".incbin \"src/library/x\"");     /* BAD */
END
file src/kernels/deeper/layout.c <<'END'
#include "layout.h"
#include "../common.h"
#include "kernels/common.h"
#include "../../kernels.h"
#include "../../library/results.h"        /* BAD */
END

file src/library/spellings.c <<'END'
#include "kernels.h"
#include <kernels.h>
#include "../kernels.h"
#include "results.h"
/* #include "kernels/common.h" */
const char *text = "#include \"kernels/common.h\"";
#include "kernels/common.h"               /* BAD */
#include "../kernels/common.h"            /* BAD */
#include "../../src/kernels/common.h"     /* BAD */
#include "../src/kernels/common.h"        /* BAD */
#include "src/kernels/common.h"           /* BAD */
#include "./kernels//common.h"            /* BAD */
#include "results/../kernels/common.h"    /* BAD */
#include <kernels/common.h>               /* BAD */
#include <../src/kernels/common.h>        /* BAD */
#include "/home/me/src/kernels/common.h"  /* BAD */
#include "kernels/not_there_yet.h"        /* BAD */
#include "kernels/avx2.c"                 /* BAD */
#include "kernels/deeper/layout.c"        /* BAD */
#include "kernels.c"                      /* BAD */
#include "../kernels.c"                   /* BAD */
  #  include  "kernels/common.h"         /* BAD */
#include/**/"kernels/common.h"            /* BAD */
#include /* the door */ "kernels/common.h" /* BAD */
/**/ # /**/ include "kernels/common.h"    /* BAD */
%:include "kernels/common.h"              /* BAD */
#include_next <kernels/common.h>          /* BAD */
#import "kernels/common.h"                /* BAD */
/* BAD */ #inclu\
de "kernels/common.h"
#include HIDDEN                           /* BAD */
/* a comment
*/ #include "kernels/common.h"            /* BAD */
END
# One's own file of that name comes first.
file src/tool/kernels.c </dev/null
file src/tool/tool.h <<'END'
#include "kernels.c"
#include <kernels.c>                      /* BAD */
END
for name in bench/bench.c examples/search.c tests/kernels/check_kernels.c \
    tests/fuzz/fuzz_probe.c tests/harness/candidate/cheats/cheats.c include/more.h; do
    file $name <<'END'
#include "kernels.h"
#include "kernels/common.h"               /* BAD */
#include "../src/kernels/common.h"        /* BAD */
END
done

# check OPTION: lint finds what is marked, and nothing else.
check() {
    (cd build && sh ../scripts/lint --only style $1) >found 2>&1 &&
        fail "lint $1: nothing found"
    grep -v '^lint: ' found | sed -n 's/^\([^ ]*:[0-9]*\): includes .*/\1/p' |
        sort >lines
    cmp -s wanted lines || {
        fail "lint $1: marked (<) and found (>):"
        diff wanted lines
    }
    grep -vE '^lint: |^[^ ]*:[0-9]*: includes ' found && fail "lint $1: said more"
}
grep -rn '/\* BAD \*/' src tests bench examples include | cut -d : -f 1,2 |
    sort >wanted
check ""
grep -q '^src/library/spellings.c:8: .*kernels/common.h.*include kernels.h, the door' \
    found || fail "no remedy for those outside"
grep -q '^src/kernels.c:8: .*library/results.h: kernels include the door' found ||
    fail "no remedy for the kernels"
grep '^src/kernels' wanted >inside
mv inside wanted
check --kernels

# Without them there is nothing to find.
grep -rl BAD src tests bench examples include >marked
while read -r name; do
    grep -v BAD "$name" >clean
    cp clean "$name"
done <marked
(cd build && sh ../scripts/lint --only style) >found 2>&1 || {
    fail "found in a clean tree:"
    cat found
}

# The other rooms' arrows, which scripts/rooms knows.
rooms() {
    (cd build && sh ../scripts/lint --only style) >found 2>&1 &&
        fail "$1: nothing found"
    grep -q "$2" found || {
        fail "$1: no such line: $2"
        cat found
    }
}
if command -v python3 >/dev/null 2>&1; then
    file src/base/threads.c <<'END'
#include "library/results.h"
END
    rooms upwards '^src/base/threads.c: includes src/library/results.h, but'
    rm src/base/threads.c
    file src/tool/input.h <<'END'
#include "input.h"
#include "tool.h"
END
    echo '#include "input.h"' >>src/tool/tool.c
    file src/tool/tool.h <<'END'
#include "input.h"
END
    rooms circle \
        '^a circle of includes: src/tool/input -> src/tool/tool -> src/tool/input'
fi
test $failed = 0 || exit 1
cd / && rm -rf "$work"
