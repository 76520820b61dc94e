"""Means over seeds, differences paired by seed, and how sure they are.

The estimand is the mean over seeds (splits and initialisations) of one data set. Intervals are Student's t
on the seeds, which holds at few of them; they take the seeds as independent, which random splits of one data
set are not quite, so they claim nothing beyond such splits. No correction for many comparisons is made.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from automl_cf.analysis.run import groups
from automl_cf.errors import InputError, suggest

FloatArray = npt.NDArray[np.float64]

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A mean and its interval, and the number of values behind it; of shape () or (points,) each.

    ``low`` and ``high`` are NaN where n < 2, ``mean`` too where n is 0.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    n: npt.NDArray[np.int64]

    def numbers(self) -> tuple[float, float, float, int]:
        """Return the mean, low, high and n of shape () as Python's own numbers."""
        return self.mean.item(), self.low.item(), self.high.item(), self.n.item()


def t_interval(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Return the mean of (seeds,) or (seeds, points) over seeds with Student's interval; NaN is left out."""
    array = np.asarray(values, dtype=np.float64)
    n = np.isfinite(array).sum(axis=0, dtype=np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.nansum(array, axis=0) / n
        variance = np.nansum((array - mean) ** 2, axis=0) / (n - 1)
        half = stats.t.ppf((1 + confidence) / 2, n - 1) * np.sqrt(variance / n)
    return Interval(np.asarray(mean), np.asarray(mean - half), np.asarray(mean + half), np.asarray(n))


def paired_differences(
    scores: pd.DataFrame,
    against: str = "bias-only",
    value: str = "rmse_std",
    confidence: float = CONFIDENCE,
) -> pd.DataFrame:
    """Return the mean over seeds of ``value`` minus that of the searcher ``against``: below 0 is better.

    ``scores`` has one row per cell, with the columns dataset, dim, searcher, seed and ``value`` (NaN where a
    cell has none); where it has ``split_hash``, both of a pair must be on one split. One row per (dataset,
    dim, searcher) other than ``against``: n pairs, mean, low, high, p (two-sided paired t-test; NaN where
    n < 2 or all differences are equal), and ``missing``, the seeds of this dataset and dim without a pair.

    Raises InputError if ``against`` is not among the searchers, if a cell comes twice, or if splits differ.
    """
    known = sorted(set(scores["searcher"]))
    if against not in known:
        raise InputError(
            f"There is no searcher '{against}' to compare with.{suggest(against, known)} "
            f"Known: {', '.join(known) or 'none'}."
        )
    check_pairs(scores)
    rows = []
    for dataset, dim, panel in groups(scores, "dataset", "dim"):
        by_seed = panel.pivot(index="seed", columns="searcher", values=value).sort_index()
        base = by_seed[against] if against in by_seed else pd.Series(np.nan, index=by_seed.index)
        for searcher in by_seed.columns.drop(against, errors="ignore"):
            difference = by_seed[searcher] - base
            mean, low, high, n = t_interval(difference.to_numpy(), confidence)
            rows.append(
                {
                    "dataset": dataset,
                    "dim": dim,
                    "searcher": searcher,
                    "against": against,
                    "n": int(n),
                    "mean": float(mean),
                    "low": float(low),
                    "high": float(high),
                    "p": _p_value(difference.dropna().to_numpy()),
                    "missing": tuple(int(seed) for seed in difference.index[difference.isna()]),
                }
            )
    columns = ["dataset", "dim", "searcher", "against", "n", "mean", "low", "high", "p", "missing"]
    return pd.DataFrame(rows, columns=columns)


def check_pairs(scores: pd.DataFrame) -> None:
    """Raise InputError if a cell comes twice, or if the cells of a seed were run on different splits."""
    repeated = scores[scores.duplicated(["dataset", "dim", "searcher", "seed"])]
    if len(repeated):
        row = repeated.iloc[0]
        raise InputError(
            f"Seed {row['seed']} of {row['searcher']} on {row['dataset']}, dimension {row['dim']}, comes "
            "twice, but a paired difference needs one value per seed."
        )
    if "split_hash" in scores:
        for dataset, dim, seed, rows in groups(scores, "dataset", "dim", "seed"):
            if (splits := rows["split_hash"].nunique()) > 1:
                raise InputError(
                    f"Seed {seed} of {dataset}, dimension {dim}, was run on {splits} different splits, "
                    "but searchers are paired by seed and must share one."
                )


def _p_value(differences: FloatArray) -> float:
    """Two-sided p of the one-sample t-test against 0, or NaN where it is not defined."""
    if len(differences) < 2 or np.ptp(differences) == 0:
        return float("nan")
    return float(stats.ttest_1samp(differences, 0.0).pvalue)
