# SPDX-License-Identifier: MIT OR Apache-2.0
"""What llvm-mca makes of the blocks that ran: cycles on a core that is not here."""

import concurrent.futures
import glob
import hashlib
import json
import os
import re
import shutil
import subprocess

from .targets import Failed

# These wait for what they have begun, so a block costs them what it takes alone.
IN_ORDER = re.compile(r"cortex-(a5|a7|a8|a3[0-9]|a53|a55|a[35][0-9]0|r[0-9]+|m[0-9]+)"
                      r"|atom|bonnell")
# Of a cell's instructions; the rest is taken to go as fast.
COVERED = 0.999
ITERATIONS = 100
# Blocks that one process gets.
AT_A_TIME = 40


def find_tools():
    """(llvm-mca, llvm-objdump) of $LLVM_MCA, or else of the newest LLVM on the
    path; None if there is none."""
    named = os.environ.get("LLVM_MCA")
    if named:
        candidates = [named]
    else:
        found = {}
        for folder in os.get_exec_path():
            for path in glob.glob(os.path.join(folder, "llvm-mca-*")):
                version = re.search(r"-(\d+)$", path)
                if version:
                    found.setdefault(int(version.group(1)), path)
        candidates = [found[version] for version in sorted(found, reverse=True)]
        candidates.append("llvm-mca")
    for mca in candidates:
        objdump = re.sub(r"llvm-mca(?=[^/]*$)", "llvm-objdump", mca)
        if shutil.which(mca) and shutil.which(objdump):
            return shutil.which(mca), shutil.which(objdump)
    if named:
        raise Failed(f"LLVM_MCA={named}: it, or the llvm-objdump beside it, cannot "
                     "be run")
    return None


def version_of(mca):
    text = subprocess.check_output([mca, "--version"], text=True)
    found = re.search(r"version (\d+(\.\d+)*)", text)
    return found.group(1) if found else "?"


# One round of a string instruction, which is what QEMU counts: llvm-mca takes each
# for a whole string.
STRINGS = (
    (re.compile(r"rep movs([bwlq]) .*"), r"mov\1 (%rsi), {}; mov\1 {}, (%rdi)"),
    (re.compile(r"rep stos([bwlq]) (%\w+), .*"), r"mov\1 \2, (%rdi)"),
)
SCRATCH = {"b": "%r11b", "w": "%r11w", "l": "%r11d", "q": "%r11"}


def without_repetition(text):
    for pattern, instead in STRINGS:
        found = pattern.fullmatch(text)
        if found:
            return found.expand(instead).replace("{}", SCRATCH[found.group(1)])
    return text


