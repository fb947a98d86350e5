# SPDX-License-Identifier: MIT OR Apache-2.0
"""The rules of scripts/trial one by one, without a project, a build or a judge.

Run by tests/trial/pieces.sh.  tests/trial/trial.py has whole trials.
"""

import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

SOURCE = os.environ["abs_top_srcdir"]
WORK = os.environ["PQK_TRIAL_WORK"]
sys.path.insert(0, os.path.join(SOURCE, "scripts"))

from pqcosts import measured, model, targets  # noqa: E402
from pqtrial import (blame, build, counted, doctor, foreign, glance,  # noqa: E402
                     host, judging, log, looks, measure, memory, progress, replay,
                     report, series, step, summary)
from pqtrial.ends import Ended, Refused  # noqa: E402
from pqtrial.files import Places  # noqa: E402


def old_row(number, prev):
    """A row as scripts/trial wrote it before there were other cells."""
    row = {name: "" for name in log.FIRST_COLUMNS}
    row.update(trial=str(number), series="old", prev=prev, status="ok", keep="keep",
               description=f"idea {number}")
    return dict(row, hash=log.hash_of(row, log.FIRST_COLUMNS))


def old_line(row):
    return "\t".join(log.escape(row[name]) for name in log.FIRST_COLUMNS) + "\n"


def a_row(trial, description, **more):
    row = {name: "" for name in log.COLUMNS}
    row.update(trial=str(trial), description=description, status="ok",
               verdict="slower", keep="discard", speedup="0.97", ci_low="0.96",
               ci_high="0.98", kernel="avx2", scan="single", k="10",
               source="photos", cpu="a CPU", series="s",
               timestamp="2026-11-29T01:00:00Z")
    return dict(row, **{name: str(value) for name, value in more.items()})


def a_block(low, high, null=(0.995, 1.005), **more):
    return dict({"status": "ok", "confirmation": "none",
                 "speedup": (low + high) / 2, "speedup_ci95": [low, high], "null_ci95": list(null),
                 "guards": "none", "cpu": "a CPU"}, **more)


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=WORK)
        self.places = Places(self.folder)

    def tearDown(self):
        shutil.rmtree(self.folder)


class Logs(Folder):
    def setUp(self):
        super().setUp()
        self.path = self.places.log
        header = "\t".join(log.FIRST_COLUMNS)
        first = old_row(0, log.first_link("old", header))
        second = old_row(1, first["hash"])
        with open(self.path, "w", encoding="utf-8") as file:
            file.write(header + "\n" + old_line(first) + old_line(second))
        self.last = second["hash"]

    def test_old_rows(self):
        rows = log.verify(self.path, self.last)
        self.assertEqual([row["description"] for row in rows], ["idea 0", "idea 1"])
        self.assertEqual((rows[1]["scan"], rows[1]["k"]), ("single", "10"))

    def test_goes_on(self):
        row = log.seal({"trial": 2, "series": "new", "scan": "batch"}, self.last)
        log.append(self.path, row)
        log.append(self.path, log.seal({"trial": 3, "series": "new"}, row["hash"]))
        rows = log.verify(self.path)
        self.assertEqual([row["trial"] for row in rows], ["0", "1", "2", "3"])
        self.assertEqual(rows[2]["scan"], "batch")
        with open(self.path, encoding="utf-8") as file:
            lines = file.readlines()
        self.assertEqual(lines.count(log.HEADER + "\n"), 1)
        # The header counts as a line, an edited row is found behind it.
        lines[4] = lines[4].replace("batch", "single")
        with open(self.path, "w", encoding="utf-8") as file:
            file.writelines(lines)
        with self.assertRaises(log.Broken) as caught:
            log.verify(self.path)
        self.assertEqual(caught.exception.line, 5)


