# SPDX-License-Identifier: MIT OR Apache-2.0
"""results.tsv: append-only, one row a trial, each row chained to the one before.

A row's last field is the SHA-256 of all others as they stand in the file, the
field before that is the hash of the row before.  A header stands before the first
row, and again where columns were added since: a log that an older scripts/trial
began goes on.
"""

import errno
import hashlib
import os

FIRST_COLUMNS = (
    # The first ten are older than the rest, and stay as they are.
    "commit", "timestamp", "source", "num_base", "recall_at_10",
    "geomean_ns_per_query", "peak_mem_mb", "total_seconds", "keep",
    "description",
    "trial", "status", "verdict", "speedup", "ci_low", "ci_high", "null_low",
    "null_high", "stream_ns", "table_ns", "probe_ns", "bytes_read_per_code",
    "survivors", "guards", "cells", "composite", "confirmation", "holdout",
    "sandbox", "kernel", "exact", "code_lines", "object_hash",
    "library_sha256", "seed", "host", "cpu", "seconds", "reason", "series",
    "prev", "hash")
COLUMNS = FIRST_COLUMNS[:-2] + ("scan", "k", "looks", "busy") + FIRST_COLUMNS[-2:]
HEADER = "\t".join(COLUMNS)
LAYOUTS = {"\t".join(columns): columns for columns in (FIRST_COLUMNS, COLUMNS)}
# What a row of an older layout does not say.
UNSAID = {"scan": "single", "k": "10", "looks": "", "busy": ""}
ESCAPES = {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}


class Broken(Exception):
    """The chain does not hold: .line is where."""

    def __init__(self, line, what):
        super().__init__(f"line {line}: {what}")
        self.line = line


def escape(value):
    text = str(value).encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(ESCAPES.get(c) or (c if c >= " " and c not in
                                      "\x7f\x85\u2028\u2029" else f"\\x{ord(c):02x}")
                   for c in text)


def unescape(text):
    out, at = [], 0
    while at < len(text):
        pair = text[at:at + 2]
        back = {"\\\\": "\\", "\\t": "\t", "\\n": "\n", "\\r": "\r"}.get(pair)
        out.append(back or text[at])
        at += 2 if back else 1
    return "".join(out)


def digest(text):
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def first_link(series, header=HEADER):
    """What the first row of a log is chained to."""
    return digest(f"{header}\n{series}")


def hash_of(row, columns):
    return digest("\t".join(escape(row[name]) for name in columns[:-1]))


def seal(row, prev):
    """The row with prev and hash filled in."""
    row = {name: str(row.get(name, "")) for name in COLUMNS}
    row["prev"] = prev
    row["hash"] = hash_of(row, COLUMNS)
    return row


def line_of(row):
    return "\t".join(escape(row[name]) for name in COLUMNS) + "\n"


def text_of(path):
    """The file, or "" if there is none."""
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""


def _numbered(path):
    """(line number, columns, row) of each row, unescaped."""
    text = text_of(path)
    if not text:
        return
    lines = text.split("\n")
    columns = LAYOUTS.get(lines[0])
    if columns is None:
        raise Broken(1, "not this log's header: was the file made by another "
                        "tool, or the line edited?")
    if lines.pop() != "":
        raise Broken(len(lines) + 1, "the last line has no end: it was cut off "
                                     "or edited")
    for number, line in enumerate(lines[1:], start=2):
        if line in LAYOUTS and LAYOUTS[line] != columns:
            columns = LAYOUTS[line]
            continue
        fields = line.split("\t")
        if len(fields) != len(columns):
            raise Broken(number, f"{len(fields)} fields, not {len(columns)}: "
                                 "the line was edited")
        yield number, columns, dict(
            UNSAID, **{n: unescape(f) for n, f in zip(columns, fields)})


def read(path):
    """All rows, without a look at the chain."""
    return [row for _, _, row in _numbered(path)]


def verify(path, head=None):
    """All rows, if the chain holds and ends in head; else raises Broken."""
    rows, known, lines, number = [], [], [], 1
    for number, columns, row in _numbered(path):
        rows.append(row)
        lines.append(number)
        if hash_of(row, columns) != row["hash"]:
            raise Broken(number, "the line was edited: it does not have the "
                                 "hash that it ends in")
        before = known[-1] if known else \
            first_link(row["series"], "\t".join(columns))
        if row["prev"] != before:
            if row["prev"] in known:
                what = ("not the line that followed: lines before it were "
                        "inserted, or it was copied from elsewhere")
            else:
                what = ("the line before it was removed, replaced or moved, or "
                        "this one was inserted")
            raise Broken(number, what)
        known.append(row["hash"])
    if head is not None and (known[-1] if known else None) != head:
        if head in known:
            raise Broken(lines[known.index(head) + 1],
                         "inserted: no trial wrote this line")
        raise Broken(number + 1, "lines were removed from the end"
                     if rows else "all rows were removed")
    return rows


def _write_once(handle, data, path):
    written = os.write(handle, data)
    if written != len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
    os.fsync(handle)


def _layout_at_end(path):
    columns = None
    for line in text_of(path).split("\n"):
        columns = LAYOUTS.get(line, columns)
    return columns


def append(path, row):
    """Add the sealed row, wholly or not at all; begins the log if need be."""
    line = line_of(row).encode("utf-8")
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        before = os.fstat(handle).st_size
        if before == 0 or _layout_at_end(path) != COLUMNS:
            line = (HEADER + "\n").encode() + line
        try:
            _write_once(handle, line, path)
            if os.pread(handle, len(line), before) != line:
                raise OSError(errno.EIO, "what was written does not read back",
                              path)
        except OSError:
            os.ftruncate(handle, before)
            raise
    finally:
        os.close(handle)


def mend(path, line):
    """Take back a beginning of this line that a power cut left at the end."""
    data = line.encode("utf-8")
    try:
        with open(path, "rb+") as file:
            text = file.read()
            whole = text.rfind(b"\n") + 1
            rest = text[whole:]
            if rest and ((HEADER + "\n").encode() + data).startswith(rest) or \
                    rest and data.startswith(rest):
                file.truncate(whole)
    except FileNotFoundError:
        pass
