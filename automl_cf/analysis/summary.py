"""The result of a run in Markdown."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from automl_cf.analysis.compatibility import UNEVEN
from automl_cf.analysis.curves import CLOCKS
from automl_cf.analysis.markdown import bullets, escape, table
from automl_cf.analysis.output import whole_file
from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.tables import (
    cell_table,
    describe,
    final_table,
    number,
    ranking_columns,
    score_columns,
    search_columns,
)
from automl_cf.events import CLOCK_KINDS

_READING = """\
Means are over seeds (splits and initialisations) of this data set, with Student's 95% interval. A difference
is paired by seed and below 0 where the searcher is better; its p is of the paired t-test, not corrected for
the number of comparisons. Random splits of one data set overlap, so none of this claims anything beyond such
splits. *RMSE / std* is divided by the standard deviation of all ratings, *Test RMSE* is in the data's units;
both are of the last incumbent, retrained over the lambda grid under the protocol common to all. *Optimism* is
test minus validation, in RMSE / std; searchers are never compared by validation. Costs are means over the
same seeds."""

_RANKING = """\
Each user's test ratings (of a tensor: those of each combination of the other modes) are ranked, fives being the
positives; ties count as their expectation. Lists are short, so Hit is high by chance. Means over the lists that have
a five, then over seeds."""


def write_summary(run: Run) -> Path:
    """Write ``summary.md`` into the run's folder and return its path.

    It states what was compared, the final errors with intervals and paired differences, costs, what was
    found, what gave no result and why, warnings, and how to run it again. It shows ``curve.svg`` if that has
    been drawn. Raises InputError if it cannot be written.
    """
    cells = cell_table(run)
    sections = [
        *_heading(run),
        *_results(run),
        *_problems(run, cells),
        *_warnings(run, cells),
        *_times(run),
        *_every_cell(cells),
        *_rerun(run),
    ]
    path = run.path / "summary.md"
    with whole_file(path) as partial:
        partial.write_text("\n\n".join(sections) + "\n", encoding="utf-8")
    return path


def _heading(run: Run) -> list[str]:
    figure = ["![Test error against time](curve.svg)"] if (run.path / "curve.svg").exists() else []
    return [f"# {escape(str(run.study.get('name', 'study')))}", escape(what_was_compared(run)), *figure]


def what_was_compared(run: Run) -> str:
    """Return in one sentence what a run compared, under which budget, and how its cells ended."""
    cells = run.cells
    limits = run.study.get("budget", {})
    budget = " or ".join(f"{limit:,g} {kind}" for kind, limit in limits.items() if limit)
    states = ", ".join(f"{count} {state}" for state, count in cells["state"].value_counts().items())
    return (
        f"{_listed(cells['searcher'])} on {_listed(cells['dataset'])}, dimension {_listed(cells['dim'])}, "
        f"seeds {_listed(cells['seed'])}; budget of a cell: {budget or 'not recorded'}; "
        f"engine: {_listed(cells['engine'])}; {len(cells)} cells: {states}."
    )


def _results(run: Run) -> list[str]:
    sections = []
    for dataset, dim, rows in groups(final_table(run), "dataset", "dim"):
        title = f"## {escape(dataset)}, dimension {dim}"
        sections += [title, table(score_columns(rows)), table(search_columns(rows))]
        ranks = ranking_columns(rows)
        if len(ranks):
            sections += [table(ranks), _RANKING]
    return [*sections, _READING]


def _problems(run: Run, cells: pd.DataFrame) -> list[str]:
    lines = problem_lines(run, cells)
    return ["## What went wrong", bullets(lines)] if lines else []


def problem_lines(run: Run, cells: pd.DataFrame) -> list[str]:
    """Say why cells have no result, and how many trials gave none, whatever became of their cells.

    ``cells`` are the run's `cell_table`; the lines are plain text.
    """
    lines = [f"{row['cell']}: {row['problem']}" for row in cells.dropna(subset="problem").to_dict("records")]
    for searcher, trials in groups(run.trials[["searcher", "status"]], "searcher"):
        bad = trials.loc[trials["status"] != "ok", "status"].value_counts()
        if len(bad):
            kinds = ", ".join(f"{count} {status}" for status, count in bad.items())
            lines.append(f"{searcher}: {bad.sum()} of {len(trials)} trials gave no result ({kinds})")
    return lines + [
        f"{left_out['name']} was left out: {left_out['reason']}" for left_out in run.study.get("skipped", ())
    ]


def _warnings(run: Run, cells: pd.DataFrame) -> list[str]:
    lines = change_lines(run) + warning_lines(cells)
    return ["## Warnings", bullets(lines)] if lines else []


def warning_lines(cells: pd.DataFrame) -> list[str]:
    """Say in plain text what a reader of a run's `cell_table` must know: grids too narrow, uneven machines."""
    lines = []
    at_edge = cells[cells["l2_at_edge"].eq(True)]
    for dataset, dim, searcher, rows in groups(at_edge, "dataset", "dim", "searcher"):
        where = ", ".join(f"{row['l2']:g} on seed {row['seed']}" for row in rows.to_dict("records"))
        lines.append(
            f"{searcher} on {dataset}, dimension {dim}: the best lambda is at the edge of the grid "
            f"({where}); a wider grid may do better."
        )
    for column in ("host", "engine"):
        if cells[column].nunique() > 1:
            lines.append(
                f"The cells ran on more than one {column} ({_listed(cells[column])}): their seconds are not "
                "comparable; visits and errors are."
            )
    fastest, slowest = cells["calibration"].min(), cells["calibration"].max()
    if slowest > UNEVEN * fastest:
        lines.append(
            f"The calibration before each cell took {fastest:.3g} to {slowest:.3g} s: the machine was not "
            "equally fast for all cells, so differences in seconds by such a factor mean nothing."
        )
    return lines


