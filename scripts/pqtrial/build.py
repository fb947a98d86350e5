# SPDX-License-Identifier: MIT OR Apache-2.0
"""The private build: the pinned commit and the candidate's kernels."""

import glob
import hashlib
import os
import re
import shutil

from . import counted, files, gate, process
from .ends import Ended, Refused
from .tree import is_kernel

# The longest first: the others and lint go beside it.  Those of the first list need
# Check.
PROGRAMS = ("kernels/check_kernels", "kernels/check_operations",
            "kernels/check_heap", "library/check_contract",
            "kernels/check_encode", "kernels/check_filters")
PLAIN = "selftest"
FUZZER = os.path.join("fuzz", "fuzz_probe")
SHAPES = os.path.join("kernels", "shapes")
ERROR = re.compile(r"(error|undefined reference|multiple definition|\*\*\* |No space)"
                   r"|: not found|cannot ", re.I)


def host_failed(output):
    """A compiler that found no room or no memory says nothing of the code."""
    return re.search(r"No space left on device|Disk quota exceeded|out of memory"
                     r"|Cannot allocate memory|virtual memory exhausted"
                     r"|Killed signal", output) is not None


def first_errors(output, most=3):
    lines = [line.strip() for line in output.split("\n") if ERROR.search(line)]
    lines = lines or [line for line in output.split("\n") if line.strip()][-most:]
    return "; ".join(lines[:most])[:600]


def lint_reason(output):
    """The lines that say what is wrong and where."""
    lines = [line for line in output.split("\n")
             if re.search(r"(warning|error):|: (tabs|trailing|more than|no |"
                          r"carriage|includes )", line)]
    return "; ".join(line.strip() for line in lines[:3])[:600] or \
        output.strip()[-300:]


