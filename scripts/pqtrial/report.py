# SPDX-License-Identifier: MIT OR Apache-2.0
"""Plot and table of a series of the log: the same log, the same bytes."""

import os

from . import counted, files, memory, plotting, summary
from .ends import Refused

MAX_SHOWN = 1.25  # times the baseline's time
COLOURS = {"kept": "#1a7f37", "not kept": "#57606a", "unresolved": "#bf8700"}


def number(text):
    try:
        return float(text)
    except ValueError:
        return 0.0


class Point:
    """One trial, placed relative to the baseline."""

    def __init__(self, row, best, first_ns):
        self.row, self.best = row, best
        self.trial = int(row["trial"])
        self.kept = row["keep"] == "keep"
        measured = row["status"] in ("ok", "unresolved")
        self.speedup = number(row["speedup"]) if measured else 0.0
        self.ns = self.low = self.high = 0.0
        if self.speedup > 0 and number(row["ci_low"]) > 0:
            scale = first_ns / best
            self.ns = scale / self.speedup
            self.low = scale / number(row["ci_high"])
            self.high = scale / number(row["ci_low"])
        if row["trial"] == "0":
            self.speedup, self.ns = 1.0, first_ns
            self.low = self.high = 0.0  # itself against itself

    @property
    def kind(self):
        return "kept" if self.kept else "unresolved" \
            if self.row["status"] == "unresolved" else "not kept"


def points_of(rows):
    """The trials of a series; ratios multiply along what was kept."""
    first_ns = number(rows[0]["geomean_ns_per_query"])
    if first_ns <= 0:
        raise Refused("the series' first row has no time")
    points, best = [], 1.0
    for row in rows:
        point = Point(row, best, first_ns)
        if point.kept and point.trial > 0 and point.speedup > 0:
            best *= point.speedup
        points.append(point)
    return points, best


