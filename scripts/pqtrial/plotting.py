# SPDX-License-Identifier: MIT OR Apache-2.0
"""Matplotlib, where it is: the same data, the same bytes."""

import os
import sys

from .ends import Refused

PLOT_PYTHON = "/usr/bin/python3"


def need():
    """Returns if plots can be drawn; begins anew where another Python can."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        # The distribution's Python has the distribution's packages.
        if os.path.exists(PLOT_PYTHON) and not os.environ.get("PQKERN_PLOTTING"):
            os.environ["PQKERN_PLOTTING"] = "1"
            os.execv(PLOT_PYTHON, [PLOT_PYTHON, *sys.argv])
        raise Refused("plots need matplotlib (Debian: apt-get install "
                      "python3-matplotlib)") from None


def pyplot():
    import matplotlib
    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "pqkern"
    matplotlib.rcParams["svg.fonttype"] = "path"
    from matplotlib import pyplot as module
    return module


def save(figure, path):
    """path.svg and path.png."""
    figure.savefig(path + ".svg", metadata={"Date": None, "Creator": None})
    figure.savefig(path + ".png", dpi=120, metadata={"Software": None})
