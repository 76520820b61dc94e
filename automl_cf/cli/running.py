"""Carrying out a run under the eyes of the user: the live display, interruptions, the result."""

import shlex
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from automl_cf.cli.board import Board
from automl_cf.cli.display import Display, make_display
from automl_cf.cli.result import REPORT_NAME, file_line, show_result
from automl_cf.cli.terminal import output
from automl_cf.errors import InputError
from automl_cf.events import LOG_NAME, Event

if TYPE_CHECKING:
    from automl_cf.analysis.run import Run
    from automl_cf.suite.study import Resources, Study


def load() -> None:
    """Import what takes seconds, and show that something happens."""
    with Console(stderr=True).status("Loading"):
        import_module("automl_cf.api")


def elsewhere(study: "Study", address: str | None, workers: int | None) -> "Resources":
    """The study's resources on another cluster, `local` being this machine's own, and with so many cells at a time.

    None leaves what the study says. Raises InputError for what cannot be.
    """
    from automl_cf.suite.study import make_study

    given: dict[str, object] = {} if workers is None else {"workers": workers}
    if address is not None:
        given |= {"backend": "ray", "address": None if address == "local" else address}
    values = study.model_dump(mode="json")
    return make_study({**values, "resources": {**values["resources"], **given}}).resources


def run(study: "Study", out: Path | None, address: str | None = None, workers: int | None = None) -> None:
    """Run a study, by default into results/NAME-DATE-TIME, and print its result."""
    from automl_cf import api
    from automl_cf.suite.every import with_every_searcher

    study.load_plugins()
    study = with_every_searcher(study)
    for left_out in study.skipped:
        typer.echo(f"left out: {left_out.reason}", err=True)
    folder = out or Path("results") / f"{study.name}-{time.strftime('%Y%m%d-%H%M%S')}"
    resources = elsewhere(study, address, workers)
    _watch(folder, Board(study), (), lambda display: api.run_study(study, folder, display, resources))


def resume(
    folder: Path,
    plugins: Sequence[Path] = (),
    accept_changes: bool = False,
    repair: bool = False,
    address: str | None = None,
    workers: int | None = None,
) -> None:
    """Go on with an interrupted run, and print its result; with `repair` its log is repaired before."""
    load()
    from automl_cf import api
    from automl_cf.suite.run import stored_study

    study = stored_study(folder)
    resources = elsewhere(study, address, workers)
    if repair:
        _say(str(api.repair(folder)))
    _watch(
        folder,
        Board(study),
        past(folder / LOG_NAME),
        lambda display: api.resume(folder, display, plugins, accept_changes, resources=resources),
    )


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

    def at_once(number: int) -> None:
        _say(f"stopped at once; {_how_to_go_on(folder)}")

    from automl_cf.suite.interrupting import interruptible

    try:
        with interruptible(at_once), make_display(board, Console(stderr=True)) as display:
            finished = work(display)
    except KeyboardInterrupt as interruption:
        _say(f"interrupted; {_how_to_go_on(folder)}")
        raise typer.Exit(128 + getattr(interruption, "signal", signal.SIGINT)) from interruption
    show_result(finished, output())


def past(log: Path) -> Iterator[Event]:
    """A log's events up to the first that is not as it must be, which `api.resume` refuses to go on with."""
    from automl_cf.analysis.events import cell_events

    with suppress(InputError):
        yield from cell_events(log)


def _how_to_go_on(folder: Path) -> str:
    from automl_cf.suite.store import STUDY_NAME

    if (folder / STUDY_NAME).exists():
        return f"go on with: automl-cf resume {shlex.quote(str(folder))}"
    return "nothing was recorded yet"


def _say(text: str) -> None:
    """Write a line to stderr, which may be a terminal that was closed."""
    with suppress(OSError):
        typer.echo(text, err=True)
