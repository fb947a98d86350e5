# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a would-be keep shares with machines that are not here: built for them, and
tested for equal results under an emulator."""

import os
import re
import shutil

from . import files, gate, process
from .build import first_errors
from .ends import Ended

# Machine: the compiler's prefix, and as what this one may call itself.
TARGETS = {"aarch64": ("aarch64-linux-gnu", ("aarch64", "arm64")),
           "armhf": ("arm-linux-gnueabihf", ("armv7l", "armv8l")),
           "x86_64": ("x86_64-linux-gnu", ("x86_64",))}
EMULATORS = {"aarch64": "qemu-aarch64", "armhf": "qemu-arm",
             "x86_64": "qemu-x86_64"}
# All of it; the first time, which is once a series, takes longest.
SECONDS = 600.0
# All variants against the reference, on known sets and on what a fuzzer makes up.
# These need no Check, which few have for another machine.
TESTS = ("selftest", "fuzz/fuzz_probe", "kernels/shapes")


OWN = "this machine"


def shares(changed):
    """Whether more than files of single variants is changed."""
    return any(not re.fullmatch(r"src/kernels/(ssse3|avx[a-z0-9]*|neon)\.c", name)
               for name in changed)


def missing(target, which=shutil.which):
    """What a build and a test for it lack here; empty if nothing."""
    prefix, own = TARGETS[target]
    if os.uname().machine in own:
        return OWN
    absent = [name for name in (prefix + "-gcc", EMULATORS[target])
              if not (which(name) or which(name + "-static"))]
    return " and ".join(absent)


class Foreign:
    """The candidate's kernels, built for one other machine."""

    def __init__(self, places, mark, target):
        self.places, self.mark, self.target = places, mark, target
        self.folder = places.at("build." + target)

    def _run(self, what, command, seconds, extra=None):
        result = process.run(
            command, os.path.join(self.places.outputs, f"{self.target}-{what}"),
            seconds, process.environment(self.mark, dict(
                extra or {}, cache=self.places.at("cache"))), self.folder)
        if result.late:
            raise Ended("time_budget", f"{self.target}: {what} took over "
                                       f"{seconds:.0f} s")
        return result

    def _prepare(self):
        if os.path.exists(os.path.join(self.folder, "Makefile")):
            return
        os.makedirs(self.folder, exist_ok=True)
        guess = os.path.join(self.places.tree, "build-aux", "config.guess")
        command = [os.path.join(self.places.tree, "configure"), "-q",
                   "--disable-shared", "--with-check=no"]
        if missing(self.target) != OWN:
            command.append(f"--host={TARGETS[self.target][0]}")
        if os.path.exists(guess):
            command.append("--build=" + self._run("guess", [guess], 60.0
                                                  ).output.strip())
        result = self._run("configure", command, SECONDS)
        if result.code != 0:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise Ended("error", f"{self.target}: configure: "
                        f"{first_errors(result.output)}")

    def _emulator(self):
        """What configure found to run this build's programs with."""
        with open(os.path.join(self.folder, "Makefile"), encoding="utf-8") as file:
            found = re.search(r"^EMULATOR *= *(.*)$", file.read(), re.M)
        return found.group(1).split() if found else []

    def check(self, known):
        """The hash of the objects' code; raises Ended.  Code that is known to
        pass is not run again."""
        self._prepare()
        made = self._run("make", ["make", f"-j{os.cpu_count() or 1}", *(
            "tests/" + name for name in TESTS)], SECONDS)
        if made.code != 0:
            raise Ended("build", f"for {self.target}: {first_errors(made.output)}")
        objects = [os.path.join(folder, name) for folder, _, names in os.walk(
            os.path.join(self.folder, "src")) for name in names
            if re.fullmatch(r"libpqk_.*\.o", name)]
        code = gate.code_hash(objects)
        if code == known:
            return code
        files.fresh_folder(self.places.scratch)
        for name in TESTS:
            self._test(name)
        return code

    def _test(self, name):
        scratch = self.places.scratch
        result = self._run(name.replace("/", "-"), process.confined(scratch, [
            *self._emulator(), os.path.join("tests", name)]), SECONDS, {
            "TMPDIR": scratch, "XDG_CACHE_HOME": scratch, "HOME": scratch,
            "srcdir": self.places.tree,
            "abs_top_srcdir": self.places.tree, "PQK_TEST_SCALE": "0.1"})
        if result.code != 0:
            lines = [line for line in result.output.split("\n")
                     if line.startswith("not ok")] or \
                result.output.strip().split("\n")[-1:]
            raise Ended("tests", f"{self.target}, tests/{name}: {lines[0]}")


def check(places, mark, known, judged=None):
    """({target: hash}, [what was not done]).  Raises Ended if one fails.  What the
    series judges has been built and tested: this machine, or that of a counted
    series."""
    found, undone = {}, []
    for target in TARGETS:
        absent = missing(target)
        if target == judged or absent == OWN and not judged:
            continue
        if absent and absent != OWN:
            undone.append(f"{target} ({absent} not installed)")
            continue
        found[target] = Foreign(places, mark, target).check(known.get(target))
    return found, undone
