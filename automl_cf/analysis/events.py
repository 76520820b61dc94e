"""What the events of a cell must hold for the analysis to use them, checked one by one as they are read."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import isfinite
from operator import itemgetter
from pathlib import Path
from typing import Any

from automl_cf.errors import InputError
from automl_cf.events import CLOCK_KINDS, Event, numbered_events

Types = frozenset[type]

_TEXT: Types = frozenset({str})
_COUNT: Types = frozenset({int})
_FLAG: Types = frozenset({bool})
_NUMBER: Types = frozenset({int, float})
_MAYBE: Types = frozenset({int, float, type(None)})
_OBJECT: Types = frozenset({dict})
_LIST: Types = frozenset({list})
_MAYBE_LIST: Types = frozenset({list, type(None)})
_MAYBE_OBJECT: Types = frozenset({dict, type(None)})
_MAYBE_TEXT: Types = frozenset({str, type(None)})

_COMMON = {"attempt": _COUNT, "n": _COUNT, "time": _NUMBER, "clock": _OBJECT, "visits": _COUNT}
_CLOCK = dict.fromkeys(CLOCK_KINDS, _NUMBER)
_ARCHITECTURE = {"architecture": _OBJECT, "id": _TEXT}

FIELDS: dict[str, dict[str, Types]] = {
    "cell_started": {
        "dataset": _TEXT,
        "dim": _COUNT,
        "searcher": _TEXT,
        "seed": _COUNT,
        "split_hash": _TEXT,
        "calibration": _MAYBE,
        "host": _TEXT,
        "engine": _TEXT,
        "resumed": _FLAG,
    },
    "trial_started": {"number": _COUNT, "architecture": _OBJECT},
    "trial": {
        "number": _COUNT,
        **_ARCHITECTURE,
        "status": _TEXT,
        "rmse": _MAYBE,
        "epochs": _MAYBE,
        "best_epoch": _MAYBE,
        "curve": _LIST,
        "trial_visits": _COUNT,
        "seconds": _OBJECT,
    },
    "incumbent": {**_ARCHITECTURE, "rmse": _MAYBE, "source": _TEXT},
    "checkpoint": {"file": _TEXT},
    "process_died": {
        "number": _MAYBE,
        "id": _MAYBE_TEXT,
        "status": _TEXT,
        "error": _TEXT,
        "traceback": _TEXT,
        "seconds": _NUMBER,
    },
    "cell_finished": {"reason": _TEXT},
    "cell_failed": {"error": _TEXT, "traceback": _TEXT},
    "score": {
        **_ARCHITECTURE,
        "l2": _MAYBE,
        "l2_at_edge": _FLAG,
        "status": _TEXT,
        "validation": _MAYBE,
        "rmse": _MAYBE,
        "rmse_std": _MAYBE,
        "rmse_warm": _MAYBE,
        "rmse_std_warm": _MAYBE,
        "cold": _COUNT,
        "retrain_seconds": _NUMBER,
        "retrain_visits": _COUNT,
        "scale": _NUMBER,
        "truth_rmse": _MAYBE,
    },
    "cell_scored": {},
}
"""The kinds of events of a cell with their fields and the JSON types of these; more fields may be there."""

OPTIONAL: dict[str, dict[str, Types]] = {
    "cell_started": {"resumes_after": _MAYBE_LIST},
    "score": {"curve": _MAYBE_LIST, "ranking": _MAYBE_OBJECT},
}
"""Fields that older runs have not, or not always; where they are there, they have these types."""

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "an object"}
_NAMES |= {list: "a list", type(None): "null"}


def cell_events(path: Path, lines: Iterable[tuple[int, Event]] | None = None) -> Iterator[Event]:
    """Yield the events of all cells in the order of the log, those that a resumed cell did again, too.

    Events of the run as a whole (cell null) are left out. ``lines`` are the log's, where they are read already. Raises
    InputError naming the line of an event whose kind is unknown, that lacks a field or has one of another type, or that
    is stored twice.
    """
    forms = {kind: _Form(kind) for kind in FIELDS}
    seen: dict[tuple[str, int], _Numbers] = {}
    for number, event in numbered_events(path) if lines is None else lines:
        if event.get("cell") is None:
            continue
        form = forms.get(event["kind"]) if type(event["kind"]) is str else None
        if form is None or not form.knows(event):
            where = f"'{path}', line {number}"
            _check_kind(event, where)
            forms[event["kind"]].learn(event, where)
        cell, attempt, n = event["cell"], event["attempt"], event["n"]
        numbers = seen.get((cell, attempt))
        if numbers is None:
            numbers = seen[cell, attempt] = _Numbers()
        if not numbers.add(n):
            where = f"'{path}', line {number}"
            raise InputError(f"{where} repeats event {n} of attempt {attempt} of the cell '{cell}'.")
        yield event


def check_event(event: Event, where: str) -> None:
    """Raise InputError, beginning with ``where``, for one event of a cell that is not as `cell_events` asks for."""
    _check_kind(event, where)
    _Form(event["kind"]).learn(event, where)


class _Form:
    """Checks the events of one kind.

    Millions of events have few combinations of types, so that each combination is checked once, field by field, and
    known afterwards; the positions of its floats are kept with it, as these may be infinite each time.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._fields: Callable[[Event], tuple[Any, ...]] = itemgetter("cell", *_COMMON, *FIELDS[kind])
        self._clock: Callable[[Mapping[str, Any]], tuple[Any, ...]] = itemgetter(*_CLOCK)
        self._known: dict[tuple[type, ...], Callable[[tuple[Any, ...]], tuple[float, ...]]] = {}

    def knows(self, event: Event) -> bool:
        """Whether the event's combination of types was right before, and its floats are finite."""
        try:
            values = self._values(event)
        except (KeyError, TypeError):
            return False
        floats = self._known.get(tuple(map(type, values)))
        return floats is not None and all(map(isfinite, floats(values)))

    def learn(self, event: Event, where: str) -> None:
        """Raise InputError if the event is not as `FIELDS` and `OPTIONAL` say, or else know it from now on."""
        _check(event, _COMMON, where)
        _check(event["clock"], _CLOCK, where)
        _check(event, FIELDS[self._kind], where)
        if self._kind not in OPTIONAL:
            values = self._values(event)
            self._known[tuple(map(type, values))] = _floats(values)
            return
        fields = {field: types for field, types in OPTIONAL[self._kind].items() if field in event}
        _check(event, fields, where)
        if self._kind == "cell_started" and event["resumed"]:
            _check_resume_point(event, where)

    def _values(self, event: Event) -> tuple[Any, ...]:
        return self._fields(event) + self._clock(event["clock"])


