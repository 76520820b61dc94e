"""A stored run as pandas frames."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any, cast

import pandas as pd

from automl_cf.analysis.events import read_cell_events
from automl_cf.errors import InputError
from automl_cf.events import CLOCK_KINDS, LOG_NAME, Event, search_seconds

CELL = {"cell": "str", "dataset": "str", "dim": "int64", "searcher": "str", "seed": "int64"}
"""The columns that every frame of a run begins with: the cell's name and what the cell is."""
_EVENT = {"attempt": "int64", "n": "int64", "search_seconds": "float64"}
_ARCHITECTURE = {"architecture": "object", "id": "str"}

RANKING = tuple(f"{metric}@{k}" for metric in ("hit", "ndcg", "recall") for k in (5, 10))
"""Ranking metrics of a score (`cf/ranking.py`); missing where no test rating is a five, and in older runs."""

_CELLS = {
    **CELL,
    "state": "str",
    "reason": "str",
    "split_hash": "str",
    "host": "str",
    "engine": "str",
    "calibration": "float64",
    "attempts": "int64",
    "trials": "int64",
    "visits": "int64",
    "search_seconds": "float64",
    **dict.fromkeys(CLOCK_KINDS, "float64"),
    "final_id": "str",
    "final_seconds": "float64",
}
_TRIALS = {
    **CELL,
    **_EVENT,
    "number": "int64",
    **_ARCHITECTURE,
    "status": "str",
    "rmse": "float64",
    "epochs": "float64",
    "best_epoch": "float64",
    "curve": "object",
    "trial_visits": "int64",
    "seconds": "object",
}
_INCUMBENTS = {
    **CELL,
    **_EVENT,
    "order": "int64",
    "visits": "int64",
    **_ARCHITECTURE,
    "rmse": "float64",
    "source": "str",
}
_SCORES = {
    **CELL,
    **_ARCHITECTURE,
    "final": "bool",
    "status": "str",
    "l2": "float64",
    "l2_at_edge": "bool",
    "validation": "float64",
    "scale": "float64",
    "rmse_std": "float64",
    "rmse": "float64",
    "rmse_std_warm": "float64",
    "rmse_warm": "float64",
    "cold": "int64",
    "truth_rmse": "float64",
    **dict.fromkeys(RANKING, "float64"),
    "retrain_seconds": "float64",
    "retrain_visits": "int64",
}


@dataclass(frozen=True)
class Run:
    """A stored run; every frame begins with the columns of `CELL` and is sorted by what the cell is.

    - ``cells``: one row per cell of the study. ``state`` is finished, failed, interrupted or not started;
      ``reason`` says why it finished or failed. ``search_seconds`` = think + train + validate; ``visits`` are
      those of the search; the columns of `events.CLOCK_KINDS` are seconds by kind, scoring included. ``final_id``
      and ``final_seconds`` are the last incumbent and the search seconds at which it was found, if any was.
    - ``trials``: one row per finished evaluation, ``rmse`` in units of the training part's std.
    - ``incumbents``: one row per change of the incumbent; ``order`` counts them within the cell.
    - ``scores``: one row per retrained and tested architecture of a cell; ``final`` marks its last incumbent.
    - ``study`` and ``manifest``: the resolved study and the record of how it was run.
    """

    path: Path
    cells: pd.DataFrame
    trials: pd.DataFrame
    incumbents: pd.DataFrame
    scores: pd.DataFrame
    study: dict[str, Any]
    manifest: dict[str, Any]

    @classmethod
    def load(cls, path: str | Path) -> "Run":
        """Read the run's folder; raises InputError naming the file and the line that is not as it must be."""
        folder = Path(path)
        log = folder / LOG_NAME
        if not log.is_file():
            raise InputError(f"'{folder}' is not the folder of a run: it has no {LOG_NAME}.")
        study, manifest = _read_object(folder / "study.json"), _read_object(folder / "manifest.json")
        by_cell: dict[str, list[Event]] = {}
        for event in read_cell_events(log):
            event["search_seconds"] = search_seconds(event)
            by_cell.setdefault(event["cell"], []).append(event)

        cells, trials, incumbents, scores = [], [], [], []
        for name, events in by_cell.items():
            started = _of_kind(events, "cell_started")
            if not started:
                raise InputError(f"'{log}' has events of the cell '{name}', but no cell_started.")
            label = {column: started[-1][column] for column in CELL}
            found = _of_kind(events, "incumbent")
            # Where an architecture was scored again, its later score counts.
            scored = {event["id"]: event for event in _of_kind(events, "score")}
            cells.append({**started[-1], **_cell(events)})
            trials += [event | label for event in _of_kind(events, "trial")]
            incumbents += [event | label | {"order": order} for order, event in enumerate(found)]
            scores += [
                event | label | (event.get("ranking") or {}) | {"final": bool(found) and id_ == found[-1]["id"]}
                for id_, event in scored.items()
            ]
        cells += [cell for cell in _planned(study, folder / "study.json") if cell["cell"] not in by_cell]
        if not cells:
            raise InputError(f"'{folder}' holds a run without any cell.")
        return cls(
            path=folder,
            cells=_frame(cells, _CELLS),
            trials=_frame(trials, _TRIALS),
            incumbents=_frame(incumbents, _INCUMBENTS),
            scores=_frame(scores, _SCORES),
            study=study,
            manifest=manifest,
        )


