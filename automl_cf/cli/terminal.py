"""Consoles, and how amounts of time are written."""

import os
import sys

from rich.console import Console

_UNBOUNDED = 200  # columns, where nobody looks through a window


def output() -> Console:
    """A console for results on stdout. A pipe or file is not wrapped to a terminal's usual width."""
    narrow = sys.stdout.isatty() or "COLUMNS" in os.environ
    return Console(highlight=False, width=None if narrow else _UNBOUNDED)


def clock(seconds: float) -> str:
    """Elapsed time: "0:05", "12:31", "1:02:03"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def roughly(seconds: float) -> str:
    """An estimate, no finer than it deserves: "10 s", "3 min", "1 h 20 min"."""
    if seconds < 55:
        return f"{max(5, 5 * round(seconds / 5))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
