"""Validation RMSE by epoch while each searcher's final architecture is retrained (Figures 3, 7 and 8).

A run stores the curve of the retraining with the l2 that validation chose (``curve`` of a score). Older runs do not;
then the curve is that of the trial of the same architecture, where there was one: its training during the search.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from automl_cf.analysis.figures.lines import Pen, draw_band, few_ticks, spacing, view_of
from automl_cf.analysis.figures.page import LINE, MARKER, THIN, Page, nothing_here, titled
from automl_cf.analysis.figures.subject import (
    MANY,
    Subject,
    bands_in_words,
    listed,
    of_panel,
    panel_title,
    problems_in_words,
    seeds_in_words,
    sentences,
)
from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.statistics import FloatArray, t_interval
from automl_cf.analysis.tables import cell_table
from automl_cf.errors import InputError

RETRAINING, TRIAL, NEITHER = "retraining", "trial", "neither"


class Convergence(NamedTuple):
    """A cell's curve of validation RMSE / std of all ratings by epoch, (epochs,), and what it is of."""

    curve: FloatArray
    source: str


def convergence(run: Run) -> pd.DataFrame:
    """Return `tables.cell_table` of the cells with a result, with ``convergence``, the `Convergence` of each."""
    cells = cell_table(run)
    cells = cells[cells["problem"].isna()]
    finals = cells[["cell", "final_id"]].rename(columns={"final_id": "id"})
    usable = run.trials.loc[run.trials["status"] == "ok", ["cell", "id", "curve"]].merge(finals, on=["cell", "id"])
    trials = {
        (cell, id_): curve for cell, id_, curve in zip(usable["cell"], usable["id"], usable["curve"], strict=True)
    }
    found = []
    for cell in cells.to_dict("records"):
        own, trial = cell.get("curve"), trials.get((cell["cell"], cell["final_id"]))
        source = RETRAINING if _is_curve(own) else TRIAL if _is_curve(trial) else NEITHER
        values = {RETRAINING: own, TRIAL: trial, NEITHER: ()}[source]
        found.append(Convergence(np.array(values, dtype=np.float64) * cell["scale"], source))
    return cells.assign(convergence=pd.Series(found, cells.index, dtype="object"))


def mean_convergence(curves: Sequence[FloatArray]) -> pd.DataFrame:
    """Return the mean over curves by epoch, from 1 to the longest's last, each held at its last value.

    Columns: ``x``, ``mean``, ``low`` and ``high`` (95% t-interval), ``least``, ``most``, ``n`` curves that have not
    stopped, and ``seeds``, the number of curves.
    """
    length = max(map(len, curves))
    held = np.array([np.append(curve, np.full(length - len(curve), curve[-1])) for curve in curves])
    interval = t_interval(held)
    return pd.DataFrame(
        {
            "x": np.arange(1, length + 1),
            "mean": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "least": held.min(axis=0),
            "most": held.max(axis=0),
            "n": [sum(len(curve) >= epoch for curve in curves) for epoch in range(1, length + 1)],
            "seeds": len(curves),
        }
    )


def draw(page: Page, subject: Subject) -> str:
    """Draw a panel per (dataset, dim) with a line per searcher; what has one value is a level."""
    cells = convergence(subject.run)
    source = cells["convergence"].map(lambda found: found.source)
    usable = cells[source != NEITHER]
    if usable.empty:
        raise InputError(
            "convergence: these runs have no curve of a final architecture, neither of its retraining nor of a trial; "
            "runs of this version store the retraining's."
        )
    panels, levels, notes, counts = list(subject.panels()), set(), [], []
    for (dataset, dim), ax in zip(panels, page.time_panels(len(panels)), strict=True):
        titled(ax, panel_title(dataset, dim))
        own = of_panel(usable, dataset, dim)
        if own.empty:
            nothing_here(ax, "no curve")
            continue
        means = {
            searcher: mean_convergence([found.curve for found in rows["convergence"]])
            for searcher, rows in groups(own, "searcher")
        }
        counts += [int(mean["seeds"].iloc[0]) for mean in means.values()]
        levels |= {searcher for searcher, mean in means.items() if len(mean) == 1}
        note = _draw_means(ax, means, subject)
        notes += [f"{panel_title(dataset, dim)}: {note}"] if note else []
        ax.set(xlabel="epoch", ylabel="validation RMSE / std of all ratings")
    page.legend_of(subject.looks, set(usable["searcher"]))
    of_trials = sorted(set(cells.loc[source == TRIAL, "searcher"]))
    if (source[source != NEITHER] == TRIAL).all():
        of_trials = ["all"]
    without = cells.loc[source == NEITHER].groupby("searcher").size()
    return sentences(
        f"Mean over {seeds_in_words(counts)} of the final architectures;",
        "thin once any seed has stopped: it is held at its last value.",
        bands_in_words(usable, counts),
        f"A level, as it has no epochs: {listed(sorted(levels))}." if levels else "",
        f"Not the retraining, but the trial during search, as the run stores no other: {listed(of_trials)}."
        if of_trials
        else "",
        f"Left out, as no curve is stored: {listed(f'{name} ({count})' for name, count in without.items())} (cells)."
        if len(without)
        else "",
        *notes,
        problems_in_words(subject.run),
    )


def _draw_means(ax: Axes, means: dict[str, pd.DataFrame], subject: Subject) -> str:
    """Draw the lines; return what the caption must say of the part that is shown, if it is not all."""
    # The ends are what differs; all begin far above.
    together = pd.concat([mean.assign(searcher=name, mean=mean["mean"]) for name, mean in means.items()])
    best = together.groupby("searcher")["mean"].transform("min")
    view = view_of(pd.concat([together, together.assign(mean=best)]))
    longest = max(map(len, means.values()))
    ax.set(xlim=(0, longest + 1), ylim=(view.low, view.high))
    pen = Pen()
    for position, (searcher, mean) in enumerate(means.items()):
        look = subject.looks[searcher]
        if len(mean) == 1:
            ax.axhline(mean["mean"].iloc[0], **look.line, linewidth=0.8, zorder=1.5)
            continue
        if len(means) <= MANY:
            draw_band(ax, mean, look, min(0.15, 0.7 / len(means)), pen, steps=False)
        whole = mean[mean["n"] == mean["seeds"]]
        ax.plot(mean["x"], mean["mean"], linewidth=THIN, alpha=0.7, **look.line)
        marks: dict[str, Any] = {"marker": look.marker, "markersize": MARKER, "markevery": spacing(position)}
        ax.plot(whole["x"], whole["mean"], linewidth=LINE, **look.line, **marks)
    few_ticks(ax, "x", 6)
    few_ticks(ax)
    sns.despine(ax=ax)
    if not view.cut:
        return ""
    above = [
        f"{name} is above, at {mean['mean'].min():.3f}"
        for name, mean in means.items()
        if mean["mean"].min() > view.high
    ]
    highest = float(together["mean"].max())
    return "; ".join([f"cut at {view.high:.3f}, curves begin as high as {highest:.3f}", *above]) + "."


def _is_curve(values: npt.ArrayLike | None) -> bool:
    """Whether there is a curve: one value or more, all of them numbers."""
    if not isinstance(values, list | tuple) or not values:
        return False
    return all(isinstance(value, int | float) and np.isfinite(value) for value in values)
