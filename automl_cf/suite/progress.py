"""What the driver remembers of each cell: little, however long its log; the rest is read again where it is needed."""

import time
from bisect import insort
from collections.abc import Iterable, Mapping
from operator import itemgetter
from typing import Any

from automl_cf.events import CLOCK_KINDS, ENDS, Event
from automl_cf.suite.deaths import PROGRESS, Death


class Progress:
    """How far one cell has come, told event by event.

    `attempt` and `n` are those of its last event; `durable` counts what a resumed cell need not do again.
    """

    def __init__(self) -> None:
        self.attempt = 0
        self.n = 0
        self.clock: dict[str, float] = dict.fromkeys(CLOCK_KINDS, 0.0)
        self.visits = 0
        self.started = False
        self.ended = False
        self.scored = False
        self.scores = 0
        self.checkpoint: str | None = None
        self.deaths: list[Death] = []
        self.all_deaths = 0
        self.durable = 0
        self._resumed: list[tuple[int, tuple[int, int]]] = []

    def add(self, event: Event) -> None:
        """Take in the cell's next event."""
        kind = event["kind"]
        self.attempt, self.n = event["attempt"], event["n"]
        self.clock, self.visits = event["clock"], event["visits"]
        if kind in PROGRESS:
            self.durable += 1
            self.deaths.clear()
        match kind:
            case "cell_started":
                self.started = True
                self.ended = self.scored = False
                if event["resumed"]:
                    self._resumed.append((event["attempt"], tuple(event["resumes_after"] or (0, 0))))
            case "checkpoint":
                self.checkpoint = event["file"]
            case "process_died":
                self.durable += 1
                self.all_deaths += 1
                self.deaths.append(Death.of(event))
            case "score":
                self.scores += 1
            case "cell_scored":
                self.scored = True
            case _ if kind in ENDS:
                self.ended = True

    def counts(self, event: Event) -> bool:
        """Whether an event of this cell counts, as `events.effective` has it: a resumed cell may do it again."""
        here = (event["attempt"], event["n"])
        return all(here[0] >= attempt or here <= point for attempt, point in self._resumed)


def of_cells(
    progress: Mapping[str, Progress], events: Iterable[Event], kinds: frozenset[str], trials: int | None = None
) -> dict[str, list[Event]]:
    """The events of the given kinds that count, of the given cells, in one pass over a log.

    Of trials only the best so many with a result are kept, at the end of each cell's list, if `trials` is given.
    """
    found: dict[str, list[Event]] = {cell: [] for cell in progress}
    best: dict[str, list[Event]] = {cell: [] for cell in progress}
    for event in events:
        cell = event["cell"]
        if cell not in progress or event["kind"] not in kinds or not progress[cell].counts(event):
            continue
        if event["kind"] != "trial" or trials is None:
            found[cell].append(event)
        elif event["rmse"] is not None:
            insort(best[cell], event, key=itemgetter("rmse"))  # of equals the first comes first
            del best[cell][trials:]
    return {cell: [*found[cell], *best[cell]] for cell in progress}


def stamp(cell: str, progress: Progress) -> dict[str, Any]:
    """What the driver puts on an event that it makes itself: the next of the cell's."""
    return {
        "cell": cell,
        "attempt": max(1, progress.attempt),
        "n": progress.n + 1,
        "time": time.time(),
        "clock": progress.clock,
        "visits": progress.visits,
    }
