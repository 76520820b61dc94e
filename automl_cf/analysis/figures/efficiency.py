"""Mean test RMSE of the top architectures found so far, by search time (Figure 5).

The paper retrains and tests the k best by validation of everything that was searched. A run here tests what its study's
``scoring`` chose beforehand: incumbents at a few times, and the best trials by validation. Among those found until a
moment, the mean is over the k with the least validation RMSE after retraining: test ratings choose nothing.
"""

import numpy as np
import pandas as pd

from automl_cf.analysis.curves import StepCurve, clock_named, means_over_seeds
from automl_cf.analysis.figures.anytime import ERROR
from automl_cf.analysis.figures.lines import draw_lines
from automl_cf.analysis.figures.page import Page, titled
from automl_cf.analysis.figures.subject import (
    Subject,
    bands_in_words,
    machines_in_words,
    of_panel,
    panel_title,
    problems_in_words,
    seeds_in_words,
    sentences,
)
from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.statistics import FloatArray
from automl_cf.analysis.tables import cell_table
from automl_cf.errors import InputError


def top_curve(x: FloatArray, validation: FloatArray, test: FloatArray, k: int, end: float) -> StepCurve:
    """Return the mean ``test`` of the k least by ``validation`` among those found until each moment.

    ``x``: when each was found, (architectures,); with fewer than k it is the mean of all that there are.
    """
    times = np.unique(x)
    means = []
    for time in times:
        known = np.flatnonzero(x <= time)
        best = known[np.argsort(validation[known], kind="stable")[:k]]
        means.append(float(test[best].mean()))
    return StepCurve(times, np.array(means), float(max([end, *times])))


def found_at(run: Run) -> pd.DataFrame:
    """Return the scores that are usable, with ``found``: the search seconds at which each architecture was."""
    when = pd.concat([frame[["cell", "id", "search_seconds"]] for frame in (run.incumbents, run.trials)])
    first = when.groupby(["cell", "id"])["search_seconds"].min().rename("found").reset_index()
    scores = run.scores.merge(first, on=["cell", "id"])
    return scores.dropna(subset=["rmse_std", "validation", "found"])


def top_curves(run: Run, k: int) -> pd.DataFrame:
    """Return `curves.means_over_seeds` of each cell's `top_curve`."""
    found = found_at(run)
    scores, nothing = dict(groups(found, "cell")), found[:0]
    curves = {}
    for cell, end in zip(run.cells["cell"], run.cells["search_seconds"], strict=True):
        own = scores.get(cell, nothing)
        x, validation, test = (own[name].to_numpy(float) for name in ("found", "validation", "rmse_std"))
        curves[cell] = top_curve(x, validation, test, k, float(end))
    return means_over_seeds(run, curves)


def draw(page: Page, subject: Subject) -> str:
    """Draw a panel per (dataset, dim)."""
    k = subject.options.top
    if k < 1:
        raise InputError(f"top: {k} is not a number of architectures, which is 1 or more.")
    means = top_curves(subject.run, k)
    panels, notes = list(subject.panels()), []
    for (dataset, dim), ax in zip(panels, page.time_panels(len(panels)), strict=True):
        notes += draw_lines(ax, of_panel(means, dataset, dim), subject.looks, not subject.options.linear)
        titled(ax, panel_title(dataset, dim))
        ax.set(xlabel=clock_named("search").label, ylabel=ERROR)
    page.legend_of(subject.looks, set(means["searcher"]))
    good = set(cell_table(subject.run).query("problem.isna()")["cell"])
    stored = found_at(subject.run)
    counts = stored[stored["cell"].isin(good)].groupby("cell").size()
    how_many = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    return sentences(
        f"Mean test RMSE of the {k} architectures with the least validation RMSE after retraining, among those found "
        f"so far that were scored (incumbents at a few times and the best trials: {how_many} a cell); of all where "
        "there are fewer.",
        f"The clock includes {clock_named('search').includes}.",
        f"Mean over {seeds_in_words(means['seeds'])}.",
        bands_in_words(means, means["seeds"]),
        "Thin: not all seeds have a result yet." if (means["n"] < means["seeds"]).any() else "",
        machines_in_words(subject.run),
        *notes,
        problems_in_words(subject.run),
    )
