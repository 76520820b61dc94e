"""A dot with an interval for each searcher, one below the other, with its seeds as small dots."""

from collections.abc import Iterator
from typing import Any

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from automl_cf.analysis.figures.lines import few_ticks
from automl_cf.analysis.figures.page import EDGE, LINE, MARKER, Page, nothing_here, tick_names, titled
from automl_cf.analysis.figures.subject import Subject, of_panel, panel_title
from automl_cf.analysis.run import groups
from automl_cf.analysis.statistics import t_interval

SEEDS: dict[str, Any] = {"alpha": 0.4, "markersize": 1.8, "linestyle": "none", "marker": "o", "markeredgewidth": 0}
ROW, AROUND = 0.145, 0.62
"""Inches of a searcher's row, and of what is above and below the rows."""


def means_of(cells: pd.DataFrame, value: str) -> pd.DataFrame:
    """Return the mean of a column over seeds with its interval, for rows of `tables.cell_table`.

    One row per (dataset, dim, searcher) with a result, the least mean first: ``mean``, ``low``, ``high``, ``n``.
    """
    rows = []
    for dataset, dim, searcher, of_it in groups(cells.dropna(subset=value), "dataset", "dim", "searcher"):
        interval = t_interval(of_it[value].to_numpy())._asdict()
        rows.append(
            {"dataset": dataset, "dim": dim, "searcher": searcher, **{k: v.item() for k, v in interval.items()}}
        )
    columns = ["dataset", "dim", "searcher", "mean", "low", "high", "n"]
    return pd.DataFrame(rows, columns=columns).sort_values(["dataset", "dim", "mean", "searcher"], ignore_index=True)


def row_panels(
    page: Page, subject: Subject, cells: pd.DataFrame, value: str, label: str
) -> Iterator[tuple[Axes, pd.DataFrame]]:
    """Draw a panel per (dataset, dim) with a row per searcher; yield each that has any, with its rows of `means_of`."""
    means, panels = means_of(cells, value), list(subject.panels())
    most = max(len(of_panel(means, dataset, dim)) for dataset, dim in panels)
    axes = page.panels(len(panels), most * ROW + AROUND, 2 if page.is_wide else 1)
    for (dataset, dim), ax in zip(panels, axes, strict=True):
        rows = of_panel(means, dataset, dim)
        titled(ax, panel_title(dataset, dim))
        if rows.empty:
            nothing_here(ax, "no finished cell with a result")
            continue
        _draw_rows(ax, rows, of_panel(cells, dataset, dim), value, subject)
        ax.set_xlabel(label)
        yield ax, rows


def _draw_rows(ax: Axes, means: pd.DataFrame, cells: pd.DataFrame, value: str, subject: Subject) -> None:
    """Draw `means_of` one (dataset, dim) as rows, the first at the top, and their cells' values beside them."""
    for place, row in enumerate(means.to_dict("records")):
        look = subject.looks[row["searcher"]]
        seeds = cells.loc[cells["searcher"] == row["searcher"], value].dropna()
        ax.plot(seeds, [place + 0.28] * len(seeds), color=look.color, **SEEDS)
        draw_dot(ax, row["mean"], place, row["low"], row["high"], look.color, look.marker)
    tick_names(ax, "y", list(means["searcher"]))
    ax.set_ylim(len(means) - 0.4, -0.6)
    few_ticks(ax, "x", 6)
    ax.grid(axis="y", visible=False)
    sns.despine(ax=ax, left=True)


def draw_dot(
    ax: Axes, x: float, y: float, low: float, high: float, color: str, marker: str, upright: bool = False
) -> None:
    """Draw a mean with its interval, if it has one, along x or, ``upright``, along y."""
    middle, ends = (y if upright else x), (low, high)
    error = None if pd.isna(low) else [[middle - ends[0]], [ends[1] - middle]]
    along: dict[str, Any] = {"yerr" if upright else "xerr": error}
    ax.errorbar(
        x,
        y,
        **along,
        color=color,
        marker=marker,
        markersize=MARKER,
        elinewidth=LINE * 0.8,
        capsize=1.5,
        capthick=EDGE * 2,
        linestyle="none",
        zorder=3,
    )
