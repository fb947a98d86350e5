# SPDX-License-Identifier: MIT OR Apache-2.0
"""A counted series of scripts/trial on a tiny project: compiler, emulator, plugin,
llvm-mca, scripts/costs, git and log are real; configure, lint, the tests and what is
asked are made up, so that a trial takes seconds.

Run by tests/trial/counted.sh.
"""

import os
import shutil
import sys
import tempfile
import unittest

from trial import SOURCE, WORK, Project, contents, write

from pqcosts import targets
from pqcosts.model import find_tools
from pqtrial import foreign
CORE = "neoverse-n1"
CELLS = ("photos-k10", "photos-rows")
CONFIGURE = r"""#!/bin/sh
tree=../tree
case $PWD in
  */build.*) other=-DOTHER ;;
esac
cat >Makefile <<END
EMULATOR = qemu-aarch64
CHECK_LIBS =
CC = aarch64-linux-gnu-gcc -O2 -g -fno-tree-vectorize $other
bench/costs/query: $tree/bench/costs/query.c src/libpqk_neon_la-kernels.o \
		src/libpqk_scalar_la-scalar.o
	mkdir -p bench/costs && \$(CC) -static -o \$@ \$^
src/libpqk_neon_la-kernels.o: $tree/src/kernels.c $tree/src/kernels/a.h
	mkdir -p src && \$(CC) -c -o \$@ \$<
src/libpqk_scalar_la-scalar.o: $tree/src/kernels/scalar.c
	mkdir -p src && \$(CC) -c -o \$@ \$<
tests/%: bench/costs/query
	mkdir -p tests/fuzz tests/kernels && cp bench/costs/query \$@
lint:
	! grep -n ' warning: ' $tree/src/kernels/a.h
END
"""
# Asks nothing of data; run as a test, fails if the answer is wrong.
QUERY = r"""#include <stdio.h>
#include <string.h>
unsigned pqk_kernel_neon(unsigned times), pqk_kernel_scalar(unsigned times);
void costs_begin(void), costs_end(void);
__attribute__((noinline)) void costs_begin(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline)) void costs_end(void) { __asm__ volatile("" ::: "memory"); }
int main(int argc, char **argv)
{
    unsigned times = 1000, answer;
    if (argc == 1)
        return pqk_kernel_neon(7) != pqk_kernel_scalar(7) && printf("not ok - 7\n");
    if (!strcmp(argv[1], "encode"))
        return puts("codes") < 0;
    times += !strcmp(argv[6], "photos-rows") ? 1000 : 0;
    costs_begin();
    answer = (!strcmp(argv[2], "neon") ? pqk_kernel_neon : pqk_kernel_scalar)(times);
    costs_end();
    return printf("%s 1 100 %x 200\n", argv[6], answer) < 0;
}
"""
KERNELS = '''#include "kernels/a.h"
unsigned pqk_kernel_neon(unsigned times)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < times; i++) {
        sum += i;
        WORK
    }
    ROWS
    return sum WRONG;
}
'''
SCALAR = """unsigned pqk_kernel_scalar(unsigned times)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < times; i++) {
        sum += i;
        __asm__ volatile("");
    }
    return sum;
}
"""


def doing(work, wrong="", rows=""):
    """The kernel's work of a round, and what it does beside if asked for more than a
    thousand, which is photos-rows."""
    if rows:
        rows = f"for (unsigned i = 1000; i < times; i++) {{ {rows} }}"
    return "/* kernels */\n" + "".join(
        f"#define {name} {what}\n" for name, what in (
            ("WORK", work), ("WRONG", wrong), ("ROWS", rows)))


def asm(*lines):
    return f'__asm__ volatile("{"; ".join(lines)}" : : : "x9", "x10");'


MUL, EOR = "mul x9, x9, x9", "eor x10, x11, x12"
EIGHT = (MUL,) * 8


class Tiny(Project):
    """A few files of its own, and scripts/costs as it is."""

    FILES = (("bootstrap", "#!/bin/sh\n", 0o755),
             ("configure", CONFIGURE, 0o755),
             ("build-aux/config.guess", "#!/bin/sh\necho here\n", 0o755),
             ("bench/costs/query.c", QUERY, 0o644),
             ("data/photos_codebook.fvecs", "x\n", 0o644),
             ("data/photos_base.bvecs", "x\n", 0o644),
             ("src/kernels.c", KERNELS, 0o644),
             ("src/kernels/scalar.c", SCALAR, 0o644),
             ("src/kernels/a.h", doing(asm(*EIGHT, EOR)), 0o644),
             Project.FILES[-1])

    def __init__(self, folder):
        for name in ("scripts/costs", "scripts/pqcosts", "scripts/pqtrial",
                     "bench/costs/blocks.c"):
            source, target = (os.path.join(top, name) for top in (SOURCE, folder))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            (shutil.copytree if os.path.isdir(source) else shutil.copy)(source, target)
        super().__init__(folder)


