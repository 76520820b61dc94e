"""A stored run as pandas frames."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from automl_cf.analysis.forms import MANIFEST, STUDY, check_form
from automl_cf.analysis.gathering import INCUMBENT, TRIAL, CellRecord, Rows, gather, work_seconds
from automl_cf.analysis.packed import Packed, PackedArray
from automl_cf.errors import InputError
from automl_cf.events import CLOCK_KINDS, LOG_NAME, find_log, search_seconds
from automl_cf.reading import read_json

CELL = {"cell": "str", "dataset": "str", "dim": "int64", "searcher": "str", "seed": "int64"}
"""The columns that every frame of a run begins with: the cell's name and what the cell is."""

_MOST_CELLS = 1_000_000
_SORTED = ("dataset", "dim", "searcher", "seed")
_SECONDS = ("search_seconds", "work_seconds", "wall_seconds", *CLOCK_KINDS)

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
    "work_seconds": "float64",
    "wall_seconds": "float64",
    **dict.fromkeys(CLOCK_KINDS, "float64"),
    "final_id": "str",
    "final_seconds": "float64",
    "cores": "int64",
    "speed": "float64",
}
_SCORES = {
    **CELL,
    "architecture": "object",
    "id": "str",
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
    "curve": "object",
}


@dataclass(frozen=True)
class Run:
    """A stored run; every frame begins with the columns of `CELL` and is sorted by what the cell is.

    - ``cells``: one row per cell of the study. ``state`` is finished, failed, interrupted or not started;
      ``reason`` says why it finished or failed. ``search_seconds`` = think + train + validate; ``work_seconds``, with
      set-up; ``wall_seconds``, those that passed in it; ``visits`` are those of the search; the columns of
      `events.CLOCK_KINDS` are seconds by kind, scoring included. ``final_id`` and ``final_seconds`` are the last
      incumbent and the search seconds at which it was found, if any was. ``cores`` a cell; ``speed``, how fast the
      machine was before the cell, the run's median being 1; NaN where it was not measured.
    - ``trials``: one row per finished evaluation, ``rmse`` in units of the training part's std.
    - ``incumbents``: one row per change of the incumbent; ``order`` counts them within the cell, and
      ``search_seconds``, ``work_seconds``, ``wall_seconds`` and ``visits`` are those until it was found.
    - ``scores``: one row per retrained and tested architecture of a cell; ``final`` marks its last incumbent;
      ``curve`` is the validation RMSE of the retraining after each epoch, None in older runs.
    - ``study`` and ``manifest``: the resolved study and the record of how it was run.

    ``wall_seconds`` are from the cell's start on; of a resumed cell those of its attempts, without the gaps and what
    it did again. ``architecture``, ``curve`` and ``seconds`` of trials and incumbents are packed
    (`packed.PackedArray`): each is made when it is asked for.
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
        log = find_log(folder)
        if log is None:
            raise InputError(f"'{folder}' is not the folder of a run: it has no {LOG_NAME}.")
        study, manifest = _read_form(folder / "study.json", STUDY), _read_form(folder / "manifest.json", MANIFEST)
        try:
            return cls._of(folder, log, study, manifest)
        except UnicodeEncodeError as error:
            raise InputError(f"'{log}' has a text that is no Unicode: {error.object!r:.60}.") from None

    @classmethod
    def _of(cls, folder: Path, log: Path, study: dict[str, Any], manifest: dict[str, Any]) -> "Run":
        store = Packed()
        records = gather(log, store)
        cells = [_cell(record) for record in records.values()]
        cells += [cell for cell in _planned(study, folder / "study.json") if cell["cell"] not in records]
        if not cells:
            raise InputError(f"'{folder}' holds a run without any cell.")
        cores = _cores(study, folder / "study.json")
        table = _frame([cell | {"cores": cores} for cell in cells], _CELLS)
        fit = table["calibration"].where(table["calibration"] > 0)
        in_order = sorted(records.values(), key=_sort_key)
        return cls(
            path=folder,
            cells=table.assign(speed=fit.median() / fit),
            trials=_stacked([(_label(record), record.trials) for record in in_order], TRIAL, store),
            incumbents=_incumbents(in_order, store),
            scores=_frame([score for record in in_order for score in _scores(record)], _SCORES),
            study=study,
            manifest=manifest,
        )


def groups(frame: pd.DataFrame, *columns: str) -> Iterator[tuple[Any, ...]]:
    """Yield (the columns' values..., the rows that have them) for each combination that occurs, sorted."""
    for key, rows in frame.groupby(list(columns), sort=True):
        yield (*cast(tuple[Any, ...], key), rows)


def _label(record: CellRecord) -> dict[str, Any]:
    assert record.started is not None  # as `gather` has checked
    return {column: record.started[column] for column in CELL}


def _sort_key(record: CellRecord) -> tuple[Any, ...]:
    """The order of all frames; of cells that are the same by it the first to have an event comes first."""
    label = _label(record)
    return tuple(label[column] for column in _SORTED)


def _cell(record: CellRecord) -> dict[str, Any]:
    """Return the row of `Run.cells`, but for what the run as a whole says."""
    assert record.started is not None
    last, found, found_after = record.last, record.incumbents["id"], record.incumbents["search_seconds"]
    state, reason = "interrupted", None
    if last["kind"] == "cell_finished":
        state, reason = "finished", last["reason"]
    elif last["kind"] == "cell_failed":
        state, reason = "failed", last["error"]
    return {
        **record.started,
        "state": state,
        "reason": reason,
        "attempts": last["attempt"],
        "trials": len(record.trials),
        "visits": last["visits"],
        "search_seconds": search_seconds(last),
        "work_seconds": work_seconds(last),
        "wall_seconds": record.wall_seconds,
        **record.booked,
        "final_id": found[-1] if found else None,
        "final_seconds": found_after[-1] if found else None,
    }


def _incumbents(records: Sequence[CellRecord], store: Packed) -> pd.DataFrame:
    frame = _stacked([(_label(record), record.incumbents) for record in records], INCUMBENT, store)
    orders = [np.arange(len(record.incumbents)) for record in records]
    place = list(frame.columns).index("search_seconds") + 1
    frame.insert(place, "order", np.concatenate([np.zeros(0, "int64"), *orders]))
    return frame


def _scores(record: CellRecord) -> list[dict[str, Any]]:
    """Return the rows of `Run.scores`; where an architecture was scored again, its later score counts."""
    label, found = _label(record), record.incumbents["id"]
    by_id = {event["id"]: event for event in record.scores}
    return [
        event | label | (event.get("ranking") or {}) | {"final": bool(found) and id_ == found[-1]}
        for id_, event in by_id.items()
    ]


def _cores(study: Mapping[str, Any], path: Path) -> int:
    """Return the study's cores per cell; 1 where a stored study says nothing of them."""
    resources = study.get("resources") or {}
    cores = resources.get("cpus_per_cell", 1) if isinstance(resources, dict) else resources
    if type(cores) is not int or cores < 1:
        raise InputError(f"'{path}' is not a resolved study: resources.cpus_per_cell must be a whole number above 0.")
    return cores


def _planned(study: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """Return the rows of the study's cells as if none had been started."""
    try:
        datasets, searchers = (
            [entry.get("label") or entry["name"] for entry in study[key]] for key in ("datasets", "searchers")
        )
        parts = (datasets, study["dims"], searchers, study["seeds"])
        if math.prod(map(len, parts)) > _MOST_CELLS:
            raise InputError(f"'{path}' has {math.prod(map(len, parts))} cells, but a study may have {_MOST_CELLS}.")
        cells = list(product(*parts))
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
            **dict.fromkeys(["attempts", "trials", "visits", *_SECONDS], 0),
        }
        for dataset, dim, searcher, seed in cells
    ]