class Memory(Folder):
    ROWS = (a_row(1, "Prefetch the codes of the next block further ahead, 2 %"),
            a_row(2, "Unroll the dense stage four times: fewer branches",
                  cpu="other", status="unresolved", speedup="", ci_low=""),
            a_row(3, "Sort survivors by address before they are summed"),
            a_row(4, "Prefetch the codes of the next block", status="lint"))

    def alike(self, text, patch=b""):
        return [row["trial"] for row, _ in memory.resembling(
            self.places, list(self.ROWS), text, patch)]

    def test_words(self):
        self.assertEqual(self.alike("prefetch codes of two blocks ahead, 4 %"),
                         ["1"])
        self.assertEqual(self.alike("the dense stage, unrolled: unroll it by eight"),
                         ["2"])
        self.assertEqual(self.alike("Keep the table in registers"), [])
        self.assertEqual(self.alike("codes"), [])

    def test_patches(self):
        os.makedirs(self.places.patches)
        patch = b"--- a/x\n+++ b/x\n@@\n-int first;\n+int   second;\n"
        with open(os.path.join(self.places.patches, "3.patch"), "wb") as file:
            file.write(b"Trial 3: words\n\n" + patch)
        self.assertEqual(self.alike("Quite another", patch.replace(b"   ", b" ")),
                         ["3"])
        self.assertEqual(self.alike("Quite another", b"+int other;\n-int first;\n"
                                    b"-a line;\n-b line;\n"), [])

    def test_told(self):
        text = memory.told(self.ROWS[0], "in words")
        for part in ("trial 1 in words", "slower, 0.9700 (0.9600 to 0.9800)",
                     "avx2, single, k = 10, photos", "a CPU", "2026-11-29"):
            self.assertIn(part, text)

    def test_numbers(self):
        self.assertEqual(memory.next_number(self.places, []), 1)
        self.assertEqual(memory.next_number(self.places, list(self.ROWS)), 5)
        os.makedirs(self.places.patches)
        for name in ("12.patch", "x.patch"):
            with open(os.path.join(self.places.patches, name), "w",
                      encoding="utf-8"):
                pass
        self.assertEqual(memory.next_number(self.places, list(self.ROWS)), 13)

    def test_series(self):
        rows = [a_row(0, "b", series="aa", keep="keep"),
                a_row(1, "w", series="aa", keep="keep", speedup="1.5"),
                a_row(0, "b", series="ab", keep="keep")]
        self.assertEqual(memory.chosen(rows, "", "x")[0]["series"], "ab")
        self.assertEqual(len(memory.chosen(rows, "aa", "x")), 2)
        for name, why in (("a", "2 series"), ("c", "no series begins with c")):
            with self.assertRaisesRegex(Refused, why):
                memory.chosen(rows, name, "x")
        self.assertIn("1 trials, 1 kept, 1.5000 times",
                      memory.series_line("aa", rows[:2]))


class Budget(unittest.TestCase):
    ROWS = [{"series": "s"}] * 3 + [{"series": "t"}] * 9

    def test_budget(self):
        for budget, why in (({}, None), ({"max_trials": 3}, None),
                            ({"max_trials": 2}, "its trials"),
                            ({"ends": time.time() + 60}, None),
                            ({"ends": time.time() - 1}, "its hours")):
            with self.subTest(budget):
                if why is None:
                    series.check_budget(dict(budget, id="s"), self.ROWS)
                    continue
                with self.assertRaisesRegex(Refused, why) as caught:
                    series.check_budget(dict(budget, id="s"), self.ROWS)
                self.assertEqual(caught.exception.code, 7)


class Known(unittest.TestCase):
    def test_known(self):
        """Other machines' tests say nothing of this one's object code."""
        for reason, wanted in (("armhf, tests/selftest: row 3", False),
                               ("tests/selftest: row 3", True)):
            old = a_row(7, "x", status="tests", reason=reason, object_hash="h")
            self.assertEqual(foreign.gave(old), not wanted)
            trial = mock.Mock(series={"id": "s", "best_object": "b"}, rows=[old], row={})
            self.assertEqual(step.Trial._seen_before(trial, "h"), wanted)


class Measuring(unittest.TestCase):
    def test_arguments(self):
        cell = {"source_asked": "photos", "kernel_asked": "avx2", "k": 100,
                "scan": "rows"}
        self.assertEqual(" ".join(measure.arguments(cell)),
                         "--source photos --scan rows --k 100 --measure 6 "
                         "--kernel avx2")
        self.assertEqual(" ".join(measure.arguments(
            cell, kernel="ssse3", scan="batch", k=10, seconds=3, look=True)),
            "--source photos --scan batch --k 10 --measure 3 --kernel ssse3 --look")

    def test_second_measurement(self):
        """Only where it may find a gain."""
        for wanted, block in (
                (True, a_block(1.0100, 1.0194)), (True, a_block(0.99, 1.03)),
                (True, a_block(1.02, 1.04, (0.97, 1.005))),
                (False, a_block(0.98, 1.005)),
                (False, a_block(1.0101, 1.03)),  # what it hides is the reason
                (True, a_block(1.0101, 1.03, guards="ok, not resolved: large")),
                (True, dict(a_block(0, 0), speedup_ci95=None)),
                (False, a_block(1.0, 1.03, confirmation="failed"))):
            with self.subTest(block):
                block["status"] = "unresolved"
                self.assertEqual(measure.could_be_kept(block), wanted)
                block["status"] = "ok"
                self.assertFalse(measure.could_be_kept(block))

    def test_measured(self):
        """What ran is what was built and what was kept."""
        block = {"status": "ok", "library_sha256": "built", "against_sha256": "best"}
        measure.check_measured(block, "built", "best")
        for built, best in (("another", "best"), ("built", "another")):
            with self.assertRaisesRegex(Ended, "measured was") as caught:
                measure.check_measured(block, built, best)
            self.assertEqual(caught.exception.status, "integrity")

    def test_machine_in_every_row(self):
        row = a_row(1, "x")
        row.update(measure.fields({"status": "error"}))
        self.assertEqual((row["cpu"], row["kernel"]), ("a CPU", "avx2"))
        row.update(measure.fields({"cpu": "new", "kernel": "ssse3"}))
        self.assertEqual((row["cpu"], row["kernel"]), ("new", "ssse3"))


