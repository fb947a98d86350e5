# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a series kept, on the machine at hand: a verdict is of one machine."""

import os
import secrets

from . import counted, files, lock, measure, memory, process, summary
from .build import Build
from .ends import EXIT_OF, Ended, Refused
from .tree import Tree

SECONDS = 300.0  # for one build, and for one comparison


def chain(tree, rows):
    """[(row, commit)]: the commit that the series started from, and each that it
    kept."""
    text = tree.git("log", "--all", "--format=%H %(trailers:key=Trial-Row,"
                    "valueonly,separator=%x20)")
    by_hash = {}
    for line in text.splitlines():
        commit, _, rest = line.partition(" ")
        for name in rest.split():
            by_hash[name] = commit
    found = []
    for row in rows:
        if row["keep"] != "keep":
            continue
        commit = by_hash.get(row["hash"])
        if row["trial"] == "0":
            code, commit = tree.git("rev-parse", "--verify", "-q",
                                    row["commit"] + "^{commit}", may_fail=True)
            commit = commit.strip() if code == 0 else None
        if commit is None:
            raise Refused(
                f"trial {row['trial']} of series {row['series'][:8]} was kept, and "
                "this clone has no commit of it: fetch the branch on which the "
                "series ran")
        found.append((row, commit))
    return found


class Replay:
    def __init__(self, places, first):
        self.places = files.Places(os.path.join(places.home, "replay"))
        self.tree = Tree(places)
        self.mark = secrets.token_hex(16)
        self.series = counted.series_of_row(first) if counted.is_counted(first) else {
            "source_asked": first["source"], "scan": first["scan"], "k": first["k"],
            "kernel_asked": first["kernel"]}
        self.build = Build(self.places, self.mark, counted.target_of(self.series))

    def libraries(self, found):
        """A build of each commit's kernels, all else being the first commit's."""
        first = found[0][1]
        os.makedirs(self.places.outputs, exist_ok=True)
        print(f"building {first[:12]} in .trial/replay", flush=True)
        self.build.prepare(self.tree, first, [])
        made = []
        for number, (row, commit) in enumerate(found):
            try:
                self.build.make(self.tree, self.tree.content(commit), SECONDS)
            except Ended as end:
                raise Refused(f"trial {row['trial']}, {commit[:12]}: {end.status}: "
                              f"{end.reason}", EXIT_OF[end.status]) from end
            made.append(self.places.at(f"{number}.so"))
            files.copy(self.build.library, made[-1])
        return made

    def judge(self, kernel, library, against):
        series = dict(self.series, kernel_asked=kernel or self.series["kernel_asked"])
        return measure.compare(self.places, series, self.mark, library, against,
                               SECONDS)


def said(row, block, name):
    """A line of the table."""
    here = measure.fields(block)
    numbers = summary.interval(here) or block.get("reason", "")
    verdict = here["verdict"] if here["verdict"] != "none" else block["status"]
    there = f"; there {summary.interval(row) or row['verdict']}" if row else ""
    return f"{name:>9}: {verdict:10} {numbers}{there}" + (
        f"; {block['reason']}" if block.get("reason") and verdict == "vetoed"
        else "")


def run(places, rows, kernel, wait):
    handle = lock.take(places.top, wait)
    process.catch_signals()
    replay = Replay(places, rows[0])
    found = chain(replay.tree, rows)
    if len(found) < 2:
        raise Refused(f"series {rows[0]['series'][:8]} kept nothing to replay")
    try:
        made = replay.libraries(found)
        first = found[0][0]
        print(f"there: {memory.series_line(first['series'], rows)}")
        for number in range(1, len(made)):
            row = found[number][0]
            block = replay.judge(kernel, made[number], made[number - 1])
            if number == 1:
                print(f"here:  {block.get('kernel')}, {block.get('cpu')}")
            print(said(row, block, f"trial {row['trial']}") +
                  f": {' '.join(row['description'].split())[:60]}", flush=True)
        block = replay.judge(kernel, made[-1], made[0])
        print(said(None, block, "all") +
              f"; there the product was {memory.product(rows):.4f}")
        return 0
    except process.Interrupted as signal_:
        raise Refused(str(signal_), 128 + signal_.number) from signal_
    finally:
        process.sweep(replay.mark)
        os.close(handle)
