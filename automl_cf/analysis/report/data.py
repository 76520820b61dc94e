"""What the charts of the report show, as JSON values of bounded size.

Curves of many steps are thinned to some of these: what remains are true values at their times, and what is left out
are steps between them. A curve's data are lists of numbers, and searchers are positions in the panel's list.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from automl_cf.analysis.curves import CLOCKS, StepCurve, cell_curves, mean_curves
from automl_cf.analysis.elementwise import elementwise
from automl_cf.analysis.ranks import mean_ranks
from automl_cf.analysis.report.looks import KINDS, looks_of
from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.statistics import FloatArray
from automl_cf.analysis.styles import REFERENCE
from automl_cf.analysis.tables import describe
from automl_cf.analysis.thresholds import reached_shares, times_to
from automl_cf.analysis.verdicts import declared_thresholds
from automl_cf.errors import InputError
from automl_cf.events import CLOCK_KINDS

SHOWN_FIRST = 8
"""How many searchers the curves show at first, the best by their means, beside the reference."""

NUMBERS = 350_000
"""About how many numbers all curves of one report hold together."""
MOST_POINTS, LEAST_POINTS = 64, 10
"""Of a thinned curve."""
MOST_FUNCTIONS = 10
"""Final architectures of a searcher whose element-wise functions are drawn."""

GRID = np.linspace(-1.5, 1.5, 41)
"""The elements of embeddings at which element-wise functions are drawn."""

_FUNCTIONS = ("p", "q", "r", "s", "t", "u")  # of the first mode, the second, and so on

Panel = dict[str, Any]
"""The JSON values of one (dataset, dim)."""


@dataclass(frozen=True)
class Metric:
    """What a curve's error is: its label, what it is in one sentence, and its number format ("4": decimals)."""

    label: str
    says: str
    form: str


METRICS = {
    "rmse_std": Metric(
        "test RMSE / std of all ratings",
        "Test RMSE in standard deviations of all ratings, of what would be delivered: this is what searchers are "
        "compared by.",
        "4",
    ),
    "rmse": Metric("test RMSE, in the data's units", "Test RMSE in the data's units, of what would be delivered.", "4"),
    "validation": Metric(
        "validation RMSE / std of the training part",
        "Validation RMSE of the incumbent, in standard deviations of the training part: what searchers see and "
        "choose by. It is optimistic, more so for some than for others, and no searcher is ever ranked by it.",
        "4",
    ),
}
"""The metrics that curves can show."""


def clocks_of(metric: str) -> dict[str, dict[str, str]]:
    """Return the label of each clock, and what it includes, for a metric.

    Validation errors are known when an incumbent is found, before any retraining, so that there is none in them.
    """
    texts = {name: {"label": clock.label, "includes": clock.includes} for name, clock in CLOCKS.items()}
    if metric == "validation":
        for text in texts.values():
            text["label"] = text["label"].replace("to deliverable", "to the incumbent")
            text["includes"] += "; but here without any retraining, as validation is known before it"
    return texts


def with_metric(run: Run, metric: str) -> Run:
    """Return the run with another error in the place of the test rmse_std: one of `METRICS`."""
    if metric == "rmse":
        return replace(run, scores=run.scores.assign(rmse_std=run.scores["rmse"]))
    if metric == "validation":
        # Every incumbent counts, scored or not; one that comes again may have another estimate.
        found = run.incumbents.assign(id=run.incumbents["order"].astype(str))
        seen = pd.DataFrame({"cell": found["cell"], "id": found["id"], "rmse_std": found["rmse"]})
        return replace(run, incumbents=found, scores=seen.assign(retrain_seconds=0.0, retrain_visits=0))
    return run


