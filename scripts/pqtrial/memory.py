# SPDX-License-Identifier: MIT OR Apache-2.0
"""What all series of a log have tried: numbers, patches, ideas that return."""

import math
import os
import re

from . import counted, summary
from .ends import Refused

# Words of every hypothesis.
COMMON = set("""a an and are as at be by for from in instead into is it its less
    more no not of on once one only or than that the then there this to was what
    when where which with without faster fewer per so can does do use should""".split())
# Of what two hypotheses say, or two patches change, so much is the same.
ALIKE_WORDS = 0.5
ALIKE_LINES = 0.5
MOST = 3


def next_number(places, rows):
    """One that no trial of any series had, whose patch may still lie there."""
    used = [int(row["trial"]) for row in rows if row["trial"].isdigit()]
    if os.path.isdir(places.patches):
        used += [int(name[:-6]) for name in os.listdir(places.patches)
                 if re.fullmatch(r"[0-9]+\.patch", name)]
    return max(used, default=0) + 1


def words(text):
    """Those that say what is tried: no numbers, no plurals."""
    found = re.findall(r"[a-z][a-z_]+", text.lower())
    return {word[:-1] if word.endswith("s") and len(word) > 3 else word
            for word in found} - COMMON


def alike(one, other, weight):
    """0 to 1: the cosine of two sets of words."""
    def length(some):
        return math.sqrt(sum(weight(word) ** 2 for word in some))
    both = one & other
    if len(both) < 2:
        return 0.0
    return sum(weight(word) ** 2 for word in both) / (length(one) * length(other))


def changed_lines(patch):
    """What a patch adds and takes away, without blanks."""
    return {line[0] + "".join(line[1:].split())
            for line in patch.decode("utf-8", "replace").split("\n")
            if line[:1] in ("+", "-") and line[:3] not in ("+++", "---") and
            len(line.strip()) > 4}


def _patch_of(places, row):
    try:
        with open(os.path.join(places.patches, row["trial"] + ".patch"),
                  "rb") as file:
            return file.read()
    except OSError:
        return b""


def resembling(places, rows, description, patch):
    """[(row, why)] of trials that were like this one, the most alike first."""
    tried = [row for row in rows if row["trial"] != "0" and
             row["status"] not in summary.NO_ATTEMPT - {"known"}]
    all_words = [words(row["description"]) for row in tried]

    def weight(word):
        return math.log(1 + len(tried) / max(1, sum(word in some for some in
                                                    all_words)))
    mine, lines, found = words(description), changed_lines(patch), []
    for row, theirs in zip(tried, all_words):
        said = alike(mine, theirs, weight)
        old = changed_lines(_patch_of(places, row)) if lines else set()
        same = len(lines & old) / len(lines | old) if old else 0.0
        why = [text for text, much in (
            ("in words", said >= ALIKE_WORDS),
            ("in what it changes", same >= ALIKE_LINES)) if much]
        if why:
            found.append((max(said, same), row, " and ".join(why)))
    found.sort(key=lambda one: -one[0])
    return [(row, why) for _, row, why in found[:MOST]]


def cell_of(row):
    """What was measured there, in words."""
    if counted.is_counted(row):
        return f"{row['kernel']}, {row['scan']}, {row['source']}"
    scan = row["scan"] or "single"
    return f"{row['kernel']}, {scan}, k = {row['k'] or 10}, {row['source']}"


def outcome(row):
    """What became of a trial, in a few words."""
    verdict = row["status"] if row["status"] != "ok" else \
        "kept" if row["keep"] == "keep" else row["verdict"]
    numbers = summary.interval(row)
    return f"{verdict}, {numbers}" if numbers else verdict


def told(row, why):
    return (f"like trial {row['trial']} {why}: {outcome(row)}; {cell_of(row)}, "
            f"{row['cpu'] or 'cpu unknown'}, {row['timestamp'][:10]}: "
            f"{' '.join(row['description'].split())}")


def series_of(rows):
    """[(id, rows)] in the order in which they began."""
    found = {}
    for row in rows:
        found.setdefault(row["series"], []).append(row)
    return list(found.items())


def chosen(rows, name, log):
    """The rows of one series, the last if no name is given."""
    found = [mine for each, mine in series_of(rows) if each.startswith(name)]
    if not found:
        raise Refused(f"{log}: no trials yet" if not rows else
                      f"{log}: no series begins with {name}; scripts/trial status "
                      "lists them")
    if name and len(found) > 1:
        raise Refused(f"{log}: {len(found)} series begin with {name}")
    return found[-1]


def product(rows):
    """Of the speed-ups that a series kept."""
    total = 1.0
    for row in rows:
        if row["keep"] == "keep" and row["trial"] != "0" and row["status"] == "ok":
            total *= float(row["speedup"] or 1) or 1.0
    return total


def series_line(name, rows):
    first = rows[0]
    kept = sum(row["keep"] == "keep" for row in rows) - 1
    return (f"{name[:8]} {first['timestamp'][:10]}: {len(rows) - 1} trials, {kept} "
            f"kept, {product(rows):.4f} times as fast; {cell_of(first)}, "
            f"{first['cpu'] or 'cpu unknown'}")
