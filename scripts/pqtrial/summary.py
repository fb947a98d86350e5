# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a trial tells the agent, and the message of a commit."""

import textwrap

from . import ends

# Rows that are no attempt at an idea.
NO_ATTEMPT = {"interrupted", "integrity", "lint", "build", "null", "known",
              "error", "time_budget"}
MOVES = ("geomean_ns_per_query", "table_ns", "probe_ns", "stream_ns",
         "bytes_read_per_code", "survivors")


def interval(row):
    if not row["ci_low"] or float(row["speedup"] or 0) == 0:
        return ""
    return f"{float(row['speedup']):.4f} " \
           f"({float(row['ci_low']):.4f} to {float(row['ci_high']):.4f})"


def commit_message(row):
    words = " ".join(row["description"].split())
    subject = textwrap.shorten("kernels: " + words, 72, placeholder=" ...")
    body = [] if subject.endswith(words) else [textwrap.fill(words, 72)]
    if interval(row) and row["status"] == "ok":
        body.append(textwrap.fill(
            f"{interval(row)} times as fast as {row['commit']} on "
            f"{row['source']}, with {row['kernel']}, 95 % interval; null band "
            f"{row['null_low']} to {row['null_high']}; guards {row['guards']}.",
            72))
    if row["reason"]:
        body.append(textwrap.fill(row["reason"], 72))
    body.append(f"Trial: {row['trial']}\nTrial-Row: {row['hash']}")
    return "\n\n".join([subject] + body) + "\n"


def discards_in_a_row(rows):
    count = 0
    for row in reversed(rows):
        if row["keep"] == "keep":
            break
        count += row["status"] not in NO_ATTEMPT
    return count


def advice(rows):
    count = discards_in_a_row(rows)
    if count >= 10:
        return f"{count} discards in a row: change the data structure"
    if count >= 5:
        return f"{count} discards in a row: change the kind of idea, not its " \
               "constants"
    return ""


def _line(key, value):
    if value not in ("", None, "none"):
        print(f"{key + ':':21} {value}")


def show(row, block, best, rows, said, stages=""):
    """The block on standard output."""
    print("---")
    _line("trial", row["trial"])
    _line("status", row["status"])
    _line("reason", row["reason"])
    _line("verdict", row["verdict"])
    _line("kept", "yes" if row["keep"] == "keep" else "no")
    _line("speedup", interval(row))
    if row["null_low"]:
        _line("null_band", f"{row['null_low']} to {row['null_high']}")
    for name in ("guards", "confirmation", "holdout", "sandbox"):
        _line(name, row[name])
    for cell in filter(None, row["cells"].split("; ")):
        name, *numbers = cell.split(" ")
        _line("guard_" + name, " ".join(numbers))
    for name in MOVES:
        if block.get(name):
            before = f" (best: {best[name]})" if best.get(name) else ""
            _line(name, f"{block[name]}{before}")
    _line("seconds", row["seconds"] + (f" ({stages})" if stages else ""))
    _line("tree", said)
    _line("next", advice(rows + [row]) or _next(row))


def _next(row):
    if row["trial"] == "0":
        return 'scripts/trial "hypothesis, with the predicted effect"'
    return {
        "build": "a typing error: mend it and try again; a broken idea: another",
        "lint": "mend what lint found and try again",
        "integrity": "undo what it names",
        "time_budget": "a hang, far too slow, or a busy host: scripts/trial "
                       "doctor",
        "error": "read the reason; .trial/logs has what was printed",
        "interrupted": "git apply the patch, and try again",
        "unresolved": "the noise is above the effect: a quieter host "
                      "(scripts/trial doctor), or a larger effect",
        "null": "the compiler made the same code of it",
    }.get(row["status"], "" if ends.EXIT_OF.get(row["status"]) == 0 else
          "a defect: find out why before the next idea")
