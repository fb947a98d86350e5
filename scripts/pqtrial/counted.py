# SPDX-License-Identifier: MIT OR Apache-2.0
"""A series for a CPU that is not there: what scripts/costs counts under QEMU and
llvm-mca models stands for time, and a rule without noise for the judge's."""

import hashlib
import math
import os
import re
import sys

from pqcosts import cli as costs, targets
from pqcosts.build import QUERY, configure_command
from pqcosts.model import Model

from . import files, process
from .ends import EXIT_USAGE, Refused

# Of scripts/costs: what a series is about unless --cell names others, and what is
# counted beside those.
CELLS = ("photos-k10", "parts-8192", "lists-2048", "photos-k100", "photos-rows")
ALL = "all cells"
# A verdict needs so much; counts have no noise, but models do.
EFFECT = 0.005
# What each figure of a cell may grow by; in a cell that the series is about, and in
# another.  Of a cell that is alone the cycles are the verdict.  What the model takes
# for free, bytes of codes above all, may not pay for what it sees.
LIMITS = {"cycles": (0.01, 0.01), "instructions": (0.05, 0.01),
          "loads": (0.05, 0.05), "branches": (0.05, 0.05),
          "bytes_read": (0.01, 0.01)}
LEAVES_OUT = ("no caches, no memory, no mispredicted branches, no waiting of one block "
              "for another: doc/costs.md")
BASELINE_SECONDS = 900.0
SHARE_OF_TESTS = "0.3"
# The CPU of a row.
MODELLED = re.compile(r"(\S+) \((\S+)\), modelled")


def is_counted(row):
    return MODELLED.fullmatch(row["cpu"]) is not None


def target_of(series):
    """None for a series that is measured."""
    return targets.TARGETS.get(series.get("target"))


# How a series is asked for ---------------------------------------------------

def asked(options):
    """What --target and its companions add to a series; refuses what cannot be."""
    target = targets.named(options.target)
    if target is None:
        raise Refused(f"--target {options.target}: there are "
                      f"{', '.join(targets.TARGETS)}", EXIT_USAGE)
    kernel = options.kernel or target.kernels[0]
    if kernel not in target.kernels:
        raise Refused(f"--kernel {kernel}: {target.name} has "
                      f"{', '.join(target.kernels)} under QEMU", EXIT_USAGE)
    cells = tuple(dict.fromkeys(options.cell or CELLS))
    for cell in cells:
        if cell not in costs.CELLS:
            raise Refused(f"--cell {cell}: there are {', '.join(costs.CELLS)}",
                          EXIT_USAGE)
    core = options.core or target.cores[0]
    check_tools(target, core)
    return {"target": target.name, "core": core, "cells": cells,
            "kernel_asked": kernel, "scan": scan_of(cells),
            "kernel": kernel, "cpu": f"{core} ({target.name}), modelled"}


def check_tools(target, core):
    """Refuses what cannot be built, run or modelled here."""
    try:
        target.check()
        targets.qemu_version()
        model = Model(os.devnull, 1)
    except (targets.Impossible, targets.Failed) as why:
        raise Refused(str(why)) from why
    if not model.there:
        raise Refused("no llvm-mca, so no cycles; Debian: apt-get install llvm-19")
    if not model.knows(target, core):
        raise Refused(f"--core {core}: LLVM {model.version} knows no such "
                      f"{target.name} CPU; usual are {', '.join(target.cores)}",
                      EXIT_USAGE)


def scan_of(cells):
    return ALL if tuple(cells) == CELLS else "+".join(cells)


def series_of_row(row):
    """What series a counted row belongs to, as asked() has it."""
    core, target = MODELLED.fullmatch(row["cpu"]).groups()
    cells = CELLS if row["scan"] == ALL else tuple(row["scan"].split("+"))
    return {"target": target, "core": core, "cells": cells, "scan": row["scan"],
            "kernel_asked": row["kernel"], "kernel": row["kernel"],
            "cpu": row["cpu"], "limit": BASELINE_SECONDS}


# The build ---------------------------------------------------------------------

def configure(tree, target):
    """The command, to be run in the build folder."""
    return configure_command(tree, target)


