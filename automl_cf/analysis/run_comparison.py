"""Two stored runs beside each other: where that is sound, how the errors and times of what both ran differ.

**Pairs.** What both runs have of a data set, dimension and searcher is compared seed by seed where the split of the
seed is the same: the estimand is the mean over seeds of B - A, as in `statistics`. Where no seed has a common split,
the means of both runs are compared with Welch's interval, which takes the runs as independent; random splits of one
data set overlap, so that it is rough. Of times the logarithms are compared: the result is a ratio B / A of geometric
means.

p values are two-sided; `comparison.holm` corrects them for all searchers, data sets and dimensions of one table.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from automl_cf.analysis.comparison import holm
from automl_cf.analysis.compatibility import (
    ERROR,
    HARMLESS,
    MARK,
    PAIRS,
    REFUSE,
    SAME,
    SIMULATED,
    Comparability,
    comparable,
)
from automl_cf.analysis.curves import CLOCKS, cell_curves, clock_named
from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.statistics import CONFIDENCE, Interval, paired_differences, t_interval
from automl_cf.analysis.tables import cell_table, number
from automl_cf.errors import AutomlCfError, InputError

PAIRED, UNPAIRED = "paired", "unpaired"

Frames = tuple[pd.DataFrame, pd.DataFrame]
"""A frame of each run."""

_GROUP = ["dataset", "dim", "searcher"]
_STATISTICS = ["n", "n_a", "n_b", "a", "b", "mean", "low", "high", "p", "holm", "method", "verdict", "missing"]
_BUDGETS = {"seconds": ("search_seconds", "search", "s of search"), "visits": ("visits", "visits", "visits in search")}
"""A budget that curves can be cut at -> the column of `Run.incumbents` that it limits, its clock, and its unit."""

_READING = """\
Differences are B - A of test RMSE in standard deviations of all ratings, below 0 where B is better; times are ratios
B / A, below 1 where B is sooner. Both are means over seeds (times geometric ones) with Student's 95% interval on pairs
of the same split; (unpaired) has Welch's, as if the runs were independent, which random splits of one data set are not
quite. p values are of the same tests, after Holm's correction for the lines of a table. Marked lines (*) are of runs
that differ in something that may explain a difference: see above."""


@dataclass(frozen=True, eq=False)
class RunComparison:
    """Two runs beside each other; `str` of it is the whole in words.

    - ``compatibility``: what differs, and what may be compared; see `compatibility.Comparability`.
    - ``errors``: one row per dataset, dim and searcher that both have and whose errors may be compared. ``n`` pairs (0
      where ``method`` is unpaired), ``n_a`` and ``n_b`` seeds of either with means ``a`` and ``b``; ``mean`` = b - a in
      units of rmse_std, with ``low``, ``high``, ``p`` and ``holm`` (NaN where there are too few, or no spread);
      ``verdict`` as of `compatibility`; ``missing``, the seeds of either run that are in no pair, or have no result.
    - ``budget``: the same at ``limit``, the common budget, where budgets differ and curves can be cut there.
    - ``times``: the same for each ``clock`` that may be compared: ``a`` and ``b`` are geometric means of the times at
      which the final incumbent was delivered, and ``mean`` is the ratio b / a. Simulated seconds of both are at the
      median speed of ``a``.
    - ``same_work``: the ratio b / a of the seconds to deliverable over the cells in which both runs made as many visits
      on the same split, with its interval: what machines, engines and load do to seconds.
    - ``only_a``, ``only_b``: what (dataset, dim, searcher) only one of them has.
    """

    a: Run
    b: Run
    clocks: tuple[str, ...]
    compatibility: Comparability
    errors: pd.DataFrame
    budget: pd.DataFrame
    times: pd.DataFrame
    same_work: Interval
    only_a: pd.DataFrame
    only_b: pd.DataFrame

    def __str__(self) -> str:
        """Return the comparison as text."""
        return _text(self)

    def check(self, clock: str | None = None) -> None:
        """Raise AutomlCfError where nothing of the runs can be compared, or nothing by that clock."""
        if not len(_common_groups(self.a, self.b)):
            raise AutomlCfError(
                f"'{self.a.path}' and '{self.b.path}' have no data set, dimension and searcher in common, so that "
                "nothing of them can be compared."
            )
        if not len(self.errors) and not len(self.times):
            reasons = self.compatibility.reasons(ERROR) or self.compatibility.reasons(self.clocks[0])
            why = f": {'; '.join(reasons)}" if reasons else ""
            raise AutomlCfError(f"Nothing of '{self.a.path}' and '{self.b.path}' can be compared{why}.")
        if not any(table[["n_a", "n_b"]].min(axis=1).sum() for table in (self.errors, self.times)):
            raise AutomlCfError(
                f"Nothing that both '{self.a.path}' and '{self.b.path}' have gave a result in both, so that there is "
                "nothing to compare yet."
            )
        if clock is not None and not (self.times["clock"] == clock).any():
            self.compatibility.require(clock)


def compare_runs(a: Run, b: Run, clock: str | None = None) -> RunComparison:
    """Compare two runs, by all clocks of `curves.CLOCKS` or by one of them.

    What must not be compared is left out, and `RunComparison.compatibility` says why. Raises InputError for an unknown
    clock, and if both are the same run.
    """
    if clock is not None:
        clock_named(clock)
    if a.path.resolve() == b.path.resolve():
        raise InputError(f"'{a.path}' and '{b.path}' are one run; name two.")
    clocks = tuple(CLOCKS) if clock is None else (clock,)
    compatibility = comparable([a, b])
    common = _common_groups(a, b)
    finals = _finals(a), _finals(b)
    timed = {name: (_times(a, finals[0], name, a), _times(b, finals[1], name, a)) for name in clocks}
    errors = _table(compatibility, common, finals, ERROR)
    times = [_table(compatibility, common, cells, name, logs=True).assign(clock=name) for name, cells in timed.items()]
    return RunComparison(
        a=a,
        b=b,
        clocks=clocks,
        compatibility=compatibility,
        errors=errors,
        budget=_at_common_budget(a, b, compatibility, common),
        times=pd.concat(times, ignore_index=True)[["clock", *_GROUP, *_STATISTICS]],
        same_work=_same_work(*(_paired_times(a, b, finals, name) for name in ("visits", "deliverable"))),
        only_a=_only(a, b),
        only_b=_only(b, a),
    )


# --- statistics ---


def _finals(run: Run) -> pd.DataFrame:
    """The cells that were started or have been planned, with ``value``, the test error of what was found, or NaN."""
    return cell_table(run)[[*_GROUP, "seed", "cell", "split_hash", "problem", "rmse_std"]].rename(
        columns={"rmse_std": "value"}
    )


def _times(run: Run, finals: pd.DataFrame, clock: str, like: Run) -> pd.DataFrame:
    """`_finals` with the time at which what was found was delivered, by a clock, instead; NaN without a result.

    Simulated seconds are at the median speed of their own run: here at that of the run ``like``.
    """
    curves = cell_curves(run, clock)
    scale = _median_calibration(like) / _median_calibration(run) if clock == SIMULATED else 1.0
    ends = [float(curves[cell].x[-1]) if len(curves[cell].x) else np.nan for cell in finals["cell"]]
    return finals.assign(value=np.where(finals["problem"].isna(), ends, np.nan) * scale)


def _paired_times(a: Run, b: Run, finals: Frames, clock: str) -> pd.DataFrame:
    """The times of cells that gave a result in both runs, on the same split: ``value_a`` and ``value_b`` by cell."""
    times = _times(a, finals[0], clock, a), _times(b, finals[1], clock, a)
    keys = ["cell", "split_hash"]
    both = times[0][[*keys, "value"]].merge(times[1][[*keys, "value"]], on=keys, suffixes=("_a", "_b"))
    return both.set_index("cell")[["value_a", "value_b"]].dropna()


def _same_work(visits: pd.DataFrame, seconds: pd.DataFrame) -> Interval:
    """The ratio of seconds over cells of the same visits; times of 0 tell nothing."""
    same = visits.index[(visits["value_a"] == visits["value_b"]) & (visits["value_a"] > 0)]
    spent = seconds[seconds.index.isin(same) & (seconds > 0).all(axis=1)]
    mean, low, high, n = t_interval(np.log(spent["value_b"].to_numpy() / spent["value_a"].to_numpy()))
    return Interval(np.exp(mean), np.exp(low), np.exp(high), n)


def _median_calibration(run: Run) -> float:
    """The calibration whose speed is 1 in the run's `Run.cells`; NaN where there is none."""
    seconds = run.cells["calibration"]
    return float(seconds[seconds > 0].median())


