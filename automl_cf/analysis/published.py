"""What the paper publishes beside what a run found, with the difference and, where it is large, its reason.

The published numbers stand in `benchmarks/published.csv`, with what to know before comparing with them.
"""

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd

from automl_cf.analysis.markdown import bullets, escape, table
from automl_cf.analysis.output import whole_file
from automl_cf.analysis.run import RANKING, Run, groups
from automl_cf.analysis.statistics import t_interval
from automl_cf.analysis.tables import cell_table
from automl_cf.errors import InputError, suggest
from automl_cf.reading import read_toml

LIMIT = 2.0
"""Per cent of the published number; a difference beyond them, on either side, asks for a reason."""

SETTINGS = {"k": 1, "units": 5, "activation": "sigmoid", "predictor": "linear"}
"""The options of the space that a published number may belong to, and what they are where a study names none."""

_RANKED = [metric for metric in RANKING if not metric.startswith("recall")]  # of which nothing is published
METRICS = {"rmse_std": "rmse_std", **dict(zip(_RANKED, _RANKED, strict=True)), "seconds": "deliverable_seconds"}
"""What is published -> the column of `cell_table` that is the same of a run."""

REASONS_NAME = "reasons.toml"
OUT_NAME = "published.md"

_TYPES = {
    **dict.fromkeys(("place", "dataset", "method", "searcher"), "str"),
    **{name: "Int64" if isinstance(usual, int) else "str" for name, usual in SETTINGS.items()},
    "dim": "Int64",
    **dict.fromkeys(("metric", "value", "found"), "str"),
}
_COLUMNS = {
    **dict.fromkeys(("dataset", "searcher", "options", "method", "place", "metric"), "str"),
    "dim_published": "Int64",
    "dim": "int64",
    "printed": "str",
    **dict.fromkeys(("published", "mean", "low", "high"), "float64"),
    **dict.fromkeys(("n", "cells"), "int64"),
    **dict.fromkeys(("difference", "percent"), "float64"),
    "over": "bool",
    "reason": "str",
}
_SPLIT = [0.5, 0.25, 0.25]  # the paper's section 4.1

_READING = f"""\
*Published* is what Yao, Chen, Kwok, Li and Hsieh (WWW 2020) print, without a spread or a number of seeds. *Ours* is the
mean over seeds with Student's 95% interval, of what each search found, retrained and tested under the protocol common
to all. A difference is ours minus the published number, its per cent are of the published number, and beyond {LIMIT:g}%
a reason is asked for, which `{REASONS_NAME}` in the run's folder can give. A number whose dimension the paper states
stands beside cells of that dimension; one whose dimension it does not state, which may be the best of several, beside
cells of each."""

_OF_METRICS = {
    "rmse_std": """\
`rmse_std` is the test RMSE in standard deviations of all ratings, the paper's unit. Some methods of the authors' public
code search with the test part, and it picks epochs on it; ours never do.""",
    "@": """\
Which items the paper ranks for its Hit and NDCG is not known: they tell little beside ours, which rank each user's
test ratings.""",
    "seconds": """\
`seconds` are the paper's for search and fine-tuning on a Titan XP, and ours until the result was found plus its
retraining, on the machine of this run: they tell of machines, implementations and budgets, too.""",
}
"""What to know of metrics, by a part of their names."""


def published_values() -> pd.DataFrame:
    """Return the published numbers, one row each, in the order of their places.

    Columns as the file's head explains them; ``value`` is a float and ``printed`` the same as the paper prints it.
    Texts that are empty in the file are "", numbers are missing.
    """
    with files("automl_cf.benchmarks").joinpath("published.csv").open(encoding="utf-8") as file:
        frame = pd.read_csv(file, comment="#", dtype=_TYPES)
    texts = [name for name, dtype in _TYPES.items() if dtype == "str"]
    frame[texts] = frame[texts].fillna("")
    return frame.assign(printed=frame["value"], value=frame["value"].astype("float64"))


