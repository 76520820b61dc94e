"""What is known of a run while it goes on: a pure function of the events so far."""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from automl_cf.events import Event, effective

if TYPE_CHECKING:
    from automl_cf.suite.study import Budget, Cell, Study

State = Literal["waiting", "searching", "finished", "failed"]

_SEARCH = ("think", "train", "validate")  # the kinds of seconds that a budget counts
_TELLING = 0.02  # of a budget has to be used before what remains is extrapolated from it


@dataclass
class CellView:
    """What one cell's events say so far. `seconds` are seconds of search, `rmse` is the incumbent's by validation."""

    cell: "Cell"
    state: State = "waiting"  # of the search
    scored: bool = False
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
        return self.state in ("finished", "failed")

    @property
    def done(self) -> bool:
        """Whether nothing more comes: scored, or without anything to score."""
        return self.scored or (self.searched and self.incumbent is None)

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
                self.state, self.reason = "finished", event["reason"]
            case "cell_failed":
                self.state, self.reason = "failed", event["error"]
            case "score":
                self.tests[event["id"]] = event["rmse_std"]
            case "cell_scored":
                self.scored = True


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
        spent = (
            (len(view.trials), self.budget.trials),
            (view.visits, self.budget.visits),
            (self.seconds_now(view, now), self.budget.seconds),
        )
        return min(1.0, max(used / limit for used, limit in spent if limit is not None))

    def progress(self, now: float) -> float:
        """How much of the run is over: search and scoring count one half each."""
        parts = [1.0 if view.done else 0.5 * self.fraction(view, now) for view in self.cells.values()]
        return fmean(parts) if parts else 1.0

    def time_left(self, now: float) -> TimeLeft:
        """Estimate what remains, from the budget and from the cells that are further on."""
        views = self.cells.values()
        search = [self._search_left(view, now) for view in views if not view.searched]
        scoring = [self._scoring_left(view) for view in views if not view.done]
        return TimeLeft(self._side_by_side(search), self._side_by_side(scoring))

    def _side_by_side(self, seconds: list[float | None]) -> float | None:
        known = [value for value in seconds if value is not None]
        if len(known) < len(seconds):
            return None
        return max(sum(known) / self.workers, max(known, default=0.0))

    def _search_left(self, view: CellView, now: float) -> float | None:
        """What the same searcher took on other seeds, else what this cell's pace says, the budget, or the mean."""
        spent = self.seconds_now(view, now)
        known = [other for other in self.cells.values() if other.searched]
        if alike := _of_same_searcher(view, known):
            return max(0.0, fmean(other.seconds for other in alike) - spent)
        fraction = self.fraction(view, now)
        if fraction >= _TELLING:
            return spent * (1 / fraction - 1)
        if self.budget.seconds is not None:
            return self.budget.seconds - spent
        return max(0.0, fmean(other.seconds for other in known) - spent) if known else None

    def _scoring_left(self, view: CellView) -> float | None:
        known = [other for other in self.cells.values() if other.scored]
        chosen = _of_same_searcher(view, known) or known
        return max(0.0, fmean(other.retrain for other in chosen) - view.retrain) if chosen else None

    def _rebuild(self, name: str) -> None:
        view = CellView(self.cells[name].cell)
        for event in self._events[name]:
            view.add(event)
        self.cells[name] = view


def _of_same_searcher(view: CellView, others: Iterable[CellView]) -> list[CellView]:
    return [other for other in others if replace(other.cell, seed=view.cell.seed) == view.cell]