def _table(
    compatibility: Comparability, common: pd.DataFrame, cells: Frames, target: str, logs: bool = False
) -> pd.DataFrame:
    """The statistics of each group of ``common`` whose target is not refused; ``cells`` of both are as of `_finals`."""
    rows = []
    for dataset, dim, searcher in common.itertuples(index=False):
        verdict = compatibility.verdict(target, dataset, searcher)
        if verdict != REFUSE:
            group = {"dataset": dataset, "dim": dim, "searcher": searcher}
            a, b = (frame[(frame[list(group)] == list(group.values())).all(axis=1)] for frame in cells)
            rows.append({**group, "verdict": verdict, **_statistics(a, b, logs)})
    table = pd.DataFrame(rows, columns=[*_GROUP, *(name for name in _STATISTICS if name != "holm")])
    table["holm"] = holm(table["p"].to_numpy(dtype="float64"))
    return table[[*_GROUP, *_STATISTICS]]


def _statistics(a: pd.DataFrame, b: pd.DataFrame, logs: bool) -> dict[str, Any]:
    """Compare the values of one dataset, dim and searcher; of times the logarithms, given back as ratios."""
    if logs:
        # A time of 0 has no logarithm: it is no result.
        a, b = (frame.assign(value=np.log(frame["value"].where(frame["value"] > 0))) for frame in (a, b))
    both = a.merge(b, on=["seed", "split_hash"], suffixes=("_a", "_b")).dropna(subset=["value_a", "value_b"])
    seeds = {*a["seed"], *b["seed"]} - set(both["seed"])
    found = _paired(both) if len(both) else _unpaired(a["value"].dropna(), b["value"].dropna())
    if found["method"] == UNPAIRED:
        seeds = {int(seed) for frame in (a, b) for seed in frame.loc[frame["value"].isna(), "seed"]}
    if logs:
        found |= {name: float(np.exp(found[name])) for name in ("a", "b", "mean", "low", "high")}
    return found | {"missing": tuple(sorted(map(int, seeds)))}


