"""Test minus validation RMSE of each searcher's final architectures: by how much validation was too hopeful."""

from automl_cf.analysis.figures.dots import means_of, row_panels
from automl_cf.analysis.figures.page import Page
from automl_cf.analysis.figures.subject import (
    Subject,
    interval_in_words,
    problems_in_words,
    seeds_in_words,
    sentences,
)
from automl_cf.analysis.tables import cell_table


def draw(page: Page, subject: Subject) -> str:
    """Draw a panel per (dataset, dim) with a row per searcher, and a line at 0."""
    cells = cell_table(subject.run)
    for ax, _ in row_panels(page, subject, cells, "optimism", "test - validation RMSE / std of all ratings"):
        ax.axvline(0, color="0.2", linewidth=0.8, zorder=1.5)
    counts = means_of(cells, "optimism")["n"]
    return sentences(
        "Of the final architecture after retraining; above 0 validation was too hopeful.",
        f"Mean over {seeds_in_words(counts)}.",
        interval_in_words(counts),
        "Small dots: seeds.",
        problems_in_words(subject.run),
    )
