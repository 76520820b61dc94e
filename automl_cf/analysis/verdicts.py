"""The verdicts of a run: who is best, is the lead sure, and how does each pair compare; in words."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from automl_cf.analysis.comparison import (
    BETTER,
    EQUIVALENT,
    SMALLEST_EFFECT,
    UNDECIDED,
    WORSE,
    comparisons,
    words,
)
from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.tables import cell_table, final_table
from automl_cf.analysis.thresholds import reaching, reaching_in_words, speed_up_in_words, speed_ups, times_to
from automl_cf.errors import InputError, suggest

AGAINST = "bias-only"
"""The searcher that each is compared with first, where no other is named."""

_SIGNS = {BETTER: "+", WORSE: "-", EQUIVALENT: "=", UNDECIDED: "?"}

READING = """\
Differences are of test RMSE in standard deviations of all ratings, as means over seeds (splits and initialisations) of
this data set, with Student's 95% interval of each pair alone. p values are corrected for all pairs of a data set and
dimension by Holm's method. "Beyond these splits" is for fresh ratings of the same kind, by the corrected resampled t
test of Nadeau and Bengio, which five seeds rarely satisfy. Numbers of seeds are in all, for 4 chances in 5 of a
verdict, with an 80% range."""


def smallest_effect(run: Run) -> float:
    """Return the study's smallest effect of interest; `SMALLEST_EFFECT` where a stored study has none."""
    return float((run.study.get("analysis") or {}).get("smallest_effect", SMALLEST_EFFECT))


def declared_thresholds(run: Run) -> tuple[float, ...]:
    """Return the thresholds of test rmse_std that the study declares; none where a stored study has none."""
    return tuple(map(float, (run.study.get("analysis") or {}).get("thresholds", ())))


def verdicts(run: Run, against: str | None = None, effect: float | None = None) -> pd.DataFrame:
    """Return `comparison.comparisons` of a run's results with a column ``words``, one row per ordered pair.

    ``effect`` is the smallest that matters, by default the study's. ``against`` keeps the pairs with that searcher on
    the other side; p values are corrected for all pairs of a data set and dimension nonetheless.

    Raises InputError for a searcher that the run has not, and for an effect that is not above 0.
    """
    known = sorted(set(run.cells["searcher"]))
    if against is not None and against not in known:
        raise InputError(
            f"The run has no searcher '{against}' to compare with.{suggest(against, known)} It has {', '.join(known)}."
        )
    smallest = smallest_effect(run) if effect is None else effect
    table = comparisons(cell_table(run), smallest, run.study.get("fractions"))
    table["words"] = pd.Series([words(row) for row in table.to_dict("records")], dtype="str")
    return table if against is None else table[table["against"] == against].reset_index(drop=True)


def verdict_text(run: Run, against: str | None = None, effect: float | None = None) -> str:
    """Return the verdicts of a run as text, with what gave no result; see `verdicts` for errors."""
    verdicts(run, against, effect)  # refuses what is not there before anything is said
    table, finals = verdicts(run, effect=effect), final_table(run)
    sections = [f"{run.study.get('name', 'study')}: verdicts on searchers"]
    for dataset, dim, results in groups(finals, "dataset", "dim"):
        pairs = table[(table["dataset"] == dataset) & (table["dim"] == dim)]
        sections += [f"{dataset}, dimension {dim}\n{'-' * len(f'{dataset}, dimension {dim}')}", *_best(results, pairs)]
        sections += _each(results, pairs, against or AGAINST)
        sections += _matrix(results, pairs)
    sections += _thresholds(run)
    problems = cell_table(run).dropna(subset="problem")
    if len(problems):
        lines = [f"{row['cell']}: {row['problem']}" for row in problems.to_dict("records")]
        sections.append("\n".join(["Cells without a result, which are in no comparison:", *map(_indent, lines)]))
    return "\n\n".join([*sections, READING]) + "\n"


