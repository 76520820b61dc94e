"""Redraw the pictures of docs/figures.md from the committed studies.

Run as `python -m automl_cf.benchmarks.doc_figures [NAME ...]` at the top of the repository, without names for all; it
writes docs/figures/*.png. Each picture's command stands below, as it does in the page.
"""

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from automl_cf.cli import app
from automl_cf.errors import InputError, suggest

FOLDER = Path("docs/figures")
_DPI = 150  # less than for print: the pictures are part of the repository

COMMANDS = {
    "anytime": "automl-cf figure anytime results/ml-100k --width page",
    "dimensions": "automl-cf figure dimensions results/models-ml-100k results/models-ml-1m --width page",
    "convergence": "automl-cf figure convergence results/ml-100k --width page",
    "efficiency": "automl-cf figure efficiency results/ml-100k",
    "operations": "automl-cf figure operations results/ml-100k",
    "elementwise": "automl-cf figure elementwise results/ml-100k --width page",
    "critical-difference": "automl-cf figure critical-difference results/ml-100k results/searchers-ml-1m "
    "results/models-foursquare",
    "rank": "automl-cf figure rank results/ml-100k",
    "ecdf": "automl-cf figure ecdf results/ml-100k",
    "profile": "automl-cf figure profile results/ml-100k",
    "time": "automl-cf figure time results/searchers-ml-100k",
    "optimism": "automl-cf figure optimism results/searchers-ml-100k",
}
"""By the name of the picture, which is that of its kind."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the pictures."""
    parser = argparse.ArgumentParser(
        prog="python -m automl_cf.benchmarks.doc_figures", description="Redraw the pictures of docs/figures.md."
    )
    parser.add_argument("names", nargs="*", help="default: all")
    names = parser.parse_args(arguments).names or list(COMMANDS)
    for name in names:
        if name not in COMMANDS:
            raise InputError(f"There is no picture '{name}'.{suggest(name, COMMANDS)} Known: {', '.join(COMMANDS)}.")
    for name in names:
        command = shlex.split(COMMANDS[name])[1:]
        app([*command, "--dpi", str(_DPI), "--out", str(FOLDER / f"{name}.png")], standalone_mode=False)


if __name__ == "__main__":
    main()