def _paired(both: pd.DataFrame) -> dict[str, Any]:
    sides = [
        pd.DataFrame({"searcher": side, "seed": both["seed"], "value": both[f"value_{side}"]}) for side in ("a", "b")
    ]
    scores = pd.concat(sides, ignore_index=True).assign(dataset="", dim=0)
    row = paired_differences(scores, against="a", value="value").iloc[0]
    means = {side: float(both[f"value_{side}"].mean()) for side in ("a", "b")}
    statistics = {name: row[name] for name in ("n", "mean", "low", "high", "p")}
    return {"method": PAIRED, "n_a": row["n"], "n_b": row["n"], **means, **statistics}


def _unpaired(a: pd.Series, b: pd.Series) -> dict[str, Any]:
    """Welch's interval and test; NaN where there are fewer than two values of a run, or all of both are equal."""
    nan = float("nan")
    found = {"method": UNPAIRED, "n": 0, "n_a": len(a), "n_b": len(b), "a": a.mean(), "b": b.mean()}
    found |= {"mean": b.mean() - a.mean(), "low": nan, "high": nan, "p": nan}
    if min(len(a), len(b)) > 1 and (np.ptp(a) > 0 or np.ptp(b) > 0):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # equal values of one run leave it no precision to lose
            test = stats.ttest_ind(b, a, equal_var=False)
        interval = test.confidence_interval(CONFIDENCE)
        found |= {"low": interval.low, "high": interval.high, "p": test.pvalue}
    return found


def _at_common_budget(a: Run, b: Run, compatibility: Comparability, common: pd.DataFrame) -> pd.DataFrame:
    """`RunComparison.errors` of what stood at the smaller of two budgets of one kind, if it is all that they differ in.

    Only where that incumbent was scored: an earlier one would wrong the run that has more of them.
    """
    columns = ["limit", *_GROUP, *_STATISTICS]
    limits = [{kind: limit for kind, limit in (run.study.get("budget") or {}).items() if limit} for run in (a, b)]
    differing = [kind for kind in {**limits[0], **limits[1]} if limits[0].get(kind) != limits[1].get(kind)]
    if len(differing) != 1 or differing[0] not in _BUDGETS or not all(differing[0] in budget for budget in limits):
        return pd.DataFrame(columns=columns)
    column, clock, unit = _BUDGETS[differing[0]]
    limit = min(budget[differing[0]] for budget in limits)
    at_limit = _standing(a, column, limit), _standing(b, column, limit)
    fair = [compatibility.verdict(clock, dataset, searcher) != REFUSE for dataset, _, searcher in common.to_numpy()]
    rows = compatibility.differences
    others = Comparability(rows[~rows["field"].str.startswith("budget.")])  # at the limit there is no such difference
    table = _table(others, common[np.array(fair, dtype=bool)], at_limit, ERROR)
    return table.assign(limit=f"{limit:,g} {unit}")[columns]


