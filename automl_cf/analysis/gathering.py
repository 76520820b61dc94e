"""What a run's frames need of the events of its cells, gathered while the log is read, so that it may be large."""

import math
from array import array
from collections.abc import Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from sys import intern
from typing import Any

from automl_cf.analysis.events import cell_events
from automl_cf.analysis.packed import Packed
from automl_cf.errors import InputError
from automl_cf.events import CLOCK_KINDS, Event, search_seconds

Point = tuple[int, int]

_CODES = {"int64": "q", "packed": "q", "float64": "d"}
_SCORING = ("score", "cell_scored")  # the kinds of events that are not of the search
_clock_of = itemgetter(*CLOCK_KINDS)

_STAMP = {"attempt": "int64", "n": "int64", "search_seconds": "float64"}
_ARCHITECTURE = {"architecture": "packed", "id": "str"}
TRIAL = {
    **_STAMP,
    "number": "int64",
    **_ARCHITECTURE,
    "status": "str",
    "rmse": "float64",
    "epochs": "float64",
    "best_epoch": "float64",
    "curve": "packed",
    "trial_visits": "int64",
    "seconds": "packed",
}
INCUMBENT = {
    **_STAMP,
    "wall_seconds": "float64",
    "work_seconds": "float64",
    "visits": "int64",
    **_ARCHITECTURE,
    "rmse": "float64",
    "source": "str",
}
"""The columns that `Rows` of trials and of incumbents have, with their dtypes."""
_EVENT = {"attempt": "int64", "n": "int64", **dict.fromkeys(CLOCK_KINDS, "float64"), "wall_seconds": "float64"}


class Rows:
    """Rows of a table in little memory: their whole numbers in one array, their floats in another, texts in a list.

    Packed columns are whole numbers: places in a `Packed`.
    """

    def __init__(self, types: Mapping[str, str]) -> None:
        """``types`` are the columns' dtypes; the first two must be ``attempt`` and ``n``, of the row's event."""
        self._ints, self._floats, self._texts = array("q"), array("d"), list[str]()
        parts: dict[str, Any] = {"q": self._ints, "d": self._floats, "": self._texts}
        codes = {name: _CODES.get(dtype, "") for name, dtype in types.items()}
        names = {code: [name for name in codes if codes[name] == code] for code in parts}
        # Where a column is: in which of the three, from where on, and at what steps.
        self._where = {name: (parts[code], names[code].index(name), len(names[code])) for name, code in codes.items()}

    def __len__(self) -> int:
        _, _, width = self._where["n"]
        return len(self._ints) // width

    def append(self, ints: Sequence[int], floats: Sequence[float], texts: Sequence[str] = ()) -> None:
        """Add a row: its values of these types, each in the order of the columns."""
        self._ints.extend(ints)
        self._floats.extend(floats)
        self._texts.extend(texts)

    def __getitem__(self, column: str) -> Any:
        """A column's values: (rows,), an array of numbers or a list of texts."""
        part, first, step = self._where[column]
        return part[first::step]

    def keep(self, point: Point) -> None:
        """Forget the rows of events after ``point``, an attempt and a number in it."""
        events = zip(self["attempt"], self["n"], strict=True)
        kept = [position for position, event in enumerate(events) if event <= point]
        for part, width in {id(part): (part, width) for part, _, width in self._where.values()}.values():
            values = [value for position in kept for value in part[position * width : (position + 1) * width]]
            del part[:]
            part.extend(values)


class CellRecord:
    """What the events of one cell said, without those that it did again after it was resumed (`events.effective`).

    ``started`` is its last start, None before any; ``last`` the last event of its search; ``scores`` its scores;
    ``booked``, once it is closed, the most seconds of each of `CLOCK_KINDS` that any event's clock has.
    """

    def __init__(self, store: Packed) -> None:
        """``store`` is where values of `TRIAL` and `INCUMBENT` are kept that are packed."""
        self.started: Event | None = None
        self.last: Event = {}
        self.scores: list[Event] = []
        self.booked: dict[str, float] = {}
        self.trials, self.incumbents = Rows(TRIAL), Rows(INCUMBENT)
        self._pack = store.add
        self._events = Rows(_EVENT)  # all of them, as a resumed cell may go on from any
        self._base = self._began = self.wall_seconds = 0.0

    def add(self, event: Event) -> None:
        """Take in the cell's next event of the log."""
        kind, time = event["kind"], event["time"]
        if kind == "cell_started":
            if event["resumed"]:
                self._keep(event["resumes_after"])
            self.started = event
            self._base, self._began = self.wall_seconds, time
        if kind not in _SCORING:
            self.last = event
            # Without a start there is nothing to count from; such a cell is refused in the end.
            self.wall_seconds = self._base + (time - self._began if self.started else 0.0)
        stamp = (event["attempt"], event["n"])
        self._events.append(stamp, (*_clock_of(event["clock"]), self.wall_seconds))
        if kind == "trial":
            self.trials.append(
                (
                    *stamp,
                    event["number"],
                    self._pack(event["architecture"]),
                    self._pack(event["curve"]),
                    event["trial_visits"],
                    self._pack(event["seconds"]),
                ),
                (search_seconds(event), *map(_number, (event["rmse"], event["epochs"], event["best_epoch"]))),
                (event["id"], intern(event["status"])),
            )
        elif kind == "incumbent":
            self.incumbents.append(
                (*stamp, event["visits"], self._pack(event["architecture"])),
                (search_seconds(event), self.wall_seconds, work_seconds(event), _number(event["rmse"])),
                (event["id"], intern(event["source"])),
            )
        elif kind == "score":
            self.scores.append(event)

    def close(self) -> None:
        """Take in no more events, and forget what only they would need."""
        self.booked = {kind: max(self._events[kind]) for kind in CLOCK_KINDS}
        self._events = Rows(_EVENT)

    def _keep(self, resumes_after: Sequence[int] | None) -> None:
        """Forget what was done after the point from which a resumed cell goes on, None for its beginning."""
        point = (0, 0) if resumes_after is None else (resumes_after[0], resumes_after[1])
        for rows in (self.trials, self.incumbents, self._events):
            rows.keep(point)
        self.scores = [event for event in self.scores if (event["attempt"], event["n"]) <= point]
        kept = self._events["wall_seconds"]
        self.wall_seconds = kept[-1] if kept else 0.0


def work_seconds(event: Event) -> float:
    """Seconds of set-up and search up to an event."""
    return float(event["clock"]["setup"]) + search_seconds(event)


def gather(log: Path, store: Packed) -> dict[str, CellRecord]:
    """Read a log and return what its cells did, by their names; packed values are put into ``store``.

    Raises InputError naming the line of an event that is not as it must be, and for a cell without a start.
    """
    cells: dict[str, CellRecord] = {}
    for event in cell_events(log):
        name = event["cell"]
        if name not in cells:
            cells[name] = CellRecord(store)
        try:
            cells[name].add(event)
        except OverflowError:
            where = f"event {event['n']} of attempt {event['attempt']} of the cell '{name}'"
            raise InputError(f"'{log}' has a number of more than 64 bits in {where}.") from None
    for name, cell in list(cells.items()):
        if cell.started is None and cell.last.get("kind") == "process_died":
            del cells[name]  # its process died before the cell had begun
        elif cell.started is None:
            raise InputError(f"'{log}' has events of the cell '{name}', but no cell_started.")
        cell.close()
    return cells


def _number(value: float | None) -> float:
    return math.nan if value is None else value