class Counted(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(dir=WORK)
        cls.p = Tiny(os.path.join(cls.folder, "a project"))
        code, out = cls.p.trial(
            "--baseline", "--target", "aarch64-linux-gnu", "--core", CORE, "--cell",
            CELLS[0], "--cell", "parts-8192")
        if code != 0:
            raise AssertionError(out)
        cls.out = out

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def ended(self, verdict, text, status="ok", code=0, keep="discard"):
        self.p.edit(text)
        got, out = self.p.trial("an idea, 2 %")
        self.assertEqual(got, code, out)
        row = self.p.rows()[-1]
        self.assertEqual([row["verdict"], row["status"], row["keep"]],
                         [verdict, status, keep], out)
        self.assertEqual(self.p.git("status", "--porcelain"), "")
        self.assertEqual(self.p.trial("verify-log")[0], 0)
        return row, out

    def test_baseline(self):
        row = self.p.rows()[0]
        self.assertEqual(
            [row[name] for name in ("kernel", "cpu", "scan", "verdict", "speedup")],
            ["neon", "neoverse-n1 (aarch64), modelled", "photos-k10+parts-8192",
             "same", "1.0"])
        self.assertRegex(self.out, r"(?s)photos-k10: .*cycles \d.*loads.*branches.*"
                         r"bytes_read 2\.000 .*guard_photos-rows: .*"
                         "modelled: .*no caches, no memory")
        self.assertRegex(self.out, r"note: 6 of the equality tests, those with Check, are "
                         r"not run by a counted .*check:arm64\)")

    def test_verdicts(self):
        """In one series: what was kept is what the next is compared with."""
        # A loser is let go before its tests.
        row, _ = self.ended("slower", doing(asm(*EIGHT, MUL, EOR), "+ (times == 7)"))
        self.assertIn("nor the equality tests were run", row["reason"])
        # Nine multiplications instead of eight, each of which waits for the last.
        self.assertRegex(row["speedup"], r"^0\.8[89]")
        self.ended("same", doing(asm(*EIGHT, EOR.replace("eor", "orr"))))
        row, out = self.ended("vetoed", doing(asm(*EIGHT[1:], EOR), rows=asm(*EIGHT)))
        self.assertRegex(row["reason"], r"faster in .* but grown: photos-rows cycles \+")
        self.assertEqual(row["guards"], "lost: photos-rows")
        row, out = self.ended("none", doing(asm(*EIGHT[1:], EOR), "+ 1"), "tests", 2)
        self.assertRegex(row["reason"], r"tests/\S+: not ok - 7; the best passes it$")
        for command in ("look", "profile"):
            self.p.edit(doing(asm(*EIGHT[2:], EOR)))
            code, out = self.p.trial(command)
            self.assertEqual(code, 0, out)
            self.assertRegex(out, {"look": r"1\.3\d+ times as fast as the best, mod",
                                   "profile": "mul x9, x9, x9"}[command])
        row, out = self.ended("faster", doing(asm(*EIGHT[2:], EOR)), keep="keep")
        self.assertRegex(self.p.git("log", "-1", "--format=%B"),
                         "(?s)1.3.*modelled cycles.*neoverse-n1")
        self.ended("slower", doing(asm(*EIGHT[1:], EOR)))
        self.p.edit(doing(asm(*EIGHT[2:], EOR)) + "/* a remark */\n")
        code, out = self.p.trial("nothing new")
        self.assertEqual(self.p.rows()[-1]["status"], "null", out)
        self.others(self.p.rows()[0], row)
        self.other_machines()

    def other_machines(self):
        """What their tests refuse may be mended there alone."""
        if all(foreign.missing(name) not in ("", foreign.OWN)
               for name in ("armhf", "x86_64")):
            return
        work = asm(*EIGHT[3:], EOR)
        wrong = "\n#ifdef OTHER\n#undef WRONG\n#define WRONG + 1\n#endif\n"
        row, out = self.ended("faster", doing(work) + wrong, "tests", 2)
        self.assertRegex(row["reason"], r"^(armhf|x86_64), tests/selftest: not ok - 7; "
                         "the best passes it$")
        self.assertRegex(out, "(?m)^building for (armhf|x86_64)\ntesting ")
        self.ended("faster", doing(work), keep="keep")

    def others(self, first, kept):
        code, out = self.p.trial("status")
        self.assertIn("counted on neon, photos-k10+parts-8192, photos; " +
                      first["cpu"], out)
        code, out = self.p.trial("replay")
        self.assertEqual(code, 0, out)
        self.assertRegex(out, f"trial {kept['trial']}: faster +1\\.3")
        code, out = self.p.trial("doctor")
        self.assertEqual(code, 0, out)
        self.assertIn("nothing is measured", out)
        folder = os.path.join(self.folder, "report")
        code, out = self.p.trial("report", "--output", folder)
        self.assertEqual(code, 0, out)
        self.assertRegex(contents(os.path.join(folder, "trials.md")).decode(),
                         r"the baseline took\s+\d+ cycles a query by the model")

    def test_usage(self):
        for arguments, why in (
                (("--target", "vax"), "there are aarch64"),
                (("--target", "aarch64", "--kernel", "avx2"), "has neon, scalar"),
                (("--target", "aarch64", "--core", "vax"), "knows no such"),
                (("--target", "aarch64", "--cell", "vax"), "there are photos-k10"),
                (("--target", "aarch64", "--scan", "rows"), "is for what is measured"),
                (("--core", CORE), "goes with --target")):
            with self.subTest(arguments):
                code, out = self.p.trial("--baseline", *arguments)
                self.assertEqual(code, 64, out)
                self.assertRegex(out, why)


def lacking():
    """What is not installed, as the test's reason to skip itself."""
    try:
        targets.TARGETS["aarch64"].check()
    except targets.Impossible as why:
        return str(why)
    return "" if find_tools() else "no llvm-mca; Debian: apt-get install llvm-19"


if __name__ == "__main__":
    if lacking():
        print("SKIP: " + lacking())
        sys.exit(77)
    unittest.main(verbosity=2)