class Model:
    def __init__(self, folder, jobs):
        tools = find_tools()
        self.there = tools is not None
        self.jobs = jobs
        if not self.there:
            return
        self.mca, self.objdump = tools
        self.version = version_of(self.mca)
        # The same code costs the same in every run.
        self.store = os.path.join(folder, "cycles.json")
        self.known = {}
        try:
            with open(self.store, encoding="ascii") as text:
                self.known = json.load(text)
        except (OSError, ValueError):
            pass

    def knows(self, target, core):
        """Has LLVM a CPU of that name?  It would only warn."""
        text = subprocess.run([self.mca, target.mca[0], "-mcpu=help"], text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False).stdout
        return re.search(rf"^\s*{re.escape(core)}\s+-", text, re.M) is not None

    def assembly(self, target, program):
        """({address: instruction}, {address of a branch: where it goes}) of a program,
        the instructions as llvm-mca reads them."""
        output = subprocess.check_output(
            [self.objdump, "-d", "--no-show-raw-insn", program], text=True)
        branch = re.compile(rf"({target.branches})(\s.*?)(#?-?0x[0-9a-f]+)$")
        code, goes = {}, {}
        for line in output.splitlines():
            found = re.match(r"\s*([0-9a-f]+):\s+(.*)$", line)
            if not found:
                continue
            text = re.sub(r"\s*<[^>]*>|\s+(//|@|#\s).*$", "", found.group(2))
            text = re.sub(r"\s+", " ", text).strip()
            to = re.search(r"\b0x([0-9a-f]+)$", text)
            if to:
                goes[int(found.group(1), 16)] = int(to.group(1), 16)
            # Where a branch goes says nothing about its cost.
            text = branch.sub(lambda m: f"{m.group(1)}{m.group(m.lastindex - 1)}"
                              f"{'#' if m.group(m.lastindex)[0] == '#' else ''}0",
                              text)
            code[int(found.group(1), 16)] = without_repetition(text)
        return code, goes

    def _ask(self, target, core, texts):
        """(cycles of a round, cycles if it had not to wait for the last round) of
        each text, run again and again; None for what has none."""
        mark = target.comment
        source = "".join(
            f"{mark} LLVM-MCA-BEGIN b{i}\n{text}{mark} LLVM-MCA-END b{i}\n"
            for i, text in enumerate(texts))
        command = [self.mca, *target.mca, f"-mcpu={core}",
                   f"-iterations={ITERATIONS}", "-all-views=0", "-summary-view"]
        if int(self.version.split(".")[0]) >= 19:
            command.append("-skip-unsupported-instructions=any")
        result = subprocess.run(command, input=source, text=True, check=False,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if result.returncode != 0:
            if len(texts) > 1:
                half = len(texts) // 2
                return self._ask(target, core, texts[:half]) + \
                    self._ask(target, core, texts[half:])
            return [None]
        found, at = [{} for _ in texts], None
        for line in result.stdout.splitlines():
            region = re.search(r"Code Region - b(\d+)", line)
            if region:
                at = int(region.group(1))
            number = re.match(r"([A-Z][\w ]+):\s+([\d.]+)$", line)
            if number and at is not None:
                found[at][number.group(1)] = float(number.group(2))
        return [pace_of(each) for each in found]

    def cycles(self, target, core, code, goes, sections):
        """{block: cycles of one run} by one core, for the blocks that cover the
        sections; None for a block that it cannot model."""
        wanted = {}
        for section in sections:
            for block in covering(section):
                text = "".join(code[at] + "\n" for at in block if at in code)
                name = hashlib.sha256("\0".join(
                    (self.version, *target.mca, core, str(ITERATIONS), "2", text)
                ).encode()).hexdigest()[:32]
                wanted[block] = (name, text)
        new = {name: text for name, text in wanted.values()
               if name not in self.known}
        names = list(new)
        parts = [names[i:i + AT_A_TIME] for i in range(0, len(names), AT_A_TIME)]
        with concurrent.futures.ThreadPoolExecutor(self.jobs) as pool:
            answers = pool.map(
                lambda part: self._ask(target, core, [new[n] for n in part]),
                parts)
            for part, answer in zip(parts, answers):
                self.known.update(zip(part, answer))
        return {block: one_run(core, goes.get(block[-1]) == block[0],
                               self.known[name])
                for block, (name, _) in wanted.items()}

    def keep(self):
        """Write down what has been learnt; it is not missed if that fails."""
        if not self.there:
            return
        try:
            with open(self.store + ".new", "w", encoding="ascii") as text:
                json.dump(self.known, text)
            os.replace(self.store + ".new", self.store)
        except OSError:
            pass


def pace_of(summary):
    """What _ask() says, of llvm-mca's summary of a block."""
    try:
        return (summary["Total Cycles"] / ITERATIONS,
                max(summary["Block RThroughput"], summary["Total uOps"] /
                    ITERATIONS / summary["Dispatch Width"]))
    except (KeyError, ZeroDivisionError):
        return None


def one_run(core, is_loop, pace):
    """Cycles of a block.  Only a loop waits for its own last round; any other block,
    repeated, would seem to wait for what its surroundings make anew each time, and
    runs beside them as far as the core has room."""
    if pace is None:
        return None
    return pace[0] if is_loop or IN_ORDER.fullmatch(core) else pace[1]


def joined(target, code, blocks):
    """The blocks, those put together that an emulator had cut.  It translates no
    further than a page, so where code lies would change what blocks there are; and
    the second half of a loop, alone, would seem to wait for its own results."""
    ordered = sorted(code)
    after = dict(zip(ordered, ordered[1:]))
    leaves = re.compile(target.leaves)
    by_start, left, whole = {}, dict(blocks), {}
    for block in blocks:
        by_start.setdefault(block[0], []).append(block)
    for block in sorted(blocks):
        runs = left[block]
        if runs == 0:
            continue
        chain, last = block, block[-1]
        while last in code and not leaves.match(code[last]):
            following = by_start.get(after.get(last), [])
            if len(following) != 1 or left[following[0]] < runs or \
                    following[0][0] in chain:
                break
            left[following[0]] -= runs
            chain += following[0]
            last = chain[-1]
        whole[chain] = whole.get(chain, 0) + runs
    return whole


def kinds(target, code, blocks):
    """(loads, branches): how many instructions that read memory, and that may go
    elsewhere, were executed."""
    loads, branches = re.compile(target.loads), re.compile(target.leaves)
    found = [0, 0]
    for block, runs in blocks.items():
        for at in block:
            text = code.get(at, "")
            found[0] += runs * any(loads.match(part) for part in text.split("; "))
            found[1] += runs * bool(branches.match(text)
                                    and not text.startswith("rep "))
    return tuple(found)


def covering(section):
    """The blocks that hold nearly all instructions of a section."""
    weights = {block: runs * len(block) for block, runs in section.blocks.items()}
    total, held, kept = sum(weights.values()), 0, []
    for block in sorted(weights, key=lambda block: (-weights[block], block)):
        kept.append(block)
        held += weights[block]
        if held >= COVERED * total:
            break
    return kept
