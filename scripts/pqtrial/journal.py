# SPDX-License-Identifier: MIT OR Apache-2.0
"""The journal of one trial, from which the next one finishes it.

Stages: running (nothing is decided: the row will say interrupted), decided (the
row stands in the journal; whether it stands in the log is seen there), logged
(the row stands in the log; commit or restore).  Each step can be done again.
"""

import os

from . import files, log, process
from . import series as series_of
from .ends import Refused
from .tree import Tree


class Journal:
    def __init__(self, places, state):
        self.places = places
        self.state = state

    @classmethod
    def load(cls, places):
        try:
            state = files.read_json(places.journal)
        except ValueError as why:
            raise Refused(f"{places.journal}: not readable ({why}): remove it "
                          "if git status and the log's last row agree") from why
        return None if state is None else cls(places, state)

    def save(self, **changes):
        self.state.update(changes)
        files.replace_json(self.places.journal, self.state)

    def decide(self, row, series):
        """The row is final; the series as it will stand after it, too."""
        row = log.seal(row, self.state["prev"])
        self.save(stage="decided", row=row,
                  series=dict(series, head=row["hash"]))
        return row

    def finish(self):
        """From decided to the end.  Returns what there is to say about it."""
        if self.state["stage"] == "decided":
            self._log()
        said = self._settle()
        files.remove(self.places.journal)
        return said

    def _log(self):
        row = self.state["row"]
        log.mend(self.places.log, log.line_of(row))
        rows = log.read(self.places.log)
        if not rows or rows[-1]["hash"] != row["hash"]:
            # A baseline's row may be the first, or follow another series.
            series_of.verified_rows(self.places, self.state["head_before"])
            series_of.add_row(self.places, row)
        series_of.save(self.places, self.state["series"])
        self.save(stage="logged")

    def _patch_name(self):
        return os.path.join(self.places.patches,
                            f"{self.state['row']['trial']}.patch")

    def _about(self):
        """What git apply skips: whose patch it is, and what became of it."""
        row = self.state["row"]
        words = [f"Trial {row['trial']}: {' '.join(row['description'].split())}",
                 f"On {self.state['parent']}, {row['timestamp']}: {row['status']}, "
                 f"{row['verdict']}, {row['keep']}; {row['kernel']}, {row['cpu']}"]
        return ("\n".join(words) + "\n\n").encode("utf-8", "backslashreplace")

    def _settle(self):
        state = self.state
        if state.get("tree") is None:
            return ""
        tree = Tree(self.places)
        # Of what is kept, too: its commit may be on a branch that goes.
        os.makedirs(self.places.patches, exist_ok=True)
        files.replace(self._patch_name(),
                      self._about() + tree.patch(state["parent"], state["tree"]))
        if state["row"]["keep"] == "keep":
            return self._keep(tree)
        return self._discard(tree)

    def _keep(self, tree):
        state = self.state
        head = tree.head()
        if head == state["parent"]:
            head = tree.commit(state["tree"], head, state["message"])
        elif state["row"]["hash"] not in tree.git("show", "-s", "--format=%B",
                                                  head):
            raise Refused(f"HEAD has moved from {state['parent'][:12]} to "
                          f"{head[:12]} during a trial that is to be kept: git "
                          f"reset --soft {state['parent'][:12]}, then "
                          "scripts/trial status")
        if os.path.exists(self.places.at("candidate.so")):
            os.makedirs(self.places.at("best"), exist_ok=True)
            os.replace(self.places.at("candidate.so"), self.places.best)
            files.replace_json(self.places.best_result, state["block"])
        series_of.save(self.places, dict(state["series"], best_commit=head))
        tree.settle_index()
        return f"committed as {head[:12]}"

    def _discard(self, tree):
        state = self.state
        shown = os.path.relpath(self._patch_name(), self.places.top)
        files.remove(self.places.at("candidate.so"))
        if tree.snapshot() != state["tree"]:
            return f"what was tried is in {shown}; the kernels were edited " \
                   "since and stay as they are"
        tree.restore(state["tree"])
        return f"restored; what was tried is in {shown}"


def recover(places, interrupted_row):
    """Finish what an interrupted trial left.  Returns what there is to say."""
    journal = Journal.load(places)
    if journal is None:
        return ""
    process.sweep(journal.state["mark"])
    if journal.state["stage"] == "running":
        journal.decide(interrupted_row(journal.state), journal.state["series"])
    said = journal.finish()
    row = journal.state["row"]
    return f"trial {row['trial']} had been cut short: logged as " \
           f"{row['status']}; {said or 'nothing to restore'}"