class Looks(Folder):
    BLOCK = {"kernel": "avx2", "isa": "x86_64: scalar ssse3 avx2"}

    def test_wanted(self):
        """Variants whose code changed, and the ways but the series' own."""
        names = [name for name, _ in looks.wanted(
            {"scan": "batch"}, self.BLOCK, {"scalar": 1, "ssse3": 1, "avx2": 1},
            {"scalar": 1, "ssse3": 2, "avx2": 2, "avx512": 2})]
        self.assertEqual(names, ["kernel:ssse3", "scan:single", "scan:partitions"])

    def test_codes(self):
        """What all share is part of each."""
        with mock.patch.object(looks.gate, "code_hash", sorted):
            found = looks.codes(["a/libpqk_avx2_la-x.o", "b/libpqk_scalar_la-y.o"])
        self.assertEqual(found["avx2"], ["a/libpqk_avx2_la-x.o",
                                         "b/libpqk_scalar_la-y.o"])
        self.assertEqual(found["scalar"], ["b/libpqk_scalar_la-y.o"])

    def test_veto(self):
        for block, lost in ((a_block(0.95, 0.985), True),
                            (a_block(0.95, 0.995), False),
                            (a_block(0.5, 1.08), False), (a_block(1.1, 1.2), False),
                            ({"status": "ok"}, False)):
            with self.subTest(block):
                self.assertEqual(bool(looks.veto([("kernel:ssse3", block)])), lost)
        self.assertRegex(looks.veto([("scan:batch", a_block(0.95, 0.97))]),
                         r"faster in .*, slower in .*scan:batch 0.9600 \(0.9500 to")

    def test_bad_end(self):
        with self.assertRaisesRegex(Ended, "scan:single: row 3") as caught:
            looks.take(lambda how: {"status": "recall", "reason": "row 3"},
                       {"scan": "batch", "source_asked": "x"}, self.BLOCK, {}, {})
        self.assertEqual(caught.exception.status, "recall")

    def test_again(self):
        """What loses is looked at twice, and that decides; what is counted is not."""
        for target, said, kept in (("", (0.9, 1.0), 1.0), ("", (0.9, 0.95), 0.95),
                                   ("", (1.0, 0.9), 1.0), ("x", (0.9, 1.0), 0.9)):
            with self.subTest((target, said)), \
                    mock.patch.object(looks, "wanted", return_value=[("one", {})]), \
                    mock.patch.object(measure, "arguments"):
                ends = iter(said)
                found = looks.take(lambda how: a_block(0.5, next(ends)),
                                   {"target": target}, self.BLOCK, {}, {})
                self.assertEqual(found, [("one", a_block(0.5, kept))])


def some_figures(**more):
    """Two cells' figures, of which more says what is other than usual."""
    usual = {"cycles": 200.0, "instructions": 100.0, "loads": 30.0, "branches": 10.0,
             "bytes_read": 12.0, "answers": "a", "queries": 32, "codes": 20000}
    return {cell: dict(usual, **more.get(cell, {}), **more.get("both", {}))
            for cell in ("one", "two")}