def _standing(run: Run, column: str, limit: float) -> pd.DataFrame:
    """`_finals` with the test error of the incumbent that stood at a limit; NaN if there was none, or it has none."""
    past = run.incumbents[run.incumbents[column] <= limit].sort_values("order").groupby("cell").tail(1)
    scores = past[["cell", "id"]].merge(run.scores[["cell", "id", "rmse_std"]], on=["cell", "id"], how="left")
    values = scores.set_index("cell")["rmse_std"]
    finals = _finals(run)
    finished = finals["cell"].map(run.cells.set_index("cell")["state"]) == "finished"
    return finals.assign(value=finals["cell"].map(values).where(finished))


def _groups(run: Run) -> pd.DataFrame:
    return run.cells[_GROUP].drop_duplicates(ignore_index=True)


def _common_groups(a: Run, b: Run) -> pd.DataFrame:
    return _groups(a).merge(_groups(b), on=_GROUP)


def _only(a: Run, b: Run) -> pd.DataFrame:
    """What (dataset, dim, searcher) `a` has and `b` has not."""
    merged = _groups(a).merge(_groups(b), on=_GROUP, how="left", indicator=True)
    return merged.loc[merged["_merge"] == "left_only", _GROUP].reset_index(drop=True)


# --- words ---


def _text(found: RunComparison) -> str:
    sections = ["\n".join(["Comparison of two runs", _about("A", found.a), _about("B", found.b)])]
    sections += [*_judgements(found), *_differing(found), *_errors(found), *_all_times(found), *_left_out(found)]
    return "\n\n".join([*sections, _READING]) + "\n"


def _about(side: str, run: Run) -> str:
    facts = [str(run.study.get("name", "study"))]
    facts += [f"{len(run.cells)} cells, {(run.cells['state'] == 'finished').sum()} finished"]
    if "created" in run.manifest:
        facts.append(f"created {run.manifest['created']}")
    return f"  {side}: {run.path} ({', '.join(facts)})"


def _judgements(found: RunComparison) -> Iterator[str]:
    """For each error and clock whether it may be compared, and why not."""
    compatibility, lines = found.compatibility, []
    for target in (ERROR, PAIRS, *found.clocks):
        verdicts = {
            dataset: [compatibility.verdict(target, dataset, name) for name in cells["searcher"]]
            for dataset, cells in groups(_common_groups(found.a, found.b), "dataset")
        }
        refused = [dataset for dataset, of_searchers in verdicts.items() if REFUSE in of_searchers]
        reasons = compatibility.reasons(target)
        fields = list(dict.fromkeys(compatibility.rows(target)["field"]))
        if refused:
            where = "no" if len(refused) == len(verdicts) else f"not on {', '.join(refused)}"
            where = "not all seeds" if target == PAIRS else where
            judgement = f"{where}; {reasons[0]}{f'; and {len(reasons) - 1} more, below' if len(reasons) > 1 else ''}"
        elif any(MARK in of_searchers for of_searchers in verdicts.values()):
            judgement = f"yes, marked (*) for {', '.join(fields)}"
        elif target == PAIRS and len(found.errors) and (found.errors["method"] == UNPAIRED).all():
            judgement = "no; no seed gave a result in both"
        else:
            judgement = "yes"
        label = {ERROR: "test errors", PAIRS: "pairs by seed"}.get(target, target)
        if verdicts:
            lines.append(f"  {label}: {judgement}")
    if lines:
        yield "\n".join(["May they be compared?", *lines])
    ratio, low, high, n = map(float, found.same_work)
    if n > 1:
        yield (
            f"Where both did the same work (equal visits, {n:.0f} cells), B took {ratio:.3g} [{low:.3g}, {high:.3g}] "
            "of A's seconds to deliverable:\nas far as that is not 1, ratios of seconds tell of machines, engines and "
            "load."
        )


