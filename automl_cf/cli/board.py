"""What is known of a run while it goes on: a pure function of the events so far."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from operator import itemgetter
from statistics import fmean
from typing import TYPE_CHECKING, Literal

from automl_cf.events import Event

if TYPE_CHECKING:
    from automl_cf.suite.study import Cell, Study

_Point = tuple[int, int]  # of a cell's events: attempt and n
State = Literal["waiting", "searching", "finished", "failed"]

_POINTS = ("trial", "checkpoint")  # the kinds of events that a resumed cell may go on from
_SEARCH = ("think", "train", "validate")  # the kinds of seconds that a budget counts


@dataclass(eq=False)
class CellView:
    """What one cell's events say so far; `seconds` are seconds of search."""

    cell: "Cell"
    state: State = "waiting"  # of the search
    scored: bool = False
    reason: str = ""  # why the search finished or failed
    trials: int = 0
    trial: tuple[str, float] = ("", 0.0)  # the last one's architecture's id and seconds
    trial_seconds: dict[str, float] = field(default_factory=dict)  # incumbent's id -> its trial's
    incumbents: dict[str, float | None] = field(default_factory=dict)  # architecture's id -> validation RMSE
    seconds: float = 0.0
    visits: int = 0
    retrain: float = 0.0
    time: float = 0.0  # of the last event
    tests: dict[str, float | None] = field(default_factory=dict)  # architecture's id -> test rmse_std

    @property
    def incumbent(self) -> str | None:
        """The id of the architecture that the search holds to be the best."""
        return next(reversed(self.incumbents), None)

    @property
    def rmse(self) -> float | None:
        """The incumbent's validation RMSE, in standard deviations of the training part."""
        return self.incumbents[self.incumbent] if self.incumbent else None

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
                self.trials += 1
                self.trial = (event["id"], sum(event["seconds"].values()))
            case "incumbent":
                if self.trial[0] == event["id"]:
                    self.trial_seconds[event["id"]] = self.trial[1]
                self.incumbents.pop(event["id"], None)  # so that it becomes the last one
                self.incumbents[event["id"]] = event["rmse"]
            case "cell_finished":
                self.state, self.reason = "finished", event["reason"]
            case "cell_failed":
                self.state, self.reason = "failed", event["error"]
            case "score":
                self.tests[event["id"]] = event["rmse_std"]
            case "cell_scored":
                self.scored = True

    def copy(self) -> "CellView":
        """The same, to which events can be added without changing this one."""
        return replace(
            self,
            trial_seconds=dict(self.trial_seconds),
            incumbents=dict(self.incumbents),
            tests=dict(self.tests),
        )


class Board:
    """All cells of a study, grouped for the eye, and what happened to them.

    Events may come again, as a resumed run's do: they are counted once.
    """

    def __init__(self, study: "Study") -> None:
        self.study = study
        self.cells = {cell.id: CellView(cell) for cell in _in_order(study)}
        # What a resumed cell may go on from: its beginning, its last checkpoint, its last trial.
        self._points: dict[str, dict[str, tuple[_Point, CellView]]] = {
            name: {"": ((0, 0), view.copy())} for name, view in self.cells.items()
        }
        self._last: dict[str, _Point] = {}

    def add(self, event: Event) -> CellView | None:
        """Take in an event and return its cell; None if it is of no cell, or was here before."""
        name = event["cell"]
        if name not in self.cells:  # of the run as a whole, above all
            return None
        here = (event["attempt"], event["n"])
        if here <= self._last.get(name, (0, 0)):
            return None
        self._last[name] = here
        if event["kind"] == "cell_started" and event["resumed"]:  # it may take back what came before
            self._go_back(name, tuple(event["resumes_after"] or (0, 0)))
        view = self.cells[name]
        view.add(event)
        if event["kind"] in _POINTS:
            self._points[name][event["kind"]] = (here, view.copy())
        return self.cells[name]

    def restore(self, events: Iterable[Event]) -> None:
        """Take in the events of a run that was interrupted: what was under way then is waiting now."""
        for event in events:
            self.add(event)
        self.stop()

    def stop(self) -> None:
        """Take in that the run's process is no more: what was under way is waiting to be resumed."""
        for view in self.cells.values():
            if view.state == "searching":
                view.state = "waiting"

    @property
    def done(self) -> bool:
        """Whether nothing more comes of any cell."""
        return all(view.done for view in self.cells.values())

    def seconds_now(self, view: CellView, now: float) -> float:
        """Seconds of search of a cell at a time, also between two events."""
        if view.state != "searching":
            return view.seconds
        limit = float("inf") if self.study.budget.seconds is None else self.study.budget.seconds
        return max(view.seconds, min(view.seconds + now - view.time, limit))

    def fraction(self, view: CellView, now: float) -> float:
        """How much of a cell's search is over, by whichever budget is nearest to its end."""
        if view.searched:
            return 1.0
        spent = (
            (view.trials, self.study.budget.trials),
            (view.visits, self.study.budget.visits),
            (self.seconds_now(view, now), self.study.budget.seconds),
        )
        return min(1.0, max(used / limit for used, limit in spent if limit is not None))

    def progress(self, now: float) -> float:
        """How much of the run is over: search and scoring count one half each."""
        parts = [1.0 if view.done else 0.5 * self.fraction(view, now) for view in self.cells.values()]
        return fmean(parts) if parts else 1.0

    def _go_back(self, name: str, to: "_Point") -> None:
        points = [(point, view) for point, view in self._points[name].values() if point <= to]
        self.cells[name] = max(points, key=itemgetter(0))[1].copy()


def _in_order(study: "Study") -> "list[Cell]":
    """The cells of a study by data set, dimension, searcher and seed, each in the study's order."""
    datasets = [entry.title for entry in study.datasets]
    searchers = [entry.title for entry in study.searchers]
    return sorted(
        study.cells(),
        key=lambda cell: (
            datasets.index(cell.dataset),
            study.dims.index(cell.dim),
            searchers.index(cell.searcher),
            study.seeds.index(cell.seed),
        ),
    )