class Counted(Folder):
    ROW = {"cpu": "neoverse-n1 (aarch64), modelled", "kernel": "neon",
           "scan": "photos-k10+encode", "source": "photos"}

    def test_verdict(self):
        """From 0.5 % on, both ways."""
        for cycles, best, wanted in (
                (200, 201, "faster"), (200, 200.99, "same"), (200, 200, "same"),
                (200.99, 200, "same"), (201, 200, "slower"), (100, 200, "faster")):
            with self.subTest((cycles, best)):
                said, speedup = counted.verdict(
                    some_figures(one={"cycles": cycles}, two={"cycles": 1}),
                    some_figures(one={"cycles": best}, two={"cycles": 9}), ["one"])
                self.assertEqual(said, wanted)
                self.assertAlmostEqual(speedup, best / cycles)

    def test_verdict_of_several(self):
        """Their geometric mean: a cell of few cycles weighs as much as another."""
        mine = some_figures(one={"cycles": 1}, two={"cycles": 8000})
        best = some_figures(one={"cycles": 4}, two={"cycles": 4000})
        said, speedup = counted.verdict(mine, best, ["one", "two"])
        self.assertEqual(said, "faster")
        self.assertAlmostEqual(speedup, 2 ** 0.5)
        self.assertEqual(counted.verdict(best, mine, ["one", "two"])[0], "slower")

    def lost(self, primary, **more):
        return [(cell, figure) for cell, figure, _ in counted.losses(
            some_figures(**more), some_figures(), primary)]

    def test_guards(self):
        for figure, usual, primary, other in (
                ("cycles", 200, None, 0.01), ("instructions", 100, 0.05, 0.01),
                ("loads", 30, 0.05, 0.05), ("branches", 10, 0.05, 0.05),
                ("bytes_read", 12, 0.01, 0.01)):
            for cell, limit in (("one", primary), ("two", other)):
                with self.subTest((figure, cell)):
                    if limit is None:  # that is what the verdict is of
                        self.assertEqual(self.lost(["one"], one={figure: 900}), [])
                        continue
                    for much, found in ((0.9, []), (1.1, [(cell, figure)])):
                        value = usual * (1 + much * limit)
                        self.assertEqual(self.lost(["one"], **{cell: {figure: value}}),
                                         found)
        # None of several may pay for another.
        self.assertEqual(self.lost(["one", "two"], one={"cycles": 203}),
                         [("one", "cycles")])
        self.assertEqual(self.lost(["one"], both={"bytes_read": None}), [])

    def test_judged(self):
        more = {"bytes_read": 13.0}
        for cycles, wanted in ((150, "vetoed"), (200, "vetoed"), (250, "slower")):
            block = counted.judged(some_figures(one={"cycles": cycles}, two=more),
                                   some_figures(), ["one"])
            self.assertEqual((block["verdict"], block["guards"]),
                             (wanted, "lost: two"))
            self.assertEqual("two bytes_read +8.33 %" in block["reason"],
                             wanted == "vetoed")
        block = counted.judged(some_figures(one={"cycles": 150}), some_figures(),
                               ["one"])
        self.assertEqual((block["verdict"], block["guards"]), ("faster", "ok"))
        block = counted.judged(some_figures(two={"answers": "b"}), some_figures(),
                               ["one"])
        self.assertEqual((block["status"], block["reason"][:4]), ("recall", "two:"))

    def test_series_of_row(self):
        row = a_row(1, "x", **self.ROW)
        found = counted.series_of_row(row)
        self.assertEqual(counted.target_of(found).name, "aarch64")
        self.assertEqual(found["cells"], ("photos-k10", "encode"))
        how = measure.arguments(found)
        self.assertEqual(how[:6], ["--target", "aarch64", "--core", "neoverse-n1",
                                   "--kernel", "neon"])
        # What the series is about, then the usual ones, none twice.
        self.assertEqual(counted.cells_of(how), [
            "photos-k10", "encode", "parts-8192", "lists-2048", "photos-k100",
            "photos-rows"])
        self.assertIn("scalar", measure.arguments(found, kernel="scalar"))
        self.assertFalse(counted.is_counted(a_row(1, "x")))
        self.assertEqual(counted.series_of_row(dict(row, scan=counted.ALL))["cells"],
                         counted.CELLS)

    def test_words(self):
        row = a_row(1, "x", **self.ROW, ci_low="0.97", ci_high="0.97")
        self.assertEqual(memory.cell_of(row), "neon, photos-k10+encode, photos")
        self.assertEqual(summary.interval(row), "0.9700")
        message = summary.commit_message(dict(row, hash="h"))
        self.assertIn("by modelled cycles", message.replace("\n", " "))
        self.assertNotIn("interval", message)

    def test_looks(self):
        """At variants whose code changed, not at ways: those are cells."""
        self.assertEqual(looks.wanted(
            {"target": "aarch64", "scan": counted.ALL},
            {"kernel": "neon", "isa": "aarch64: neon scalar"},
            {"neon": 1, "scalar": 1}, {"neon": 2, "scalar": 2}),
            [("kernel:scalar", {"kernel": "scalar"})])

    def test_early(self):
        """Only a loser is let go before the tests."""
        for status, verdict, wanted in (
                ("ok", "slower", True), ("ok", "same", False), ("ok", "vetoed", False),
                ("ok", "faster", False), ("recall", "none", False),
                ("time_budget", "slower", False)):
            block = {"status": status, "verdict": verdict}
            row = {"library_sha256": ""}
            judge = judging.Judging(self.places, {"best_library": ""},
                                    mock.Mock(target="x"), row, lambda: 90.0, None)
            with mock.patch.object(measure, "compare", return_value=block) as compare, \
                    mock.patch.object(measure, "check_measured"), \
                    mock.patch.object(measure, "arguments"):
                self.assertEqual(judge.loses_at_once(), wanted)
            self.assertEqual("neither lint" in row.get("reason", ""), wanted)
            self.assertEqual(judge.block, block if wanted else {})
            # The rest of the time is for tests, whatever counting comes to.
            self.assertEqual(compare.call_args[0][5], 45.0)

    def test_counted_once(self):
        """The same program under the same tools; another is counted again."""
        os.makedirs(self.places.home)
        path = self.places.at("program")
        how = ["--core", "c", "--cell", "one"]
        with mock.patch.object(counted.Counter, "_count") as count, \
                mock.patch.object(counted, "Model"), \
                mock.patch.object(counted.targets, "qemu_version") as qemu:
            count.return_value, qemu.return_value = {"one": {"cycles": 1}}, (7, 2)
            for number, (data, version) in enumerate((
                    (b"one", (7, 2)), (b"two", (7, 2)), (b"two", (8, 0))), 1):
                with open(path, "wb") as file:
                    file.write(data)
                qemu.return_value = version
                for _ in range(2):
                    counter = counted.Counter(self.places, "mark", 9)
                    self.assertEqual(counter.figures(path, how),
                                     {"one": {"cycles": 1}})
                self.assertEqual(count.call_count, number)


