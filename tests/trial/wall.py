# SPDX-License-Identifier: MIT OR Apache-2.0
"""Trials on the project itself: every file of the kernels can be edited and gets
its verdict, and what kernels may not do ends as it should.

Run by tests/trial/wall.sh.  No file of the kernels is named here: what is edited is
whatever lies in src/kernels.c and src/kernels/, and an edit looks for the file that
has the text it changes.  `make check` edits all files at once, in a build with few
variants and without Check; `make check-wall` each of them alone, too, in one with all
variants, and has what tests of Check refuse: a quarter of an hour.
"""

import os
import re
import shutil
import sys
import tempfile
import time
import unittest

from trial import SOURCE, WORK, Clone, contents

from pqtrial import elf, series
from pqtrial.build import Build
from pqtrial.ends import Refused
from pqtrial.files import Places
from pqtrial.tree import KERNELS

# Of a trial: only a hang reaches it, however many others use this machine.
LIMIT = "3600"
EACH_FILE = os.environ.get("PQK_WALL") == "each"
# Twice in an object if a header is included twice, unless it is guarded.
MARK = """
#ifndef PQK_MARK_{0}
#define PQK_MARK_{0}
static const char pqk_mark_{0}[]
    __attribute__((used)) = "edited: {1};";
#endif
"""
PAUSE = """
    for (volatile int i = 0; i < 10000; i++) {
    }
"""
HEAP_INIT = re.compile(r"\bpqk_top_k_heap_init\([^;{}]*\)\s*\{")


def kernel_files(top):
    """The C files of the kernels, below the top."""
    found = [KERNELS[0]]
    for folder, _, names in os.walk(os.path.join(top, KERNELS[1])):
        found += [os.path.relpath(os.path.join(folder, name), top)
                  for name in names if name.endswith((".c", ".h"))]
    return sorted(found)


def marked(name, text):
    """A constant of the file's own, in each object that is made of it."""
    return text + MARK.format(re.sub(r"\W", "_", name), name)


