# SPDX-License-Identifier: MIT OR Apache-2.0
"""The command line of scripts/trial."""

import argparse
import functools
import os
import sys

from . import (counted, files, foreign, lock, log, memory, series as series_of, step,
               summary)
from .ends import EXIT_USAGE, Refused
from .files import Places
from .tree import Tree, top_of

DESCRIPTION = """\
One step of the research loop: builds the kernels as they lie in the tree, lints
and tests them, measures them against the last build that was kept, appends a
row to results.tsv, and commits them or puts the tree back.

  trial "hypothesis, with the predicted effect"    one step
  trial --baseline ["description"]                 start a series from HEAD
  trial look                                       a paired look, no trial
  trial profile                                    where the time goes
  trial status                                     where the series stands
  trial stop [--clear]                             end after the current trial
  trial report [--output DIR] [--series ID]        plot and table of the log
  trial replay [--series ID]                       judge what was kept, here
  trial doctor                                     what this host can resolve
  trial verify-log                                 check the chain of the log
"""
EPILOG = """\
exit status:
  0   judged: kept, or discarded as slower or the same
  1   an error; a broken build; lint; nothing to try; the trial cannot be logged
  2   wrong results: an equality test, recall, the hold-out
  3   over the time budget
  4   integrity: the object gate, a change outside the kernels, an edited log,
      what the contract forbids, less time than is possible
  5   a crash or a hang
  6   unresolved: the interval allows for more than one verdict (doctor: above
      2 %)
  7   a stop was asked for, or the series is at its end
  64  usage
  128 and more: ended by that signal, logged and restored

A trial that was cut short is finished by the next one.  What was tried is kept in
.trial/patches/N.patch; git apply brings it back.  Numbers go on from series to
series; 0 is a baseline.  The lock is
/tmp/pqkern-trial.lock ($PQKERN_TRIAL_LOCK names another file).
"""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        sys.stderr.write(f"trial: {message}\n")
        sys.exit(EXIT_USAGE)


