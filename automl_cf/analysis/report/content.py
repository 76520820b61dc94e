"""What the report says in words and tables: nothing is computed here that the analysis does not say elsewhere, too."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from automl_cf.analysis.comparison import BETTER, EQUIVALENT, UNDECIDED, WORSE
from automl_cf.analysis.ranks import LEAST_DATASETS, dataset_errors, rank_test
from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.styles import REFERENCE
from automl_cf.analysis.summary import change_lines, problem_lines, warning_lines, what_was_compared
from automl_cf.analysis.tables import cell_table, final_table, ranking_columns, score_columns, search_columns
from automl_cf.analysis.thresholds import reaching, reaching_in_words, speed_up_in_words, speed_ups, times_to
from automl_cf.analysis.verdicts import declared_thresholds, smallest_effect, undefeated, verdicts
from automl_cf.errors import InputError

SIGNS = {BETTER: "+", WORSE: "−", EQUIVALENT: "=", UNDECIDED: "?"}
MOST_IN_MATRIX = 40
"""With more searchers, all pairs are a list instead of a matrix."""
MOST_NAMED = 6
"""Searchers that a sentence names; of more it says how many there are."""

_NUMBER = re.compile(r"[-+]?[\d,]*\.?\d+(?:e[-+]?\d+)?(?=$|[\s,\[(])")
_FIRST = ("Searcher", "Found")  # columns of text
_NOT_SHOWN = ("command", "rerun", "packages", "resolved_study", "resumed_with")  # said elsewhere, or long

Content = dict[str, Any]


def run_content(run: Run, results: pd.DataFrame) -> Content:
    """Return what the page says of a run; ``results`` is its `final_table`."""
    cells = cell_table(run)
    pairs = verdicts(run)
    made = [
        _panel(run, str(dataset), int(dim), rows, pairs[(pairs["dataset"] == dataset) & (pairs["dim"] == dim)], cells)
        for dataset, dim, rows in groups(results, "dataset", "dim")
    ]
    return {
        "name": str(run.study.get("name", "study")),
        "heading": what_was_compared(run),
        "panels": made,
        "problems": problem_lines(run, cells),
        "warnings": change_lines(run) + warning_lines(cells),
        "failed": int(cells["problem"].notna().sum()),
        "cells": len(cells),
        "effect": smallest_effect(run),
        "manifest": _manifest(run),
        "commands": _commands(run),
    }


def _panel(
    run: Run, dataset: str, dim: int, results: pd.DataFrame, pairs: pd.DataFrame, cells: pd.DataFrame
) -> Content:
    ours = cells[(cells["dataset"] == dataset) & (cells["dim"] == dim)]
    return {
        "dataset": dataset,
        "dim": dim,
        "verdict": verdict(results, pairs),
        "table": table(score_columns(results)),
        "forest": _forest(results),
        "pairs": _pairs(results, pairs),
        "thresholds": _thresholds(run, dataset, dim),
        "found": table(search_columns(results)),
        "ranking": table(ranking_columns(results)) if len(ranking_columns(results)) else None,
        "failed": int(ours["problem"].notna().sum()),
        "cells": len(ours),
    }


def verdict(results: pd.DataFrame, pairs: pd.DataFrame) -> Content:
    """Return the verdict on one (dataset, dim): who is best, what is sure, and what is undecided.

    ``results`` are its rows of `final_table` and ``pairs`` those of `verdicts`. ``status`` is one of sure, shared (all
    rivals are equivalent), unsure, alone and none.
    """
    best = undefeated(results, pairs)
    counts = pairs.loc[pairs["searcher"] < pairs["against"], "verdict"].value_counts()
    said: Content = {"best": best, "status": "none", "rivals": [], "ahead": "", "each": [], "interval": ""}
    said["sure"] = int(counts.get(BETTER, 0) + counts.get(WORSE, 0))
    said |= {"equivalent": int(counts.get(EQUIVALENT, 0)), "undecided": int(counts.get(UNDECIDED, 0))}
    if not best:
        return said
    row = results.set_index("searcher").loc[best[0]]
    said |= {"leader": best[0], "mean": f"{row['rmse_std']:.4f}", "seeds": int(str(row["n"]))}
    if not np.isnan(row["rmse_std_low"]):
        said["interval"] = f"[{row['rmse_std_low']:.4f}, {row['rmse_std_high']:.4f}]"
    others = pairs[pairs["searcher"] == best[0]].set_index("against")
    ahead = [name for name in results["searcher"] if name in others.index and others.loc[name, "verdict"] == BETTER]
    rivals = [name for name in best[1:] if name in others.index]
    said["rivals"] = [{"verdict": others.loc[name, "verdict"], "words": others.loc[name, "words"]} for name in rivals]
    said["ahead"] = named(ahead)
    said["ahead_words"] = [str(others.loc[name, "words"]) for name in ahead]
    kinds = {str(others.loc[name, "verdict"]) for name in rivals}
    if not len(others):
        said["status"] = "alone"
    elif len(ahead) == len(others):
        said["status"] = "sure"
    else:
        said["status"] = "shared" if kinds == {EQUIVALENT} else "unsure"
    said["equivalents"] = named(name for name in rivals if others.loc[name, "verdict"] == EQUIVALENT)
    said["open"] = named(name for name in rivals if others.loc[name, "verdict"] != EQUIVALENT)
    against = pairs[pairs["against"] == REFERENCE].set_index("searcher")
    said["each"] = [str(against.loc[name, "words"]) for name in results["searcher"] if name in against.index]
    return said


def named(names: Iterable[str]) -> str:
    """Return names as in a sentence: "a, b and c"; of many the first and how many more."""
    listed = list(names)
    if len(listed) > MOST_NAMED:
        return f"{', '.join(listed[: MOST_NAMED - 1])} and {len(listed) - MOST_NAMED + 1} more"
    return " and ".join(filter(None, [", ".join(listed[:-1]), *listed[-1:]]))


def table(*frames: pd.DataFrame) -> Content:
    """Return tables of texts side by side, by their first columns, as one that can be sorted.

    Each cell is ``text``, the ``rest`` that is set smaller, such as an interval, and the ``value`` to sort by: the
    number that a column's texts begin with, where all of them do, else the text.
    """
    frame = pd.concat([frames[0], *(other.drop(columns="Searcher") for other in frames[1:])], axis=1)
    columns = []
    for title in frame:
        texts = [str(text) for text in frame[title]]
        found = [_NUMBER.match(text) for text in texts]
        numeric = title not in _FIRST and all(f or t == "-" for f, t in zip(found, texts, strict=True))
        columns.append({"title": str(title), "numeric": numeric and any(found)})
        values: list[Content] = []
        for text, match in zip(texts, found, strict=True):
            value = match.group().replace(",", "") if match and numeric else ""
            main, _, rest = text.partition(" ") if numeric else (text, "", "")
            values.append({"text": main, "rest": rest, "value": value})
        columns[-1]["cells"] = values
    return {"columns": columns, "rows": list(zip(*(column["cells"] for column in columns), strict=True))}


def _forest(results: pd.DataFrame) -> list[Content | None]:
    """Each mean with its interval as positions from 0 to 100 on one scale, on which outliers do not flatten the rest.

    None where there is no result; ``beyond`` where the mean is off the scale.
    """
    means = results["rmse_std"].to_numpy(dtype=np.float64)
    known = means[np.isfinite(means)]
    if not len(known):
        return [None] * len(results)
    typical = np.median(known)
    core = known[known <= typical + 5 * max(np.median(np.abs(known - typical)), 0.002)]
    low, high = results["rmse_std_low"].to_numpy(float), results["rmse_std_high"].to_numpy(float)
    within = np.isin(means, core) & np.isfinite(low) & (high - low < 3 * max(np.ptp(core), 0.004))
    left = min([core.min(), *low[within]])
    right = max([core.max(), *high[within]])
    margin = 0.04 * max(right - left, 1e-4)
    left, right = left - margin, right + margin

    def place(value: float) -> float:
        return float(round(np.clip(100 * (value - left) / (right - left), 0, 100), 2))

    placed: list[Content | None] = []
    for mean, start, end in zip(means, low, high, strict=True):
        ends = {"low": place(mean if np.isnan(start) else start), "high": place(mean if np.isnan(end) else end)}
        placed.append(None if np.isnan(mean) else {"mean": place(mean), "beyond": bool(mean > right), **ends})
    return placed


def _pairs(results: pd.DataFrame, pairs: pd.DataFrame) -> Content:
    """All pairs, searchers by their means: a matrix of verdicts, or where there are many a list, with their words."""
    names = list(results["searcher"])
    known = {(row["searcher"], row["against"]): row for row in pairs.to_dict("records")}
    rows = [
        {
            "name": name,
            "cells": [
                None
                if (row := known.get((name, other))) is None
                else {"verdict": row["verdict"], "sign": SIGNS[row["verdict"]], "words": row["words"], "other": other}
                for other in names
            ],
        }
        for name in names
    ]
    place = {name: number for number, name in enumerate(names)}
    listed = [row for (first, other), row in known.items() if place[first] < place[other]]
    listed.sort(key=lambda row: (place[row["searcher"]], place[row["against"]]))
    return {"names": names, "rows": rows if len(names) <= MOST_IN_MATRIX else [], "listed": listed}


def _thresholds(run: Run, dataset: str, dim: int) -> list[Content]:
    """How soon each declared threshold is reached, and by how much the quickest is ahead, as `verdicts` says it."""
    wanted = declared_thresholds(run)
    if not wanted:
        return []
    times = times_to(run, wanted)
    times = times[(times["dataset"] == dataset) & (times["dim"] == dim)]
    made = []
    for threshold, rows in reaching(times).groupby("threshold", sort=True):
        records: list[dict[Any, Any]] = rows.to_dict("records")
        quicker: list[str] = []
        if records[0]["count"]:
            of_it = times[times["threshold"] == threshold]
            quicker = [_ahead(of_it, records[0]["searcher"], row["searcher"]) for row in records[1:]]
        said = {"threshold": f"{threshold:g}", "reached": [reaching_in_words(row) for row in records]}
        made.append(said | {"quicker": quicker})
    return made


def _ahead(times: pd.DataFrame, searcher: str, against: str) -> str:
    """How much sooner one searcher reaches a threshold than another, in words; of all pairs it would take long."""
    pairs = speed_ups(times[times["searcher"].isin([searcher, against])])
    (row,) = pairs[pairs["searcher"] == searcher].to_dict("records")
    return speed_up_in_words(row)


def _commands(run: Run) -> list[Content]:
    titles = {"rerun": "Run it again, in the folder of the project", "command": "It was started with"}
    known = {title: " ".join(str(run.manifest.get(key, "")).split()) for key, title in titles.items()}
    return [{"title": title, "command": command} for title, command in known.items() if command]


def _manifest(run: Run) -> list[Content]:
    """The manifest's entries in groups of names and values, but for the commands and what is long."""
    groups_of: list[Content] = []
    plain = {}
    for key, value in run.manifest.items():
        if key in _NOT_SHOWN:
            continue
        if isinstance(value, Mapping):
            entries = [(str(name), _text(entry)) for name, entry in value.items()]
            if entries:
                groups_of.append({"title": str(key), "entries": entries})
        else:
            plain[str(key)] = _text(value)
    return [{"title": "run", "entries": list(plain.items())}, *groups_of] if plain else groups_of


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(entry)}" for name, entry in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def across(runs: Sequence[Run], tables: Sequence[pd.DataFrame]) -> list[Content]:
    """Return what can be said across runs: mean ranks over data sets by dimension, or why there are none."""
    frame = pd.concat([t for t in tables if len(t)] or [final_table(runs[0])], ignore_index=True)
    made: list[Content] = []
    for dim in sorted(map(int, set(frame["dim"]))):
        datasets = sorted(set(frame.loc[frame["dim"] == dim, "dataset"]))
        if len(datasets) < LEAST_DATASETS:
            why = f"Ranks over data sets take {LEAST_DATASETS} or more; here are {len(datasets)}: {named(datasets)}."
            made.append({"dim": dim, "why": why, "test": None})
            continue
        try:
            test = rank_test(dataset_errors(frame, dim))
        except InputError as error:
            made.append({"dim": dim, "why": str(error), "test": None})
            continue
        letters = [chr(ord("a") + number % 26) for number in range(len(test.groups))]
        ranks = [
            {
                "name": name,
                "rank": f"{rank:.2f}",
                "groups": "".join(x for x, names in zip(letters, test.groups, strict=True) if name in names),
            }
            for name, rank in test.ranks.items()
        ]
        said: Content = {"datasets": named(test.datasets), "statistic": f"{test.statistic:.2f}", "p": f"{test.p:.2g}"}
        said |= {"f": f"{test.f:.2f}", "f_p": f"{test.f_p:.2g}", "difference": f"{test.critical_difference:.2f}"}
        said |= {"differ": bool(test.f_p <= test.level), "left_out": named(test.left_out)}
        made.append({"dim": dim, "why": "", "test": said, "ranks": ranks})
    return made
