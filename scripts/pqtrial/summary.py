# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a trial tells the agent, and the message of a commit."""

import re
import textwrap

from . import blame, counted, ends

# Rows that are no attempt at an idea.
NO_ATTEMPT = {"interrupted", "integrity", "lint", "build", "null", "known",
              "error", "time_budget"}
# Counts do not drift, times do: of these the shares are compared.
COUNTS = ("bytes_read_per_code", "survivors")
PARTS = ("table_ns", "probe_ns")
SUBJECT = 72


def interval(row):
    if not row["ci_low"] or float(row["speedup"] or 0) == 0:
        return ""
    if counted.is_counted(row):
        return f"{float(row['speedup']):.4f}"
    return f"{float(row['speedup']):.4f} " \
           f"({float(row['ci_low']):.4f} to {float(row['ci_high']):.4f})"


def subject_of(row, words):
    """The hypothesis if it fits, else its first clause that says enough, else what
    came of it; never half a sentence."""
    room = SUBJECT - len("kernels: ")
    if len(words) <= room:
        return "kernels: " + words
    ends = [match.start() for match in re.finditer(r"[.:;,](?= )| \(", words)
            if 15 <= match.start() <= room]
    if ends:
        return "kernels: " + words[:ends[-1]]
    return f"kernels: trial {row['trial']}, " + (
        f"{float(row['speedup']):.3f} times as fast with {row['kernel']}"
        if row["verdict"] == "faster" else "simpler")


def commit_message(row):
    words = " ".join(row["description"].split())
    subject = subject_of(row, words)
    body = [] if subject.endswith(words) else [textwrap.fill(words, 72)]
    if counted.is_counted(row) and row["status"] == "ok":
        body.append(textwrap.fill(
            f"{interval(row)} times as fast as {row['commit']} by modelled cycles, "
            f"with {row['kernel']}, {row['scan']}, on {row['cpu']}; guards "
            f"{row['guards']}.", 72))
    elif interval(row) and row["status"] == "ok":
        body.append(textwrap.fill(
            f"{interval(row)} times as fast as {row['commit']} on "
            f"{row['source']}, with {row['kernel']}, {row['scan']}, k = "
            f"{row['k']}, on {row['cpu']}; 95 % interval; null band "
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


def _ratio(numbers):
    """estimate low high, and how far two equal arms differ if that is known."""
    estimate, low, high, *band = numbers.split(" ")
    if estimate == low == high:
        return estimate  # counted
    if float(high) == 0:
        return f"{estimate}, no interval"
    return f"{estimate} ({low} to {high})" + \
        (f"; equal arms differ by up to {band[0]}" if band else "")


def _share(block, name):
    whole = sum(float(block.get(part) or 0) for part in PARTS)
    return 100 * float(block[name]) / whole if whole and block.get(name) else None


def times(block, best):
    """Of the best only what was measured beside the candidate, or does not drift
    with the hour."""
    if block.get("geomean_ns_per_query"):
        beside = f"; the best beside it {block['baseline_ns']}: means over " \
            "all queries, where speedup is paired within rounds" \
            if block.get("baseline_ns") else ""
        _line("geomean_ns_per_query", f"{block['geomean_ns_per_query']}{beside}")
    for name in PARTS:
        mine, other = _share(block, name), _share(best, name)
        if mine is not None:
            _line(name, f"{block[name]} ({mine:.0f} % of the query" +
                  (f"; {other:.0f} % of the best's)" if other is not None
                   else ")"))
    _line("stream_ns", block.get("stream_ns") or "")
    for name in COUNTS:
        if block.get(name):
            before = f" (best: {best[name]})" if best.get(name) else ""
            _line(name, f"{block[name]}{before}")


def figures(block):
    """Of a counted series: what the verdict is of."""
    for key, text in counted.lines(block):
        _line(key, text)


def show(row, block, best, rows, said, stages="", notes=()):
    """The block on standard output."""
    print("---")
    for name in ("trial", "status", "reason", "verdict"):
        _line(name, row[name])
    _line("kept", "yes" if row["keep"] == "keep" else "no")
    is_counted = counted.is_counted(row)
    _line("cell", f"{row['kernel']}, {row['scan']}, " +
          ("" if is_counted else f"k = {row['k']}, ") +
          f"{row['source']}; {row['cpu']}")
    _line("speedup", interval(row))
    if row["null_low"] and not is_counted:
        _line("null_band", f"{row['null_low']} to {row['null_high']}")
    for name in ("guards", "confirmation", "holdout", "sandbox", "busy"):
        _line(name, row[name])
    if block.get("figures"):
        figures(block)
    for cell in filter(None, row["cells"].split("; ") if not is_counted else ()):
        name, _, numbers = cell.partition(" ")
        name = "k10" if name == "k100" and row["k"] == "100" else name
        _line("guard_" + name, _ratio(numbers))
    for look in filter(None, row["looks"].split("; ")):
        name, _, numbers = look.partition(" ")
        _line(name.replace(":", "_"), _ratio(numbers) + _unresolved(numbers))
    if not is_counted:
        times(block, best)
    _line("seconds", row["seconds"] + (f" ({stages})" if stages else ""))
    for note in notes:
        _line("note", note)
    _line("tree", said)
    _line("next", advice(rows + [row]) or _next(row))


def _unresolved(numbers):
    """A look whose interval allows for a loss that matters says so."""
    low = float(numbers.split(" ")[1])
    return "" if low >= ends.HIDES else "; not resolved"


def _next(row):
    if row["trial"] == "0":
        return 'scripts/trial "hypothesis, with the predicted effect"'
    if blame.TOO in row["reason"]:
        return "the best itself is wrong: mend it in a commit of its own, then " \
               "scripts/trial --baseline; trials of it wait for that"
    if row["verdict"] == "vetoed":
        return "keep the gain and mend the loss, or decide by what stays alive " \
               "which way is taken"
    return {
        "build": "a typing error: mend it and try again; a broken idea: another",
        "lint": "mend what lint found and try again",
        "integrity": "undo what it names",
        "time_budget": "a hang, far too slow, or a busy host: scripts/trial "
                       "doctor",
        "error": "read the reason; .trial/logs has what was printed; what was tried "
                 "can be tried again when the host is well",
        "interrupted": "git apply the patch, and try again",
        "unresolved": "git apply the patch and try it once more when the others "
                      "are gone" if row["busy"] else
                      "treat it as the same; scripts/trial doctor says what this "
                      "host resolves",
        "null": "the compiler made the same code of it",
    }.get(row["status"], "" if ends.EXIT_OF.get(row["status"]) == 0 else
          "a defect: find out why before the next idea")
