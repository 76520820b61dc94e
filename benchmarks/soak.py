"""A soak: one cell of very many cheap trials. Memory is to stay flat, the log and the time to resume are to be linear.

python -m automl_cf.benchmarks.soak --trials 50000 --out results/faults

The resident memory of the driver, of the Ray worker and of the cell's process is read all the time; what counts is how
much each grows between the first tenth of the trials and their end. Then the run is cut after some of its trials, as a
kill would have left it, and resumed. Exits with 1 if memory grows by more than 5% and 500 bytes a trial, or if log or
resuming are not linear.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from automl_cf.benchmarks.circumstances import circumstances

_GROWTH = 0.05  # allowed after the first tenth
_HISTORY = 500  # bytes a trial that a searcher may keep, in the cell's process
_LINEAR = 1.5  # how many times as much per trial the second half may take as the first
_CUTS = (0.2, 0.4, 0.8)  # of the trials, after which the run is resumed
_LOOK = 0.5  # seconds between two readings

Reading = tuple[int, dict[str, int]]  # trials so far, bytes by process


def study(trials: int, searcher: str, backend: str) -> dict[str, Any]:
    """A study of one cell whose trials take about a millisecond each."""
    return {
        "name": "soak",
        "datasets": [{"name": "planted", "options": {"users": 40, "items": 30, "density": 0.3, "dim": 2}}],
        "searchers": [searcher],
        "dims": [2],
        "budget": {"trials": trials},
        "training": {"max_epochs": 1, "batch_size": 256, "l2_grid": [0.0]},
        "scoring": {"points": 1},
        "resources": {"backend": backend, "workers": 1},
        "limits": {"isolation": "process"},
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak and write its result; the exit status."""
    parser = argparse.ArgumentParser(description="Many cheap trials: is memory flat, are log and resuming linear?")
    parser.add_argument("--trials", type=int, default=50_000)
    parser.add_argument("--searcher", default="random")
    parser.add_argument("--backend", default="ray", choices=("ray", "inline"))
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="automl-cf-soak-") as name:
        text, well = soak(Path(name), options.trials, options.searcher, options.backend)
    print(text)
    if options.out is not None:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "soak.md").write_text(text, encoding="utf-8")
    return int(not well)


