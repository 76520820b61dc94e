"""Runs made ready for the paper's tables: one of several, and each searcher at the dimension that validation chose."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from automl_cf.analysis.run import Run
from automl_cf.analysis.tables import cell_table

CHOSEN = 0
"""Stands as the dimension where it was chosen on validation, for each searcher and seed."""

_FRAMES = ("cells", "trials", "incumbents", "scores")


def at_chosen_dimension(run: Run) -> Run:
    """Return the run with one cell per data set, searcher and seed: that with the least validation RMSE, as `CHOSEN`.

    A data set of one dimension keeps it, since nothing was chosen. Validation chooses among the dimensions of one
    searcher only; test ratings choose nothing. All cells of a seed are on one split. Of a searcher that gave no result
    at any dimension the first is kept, with its problem.
    """
    table = cell_table(run).sort_values(["dataset", "searcher", "seed", "validation", "dim"], kind="stable")
    kept = set(table.drop_duplicates(["dataset", "searcher", "seed"])["cell"])
    dims = run.cells.groupby("dataset")["dim"].nunique()
    several = set(dims[dims > 1].index)
    frames: dict[str, Any] = {name: _relabelled(getattr(run, name), kept, several) for name in _FRAMES}
    return replace(run, **frames)


def _relabelled(frame: pd.DataFrame, kept: set[str], datasets: set[str]) -> pd.DataFrame:
    frame = frame[frame["cell"].isin(kept)]
    return frame.assign(dim=frame["dim"].mask(frame["dataset"].isin(datasets), CHOSEN)).reset_index(drop=True)


def dimensions_chosen(run: Run) -> pd.DataFrame:
    """Return dataset, searcher, seed and the ``dim`` that `at_chosen_dimension` keeps."""
    kept = set(at_chosen_dimension(run).cells["cell"])
    return run.cells.loc[run.cells["cell"].isin(kept), ["dataset", "searcher", "seed", "dim"]].reset_index(drop=True)


def without_repeats(runs: Sequence[Run], searchers: Sequence[str] = ()) -> list[Run]:
    """Return the runs without cells that an earlier one has too, so that they can be merged; of these searchers only.

    A cell depends on its study's data, split, space and budget; that those agree is for who calls this to know.
    """
    seen: set[str] = set()
    kept = []
    for run in runs:
        cells = run.cells if not searchers else run.cells[run.cells["searcher"].isin(list(searchers))]
        own = set(cells["cell"]) - seen
        seen |= own
        if own:
            frames = {name: getattr(run, name) for name in _FRAMES}
            kept.append(replace(run, **{n: f[f["cell"].isin(own)].reset_index(drop=True) for n, f in frames.items()}))
    return kept
