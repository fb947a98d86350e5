# SPDX-License-Identifier: MIT OR Apache-2.0
"""One step of the loop, and the first: a trial, a baseline."""

import os
import platform
import secrets
import signal
import time

from . import (blame, counted, files, foreign, lock, log, looks, measure, memory,
               process, summary)
from . import series as series_of
from .build import Build
from .checks import Checks
from .ends import EXIT_OF, EXIT_STOPPED, ABOUT_CODE, Ended, Refused
from .journal import Journal, recover
from .judging import Judging
from .tree import Tree, code_lines

LIMIT_SECONDS = 180.0
# A series with a limit for a slow host gives a build its share of it, too.
BUILD_SECONDS, BUILD_SHARE = 60.0, 0.4


def now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def blank_row(series, trial, description):
    """A row that says nothing yet."""
    row = measure.fields({})
    row.update(timestamp=now(), source=series.get("source", ""),
               description=description, trial=trial, keep="discard",
               host=platform.node(), cpu=series.get("cpu", ""),
               kernel=series.get("kernel", ""), series=series["id"],
               scan=series.get("scan", "single"), k=series.get("k", 10))
    return row


def interrupted_row(state):
    row = blank_row(state["series"], state["trial"], state["description"])
    row.update(status="interrupted", commit=state["parent"][:7],
               reason="ended by a signal or with the machine")
    return row


def ignore_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def check_stop(places):
    if os.path.exists(places.stop):
        raise Refused("stopped: somebody asked for it (scripts/trial stop); "
                      "scripts/trial stop --clear lets trials go on",
                      EXIT_STOPPED)