def soak(scratch: Path, trials: int, searcher: str = "random", backend: str = "ray") -> tuple[str, bool]:
    """The soak's result as Markdown, and whether everything holds."""
    file, folder = scratch / "study.json", scratch / "run"
    file.write_text(json.dumps(study(trials, searcher, backend)), encoding="utf-8")
    readings, seconds = _watched(["run", str(file), "--out", str(folder)], folder, trials)
    growth = {name: _growth(readings, name, trials) for name in readings[-1][1]}
    sizes = _sizes(folder / "events.jsonl")
    resumed = {cut: _resumed(folder, scratch / f"cut-{cut}", round(cut * trials)) for cut in _CUTS}
    log_ratio = (sizes[trials] - sizes[trials // 2]) / sizes[trials // 2]
    slopes = [
        (resumed[after] - resumed[before]) / (after - before) / trials for before, after in pairwise(sorted(resumed))
    ]
    resume_ratio = slopes[1] / slopes[0] if slopes[0] > 0 else float("inf")
    allowed = {
        name: _GROWTH * first + (_HISTORY * trials if name == "process of the cell" else 0)
        for name, (first, _) in growth.items()
    }
    flat = all(last - first <= allowed[name] for name, (first, last) in growth.items())
    linear = log_ratio <= _LINEAR and resume_ratio <= _LINEAR
    lines = [
        "# Soak",
        "",
        f"`python -m automl_cf.benchmarks.soak --trials {trials} --searcher {searcher} --backend {backend}`",
        "",
        f"One cell of {trials:,} trials by `{searcher}`, {seconds:.0f} s of the run. Resident memory, median of the "
        "readings around the first tenth of the trials and around their end:",
        "",
        "| Process | After the first tenth, MB | At the end, MB | Growth | Bytes a trial |",
        "|---|---|---|---|---|",
        *[
            f"| {name} | {first / 1e6:.0f} | {last / 1e6:.0f} | {last / first - 1:+.1%} | "
            f"{(last - first) / (0.9 * trials):+.0f} |"
            for name, (first, last) in growth.items()
        ],
        "",
        f"The log has {sizes[trials] / 1e6:.1f} MB, {sizes[trials] / trials:.0f} bytes a trial; its second half is "
        f"{log_ratio:.2f} times as large as the first.",
        "",
        "| Cut after trials | Seconds from `resume` to the next trial |",
        "|---|---|",
        *[f"| {round(cut * trials):,} | {took:.1f} |" for cut, took in sorted(resumed.items())],
        "",
        f"Per trial, the later part of resuming takes {resume_ratio:.2f} times as long as the earlier.",
        "",
        f"Flat (growth of at most 5%, and {_HISTORY} bytes a trial for the searcher's history): "
        f"{'yes' if flat else 'no'}. Linear (a ratio of at most {_LINEAR}): {'yes' if linear else 'no'}.",
        "",
        circumstances(),
        "",
    ]
    return "\n".join(lines), flat and linear


def _watched(arguments: Sequence[str], folder: Path, trials: int) -> tuple[list[Reading], float]:
    """Run a command to its end; the readings until its search ends, and its seconds."""
    log, start = folder / "events.jsonl", time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "automl_cf.cli", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    readings: list[Reading] = []
    count, position = 0, 0
    while process.poll() is None:
        time.sleep(_LOOK)
        if log.exists():
            with log.open("rb") as file:
                file.seek(position)
                new = file.read()
            position += len(new)
            count += new.count(b'"kind":"trial",')
        if 0 < count < trials:
            readings.append((count, _memory(process.pid)))
    if process.returncode != 0:
        raise SystemExit(f"the run ended with status {process.returncode}")
    return readings, time.monotonic() - start


def _memory(driver: int) -> dict[str, int]:
    """Resident bytes of the driver, its Ray worker and the cell's process, by name."""
    found: dict[str, int] = {}
    try:
        main = psutil.Process(driver)
        found["driver"] = main.memory_info().rss
        for process in main.children(recursive=True):
            words = " ".join(process.cmdline())
            if "automl_cf.suite.child" in words:
                found["process of the cell"] = process.memory_info().rss
            elif words.startswith("ray::") and "ImplicitFunc" in words:
                found["worker"] = process.memory_info().rss
    except psutil.Error:
        pass
    return found


def _growth(readings: Iterable[Reading], name: str, trials: int) -> tuple[float, float]:
    """Bytes around the first tenth of the trials, and around their end."""
    known = [(count, memory[name]) for count, memory in readings if name in memory]
    first = [bytes for count, bytes in known if 0.1 <= count / trials <= 0.15]
    last = [bytes for count, bytes in known if count / trials >= 0.95]
    return median(first or [known[0][1]]), median(last or [known[-1][1]])


def _sizes(log: Path) -> dict[int, int]:
    """Bytes of the log up to each trial."""
    sizes, total, count = {0: 0}, 0, 0
    with log.open("rb") as file:
        for line in file:
            total += len(line)
            if b'"kind":"trial",' in line:
                count += 1
                sizes[count] = total
    return sizes


def _resumed(folder: Path, copy: Path, trials: int) -> float:
    """Seconds from `resume` to the next trial, of a copy of the run that was cut after so many trials."""
    copy.mkdir()
    for name in ("study.json", "manifest.json"):
        (copy / name).write_bytes((folder / name).read_bytes())
    size = _sizes(folder / "events.jsonl")[trials]
    with (folder / "events.jsonl").open("rb") as log:
        (copy / "events.jsonl").write_bytes(log.read(size))
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "automl_cf.cli", "resume", str(copy)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None and b'"kind":"trial",' not in _tail(copy / "events.jsonl", size):
        time.sleep(0.02)
    took = time.monotonic() - start
    process.send_signal(signal.SIGTERM)  # what starts in the background of a shell ignores SIGINT
    process.wait()
    return took


def _tail(log: Path, size: int) -> bytes:
    with log.open("rb") as file:
        file.seek(size)
        return file.read()


if __name__ == "__main__":
    sys.exit(main())