def _differing(found: RunComparison) -> Iterator[str]:
    """What differs, the worst first; rows that say the same of several seeds or searchers are one line."""
    table = found.compatibility.differences
    lines = []
    for verdict in (REFUSE, MARK, HARMLESS):
        alike: dict[tuple[Any, ...], list[dict[Any, Any]]] = {}
        for row in table[table["verdict"] == verdict].to_dict("records"):
            values = ("", "") if row["field"] == "split" else (row["a"], row["b"])
            alike.setdefault((row["field"], row["dataset"], *values, row["matters"], row["words"]), []).append(row)
        for (field, of_dataset, a, b, matters, words), rows in alike.items():
            scope = [of_dataset] if of_dataset else []
            if seeds := [str(row["seed"]) for row in rows if not pd.isna(row["seed"])]:
                scope.append(f"seed{'s' if len(seeds) > 1 else ''} {', '.join(seeds)}")
            scope += [row["searcher"] for row in rows if row["searcher"]]
            of = f" of {', '.join(scope)}" if scope else ""
            shown = f": {a} | {b}" if a or b else ""
            effect = f"{verdict} {', '.join(matters)}; {words}" if matters else f"{verdict}; {words}"
            lines.append(f"  {field}{of}{shown}\n    {effect}")
    if lines:
        yield "\n".join(["What differs (A | B):", *lines])
    same = list(dict.fromkeys(table.loc[table["verdict"] == SAME, "field"]))
    differing = set(table.loc[table["verdict"] != SAME, "field"])
    listed = [field for field in same if field not in differing]
    if listed:
        yield f"The same: {', '.join(listed)}."


def _errors(found: RunComparison) -> Iterator[str]:
    if len(found.errors):
        yield _results("Test RMSE / std", found.errors, "B - A", "{:.4f}", "{:+.4f}")
    for limit, table in found.budget.groupby("limit"):
        yield _results(f"Test RMSE / std at {limit}", table, "B - A", "{:.4f}", "{:+.4f}")


def _all_times(found: RunComparison) -> Iterator[str]:
    for clock, table in found.times.groupby("clock", sort=False):
        speed = ", both at the median speed of A" if clock == SIMULATED else ""
        yield _results(f"Final incumbent, {CLOCKS[str(clock)].label}{speed}", table, "B / A", "", "{:.3g}")


def _results(title: str, table: pd.DataFrame, difference: str, form: str, difference_form: str) -> str:
    """A title, and per data set and dimension an aligned table."""
    blocks = [f"{title}\n{'-' * len(title)}"]
    for dataset, dim, rows in groups(table, "dataset", "dim"):
        lines = [["Searcher", "Seeds", "A", "B", difference, "p"]]
        for row in rows.to_dict("records"):
            shown = [number(row[side]) if not form else _number(row[side], form) for side in ("a", "b")]
            star = "*" if row["verdict"] == MARK else ""
            lines.append([row["searcher"] + star, _seeds(row), *shown, *_interval(row, difference_form)])
        blocks.append(f"{dataset}, dimension {dim}\n{_aligned(lines)}")
    return "\n\n".join(blocks)


def _seeds(row: dict[Any, Any]) -> str:
    missing = f" (not {', '.join(map(str, row['missing']))})" if row["missing"] else ""
    return f"{row['n_a']} | {row['n_b']}{missing} (unpaired)" if row["method"] == UNPAIRED else f"{row['n']}{missing}"


def _interval(row: dict[Any, Any], form: str) -> list[str]:
    mean = _number(row["mean"], form)
    p = "-" if isnan(row["holm"]) else f"{row['holm']:.2g}"
    if isnan(row["low"]):
        return [mean, p]
    return [f"{mean} [{form.format(row['low'])}, {form.format(row['high'])}]", p]


def _number(value: float, form: str) -> str:
    return "-" if isnan(value) else form.format(value)


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join(f"  {row}".rstrip() for row in rows)


def _left_out(found: RunComparison) -> Iterator[str]:
    for side, table in (("A", found.only_a), ("B", found.only_b)):
        if len(table):
            names = [f"{dataset}/d{dim}/{searcher}" for dataset, dim, searcher in table.itertuples(index=False)]
            yield f"Only in {side}: {', '.join(names)}."
    lines = []
    common = _common_groups(found.a, found.b)
    for side, run in (("A", found.a), ("B", found.b)):
        problems = cell_table(run).dropna(subset="problem").merge(common, on=_GROUP)
        lines += [f"  {side}, {row['cell']}: {row['problem']}" for row in problems.to_dict("records")]
    if lines:
        yield "\n".join(["Cells without a result, which are in no comparison:", *lines])
