"""Mean test RMSE of the top architectures found so far, by search time (Figure 5).

The paper retrains and tests the k best by validation of everything that was searched. A run here tests what its study's
``scoring`` chose beforehand: incumbents at a few times, and the best trials by validation. Among those found until a
moment, the mean is over the k with the least validation RMSE after retraining: test ratings choose nothing.
"""

import numpy as np
import pandas as pd

from automl_cf.analysis.curves import StepCurve, clock_named, mean_curve
from automl_cf.analysis.figures.anytime import ERROR
from automl_cf.analysis.figures.lines import draw_lines
from automl_cf.analysis.figures.page import Page, titled
from automl_cf.analysis.figures.subject import (
    MANY,
    Subject,
    interval_in_words,
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
    """Return `curves.mean_curve` of `top_curve` for each (dataset, dim, searcher), of finished cells."""
    scores, frames = dict(groups(found_at(run), "cell")), []
    for dataset, dim, panel in groups(run.cells[run.cells["state"] == "finished"], "dataset", "dim"):
        right = float(panel["search_seconds"].max())
        for searcher, cells in groups(panel, "searcher"):
            curves = []
            for cell, end in zip(cells["cell"], cells["search_seconds"], strict=True):
                if cell in scores:
                    columns = [scores[cell][name].to_numpy(float) for name in ("found", "validation", "rmse_std")]
                    curves.append(top_curve(columns[0], columns[1], columns[2], k, float(end)))
            if curves:
                mean = mean_curve(curves, max([right, *(curve.end for curve in curves)]))
                frames.append(mean.assign(dataset=dataset, dim=dim, searcher=searcher, seeds=len(curves)))
    return pd.concat(frames, ignore_index=True)


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
    many = means.groupby(["dataset", "dim"])["searcher"].nunique().max() > MANY
    return sentences(
        f"Mean test RMSE of the {k} architectures with the least validation RMSE after retraining, among those found "
        f"so far that were scored (incumbents at a few times and the best trials: {how_many} a cell); of all where "
        "there are fewer.",
        f"The clock includes {clock_named('search').includes}.",
        f"Mean over {seeds_in_words(means['seeds'])}.",
        interval_in_words(means["seeds"], "Band") if not many else f"No bands, for more than {MANY} searchers.",
        "Thin: not all seeds have a result yet." if (means["n"] < means["seeds"]).any() else "",
        machines_in_words(subject.run),
        *notes,
        problems_in_words(subject.run),
    )
