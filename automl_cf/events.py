"""The event log's form: one JSON object a line, read strictly, and which events of a resumed cell count.

ARCHITECTURE.md lists the kinds of events and their fields.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from automl_cf.errors import InputError

SCHEMA = 1
LOG_NAME = "events.jsonl"
CLOCK_KINDS = ("setup", "think", "train", "validate", "retrain", "store", "queue")  # the seconds in an event's clock
SEARCH_KINDS = ("think", "train", "validate")  # those that a seconds budget counts

Event = dict[str, Any]


def search_seconds(event: Event) -> float:
    """Seconds of search up to an event."""
    return sum(float(event["clock"][kind]) for kind in SEARCH_KINDS)


def encode(event: Event) -> bytes:
    """One line, newline included. Raises ValueError for NaN and infinities: they are no JSON."""
    return json.dumps(event, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def read_events(path: Path) -> list[Event]:
    """All whole events of a log. A torn last line (no newline) was never acknowledged and is passed over.

    Raises InputError naming the line for anything else that is not an event of this schema.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read: {error.strerror}; is '{path.parent}' the folder of a run?"
        ) from error
    lines = data.split(b"\n")[:-1]
    return [_parse(path, number, line) for number, line in enumerate(lines, 1)]


def effective(events: Iterable[Event]) -> list[Event]:
    """The events that count: what a resumed cell did again replaces what it had done after its resume point.

    A resumed cell's `cell_started` names that point as `resumes_after`: [attempt, n], or null for the beginning.
    """
    counted: list[Event] = []
    for event in events:
        if event["kind"] == "cell_started" and event["resumed"]:
            point = tuple(event["resumes_after"] or (0, 0))
            counted = [
                other for other in counted if other["cell"] != event["cell"] or (other["attempt"], other["n"]) <= point
            ]
        counted.append(event)
    return counted


def _parse(path: Path, number: int, line: bytes) -> Event:
    try:
        event = json.loads(line)
    except ValueError as error:
        raise InputError(f"'{path}', line {number} is not JSON: {error}.") from error
    if not isinstance(event, dict) or event.get("schema") != SCHEMA or "kind" not in event:
        raise InputError(f"'{path}', line {number} is not an event of schema {SCHEMA}.")
    return event
