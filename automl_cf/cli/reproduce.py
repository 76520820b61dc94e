"""`automl-cf reproduce`: the paper's tables, figures and claims."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from automl_cf.cli.arguments import Address, Workers
from automl_cf.cli.running import elsewhere, load, past
from automl_cf.events import LOG_NAME

if TYPE_CHECKING:
    from automl_cf.cli.display import Display
    from automl_cf.suite.study import Study


class Scale(StrEnum):
    """How much is run."""

    QUICK = "quick"
    FULL = "full"


def reproduce(
    names: Annotated[
        list[str], typer.Argument(help="all, or tables and figures such as table-3 figure-8.", metavar="NAME...")
    ],
    scale: Annotated[Scale, typer.Option(help="quick: minutes for all; full: what is committed, hours.")] = Scale.QUICK,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the runs and what is made of them.", show_default="results/paper[-quick]"),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Where all goes with the verdicts on claims.", show_default="OUT/REPRODUCTION.md"),
    ] = None,
    address: Address = None,
    workers: Workers = None,
    only_read: Annotated[
        bool, typer.Option("--only-read", help="Run nothing; make all anew of the runs that are there.")
    ] = False,
    accept_changes: Annotated[
        bool,
        typer.Option("--accept-changes", help="Go on with an interrupted study by other code or versions."),
    ] = False,
) -> None:
    """Run the paper's studies and write its tables and figures, published numbers beside measured ones.

    What is in the folder already is not run again, and what was interrupted goes on. `all` also judges the paper's
    claims.
    """
    load()
    from automl_cf.reproduction.carrying_out import ALL
    from automl_cf.reproduction.carrying_out import reproduce as carry_out
    from automl_cf.reproduction.studies import names as all_studies
    from automl_cf.reproduction.studies import read

    resources = elsewhere(read(all_studies()[0], scale.value), address, workers)  # all studies say the same
    written = carry_out(
        names,
        scale.value,
        out,
        report=report,
        resources=resources,
        only_read=only_read,
        accept_changes=accept_changes,
        around=_shown,
    )
    for path in written:
        typer.echo(f"wrote {path}", err=True)
    shown = written[-1:] if ALL in names else written  # of all there is the report
    typer.echo("\n".join(path.read_text(encoding="utf-8") for path in shown), nl=False)


@contextmanager
def _shown(study: "Study", folder: Path) -> Iterator["Display"]:
    """Show a study while it runs; an interruption says how to go on."""
    from automl_cf.cli.board import Board
    from automl_cf.cli.display import make_display
    from automl_cf.suite.interrupting import interruptible

    typer.echo(f"{study.name}: {len(study.cells())} cells, in {folder}", err=True)

    def at_once(number: int) -> None:
        typer.echo(f"stopped at once; {_HOW_TO_GO_ON}", err=True)

    board = Board(study)
    if (folder / LOG_NAME).exists():
        board.restore(past(folder / LOG_NAME))
    try:
        with interruptible(at_once), make_display(board, Console(stderr=True)) as display:
            yield display
    except KeyboardInterrupt as interruption:
        typer.echo(f"interrupted; {_HOW_TO_GO_ON}", err=True)
        raise typer.Exit(128 + getattr(interruption, "signal", signal.SIGINT)) from interruption


_HOW_TO_GO_ON = "go on with the same command"
