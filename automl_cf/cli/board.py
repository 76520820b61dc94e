"""What is known of a run while it goes on: a pure function of the events so far."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal

from automl_cf.events import Event, effective

if TYPE_CHECKING:
    from automl_cf.suite.study import Budget, Cell, Study

State = Literal["waiting", "searching", "searched", "scoring", "scored", "failed"]

_SEARCH = ("think", "train", "validate")  # the kinds of seconds that a budget counts
_TELLING = 0.02  # of a budget has to be used before what remains is extrapolated from it


@dataclass
class CellView:
    """What one cell's events say so far. `seconds` are seconds of search, `rmse` is the incumbent's by validation."""

    cell: "Cell"
    state: State = "waiting"
    reason: str = ""  # why the search finished or failed
    trials: set[int] = field(default_factory=set)
    incumbent: str | None = None  # the architecture's id
    rmse: float | None = None
    seconds: float = 0.0
    visits: int = 0
    retrain: float = 0.0
    time: float = 0.0  # of the last event
    tests: dict[str, float | None] = field(default_factory=dict)  # architecture's id -> test rmse_std

    @property
    def test(self) -> float | None:
        """The final result: the last incumbent's test RMSE in standard deviations, once it is known."""
        return self.tests.get(self.incumbent) if self.incumbent else None

    @property
    def searched(self) -> bool:
        """Whether the search has ended."""
        return self.state not in ("waiting", "searching")

    @property
    def done(self) -> bool:
        """Whether nothing more comes: scored, or without anything to score."""
        return self.state == "scored" or (self.incumbent is None and self.searched)

    def add(self, event: Event) -> None:
        """Take in the cell's next event."""
        self.time = event["time"]
        self.seconds = sum(event["clock"][kind] for kind in _SEARCH)
        self.visits = event["visits"]
        self.retrain = event["clock"]["retrain"]
        match event["kind"]:
            case "cell_started":
                self.state = "searching"
            case "trial":
                self.trials.add(event["number"])
            case "incumbent":
                self.incumbent, self.rmse = event["id"], event["rmse"]
            case "cell_finished":
                self.state, self.reason = "searched", event["reason"]
            case "cell_failed":
                self.state, self.reason = "failed", event["error"]
            case "score":
                self.tests[event["id"]] = event["rmse_std"]
                self.state = "failed" if self.state == "failed" else "scoring"
            case "cell_scored":
                self.state = "failed" if self.state == "failed" else "scored"


@dataclass(frozen=True)
class TimeLeft:
    """Estimates in seconds, None where nothing is known to estimate them from."""

    search: float | None
    scoring: float | None


class Board:
    """All cells of a study and what happened to them.

    Events may come again, as a resumed run's do: they are counted once.
    """

    def __init__(self, title: str, cells: Iterable["Cell"], budget: "Budget", workers: int = 1) -> None:
        self.title = title
        self.budget = budget
        self.workers = workers
        self.cells = {cell.id: CellView(cell) for cell in cells}
        self._events: dict[str, list[Event]] = {name: [] for name in self.cells}
        self._seen: set[tuple[str, int, int]] = set()

    @classmethod
    def of(cls, study: "Study") -> "Board":
        """An empty board for a study, its cells grouped by data set, dimension and searcher."""
        titles = [entry.title for entry in study.datasets], [entry.title for entry in study.searchers]
        cells = sorted(
            study.cells(),
            key=lambda cell: (
                titles[0].index(cell.dataset),
                study.dims.index(cell.dim),
                titles[1].index(cell.searcher),
                study.seeds.index(cell.seed),
            ),
        )
        resources = study.resources
        workers = resources.workers or max(1, (os.cpu_count() or 1) // resources.cpus_per_cell)
        return cls(study.name, cells, study.budget, 1 if resources.backend == "inline" else workers)

    def add(self, event: Event) -> CellView | None:
        """Take in an event and return its cell; None if it is of no cell, or was here before."""
        name = event["cell"]
        key = (name, event["attempt"], event["n"])
        if name not in self.cells or key in self._seen:
            return None
        self._seen.add(key)
        if event["kind"] == "cell_started" and event["resumed"]:  # it may take back what came before
            self._events[name] = effective([*self._events[name], event])
            self._rebuild(name)
        else:
            self._events[name].append(event)
            self.cells[name].add(event)
        return self.cells[name]

    def restore(self, events: Iterable[Event]) -> None:
        """Take in the events of a run that was interrupted: what was under way then is waiting now."""
        for event in events:
            self.add(event)
        for view in self.cells.values():
            if view.state == "searching":
                view.state = "waiting"

    def seconds_now(self, view: CellView, now: float) -> float:
        """Seconds of search of a cell at a time, also between two events."""
        if view.state != "searching":
            return view.seconds
        limit = float("inf") if self.budget.seconds is None else self.budget.seconds
        return max(view.seconds, min(view.seconds + now - view.time, limit))

    def fraction(self, view: CellView, now: float) -> float:
        """How much of a cell's search is over, by whichever budget is nearest to its end."""
        if view.searched:
            return 1.0
        used = {
            self.budget.trials: len(view.trials),
            self.budget.visits: view.visits,
            self.budget.seconds: self.seconds_now(view, now),
        }
        return min(1.0, max(amount / limit for limit, amount in used.items() if limit is not None))

    def progress(self, now: float) -> float:
        """How much of the run is over: search and scoring count one half each."""
        parts = [
            1.0 if view.done else 0.5 * self.fraction(view, now) for view in self.cells.values()
        ]
        return fmean(parts) if parts else 1.0

    def time_left(self, now: float) -> TimeLeft:
        """Estimate what remains, from the budget and from the cells that are further on."""
        search = [self._search_left(view, now) for view in self.cells.values() if not view.searched]
        mean_scoring = self._mean_scoring()
        scoring = [
            None if mean_scoring is None else max(0.0, mean_scoring - view.retrain)
            for view in self.cells.values()
            if not view.done and view.incumbent not in view.tests
        ]
        return TimeLeft(self._side_by_side(search), self._side_by_side(scoring))

    def _side_by_side(self, seconds: list[float | None]) -> float | None:
        known = [value for value in seconds if value is not None]
        if len(known) < len(seconds):
            return None
        return max(sum(known) / self.workers, max(known, default=0.0))

    def _search_left(self, view: CellView, now: float) -> float | None:
        """What the same searcher took on other seeds, else what this cell's pace or budget says, else the mean."""
        spent = self.seconds_now(view, now)
        of_searcher = [
            other.seconds
            for other in self.cells.values()
            if other.searched and _without_seed(other.cell) == _without_seed(view.cell)
        ]
        if of_searcher:
            return max(0.0, fmean(of_searcher) - spent)
        fraction = self.fraction(view, now)
        if fraction >= _TELLING:
            return spent * (1 / fraction - 1)
        if self.budget.seconds is not None:
            return self.budget.seconds - spent
        others = [self.seconds_now(other, now) for other in self.cells.values() if other.searched]
        return max(0.0, fmean(others) - spent) if others else None

    def _mean_scoring(self) -> float | None:
        times = [view.retrain for view in self.cells.values() if view.state == "scored"]
        return fmean(times) if times else None

    def _rebuild(self, name: str) -> None:
        view = CellView(self.cells[name].cell)
        for event in self._events[name]:
            view.add(event)
        self.cells[name] = view


def _without_seed(cell: "Cell") -> tuple[Any, ...]:
    return (cell.dataset, cell.dim, cell.searcher)
