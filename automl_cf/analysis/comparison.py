"""Verdicts on pairs of searchers: better, worse, equivalent or undecided, and how many seeds would decide.

**Estimand.** The mean over seeds (splits and initialisations) of this data set, at one dimension, of the difference of
two searchers on one seed, in units of the value compared (`rmse_std` unless said otherwise); below 0 the first is
better. Given the data set, seeds draw splits and initialisations independently, so that Student's t on the differences
is for the mean over all such seeds, and says nothing of other data.

**Beyond these splits**, for fresh ratings of the same kind, splits of one data set are dependent: they share ratings.
There the variance of the mean is taken as s^2 (1/n + n_test / n_train), the corrected resampled t of Nadeau and Bengio
(Machine Learning 52, 2003). n_train is the training part's size without the validation part's, which widens more. The
factor is a rule of thumb: it takes the correlation of two splits to be n_test / (n_test + n_train), and is too small
where the training parts' ratings make most of the difference; a simulation in which they make all of it has intervals
that hold in 91%, not 95%.

**Errors.** All pairs of a (data set, dimension) that can be tested are one family, whatever of it is shown. The p
values of the differences are corrected by Holm's method, so that the chance of any false ``better`` or ``worse`` in it
is at most 5%. Equivalence, two one-sided tests (TOST; Schuirmann, J. Pharmacokinet. Biopharm. 15, 1987) against the
smallest effect of interest, is corrected the same way and apart: the chance of any false ``equivalent`` is at most 5%
as well, and that of either at most 10%. For one pair they cannot both be false. Intervals are of each pair alone, so
that a difference may be undecided though its own interval leaves 0 out.

**Both at once**, a sure difference that is smaller than the smallest effect of interest: the verdict is ``equivalent``,
and its words give the difference, too.

Differences that are equal on all seeds have no spread to test by, and are undecided: two searchers that gave the same
on five seeds may well differ on the sixth.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import special, stats

from automl_cf.analysis.run import groups
from automl_cf.analysis.statistics import CONFIDENCE, FloatArray, check_pairs, t_interval
from automl_cf.errors import InputError

SMALLEST_EFFECT = 0.002
"""The smallest difference of test `rmse_std` that matters, where a study says nothing else."""
LEVEL = 0.05
"""The chance of an error that is allowed in each family of tests."""
POWER = 0.8
"""The chance of a decision that makes a number of seeds enough."""
MOST_SEEDS = 1000
"""Numbers of seeds beyond this are infinite: "more than 1000"."""

BETTER, WORSE, EQUIVALENT, UNDECIDED = "better", "worse", "equivalent", "undecided"
MIRRORED = {BETTER: WORSE, WORSE: BETTER, EQUIVALENT: EQUIVALENT, UNDECIDED: UNDECIDED}
"""The verdict on (b, a), given that on (a, b)."""

_NO_SPREAD = 1e-9  # of the mean: a standard error below it is rounding
_NODES = 16  # of the quadrature over the sample's standard deviation
_DRAWS = 12  # quantiles each of what the standard deviation and the mean may be
_SIZES = np.unique(np.r_[2:50, np.round(np.geomspace(50, MOST_SEEDS, 60))].astype(int))  # numbers of seeds tried
_SIGNED = ("mean", "low", "high", "effect_size", "corrected_low", "corrected_high")  # turn with the pair

COLUMNS = [
    *("dataset", "dim", "searcher", "against", "verdict", "beyond", "effect", "n", "mean", "low", "high", "sd"),
    *("effect_size", "p", "holm", "equivalence_p", "equivalence_holm"),
    *("corrected_low", "corrected_high", "corrected_p", "corrected_holm"),
    *("corrected_equivalence_p", "corrected_equivalence_holm"),
    *("seeds", "seeds_low", "seeds_high", "missing", "problems"),
]
"""The columns of `comparisons`."""


class PairedTests(NamedTuple):
    """Tests on paired differences, of shape (pairs,) each; NaN where there are too few or no spread.

    ``mean``, ``low``, ``high`` and ``n`` as in `statistics.Interval`; ``p`` two-sided against 0; ``equivalence_p`` of
    TOST, the larger of its two.
    """

    mean: FloatArray
    low: FloatArray
    high: FloatArray
    n: npt.NDArray[np.int64]
    p: FloatArray
    equivalence_p: FloatArray


class Seeds(NamedTuple):
    """About how many seeds would decide, in all: the median and the 10% and 90% quantiles; inf above `MOST_SEEDS`."""

    median: float
    low: float
    high: float


def holm(p: npt.ArrayLike) -> FloatArray:
    """Return the p values (tests,) corrected by Holm's method (Scand. J. Statist. 6, 1979); NaN are no tests."""
    p = np.asarray(p, dtype=np.float64)
    tests = np.flatnonzero(~np.isnan(p))
    order = tests[np.argsort(p[tests], kind="stable")]
    adjusted = np.full(p.shape, np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def paired_tests(
    differences: npt.ArrayLike, effect: float = SMALLEST_EFFECT, shared: float = 0.0, confidence: float = CONFIDENCE
) -> PairedTests:
    """Return the tests on differences (seeds, pairs), NaN left out, for equivalence within ``effect``.

    ``shared`` is n_test / n_train for the corrected resampled t, and 0 for Student's.
    """
    mean, low, high, n = t_interval(differences, confidence)
    stretch = np.sqrt(1.0 + n * shared)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = (high - low) / 2 * stretch / stats.t.ppf((1 + confidence) / 2, n - 1)
        error = np.where(error > _NO_SPREAD * np.abs(mean), error, np.nan)
        p = 2 * stats.t.sf(np.abs(mean) / error, n - 1)
        equivalence_p = stats.t.sf((effect - np.abs(mean)) / error, n - 1)
    return PairedTests(mean, mean - (mean - low) * stretch, mean + (high - mean) * stretch, n, p, equivalence_p)


def effect_sizes(differences: npt.ArrayLike) -> FloatArray:
    """Return the standardised mean of paired differences (seeds, pairs), corrected for few seeds: (pairs,).

    It is the mean divided by the differences' own standard deviation from seed to seed, times Hedges' factor
    (J. Educ. Statist. 6, 1981), exact by gamma functions, with n - 1 degrees of freedom: unbiased for normal
    differences. NaN where n < 3, for which there is none, or all are equal.
    """
    mean, low, high, n = t_interval(differences)
    with np.errstate(invalid="ignore", divide="ignore"):
        df = n - 1.0
        error = (high - low) / 2 / stats.t.ppf((1 + CONFIDENCE) / 2, df)
        factor = np.exp(special.gammaln(df / 2) - special.gammaln((df - 1) / 2)) / np.sqrt(df / 2)
        sizes = factor * mean / (error * np.sqrt(n))
    return np.where((n > 2) & (error > _NO_SPREAD * np.abs(mean)), sizes, np.nan)


def power_of_difference(n: npt.ArrayLike, standardised: npt.ArrayLike, level: float = LEVEL) -> FloatArray:
    """Return the power of the two-sided t test with n seeds, for true differences in standard deviations.

    Arrays broadcast. By quadrature over the sample's standard deviation, to about 0.02.
    """
    n, true = np.broadcast_arrays(np.asarray(n, dtype=np.int64), np.abs(np.asarray(standardised, dtype=np.float64)))
    critical = stats.t.isf(level / 2, n - 1)[..., None] * _spread(n)
    centre = (true * np.sqrt(n))[..., None]
    return np.asarray((special.ndtr(centre - critical) + special.ndtr(-centre - critical)).mean(axis=-1))


def power_of_equivalence(
    n: npt.ArrayLike, standardised: npt.ArrayLike, margin: npt.ArrayLike, level: float = LEVEL
) -> FloatArray:
    """Return the power of TOST with n seeds, for true differences and a margin in standard deviations.

    Arrays broadcast. By quadrature over the sample's standard deviation, to about 0.02.
    """
    n = np.asarray(n, dtype=np.int64)
    n, true, within = np.broadcast_arrays(n, np.asarray(standardised, float), np.asarray(margin, float))
    critical = stats.t.isf(level, n - 1)[..., None] * _spread(n)
    return _between(critical, (true * np.sqrt(n))[..., None], (within * np.sqrt(n))[..., None])


@lru_cache(maxsize=4096)  # a report asks for the same pairs several times
def seeds_to_decide(
    mean: float,
    sd: float,
    n: int,
    effect: float = SMALLEST_EFFECT,
    level: float = LEVEL,
    equivalence_level: float = LEVEL,
) -> Seeds:
    """Return about how many seeds, in all, would give a verdict other than undecided with a chance of 80%.

    ``mean`` and ``sd`` are of the differences on the ``n`` seeds so far. What they may truly be is taken from them:
    (n - 1) sd^2 / variance is chi-square with n - 1 degrees of freedom, and the mean is normal about the one seen with
    that variance / n (the posterior under the reference prior). For each of a grid of their quantiles: the number of
    seeds at which the t test at ``level`` or TOST at ``equivalence_level`` has that power, whichever needs fewer. The
    three numbers are quantiles over the grid; none is below n + 1. NaN where n < 2 or sd is 0.
    """
    if n < 2 or not sd > 0:
        return Seeds(np.nan, np.nan, np.nan)
    sizes = _SIZES[n < _SIZES]
    if not len(sizes):
        return Seeds(np.inf, np.inf, np.inf)
    quantiles = (np.arange(_DRAWS) + 0.5) / _DRAWS
    sds = sd * np.sqrt((n - 1) / stats.chi2.ppf(quantiles, n - 1))
    true = np.abs(mean / sds + stats.norm.ppf(quantiles)[:, None] / np.sqrt(n)).ravel()
    margin = np.broadcast_to(effect / sds, (_DRAWS, _DRAWS)).ravel()
    spread, by_t, by_tost = _tables(n, level, equivalence_level)
    # The least size of enough power, by bisection for all draws at once: power grows with the number of seeds.
    least, most = np.zeros(len(true), dtype=int), np.full(len(true), len(sizes))
    while (least < most).any():
        middle = np.minimum((least + most) // 2, len(sizes) - 1)
        root = np.sqrt(sizes[middle])[:, None]
        centre = true[:, None] * root
        critical = by_t[middle, None] * spread[middle]
        power = (special.ndtr(centre - critical) + special.ndtr(-centre - critical)).mean(axis=1)
        critical = by_tost[middle, None] * spread[middle]
        power = np.maximum(power, _between(critical, centre, margin[:, None] * root))
        enough = power >= POWER
        most = np.where(enough & (least < most), middle, most)
        least = np.where(~enough & (least < most), middle + 1, least)
    needed = np.append(sizes.astype(float), np.inf)[least]
    low, median, high = np.quantile(needed, [0.1, 0.5, 0.9], method="inverted_cdf")
    return Seeds(float(median), float(low), float(high))


def comparisons(
    scores: pd.DataFrame,
    effect: float = SMALLEST_EFFECT,
    fractions: Sequence[float] | None = None,
    value: str = "rmse_std",
) -> pd.DataFrame:
    """Return the verdicts on all ordered pairs of searchers of each (dataset, dim), with the columns of `COLUMNS`.

    ``scores`` is as for `statistics.paired_differences`; ``effect`` is the smallest effect of interest, in units of
    ``value``; ``fractions`` are the training, validation and test parts' shares.

    ``verdict`` is one of better, worse, equivalent and undecided, of the mean over seeds of this data set; ``beyond``
    is the same for fresh data, "" where it cannot be told: without fractions, or where seeds share a split. ``n``
    pairs, with ``mean``, ``low``, ``high`` (Student's interval) and ``sd`` of the differences, below 0 where
    ``searcher`` is better; ``effect_size`` as of `effect_sizes`. ``p`` and ``equivalence_p`` (TOST), ``holm`` and
    ``equivalence_holm`` after correction, and all of it by the corrected resampled t as ``corrected_...``. ``seeds``,
    ``seeds_low`` and ``seeds_high`` are as of `seeds_to_decide` for what is undecided, at the levels that Holm's method
    would test it with now; NaN elsewhere. ``missing`` are the seeds of this dataset and dim without a pair, and
    ``problems`` why, where ``scores`` has a column ``problem`` (as `tables.cell_table`).

    Raises InputError for an effect that is not above 0, a cell that comes twice, and pairs on two splits.
    """
    if not (np.isfinite(effect) and effect > 0):
        raise InputError(f"effect: {effect} must be a number above 0, the smallest difference of {value} that matters.")
    if not len(scores):
        return pd.DataFrame(columns=COLUMNS)
    check_pairs(scores)
    frames = [
        _of_panel(panel, effect, fractions, value).assign(dataset=dataset, dim=dim)
        for dataset, dim, panel in groups(scores, "dataset", "dim")
    ]
    frame = pd.concat(frames, ignore_index=True)
    return frame.sort_values(["dataset", "dim", "searcher", "against"], ignore_index=True)[COLUMNS]


def words(row: Mapping[Any, Any]) -> str:
    """Return a row of `comparisons` in words; the interval is 95%, of the pair alone."""
    first, other = row["searcher"], row["against"]
    missing = f", not {', '.join(map(str, row['missing']))}" if row["missing"] else ""
    seeds = f"{row['n']} seed{'s' if row['n'] != 1 else ''}{missing}"
    interval = f"[{row['low']:.4f}, {row['high']:.4f}]"
    if row["verdict"] in (BETTER, WORSE):
        low, high = (-row["high"], -row["low"]) if row["mean"] < 0 else (row["low"], row["high"])
        text = f"{first} is {row['verdict']} than {other} by {abs(row['mean']):.4f} [{low:.4f}, {high:.4f}]"
        return f"{text} (p = {row['holm']:.2g} after Holm, {seeds}){_beyond(row)}"
    if row["verdict"] == EQUIVALENT:
        text = f"{first} and {other} are equivalent within {row['effect']:g}: {row['mean']:+.4f} {interval}"
        text += f" (p = {row['equivalence_holm']:.2g} after Holm, {seeds})"
        if row["holm"] <= LEVEL:
            text += f", a small but sure difference (p = {row['holm']:.2g})"
        return text + _beyond(row)
    text = f"{first} against {other} is undecided"
    if row["n"] == 0:
        return f"{text}: no seed has a result of both ({seeds})"
    if row["n"] == 1:
        return f"{text}: {row['mean']:+.4f} on one seed has no interval ({seeds})"
    if np.isnan(row["p"]):
        return f"{text}: {row['mean']:+.4f} on each seed leaves no spread to test by ({seeds})"
    return f"{text}: {row['mean']:+.4f} {interval} ({seeds}); {_seeds_in_words(row)} seeds would decide"


def _spread(n: npt.NDArray[np.int64]) -> FloatArray:
    """Quantiles of s / sigma with n seeds, of equal weight: (..., nodes)."""
    middles = (np.arange(_NODES) + 0.5) / _NODES
    df = np.asarray(n - 1, dtype=np.float64)[..., None]
    return np.asarray(np.sqrt(stats.chi2.ppf(middles, df) / df))


def _between(critical: FloatArray, centre: FloatArray, margin: FloatArray) -> FloatArray:
    """Chance that both tests of TOST reject, over nodes on the last axis; all in standard errors of the mean."""
    inside = special.ndtr(margin - centre - critical) - special.ndtr(critical - margin - centre)
    return np.asarray(np.maximum(inside, 0.0).mean(axis=-1))


@lru_cache(maxsize=64)
def _tables(n: int, level: float, equivalence_level: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """For the sizes above n: `_spread`, and the critical values of the t test and of TOST."""
    sizes = _SIZES[n < _SIZES]
    return _spread(sizes), stats.t.isf(level / 2, sizes - 1), stats.t.isf(equivalence_level, sizes - 1)


def _of_panel(panel: pd.DataFrame, effect: float, fractions: Sequence[float] | None, value: str) -> pd.DataFrame:
    """`comparisons` of one data set and dimension, in no order, without these two columns."""
    table = panel.pivot(index="seed", columns="searcher", values=value).sort_index().astype("float64")
    searchers, values = table.columns.to_numpy(), table.to_numpy()
    first, other = np.triu_indices(len(searchers), 1)
    differences = values[:, first] - values[:, other]
    n, (mean, low, high, *_) = np.isfinite(differences).sum(axis=0), paired_tests(differences, effect)
    columns: dict[str, Any] = {"searcher": searchers[first], "against": searchers[other], "effect": effect, "n": n}
    columns |= {"mean": mean, "low": low, "high": high, "effect_size": effect_sizes(differences)}
    with np.errstate(invalid="ignore", divide="ignore"):
        columns["sd"] = np.sqrt(np.nansum((differences - mean) ** 2, axis=0) / np.where(n > 1, n - 1, np.nan))
    columns |= _tested(paired_tests(differences, effect), "")
    splits = panel.dropna(subset="split_hash").groupby("seed")["split_hash"].first() if "split_hash" in panel else None
    own = splits is None or splits.is_unique  # a split for each seed
    shared = fractions[2] / fractions[0] if fractions is not None and own else np.nan
    columns |= _tested(paired_tests(differences, effect, shared), "corrected_")
    if np.isnan(shared):
        columns["beyond"] = ""
    missing = [tuple(int(seed) for seed in table.index[np.isnan(column)]) for column in differences.T]
    frame = pd.DataFrame(columns).assign(missing=pd.Series(missing, dtype="object"))
    frame["problems"] = pd.Series(_problems(panel, frame), dtype="object")
    frame[["seeds", "seeds_low", "seeds_high"]] = _seeds(frame, effect)
    mirrored = frame.rename(columns={"searcher": "against", "against": "searcher"})
    mirrored = mirrored.assign(**{name: -frame[name] for name in _SIGNED})
    mirrored = mirrored.assign(low=-frame["high"], high=-frame["low"])
    mirrored = mirrored.assign(corrected_low=-frame["corrected_high"], corrected_high=-frame["corrected_low"])
    mirrored = mirrored.assign(**{name: frame[name].replace(MIRRORED) for name in ("verdict", "beyond")})
    return pd.concat([frame, mirrored], ignore_index=True)


def _tested(tests: PairedTests, prefix: str) -> dict[str, Any]:
    """The columns of p values and verdicts of one family of tests, those of the corrected t with its interval."""
    adjusted, equivalence = holm(tests.p), holm(tests.equivalence_p)
    different = adjusted <= LEVEL
    verdict = np.select(
        [equivalence <= LEVEL, different & (tests.mean < 0), different & (tests.mean > 0)],
        [EQUIVALENT, BETTER, WORSE],
        UNDECIDED,
    )
    columns = {"p": tests.p, "holm": adjusted, "equivalence_p": tests.equivalence_p, "equivalence_holm": equivalence}
    if not prefix:
        return {**columns, "verdict": verdict.astype(object)}
    columns |= {"low": tests.low, "high": tests.high}
    return {"beyond": verdict.astype(object), **{prefix + name: column for name, column in columns.items()}}


def _problems(panel: pd.DataFrame, pairs: pd.DataFrame) -> list[tuple[str, ...]]:
    """Why seeds of each pair are missing, as far as the panel's column ``problem`` says."""
    if "problem" not in panel:
        return [()] * len(pairs)
    known = panel.dropna(subset="problem")
    problems = dict(zip(zip(known["searcher"], known["seed"], strict=True), known["problem"], strict=True))
    found = []
    for first, other, missing in zip(pairs["searcher"], pairs["against"], pairs["missing"], strict=True):
        cells = [(name, seed) for name in sorted([first, other]) for seed in missing if (name, seed) in problems]
        found.append(tuple(f"{name}, seed {seed}: {problems[name, seed]}" for name, seed in cells))
    return found


def _seeds(frame: pd.DataFrame, effect: float) -> FloatArray:
    """How many seeds would decide what is undecided: (pairs, 3), median, low, high; NaN elsewhere."""
    found = np.full((len(frame), 3), np.nan)
    # Where Holm's method stops, it tests at the level divided by the number of those it has not rejected.
    level, equivalence_level = (
        LEVEL / max(1, int((frame[name] > LEVEL).sum())) for name in ("holm", "equivalence_holm")
    )
    for position, row in enumerate(frame.to_dict("records")):
        if row["verdict"] == UNDECIDED and not np.isnan(row["p"]):
            found[position] = seeds_to_decide(row["mean"], row["sd"], row["n"], effect, level, equivalence_level)
    return found


def _beyond(row: Mapping[Any, Any]) -> str:
    """Whether a verdict holds beyond these splits, in words; "" where it cannot be told."""
    if not row["beyond"]:
        return ""
    return "; beyond these splits, too" if row["beyond"] == row["verdict"] else "; not sure beyond these splits"


def _seeds_in_words(row: Mapping[Any, Any]) -> str:
    """Such as "about 14 (9 to 40)"; it is rough, and not more than two digits are shown."""
    median, low, high = (_rounded(row[name]) for name in ("seeds", "seeds_low", "seeds_high"))
    if np.isinf(row["seeds_low"]):
        return median
    return f"{'' if np.isinf(row['seeds']) else 'about '}{median} ({low} to {high})"


def _rounded(seeds: float) -> str:
    if np.isinf(seeds):
        return f"more than {MOST_SEEDS}"
    return f"{seeds:.0f}" if seeds < 100 else f"{float(f'{seeds:.1e}'):.0f}"
