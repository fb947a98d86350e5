# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a would-be keep shares with machines that are not here: built for them, and
tested for equal results under an emulator."""

import os
import re
import shutil
import time

from . import blame, files, gate, process, progress
from .build import first_errors
from .ends import Ended

# Machine: the compiler's prefix, and as what this one may call itself.
TARGETS = {"aarch64": ("aarch64-linux-gnu", ("aarch64", "arm64")),
           "armhf": ("arm-linux-gnueabihf", ("armv7l", "armv8l")),
           "x86_64": ("x86_64-linux-gnu", ("x86_64",))}
EMULATORS = {"aarch64": "qemu-aarch64", "armhf": "qemu-arm",
             "x86_64": "qemu-x86_64"}
# All of it, in a series with a shorter limit; the first time, which is once a series,
# takes longest.
SECONDS = 600.0
# How much of the tests, under an emulator and where this machine runs them.
SCALES = ("0.1", "0.5")
# All variants against the reference, on known sets and on what a fuzzer makes up.
# These need no Check, which few have for another machine.
TESTS = ("selftest", "fuzz/fuzz_probe", "kernels/shapes")


OWN = "this machine"


def shares(changed):
    """Whether more than files of single variants is changed."""
    return any(not re.fullmatch(r"src/kernels/(ssse3|avx[a-z0-9]*|neon)\.c", name)
               for name in changed)


def gave(row):
    """Whether its verdict came from one of these machines.  That says nothing of the
    object code of the row, which is the series' own machine's: the same may come with
    other code for the others, and has passed all that is before them.  (To have their
    hashes in the key they had to be built first, which takes minutes and is done for
    what is kept only.)"""
    return row["reason"].partition(", tests/")[0] in TARGETS


def missing(target, which=shutil.which):
    """What a build and a test for it lack here; empty if nothing."""
    prefix, own = TARGETS[target]
    if os.uname().machine in own:
        return OWN
    absent = [name for name in (prefix + "-gcc", EMULATORS[target])
              if not (which(name) or which(name + "-static"))]
    return " and ".join(absent)


class Foreign:
    """The candidate's kernels, built for one other machine; .not_run has the variants
    that no CPU here can run."""

    def __init__(self, places, mark, target, left=lambda: SECONDS):
        self.places, self.mark, self.target = places, mark, target
        self.left = left
        self.folder = places.at("build." + target)
        self.is_here = missing(target) == OWN
        self.not_run = ()

    def _run(self, what, command, extra=None):
        seconds = self.left()
        result = process.run(
            command, os.path.join(self.places.outputs, f"{self.target}-{what}"),
            seconds, process.environment(self.mark, dict(
                extra or {}, cache=self.places.at("cache"))), self.folder)
        if result.late:
            raise Ended("time_budget", f"{self.target}: {what} took over "
                                       f"{seconds:.0f} s, of what a keep may take for "
                                       "other machines")
        return result

    def _prepare(self):
        if os.path.exists(os.path.join(self.folder, "Makefile")):
            return
        os.makedirs(self.folder, exist_ok=True)
        guess = os.path.join(self.places.tree, "build-aux", "config.guess")
        command = [os.path.join(self.places.tree, "configure"), "-q",
                   "--disable-shared", "--with-check=no"]
        if not self.is_here:
            command.append(f"--host={TARGETS[self.target][0]}")
        if os.path.exists(guess):
            command.append("--build=" + self._run("guess", [guess]).output.strip())
        result = self._run("configure", command)
        if result.code != 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise Ended("error", f"{self.target}: configure: "
                        f"{first_errors(result.output)}")

    def _emulator(self):
        """What configure found to run this build's programs with."""
        with open(os.path.join(self.folder, "Makefile"), encoding="utf-8") as file:
            found = re.search(r"^EMULATOR *= *(.*)$", file.read(), re.M)
        return found.group(1).split() if found else []

    def _make(self, names):
        made = self._run("make", ["make", f"-j{os.cpu_count() or 1}", *(
            "tests/" + name for name in names)])
        if made.code != 0:
            raise Ended("build", f"for {self.target}: {first_errors(made.output)}")

    def check(self, known, best):
        """The hash of the objects' code; raises Ended.  Code that is known to
        pass is not run again."""
        progress.say(f"building for {self.target}")
        self._prepare()
        self._make(TESTS)
        objects = [os.path.join(folder, name) for folder, _, names in os.walk(
            os.path.join(self.folder, "src")) for name in names
            if re.fullmatch(r"libpqk_.*\.o", name)]
        code = gate.code_hash(objects)
        if code == known:
            return code
        files.fresh_folder(self.places.scratch)
        for name in TESTS:
            progress.say(f"testing {self.target}: {name}" + (
                "" if self.is_here else ", under an emulator"))
            result = self._test(name)
            self._note_variants(result.output)
            if result.code != 0:
                raise Ended("tests", f"{self.target}, tests/{name}: "
                            f"{_first_failure(result.output)}" + best.said(
                                lambda: self._again(name, result.output),
                                self.left()))
        return code

    def _again(self, name, output):
        """What fails of the test if it is made of what lies there, in the same
        cases."""
        progress.say(f"trying the best for {self.target}: {name}")
        self._make([name])
        result = self._test(name, blame.seed_of(output))
        return _first_failure(result.output) if result.code != 0 else ""

    def _note_variants(self, output):
        found = re.search(r"^# variants:.*; not run: (.*)$", output, re.M)
        if found:
            self.not_run = tuple(re.findall(r"(\w+) \(not on this CPU\)",
                                            found.group(1)))

    def _test(self, name, extra=None):
        scratch = self.places.scratch
        return self._run(name.replace("/", "-"), process.confined(scratch, [
            *self._emulator(), os.path.join("tests", name)]), {
            "TMPDIR": scratch, "XDG_CACHE_HOME": scratch, "HOME": scratch,
            "srcdir": self.places.tree, "abs_top_srcdir": self.places.tree,
            "PQK_TEST_SCALE": SCALES[self.is_here], **(extra or {})})


def _first_failure(output):
    lines = [line for line in output.split("\n") if line.startswith("not ok")] or \
        output.strip().split("\n")[-1:]
    return lines[0]


def check(places, mark, known, best, judged=None, seconds=SECONDS):
    """({target: hash}, [what was not done]).  Raises Ended if one fails.  What the
    series judges has been built and tested: this machine, or that of a counted
    series.  All of them take no more than so many seconds."""
    found, undone = {}, []
    until = time.monotonic() + seconds

    def left():
        return max(1.0, until - time.monotonic())
    for target in TARGETS:
        absent = missing(target)
        if target == judged or absent == OWN and not judged:
            continue
        if absent and absent != OWN:
            undone.append(f"{target} ({absent} not installed)")
            continue
        one = Foreign(places, mark, target, left)
        try:
            found[target] = one.check(known.get(target), best)
        finally:
            progress.end()
        if one.not_run:
            undone.append(f"{target}'s {', '.join(one.not_run)} (no such CPU here)")
    return found, undone
