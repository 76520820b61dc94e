"""`automl-cf figure`: a figure of stored runs, for a paper."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from automl_cf.analysis.figures import FORMATS, KINDS, WIDTHS
from automl_cf.errors import InputError


def split_names(texts: Sequence[str]) -> list[str]:
    """Return the names in texts that separate them by commas."""
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


_KINDS = "; ".join(f"{name}: {kind.summary}" for name, kind in KINDS.items())


def figure(
    kind: Annotated[str, typer.Argument(help=f"{_KINDS}.", metavar="KIND")],
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders of runs; several are drawn as one, their cells together.", metavar="RUN..."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Path to write to, to which .svg and so on are added; or with one of these, which is then the format.",
            show_default="RUN/KIND, of several runs KIND",
            metavar="STEM",
        ),
    ] = None,
    formats: Annotated[
        str | None,
        typer.Option("--format", help="Of svg, pdf, png.", show_default=",".join(FORMATS), metavar="NAME,..."),
    ] = None,
    width: Annotated[
        str,
        typer.Option(help="column, 3.33 inches wide, or page, 7; text has the size to be printed.", metavar="NAME"),
    ] = WIDTHS[0],
    clock: Annotated[
        str | None,
        typer.Option(
            help="For figures of time, such as deliverable, search or visits.",
            show_default="deliverable",
            metavar="NAME",
        ),
    ] = None,
    searchers: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these searchers, separated by commas or repeated.", show_default="all", metavar="NAME,..."
        ),
    ] = None,
    dim: Annotated[int | None, typer.Option(help="Only this embedding dimension.", metavar="N")] = None,
    threshold: Annotated[
        list[float] | None,
        typer.Option(
            help="For ecdf and profile: a test RMSE / std beside those that the study declares; may be repeated. The "
            "caption says that it was not declared.",
            metavar="X",
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="For efficiency: the mean is over so many architectures.", metavar="N")] = 3,
    x: Annotated[tuple[float, float], typer.Option(help="For elementwise: the range of x.", metavar="LOW HIGH")] = (
        -2.0,
        2.0,
    ),
    linear: Annotated[bool, typer.Option("--linear", help="Time on a linear axis, not a logarithmic one.")] = False,
    dpi: Annotated[
        int | None,
        typer.Option(help="Dots per inch of PNG.", show_default="300 of a column, 200 of a page", metavar="N"),
    ] = None,
    caption: Annotated[bool, typer.Option(help="Write the caption below the figure; it is printed either way.")] = True,
) -> None:
    """Draw a figure of stored runs as SVG, PDF and PNG. It trains nothing."""
    if not runs:
        raise InputError("RUN: there is none, but a figure is of one run or more.")
    from automl_cf.analysis.figures.draw import draw_figure
    from automl_cf.analysis.figures.subject import Options

    drawn = draw_figure(
        kind,
        runs,
        out,
        formats=split_names([formats] if formats else []),
        width=width,
        clock=clock,
        searchers=split_names(searchers or []),
        dim=dim,
        options=Options(linear=linear, top=top, x=x, thresholds=tuple(threshold or ())),
        caption=caption,
        dpi=dpi,
    )
    typer.echo(drawn.caption)
    typer.echo(f"wrote {', '.join(map(str, drawn.files))}", err=True)
