"""The headline figure: test error of the deliverable against time, a line and a band per searcher."""

from pathlib import Path

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from automl_cf.analysis.curves import clock_named, mean_curves
from automl_cf.analysis.figures.lines import Pen, draw_lines
from automl_cf.analysis.figures.page import REPRODUCIBLE, Page, save_figure, titled, wrapped
from automl_cf.analysis.figures.subject import (
    MANY,
    Subject,
    machines_in_words,
    of_panel,
    panel_title,
    problems_in_words,
    seeds_in_words,
    sentences,
)
from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.styles import REFERENCE, Style, styles

ERROR = "test RMSE / std of all ratings"

_PANEL_WIDTH, _PANEL_HEIGHT, _LEGEND_WIDTH = 5.2, 3.6, 1.9  # inches
_LEGEND_LINES = 20
_CAPTION_SIZE = 8  # points
_LINE_HEIGHT = 1.35 * _CAPTION_SIZE / 72  # inches
_REPORT = Pen(line=1.8, thin=0.8, edge=0.5, marker=5, reference=9)


def draw(page: Page, subject: Subject) -> str:
    """Draw test rmse_std by a clock, a panel per (dataset, dim); see `draw_curve`."""
    means = mean_curves(subject.run, subject.clock)
    panels = list(subject.panels())
    notes = []
    for (dataset, dim), ax in zip(panels, page.time_panels(len(panels)), strict=True):
        notes += draw_lines(ax, of_panel(means, dataset, dim), subject.looks, not subject.options.linear)
        titled(ax, panel_title(dataset, dim))
        ax.set(xlabel=clock_named(subject.clock).label, ylabel=ERROR)
    page.legend_of(subject.looks, set(means["searcher"]))
    return sentences(_caption(subject.run, subject.clock, means), machines_in_words(subject.run), *notes)


def draw_curve(run: Run, path_stem: str | Path, clock: str = "deliverable", log_time: bool = True) -> tuple[Path, ...]:
    """Draw test rmse_std by a clock of `curves.CLOCKS`; return the files, ``path_stem`` with .svg and .png.

    One panel per (dataset, dim): for each searcher the mean over seeds with its 95% t-interval, and
    `styles.REFERENCE` as a level. It is as large as a screen has room for, its legend beside the panels. Raises
    InputError for an unknown clock or if a file cannot be written.
    """
    label = clock_named(clock).label
    means = mean_curves(run, clock)
    looks = styles(run.cells["searcher"])
    rows = [list(groups(cells, "dataset", "dim")) for _, cells in groups(run.cells, "dataset")]
    columns = max(map(len, rows))
    with mpl.rc_context(REPRODUCIBLE), sns.axes_style("whitegrid"), sns.plotting_context("paper"):
        height = _PANEL_HEIGHT * (1.4 if len(looks) > MANY else 1)
        width = _PANEL_WIDTH * columns + _LEGEND_WIDTH * _legend_columns(looks)
        figure = Figure(figsize=(width, height * len(rows)))
        FigureCanvasAgg(figure)
        notes = []
        for row, axes in zip(rows, figure.subplots(len(rows), columns, squeeze=False), strict=True):
            for ax in axes[len(row) :]:
                ax.set_axis_off()
            for (dataset, dim, _), ax in zip(row, axes, strict=False):
                notes += draw_lines(ax, of_panel(means, dataset, dim), looks, log_time, _REPORT)
                titled(ax, panel_title(dataset, dim))
                ax.set_xlabel(label)
            axes[0].set_ylabel(ERROR)
        _add_legend(figure, looks)
        _add_caption(figure, sentences(_caption(run, clock, means), *notes))
        return save_figure(figure, Path(path_stem))


def _legend_columns(looks: dict[str, Style]) -> int:
    return -(-len(looks) // _LEGEND_LINES)


def _add_legend(figure: Figure, looks: dict[str, Style]) -> None:
    names = sorted(looks, key=lambda name: (name == REFERENCE, name))
    handles = [
        Line2D([], [], **look.line, marker=look.marker, markersize=_REPORT.marker, linewidth=_REPORT.line)
        for look in map(looks.__getitem__, names)
    ]
    columns = _legend_columns(looks)
    legend = figure.legend(handles, names, loc="outside right upper", frameon=False, handlelength=3.2, ncols=columns)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _caption(run: Run, clock: str, means: pd.DataFrame) -> str:
    counts = set(means["seeds"])
    most = max(counts, default=0)
    many = int(means.groupby(["dataset", "dim"])["searcher"].nunique().max() if len(means) else 0) > MANY
    remarks = {
        f"The clock includes {clock_named(clock).includes}.": True,
        f"Mean over {seeds_in_words(counts)}.": most > 1,
        "1 seed: no band.": min(counts, default=0) == 1,
        "Band of 2 seeds: their range.": 2 in counts and not many,
        "Band: 95% t-interval.": most > 2 and not many,
        f"No bands, for more than {MANY} searchers.": most > 1 and many,
        "Thin: not all seeds have a result yet.": (means["n"] < means["seeds"]).any(),
    }
    return sentences(*(remark for remark, applies in remarks.items() if applies), problems_in_words(run, clock))


def _add_caption(figure: Figure, caption: str) -> None:
    """Write the caption below the axes, on a strip added for it."""
    width, height = figure.get_size_inches()
    lines = wrapped(figure, caption, width - 0.3, _CAPTION_SIZE)
    strip = _LINE_HEIGHT * (len(lines) + 1)
    share = strip / (height + strip)
    figure.set_size_inches(width, height + strip)
    figure.set_layout_engine("constrained", rect=(0, share, 1, 1 - share))
    figure.text(
        0.012,
        share * (1 - 0.4 / (len(lines) + 1)),
        "\n".join(lines),
        fontsize=_CAPTION_SIZE,
        color="0.3",
        va="top",
        linespacing=1.35,
        parse_math=False,
    )
