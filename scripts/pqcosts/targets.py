# SPDX-License-Identifier: MIT OR Apache-2.0
"""What there is to count: processors, variants and cores."""

import dataclasses
import os
import platform
import re
import shutil
import subprocess


class Impossible(Exception):
    """Not to be had on this machine: what is missing, and what brings it."""


class Failed(Exception):
    """Something that should have worked did not."""


@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    triplet: str
    debian: str         # Debian's name of the architecture
    emulator: str
    # Always the same CPU: the C library chooses by it.
    cpu: str
    kernels: tuple      # the first is the strongest
    cores: tuple
    mca: tuple          # how llvm-mca is to read the code
    comment: str        # begins a comment in its assembly
    branches: str       # mnemonics whose last operand is an address
    leaves: str         # instructions after which another one may not be next
    loads: str          # instructions that read memory, as llvm-objdump has them
    options: tuple = () # of configure

    @property
    def is_native(self):
        machine = platform.machine()
        return {"arm64": "aarch64", "amd64": "x86_64"}.get(machine, machine) \
            == self.name

    def tool(self, name):
        """The target's gcc, nm, objdump or addr2line."""
        if self.is_native and name == "gcc":
            return "gcc"
        prefixed = f"{self.triplet}-{name}"
        if self.is_native and shutil.which(prefixed) is None:
            return name
        return prefixed

    def packages(self):
        if self.is_native:
            return ["gcc", "binutils", "libc6-dev"]
        return [f"gcc-{self.triplet.replace('_', '-')}",
                f"libc6-dev-{self.debian}-cross"]

    def check(self):
        """Can it be built and run here?"""
        missing = []
        if shutil.which(self.emulator) is None:
            missing.append("qemu-user")
        compiler = self.tool("gcc")
        builds = shutil.which(compiler) is not None and subprocess.run(
            [compiler, "-static", "-x", "c", "-o", os.devnull, "-"],
            input=b"#include <math.h>\nint main(void) { return 0; }\n",
            stderr=subprocess.DEVNULL, check=False).returncode == 0
        if not builds or shutil.which(self.tool("addr2line")) is None:
            missing += self.packages()
        if missing:
            raise Impossible(f"{self.name} cannot be built or run here; Debian: "
                             f"apt-get install {' '.join(missing)}")

    def compiler(self):
        """The compiler's name and version: gcc 12.2.0"""
        command = [self.tool("gcc"), "-dumpfullversion"]
        return "gcc " + subprocess.check_output(command, text=True).strip()


TARGETS = {target.name: target for target in (
    Target(name="aarch64", triplet="aarch64-linux-gnu", debian="arm64",
           emulator="qemu-aarch64", cpu="cortex-a72",
           kernels=("neon", "scalar"),
           cores=("neoverse-v2", "neoverse-n1", "cortex-a72"),
           mca=("-mtriple=aarch64-linux-gnu",), comment="#",
           branches=r"b|bl|b\.\w+|cbn?z|tbn?z|adrp?",
           leaves=r"(b|bl|b\.\w+|cbn?z|tbn?z|br|blr|ret)\b",
           loads=r"ld"),
    Target(name="armhf", triplet="arm-linux-gnueabihf", debian="armhf",
           emulator="qemu-arm", cpu="cortex-a15",
           kernels=("neon", "scalar"),
           cores=("cortex-a72", "cortex-a9"),
           mca=("-mtriple=thumbv7-linux-gnueabihf", "-mattr=+neon,+vfp4"),
           comment="@",
           branches=r"bl?x?(eq|ne|cs|cc|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?"
           r"(\.[nw])?|cbn?z",
           leaves=r"bl?x?(eq|ne|cs|cc|hs|lo|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)?\b|"
           r"cbn?z|tb[bh]|(pop|ldm).*\bpc\b|(ldr|mov|add)\S* pc\b",
           loads=r"v?ld|v?pop|tb[bh]"),
    # The emulator has no AVX-512.
    Target(name="x86_64", triplet="x86_64-linux-gnu", debian="amd64",
           emulator="qemu-x86_64", cpu="max",
           kernels=("avx2", "ssse3", "scalar"),
           cores=("znver3", "icelake-server", "skylake"),
           mca=("-mtriple=x86_64-linux-gnu",), comment="#",
           branches=r"j\w+|callq?|xbegin",
           leaves=r"(j\w+|callq?|retq?|rep|loop|notrack|bnd)\b",
           # What is moved to memory, as the last operand, is only written.
           loads=r"(?!lea|nop|prefetch|j|(v?p?mov|v?p?extr|set)\S* .*\)$)"
           r".*(\(|%[fg]s:)|pop|ret|leave",
           options=("--disable-avx512", "--disable-avx512vbmi")),
)}


def named(text):
    """The target that is meant by its name, triplet or Debian's name; None if there
    is no such one."""
    for target in TARGETS.values():
        if text in (target.name, target.triplet, target.debian):
            return target
    return None


def qemu_version():
    """(major, minor) of the first emulator there is, which come together."""
    for target in TARGETS.values():
        if shutil.which(target.emulator):
            text = subprocess.check_output([target.emulator, "--version"],
                                           text=True)
            found = re.search(r"version (\d+)\.(\d+)", text)
            if found:
                return int(found.group(1)), int(found.group(2))
    raise Impossible("no QEMU user mode here; Debian: apt-get install qemu-user")
