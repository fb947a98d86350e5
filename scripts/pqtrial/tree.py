# SPDX-License-Identifier: MIT OR Apache-2.0
"""The agent's tree: what it may not change, what it tried, keep and restore."""

import io
import os
import re
import stat
import subprocess
import tarfile

from . import files
from .ends import Ended, Refused

KERNELS = ("src/kernels.c", "src/kernels")
MAX_BYTES = 4 << 20
# What `report` writes by default; nothing is built from it.
REPORT = ("doc/trials.svg", "doc/trials.png", "doc/trials.md")


def is_kernel(name):
    return name == KERNELS[0] or name.startswith(KERNELS[1] + "/")


def top_of(folder):
    """The top folder of the clone."""
    try:
        done = subprocess.run(
            ["git", "-C", folder, "rev-parse", "--show-toplevel"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False,
            universal_newlines=True)
    except FileNotFoundError:
        raise Refused("git is not installed (Debian: apt-get install git)"
                      ) from None
    if "dubious ownership" in done.stderr:
        raise Refused(f"{folder}: another user's clone, which git does not read: "
                      "clone it yourself, or, if you trust it, git config --global "
                      f"--add safe.directory {folder}")
    if done.returncode != 0:
        raise Refused(f"{folder}: not a git clone: {done.stderr.strip()}; trials "
                      "are kept as commits: clone the repository instead of "
                      "unpacking a release")
    return done.stdout.rstrip("\n")


class Tree:
    def __init__(self, places):
        self.places = places
        self.top = places.top

    def git(self, *arguments, index=None, data=None, text=True, may_fail=False):
        env = dict(os.environ, LC_ALL="C.UTF-8", GIT_OPTIONAL_LOCKS="0")
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
            env.pop(name, None)
        if index:
            env["GIT_INDEX_FILE"] = index
        done = subprocess.run(
            ["git", "-C", self.top, "-c", "core.quotePath=false",
             "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false",
             *arguments],
            input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            check=False, env=env)
        if done.returncode != 0 and not may_fail:
            raise Refused(f"git {arguments[0]}: "
                          f"{done.stderr.decode('utf-8', 'replace').strip()}")
        out = done.stdout.decode("utf-8", "surrogateescape") if text \
            else done.stdout
        return (done.returncode, out) if may_fail else out

    def head(self):
        return self.git("rev-parse", "HEAD").strip()

    def identity(self):
        for who in ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT"):
            code, _ = self.git("var", who, may_fail=True)
            if code != 0:
                raise Refused(
                    "git does not know who commits what is kept: git config "
                    "user.name NAME; git config user.email ADDRESS")

    # What is outside the kernels ------------------------------------------

    def _names(self, *arguments, index=None):
        out = self.git(*arguments, index=index)
        return {name for name in out.split("\0") if name}

    def _index(self, commit):
        """A private index of a commit: flags and excludes of the agent's own
        hide nothing from it."""
        path = self.places.at("index")
        files.remove(path)
        files.remove(path + ".lock")
        self.git("read-tree", commit, index=path)
        return path

    def strays(self, pinned):
        """What differs from the pinned commit, outside the kernels."""
        index = self._index(pinned)
        self.git("update-index", "-q", "--really-refresh", index=index,
                 may_fail=True)
        found = {}
        for how, names in (
                ("committed", self._names("diff", "--name-only", "-z",
                                          "--no-renames", pinned, "HEAD")),
                ("staged", self._names("diff", "--name-only", "-z", "--cached",
                                       "--no-renames", pinned)),
                ("modified", self._names("diff-files", "--name-only", "-z",
                                         index=index)),
                ("untracked", self._names(
                    "ls-files", "-z", "--others",
                    "--exclude-per-directory=.gitignore", index=index))):
            for name in names:
                if not is_kernel(name) and name not in REPORT:
                    found.setdefault(name, how)
        return [f"{name} ({how})" for name, how in sorted(found.items())]

    def check_history(self, series):
        """HEAD is the pinned commit and what trials kept, nothing else."""
        pinned, best = series["pinned"], series["best_commit"]
        code, _ = self.git("merge-base", "--is-ancestor", pinned, "HEAD",
                           may_fail=True)
        if code != 0:
            raise Refused(f"HEAD does not come from {pinned[:12]}, which the "
                          "series is pinned to: check that branch out, or start "
                          "a series with --baseline", 4)
        for path in KERNELS:
            if self.git("rev-parse", f"HEAD:{path}") != \
                    self.git("rev-parse", f"{best}:{path}"):
                raise Refused(
                    f"{path} of HEAD is not that of {best[:12]}, the last that "
                    f"was kept: no trial judged it.  git reset --soft "
                    f"{best[:12]} makes it an edit that can be tried", 4)

    def _rows_of_commits(self, *which):
        """{hash of a row: commit} of those that name one."""
        out = self.git("log", "--format=%h %(trailers:key=Trial-Row,valueonly,"
                       "separator=%x20)", *which)
        found = {}
        for line in out.splitlines():
            commit, _, row = line.partition(" ")
            if row.strip():
                found[row.strip()] = commit
        return found

    def check_rows(self, series, rows):
        """What the log says was kept are the commits, and the other way round: who
        writes the whole log anew would have to write these anew, too."""
        found = self._rows_of_commits(f"{series['pinned']}..HEAD")
        known = {row["hash"] for row in rows}
        for row, commit in found.items():
            if row not in known:
                raise Refused(f"{self.places.log}: the row of commit {commit} "
                              f"({row}) is missing", 4)
        for row in rows:
            if row["series"] == series["id"] and _was_committed(row) and \
                    row["hash"] not in found:
                raise Refused(
                    f"{self.places.log}: trial {row['trial']} was kept, and no "
                    f"commit since {series['pinned'][:12]} has its row "
                    f"({row['hash']}): the log or the commits were written anew. "
                    "If the commits were, and rightly, start a series with "
                    "--baseline", 4)

    def rows_without_commit(self, rows):
        """The trials, of any series, that were kept and are in no branch here."""
        found = self._rows_of_commits("--all")
        return [row["trial"] for row in rows
                if _was_committed(row) and row["hash"] not in found]

    # The candidate --------------------------------------------------------

    def check_files(self):
        """Plain files only among the kernels, and not too many bytes."""
        total = 0
        path = os.path.join(self.top, "src/kernels")
        try:
            if not stat.S_ISDIR(os.lstat(path).st_mode):
                raise Ended("integrity", "src/kernels: not a folder")
            names = ["src/kernels.c"]
            for folder, below, inside in os.walk(path):
                names += [os.path.relpath(os.path.join(folder, name), self.top)
                          for name in below + inside]
            for name in names:
                info = os.lstat(os.path.join(self.top, name))
                if not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
                    raise Ended("integrity", f"{name}: a link or a special file; "
                                             "kernels are plain files")
                total += info.st_size if stat.S_ISREG(info.st_mode) else 0
        except FileNotFoundError as why:
            raise Ended("build", f"{why.filename}: missing") from why
        if total > MAX_BYTES:
            raise Ended("integrity", f"the kernels are {total} bytes of source; "
                                     f"allowed are {MAX_BYTES}")

    def snapshot(self):
        """HEAD with the kernels as they lie there now, as a tree of git."""
        index = self._index("HEAD")
        self.git("add", "--all", "--", *KERNELS, index=index)
        return self.git("write-tree", index=index).strip()

    def content(self, tree):
        """{name: bytes} of the kernels of a tree or commit."""
        data = self.git("archive", "--format=tar", tree, *KERNELS, text=False)
        found = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                if member.isdir():
                    continue
                if not member.isreg():
                    raise Ended("integrity", f"{member.name}: not a plain file")
                found[member.name] = archive.extractfile(member).read()
        return found

    def export(self, commit, folder):
        """All files of a commit, as plain files."""
        data = self.git("archive", "--format=tar", commit, text=False)
        os.makedirs(folder)
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                path = os.path.join(folder, member.name)
                if member.isdir():
                    os.makedirs(path, exist_ok=True)
                elif member.isreg():
                    with open(path, "wb") as file:
                        file.write(archive.extractfile(member).read())
                    os.chmod(path, member.mode & 0o777)

    @staticmethod
    def lay_out(content, folder):
        """Make the kernels in the folder these, touching only what differs."""
        for name, data in content.items():
            path = os.path.join(folder, name)
            try:
                if os.path.islink(path):
                    os.unlink(path)
                with open(path, "rb") as file:
                    if file.read() == data:
                        continue
            except (FileNotFoundError, NotADirectoryError):
                pass
            os.makedirs(os.path.dirname(path), exist_ok=True)
            files.replace(path, data)
        for where, below, inside in os.walk(os.path.join(folder, KERNELS[1]),
                                            topdown=False):
            for name in inside:
                path = os.path.join(where, name)
                if os.path.relpath(path, folder) not in content:
                    os.unlink(path)
            if where != os.path.join(folder, KERNELS[1]) and \
                    not os.listdir(where):
                os.rmdir(where)

    def patch(self, commit, tree):
        return self.git("diff", "--binary", "--full-index", commit, tree, "--",
                        *KERNELS, text=False)

    # The end of a trial ---------------------------------------------------

    def commit(self, tree, parent, message):
        """The kept candidate becomes HEAD; again if it already is, no more."""
        made = self.git("commit-tree", tree, "-p", parent, "-F", "-",
                        data=message.encode("utf-8")).strip()
        self.git("update-ref", "-m", "trial: " + message.split("\n")[0], "HEAD",
                 made, parent)
        return made

    def settle_index(self):
        """Nothing of the kernels stays staged."""
        code, _ = self.git("diff", "--cached", "--quiet", "HEAD", "--", *KERNELS,
                           may_fail=True)
        if code != 0:
            self.git("reset", "-q", "HEAD", "--", *KERNELS)

    def restore(self, tried):
        """The kernels of HEAD again.  What git ignores stays."""
        wanted = self.content("HEAD")
        for name in self.content(tried):
            if name not in wanted:
                files.remove(os.path.join(self.top, name))
                folder = os.path.dirname(os.path.join(self.top, name))
                if not os.listdir(folder):
                    os.rmdir(folder)
        for name, data in wanted.items():
            self._restore_file(os.path.join(self.top, name), data)
        self.settle_index()

    @staticmethod
    def _restore_file(path, data):
        try:
            with open(path, "rb") as file:
                if not os.path.islink(path) and file.read() == data:
                    return
        except OSError:
            pass
        os.makedirs(os.path.dirname(path), exist_ok=True)
        files.replace(path, data)


def _was_committed(row):
    """All that was kept but the build that a series begins with."""
    return row["keep"] == "keep" and row["trial"] != "0"


def code_lines(content):
    """Lines that hold code: neither blank nor comment alone."""
    total = 0
    for data in content.values():
        text = data.decode("utf-8", "replace")
        bare = re.sub(r'"(?:\\.|[^"\\\n])*"|/\*.*?\*/|//[^\n]*',
                      lambda m: m.group() if m.group()[0] == '"' else
                      "\n" * m.group().count("\n"), text, flags=re.S)
        total += sum(1 for line in bare.split("\n") if line.strip())
    return total
