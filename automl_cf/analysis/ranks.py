"""Ranks of searchers: over time on one data set, and over data sets with Friedman's and Nemenyi's tests.

Rank 1 is the least test error; ties share the mean of their ranks. A rank tells nothing of how large a difference is,
and depends on which searchers are ranked together.

Friedman's test and Nemenyi's critical difference are over data sets, the units that differ independently (Demsar,
J. Mach. Learn. Res. 7, 2006), never over the seeds of one: those share its ratings, and would make a certain statement
about one data set look like one about searchers in general.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from automl_cf.analysis.curves import cell_curves, timed_cells
from automl_cf.analysis.run import CELL, Run, groups
from automl_cf.analysis.statistics import FloatArray, t_interval
from automl_cf.analysis.tables import cell_table
from automl_cf.analysis.thresholds import common_budget
from automl_cf.errors import InputError

LEVEL = 0.05
LEAST_DATASETS = 3
ORACLE = "oracle"
"""The registered name of the searcher that proposes the planted architecture."""


def ranks(values: npt.ArrayLike, axis: int = -1) -> FloatArray:
    """Return the ranks along an axis, 1 the least, ties their mean; NaN share the worst ranks: of the same shape."""
    array = np.asarray(values, dtype=np.float64)
    return np.asarray(stats.rankdata(np.where(np.isnan(array), np.inf, array), axis=axis), dtype=np.float64)


def mean_ranks(run: Run, clock: str = "deliverable") -> pd.DataFrame:
    """Return the mean over seeds of each searcher's rank among all of its (dataset, dim), by time.

    On each seed, searchers are ranked by their anytime curves' test rmse_std at one moment of the clock. One without a
    result yet shares the worst ranks, and so does one whose cell gives none to the end (`tables.cell_table`): dropping
    it would better the others' ranks. A seed on which a cell is unfinished or not scored is left out, as nobody
    knows its rank, and so is one on which the clock tells nothing of a result's time. One row per searcher and moment
    at which any curve changes, up to the horizon (`thresholds.common_budget`): ``dataset``, ``dim``, ``searcher``,
    ``x``, ``mean``, ``low``, ``high`` (Student's 95% over seeds), ``n`` seeds, ``missing`` (seeds left out) and
    ``failed`` (seeds on which it gives no result).

    Raises InputError for a clock that there is not.
    """
    curves = cell_curves(run, clock)
    columns = ["dataset", "dim", "searcher", "x", "mean", "low", "high", "n", "missing", "failed"]
    frames = [pd.DataFrame(columns=columns)]
    for dataset, dim, cells in groups(timed_cells(run, clock), "dataset", "dim"):
        untimed = cells["problem"].notna() & cells["rmse_std"].notna()  # there is a result, but no time
        unknown = set(cells.loc[_unknown(cells) | untimed, "seed"])
        known = cells[~cells["seed"].isin(unknown)].sort_values(["seed", "searcher"])
        good = known[known["problem"].isna()]
        end = common_budget(known, curves)
        grid = np.unique(np.concatenate([np.zeros(0), *(curves[cell].x for cell in good["cell"])]))
        grid = np.unique(np.append(grid[grid <= end], end)) if len(good) else grid
        if not len(grid):
            continue
        searchers, results = sorted(set(known["searcher"])), set(good["cell"])
        values = [curves[c].at(grid) if c in results else np.full(len(grid), np.nan) for c in known["cell"]]
        ranked = ranks(np.reshape(values, (-1, len(searchers), len(grid))), axis=1)
        for position, searcher in enumerate(searchers):
            own = known[(known["searcher"] == searcher) & known["problem"].notna()]
            frame = pd.DataFrame({"x": grid, **t_interval(ranked[:, position])._asdict()})
            frame = frame.assign(dataset=dataset, dim=dim, searcher=searcher)
            frame["missing"] = [tuple(sorted(map(int, unknown)))] * len(grid)
            frame["failed"] = [tuple(sorted(map(int, own["seed"])))] * len(grid)
            frames.append(frame[columns])
    return pd.concat(frames[1:] or frames, ignore_index=True)


@dataclass(frozen=True)
class RankTest:
    """Searchers compared over data sets.

    - ``ranks``: the mean rank of each searcher, the best first; ``datasets``: those it is over.
    - ``statistic`` and ``p``: Friedman's chi-square, corrected for ties; ``f`` and ``f_p``: Iman and Davenport's F
      made of it, less conservative at few data sets.
    - ``critical_difference``: Nemenyi's at ``level``: mean ranks that differ by more differ significantly.
    - ``groups``: the bars of a critical-difference diagram, searchers that do not, each the largest possible, the best
      first. To be read only where Friedman's test finds that the searchers differ.
    - ``left_out``: searchers without a result on some data set, which have no mean rank.
    """

    ranks: "pd.Series[float]"
    datasets: tuple[str, ...]
    statistic: float
    p: float
    f: float
    f_p: float
    critical_difference: float
    level: float
    groups: tuple[tuple[str, ...], ...]
    left_out: tuple[str, ...]


def dataset_errors(tables: pd.DataFrame | Sequence[pd.DataFrame], dim: int | None = None) -> pd.DataFrame:
    """Return the mean test rmse_std by data set (rows) and searcher (columns), from `tables.final_table` of runs.

    Dimensions of one data set are no data sets of their own: ``dim`` chooses one, and must where there are several.
    Raises InputError if it does not, and for a data set and searcher that come twice, as from two runs.
    """
    frame = tables if isinstance(tables, pd.DataFrame) else pd.concat(list(tables), ignore_index=True)
    dims = sorted(map(int, set(frame["dim"])))
    if dim is None and len(dims) > 1:
        raise InputError(f"The results are of dimensions {', '.join(map(str, dims))}; choose one of them.")
    chosen = frame if dim is None else frame[frame["dim"] == dim]
    if chosen.empty:
        raise InputError(f"There is no result of dimension {dim}; there are {', '.join(map(str, dims)) or 'none'}.")
    repeated = chosen[chosen.duplicated(["dataset", "searcher"])]
    if len(repeated):
        row = repeated.iloc[0]
        raise InputError(f"{row['searcher']} on {row['dataset']} comes twice, but a data set counts once.")
    return chosen.pivot(index="dataset", columns="searcher", values="rmse_std").astype("float64")


def rank_test(errors: pd.DataFrame, level: float = LEVEL) -> RankTest:
    """Compare searchers over data sets by mean ranks, from their errors: rows data sets, columns searchers.

    Searchers with a missing error are left out and named. Raises InputError with fewer than 3 data sets, or than 3
    searchers that have all.
    """
    complete = errors.loc[:, errors.notna().all()]
    left_out = tuple(map(str, errors.columns.difference(complete.columns)))
    count, width = complete.shape
    if count < LEAST_DATASETS:
        raise InputError(
            f"Ranks over {count} data set{'s' if count != 1 else ''} cannot be tested: it takes {LEAST_DATASETS} or "
            "more, as seeds of one data set are no replacement."
        )
    if width < 3:
        note = f" ({', '.join(left_out)} lack a result on some)" if left_out else ""
        raise InputError(f"Friedman's test takes 3 searchers or more with all data sets, not {width}{note}.")
    ranked = ranks(complete.to_numpy())
    mean = pd.Series(ranked.mean(axis=0), index=list(map(str, complete.columns))).sort_values(kind="stable")
    with np.errstate(invalid="ignore", divide="ignore"):
        statistic, p = map(float, stats.friedmanchisquare(*complete.to_numpy().T))
        f = float(np.divide((count - 1) * statistic, count * (width - 1) - statistic))
    difference = nemenyi(width, count, level)
    return RankTest(
        ranks=mean,
        datasets=tuple(map(str, complete.index)),
        statistic=statistic,
        p=p,
        f=f,
        f_p=float(stats.f.sf(f, width - 1, (width - 1) * (count - 1))),
        critical_difference=difference,
        level=level,
        groups=cliques(mean, difference),
        left_out=left_out,
    )


@lru_cache(maxsize=64)
def nemenyi(searchers: int, datasets: int, level: float = LEVEL) -> float:
    """Return Nemenyi's critical difference of mean ranks: q sqrt(k (k + 1) / (6 N)).

    q is the studentized range's quantile for k means and infinitely many degrees of freedom, over sqrt 2.
    """
    q = stats.studentized_range.ppf(1 - level, searchers, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(searchers * (searchers + 1) / (6 * datasets)))


def cliques(mean: "pd.Series[float]", difference: float) -> tuple[tuple[str, ...], ...]:
    """Return the groups of two or more whose mean ranks lie within a difference, none part of another, by rank."""
    ordered = mean.sort_values(kind="stable")
    values, names = ordered.to_numpy(), list(map(str, ordered.index))
    found: list[tuple[str, ...]] = []
    reach = 0
    for first in range(len(values)):
        last = int(np.searchsorted(values, values[first] + difference + 1e-12, side="right"))
        if last > max(reach, first + 1):
            found.append(tuple(names[first:last]))
            reach = last
    return tuple(found)


def excess(run: Run, tabulated: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return how far each result on planted data is from the best known architecture on the same seed.

    One row per cell of a (dataset, dim) that has any ``truth_rmse``, the RMSE against what the test ratings would be
    without noise, in the data's units. The reference is the planted architecture, where the study has the searcher
    `oracle`, and the best tabulated one, where ``tabulated`` is given: a frame with columns dataset, dim, seed, id and
    truth_rmse, of architectures trained under the same protocol, the best being that of the least mean over the
    seeds it was trained on. It is the lesser of the two, seed by seed. Beside `CELL`: ``truth_rmse``, ``reference`` and
    its ``source`` (planted, tabulated, or "" where there is none), ``excess`` = truth_rmse - reference, in the
    data's units, ``ratio``, and ``problem``. No reference is a lower bound: a result may be better than it.
    """
    cells = cell_table(run)
    planted = cells[cells["searcher"].isin(_oracles(run))]
    known = _references(planted, "planted", ["dataset", "dim", "seed"])
    if tabulated is not None:
        keys = ["dataset", "dim"]
        means = tabulated.groupby([*keys, "id"])["truth_rmse"].mean().reset_index().sort_values("truth_rmse")
        best = tabulated.merge(means.drop_duplicates(keys)[[*keys, "id"]], on=[*keys, "id"])
        known = pd.concat([known, _references(best, "tabulated", [*keys, "seed"])])
    known = known.sort_values("reference", kind="stable").drop_duplicates(["dataset", "dim", "seed"])
    with_truth = cells.groupby(["dataset", "dim"])["truth_rmse"].transform(lambda values: values.notna().any())
    table = cells.loc[with_truth.astype(bool), [*CELL, "truth_rmse", "problem"]]
    table = table.merge(known, on=["dataset", "dim", "seed"], how="left")
    table["source"] = table["source"].fillna("")
    table["excess"] = table["truth_rmse"] - table["reference"]
    table["ratio"] = table["truth_rmse"] / table["reference"]
    return table[[*CELL, "truth_rmse", "reference", "source", "excess", "ratio", "problem"]]


def _references(rows: pd.DataFrame, source: str, keys: list[str]) -> pd.DataFrame:
    found = rows.dropna(subset="truth_rmse")[[*keys, "truth_rmse"]].rename(columns={"truth_rmse": "reference"})
    return found.assign(source=source).astype({"source": "object", "reference": "float64"})


def _oracles(run: Run) -> list[str]:
    """What the study calls its entries of the searcher `oracle`."""
    entries: list[dict[str, Any]] = run.study.get("searchers", [])
    return [entry.get("label") or entry["name"] for entry in entries if entry["name"] == ORACLE]


def _unknown(cells: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows of `cell_table` may still get a result."""
    unfinished = cells["state"].isin(["interrupted", "not started"])
    return unfinished | ((cells["state"] == "finished") & cells["final_id"].notna() & cells["status"].isna())
