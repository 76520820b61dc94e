"""`automl-cf published`: what the paper publishes beside what a run found."""

from pathlib import Path
from typing import Annotated

import typer

from automl_cf.cli.arguments import RunFolder


def published(
    folder: RunFolder,
    out: Annotated[
        Path | None,
        typer.Option(help="Markdown file to write.", show_default="RUN/published.md", metavar="FILE"),
    ] = None,
) -> None:
    """Show what the paper publishes beside what a run found, with the differences.

    Where one is over 2%, its reason is that of the run's reasons.toml: lines such as sif = "a sentence".
    """
    from automl_cf.analysis.published import write_published
    from automl_cf.analysis.run import Run

    path = write_published(Run.load(folder), out)
    typer.echo(path.read_text(encoding="utf-8"), nl=False)
    typer.echo(f"wrote {path}", err=True)
