"""Writes small runs in the form in which the suite stores them, for tests of what only reads them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

STD, SCALE = 1.125, 0.875
"""The std of all ratings, and the training part's as a fraction of it (both exact in binary)."""


class Found(NamedTuple):
    """An incumbent: after how many seconds, its test error (None: not scored), its retraining and more."""

    seconds: float
    test: float | None
    retrain: float = 0.0
    visits: int = 0
    retrain_visits: int = 0
    operation: str = "plus"
    score: Mapping[str, Any] = MappingProxyType({})


class StoredRun:
    """A run's folder; `cell` adds one cell's events, `write` puts everything on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.study: dict[str, Any] = {"name": "synthetic", "budget": {"trials": None, "seconds": 120.0}}
        self.study |= {"datasets": [], "dims": [], "searchers": [], "seeds": []}
        self._numbers: Counter[tuple[str, int]] = Counter()
        self.manifest: dict[str, Any] = {"command": "automl-cf run study.toml --out results/synthetic"}
        self.events: list[dict[str, Any]] = []

    def event(self, kind: str, cell: str, **fields: Any) -> dict[str, Any]:
        """Add an event of its first attempt with a number of its own and a clock at 0, where not given."""
        clock = dict.fromkeys(("setup", "think", "train", "validate", "retrain", "store", "queue"), 0.0)
        attempt = fields.get("attempt", 1)
        self._numbers[cell, attempt] += 1
        event = {
            "schema": 1,
            "kind": kind,
            "cell": cell,
            "attempt": attempt,
            "n": self._numbers[cell, attempt],
            "time": 1.7e9 + len(self.events),
            "visits": 0,
            **fields,
            "clock": {**clock, **fields.get("clock", {})},
        }
        self.events.append(event)
        return event

    def plan(self, dataset: str, dim: int, searcher: str, seed: int) -> None:
        """Let the study have such cells."""
        entries = {"datasets": {"name": dataset, "label": ""}, "searchers": {"name": searcher, "label": ""}}
        for key, value in {**entries, "dims": dim, "seeds": seed}.items():
            if value not in self.study[key]:
                self.study[key].append(value)

    def start(self, dataset: str, dim: int, searcher: str, seed: int, **fields: Any) -> str:
        """Add the start of a cell and return the cell's name."""
        self.plan(dataset, dim, searcher, seed)
        cell = f"{dataset}/d{dim}/{searcher}/s{seed}"
        started = {"dataset": dataset, "dim": dim, "searcher": searcher, "seed": seed, "resumed": False}
        started |= {
            "split_hash": f"{dataset}-{seed}",
            "calibration": 0.02,
            "host": "a",
            "engine": "reference",
        }
        self.event("cell_started", cell, **{**started, **fields})
        return cell

    def cell(
        self,
        dataset: str,
        dim: int,
        searcher: str,
        seed: int,
        found: Sequence[Found],
        end: float = 0.0,
        end_visits: int = 0,
        last: str | None = "cell_finished",
        **fields: Any,
    ) -> str:
        """Add a cell whose search finds these incumbents and goes on to ``end``, where ``last`` happens.

        A validation error is the test error less 0.01 in units of rmse_std. Of the search seconds a quarter
        each is for thinking and validating, the rest for training.
        """
        cell = self.start(dataset, dim, searcher, seed, **fields)
        retrained = 0.0
        for number, point in enumerate(found):
            clock = self._clock(point.seconds)
            architecture = {"operation": point.operation, "p": [0.1 * number, seed]}
            known = {"architecture": architecture, "id": f"id{number}"}
            rmse = None if point.test is None else (point.test - 0.01) / SCALE
            common = {"clock": clock, "visits": point.visits}
            self.event("trial_started", cell, number=number, architecture=architecture, **common)
            self.trial(cell, number, rmse=rmse, **known, **common)
            self.event("incumbent", cell, **known, rmse=rmse, source="trial", **common)
        clock = self._clock(end)
        if last == "cell_finished":
            self.event(last, cell, reason="seconds", clock=clock, visits=end_visits)
        if last == "cell_failed":
            self.event(last, cell, error="ValueError: boom", traceback="...", clock=clock, visits=end_visits)
        for number, point in enumerate(found):
            if point.test is not None:
                retrained += point.retrain
                self.score(cell, number, seed, point, {**clock, "retrain": retrained})
        return cell

    def trial(self, cell: str, number: int, **fields: Any) -> None:
        """Add a trial; ``fields`` says more, or other things, than that it went well."""
        usual = {"status": "ok", "epochs": 3, "best_epoch": 2, "curve": [1.0, 0.9, 0.95], "trial_visits": 10}
        usual |= {"seconds": {"train": 1.0, "validate": 0.5}, "architecture": {}, "id": "x", "rmse": None}
        self.event("trial", cell, number=number, **{**usual, **fields})

    def score(self, cell: str, number: int, seed: int, point: Found, clock: dict[str, float]) -> None:
        """Add the score of a cell's incumbent."""
        test = point.test
        usual: dict[str, Any] = {
            "architecture": {"operation": point.operation, "p": [0.1 * number, seed]},
            "id": f"id{number}",
            "l2": 1e-3,
            "l2_at_edge": False,
            "status": "ok",
            "validation": None if test is None else (test - 0.01) / SCALE,
            "rmse": None if test is None else test * STD,
            "rmse_std": test,
            "rmse_warm": None if test is None else test * STD,
            "rmse_std_warm": test,
            "cold": 7,
            "retrain_seconds": point.retrain,
            "retrain_visits": point.retrain_visits,
            "scale": SCALE,
            "truth_rmse": None,
        }
        self.event("score", cell, **{**usual, **point.score}, clock=clock)

    def write(self) -> Path:
        """Write the folder and return its path."""
        self.path.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(event) + "\n" for event in self.events)
        (self.path / "events.jsonl").write_text(lines, encoding="utf-8")
        (self.path / "study.json").write_text(json.dumps(self.study), encoding="utf-8")
        (self.path / "manifest.json").write_text(json.dumps(self.manifest), encoding="utf-8")
        return self.path

    @staticmethod
    def _clock(search: float) -> dict[str, float]:
        return {"think": search / 4, "train": search / 2, "validate": search / 4}