def undefeated(results: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    """Return the searchers that no other is better than, by their means, of one (dataset, dim).

    ``results`` are its rows of `final_table`, ``pairs`` those of `verdicts`.
    """
    beaten = set(pairs.loc[pairs["verdict"] == WORSE, "searcher"])
    with_result = results[results["n"] > 0].sort_values("rmse_std", kind="stable")
    return [name for name in with_result["searcher"] if name not in beaten]


def _best(results: pd.DataFrame, pairs: pd.DataFrame) -> Iterator[str]:
    """Who has the lowest error, and whether that is sure."""
    best = undefeated(results, pairs)
    if not best:
        yield "No searcher gave a result."
        return
    leader = best[0]
    row = results.set_index("searcher").loc[leader]
    interval = "" if np.isnan(row["rmse_std_low"]) else f" [{row['rmse_std_low']:.4f}, {row['rmse_std_high']:.4f}]"
    seeds = f"{row['n']} seed{'s' if row['n'] != 1 else ''}"
    text = f"Best: {leader}, mean test RMSE {row['rmse_std']:.4f}{interval} ({seeds})."
    others = pairs[pairs["searcher"] == leader].set_index("against")
    ahead = [name for name in others.index if others.loc[name, "verdict"] == BETTER]
    close = {verdict: [name for name in best[1:] if others.loc[name, "verdict"] == verdict] for verdict in _SIGNS}
    if not len(others):
        yield f"{text} There is no other to compare it with."
        return
    if len(ahead) == len(others):
        yield f"{text} Its lead is sure: it is better than every other."
        return
    parts = [f"equivalent to {_listed(close[EQUIVALENT])}"] if close[EQUIVALENT] else []
    parts += [f"undecided against {_listed(close[UNDECIDED])}"] if close[UNDECIDED] else []
    text = f"{text} Its lead is not sure: {' and '.join(parts) or 'not all could be compared'}."
    yield f"{text} It is better than {_listed(ahead)}." if ahead else text
    lines = [str(others.loc[name, "words"]) for name in best[1:]]
    if lines:
        yield "\n".join(["No searcher is better than these, either:", *map(_indent, lines)])


def _each(results: pd.DataFrame, pairs: pd.DataFrame, against: str) -> Iterator[str]:
    if against not in set(results["searcher"]):
        return
    ours = pairs[pairs["against"] == against].set_index("searcher")
    lines = [str(ours.loc[name, "words"]) for name in results["searcher"] if name in ours.index]
    if lines:
        yield "\n".join([f"Against {against}:", *map(_indent, lines)])


def _matrix(results: pd.DataFrame, pairs: pd.DataFrame) -> Iterator[str]:
    """All pairs at a glance, searchers by their means."""
    names = list(results["searcher"])
    if len(names) < 2:
        return
    signs = {(row["searcher"], row["against"]): _SIGNS[row["verdict"]] for row in pairs.to_dict("records")}
    width, digits = max(map(len, names)), len(str(len(names)))
    head = " " * (digits + width + 2) + " ".join(str(number + 1).rjust(digits) for number in range(len(names)))
    lines = [f"All pairs; the row's searcher is + better, - worse, = equivalent, ? undecided:\n{_indent(head)}"]
    for number, name in enumerate(names):
        row = " ".join(signs.get((name, other), ".").rjust(digits) for other in names)
        lines.append(_indent(f"{str(number + 1).rjust(digits)} {name.ljust(width)} {row}"))
    yield "\n".join(lines)


def _thresholds(run: Run) -> Iterator[str]:
    """How soon the declared thresholds are reached, and by how much the quickest is ahead."""
    wanted = declared_thresholds(run)
    if not wanted:
        return
    times = times_to(run, wanted)
    ahead = speed_ups(times)
    for dataset, dim, threshold, rows in groups(reaching(times), "dataset", "dim", "threshold"):
        records: list[dict[Any, Any]] = rows.to_dict("records")
        lines = [reaching_in_words(row) for row in records]
        if records[0]["count"]:
            of_it = (ahead["dataset"] == dataset) & (ahead["dim"] == dim) & (ahead["threshold"] == threshold)
            first = ahead[of_it & (ahead["searcher"] == records[0]["searcher"])].set_index("against")
            others = [row["searcher"] for row in records[1:]]
            lines += [speed_up_in_words({**first.loc[name].to_dict(), "against": name}) for name in others]
        title = f"Time to {threshold:g} on {dataset}, dimension {dim}, in seconds to deliverable:"
        yield "\n".join([title, *map(_indent, lines)])


def _listed(names: list[str]) -> str:
    return ", ".join(names)


def _indent(line: str) -> str:
    return f"  {line}"
