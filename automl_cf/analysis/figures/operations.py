"""Which operation each searcher chose, in how many seeds: a table of counts, darker where more (Figure 6a)."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes

from automl_cf.analysis.figures.page import Page, nothing_here, tick_names, titled
from automl_cf.analysis.figures.subject import (
    Subject,
    listed,
    of_panel,
    panel_title,
    problems_in_words,
    seeds_in_words,
    sentences,
)
from automl_cf.analysis.tables import cell_table
from automl_cf.errors import InputError

_ROW, _LETTER = 0.17, 0.065  # inches
_MOST_COLUMNS = 12  # of searchers: there is always room for rows


def draw(page: Page, subject: Subject) -> str:
    """Draw a panel per (dataset, dim): operations as rows, searchers as columns, or if these are more, turned round."""
    cells = cell_table(subject.run)
    cells = cells[cells["problem"].isna()]
    cells = cells.assign(choice=cells["architecture"].map(choice))
    panels = list(subject.panels())
    none = [f"{name} ({count})" for name, count in cells[cells["choice"].isna()].groupby("searcher").size().items()]
    cells = cells.dropna(subset="choice")
    if cells.empty:
        raise InputError("operations: no final architecture of these runs has an operation: there is nothing to draw.")
    tables = [counts_of(of_panel(cells, dataset, dim)) for dataset, dim in panels]
    if max(len(table.columns) for table in tables) > max(_MOST_COLUMNS, *(len(table) for table in tables)):
        tables = [table.T for table in tables]
    names = max((len(str(name)) for table in tables for name in table.columns), default=1)
    rows = max(len(table) for table in tables)
    columns, labels = (
        max(len(table.columns) for table in tables),
        max(len(str(name)) for table in tables for name in table.index),
    )
    upright = (page.width.inches - _LETTER * labels - 0.3) / max(columns, 1) < _LETTER * names
    height = max(rows, 1) * _ROW + 0.4 + (_LETTER * names if upright else 0.1)
    for (dataset, dim), table, ax in zip(panels, tables, page.panels(len(panels), height, 1), strict=True):
        titled(ax, panel_title(dataset, dim))
        if table.empty:
            nothing_here(ax, "no finished cell that chose an operation")
        else:
            most = of_panel(cells, dataset, dim).groupby("searcher").size().max()
            _draw_counts(ax, table, int(most), upright)
    seeds = cells.groupby(["dataset", "dim", "searcher"]).size()
    return sentences(
        f"Numbers: of how many seeds the final architecture has the operation, of {seeds_in_words(seeds)} in all.",
        f"Cells without an operation: {listed(none)}." if none else "",
        problems_in_words(subject.run),
    )


def choice(architecture: Mapping[str, Any]) -> str | None:
    """Return an architecture's operation, or several that are used together as "max + plus"; None if it has none."""
    value = architecture.get("operation", architecture.get("operations"))
    if value is None:
        return None
    return " + ".join(sorted(map(str, value))) if isinstance(value, list | tuple) else str(value)


def counts_of(cells: pd.DataFrame) -> pd.DataFrame:
    """Return how often each ``choice`` (rows, the most frequent first) is of each searcher's cells (columns)."""
    counts = Counter(zip(cells["choice"], cells["searcher"], strict=True))
    total = Counter(cells["choice"])
    rows = sorted(total, key=lambda name: (-total[name], name))
    columns = sorted(set(cells["searcher"]))
    return pd.DataFrame([[counts[row, column] for column in columns] for row in rows], rows, columns, dtype="int64")


def _draw_counts(ax: Axes, table: pd.DataFrame, most: int, upright: bool) -> None:
    """Draw counts as squares, as dark as their share of the most seeds that any searcher has."""
    values = table.to_numpy()
    palette = sns.light_palette("#01496f", as_cmap=True)
    across, down = (np.arange(size + 1) - 0.5 for size in values.T.shape)
    shown = np.ma.masked_equal(values, 0)
    ax.pcolormesh(across, down, shown, cmap=palette, vmin=0, vmax=most, edgecolors="white", linewidth=0.8)
    for (row, column), count in np.ndenumerate(values):
        if count:
            color = "white" if count > 0.55 * most else "0.1"
            ax.text(column, row, str(count), ha="center", va="center", color=color)
    tick_names(ax, "y", [str(name) for name in table.index])
    tick_names(ax, "x", [str(name) for name in table.columns], upright)
    ax.set(xlim=(-0.5, len(table.columns) - 0.5), ylim=(len(table) - 0.5, -0.5))
    ax.grid(visible=False)
