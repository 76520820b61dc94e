"""Whether a run's files are as they were written, and say one thing: the first damage, by file, line and kind.

The log is read once, line by line, in memory that hardly grows with it; nothing is trained and nothing written.
"""

import csv
import hashlib
import json
import zipfile
import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from math import isnan
from operator import itemgetter, le
from pathlib import Path
from typing import Any

import pyarrow.parquet

from automl_cf.analysis.events import cell_events
from automl_cf.errors import InputError
from automl_cf.events import (
    CLOCK_KINDS,
    LOG_NAME,
    DamageError,
    Event,
    Lines,
    find_log,
    in_order,
    is_running,
    numbered_lines,
)

_RESOLVED, _RESUMED_WITH = "resolved_study", "resumed_with"  # of the manifest (suite/manifest.py, suite/changes.py)
_FORM = "form"  # the kind of damage of an event that is not as the analysis needs it
_LOST, _SCORES = "lost", "scores"  # those that a file of scores shows, of the log and of itself
_STATE = "json.npy"  # the member of a checkpoint that every one has
_REDRAW = "it is derived from the log: 'automl-cf report' writes it anew"
_clock_of = itemgetter(*CLOCK_KINDS)

Point = tuple[int, int]
Scores = dict[tuple[str, str], Event]


@dataclass(frozen=True)
class Verification:
    """What `verify` found; `str` of it is what `automl-cf verify` prints.

    ``events`` were read and right, ``checksums`` of them had a checksum, which was theirs; without one only the form of
    an event and its place can be checked. ``finished``, ``failed`` and ``unfinished`` count the study's cells, as far
    as the log was read. ``damage`` is the first that was found, None if the run is whole; ``notes`` say what is
    unusual but harmless.
    """

    path: Path
    running: bool
    events: int
    checksums: int
    finished: int
    failed: int
    unfinished: int
    damage: DamageError | None = None
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether no damage was found."""
        return self.damage is None

    def __str__(self) -> str:
        if self.checksums == self.events:
            how = "all with checksums" if self.events else "none yet"
        elif self.checksums:
            how = f"{self.checksums:,} with checksums, the others older: of these the form only"
        else:
            how = "without checksums, of an older log: the form only"
        cells = [f"{self.finished:,} finished", f"{self.failed:,} failed", f"{self.unfinished:,} unfinished"]
        lines = [
            f"Events: {self.events:,} checked, {how}",
            f"Cells: {', '.join(text for text in cells if self.failed or 'failed' not in text)}",
            *(f"Note: {note}" for note in self.notes),
            "Whole: no damage was found." if self.damage is None else f"Damaged ({self.damage.kind}): {self.damage}",
        ]
        return "\n".join(lines)


def verify(folder: Path) -> Verification:
    """Check a run's study, manifest, plug-ins, log, checkpoints and scores, up to the first damage.

    A run that is being written may be checked as well. Raises InputError for what is no run's folder.
    """
    log = find_log(folder)
    if not (folder / "study.json").is_file():
        raise InputError(f"'{folder}' is not the folder of a run: it has no study.json.")
    if log is None:
        if not any((folder / name).exists() for name in (LOG_NAME, "scores.csv", "scores.parquet")):
            raise InputError(f"'{folder}' holds a run without any event yet; 'automl-cf resume' begins it.")
        lost = DamageError(folder / LOG_NAME, None, "missing", "is no file, though the run has begun.")
        return Verification(folder, False, 0, 0, 0, 0, 0, lost)
    check = _Check(folder, log, running=is_running(folder) is True)
    damage = None
    try:
        check.all()
    except DamageError as error:
        damage = error
    ends = [cell.end for cell in check.cells.values()]
    finished, failed = ends.count("cell_finished"), ends.count("cell_failed")
    return Verification(
        path=folder,
        running=check.running,
        events=check.events,
        checksums=check.checksums,
        finished=finished,
        failed=failed,
        unfinished=len(check.planned | set(check.cells)) - finished - failed,
        damage=damage,
        notes=tuple(check.notes),
    )


def check_log(folder: Path) -> None:
    """Raise DamageError if the log, or a checkpoint, is not fit to go on with the run: what `repair` leaves out.

    A folder without a log is left to others.
    """
    log = find_log(folder)
    if log is not None:
        check = _Check(folder, log, running=False)
        for event in check.lines():
            check.cell(event).follow(event)
        check.checkpoints()


def checkpoint_problem(path: Path) -> str | None:
    """Why a one-shot searcher's state cannot be loaded, None if it can; all of it is read, a piece at a time."""
    try:
        with zipfile.ZipFile(path) as file:
            if _STATE not in file.namelist():
                return f"has no {_STATE}"
            torn = file.testzip()
            return None if torn is None else f"has another checksum for {torn} than its own"
    except FileNotFoundError:
        return "is missing"
    except (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def cell_name(event: Event) -> str:
    """The name of the cell that a `cell_started` is of, by its fields."""
    return f"{event['dataset']}/d{event['dim']}/{event['searcher']}/s{event['seed']}"


@dataclass
class Cell:
    """What is known of a cell after some of its events; those that it did again are forgotten.

    ``end`` is the kind of the event that ended its search, if any did. ``checkpoints`` are files with the place of
    their events and the numbers of their lines.
    """

    end: str | None = None
    checkpoints: list[tuple[Point, str, int]] = field(default_factory=list)
    scored: bool = False

    def follow(self, event: Event, line: int = 0) -> None:
        """Take in the next event."""
        kind, place = event["kind"], (event["attempt"], event["n"])
        if kind == "cell_started":
            point = _resume_point(event)
            self.checkpoints = [known for known in self.checkpoints if known[0] <= point]
            self.end, self.scored = None, False
        elif kind == "checkpoint":
            self.checkpoints.append((place, event["file"], line))
        elif kind in ("cell_finished", "cell_failed"):
            self.end = kind
        elif kind == "cell_scored":
            self.scored = True

    def good_checkpoints(self, folder: Path) -> int:
        """Up to how many of the checkpoints the cell's state can be loaded."""
        for count in range(len(self.checkpoints), 0, -1):
            if checkpoint_problem(folder / self.checkpoints[count - 1][1]) is None:
                return count
        return 0


class _Details(Cell):
    """A cell whose events are compared with each other as well."""

    def __init__(self) -> None:
        super().__init__()
        self.attempt = 0
        self.clock: tuple[float, ...] = (0.0,) * len(CLOCK_KINDS)
        self.visits = 0
        self.asked = False  # whether its trials are announced, and so all recorded
        self.trials = array("q")  # attempt, n and number of each that counts
        self.known = array("q")  # of architectures that trials and incumbents had
        self.found = False
        self.scores: dict[str, Event] = {}

    @property
    def done(self) -> bool:
        """Whether nothing more comes of it."""
        return self.end is not None and (self.scored or not self.found)

    def problem(self, event: Event) -> tuple[str, str] | None:
        """The kind of what is wrong with the next event, and the rest of a sentence on it."""
        kind = event["kind"]
        if kind == "process_died":  # written by another process, which does not know the cell's clock
            return None
        problem = self._backwards(event)
        if kind == "cell_started":
            self._forget(_resume_point(event))
        elif kind == "trial_started":
            self.asked = True
        elif kind == "trial":
            problem = problem or self._trial(event)
        elif kind == "score" and hash(event["id"]) not in self.known:
            problem = problem or (
                "score",
                f"scores the architecture {event['id']:.40}, which no trial or incumbent of '{event['cell']}' had.",
            )
        if kind in ("trial", "incumbent"):
            self.known.append(hash(event["id"]))  # in a few bytes; it is the same within a process
            self.found = self.found or kind == "incumbent" or event["rmse"] is not None
        if kind == "score":
            self.scores[event["id"]] = {name: event[name] for name in event if name != "curve"}
        return problem

    def _backwards(self, event: Event) -> tuple[str, str] | None:
        clock, visits = _clock_of(event["clock"]), event["visits"]
        problem = None
        if event["attempt"] == self.attempt:
            if visits < self.visits:
                problem = "visits", f"goes back in the visits of '{event['cell']}', from {self.visits} to {visits}."
            elif not all(map(le, self.clock, clock)):
                problem = "clock", f"goes back in the clock of '{event['cell']}'."
        self.attempt, self.clock, self.visits = event["attempt"], clock, visits
        return problem

    def _trial(self, event: Event) -> tuple[str, str] | None:
        number, last = event["number"], self.trials[-1] if self.trials else -1
        self.trials.extend((event["attempt"], event["n"], number))
        if number <= last:
            return "trial", f"has trial {number} of '{event['cell']}' again, after trial {last}."
        if self.asked and number > last + 1:
            return "trial", f"has trial {number} of '{event['cell']}' after trial {last}: those between are missing."
        return None

    def _forget(self, point: Point) -> None:
        trials = self.trials
        while trials and (trials[-3], trials[-2]) > point:
            del trials[-3:]
        self.scores = {id_: e for id_, e in self.scores.items() if (e["attempt"], e["n"]) <= point}


class _Check:
    """The checks of one run, each of which raises DamageError, and what was counted until then."""

    def __init__(self, folder: Path, log: Path, running: bool) -> None:
        self.folder = folder
        self.log = log
        self.running = running
        self.events = self.checksums = self.line = 0
        self.planned: set[str] = set()
        self.cells: dict[str, _Details] = {}
        self.notes: list[str] = []
        self._checked = False  # whether the present line has a checksum

    def all(self) -> None:
        study = _object(self.folder / "study.json")
        self.planned = _names(study, self.folder / "study.json")
        manifest = _object(self.folder / "manifest.json")
        began = manifest.get(_RESOLVED)
        if isinstance(began, dict) and _RESUMED_WITH not in manifest and began != study:
            different = sorted(key for key in {*study, *began} if study.get(key) != began.get(key))
            what = f"is not the study that the run began with: manifest.json has another {', '.join(different)}."
            raise DamageError(self.folder / "study.json", None, "study", what)
        self.plugins(study)
        for event in self.lines():
            self._check(event)
        self.checkpoints()
        self.scores()

    def lines(self) -> Iterator[Event]:
        """The events of cells, each checked for itself and for being the next of its cell."""
        try:
            for event in cell_events(self.log, in_order(self.log, self._numbered())):
                self.events += 1
                self.checksums += self._checked
                yield event
        except DamageError:
            raise
        except InputError as error:
            # Its message begins as ours does.
            what = str(error).removeprefix(f"'{self.log}', line {self.line} ")
            raise DamageError(self.log, self.line, _FORM, what) from error

    def cell(self, event: Event) -> _Details:
        """The cell of an event; DamageError for a start whose fields say that it is another's."""
        cell = self.cells.setdefault(event["cell"], _Details())
        if event["kind"] == "cell_started" and cell_name(event) != event["cell"]:
            what = f"starts the cell '{event['cell']:.80}', but its fields are those of '{cell_name(event):.80}'."
            raise DamageError(self.log, self.line, _FORM, what)
        return cell

    def plugins(self, study: Mapping[str, Any]) -> None:
        """The copies of the study's plug-ins are those that it ran with."""
        path = self.folder / "study.json"
        try:
            entries = [(str(entry["file"]), str(entry["sha256"])) for entry in study.get("plugins") or ()]
        except (AttributeError, KeyError, TypeError) as error:
            raise DamageError(path, None, _FORM, f"is not a resolved study: plugins lack {error}.") from error
        for name, sha256 in entries:
            copy = self.folder / name
            try:
                with copy.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError as error:
                raise DamageError(copy, None, "missing", f"cannot be read: {error.strerror}.") from error
            if found != sha256:
                what = f"is not the plug-in of the run: its SHA-256 begins with {found[:12]}, not with {sha256[:12]}."
                raise DamageError(copy, None, "checksum", what)

    def checkpoints(self) -> None:
        """The state that each unfinished cell goes on from can be loaded."""
        for name, cell in self.cells.items():
            if cell.end is not None or not cell.checkpoints:
                continue
            _, file, _ = cell.checkpoints[-1]
            problem = checkpoint_problem(self.folder / file)
            if problem is None:
                continue
            if self.running:  # it may have been replaced by a later one meanwhile
                self.notes.append(f"the checkpoint '{file}' {problem}, but the run goes on and may have replaced it")
                continue
            what = f"{problem}, but the unfinished cell '{name}' goes on from it."
            raise DamageError(self.folder / file, None, "checkpoint", what)

    def scores(self) -> None:
        """The files of scores say what the log says, if they are there and nothing more is to come."""
        scores = {(name, id_): e for name, cell in self.cells.items() for id_, e in cell.scores.items()}
        done = all(name in self.cells and self.cells[name].done for name in self.planned)
        for name, rows in (("scores.csv", _csv_rows), ("scores.parquet", _parquet_rows)):
            path = self.folder / name
            if not path.exists():
                continue
            try:
                found = _scores_problem(rows(path), scores)
            except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException, csv.Error) as error:
                found = _SCORES, f"cannot be read: {' '.join(str(error).split()):.200}"
            if found is None:
                continue
            kind, problem = found
            repaired = any(self.folder.glob(f"{LOG_NAME}.damaged*"))  # which leaves scores out, and keeps the old log
            if kind == _LOST and not self.running and not repaired:
                what = f"lacks what {name} was made of, which {problem}: the log has lost its end."
                raise DamageError(self.log, None, _LOST, what)
            if done and not self.running:
                raise DamageError(path, None, _SCORES, f"{problem}; {_REDRAW}.")
            self.notes.append(f"{name} {problem}, but the run is unfinished; {_REDRAW}")

    def _check(self, event: Event) -> None:
        cell = self.cell(event)
        if self.planned and event["cell"] not in self.planned:
            what = f"is of the cell '{event['cell']:.80}', which the study does not have."
            raise DamageError(self.log, self.line, _FORM, what)
        cell.follow(event)
        problem = cell.problem(event)
        if problem is not None:
            raise DamageError(self.log, self.line, *problem)

    def _numbered(self) -> Iterator[tuple[int, Event]]:
        """As `numbered_events`, noting what it comes to."""
        lines = Lines(self.log)
        for number, line in numbered_lines(self.log):
            self.line = number
            event = lines.event(number, line)
            if event is None:
                torn = "is being written" if self.running else "was never acknowledged, 'automl-cf resume' cuts it off"
                self.notes.append(f"the log's last line is torn: it {torn}")
                return
            self._checked = lines.checksums  # from the first line that has one on all do
            yield number, event


