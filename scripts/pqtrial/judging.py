# SPDX-License-Identifier: MIT OR Apache-2.0
"""How a built candidate comes to its verdict: the judge's first second, its whole
comparison, a longer one, and looks at what its cells do not have."""

from . import files, foreign, looks, measure
from .ends import Ended

# Less time than this is none for a second, longer measurement.
LONGER_SECONDS = 60.0
LEAST_SECONDS = 10.0
# Of the time that is left, for a count before the tests.
SHARE_OF_COUNT = 0.5


class Judging:
    """Fills the row; .block is what decided, .notes what else there is to say,
    .foreign the hashes of other machines' code."""

    def __init__(self, places, series, build, row, left, best):
        self.places, self.series, self.build = places, series, build
        self.row, self.left, self.best = row, left, best
        self.block, self.notes, self.foreign = {}, [], {}

    def _compare(self, how, share=1.0):
        left = self.left() * share
        if left < LEAST_SECONDS:
            raise Ended("time_budget", "building and checking left no time of "
                        f"the {self.series['limit']:.0f} s to measure in: is the "
                        "host busy?  scripts/trial doctor says", self.block)
        block = measure.compare(self.places, self.series, self.build.mark,
                                self.build.library, self.places.best, left, how)
        measure.check_measured(block, self.row["library_sha256"],
                               self.series["best_library"])
        return block

    def loses_at_once(self):
        """A clear loser goes before lint and the equality tests.  All others have
        them, whatever the first second showed, or the count: that has no noise, and
        is made once."""
        if self.build.target:
            return self._loses_by_count()
        block = self._compare(measure.arguments(
            self.series, seconds=measure.FIRST, look=True))
        if block["status"] != "ok" or not block.get("stopped_early"):
            return False
        self.block = block
        self.row.update(measure.fields(block))
        self.row.update(status="ok", verdict="slower", reason="surely slower in "
                        "the judge's first second: neither lint nor the equality "
                        "tests were run")
        return True

    def _loses_by_count(self):
        """Where it does not end, the tests say more of that."""
        if self.left() * SHARE_OF_COUNT < LEAST_SECONDS:
            return False
        block = self._compare(measure.arguments(self.series), SHARE_OF_COUNT)
        if block["status"] != "ok" or block["verdict"] != "slower":
            return False
        self.block = block
        self.row.update(measure.fields(block))
        self.row.update(status="ok", reason="slower by modelled cycles: neither lint "
                        "nor the equality tests were run")
        return True

    def measure(self, library):
        self.block = self._compare(measure.arguments(self.series))
        if measure.could_be_kept(self.block) and self.left() > LONGER_SECONDS:
            self._measure_again()
        block = self.block
        if files.sha256(self.build.library) != library:
            raise Ended("integrity", "the library was changed while it was "
                                     "measured", block)
        if block["status"] != "ok":
            raise Ended(block["status"], block.get("reason", ""), block)
        exact, _, all_of_them = str(block.get("exact_queries", "")).partition("/")
        if exact != all_of_them:
            raise Ended("recall", f"exact_queries {exact}/{all_of_them}: other "
                        "results than the reference's", block)
        self.row.update(measure.fields(block))
        self.row.update(status="ok", reason=block.get("reason", ""))

    def _measure_again(self):
        """Once, of a length that is told before, and it alone decides."""
        first = self.block
        said = f"unresolved: {first.get('reason', '')}"
        if first["busy"]:
            said += f"; meanwhile {first['busy']}"
        print(f"{said}\nmeasuring once more, for {measure.LONGER:.0f} s instead "
              f"of {measure.USUAL:.0f} s in the primary cell; that decides",
              flush=True)
        self.notes.append(f"measured twice; the first time {said}")
        self.block = self._compare(measure.arguments(
            self.series, seconds=measure.LONGER))

    def look_elsewhere(self):
        """The variants and ways that the judge's cells do not have."""
        if not self.block:
            return  # the best's object code, of fewer lines
        now = looks.codes(self.build.objects())
        here = looks.available(self.block)
        found = looks.take(self._compare, self.series, self.block,
                           self.series.get("codes", {}), now)
        self.row["looks"] = looks.text(found)
        why = looks.veto(found)
        if why:
            self.row.update(keep="discard", verdict="vetoed", reason=why)
        absent = sorted(set(now) - set(here)) if here else []
        if absent:
            self.notes.append("this CPU has not, so nobody looked at: " +
                              " ".join(absent))

    def check_shared(self, changed):
        """Machines that are not here, if what they share has changed."""
        if not foreign.shares(changed) and not self.build.target:
            return
        self.foreign, undone = foreign.check(
            self.places, self.build.mark, self.series.get("foreign", {}), self.best,
            self.series.get("target"), max(foreign.SECONDS, self.series["limit"]))
        if self.foreign:
            self.notes.append("built for others, and equal there or under an "
                              "emulator: " + " ".join(sorted(self.foreign)))
        if undone:
            self.notes.append("not built or tested for: " + ", ".join(undone))
