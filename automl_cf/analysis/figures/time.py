"""What each searcher's seconds were spent on: stacked bars, which start at 0."""

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.patches import Patch

from automl_cf.analysis.figures.dots import AROUND
from automl_cf.analysis.figures.lines import few_ticks
from automl_cf.analysis.figures.page import Page, nothing_here, tick_names, titled
from automl_cf.analysis.figures.subject import (
    Subject,
    interval_in_words,
    machines_in_words,
    of_panel,
    panel_title,
    problems_in_words,
    seeds_in_words,
    sentences,
)
from automl_cf.analysis.run import groups
from automl_cf.analysis.statistics import t_interval
from automl_cf.events import CLOCK_KINDS, SEARCH_KINDS

_ROW = 0.165  # inches

# Neighbours differ in grey, too, and every other one has a hatch.
_LOOKS = {
    "setup": ("0.25", ""),
    "think": ("#d55e00", ""),
    "train": ("#a6cee3", "////"),
    "validate": ("#0173b2", ""),
    "retrain": ("#ece133", "...."),
    "store": ("white", "xxxx"),
    "queue": ("0.8", ""),
}


def draw(page: Page, subject: Subject) -> str:
    """Draw a panel per (dataset, dim) with a bar per searcher: the mean over its finished cells, by kind."""
    finished = subject.run.cells[subject.run.cells["state"] == "finished"]
    panels = list(subject.panels())
    most = max(of_panel(finished, dataset, dim)["searcher"].nunique() for dataset, dim in panels)
    counts: list[int] = []
    spent = [kind for kind in CLOCK_KINDS if finished[kind].sum() > 0]
    axes = page.panels(len(panels), most * _ROW + AROUND, 2 if page.is_wide else 1)
    for (dataset, dim), ax in zip(panels, axes, strict=True):
        titled(ax, panel_title(dataset, dim))
        cells = of_panel(finished, dataset, dim)
        if cells.empty:
            nothing_here(ax, "no finished cell")
            continue
        counts += _draw_bars(ax, cells, spent)
        ax.set_xlabel("seconds")
    page.legend([Patch(facecolor=_LOOKS[k][0], hatch=_LOOKS[k][1], edgecolor="0.25", lw=0.4) for k in spent], spent)
    return sentences(
        f"Mean of {seeds_in_words(counts)}, finished cells only.",
        interval_in_words(counts, "Line at a bar's end"),
        f"Search is {', '.join(SEARCH_KINDS)}; retraining takes in all architectures that were scored.",
        machines_in_words(subject.run),
        problems_in_words(subject.run),
    )


def _draw_bars(ax: Axes, cells: pd.DataFrame, kinds: list[str]) -> list[int]:
    """Draw the bars, the longest at the bottom, and return of how many seeds each is."""
    means = {searcher: own[kinds].mean() for searcher, own in groups(cells, "searcher")}
    order = sorted(means, key=lambda name: (float(means[name].sum()), name))
    start = np.zeros(len(order))
    for kind in kinds:
        length = np.array([means[name][kind] for name in order])
        color, hatch = _LOOKS[kind]
        ax.barh(range(len(order)), length, 0.72, start, color=color, hatch=hatch, edgecolor="0.25", linewidth=0.4)
        start += length
    counts = []
    for place, name in enumerate(order):
        totals = cells.loc[cells["searcher"] == name, kinds].sum(axis=1).to_numpy()
        _, low, high, n = t_interval(totals)
        counts.append(int(n))
        if n > 1:
            ax.plot([low, high], [place, place], color="black", linewidth=0.8)
    tick_names(ax, "y", order)
    ax.set(ylim=(len(order) - 0.4, -0.6), xlim=(0, None))
    few_ticks(ax, "x")
    ax.grid(axis="y", visible=False)
    sns.despine(ax=ax, left=True)
    return counts