class Kernels(unittest.TestCase):
    """A clone with a series begun, whose kernels are edited."""

    # Nobody wants to know how fast it is, or debug it, and -Og takes half as long to
    # compile as -O1; of the equality tests the shortest will do: no edit here changes
    # a result.
    CONFIGURE = ("CFLAGS=-Og", "--with-check=no", *(() if EACH_FILE else (
        "--disable-ssse3", "--disable-avx512", "--disable-avx512vbmi")))

    @classmethod
    def setUpClass(cls):
        if not os.path.exists(os.path.join(SOURCE, ".git")) or \
                not shutil.which("autoreconf"):
            raise unittest.SkipTest("needs a clone, and autoconf")
        cls.folder = tempfile.mkdtemp(dir=WORK)
        cls.p = Clone(cls.folder)
        code, out = cls.p.trial(
            "--baseline", "--source", "seed", "--limit", LIMIT,
            *("--configure=" + argument for argument in cls.CONFIGURE))
        if code != 0:
            raise AssertionError(out)
        cls.places = Places(cls.p.top)
        cls.build = Build(cls.places, "")
        cls.files = {name: contents(os.path.join(cls.p.top, name)).decode()
                     for name in kernel_files(cls.p.top)}

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def tearDown(self):
        self.p.git("checkout", "-q", "HEAD", "--", ".")

    # Edits ----------------------------------------------------------------

    def edited(self, pattern, replacement, count=0):
        """{name: text} of the files in which the pattern is, all replaced."""
        edits = {name: re.sub(pattern, replacement, text, count)
                 for name, text in self.files.items()
                 if re.search(pattern, text)}
        self.assertTrue(edits, f"no file of the kernels has {pattern!r}")
        return edits

    def appended(self, text):
        """Behind src/kernels.c."""
        return {KERNELS[0]: self.files[KERNELS[0]] + '#include "kernels.h"\n' +
                text}

    def with_pause(self, edits):
        """Each query waits for longer than it takes: a verdict in seconds."""
        edits = dict(edits)
        found = [name for name, text in self.files.items()
                 if HEAP_INIT.search(text)]
        self.assertEqual(len(found), 1, "where heaps begin")
        text = edits.get(found[0], self.files[found[0]])
        at = HEAP_INIT.search(text).end()
        edits[found[0]] = text[:at] + PAUSE + text[at:]
        return edits

    # Trials ---------------------------------------------------------------

    def tried(self, edits, why):
        """One trial; its exit code, row and output.  Whatever came of it, nothing
        outside the kernels became another, not even an object."""
        before = len(self.p.rows())
        for name, text in edits.items():
            self.p.edit(text, name)
        began = time.monotonic()
        code, out = self.p.trial(why)
        took = time.monotonic() - began
        self.assertEqual(len(self.p.rows()), before + 1, out)
        row = self.p.rows()[-1]
        print(f"  {took:5.1f} s  {code} {row['status']:10} {row['verdict']:8} "
              f"{why}", file=sys.stderr, flush=True)
        if row["reason"]:
            print(f"           {row['reason'][:200]}", file=sys.stderr)
        try:
            self.build.check_manifest(series.load(self.places)["manifest"])
        except Refused as why_not:
            self.fail(f"{why}: {why_not}")
        return code, row, out

    def judged(self, edits, why, others=()):
        """A verdict, or one of the other ends."""
        code, row, out = self.tried(edits, why)
        self.assertIn((code, row["status"]),
                      ((0, "ok"), (6, "unresolved"), *others), out)
        self.assertNotIn(row["verdict"], ("", "none"), out)
        self.assertEqual(self.p.git("status", "--porcelain"), "")
        return row, out

    def refused(self, edits, why, code, status, reason):
        got, row, out = self.tried(edits, why)
        self.assertEqual((got, row["status"]), (code, status), out)
        self.assertRegex(row["reason"], reason)

    # What was built of them ----------------------------------------------

    def sources_of_objects(self):
        """The files of the kernels that this machine's objects are made of."""
        found = set()
        for folder, _, names in os.walk(os.path.join(self.places.build, "src")):
            for name in names:
                if re.match(r"libpqk_.*\.Plo$", name):
                    text = contents(os.path.join(folder, name)).decode()
                    found |= {os.path.relpath(path, self.places.tree) for path in
                              (os.path.normpath(os.path.join(
                                  self.places.build, word))
                               for word in text.replace("\\\n", " ").split())}
        return found & set(self.files)

    def variants(self):
        """Those that the objects define."""
        return sorted(
            symbol.name for path in self.build.objects()
            for symbol in elf.Object(path).symbols
            if re.fullmatch(r"pqk_kernel_[a-z0-9]+", symbol.name) and
            symbol.binding == elf.STB_GLOBAL and symbol.section != elf.SHN_UNDEF)