def _stacked(parts: Sequence[tuple[Mapping[str, Any], Rows]], types: Mapping[str, str], store: Packed) -> pd.DataFrame:
    """Return rows of cells below each other, with the columns of `CELL` from their labels."""
    counts = [len(rows) for _, rows in parts]
    columns = {}
    for name, dtype in CELL.items():
        labels = np.array([label[name] for label, _ in parts], dtype="int64" if dtype == "int64" else object)
        columns[name] = pd.Series(np.repeat(labels, counts), dtype=dtype)
    for name, dtype in types.items():
        values = [rows[name] for _, rows in parts]
        if dtype == "str":
            columns[name] = pd.Series(list(chain.from_iterable(values)), dtype=dtype)
            continue
        numbers = np.concatenate([np.zeros(0, "float64" if dtype == "float64" else "int64"), *map(np.asarray, values)])
        columns[name] = pd.Series(PackedArray(store, numbers) if dtype == "packed" else numbers)
    return pd.DataFrame(columns, copy=False)


def _frame(rows: list[dict[str, Any]], columns: Mapping[str, str]) -> pd.DataFrame:
    values = {column: [row.get(column) for row in rows] for column in columns}
    frame = pd.DataFrame({column: pd.Series(values[column], dtype=dtype) for column, dtype in columns.items()})
    return frame.sort_values(list(_SORTED), kind="stable", ignore_index=True)


def _read_form(path: Path, form: Mapping[str, Any]) -> dict[str, Any]:
    value = read_json(path, ", but every run has it")
    check_form(value, form, path)
    return value