class _Numbers:
    """Whole numbers that were there, in little memory where they come as 1, 2, 3, ..."""

    def __init__(self) -> None:
        self._upto = 0
        self._others: set[int] = set()

    def add(self, number: int) -> bool:
        """Whether it was not there before."""
        if number == self._upto + 1 and number not in self._others:
            self._upto = number
            return True
        if 0 < number <= self._upto or number in self._others:
            return False
        self._others.add(number)
        return True


def _floats(values: tuple[Any, ...]) -> Callable[[tuple[Any, ...]], tuple[float, ...]]:
    """Return what picks the floats of values of these types."""
    positions = [position for position, value in enumerate(values) if type(value) is float]
    # Of two or more positions itemgetter makes a tuple.
    return itemgetter(*positions) if len(positions) > 1 else lambda values: tuple(values[i] for i in positions)


def _check_resume_point(event: Event, where: str) -> None:
    if "resumes_after" not in event:
        raise InputError(f"{where} lacks the field 'resumes_after', which a resumed cell's start must have.")
    point = event["resumes_after"]
    if point is not None and list(map(type, point)) != [int, int]:
        raise InputError(f"{where} has resumes_after = {point!r:.60}, but it must be null or [attempt, n].")


def _check_kind(event: Event, where: str) -> None:
    _check(event, {"kind": _TEXT, "cell": _TEXT}, where)
    if event["kind"] not in FIELDS:
        raise InputError(f"{where} has the unknown kind '{event['kind']}'; known: {', '.join(FIELDS)}.")


def _check(event: Mapping[str, Any], fields: Mapping[str, Types], where: str) -> None:
    """Raise InputError for the first field that is missing, has another JSON type, or is NaN or infinite."""
    for field, types in fields.items():
        try:
            value = event[field]
        except KeyError:
            raise InputError(f"{where} lacks the field '{field}'.") from None
        # Not isinstance: true is no whole number here.
        if type(value) not in types or (type(value) is float and not isfinite(value)):
            right = " or ".join(sorted(_NAMES[t] for t in types if t is not int or float not in types))
            raise InputError(f"{where} has {field} = {value!r:.60}, but it must be {right}.")