def points_per_curve(runs: Sequence[Run]) -> int:
    """Return to how many points curves are thinned, so that all of them stay within about `NUMBERS`."""
    cells = sum(len(run.cells) for run in runs)
    means = sum(len(run.cells.groupby(["dataset", "dim", "searcher"])) for run in runs)
    one_point = len(CLOCKS) * (len(METRICS) * (4 * means + 2 * cells) + 2 * means)
    return int(np.clip(NUMBERS // max(one_point, 1), LEAST_POINTS, MOST_POINTS))


def thinned(x: FloatArray, most: int) -> "np.ndarray[Any, np.dtype[np.intp]]":
    """Return the positions of at most ``most`` of the increasing times ``x``, evenly on a logarithmic scale.

    The first and the last are among them; all of them where there are no more.
    """
    if len(x) <= most:
        return np.arange(len(x))
    positive = x[x > 0]
    wanted = np.geomspace(positive[0], positive[-1], most - 2)
    kept = np.searchsorted(x, wanted * (1 + 1e-12), side="right") - 1
    return np.unique(np.concatenate([[0], kept, [len(x) - 1]]).clip(0, len(x) - 1)).astype(np.intp)


def panels(run: Run, results: pd.DataFrame, points: int) -> list[Panel]:
    """Return the charts' data of each (dataset, dim) of a run, in the order of ``results``, its `final_table`."""
    thresholds = declared_thresholds(run)
    ranks = {clock: mean_ranks(run, clock) for clock in CLOCKS}
    shares = {clock: reached_shares(times_to(run, thresholds, clock)) for clock in CLOCKS} if thresholds else {}
    made = []
    for dataset, dim, rows in groups(results, "dataset", "dim"):
        names = list(rows["searcher"])
        panel: Panel = {"dataset": str(dataset), "dim": int(dim), "searchers": _searchers(run, rows)}
        panel["seeds"] = sorted(int(seed) for seed in set(_of(run.cells, dataset, dim)["seed"]))
        panel["curves"] = {metric: {} for metric in METRICS}
        panel["ranks"] = {clock: _ranks(_of(frame, dataset, dim), names, points) for clock, frame in ranks.items()}
        panel["shares"] = {clock: _shares(_of(frame, dataset, dim), names, points) for clock, frame in shares.items()}
        panel["optimism"] = _optimism(rows)
        panel["times"] = _times(_of(run.cells, dataset, dim), names)
        panel["functions"] = _functions(run, dataset, dim, names)
        made.append(panel)
    for metric in METRICS:
        changed = with_metric(run, metric)
        for clock in CLOCKS:
            means, single = mean_curves(changed, clock), cell_curves(changed, clock)
            for panel in made:
                of_it = _of(run.cells, panel["dataset"], panel["dim"])
                names = [searcher["name"] for searcher in panel["searchers"]]
                panel["curves"][metric][clock] = {
                    "means": _means(_of(means, panel["dataset"], panel["dim"]), names, points),
                    "cells": _cells(of_it, single, names, points),
                }
    return made


def numbers(values: Iterable[Any], digits: int = 6) -> list[float | int | None]:
    """Return numbers for JSON, rounded to significant digits; None for what is no finite number."""
    return [number(value, digits) for value in values]


def number(value: Any, digits: int = 6) -> float | int | None:
    """Return one number for JSON; see `numbers`."""
    value = float(value)
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{digits}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _of(frame: pd.DataFrame, dataset: Any, dim: Any) -> pd.DataFrame:
    found: pd.DataFrame = frame[(frame["dataset"] == dataset) & (frame["dim"] == dim)]
    return found


def _searchers(run: Run, rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The searchers of a panel, the best mean first, with their looks and whether curves show them at first."""
    looks = looks_of(run.cells["searcher"])
    names = list(rows["searcher"])
    others = [name for name, n in zip(names, rows["n"], strict=True) if name != REFERENCE and n > 0]
    first = {REFERENCE, *others[:SHOWN_FIRST]}
    errors = {name: number(value, 12) for name, value in zip(names, rows["rmse_std"], strict=True)}
    return [{"name": name, "end": errors[name], "shown": name in first, **looks[name]} for name in names]


def _means(frame: pd.DataFrame, names: list[str], points: int) -> list[dict[str, Any]]:
    """The mean curves of a panel; ``n`` seeds of ``seeds`` have a result before the point ``full``, then all have."""
    curves = []
    for searcher, rows in frame.groupby("searcher", sort=False):
        whole = int((rows["n"] == rows["seeds"]).to_numpy().argmax())
        kept = np.union1d(thinned(rows["x"].to_numpy(dtype=np.float64), points), [whole])
        rows = rows.iloc[kept]
        seeds = int(rows["seeds"].iloc[0])
        full = int((rows["n"] == seeds).to_numpy().argmax())
        low, high = ("low", "high") if seeds > 2 else ("least", "most")  # the interval of 2 would span everything
        bands = rows.iloc[full:] if seeds > 1 else rows.iloc[:0]
        curve: dict[str, Any] = {"s": names.index(str(searcher)), "seeds": seeds, "full": full}
        curve |= {"x": numbers(rows["x"], 5), "y": numbers(rows["mean"]), "n": [int(n) for n in rows["n"].iloc[:full]]}
        curves.append(curve | {"lo": numbers(bands[low]), "hi": numbers(bands[high])})
    return curves


def _cells(cells: pd.DataFrame, curves: Mapping[str, StepCurve], names: list[str], points: int) -> list[dict[str, Any]]:
    """The curve of each cell that has one, up to its end; ``state`` where it is not finished."""
    made = []
    for row in cells.to_dict("records"):
        curve = curves[row["cell"]]
        if not len(curve.x):
            continue
        x, y = curve.x, curve.y
        if curve.end > x[-1]:
            x, y = np.append(x, curve.end), np.append(y, y[-1])
        kept = thinned(x, points)
        cell: dict[str, Any] = {"s": names.index(row["searcher"]), "seed": int(row["seed"])}
        cell |= {"x": numbers(x[kept], 5), "y": numbers(y[kept])}
        made.append(cell if row["state"] == "finished" else cell | {"state": row["state"]})
    return made


def _ranks(frame: pd.DataFrame, names: list[str], points: int) -> dict[str, Any]:
    """Mean ranks by time: one list of times for all, as ranks change together."""
    if frame.empty:
        return {"x": [], "lines": []}
    grid = np.unique(frame["x"].to_numpy(dtype=np.float64))
    kept = thinned(grid, points)
    table = frame.pivot(index="x", columns="searcher", values="mean").sort_index()
    lines = [{"s": names.index(str(name)), "y": numbers(table[name].iloc[kept], 4)} for name in table]
    first = frame.iloc[0]
    return {"x": numbers(grid[kept], 5), "lines": lines, "n": int(first["n"]), "missing": list(first["missing"])}


def _shares(frame: pd.DataFrame, names: list[str], points: int) -> list[dict[str, Any]]:
    lines = []
    for searcher, rows in frame.groupby("searcher", sort=False):
        kept = rows.iloc[thinned(rows["x"].to_numpy(dtype=np.float64), points)]
        line = {"s": names.index(str(searcher)), "x": numbers(kept["x"], 5), "y": numbers(kept["share"], 4)}
        lines.append(line | {"pairs": int(rows["pairs"].iloc[0]), "unseen": int(rows["unseen"].iloc[0])})
    return lines


def _optimism(rows: pd.DataFrame) -> list[dict[str, Any]]:
    known = rows[rows["optimism"].notna()]
    return [
        {"s": row["searcher"], "y": number(row["optimism"]), "n": int(row["n"])}
        | {"lo": number(row["optimism_low"]), "hi": number(row["optimism_high"])}
        for row in known.sort_values("optimism", kind="stable").to_dict("records")
    ]


def _times(cells: pd.DataFrame, names: list[str]) -> list[dict[str, Any]]:
    """Mean seconds per started cell by kind, as the summary has them; the searcher of most seconds first."""
    means = cells[cells["attempts"] > 0].groupby("searcher")[list(CLOCK_KINDS)].mean()
    means = means.loc[means.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    kinds = [*KINDS, *(kind for kind in CLOCK_KINDS if kind not in KINDS)]
    return [
        {"s": str(name), "k": kind, "y": number(row[kind]), "o": place}
        for name, row in zip(means.index, means.to_dict("records"), strict=True)
        for place, kind in enumerate(kinds)
        if row[kind] > 0
    ]


def _functions(run: Run, dataset: Any, dim: Any, names: list[str]) -> list[dict[str, Any]]:
    """The element-wise functions of each searcher's final architectures on `GRID`: a line per function and seed."""
    final = _of(run.scores, dataset, dim)
    final = final[final["final"]]
    made = []
    for position, name in enumerate(names):
        lines: list[dict[str, Any]] = []
        for row in final[final["searcher"] == name].head(MOST_FUNCTIONS).to_dict("records"):
            for number_of, part in enumerate(_parts(row["architecture"])):
                for mode in _FUNCTIONS:
                    line = _line(part, mode)
                    if line is not None:
                        label = describe(part)
                        line |= {"k": mode, "seed": int(row["seed"]), "part": number_of, "found": label}
                        lines.append(line)
        if lines:
            made.append({"s": position, "lines": lines[: 4 * MOST_FUNCTIONS]})
    return made


def _parts(architecture: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The architectures of an ensemble, which keeps them as JSON, or the one that it is."""
    members = architecture.get("members")
    if not isinstance(members, list):
        return [architecture]
    try:
        read = [json.loads(member) if isinstance(member, str) else member for member in members]
    except ValueError:
        return []
    return [member for member in read if isinstance(member, dict)]


def _line(architecture: Mapping[str, Any], mode: str) -> dict[str, Any] | None:
    """The values of one function, or None where there is none of the form (of a plug-in's space, say)."""
    parameters = architecture.get(mode)
    if not isinstance(parameters, list) or "activation" not in architecture:
        return None
    try:
        return {"y": numbers(elementwise(parameters, GRID, str(architecture["activation"])), 4)}
    except InputError:
        return None
