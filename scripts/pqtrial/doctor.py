# SPDX-License-Identifier: MIT OR Apache-2.0
"""What effect this host can resolve now, and what stands in the way."""

import math
import os
import secrets
import shutil
import tempfile

from . import counted, files, host, lock, measure, process
from . import series as series_of
from .ends import Refused

ENOUGH = 0.02
# Beyond that, ideas worth a trial are rare.
HOPELESS = 0.10


def _fixed_findings(allowed):
    """What a look at the host tells, without a run."""
    if len(allowed) < 2:
        yield (f"{len(allowed)} processor: judge and judged share it",
               "give it two (taskset, the container's cpuset)")
    quota = host.quota()
    if quota is not None and quota < 2:
        yield (f"the control group allows {quota:.2f} processors: a process is "
               "stopped in mid-run once that is used up",
               "raise cpu.max to two processors at least")
    governors = {host.read(f"{host.CPU}cpu{n}/cpufreq/scaling_governor")
                 for n in allowed} - {"", "performance"}
    if governors:
        yield (f"frequency governor {', '.join(sorted(governors))}: the clock "
               "follows the load", "cpupower frequency-set -g performance")
    if host.read(host.CPU + "cpufreq/boost") == "1" or \
            host.read(host.CPU + "intel_pstate/no_turbo") == "0":
        yield ("boost is on: the clock follows temperature and the neighbours",
               f"echo 0 >{host.CPU}cpufreq/boost, or 1 to intel_pstate/no_turbo")
    siblings = {host.read(f"{host.CPU}cpu{n}/topology/thread_siblings_list")
                for n in allowed} - {""}
    if host.read(host.CPU + "smt/active") == "1" and len(siblings) < len(allowed):
        yield ("two of the allowed processors are threads of one core",
               "give it whole cores (taskset), or echo off "
               f">{host.CPU}smt/control")
    if " hypervisor" in host.read("/proc/cpuinfo") or \
            os.path.exists("/sys/hypervisor/type"):
        yield ("a virtual machine: others on its host are heard, not seen",
               "a dedicated host; from inside nothing can be done")


def _run_findings(watch, processors):
    """What went on during the run."""
    ticks, heavy = watch.passed(), watch.heavy()
    total = max(1, sum(ticks[:8]))
    if ticks[7] / total > 0.005:
        yield (f"steal time: {100 * ticks[7] / total:.1f} % of the processors' "
               "time went to other virtual machines", "another host or hour")
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


def _a_a_run(places, seconds):
    program, library = _find_builds(places)
    work = tempfile.mkdtemp(prefix="pqkern-doctor-")
    inner = files.Places(work)
    inner.run_experiment, inner.outputs = program, work
    series = {"source_asked": "photos", "kernel_asked": None, "scan": "single",
              "k": 10}
    try:
        series = dict(series, **{k: v for k, v in series_of.load(places).items()
                                 if k in series})
    except Refused:
        pass
    mark = secrets.token_hex(16)
    try:
        return measure.compare(inner, series, mark, library, library, 90.0,
                               measure.arguments(series, seconds=seconds))
    finally:
        process.sweep(mark)
        shutil.rmtree(work, ignore_errors=True)


def _measure(places):
    """(seconds, block) of the usual measurement, and of a trial's longer one
    where the usual one shows too little."""
    found = []
    for seconds in (measure.USUAL, measure.LONGER):
        print(f"measuring a build against itself, for {seconds:.0f} s in the "
              "primary cell", flush=True)
        block = _a_a_run(places, seconds)
        found.append((seconds, block))
        least = effect(block)
        if least is not None and least <= ENOUGH:
            break
    return found


def _counted(places):
    """Of a counted series: no noise plays a part, but there have to be tools."""
    try:
        series = series_of.load(places)
    except Refused:
        return False
    target = counted.target_of(series)
    if target:
        counted.check_tools(target, series["core"])
        print(f"The series is counted ({series['cpu']}): nothing is measured, what "
              "else this host does plays no part, and what it needs is here.  Go on: "
              f"changes of {100 * counted.EFFECT:g} % and more get a verdict.")
    return bool(target)


def run(places):
    if _counted(places):
        return 0
    handle = lock.take(places.top)
    process.catch_signals()
    allowed = sorted(os.sched_getaffinity(0))
    try:
        watch = host.Watch()
        found = _measure(places)
        findings = list(_fixed_findings(allowed))
        findings += _run_findings(watch, len(allowed))
    except process.Interrupted as signal_:
        raise Refused(str(signal_), 128 + signal_.number) from signal_
    finally:
        os.close(handle)
    for line in said(found, findings):
        print(line)
    return 0 if effect(found[-1][1]) <= ENOUGH else 6


def advice(least):
    """Whether to go on."""
    if least <= ENOUGH:
        return "Go on: trials can be judged here."
    if least <= HOPELESS:
        return (f"Go on with ideas that promise more than {100 * least:.0f} %: "
                "what gives less will mostly be called unresolved, after a "
                "second, longer measurement.")
    return ("Do not go on now: hardly any idea gives so much.  Mend what is named "
            "below, or try doctor again at another hour.")


def said(found, findings):
    """The lines; found has (seconds, block), the last one decides."""
    block = found[-1][1]
    least = effect(block)
    if least is None:
        raise Refused(f"no measurement: {block.get('status')}: "
                      f"{block.get('reason', '')}")
    yield f"This host resolves changes of {100 * least:.1f} % and more now."
    for seconds, each in found:
        null, speed = each.get("null_ci95"), each.get("speedup_ci95")
        if null and speed:
            yield (f"In {seconds:.0f} s two copies of one build differ by "
                   f"{null[0]:.4f} to {null[1]:.4f} (null band), the third by "
                   f"{speed[0]:.4f} to {speed[1]:.4f}.")
    yield f"{block.get('cpu', 'cpu unknown')}.  {advice(least)}"
    for what, remedy in findings:
        yield f"  - {what}.\n    Remedy: {remedy}."
    if not findings:
        yield "  nothing stands in the way that can be seen from here"
