"""`automl-cf data`: the data sets, and their files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from automl_cf.cli.compare import parse_data_options
from automl_cf.cli.errors import guarded
from automl_cf.cli.listing import show_datasets
from automl_cf.cli.terminal import output

if TYPE_CHECKING:
    from automl_cf.cf.data import Facts

app = typer.Typer(help="Fetch, verify, list and show data sets.", no_args_is_help=True)

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


@app.command()
@guarded
def show(
    name: Annotated[
        str,
        typer.Argument(help="A data set's name, or the path of a ratings file or folder.", metavar="NAME|PATH"),
    ],
    data_option: Annotated[
        list[str] | None,
        typer.Option(help="An option of the data set; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    plugin: Annotated[
        list[Path] | None, typer.Option(help="A Python file whose data sets can then be named.", metavar="FILE")
    ] = None,
) -> None:
    """Print what a data set is: shape, ratings, counts, checksums. If it is not in the cache it is fetched."""
    from automl_cf import plugins
    from automl_cf.cf.data import facts, load

    plugins.load(plugin or ())
    _print(output(), facts(load(name, **parse_data_options(data_option or ()))))


@app.command("list")
@guarded
def list_datasets() -> None:
    """List the data sets and what the cache has of them."""
    show_datasets(output())


def _print(console: Console, facts: "Facts") -> None:
    rows = [
        ("name", facts.name),
        ("source", facts.source),
        ("shape", " x ".join(f"{size:,}" for size in facts.shape)),
        ("ratings", f"{facts.ratings:,}"),
        ("density", f"{facts.density:.4%}"),
        ("mean", f"{facts.mean:.6g}"),
        ("std", f"{facts.std:.6g}"),
        ("values", f"{facts.least:g} to {facts.most:g}"),
        *((f"  {value:g}", f"{count:,}") for value, count in facts.values),
    ]
    for number, mode in enumerate(facts.modes, start=1):
        spread = f"{mode.rows:,} rows; ratings of a row: {mode.least:,} to {mode.most:,}, median {mode.median:g}"
        rows.append((f"mode {number}", spread + (f"; {mode.without:,} rows have none" if mode.without else "")))
    if facts.planted:
        rows.append(("planted by", facts.planted))
    grid = Table.grid(padding=(0, 2))
    for row in [*rows, ("SHA-256", facts.sha256), ("contents", facts.contents)]:
        grid.add_row(*map(Text, row))
    console.print(grid)
