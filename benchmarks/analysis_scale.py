"""What the analysis of a large run takes: 20 searchers x 10 seeds with 10,000 events each, two million in all.

Run as `python -m automl_cf.benchmarks.analysis_scale`; prints Markdown. The run is made up, in a temporary folder of
about 3 GB: the architectures, curves and errors of its events are random numbers of the sizes that real ones have.
Three searchers are one-shot, with an incumbent a step; the others evaluate trials. Some cells failed.

Each row is of a fresh process on one core (where the system lets it choose that): what its imports took and then its
work, in seconds, for how many of these the core was busy with it, and the most memory that it held, imports included.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from automl_cf.benchmarks.speed.memory import peak
from automl_cf.events import CLOCK_KINDS, LOG_NAME, SCHEMA, Event

ONE_SHOT = ("sif-robust", "sif", "snas")
SEARCHERS = (
    *(
        "random",
        "bias-only",
        "single-op",
        ONE_SHOT[0],
        "bayes",
        "rl",
        "evolution",
        ONE_SHOT[1],
        "biased-mf",
        ONE_SHOT[2],
    ),
    *("asha", "hyperband", "successive-halving", "optuna-tpe", "optuna-cmaes", "optuna-gp", "tune-hyperopt"),
    *("tune-optuna", "altgrad", "ensemble"),
)
OPERATIONS = ("plus", "multiply", "min", "max", "conv", "outer")
SECONDS, START = 100.0, 1.7e9  # of a cell's search; UNIX seconds
SCALE = 0.875  # the training part's standard deviation in units of all ratings'
SCORED = 6  # incumbents that are retrained, as many as `scoring.points`
FAILING = 41  # each such cell fails

WORK = {
    "load": "`Run.load`",
    "statistics": "`Run.load`, verdicts on all pairs, tables, curves and thresholds",
    "report": "`api.report`: all that, figures, summary and files",
}


@dataclass(frozen=True)
class Size:
    """How large the run is; ``events`` are those of a cell."""

    searchers: int = len(SEARCHERS)
    seeds: int = 10
    events: int = 10_000


def make_run(folder: Path, size: Size) -> int:
    """Write the run and return its number of events."""
    from automl_cf.suite.store import MANIFEST_NAME, STUDY_NAME
    from automl_cf.suite.study import make_study  # with torch, which the analysis does without

    study = make_study(
        {
            "name": "analysis-scale",
            "datasets": ["ml-100k"],
            "searchers": list(SEARCHERS[: size.searchers]),
            "seeds": list(range(1, size.seeds + 1)),
            "budget": {"seconds": SECONDS},
            "scoring": {"points": SCORED},
            "analysis": {"thresholds": [0.845, 0.84]},
        },
        "analysis-scale",
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STUDY_NAME).write_text(study.model_dump_json(), encoding="utf-8")
    command = {"command": "python -m automl_cf.benchmarks.analysis_scale"}
    (folder / MANIFEST_NAME).write_text(json.dumps(command), encoding="utf-8")
    count, scores = 0, []
    with (folder / LOG_NAME).open("wb") as log:
        for number, cell in enumerate(study.cells()):
            made = _Cell(number, cell.id, cell.searcher, cell.seed, size)
            for event in made.search():
                log.write(orjson.dumps(event) + b"\n")
                count += 1
            scores += list(made.scoring())
        for event in scores:  # as in a run, where all cells are searched before any is scored
            log.write(orjson.dumps(event) + b"\n")
    return count + len(scores)


class _Cell:
    """Makes up the events of one cell."""

    def __init__(self, number: int, name: str, searcher: str, seed: int, size: Size) -> None:
        self.rng = np.random.default_rng(number)
        self.number, self.name, self.searcher, self.seed = number, name, searcher, seed
        self.attempt, self.n = 1, 0
        self.fails = number % FAILING == FAILING - 1
        self.steps = max(size.events - 2, 2)
        self.level = 0.84 + 0.0015 * SEARCHERS.index(searcher) + 0.003 * self.rng.normal()
        self.found: list[Event] = []

    def search(self) -> Iterator[Event]:
        """From the cell's start to its end."""
        yield self._event(
            "cell_started",
            0.0,
            dataset="ml-100k",
            dim=8,
            searcher=self.searcher,
            seed=self.seed,
            split_hash=f"{self.seed:064x}",
            engine="fused",
            calibration=0.0013 * float(np.exp(0.1 * self.rng.normal())),
            host="a",
            resumed=False,
            resumes_after=None,
        )
        yield from self._steps() if self.searcher in ONE_SHOT else self._trials()
        if self.fails:
            yield self._event("cell_failed", SECONDS, error="ValueError: made up", traceback="Traceback: made up")
        else:
            yield self._event("cell_finished", SECONDS, reason="seconds")

    def scoring(self) -> Iterator[Event]:
        """What was found retrained, at log-spaced times of its discovery, with an error that falls towards its own."""
        self.attempt, self.n = 2, 0
        if self.fails or not self.found:
            return
        chosen = np.unique(np.geomspace(1, len(self.found), SCORED).astype(int) - 1)
        for rank, position in enumerate(chosen):
            test = self.level + 0.02 * (len(chosen) - 1 - rank) / len(chosen)
            yield self._event(
                "score",
                SECONDS,
                **{name: self.found[position][name] for name in ("architecture", "id")},
                l2=1e-5,
                l2_at_edge=False,
                status="ok",
                validation=(test - 0.005) / SCALE,
                rmse=1.125 * test,
                rmse_std=test,
                rmse_warm=1.125 * test,
                rmse_std_warm=test,
                cold=95,
                curve=self._curve(test / SCALE),
                retrain_seconds=float(self.rng.uniform(0.5, 1.0)),
                retrain_visits=int(self.rng.integers(10**6, 10**7)),
                scale=SCALE,
                truth_rmse=None,
            )
        yield self._event("cell_scored", SECONDS)

    def _trials(self) -> Iterator[Event]:
        best, number = np.inf, 0
        while self.n < self.steps:
            seconds = SECONDS * self.n / self.steps
            known = self._architecture()
            yield self._event("trial_started", seconds, number=number, architecture=known["architecture"])
            diverged = self.rng.random() < 0.01
            rmse = None if diverged else float(self.level / SCALE + self.rng.exponential(0.05))
            yield self._event(
                "trial",
                seconds,
                number=number,
                **known,
                status="diverged" if diverged else "ok",
                rmse=rmse,
                epochs=25,
                best_epoch=20,
                curve=[] if rmse is None else self._curve(rmse),
                seconds={"train": 0.016, "validate": 0.003},
                error=None,
                trial_visits=1_250_000,
            )
            if rmse is not None and rmse < best:
                best = rmse
                yield self._incumbent(seconds, known, rmse, "trial")
            number += 1

    def _steps(self) -> Iterator[Event]:
        for step in range(self.steps):
            yield self._incumbent(SECONDS * step / self.steps, self._architecture(), None, "one-shot")

    def _incumbent(self, seconds: float, known: dict[str, Any], rmse: float | None, source: str) -> Event:
        event = self._event("incumbent", seconds, **known, rmse=rmse, source=source)
        self.found.append(event)
        return event

    def _architecture(self) -> dict[str, Any]:
        p, q = self.rng.normal(size=(2, 16)).tolist()
        operation = OPERATIONS[self.rng.integers(len(OPERATIONS))]
        id_ = f"{self.rng.integers(16**10):010x}"
        return {"architecture": {"operation": operation, "p": p, "q": q, "activation": "sigmoid"}, "id": id_}

    def _curve(self, rmse: float) -> list[float]:
        falling = 0.1 * self.rng.exponential(size=self.rng.integers(15, 31))
        return [rmse + value for value in sorted(falling.tolist(), reverse=True)]

    def _event(self, kind: str, after: float, /, **fields: Any) -> Event:
        """Return an event ``after`` so many seconds of search, a tenth of which is thinking."""
        self.n += 1
        shares = {"think": 0.1 * after, "train": 0.75 * after, "validate": 0.15 * after, "store": 1e-5 * self.n}
        return {
            "schema": SCHEMA,
            "kind": kind,
            "cell": self.name,
            "attempt": self.attempt,
            "n": self.n,
            "time": START + 110 * self.number + 10 * SECONDS * (self.attempt - 1) + 1.05 * after,
            "clock": {**dict.fromkeys(CLOCK_KINDS, 0.0), "setup": 0.015, **shares},
            "visits": int(1e7 * after),
            **fields,
        }