class Costs(unittest.TestCase):
    def test_targets(self):
        for text, name in (("aarch64", "aarch64"), ("aarch64-linux-gnu", "aarch64"),
                           ("arm-linux-gnueabihf", "armhf"), ("amd64", "x86_64")):
            self.assertEqual(targets.named(text).name, name)
        self.assertIsNone(targets.named("vax"))

    def test_loads_and_branches(self):
        for name, loads, branches, neither in (
                ("aarch64", ("ldr q0, [x1]", "ld1 { v0.16b }, [x2]", "ldp x0, x1, [x2]"),
                 ("b.ne 0", "cbz x0, 0", "ret", "blr x3"),
                 ("str q0, [x1]", "prfm pldl1keep, [x2]", "bic x0, x1, x2")),
                ("armhf", ("vld1.8 {d0, d1}, [r0]!", "ldr r0, [r1]", "vldr s0, [r1]"),
                 ("bne 0", "bx lr"), ("vst1.8 {d0}, [r0]", "bic r0, r1")),
                ("x86_64", ("vmovups (%rdi,%rax), %ymm0", "addq %rax, (%rdi)",
                            "vpaddusb (%rsi), %ymm1, %ymm2", "popq %rbx",
                            "movb (%rsi), %r11b; movb %r11b, (%rdi)",
                            "movzbl 4(%rsi), %eax", "movq %fs:40, %rax"),
                 ("jne 0", "callq 0", "retq"),
                 ("movq %rax, (%rdi)", "vmovups %ymm0, 32(%rdi)", "leaq (%rdi), %rax",
                  "vpextrb $3, %xmm0, (%rdi)", "prefetcht0 (%rdi)", "addq %rax, %rbx",
                  "nopw (%rax,%rax)", "rep stosq %al, %es:0"))):
            target = targets.TARGETS[name]
            for texts, wanted in ((loads, (2, 0)), (branches, None), (neither, (0, 0))):
                for text in texts:
                    with self.subTest((name, text)):
                        found = model.kinds(target, {4: text}, {(4,): 2})
                        if wanted is None:
                            self.assertEqual(found[1], 2)
                        else:
                            self.assertEqual(found, wanted)

    def test_pace(self):
        """A loop waits for its last round, other blocks and summaries do not."""
        pace = model.pace_of({"Total Cycles": 100.0 * model.ITERATIONS,
                              "Total uOps": 80.0 * model.ITERATIONS,
                              "Dispatch Width": 4.0, "Block RThroughput": 7.5})
        self.assertEqual(pace, (100, 20))
        self.assertIsNone(model.pace_of({"Total Cycles": 3.0}))
        for core, is_loop, wanted in (("znver4", True, 100), ("znver4", False, 20),
                                      ("neoverse-n1", False, 20),
                                      ("cortex-a72", False, 20),
                                      ("cortex-a55", False, 100)):
            self.assertEqual(model.one_run(core, is_loop, pace), wanted)
        self.assertIsNone(model.one_run("znver4", True, None))

    def test_agreement(self):
        """Ranks, ties among them; one clock rate for all."""
        self.assertEqual(measured.ranks([5, 1, 5, 9]), [2.5, 1, 2.5, 4])
        rank, rate, errors = measured.agreement([(4, 1), (8, 2), (12, 3)])
        self.assertAlmostEqual(rank, 1)
        self.assertAlmostEqual(rate, 4)
        self.assertAlmostEqual(max(map(abs, errors)), 0)
        rank, rate, errors = measured.agreement([(2, 2), (8, 1)])
        self.assertAlmostEqual(rank, -1)
        self.assertAlmostEqual(rate, 8 ** 0.5)
        self.assertAlmostEqual(errors[1], 8 ** 0.5 - 1)


