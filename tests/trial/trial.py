# SPDX-License-Identifier: MIT OR Apache-2.0
"""scripts/trial on a tiny project whose judge says what its library tells it.

Run by tests/trial/trial.sh.  What takes long is made up here: configure, the tests,
lint and run_experiment are scripts; compiler, object gate, git, log and journal
are real.  tests/trial/wall.py has trials on the project itself.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.environ["abs_top_srcdir"]
SCRIPTS = os.path.join(SOURCE, "scripts")
WORK = os.environ["PQK_TRIAL_WORK"]
THOROUGH = bool(os.environ.get("PQK_THOROUGH"))
sys.path.insert(0, SCRIPTS)

from pqtrial import gate, log  # noqa: E402

CONFIGURE = r"""#!/bin/sh
cat >Makefile <<'END'
HERE = $(CURDIR)
CHECK_LIBS =
CC = cc
PROGRAMS = tests/selftest tests/fuzz/fuzz_probe
all: libpqkern.la run_experiment
OBJECTS = src/.libs/libpqk_scalar_la-kernels.o \
	src/kernels/.libs/libpqk_scalar_la-layout.o
src/libpqk_scalar_la-kernels.lo: ../tree/src/kernels.c ../tree/src/kernels/a.h
	mkdir -p src/.libs src/.deps && $(CC) -O2 -fPIC -I. -c \
		-MD -MF src/.deps/libpqk_scalar_la-kernels.Plo -MT $@ \
		-o src/.libs/libpqk_scalar_la-kernels.o $<
	touch $@
src/kernels/libpqk_scalar_la-layout.lo: ../tree/src/kernels/layout.c ../tree/src/kernels/a.h
	mkdir -p src/kernels/.libs && $(CC) -O2 -fPIC -c -o src/kernels/.libs/libpqk_scalar_la-layout.o $<
	touch $@
libpqkern.la: src/libpqk_scalar_la-kernels.lo src/kernels/libpqk_scalar_la-layout.lo
	mkdir -p .libs && $(CC) -shared -o .libs/libpqkern.so $(OBJECTS)
	touch $@
run_experiment: ../tree/judge
	cp ../tree/judge $@
tests/%: ../tree/test libpqkern.la
	mkdir -p tests/fuzz tests/kernels && cp ../tree/test $@
lint:
	! grep -n ' warning: ' ../tree/src/kernels/a.h
END
"""
# Reads what to do in the library: SAY verdict speedup, STATUS, SLEEP; FIRST loses in
# the first second; UNTIL is unresolved in less; LOSES in a look at that way.
JUDGE = r"""#!/usr/bin/env python3
import hashlib, json, re, sys, time
a = dict(zip(sys.argv[1::2], sys.argv[2::2]))
data = open(a["--library"], "rb").read()
def told(key, default):
    found = re.search(key.encode() + rb" ([a-z0-9_.]+)", data)
    return found.group(1).decode() if found else default
time.sleep(float(told("SLEEP", "0")) if "--look" not in sys.argv else 0)
against = open(a["--against"], "rb").read()
looks, seconds = "--look" in sys.argv, float(a["--measure"])
open(a["--json"] + ".asked", "a").write(" ".join(sys.argv[1:]) + "\n")
if a["--library"] == a["--against"]:
    verdict, speedup, status = "same", 1.0, "ok"
else:
    verdict, speedup = told("SAY", "same"), float(told("RATIO", "1.0"))
    if against.endswith(b"slowed"):
        verdict, speedup = "faster", 1.5
    status = told("STATUS", "ok")
    if seconds < float(told("UNTIL", "0")) and not looks:
        verdict = status = "unresolved"
        speedup = 1.011
    if looks:
        verdict, status = "none", "ok"
        if told("LOSES", "") == a["--scan"] and seconds > 1:
            speedup = 0.95
json.dump({"source": "photos", "num_base": 20000, "recall_at_10": 0.69,
    "geomean_ns_per_query": 10000, "peak_mem_mb": 4.7, "status": status,
    "verdict": verdict, "speedup": speedup, "reason": "", "confirmation": "none",
    "stopped_early": int(looks and told("FIRST", "") == "loses"),
    "speedup_ci95": [speedup - 0.002, speedup + 0.002],
    "null_ci95": [0.999, 1.001], "stream_ns": 3000, "kernel": "scalar",
    "exact_queries": told("EXACT", "9") + "/9", "seed": 7, "cpu": "made up",
    "guards": "ok", "guard_k100": [1.0, 0.99, 1.01, 0.01],
    "library_sha256": hashlib.sha256(data).hexdigest(),
    "against_sha256": hashlib.sha256(against).hexdigest()},
    open(a["--json"], "w"))
codes = {"ok": 0, "error": 1, "recall": 2, "time_budget": 3, "integrity": 4,
         "impossible": 4, "crash": 5, "hang": 5, "unresolved": 6}
sys.exit(codes[status])
"""
TEST = r"""#!/bin/sh
lib=.libs/libpqkern.so
if grep -q TESTFAIL $lib; then
    echo "check_x.c:7:F:tails:test_tails:0: row 3 differs"; exit 1; fi
if grep -q TESTCRASH $lib; then kill -SEGV $$; fi
if grep -q EXCHANGE $lib; then
    best=../best/libpqkern.so
    chmod u+w .. $best; mv ../scratch/x $best; echo >$TMPDIR/mine
    { cat $lib; printf slowed; } >$best
    touch -d tomorrow src/*.lo || true; fi
"""
KERNELS = '#include "kernels/a.h"\n' \
    "const char *pqk_scalar_said(void) { return SAID; }\n"
LAYOUT = '#include "a.h"\nint pqk_layout_x(int x) { return x + 1; }\n'


def said(text):
    return f'/* kernels */\n#define SAID "{text}"\n'


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


