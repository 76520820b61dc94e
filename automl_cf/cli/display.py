"""Showing a run while it goes on: a live table on a terminal, plain lines elsewhere."""

import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Protocol, Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from automl_cf.cli.board import Board, CellView
from automl_cf.cli.estimate import time_left
from automl_cf.cli.terminal import clock, roughly
from automl_cf.events import Event

# What printing raises where the terminal or the reader has gone, no reason to end a run; the second is Rich's.
_NOBODY_THERE = (OSError, SystemExit)
_STYLES = {"searching": "cyan", "scoring": "magenta", "scored": "green", "failed": "red", "waiting": "dim"}
_FRAME = 6  # lines around the cells: heading, table header, note, and one to spare
_FAILURES = 3  # shown at once


class Display(Protocol):
    """Shows a run as its events come in; a context manager around the run."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def __call__(self, event: Event) -> None:
        """Take in one event."""


def make_display(board: Board, console: Console, start: float | None = None) -> Display:
    """A live table if the console is a terminal that can move its cursor, else plain lines.

    The time that has passed is shown since `start`, in seconds of the epoch; by default since now.
    """
    live = console.is_terminal and not console.is_dumb_terminal
    return LiveDisplay(board, console, start) if live else PlainDisplay(board, console, start)


class PlainDisplay:
    """One line for each start, finish, failure, score and end of a cell."""

    def __init__(self, board: Board, console: Console, start: float | None = None) -> None:
        self._board = board
        self._console = console
        self._start = time.time() if start is None else start

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        return None

    def __call__(self, event: Event) -> None:
        view = self._board.add(event)
        text = None if view is None else line(event, view)
        if text is not None:
            done = sum(other.done for other in self._board.cells.values())
            when = clock(time.time() - self._start)
            with suppress(*_NOBODY_THERE):
                self._console.print(
                    f"{when} [{done}/{len(self._board.cells)}] {event['cell']}: {text}",
                    markup=False,
                    highlight=False,
                    soft_wrap=True,
                )


class LiveDisplay:
    """A table of all cells that follows the run, with its progress and the time left."""

    def __init__(self, board: Board, console: Console, start: float | None = None) -> None:
        self._board = board
        self._console = console
        self._start = time.time() if start is None else start
        self._lock = threading.Lock()  # the table is drawn by a thread of its own
        self._live = Live(console=console, get_renderable=self._draw, refresh_per_second=4)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(*_NOBODY_THERE):
            self._live.stop()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._board.add(event)

    def _draw(self) -> RenderableType:
        now = time.time()
        with self._lock:
            return render(self._board, now, now - self._start, self._console.height)


def line(event: Event, view: CellView) -> str | None:
    """What the plain display says of an event that `view` has just taken in; None if it says nothing."""
    match event["kind"]:
        case "cell_started":
            return "goes on" if event["resumed"] else "started"
        case "process_died":
            return str(event["error"])
        case "cell_finished":
            spent = f"{view.seconds:.1f} s of search"
            return f"finished ({view.reason}) after {spent}, {_trials(view)}, {_valid(view)}"
        case "cell_failed":
            return f"failed: {view.reason}"
        case "score":
            from automl_cf.analysis.tables import describe  # pandas

            result = "no test result" if event["rmse_std"] is None else f"test RMSE {event['rmse_std']:.4f}"
            status = "" if event["status"] == "ok" else f" ({event['status']})"
            found = describe(event["architecture"])
            return f"scored {found}: {result}{status}, retrained in {event['retrain_seconds']:.1f} s"
        case "cell_scored":
            return f"done: test RMSE {_number(view.test) or 'unknown'}"
    return None


def render(board: Board, now: float, elapsed: float, height: int) -> RenderableType:
    """The live display of a board at a time, less than `height` lines high if it can be."""
    views = list(board.cells.values())
    failed = [view for view in views if view.state == "failed"][:_FAILURES]
    shown = _most_telling(views, max(2, height - _FRAME - len(failed) - _count_panels(views)))
    parts: list[RenderableType] = [_heading(board, now, elapsed), _cells(board, shown, now)]
    if len(shown) < len(views):
        parts.append(Text("  and " + states(view for view in views if view not in shown), "dim"))
    parts.append(Text("  RMSE in standard deviations; seconds of search: think, train, validate.", "dim"))
    for view in failed:
        text = Text(f"  {view.cell.id} failed: {view.reason}", "red", no_wrap=True, overflow="ellipsis")
        parts.append(text)
    return Group(*parts)


def states(views: Iterable[CellView]) -> str:
    """How many cells are in which state: "3 scored, 1 searching"."""
    counted = Counter(_state(view) for view in views)
    return ", ".join(f"{count} {state}" for state, count in counted.items())


def _heading(board: Board, now: float, elapsed: float) -> RenderableType:
    title = Text.assemble((board.study.name, "bold"), f"  {clock(elapsed)}", no_wrap=True, overflow="ellipsis")
    bar = ProgressBar(total=1.0, completed=board.progress(now), width=16)
    facts = Text(_progress(board, now), no_wrap=True, overflow="ellipsis")
    grid = Table.grid(padding=(0, 2))
    grid.add_row(bar, facts)
    return Group(title, grid)


def _progress(board: Board, now: float) -> str:
    views = board.cells.values()
    done = f"{sum(view.done for view in views)} of {len(views)} cells done"
    left = time_left(board, now)
    if all(view.done for view in views):
        return done
    if all(view.state == "waiting" for view in views):
        return f"{done} · starting"
    if left.search is None:
        return done
    if left.scoring is not None:
        return f"{done} · about {roughly(left.search + left.scoring)} left"
    return f"{done} · about {roughly(left.search)} of search left, then scoring"


def _cells(board: Board, views: Iterable[CellView], now: float) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in ("Searcher", "Seed", "State", "Trials", "Seconds", "Valid. RMSE", "Test RMSE"):
        left = name in ("Searcher", "State")
        width = {"Searcher": 8, "State": len("searching 100%")}.get(name, len(name))
        table.add_column(name, justify="left" if left else "right", no_wrap=True, overflow="ellipsis", min_width=width)
    panels = _count_panels(board.cells.values())
    panel = searcher = None
    for view in views:
        cell = view.cell
        if panels and panel != (cell.dataset, cell.dim):
            panel, searcher = (cell.dataset, cell.dim), None
            table.add_row(Text(f"{cell.dataset}, dim {cell.dim}", "italic"))
        state = _state(view)
        percent = f" {board.fraction(view, now):4.0%}" if state == "searching" else ""
        table.add_row(
            "" if cell.searcher == searcher else Text(cell.searcher),
            str(cell.seed),
            Text(state + percent, _STYLES.get(state, "")),
            str(view.trials) if view.trials else "",
            "" if state == "waiting" else f"{board.seconds_now(view, now):.1f}",
            _number(view.rmse),
            _number(view.test),
        )
        searcher = cell.searcher
    return table


def _most_telling(views: list[CellView], most: int) -> list[CellView]:
    """All cells, or with a line left for the rest those that matter most, in their order."""
    if len(views) <= most:
        return views
    ranked = ("searching", "scoring", "failed", "searched", "scored", "nothing found", "waiting")
    chosen = sorted(views, key=lambda view: ranked.index(_state(view)))[: most - 1]
    return [view for view in views if view in chosen]


def _count_panels(views: Iterable[CellView]) -> int:
    """How many headings of data set and dimension the table needs: none if there is just one."""
    count = len({(view.cell.dataset, view.cell.dim) for view in views})
    return count if count > 1 else 0


def _state(view: CellView) -> str:
    if view.state != "finished":
        return view.state
    if view.scored:
        return "scored"
    if view.incumbent is None:
        return "nothing found"
    return "scoring" if view.tests else "searched"


def _trials(view: CellView) -> str:
    return "1 trial" if view.trials == 1 else f"{view.trials} trials"


def _valid(view: CellView) -> str:
    return "nothing found" if view.incumbent is None else f"validation RMSE {_number(view.rmse) or 'unknown'}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
