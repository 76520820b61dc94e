"""`automl-cf data`: the data sets' files."""

from typing import Annotated

import typer

from automl_cf.cli.errors import guarded
from automl_cf.cli.listing import show_datasets
from automl_cf.cli.terminal import output

app = typer.Typer(help="Fetch, verify and list data sets.", no_args_is_help=True)

Names = Annotated[list[str], typer.Argument(help="Names of data sets.", metavar="NAME...")]


@app.command()
@guarded
def fetch(names: Names) -> None:
    """Bring data sets into the cache; what is there already is checked and kept."""
    from automl_cf.cf.data import fetch

    for name in names:
        for path in fetch(name):
            typer.echo(f"{name}: {path}")


@app.command()
@guarded
def verify(names: Names) -> None:
    """Check the cached files of data sets by their SHA-256; fetches nothing."""
    from automl_cf.cf.data import verify

    for name in names:
        for path in verify(name):
            typer.echo(f"{name}: {path} is right")


@app.command("list")
@guarded
def list_datasets() -> None:
    """List the data sets and what the cache has of them."""
    show_datasets(output())
