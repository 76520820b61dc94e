"""The headline figure: test error of the deliverable against time, a line and a band per searcher."""

from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple

import matplotlib as mpl
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter

from automl_cf.analysis.curves import clock_named, mean_curves
from automl_cf.analysis.output import whole_file
from automl_cf.analysis.run import Run, groups
from automl_cf.analysis.styles import REFERENCE, Style, styles
from automl_cf.analysis.tables import cell_table

_PANEL_WIDTH, _PANEL_HEIGHT, _LEGEND_WIDTH = 5.2, 3.6, 1.9  # inches
_MANY = 12  # searchers: more get a taller figure without bands, which would hide the lines
_LEGEND_LINES = 20
_CAPTION_SIZE = 8  # points
_LINE_HEIGHT = 1.35 * _CAPTION_SIZE / 72  # inches
_CHARACTERS_PER_INCH = 15.5

# The same run gives the same file: no date, and identifiers that are not random.
REPRODUCIBLE: dict[Any, Any] = {"svg.hashsalt": "automl-cf"}
_METADATA: dict[str, dict[str, Any]] = {"svg": {"Date": None}, "png": {"Software": None}}


class View(NamedTuple):
    """The part of the error axis that is drawn, and whether it leaves out parts of curves."""

    low: float
    high: float
    cut: bool


def draw_curve(run: Run, path_stem: str | Path, clock: str = "deliverable", log_time: bool = True) -> tuple[Path, Path]:
    """Draw test rmse_std by a clock of `curves.CLOCKS`; return the files, ``path_stem`` with .svg and .png.

    One panel per (dataset, dim): for each searcher the mean over seeds with its 95% t-interval, and
    `styles.REFERENCE` as a level. Raises InputError for an unknown clock or if a file cannot be written.
    """
    label = clock_named(clock).label
    means = mean_curves(run, clock)
    looks = styles(run.cells["searcher"])
    rows = [list(groups(cells, "dataset", "dim")) for _, cells in groups(run.cells, "dataset")]
    columns = max(map(len, rows))
    with mpl.rc_context(REPRODUCIBLE), sns.axes_style("whitegrid"), sns.plotting_context("paper"):
        height = _PANEL_HEIGHT * (1.4 if len(looks) > _MANY else 1)
        width = _PANEL_WIDTH * columns + _LEGEND_WIDTH * _legend_columns(looks)
        figure = Figure(figsize=(width, height * len(rows)))
        FigureCanvasAgg(figure)
        notes = []
        for row, axes in zip(rows, figure.subplots(len(rows), columns, squeeze=False), strict=True):
            for ax in axes[len(row) :]:
                ax.set_axis_off()
            for (dataset, dim, _), ax in zip(row, axes, strict=False):
                panel = means[(means["dataset"] == dataset) & (means["dim"] == dim)]
                notes += _draw_panel(ax, panel, looks, log_time)
                ax.set_title(f"{dataset}, dimension {dim}", parse_math=False)
                ax.set_xlabel(label)
            axes[0].set_ylabel("test RMSE / std of all ratings")
        _add_legend(figure, looks)
        _add_caption(figure, " ".join([_caption(run, clock, means), *notes]))
        return save_figure(figure, Path(path_stem))


def _draw_panel(ax: Axes, panel: pd.DataFrame, looks: dict[str, Style], log_time: bool) -> list[str]:
    """Draw the curves of one (dataset, dim) and return what the caption must say of them."""
    if panel.empty:
        ax.text(0.5, 0.5, "no finished cell with a result", ha="center", va="center", transform=ax.transAxes)
        ax.set(xticks=[], yticks=[])
        return []
    positive = panel.loc[panel["x"] > 0, "x"]
    left = 0.8 * float(positive.min()) if log_time and len(positive) else 0.0
    right = float(panel["x"].max())
    edge = (1.15 if left else 1.04) * right or 1.0
    ax.set(xscale="log" if left else "linear", xlim=(left, edge))
    if left:
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if edge < 100 * left else (1,)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(EngFormatter(sep="") if right >= 1e5 else StrMethodFormatter("{x:g}"))
    curves = list(groups(panel, "searcher"))
    view = _view(panel, all_of_it=len(curves) <= _MANY)
    ax.set_ylim(view.low, view.high)
    for position, (searcher, curve) in enumerate(curves):
        # What is there from the start, at 0, begins at the left edge of a logarithmic axis; and what is
        # delivered last is carried on to the right edge, to be seen.
        visible = pd.concat([curve.assign(x=curve["x"].clip(lower=left)), curve.tail(1).assign(x=edge)])
        if searcher == REFERENCE:
            _draw_reference(ax, visible, looks[searcher])
        else:
            if len(curves) <= _MANY:
                _draw_band(ax, visible, looks[searcher], opacity=min(0.15, 0.7 / len(curves)))
            _draw_line(ax, visible, looks[searcher], position)
    sns.despine(ax=ax)
    return [_cut_note(panel, view)] if view.cut else []


def _draw_band(ax: Axes, curve: pd.DataFrame, look: Style, opacity: float) -> None:
    """Draw the t-interval where all seeds have a result; of 2 the range: their interval would span all."""
    band = curve[curve["n"] == curve["seeds"]]
    seeds = band["seeds"].iloc[0]
    if seeds == 1:
        return
    low, high = (band["low"], band["high"]) if seeds > 2 else (band["least"], band["most"])
    ax.fill_between(band["x"], low, high, step="post", color=look.color, alpha=opacity, linewidth=0)
    for edge in (low, high):
        ax.plot(band["x"], edge, drawstyle="steps-post", color=look.color, alpha=0.35, linewidth=0.5)