def step_parser():
    parser = Parser(prog="scripts/trial", description=DESCRIPTION, epilog=EPILOG,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("description", nargs="?", metavar="HYPOTHESIS",
                        help="what is tried, why, and how much it should give")
    parser.add_argument("--simpler", action="store_true",
                        help="the point is less code: `same` with fewer lines "
                        "of code is a keep")
    parser.add_argument("--wait", action="store_true",
                        help="wait for another trial on this host to end")
    start = parser.add_argument_group("with --baseline")
    start.add_argument("--baseline", action="store_true",
                       help="start a series: build HEAD, measure it, pin it")
    start.add_argument("--source", default="photos",
                       help="what to measure on (default: %(default)s)")
    start.add_argument("--kernel", help="the variant to measure")
    start.add_argument("--scan", default="single",
                       choices=("single", "batch", "partitions", "rows"),
                       help="the way of use to measure (default: %(default)s)")
    start.add_argument("--k", type=int, default=10, metavar="N",
                       help="results a query (default: %(default)s)")
    start.add_argument("--trials", type=int, metavar="N",
                       help="the series ends after so many")
    start.add_argument("--hours", type=float, metavar="H",
                       help="no trial starts later than that")
    start.add_argument("--limit", type=float, default=step.LIMIT_SECONDS,
                       metavar="SECONDS", help="what a trial may take up to its "
                       "verdict (default: %(default)g); what is to be kept has "
                       f"{foreign.SECONDS:.0f} s more, or as much again if that is "
                       "more, to be built and tested for other machines")
    start.add_argument("--configure", action="append", metavar="ARGUMENT",
                       help="an argument for configure; may be repeated")
    start = parser.add_argument_group(
        "with --baseline, for a CPU that is not there",
        "Trials are cross-built, tested under QEMU, and judged by the cycles that\n"
        "llvm-mca models of what was executed, with a verdict from 0.5 % on.\n"
        "doc/costs.md says what that leaves out.")
    start.add_argument("--target", metavar="TARGET",
                       help="aarch64, armhf, x86_64, or a triplet such as "
                       "aarch64-linux-gnu")
    start.add_argument("--core", metavar="CORE", help="as LLVM calls it: neoverse-n1, "
                       "neoverse-v2, cortex-a72, cortex-a55, znver3")
    start.add_argument("--cell", action="append", metavar="CELL",
                       help="a cell of scripts/costs that is to get faster, others "
                       f"being guards; may be repeated (default: "
                       f"{', '.join(counted.CELLS)})")
    return parser


def run_step(arguments):
    parser = step_parser()
    options = parser.parse_args(arguments)
    if not options.baseline:
        for name in ("source", "kernel", "scan", "k", "trials", "hours", "limit",
                     "configure", "target", "core", "cell"):
            if getattr(options, name) != parser.get_default(name):
                parser.error(f"--{name} goes with --baseline: all trials of a "
                             "series are measured alike")
        if not (options.description or "").strip():
            parser.error("a hypothesis is needed, with the predicted effect; "
                         "see --help")
    elif options.simpler:
        parser.error("--simpler is for a trial")
    for name in ("core", "cell") if not options.target else ("source", "scan", "k"):
        if getattr(options, name) != parser.get_default(name):
            parser.error(f"--{name} goes with --target" if not options.target else
                         f"--{name} is for what is measured: of --target, --cell "
                         "says what is counted")
    for name, least in (("limit", 5), ("k", 1), ("trials", 1), ("hours", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            parser.error(f"--{name}: {value:g} is below {least}")
    places = Places(top_of(os.getcwd()))
    if options.baseline:
        return step.baseline(places, options.description, options, options.wait)
    return step.trial(places, options.description.strip(), options.simpler,
                      options.wait)


def status(arguments):
    Parser(prog="scripts/trial status").parse_args(arguments)
    places = Places(top_of(os.getcwd()))
    series = series_of.load(places)
    journal = os.path.exists(places.journal)
    if journal:
        try:
            os.close(lock.take(places.top))
            print("a trial was cut short: the next one finishes it")
        except Refused as why:
            print(why)
            return 0
    rows = series_of.verified_rows(places, None if journal else series["head"])
    mine = [row for row in rows if row["series"] == series["id"]]
    kept = [row for row in mine if row["keep"] == "keep"]
    for name, old in memory.series_of(rows):
        if name != series["id"]:
            print(f"earlier: {memory.series_line(name, old)}")
    print(f"series {series['id']}, pinned to {series['pinned'][:12]}, "
          f"{'counted' if counted.target_of(series) else 'measured'} "
          f"on {memory.cell_of(mine[0])}; {mine[0]['cpu'] or 'cpu unknown'}")
    print(f"{len(mine) - 1} trials, {len(kept) - 1} kept; the best is trial "
          f"{series['best_trial']}, {series['best_commit'][:12]}")
    print(f"product of the kept speed-ups: {memory.product(mine):.4f}")
    for left, unit, size in zip(series_of.trials_left(series, rows),
                                ("trials", "hours"), (1, 3600)):
        if left is not None:
            print(f"{left / size:.3g} {unit} are left of the series")
    for row in mine[-5:]:
        print(f"  {row['trial']:>4} {row['status']:11} {row['verdict']:10} "
              f"{row['keep']:8} {summary.interval(row):28} "
              f"{row['description'][:60]}")
    if summary.advice(mine):
        print(summary.advice(mine))
    if os.path.exists(places.stop):
        print("a stop was asked for: scripts/trial stop --clear takes it back")
    return 0


def stop(arguments):
    parser = Parser(prog="scripts/trial stop", description="Trials after the "
                    "current one end with exit status 7.")
    parser.add_argument("--clear", action="store_true", help="take it back")
    options = parser.parse_args(arguments)
    places = Places(top_of(os.getcwd()))
    if options.clear:
        files.remove(places.stop)
        print("trials go on")
        return 0
    os.makedirs(places.home, exist_ok=True)
    files.replace(places.stop, b"")
    print("no trial starts any more; scripts/trial stop --clear takes that back")
    return 0


def verify_log(arguments):
    Parser(prog="scripts/trial verify-log").parse_args(arguments)
    places = Places(top_of(os.getcwd()))
    series = None
    if os.path.exists(places.series):
        series = series_of.load(places)
    journal = os.path.exists(places.journal)
    head = None if series is None or journal else series["head"]
    rows = series_of.verified_rows(places, head)
    if series is not None:
        tree = Tree(places)
        if not journal:
            tree.check_rows(series, rows)
        lost = tree.rows_without_commit(rows)
        if lost:
            print(f"kept, but in no commit of this clone: trial {', '.join(lost)}")
    said = "" if head else "; whether rows are missing at its end is not known"
    print(f"{places.log}: {len(rows)} rows, the chain holds{said}")
    return 0


def report(arguments):
    from . import report as report_of
    parser = Parser(prog="scripts/trial report", description="Writes a table of "
                    "one series of the log, and a line for each of the others "
                    "(trials.md), and draws it (trials.svg, trials.png; needs "
                    "matplotlib), from the log alone.")
    parser.add_argument("--series", metavar="ID", default="", help="the beginning "
                        "of its name, as status has it; default: the last")
    parser.add_argument("--output", metavar="DIR", help="default: doc/")
    parser.add_argument("--log", metavar="FILE", help="default: results.tsv")
    options = parser.parse_args(arguments)
    top = None if options.log and options.output else top_of(os.getcwd())
    name = options.log or os.path.join(top, "results.tsv")
    try:
        rows = log.read(name)
    except log.Broken as why:
        raise Refused(f"{name}: {why}", 4) from why
    except OSError as why:
        raise Refused(f"{name}: {why.strerror}") from why
    return report_of.write(memory.chosen(rows, options.series, name),
                           options.output or os.path.join(top, "doc"), rows)


def doctor(arguments):
    from . import doctor as doctor_of
    Parser(prog="scripts/trial doctor", description="Says what effect this host "
           "can resolve now, and what stands in the way.  Exit status 0: 2 % or "
           "less, 6: more.").parse_args(arguments)
    return doctor_of.run(Places(top_of(os.getcwd())))


def glance(command, arguments):
    from . import glance as glance_of
    parser = Parser(prog=f"scripts/trial {command}", description={
        "look": "Builds the kernels as they lie in the tree, and compares them "
                "with the best in the series' cell for some 3 seconds.",
        "profile": "Builds them, and says which functions and lines of a query in "
                   "the series' cell take how much, and what the library counts."
    }[command] + "  No verdict, no row; the tree stays as it is.")
    parser.add_argument("--wait", action="store_true",
                        help="wait for a trial on this host to end")
    options = parser.parse_args(arguments)
    return getattr(glance_of, command)(Places(top_of(os.getcwd())), options.wait)


def replay(arguments):
    from . import replay as replay_of
    parser = Parser(prog="scripts/trial replay", description="Builds each commit "
                    "that a series kept, and judges it on this machine: against "
                    "the one before, and the last against the first.  Nothing is "
                    "logged.  Exit status 0: all were judged.")
    parser.add_argument("--log", metavar="FILE", help="default: results.tsv")
    parser.add_argument("--series", metavar="ID", default="", help="the beginning "
                        "of its name; default: the last")
    parser.add_argument("--kernel", help="default: the series'")
    parser.add_argument("--wait", action="store_true",
                        help="wait for a trial on this host to end")
    options = parser.parse_args(arguments)
    places = Places(top_of(os.getcwd()))
    name = options.log or places.log
    try:
        rows = log.verify(name)
    except log.Broken as why:
        raise Refused(f"{name}: {why}", 4) from why
    return replay_of.run(places, memory.chosen(rows, options.series, name),
                         options.kernel, options.wait)


COMMANDS = {"status": status, "stop": stop, "verify-log": verify_log,
            "report": report, "doctor": doctor, "replay": replay,
            "look": functools.partial(glance, "look"),
            "profile": functools.partial(glance, "profile")}


def main():
    arguments = sys.argv[1:]
    try:
        if arguments and arguments[0] in COMMANDS:
            return COMMANDS[arguments[0]](arguments[1:])
        return run_step(arguments)
    except Refused as why:
        sys.stderr.write(f"trial: {why}\n")
        return why.code
