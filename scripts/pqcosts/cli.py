# SPDX-License-Identifier: MIT OR Apache-2.0
"""The command line of scripts/costs."""

import argparse
import collections
import concurrent.futures
import json
import os
import subprocess
import sys

from . import count as counting, measured, places as placing
from .build import Build
from .model import Model, covering, joined, kinds
from .table import REST, Cost, Table, growth, written
from .targets import TARGETS, Failed, Impossible, qemu_version

EXIT_USAGE = 64
EXIT_IMPOSSIBLE = 77
TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TABLE = os.path.join(TOP, "bench", "costs", "table")
CELLS = ("photos-k10", "photos-k100", "photos-k1000", "photos-batch16",
         "photos-rows", "parts-8192", "lists-2048", "large-k10", "large-k100",
         "large-rows", "encode")

DESCRIPTION = """\
What a query costs where this machine cannot measure it: builds the library for
each target, counts the instructions that it executes under QEMU, and lets llvm-mca
say how many cycles these take on some cores.  No clock is read: the same compiler
gives the same figures on every machine, whatever else it does.
"""
EPILOG = f"""\
targets:  {', '.join(TARGETS)}
variants: neon, scalar; avx2, ssse3, scalar (QEMU has no AVX-512)
cells:    {', '.join(CELLS[:6])},
          {', '.join(CELLS[6:])}

exit status:
  0   done; with --compare: nothing has grown
  1   a cell has grown, or something failed
  64  usage
  77  not possible here: the message names what is missing, as Debian calls it

Environment: LLVM_MCA (the newest llvm-mca on the path; llvm-objdump is taken from
beside it).  Without one there are no cycles.  doc/costs.md says what the figures
mean and what they leave out.
"""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        self.print_usage(sys.stderr)
        sys.stderr.write(f"costs: {message}\n")
        sys.exit(EXIT_USAGE)


def share(text):
    try:
        value = float(text.rstrip("%")) / 100
    except ValueError:
        value = -1.0
    if not 0 <= value < 10:
        raise argparse.ArgumentTypeError(f"{text}: not a share such as 2%")
    return value