class Project:
    """A clone with a series begun, in a folder with a blank in its name."""

    FILES = (("bootstrap", "#!/bin/sh\n", 0o755),
             ("configure", CONFIGURE, 0o755), ("judge", JUDGE, 0o755),
             ("test", TEST, 0o755), ("data/x", "data\n", 0o644),
             ("src/kernels.c", KERNELS, 0o644),
             ("src/kernels/layout.c", LAYOUT, 0o644),
             ("src/kernels/a.h", said("first"), 0o644),
             (".gitignore", "/.trial/\n/results.tsv\n__pycache__/\n", 0o644))

    def __init__(self, folder, first="first"):
        self.top = folder
        self.lock = folder + ".lock"
        for name, text, mode in self.FILES:
            write(os.path.join(folder, name), text, mode)
        if first != "first":
            self.say(first)
        self.git("init", "-q")
        self.git("config", "user.name", "Tester")
        self.git("config", "user.email", "tester@example.org")
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "begin")

    def git(self, *arguments):
        return subprocess.run(["git", "-C", self.top, *arguments], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              universal_newlines=True).stdout

    def env(self, **more):
        home = os.path.join(os.path.dirname(self.top), "no-home")
        env = dict(os.environ, PQKERN_TRIAL_LOCK=self.lock, HOME=home,
                   GIT_CONFIG_GLOBAL="/dev/null", GIT_CONFIG_SYSTEM="/dev/null")
        env.pop("MAKEFLAGS", None)
        env.pop("MAKELEVEL", None)
        return dict(env, **more)

    def start(self, *arguments, cwd=None, **how):
        return subprocess.Popen(
            [sys.executable, os.path.join(SCRIPTS, "trial"), *arguments],
            cwd=cwd or self.top, env=self.env(), stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, universal_newlines=True, **how)

    def trial(self, *arguments, **how):
        process = self.start(*arguments, **how)
        out, _ = process.communicate(timeout=900)
        return process.returncode, out

    def edit(self, text, name="src/kernels/a.h"):
        write(os.path.join(self.top, name), text)

    def say(self, text):
        self.edit(said(text))

    def rows(self):
        return log.read(os.path.join(self.top, "results.tsv"))

    def head(self):
        return self.git("rev-parse", "HEAD").strip()


class Clone(Project):
    """Of the project itself."""

    def __init__(self, folder):
        self.top = os.path.join(folder, "clone")
        self.lock = folder + ".lock"
        subprocess.run(["git", "clone", "-q", SOURCE, self.top], check=True)
        self.git("config", "user.name", "Tester")
        self.git("config", "user.email", "tester@example.org")


class TrialTest(unittest.TestCase):
    FIRST = "first"

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(dir=WORK)
        cls.p = Project(os.path.join(cls.folder, "a project"), cls.FIRST)
        code, out = cls.p.trial("--baseline")
        if code != 0:
            raise AssertionError(out)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    def ended(self, code, status, *arguments, keep="discard", **how):
        """One trial; its row is the last, its tree clean."""
        before = len(self.p.rows())
        got, out = self.p.trial(*(arguments or ("an idea, 2 %",)), **how)
        self.assertEqual(got, code, out)
        rows = self.p.rows()
        self.assertEqual(len(rows), before + 1, out)
        self.assertEqual(rows[-1]["status"], status, out)
        self.assertEqual(rows[-1]["keep"], keep, out)
        self.sound()
        return rows[-1], out

    def sound(self):
        code, out = self.p.trial("verify-log")
        self.assertEqual(code, 0, out)

    def clean(self):
        self.assertEqual(self.p.git("status", "--porcelain"), "")


class BestIsWrong(TrialTest):
    FIRST = "TESTFAIL first"

    def test_blame(self):
        """A candidate that fails with the best is not alone to blame."""
        self.p.say("TESTFAIL second")
        row, out = self.ended(2, "tests")
        self.assertRegex(row["reason"], "row 3 differs; the best fails it, too: .*row 3 "
                         f"differs: look at {self.p.head()[:12]} .trial 0.")
        self.assertRegex(out, "next: +the best itself is wrong")
        self.p.say("SAY faster RATIO 1.05 mended")
        self.ended(0, "ok", keep="keep")
        self.p.say("TESTFAIL third")
        row, _ = self.ended(2, "tests")
        self.assertRegex(row["reason"], "row 3 differs; the best passes it$")


