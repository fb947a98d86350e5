# SPDX-License-Identifier: MIT OR Apache-2.0
"""What effect this host can resolve now, and what stands in the way."""

import math
import os
import secrets
import shutil
import tempfile

from . import files, lock, measure, process
from . import series as series_of
from .ends import Refused

ENOUGH = 0.02
CPU = "/sys/devices/system/cpu/"


def _read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _ticks():
    """Processor time by kind, of all processors: /proc/stat's first line."""
    fields = _read("/proc/stat").split("\n")[0].split()[1:]
    return [int(field) for field in fields] if len(fields) >= 8 else [0] * 8


def _busy():
    """{(pid, name): seconds of processor time} of all processes."""
    found, hertz = {}, os.sysconf("SC_CLK_TCK")
    for pid in os.listdir("/proc") if os.path.isdir("/proc") else ():
        text = _read(f"/proc/{pid}/stat") if pid.isdigit() else ""
        if ")" in text and int(pid) != os.getpid():
            name, rest = text[text.index("(") + 1:].rsplit(")", 1)
            fields = rest.split()
            found[int(pid), name] = (int(fields[11]) + int(fields[12])) / hertz
    return found


def _quota():
    """Processors that the control group allows, or None."""
    text = _read("/proc/self/cgroup")
    for line in text.split("\n"):
        path = line.split("::", 1)[1] if line.startswith("0::") else ""
        for folder in ("/sys/fs/cgroup" + path, "/sys/fs/cgroup"):
            quota = _read(folder + "/cpu.max").split()
            if len(quota) == 2 and quota[0] != "max":
                return int(quota[0]) / int(quota[1])
    quota = _read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    period = _read("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    if quota.lstrip("-").isdigit() and period.isdigit() and int(quota) > 0:
        return int(quota) / int(period)
    return None


def _fixed_findings(allowed):
    """What a look at the host tells, without a run."""
    if len(allowed) < 2:
        yield (f"{len(allowed)} processor: judge and judged share it",
               "give it two (taskset, the container's cpuset)")
    quota = _quota()
    if quota is not None and quota < 2:
        yield (f"the control group allows {quota:.2f} processors: a process is "
               "stopped in mid-run once that is used up",
               "raise cpu.max to two processors at least")
    governors = {_read(f"{CPU}cpu{n}/cpufreq/scaling_governor")
                 for n in allowed} - {"", "performance"}
    if governors:
        yield (f"frequency governor {', '.join(sorted(governors))}: the clock "
               "follows the load", "cpupower frequency-set -g performance")
    if _read(CPU + "cpufreq/boost") == "1" or \
            _read(CPU + "intel_pstate/no_turbo") == "0":
        yield ("boost is on: the clock follows temperature and the neighbours",
               f"echo 0 >{CPU}cpufreq/boost, or 1 to intel_pstate/no_turbo")
    siblings = {_read(f"{CPU}cpu{n}/topology/thread_siblings_list")
                for n in allowed} - {""}
    if _read(CPU + "smt/active") == "1" and len(siblings) < len(allowed):
        yield ("two of the allowed processors are threads of one core",
               "give it whole cores (taskset), or echo off "
               f">{CPU}smt/control")
    if " hypervisor" in _read("/proc/cpuinfo") or \
            os.path.exists("/sys/hypervisor/type"):
        yield ("a virtual machine: others on its host are heard, not seen",
               "none from inside; a dedicated host resolves more")


def _run_findings(ticks, before, after, seconds, processors):
    """What went on during the run."""
    total = max(1, sum(ticks[:8]))
    if ticks[7] / total > 0.005:
        yield (f"steal time: {100 * ticks[7] / total:.1f} % of the processors' "
               "time went to other virtual machines", "another host or hour")
    others = sorted(((used - before.get(who, 0.0), who)
                     for who, used in after.items() if who in before),
                    reverse=True)
    heavy = [f"{name} (pid {pid}, {100 * used / seconds:.0f} %)"
             for used, (pid, name) in others[:4] if used / seconds > 0.05]
    if heavy:
        yield ("others were running: " + ", ".join(heavy),
               "stop them, or wait")
    load = os.getloadavg()[0]
    if load > processors + 0.5:
        yield (f"load {load:.1f} on {processors} processors", "wait until it is "
               f"below {processors}")


def effect(block):
    """The least change that would have been resolved: the interval's half width
    and the reach of the null band, as run_experiment adds them."""
    try:
        low, high = block["speedup_ci95"]
        null_low, null_high = block["null_ci95"]
        if min(low, high, null_low, null_high) <= 0:
            return None
        half = (math.log(high) - math.log(low)) / 2
        reach = max(abs(math.log(null_low)), abs(math.log(null_high)))
        return math.exp(half + reach) - 1
    except (KeyError, TypeError, ValueError):
        return None


def _find_builds(places):
    """run_experiment and a library: the series', else the build folder's."""
    found = [(places.run_experiment, places.best)]
    build = os.path.join(places.top, "build")
    found.append((os.path.join(build, "run_experiment"),
                  os.path.join(build, ".libs", "libpqkern.so")))
    for program, library in found:
        if os.path.exists(program) and os.path.exists(library):
            return program, library
    raise Refused("nothing to run: scripts/trial --baseline, or "
                  "scripts/quickstart, builds it")


def _a_a_run(places):
    program, library = _find_builds(places)
    work = tempfile.mkdtemp(prefix="pqkern-doctor-")
    inner = files.Places(work)
    inner.run_experiment, inner.outputs = program, work
    series = {"source_asked": "photos", "kernel_asked": None}
    try:
        series = dict(series, **{k: v for k, v in series_of.load(places).items()
                                 if k in series})
    except Refused:
        pass
    mark = secrets.token_hex(16)
    try:
        return measure.compare(inner, series, mark, library, library, 60.0)
    finally:
        process.sweep(mark)
        shutil.rmtree(work, ignore_errors=True)


def run(places):
    handle = lock.take(places.top)
    process.catch_signals()
    allowed = sorted(os.sched_getaffinity(0))
    try:
        print("measuring a build against itself", flush=True)
        before, ticks = _busy(), _ticks()
        block = _a_a_run(places)
        ticks = [b - a for a, b in zip(ticks, _ticks())]
        after = _busy()
    except process.Interrupted as signal_:
        raise Refused(str(signal_), 128 + signal_.number) from signal_
    finally:
        os.close(handle)
    least = effect(block)
    seconds = max(0.1, block.get("total_seconds", 1.0))
    findings = list(_fixed_findings(allowed))
    findings += _run_findings(ticks, before, after, seconds, len(allowed))
    return _say(block, least, findings)


def _say(block, least, findings):
    if least is None:
        raise Refused(f"no measurement: {block.get('status')}: "
                      f"{block.get('reason', '')}")
    null = block["null_ci95"]
    print(f"This host resolves changes of {100 * least:.1f} % and more now.")
    print(f"Two copies of one build differ by {null[0]:.4f} to {null[1]:.4f} "
          f"(null band), the third by {block['speedup_ci95'][0]:.4f} to "
          f"{block['speedup_ci95'][1]:.4f}; verdict {block.get('verdict')}, "
          f"{block.get('total_seconds')} s, {block.get('cpu', 'cpu unknown')}.")
    if least > ENOUGH:
        print(f"That is more than {100 * ENOUGH:.0f} %: smaller effects will be "
              "called unresolved.")
    for what, remedy in findings:
        print(f"  - {what}.\n    Remedy: {remedy}.")
    if not findings:
        print("  nothing stands in the way that can be seen from here")
    return 0 if least <= ENOUGH else 6
