# SPDX-License-Identifier: MIT OR Apache-2.0
"""Commands with a time limit, of which nothing stays behind."""

import os
import signal
import subprocess
import sys
import time

MARK = "PQKERN_TRIAL"
# What a command gets of the caller's environment: nothing that changes a
# compiler, a linker, a loader or the choice of a kernel.
PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "TERM", "TZ",
             "XDG_CACHE_HOME", "PQKERN_DATA")

CONFINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "confine.py")


class Interrupted(BaseException):
    """SIGINT, SIGTERM or SIGHUP; .number says which."""

    def __init__(self, number):
        super().__init__(f"signal {number}")
        self.number = number


class Result:
    def __init__(self, code, output, seconds, late):
        self.code, self.output, self.seconds = code, output, seconds
        self.late = late  # over its time


def catch_signals():
    def note(number, frame):
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(each, signal.SIG_IGN)
        raise Interrupted(number)
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, note)


def environment(mark, extra=None):
    env = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    env.update(LC_ALL="C.UTF-8", **{MARK: mark})
    home = env.get("XDG_CACHE_HOME") or os.path.join(
        env.get("HOME", "/nonexistent"), ".cache")
    while not os.path.exists(home) and os.path.dirname(home) != home:
        home = os.path.dirname(home)
    if extra and "cache" in extra:
        cache = extra.pop("cache")
        if not os.access(home, os.W_OK):
            env["XDG_CACHE_HOME"] = cache
    env.update(extra or {})
    return env


class Running:
    """A command that was started, its output in a file."""

    def __init__(self, command, output, seconds, env, cwd=None):
        self.path = output
        self.began = time.monotonic()
        self.until = self.began + seconds
        with open(output, "wb") as file:
            self.child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, cwd=cwd, env=env,
                start_new_session=True)

    def end(self):
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.child.wait()

    def wait(self):
        late = False
        try:
            code = self.child.wait(max(0.0, self.until - time.monotonic()))
        except subprocess.TimeoutExpired:
            late, code = True, None
        finally:
            self.end()
        with open(self.path, encoding="utf-8", errors="replace") as file:
            output = file.read()
        return Result(code, output, time.monotonic() - self.began, late)


def confined(folder, command):
    """The command as one that can write to this folder alone; see confine.py."""
    return [sys.executable, "-ISB", CONFINE, folder, *command]


def lacks():
    """What this system cannot forbid a command that is confined."""
    done = subprocess.run([sys.executable, "-ISB", CONFINE, "--lacks"],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          check=False, universal_newlines=True)
    return done.stdout.split("\n")[:-1] if done.returncode == 0 else \
        ["a confinement"]


def run(command, output, seconds, env, cwd=None):
    return Running(command, output, seconds, env, cwd).wait()


def sweep(mark):
    """Kill what still runs with this mark: children of a killed trial."""
    wanted = f"{MARK}={mark}".encode()
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if not name.isdigit() or int(name) == os.getpid():
            continue
        try:
            with open(f"/proc/{name}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    os.kill(int(name), signal.SIGKILL)
        except OSError:
            continue
