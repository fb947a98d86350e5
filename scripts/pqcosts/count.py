# SPDX-License-Identifier: MIT OR Apache-2.0
"""Which instructions a cell executes, and how often."""

import collections
import dataclasses
import os
import re
import shutil
import subprocess

from pqtrial.process import confined
from .build import QUERY
from .targets import Failed

# In the build folder: all that a counted program may write to.
COUNTING = "counting"
# The emulators' unit of translated code.
PAGE = 4096


@dataclasses.dataclass
class Section:
    """What one cell ran."""
    kernel: str
    cell: str
    queries: int
    codes: int
    answers: str        # a digest; the same for all variants
    bytes_read: int     # of prepared codes; 0 where that is not known
    # {(address of each instruction, ...): runs}
    blocks: dict

    @property
    def share(self):
        """What a figure is divided by."""
        return self.queries * self.codes


def symbols(target, program):
    """{name: address} of the two functions that the plugin wants."""
    output = subprocess.check_output([target.tool("nm"), program], text=True)
    found = {}
    for line in output.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] in ("costs_begin", "costs_end"):
            # Thumb functions may be listed with the lowest bit set.
            mask = ~1 if target.name == "armhf" else ~0
            found[words[2]] = int(words[0], 16) & mask
    return found


def following(target, program):
    """{address of an instruction: of the one behind it}."""
    output = subprocess.check_output(
        [target.tool("objdump"), "-d", "--no-show-raw-insn", program], text=True)
    found = [int(at, 16) for at in re.findall(r"^ *([0-9a-f]+):\t", output, re.M)]
    return dict(zip(found, found[1:]))


def without_returned(blocks, after):
    """The blocks without what was not executed in them.  The translator for x86
    gives an instruction that lies on two pages back and begins the next block with
    it, but has told plugins of it by then."""
    found = {}
    for block, runs in blocks.items():
        last = block[-1]
        if len(block) > 1 and \
                last // PAGE != (after.get(last, last + 1) - 1) // PAGE:
            block = block[:-1]
        found[block] = found.get(block, 0) + runs
    return found


def blocks_of(lines):
    blocks = collections.Counter()
    for line in lines:
        address, runs, sizes = line.split()
        at, addresses = int(address, 16), []
        for size in sizes:
            addresses.append(at)
            at += int(size, 16)
        blocks[tuple(addresses)] += int(runs)
    return blocks


def count(build, target, kernel, cell):
    """Run one cell of one variant under QEMU; returns its section."""
    program = build.path(target.name, QUERY)
    at = symbols(target, program)
    output = os.path.join(COUNTING, f"{target.name}-{kernel}-{cell}.blocks")
    os.makedirs(build.path(COUNTING), exist_ok=True)
    # Nothing of this machine's that could show: no environment, and paths from
    # the build folder only.
    command = [shutil.which(target.emulator), "-cpu", target.cpu, "-plugin",
               f"./blocks.so,begin={at['costs_begin']:#x},"
               f"end={at['costs_end']:#x},output={output}",
               "./" + os.path.join(target.name, QUERY), "run", kernel,
               "data/photos_codebook.fvecs", "photos.codes",
               "data/photos_query.bvecs", cell]
    command = confined(build.path(COUNTING), command)
    result = subprocess.run(command, cwd=build.folder, env={}, text=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, check=False)
    if result.returncode != 0:
        raise Failed(f"{target.name} {kernel} {cell} under {target.emulator}: "
                     f"{result.stderr.strip() or result.returncode}")
    with open(build.path(output), encoding="ascii") as text:
        lines = text.read().splitlines()
    os.remove(build.path(output))
    words = result.stdout.split()
    if len(words) != 5 or lines[:1] != ["section"] or lines.count("section") != 1:
        raise Failed(f"{target.name} {kernel} {cell}: nothing was counted")
    return Section(kernel, cell, int(words[1]), int(words[2]), words[3],
                   int(words[4]), blocks_of(lines[1:]))