def emulator(build, target):
    """What runs a build's programs: the command that configure found, or for this
    machine's own kind the emulator, whose CPU has all variants."""
    with open(os.path.join(build, "Makefile"), encoding="utf-8") as file:
        found = re.search(r"^EMULATOR *= *(\S.*)$", file.read(), re.M)
    return found.group(1).split() if found else \
        [target.emulator, "-cpu", target.cpu]


# Counting ------------------------------------------------------------------------

def arguments(series, kernel=None):
    """How scripts/costs is told."""
    counted = [*series["cells"], *(c for c in CELLS if c not in series["cells"])]
    return ["--target", series["target"], "--core", series["core"],
            "--kernel", kernel or series["kernel_asked"],
            *(word for cell in counted for word in ("--cell", cell))]


def cells_of(how):
    return [cell for word, cell in zip(how, how[1:]) if word == "--cell"]


class Late(Exception):
    """Counting took longer than allowed."""


class Counter:
    """scripts/costs of the pinned commit, and what it has said."""

    def __init__(self, places, mark, seconds):
        self.places, self.mark = places, mark
        self.seconds = seconds
        self.folder = places.at("costs")
        self.store = os.path.join(self.folder, "known.json")
        self.tools = ""

    def figures(self, program, how):
        """{cell: figures} of one variant; the same program is counted once."""
        known = self._known()
        name = self._name(program, how)
        if name not in known:
            known[name] = self._count(program, how)
            files.replace_json(self.store, known)
        return {cell: known[name][cell] for cell in cells_of(how)}

    def _known(self):
        os.makedirs(self.folder, exist_ok=True)
        try:
            return files.read_json(self.store) or {}
        except ValueError:
            return {}

    def _name(self, program, how):
        model = Model(os.devnull, 1)
        major, minor = targets.qemu_version()
        self.tools = f"LLVM {model.version}, QEMU {major}.{minor}"
        return hashlib.sha256("\0".join([files.sha256(program), self.tools, *how]
                                       ).encode()).hexdigest()

    def run(self, program, how):
        """scripts/costs on that program; what it prints."""
        extra = {"LLVM_MCA": os.environ["LLVM_MCA"]} \
            if os.environ.get("LLVM_MCA") else {}
        result = process.run(
            [sys.executable, os.path.join(self.places.tree, "scripts", "costs"),
             "--build", self.folder, "--program", program, *how],
            os.path.join(self.places.outputs, "costs.log"), self.seconds,
            process.environment(self.mark, extra), self.places.home)
        if result.late:
            raise Late(f"counting took over {self.seconds:.0f} s")
        if result.code != 0:
            last = result.output.strip().split("\n")[-1]
            raise Refused(f"scripts/costs ended with {result.code}: {last}")
        return result.output

    def _count(self, program, how):
        output = os.path.join(self.places.outputs, "costs.json")
        files.remove(output)
        self.run(program, ["--json", output, *how])
        core = how[how.index("--core") + 1]
        return {cell["cell"]: dict(
            {name: cell[name] for name in ("instructions", "loads", "branches",
                                           "bytes_read", "answers", "queries",
                                           "codes")},
            cycles=cell["cycles"][core])
            for cell in files.read_json(output)["cells"]}


# The rule --------------------------------------------------------------------------

def mean_growth(mine, best, cells, figure="cycles"):
    """The geometric mean of candidate to best, and of best to candidate."""
    def mean(one, other):
        return math.prod(one[cell][figure] / other[cell][figure]
                         for cell in cells) ** (1 / len(cells))
    return mean(mine, best), mean(best, mine)


def verdict(mine, best, primary):
    """(verdict, how many times as fast)."""
    growth, speedup = mean_growth(mine, best, primary)
    if speedup >= 1 + EFFECT:
        return "faster", speedup
    return ("slower" if growth >= 1 + EFFECT else "same"), speedup


def losses(mine, best, primary):
    """[(cell, figure, growth)] of what has grown by more than it may."""
    found = []
    for cell in mine:
        for figure, limits in LIMITS.items():
            was, now = best[cell].get(figure), mine[cell].get(figure)
            if figure == "cycles" and tuple(primary) == (cell,) or not was or not now:
                continue
            if now > was * (1 + limits[cell not in primary]):
                found.append((cell, figure, now / was))
    return found


