# SPDX-License-Identifier: MIT OR Apache-2.0
"""Whether the best fails a test, too, that a candidate has failed: then the candidate
is not to blame, and what is built on the best would fail next."""

import re

from .ends import Ended, Refused

# What repeats a test that draws its cases.
SEED = re.compile(r"\b(PQK_[A-Z]+_SEED)=(\d+)")
# Less time than this is none to build and run a test in.
LEAST_SECONDS = 5.0
TOO = "the best fails it, too"


def seed_of(output):
    """The environment in which a test does the same again."""
    return dict(SEED.findall(output))


class Best:
    """The kernels of the best, laid out where the candidate's have been.  For the end
    of a trial: the next one lays its own out."""

    def __init__(self, tree, folder, series):
        self.tree, self.folder = tree, folder
        self.commit, self.trial = series["best_commit"], series["best_trial"]

    def said(self, again, left):
        """What to add to the reason.  again() makes the test of what is laid out, runs
        it and returns what it says is wrong, empty if it passes."""
        if left < LEAST_SECONDS:
            return "; no time was left to try the best with it"
        try:
            self.tree.lay_out(self.tree.content(self.commit), self.folder)
            why = again()
        except (Ended, Refused) as end:
            return f"; whether the best fails it, too, is not known: {end}"
        if not why:
            return "; the best passes it"
        return (f"; {TOO}: {why}: look at {self.commit[:12]} (trial {self.trial}) or "
                "what was kept before it")