class Outcomes(TrialTest):
    def test_winner_is_committed(self):
        self.p.say("SAY faster RATIO 1.05")
        self.p.edit("/* new */\n", "src/kernels/new.h")
        before = self.p.head()
        asked = os.path.join(self.p.top, ".trial/logs/result.json.asked")
        os.unlink(asked)
        row, out = self.ended(0, "ok", "win\tall, 5 %\nand more", keep="keep",
                              cwd=os.path.join(self.p.top, "src"))
        self.assertIn("speedup:", out)
        self.assertIn("of the equality tests need Check and do not run", out)
        self.clean()
        self.assertEqual(self.p.git("rev-parse", "HEAD~1").strip(), before)
        message = self.p.git("log", "-1", "--format=%B")
        self.assertTrue(message.startswith("kernels: win all, 5 %"), message)
        self.assertIn(f"Trial-Row: {row['hash']}", message)
        self.assertIn("1.0500 (1.0480 to 1.0520)", message)
        self.assertEqual(row["description"], "win\tall, 5 %\nand more")
        self.assertEqual(self.p.git("diff", "--name-only", before, "HEAD"),
                         "src/kernels/a.h\nsrc/kernels/new.h\n")
        # Looked at first, then judged, then looked at in the other ways.
        self.assertEqual(
            [re.search(r"--scan (\S+) --k (\S+) --measure (\S+)(.*)", line
                       ).groups() for line in contents(asked).decode().split("\n")
             if line],
            [("single", "10", "1", " --look"), ("single", "10", "6", ""),
             ("batch", "10", "3", " --look"), ("partitions", "10", "3", " --look")])
        self.assertIn("scan_batch:", out)
        patch = contents(os.path.join(self.p.top, ".trial/patches",
                                      row["trial"] + ".patch")).decode()
        self.assertIn("src/kernels/new.h", patch)
        self.assertRegex(patch, "(?s)^Trial .*: win all, 5 % and more\nOn .*keep; "
                         "scalar, made up")
        # The next one is compared with it.
        self.p.edit(said("SAY faster RATIO 1.05") + "/* a remark */\n")
        self.ended(0, "null")
        self.clean()

    def test_loser_is_restored_and_known(self):
        text = "SAY slower RATIO 0.9"
        self.p.say(text)
        self.p.edit("/* new */\n", "src/kernels/loses.h")
        row, _ = self.ended(0, "ok")
        self.assertEqual(row["verdict"], "slower")
        self.clean()
        self.assertFalse(os.path.exists(
            os.path.join(self.p.top, "src/kernels/loses.h")))
        patch = os.path.join(self.p.top, ".trial/patches",
                             row["trial"] + ".patch")
        self.p.git("apply", patch)
        again, _ = self.ended(0, "known")
        self.assertIn("trial " + row["trial"], again["reason"])
        self.assertEqual(again["verdict"], "slower")
        self.clean()

    def test_first_second(self):
        """A clear loser is dropped before the equality tests, nobody else."""
        self.p.say("FIRST loses TESTFAIL")
        row, _ = self.ended(0, "ok")
        self.assertEqual(row["verdict"], "slower")
        self.assertIn("first second", row["reason"])
        self.p.say("FIRST wins TESTFAIL SAY faster RATIO 1.5")
        self.ended(2, "tests")
        self.clean()

    def test_second_measurement(self):
        self.p.say("UNTIL 12 SAY faster RATIO 1.03 second")
        row, out = self.ended(0, "ok", keep="keep")
        self.assertIn("measuring once more, for 12 s instead of 6 s", out)
        self.assertIn("measured twice", out)
        self.p.say("UNTIL 13 SAY faster RATIO 1.03 never")
        self.ended(6, "unresolved")
        self.clean()

    def test_veto_of_another_way(self):
        self.p.say("SAY faster RATIO 1.05 LOSES batch")
        row, out = self.ended(0, "ok")
        self.assertEqual(row["verdict"], "vetoed")
        self.assertRegex(row["reason"], "faster in .*slower in .*scan:batch 0.95")
        self.assertIn("scan:batch 0.9500", row["looks"])
        self.clean()

    def test_look(self):
        """No row, no number, and the tree as it was."""
        self.p.say("SAY faster RATIO 1.25 glance")
        rows, status = self.p.rows(), self.p.git("status", "--porcelain")
        code, out = self.p.trial("look")
        self.assertEqual(code, 0, out)
        self.assertIn("1.2500 (1.2480 to 1.2520) times as fast", out)
        self.assertEqual(self.p.rows(), rows)
        self.assertEqual(self.p.git("status", "--porcelain"), status)
        self.p.git("checkout", "-q", "--", "src")
        code, out = self.p.trial("look")
        self.assertIn("the same object code as the best", out)

    def test_null_and_nothing(self):
        header = os.path.join(self.p.top, "src/kernels/a.h")
        self.p.edit(contents(header).decode() + "/* a remark */\n\n")
        self.ended(0, "null")
        self.clean()
        code, out = self.p.trial("nothing at all")
        self.assertEqual(code, 1)
        self.assertIn("nothing to try", out)

    def test_simpler(self):
        self.p.edit(said("SAY same b") + "\n#define UNUSED\n")
        self.ended(0, "ok", "as fast, more lines", "--simpler")
        self.p.edit(KERNELS.replace("(void) {", "(void)\n{"), "src/kernels.c")
        self.p.edit(said("SAY faster RATIO 1.01 c"))
        self.ended(0, "ok", keep="keep")
        self.p.edit(KERNELS, "src/kernels.c")
        row, _ = self.ended(0, "null", "fewer lines", "--simpler", keep="keep")
        self.assertIn("1 lines less", row["reason"])
        self.clean()

    def test_what_fails(self):
        for text, code, status, why in (
                ("TESTFAIL", 2, "tests", "test_tails: row 3 differs"),
                ("TESTCRASH", 5, "crash", "signal 11"),
                ("STATUS recall", 2, "recall", None),
                ("STATUS impossible", 4, "impossible", None),
                ("STATUS hang", 5, "hang", None),
                ("STATUS unresolved", 6, "unresolved", None),
                ("STATUS time_budget", 3, "time_budget", None),
                ("EXACT 8", 2, "recall", "8/9")):
            with self.subTest(text):
                self.p.say(text)
                row, _ = self.ended(code, status, keep="crash" if code == 5
                                    else "discard")
                self.assertRegex(row["reason"], why or "^")
                self.clean()

    def test_build_and_lint(self):
        self.p.edit("#define SAID 1 +\n")
        row, _ = self.ended(1, "build")
        self.assertIn("error", row["reason"])
        self.p.edit(said("y") + "/* x: warning: y */\n")
        self.ended(1, "lint")
        self.clean()

    def test_full_disk_while_building(self):
        """Nothing that the code could be mended of."""
        self.p.edit(KERNELS + "#error x.o: No space left on device\n",
                    "src/kernels.c")
        row, out = self.ended(1, "error")
        self.assertIn("No space left on device", row["reason"])
        self.assertNotIn("typing error", out)
        self.clean()

    def test_strange_series(self):
        path = os.path.join(self.p.top, ".trial/series.json")
        before = contents(path).decode()
        for text in ("{}", "[]", '{"id": "x"}'):
            write(path, text)
            for command in ("status", "verify-log", "an idea"):
                code, out = self.p.trial(command)
                self.assertEqual(code, 1, out)
                self.assertIn("incomplete, there is no", out)
                self.assertNotIn("Traceback", out)
        write(path, before)

    def test_another_users_clone(self):
        if os.getuid() != 0:
            self.skipTest("only root can give a folder away")
        os.chown(self.p.top, 12345, 12345)
        try:
            code, out = self.p.trial("status")
        finally:
            os.chown(self.p.top, 0, 0)
        self.assertEqual(code, 1, out)
        self.assertIn("another user's clone", out)
        self.assertNotIn("release", out)

    def test_build_folder(self):
        """What lies there is in no commit."""
        beside = os.path.join(self.p.top, ".trial/build/extra.h")
        write(beside, said("SAY faster RATIO 1.05 built"))
        self.p.edit(KERNELS.replace("kernels/a.h", "extra.h"), "src/kernels.c")
        row, _ = self.ended(4, "integrity")
        self.assertRegex(row["reason"], "includes extra.h, which is no part")
        os.unlink(beside)
        self.clean()

    def test_gate(self):
        self.p.edit(KERNELS + "int stray(void) { return 1; }\n", "src/kernels.c")
        row, _ = self.ended(4, "integrity")
        self.assertRegex(row["reason"], "kernels.o: symbol stray")
        self.clean()


