"""Scoring: after the search, by other code, what a cell found is retrained over the l2 grid and tested.

Only here does the test part meet a model. The search never held it; this never searches.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import numpy as np
import torch

from automl_cf.cf.meter import NullMeter
from automl_cf.cf.metrics import rmse, scores
from automl_cf.cf.models import TrainingTask, prepare, task_of, train_over_grid
from automl_cf.cf.ranking import ranking
from automl_cf.cf.splits import Split
from automl_cf.errors import AutomlCfError
from automl_cf.events import Event, search_seconds
from automl_cf.plugins import Plugin
from automl_cf.spaces.architecture import Architecture
from automl_cf.suite.cell import Recorder, synchronize, training_task
from automl_cf.suite.deaths import Death, condemned
from automl_cf.suite.ledger import Ledger
from automl_cf.suite.store import Emit
from automl_cf.suite.study import Cell, Study

SCORED = frozenset({"incumbent", "trial", "score"})  # the kinds of events that say what is to be scored
_MOST_LETTERS = 2_000  # of an error
_FIVE = 5.0  # ranking metrics are of ratings up to five, fives being the positives


@dataclass
class ScoreJob:
    """What a worker needs to score a cell. `truth` are planted data's noise-free test values, in data units.

    `clock` and `visits` are the cell's accounts so far; `deaths` those of its processes since its last progress.
    """

    study: Study
    cell: Cell
    split: Split
    architectures: list[Architecture]
    truth: np.ndarray | None = None
    clock: dict[str, float] = field(default_factory=dict)
    visits: int = 0
    attempt: int = 1
    plugins: tuple[Plugin, ...] = ()
    deaths: tuple[Death, ...] = ()


def to_score(study: Study, events: Sequence[Event]) -> list[Architecture]:
    """The architectures of one cell to retrain: thinned incumbents, the last one surely, and the top-k trials.

    They are thinned by search seconds, or where the budget has none by visits, so that no clock decides.
    `events` are the cell's effective ones; what has a score already is left out.
    """
    incumbents = [event for event in events if event["kind"] == "incumbent"]
    trials = [event for event in events if event["kind"] == "trial" and event["rmse"] is not None]
    best_trials = sorted(trials, key=lambda event: event["rmse"])[: study.scoring.top_k]
    times = [search_seconds(event) if study.budget.seconds else float(event["visits"]) for event in incumbents]
    chosen = [*_at_log_spaced(times, incumbents, study.scoring.points), *best_trials]
    scored = {event["id"] for event in events if event["kind"] == "score"}
    by_id = {event["id"]: Architecture.from_json(event["architecture"]) for event in chosen}
    return [architecture for key, architecture in by_id.items() if key not in scored]


def run_scoring(job: ScoreJob, emit: Emit) -> None:
    """Score each architecture of the job, one `score` event each, then `cell_scored`.

    Whatever a model raises costs its own score only, whose status says so.
    """
    torch.set_num_threads(job.study.resources.cpus_per_cell)
    ledger = Ledger(job.study.budget, partial(synchronize, job.study.resources.device))
    ledger.restore(job.clock, job.visits)
    dead = condemned(job.deaths)
    record = Recorder(job.cell, job.attempt, ledger, emit)

    @cache
    def task() -> TrainingTask:
        for plugin in job.plugins:
            plugin.execute()
        return training_task(job.study, job.cell, job.split.for_search())

    for architecture in job.architectures:
        try:
            if dead is not None and dead.id == architecture.id:
                raise AutomlCfError(dead.error)
            with ledger.timed("setup"):
                prepare(task_of(architecture, task()))
            with ledger.timed("retrain"):
                fields = _score(job, task(), architecture)
        except (Exception, SystemExit) as error:  # a model may raise anything
            what = str(error) if isinstance(error, AutomlCfError) else f"{type(error).__name__}: {error}"
            fields = _unscored(job.split, " ".join(what.split())[:_MOST_LETTERS])
        record("score", architecture=architecture.to_json(), id=architecture.id, **fields)
    record("cell_scored")


def _score(job: ScoreJob, task: TrainingTask, architecture: Architecture) -> dict[str, Any]:
    split = job.split
    assert split.test is not None
    meter = NullMeter()
    start = time.perf_counter()
    fit, at_edge = train_over_grid(architecture, task, meter)
    synchronize(job.study.resources.device)
    fields = _unscored(split, fit.status) | {
        "l2": fit.l2,
        "l2_at_edge": at_edge,
        "curve": [_finite(float(value)) for value in fit.curve],
        "retrain_seconds": time.perf_counter() - start,
        "retrain_visits": meter.visits,
    }
    if fit.status != "ok" or fit.model is None:
        return fields
    prediction = task.data.in_data_units(fit.model.predict(split.test.indices))
    test = scores(prediction, split.test, split.train, split.value_std)
    fields |= {"validation": float(fit.rmse), "cold": test.cold}
    fields |= {"rmse": _finite(test.rmse), "rmse_std": _finite(test.rmse_std)}
    fields |= {"rmse_warm": _finite(test.rmse_warm), "rmse_std_warm": _finite(test.rmse_warm_std)}
    if job.truth is not None:
        fields["truth_rmse"] = _finite(rmse(prediction, job.truth))
    if max(float(part.values.max()) for part in (split.train, split.valid, split.test)) == _FIVE:
        fields["ranking"] = ranking(fit.model.predict, split, positive=_FIVE).fields()
    return fields


def _unscored(split: Split, status: str) -> dict[str, Any]:
    """The fields of a score without any."""
    missing = ("l2", "validation", "rmse", "rmse_std", "rmse_warm", "rmse_std_warm", "truth_rmse", "ranking")
    counts = {"l2_at_edge": False, "retrain_seconds": 0.0, "retrain_visits": 0, "cold": 0}
    scale = split.std / split.value_std
    return {"status": status, "scale": scale, "curve": [], **counts, **dict.fromkeys(missing)}


def _at_log_spaced(times: Sequence[float], incumbents: list[Event], points: int) -> list[Event]:
    """The incumbents standing at `points` log-spaced ones of their times, from the first to the last one."""
    if not incumbents:
        return []
    found = np.array(times)
    wanted = np.geomspace(max(found[0], 1e-3), max(found[-1], 1e-3), points)[:-1]
    standing = np.searchsorted(found, wanted * (1 + 1e-9), side="right") - 1
    return [incumbents[i] for i in sorted({*np.maximum(standing, 0).tolist(), len(incumbents) - 1})]


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
