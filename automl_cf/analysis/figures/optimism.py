"""Test minus validation RMSE of each searcher's final architectures: by how much validation was too hopeful."""

from automl_cf.analysis.figures.dots import AROUND, ROW, draw_rows, means_of
from automl_cf.analysis.figures.page import Page, nothing_here, titled
from automl_cf.analysis.figures.subject import (
    Subject,
    interval_in_words,
    of_panel,
    panel_title,
    problems_in_words,
    seeds_in_words,
    sentences,
)
from automl_cf.analysis.tables import cell_table


def draw(page: Page, subject: Subject) -> str:
    """Draw a panel per (dataset, dim) with a row per searcher, and a line at 0."""
    cells = cell_table(subject.run)
    means = means_of(cells, "optimism")
    panels = list(subject.panels())
    most = max(len(of_panel(means, dataset, dim)) for dataset, dim in panels)
    axes = page.panels(len(panels), most * ROW + AROUND, 2 if page.is_wide else 1)
    for (dataset, dim), ax in zip(panels, axes, strict=True):
        rows = of_panel(means, dataset, dim)
        titled(ax, panel_title(dataset, dim))
        if rows.empty:
            nothing_here(ax, "no finished cell with a result")
            continue
        ax.axvline(0, color="0.2", linewidth=0.8, zorder=1.5)
        draw_rows(ax, rows, of_panel(cells, dataset, dim), "optimism", subject)
        ax.set_xlabel("test - validation RMSE / std of all ratings")
    return sentences(
        "Of the final architecture after retraining; above 0 validation was too hopeful.",
        f"Mean over {seeds_in_words(means['n'])}.",
        interval_in_words(means["n"]),
        "Small dots: seeds.",
        problems_in_words(subject.run),
    )