class Foreign(Folder):
    def test_shares(self):
        for names, wanted in ((["src/kernels/avx2.c", "src/kernels/neon.c"], False),
                              (["src/kernels/avx512vbmi.c"], False),
                              (["src/kernels/ymm.h"], True),
                              (["src/kernels.c"], True),
                              (["src/kernels/results.c"], True),
                              (["src/kernels/prepare/neon.c"], True)):
            self.assertEqual(foreign.shares(names), wanted, names)

    def test_missing(self):
        with mock.patch.object(foreign.os, "uname") as uname:
            uname.return_value.machine = "x86_64"
            self.assertEqual(foreign.missing("x86_64"), "this machine")
            self.assertEqual(foreign.missing("aarch64", lambda name: None),
                             "aarch64-linux-gnu-gcc and qemu-aarch64")
            self.assertEqual(foreign.missing(
                "armhf", lambda name: name.endswith(("gcc", "arm-static"))), "")

    def test_not_what_is_judged(self):
        """A counted series has this machine built instead of its own target."""
        for judged, wanted in ((None, ["aarch64", "armhf"]),
                               ("aarch64", ["armhf", "x86_64"])):
            with mock.patch.object(foreign, "Foreign") as made, \
                    mock.patch.object(foreign, "missing", lambda name:
                                      foreign.OWN if name == "x86_64" else ""):
                made.return_value.not_run = ()
                found, undone = foreign.check(self.places, "mark", {}, None, judged)
            self.assertEqual((sorted(found), undone), (wanted, []))
            self.assertEqual(made.call_count, 2)

    def test_not_run(self):
        """Variants that no CPU here has are no news of an equality."""
        with mock.patch.object(foreign, "Foreign") as made, \
                mock.patch.object(foreign, "missing", lambda name: ""):
            made.return_value.not_run = ("avx512",)
            _, undone = foreign.check(self.places, "mark", {}, None, "aarch64")
        self.assertEqual(undone[1], "x86_64's avx512 (no such CPU here)")
        one = foreign.Foreign(self.places, "mark", "aarch64")
        one._note_variants("# variants: scalar; not run: avx2 (not on this CPU), neon "
                           "(not in this build), avx512 (not on this CPU)\n1..1\n")
        self.assertEqual(one.not_run, ("avx2", "avx512"))

    def prepared(self, test):
        """A folder in which a build is ready and a test says so."""
        self.folder_ = os.path.join(self.places.home, "build.aarch64")
        os.makedirs(os.path.join(self.folder_, "src"))
        os.makedirs(self.places.outputs)
        with open(os.path.join(self.folder_, "Makefile"), "w",
                  encoding="utf-8") as file:
            file.write("EMULATOR = sh\ntests/%:\n"
                       f"\tmkdir -p tests/fuzz tests/kernels && echo '{test}' >$@\n")
        return foreign.Foreign(self.places, "mark", "aarch64")

    def test_check(self):
        best = mock.Mock()
        best.said.side_effect = lambda again, left: f"; again: {again()}"
        with mock.patch.object(foreign.gate, "code_hash", lambda paths: "code"), \
                mock.patch("sys.stdout", io.StringIO()) as out:
            wrong = self.prepared("echo not ok 7 - row 3, $${PQK_A_SEED-PQK_A_SEED=5}; "
                                  "exit 1")
            with self.assertRaisesRegex(
                    Ended, "aarch64, tests/selftest: .*row 3, PQK_A_SEED=5; again: "
                    "not ok 7 - row 3, 5") as caught:
                wrong.check("another", best)
            self.assertEqual(caught.exception.status, "tests")
            # The same code has passed before.
            self.assertEqual(wrong.check("code", best), "code")
        self.assertRegex(out.getvalue(), "^building for aarch64\ntesting aarch64: "
                         "selftest, under an emulator\n")

    def test_own_machine(self):
        """What needs no emulator has more of the tests."""
        for own, scale in ((foreign.OWN, "0.5"), ("", "0.1")):
            with mock.patch.object(foreign, "missing", return_value=own), \
                    mock.patch.object(foreign.Foreign, "_emulator", return_value=[]), \
                    mock.patch.object(foreign.Foreign, "_run") as run:
                foreign.Foreign(self.places, "mark", "x86_64")._test("selftest")
            self.assertEqual(run.call_args[0][2]["PQK_TEST_SCALE"], scale)

    def test_time(self):
        """All machines together have the seconds that are given."""
        with mock.patch.object(foreign.time, "monotonic", lambda: clock[0]), \
                mock.patch.object(foreign, "Foreign") as made, \
                mock.patch.object(foreign, "missing", lambda name: ""):
            clock = [100.0]
            made.return_value.not_run = ()
            foreign.check(self.places, "mark", {}, None, "aarch64", 300.0)
            lefts = [call[0][3] for call in made.call_args_list]
            clock[0] = 350.0
            self.assertEqual([left() for left in lefts], [50.0, 50.0])
        os.makedirs(self.places.at("build.armhf"))
        os.makedirs(self.places.outputs)
        with self.assertRaisesRegex(Ended, "armhf: x took over 0 s") as caught:
            foreign.Foreign(self.places, "mark", "armhf", lambda: 0.1)._run(
                "x", ["sleep", "9"])
        self.assertEqual(caught.exception.status, "time_budget")


class Blame(Folder):
    def said(self, again, left=60.0):
        tree = mock.Mock()
        said = blame.Best(tree, "folder", {
            "best_commit": "abcdef0123456789", "best_trial": 5}).said(again, left)
        return said, tree

    def test_said(self):
        said, tree = self.said(lambda: "")
        self.assertEqual(said, "; the best passes it")
        tree.content.assert_called_once_with("abcdef0123456789")
        tree.lay_out.assert_called_once_with(tree.content.return_value, "folder")
        said, _ = self.said(lambda: "row 3")
        self.assertRegex(said, r"the best fails it, too: row 3: .*abcdef012345 \(trial 5")
        row = a_row(6, "x", status="tests", verdict="none", reason="row 3" + said)
        self.assertIn("--baseline", summary._next(row))
        self.assertIn("find out why", summary._next(dict(row, reason="row 3")))
        said, _ = self.said(mock.Mock(side_effect=Ended("error", "no room")))
        self.assertRegex(said, "not known: no room")
        said, tree = self.said(None, 1.0)
        self.assertRegex(said, "no time")
        tree.lay_out.assert_not_called()

    def test_seed(self):
        self.assertEqual(blame.seed_of("not ok - x; PQK_SHAPES_SEED=17 repeats it\n"),
                         {"PQK_SHAPES_SEED": "17"})
        self.assertEqual(blame.seed_of("not ok - row 3\n"), {})