def measure(work: str, folder: Path) -> dict[str, float]:
    """Do one of `WORK` and return its seconds, those of its imports, and the most memory in megabytes.

    ``busy`` are the seconds that its core worked for it: fewer, where it waited for others or for the disk.
    """
    on_one_core()
    began = time.perf_counter()
    done = _prepared(work, folder)
    imported, busy = time.perf_counter(), time.process_time()
    done()
    seconds = {"seconds": time.perf_counter() - imported, "busy": time.process_time() - busy}
    return {"imports": imported - began, **seconds, "memory": peak()}


def on_one_core() -> None:
    """Stay on one core from now on, where the system lets a process choose it."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _prepared(work: str, folder: Path) -> Any:
    """Import what the work needs, and return it."""
    if work == "report":
        from automl_cf import api

        import_module("automl_cf.analysis.report")  # which it would import later

        return lambda: api.report(folder)
    from automl_cf.analysis.curves import CLOCKS, cell_curves, mean_curves
    from automl_cf.analysis.run import Run
    from automl_cf.analysis.tables import final_table
    from automl_cf.analysis.verdicts import verdict_text

    def statistics() -> None:
        run = Run.load(folder)
        final_table(run)
        verdict_text(run)
        for clock in CLOCKS:
            cell_curves(run, clock)
            mean_curves(run, clock)

    return statistics if work == "statistics" else lambda: Run.load(folder)


def report(size: Size, folder: Path, command: str) -> str:
    """Make the run in a folder, measure, and say in Markdown what it took."""
    from automl_cf.suite.manifest import machine, versions

    began = time.perf_counter()
    events = make_run(folder, size)
    made, megabytes = time.perf_counter() - began, (folder / LOG_NAME).stat().st_size / 1e6
    lines = [
        "# The analysis of a large run",
        "",
        f"Written by `{command}`; `benchmarks/analysis_scale.py` says what is measured and how.",
        "",
        f"{size.searchers} searchers x {size.seeds} seeds, {events:,} events of {megabytes:,.0f} MB, made up in "
        f"{made:.0f} s.",
        "",
        "| | imports, s | work, s | busy, s | most memory, MB |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for work, what in WORK.items():
        command_line = [sys.executable, "-m", "automl_cf.benchmarks.analysis_scale", "--measure", work, str(folder)]
        done = subprocess.run(command_line, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        seconds = " | ".join(f"{found[name]:.1f}" for name in ("imports", "seconds", "busy"))
        lines.append(f"| {what} | {seconds} | {found['memory']:,.0f} |")
    lines += ["", f"On {machine()['processor']}; {', '.join(map(' '.join, versions().items()))}."]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Make a run, measure and print; or measure in this process, as `--measure` says."""
    parser = argparse.ArgumentParser(
        prog="python -m automl_cf.benchmarks.analysis_scale", description="Measure the analysis of a large run."
    )
    parser.add_argument("--searchers", type=int, choices=range(2, len(SEARCHERS) + 1), default=len(SEARCHERS))
    parser.add_argument("--seeds", type=int, default=Size.seeds, help="default: %(default)s")
    parser.add_argument("--events", type=int, default=Size.events, help="of a cell (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="keep the run there (default: a temporary folder)")
    parser.add_argument("--measure", nargs=2, metavar=("WORK", "FOLDER"), help=f"one of {', '.join(WORK)}")
    chosen = parser.parse_args(arguments)
    if chosen.measure:
        print(json.dumps(measure(chosen.measure[0], Path(chosen.measure[1]))))
        return
    command = " ".join([parser.prog, *(sys.argv[1:] if arguments is None else arguments)])
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.folder or Path(scratch) / "run"
        print(report(Size(chosen.searchers, chosen.seeds, chosen.events), folder, command), end="")


if __name__ == "__main__":
    main()
