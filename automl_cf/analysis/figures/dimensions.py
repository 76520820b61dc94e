"""Test RMSE by embedding dimension and searcher: dots with intervals.

Dots, not bars: differences between searchers are a few percent of the error, so the axis cannot start at 0, and a bar's
length would then show a ratio that is none.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from automl_cf.analysis.figures.anytime import ERROR
from automl_cf.analysis.figures.dots import SEEDS, draw_dot, means_of, row_panels
from automl_cf.analysis.figures.lines import few_ticks
from automl_cf.analysis.figures.page import Page, nothing_here, tick_names, titled
from automl_cf.analysis.figures.subject import (
    Subject,
    interval_in_words,
    problems_in_words,
    seeds_in_words,
    sentences,
)
from automl_cf.analysis.styles import REFERENCE, Style
from automl_cf.analysis.tables import cell_table


def draw(page: Page, subject: Subject) -> str:
    """Draw a panel per data set: dimensions side by side, or of one dimension a row per searcher."""
    cells = cell_table(subject.run)
    means = means_of(cells, "rmse_std")
    dims = {
        dataset: sorted({dim for name, dim in subject.panels() if name == dataset}) for dataset, _ in subject.panels()
    }
    of_one = all(len(known) == 1 for known in dims.values())
    if of_one:
        for ax, rows in row_panels(page, subject, cells, "rmse_std", ERROR):
            for level in rows.loc[rows["searcher"] == REFERENCE, "mean"]:
                ax.axvline(level, **subject.looks[REFERENCE].line, linewidth=0.7, zorder=1.5)
    else:
        axes = page.panels(len(dims), 2.2, 2 if page.is_wide else 1)
        for (dataset, known), ax in zip(dims.items(), axes, strict=True):
            titled(ax, dataset)
            of_dataset = means[means["dataset"] == dataset]
            if of_dataset.empty:
                nothing_here(ax, "no finished cell with a result")
                continue
            _draw_dims(ax, of_dataset, cells[cells["dataset"] == dataset], known, subject.looks)
            ax.set(xlabel="embedding dimension", ylabel=ERROR)
        page.legend_of(subject.looks, set(means["searcher"]))
    level = f"Dashed: {REFERENCE}." if of_one and REFERENCE in set(means["searcher"]) else ""
    return sentences(
        f"Mean over {seeds_in_words(means['n'])}.",
        interval_in_words(means["n"]),
        "Small dots: seeds.",
        level,
        "The error axis does not start at 0.",
        problems_in_words(subject.run),
    )


def _draw_dims(ax: Axes, means: pd.DataFrame, cells: pd.DataFrame, dims: list[int], looks: Mapping[str, Style]) -> None:
    """Draw a data set's searchers side by side at each dimension, each joined by a thin line."""
    order = means.groupby("searcher")["mean"].mean().sort_values(kind="stable").index
    offsets = dict(zip(order, np.linspace(-0.36, 0.36, len(order)) if len(order) > 1 else [0.0], strict=True))
    for searcher, offset in offsets.items():
        look, own = looks[searcher], means[means["searcher"] == searcher].sort_values("dim")
        places = [dims.index(dim) + offset for dim in own["dim"]]
        ax.plot(places, own["mean"], **look.line, linewidth=0.6, alpha=0.7)
        for place, row in zip(places, own.to_dict("records"), strict=True):
            seeds = cells.loc[(cells["searcher"] == searcher) & (cells["dim"] == row["dim"]), "rmse_std"].dropna()
            ax.plot([place] * len(seeds), seeds, color=look.color, **SEEDS)
            draw_dot(ax, place, row["mean"], row["low"], row["high"], look.color, look.marker, upright=True)
    tick_names(ax, "x", list(map(str, dims)))
    ax.set_xlim(-0.5, len(dims) - 0.5)
    ax.grid(axis="x", visible=False)
    few_ticks(ax)
    sns.despine(ax=ax)
