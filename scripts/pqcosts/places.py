# SPDX-License-Identifier: MIT OR Apache-2.0
"""Where in the sources an instruction comes from.

Nearly everything is inlined, so the symbol table says little.  The compiler's
debugging information gives a chain, from the innermost function that was inlined to
the one that was not.  What an instruction set provides says nothing either, nor do
the compiler's headers: what is wanted is the step of the scan that uses it.  So the
innermost function counts that is in neither.
"""

import re
import subprocess

ISA = re.compile(r"(^|/)(neon|neon_32|neon_64|ssse3|avx2|avx512|avx512vbmi|ymm|zmm|"
                 r"isa|scalar)\.[ch]$")
OURS = re.compile(r"(^|/)(src|bench|include)/(.*)$")


def shortened(path):
    """src/kernels/pass.h to pass.h, src/library/search.c to library/search.c."""
    found = OURS.search(path)
    inner = found.group(3) if found else path
    return re.sub(r"^(kernels|costs)/", "", inner)


def place(frames, symbol):
    """(file, function) of [(function, path), ...], the innermost first."""
    ours = [frame for frame in frames if OURS.search(frame[1])
            and not frame[1].startswith("/usr/")]
    if not ours:
        return "libc", symbol
    for function, path in ours:
        if not ISA.search(path):
            return shortened(path), function
    return shortened(ours[-1][1]), ours[-1][0]


def places(target, program, addresses):
    """{address: (file, function)}"""
    ordered = sorted(addresses)
    text = "".join(f"{address:#x}\n" for address in ordered)
    output = subprocess.run(
        [target.tool("addr2line"), "-a", "-i", "-f", "-e", program], input=text,
        text=True, stdout=subprocess.PIPE, check=True).stdout
    found, frames, at = {}, [], None
    function = None

    def close():
        if at is not None:
            found[at] = place(frames, frames[-1][0] if frames else "?")

    for line in output.splitlines():
        if re.fullmatch(r"0x[0-9a-f]+", line):
            close()
            at, frames, function = int(line, 16), [], None
        elif function is None:
            # A clone is its function; so is one that the compiler has split.
            function = line.split(".")[0] or line
        else:
            frames.append((function, re.sub(r":[^:]*$", "", line)))
            function = None
    close()
    return found