def whole_number(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: not a number from 1 on")
    return int(text)


def make_parser():
    kernels = sorted({k for target in TARGETS.values() for k in target.kernels})
    parser = Parser(prog="scripts/costs", description=DESCRIPTION, epilog=EPILOG,
                    allow_abbrev=False,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, metavar, choices, said in (
            ("target", "T", list(TARGETS), "target"),
            ("kernel", "K", kernels, "variant"),
            ("cell", "C", list(CELLS), "cell")):
        parser.add_argument(f"--{name}", action="append", metavar=metavar,
                            choices=choices, help=f"only this {said}; may be "
                            "repeated")
    parser.add_argument("--core", action="append", metavar="CORE",
                        help="model this core, as LLVM calls it, and not the usual "
                        "ones; may be repeated; `none`: count only")
    parser.add_argument("--functions", action="store_true",
                        help="what each function has of it")
    parser.add_argument("--blocks", type=whole_number, metavar="N", default=0,
                        help="print the N blocks of each cell that take most, with "
                        "their instructions; wants llvm-objdump")
    parser.add_argument("--json", metavar="FILE",
                        help="write all figures there, with loads, branches and "
                        "bytes of codes read; - is standard output")
    parser.add_argument("--program", metavar="FILE",
                        help="count this build of bench/costs/query and make none; "
                        "with one --target")
    parser.add_argument("--measure", type=whole_number, metavar="N", default=0,
                        help="hold the model against times on this machine, the "
                        "least of N processes a cell, instead of the table of costs; "
                        "with one --target, this machine's kind, and one --core")
    parser.add_argument("--compare", action="store_true",
                        help="with the table that is kept; growth is an error")
    parser.add_argument("--limit", type=share, default=0.02, metavar="SHARE",
                        help="what a figure may grow by (default: 2%%)")
    parser.add_argument("--update", action="store_true",
                        help="write what was counted into that table")
    parser.add_argument("--table", default=TABLE, metavar="FILE",
                        help="another table than bench/costs/table")
    parser.add_argument("--build", metavar="DIR",
                        default=os.path.join(TOP, "build-costs"),
                        help="build there and not in build-costs/")
    parser.add_argument("--jobs", type=whole_number, metavar="N",
                        default=os.cpu_count() or 1,
                        help="do N things at a time (default: one a processor)")
    return parser


class Progress:
    """A line on a terminal, nothing elsewhere."""

    def __init__(self):
        self.shown = sys.stderr.isatty()
        self.open = False

    def __call__(self, text, always=False):
        if self.shown and not always:
            sys.stderr.write(f"\r\033[K{text} ...")
            self.open = True
        elif always:
            self.clear()
            sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def clear(self):
        if self.open:
            sys.stderr.write("\r\033[K")
            self.open = False


def choose_targets(options, say):
    """The targets that were asked for and can be had; complains about others."""
    chosen, lacking = [], []
    for name in options.target or TARGETS:
        target = TARGETS[name]
        if options.kernel and not set(options.kernel) & set(target.kernels):
            continue
        try:
            target.check()
            chosen.append(target)
        except Impossible as reason:
            lacking.append(str(reason))
            say(f"costs: {reason}", always=True)
    if not chosen and not lacking:
        raise SystemExit(usage("no target has such a variant"))
    return chosen, bool(lacking)


def usage(message):
    sys.stderr.write(f"costs: {message}; --help lists what there is\n")
    return EXIT_USAGE


def cost_of(target, section, cores, cycles, where):
    """One cell's figures, and those of its functions."""
    divisor = section.share
    whole = [0.0] * (1 + len(cores))
    functions = collections.defaultdict(lambda: [0.0] * (1 + len(cores)))
    for block, runs in section.blocks.items():
        for at in block:
            file, function = where.get(at, ("?", "?"))
            functions[f"{file}:{function}"][0] += runs
        whole[0] += runs * len(block)
    covered_by = covering(section)
    for i, core in enumerate(cores, 1):
        # What is not modelled goes as fast as all that is.  Other sections' blocks
        # do not count, or figures would depend on what else is measured.
        known = {block: cycles[core][block] for block in covered_by
                 if cycles[core][block] is not None}
        covered = sum(section.blocks[b] * len(b) for b in known)
        taken = sum(section.blocks[b] * known[b] for b in known)
        if not covered:
            raise Failed(f"llvm-mca makes nothing of {target.name} for {core}")
        pace = taken / covered
        for block, runs in section.blocks.items():
            each = known.get(block, pace * len(block)) / len(block)
            for at in block:
                file, function = where.get(at, ("?", "?"))
                functions[f"{file}:{function}"][i] += runs * each
            whole[i] += runs * each * len(block)
    return Cost(target.name, section.kernel, section.cell, tuple(cores),
                [figure / divisor for figure in whole],
                {name: [figure / divisor for figure in figures]
                 for name, figures in functions.items()},
                section.queries, section.codes, section.answers)


def guards_of(target, section, code):
    """What is in no table, per code as all figures; None where it is not known."""
    loads, branches = kinds(target, code, section.blocks) if code else (None, None)
    return {name: None if figure is None else figure / section.share
            for name, figure in (("loads", loads), ("branches", branches),
                                 ("bytes_read", section.bytes_read or None))}


def hottest(section, number, core, cycles, code, where):
    """The blocks with most cycles of the first core, or else instructions."""
    def weight(block):
        each = cycles[core].get(block) if core else None
        return section.blocks[block] * (each or len(block))

    found = []
    for block in sorted(section.blocks, key=lambda b: (-weight(b), b))[:number]:
        middle = where.get(block[len(block) // 2], ("?", "?"))
        found.append({
            "address": f"{block[0]:#x}", "function": ":".join(middle),
            "runs": section.blocks[block] / section.share,
            "cycles": {each: cycles[each].get(block) for each in cycles},
            "instructions": [code.get(at, "?") for at in block]})
    return found


def built(build, options, targets):
    """{target's name: its program}"""
    if options.program:
        return {target.name: build.taken(target, options.program)
                for target in targets}
    build.bootstrap()
    # configure uses one processor, so targets are built side by side.
    beside = min(len(targets), options.jobs)
    with concurrent.futures.ThreadPoolExecutor(beside) as pool:
        return dict(zip((target.name for target in targets), pool.map(
            lambda target: build.program(target, options.jobs // beside),
            targets)))


def measure(options, targets, say):
    """Build, count and model; returns ([Cost, ...], model)."""
    build = Build(TOP, options.build, say)
    build.plugin()
    programs = built(build, options, targets)
    build.inputs(programs)
    cells = [cell for cell in CELLS if not options.cell or cell in options.cell]
    work = [(target, kernel, cell) for target in targets
            for kernel in target.kernels
            if not options.kernel or kernel in options.kernel for cell in cells]
    # What takes longest first.
    work.sort(key=lambda job: not job[2].startswith("large"))
    done = 0

    def one(job):
        nonlocal done
        section = counting.count(build, *job)
        done += 1
        say(f"counting: {done} of {len(work)} cells")
        return section

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        sections = dict(zip(work, pool.map(one, work)))
    model = Model(build.folder, options.jobs)
    costs = []
    for target in targets:
        mine = [sections[target, kernel, cell] for kernel in target.kernels
                for cell in cells if (target, kernel, cell) in sections]
        cores = [] if options.core == ["none"] or not model.there else \
            list(options.core or target.cores)
        for core in list(cores):
            if not model.knows(target, core):
                cores.remove(core)
        program = programs[target.name]
        after = counting.following(target, program)
        for section in mine:
            section.blocks = counting.without_returned(section.blocks, after)
        addresses = {at for section in mine for block in section.blocks
                     for at in block}
        where = placing.places(target, program, addresses)
        code, goes = model.assembly(target, program) if cores or \
            (options.blocks and model.there) else ({}, {})
        for section in mine if cores else ():
            section.blocks = joined(target, code, section.blocks)
        cycles = {}
        for core in cores:
            say(f"{target.name}: modelling {core}")
            cycles[core] = model.cycles(target, core, code, goes, mine)
        for section in mine:
            cost = cost_of(target, section, cores, cycles, where)
            cost.guards = guards_of(target, section, code)
            cost.blocks = hottest(section, options.blocks, cores[0] if cores else
                                  None, cycles, code, where)
            costs.append(cost)
    model.keep()
    times = {}
    if options.measure:
        times = measured.times(build, targets[0], [(cost.kernel, cost.cell) for cost
                                                   in costs], options.measure, say)
    return costs, model, times


def check_cores(options, model):
    """A core that was asked for and no target has is a mistake."""
    for core in options.core or ():
        if core != "none" and model.there and not any(
                model.knows(target, core) for target in TARGETS.values()):
            raise SystemExit(usage(f"LLVM {model.version} knows no core {core}"))


def check_answers(costs):
    """What does not answer alike is not worth counting."""
    answers = {}
    for cost in costs:
        first = answers.setdefault(cost.cell, cost)
        if cost.answers != first.answers:
            raise Failed(f"{' '.join(cost.name)} answers otherwise than "
                         f"{' '.join(first.name)}; make check says more")


def ratios(costs, table):
    """{name: how many times the scalar kernel's instructions}"""
    scalar = {}
    if table is not None:
        scalar = {name: cost.figures[0] for name, cost in table.costs.items()}
    scalar.update({cost.name: cost.figures[0] for cost in costs})
    found = {}
    for cost in costs:
        reference = scalar.get((cost.target, "scalar", cost.cell))
        found[cost.name] = reference / cost.figures[0] if reference else None
    return found


def show(costs, compilers, model, times, functions):
    """The table, for people."""
    out, last = [], None
    width = 40 if functions else 24

    def row(name, instructions, ratio, cycles):
        out.append(f"{name:<{width}} {instructions:>12} {ratio:>8}"
                   + "".join(f" {each:>14}" for each in cycles) + "\n")

    for cost in costs:
        if cost.target != last:
            last = cost.target
            said = compilers[last]
            if cost.cores:
                said += f", cycles by LLVM {model.version}"
            out.append(f"\n{last}: {said}; a code, for encode a vector\n")
            row("variant  cell", "instructions", "scalar", cost.cores)
        ratio = times[cost.name]
        row(f"{cost.kernel:<8} {cost.cell}", written(cost.figures[0]),
            f"x {ratio:.2f}" if ratio else "-", map(written, cost.figures[1:]))
        kept = cost.kept_functions() if functions else {}
        for part in sorted(kept, key=lambda part: (part == REST, -kept[part][0])):
            figures = kept[part]
            row(f"    {part}", written(figures[0]),
                f"{100 * figures[0] / cost.figures[0]:.1f} %",
                map(written, figures[1:]))
        for block in cost.blocks:
            each = ", ".join(f"{core} {found:.2f}" for core, found in
                             block["cycles"].items() if found is not None)
            out.append(f"    {block['address']} {block['function']}: runs "
                       f"{block['runs']:.5f} times {cost.unit()}, "
                       f"{len(block['instructions'])} instructions"
                       + (f", cycles: {each}" if each else "") + "\n")
            out += [f"        {line}\n" for line in block["instructions"]]
    sys.stdout.write("".join(out).lstrip("\n"))


def as_json(costs, compilers, model, times):
    def figures_of(cost, figures):
        return {"instructions": figures[0],
                "cycles": dict(zip(cost.cores, figures[1:]))}
    return {
        "compilers": compilers,
        "llvm": model.version if model.there else None,
        "qemu": ".".join(str(number) for number in qemu_version()),
        "cells": [{
            "target": cost.target, "kernel": cost.kernel, "cell": cost.cell,
            "unit": cost.unit().split()[1], "queries": cost.queries,
            "codes": cost.codes, "answers": cost.answers,
            **figures_of(cost, cost.figures), **cost.guards,
            "scalar_to_this": times[cost.name],
            "functions": [{"function": name, **figures_of(cost, figures)}
                          for name, figures in sorted(
                              cost.functions.items(),
                              key=lambda item: (-item[1][0], item[0]))],
            "blocks": cost.blocks,
        } for cost in costs]}


def major(version):
    return version.rpartition(" ")[2].split(".")[0]


def compare(costs, table, compilers, model, limit):
    """Prints what has grown; returns the exit status."""
    lines, shrunk, compared, status = [], 0, 0, 0
    elsewhere = {target for target in compilers
                 if target in table.compilers
                 and major(compilers[target]) != major(table.compilers[target])}
    for target in sorted(elsewhere):
        lines.append(f"costs: {target}: not compared: the table is of "
                     f"{table.compilers[target]}, and this is "
                     f"{compilers[target]}; remedy: that compiler\n")
        status = EXIT_IMPOSSIBLE
    with_cycles = model.there and major(model.version) == major(table.llvm)
    if any(cost.cores for cost in costs) and not with_cycles:
        lines.append(f"costs: cycles are not compared: the table's are of LLVM "
                     f"{table.llvm}, these of {model.version}\n")
    for cost in costs:
        if cost.target in elsewhere:
            continue
        before = table.costs.get(cost.name)
        label = " ".join(cost.name)
        if before is None:
            lines.append(f"error: {label} is not in the table; remedy: "
                         "scripts/costs --update\n")
            status = 1
            continue
        compared += 1
        grown, has_shrunk = growth(before, cost, limit, with_cycles)
        shrunk += has_shrunk
        for what, old, new, function, by in grown:
            unit = what if what == "instructions" else f"cycles of {what}"
            lines.append(f"error: {label}: {written(old)} to {written(new)} {unit} "
                         f"{cost.unit()} (+{100 * (new / old - 1):.1f} %), most of "
                         f"it in {function} (+{written(by)})\n")
            status = 1
    if compared:
        lines.append(
            f"cells compared with the table: {compared}, limit {100 * limit:g} %: "
            f"{'something has grown' if status == 1 else 'nothing has grown'}"
            + (f"; smaller than it says: {shrunk}, which --update writes down"
               if shrunk else "") + "\n")
    if status == 1:
        lines.append("If that is worth it: scripts/costs --update, and say why in "
                     "the commit.\n")
    sys.stdout.write("\n" + "".join(lines))
    return status


def update(costs, table, compilers, model, path):
    if not model.there or not all(cost.cores for cost in costs):
        raise Impossible("the table has cycles, too; Debian: apt-get install "
                         "llvm-19")
    for cost in costs:
        if cost.cores != TARGETS[cost.target].cores:
            raise Failed("the table has the usual cores: update without --core, "
                         "and with an LLVM that knows them "
                         f"({', '.join(TARGETS[cost.target].cores)})")
    new = {cost.name for cost in costs}
    for name in table.costs:
        other = table.compilers.get(name[0]) != compilers.get(name[0]) or \
            table.llvm != model.version
        if name not in new and other and name[0] in TARGETS:
            raise Failed(
                f"the table has {' '.join(name)} of "
                f"{table.compilers.get(name[0])} and LLVM {table.llvm}, another "
                "than here: update all of it at once")
    table.llvm = model.version
    for cost in costs:
        table.compilers[cost.target] = compilers[cost.target]
        table.cores[cost.target] = cost.cores
        table.costs[cost.name] = cost
    table.write(path)


def run(options, say):
    table = None
    if os.path.exists(options.table):
        table = Table.read(options.table)
    elif options.compare:
        raise Failed(f"no table {options.table}; remedy: scripts/costs --update")
    qemu_version()
    targets, lacking = choose_targets(options, say)
    if not targets:
        return EXIT_IMPOSSIBLE
    compilers = {target.name: target.compiler() for target in targets}
    costs, model, times = measure(options, targets, say)
    say.clear()
    if not model.there and options.core != ["none"]:
        say("costs: no llvm-mca, so no cycles; Debian: apt-get install llvm-19",
            always=True)
    check_cores(options, model)
    check_answers(costs)
    if options.measure:
        if not all(cost.cores for cost in costs):
            raise Impossible("no llvm-mca, so nothing to compare; Debian: apt-get "
                             "install llvm-19")
        for line in measured.lines(times, costs, options.core[0]):
            print(line)
        return 0
    times = ratios(costs, table)
    if options.json:
        text = json.dumps(as_json(costs, compilers, model, times), indent=1) + "\n"
        if options.json == "-":
            sys.stdout.write(text)
        else:
            with open(options.json, "w", encoding="utf-8") as file:
                file.write(text)
    if options.json != "-":
        show(costs, compilers, model, times, options.functions)
    status = 0
    if options.compare:
        status = compare(costs, table, compilers, model, options.limit)
    if options.update:
        update(costs, table or Table(), compilers, model, options.table)
    return status or (EXIT_IMPOSSIBLE if lacking else 0)


def main():
    options = make_parser().parse_args()
    if options.compare and options.update:
        return usage("--compare or --update, not both")
    if options.program and len(options.target or ()) != 1:
        return usage("--program is of one --target")
    if options.measure and (
            len(options.target or ()) != 1 or len(options.core or ()) != 1 or
            not TARGETS[options.target[0]].is_native):
        return usage("--measure is of one --core, and of this machine's --target")
    say = Progress()
    try:
        status = run(options, say)
        sys.stdout.flush()
        return status
    except Impossible as reason:
        say.clear()
        sys.stderr.write(f"costs: {reason}\n")
        return EXIT_IMPOSSIBLE
    except (Failed, ValueError, OSError, subprocess.CalledProcessError) as reason:
        say.clear()
        sys.stderr.write(f"costs: error: {reason}\n")
        return 1
    except KeyboardInterrupt:
        say.clear()
        return 130
