# SPDX-License-Identifier: MIT OR Apache-2.0
"""One step of the research loop and what belongs to it; see scripts/trial."""