class Exchange(TrialTest):
    """A candidate that puts a slowed build in the place of the best."""

    def test_in_the_equality_tests(self):
        best = os.path.join(self.p.top, ".trial/best/libpqkern.so")
        before = contents(best)
        self.p.say("EXCHANGE")
        row, out = self.ended(0, "ok")
        self.assertEqual(row["verdict"], "same")
        self.assertEqual(contents(best), before)
        # It could write where tests may.
        self.assertTrue(os.path.exists(
            os.path.join(self.p.top, ".trial/scratch/mine")))
        tomorrow = time.time() + 3600
        for name in ("src", "src/kernels"):
            folder = os.path.join(self.p.top, ".trial/build", name)
            for file in os.listdir(folder):
                self.assertLess(os.stat(os.path.join(folder, file)).st_mtime,
                                tomorrow)
        self.assertNotIn("ran without", out)
        self.clean()

    def test_from_outside(self):
        """Where nothing forbids it, hashes tell."""
        best = os.path.join(self.p.top, ".trial/best/libpqkern.so")
        before = contents(best)
        self.p.say("SLEEP 3 SAY faster")
        waits = self.p.start("an idea")
        try:
            asked = os.path.join(self.p.top, ".trial/logs/result.json.asked")
            size = os.path.getsize(asked)
            until = time.monotonic() + 60
            while os.path.getsize(asked) == size:
                self.assertLess(time.monotonic(), until)
                time.sleep(0.05)
            write(best, "slowed", 0o644)
            out, _ = waits.communicate(timeout=120)
        finally:
            waits.kill()
        with open(best, "wb") as file:
            file.write(before)
        self.assertEqual(waits.returncode, 4, out)
        self.assertRegex(out, "the best was|not the build that was kept")
        self.clean()


class Elsewhere(TrialTest):
    """Edits outside the kernels."""

    def refused(self, what):
        row, out = self.ended(4, "integrity")
        self.assertIn(what, row["reason"])
        self.assertIn(what, out)

    def test_edits(self):
        self.p.say("SAY faster RATIO 1.2")
        judge = os.path.join(self.p.top, "judge")
        text = contents(judge).decode()
        write(judge, text + "# edited\n", 0o755)
        self.refused("judge (modified)")
        self.p.git("add", "judge")
        self.refused("judge (staged)")
        self.p.git("update-index", "--assume-unchanged", "judge")
        self.refused("judge")
        self.p.git("update-index", "--no-assume-unchanged", "judge")
        self.p.git("checkout", "-q", "HEAD", "--", "judge")
        write(os.path.join(self.p.top, "x y"), "")
        write(os.path.join(self.p.top, ".git/info/exclude"), "x y\n")
        before = self.p.rows()
        code, out = self.p.trial("with a stray file")
        self.assertEqual(code, 1, out)
        self.assertIn("not part of the commit: x y (untracked)", out)
        self.assertEqual(self.p.rows(), before)
        os.unlink(os.path.join(self.p.top, "x y"))
        self.p.git("commit", "-q", "-m", "unjudged", "src/kernels/a.h")
        self.refused("no trial judged it")
        self.p.git("reset", "-q", "--soft", "HEAD~1")
        write(judge, text + "# edited\n", 0o755)
        self.p.git("commit", "-q", "-m", "edited", "judge")
        self.refused("judge (committed)")
        self.p.git("reset", "-q", "--soft", "HEAD~1")
        self.p.git("reset", "-q")
        write(judge, text, 0o755)
        os.rename(os.path.join(self.p.top, "src/kernels/layout.c"),
                  os.path.join(self.folder, "layout.c"))
        os.symlink(os.path.join(self.folder, "layout.c"),
                   os.path.join(self.p.top, "src/kernels/layout.c"))
        self.refused("src/kernels/layout.c: a link")
        os.unlink(os.path.join(self.p.top, "src/kernels/layout.c"))
        self.p.git("checkout", "-q", "--", "src/kernels/layout.c")
        private = os.path.join(self.p.top, ".trial/judge/run_experiment")
        text = contents(private).decode()
        write(private, text + "\n", 0o755)
        self.refused("run_experiment is not as --baseline left it")
        write(private, text, 0o755)
        self.ended(0, "ok", keep="keep")
        self.clean()