class Build:
    """For this machine, or for that of a counted series (target), whose library is
    the program that is counted."""

    def __init__(self, places, mark, target=None):
        self.places = places
        self.mark = mark
        self.target = target
        self.library = places.at("build", counted.QUERY) if target \
            else places.library
        self.clean = places.at("build.whole")

    def _run(self, what, command, seconds, cwd=None):
        env = process.environment(self.mark)
        # The tree is no clone, also not part of the one that it lies in.
        env["GIT_CEILING_DIRECTORIES"] = self.places.home
        return process.run(command, os.path.join(self.places.outputs, what),
                           seconds, env, cwd)

    # Once a series --------------------------------------------------------

    def prepare(self, tree, commit, compiler):
        """Export, bootstrap, configure, make; refuses if that fails."""
        places = self.places
        for path in (places.tree, places.build, places.judge,
                     *glob.glob(places.at("build.*"))):
            if os.path.isdir(path):
                shutil.rmtree(path, ignore_errors=True)
        files.remove(self.clean)
        tree.export(commit, places.tree)
        os.makedirs(places.build)
        steps = [("bootstrap", lambda: ["./bootstrap"], places.tree),
                 ("configure", lambda: [*self._configure(), *compiler],
                  places.build),
                 ("make", lambda: ["make", f"-j{os.cpu_count() or 1}",
                                   *(self._targets() if self.target else ["all"])],
                  places.build)]
        for name, command, cwd in steps:
            result = self._run(name, command(), 900, cwd)
            if result.code != 0:
                raise Refused(f"{name} of commit {commit[:12]} failed: "
                              f"{first_errors(result.output)} "
                              f"({os.path.join(places.outputs, name)})")
        files.replace(self.clean, b"")
        os.makedirs(os.path.join(places.judge, "data"))
        if self.target:
            return
        files.copy(os.path.join(places.build, "run_experiment"),
                   places.run_experiment, 0o755)
        for path in glob.glob(os.path.join(places.tree, "data", "*")):
            files.copy(path, os.path.join(places.judge, "data",
                                          os.path.basename(path)))

    def _configure(self):
        if self.target:
            return counted.configure(self.places.tree, self.target)
        return [os.path.join(os.pardir, "tree", "configure"), "--disable-static"]

    def manifest(self):
        """{name: hash} of all that is not the kernels' and must not change."""
        found = {}
        for top in ("tree", "judge"):
            for folder, below, names in os.walk(self.places.at(top)):
                below[:] = [n for n in below if n != "autom4te.cache"]
                for name in names:
                    path = os.path.join(folder, name)
                    short = os.path.relpath(path, self.places.home)
                    if not is_kernel(short.partition("/")[2]) and \
                            not name.endswith(".pyc"):
                        found[short] = files.sha256(path)
        for pattern in ("Makefile", "config.h", "libtool", "src/**/.libs/*.o",
                        *(("src/**/*.o", "bench/costs/*.o") if self.target
                          else ())):
            for path in glob.glob(os.path.join(self.places.build, pattern),
                                  recursive=True):
                short = os.path.relpath(path, self.places.build)
                if not os.path.basename(path).startswith("libpqk_") and \
                        not short.startswith(os.path.join("src", "kernels")):
                    found[os.path.relpath(path, self.places.home)] = \
                        files.sha256(path)
        return found

    def check_manifest(self, wanted):
        found = self.manifest()
        for name in sorted(set(wanted) | set(found)):
            if wanted.get(name) != found.get(name):
                raise Refused(
                    f".trial/{name} is not as --baseline left it, and nothing "
                    "that it judges counts any more: start a series with "
                    "--baseline, which builds it again", 4)

    # Each trial -----------------------------------------------------------

    def objects(self):
        pattern = os.path.join(self.places.build, "src", "**",
                               "" if self.target else ".libs", "libpqk_*.o")
        return sorted(glob.glob(pattern, recursive=True))

    def programs(self):
        with open(os.path.join(self.places.build, "Makefile"),
                  encoding="utf-8") as file:
            has_check = re.search(r"^CHECK_LIBS = *\S", file.read(), re.M)
        names = PROGRAMS if has_check else (PLAIN,)
        return [*names, FUZZER, SHAPES]

    def left_out(self):
        """What there is to say where the tests of Check do not run; else empty."""
        if PLAIN not in self.programs():
            return ""
        if self.target:
            return (f"{len(PROGRAMS)} of the equality tests, those with Check, are not "
                    "run by a counted series, since an emulator takes minutes for "
                    "them: filters and encoding are tested less (make check in a build for "
                    f"{self.target.triplet} has them; Debian: apt-get install "
                    f"check:{self.target.debian})")
        return (f"{len(PROGRAMS)} of the equality tests need Check and do not run "
                "here: filters and encoding are tested less (Debian: apt-get "
                "install check, then scripts/trial --baseline)")

    def _targets(self):
        # Not "all": it is a make of its own, which would build the same files
        # at the same time.
        return [counted.QUERY if self.target else "libpqkern.la",
                *("tests/" + name for name in self.programs())]

    def _make(self, seconds):
        return self._run("make", ["make", f"-j{os.cpu_count() or 1}",
                                  *self._targets()], seconds, self.places.build)

    def make_test(self, name, seconds):
        """One test, of the kernels that lie there."""
        files.remove(self.clean)
        result = self._run("make-test", ["make", f"-j{os.cpu_count() or 1}",
                                         "tests/" + name], seconds, self.places.build)
        if result.late or result.code != 0:
            raise Ended("error", f"building took over {seconds:.0f} s" if result.late
                        else first_errors(result.output))
        files.replace(self.clean, b"")

    def make(self, tree, content, seconds):
        """Build the candidate; returns the hash of its code and library."""
        if not os.path.exists(self.clean):
            # A compiler that was killed may have left half an object.
            for name in ("libpqk_*.lo", "tests_libops_*.lo"):
                for path in glob.glob(os.path.join(
                        self.places.build, "src", "**", name), recursive=True):
                    files.remove(path)
        files.remove(self.clean)
        tree.lay_out(content, self.places.tree)
        self._check_style()
        result = self._make(seconds)
        if result.late:
            raise Ended("time_budget", f"building took over {seconds:.0f} s")
        if result.code != 0:
            why = first_errors(result.output)
            raise Ended("error" if host_failed(result.output) else "build", why)
        files.replace(self.clean, b"")
        self._check_includes()
        return self.check_objects()

    def _check_style(self):
        """What a look at the text finds, before anything takes time."""
        result = self._run("lint-style", [
            "make", "-s", "lint", "LINTFLAGS=--kernels --only style"], 60.0,
                           self.places.build)
        if result.code != 0:
            raise Ended("lint", lint_reason(result.output))

    def check_objects(self):
        objects = self.objects()
        if len(objects) < 2:
            raise Refused(f"{self.places.build}: found no objects of kernels; "
                          "start a series with --baseline")
        objdump = self.target.tool("objdump") if self.target else None
        found = [text for path in objects
                 for text in gate.violations(path, objdump)]
        if found:
            raise Ended("integrity", "; ".join(found[:5]) + (
                f"; {len(found) - 5} more" if len(found) > 5 else ""))
        return gate.code_hash(objects), files.sha256(self.library)

    def _check_includes(self):
        """The kernels include what git has, what the system has, and of what is
        built nothing but the configuration."""
        inside = (os.path.realpath(self.places.tree) + os.sep, "/usr/",
                  "/opt/", "/nix/store/", "/gnu/store/")
        made = os.path.realpath(os.path.join(self.places.build, "config.h"))
        for path in glob.glob(os.path.join(self.places.build, "src", "**",
                                           ".deps", "libpqk_*.Plo"),
                              recursive=True):
            with open(path, encoding="utf-8", errors="replace") as file:
                text = re.sub(r"(?m)^\S.*?\.lo:|\\\n", " ", file.read())
            for name in re.findall(r"(?:\\.|[^\s\\])+", text):
                name = re.sub(r"\\(.)", r"\1", name).rstrip(":")
                real = os.path.realpath(os.path.join(self.places.build, name))
                if not real.startswith(inside) and real != made and \
                        os.path.exists(real):
                    raise Ended("integrity", f"a kernel includes {name}, which "
                                             "is no part of the commit")


def identity(content):
    """A hash of the candidate's source, for those that never got an object."""
    total = hashlib.sha256()
    for name in sorted(content):
        total.update(name.encode() + b"\0" + content[name] + b"\0")
    return total.hexdigest()
