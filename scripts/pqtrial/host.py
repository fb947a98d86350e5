# SPDX-License-Identifier: MIT OR Apache-2.0
"""What else a host does while something is measured."""

import os
import resource
import time

CPU = "/sys/devices/system/cpu/"


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def ticks():
    """Processor time by kind, of all processors: /proc/stat's first line."""
    fields = read("/proc/stat").split("\n")[0].split()[1:]
    return [int(field) for field in fields] if len(fields) >= 8 else [0] * 8


def busy():
    """{pid: (seconds of processor time, name)} of all processes.  Kernel threads
    change their names, so that only the number says which it is."""
    found, hertz = {}, os.sysconf("SC_CLK_TCK")
    for pid in os.listdir("/proc") if os.path.isdir("/proc") else ():
        text = read(f"/proc/{pid}/stat") if pid.isdigit() else ""
        if ")" in text and int(pid) != os.getpid():
            name, rest = text[text.index("(") + 1:].rsplit(")", 1)
            fields = rest.split()
            found[int(pid)] = ((int(fields[11]) + int(fields[12])) / hertz, name)
    return found


def quota():
    """Processors that the control group allows, or None."""
    text = read("/proc/self/cgroup")
    for line in text.split("\n"):
        path = line.split("::", 1)[1] if line.startswith("0::") else ""
        for folder in ("/sys/fs/cgroup" + path, "/sys/fs/cgroup"):
            allowed = read(folder + "/cpu.max").split()
            if len(allowed) == 2 and allowed[0] != "max":
                return int(allowed[0]) / int(allowed[1])
    allowed = read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    period = read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if allowed.lstrip("-").isdigit() and period.isdigit() and int(allowed) > 0:
        return int(allowed) / int(period)
    return None


def _own_seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime + children.ru_utime + children.ru_stime


class Watch:
    """From its making on, who else used processors.  What this process and its
    children that have ended used is not counted."""

    def __init__(self):
        self.began, self.own = time.monotonic(), _own_seconds()
        self.ticks, self.before = ticks(), busy()

    def passed(self):
        """Ticks by kind since then."""
        return [now - then for now, then in zip(ticks(), self.ticks)]

    def heavy(self, least=0.05):
        """The others that used more than that share of a processor."""
        seconds = max(0.1, time.monotonic() - self.began)
        others = sorted(((used - self.before.get(pid, (0.0, ""))[0], pid, name)
                         for pid, (used, name) in busy().items()), reverse=True)
        return [f"{name} (pid {pid}, {100 * used / seconds:.0f} %)"
                for used, pid, name in others[:4] if used / seconds > least]

    def said(self, least=0.10):
        """In words; empty where all others together used less than that share.
        Some may have ended, and then have no name."""
        seconds = max(0.1, time.monotonic() - self.began)
        passed, hertz = self.passed(), os.sysconf("SC_CLK_TCK")
        # user, nice, system, interrupts: neither idle, waiting nor stolen
        used = (sum(passed[:3]) + sum(passed[5:7])) / hertz
        share = (used - (_own_seconds() - self.own)) / seconds
        stolen = passed[7] / hertz / seconds
        words = []
        if share > least:
            names = ", ".join(self.heavy()) or "none that still runs"
            words.append(f"others used {100 * share:.0f} % of a processor: {names}")
        if stolen > least:
            words.append(f"{100 * stolen:.0f} % of a processor was stolen by other "
                         "virtual machines")
        return "; ".join(words)