class Interrupted(TrialTest):
    def start(self, text):
        shutil.rmtree(os.path.join(self.p.top, ".trial/logs"))
        self.p.say(text)
        return self.p.start("slow one, 1 %")

    def wait_for(self, path):
        for _ in range(2400):
            if os.path.exists(os.path.join(self.p.top, ".trial", path)):
                return
            time.sleep(0.05)
        self.fail(path + " does not appear")

    def test_signal(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            process = self.start("SLEEP 50")
            self.wait_for("logs/run.log")
            began = time.monotonic()
            process.send_signal(number)
            out, _ = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 128 + number, out)
            self.assertLess(time.monotonic() - began, 40)
            self.assertEqual(self.p.rows()[-1]["status"], "interrupted")
            self.sound()
            self.clean()
            self.assertNotIn("SLEEP", self.running())

    def running(self):
        out = ""
        for pid in os.listdir("/proc"):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    line = file.read().decode("utf-8", "replace")
                if self.p.top in line and "judge" in line:
                    out += line
            except OSError:
                pass
        return out

    def test_killed_while_building_and_measuring(self):
        for path, text in (("logs/make", "SLEEP 40"),
                           ("logs/run.log", "SLEEP 41")):
            process = self.start(text)
            self.wait_for(path)
            process.kill()
            process.communicate()
            before = len(self.p.rows())
            code, out = self.p.trial("the next")
            self.assertEqual(code, 1, out)
            self.assertIn("had been cut short: logged as interrupted", out)
            self.assertIn("nothing to try", out)
            self.assertEqual(len(self.p.rows()), before + 1)
            self.assertEqual(self.running(), "")
            self.sound()
            self.clean()
        # The edit is not lost, and edits made since stay.
        patch = os.path.join(self.p.top, ".trial/patches",
                             self.p.rows()[-1]["trial"] + ".patch")
        with open(patch, encoding="utf-8") as file:
            self.assertIn("SLEEP 41", file.read())
        process = self.start("SLEEP 40")
        self.wait_for("logs/run.log")
        process.kill()
        process.communicate()
        self.p.say("SAY slower RATIO 0.97")
        code, out = self.p.trial("the next")
        self.assertEqual(code, 0, out)
        self.assertIn("stay as they are", out)
        self.assertEqual([row["status"] for row in self.p.rows()[-2:]],
                         ["interrupted", "ok"])
        self.sound()
        self.clean()

    def test_killed_at_each_step_of_the_end(self):
        """Dies behind the n-th change of a file or ref, for each n; or for every
        third one, another third of those that are alike but for the commit."""
        stride = 1 if THOROUGH else 3
        for text, keep, step in (("SAY slower RATIO 0.8 n", "discard", 0),
                                 ("SAY faster RATIO 1.1 n", "keep", stride - 1)):
            killed = True
            while killed and step < 30:
                step += stride
                killed = self._killed_at(f"{text}{step}", keep, step)
            self.assertIn(step, range(7, 32))
            self.sound()

    def _killed_at(self, text, keep, step):
        self.p.say(text)
        before, head = len(self.p.rows()), self.p.head()
        code = subprocess.run(
            [sys.executable, os.path.join(SOURCE, "tests", "trial",
                                          "trial_dies.py"),
             str(step)], cwd=self.p.top, env=self.p.env(), check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT).returncode
        self.assertIn(code, (0, -signal.SIGKILL))
        killed = code != 0
        _, out = self.p.trial("the next")
        self.assertIn("nothing to try", out)
        rows = self.p.rows()
        self.assertEqual(len(rows), before + 1, out)
        self.assertEqual(rows[-1]["keep"], keep)
        self.assertEqual(self.p.head() != head, keep == "keep")
        if keep == "keep":
            self.assertEqual(self.p.git("rev-parse", "HEAD~1").strip(), head)
        self.clean()
        return killed

    def test_two_at_a_time(self):
        process = self.start("SLEEP 5 SAY slower RATIO 0.96")
        self.wait_for("logs/run.log")
        code, out = self.p.trial("another")
        self.assertEqual(code, 1)
        self.assertRegex(out, rf"pid {process.pid} since 2.*--wait")
        code, out = self.p.trial("another", "--wait")
        self.assertIn("nothing to try", out)
        process.communicate()
        self.assertEqual(process.returncode, 0)

    def test_stop(self):
        self.assertEqual(self.p.trial("stop")[0], 0)
        self.p.say("SAY faster")
        code, out = self.p.trial("x")
        self.assertEqual(code, 7, out)
        self.assertIn("stop --clear", out)
        self.assertEqual(self.p.trial("stop", "--clear")[0], 0)
        self.p.git("checkout", "-q", "--", "src")

    def test_no_identity(self):
        self.p.say("SAY faster")
        self.p.git("config", "--unset", "user.name")
        self.p.git("config", "--unset", "user.email")
        self.p.git("config", "user.useConfigOnly", "true")
        try:
            code, out = self.p.trial("x")
            self.assertEqual(code, 1)
            self.assertIn("git config user.name", out)
        finally:
            self.p.git("config", "user.name", "Tester")
            self.p.git("config", "user.email", "tester@example.org")
            self.p.git("checkout", "-q", "--", "src")


