"""`automl-cf watch`: following a run of another process by the events that it writes.

It reads the run's folder and writes nothing. Whether the run's process is alive is told by the lock that it holds on
the folder, see `events.is_running`.
"""

import shlex
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from automl_cf.cli.arguments import RunFolder
from automl_cf.cli.board import Board
from automl_cf.cli.display import make_display, render, states
from automl_cf.cli.errors import INTERRUPTED
from automl_cf.cli.terminal import output
from automl_cf.errors import AutomlCfError, InputError
from automl_cf.events import (
    LOG_NAME,
    Event,
    LineError,
    decode,
    find_log,
    is_running,
    numbered_events,
    read_events,
)

_POLL = 0.5  # seconds between two looks at the log
_GRACE = 10.0  # seconds without an event before a free lock counts: who looks after a run may be resuming it
_STUDY_NAME = "study.json"  # as the store names it, which is not imported for that
_TALL = 100_000  # lines, where nobody looks through a window


def watch(
    folder: RunFolder,
    wait: Annotated[
        float, typer.Option(help="How long to wait for a run that has not begun.", min=0, metavar="SECONDS")
    ] = 60.0,
    once: Annotated[bool, typer.Option("--once", help="Show the present state and exit.")] = False,
) -> None:
    """Follow a run of another process until it is finished; the run itself is left alone.

    Ends with Ctrl-C, too, and with an error where the run's process is no more, though cells are unfinished.
    """
    try:
        board = look(folder, output()) if once else follow(folder, output(), wait)
    except KeyboardInterrupt as error:
        typer.echo("no longer watching; the run itself is left alone", err=True)
        raise typer.Exit(INTERRUPTED) from error
    if board.done:
        typer.echo(f"the run is finished: {states(board.cells.values())}")


def look(folder: Path, console: Console) -> Board:
    """Show the present state of a run.

    Raises InputError where there is no run, and AutomlCfError where it is unfinished and its process is no more.
    """
    board = _board(folder)
    log = find_log(folder)
    alive = is_running(folder)  # before its last event is read: it may end in between
    events = read_events(log) if log else []
    _take_in(board, events)
    stopped = alive is False and not board.done
    if stopped:
        board.stop()
    _show(board, console, events, now=time.time() if alive else None)
    if stopped:
        raise _no_more(folder, board)
    return board


def follow(folder: Path, console: Console, wait: float, grace: float = _GRACE, poll: float = _POLL) -> Board:
    """Show a run as its events come in, until it is finished; returns its last state.

    A run that is finished already is shown as it is. Seconds: ``wait`` for a run that has not begun, ``grace`` without
    an event before its lock is looked at, ``poll`` between two looks at the log.
    Raises InputError where no run begins, and AutomlCfError where its process is no more.
    """
    while True:
        try:
            _wait_for_beginning(folder, wait, poll)
            return _follow(folder, console, grace, poll)
        except _ReplacedError:
            typer.echo("the log was cut or replaced: from its beginning", err=True)


class _ReplacedError(Exception):
    """A log does not go on from where it was read to."""


