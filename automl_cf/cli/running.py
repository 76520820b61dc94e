"""Carrying out a run under the eyes of the user: the live display, interruptions, the result."""

import shlex
import time
from collections.abc import Callable, Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from automl_cf.cli.board import Board
from automl_cf.cli.display import Display, make_display
from automl_cf.cli.errors import INTERRUPTED
from automl_cf.cli.result import REPORT_NAME, file_line, show_result
from automl_cf.cli.terminal import output
from automl_cf.events import LOG_NAME, Event, read_events

if TYPE_CHECKING:
    from automl_cf.analysis.run import Run
    from automl_cf.suite.study import Study


def load() -> None:
    """Import what takes seconds, and show that something happens."""
    with Console(stderr=True).status("Loading"):
        import_module("automl_cf.api")


def run(study: "Study", out: Path | None) -> None:
    """Run a study, by default into results/NAME-DATE-TIME, and print its result."""
    from automl_cf import api
    from automl_cf.suite.every import with_every_searcher

    study.load_plugins()
    study = with_every_searcher(study)
    for left_out in study.skipped:
        typer.echo(f"left out: {left_out.reason}", err=True)
    folder = out or Path("results") / f"{study.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    _watch(folder, Board(study), (), lambda display: api.run_study(study, folder, display))


def resume(folder: Path, plugins: Sequence[Path] = ()) -> None:
    """Go on with an interrupted run, and print its result."""
    load()
    from automl_cf import api
    from automl_cf.suite.run import stored_study

    study = stored_study(folder)
    log = folder / LOG_NAME
    past = read_events(log) if log.exists() else ()
    _watch(folder, Board(study), past, lambda display: api.resume(folder, display, plugins))


def report(folders: Sequence[Path], out: Path | None = None) -> None:
    """Redraw a stored run, and print its result; of several write one report."""
    load()
    from automl_cf import api

    if len(folders) == 1:
        show_result(api.report(folders[0], out) if out else api.report(folders[0]), output(), out)
    else:
        path = api.report_runs(folders, out or Path(REPORT_NAME))
        output().print(file_line("Report", path), soft_wrap=True)


def _watch(folder: Path, board: Board, past: Iterable[Event], work: "Callable[[Display], Run]") -> None:
    board.restore(past)
    try:
        with make_display(board, Console(stderr=True)) as display:
            finished = work(display)
    except KeyboardInterrupt as error:
        typer.echo(_after_interruption(folder), err=True)
        raise typer.Exit(INTERRUPTED) from error
    show_result(finished, output())


def _after_interruption(folder: Path) -> str:
    from automl_cf.suite.store import STUDY_NAME

    if (folder / STUDY_NAME).exists():
        return f"interrupted; go on with: automl-cf resume {shlex.quote(str(folder))}"
    return "interrupted before anything was recorded"