class Trial:
    def __init__(self, places, series, rows, description, simpler):
        self.places, self.series, self.rows = places, series, rows
        self.simpler = simpler
        self.tree = Tree(places)
        self.mark = secrets.token_hex(16)
        self.build = Build(places, self.mark, counted.target_of(series))
        self.began = time.monotonic()
        self.snapshot = None
        self.absent, self.unconfined = set(), []
        self.stages = []
        self.known_status = "error"
        self.parent = self.tree.head()
        self.trial = memory.next_number(places, rows)
        self.row = blank_row(series, self.trial, description)
        self.row.update(commit=self.parent[:7])
        self.best = blame.Best(self.tree, places.tree, series)
        self.judging = Judging(places, series, self.build, self.row, self.left,
                               self.best)
        self.journal = Journal(places, {
            "mark": self.mark, "trial": self.trial, "stage": "running",
            "description": description, "parent": self.parent, "tree": None,
            "series": series, "prev": series["head"],
            "head_before": series["head"]})

    def left(self):
        return max(1.0, self.series["limit"] - (time.monotonic() - self.began))

    def _timed(self, what, call, *arguments):
        began = time.monotonic()
        try:
            return call(*arguments)
        finally:
            self.stages.append(f"{what} {time.monotonic() - began:.0f}")

    def run(self):
        """Returns the exit code."""
        process.catch_signals()
        code = None
        try:
            try:
                self._judge()
            except Ended as end:
                self._ended(end)
            ignore_signals()
        except process.Interrupted as signal_:
            process.sweep(self.mark)
            code = 128 + signal_.number
            self.row.update(status="interrupted", keep="discard",
                            reason=str(signal_))
        if code is None:
            code = self._code()
        return self._conclude(code)

    def _ended(self, end):
        self.judging.block = end.block or self.judging.block
        self.row.update(measure.fields(self.judging.block)
                        if self.judging.block else {})
        self.row.update(status=end.status, reason=end.reason, keep="discard")
        if end.status in ("crash", "hang"):
            self.row["keep"] = "crash"

    def _code(self):
        status = self.row["status"]
        return EXIT_OF[self.known_status if status == "known" else status]

    # What is judged -------------------------------------------------------

    def _judge(self):
        self._check_integrity()
        self.tree.check_files()
        snapshot = self.tree.snapshot()
        content = self.tree.content(snapshot)
        if content == self.tree.content("HEAD"):
            raise Refused("nothing to try: src/kernels.c and src/kernels/ are as "
                          "in HEAD")
        self.snapshot = snapshot
        self.row["code_lines"] = code_lines(content)
        self.journal.save(tree=snapshot)
        for row, why in memory.resembling(
                self.places, self.rows, self.row["description"],
                self.tree.patch(self.parent, snapshot)):
            print(memory.told(row, why), flush=True)
        seconds = min(self.left(),
                      max(BUILD_SECONDS, BUILD_SHARE * self.series["limit"]))
        try:
            code, library = self._timed("build", self.build.make, self.tree,
                                        content, seconds)
        except Refused as why:
            raise Ended("error", str(why)) from why
        self.row.update(object_hash=code, library_sha256=library)
        judging = self.judging
        if self._seen_before(code) or self._timed(
                "count" if self.build.target else "first second",
                judging.loses_at_once):
            return
        checks = Checks(self.places, self.build, self.left, self.best)
        self._timed("checks", checks.run)
        self.absent, self.unconfined = checks.absent, checks.unconfined
        self._check_places()
        self._timed("judge", judging.measure, library)
        self._decide(judging.block)
        if self.row["keep"] == "keep":
            self._timed("looks", judging.look_elsewhere)
        if self.row["keep"] == "keep":
            self._timed("clang-tidy", checks.thorough)
            self._timed("others", self._check_shared)
            self._check_places()

    def _check_places(self):
        """What judges and what is compared with, before a trial, and after the
        candidate's code has run."""
        built = self.row["library_sha256"] if self.snapshot else ""
        try:
            self.build.check_manifest(self.series["manifest"])
            if files.sha256(self.places.best) != self.series["best_library"]:
                raise Refused(".trial/best/libpqkern.so is not the build that "
                              "was kept: start a series with --baseline", 4)
            if built and files.sha256(self.build.library) != built:
                raise Refused(".trial/build has another library than was built "
                              "and judged", 4)
        except FileNotFoundError as why:
            raise Ended("integrity", f"{why.filename}: missing; start a series "
                                     "with --baseline") from why
        except Refused as why:
            raise Ended("integrity", str(why)) from why

    def _check_integrity(self):
        self._check_places()
        try:
            self.tree.check_history(self.series)
        except FileNotFoundError as why:
            raise Ended("integrity", f"{why.filename}: missing; start a series "
                                     "with --baseline") from why
        except Refused as why:
            raise Ended("integrity", str(why)) from why
        strays = self.tree.strays(self.series["pinned"])
        untracked = [name for name in strays if name.endswith("(untracked)")]
        if strays and len(untracked) == len(strays):
            raise Refused(
                f"not part of the commit: {', '.join(untracked[:10])}.  No trial "
                "was counted: remove that or put it beside the clone")
        if strays:
            more = f", {len(strays) - 10} more" if len(strays) > 10 else ""
            raise Ended("integrity", "changed outside src/kernels.c and "
                        f"src/kernels/, which no trial may: "
                        f"{', '.join(strays[:10])}{more}; undo that (a human who "
                        "means it starts a new series with --baseline)")

    def _seen_before(self, code):
        """Identical code gets the verdict that it has got here."""
        if code == self.series["best_object"]:
            self._null()
            return True
        same = [old for old in self.rows if old["series"] == self.series["id"] and
                old["object_hash"] == code and old["status"] in ABOUT_CODE and
                not foreign.gave(old)]
        if len(same) == 1 and same[0]["status"] == "unresolved" and same[0]["busy"]:
            return False  # others disturbed it: once more, and no oftener
        if not same:
            return False
        old = same[-1]
        self.known_status = old["status"]
        self.row.update({name: old[name] for name in (
            "verdict", "speedup", "ci_low", "ci_high", "null_low", "null_high",
            "guards", "cells", "looks", "composite", "confirmation", "holdout",
            "exact")})
        self.row.update(status="known", reason=(
            f"the same object code as trial {old['trial']}: {old['status']}, "
            f"verdict {old['verdict']}"
            f"{': ' + old['reason'] if old['reason'] else ''}"))
        return True

    def _fewer_lines(self):
        return int(self.row["code_lines"]) < int(self.series["best_lines"])

    def _null(self):
        self.row.update(status="null", verdict="same",
                        reason="the same object code as the best")
        if self.simpler and self._fewer_lines():
            checks = Checks(self.places, self.build, self.left, self.best)
            checks.run()
            checks.thorough()
            self.absent, self.unconfined = checks.absent, checks.unconfined
            self.row.update(keep="keep", reason="the same object code from "
                            f"{self._lines_saved()} lines less")
            self._check_shared()
            self._check_places()

    def _lines_saved(self):
        return int(self.series["best_lines"]) - int(self.row["code_lines"])

    def _decide(self, block):
        if block.get("verdict") == "faster":
            self.row["keep"] = "keep"
        elif self.simpler and block.get("verdict") == "same" and \
                self._fewer_lines() and block.get("guards") == "ok":
            self.row.update(keep="keep", reason="as fast, with "
                            f"{self._lines_saved()} lines less")

    def _check_shared(self):
        names = self.tree.git("diff", "--name-only", self.parent, self.snapshot)
        self.judging.check_shared(names.split("\n")[:-1])

    # What follows from it -------------------------------------------------

    def _conclude(self, code):
        row = self.row
        row["seconds"] = f"{time.monotonic() - self.began:.1f}"
        series = self.series
        try:
            if row["keep"] == "keep":
                series = dict(series, best_object=row["object_hash"],
                              best_library=row["library_sha256"],
                              best_lines=row["code_lines"],
                              best_trial=self.trial,
                              codes=looks.codes(self.build.objects()),
                              foreign=dict(series.get("foreign", {}),
                                           **self.judging.foreign))
                files.copy(self.build.library, self.places.at("candidate.so"))
                self.journal.state["block"] = self.judging.block or \
                    files.read_json(self.places.best_result)
            row["prev"] = self.series["head"]
            sealed = log.seal(row, row["prev"])
            self.journal.state["message"] = summary.commit_message(sealed)
            sealed = self.journal.decide(row, series)
            best = files.read_json(self.places.best_result) or {}
            said = self.journal.finish()
        except OSError as why:
            raise Refused(
                f"{why.filename or self.places.log}: {why.strerror}: the trial "
                "is not logged, and the tree is as it was; make room, and the "
                "next scripts/trial logs it and goes on") from why
        notes = self.judging.notes
        if self.absent:
            notes.append("not linted with: " + " ".join(sorted(self.absent)) +
                         " (not installed, or no time)")
        notes += filter(None, [self.build.left_out()])
        if self.unconfined:
            notes.append("the equality tests ran without: " +
                         ", ".join(self.unconfined))
        summary.show(sealed, self.judging.block, best, self.rows, said,
                     ", ".join(self.stages), notes)
        return code


