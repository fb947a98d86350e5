# SPDX-License-Identifier: MIT OR Apache-2.0
"""One trial at a time on a host."""

import fcntl
import os
import time

from .ends import Refused


def path():
    return os.environ.get("PQKERN_TRIAL_LOCK") or os.path.join(
        os.environ.get("TMPDIR") or "/tmp", "pqkern-trial.lock")


def _open(name):
    try:  # somebody else's file in a sticky folder must not be "created"
        return os.open(name, os.O_RDWR)
    except FileNotFoundError:
        pass
    old = os.umask(0)
    try:
        return os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
    finally:
        os.umask(old)


def take(top, wait=False):
    """Hold the lock until this process ends; refuses if another holds it."""
    name = path()
    try:
        handle = _open(name)
    except OSError as why:
        raise Refused(f"{name}: {why.strerror}: the lock that keeps trials "
                      "apart; make it writable for all, or remove it") from why
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        holder = os.pread(handle, 4096, 0).decode("utf-8", "replace").strip()
        os.close(handle)
        raise Refused("another trial runs on this host: "
                      f"{holder or 'unknown'} ({name}); wait for it, or use "
                      "--wait") from None
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"pid {os.getpid()} since {since} in {top}\n".encode(),
                  0)
    except OSError:
        pass  # says who holds it, no more
    return handle
