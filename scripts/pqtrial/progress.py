# SPDX-License-Identifier: MIT OR Apache-2.0
"""What a trial does just now, where that takes long: on a terminal one line that the
next replaces, else a line each."""

import sys

TAKE_BACK = "\r\033[K"


def say(text):
    """Of less than a line's length."""
    if sys.stdout.isatty():
        sys.stdout.write(TAKE_BACK + text)
        sys.stdout.flush()
    else:
        print(text, flush=True)


def end():
    if sys.stdout.isatty():
        sys.stdout.write(TAKE_BACK)
        sys.stdout.flush()