def judged(mine, best, primary):
    """The part of a block that says what came of it."""
    for cell in mine:
        if mine[cell]["answers"] != best[cell]["answers"]:
            return {"status": "recall", "reason": f"{cell}: other answers than the "
                                                  "best's"}
    said, speedup = verdict(mine, best, primary)
    lost = losses(mine, best, primary)
    reason = ""
    if lost and said != "slower":
        reason = f"{said} in cycles of {scan_of(primary)}, but grown: " + ", ".join(
            f"{cell} {figure} {percent(growth)}" for cell, figure, growth in lost)
        said = "vetoed"
    return {"status": "ok", "verdict": said, "speedup": speedup, "reason": reason,
            "guards": "lost: " + " ".join(dict.fromkeys(cell for cell, _, _ in lost))
            if lost else "ok"}


def percent(growth):
    return f"{100 * (growth - 1):+.2f} %"


def a_query(figures, cells):
    """Cycles of a query, the geometric mean of cells."""
    return math.prod(figures[cell]["cycles"] * figures[cell]["codes"]
                     for cell in cells) ** (1 / len(cells))


def compare(places, series, mark, library, against, seconds, how):
    """A block like run_experiment's, of counts instead of times.  Both are programs
    that hold a build of the library."""
    counter = Counter(places, mark, seconds)
    try:
        best = counter.figures(against, how)
        mine = counter.figures(library, how)
    except Late as why:
        return {"status": "time_budget", "reason": str(why)}
    except Refused as why:
        return {"status": "error", "reason": str(why)}
    target, primary = target_of(series), series["cells"]
    block = {
        "kernel": how[how.index("--kernel") + 1], "cpu": series["cpu"],
        "source": "photos", "recall_at_10": "",
        "num_base": max(figures["codes"] for figures in mine.values()),
        "isa": f"{target.name}: {' '.join(target.kernels)}",
        "library_sha256": files.sha256(library),
        "against_sha256": files.sha256(against), "tools": counter.tools,
        "geomean_ns_per_query": round(a_query(mine, primary), 1),
        "figures": {"mine": mine, "best": best}, "primary": list(primary)}
    block.update(judged(mine, best, primary))
    if block["status"] != "ok":
        return block
    speedup = round(block["speedup"], 6)
    queries = sum(figures["queries"] for figures in mine.values())
    block.update(speedup=speedup, speedup_ci95=[speedup, speedup],
                 exact_queries=f"{queries}/{queries}", guard_cells=list(mine))
    for cell in mine:
        ratio = best[cell]["cycles"] / mine[cell]["cycles"]
        block["guard_" + cell] = [ratio, ratio, ratio]
    block["bytes_read_per_code"] = mine[primary[0]]["bytes_read"] or 0
    return block


def check_variants(places, series, mark, library):
    """At the baseline: all variants of the target answer alike.  Refuses."""
    how = arguments(series)
    at = how.index("--kernel")
    counter = Counter(places, mark, BASELINE_SECONDS)
    try:
        for kernel in target_of(series).kernels:
            how[at + 1] = kernel
            found = counter.figures(library, how)
            if kernel == target_of(series).kernels[0]:
                first = found
            for cell in found:
                if found[cell]["answers"] != first[cell]["answers"]:
                    raise Refused(f"{kernel} answers otherwise in {cell}: make check "
                                  "says more")
    except Late as why:
        raise Refused(str(why)) from why


def lines(block):
    """(key, text) of the figures of a block."""
    primary = block["primary"]
    mine, best = block["figures"]["mine"], block["figures"]["best"]
    yield "cycles", (f"{a_query(mine, primary):.0f} a query, modelled; the best "
                     f"{a_query(best, primary):.0f}")
    for cell in mine:
        unit = "vector" if cell == "encode" else "code"
        shown = [f"{figure} {mine[cell][figure]:.3f} "
                 f"({percent(mine[cell][figure] / best[cell][figure])})"
                 for figure in LIMITS
                 if mine[cell].get(figure) and best[cell].get(figure)]
        yield (cell if cell in primary else "guard_" + cell,
               f"a {unit}: " + ", ".join(shown))
    yield "modelled", f"{block['tools']}; {LEAVES_OUT}"


def profile(places, series, library, mark):
    """The functions and hottest blocks of the first of the series' cells."""
    how = arguments(series)
    try:
        return Counter(places, mark, BASELINE_SECONDS).run(
            library, ["--functions", "--blocks", "3", *how[:how.index("--cell") + 2]])
    except Late as why:
        raise Refused(str(why)) from why
