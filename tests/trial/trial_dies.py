# SPDX-License-Identifier: MIT OR Apache-2.0
"""scripts/trial, but it is killed behind its N-th change once a row is decided;
or, with `full LIMIT`, results.tsv cannot grow beyond that size."""

import os
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.environ["abs_top_srcdir"], "scripts"))

from pqtrial import cli, files, journal, log, tree  # noqa: E402

changes = 0


def dies(call, wanted):
    def changed(*arguments, **more):
        global changes
        result = call(*arguments, **more)
        changes += 1
        if changes == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return changed


def arm(wanted):
    decide = journal.Journal.decide

    def decided(self, *arguments):
        result = decide(self, *arguments)
        for module, names in ((files, ("replace", "remove", "copy")),
                              (log, ("append",))):
            for name in names:
                setattr(module, name, dies(getattr(module, name), wanted))
        for name in ("commit", "settle_index", "snapshot"):
            setattr(tree.Tree, name, dies(getattr(tree.Tree, name), wanted))
        os.replace = dies(os.replace, wanted)
        return result
    journal.Journal.decide = decided


def fill(limit):
    write, fstat = os.write, os.fstat

    def short(handle, data):
        name = os.readlink(f"/proc/self/fd/{handle}")
        if not name.endswith("/results.tsv") or ".trial" in name.split("/"):
            return write(handle, data)
        room = limit - fstat(handle).st_size
        if room <= 0:
            raise OSError(28, os.strerror(28))
        return write(handle, data[:room])
    os.write = short


if sys.argv[1] == "full":
    fill(int(sys.argv[2]))
else:
    arm(int(sys.argv[1]))
sys.argv[1:] = ["no room" if sys.argv[1] == "full" else "it dies, 1 %"]
sys.exit(cli.main())
