# SPDX-License-Identifier: MIT OR Apache-2.0
"""Runs a command that may write to one folder and nowhere else, has no network and
no privileges, and cannot reach other processes.  The equality tests run so, since
they have the candidate's code in them.

Landlock makes files read-only; where the kernel has none, a mount namespace does.
A filter of system calls forbids sockets, and changes of modes, owners and times,
which neither forbids.  What this system lacks is named, and then only the hashes
remain that are taken before and after.

  python3 confine.py FOLDER COMMAND...
  python3 confine.py --lacks             prints what is missing here, a line each
"""

import ctypes
import os
import platform
import struct
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWNET = 0x20000, 0x10000000, 0x40000000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
PR_CAPBSET_DROP, MAX_CAPABILITY = 24, 63

# The same numbers on all machines.
MOUNT_SETATTR, CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 442, 444, 445, 446
IO_URING_SETUP, FCHMODAT2 = 425, 452
LANDLOCK_VERSION, PATH_BENEATH = 1, 1
WRITE_FILE, TRUNCATE = 1 << 1, 1 << 14
# By the ABI that brought them: to write, remove and make anything; to move between
# folders; to truncate; ioctl of devices.
ACCESS_OF_ABI = {1: 0x1ff2, 2: 1 << 13, 3: TRUNCATE, 5: 1 << 15}
NETWORK_ABI, SCOPE_ABI = 4, 6
AT_FDCWD, AT_RECURSIVE, MOUNT_ATTR_RDONLY = -100, 0x8000, 1
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

# Machine: what the filter knows it as, and the numbers of socket, socketpair apart;
# chmod, chown, utime and setxattr in all their forms.
CALLS = {
    "x86_64": (0xc000003e, (41, 90, 91, 92, 93, 94, 132, 188, 189, 190, 235, 260,
                            261, 268, 280)),
    "aarch64": (0xc00000b7, (198, 5, 6, 7, 52, 53, 54, 55, 88)),
    "riscv64": (0xc00000f3, (198, 5, 6, 7, 52, 53, 54, 55, 88)),
}
X32 = 0x40000000
EACCES = 13


def _call(number, *arguments):
    """A system call; raises OSError."""
    got = LIBC.syscall(ctypes.c_long(number), *arguments)
    if got < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return got


def _need(got):
    if got != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _without_network():
    """A network namespace; of a user who may not, within a user namespace."""
    if LIBC.unshare(CLONE_NEWNET) != 0:
        _need(LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNET))


def _landlock(folder):
    abi = _call(CREATE_RULESET, None, ctypes.c_size_t(0),
                ctypes.c_uint32(LANDLOCK_VERSION))
    access = sum(bits for since, bits in ACCESS_OF_ABI.items() if since <= abi)
    ruleset = struct.pack("QQQ", access, 3 if abi >= NETWORK_ABI else 0,
                          3 if abi >= SCOPE_ABI else 0)
    size = 24 if abi >= SCOPE_ABI else 16 if abi >= NETWORK_ABI else 8
    rules = _call(CREATE_RULESET, ruleset, ctypes.c_size_t(size),
                  ctypes.c_uint32(0))
    for path, allowed in ((folder, access),
                          ("/dev/null", access & (WRITE_FILE | TRUNCATE))):
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        _call(ADD_RULE, rules, PATH_BENEATH, struct.pack("=Qi", allowed, handle),
              ctypes.c_uint32(0))
        os.close(handle)
    _call(RESTRICT_SELF, rules, ctypes.c_uint32(0))
    os.close(rules)


def _mounts(folder):
    """The same by a mount namespace of its own."""
    if LIBC.unshare(CLONE_NEWNS) != 0:
        _need(LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    name = os.fsencode(folder)
    _need(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None))
    _need(LIBC.mount(name, name, None, MS_BIND, None))
    for path, change in ((b"/", (MOUNT_ATTR_RDONLY, 0)),
                         (name, (0, MOUNT_ATTR_RDONLY))):
        _call(MOUNT_SETATTR, AT_FDCWD, path, ctypes.c_uint(AT_RECURSIVE),
              struct.pack("QQQQ", *change, 0, 0), ctypes.c_size_t(32))


def _read_only(folder):
    try:
        _landlock(folder)
    except OSError:
        _mounts(folder)


def _filter():
    """EACCES for what is named above; other machines' calls kill."""
    machine, calls = CALLS[platform.machine()]
    calls += (IO_URING_SETUP, FCHMODAT2)
    code = [(0x20, 0, 0, 4), (0x15, 1, 0, machine), (0x06, 0, 0, 0x80000000),
            (0x20, 0, 0, 0), (0x35, 0, 1, X32), (0x06, 0, 0, 0x80000000)]
    for number in calls:
        code += [(0x15, 0, 1, number), (0x06, 0, 0, 0x50000 | EACCES)]
    code.append((0x06, 0, 0, 0x7fff0000))
    data = ctypes.create_string_buffer(b"".join(
        struct.pack("HBBI", *one) for one in code))
    program = struct.pack("HxxxxxxP", len(code), ctypes.addressof(data))
    _need(LIBC.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0))


def _without_privileges():
    for number in range(MAX_CAPABILITY + 1):
        LIBC.prctl(PR_CAPBSET_DROP, number, 0, 0, 0)
    none = struct.pack("6I", 0, 0, 0, 0, 0, 0)
    LIBC.capset(struct.pack("Ii", 0x20080522, 0), none)


def confine(folder):
    """This process from now on; returns what the system lacks."""
    lacks = []
    _need(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    for what, step in (("network namespace", _without_network),
                       ("read-only files", lambda: _read_only(folder)),
                       ("seccomp", _filter)):
        if what == "seccomp":
            _without_privileges()
        try:
            step()
        except (OSError, KeyError):
            lacks.append(what)
    return lacks


def main(arguments):
    if arguments == ["--lacks"]:
        for what in confine("/dev"):
            print(what)
        return 0
    if len(arguments) < 2:
        sys.stderr.write("usage: confine.py FOLDER COMMAND...\n")
        return 64
    confine(os.path.realpath(arguments[0]))
    os.execvp(arguments[1], arguments[1:])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
