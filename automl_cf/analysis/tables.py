"""The result of a run as tables: one row per cell, one row per searcher, and the files of scores."""

import json
from collections import Counter
from collections.abc import Mapping
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd

from automl_cf.analysis.output import whole_file
from automl_cf.analysis.run import CELL, RANKING, Run, groups
from automl_cf.analysis.statistics import paired_differences, t_interval

BASELINES = ("bias-only", "single-op", "biased-mf", "random")
"""The searchers that others are compared with; `single-op` chose its operation by validation itself."""
_ALWAYS = BASELINES[:1]  # shown as missing, where it was not run

_MEANS = {"rmse_std": "{:.4f}", "rmse": "{:#.5g}", "truth_rmse": "{:#.4g}", "optimism": "{:+.4f}"}
"""The columns whose means over seeds are reported with an interval, and how they are shown."""
_PARTS = {"mean": "", "low": "_low", "high": "_high", "p": "_p", "n": "_n"}
_COSTS = ("search_seconds", "deliverable_seconds", "trials", "visits")


def cell_table(run: Run) -> pd.DataFrame:
    """Return `Run.cells` with the final result of each, the score of its last incumbent.

    The score's columns are those of `Run.scores`. Added are ``optimism`` (test minus validation, rmse_std),
    ``deliverable_seconds`` (search until that incumbent was found, plus its retraining) and ``problem``: why
    the cell gives no result, missing if it gives one. Only a finished cell gives a result: the others' scores
    are missing here, though `Run.scores` may have some.
    """
    finished = run.cells.loc[run.cells["state"] == "finished", "cell"]
    final = run.scores[run.scores["final"] & run.scores["cell"].isin(finished)]
    final = final.drop(columns=[column for column in [*CELL, "final"] if column != "cell"])
    table = run.cells.merge(final, on="cell", how="left", validate="one_to_one")
    table["optimism"] = table["rmse_std"] - table["validation"] * table["scale"]
    table["deliverable_seconds"] = table["final_seconds"] + table["retrain_seconds"]
    table["problem"] = pd.Series([_problem(row) for row in table.to_dict("records")], dtype="str")
    return table


def _problem(cell: Mapping[Any, Any]) -> str | None:
    if cell["state"] == "failed":
        return f"failed: {cell['reason']}"
    if cell["state"] == "interrupted":
        return f"interrupted after {number(cell['search_seconds'])} s of search"
    if cell["state"] == "not started":
        return "not started"
    if pd.isna(cell["final_id"]):
        return "finished without a valid architecture"
    if pd.isna(cell["status"]):
        return "not scored yet"
    if pd.isna(cell["rmse_std"]):
        return f"retraining what it found: {cell['status']}"
    return None


def final_table(run: Run) -> pd.DataFrame:
    """Return one row per (dataset, dim, searcher), the best mean test rmse_std of a (dataset, dim) first.

    ``n`` seeds gave a result; ``missing`` (a tuple) did not, though some searcher has a cell on them. Means
    over those n, with ``_low`` and ``_high`` of the 95% t-interval (NaN where n < 2): ``rmse_std``, ``rmse``
    (the data's units), ``truth_rmse`` (planted data, else NaN), ``optimism``. For each of `BASELINES`, as
    ``vs_bias_only`` and so on: the paired difference of rmse_std with ``_low``, ``_high``, ``_p`` and ``_n``,
    NaN where there is nothing to compare. Plain means: ``search_seconds``, ``deliverable_seconds``,
    ``trials``, ``visits`` and the metrics of `RANKING`. ``found`` says which architectures, and how often.
    """
    cells = cell_table(run)
    rows: list[dict[str, Any]] = []
    for dataset, dim, panel in groups(cells, "dataset", "dim"):
        for searcher, of_searcher in groups(panel, "searcher"):
            good = of_searcher[of_searcher["problem"].isna()]
            row = {"dataset": dataset, "dim": dim, "searcher": searcher, "n": len(good)}
            row["missing"] = tuple(sorted(set(panel["seed"]) - set(good["seed"])))
            for column in _MEANS:
                mean, low, high, _ = t_interval(good[column].to_numpy())
                row |= {column: float(mean), f"{column}_low": float(low), f"{column}_high": float(high)}
            row |= {column: good[column].astype("float64").mean() for column in (*_COSTS, *RANKING)}
            found = Counter(sorted(describe(architecture) for architecture in good["architecture"]))
            row["found"] = ", ".join(f"{name} ({count})" for name, count in found.most_common())
            rows.append(row)
    table = pd.DataFrame(rows)
    keys = ["dataset", "dim", "searcher"]
    for baseline in BASELINES:
        columns = {part: _versus(baseline) + suffix for part, suffix in _PARTS.items()}
        if baseline in set(cells["searcher"]):
            differences = paired_differences(cells, against=baseline)[[*keys, *columns]]
            table = table.merge(differences.rename(columns=columns), on=keys, how="left")
        else:
            table[list(columns.values())] = float("nan")
        table[columns["n"]] = table[columns["n"]].fillna(0).astype("int64")
    return table.sort_values([*keys[:2], "rmse_std", "searcher"], ignore_index=True)


