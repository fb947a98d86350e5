# SPDX-License-Identifier: MIT OR Apache-2.0
"""What run_experiment says about a candidate, and how that fills a row."""

import os
import time

from . import counted, files, host, process
from .ends import EXIT_OF, Ended

BY_CODE = {0: "ok", 2: "recall", 3: "time_budget", 4: "integrity", 5: "crash",
           6: "unresolved"}
CELLS = ("partition", "large", "k100", "gaussian", "rows", "prepare", "bytes")


# Seconds that run_experiment gives the primary cell: in a trial, in its second
# measurement, in a look, and before the equality tests, where a clear loser is
# dropped.
USUAL, LONGER, LOOK, FIRST = 6.0, 12.0, 3.0, 1.0
# What is asked for, as run_experiment has it if nothing is said.
EFFECT = 0.01


def arguments(series, kernel=None, scan=None, k=None, seconds=USUAL, look=False):
    """The series' cell, or another: how run_experiment is told, or scripts/costs."""
    if counted.target_of(series):
        return counted.arguments(series, kernel)
    kernel = kernel or series.get("kernel_asked")
    line = ["--source", series["source_asked"],
            "--scan", scan or series.get("scan", "single"),
            "--k", str(k or series.get("k", 10)), "--measure", f"{seconds:g}"]
    return line + (["--kernel", kernel] if kernel else []) + \
        (["--look"] if look else [])


def compare(places, series, mark, library, against, seconds, how=None):
    """The block as a dictionary, its status one of EXIT_OF; .busy: what others
    did meanwhile."""
    if counted.target_of(series):
        began = time.monotonic()
        block = counted.compare(places, series, mark, library, against, seconds,
                                how or arguments(series))
        return dict(block, total_seconds=round(time.monotonic() - began, 2), busy="")
    output = os.path.join(places.outputs, "result.json")
    files.remove(output)
    watch = host.Watch()
    result = process.run(
        [places.run_experiment, "--library", library, "--against", against,
         "--json", output, "--time-budget", f"{max(1, seconds - 2):.0f}",
         *(how or arguments(series))],
        os.path.join(places.outputs, "run.log"), seconds,
        process.environment(mark, {"cache": places.at("cache")}))
    try:
        block = files.read_json(output)
    except ValueError:
        block = None
    if result.late:
        block = dict(block or {}, status="time_budget",
                     reason=f"the judge had no result after {seconds:.0f} s")
    elif not block:
        last = result.output.strip().split("\n")[-1]
        block = {"status": "error", "reason": f"run_experiment ended with "
                 f"{result.code} and no result: {last}"}
    if block.get("status") not in EXIT_OF:
        block["status"] = BY_CODE.get(result.code, "error")
    block["total_seconds"] = round(result.seconds, 2)
    block["busy"] = watch.said()
    return block


def could_be_kept(block):
    """Of an unresolved block: whether another measurement may find a gain, which
    the first neither showed nor ruled out.  What was faster and was not confirmed
    is not asked again, nor what hides time."""
    if block["status"] != "unresolved" or block.get("confirmation") != "none":
        return False
    low, high = _pair(block, "speedup_ci95")
    null = _pair(block, "null_ci95")
    if not low or "" in null or min(null) <= 0:
        return True  # no interval at all
    clear = 1 + max(EFFECT, null[1] - 1, 1 / null[0] - 1)
    guards_open = "not resolved" in str(block.get("guards"))
    return guards_open or low <= clear and high > 1 + EFFECT


def check_measured(block, library_sha256, best_sha256):
    """It was the candidate that ran, beside the best, not what somebody has put in
    their places."""
    for key, wanted, what in (("library_sha256", library_sha256, "built"),
                              ("against_sha256", best_sha256, "the best")):
        ran = block.get(key)
        if block["status"] in ("ok", "unresolved") and ran != wanted:
            raise Ended("integrity", f"measured was {str(ran)[:12]}, {what} was "
                                     f"{wanted[:12]}", block)


def _pair(block, key):
    value = block.get(key)
    return value if isinstance(value, list) and len(value) == 2 else ("", "")


def cells(block):
    """The guards, as text: name estimate low high band; ..."""
    found = []
    for name in block.get("guard_cells", CELLS):
        value = block.get("guard_" + name)
        if isinstance(value, list) and any(value):
            found.append(name + " " + " ".join(f"{x:.4f}" for x in value))
    return "; ".join(found)


def fields(block):
    """Columns of the row that come from the block."""
    low, high = _pair(block, "speedup_ci95")
    null_low, null_high = _pair(block, "null_ci95")
    row = {name: block.get(name, 0) for name in (
        "num_base", "recall_at_10", "geomean_ns_per_query", "peak_mem_mb",
        "total_seconds", "speedup", "stream_ns", "table_ns", "probe_ns",
        "bytes_read_per_code", "survivors")}
    row.update({name: block.get(name, "none") for name in (
        "verdict", "guards", "confirmation", "holdout", "sandbox",
        "composite")})
    row.update(busy=block.get("busy", ""), ci_low=low, ci_high=high,
               null_low=null_low, null_high=null_high, cells=cells(block),
               exact=block.get("exact_queries", ""), seed=block.get("seed", ""))
    # What a block does not know, the row has from the series.
    for name in ("source", "cpu", "kernel"):
        if block.get(name) in ("", None, "unknown"):
            row.pop(name, None)
        else:
            row[name] = block[name]
    return row
