"""The share of a searcher's cells and thresholds that were reached, by time: an empirical distribution of times."""

import pandas as pd

from automl_cf.analysis.curves import clock_named
from automl_cf.analysis.figures.lines import View, draw_lines, few_ticks
from automl_cf.analysis.figures.page import Page, titled
from automl_cf.analysis.figures.subject import (
    Subject,
    machines_in_words,
    of_panel,
    panel_title,
    problems_in_words,
    sentences,
)
from automl_cf.analysis.figures.targets import thresholds_in_words, times
from automl_cf.analysis.run import groups
from automl_cf.analysis.thresholds import reached_shares


def draw(page: Page, subject: Subject) -> str:
    """Draw a panel per (dataset, dim) that has thresholds, up to its horizon."""
    reached = times(subject)
    shares = reached_shares(reached)
    ends = reached.groupby(["dataset", "dim"])["horizon"].first()
    frames = []
    for dataset, dim, searcher, own in groups(shares, "dataset", "dim", "searcher"):
        last = own.tail(1).assign(x=max(float(ends[dataset, dim]), float(own["x"].max())))
        frames.append(pd.concat([own, last]).assign(dataset=dataset, dim=dim, searcher=searcher))
    lines = pd.concat(frames, ignore_index=True).assign(n=1, seeds=1).rename(columns={"share": "mean"})
    panels = [(dataset, dim) for dataset, dim in subject.panels() if (dataset, dim) in ends.index]
    for (dataset, dim), ax in zip(panels, page.time_panels(len(panels)), strict=True):
        view = View(-0.03, 1.03, cut=False)
        own = of_panel(lines, dataset, dim)
        draw_lines(ax, own, subject.looks, not subject.options.linear, view=view, level=False)
        few_ticks(ax)
        titled(ax, panel_title(dataset, dim))
        ax.set(xlabel=clock_named(subject.clock).label, ylabel="share of thresholds reached")
    page.legend_of(subject.looks, set(lines["searcher"]))
    pairs, unseen = shares["pairs"], shares.drop_duplicates(["dataset", "dim", "searcher"])["unseen"].sum()
    number = f"{pairs.min()}" if pairs.min() == pairs.max() else f"{pairs.min()} to {pairs.max()}"
    return sentences(
        f"Of {number} pairs of a cell and a threshold per searcher, up to the budget common to all; no intervals.",
        f"{unseen} pairs were not observed up to it and count as not reached." if unseen else "",
        thresholds_in_words(subject),
        machines_in_words(subject.run),
        problems_in_words(subject.run, subject.clock),
    )