class Progress(unittest.TestCase):
    def test_lines(self):
        for is_terminal, wanted in ((False, "one\ntwo\n"),
                                    (True, "\r\033[Kone\r\033[Ktwo\r\033[K")):
            with mock.patch("sys.stdout", io.StringIO()) as out:
                out.isatty = lambda: is_terminal
                progress.say("one")
                progress.say("two")
                progress.end()
            self.assertEqual(out.getvalue(), wanted)


class Words(unittest.TestCase):
    def test_subject(self):
        long = "the codes of all blocks are fetched much further ahead than before"
        for text, wanted in (
                ("Fetch ahead, 2 %", "kernels: Fetch ahead, 2 %"),
                ("Fetch further ahead: " + long, "kernels: Fetch further ahead"),
                (f"{long} and then {long}", "kernels: trial 7, 1.050 times as fast "
                 "with avx2")):
            row = a_row(7, text, verdict="faster", speedup="1.05")
            message = summary.commit_message(dict(row, hash="h"))
            subject, _, body = message.partition("\n")
            self.assertEqual(subject, wanted)
            self.assertLessEqual(len(subject), 72)
            if subject != "kernels: " + text:
                self.assertIn(" ".join(text.split()[:6]), " ".join(body.split()))
            self.assertIn("on a CPU", " ".join(body.split()))

    def shown(self, row, block, best=None):
        with mock.patch("builtins.print") as out:
            summary.show(row, block, best or {}, [], "", "", ["a note"])
        return "\n".join(call.args[0] for call in out.call_args_list)

    def test_block(self):
        row = a_row(3, "x", cells="gaussian 0.7500 0.5100 1.0800 1.1000; "
                    "k100 1.0000 0.0000 0.0000 0.0000", k="100",
                    looks="kernel:ssse3 0.9700 0.9200 1.0100", verdict="vetoed",
                    guards="ok, not resolved: gaussian k100", busy="others ran")
        out = self.shown(row, {"geomean_ns_per_query": 36000, "baseline_ns": 37000,
                               "table_ns": 900, "probe_ns": 2100,
                               "survivors": 0.001},
                         {"table_ns": 500, "probe_ns": 500, "survivors": 0.002,
                          "geomean_ns_per_query": 99999})
        for part in ("cell:                 avx2, single, k = 100, photos; a CPU",
                     "guards:               ok, not resolved: gaussian k100",
                     "guard_gaussian:       0.7500 (0.5100 to 1.0800); equal arms "
                     "differ by up to 1.1000",
                     "guard_k10:            1.0000, no interval",
                     "kernel_ssse3:         0.9700 (0.9200 to 1.0100); not resolved",
                     "36000; the best beside it 37000", "30 % of the query; 50 % of",
                     "0.001 (best: 0.002)", "busy:                 others ran",
                     "note:                 a note"):
            self.assertIn(part, out)
        self.assertNotIn("99999", out)  # of another hour

    def test_unresolved(self):
        row = a_row(3, "x", status="unresolved", busy="others ran")
        self.assertIn("try it once more", self.shown(row, {}))
        self.assertNotIn("try it once more", self.shown(dict(row, busy=""), {}))

    def test_lint_lines(self):
        self.assertEqual(build.lint_reason(
            "src/kernels/a.h:7: more than 84 columns\nlint: style: FAILED\n"
            "x.c:3:1: warning: y\n"),
            "src/kernels/a.h:7: more than 84 columns; x.c:3:1: warning: y")


class Host(unittest.TestCase):
    def test_busy(self):
        """One that computes is named, the own processes that ended are not."""
        every = host.busy
        with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as other:
            try:
                # Where more is going on, it is not among the busiest.
                with mock.patch.object(host, "busy", lambda: {
                        pid: used for pid, used in every().items()
                        if pid == other.pid}):
                    watch = host.Watch()
                    used = host.busy()[other.pid][0]
                    while host.busy()[other.pid][0] < used + 0.3:
                        time.sleep(0.05)
                    said = watch.said()
            finally:
                other.kill()
        self.assertRegex(said, rf"others used \d+ % of a processor: .*pid "
                         f"{other.pid}, ")

    def test_renamed(self):
        """What it used before does not count, whatever it was called then."""
        with mock.patch.object(host, "busy", side_effect=[{7: (900.0, "old")},
                                                          {7: (900.0, "new")}]):
            self.assertEqual(host.Watch().heavy(), [])

    def test_own(self):
        with mock.patch.object(host, "ticks", side_effect=[[0] * 8, [
                100 * os.sysconf("SC_CLK_TCK")] + [0] * 7]), \
                mock.patch.object(host, "_own_seconds", side_effect=[0.0, 100.0]):
            self.assertEqual(host.Watch().said(), "")

    def test_doctor(self):
        def lines(*found):
            return "\n".join(doctor.said(found, [("noise", "quiet")]))
        quiet, loud = a_block(0.998, 1.002), a_block(0.96, 1.04, (0.98, 1.02))
        self.assertIn("Go on: trials can be judged", lines((6.0, quiet)))
        out = lines((6.0, a_block(0.9, 1.1)), (12.0, loud))
        self.assertRegex(out, "Go on with ideas that promise more than 6 %")
        self.assertIn("Remedy: quiet.", out)
        self.assertIn("Do not go on now", lines((6.0, a_block(0.8, 1.2))))
        with self.assertRaisesRegex(Refused, "no measurement: error"):
            lines((6.0, {"status": "error"}))


