"""Anytime curves: the test error of what a searcher would deliver, against one of several clocks.

A point of a cell's curve is one incumbent: when it was delivered, by the clock, and its test error.
Retraining takes its time, so a later incumbent may be delivered before an earlier one, which then no longer
counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.statistics import CONFIDENCE, FloatArray, t_interval
from automl_cf.analysis.tables import cell_table
from automl_cf.errors import InputError, suggest


@dataclass(frozen=True)
class Clock:
    """What a curve's time is: the sum of a column of `Run.incumbents` and, if any, one of `Run.scores`.

    It is multiplied by ``factor``, if any, a column of `Run.cells`; where that is NaN the clock tells nothing of the
    cell. ``search`` is a column of `Run.cells`, too: a cell's end.
    """

    label: str
    includes: str
    search: str
    retrain: str | None
    factor: str | None = None


CLOCKS = {
    "deliverable": Clock(
        label="time to deliverable (s)",
        includes="search (thinking, training and validation) until the incumbent was found, plus retraining it over "
        "the lambda grid; not set-up, storing and queueing",
        search="search_seconds",
        retrain="retrain_seconds",
    ),
    "search": Clock(
        label="search time (s)",
        includes="search (thinking, training and validation) only; not the retraining that makes a "
        "deliverable of what it found, nor set-up, storing and queueing",
        search="search_seconds",
        retrain=None,
    ),
    "visits": Clock(
        label="visits to deliverable (ratings x operations)",
        includes="every rating that search took a gradient on, once per operation evaluated, plus those of "
        "retraining what it found over the lambda grid; it does not depend on the hardware",
        search="visits",
        retrain="retrain_visits",
    ),
    "wall": Clock(
        label="wall time to deliverable (s)",
        includes="everything that passed since the cell was started (set-up, storing and queueing, too) until the "
        "incumbent was found, plus retraining it over the lambda grid; of a resumed cell not the gaps between its "
        "attempts, nor what it did again",
        search="wall_seconds",
        retrain="retrain_seconds",
    ),
    "compute": Clock(
        label="computing to deliverable (core-seconds)",
        includes="set-up and search (thinking, training and validation) until the incumbent was found, plus retraining "
        "it over the lambda grid, times the cores of a cell, whether they were busy or not; not storing and queueing, "
        "nor a GPU's seconds",
        search="work_seconds",
        retrain="retrain_seconds",
        factor="cores",
    ),
    "simulated": Clock(
        label="time to deliverable at equal speed (simulated s)",
        includes="the seconds of the time to deliverable, as they were recorded, replayed on a machine of one speed: "
        "divided by the cell's own calibration and multiplied by the median one of the run's cells; a cell "
        "without a calibration has no curve",
        search="search_seconds",
        retrain="retrain_seconds",
        factor="speed",
    ),
}
"""Clocks by name, the default first."""


def clock_named(name: str) -> Clock:
    """Return one of `CLOCKS`, or raise InputError naming them."""
    if name not in CLOCKS:
        raise InputError(f"Unknown clock '{name}'.{suggest(name, CLOCKS)} Known: {', '.join(CLOCKS)}.")
    return CLOCKS[name]


@dataclass(frozen=True)
class StepCurve:
    """A right-continuous step function: from ``x[i]`` on it is ``y[i]``; undefined before ``x[0]``.

    ``x``: (points,), strictly increasing, maybe none; ``y``: (points,); ``end``: its cell's end, NaN where the clock
    tells nothing of the cell, which then has no points either.
    """

    x: FloatArray
    y: FloatArray
    end: float

    def at(self, grid: FloatArray) -> FloatArray:
        """Return the values on ``grid``, (points,): the last observation, NaN before the first."""
        position = np.searchsorted(self.x, grid, side="right")
        return np.concatenate([[np.nan], self.y])[position]


def cell_curve(x: FloatArray, y: FloatArray, end: float = -np.inf) -> StepCurve:
    """Return the curve of incumbents in the order they were found, delivered at ``x`` with error ``y``.

    An incumbent that is delivered when a later one already has been, or at the same time, is left out. The
    curve ends at ``end`` or at its last point, whichever is later.
    """
    by_time = np.lexsort((np.arange(len(x)), x))
    delivered = by_time[by_time == np.maximum.accumulate(by_time)]
    replaced_at_once = np.append(np.diff(x[delivered]) == 0, False)[: len(delivered)]
    kept = delivered[~replaced_at_once]
    return StepCurve(x[kept], y[kept], float(max([end, *x[kept]])))


def cell_curves(run: Run, clock: str = "deliverable") -> dict[str, StepCurve]:
    """Return the curve of each cell, test rmse_std by the clock; it has no points where there are no results.

    Incumbents that were not scored, or whose retraining failed, give no point, and none of a cell does of which the
    clock tells nothing (`timed_cells` names them).
    """
    by = clock_named(clock)
    columns = ["cell", "id", "rmse_std", *([by.retrain] if by.retrain else [])]
    found = run.incumbents[["cell", "id", "order", by.search]].merge(run.scores[columns], on=["cell", "id"])
    factors = _factors(run, by)
    times = found[by.search].astype("float64") + (found[by.retrain] if by.retrain else 0.0)
    points = found.assign(x=times * factors.loc[found["cell"]].to_numpy()).dropna(subset=["rmse_std", "x"])
    of_cell = dict(groups(points.sort_values("order"), "cell"))
    nothing = points[:0]
    curves = {}
    for cell, end in zip(run.cells["cell"], run.cells[by.search] * factors.to_numpy(), strict=True):
        found = of_cell.get(cell, nothing)
        curves[cell] = cell_curve(found["x"].to_numpy(), found["rmse_std"].to_numpy(), float(end))
    return curves


def timed_cells(run: Run, clock: str = "deliverable") -> pd.DataFrame:
    """Return `tables.cell_table`, where ``problem`` names those results, too, of whose time the clock tells nothing."""
    cells = cell_table(run)
    unknown = _factors(run, clock_named(clock)).isna().loc[cells["cell"]].to_numpy()
    why = f"it has no calibration, which the clock '{clock}' needs"
    return cells.assign(problem=cells["problem"].mask(unknown & cells["problem"].isna(), why))


def _factors(run: Run, by: Clock) -> pd.Series:
    """What each cell's times are multiplied by, by its name, in the order of `Run.cells`."""
    values = run.cells[by.factor].astype("float64").to_numpy() if by.factor else 1.0
    return pd.Series(values, index=run.cells["cell"], dtype="float64")


