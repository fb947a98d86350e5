# SPDX-License-Identifier: MIT OR Apache-2.0
"""Files that are whole or not there, and where a series keeps its own."""

import errno
import hashlib
import json
import os
import shutil


def sha256(path):
    total = hashlib.sha256()
    with open(path, "rb") as file:
        for piece in iter(lambda: file.read(1 << 20), b""):
            total.update(piece)
    return total.hexdigest()


def sync_folder(path):
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def replace(path, data, mode=0o644):
    """Write it so that a power cut leaves the old file or the new one."""
    new = path + ".new"
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        left = memoryview(data)
        while left:
            written = os.write(handle, left)
            if written == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), new)
            left = left[written:]
        os.fchmod(handle, mode)
        os.fsync(handle)
    except OSError as why:
        os.close(handle)
        os.unlink(new)
        raise OSError(why.errno, why.strerror, path) from why
    os.close(handle)
    os.replace(new, path)
    sync_folder(os.path.dirname(path))


def replace_json(path, value):
    replace(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def read_json(path):
    """The object, or None if there is no such file."""
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return None


def copy(source, target, mode=0o644):
    with open(source, "rb") as file:
        replace(target, file.read(), mode)


def fresh_folder(path):
    """An empty one."""
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)


def remove(path):
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


class Places:
    """Everything that a series keeps lies in .trial/, which git ignores."""

    def __init__(self, top):
        self.top = top
        self.log = os.path.join(top, "results.tsv")
        self.home = os.path.join(top, ".trial")
        self.log_copy = self.at("results.tsv")
        self.series = self.at("series.json")
        self.journal = self.at("journal.json")
        self.stop = self.at("stop")
        self.tree = self.at("tree")
        self.build = self.at("build")
        self.library = self.at("build", ".libs", "libpqkern.so")
        self.best = self.at("best", "libpqkern.so")
        self.best_result = self.at("best", "result.json")
        self.judge = self.at("judge")
        self.run_experiment = self.at("judge", "run_experiment")
        self.patches = self.at("patches")
        self.outputs = self.at("logs")
        # All that the candidate's code may write to.
        self.scratch = self.at("scratch")

    def at(self, *names):
        return os.path.join(self.home, *names)
