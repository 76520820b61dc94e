"""A figure of a paper's width: panels, below them a legend and a caption, and its files.

Text has the size that it shall have in print, so a figure is to be placed at its own width. Fonts are matplotlib's own
DejaVu Sans, which is the same everywhere: embedded in PDF as TrueType (type 42, which publishers take), and in SVG as
outlines, so that it looks the same where that font is missing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
import seaborn as sns
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from automl_cf.analysis.output import whole_file
from automl_cf.analysis.styles import REFERENCE, Style


class Width(NamedTuple):
    """Inches, and points of labels and of what is small: ticks, legends and captions."""

    inches: float
    size: float
    small: float


PAPER = {"column": Width(3.33, 7.5, 7), "page": Width(7.0, 8, 7)}

LINE, THIN, EDGE, MARKER = 1.1, 0.6, 0.4, 3.2
"""Widths of lines, of those that are less certain, and of a band's edges; and the size of markers: points."""

_MARGIN = 0.06  # inches
_LARGE = 8  # times, to measure text without the effect of pixels
_LINE_HEIGHT = 1.3  # of a caption, in its size
_VECTOR_DPI = 720  # so much that letters are as wide as they are in SVG and PDF
_PASSES = 3  # of the layout: texts beside the axes move with them, and so need room elsewhere

# The same run gives the same file: no date, identifiers that are not random, and fonts that matplotlib brings.
REPRODUCIBLE: dict[Any, Any] = {"svg.hashsalt": "automl-cf"}
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Creator": "automl-cf", "Producer": None},
}
_DESCRIPTION = {"svg": "Description", "png": "Description", "pdf": "Subject"}
DPI = {"column": 300, "page": 200}


@contextmanager
def printed(width: Width) -> Iterator[None]:
    """Draw within it as it is to be printed; a figure must be saved within it, too."""
    style: dict[Any, Any] = {
        **sns.axes_style("whitegrid"),
        **REPRODUCIBLE,
        "font.family": ["sans-serif"],
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": width.size,
        "axes.labelsize": width.size,
        "axes.titlesize": width.size,
        "xtick.labelsize": width.small,
        "ytick.labelsize": width.small,
        "legend.fontsize": width.small,
        "axes.titlepad": 4,
        "axes.labelpad": 2.5,
        "axes.linewidth": 0.6,
        "axes.edgecolor": "0.3",
        "grid.linewidth": 0.4,
        "grid.color": "0.88",
        "hatch.linewidth": 0.5,
        "xtick.major.pad": 2,
        "ytick.major.pad": 2,
        "text.parse_math": False,  # names may hold anything
        "pdf.fonttype": 42,
        "svg.fonttype": "path",
    }
    with mpl.rc_context(style):
        yield