def mean_curve(curves: Sequence[StepCurve], right: float | None = None, confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Return the mean over curves at all their steps, with columns x, mean, low, high, least, most, n.

    It is exact: between two rows no curve changes. At each x it is over the n curves that are defined there;
    low and high bound the t-interval (NaN where n < 2), least and most are extremes. The last row is at
    ``right`` (default: the latest end), up to where curves are carried forward.
    """
    right = max(curve.end for curve in curves) if right is None else right
    grid = np.unique(np.concatenate([[right], *(curve.x for curve in curves)]))
    grid = grid[(grid >= min(curve.x[0] for curve in curves)) & (grid <= right)]
    values = np.array([curve.at(grid) for curve in curves])
    extremes = {"least": np.nanmin(values, axis=0), "most": np.nanmax(values, axis=0)}
    return pd.DataFrame({"x": grid, **t_interval(values, confidence)._asdict(), **extremes})


def mean_curves(run: Run, clock: str = "deliverable", confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Return `mean_curve` over seeds for each (dataset, dim, searcher), with one end per (dataset, dim).

    See `means_over_seeds`.
    """
    return means_over_seeds(run, cell_curves(run, clock), confidence)


def means_over_seeds(run: Run, curves: Mapping[str, StepCurve], confidence: float = CONFIDENCE) -> pd.DataFrame:
    """Return `mean_curve` over seeds for each (dataset, dim, searcher), of ``curves`` by the names of finished cells.

    Only finished cells count: others were not observed to their budget, and carrying them on would guess.
    Beside its columns: dataset, dim, searcher, and ``seeds``, the number of finished cells with a result.
    """
    columns = ["dataset", "dim", "searcher", "x", "mean", "low", "high", "least", "most", "n", "seeds"]
    frames = [pd.DataFrame(columns=columns)]
    for dataset, dim, panel in groups(run.cells[run.cells["state"] == "finished"], "dataset", "dim"):
        ends = [curves[cell].end for cell in panel["cell"]]
        right = max((end for end in ends if not np.isnan(end)), default=np.nan)
        for searcher, cells in groups(panel, "searcher"):
            of_seeds = [curves[cell] for cell in cells["cell"] if len(curves[cell].x)]
            if of_seeds:
                mean = mean_curve(of_seeds, right, confidence)
                frames.append(mean.assign(dataset=dataset, dim=dim, searcher=searcher, seeds=len(of_seeds))[columns])
    return pd.concat(frames[1:] or frames, ignore_index=True)
