"""How soon searchers reach a test error: times with censoring, speed-ups, anytime areas, profiles.

**Time.** A cell reaches a threshold when, by the clock (`curves.CLOCKS`, whose units all times here have), it first
delivers an incumbent whose test `rmse_std` is at or below it; what it delivers later may be worse again. Only scored
incumbents are seen, so that with few `scoring.points` a time is later than the true one, for every searcher alike.

**Censoring.** A cell that does not reach it is censored at its end. One that ended by itself (``exhausted``) would
deliver nothing more however long it waited, so it is censored no earlier than at the horizon. A cell whose last
incumbent has no score (it was interrupted, say) is censored at its last scored one, or at 0: of more nobody knows. One
of whose time the clock tells nothing is censored at 0.
Kaplan-Meier's estimate (through SciPy) takes censoring to have nothing to do with how soon a cell would have reached
it. A budget has not; a failure may have, so that failures are listed beside the estimates.

**The horizon** of a (data set, dimension) is the common budget: the earliest end of the finished cells that ended by a
budget, up to which all of them were observed; if all ended by themselves, the latest end.

Estimands are means over seeds of this data set, as in `comparison`; intervals are 95% and not corrected for their
number.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from automl_cf.analysis.curves import StepCurve, cell_curves, timed_cells
from automl_cf.analysis.run import CELL, Run, groups
from automl_cf.analysis.statistics import CONFIDENCE, FloatArray, Interval, t_interval
from automl_cf.errors import InputError

BoolArray = npt.NDArray[np.bool_]

GEOMETRIC, AT_LEAST, AT_MOST, RESTRICTED, NONE = "geometric", "at least", "at most", "restricted", "none"
"""The methods of `speed_up`."""

LEAST_REACHED = 2
"""With fewer cells that reached a threshold, means that take in censored ones have no interval."""

_PANEL = ["dataset", "dim"]
_DOUBT = ", which is not sure"


class SpeedUp(NamedTuple):
    """How many times sooner one searcher is than another, with its interval, the number of pairs and the method."""

    ratio: float
    low: float
    high: float
    n: int
    method: str


def first_time(curve: StepCurve, threshold: float) -> float:
    """Return when a curve is first at or below a threshold; inf if it never is."""
    hits = np.flatnonzero(curve.y <= threshold)
    return float(curve.x[hits[0]]) if len(hits) else np.inf


def common_budget(cells: pd.DataFrame, curves: Mapping[str, StepCurve]) -> float:
    """Return the horizon of cells (rows of `Run.cells`), as the module says; NaN where none is finished."""
    finished = cells[cells["state"] == "finished"]
    by_budget = finished[finished["reason"] != "exhausted"]
    ends = [curves[cell].end for cell in (by_budget if len(by_budget) else finished)["cell"]]
    ends = [end for end in ends if not np.isnan(end)]
    if not ends:
        return np.nan
    return float(min(ends) if len(by_budget) else max(ends))


def times_to(
    run: Run, thresholds: Sequence[float], clock: str = "deliverable", horizon: float | None = None
) -> pd.DataFrame:
    """Return one row per cell and threshold of test rmse_std: when it was reached, or until when it was not.

    Beside the columns of `CELL`: ``threshold``; ``reached``; ``time``, when it was, else when the cell is censored;
    ``horizon``, of its dataset and dim unless given; ``observed``, whether it was reached or the cell seen up to the
    horizon; ``problem``, why the cell gives no result (`curves.timed_cells`).

    Raises InputError for a clock that there is not, no threshold, and thresholds that are no positive numbers.
    """
    wanted = np.unique(np.asarray(thresholds, dtype=np.float64))
    if not len(wanted) or not (np.isfinite(wanted).all() and wanted[0] > 0):
        raise InputError(f"thresholds: {list(thresholds)} must be positive numbers, test errors in rmse_std.")
    curves = cell_curves(run, clock)
    scored = set(run.scores.loc[run.scores["final"], "cell"])
    rows = []
    for _, _, cells in groups(timed_cells(run, clock), *_PANEL):
        end = common_budget(cells, curves) if horizon is None else horizon
        for cell in cells.to_dict("records"):
            curve = curves[cell["cell"]]
            until = curve.end if pd.isna(cell["final_id"]) or cell["cell"] in scored else max([0.0, *curve.x])
            if cell["state"] == "finished" and cell["reason"] == "exhausted" and until == curve.end:
                until = max(until, end)
            until = 0.0 if np.isnan(until) else max(until, 0.0)
            for threshold in wanted:
                time = first_time(curve, threshold)
                reached = bool(np.isfinite(time))
                row = {name: cell[name] for name in CELL} | {"threshold": threshold, "reached": reached}
                row |= {"time": time if reached else until, "horizon": end, "problem": cell["problem"]}
                rows.append(row | {"observed": reached or until >= end})
    columns = [*CELL, "threshold", "time", "reached", "observed", "horizon", "problem"]
    return pd.DataFrame(rows, columns=columns)


def kaplan_meier(time: npt.ArrayLike, reached: npt.ArrayLike) -> pd.DataFrame:
    """Return Kaplan and Meier's estimate of the share of cells that have reached a threshold, by time.

    ``time`` and ``reached`` are of cells, (cells,). One row per time at which any was reached or censored: ``x``,
    ``share``, its ``low`` and ``high`` (95%, log-log; NaN where there is none), ``waiting``, the cells that had not
    been reached or censored before, and ``events``, those reached then.
    """
    time, reached = _cells(time, reached)
    if not len(time):
        return pd.DataFrame({name: [] for name in ("x", "share", "low", "high", "waiting", "events")})
    survival = _survival(time, reached)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that it is undefined where all or none are reached
        interval = survival.confidence_interval(CONFIDENCE, method="log-log")
    x = survival.quantiles
    return pd.DataFrame(
        {
            "x": x,
            "share": 1 - survival.probabilities,
            "low": 1 - interval.high.probabilities,
            "high": 1 - interval.low.probabilities,
            "waiting": (time[:, None] >= x).sum(axis=0),
            "events": ((time[:, None] == x) & reached[:, None]).sum(axis=0),
        }
    )


def restricted_mean(
    time: npt.ArrayLike, reached: npt.ArrayLike, horizon: float, confidence: float = CONFIDENCE
) -> Interval:
    """Return the restricted mean time to a threshold: the mean of min(time, horizon), its interval and n cells.

    The area under Kaplan-Meier's curve up to the horizon. Its variance is Greenwood's, times n / (n - 1) (Klein and
    Moeschberger, Survival Analysis, 2003, section 4.5), its interval Student's with n - 1 degrees of freedom, cut at
    0 and the horizon; where all are observed up to the horizon that is the t-interval of min(time, horizon). The mean
    is NaN where the curve does not extend to the horizon. The interval is NaN where there is no spread, or fewer than
    `LEAST_REACHED` cells reached the threshold before the horizon: the others alone tell nothing of the spread. Of five
    seeds whose times are skewed by a factor of 3 either way, it holds in 90%.
    """
    time, reached = _cells(time, reached)
    n = len(time)
    nothing = Interval(np.array(np.nan), np.array(np.nan), np.array(np.nan), np.array(n))
    if not n or not np.isfinite(horizon):
        return nothing
    survival = _survival(time, reached)
    before = survival.quantiles < horizon
    x, height = survival.quantiles[before], survival.probabilities[before]
    if before.all() and height[-1] > 0:
        return nothing
    edges, heights = np.concatenate([[0.0], x, [horizon]]), np.concatenate([[1.0], height])
    pieces = heights * np.diff(edges)
    after = np.cumsum(pieces[::-1])[::-1][1:]  # from each of x to the horizon
    waiting = (time[:, None] >= x).sum(axis=0)
    events = ((time[:, None] == x) & reached[:, None]).sum(axis=0)
    some = waiting > events  # where all that wait are reached, nothing is left after it
    terms = after[some] ** 2 * events[some] / (waiting[some] * (waiting[some] - events[some]))
    mean, variance = pieces.sum(), terms.sum() * n / max(n - 1, 1)
    enough = events.sum() >= LEAST_REACHED and variance > 0
    half = stats.t.ppf((1 + confidence) / 2, n - 1) * np.sqrt(variance) if enough else np.nan
    low, high = (np.clip(mean + side * half, 0, horizon) for side in (-1, 1))
    return Interval(np.array(mean), np.array(low), np.array(high), np.array(n))


def fieller(numerator: npt.ArrayLike, denominator: npt.ArrayLike, confidence: float = CONFIDENCE) -> SpeedUp:
    """Return the ratio of the means of paired positive values (n,) with Fieller's interval.

    Fieller, J. R. Statist. Soc. B 16 (1954): all ratios r at which the t test does not refuse that the mean of
    numerator - r denominator is 0. ``high`` is inf, and ``low`` 0, where the set has no such end; NaN both where
    n < 2 or neither has spread.
    """
    above, below = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    n = len(above)
    if not n or below.mean() <= 0:
        return SpeedUp(np.nan, np.nan, np.nan, n, NONE)
    ratio = float(above.mean() / below.mean())
    if n < 2 or (np.ptp(above) == 0 and np.ptp(below) == 0):
        return SpeedUp(ratio, np.nan, np.nan, n, RESTRICTED)
    (var_above, cov), (_, var_below) = np.cov(above, below) * stats.t.ppf((1 + confidence) / 2, n - 1) ** 2 / n
    # (mean_a - r mean_b)^2 <= var_a - 2 r cov + r^2 var_b
    a, b = below.mean() ** 2 - var_below, above.mean() * below.mean() - cov
    c = above.mean() ** 2 - var_above
    root = np.sqrt(max(b * b - a * c, 0.0))
    if a > 0:
        return SpeedUp(ratio, float(max((b - root) / a, 0.0)), float((b + root) / a), n, RESTRICTED)
    # The set reaches to infinity; from a positive end on, if 0 is not in it.
    low = float((b - root) / a) if a < 0 and c > 0 else 0.0
    return SpeedUp(ratio, low, np.inf, n, RESTRICTED)


def speed_up(
    time: npt.ArrayLike,
    reached: npt.ArrayLike,
    against_time: npt.ArrayLike,
    against_reached: npt.ArrayLike,
    horizon: float,
    confidence: float = CONFIDENCE,
) -> SpeedUp:
    """Return how many times sooner one searcher reaches a threshold than another, from pairs of one seed, (pairs,).

    Above 1 the first is sooner. Each cell either reached it, or is censored at its time. The method depends on that:

    - ``geometric``, where all reached it: the geometric mean of the pairs' ratios, by Student's t on their logarithms.
    - ``at least``, where all of the first reached it: a censored time of the other is less than its true one, so that
      the geometric mean of what is known is a lower bound, and the lower end of its t-interval is one of the true
      geometric mean at 97.5%; ``high`` is inf. ``at most``, where all of the other did: the same turned round, with
      ``low`` 0.
    - ``restricted``, where some of both did not: the ratio of the restricted means up to the horizon, another
      estimand, nearer to 1 where one searcher is a constant times as fast; with `fieller`'s interval, if of each
      searcher `LEAST_REACHED` cells or more reached it before the horizon.
    - ``none``: no pair, or no cell reached it.
    """
    (time, reached), (other, other_reached) = _cells(time, reached), _cells(against_time, against_reached)
    n = len(time)
    if not n or not (reached.any() or other_reached.any()):
        return SpeedUp(np.nan, np.nan, np.nan, n, NONE)
    positive = min(time.min(), other.min()) > 0  # a logarithm needs it
    if positive and (reached.all() or other_reached.all()):
        mean, low, high, _ = (float(part) for part in t_interval(np.log(other) - np.log(time), confidence))
        ratio, low, high = np.exp(mean), np.exp(low), np.exp(high)
        if reached.all() and other_reached.all():
            return SpeedUp(ratio, low, high, n, GEOMETRIC)
        return SpeedUp(ratio, low, np.inf, n, AT_LEAST) if reached.all() else SpeedUp(ratio, 0.0, high, n, AT_MOST)
    ratio = fieller(np.minimum(other, horizon), np.minimum(time, horizon), confidence)
    least = min((reached & (time < horizon)).sum(), (other_reached & (other < horizon)).sum())
    return ratio if least >= LEAST_REACHED else ratio._replace(low=np.nan, high=np.nan)


def reaching(times: pd.DataFrame) -> pd.DataFrame:
    """Return one row per (dataset, dim, threshold, searcher) of `times_to`: how often and how soon it is reached.

    ``cells``, of which ``count`` reached it; the restricted ``mean`` time with ``low`` and ``high`` up to the
    ``horizon`` (`restricted_mean`); ``unseen``, the seeds not observed up to it; ``problems`` of cells. Sorted by mean.
    """
    rows = []
    for dataset, dim, threshold, searcher, cells in groups(times, *_PANEL, "threshold", "searcher"):
        horizon = float(cells["horizon"].iloc[0])
        mean, low, high, n = restricted_mean(cells["time"], cells["reached"], horizon)
        row = {"dataset": dataset, "dim": dim, "threshold": threshold, "searcher": searcher, "cells": int(n)}
        row |= {"count": int(cells["reached"].sum()), "mean": float(mean), "low": float(low), "high": float(high)}
        unseen = tuple(int(seed) for seed in cells.loc[~cells["observed"].astype(bool), "seed"])
        rows.append(row | {"horizon": horizon, "unseen": unseen, "problems": _problems(cells)})
    names = ["cells", "count", "mean", "low", "high", "horizon", "unseen", "problems"]
    table = pd.DataFrame(rows, columns=[*_PANEL, "threshold", "searcher", *names])
    return table.sort_values([*_PANEL, "threshold", "mean", "searcher"], ignore_index=True)


def speed_ups(times: pd.DataFrame) -> pd.DataFrame:
    """Return `speed_up` for all ordered pairs of searchers of each (dataset, dim, threshold) of `times_to`.

    Paired by seed. A seed on which either cell was not observed up to the horizon gives no pair, and stands in
    ``missing``. Further columns: ``searcher``, ``against``, ``ratio``, ``low``, ``high``, ``n``, ``method``,
    ``count`` and ``against_count`` (how many of the pairs' cells reached the threshold), ``horizon``.
    """
    rows = []
    for dataset, dim, threshold, cells in groups(times, *_PANEL, "threshold"):
        horizon = float(cells["horizon"].iloc[0])
        by_seed = cells.pivot(index="seed", columns="searcher", values=["time", "reached", "observed"])
        time, reached = by_seed["time"].astype("float64"), by_seed["reached"].eq(True)
        observed = by_seed["observed"].eq(True)
        columns = {name: [part[name].to_numpy() for part in (time, reached, observed)] for name in time}
        for searcher, (own_time, own_reached, seen) in columns.items():
            for against in time.columns.drop(searcher):
                other_time, other_reached, other_seen = columns[against]
                both = seen & other_seen
                first, other = (own_time[both], own_reached[both]), (other_time[both], other_reached[both])
                row = {"dataset": dataset, "dim": dim, "threshold": threshold}
                row |= {"searcher": searcher, "against": against}
                row |= speed_up(*first, *other, horizon)._asdict()
                row |= {"count": int(first[1].sum()), "against_count": int(other[1].sum()), "horizon": horizon}
                rows.append(row | {"missing": tuple(int(seed) for seed in by_seed.index[~both])})
    keys = [*_PANEL, "threshold", "searcher", "against"]
    return pd.DataFrame(rows, columns=[*keys, *SpeedUp._fields, "count", "against_count", "horizon", "missing"])


def reaching_in_words(row: Mapping[Any, Any]) -> str:
    """Return a row of `reaching` in words: "random reaches 0.838 in 2 of 5 seeds"."""
    text = f"{row['searcher']} reaches {row['threshold']:g} in {row['count']} of {row['cells']} seeds"
    if row["unseen"]:
        text += f" (not seen to the end: {', '.join(map(str, row['unseen']))})"
    if not row["count"] or np.isnan(row["mean"]):
        return text
    interval = "" if np.isnan(row["low"]) else f" [{row['low']:.3g}, {row['high']:.3g}]"
    return f"{text}, up to {row['horizon']:.4g} after {row['mean']:.3g}{interval} on average"


def speed_up_in_words(row: Mapping[Any, Any]) -> str:
    """Return a row of `speed_ups` in words: "sif-robust reaches 0.838 14 (9 to 22) times sooner than random"."""
    first, other, threshold, method = row["searcher"], row["against"], f"{row['threshold']:g}", row["method"]
    missing = f", not {', '.join(map(str, row['missing']))}" if row["missing"] else ""
    seeds = f"{row['n']} seed{'s' if row['n'] != 1 else ''}{missing}"
    if method == NONE:
        what = "neither reaches it" if row["n"] else "no seed was seen to the end with both"
        return f"{first} against {other} at {threshold}: {what} ({seeds})"
    if method in (AT_LEAST, AT_MOST):
        if method == AT_MOST:  # "at least so many times later" says the same, and is how people put it
            ratio, bound, way, who, reached = 1 / row["ratio"], 1 / row["high"], "later", first, row["count"]
        else:
            ratio, bound, way, who, reached = row["ratio"], row["low"], "sooner", other, row["against_count"]
        sure = "no interval" if np.isnan(bound) else f"97.5% sure of {bound:.2g}"
        text = f"{first} reaches {threshold} at least {ratio:.2g} times {way} than {other} on average ({sure}; {seeds})"
        return f"{text}, as {who} reaches it in {reached} of {row['n']}{'' if bound > 1 else _DOUBT}"
    ratio, low, high, way = row["ratio"], row["low"], row["high"], "sooner"
    if ratio < 1:
        ratio, low, high, way = (1 / ratio, 1 / high, _inverse(low), "later")
    interval = "no interval" if np.isnan(low) else f"{low:.2g} to {high:.2g}"
    if np.isinf(high):
        interval = f"at least {low:.2g}"
    text = f"{first} reaches {threshold} {ratio:.2g} ({interval}) times {way} than {other}"
    if method == RESTRICTED:
        text += f" by mean times up to {row['horizon']:.4g}, in {row['count']} against {row['against_count']} seeds"
    return f"{text} ({seeds}){'' if low > 1 or high < 1 else _DOUBT}"


def time_average(curve: StepCurve, start: float, end: float) -> float:
    """Return the mean over time of a curve from ``start`` to ``end``; NaN where it is not defined at ``start``."""
    if not end > start or not len(curve.x) or curve.x[0] > start:
        return np.nan
    inner = curve.x[(curve.x > start) & (curve.x < end)]
    edges = np.concatenate([[start], inner, [end]])
    return float(curve.at(edges[:-1]) @ np.diff(edges) / (end - start))


def areas(run: Run, clock: str = "deliverable", start: float | None = None) -> pd.DataFrame:
    """Return one row per cell: the area under its anytime curve, as the time-averaged test rmse_std.

    The average is over one window per (dataset, dim): from ``start``, or else the first moment at which every cell
    that has a result has one, to the horizon. Before it, where some curve is undefined, nothing counts for anybody:
    who was first to have any result is not in the area, but in ``first``, when a cell had. Beside `CELL`: ``first``
    (inf without a result), ``start``, ``horizon``, ``area`` and ``problem``. ``area`` is NaN where the cell gives no
    result (`curves.timed_cells`), was undefined at a ``start`` that was given, or where the window is empty.

    Raises InputError for a clock that there is not.
    """
    curves = cell_curves(run, clock)
    rows = []
    for _, _, cells in groups(timed_cells(run, clock), *_PANEL):
        firsts = {cell: float(curves[cell].x[0]) if len(curves[cell].x) else np.inf for cell in cells["cell"]}
        good = cells.loc[cells["problem"].isna(), "cell"]
        begin = max((firsts[cell] for cell in good), default=np.nan) if start is None else start
        end = common_budget(cells, curves)
        for cell in cells.to_dict("records"):
            area = time_average(curves[cell["cell"]], begin, end) if pd.isna(cell["problem"]) else np.nan
            row = {name: cell[name] for name in CELL} | {"first": firsts[cell["cell"]], "start": begin}
            rows.append(row | {"horizon": end, "area": area, "problem": cell["problem"]})
    return pd.DataFrame(rows, columns=[*CELL, "first", "start", "horizon", "area", "problem"])


def area_table(areas: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds of `areas` per (dataset, dim, searcher), least first, with Student's interval.

    Columns: ``n`` areas, ``mean``, ``low``, ``high``, ``start``, ``horizon``, ``missing`` (seeds without one) and
    ``problems``. Pairs of searchers are compared by `comparison.comparisons` with ``value="area"``.
    """
    rows = []
    for dataset, dim, searcher, cells in groups(areas, *_PANEL, "searcher"):
        mean, low, high, n = t_interval(cells["area"].to_numpy())
        row = {"dataset": dataset, "dim": dim, "searcher": searcher, "n": int(n)}
        row |= {"mean": float(mean), "low": float(low), "high": float(high)}
        row |= {name: cells[name].iloc[0] for name in ("start", "horizon")}
        missing = tuple(int(seed) for seed in cells.loc[cells["area"].isna(), "seed"])
        rows.append(row | {"missing": missing, "problems": _problems(cells)})
    names = ["n", "mean", "low", "high", "start", "horizon", "missing", "problems"]
    table = pd.DataFrame(rows, columns=[*_PANEL, "searcher", *names])
    return table.sort_values([*_PANEL, "mean", "searcher"], ignore_index=True)


def reached_shares(times: pd.DataFrame) -> pd.DataFrame:
    """Return for each (dataset, dim, searcher) the share of its (cell, threshold) pairs reached by time.

    The empirical distribution of `times_to` over all its thresholds. One row per step: ``x``, ``share``; and
    ``pairs``, of which ``unseen`` were not observed up to the horizon: they count as not reached. Steps beyond the
    horizon are left out. The first row is at 0.
    """
    rows = []
    for dataset, dim, searcher, cells in groups(times, *_PANEL, "searcher"):
        horizon = cells["horizon"].iloc[0]
        found = np.sort(cells.loc[cells["reached"].astype(bool) & (cells["time"] <= horizon), "time"].to_numpy(float))
        counts = {"pairs": len(cells), "unseen": int((~cells["observed"].astype(bool)).sum())}
        for x in np.unique([0.0, *found]):
            share = np.searchsorted(found, x, side="right") / len(cells)
            rows.append({"dataset": dataset, "dim": dim, "searcher": searcher, "x": x, "share": share, **counts})
    return pd.DataFrame(rows, columns=[*_PANEL, "searcher", "x", "share", "pairs", "unseen"])


def performance_profiles(times: pd.DataFrame) -> pd.DataFrame:
    """Return Dolan and More's performance profiles (Math. Program. 91, 2002) of `times_to`.

    A problem is a (dataset, dim, seed, threshold) of it, and its cost to a searcher the time until it reached the
    threshold, inf if it did not. ``share`` is that of the problems which a searcher solves within ``ratio`` times the
    least cost of all searchers: one row per searcher and step, the first at ratio 1. ``problems`` is their number, of
    which ``unsolved`` no searcher solved: they count, so that no share reaches 1 where there are any. A profile
    depends on which searchers are compared; two of them should be read off a profile of those two.
    """
    cost = times.assign(cost=times["time"].where(times["reached"].astype(bool), np.inf))
    table = cost.pivot(index=[*_PANEL, "seed", "threshold"], columns="searcher", values="cost").fillna(np.inf)
    values = table.to_numpy(dtype=np.float64)
    least = values.min(axis=1, keepdims=True) if values.size else values[:, :0]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        ratios = np.where(values == least, 1.0, values / least)  # nothing is as soon as nothing
    ratios = np.where(np.isfinite(values), ratios, np.inf)
    counts = {"problems": len(table), "unsolved": int(np.isinf(least).sum())}
    rows = []
    for searcher, of_it in zip(table.columns, ratios.T, strict=True):
        for ratio in np.unique([1.0, *of_it[np.isfinite(of_it)]]):
            rows.append({"searcher": searcher, "ratio": ratio, "share": float((of_it <= ratio).mean()), **counts})
    return pd.DataFrame(rows, columns=["searcher", "ratio", "share", "problems", "unsolved"])


def _cells(time: npt.ArrayLike, reached: npt.ArrayLike) -> tuple[FloatArray, BoolArray]:
    return np.asarray(time, dtype=np.float64), np.asarray(reached, dtype=bool)


def _survival(time: FloatArray, reached: BoolArray) -> Any:
    """SciPy's estimate of the share that has not been reached, by time."""
    return stats.ecdf(stats.CensoredData(uncensored=time[reached], right=time[~reached])).sf


def _problems(cells: pd.DataFrame) -> tuple[str, ...]:
    """What is wrong with cells, once for each seed."""
    bad = cells.dropna(subset="problem").drop_duplicates("seed")
    return tuple(f"seed {row['seed']}: {row['problem']}" for row in bad.to_dict("records"))


def _inverse(value: float) -> float:
    return np.inf if value == 0 else 1 / value