class Page:
    """A figure under way, within `printed`: `panels` once, `legend` or none, then `finish`."""

    def __init__(self, width: Width) -> None:
        self.width = width
        self.figure = Figure(figsize=(width.inches, 1))
        FigureCanvasAgg(self.figure)
        self._handles: list[Artist] = []
        self._names: list[str] = []
        self._height = 1.0

    @property
    def is_wide(self) -> bool:
        """Whether it is a page's width."""
        return self.width.inches > 5

    def panels(self, count: int, height: float, columns: int = 2, sharey: bool = False) -> list[Axes]:
        """Return so many axes in rows of at most ``columns``, each row ``height`` inches with its labels."""
        columns = max(1, min(columns, count))
        rows = -(-count // columns)
        self._height = rows * height
        axes = list(self.figure.subplots(rows, columns, squeeze=False, sharey=sharey).flat)
        for unused in axes[count:]:
            unused.remove()
        return axes[:count]

    def time_panels(self, count: int) -> list[Axes]:
        """Return so many axes of the size that suits lines over time."""
        if self.is_wide:
            return self.panels(count, 2.7 if count == 1 else 2.2, 2)
        return self.panels(count, 2.1, 1)

    def legend(self, handles: Sequence[Artist], names: Sequence[str]) -> None:
        """Say what is what, below the panels."""
        self._handles, self._names = list(handles), list(names)

    def legend_of(self, looks: Mapping[str, Style], drawn: Sequence[str] | set[str]) -> None:
        """Name the searchers that were drawn, by their looks; the reference last."""
        names = sorted(set(drawn), key=lambda name: (name == REFERENCE, name))
        self.legend([line_of(looks[name]) for name in names], names)

    def finish(self, caption: str) -> Figure:
        """Lay it out with a caption ("" for none) and return the figure."""
        caption = plain(caption)
        lines = wrapped(self.figure, caption, self.width.inches - 2 * _MARGIN, self.width.small)
        strip = (len(lines) * _LINE_HEIGHT * self.width.small) / 72 + (2 * _MARGIN if lines else 0)
        self.figure.set_size_inches(self.width.inches, self._height + strip)
        legend = self._fitting_legend()
        box = 0.0
        if legend is not None:
            box = legend.get_window_extent(_renderer(self.figure)).height / self.figure.dpi
        height = self._height + box + strip
        self.figure.set_size_inches(self.width.inches, height)
        if legend is not None:
            legend.set_bbox_to_anchor((0.5, strip / height), self.figure.transFigure)
        bottom = (strip + box) / height
        self.figure.set_layout_engine("constrained", rect=(0, bottom, 1, 1 - bottom), w_pad=0.03, h_pad=0.03)
        if lines:
            self.figure.text(
                _MARGIN / self.width.inches,
                (strip - _MARGIN) / height,
                "\n".join(lines),
                fontsize=self.width.small,
                color="0.25",
                va="top",
                linespacing=_LINE_HEIGHT,
                parse_math=False,
            )
        return self.figure

    def _fitting_legend(self) -> Legend | None:
        """A legend of as many columns as the width has room for."""
        if not self._names:
            return None
        for columns in range(min(len(self._names), 8), 0, -1):
            legend = self.figure.legend(
                self._handles,
                [plain(name) or " " for name in self._names],
                loc="lower center",
                bbox_to_anchor=(0.5, 0.0),
                ncols=columns,
                frameon=False,
                handlelength=3.2,
                columnspacing=1.2,
                handletextpad=0.5,
                labelspacing=0.35,
                borderpad=0.2,
                borderaxespad=0.0,
            )
            extent = legend.get_window_extent(_renderer(self.figure))
            if columns == 1 or extent.width <= self.figure.bbox.width:
                return legend
            legend.remove()
        return None


def line_of(look: Style) -> Line2D:
    """Return a sample of a searcher's line, for legends."""
    return Line2D([], [], **look.line, marker=look.marker, markersize=MARKER, linewidth=LINE)


def titled(ax: Axes, *lines: str) -> None:
    """Give axes a title of one or several lines."""
    ax.set_title("\n".join(map(plain, lines)), parse_math=False)


def tick_names(ax: Axes, axis: str, names: Sequence[str], upright: bool = False) -> None:
    """Name the places 0, 1, ... of an axis, "x" or "y"; names of "x" stand upright where they would not fit."""
    places, shown = list(range(len(names))), [plain(name) for name in names]
    if axis == "y":
        ax.set_yticks(places, shown)
    else:
        ax.set_xticks(places, shown, rotation=90 if upright else 0)


def nothing_here(ax: Axes, why: str) -> None:
    """Say in axes why they are empty."""
    ax.text(0.5, 0.5, why, ha="center", va="center", transform=ax.transAxes, wrap=True)
    ax.set(xticks=[], yticks=[])


def plain(text: str) -> str:
    """Return a text with what cannot be printed, such as a line's end within a name, replaced."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def wrapped(figure: Figure, text: str, inches: float, size: float) -> list[str]:
    """Return a text in lines that fit a width when printed at so many points; longer words are cut."""
    # Letters are placed on whole pixels, so that a line's width depends a little on the resolution, up to 4%.
    renderer, font = _renderer(figure), FontProperties(family=["DejaVu Sans"], size=_LARGE * size)
    most = 0.96 * inches * figure.dpi * _LARGE

    def fits(line: str) -> bool:
        return float(renderer.get_text_width_height_descent(line, font, ismath=False)[0]) <= most

    lines: list[str] = []
    for word in text.split():
        if lines and fits(f"{lines[-1]} {word}"):
            lines[-1] += f" {word}"
            continue
        while not fits(word):
            cut = next((end for end in range(len(word) - 1, 1, -1) if fits(word[:end])), 1)
            lines.append(word[:cut])
            word = word[cut:]
        lines.append(word)
    return lines


def save_figure(
    figure: Figure, stem: Path, formats: Sequence[str] = ("svg", "png"), dpi: int = 160, description: str = ""
) -> tuple[Path, ...]:
    """Write a figure as ``stem`` with .svg and so on: the same files again if it was drawn under `REPRODUCIBLE`.

    ``description`` is stored within the files. Raises InputError if one cannot be written.
    """
    targets = tuple(stem.with_name(f"{stem.name}.{form}") for form in formats)
    for target, form in zip(targets, formats, strict=True):
        metadata = {**_METADATA[form], **({_DESCRIPTION[form]: description} if description else {})}
        with whole_file(target) as path, _laid_out(figure, dpi if form == "png" else _VECTOR_DPI):
            figure.savefig(path, format=form, dpi=dpi, metadata=metadata)
    return targets


@contextmanager
def _laid_out(figure: Figure, dpi: int) -> Iterator[None]:
    """Lay a figure out for a resolution, by which the width of letters differs, and round where its axes stand.

    The solver of constraints goes by addresses in memory, so that its last bits differ from one drawing to the next.
    """
    engine, own_dpi = figure.get_layout_engine(), figure.dpi
    if engine is not None:
        figure.set_dpi(dpi)
        for _ in range(_PASSES):
            engine.execute(figure)
        figure.set_dpi(own_dpi)
        figure.set_layout_engine("none")
        for ax in figure.axes:
            ax.set_position(tuple(round(edge, 6) for edge in ax.get_position().bounds))
            ax.set_in_layout(True)  # for the next file
    yield
    if engine is not None:
        figure.set_layout_engine(engine)


def _renderer(figure: Figure) -> Any:
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer: Any = canvas.get_renderer()  # type: ignore[no-untyped-call]
    return renderer
