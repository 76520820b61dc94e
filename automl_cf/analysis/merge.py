"""Stored runs as one: what figures and tables of several runs are made of."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from automl_cf.analysis.run import Run
from automl_cf.analysis.statistics import check_pairs
from automl_cf.analysis.verdicts import declared_thresholds
from automl_cf.errors import InputError, suggest

RunLike = Run | str | Path

_FRAMES = ("cells", "trials", "incumbents", "scores")
_KEY = ["dataset", "dim", "searcher", "seed"]


def stored_runs(runs: RunLike | Sequence[RunLike]) -> list[Run]:
    """Return one or several runs, given as such or as their folders; raises InputError for none, and as `Run.load`."""
    listed = [runs] if isinstance(runs, Run | str | Path) else list(runs)
    if not listed:
        raise InputError("runs: there is none, but it takes one or more.")
    return [run if isinstance(run, Run) else Run.load(run) for run in listed]


def merged(runs: Sequence[Run], searchers: Sequence[str] = (), dim: int | None = None) -> Run:
    """Return runs as one that has all their cells, or only those of some searchers and of one dimension.

    Its path, study and manifest are the first run's, its study's name all their names.

    Raises InputError for a searcher or dimension that none of them has, for a cell (data set, dimension, searcher and
    seed) that comes twice, and for a seed of a data set and dimension whose cells are on different splits.
    """
    _known_searchers(runs, searchers)
    frames: dict[str, Any] = {
        name: _chosen(pd.concat([getattr(run, name) for run in runs]), searchers, dim) for name in _FRAMES
    }
    names = ", ".join(dict.fromkeys(str(run.study.get("name", "study")) for run in runs))
    one = replace(runs[0], study={**runs[0].study, "name": names}, **frames)
    if one.cells.empty:
        dims = sorted({int(value) for run in runs for value in run.cells["dim"]})
        raise InputError(f"dim: there is no cell of dimension {dim}; there are {', '.join(map(str, dims))}.")
    repeated = one.cells[one.cells.duplicated(_KEY)]
    if len(repeated):
        row = repeated.iloc[0]
        paths = [str(run.path) for run in runs if row["cell"] in set(run.cells["cell"])]
        raise InputError(
            f"Seed {row['seed']} of {row['searcher']} on {row['dataset']}, dimension {row['dim']}, is in both "
            f"{' and '.join(paths[:2])}, but each cell counts once; leave out a run, or choose other searchers."
        )
    check_pairs(one.cells)
    return one if len(runs) == 1 else replace(one, cells=_with_speed(one.cells))


def thresholds_by_dataset(runs: Sequence[Run]) -> dict[str, tuple[float, ...]]:
    """Return the thresholds that the studies of a data set's runs declare, for each data set; maybe none."""
    found: dict[str, set[float]] = {}
    for run in runs:
        for dataset in set(run.cells["dataset"]):
            found.setdefault(dataset, set()).update(declared_thresholds(run))
    return {dataset: tuple(sorted(values)) for dataset, values in sorted(found.items())}


def _known_searchers(runs: Sequence[Run], searchers: Sequence[str]) -> None:
    known = sorted({name for run in runs for name in run.cells["searcher"]})
    for name in searchers:
        if name not in known:
            raise InputError(
                f"searchers: there is no '{name}' in {'this run' if len(runs) == 1 else 'these runs'}."
                f"{suggest(name, known)} Known: {', '.join(known)}."
            )


def _with_speed(cells: pd.DataFrame) -> pd.DataFrame:
    """Machines' speeds are relative to the median of all cells that are together."""
    fit = cells["calibration"].where(cells["calibration"] > 0)
    return cells.assign(speed=fit.median() / fit)


def _chosen(frame: pd.DataFrame, searchers: Sequence[str], dim: int | None) -> pd.DataFrame:
    if searchers:
        frame = frame[frame["searcher"].isin(list(searchers))]
    if dim is not None:
        frame = frame[frame["dim"] == dim]
    return frame.sort_values(_KEY, kind="stable", ignore_index=True)
