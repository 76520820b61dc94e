"""The event log's form: one JSON object a line, read strictly, and which events of a resumed cell count.

Each line ends with its own checksum, as the object's last field "crc": the CRC-32 of the line's bytes as they were
without that field, in eight hexadecimal digits. It is checked whenever a line is read, and an event that was read does
not have it. Lines of older logs have none; they are read as they are, up to the first that has one. ARCHITECTURE.md
lists the kinds of events and their fields.
"""

import gzip
import json
import os
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
LOCK_NAME = ".lock"  # held by the process that writes a run's folder
CLOCK_KINDS = ("setup", "think", "train", "validate", "retrain", "store", "queue")  # the seconds in an event's clock
SEARCH_KINDS = ("think", "train", "validate")  # those that a seconds budget counts
MAX_LINE = 16 * 2**20  # bytes: an event has some thousands, and what is read is to need bounded memory

Event = dict[str, Any]

ENDS = frozenset({"cell_finished", "cell_failed"})  # the kinds of events that end a cell's search
_SCORING = frozenset({"score", "cell_scored"})
_FIRST = frozenset({"cell_started", "process_died"})  # what a cell can begin with
_search = itemgetter(*SEARCH_KINDS)
_FIELD = "crc"
_KEY, _END = b',"crc":"', b'"}\n'
_TAIL = len(_KEY) + 8 + len(_END)  # bytes of a line from the checksum's field on
_DIGITS = len(_END) + 8  # bytes of a line from the checksum itself on
_NEWLINE = ord("\n")


class DamageError(InputError):
    """A line of a log, or a file, that is not as it was written.

    `line` is its number, None for a file as a whole; `kind` says in a word or two what is wrong.
    """

    def __init__(self, path: Path, line: int | None, kind: str, what: str) -> None:
        super().__init__(f"'{path}'{'' if line is None else f', line {line}'} {what}")
        self.path = path
        self.line = line
        self.kind = kind


def search_seconds(event: Event) -> float:
    """Seconds of search up to an event."""
    return sum(map(float, _search(event["clock"])))


def encode(event: Event) -> bytes:
    """One line, checksum and newline included.

    Raises ValueError for NaN and infinities, which are no JSON, and InputError for what no reader would take.
    """
    line = json.dumps(event, separators=(",", ":"), allow_nan=False).encode()
    if len(line) + _TAIL > MAX_LINE:
        raise InputError(f"an event '{event['kind']}' of {len(line):,} bytes is too long; at most {MAX_LINE:,} are.")
    return b'%s%s%08x"}\n' % (line[:-1], _KEY, zlib.crc32(line))


def decode(line: bytes) -> Event:
    """The event of a line with its newline; raises `LineError` for what is none, or is not as it was written."""
    # The digits stand at a known place from the end, so that neither the rest need be parsed nor encoded for the check.
    checked = has_checksum(line)
    if checked:
        crc = zlib.crc32(b"}", zlib.crc32(memoryview(line)[:-_TAIL]))
        if line[-_DIGITS:] != b'%08x"}\n' % crc:
            raise LineError("checksum", "is not as it was written: its checksum is another.")
    elif _is_like_a_checksum(line):
        raise LineError("checksum", "is not as it was written: the name of its checksum is another.")
    try:
        event = orjson.loads(line)
    except ValueError:
        event = _decode_by_json(line)
    if not isinstance(event, dict) or event.get("schema") != SCHEMA or "kind" not in event:
        raise LineError("no event", f"is not an event of schema {SCHEMA}.")
    if checked:
        del event[_FIELD]
    elif _FIELD in event:
        raise LineError("checksum", "is not as it was written: its checksum is not at its end.")
    return event


def has_checksum(line: bytes) -> bool:
    """Whether a line, with its newline, has a checksum, whatever that is."""
    return line[-_TAIL:-_DIGITS] == _KEY


class LineError(ValueError):
    """A line that is no event; `kind` says in a word or two why, and the message goes on after the line's number."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(what)
        self.kind = kind


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
    over. Raises InputError naming the line for anything else that is not an event of this schema, or that has another
    checksum than its own.
    """
    lines = Lines(path)
    for number, line in numbered_lines(path):
        event = lines.event(number, line)
        if event is not None:
            yield number, event