def _resume_point(event: Event) -> Point:
    """After which event a started cell goes on; (0, 0) for its beginning."""
    attempt, n = (event.get("resumes_after") or (0, 0)) if event["resumed"] else (0, 0)
    return attempt, n


def _object(path: Path) -> dict[str, Any]:
    """Read a file of one JSON object; DamageError if it is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DamageError(path, None, "missing", f"cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise DamageError(path, None, "no JSON", f"is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise DamageError(path, None, _FORM, f"holds {value!r:.40}, but it must be one JSON object.")
    return value


def _names(study: Mapping[str, Any], path: Path) -> set[str]:
    """The names of a resolved study's cells."""
    try:
        datasets, searchers = (
            [entry.get("label") or entry["name"] for entry in study[key]] for key in ("datasets", "searchers")
        )
        cells = product(datasets, study["dims"], searchers, study["seeds"])
        return {f"{dataset}/d{dim}/{searcher}/s{seed}" for dataset, dim, searcher, seed in cells}
    except (AttributeError, KeyError, TypeError) as error:
        raise DamageError(path, None, _FORM, f"is not a resolved study: {error!r}.") from error


def _csv_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a CSV file as texts, empty ones as None."""
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            yield {name: value if value != "" else None for name, value in row.items()}


def _parquet_rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file; missing numbers may be NaN."""
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(1024):
            yield from batch.to_pylist()