class Log(TrialTest):
    def setUp(self):
        self.path = os.path.join(self.p.top, "results.tsv")
        for n in range(len(self.p.rows()), 4):
            self.p.say(f"SAY slower RATIO 0.9{n}")
            self.ended(0, "ok", f"loser {n}")
        with open(self.path, encoding="utf-8") as file:
            self.lines = file.readlines()

    def broken(self, lines, line, what):
        with open(self.path, "w", encoding="utf-8") as file:
            file.writelines(lines)
        self.p.say("SAY faster RATIO 1.3")
        head = self.p.head()
        for arguments in (["verify-log"], ["try it"]):
            code, out = self.p.trial(*arguments)
            self.assertEqual(code, 4, out)
            self.assertRegex(out, f"line {line}: .*{what}")
            self.assertIn("cp .trial/results.tsv", out)
        self.assertEqual(self.p.head(), head)
        shutil.copy(os.path.join(self.p.top, ".trial/results.tsv"), self.path)
        self.sound()
        self.p.git("checkout", "-q", "--", "src")

    def test_edited(self):
        lines = list(self.lines)
        lines[2] = lines[2].replace("slower", "faster")
        self.broken(lines, 3, "edited")

    def test_removed(self):
        self.broken(self.lines[:2] + self.lines[3:], 3, "removed")

    def test_written_anew(self):
        """Sealed as the project does it, the head to match: commits tell."""
        self.p.say("SAY faster RATIO 1.07 anew")
        self.ended(0, "ok", keep="keep")
        path = os.path.join(self.p.top, "results.tsv")
        series = os.path.join(self.p.top, ".trial/series.json")
        before, head = contents(path), contents(series)
        rows, prev = log.read(path), None
        with open(path, "w", encoding="utf-8") as file:
            file.write(log.HEADER + "\n")
            for row in rows:
                row["description"] = row["description"].replace("an", "no")
                row = log.seal(row, prev or log.first_link(row["series"]))
                prev = row["hash"]
                file.write(log.line_of(row))
        write(series, head.decode().replace(rows[-1]["hash"], prev))
        log.verify(path, prev)
        self.p.say("SAY faster RATIO 1.08 anew")
        for arguments in (("verify-log",), ("an idea",)):
            code, out = self.p.trial(*arguments)
            self.assertEqual(code, 4, out)
            self.assertRegex(out, "the row of commit .* is missing")
        with open(path, "wb") as file:
            file.write(before)
        write(series, head.decode())
        # The same with a commit whose row the log has, and one that it has not.
        self.p.git("checkout", "-q", "--", "src")
        self.p.git("commit", "-q", "--amend", "-m", "by hand")
        code, out = self.p.trial("verify-log")
        self.assertEqual(code, 4, out)
        self.assertRegex(out, "was kept, and no commit since")
        self.p.git("reset", "-q", "--hard", "HEAD@{1}")
        self.sound()

    def test_removed_at_the_end(self):
        self.broken(self.lines[:-1], len(self.lines), "removed from the end")

    def test_emptied(self):
        self.broken([], 2, "removed")

    def test_inserted(self):
        rows = self.p.rows()
        forged = log.line_of(log.seal(dict(rows[1], keep="keep"),
                                      rows[1]["hash"]))
        self.broken(self.lines[:3] + [forged] + self.lines[3:], 5, "inserted")

    def test_appended(self):
        rows = self.p.rows()
        forged = log.line_of(log.seal(dict(rows[1], keep="keep"),
                                      rows[-1]["hash"]))
        self.broken(self.lines + [forged], len(self.lines) + 1, "inserted")

    def test_power_cut(self):
        """A row of which only a part reached the disk is taken back."""
        path = os.path.join(self.folder, "cut.tsv")
        first = log.seal({"trial": 1, "series": "s"}, log.first_link("s"))
        second = log.seal({"trial": 2, "series": "s"}, first["hash"])
        for row, length in ((first, 30), (first, len(log.HEADER) + 9),
                            (second, 7), (second, 1)):
            log.mend(path, log.line_of(row))
            whole = contents(path) if os.path.exists(path) else b""
            line = ("" if whole else log.HEADER + "\n") + log.line_of(row)
            with open(path, "ab") as file:
                file.write(line.encode()[:length])
            log.mend(path, log.line_of(row))
            if row is first and length > 30:
                self.assertEqual(contents(path).decode(), log.HEADER + "\n")
                log.append(path, row)
                continue
            self.assertEqual(contents(path), whole)
        log.append(path, second)
        self.assertEqual(len(log.verify(path, second["hash"])), 2)

    def test_cut(self):
        self.broken(self.lines[:-1] + [self.lines[-1][:-20]],
                    len(self.lines), "edited|cut off")

    def test_full_disk(self):
        """No byte more fits into results.tsv, then a part of the row does."""
        for more in (0, 100):
            self.p.say(f"SAY slower RATIO 0.8 more {more}")
            size = os.path.getsize(self.path)
            text = contents(self.path)
            code, out = self._with_full_log(size + more)
            self.assertEqual(code, 1, out)
            self.assertIn("results.tsv", out)
            self.assertEqual(contents(self.path), text)
            self.assertIn("a.h", self.p.git("status", "--porcelain"))
            # Room again: the row is written, without a second measurement.
            code, out = self.p.trial("next")
            self.assertIn("nothing to try", out)
            self.assertEqual(self.p.rows()[-1]["description"], "no room")
            self.sound()
            self.clean()

    def _with_full_log(self, limit):
        done = subprocess.run(
            [sys.executable, os.path.join(SOURCE, "tests", "trial",
                                          "trial_dies.py"),
             "full", str(limit)], cwd=self.p.top, env=self.p.env(), check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            universal_newlines=True)
        return done.returncode, done.stdout

    def test_report_needs_the_log_alone(self):
        folder = os.path.join(self.folder, "report")
        code, out = self.p.trial("report", "--output", folder)
        self.assertEqual(code, 0, out)
        if "python3-matplotlib" in out:
            self.assertEqual(os.listdir(folder), ["trials.md"])
            self.skipTest("no matplotlib")
        first = {}
        for name in sorted(os.listdir(folder)):
            first[name] = contents(os.path.join(folder, name))
        self.assertEqual(sorted(first), ["trials.md", "trials.png",
                                         "trials.svg"])
        self.assertIn(b"loser 2", first["trials.md"])
        self.p.trial("report", "--output", folder)
        for name, data in first.items():
            self.assertEqual(contents(os.path.join(folder, name)), data, name)

    def test_status(self):
        code, out = self.p.trial("status")
        self.assertEqual(code, 0, out)
        self.assertIn("loser", out)


