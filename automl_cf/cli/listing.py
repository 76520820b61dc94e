"""`automl-cf list`: what there is to choose from."""

from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from automl_cf import plugins
from automl_cf.cli.studies import first_comment, shipped
from automl_cf.cli.terminal import output
from automl_cf.errors import AutomlCfError, InputError, suggest


def list_all(
    what: Annotated[
        str | None,
        typer.Argument(help="searchers, datasets, operations or studies.", show_default="all of them"),
    ] = None,
    plugin: Annotated[
        list[Path] | None,
        typer.Option(help="A Python file whose searchers and so on are listed, too; may be repeated.", metavar="FILE"),
    ] = None,
) -> None:
    """List the searchers, data sets, operations and shipped studies; (in brackets) where it is not ours."""
    if what is not None and what not in SECTIONS:
        raise InputError(
            f"what to list is '{what}', but must be one of {', '.join(SECTIONS)}.{suggest(what, SECTIONS)}"
        )
    plugins.load(plugin or ())
    console = output()
    for number, name in enumerate([what] if what else SECTIONS):
        if what is None:
            console.print(Text(f"{chr(10) if number else ''}{name.capitalize()}", "bold"))
        SECTIONS[name](console)


def show_searchers(console: Console) -> None:
    """Print each searcher's name, kind and summary."""
    from automl_cf.searchers import searchers

    rows = []
    for name in searchers.names():
        try:
            searcher = searchers.get(name)
        except (AutomlCfError, ImportError) as error:  # one broken plug-in must not hide the others
            rows.append((name, "broken", str(error)))
        else:
            kind = "one-shot" if searcher.capabilities.one_shot else "ask/tell"
            summary = searcher.__doc__ or import_module(searcher.__module__).__doc__ or ""
            rows.append((name, kind, summary.partition("\n")[0] + _from(searcher)))
    _show(console, rows)


def show_datasets(console: Console) -> None:
    """Print each data set's name, state in the cache and summary."""
    from automl_cf.cf.data import datasets, listing

    rows = []
    for entry in listing():
        origin = "" if entry.state == "broken" else _from(datasets.get(entry.name))
        rows.append((entry.name, entry.state, entry.summary + origin))
    _show(console, rows)


def show_operations(console: Console) -> None:
    """Print each operation's name and how long a vector it makes."""
    from automl_cf.cf.operations import operations

    rows = []
    for name in operations.names():
        try:
            operation = operations.get(name)
        except AutomlCfError as error:
            rows.append((name, f"broken: {error}"))
        else:
            times = operation.width(1, 2)
            length = "as long as one embedding" if times == 1 else f"as long as {times} embeddings"
            rows.append((name, length + _from(operation)))
    _show(console, rows)


def show_studies(console: Console) -> None:
    """Print each shipped study's name and what it says of itself."""
    _show(console, [(name, first_comment(file)) for name, file in shipped().items()])


SECTIONS: Mapping[str, Callable[[Console], None]] = {
    "searchers": show_searchers,
    "datasets": show_datasets,
    "operations": show_operations,
    "studies": show_studies,
}


def _from(entry: object) -> str:
    origin = plugins.origin(entry)
    return f" ({origin})" if origin else ""


def _show(console: Console, rows: Iterable[Iterable[str]]) -> None:
    grid = Table.grid(padding=(0, 2))
    for row in rows:
        grid.add_row(*map(Text, row))
    console.print(grid)
