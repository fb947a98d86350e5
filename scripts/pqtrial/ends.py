# SPDX-License-Identifier: MIT OR Apache-2.0
"""How a trial can end: statuses, exit codes, and the exception that ends one."""

# The judge's words are among these and keep its exit codes.
EXIT_OF = {
    "ok": 0, "null": 0, "known": 0,
    "error": 1, "build": 1, "lint": 1, "interrupted": 1,
    "recall": 2, "tests": 2, "holdout": 2,
    "time_budget": 3,
    "integrity": 4, "impossible": 4,
    "crash": 5, "hang": 5,
    "unresolved": 6,
}
EXIT_STOPPED = 7
# A ratio whose interval reaches below this may hide a loss that matters.
HIDES = 1 / 1.05
EXIT_USAGE = 64

# Statuses that say something about the object code: the same code gets the
# same answer again, without being run.
# Not among them is what a busy host can cause.
ABOUT_CODE = {"ok", "recall", "tests", "holdout", "impossible", "crash",
              "unresolved", "integrity"}


class Ended(Exception):
    """The candidate's trial is over before its end; a row is due."""

    def __init__(self, status, reason, block=None):
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.block = block or {}


class Refused(Exception):
    """Nothing can be tried, and nothing is logged: what and the remedy."""

    def __init__(self, message, code=1):
        super().__init__(message)
        self.code = code
