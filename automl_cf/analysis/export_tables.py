"""The tables of runs to be taken elsewhere: as frames, Markdown, CSV and LaTeX.

Frames and CSV have numbers in full precision, with ends of intervals in columns of their own. Markdown and LaTeX show
them as texts to be read, LaTeX with the rules of booktabs (``\\usepackage{booktabs}``).
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from automl_cf.analysis import markdown
from automl_cf.analysis.merge import RunLike, merged, stored_runs
from automl_cf.analysis.output import whole_file
from automl_cf.analysis.run import CELL, RANKING, Run, groups
from automl_cf.analysis.statistics import t_interval
from automl_cf.analysis.tables import cell_table, final_table, number, ranking_columns, score_columns, search_columns
from automl_cf.analysis.verdicts import smallest_effect
from automl_cf.analysis.verdicts import verdicts as all_verdicts
from automl_cf.errors import InputError, suggest
from automl_cf.events import CLOCK_KINDS

FORMATS = ("markdown", "csv", "latex")

_KEYS = ["dataset", "dim", "searcher"]
_DIFFERENCES = re.compile(r"vs_\w+")
_COSTS = ["search_seconds", "deliverable_seconds", "trials", "visits", *CLOCK_KINDS]
_CELLS = [
    *CELL,
    "state",
    "problem",
    "rmse_std",
    "rmse",
    "truth_rmse",
    "validation",
    "optimism",
    "l2",
    "final_id",
    "architecture",
    *_COSTS,
    *RANKING,
    "split_hash",
    "host",
    "engine",
]


@dataclass(frozen=True)
class Kind:
    """A kind of table: its frame, and how that is shown to people (without the data set and dimension)."""

    summary: str
    frame: Callable[[Run], pd.DataFrame]
    shown: Callable[[pd.DataFrame], pd.DataFrame]


def table(
    runs: RunLike | Sequence[RunLike],
    kind: str = "scores",
    searchers: Sequence[str] = (),
    dim: int | None = None,
) -> pd.DataFrame:
    """Return a table of `KINDS` of one run or of several as one, numbers in full precision.

    Means over seeds have the ends of their 95% t-intervals as ``_low`` and ``_high``, NaN where there is none.

    Raises InputError for a kind that there is not, and as `merge.merged`; for verdicts also where the studies of
    several runs name different smallest effects.
    """
    if kind not in KINDS:
        raise InputError(f"kind: there is no table '{kind}'.{suggest(kind, KINDS)} Known: {', '.join(KINDS)}.")
    stored = stored_runs(runs)
    effects = sorted({smallest_effect(run) for run in stored})
    if kind == "verdicts" and len(effects) > 1:
        raise InputError(
            f"The studies' smallest effects differ ({', '.join(f'{effect:g}' for effect in effects)}), so their "
            "verdicts cannot stand in one table."
        )
    return KINDS[kind].frame(merged(stored, searchers, dim))


def as_text(frame: pd.DataFrame, kind: str, form: str = "markdown") -> str:
    """Return a frame of `table` in one of `FORMATS`, ending with a newline.

    Raises InputError for a format that there is not.
    """
    if form not in FORMATS:
        raise InputError(f"format: '{form}' is not one of {', '.join(FORMATS)}.{suggest(form, FORMATS)}")
    if form == "csv":
        return _flat(frame).to_csv(index=False, lineterminator="\n")
    shown = _shown(frame, KINDS[kind])
    return (latex(shown) if form == "latex" else markdown.table(shown)) + "\n"


def write_table(text: str, path: Path) -> Path:
    """Write a table's text, whole or not at all; raises InputError if it cannot be."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return path


def _scores(run: Run) -> pd.DataFrame:
    finals = final_table(run)
    means = ["rmse_std", "rmse", "truth_rmse", "optimism"]
    columns = [column for mean in means for column in (mean, f"{mean}_low", f"{mean}_high")]
    return finals[[*_KEYS, "n", "missing", *columns, *(name for name in finals if _DIFFERENCES.fullmatch(str(name)))]]


def _costs(run: Run) -> pd.DataFrame:
    finals = final_table(run)[
        [*_KEYS, "n", "missing", "rmse_std", "optimism", "optimism_low", "optimism_high", "found"]
    ]
    return finals.merge(_means(run, _COSTS), on=_KEYS, how="left")


def _ranking(run: Run) -> pd.DataFrame:
    finals = final_table(run)[[*_KEYS, "n", "missing"]]
    return finals.merge(_means(run, list(RANKING)), on=_KEYS, how="left")


def _verdicts(run: Run) -> pd.DataFrame:
    return all_verdicts(run)


def _cells(run: Run) -> pd.DataFrame:
    return cell_table(run)[_CELLS]


