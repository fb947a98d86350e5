# SPDX-License-Identifier: MIT OR Apache-2.0
"""The object gate: what compiled kernels must not contain, and the hash of
their code.

Sections are those of a list, by whole names.  Defined global names: the heap's functions of include/pqkern.h, one
pqk_kernel_VARIANT per variant, and helpers named pqk_scalar_*, pqk_layout_*,
pqk_heap_*, pqk_prepare_*.  Undefined ones: these again, the memory functions,
rounding and square roots, what compilers call on their own, and the allocator in
what prepares, src/kernels/prepare/.  What is not the kernels' own is called and
nothing else: its address leads to all of the C library.  Nothing runs before main or is chosen by the
loader, nothing is local to threads, and nothing static can be written: a kernel
holds no state.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys

from . import elf

DEFINED = re.compile(
    r"pqk_top_k_heap_(init|push|into_sorted|storage)"
    # The variants, but not the library's functions about them.
    r"|pqk_kernel_(?!(?:find|at|count|name|available)$)[a-z0-9]+"
    r"|pqk_(scalar|layout|heap|prepare)_[a-z0-9_]+")
UNDEFINED = re.compile(
    r"memcpy|memmove|memset|memcmp"
    r"|sqrtf?|l?l?rintf?|nearbyintf?|l?roundf?|floorf?|ceilf?|truncf?"
    r"|fabsf?|fminf?|fmaxf?|copysignf?"
    # The compiler's own: hardening, and arithmetic that small CPUs lack.
    r"|__stack_chk_(fail|guard)|__mem(cpy|move|set)_chk|_GLOBAL_OFFSET_TABLE_"
    r"|__aarch64_(cas|swp|ld(add|clr|eor|set))[0-9]+_[a-z_]+"
    r"|__aeabi_(mem[a-z0-9]+|[uil][a-z0-9]*|[df][a-z0-9]+)"
    r"|__(u?div|u?mod|mul|ashl|ashr|lshr|clz|ctz|popcount|u?cmp|ffs|bswap)"
    r"[dst]i[234]?"
    r"|__aarch64_(cas|swp|ld[a-z]+)[0-9]+_[a-z_]+")
ALLOCATOR = re.compile(r"malloc|calloc|aligned_alloc|free")
# Objects that may use it: libtool's lie in .libs beside the source's place.
ALLOCATES = re.compile(
    r"(^|/)src/kernels/prepare/([^/]+/)*[^/]+$")

# What static data there may be, in bytes per object.  Today: .data and .bss
# nothing, .data.rel.ro 104, .rodata about 700, .text up to 66,000.
MAX_WRITABLE = 0
MAX_RELOCATED = 4096
MAX_CONSTANT = 64 * 1024
MAX_CODE = 512 * 1024
# .eh_frame and the like: up to 2,000 today.
MAX_UNWIND = 64 * 1024

RUNS_EARLY = re.compile(
    r"\.(preinit_array|init_array|fini_array|ctors|dtors|init|fini)(\..*)?$")
RELOCATED = re.compile(r"\.data\.rel\.ro(\..*)?$")
WRITABLE = re.compile(r"\.(data|bss)(\..*)?$")
CONSTANT = re.compile(r"\.rodata(\..*)?$")
CODE = re.compile(r"\.text(\..*)?$")
UNWIND = re.compile(r"\.eh_frame$|\.ARM\.(exidx|extab)(\.text(\..*)?)?$")
PROPERTY = re.compile(r"\.note\.gnu\.property$")
STACK = ".note.GNU-stack"
# Each with the type that it may have besides plain bytes.
TYPES = ((RELOCATED, ()), (WRITABLE, (elf.SHT_NOBITS,)), (CONSTANT, ()), (CODE, ()),
         (UNWIND, (elf.SHT_UNWIND,)), (PROPERTY, (elf.SHT_NOTE,)))

# How relocations call what is elsewhere.  x86 has one type for that and for an
# address, so there the instruction is looked at, too.
CALLED_BY = {"x86": {4, 41}, "aarch64": {282, 283}, "arm": {1, 10, 27, 28, 29, 30},
             "riscv": {18, 19}, "s390": {18, 20, 24, 25}}
X86_CALL = re.compile(rb"(?s).*([\xe8\xe9]|\x0f[\x80-\x8f]|\xff[\x15\x25])$")
NO_FUNCTION = re.compile(r"_GLOBAL_OFFSET_TABLE_|__stack_chk_guard")
# What asks the system on x86, in a number that an instruction has: it can be called
# at an address that is computed, which nothing here sees.  Compilers make the same
# bytes of an address and its offset now and then, so only numbers are looked at.
HIDDEN = re.compile(rb"\x0f\x05|\x0f\x34|\xcd\x80")
NUMBER = re.compile(r"\$0x([0-9a-f]{4,16})\b")

# Whole mnemonics.  System calls and traps, clocks and counters, the processor's
# name, random numbers, bases of thread-local storage, modes of floating point,
# what would throw others' cache lines out, transactions, port input and output.
FORBIDDEN = {
    "x86": r"syscall|sysenter|sysexit\w?|sysret\w?|int|int[13o]|icebp|iret\w?"
           r"|into|bound|hlt|rdtscp?|rdpmc|rdpru|rdpid|cpuid|rdrand|rdseed"
           r"|(rd|wr)(fs|gs)base\w?|(rd|wr)pkru|(rd|wr)msr\w*|xgetbv|xsetbv"
           r"|v?ldmxcsr|fldcw|fldenv|f?n?init|fxrstor\w*|xrstor\w*|frstor"
           r"|clflush(opt)?|clwb|cldemote|wbinvd|wbnoinvd|invd"
           r"|umwait|tpause|umonitor|m(onitor|wait)x?|xbegin|xend|xabort|xtest"
           r"|senduipi|enqcmds?|in[bwl]?|out[bwl]?|ins[bwl]?|outs[bwl]?"
           r"|vmm?call|vmcall|lcall\w?|ljmp\w?|lret\w?|l[gi]dt|ltr|lldt"
           r"|l[defgs]s|swapgs|cl[ac]c|st[ac]c|cli|sti|loadall|ptwrite\w?",
    "aarch64": r"svc|hvc|smc|mrs|msr|sys|sysl|dc|ic|at|tlbi|wfet?|wfit?"
               r"|sevl?|hlt|dcps[123]|eret\w*|tstart|tcommit",
    "arm": r"svc|swi|hvc|smc|bkpt|mrc2?|mcr2?|mrrc2?|mcrr2?|cdp2?|ldc2?l?"
           r"|stc2?l?|vmsr|fmxr|cps\w*|wfe|wfi|sev|setend|msr|mrs",
    "riscv": r"ecall|ebreak|scall|rd(cycle|time|instret)h?|csr\w+|fscsr|fsrm"
             r"|wfi|cbo\.\w+|[msu]ret",
    "s390": r"svc|stckf?|stcke|ptff|ecctr|lpctl|stap|stidp|sfpc|srnm\w*|lfpc",
}
UNDECODED = re.compile(r"\(bad\)|undefined|\bunknown\b|<UNDEFINED>")
INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t(.*)$")
PREFIX = re.compile(r"^(?:(?:lock|rep[nz]*e?|repz|repnz|data16|addr32|notrack"
                    r"|bnd|cs|ds|es|ss|rex[.A-Z]*)\s+)+")
TARGET = re.compile(r"^(?:j\w+|call|callq|loop\w*|xbegin)(?:,p[nt])?\s+"
                    r"([0-9a-f]+)\b")
RELOCATION = re.compile(r"\t[0-9a-f]+: R_")
SEGMENT = re.compile(r"%[fg]s:(?!0x28\b|0x14\b)")


def _sections(obj):
    totals = {"writable": 0, "relocated": 0, "constant": 0, "code": 0, "unwind": 0}
    stacks = [section for section in obj.sections if section.name == STACK]
    if any(section.flags or section.size for section in stacks) or \
            obj.machine == "x86" and not stacks:
        yield f"section {STACK}: asks for a stack that can be run, or holds data"
    for section in obj.sections:
        name, size = section.name, section.size
        if RUNS_EARLY.match(name) or section.type in (14, 15, 16):
            yield f"section {name}: code that runs before or after its call"
        elif section.has(elf.SHF_TLS):
            yield f"section {name}: thread-local data"
        elif not section.has(elf.SHF_ALLOC) or size == 0:
            continue
        elif not _is_known(section):
            yield f"section {name}: of no kind that kernels need"
        elif section.has(elf.SHF_EXECINSTR):
            totals["code"] += size
            if not CODE.match(name) or section.has(elf.SHF_WRITE):
                yield f"section {name}: code outside .text, or writable"
        elif RELOCATED.match(name):
            totals["relocated"] += size
        elif WRITABLE.match(name) or section.has(elf.SHF_WRITE):
            totals["writable"] += size
        elif CONSTANT.match(name):
            totals["constant"] += size
        else:
            totals["unwind"] += size
    for kind, what, most in (
            ("writable", "static data that can be written", MAX_WRITABLE),
            ("relocated", "constants with addresses", MAX_RELOCATED),
            ("constant", "constants", MAX_CONSTANT),
            ("code", "code", MAX_CODE),
            ("unwind", "unwinding", MAX_UNWIND)):
        if totals[kind] > most:
            yield f"{totals[kind]} bytes of {what}; allowed are {most}"


def _is_known(section):
    return section.name == STACK or any(
        pattern.match(section.name) and section.type in (elf.SHT_PROGBITS, *types)
        for pattern, types in TYPES)


def _is_called(obj, section, at, kind):
    if kind not in CALLED_BY[obj.machine]:
        return False
    return obj.machine != "x86" or \
        X86_CALL.match(section.data[max(0, at - 2):at]) is not None


def _addresses(obj):
    """Of what is not the kernels' own, functions are called; the address of one is
    a way to all the others."""
    if obj.machine not in CALLED_BY:
        return
    for section in obj.sections:
        if not section.has(elf.SHF_ALLOC):
            continue
        for at, kind, symbol, _ in obj.relocations(section):
            if symbol.binding == elf.STB_LOCAL or \
                    symbol.section != elf.SHN_UNDEF or \
                    DEFINED.fullmatch(symbol.name) or \
                    NO_FUNCTION.fullmatch(symbol.name):
                continue
            if not _is_called(obj, section, at, kind):
                yield (f"{section.name}+{at:x}: the address of {symbol.name}, "
                       "which may be called and no more")


def _symbols(obj):
    allocates = ALLOCATES.search(os.path.abspath(obj.path))
    for symbol in obj.symbols:
        name = symbol.name
        if symbol.type == elf.STT_GNU_IFUNC:
            yield f"symbol {name}: chosen by the loader (IFUNC)"
        elif symbol.type == elf.STT_TLS:
            yield f"symbol {name}: thread-local"
        elif symbol.binding == elf.STB_LOCAL or not name:
            continue
        elif symbol.section == elf.SHN_UNDEF:
            if not (UNDEFINED.fullmatch(name) or DEFINED.fullmatch(name) or
                    allocates and ALLOCATOR.fullmatch(name)):
                yield f"symbol {name}: not among what a kernel may call"
        elif symbol.binding != elf.STB_GLOBAL or \
                symbol.section == elf.SHN_COMMON:
            yield f"symbol {name}: weak, unique or common"
        elif not DEFINED.fullmatch(name):
            yield f"symbol {name}: not one of the contract's names"


def _instructions(obj, objdump):
    forbidden = FORBIDDEN.get(obj.machine)
    if forbidden is None:
        yield f"no list of instructions for {obj.machine}"
        return
    if not any(s.size and s.has(elf.SHF_EXECINSTR) for s in obj.sections):
        return
    try:
        done = subprocess.run(
            [objdump, "-d", "-r", "-w", "--no-show-raw-insn", obj.path],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
            env=dict(os.environ, LC_ALL="C"), universal_newlines=True,
            errors="replace")
    except OSError as why:
        yield f"{objdump}: {why.strerror} (Debian: apt-get install binutils)"
        return
    if done.returncode != 0 or "\t" not in done.stdout:
        yield f"{objdump} cannot read it: {done.stderr.strip() or 'no code'}"
        return
    yield from _listing(obj.machine, re.compile(forbidden), done.stdout)


def _listing(machine, forbidden, text):
    """One listing, section by section."""
    section, starts, targets = "?", set(), []
    for line in text.splitlines() + ["Disassembly of section end:"]:
        if line.startswith("Disassembly of section "):
            for target, where, shown in targets:
                if target not in starts:
                    yield (f"{section}+{where}: {shown}: jumps into the middle "
                           "of an instruction")
            section, starts, targets = line[23:].rstrip(":"), set(), []
            continue
        match = INSTRUCTION.match(line)
        if not match:
            continue
        where, shown = match.group(1), " ".join(match.group(2).split())
        starts.add(int(where, 16))
        if shown.startswith((".word", ".short", ".byte")) and machine == "arm":
            continue  # literals between functions, marked as data
        code = PREFIX.sub("", shown)
        word = code.split(" ", 1)[0].split(".")[0] if machine in (
            "aarch64", "arm") else code.split(" ", 1)[0]
        if machine == "arm":  # a condition may follow
            word = re.sub(r"(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le)$", "",
                          word) if word not in ("svc", "mls") else word
        if UNDECODED.search(shown) or word.startswith("."):
            yield f"{section}+{where}: {shown}: bytes that are no instruction"
        elif forbidden.fullmatch(word):
            yield f"{section}+{where}: {shown}: instruction {word}"
        elif machine == "x86":
            if SEGMENT.search(code):
                yield f"{section}+{where}: {shown}: the thread's own memory"
            for number in NUMBER.findall(code):
                if HIDDEN.search(int(number, 16).to_bytes(8, "little")):
                    yield (f"{section}+{where}: {shown}: the bytes of a system "
                           "call in a number; another constant avoids them")
            jump = TARGET.match(code)
            # What the linker fills in reads as the byte behind it.
            if jump and not RELOCATION.search(match.group(2)):
                targets.append((int(jump.group(1), 16), where, shown))


def violations(path, objdump=None):
    """What is wrong with one object, a line each; empty if nothing is."""
    try:
        obj = elf.Object(path)
    except OSError as why:
        return [f"{path}: {why.strerror}"]
    except elf.NotElf as why:
        return [str(why)]
    found = list(_sections(obj)) + list(_symbols(obj)) + list(_addresses(obj))
    found += _instructions(obj, objdump or os.environ.get("OBJDUMP", "objdump"))
    shown = os.path.basename(path)
    return [f"{shown}: {text}" for text in found]


def _names(obj):
    """How a relocation's symbol is called: locals by place, others by name."""
    def named(symbol):
        if symbol.binding == elf.STB_LOCAL and \
                0 < symbol.section < len(obj.sections):
            return f"{obj.sections[symbol.section].name}+{symbol.value}"
        return symbol.name
    return named


