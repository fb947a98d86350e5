# SPDX-License-Identifier: MIT OR Apache-2.0
"""Shorter comparisons beside the judge's own cells: the other variants that this
CPU has, since what they share changes all of them, and the other ways of use."""

import os
import re

from . import gate, measure
from .ends import Ended

WAYS = ("single", "batch", "partitions")


def codes(objects):
    """{variant: hash of all code that it runs}, where all run the scalar one's."""
    by = {}
    for path in objects:
        by.setdefault(re.match(r"libpqk_([a-z0-9]+)_la-",
                               os.path.basename(path)).group(1), []).append(path)
    shared = by.get("scalar", [])
    return {name: gate.code_hash({*paths, *shared}) for name, paths in by.items()}


def available(block):
    """The variants that this build can run here."""
    return str(block.get("isa", "")).partition(": ")[2].split()


def wanted(series, block, before, now):
    """[(name, how)]: each other variant whose code is another than the best's, at
    the primary cell; and the chosen one in the other ways."""
    kernel, scan = block.get("kernel"), series.get("scan", "single")
    found = [("kernel:" + name, {"kernel": name}) for name in available(block)
             if name != kernel and now.get(name) != before.get(name)]
    if series.get("target"):
        return found  # its cells are of all ways
    return found + [("scan:" + way, {"scan": way, "k": 10}) for way in WAYS
                    if way != scan]


def loses(block, effect=measure.EFFECT):
    """Its interval lies below 1 by more than the effect."""
    high = _interval(block)[1]
    return 0 < high < 1 / (1 + effect)


def _interval(block):
    value = block.get("speedup_ci95")
    return value if isinstance(value, list) and len(value) == 2 else (0.0, 0.0)


def text(found):
    """For the row: name estimate low high; ..."""
    return "; ".join(f"{name} {float(block.get('speedup', 0)):.4f} " +
                     " ".join(f"{x:.4f}" for x in _interval(block))
                     for name, block in found)


def veto(found, effect=measure.EFFECT):
    """The reason if one loses, else empty."""
    lost = [f"{name} {block['speedup']:.4f} ({_interval(block)[0]:.4f} to "
            f"{_interval(block)[1]:.4f})"
            for name, block in found if loses(block, effect)]
    return "faster in the primary cell, slower in a look at " + ", ".join(lost) \
        if lost else ""


def take(compare, series, block, before, now):
    """[(name, block)].  compare(how) measures.  A look that ends badly ends the
    trial: the change is wrong there.  One that loses is taken again, and that
    decides, as the judge has a guard that loses do it; a counted one says the same
    each time."""
    found = []
    for name, how in wanted(series, block, before, now):
        asked = measure.arguments(series, seconds=measure.LOOK, look=True, **how)
        for _ in range(2):
            seen = compare(asked)
            if seen["status"] != "ok":
                raise Ended(seen["status"], f"{name}: {seen.get('reason', '')}")
            if series.get("target") or not loses(seen):
                break
        found.append((name, seen))
    return found