class Lines:
    """Makes events of a log's lines, one after the other; ``checksums`` tells whether one of them had a checksum."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.checksums = False

    def event(self, number: int, line: bytes | None) -> Event | None:
        """The event of the next line as `numbered_lines` gives it, None for a torn one. Raises DamageError naming it.

        Older versions wrote no checksums, but none wrote a line without one after a line with one.
        """
        if line is None:
            raise DamageError(self.path, number, "too long", f"has more than the {MAX_LINE:,} bytes of any event.")
        if line[-1] != _NEWLINE:
            return None
        try:
            event = decode(line)
        except LineError as error:
            raise DamageError(self.path, number, error.kind, str(error)) from error.__cause__
        if has_checksum(line):
            self.checksums = True
        elif self.checksums:
            raise DamageError(self.path, number, "checksum", "has no checksum, though a line before it has one.")
        return event


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes | None]]:
    """The number and the bytes of each line of a log, newline included; None for one that is longer than `MAX_LINE`.

    The last one may lack its newline; nothing is read after it, though its writer may have gone on. Needs no more
    memory than such a line, whatever the file. Raises InputError if it cannot be read.
    """
    try:
        with _open(path) as log:
            readline, number = log.readline, 0
            while line := readline(MAX_LINE):
                number += 1
                if line[-1] == _NEWLINE:
                    yield number, line
                elif len(line) < MAX_LINE:
                    yield number, line
                    return
                else:
                    yield number, (None if _skip_line(log) else b"?")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DamageError(path, None, "compression", f"cannot be read: {error}.") from error
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"'{path}' cannot be read: {reason}; is '{path.parent}' the folder of a run?") from error


class Order:
    """Tells whether the events of each cell are all there, in the order in which they were written.

    The events of an attempt at a cell are numbered 1, 2, 3, ..., attempts rise, one that goes on says after which
    event, and scores come after the end of a search. So what is missing, or there twice, is seen, and whose it was.
    """

    def __init__(self) -> None:
        self._current: dict[str, tuple[int, int]] = {}  # by cell: the attempt and the number of its last event
        self._former: dict[str, dict[int, int]] = {}  # by cell and former attempt: the number of its last event
        self._ended: set[str] = set()  # the cells whose search is over

    def problem(self, event: Event) -> tuple[str, str] | None:
        """Take in the next event; None if it follows, else the kind of the damage and the rest of a sentence on it.

        Cell, attempt and number must be of the right types. An event that does not follow changes nothing.
        """
        cell, kind, attempt, n = event["cell"], event["kind"], event["attempt"], event["n"]
        current, last = self._current.get(cell, (0, 0))
        begins = attempt != current or n != last + 1 or not last
        problem = self._problem(event, current, last) if begins else None
        if problem is None and kind in _SCORING and cell not in self._ended:
            problem = "lost", f"scores the cell '{cell}', but the end of its search is missing."
        if problem is not None:
            return problem
        if begins and current:
            self._former.setdefault(cell, {})[current] = last
        self._current[cell] = (attempt, n)
        if kind in ENDS:
            self._ended.add(cell)
        elif kind == "cell_started":
            self._ended.discard(cell)
        return None

    def _problem(self, event: Event, current: int, last: int) -> tuple[str, str] | None:
        """What is wrong with an event that is not simply the next one of its attempt."""
        cell, attempt, n = event["cell"], event["attempt"], event["n"]
        known = last if attempt == current else 0
        if attempt < max(1, current) or n <= known:
            return "repeated", f"has event {n} of attempt {attempt} of the cell '{cell}' again, or too late."
        if n > known + 1:
            lost = f"event {n - 1} is" if n == known + 2 else f"events {known + 1} to {n - 1} are"
            return "lost", f"has event {n} of attempt {attempt} of the cell '{cell}', whose {lost} missing."
        before, point = event.get("resumes_after") or (0, 0)
        there = last if before == current else self._former.get(cell, {}).get(before, 0)
        if event["kind"] == "cell_started" and point > there:
            missing = f"event {point} of attempt {before}, after which it goes on,"
        elif event["kind"] not in _FIRST and not current:
            missing = "its beginning"
        else:
            return None
        return "lost", f"begins attempt {attempt} of the cell '{cell}', but {missing} is missing."


def ordered_events(path: Path) -> Iterator[Event]:
    """The events of a log to go on with; as `numbered_events`, but those of each cell must be all there (`Order`)."""
    return (event for _, event in in_order(path, numbered_events(path)))


def in_order(path: Path, lines: Iterable[tuple[int, Event]]) -> Iterator[tuple[int, Event]]:
    """Pass on numbered events of a log; DamageError for the first that does not follow those of its cell."""
    order = Order()
    for number, event in lines:
        if event.get("cell") is not None:
            try:
                problem = order.problem(event)
            except (KeyError, TypeError, ValueError) as error:
                raise DamageError(path, number, "form", f"is not an event of a cell: {error!r:.80}.") from error
            if problem is not None:
                raise DamageError(path, number, *problem)
        yield number, event


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


def is_running(folder: Path) -> bool | None:
    """Whether a process holds a run's lock; None where that cannot be told.

    The lock is flock's, which the system gives back whenever the process that holds it ends, however it does. Here a
    *shared* one is asked for, without waiting, through a descriptor that cannot write, and given back at once. While
    the run goes on that is refused, and the run does not notice. Where it is not refused there is no run that it could
    disturb, but for one that begins within those microseconds; so it is asked for only when a run has been silent, or
    once.
    """
    try:
        import fcntl
    except ImportError:  # not on this system
        return None
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDONLY)
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # held, in the words of one file system or another
        return True
    except OSError:  # a file system without locks
        return None
    finally:
        os.close(descriptor)
    return False


def _open(path: Path) -> IO[bytes]:
    return cast(IO[bytes], gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _skip_line(log: IO[bytes]) -> bool:
    """Read to the end of a line; whether it has one."""
    while piece := log.readline(MAX_LINE):
        if piece[-1] == _NEWLINE:
            return True
    return False


def _is_like_a_checksum(line: bytes) -> bool:
    """Whether a line ends with a field of the checksum's form, though of another name: no event has such a one.

    Within a text of JSON no quotation mark follows a comma or a colon without a backslash between.
    """
    return line[-19:-17] == b',"' and line[-14:-11] == b'":"' and line.endswith(_END)


def _decode_by_json(line: bytes) -> Any:
    """What orjson refuses and json reads, such as NaN, is for who uses the event to judge."""
    try:
        return json.loads(line[:-1].decode())
    except RecursionError as error:
        raise LineError("no JSON", "is not JSON of an event: it is nested too deeply.") from error
    except ValueError as error:
        raise LineError("no JSON", f"is not JSON: {error}.") from error
