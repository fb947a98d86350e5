# SPDX-License-Identifier: MIT OR Apache-2.0
"""What queries cost in executed instructions and modelled cycles."""