class Wall(Kernels):
    # Last by its name: what comes after it would have to make everything again.
    def test_with_all_files(self):
        """Edited at once: whatever depends on one of them is made again, and is
        an object of kernels."""
        row, out = self.judged(self.with_pause(
            {name: marked(name, text) for name, text in self.files.items()}),
            "all files of the kernels, and a pause in each query")
        self.assertEqual(row["verdict"], "slower", out)
        objects = b"".join(contents(path) for path in self.build.objects())
        sources = self.sources_of_objects()
        self.assertGreater(len(sources), 5)
        for name in self.files:
            if name in sources:
                self.assertIn(f"edited: {name};".encode(), objects)

    def test_variant_left_out(self):
        """The scalar one defines its own name, the others by ISA_NAME."""
        variants = self.variants()
        self.assertIn("pqk_kernel_scalar", variants)
        self.refused(
            self.edited(r"(?ms)^const struct pqk_kernel pqk_kernel_scalar = \{"
                        r".*?^\};", ""),
            "without scalar", 1, "build", "pqk_kernel_scalar")
        if not EACH_FILE:
            return
        name = variants[0][len("pqk_kernel_"):]
        self.refused(
            self.edited(rf"(?m)^#define ISA_NAME +{name}$",
                        "#define ISA_NAME another"),
            f"without {name}", 1, "build", variants[0])

    def test_functions_of_the_library(self):
        """What variants there are, and statuses of arguments, are not theirs."""
        self.refused(self.appended(
            "pqk_status pqk_kernel_find(const char *name,\n"
            "                           const pqk_kernel **kernel)\n{\n"
            "    (void)name;\n    *kernel = &pqk_kernel_scalar;\n"
            "    return PQK_OK;\n}\n"
            "size_t pqk_kernel_count(void)\n{\n    return 1;\n}\n"
            "pqk_status pqk_compute_distance_table_l2(\n"
            "    const float *query, const pqk_codebook *codebook,\n"
            "    pqk_distance_table *table)\n{\n"
            "    pqk_kernel_scalar.compute_distance_table_l2(query, codebook,\n"
            "                                                table->entries);\n"
            "    return PQK_OK;\n}\n"), "functions of the library", 1, "build",
            "pqk_kernel_(find|count).*defin")
        self.refused(self.appended(
            "extern const pqk_kernel *const pqk_kernels[];\n"
            "const pqk_kernel *const pqk_kernels[] = {&pqk_kernel_scalar};\n"),
            "a list of variants", 4, "integrity",
            "pqk_kernels: not one of the contract's")

    def test_calls_into_the_library(self):
        self.refused(self.appended(
            "extern void *pqk_aligned_alloc(size_t bytes);\n"
            "extern void *pqk_scalar_memory(size_t bytes);\n"
            "void *pqk_scalar_memory(size_t bytes)\n{\n"
            "    return pqk_aligned_alloc(bytes);\n}\n"),
            "a call of the library", 4, "integrity",
            "pqk_aligned_alloc: not among what a kernel may call")

    def test_edits_of_the_door(self):
        doors = [name for name in os.listdir(os.path.join(SOURCE, "src"))
                 if name.endswith(".h")]
        self.assertIn("kernels.h", doors)
        for name in sorted(doors):
            name = "src/" + name
            text = contents(os.path.join(self.p.top, name)).decode()
            self.refused({name: text + "/* edited */\n"}, f"edits {name}", 4,
                         "integrity",
                         f"changed outside .*{re.escape(name)} \\(modified\\)")
            self.p.git("checkout", "-q", "HEAD", "--", "src")

    @unittest.skipUnless(EACH_FILE, "make check-wall")
    def test_each_file(self):
        for name, text in self.files.items():
            with self.subTest(name):
                # Of what another machine's objects, or a test's alone, are made
                # of, the pause makes the same object each time: known.
                here = name in self.sources_of_objects()
                self.judged(self.with_pause({name: marked(name, text)}),
                            f"{name} edited, and a pause in each query",
                            () if here else ((0, "known"),))
                self.assertTrue(not here or any(
                    f"edited: {name};".encode() in contents(path)
                    for path in self.build.objects()), "no object has the mark")


@unittest.skipUnless(EACH_FILE, "make check-wall")
class Refusals(Kernels):
    """By tests of Check, and by lint."""

    CONFIGURE = ("CFLAGS=-Og",)

    def setUp(self):
        if "check_contract" not in " ".join(self.build.programs()):
            self.skipTest("needs Check")

    def test_statuses(self):
        self.refused(self.edited("PQK_INVALID_ARGUMENT", "PQK_OK"),
                     "success for two codes with one label", 2, "tests",
                     "share a label.*success")

    def test_more_refusals(self):
        """Failures where there are none; what the library has inline."""
        self.refused(self.edited(r"return PQK_OK;", "return PQK_OUT_OF_MEMORY;"),
                     "failures where success is due", 2, "tests",
                     "tests/library/check_contract: ")
        self.refused(self.appended(
            '#include "base/memory.h"\n'
            "extern int pqk_scalar_fits(size_t a, size_t b);\n"
            "int pqk_scalar_fits(size_t a, size_t b)\n{\n"
            "    return pqk_product_fits(a, b);\n}\n"),
                     "a header of the library", 1, "lint",
                     "includes base/memory.h: kernels include the door")


if __name__ == "__main__":
    unittest.main(verbosity=2)
