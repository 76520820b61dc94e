"""`automl-cf table`: a table of stored runs, as Markdown, CSV or LaTeX."""

from pathlib import Path
from typing import Annotated

import typer

from automl_cf.cli.figure import split_names


def table(
    runs: Annotated[
        list[Path],
        typer.Argument(help="Folders of runs; several give one table, their cells together.", metavar="RUN..."),
    ],
    kind: Annotated[
        str, typer.Option(help="scores, costs, ranking, verdicts (each pair of searchers) or cells.", metavar="NAME")
    ] = "scores",
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="markdown; csv, with numbers in full precision; or latex, which needs the package booktabs.",
            metavar="NAME",
        ),
    ] = "markdown",
    searchers: Annotated[
        list[str] | None,
        typer.Option(
            help="Only these searchers, separated by commas or repeated.", show_default="all", metavar="NAME,..."
        ),
    ] = None,
    dim: Annotated[int | None, typer.Option(help="Only this embedding dimension.", metavar="N")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; else standard output.", metavar="FILE")] = None,
) -> None:
    """Print a table of stored runs, or write it to a file. It trains nothing."""
    from automl_cf.analysis.export_tables import as_text, write_table
    from automl_cf.analysis.export_tables import table as table_of

    text = as_text(table_of(runs, kind, split_names(searchers or []), dim), kind, form)
    if out is None:
        typer.echo(text, nl=False)
    else:
        typer.echo(f"wrote {write_table(text, out)}", err=True)
