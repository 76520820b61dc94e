"""What the events of a cell must hold for the analysis to use them, and which of them count."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from automl_cf.errors import InputError
from automl_cf.events import CLOCK_KINDS, Event, effective, read_events

Types = frozenset[type]

_TEXT: Types = frozenset({str})
_COUNT: Types = frozenset({int})
_FLAG: Types = frozenset({bool})
_NUMBER: Types = frozenset({int, float})
_MAYBE: Types = frozenset({int, float, type(None)})
_OBJECT: Types = frozenset({dict})
_LIST: Types = frozenset({list})

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

_NAMES = {str: "text", int: "a whole number", float: "a number", bool: "true or false", dict: "an object"}
_NAMES |= {list: "a list", type(None): "null"}


def read_cell_events(path: Path) -> list[Event]:
    """Return the events of all cells that count, in the order in which they happened within each cell.

    Events of the run as a whole (cell null) are left out. Raises InputError naming the line of an event whose
    kind is unknown, that lacks a field or has one of another type, or that is stored twice.
    """
    events = []
    seen = set()
    for number, event in enumerate(read_events(path), 1):
        if event.get("cell") is None:
            continue
        where = f"'{path}', line {number}"
        _check(event, {"kind": _TEXT, "cell": _TEXT}, where)
        if event["kind"] not in FIELDS:
            raise InputError(f"{where} has the unknown kind '{event['kind']}'; known: {', '.join(FIELDS)}.")
        _check(event, _COMMON, where)
        _check(event["clock"], _CLOCK, where)
        _check(event, FIELDS[event["kind"]], where)
        key = (event["cell"], event["attempt"], event["n"])
        if key in seen:
            raise InputError(f"{where} repeats event {key[2]} of attempt {key[1]} of the cell '{key[0]}'.")
        if event["kind"] == "cell_started" and event["resumed"] and "resumes_after" not in event:
            raise InputError(f"{where} lacks the field 'resumes_after', which a resumed cell's start must have.")
        seen.add(key)
        events.append(event)
    return effective(events)


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