def _versus(baseline: str) -> str:
    return f"vs_{baseline.replace('-', '_')}"


def describe(architecture: Mapping[str, Any]) -> str:
    """Return the discrete part of an architecture in a few words: "multiply", "max + plus", "layers=2"."""
    for name in ("operation", "operations"):
        if name in architecture:
            value = architecture[name]
            return " + ".join(map(str, value)) if isinstance(value, list) else str(value)
    short = {name: value for name, value in architecture.items() if not isinstance(value, list)}
    return ", ".join(f"{name}={value}" for name, value in short.items()) or "no choices"


def score_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return the errors of rows of `final_table` as text, ready to be shown: means with their intervals."""
    seeds = [
        f"{n} (not {', '.join(map(str, missing))})" if missing else str(n)
        for n, missing in zip(table["n"], table["missing"], strict=True)
    ]
    shown = {
        "Searcher": list(table["searcher"]),
        "Seeds": seeds,
        "Test RMSE / std": _with_interval(table, "rmse_std"),
        "Test RMSE": _with_interval(table, "rmse"),
    }
    if table["truth_rmse"].notna().any():
        shown["Noise-free RMSE"] = _with_interval(table, "truth_rmse")
    for baseline in BASELINES:
        if baseline in _ALWAYS or table[_versus(baseline)].notna().any():
            shown[f"Minus {baseline}"] = _with_interval(table, _versus(baseline))
    return pd.DataFrame(shown)


def ranking_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return the ranking metrics of rows of `final_table` as text, ready to be shown; none where there are none."""
    known = [metric for metric in RANKING if table[metric].notna().any()]
    shown = {
        metric.replace("hit", "Hit").replace("ndcg", "NDCG").replace("recall", "Recall"): metric for metric in known
    }
    values = {title: [f"{value:.3f}" for value in table[metric]] for title, metric in shown.items()}
    return pd.DataFrame({"Searcher": list(table["searcher"]), **values} if known else {})


def search_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return what rows of `final_table` found and cost as text, ready to be shown."""
    return pd.DataFrame(
        {
            "Searcher": list(table["searcher"]),
            "Found": [found or "-" for found in table["found"]],
            "Optimism": _with_interval(table, "optimism"),
            "Search s": [number(value) for value in table["search_seconds"]],
            "To deliverable s": [number(value) for value in table["deliverable_seconds"]],
            "Trials": [number(value) for value in table["trials"]],
            "Visits, millions": [number(value / 1e6) for value in table["visits"]],
        }
    )


def number(value: float) -> str:
    """Return a time or a count for people, to three digits or to ones; "-" if there is none."""
    if isnan(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _with_interval(table: pd.DataFrame, column: str) -> list[str]:
    """Return "mean [low, high]" for each row; for differences with p and, if not all seeds, the pairs."""
    form = _MEANS.get(column, "{:+.4f}")
    shown = []
    for row in table.to_dict("records"):
        n = row.get(f"{column}_n", row["n"])
        if pd.isna(row[column]):
            text = "-"
        elif n == 1:
            text = f"{form.format(row[column])} (1 seed: no interval)"
        else:
            mean, low, high = (form.format(row[column + part]) for part in ("", "_low", "_high"))
            text = f"{mean} [{low}, {high}]"
            if pd.notna(row.get(f"{column}_p")):
                text += f", p {row[f'{column}_p']:.2g}"
            if n != row["n"]:
                text += f" ({n} pairs)"
        shown.append(text)
    return shown


def write_scores(run: Run) -> tuple[Path, Path]:
    """Write ``scores.csv`` and ``scores.parquet`` into the run's folder and return their paths.

    One row per scored architecture with its cell's state, and one with empty scores for each cell that has
    none, so that what is missing is seen; ``architecture`` is JSON; ``curve`` is left out. InputError if they cannot be
    written.
    """
    cells = run.cells[[*CELL, "state", "reason", "split_hash"]]
    scores = run.scores.drop(columns=["curve", *(column for column in CELL if column != "cell")])
    table = cells.merge(scores, "left", "cell")
    table["architecture"] = [json.dumps(a) if isinstance(a, dict) else None for a in table["architecture"]]
    # With a missing value in them pandas would turn these to floats and objects.
    table = table.astype({"final": "boolean", "l2_at_edge": "boolean", "cold": "Int64", "retrain_visits": "Int64"})
    csv, parquet = run.path / "scores.csv", run.path / "scores.parquet"
    with whole_file(csv) as path:
        table.to_csv(path, index=False)
    with whole_file(parquet) as path:
        table.to_parquet(path, index=False)
    return csv, parquet