def stream_limit(points):
    values = sorted(number(p.row["stream_ns"]) for p in points
                    if number(p.row["stream_ns"]) > 0)
    return values[len(values) // 2] if values else 0.0


# The plot -------------------------------------------------------------------

def _draw_points(axes, points):
    for kind, colour in COLOURS.items():
        mine = [p for p in points if p.kind == kind and p.ns > 0]
        if not mine:
            continue
        with_ci = [p for p in mine if p.low > 0]
        axes.errorbar([p.trial for p in with_ci], [p.ns for p in with_ci],
                      yerr=[[p.ns - p.low for p in with_ci],
                            [p.high - p.ns for p in with_ci]],
                      fmt="none", ecolor=colour, elinewidth=1.2, capsize=3,
                      zorder=3)
        axes.scatter([p.trial for p in mine], [p.ns for p in mine], s=28,
                     color=colour, label=kind, zorder=4,
                     marker="o" if kind == "kept" else "s")


def _draw_best(axes, points):
    x, y, best = [], [], points[0].ns
    for point in points:
        if point.kept and point.ns > 0:
            best = point.ns
        x.append(point.trial)
        y.append(best)
    x.append(points[-1].trial + 0.5)
    y.append(best)
    axes.step(x, y, where="post", color=COLOURS["kept"], linewidth=1.5,
              label="running best", zorder=2)


def _draw_unmeasured(axes, points):
    mine = [p for p in points if p.ns <= 0]
    if mine:
        axes.scatter([p.trial for p in mine], [0.75] * len(mine), marker="x",
                     s=30, color="#cf222e", label="not measured to the end",
                     transform=axes.get_xaxis_transform(), zorder=4)


def _label_kept(axes, points):
    for point in points:
        if point.kept and point.trial > 0 and point.ns > 0:
            words = point.row["description"]
            text = words if len(words) <= 40 else words[:39] + "\u2026"
            axes.annotate(text, (point.trial, point.ns), rotation=-32,
                          fontsize=8, xytext=(2, -6), zorder=5, va="top",
                          rotation_mode="anchor",
                          textcoords="offset points", color="#1f2328")


def _scale(upper, lower, points, limit):
    """The trials fill the upper part; the limit, far below, has the lower."""
    most = MAX_SHOWN * points[0].ns
    seen = [v for p in points for v in (p.ns, p.low, p.high) if 0 < v <= most]
    far = [p.trial for p in points if p.ns > most]
    if far:
        upper.scatter(far, [0.985] * len(far), marker="^", s=34, clip_on=False,
                      color=COLOURS["not kept"], label="slower than is shown",
                      transform=upper.get_xaxis_transform(), zorder=4)
    span = max(max(seen) - min(seen), 0.02 * max(seen))
    upper.set_ylim(min(seen) - 0.6 * span, max(seen) + 0.1 * span)
    lower.set_ylim(0.9 * limit if limit else 0, 1.15 * limit if limit else 1)
    lower.set_yticks([round(limit)] if limit else [])
    lower.set_xlim(-0.7, points[-1].trial + 1 + 0.16 * len(points))
    lower.xaxis.get_major_locator().set_params(integer=True)
    upper.spines["bottom"].set_visible(False)
    upper.tick_params(bottom=False)
    lower.spines["top"].set_linestyle((0, (2, 3)))


def draw(points, folder):
    figure, (upper, lower) = plotting.pyplot().subplots(
        2, 1, sharex=True, figsize=(11, 6.6),
        gridspec_kw={"height_ratios": [8, 1], "hspace": 0.04})
    _draw_best(upper, points)
    _draw_points(upper, points)
    _label_kept(upper, points)
    _draw_unmeasured(lower, points)
    limit = stream_limit(points)
    if limit > 0:
        lower.axhline(limit, color="#0969da", linestyle="--", linewidth=1.2,
                      label="reading the codes once")
    _scale(upper, lower, points, limit)
    first = points[0].row
    kept = sum(p.kept for p in points) - 1
    upper.set_title(f"{first['source']}, {first['kernel']}, {first['cpu']}: "
                    f"{len(points) - 1} trials, {kept} kept", fontsize=11)
    upper.set_ylabel("modelled cycles a query" if counted.is_counted(first) else
                     "ns per query, from paired ratios")
    lower.set_xlabel("trial")
    for axes in (upper, lower):
        axes.grid(True, alpha=0.25)
    handles = [h for axes in (upper, lower)
               for h in zip(*axes.get_legend_handles_labels())]
    figure.legend(*zip(*handles), fontsize=8.5, loc="lower center",
                  ncol=len(handles), frameon=False)
    figure.subplots_adjust(left=0.08, right=0.98, top=0.94, bottom=0.13)
    plotting.save(figure, os.path.join(folder, "trials"))


# The table ------------------------------------------------------------------

def cell(text):
    return str(text).replace("\\", "\\\\").replace("|", "\\|").replace(
        "\n", " ").replace("\t", " ").replace("<", "&lt;")


def _table(points, columns):
    yield "| " + " | ".join(columns) + " |"
    yield "|" + " --- |" * len(columns)
    for point in points:
        yield "| " + " | ".join(cell(columns[c](point)) for c in columns) + " |"


ALL = {
    "trial": lambda p: p.trial,
    "verdict": lambda p: p.row["verdict"] if p.row["status"] == "ok"
    else p.row["status"],
    "kept": lambda p: "yes" if p.kept else "",
    "times as fast (95 %)": lambda p: summary.interval(p.row),
    "null band": lambda p: f"{p.row['null_low']} to {p.row['null_high']}"
    if number(p.row["null_low"]) else "",
    "guards": lambda p: p.row["guards"] if p.row["guards"] != "none" else "",
    "hypothesis": lambda p: p.row["description"],
}
SHORT = {
    "trial": ALL["trial"],
    "times as fast (95 %)": ALL["times as fast (95 %)"],
    "hypothesis": ALL["hypothesis"],
    "why not": lambda p: p.row["reason"] or p.row["verdict"],
}


def is_near_miss(point):
    """Not kept, but the estimate or the judge's first look was in favour."""
    return not point.kept and point.ns > 0 and (
        point.speedup > 1.0 or point.row["confirmation"] == "failed")


def group_of(point):
    row = point.row
    if row["status"] != "ok":
        return row["status"]
    if row["guards"] not in ("ok", "none", ""):
        return "a guard lost"
    return row["verdict"]


def table(points, best, others, drawn):
    first = points[0].row
    limit = stream_limit(points)
    kept = [p for p in points if p.kept and p.trial > 0]
    yield "# Trials"
    yield ""
    yield (f"Series `{first['series']}`: {len(points) - 1} trials of "
           f"{memory.cell_of(first)} ({first['cpu']}), {len(kept)} kept.")
    if counted.is_counted(first):
        yield (f"Product of the kept speed-ups: {best:.4f}; the baseline took "
               f"{points[0].ns:.0f} cycles a query by the model, which leaves out a "
               f"lot ({counted.LEAVES_OUT}).")
    else:
        yield (f"Product of the kept speed-ups: {best:.4f}; the baseline took "
               f"{points[0].ns:.0f} ns a query, reading the codes once {limit:.0f} "
               "ns.")
    yield "Made from results.tsv by `scripts/trial report`."
    if drawn:
        yield ""
        yield "![every trial with its interval](trials.svg)"
    yield ""
    yield "## All"
    yield ""
    yield from _table(points, ALL)
    missed = [p for p in points if is_near_miss(p)]
    if missed:
        yield ""
        yield "## Near misses"
        yield ""
        yield from _table(sorted(missed, key=lambda p: -p.speedup), SHORT)
    dead = [p for p in points if not p.kept and p not in missed]
    if dead:
        yield ""
        yield "## Dead ends"
        for group in sorted({group_of(p) for p in dead}):
            yield ""
            yield f"### {group}"
            yield ""
            yield from _table([p for p in dead if group_of(p) == group], SHORT)
    if others:
        yield ""
        yield "## Other series of this log"
        yield ""
        for line in others:
            yield f"- {cell(line)}"


def _can_draw():
    try:
        plotting.need()
    except Refused:
        return False
    return True


def write(rows, folder, all_rows):
    """trials.md in the folder, and with matplotlib trials.svg and trials.png."""
    points, best = points_of(rows)
    others = [memory.series_line(name, old)
              for name, old in memory.series_of(all_rows)
              if name != rows[0]["series"]]
    drawn = _can_draw()
    names = (["trials.svg", "trials.png"] if drawn else []) + ["trials.md"]
    try:
        os.makedirs(folder, exist_ok=True)
        files.replace(os.path.join(folder, "trials.md"), (
            "\n".join(table(points, best, others, drawn)) + "\n").encode())
        if drawn:
            draw(points, folder)
    except OSError as why:
        raise Refused(f"{why.filename or folder}: {why.strerror}") from why
    for name in names:
        print(os.path.join(folder, name))
    if not drawn:
        print("not drawn: that needs matplotlib (Debian: apt-get install "
              "python3-matplotlib)")
    return 0