def load_all(places, wait):
    """Lock, finish what was cut short, check the log."""
    handle = lock.take(places.top, wait)
    before = series_of.load(places)
    try:
        said = recover(places, interrupted_row)
    except OSError as why:
        raise Refused(f"{why.filename or places.log}: {why.strerror}: an earlier "
                      "trial cannot be logged yet; make room, then try again"
                      ) from why
    if said:
        print(said)
    series = series_of.load(places)
    rows = series_of.verified_rows(places, series["head"])
    Tree(places).check_rows(series, rows)
    del before
    return handle, series, rows, said


def trial(places, description, simpler, wait):
    check_stop(places)
    handle, series, rows, said = load_all(places, wait)
    try:
        check_stop(places)
        series_of.check_budget(series, rows)
        os.makedirs(places.outputs, exist_ok=True)
        step = Trial(places, series, rows, description, simpler)
        step.tree.identity()
        try:
            step.journal.save()
        except OSError as why:
            raise Refused(f"{why.filename}: {why.strerror}: no trial without a "
                          "journal; the tree is as it was") from why
        try:
            return step.run()
        except Refused:
            if step.journal.state["stage"] == "running":
                files.remove(places.journal)
            raise
    finally:
        os.close(handle)


# The first step ------------------------------------------------------------