def _draw_line(ax: Axes, curve: pd.DataFrame, look: Style, position: int) -> None:
    whole = int((curve["n"] == curve["seeds"]).to_numpy().argmax())  # from here on all seeds have a result
    early, late = curve[: whole + 1], curve[whole:]
    line = {**look.line, "drawstyle": "steps-post"}
    ax.plot(early["x"], early["mean"], linewidth=0.8, alpha=0.7, **line)
    # Markers begin at different places, so that they do not hide each other where lines run together.
    spacing = (0.03 * (position % 6), 0.18)
    ax.plot(late["x"], late["mean"], linewidth=1.8, marker=look.marker, markersize=5, markevery=spacing, **line)


def _draw_reference(ax: Axes, curve: pd.DataFrame, look: Style) -> None:
    """Draw where the reference ends as a level, and a tick at the time when all seeds have it."""
    level, done = curve["mean"].iloc[-1], curve.loc[curve["n"] == curve["seeds"], "x"].iloc[0]
    ax.axhline(level, **look.line, linewidth=1.2, zorder=1.5)
    ax.plot([done], [level], color=look.color, marker=look.marker, markersize=9, markeredgewidth=1.5)


def _view(panel: pd.DataFrame, all_of_it: bool = True) -> View:
    """Choose the error axis by where searchers end, so that bad starts and searchers do not flatten the rest.

    All is shown if that is wanted and takes at most 2.5 times the height.
    """
    ends = panel.groupby("searcher")["mean"].last()
    typical = float(ends.median())
    spread = float((ends - typical).abs().median())
    core = ends[ends <= typical + 5 * max(spread, 0.002)]
    low, high = float(core.min()), float(core.max())
    height = max(high - low, 0.01)
    bottom, top = low - 0.5 * height, high + height
    lowest, highest = float(panel["mean"].min()), float(panel["mean"].max())
    if all_of_it and highest - lowest <= 2.5 * (top - bottom):
        margin = max(0.15 * (highest - lowest), 0.003)
        return View(lowest - margin, highest + margin, cut=False)
    return View(bottom, top, cut=True)


def _cut_note(panel: pd.DataFrame, view: View) -> str:
    dataset, dim = panel["dataset"].iloc[0], panel["dim"].iloc[0]
    ends = panel.groupby("searcher")["mean"].last()
    above = "".join(f"; {name} is above, at {end:.3f}" for name, end in ends.items() if end > view.high)
    highest = panel["mean"].max()
    return f"{dataset}, dimension {dim}: cut at {view.high:.3f}, curves begin as high as {highest:.3f}{above}."


def _legend_columns(looks: dict[str, Style]) -> int:
    return -(-len(looks) // _LEGEND_LINES)


def _add_legend(figure: Figure, looks: dict[str, Style]) -> None:
    names = sorted(looks, key=lambda name: (name == REFERENCE, name))
    handles = [
        Line2D([], [], **look.line, marker=look.marker, markersize=5, linewidth=1.8)
        for look in map(looks.__getitem__, names)
    ]
    columns = _legend_columns(looks)
    legend = figure.legend(handles, names, loc="outside right upper", frameon=False, handlelength=3.2, ncols=columns)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _caption(run: Run, clock: str, means: pd.DataFrame) -> str:
    counts = set(means["seeds"])
    fewest, most = min(counts, default=0), max(counts, default=0)
    many = int(means.groupby(["dataset", "dim"])["searcher"].nunique().max() if len(means) else 0) > _MANY
    left_out = cell_table(run).dropna(subset="problem")
    named = ", ".join(f"{row['cell']} ({row['problem']:.60})" for row in left_out.to_dict("records"))
    remarks = {
        f"The clock includes {clock_named(clock).includes}.": True,
        f"Mean over {most if fewest == most else f'{fewest} to {most}'} seeds.": most > 1,
        "1 seed: no band.": fewest == 1,
        "Band of 2 seeds: their range.": 2 in counts and not many,
        "Band: 95% t-interval.": most > 2 and not many,
        f"No bands, for more than {_MANY} searchers.": most > 1 and many,
        "Thin: not all seeds have a result yet.": (means["n"] < means["seeds"]).any(),
        f"Left out: {named}.": 0 < len(left_out) <= 3,
        f"Left out: {len(left_out)} cells without a result.": len(left_out) > 3,
    }
    return " ".join(remark for remark, applies in remarks.items() if applies)


def _add_caption(figure: Figure, caption: str) -> None:
    """Write the caption below the axes, on a strip added for it."""
    width, height = figure.get_size_inches()
    lines = wrap(caption, int(width * _CHARACTERS_PER_INCH))
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


def save_figure(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write a figure as ``stem`` with .svg and .png: the same files again if it was drawn under `REPRODUCIBLE`."""
    svg, png = (stem.with_name(f"{stem.name}.{form}") for form in ("svg", "png"))
    for target in (svg, png):
        form = target.suffix[1:]
        with whole_file(target) as path:
            figure.savefig(path, format=form, dpi=160, metadata=_METADATA[form])
    return svg, png