def _scores_problem(rows: Iterator[dict[str, Any]], scores: Scores) -> tuple[str, str] | None:
    """The kind of what is wrong with a file of scores, and what; None if it has all of the log, each once, no other.

    What the log has not comes first, as it is the log that has lost it.
    """
    left, problem = dict(scores), None
    for row in rows:
        if row["id"] is None:
            continue
        where = f"the architecture {row['id']:.40} of '{row['cell']:.80}'"
        if (row["cell"], row["id"]) not in scores:
            return _LOST, f"has a score of {where} that the log has not"
        if problem is None:
            problem = _score_problem(row, left.pop((row["cell"], row["id"]), None), where)
    if left and problem is None:
        (cell, id_), *_ = left
        problem = f"lacks the score of the architecture {id_:.40} of '{cell:.80}'"
    return None if problem is None else (_SCORES, problem)


def _score_problem(row: Mapping[str, Any], event: Event | None, where: str) -> str | None:
    """What is wrong with a row of a file of scores; its event is None where a row before had it."""
    if event is None:
        return f"has the score of {where} twice"
    fields = event | (event.get("ranking") or {})
    for name, value in row.items():
        if name in fields and name not in ("cell", "id") and not _is_same(fields[name], value):
            return f"has {name} = {value!r:.40} of {where}, but the log has {fields[name]!r:.40}"
    return None


def _is_same(stored: Any, value: Any) -> bool:
    """Whether a value of an event is that of a table, or of a table as text."""
    if value is None or (isinstance(value, float) and isnan(value)):
        return stored is None or stored == ""
    if isinstance(stored, bool):
        return str(stored) == str(value)
    if isinstance(stored, int | float):
        return float(value) == float(stored)
    if isinstance(stored, dict):
        return bool(json.loads(value) == stored)
    return bool(stored == value)
