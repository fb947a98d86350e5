# SPDX-License-Identifier: MIT OR Apache-2.0
"""The program that is counted, for each target, and the plugin that counts."""

import fcntl
import os
import shutil
import subprocess

from .targets import TARGETS, Failed, Impossible, qemu_version

QUERY = os.path.join("bench", "costs", "query")
# What configure would take from the environment, and would change the code.
UNWANTED = ("CC", "CFLAGS", "CPPFLAGS", "LDFLAGS", "LIBS", "AR", "NM", "RANLIB")
# Whoever generates configure: the list of scripts/setup.sh.
SOURCES = ("configure.ac", "Makefile.am", "src/local.mk", "tests/local.mk")


def configure_command(top, target):
    """How what is counted is configured."""
    command = [os.path.join(top, "configure"), "--disable-shared",
               "--with-check=no", *target.options, f"CC={target.tool('gcc')}",
               "CFLAGS=-O2 -g"]
    if not target.is_native:
        guess = os.path.join(top, "build-aux", "config.guess")
        command[1:1] = [
            "--build=" + subprocess.check_output([guess], text=True).strip(),
            f"--host={target.triplet}"]
    return command


class Build:
    def __init__(self, top, folder, say):
        self.top = top
        self.folder = os.path.abspath(folder)
        self.say = say
        os.makedirs(self.folder, exist_ok=True)
        # One command at a time builds here; the lock goes with the process.
        self.lock = open(os.path.join(self.folder, "lock"), "w",
                         encoding="ascii")
        fcntl.flock(self.lock, fcntl.LOCK_EX)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def _run(self, what, command, cwd, log):
        env = {name: value for name, value in os.environ.items()
               if name not in UNWANTED and not name.startswith("MAKE")}
        with open(log, "ab") as output:
            result = subprocess.run(command, cwd=cwd, env=env, stdout=output,
                                    stderr=output, stdin=subprocess.DEVNULL,
                                    check=False)
        if result.returncode != 0:
            with open(log, "rb") as text:
                lines = text.read().decode(errors="replace").splitlines()
            errors = [line for line in lines if "error" in line.lower()]
            for line in (errors or lines)[-5:]:
                self.say(line, always=True)
            raise Failed(f"{what} failed; the whole log: {log}")

    def bootstrap(self):
        configure = os.path.join(self.top, "configure")
        if os.path.exists(os.path.join(self.top, "config.status")):
            raise Failed(f"{self.top} is configured in the source tree itself, "
                         "which keeps make from building elsewhere; remedy: "
                         f"make -C {self.top} distclean")
        sources = [os.path.join(self.top, name) for name in SOURCES]
        if not os.path.exists(configure) or any(
                os.path.getmtime(name) > os.path.getmtime(configure)
                for name in sources):
            self.say("bootstrap")
            self._run("./bootstrap", ["./bootstrap"], self.top,
                      self.path("bootstrap.log"))

    def program(self, target, jobs):
        """Configure and make one target's program; returns its path."""
        folder = self.path(target.name)
        os.makedirs(folder, exist_ok=True)
        log = self.path(f"{target.name}.log")
        with open(log, "wb"):
            pass
        command = configure_command(self.top, target)
        configure = command[0]
        stamp = os.path.join(folder, ".arguments")
        wanted = "\n".join([*command, target.compiler()])
        status = os.path.join(folder, "config.status")
        found = None
        if os.path.exists(stamp) and os.path.exists(status) and \
                os.path.getmtime(configure) <= os.path.getmtime(status):
            with open(stamp, encoding="utf-8") as text:
                found = text.read()
        if found != wanted:
            # Objects of another compiler would stay.
            shutil.rmtree(folder)
            os.makedirs(folder)
            self.say(f"{target.name}: configure")
            self._run(f"configure for {target.name}", command, folder, log)
            with open(stamp, "w", encoding="utf-8") as text:
                text.write(wanted)
        self.say(f"{target.name}: make")
        self._run(f"make for {target.name}",
                  ["make", f"-j{jobs}", QUERY], folder, log)
        return os.path.join(folder, QUERY)

    def taken(self, target, program):
        """A program that somebody else has made, at the place of a made one."""
        path = self.path(target.name, QUERY)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copyfile(program, path)
        os.chmod(path, 0o755)
        return path

    def plugin(self):
        """Build the plugin, as the QEMU that is here wants it."""
        major, minor = qemu_version()
        if (major, minor) < (4, 2):
            raise Impossible(f"QEMU {major}.{minor} has no plugins: 4.2 is the "
                             "first that has, 7.2 the first with AVX2")
        if shutil.which("gcc") is None:
            raise Impossible("no gcc for the plugin; Debian: apt-get install gcc "
                             "libc6-dev")
        path = self.path("blocks.so")
        self._run("the plugin", [
            "gcc", "-O2", "-fPIC", "-shared", "-std=c11", "-Wall",
            f"-DPLUGIN_API={1 if major < 9 else 2}",
            os.path.join(self.top, "bench", "costs", "blocks.c"), "-o", path],
            self.folder, self.path("plugin.log"))

    def inputs(self, built):
        """What the program reads, at paths that are the same everywhere: they
        stand on its stack, and what stands there can shift what follows.  The
        codes are made once, by whichever target can."""
        data = self.path("data")
        if os.path.islink(data):
            os.remove(data)
        os.symlink(os.path.join(self.top, "data"), data)
        codes = self.path("photos.codes")
        newest = max(os.path.getmtime(os.path.join(data, name)) for name in
                     ("photos_codebook.fvecs", "photos_base.bvecs"))
        if os.path.exists(codes) and os.path.getmtime(codes) > newest and \
                os.path.getsize(codes):
            return
        native = [name for name in built if TARGETS[name].is_native]
        name = (native or list(built))[0]
        target = TARGETS[name]
        command = [] if target.is_native else [target.emulator, "-cpu", target.cpu]
        command += [built[name], "encode", "data/photos_codebook.fvecs",
                    "data/photos_base.bvecs"]
        self.say("encoding the photographs")
        with open(codes + ".new", "wb") as output:
            result = subprocess.run(command, cwd=self.folder, stdout=output,
                                    check=False)
        if result.returncode != 0:
            raise Failed("the photographs could not be encoded")
        os.replace(codes + ".new", codes)