class Series(unittest.TestCase):
    def test_cell_budget_and_numbers(self):
        """A second series goes on with the numbers, measures another cell, and
        ends after its trials."""
        folder = tempfile.mkdtemp(dir=WORK)
        p = Project(os.path.join(folder, "p"))
        self.assertEqual(p.trial("--baseline")[0], 0)
        p.say("SAY slower RATIO 0.9 one")
        self.assertEqual(p.trial("codes are fetched further ahead, 2 %")[0], 0)
        first = contents(os.path.join(p.top, ".trial/patches/1.patch"))
        code, out = p.trial("--baseline", "--scan", "partitions", "--k", "100",
                            "--trials", "1")
        self.assertEqual(code, 0, out)
        p.say("SAY faster RATIO 1.1 two")
        code, out = p.trial("fetch codes ahead, but further, 3 %")
        self.assertEqual(code, 0, out)
        self.assertRegex(out, "like trial 1 .*slower, 0.9000.*scalar, single, "
                         "k = 10, photos, made up")
        row = p.rows()[-1]
        self.assertEqual([row[name] for name in ("trial", "scan", "k", "cpu")],
                         ["2", "partitions", "100", "made up"])
        asked = contents(os.path.join(p.top, ".trial/logs/result.json.asked"))
        self.assertIn(b"--scan partitions --k 100 --measure 6", asked)
        self.assertEqual(contents(os.path.join(p.top, ".trial/patches/1.patch")),
                         first)
        p.say("SAY slower RATIO 0.9 three")
        code, out = p.trial("one too many")
        self.assertEqual(code, 7, out)
        self.assertIn("has had its trials", out)
        code, out = p.trial("status")
        self.assertRegex(out, r"(?s)earlier: .*1 trials, 0 kept.*"
                         "0 trials are left of the series")
        self.assertEqual(p.trial("verify-log")[0], 0)
        code, out = p.trial("replay")
        self.assertEqual(code, 0, out)
        self.assertRegex(out, r"trial 2: faster +1\.1000 .*there 1\.1000 .*: fetch")
        self.assertRegex(out, r"all: faster +1\.1000 .*the product was 1\.1000")
        code, out = p.trial("replay", "--series", p.rows()[0]["series"])
        self.assertEqual(code, 1)
        self.assertIn("kept nothing to replay", out)
        shutil.rmtree(folder)


