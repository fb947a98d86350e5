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
        """{address: instruction} of a program, as llvm-mca reads it."""
        output = subprocess.check_output(
            [self.objdump, "-d", "--no-show-raw-insn", program], text=True)
        branch = re.compile(rf"({target.branches})(\s.*?)(#?-?0x[0-9a-f]+)$")
        code = {}
        for line in output.splitlines():
            found = re.match(r"\s*([0-9a-f]+):\s+(.*)$", line)
            if not found:
                continue
            text = re.sub(r"\s*<[^>]*>|\s+(//|@|#\s).*$", "", found.group(2))
            text = re.sub(r"\s+", " ", text).strip()
            # Where a branch goes says nothing about its cost.
            text = branch.sub(lambda m: f"{m.group(1)}{m.group(m.lastindex - 1)}"
                              f"{'#' if m.group(m.lastindex)[0] == '#' else ''}0",
                              text)
            code[int(found.group(1), 16)] = without_repetition(text)
        return code

    def _ask(self, target, core, texts):
        """Cycles of each text, run again and again; None for what has none."""
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
        cycles, at = [None] * len(texts), None
        for line in result.stdout.splitlines():
            region = re.search(r"Code Region - b(\d+)", line)
            if region:
                at = int(region.group(1))
            total = re.match(r"Total Cycles:\s+(\d+)", line)
            if total and at is not None:
                cycles[at] = int(total.group(1)) / ITERATIONS
        return cycles

    def cycles(self, target, core, code, sections):
        """{block: cycles of one run} by one core, for the blocks that cover the
        sections; None for a block that it cannot model."""
        wanted = {}
        for section in sections:
            for block in covering(section):
                text = "".join(code[at] + "\n" for at in block if at in code)
                name = hashlib.sha256("\0".join(
                    (self.version, *target.mca, core, str(ITERATIONS), text)
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
        return {block: self.known[name] for block, (name, _) in wanted.items()}

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