def change_lines(run: Run) -> list[str]:
    """Say in plain text under which changes an interrupted run was gone on with, as its manifest records it."""
    entries = [entry for entry in run.manifest.get("resumed_with") or () if isinstance(entry, Mapping)]
    return [
        f"The run was gone on with on {entry.get('time', 'an unknown day')} under changes, so that it may not be what "
        f"one process would have made of it: {'; '.join(map(str, entry.get('changes') or ['not recorded']))}."
        for entry in entries
    ]


def _times(run: Run) -> list[str]:
    started = run.cells[run.cells["attempts"] > 0]
    means = started.groupby(["dataset", "dim", "searcher"], sort=True)[list(CLOCK_KINDS)].mean().map(number)
    shown = means.reset_index().rename(columns={"dataset": "Data set", "dim": "Dim", "searcher": "Searcher"})
    return [
        "## Where the time went",
        "Mean seconds per started cell, by kind; *retrain* is for all that was scored, not the result alone.",
        table(shown),
        "What the clocks of the curves include:",
        bullets(f"{clock.label}: {clock.includes}." for clock in CLOCKS.values()),
    ]


def _every_cell(cells: pd.DataFrame) -> list[str]:
    shown = pd.DataFrame(
        {
            "Cell": cells["cell"],
            "State": cells["state"],
            "Test RMSE / std": _decimals(cells["rmse_std"]),
            "Warm rows only": _decimals(cells["rmse_std_warm"]),
            "Cold ratings": [number(value) for value in cells["cold"]],
            "Validation / std": _decimals(cells["validation"] * cells["scale"]),
            "Lambda": ["-" if pd.isna(value) else f"{value:g}" for value in cells["l2"]],
            "Found": [describe(found) if isinstance(found, dict) else "-" for found in cells["architecture"]],
            "Id": cells["final_id"].fillna("-"),
        }
    )
    return ["## Every cell", table(shown)]


def _rerun(run: Run) -> list[str]:
    """Show the commands of the manifest, indented: Markdown leaves them as they are."""
    lines = []
    for key, what in {"rerun": "In this folder:", "command": "It was started with:"}.items():
        command = " ".join(str(run.manifest.get(key, "")).split())
        lines += [what, f"    {command}"] if command else []
    return ["## Run it again", *lines] if lines else []


def _decimals(values: pd.Series) -> list[str]:
    return ["-" if pd.isna(value) else f"{value:.4f}" for value in values]


def _listed(values: pd.Series) -> str:
    return ", ".join(str(value) for value in values.dropna().sort_values().unique())