class Gate(unittest.TestCase):
    """An object for each thing that must not be in one."""

    COMPILER = os.environ.get("CC") or "cc"

    def compiled(self, folder, text, *flags, name="x-kernels"):
        source = os.path.join(folder, "x.c")
        path = os.path.join(folder, name + ".o")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write(source, text)
        done = subprocess.run(
            [*self.COMPILER.split(), "-O2", "-fPIC", *flags, "-c", "-o", path,
             source], check=False, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, universal_newlines=True)
        if done.returncode != 0:
            self.skipTest(f"not for this compiler: {done.stdout}")
        return path

    def found(self, text, *flags, **how):
        with tempfile.TemporaryDirectory(dir=WORK) as folder:
            return "\n".join(gate.violations(self.compiled(folder, text, *flags,
                                                           **how)))

    def bad(self, what, text, *flags, **how):
        self.assertRegex(self.found(text, *flags, **how), what)

    def test_honest(self):
        self.assertEqual(self.found(
            "#include <string.h>\n#include <math.h>\n"
            "static const int table[4] = {1, 2, 3, 4};\n"
            "float pqk_scalar_f(float *p, int i) { memset(p, 0, 400);"
            " return sqrtf(p[i]) + (float)table[i & 3]; }\n"), "")

    def test_compilers_own(self):
        """Atomics, where AArch64 may have no instruction for them."""
        for name, bad in (("__aarch64_cas8_relax", ""), ("__aarch64_ldadd4_acq_rel", ""),
                          ("__aarch64_have_lse_atomics", "not among")):
            self.assertRegex(self.found(
                f"int {name}(void);\nint pqk_scalar_f(void) {{ return {name}(); }}"),
                bad or "^$")

    def test_symbols(self):
        self.bad("symbol helper: not one", "int helper(void) { return 1; }")
        self.bad("symbol pqk_version: not one",
                 "int pqk_version(void) { return 1; }")
        self.bad("symbol clock_gettime: not among",
                 "#include <time.h>\nint pqk_scalar_f(struct timespec *t)"
                 "{ return clock_gettime(CLOCK_MONOTONIC, t); }")
        self.bad("symbol malloc: not among", "#include <stdlib.h>\n"
                 "void *pqk_scalar_f(void) { return malloc(9); }")
        self.bad("weak", "__attribute__((weak)) int pqk_scalar_f(void)"
                 "{ return 1; }")
        self.bad("weak, unique or common", "int pqk_scalar_x;", "-fcommon")

    def test_names(self):
        """Variants and helpers are theirs, what the library says of them not."""
        for name in ("pqk_kernel_scalar", "pqk_kernel_avx512vbmi",
                     "pqk_kernel_atom", "pqk_kernel_counted", "pqk_heap_tighten",
                     "pqk_scalar_scan", "pqk_layout_of", "pqk_prepare_order",
                     "pqk_top_k_heap_push"):
            with self.subTest(name):
                self.assertEqual(self.found(f"extern const int {name}; "
                                            f"const int {name} = 1;"), "")
        for name in ("pqk_kernel_find", "pqk_kernel_at", "pqk_kernel_count",
                     "pqk_kernel_name", "pqk_kernel_available", "pqk_kernels",
                     "pqk_compute_distance_table_l2", "pqk_probe_pq_l2_top_k",
                     "pqk_compute_distance_table_l2_with", "pqk_prepared_create",
                     "pqk_cpu_features", "pqk_top_k_heap_bound", "prepare"):
            with self.subTest(name):
                self.bad(f"symbol {name}: not one", f"int {name}(void);\n"
                         f"int {name}(void) {{ return 1; }}")
                self.bad(f"symbol {name}: not among", f"int {name}(void);\n"
                         f"int pqk_scalar_f(void) {{ return {name}(); }}")

    def test_allocator(self):
        """For what prepares, in whatever folder the build is."""
        text = "#include <stdlib.h>\n" \
            "void *pqk_prepare_f(void) { return malloc(9); }"
        folder = "src/kernels/prepare/"
        for name in (folder + ".libs/libpqk_scalar_la-labels",
                     folder + "libpqk_scalar_la-order",
                     folder + "deeper/.libs/libpqk_scalar_la-x"):
            with self.subTest(name):
                self.assertEqual(self.found(text, name=name), "")
        for name in ("src/kernels/.libs/libpqk_scalar_la-prepare", "x-layout",
                     "src/kernels/scan/prepare/.libs/libpqk_scalar_la-x",
                     "src/kernels/prepared/.libs/libpqk_scalar_la-x"):
            with self.subTest(name):
                self.bad("symbol malloc: not among", text, name=name)

    def test_early_code(self):
        self.bad(r"init_array|ctors", "static volatile int x;\n__attribute__"
                 "((constructor)) static void f(void) { x = 1; }\n"
                 "int pqk_scalar_f(void) { return x; }")
        self.bad(r"fini_array|dtors", "static volatile int x;\n__attribute__"
                 "((destructor)) static void f(void) { x = 1; }\n"
                 "int pqk_scalar_f(void) { return x; }")
        self.bad("preinit_array", "static void f(void) {}\n__attribute__"
                 '((section(".preinit_array"), used)) static void (*g)(void)'
                 " = f;")
        self.bad("IFUNC", "static int f(void) { return 1; }\n"
                 "static int (*r(void))(void) { return f; }\n"
                 'int pqk_scalar_f(void) __attribute__((ifunc("r")));')

    def test_data(self):
        self.bad("thread-local", "static _Thread_local int x;\n"
                 "int *pqk_scalar_f(void) { return &x; }")
        self.bad("4 bytes of static data that can be written",
                 "int pqk_scalar_f(void) { static int n; return ++n; }")
        self.bad("bytes of constants;", "const char pqk_scalar_x[70000] = {1};")
        self.bad("of no kind|code outside", 'int pqk_scalar_f(void);\n'
                 '__attribute__((section("mine"), noinline)) '
                 "int pqk_scalar_f(void) { return 1; }")

    def test_sections(self):
        """By whole names, and all that is linked is in the hash."""
        table = '__attribute__((section("{}"))) const int pqk_scalar_x[{}] = ' \
            "{{{}}};\n"
        for name in (".eh_frame.table", ".eh_frame_hdr", ".note.gnu.property.x",
                     ".note.mine", ".rodatax", ".gcc_except_table"):
            with self.subTest(name):
                self.bad(f"section {name}.*: of no kind", table.format(name, 1, 7))
        for number in (1, 2):
            self.assertEqual(self.found(table.format(".rodata.x", 4, number)), "")
        with tempfile.TemporaryDirectory(dir=WORK) as folder:
            hashes = set()
            for number in (1, 2, 2):
                made = self.compiled(folder, table.format(".eh_frame", 4, number))
                hashes.add(gate.code_hash([made]))
            self.assertEqual(len(hashes), 2)
        self.bad("bytes of unwinding;", table.format(".eh_frame", 20000, 1))

    def test_stack(self):
        self.bad("stack that can be run", '__asm__(".section .note.GNU-stack,'
                 '\\"x\\",%progbits; .text");\nint pqk_scalar_f(void);\n'
                 "int pqk_scalar_f(void) { return 1; }")

    def test_addresses(self):
        """From memcpy it is not far to any other function."""
        for text in ("void *pqk_scalar_f(void) { return (void *)&memcpy; }",
                     "void *(*const pqk_scalar_x)(void *, const void *, size_t)"
                     " = memcpy;",
                     "typedef void *(*f)(void *, int, size_t);\n"
                     "f pqk_scalar_f(int i) { return i ? memset : 0; }"):
            with self.subTest(text):
                self.bad("the address of mem", "#include <string.h>\n" + text)
        for flag in ("-fplt", "-fno-plt"):
            self.assertEqual(self.found(
                "#include <string.h>\nint pqk_scalar_g(int i);\n"
                "int (*pqk_scalar_f(char *a, char *b, unsigned n))(int)\n"
                "{ memcpy(a, b, n); return pqk_scalar_g; }\n"
                "void *pqk_scalar_h(char *a, unsigned n) {"
                " return memset(a, 0, n); }", flag), "")

    def test_hidden_calls(self):
        if os.uname().machine != "x86_64":
            self.skipTest("instructions of one size")
        self.bad("bytes of a system call",
                 "int pqk_scalar_f(int i) { return i ^ 0x050f1234; }")

    def test_instructions(self):
        if os.uname().machine == "x86_64":
            words = ("syscall", "rdtsc", "rdtscp", "cpuid", "int $0x80",
                     "rdrand %eax", "rdfsbase %rax", "sysenter", "rdpmc",
                     "ldmxcsr (%rsp)", "clflush (%rsp)", "xgetbv")
            more = (("bytes that are no", ".byte 0x06"),
                    ("thread's own", "mov %fs:0, %rax"),
                    ("middle of an", "jmp 1f+1; 1: .byte 0xb8; syscall; nop;"
                     "nop"))
        elif os.uname().machine == "aarch64":
            words = ("svc #0", "mrs x0, cntvct_el0", "mrs x0, tpidr_el0")
            more = (("bytes that are no", ".inst 0"),)
        else:
            self.skipTest("no instructions to try for " + os.uname().machine)
        for word in words:
            with self.subTest(word):
                self.bad("instruction " + word.split()[0],
                         f'void pqk_scalar_f(void) {{ __asm__ volatile("{word}"'
                         "); }")
        for what, word in more:
            with self.subTest(word):
                self.bad(what, 'void pqk_scalar_f(void) { __asm__ volatile("'
                         f'{word}"); }}')

    def test_not_an_object(self):
        self.assertIn("not an ELF object", gate.violations(__file__)[0])
        self.assertIn("No such file", gate.violations("/no/such.o")[0])


if __name__ == "__main__":
    unittest.main(verbosity=2)
