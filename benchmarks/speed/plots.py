"""The figures of the report: epoch times as bars, and how time per rating grows with ratings and dimension."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, LogLocator, NullLocator, StrMethodFormatter

from automl_cf.analysis.figures.page import REPRODUCIBLE, save_figure
from automl_cf.benchmarks.speed.results import Results, Setting, Spread, number
from automl_cf.benchmarks.speed.subjects import C_LOOP, FUSED, LOADER, REFERENCE, SLICES, SURPRISE

_ORDER = (C_LOOP, FUSED, SURPRISE, REFERENCE, SLICES, LOADER)
_COLORS = dict(zip(_ORDER, sns.color_palette("colorblind", len(_ORDER)), strict=True))

_BLANK = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}


def draw(results: Results, folder: Path) -> None:
    """Draw what was measured into the folder, as PNG and SVG."""
    with mpl.rc_context(REPRODUCIBLE), sns.axes_style("whitegrid"), sns.plotting_context("paper"):
        if not results.of("epoch").empty:
            _epoch(results, folder / "epoch")
        for measurement, x, label in (
            ("ratings", "training_ratings", "training ratings"),
            ("dims", "dim", "embedding dimension"),
        ):
            if not results.of(measurement).empty:
                _scaling(results, measurement, x, label, folder / measurement)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _epoch(results: Results, stem: Path) -> None:
    """A panel per setting: bars on a logarithmic axis, each with how many times the C loop's time it is."""
    settings = results.settings("epoch", "batch", "networks")
    everything = 1e3 * results.of("epoch", quantity="seconds")["value"]
    rows = -(-len(settings) // 2)
    figure = _figure(8.6, 2.4 * rows + 0.4)
    axes = figure.subplots(rows, 2, sharex=True, squeeze=False)
    for ax, at in zip(axes.flat, settings, strict=False):
        _bars(ax, results, at)
        networks = "with" if at["networks"] == "yes" else "without"
        ax.set(xscale="log", xlabel="", ylabel="", title=f"batches of {at['batch']:g}, {networks} networks")
        ax.set_xlim(everything.min() / 3, 300 * everything.max())
        sns.despine(ax=ax, left=True)
    figure.supxlabel("milliseconds per epoch of ml-100k (× the C loop's)", fontsize="medium")
    save_figure(figure, stem)


def _bars(ax: Axes, results: Results, at: Setting) -> None:
    subjects = [name for name in _ORDER if name in results.subjects("epoch", at)]
    spreads = [Spread.of(1e3 * results.rounds("epoch", name, at)) for name in subjects]
    sns.barplot(x=[spread.median for spread in spreads], y=subjects, hue=subjects, palette=_COLORS, legend=False, ax=ax)
    for place, (name, spread) in enumerate(zip(subjects, spreads, strict=True)):
        ax.plot([spread.low, spread.high], [place, place], color="0.2", linewidth=1.2)
        ratio = Spread.of(results.ratio("epoch", name, C_LOOP, at)).median
        beside = f"{number(spread.median)} ms" + (f" (×{number(ratio)})" if ratio > 0 else "")
        ax.annotate(beside, (spread.high, place), xytext=(4, 0), textcoords="offset points", va="center", bbox=_BLANK)


def _scaling(results: Results, measurement: str, x: str, label: str, stem: Path) -> None:
    """Nanoseconds per training rating over x: the median of rounds, and a band from 10% to 90%."""
    frame = results.of(measurement, quantity="seconds")
    frame = frame.assign(nanoseconds=1e9 * frame["value"] / frame["training_ratings"])
    figure = _figure(8.6, 3.6)
    for ax, networks in zip(figure.subplots(1, 2, sharey=True), ("yes", "no"), strict=True):
        sns.lineplot(
            frame[frame["networks"] == networks],
            x=x,
            y="nanoseconds",
            hue="subject",
            style="subject",
            hue_order=[name for name in _ORDER if name in set(frame["subject"])],
            palette=_COLORS,
            markers=True,
            estimator="median",
            errorbar=("pi", 80),
            ax=ax,
        )
        ax.set(title="with networks" if networks == "yes" else "without networks", xlabel="")
        ax.set_ylabel("nanoseconds per training rating and epoch")
        _log_axes(ax, sorted(set(frame[x])))
        sns.despine(ax=ax)
    figure.supxlabel(f"{label} (lines: medians over rounds; bands: 10% to 90% of them)", fontsize="medium")
    save_figure(figure, stem)


def _log_axes(ax: Axes, values: Sequence[float]) -> None:
    """Logarithmic axes; the horizontal one names the values that were measured."""
    ax.set(xscale="log", yscale="log")
    ax.xaxis.set_major_locator(FixedLocator(values))
    ax.xaxis.set_major_formatter(EngFormatter(sep=""))
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
    legend = ax.get_legend()
    if legend is not None:
        legend.set_title("")
