"""Lines and bands of searchers over time, as several kinds of figures draw them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter, LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from automl_cf.analysis.figures.page import EDGE, LINE, MARKER, THIN, nothing_here
from automl_cf.analysis.figures.subject import MANY
from automl_cf.analysis.run import groups
from automl_cf.analysis.styles import REFERENCE, Style


class Pen(NamedTuple):
    """Widths of lines, of what is less certain and of a band's edges, and sizes of markers, in points."""

    line: float = LINE
    thin: float = THIN
    edge: float = EDGE
    marker: float = MARKER
    reference: float = 5.0


class View(NamedTuple):
    """The part of the error axis that is drawn, and whether it leaves out parts of curves."""

    low: float
    high: float
    cut: bool


def draw_lines(
    ax: Axes,
    panel: pd.DataFrame,
    looks: Mapping[str, Style],
    log_time: bool = True,
    pen: Pen | None = None,
    view: View | None = None,
    level: bool = True,
) -> list[str]:
    """Draw the step functions of one (dataset, dim) and return what the caption must say of them.

    ``panel`` has the columns of `curves.mean_curves`. `styles.REFERENCE` is drawn as a level if ``level``. The part of
    the vertical axis is ``view``, or else `view_of` the means.
    """
    pen = pen or Pen()
    if panel.empty:
        nothing_here(ax, "no finished cell with a result")
        return []
    left, edge = time_axis(ax, panel["x"], log_time)
    curves = list(groups(panel, "searcher"))
    part = view or view_of(panel, all_of_it=len(curves) <= MANY)
    ax.set_ylim(part.low, part.high)
    for position, (searcher, curve) in enumerate(curves):
        # What is there from the start, at 0, begins at the left edge of a logarithmic axis; and what is
        # delivered last is carried on to the right edge, to be seen.
        visible = pd.concat([curve.assign(x=curve["x"].clip(lower=left)), curve.tail(1).assign(x=edge)])
        if searcher == REFERENCE and level:
            _draw_reference(ax, visible, looks[searcher], pen)
        else:
            if len(curves) <= MANY:
                draw_band(ax, visible, looks[searcher], opacity=min(0.15, 0.7 / len(curves)), pen=pen)
            _draw_line(ax, visible, looks[searcher], position, pen)
    sns.despine(ax=ax)
    return [_cut_note(panel, part)] if part.cut else []


def time_axis(ax: Axes, x: "pd.Series[float]", log_time: bool) -> tuple[float, float]:
    """Set the axis of time, or another amount, for such values; return its ends. It is linear where all are 0."""
    positive = x[x > 0]
    left = 0.8 * float(positive.min()) if log_time and len(positive) else 0.0
    right = float(x.max())
    edge = (1.15 if left else 1.04) * right or 1.0
    ax.set(xscale="log" if left else "linear", xlim=(left, edge))
    if left:
        narrow = ax.figure.bbox.width < 5 * ax.figure.dpi and edge >= 30 * left
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if edge < 100 * left and not narrow else (1,)))
        ax.xaxis.set_minor_formatter(NullFormatter())
    ax.xaxis.set_major_formatter(EngFormatter(sep="") if right >= 1e5 else StrMethodFormatter("{x:g}"))
    return left, edge


def draw_band(ax: Axes, curve: pd.DataFrame, look: Style, opacity: float, pen: Pen, steps: bool = True) -> None:
    """Draw the t-interval where all seeds have a result; of 2 the range: their interval would span all.

    Where the mean itself is out of view it would only hide the others, and is left out.
    """
    band = curve[curve["n"] == curve["seeds"]]
    if band.empty or band["seeds"].iloc[0] == 1:
        return
    bottom, top = ax.get_ylim()
    seen = band["mean"].between(bottom, top)
    low, high = (band["low"], band["high"]) if band["seeds"].iloc[0] > 2 else (band["least"], band["most"])
    how: Any = "post" if steps else None
    ax.fill_between(band["x"], low, high, where=seen, step=how, color=look.color, alpha=opacity, linewidth=0)
    for edge in (low, high) if pen.edge else ():
        drawstyle = "steps-post" if steps else "default"
        ax.plot(band["x"], edge.where(seen), drawstyle=drawstyle, color=look.color, alpha=0.35, linewidth=pen.edge)


def _draw_line(ax: Axes, curve: pd.DataFrame, look: Style, position: int, pen: Pen) -> None:
    whole = int((curve["n"] == curve["seeds"]).to_numpy().argmax())  # from here on all seeds have a result
    early, late = curve[: whole + 1], curve[whole:]
    line = {**look.line, "drawstyle": "steps-post"}
    ax.plot(early["x"], early["mean"], linewidth=pen.thin, alpha=0.7, **line)
    ax.plot(
        late["x"],
        late["mean"],
        linewidth=pen.line,
        marker=look.marker,
        markersize=pen.marker,
        markevery=spacing(position),
        **line,
    )


def spacing(position: int) -> tuple[float, float]:
    """Return where a line has markers: at different places, so that they do not hide each other."""
    return (0.03 * (position % 6), 0.18)


def _draw_reference(ax: Axes, curve: pd.DataFrame, look: Style, pen: Pen) -> None:
    """Draw where the reference ends as a level, and a tick at the time when all seeds have it."""
    level, done = curve["mean"].iloc[-1], curve.loc[curve["n"] == curve["seeds"], "x"].iloc[0]
    ax.axhline(level, **look.line, linewidth=0.7 * pen.line, zorder=1.5)
    ax.plot([done], [level], color=look.color, marker=look.marker, markersize=pen.reference, markeredgewidth=pen.line)


def view_of(panel: pd.DataFrame, all_of_it: bool = True) -> View:
    """Choose the error axis by where searchers end, so that bad starts and searchers do not flatten the rest.

    ``panel`` has the columns searcher and mean, each searcher's rows in their order. All is shown if that is wanted and
    takes at most 2.5 times the height.
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


def few_ticks(ax: Axes, axis: str = "y", most: int = 5) -> None:
    """Let a linear axis have few ticks at round values."""
    (ax.yaxis if axis == "y" else ax.xaxis).set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