def groups(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield (the columns' values..., the rows that have them) for each combination that occurs, sorted."""
    for key, rows in frame.groupby(list(columns), sort=True):
        yield (*cast(tuple[Any, ...], key), rows)


def _cell(events: list[Event]) -> dict[str, Any]:
    """Return what `Run.cells` says of a cell beyond its start, from its events in order."""
    search = [event for event in events if event["kind"] not in ("score", "cell_scored")]
    last, found = search[-1], _of_kind(search, "incumbent")
    state, reason = "interrupted", None
    if last["kind"] == "cell_finished":
        state, reason = "finished", last["reason"]
    elif last["kind"] == "cell_failed":
        state, reason = "failed", last["error"]
    return {
        "state": state,
        "reason": reason,
        "attempts": last["attempt"],
        "trials": len(_of_kind(search, "trial")),
        "visits": last["visits"],
        "search_seconds": last["search_seconds"],
        **{kind: max(event["clock"][kind] for event in events) for kind in CLOCK_KINDS},
        "final_id": found[-1]["id"] if found else None,
        "final_seconds": found[-1]["search_seconds"] if found else None,
    }


def _planned(study: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """Return the rows of the study's cells as if none had been started."""
    try:
        datasets, searchers = (
            [entry.get("label") or entry["name"] for entry in study[key]] for key in ("datasets", "searchers")
        )
        cells = list(product(datasets, study["dims"], searchers, study["seeds"]))
    except (AttributeError, KeyError, TypeError) as error:
        raise InputError(f"'{path}' is not a resolved study: {error}.") from None
    return [
        {
            "cell": f"{dataset}/d{dim}/{searcher}/s{seed}",
            "dataset": dataset,
            "dim": dim,
            "searcher": searcher,
            "seed": seed,
            "state": "not started",
            **dict.fromkeys(["attempts", "trials", "visits", "search_seconds", *CLOCK_KINDS], 0),
        }
        for dataset, dim, searcher, seed in cells
    ]


def _of_kind(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["kind"] == kind]


def _frame(rows: list[dict[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    values = {column: [row.get(column) for row in rows] for column in columns}
    frame = pd.DataFrame({column: pd.Series(values[column], dtype=dtype) for column, dtype in columns.items()})
    return frame.sort_values(["dataset", "dim", "searcher", "seed"], kind="stable", ignore_index=True)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}), but every run has it.") from None
    except ValueError as error:
        raise InputError(f"'{path}' is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InputError(f"'{path}' holds {value!r:.40}, but it must be one JSON object.")
    return value
