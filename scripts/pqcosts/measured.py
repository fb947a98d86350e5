# SPDX-License-Identifier: MIT OR Apache-2.0
"""Modelled cycles beside measured time: what the model is worth on a CPU that is
there."""

import math
import os
import statistics
import subprocess

from .build import QUERY
from .targets import Failed


def nanoseconds(build, target, kernel, cell):
    """Of one cell in one process, a code."""
    result = subprocess.run(
        ["./" + os.path.join(target.name, QUERY), "time", kernel,
         "data/photos_codebook.fvecs", "photos.codes", "data/photos_query.bvecs",
         cell], cwd=build.folder, env={}, text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    words = result.stdout.split()
    if result.returncode != 0 or len(words) != 4:
        raise Failed(f"{kernel} {cell} on this machine: "
                     f"{result.stderr.strip() or result.returncode}")
    return int(words[3]) / (int(words[1]) * int(words[2]))


def times(build, target, jobs, rounds, say):
    """{(kernel, cell): the least of so many processes}, which take turns."""
    found = {}
    for number in range(rounds):
        for kernel, cell in jobs:
            say(f"measuring: round {number + 1} of {rounds}, {kernel} {cell}")
            taken = nanoseconds(build, target, kernel, cell)
            found[kernel, cell] = min(taken, found.get((kernel, cell), taken))
    return found


def ranks(values):
    """From 1; equal ones share the mean of theirs."""
    ordered = sorted(values)
    return [statistics.mean(i for i, other in enumerate(ordered, 1) if other == value)
            for value in values]


def correlation(one, other):
    """Pearson's, of ranks Spearman's."""
    mean, others = statistics.mean(one), statistics.mean(other)
    both = sum((x - mean) * (y - others) for x, y in zip(one, other))
    each = math.sqrt(sum((x - mean) ** 2 for x in one) *
                     sum((y - others) ** 2 for y in other))
    return both / each if each else float("nan")


def agreement(pairs):
    """(rank correlation, cycles a nanosecond, [error of each]) of (cycles,
    nanoseconds).  What is looked for is one clock rate for all of them; an error is
    how far the model is from the time at that rate."""
    cycles, taken = zip(*pairs)
    rate = math.exp(statistics.mean(math.log(c / t) for c, t in pairs))
    return (correlation(ranks(cycles), ranks(taken)), rate,
            [c / (t * rate) - 1 for c, t in pairs])


def lines(found, costs, core):
    """A table, and what it comes to for each variant and for all."""
    def signed(error):
        return f"{100 * error:+.0f} %"
    rows = [(cost.kernel, cost.cell, cost.figures[1 + cost.cores.index(core)],
             found[cost.kernel, cost.cell]) for cost in costs]
    _, _, errors = agreement([row[2:] for row in rows])
    yield f"{'variant  cell':<24} {core:>14} {'ns measured':>12} {'error':>8}"
    for (kernel, cell, cycles, taken), error in zip(rows, errors):
        yield (f"{kernel:<8} {cell:<15} {cycles:>14.3f} {taken:>12.4f} "
               f"{signed(error):>8}")
    for name in [*dict.fromkeys(row[0] for row in rows), "all"]:
        mine = [row for row in rows if name in (row[0], "all")]
        if len(mine) < 3:
            continue
        rank, rate, errors = agreement([row[2:] for row in mine])
        worst = max(range(len(mine)), key=lambda i: abs(math.log1p(errors[i])))
        yield (f"{name}: {len(mine)} cells, rank correlation {rank:.3f}, "
               f"{rate:.2f} cycles a ns, largest error {signed(errors[worst])} "
               f"({mine[worst][0]} {mine[worst][1]})")
