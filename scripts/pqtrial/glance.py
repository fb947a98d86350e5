# SPDX-License-Identifier: MIT OR Apache-2.0
"""What costs no trial: a look at the kernels as they lie in the tree, and a
profile of them.  Nothing is logged, nothing committed, the tree stays."""

import os
import re
import secrets
import shutil
import subprocess

from . import counted, elf, files, lock, measure, process, summary
from . import series as series_of
from .build import Build
from .ends import EXIT_OF, Ended, Refused
from .tree import Tree

SECONDS = 120.0  # for the build, and for a measurement
HERTZ = 1999
SHOWN = 15
# The cells of scripts/costs that are the series'.
COSTS = {("single", 10): "photos-k10", ("single", 100): "photos-k100",
         ("single", 1000): "photos-k1000", ("batch", 10): "photos-batch16",
         ("rows", 10): "photos-rows", ("partitions", 10): "parts-8192"}


class Glance:
    """The lock, the series, and a build of the tree's kernels."""

    def __init__(self, places, wait):
        self.handle = lock.take(places.top, wait)
        self.places = places
        self.series = series_of.load(places)
        if os.path.exists(places.journal):
            raise Refused("a trial was cut short: the next one finishes it, and "
                          "only then the tree is free to be looked at")
        self.mark = secrets.token_hex(16)
        self.builder = Build(places, self.mark, counted.target_of(self.series))
        os.makedirs(places.outputs, exist_ok=True)

    def build(self):
        """The hash of the code; a refusal if it cannot be."""
        tree, build = Tree(self.places), self.builder
        try:
            build.check_manifest(self.series["manifest"])
            tree.check_files()
            return build.make(tree, tree.content(tree.snapshot()), SECONDS)[0]
        except Ended as end:
            raise Refused(f"{end.status}: {end.reason}", EXIT_OF[end.status]
                          ) from end

    def compare(self, against, how):
        block = measure.compare(self.places, self.series, self.mark,
                                self.builder.library, against, SECONDS, how)
        if block["status"] != "ok":
            raise Refused(f"{block['status']}: {block.get('reason', '')}",
                          EXIT_OF[block["status"]])
        return block

    def guarded(self, call):
        """call(), of which nothing stays behind."""
        process.catch_signals()
        try:
            return call()
        except process.Interrupted as signal_:
            raise Refused(str(signal_), 128 + signal_.number) from signal_
        finally:
            process.sweep(self.mark)
            os.close(self.handle)


def look(places, wait):
    glance = Glance(places, wait)
    return glance.guarded(lambda: _look(glance))


def _look(glance):
    if glance.build() == glance.series["best_object"]:
        print("the same object code as the best")
        return 0
    block = glance.compare(glance.places.best, measure.arguments(
        glance.series, seconds=measure.LOOK, look=True))
    if counted.target_of(glance.series):
        print(f"{block['speedup']:.4f} times as fast as the best, modelled.  No "
              "verdict, no row, and no equality test.")
        summary.figures(block)
        return 0
    row = measure.fields(block)
    print(f"{summary.interval(row)} times as fast as the best in a look of "
          f"{block['total_seconds']:.0f} s; equal arms {row['null_low']:.4f} to "
          f"{row['null_high']:.4f}.  No verdict, no row, and no equality test but "
          "the look's own answers.")
    summary.times(block, {})
    if block["busy"]:
        print(block["busy"])
    return 0


# Where the time goes ---------------------------------------------------------

def profile(places, wait):
    glance = Glance(places, wait)
    return glance.guarded(lambda: _profile(glance))


