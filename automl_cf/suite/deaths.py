"""What follows when the process of a cell dies: a retry, a trial recorded as dead, or the end of the cell.

A supervisor (`automl_cf.suite.isolation`) records each death as a `process_died` event, which says what was under way.
A crash may be an accident, so that it is tried again once; what took too long or too much memory would do so again.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from automl_cf.events import Event

PROGRESS = frozenset({"trial", "checkpoint", "score"})  # after these, earlier deaths no longer count
_MOST = 100  # deaths of one cell: no honest searcher comes near


class Death(NamedTuple):
    """Whose process died: the trial's `number` (in a search) and architecture's `id`, both None if of neither."""

    number: int | None
    id: str | None
    status: str
    error: str
    traceback: str
    seconds: float

    @classmethod
    def of(cls, event: Event) -> "Death":
        """The death that a `process_died` event tells of."""
        return cls(*(event[field] for field in cls._fields))

    def fields(self) -> dict[str, Any]:
        """The event's fields."""
        return self._asdict()


def condemned(deaths: Sequence[Death]) -> Death | None:
    """The death that is to be recorded as the result of what was under way, or None if that is to be tried (again).

    `deaths` are a cell's since its last progress. The returned one's seconds are those of all attempts at it.
    """
    if not deaths or deaths[-1].id is None:
        return None
    last = deaths[-1]
    same = [death for death in deaths if (death.number, death.id) == (last.number, last.id)]
    if len(same) < 2 and last.status == "crashed":
        return None
    return last._replace(seconds=sum(death.seconds for death in same))


def fatal(deaths: Sequence[Death], total: int) -> str | None:
    """Why a search has to end, or None; `total` is the number of the cell's deaths so far.

    It ends if the searcher itself took too long or too much memory, or crashed twice, and if being told of a dead trial
    killed it once more.
    """
    if not deaths:
        return None
    last = deaths[-1]
    if total >= _MOST:
        return f"its process died {total} times, the last time: {last.error}"
    if last.id is None:
        crashes = sum(death.id is None for death in deaths)
        return last.error if last.status != "crashed" or crashes > 1 else None
    # The first was tried again if it was a crash; the next one condemned the trial; one more came of being told so.
    return last.error if condemned(deaths[:-1]) is not None else None
