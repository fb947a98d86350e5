# SPDX-License-Identifier: MIT OR Apache-2.0
"""A series: what trials are compared with, and where its log ends."""

import time

from . import files, log
from .ends import EXIT_STOPPED, Refused


# What every series has had since there are some.
NEEDED = {"id", "pinned", "head", "best_commit", "best_trial", "best_object",
          "best_library", "best_lines", "manifest", "limit", "source_asked"}


def load(places):
    try:
        series = files.read_json(places.series)
    except ValueError as why:
        raise Refused(f"{places.series}: not readable ({why}): start a series "
                      "with scripts/trial --baseline") from why
    if series is None:
        raise Refused("no series here yet: scripts/trial --baseline starts one")
    absent = NEEDED - set(series) if isinstance(series, dict) else NEEDED
    if absent:
        raise Refused(f"{places.series}: incomplete, there is no "
                      f"{', '.join(sorted(absent))}: start a series with "
                      "scripts/trial --baseline")
    return series


def trials_left(series, rows):
    """(trials, seconds) until the series ends; None where nothing ends it."""
    done = sum(row["series"] == series["id"] for row in rows) - 1
    most, ends = series.get("max_trials"), series.get("ends")
    return (None if most is None else max(0, most - done),
            None if ends is None else max(0.0, ends - time.time()))


def check_budget(series, rows):
    """A series that was given so many trials or hours ends with them."""
    for left, what in zip(trials_left(series, rows), ("trials", "hours")):
        if left == 0:
            raise Refused(f"the series is at its end: it has had its {what}.  "
                          "scripts/trial status says what came of it, "
                          "scripts/trial --baseline starts another from HEAD",
                          EXIT_STOPPED)


def save(places, series):
    files.replace_json(places.series, series)


def verified_rows(places, head):
    """All rows of the log, or a refusal that says where its chain breaks."""
    try:
        rows = log.verify(places.log, head)
    except log.Broken as why:
        raise Refused(f"{places.log}: {why}.\n{_remedy(places, head)}", 4
                      ) from why
    except OSError as why:
        raise Refused(f"{places.log}: {why.strerror}") from why
    return rows


def _remedy(places, head):
    try:
        log.verify(places.log_copy, head)
        whole = bool(log.text_of(places.log_copy))
    except (log.Broken, OSError):
        whole = False
    if whole:
        return ("Remedy: .trial/results.tsv is a copy whose chain holds: diff "
                "results.tsv .trial/results.tsv, then cp .trial/results.tsv "
                "results.tsv")
    return ("Remedy: put the line back as it was; if nobody knows how, move "
            "results.tsv aside and start a series with scripts/trial --baseline")


def add_row(places, row):
    """Append; a copy of the log is kept for who has to mend it."""
    log.append(places.log, row)
    files.copy(places.log, places.log_copy)
