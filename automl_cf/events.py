"""The event log's form: one JSON object a line, read strictly, and which events of a resumed cell count.

ARCHITECTURE.md lists the kinds of events and their fields.
"""

import gzip
import json
import zlib
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path
from typing import IO, Any, cast

import orjson

from automl_cf.errors import InputError

SCHEMA = 1
LOG_NAME = "events.jsonl"
COMPRESSED_NAME = "events.jsonl.gz"  # a finished run's log by gzip, which is read where there is no other
CLOCK_KINDS = ("setup", "think", "train", "validate", "retrain", "store", "queue")  # the seconds in an event's clock
SEARCH_KINDS = ("think", "train", "validate")  # those that a seconds budget counts

Event = dict[str, Any]

_search = itemgetter(*SEARCH_KINDS)


def search_seconds(event: Event) -> float:
    """Seconds of search up to an event."""
    return sum(map(float, _search(event["clock"])))


def encode(event: Event) -> bytes:
    """One line, newline included. Raises ValueError for NaN and infinities: they are no JSON."""
    return json.dumps(event, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def find_log(folder: Path) -> Path | None:
    """A run's log, the compressed one only where there is no other; None where there is none."""
    logs = (folder / LOG_NAME, folder / COMPRESSED_NAME)
    return next((log for log in logs if log.is_file()), None)


def read_events(path: Path) -> list[Event]:
    """All whole events of a log; see `numbered_events`."""
    return [event for _, event in numbered_events(path)]


def numbered_events(path: Path) -> Iterator[tuple[int, Event]]:
    """The line's number and the event of each line of a log, one after the other, as they are asked for.

    A log whose name ends with .gz is decompressed. A torn last line (no newline) was never acknowledged and is passed
    over. Raises InputError naming the line for anything else that is not an event of this schema.
    """
    try:
        with _open(path) as log:
            for number, line in enumerate(log, 1):
                if line.endswith(b"\n"):
                    yield number, _parse(path, number, line)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"'{path}' cannot be read: {reason}; is '{path.parent}' the folder of a run?") from error


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


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _parse(path: Path, number: int, line: bytes) -> Event:
    try:
        event = orjson.loads(line)
    except ValueError:
        # What orjson refuses and json reads, such as NaN, is for who uses the event to judge.
        try:
            event = json.loads(line[:-1])
        except ValueError as error:
            raise InputError(f"'{path}', line {number} is not JSON: {error}.") from error
    if not isinstance(event, dict) or event.get("schema") != SCHEMA or "kind" not in event:
        raise InputError(f"'{path}', line {number} is not an event of schema {SCHEMA}.")
    return event
