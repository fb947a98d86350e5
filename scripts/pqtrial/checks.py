# SPDX-License-Identifier: MIT OR Apache-2.0
"""Lint and equality tests of a built candidate, side by side."""

import os
import re
import signal

from . import blame, counted, files, process
from .build import FUZZER, lint_reason
from .ends import Ended

FAILED = re.compile(r":(\d+):([FE]):([^:]*):([^:]*):(\d+): (.*)$")
# Two at a time; the longest first.  A series with a limit for a slow host, or one
# that others use, gives them their share of it.
TEST_SECONDS = 60.0
TEST_SHARE = 0.6
QUICK_TOOLS = ("gcc", "clang", "cppcheck")
SLOW_TOOLS = ("clang-tidy",)


def _failure(name, result):
    """The status and reason of a test program that did not pass."""
    if result.late:
        return "hang", f"tests/{name}: no end after {result.seconds:.0f} s"
    for line in result.output.split("\n"):
        match = FAILED.search(line)
        if match:
            case = f"tests/{name}: {match.group(4)}: {match.group(6)}"
            if "timeout" in match.group(6).lower():
                return "hang", case
            if match.group(2) == "E" and "signal" in match.group(6).lower():
                return "crash", case
            return "tests", case
    last = [line for line in result.output.split("\n") if line.strip()][-1:]
    shown = f"tests/{name}: {last[0] if last else 'no output'}"
    if result.code is not None and result.code < 0 and \
            not (name == FUZZER and result.code == -signal.SIGABRT):
        return "crash", f"{shown} (killed by signal {-result.code})"
    return "tests", shown


class Checks:
    """All of them; .absent has the linters that did not run, .unconfined what the
    tests could have reached.  What a test finds wrong is looked for in the best,
    too."""

    def __init__(self, places, build, left, best):
        self.places, self.build = places, build
        self.left, self.best = left, best
        self.until = left()
        self.absent = set()
        self.unconfined = process.lacks()

    def _start(self, what, command, extra):
        env = process.environment(self.build.mark, dict(
            extra, cache=self.places.at("cache")))
        output = os.path.join(self.places.outputs, what.replace("/", "-"))
        seconds = min(self.until, max(TEST_SECONDS, TEST_SHARE * self.until))
        return process.Running(command, output, seconds, env, self.places.build)

    def _test(self, name, extra=None):
        """It has the candidate's code in it."""
        scratch = self.places.scratch
        command, extra = [os.path.join("tests", name)], dict(extra or {})
        if self.build.target:
            command = counted.emulator(self.places.build, self.build.target) + command
            extra["PQK_TEST_SCALE"] = counted.SHARE_OF_TESTS
        return self._start(name, process.confined(scratch, command), {
            **extra, "TMPDIR": scratch, "TEMP": scratch,
            "XDG_CACHE_HOME": scratch, "HOME": scratch,
            "abs_top_srcdir": self.places.tree,
            "srcdir": self.places.tree, "CK_VERBOSITY": "normal"})

    def _lint(self, tools):
        return self._start("lint-" + tools[-1], [
            "make", "-s", "lint",
            "LINTFLAGS=--kernels --only " + ",".join(tools)], {})

    def thorough(self):
        """What takes too long for a candidate that may lose anyway; left out,
        and said so, where there is no time."""
        self.until = self.left()
        result = self._lint(SLOW_TOOLS).wait() if self.until > 5.0 else None
        if result is None or result.late:
            self.absent |= set(SLOW_TOOLS)
            return
        self._note_absent(result)
        if result.code != 0:
            raise Ended("lint", lint_reason(result.output))

    def run(self):
        """Raises Ended at the first that fails."""
        names = self.build.programs()
        files.fresh_folder(self.places.scratch)
        first = self._test(names[0])
        try:
            self._finish_lint(self._lint(QUICK_TOOLS))
            found = None
            for name in names[1:]:
                found = found or self._wrong(name, self._test(name))
            found = found or self._wrong(names[0], first)
        finally:
            first.end()
        if found:
            self._blame(*found)

    def _finish_lint(self, running):
        result = running.wait()
        if result.late:
            raise Ended("time_budget", "lint took over "
                                       f"{result.seconds:.0f} s")
        self._note_absent(result)
        if result.code != 0:
            raise Ended("lint", lint_reason(result.output))

    def _note_absent(self, result):
        for line in result.output.split("\n"):
            if line.startswith("lint: not run:"):
                self.absent |= set(line[14:].split(" (")[0].split())

    @staticmethod
    def _wrong(name, running):
        result = running.wait()
        return (name, result) if result.code != 0 else None

    def _blame(self, name, result):
        status, reason = _failure(name, result)
        if status in ("tests", "crash"):
            reason += self.best.said(lambda: self._again(name, result.output),
                                     self.left())
        raise Ended(status, reason)

    def _again(self, name, output):
        """What fails of the test if it is made of what lies there, in the same
        cases."""
        print(f"trying the best with tests/{name}, which the candidate fails",
              flush=True)
        self.until = self.left()
        self.build.make_test(name, self.until)
        result = self._test(name, blame.seed_of(output)).wait()
        return _failure(name, result)[1].partition(": ")[2] if result.code != 0 else ""