def side_by_side(run: Run) -> pd.DataFrame:
    """Return one row per published number and cells of the run (all seeds of a dataset, dim and searcher) it is of.

    A number is of the cells of its data set, its searcher (by its registered name, so labelled variants count), its
    dimension, if it is stated, and its options among `SETTINGS`. ``published`` and, as printed, ``printed``; ``mean``,
    ``low`` and ``high`` (95% t-interval; NaN where n < 2) over the ``n`` seeds of ``cells`` that have a result;
    ``difference`` = mean - published, ``percent`` of published, ``over`` whether beyond `LIMIT`; ``reason`` from the
    run's `REASONS_NAME`, "" where there is none or none is asked for. ``options`` are the searcher's own, as text.

    Raises InputError if the reasons or the study cannot be read.
    """
    reasons = read_reasons(run)
    datasets, searchers = _names(run)
    values = published_values()
    rows: list[dict[str, Any]] = []
    for dataset, dim, title, cells in groups(cell_table(run), "dataset", "dim", "searcher"):
        name, options, space = searchers.get(title, (title, {}, {}))
        ours = {key: space.get(key, usual) for key, usual in SETTINGS.items()}
        of_it = (values["dataset"] == datasets.get(dataset, dataset)) & (values["searcher"] == name)
        of_it &= values["dim"].isna() | (values["dim"] == dim).fillna(False)
        for known in values[of_it].to_dict("records"):
            theirs = _settings(known)
            if theirs and theirs != ours:
                continue
            row = {"dataset": dataset, "searcher": title, "dim": dim, "dim_published": known["dim"]}
            row |= {key: known[key] for key in ("place", "metric", "printed")}
            row["method"] = known["method"] + _in_brackets(_listed(theirs.items() - SETTINGS.items()))
            row["options"] = _listed({**options, **(space if theirs else {})}.items())
            row |= _compared(known["value"], cells, METRICS[known["metric"]])
            row["reason"] = _reason(reasons, title, known["metric"]) if row["over"] else ""
            rows.append(row)
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


def read_reasons(run: Run) -> dict[str, str | dict[str, str]]:
    """Return the run's reasons by searcher: a sentence, or one for each metric; none where the run has no such file.

    Raises InputError naming the file for one that cannot be read, and for searchers and metrics that there are not.
    """
    path = run.path / REASONS_NAME
    if not path.exists():
        return {}
    reasons = read_toml(path)
    known = sorted(set(run.cells["searcher"]))
    for searcher, reason in reasons.items():
        if searcher not in known:
            raise InputError(
                f"'{path}' gives a reason for {searcher!r:.60}, but the run's searchers are "
                f"{', '.join(known)}.{suggest(searcher, known)}"
            )
        for metric, sentence in reason.items() if isinstance(reason, dict) else [("rmse_std", reason)]:
            if metric not in METRICS:
                raise InputError(
                    f"'{path}' gives a reason for {metric!r:.60} of '{searcher}', but what is published is "
                    f"{', '.join(METRICS)}.{suggest(metric, METRICS)}"
                )
            if not isinstance(sentence, str):
                raise InputError(
                    f"'{path}' gives {sentence!r:.40} as a reason for '{searcher}', but it must be a text in quotes."
                )
    return reasons


def published_markdown(run: Run) -> str:
    """Return `side_by_side` in Markdown, with what it cannot tell. Raises InputError as that does."""
    rows, values = side_by_side(run), published_values()
    sections = [f"# {escape(str(run.study.get('name', 'study')))}: published numbers and ours"]
    if rows.empty:
        return f"{sections[0]}\n\nThe paper gives no number for what this run compares.\n"
    for dataset, of_dataset in groups(rows, "dataset"):
        sections += [f"## {escape(dataset)}", table(_shown(of_dataset))]
    split = run.study.get("fractions", _SPLIT)
    if split != _SPLIT:
        sections.append(f"Training, validation and test part are {split} of the ratings here, {_SPLIT} in the paper.")
    sections.append(_READING)
    sections += about(rows["metric"])
    return "\n\n".join([*sections, *_not_beside(run, rows, values)]) + "\n"


def about(metrics: Iterable[str]) -> list[str]:
    """Return what to know of these metrics, where the paper's are beside ours: a paragraph each."""
    named = " ".join(metrics)
    return [text for part, text in _OF_METRICS.items() if part in named]