def _means(run: Run, columns: Sequence[str]) -> pd.DataFrame:
    """Return means over the cells that give a result, with intervals, by searcher."""
    rows = []
    good = cell_table(run)
    good = good[good["problem"].isna()]
    for dataset, dim, searcher, cells in groups(good, *_KEYS):
        row: dict[str, Any] = {"dataset": dataset, "dim": dim, "searcher": searcher}
        for column in columns:
            mean, low, high, _ = t_interval(cells[column].to_numpy(float))
            row |= {column: float(mean), f"{column}_low": float(low), f"{column}_high": float(high)}
        rows.append(row)
    names = [name for column in columns for name in (column, f"{column}_low", f"{column}_high")]
    return pd.DataFrame(rows, columns=[*_KEYS, *names])


def _shown_costs(frame: pd.DataFrame) -> pd.DataFrame:
    return search_columns(frame)


def _shown_ranking(frame: pd.DataFrame) -> pd.DataFrame:
    shown = ranking_columns(frame)
    return shown if len(shown.columns) else pd.DataFrame({"Searcher": list(frame["searcher"])})


def _shown_verdicts(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Searcher": list(frame["searcher"]),
            "Against": list(frame["against"]),
            "Verdict": list(frame["verdict"]),
            "In words": list(frame["words"]),
        }
    )


def _shown_cells(frame: pd.DataFrame) -> pd.DataFrame:
    def digits(values: pd.Series, form: str) -> list[str]:
        return ["-" if pd.isna(value) else form.format(value) for value in values]

    return pd.DataFrame(
        {
            "Searcher": list(frame["searcher"]),
            "Seed": [str(seed) for seed in frame["seed"]],
            "State": [
                state if pd.isna(problem) or problem == state else str(problem)
                for state, problem in zip(frame["state"], frame["problem"], strict=True)
            ],
            "Test RMSE / std": digits(frame["rmse_std"], "{:.4f}"),
            "Test RMSE": digits(frame["rmse"], "{:#.5g}"),
            "Optimism": digits(frame["optimism"], "{:+.4f}"),
            "Search s": [number(value) for value in frame["search_seconds"]],
            "Trials": [number(value) for value in frame["trials"]],
        }
    )


KINDS: Mapping[str, Kind] = {
    "scores": Kind("test errors with intervals, and differences to the baselines", _scores, score_columns),
    "costs": Kind("what was found, seconds, trials and visits", _costs, _shown_costs),
    "ranking": Kind("Hit, NDCG and Recall", _ranking, _shown_ranking),
    "verdicts": Kind("each pair of searchers: better, worse, equivalent or undecided", _verdicts, _shown_verdicts),
    "cells": Kind("every cell", _cells, _shown_cells),
}
"""All kinds of tables by name."""


def _shown(frame: pd.DataFrame, kind: Kind) -> pd.DataFrame:
    """Return a frame as texts; the data set and the dimension come first, where there is more than one of them."""
    shown = kind.shown(frame)
    if len(frame.drop_duplicates(["dataset", "dim"])) > 1:
        shown.insert(0, "Dimension", [str(dim) for dim in frame["dim"]])
        shown.insert(0, "Data set", list(frame["dataset"]))
    return shown


def _flat(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose cells are numbers and texts: architectures as JSON, several seeds separated by blanks."""
    flat = frame.copy()
    for column in flat.columns:
        if flat[column].dtype == object:
            flat[column] = [_as_text(value) for value in flat[column]]
    return flat


def _as_text(value: Any) -> Any:
    if isinstance(value, Mapping):
        return json.dumps(value)
    return " ".join(map(str, value)) if isinstance(value, tuple | list) else value


_MARKS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
}


def latex(frame: pd.DataFrame) -> str:
    """Return a frame of texts as a tabular with the rules of booktabs; numbers are aligned to the right."""
    head, rows = list(frame.columns), frame.astype(str).to_numpy().tolist()
    align = "".join("r" if _is_numeric([row[place] for row in rows]) else "l" for place in range(len(head)))
    lines = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", _row(head), r"\midrule"]
    return "\n".join([*lines, *map(_row, rows), r"\bottomrule", r"\end{tabular}"])


def escape_latex(text: str) -> str:
    """Return a text that LaTeX prints as it is, on one line: names and messages may hold anything."""
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    shown = "".join(_MARKS.get(letter, letter) for letter in text)
    shown = re.sub(r"(?<![\w\-.])-(?=\d)", "$-$", shown)  # a minus, not a hyphen
    shown = re.sub(r"-(?=-)", "-{}", shown)  # no dashes made of hyphens
    return f"{{}}{shown}" if shown.startswith(("[", "*")) else shown  # which the end of a row would take for its option


def _row(texts: Sequence[str]) -> str:
    return " & ".join(map(escape_latex, texts)) + r" \\"


def _is_numeric(texts: Sequence[str]) -> bool:
    return all(re.fullmatch(r"[-+]?[\d.,]+( .*|)|-", text) for text in texts)