def baseline(places, description, options, wait):
    os.makedirs(places.outputs, exist_ok=True)
    handle = lock.take(places.top, wait)
    try:
        head = None
        try:
            old = series_of.load(places)
        except Refused:
            old = None
        if old is not None:
            said = recover(places, interrupted_row)
            if said:
                print(said)
            head = series_of.load(places)["head"]
        if not os.path.exists(places.log) and head is not None:
            head = None  # moved aside, as the remedy for a broken one says
        rows = series_of.verified_rows(places, head)
        return _baseline(places, description, options, rows)
    except OSError as why:
        raise Refused(f"{why.filename}: {why.strerror}: no series was started"
                      ) from why
    finally:
        os.close(handle)


def _baseline(places, description, options, rows):
    process.catch_signals()
    tree = Tree(places)
    tree.identity()
    head = tree.head()
    target_asked = counted.asked(options) if options.target else {}
    began = time.monotonic()
    strays = tree.strays(head)
    if strays or tree.snapshot() != tree.git("rev-parse", "HEAD^{tree}").strip():
        what = ", ".join(strays[:5]) or "src/kernels.c or src/kernels/"
        raise Refused("a series starts from a commit, and the tree differs from "
                      f"HEAD: {what}; commit that or undo it")
    mark = secrets.token_hex(16)
    series = {"id": secrets.token_hex(8), "pinned": head, "best_commit": head,
              "source_asked": options.source, "kernel_asked": options.kernel,
              "limit": options.limit, "head": rows[-1]["hash"] if rows else None,
              "scan": options.scan, "k": options.k, "best_trial": 0,
              "max_trials": options.trials, "ends": options.hours and
              time.time() + 3600 * options.hours}
    series.update(target_asked)
    target = counted.target_of(series)
    build = Build(places, mark, target)
    print(f"building {head[:12]} in .trial/build (bootstrap, configure, make)",
          flush=True)
    try:
        build.prepare(tree, head, options.configure or [])
        content = tree.content(head)
        try:
            code, library = build.make(tree, content, 900.0)
        except Ended as end:
            raise Refused(f"the pinned commit does not pass: {end.status}: "
                          f"{end.reason}", EXIT_OF[end.status]) from end
        files.copy(build.library, places.at("candidate.so"))
        series["manifest"] = build.manifest()
        series["codes"] = looks.codes(build.objects())
        if build.left_out():
            print("note: " + build.left_out(), flush=True)
        print("measuring it against itself" if target is None else
              f"counting {' and '.join(target.kernels)}", flush=True)
        if target:
            counted.check_variants(places, series, mark, places.at("candidate.so"))
        block = measure.compare(places, series, mark, places.at("candidate.so"),
                                places.at("candidate.so"), 120.0)
        if block["status"] not in ("ok", "unresolved"):
            raise Refused(f"the baseline: {block['status']}: "
                          f"{block.get('reason', '')} ({places.outputs}/run.log)",
                          EXIT_OF[block["status"]])
    except process.Interrupted as signal_:
        process.sweep(mark)
        raise Refused(f"{signal_}: no series was started",
                      128 + signal_.number) from signal_
    ignore_signals()
    return _begin(places, series, description, rows, block, {
        "commit": head[:7], "object_hash": code, "library_sha256": library,
        "code_lines": code_lines(content),
        "seconds": f"{time.monotonic() - began:.1f}"})


def _begin(places, series, description, rows, block, known):
    series.update(source=block.get("source", ""), cpu=block.get("cpu", ""),
                  kernel=block.get("kernel", ""),
                  best_object=known["object_hash"],
                  best_library=known["library_sha256"],
                  best_lines=known["code_lines"])
    row = blank_row(series, 0, description or "baseline")
    row.update(measure.fields(block))
    row.update(known, status=block["status"], keep="keep",
               reason="the build that the series starts with, against itself")
    os.makedirs(places.at("best"), exist_ok=True)
    os.replace(places.at("candidate.so"), places.best)
    files.replace_json(places.best_result, block)
    prev = rows[-1]["hash"] if rows else log.first_link(series["id"])
    journal = Journal(places, {
        "mark": "", "trial": 0, "stage": "running", "tree": None, "prev": prev,
        "head_before": rows[-1]["hash"] if rows else None})
    row = journal.decide(row, series)
    journal.finish()
    summary.show(row, block, {}, rows, f"series {series['id']} begins, pinned to "
                 f"{series['pinned'][:12]}")
    return 0
