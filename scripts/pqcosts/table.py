# SPDX-License-Identifier: MIT OR Apache-2.0
"""The table that is kept, and what has grown since."""

import dataclasses
import os

# A function with less than this share of a cell is part of "rest".
SHARE = 0.01
REST = "rest"
HEAD = """\
# SPDX-License-Identifier: MIT OR Apache-2.0
# What a code costs (of `encode`: a vector), in executed instructions and in
# modelled cycles of the cores named below: a line for each cell, and one for each
# function with 1 % of it.  scripts/costs --update writes it, --compare reads it,
# and doc/costs.md says what it means.
"""


@dataclasses.dataclass
class Cost:
    """Figures of one cell; a figure's first is instructions, then one a core."""
    target: str
    kernel: str
    cell: str
    cores: tuple
    figures: list
    functions: dict     # {"file:function": figures}, all of them or the kept ones
    queries: int = 0
    codes: int = 0
    answers: str = ""
    # What no table keeps: loads, branches and bytes of codes read, or None.
    guards: dict = dataclasses.field(default_factory=dict)
    blocks: list = dataclasses.field(default_factory=list)

    @property
    def name(self):
        return self.target, self.kernel, self.cell

    def columns(self):
        return ("instructions", *self.cores)

    def unit(self):
        return "a vector" if self.cell == "encode" else "a code"

    def kept_functions(self):
        """Those that the table names, and the sum of the others."""
        kept = {name: figures for name, figures in self.functions.items()
                if name != REST and figures[0] >= SHARE * self.figures[0]}
        rest = [whole - sum(figures[i] for figures in kept.values())
                for i, whole in enumerate(self.figures)]
        return {**kept, REST: [max(0.0, value) for value in rest]}


def written(figure):
    return f"{figure:.3f}" if figure < 1000 else f"{figure:.0f}"


@dataclasses.dataclass
class Table:
    compilers: dict = dataclasses.field(default_factory=dict)
    cores: dict = dataclasses.field(default_factory=dict)
    llvm: str = ""
    costs: dict = dataclasses.field(default_factory=dict)

    @classmethod
    def read(cls, path):
        table = cls()
        with open(path, encoding="utf-8") as text:
            for number, line in enumerate(text, 1):
                words = line.split()
                if not words or words[0].startswith("#"):
                    continue
                try:
                    table._take(words)
                except (ValueError, KeyError, IndexError):
                    raise ValueError(f"{path}:{number}: no line of the table; "
                                     "remedy: git checkout of it, or --update"
                                     ) from None
        return table

    def _take(self, words):
        if words[0] == "compiler":
            self.compilers[words[1]] = " ".join(words[2:])
        elif words[0] == "cores":
            self.cores[words[1]] = tuple(words[2:])
        elif words[0] == "llvm":
            self.llvm = words[1]
        else:
            target, kernel, cell, part = words[:4]
            cores = self.cores[target]
            figures = [float(word) for word in words[-1 - len(cores):]]
            if ":" in part or part == REST:
                self.costs[target, kernel, cell].functions[part] = figures
            else:
                self.costs[target, kernel, cell] = Cost(
                    target, kernel, cell, cores, figures, {})

    def write(self, path):
        lines = [HEAD]
        for name in sorted(self.compilers):
            lines.append(f"compiler {name} {self.compilers[name]}\n")
        lines.append(f"llvm {self.llvm}\n")
        for name in sorted(self.cores):
            lines.append(f"cores {name} {' '.join(self.cores[name])}\n")
        for name in sorted(self.costs):
            cost = self.costs[name]
            functions = cost.kept_functions()
            rows = [("", cost.figures)]
            rows += [(part, functions[part]) for part in sorted(functions)
                     if part != REST]
            rows.append((REST, functions[REST]))
            for part, figures in rows:
                text = " ".join(name) + (" " + part if part else "")
                columns = " ".join(f"{written(figure):>8}" for figure in figures)
                lines.append(f"{text:<62} {columns}\n")
        with open(path + ".new", "w", encoding="utf-8") as text:
            text.write("".join(lines))
        os.replace(path + ".new", path)


def most_grown(before, after, old, new):
    """(function, by how much) of the one that grew most; `old` and `new` are the
    figure's columns."""
    best = (REST, 0.0)
    for name, figures in sorted(after.functions.items()):
        if name in before.functions:
            was = before.functions[name][old]
        else:
            # What the table does not name had less than its share.
            was = min(figures[new], SHARE * before.figures[old])
        if figures[new] - was > best[1]:
            best = (name, figures[new] - was)
    return best


def growth(before, after, limit, with_cycles):
    """What has grown by more than the limit: [(figure's name, old, new, function,
    its growth)]; and whether something has shrunk by as much."""
    grown, shrunk = [], False
    columns = before.columns()
    for i, name in enumerate(after.columns()):
        if name not in columns or (i > 0 and not with_cycles):
            continue
        at = columns.index(name)
        # As precise as it is written: a sum of floats is not.
        old, new = (float(written(figure)) for figure in
                    (before.figures[at], after.figures[i]))
        if new > old * (1 + limit):
            grown.append((name, old, new, *most_grown(before, after, at, i)))
        shrunk = shrunk or new < old * (1 - limit)
    return grown, shrunk