def _profile(glance):
    glance.build()
    if counted.target_of(glance.series):
        print(counted.profile(glance.places, glance.series, glance.builder.library,
                              glance.mark), end="")
        return 0
    if not shutil.which("perf"):
        print("perf is not installed (Debian: apt-get install linux-perf; Ubuntu: "
              "linux-tools-generic): counting instructions instead")
        return _costs(glance)
    data = os.path.join(glance.places.outputs, "perf.data")
    done = process.run(
        ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(HERTZ), "-o", data,
         "--", glance.places.run_experiment, "--library", glance.places.library,
         "--json", os.path.join(glance.places.outputs, "profile.json"),
         *measure.arguments(glance.series)],
        os.path.join(glance.places.outputs, "perf.log"), SECONDS,
        process.environment(glance.mark, {"cache": glance.places.at("cache")}))
    if done.code != 0:
        print(f"perf record ended with {done.code}: "
              f"{done.output.strip().splitlines()[-1:]}; sysctl "
              "kernel.perf_event_paranoid=1 may allow it.  Counting instructions "
              "instead")
        return _costs(glance)
    preparing = functions_of(path for path in Build(glance.places, "").objects()
                             if "/prepare/" in path)
    samples = parsed(_report(glance, data), preparing)
    if not samples:
        raise Refused("perf saw no sample in the library's queries "
                      f"({data}); a larger source gives more")
    for line in said(samples):
        print(line)
    for line in counts(files.read_json(
            os.path.join(glance.places.outputs, "profile.json"))):
        print(line)
    print(f"perf annotate -i {data} shows instructions")
    return 0


def _report(glance, data):
    name = os.path.basename(os.path.realpath(glance.places.library))
    done = process.run(
        ["perf", "report", "-i", data, "--stdio", "-q", "-g", "none", "--dsos",
         name, "--sort", "symbol,srcline", "-F", "sample,symbol,srcline",
         "-t", "|"], os.path.join(glance.places.outputs, "perf-report"),
        SECONDS, process.environment(glance.mark))
    return done.output


def functions_of(objects):
    """The functions that these objects define."""
    return {symbol.name for path in objects
            for symbol in elf.Object(path).symbols if symbol.type == elf.STT_FUNC}


def parsed(text, without=()):
    """[(samples, function, line)] of a report, without preparing."""
    found = []
    for line in text.split("\n"):
        fields = [field.strip() for field in line.split("|")]
        if len(fields) < 3 or not fields[0].isdigit():
            continue
        name = re.sub(r"^\[[.k]\] *", "", fields[1])
        if re.sub(r"\.(constprop|isra|part|cold).*", "", name) not in without:
            found.append((int(fields[0]), name, fields[2]))
    return found


def _top(samples, field):
    total, by = sum(sample[0] for sample in samples), {}
    for sample in samples:
        by[sample[field]] = by.get(sample[field], 0) + sample[0]
    ranked = sorted(by.items(), key=lambda one: (-one[1], one[0]))[:SHOWN]
    return [f"  {100 * count / total:5.1f} %  {name}" for name, count in ranked]


def said(samples):
    total = sum(sample[0] for sample in samples)
    yield f"Functions of the queries ({total} samples of 1/{HERTZ} s):"
    yield from _top(samples, 1)
    yield "Lines (inlined code stands where it was written):"
    yield from _top(samples, 2)


def counts(block):
    """What the library says of its stages, per query."""
    codes = float(block["num_base"])
    read, survivors = block["bytes_read_per_code"], block["survivors"]
    yield "A query, as the library counts it:"
    yield f"  {codes:.0f} codes of {block['bytes_per_code']:.1f} bytes"
    yield (f"  {read * codes:.0f} bytes read and looked up, {read:.2f} a code: "
           "what is alive is read on")
    yield (f"  {survivors * codes:.1f} survivors, summed in float32 "
           f"({100 * survivors:.3f} % of the codes)")
    yield f"  {block['bound_groups']} groups in the last bound"
    yield (f"  {block['geomean_ns_per_query']:.0f} ns: "
           f"table {block['table_ns']:.0f}, "
           f"probe {block['probe_ns']:.0f}; reading all codes once takes "
           f"{block['stream_ns']:.0f}")


def _costs(glance):
    series = glance.series
    cell = COSTS.get((series.get("scan", "single"), series.get("k", 10)))
    if cell is None:
        raise Refused("scripts/costs has no cell like the series'; install perf")
    command = [os.path.join(glance.places.top, "scripts", "costs"), "--functions",
               "--cell", cell, "--kernel", series["kernel"]]
    if os.uname().machine in ("x86_64", "aarch64"):
        command += ["--target", os.uname().machine]
    print(" ".join(command), flush=True)
    return subprocess.run(command, cwd=glance.places.top, check=False).returncode
