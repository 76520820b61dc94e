"""Leaving out what is damaged of a run's log, so that the run can go on from the last good events of each cell.

Of what was lost the search does again what it needs; under budgets of trials and visits it comes to the same. What is
kept is kept byte for byte, and the log as it was stays beside the new one.
"""

import os
import shutil
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from automl_cf.analysis.events import check_event
from automl_cf.analysis.verify import Cell, cell_name
from automl_cf.errors import InputError
from automl_cf.events import LOCK_NAME, LOG_NAME, DamageError, Event, Lines, Order, decode, numbered_lines

_SHOWN = 10  # damaged lines that are told one by one


@dataclass(frozen=True)
class Repaired:
    """What `repair` left out; `str` of it says so.

    ``damaged`` are the lines that were no events, or were there twice. ``lost`` counts, by cell, the good events that
    were left out because some before them are missing; ``original`` is the log as it was, None if nothing was changed.
    """

    original: Path | None = None
    damaged: tuple[DamageError, ...] = ()
    lost: tuple[tuple[str, int], ...] = ()

    def __str__(self) -> str:
        if self.original is None:
            return "no damage was found in the log: nothing was left out"
        lines = [f"left out: {damage}" for damage in self.damaged[:_SHOWN]]
        if len(self.damaged) > _SHOWN:
            lines.append(f"left out: {len(self.damaged) - _SHOWN} more damaged lines")
        for cell, count in self.lost:
            events = "an event" if count == 1 else f"{count} events"
            lines.append(f"left out: {events} of the cell '{cell}', which follow on what is missing and are done again")
        return "\n".join([*lines, f"the log as it was is kept as '{self.original}'"])


def repair(folder: Path) -> Repaired:
    """Leave out of a run's log what is damaged, and of each cell what follows on missing events.

    A log that is whole is left as it is. Raises InputError if the folder has no log that can be added to, is being
    written, or cannot be written.
    """
    log = folder / LOG_NAME
    if not log.is_file():
        raise InputError(f"'{folder}' has no {LOG_NAME} that could be repaired; name a run's folder.")
    with _locked(folder):
        sieve = _Sieve(log)
        sieve.read()
        if not sieve.damaged and not sieve.lost:
            return Repaired()
        return Repaired(_replace(sieve), tuple(sieve.damaged), tuple(sieve.lost.items()))


class _Sieve:
    """Decides which lines of a log stay."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.damaged: list[DamageError] = []
        self.lost: dict[str, int] = {}
        self._lines = Lines(log)
        self._order = Order()
        self._cells: dict[str, _Kept] = {}
        self._left: set[int] = set()  # the numbers of lines that are left out
        self._cut: dict[str, int] = {}  # by cell: from which line on nothing stays

    def read(self) -> None:
        """Read the log, and learn what is damaged."""
        for number, line in numbered_lines(self.log):
            try:
                event = self._judged(number, line)
            except DamageError as damage:
                self.damaged.append(damage)
                self._left.add(number)
                continue
            if event is None or event.get("cell") is None:
                continue
            if not self._follows(number, event):
                self._left.add(number)
        self._cut_at_lost_checkpoints()

    def lines(self) -> Iterator[bytes]:
        """The lines that stay."""
        for number, line in numbered_lines(self.log):
            if number in self._left or line is None or not line.endswith(b"\n"):
                continue
            if self._cut:
                cell = decode(line).get("cell", "")
                if number >= self._cut.get(cell, number + 1):
                    continue
            yield line

    def _judged(self, number: int, line: bytes | None) -> Event | None:
        """The event of a line that is right for itself; None for a torn one."""
        event = self._lines.event(number, line)
        if event is None or event.get("cell") is None:
            return event
        where = f"'{self.log}', line {number} "
        try:
            check_event(event, where.rstrip())
        except InputError as error:
            raise DamageError(self.log, number, "form", str(error).removeprefix(where)) from error
        if event["kind"] == "cell_started" and cell_name(event) != event["cell"]:
            what = f"starts the cell '{event['cell']:.80}', but has fields of another."
            raise DamageError(self.log, number, "form", what)
        return event

    def _follows(self, number: int, event: Event) -> bool:
        """Whether an event stays, as nothing before it is missing; what is there twice is noted as damaged."""
        cell = self._cells.setdefault(event["cell"], _Kept())
        starts = event["kind"] == "cell_started"
        waits = cell.broken and not starts
        problem = None if waits else self._order.problem(event)
        if problem is not None and problem[0] == "repeated":
            self.damaged.append(DamageError(self.log, number, *problem))
            return False
        cell.broken = waits or problem is not None
        if cell.broken:
            self.lost[event["cell"]] = self.lost.get(event["cell"], 0) + 1
            return False
        cell.lines.append(number)
        cell.follow(event, number)
        return True

    def _cut_at_lost_checkpoints(self) -> None:
        """Let a cell go on from the last checkpoint whose file is whole, if it has not ended."""
        for name, cell in self._cells.items():
            good = len(cell.checkpoints) if cell.end is not None else cell.good_checkpoints(self.log.parent)
            if good < len(cell.checkpoints):
                number = cell.checkpoints[good][2]
                self._cut[name] = number
                self.lost[name] = self.lost.get(name, 0) + len(cell.lines) - cell.lines.index(number)


class _Kept(Cell):
    """A cell of the events that stay."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False  # whether events are missing, so that what comes next does not stay
        self.lines = array("q")  # the numbers of its lines


def _replace(sieve: _Sieve) -> Path:
    """Write the log anew, and return the name of what it was."""
    log = sieve.log
    scratch = log.with_name(f".{log.name}.part")
    try:
        try:
            with scratch.open("wb") as file:
                file.writelines(sieve.lines())
                file.flush()
                os.fsync(file.fileno())
            original = _keep(log)
            os.replace(scratch, log)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"'{log.parent}' cannot be written: {error.strerror or error}; make room.") from error
    return original


def _keep(log: Path) -> Path:
    """Give the log a second name, which no file has yet; there is always a log of its first one."""
    number = 1
    while True:
        original = log.with_name(f"{log.name}.damaged" + (f"-{number}" if number > 1 else ""))
        if not original.exists():
            break
        number += 1
    try:
        os.link(log, original)
    except OSError:  # a file system without links
        try:
            shutil.copyfile(log, original)
        except OSError:
            with suppress(OSError):
                original.unlink()
            raise
    return original


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(f"'{folder}' is being written by a run; wait for it.") from error
    except (OSError, NotImplementedError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"'{folder}' cannot be written: {reason}.") from error
    try:
        yield
    finally:
        lock.release()
