#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""make check-statistics: how often the judge is wrong, and how often it finds
what is there.  A/A is the library and the same code at other addresses.  Every run
is one line of JSON in a file; a run of this program that was interrupted goes on
where the file ends."""

import argparse
import json
import math
import os
import platform
import shutil
import subprocess
import sys
import time

MANY = 10000  # steps that no noise can hide
BASE = 1.2  # time of the detection runs' baseline; 1 is without steps


def say(text):
    print(text, flush=True)


def wilson(count, total, z=1.959964):
    """The 95 % interval of a rate."""
    if total == 0:
        return 0.0, 1.0
    rate = count / total
    centre = (rate + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(
        rate * (1 - rate) / total + z * z / (4 * total * total)
    ) / (1 + z * z / total)
    return max(0.0, centre - half), min(1.0, centre + half)


def at_most(count, total):
    """Clopper and Pearson's upper limit, one-sided 95 %, by bisection."""
    if count >= total:
        return 1.0
    low, high = count / total, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        tail = sum(
            math.comb(total, i) * rate**i * (1 - rate) ** (total - i)
            for i in range(count + 1)
        )
        low, high = (rate, high) if tail > 0.05 else (low, rate)
    return high


class Bench:
    def __init__(self, options):
        self.options = options
        self.work = os.path.abspath(options.work)
        self.log = os.path.join(self.work, "runs.jsonl")
        self.runs = []
        os.makedirs(self.work, exist_ok=True)
        if os.path.exists(self.log):
            with open(self.log, encoding="utf-8") as file:
                for line in file:
                    try:
                        self.runs.append(json.loads(line))
                    except ValueError:
                        pass  # the line during which it was interrupted

    def copy(self, module):
        """A file of its own for each run, as each trial has: nothing is equal
        by being the same, and none has the same pages of memory all night."""
        original, name = module
        path = os.path.join(self.work, name)
        if os.path.exists(path):
            os.unlink(path)
        shutil.copyfile(original, path)
        called = os.path.splitext(name)[0]
        with open(path, "ab") as file:
            file.write(f"\n#called {called} -\n".encode())
        return path

    def slowed(self, steps):
        return self.options.slowed, f"slowed-{steps}.so"

    def compare(self, kind, candidate, against):
        result = os.path.join(self.work, "run.json")
        if os.path.exists(result):
            os.unlink(result)
        start = time.monotonic()
        done = subprocess.run(
            [
                self.options.judge,
                "--source", self.options.source,
                "--library", self.copy(candidate),
                "--against", self.copy(against),
                "--json", result,
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if not os.path.exists(result):
            sys.exit(f"{self.options.judge}: no result: {done.stderr.decode()}")
        with open(result, encoding="utf-8") as file:
            run = json.load(file)
        run.update(kind=kind, exit=done.returncode,
                   source_asked=self.options.source,
                   wall=round(time.monotonic() - start, 2))
        if done.returncode not in (0, 6):
            say(f"{kind}: exit {done.returncode}: {run.get('reason')}")
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(json.dumps(run) + "\n")
        self.runs.append(run)
        return run

    def of(self, kind):
        return [
            run for run in self.runs
            if run["kind"] == kind
            and run["source_asked"] == self.options.source
        ]

    def share(self):
        """Of the time of a query without steps, what one step takes."""
        runs = self.of("calibration")
        while len(runs) < 3:
            self.compare("calibration", self.slowed(MANY), self.slowed(0))
            runs = self.of("calibration")
        seen = sorted(run["speedup"] for run in runs)[len(runs) // 2]
        if not 0 < seen < 0.9:
            sys.exit(f"the calibration is of no use: speedup {seen}")
        return (1 / seen - 1) / MANY

    def repeat(self, kind, count, candidate, against):
        start, done = time.monotonic(), 0
        while len(self.of(kind)) < count:
            run = self.compare(kind, candidate, against)
            done += 1
            each = (time.monotonic() - start) / done
            left = count - len(self.of(kind))
            if sys.stdout.isatty():
                print(
                    f"\r{kind}: {count - left} of {count},"
                    f" {each * left / 60:.0f} min left,"
                    f" last {run['verdict']} {run['speedup']:.4f}   ",
                    end="" if left else "\n",
                    flush=True,
                )
            elif done % 20 == 0 or not left:
                say(f"{kind}: {count - left} of {count}, {each:.1f} s each")


def rate(count, total):
    low, high = wilson(count, total)
    return f"{count}/{total} ({100 * low:.1f} to {100 * high:.1f} %)"


def detection(text, runs, right):
    wrong = {"faster": "slower", "slower": "faster"}[right]
    verdicts = [run["verdict"] for run in runs]
    named = ("faster", "slower", "same", "unresolved")
    say(
        f"{text:26} {rate(verdicts.count(right), len(runs)):28}"
        f" {verdicts.count('unresolved'):10} {verdicts.count('same'):5}"
        f" {verdicts.count(wrong):6} {sum(v not in named for v in verdicts):6}"
    )


def vetoes(bench):
    """How often a guard loses by chance: nothing here is slower in any of them, but
    what is slower in all."""
    seen = [run for run in bench.runs if run["guards"] != "none"
            and run["source_asked"] == bench.options.source
            and not run["kind"].endswith("slower")]
    lost = [run for run in seen if run["verdict"] == "vetoed"]
    hidden = [run for run in seen if "not resolved" in run["guards"]]
    say(f"guards: wrong vetoes {rate(len(lost), len(seen))}, at most"
        f" {100 * at_most(len(lost), len(seen)):.1f} % (one-sided 95 %);"
        f" not resolved {rate(len(hidden), len(seen))}")
    for run in lost:
        say(f"     {run['kind']}: {run['guards']}")


def kind_of(percent, right):
    return f"{percent:g} % {right}"


def report(bench):
    options = bench.options
    null = bench.of("A/A")
    kept = [run for run in null if run["verdict"] == "faster"]
    tempted = [run for run in null if run["confirmation"] != "none"]
    verdicts = [run["verdict"] for run in null]
    some = null or bench.runs
    say("")
    if some:
        say(f"machine: {some[0]['cpu']}, {os.cpu_count()} CPUs,"
            f" {platform.system()} {platform.release()};"
            f" sandbox: {some[0]['sandbox']}")
    say(f"source {options.source}; {len(bench.runs)} runs in"
        f" {sum(run['wall'] for run in bench.runs) / 60:.0f} min")
    if null:
        say(f"A/A: false keeps {rate(len(kept), len(null))}, at most"
            f" {100 * at_most(len(kept), len(null)):.1f} % (one-sided 95 %)")
        say("     " + ", ".join(
            f"{verdict} {verdicts.count(verdict)}"
            for verdict in sorted(set(verdicts))))
        say(f"     {len(tempted)} were faster in the primary cell and went on"
            f" to a confirmation; {sum(run['wall'] for run in null) / len(null):.1f}"
            " s each")
    vetoes(bench)
    say(f"{'change':26} {'right (95 % interval)':28} unresolved  same  wrong"
        "  other")
    for percent in options.effects:
        for right in ("slower", "faster"):
            runs = bench.of(kind_of(percent, right))
            if runs:
                detection(kind_of(percent, right), runs, right)
    return len(kept)


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--null", type=int, default=300, metavar="N",
                        help="A/A comparisons (default 300)")
    parser.add_argument("--each", type=int, default=20, metavar="N",
                        help="runs of each effect and direction (default 20)")
    parser.add_argument("--effects", default="1,1.5,2,5", metavar="PERCENT,...",
                        type=lambda text: [float(x) for x in text.split(",")])
    parser.add_argument("--source", default="photos")
    parser.add_argument("--work", default="check-statistics.tmp",
                        help="folder of the runs (default %(default)s);"
                        " remove it to start afresh")
    parser.add_argument("--judge", default="./run_experiment")
    parser.add_argument("--library", default=".libs/libpqkern.so")
    parser.add_argument("--moved", default="tests/harness/judge/.libs/moved.so",
                        help="the library at other addresses, for A/A"
                        " (default %(default)s)")
    parser.add_argument("--slowed", default="tests/harness/candidate/cheats/.libs/slowed.so")
    parser.add_argument("--report", action="store_true",
                        help="no runs, only what the file says")
    return parser.parse_args()


def main():
    bench = Bench(parse())
    options = bench.options
    if options.report:
        report(bench)
        return 0
    try:
        bench.repeat("A/A", options.null,
                     (options.moved, "candidate.so"),
                     (options.library, "baseline.so"))
        if options.each > 0:
            share = bench.share()
            base = round((BASE - 1) / share)
            for percent in options.effects:
                ratio = 1 + percent / 100
                for right, times in (("slower", BASE * ratio),
                                     ("faster", BASE / ratio)):
                    bench.repeat(kind_of(percent, right), options.each,
                                 bench.slowed(round((times - 1) / share)),
                                 bench.slowed(base))
    except KeyboardInterrupt:
        say("\ninterrupted; the next run goes on from here")
        report(bench)
        return 130
    return 1 if report(bench) * 100 > max(options.null, 100) else 0


if __name__ == "__main__":
    sys.exit(main())
