"""Fixed costs of a run: seconds from command to first trial, per cell, and per event, inline and with Ray.

Run as `python -m automl_cf.benchmarks.fixed_costs`; prints a Markdown table.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from automl_cf.events import CLOCK_KINDS, Event, read_events

_STUDY = """
datasets = [{{ name = "planted", options = {{ users = 60, items = 40, density = 0.4 }} }}]
searchers = ["random"]
dims = [4]
seeds = {seeds}
[budget]
trials = 20
[training]
max_epochs = 2
l2_grid = [0.0]
[scoring]
points = 1
[resources]
backend = "{backend}"
workers = 1
"""
_CELLS = 10
_LONG_STUDY = """
datasets = ["ml-100k"]
searchers = ["random"]
[budget]
trials = 200
[scoring]
points = 1
[resources]
backend = "{backend}"
workers = 1
"""
_COUNTED = [kind for kind in CLOCK_KINDS if kind not in ("store", "queue")]


def overhead(backend: str, folder: Path) -> float:
    """The share of a cell's wall time, 200 trials on ml-100k, that is neither set-up nor work on the trials."""
    study = folder / f"{backend}-long.toml"
    study.write_text(_LONG_STUDY.format(backend=backend))
    events = _run(study, folder / f"{backend}-long")
    start, end = (next(e for e in events if e["kind"] == kind) for kind in ("cell_started", "cell_finished"))
    worked = sum(end["clock"][kind] - start["clock"][kind] for kind in _COUNTED)
    return float(1 - worked / (end["time"] - start["time"]))


def _run(study: Path, out: Path) -> list[Event]:
    """Run a study by the command line; the events that it leaves."""
    command = [sys.executable, "-m", "automl_cf.cli", "run", str(study), "--out", str(out)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return list(read_events(out / "events.jsonl"))


def measure(backend: str, folder: Path) -> dict[str, float]:
    """Run ten tiny cells by the command line and read the costs from the clock and the event log."""
    study = folder / f"{backend}.toml"
    study.write_text(_STUDY.format(backend=backend, seeds=list(range(1, _CELLS + 1))))
    began = time.time()
    events = _run(study, folder / backend)
    trials = [event for event in events if event["kind"] == "trial_started"]
    ends = [event for event in events if event["kind"] == "cell_finished"]
    starts = [event for event in events if event["kind"] == "cell_started"]
    between = [s["time"] - e["time"] for e, s in zip(ends, starts[1:], strict=False)]
    booked = [event["clock"]["store"] / (event["n"] - 1) for event in ends]
    return {
        "command to first trial, s": trials[0]["time"] - began,
        "between two cells, s (median)": sorted(between)[len(between) // 2],
        "set-up of a cell, s (median)": sorted(e["clock"]["setup"] for e in ends)[_CELLS // 2],
        "per event, ms (median over cells)": 1e3 * sorted(booked)[_CELLS // 2],
        "whole command, s": time.time() - began,
        "not set-up, think, train, validate or retrain, with 200 trials on ml-100k, %": 100 * overhead(backend, folder),
    }


def main() -> None:
    """Measure both backends and print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        table = {backend: measure(backend, Path(scratch)) for backend in ("inline", "ray")}
    print("| | inline | Ray |\n|---|---|---|")
    for row in table["inline"]:
        print(f"| {row} | {table['inline'][row]:.3g} | {table['ray'][row]:.3g} |")


if __name__ == "__main__":
    main()