def code_hash(paths):
    """SHA-256 over all that is linked, with its relocations and global names.
    Paths, local names, line numbers and what a debugger wants are not in it."""
    total = hashlib.sha256()
    for path in sorted(paths, key=os.path.basename):
        obj = elf.Object(path)
        named = _names(obj)
        parts = [os.path.basename(path)]
        for section in obj.sections:
            if section.name != STACK and (
                    not section.has(elf.SHF_ALLOC) or section.size == 0):
                continue
            parts.append(f"{section.name} {section.flags} {section.size} "
                         f"{section.align} "
                         f"{hashlib.sha256(section.data).hexdigest()}")
            parts += sorted(f"{at} {kind} {named(symbol)} {addend}" for
                            at, kind, symbol, addend in obj.relocations(section))
        parts += sorted(
            f"{s.name} {s.binding} {s.type} {s.visibility} {s.value} {s.size} "
            f"{named_section(obj, s)}" for s in obj.symbols
            if s.binding != elf.STB_LOCAL)
        total.update("\n".join(parts).encode("utf-8", "backslashreplace"))
    return total.hexdigest()


def named_section(obj, symbol):
    if 0 < symbol.section < len(obj.sections):
        return obj.sections[symbol.section].name
    return str(symbol.section)


def main():
    parser = argparse.ArgumentParser(
        prog="object_gate", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit status: 0 nothing found, 4 found, 64 usage.  OBJDUMP names "
               "another objdump, for objects of another machine.")
    parser.add_argument("objects", nargs="+", metavar="OBJECT")
    parser.add_argument("--hash", action="store_true",
                        help="print the hash of the code, too")
    try:
        arguments = parser.parse_args()
    except SystemExit as end:
        return 64 if end.code == 2 else end.code
    found = [text for path in arguments.objects for text in violations(path)]
    for text in found:
        print(text)
    if arguments.hash and not found:
        print(code_hash(arguments.objects))
    return 4 if found else 0


if __name__ == "__main__":
    sys.exit(main())