class Glance(unittest.TestCase):
    REPORT = ("   60|[.] exact_sum |exact.h:26\n   30|[.] exact_sum |exact.h:25\n"
              "   10|[.] scan.part.0|scan.h:7\n"
              "  900|[.] pqk_prepare_order.constprop.0|order.c:1\nnothing\n")

    def test_profile(self):
        samples = glance.parsed(self.REPORT, {"pqk_prepare_order"})
        self.assertEqual(sum(sample[0] for sample in samples), 100)
        out = "\n".join(glance.said(samples))
        self.assertRegex(out, r"90\.0 %  exact_sum\n   10\.0 %  scan")
        self.assertRegex(out, r"(?s)Lines.*60\.0 %  exact\.h:26\n   30\.0 %")

    def test_counts(self):
        out = "\n".join(glance.counts({
            "num_base": 20000, "bytes_read_per_code": 14.5, "survivors": 0.01,
            "bytes_per_code": 19, "bound_groups": 64, "geomean_ns_per_query": 5000,
            "table_ns": 1000, "probe_ns": 4000, "stream_ns": 3000}))
        for part in ("290000 bytes read", "200.0 survivors", "64 groups",
                     "table 1000, probe 4000"):
            self.assertIn(part, out)


    def test_without_perf(self):
        """The instructions of the series' cell are counted instead."""
        place = mock.Mock(places=Places("/top"), series={
            "scan": "partitions", "k": 10, "kernel": "avx2"})
        with mock.patch.object(glance.shutil, "which", lambda name: None), \
                mock.patch.object(glance.subprocess, "run") as run, \
                mock.patch("builtins.print") as out:
            run.return_value.returncode = 3
            self.assertEqual(glance._profile(place), 3)
            command = " ".join(run.call_args[0][0])
            self.assertIn("linux-perf", out.call_args_list[0].args[0])
            place.series["k"] = 7
            with self.assertRaisesRegex(Refused, "no cell like"):
                glance._profile(place)
        self.assertIn("/top/scripts/costs --functions --cell parts-8192 --kernel "
                      "avx2", command)


class Reports(Folder):
    def test_without_matplotlib(self):
        rows = [a_row(0, "begin", keep="keep", geomean_ns_per_query=100,
                      stream_ns=10, series="old"),
                a_row(0, "begin", keep="keep", geomean_ns_per_query=100,
                      stream_ns=10),
                a_row(1, "an idea")]
        with mock.patch.object(report, "_can_draw", lambda: False), \
                mock.patch("builtins.print"):
            self.assertEqual(report.write(rows[1:], self.folder, rows), 0)
        self.assertEqual(os.listdir(self.folder), ["trials.md"])
        with open(os.path.join(self.folder, "trials.md"), encoding="utf-8") as file:
            text = file.read()
        self.assertIn("an idea", text)
        self.assertNotIn("trials.svg", text)
        self.assertRegex(text, "Other series of this log\n\n- old 2026")


class Replay(unittest.TestCase):
    def test_chain(self):
        class Tree:
            @staticmethod
            def git(*arguments, may_fail=False):
                if arguments[0] == "log":
                    return "c1 h1\nc9 \nc2 h2\n"
                return (0, "c0\n") if may_fail else ""
        rows = [a_row(0, "b", keep="keep", hash="h0", commit="c0"),
                a_row(1, "w", keep="keep", hash="h1"), a_row(2, "l", hash="hx"),
                a_row(3, "v", keep="keep", hash="h2")]
        self.assertEqual([commit for _, commit in replay.chain(Tree, rows)],
                         ["c0", "c1", "c2"])
        with self.assertRaisesRegex(Refused, "trial 4 .*has no commit"):
            replay.chain(Tree, rows + [a_row(4, "x", keep="keep", hash="h4")])

    def test_said(self):
        block = a_block(0.97, 0.99, verdict="vetoed", reason="slower in rows")
        line = replay.said(a_row(3, "x", speedup="1.3", ci_low="1.2",
                                 ci_high="1.4"), block, "trial 3")
        self.assertRegex(line, r"trial 3: vetoed +0\.9800 .*there 1\.3000 .*slower "
                         "in rows")


if __name__ == "__main__":
    unittest.main(verbosity=2)
