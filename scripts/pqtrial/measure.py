# SPDX-License-Identifier: MIT OR Apache-2.0
"""What run_experiment says about a candidate, and how that fills a row."""

import os

from . import files, process
from .ends import EXIT_OF, Ended

BY_CODE = {0: "ok", 2: "recall", 3: "time_budget", 4: "integrity", 5: "crash",
           6: "unresolved"}
CELLS = ("partition", "large", "k100", "gaussian", "rows")


def command(places, series, library, against, seconds, output):
    line = [places.run_experiment, "--library", library, "--against", against,
            "--json", output, "--source", series["source_asked"],
            "--time-budget", f"{seconds:.0f}"]
    if series.get("kernel_asked"):
        line += ["--kernel", series["kernel_asked"]]
    return line


def compare(places, series, mark, library, against, seconds):
    """The block as a dictionary, its status one of EXIT_OF."""
    output = os.path.join(places.outputs, "result.json")
    files.remove(output)
    result = process.run(
        command(places, series, library, against, max(1, seconds - 2), output),
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
    return block


def check_measured(block, library_sha256):
    """It was the candidate that ran, not what lay there before."""
    ran = block.get("library_sha256")
    if block["status"] in ("ok", "unresolved") and ran != library_sha256:
        raise Ended("integrity", f"measured was {str(ran)[:12]}, built was "
                                 f"{library_sha256[:12]}", block)


def _pair(block, key):
    value = block.get(key)
    return value if isinstance(value, list) and len(value) == 2 else ("", "")


def cells(block):
    """The guards, as text: name estimate low high band; ..."""
    found = []
    for name in CELLS:
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
        "verdict", "guards", "confirmation", "holdout", "sandbox", "composite",
        "kernel")})
    row.update(ci_low=low, ci_high=high, null_low=null_low,
               null_high=null_high, cells=cells(block),
               exact=block.get("exact_queries", ""), seed=block.get("seed", ""),
               cpu=block.get("cpu", ""))
    if block.get("source"):
        row["source"] = block["source"]
    return row