def write_published(run: Run, out: Path | None = None) -> Path:
    """Write `published_markdown` into a file, by default `OUT_NAME` in the run's folder, and return its path.

    Raises InputError as that does, and if the file cannot be written.
    """
    path = out or run.path / OUT_NAME
    text = published_markdown(run)
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def _compared(published: float, cells: pd.DataFrame, column: str) -> dict[str, Any]:
    """Compare a published number with a column of rows of `cell_table`, one for each seed."""
    good = cells.loc[cells["problem"].isna(), column].to_numpy("float64")
    mean, low, high, n = t_interval(good).numbers()
    percent = 100 * (mean - published) / published
    over = abs(percent) > LIMIT + 1e-9  # rounding must not make 2% more
    row = {"published": published, "mean": mean, "low": low, "high": high, "n": n, "cells": len(cells)}
    return row | {"difference": mean - published, "percent": percent, "over": over}


def _names(run: Run) -> tuple[dict[str, str], dict[str, tuple[str, dict[str, Any], dict[str, Any]]]]:
    """The registered names of the study's data sets by title; of its searchers with their options and their space's."""
    study = run.study
    try:
        datasets = {entry.get("label") or entry["name"]: entry["name"] for entry in study["datasets"]}
        searchers = {}
        for entry in study["searchers"]:
            space = entry.get("space") or study.get("space") or {}
            own = (dict(entry.get("options") or {}), dict(space.get("options") or {}))
            searchers[entry.get("label") or entry["name"]] = (entry["name"], *own)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"'{run.path / 'study.json'}' is not a resolved study: {error}.") from None
    return datasets, searchers


def spelled(metric: str) -> str:
    """Return the format in which a metric is shown, as many digits as tell something."""
    return {"rmse_std": ".4f", "seconds": ".1f"}.get(metric, ".3f")


def _settings(known: Mapping[Any, Any]) -> dict[str, Any]:
    """Which of `SETTINGS` a published number belongs to; empty for a method that has none."""
    return {name: known[name] for name in SETTINGS if not pd.isna(known[name]) and known[name] != ""}


def _reason(reasons: Mapping[str, str | dict[str, str]], searcher: str, metric: str) -> str:
    reason = reasons.get(searcher, "")
    return reason if isinstance(reason, str) else reason.get(metric, "")


def _listed(options: Iterable[tuple[str, Any]]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in sorted(options))


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _shown(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of `side_by_side` as text, ready to be shown."""
    shown = []
    for row in rows.to_dict("records"):
        form = spelled(row["metric"])
        known = not pd.isna(row["mean"])
        interval = f" [{row['low']:{form}}, {row['high']:{form}}]" if row["n"] > 1 else " (1 seed: no interval)"
        shown.append(
            {
                "Searcher": row["searcher"] + _in_brackets(row["options"]),
                "The paper's": row["method"],
                "Place": row["place"],
                "Metric": row["metric"],
                "Dim there": "not stated" if pd.isna(row["dim_published"]) else str(row["dim_published"]),
                "Dim here": str(row["dim"]),
                "Published": row["printed"],
                "Ours": f"{row['mean']:{form}}{interval}" if known else "-",
                "Seeds": f"{row['n']}/{row['cells']}",
                "Difference": f"{row['difference']:+{form}}" if known else "-",
                "In %": f"{row['percent']:+.2f}" if known else "-",
                f"Over {LIMIT:g}%": "yes" if row["over"] else "",
                "Reason": row["reason"] or ("not found" if row["over"] else ""),
            }
        )
    return pd.DataFrame(shown)


def _not_beside(run: Run, rows: pd.DataFrame, values: pd.DataFrame) -> list[str]:
    """Say how many of the numbers on the run's data sets have nothing of the run beside them."""
    datasets, _ = _names(run)
    lines = []
    for title, name in datasets.items():
        for place, known in groups(values[values["dataset"] == name], "place"):
            ours = rows[(rows["dataset"] == title) & (rows["place"] == place) & (rows["n"] > 0)]
            # Several labels and dimensions of ours may stand beside one number, which these columns tell from others.
            beside = len(ours[["method", "metric", "dim_published"]].drop_duplicates())
            if beside < len(known):
                lines.append(f"{title}, {place}: {len(known) - beside} of {len(known)}")
    return ["Published numbers that no result of this run stands beside:", bullets(lines)] if lines else []