class Log:
    """The events of a log that grows: each look reads only what was appended since the last.

    A torn last line is left for a later look, when it is whole, or was cut off and written anew. A log that was cut
    further back, or replaced by another, is told by the last line that was read, which is no longer where it was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._last = b""  # the last line that was read
        self._end = 0  # its end, in bytes

    def appended(self) -> list[Event]:
        """Return the events since the last look.

        Raises _ReplacedError, and InputError for a log that cannot be read or has a line that is no event.
        """
        try:
            with self.path.open("rb") as log:
                log.seek(self._end - len(self._last))
                data = log.read()
        except FileNotFoundError as error:
            raise _ReplacedError from error
        except OSError as error:
            raise InputError(f"'{self.path}' cannot be read: {error.strerror}.") from error
        if not data.startswith(self._last):
            raise _ReplacedError
        lines = [line + b"\n" for line in data[len(self._last) :].split(b"\n")[:-1]]
        if lines:
            self._last = lines[-1]
            self._end += sum(map(len, lines))
        return [self._event(line) for line in lines]

    def _event(self, line: bytes) -> Event:
        try:
            return decode(line)
        except LineError as error:
            for _ in numbered_events(self.path):  # raises an error that names the line
                pass
            raise _ReplacedError from error


def _wait_for_beginning(folder: Path, seconds: float, poll: float) -> None:
    """Wait for a run's first event. Raises InputError if there is none after so many seconds."""
    end = time.monotonic() + seconds
    told = False
    while not (folder / _STUDY_NAME).is_file() or find_log(folder) is None:
        left = end - time.monotonic()
        if left <= 0:
            begun = "has a run that has written no event" if (folder / _STUDY_NAME).is_file() else "holds no run"
            raise InputError(
                f"'{folder}' {begun}, after {seconds:g} s of waiting; name a run's folder, or give it longer by --wait."
            )
        if not told:
            typer.echo(f"waiting for '{folder}' to begin", err=True)
            told = True
        time.sleep(min(poll, left))


def _follow(folder: Path, console: Console, grace: float, poll: float) -> Board:
    board = _board(folder)
    if not (folder / LOG_NAME).is_file():  # a compressed log, of which no more comes
        return look(folder, console)
    log = Log(folder / LOG_NAME)
    events = log.appended()
    _take_in(board, events)
    finished = board.done
    if finished:
        _show(board, console, events, now=None)
        return board
    heard = time.monotonic() - _age(log.path)
    # Also in lines that scroll by, what is there already is said once, and not event by event.
    if not console.is_terminal and events:
        console.print(f"so far: {states(board.cells.values())}", markup=False, highlight=False)
    with make_display(board, console, min(_time(events, 0), time.time())) as display:
        while not board.done:
            silent = time.monotonic() - heard >= grace and is_running(folder) is False
            events = log.appended()  # after the lock was looked at: nothing comes any more if this is nothing
            for event in events:
                _checked(display, event)
            if events:
                heard = time.monotonic()
            elif silent:
                board.stop()
                raise _no_more(folder, board)
            else:
                time.sleep(poll)
    return board


def _board(folder: Path) -> Board:
    study = folder / _STUDY_NAME
    if not study.is_file():
        raise InputError(f"'{folder}' holds no run: there is no {_STUDY_NAME} in it; name a run's folder.")
    with Console(stderr=True).status("Loading"):
        from automl_cf.suite.study import read_study
    return Board(read_study(study))


def _take_in(board: Board, events: Iterable[Event]) -> None:
    for event in events:
        _checked(board.add, event)


def _checked(take: Callable[[Event], object], event: Event) -> None:
    """Hand an event on; InputError for one that lacks what its kind must have."""
    try:
        take(event)
    except (KeyError, TypeError) as error:
        raise InputError(f"the log has an event '{event['kind']}' that is not as it must be: {error!r}.") from error


def _show(board: Board, console: Console, events: list[Event], now: float | None) -> None:
    """Print the state of a board, at its last event or at a later time."""
    then = _time(events, -1) if now is None else now
    height = console.height if console.is_terminal else _TALL
    console.print(render(board, then, max(0.0, then - _time(events, 0)), height))


def _time(events: list[Event], position: int) -> float:
    """When an event happened; now, where there is none."""
    when = events[position].get("time") if events else None
    return float(when) if isinstance(when, int | float) else time.time()


def _no_more(folder: Path, board: Board) -> AutomlCfError:
    left = sum(not view.done for view in board.cells.values())
    return AutomlCfError(
        f"the run is not running any more, and {left} of its {len(board.cells)} cells are unfinished; "
        f"go on with: automl-cf resume {shlex.quote(str(folder))}"
    )


def _age(path: Path) -> float:
    """Seconds since a file was last written; 0 for one that is gone, or whose clock is ahead of ours."""
    try:
        return max(0.0, time.time() - path.stat().st_mtime)
    except OSError:
        return 0.0
