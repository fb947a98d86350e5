# SPDX-License-Identifier: MIT OR Apache-2.0
"""A series: what trials are compared with, and where its log ends."""

from . import files, log
from .ends import Refused


def load(places):
    try:
        series = files.read_json(places.series)
    except ValueError as why:
        raise Refused(f"{places.series}: not readable ({why}): start a series "
                      "with scripts/trial --baseline") from why
    if series is None:
        raise Refused("no series here yet: scripts/trial --baseline starts one")
    return series


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
