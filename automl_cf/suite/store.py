"""A run's folder on disk: the append-only event log, files beside it, and the lock that keeps a second run out.

What *durable* means here: an event is acknowledged when `Store.append` returns, and before the search goes on. Its line
was then given to the system as a whole, by one write(2) to a descriptor opened for appending, and the files that belong
to it before. So it survives the death of any process, this one included, however it dies. A crash of the operating
system or a loss of power is another matter: it may take what the system had not yet written to the disk, the last
seconds of a log. What costs more to do again than those seconds is written through to the disk (fsync) before it is
acknowledged: the ends of a cell's search and of its scoring, checkpoints, and every other file of the folder.

A line that could not be written as a whole is cut off again, and the store takes nothing more after that: an event
whose predecessor is not there would be worth nothing. The run ends, and can be resumed from what was acknowledged.
"""

import errno
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from automl_cf.errors import AutomlCfError, InputError
from automl_cf.events import COMPRESSED_NAME, LOCK_NAME, LOG_NAME, DamageError, Event, encode, ordered_events

STUDY_NAME = "study.json"
MANIFEST_NAME = "manifest.json"

_WRITTEN_THROUGH = frozenset({"cell_finished", "cell_failed", "cell_scored", "checkpoint"})  # the kinds of events
_NO_FSYNC = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)  # what file systems say that have none
_BLOCK = 2**16


class Emit(Protocol):
    """Make an event durable, with the files that belong to it; returns once it is."""

    def __call__(self, event: Event, files: dict[str, bytes] | None = None) -> None: ...


class Store:
    """The one writer of a run's folder; the module says what it guarantees.

    Raises InputError where the folder is in use, cannot be written, or has a compressed log only, to which nothing can
    be added.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        _refuse_compressed(folder)
        self._made = not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unwritable(folder, error) from error
        self._lock = _lock(folder)
        self._log = folder / LOG_NAME
        self._descriptor: int | None = None
        self._failure: AutomlCfError | None = None  # why nothing more is taken

    def events(self) -> Iterator[Event]:
        """Everything acknowledged so far, one by one; a torn last line is cut off before the next append.

        Raises InputError that says what to do for the first line that is not as it was written, or is missing.
        """
        if not self._log.exists():
            return
        try:
            yield from ordered_events(self._log)
        except DamageError as damage:
            raise cannot_go_on(self.folder, damage) from damage

    def append(self, event: Event, files: dict[str, bytes] | None = None) -> None:
        """Write an event's files, then the event itself; after a failure of that nothing more is written.

        Raises InputError for that, and ValueError for an event that is no JSON.
        """
        if self._failure is not None:
            raise self._failure
        line = encode(event)
        try:
            for name, content in (files or {}).items():
                self.write(name, content)
            self._append(line, through=event["kind"] in _WRITTEN_THROUGH)
        except OSError as error:
            self._failure = _unwritable(self.folder, error)
            raise self._failure from error
        except AutomlCfError as error:
            self._failure = error
            raise

    def write(self, name: str, content: bytes | str) -> Path:
        """Write a file of the run's folder: whole, and on the disk, or not at all."""
        target = self.folder / name
        scratch = target.with_name(f".{target.name}.part")
        try:
            if target.parent != self.folder:
                target.parent.mkdir(exist_ok=True)  # without the run's folder: where that is gone it stays so
            try:
                with scratch.open("wb") as file:
                    file.write(content.encode() if isinstance(content, str) else content)
                    file.flush()
                    _write_through(file.fileno())
                os.replace(scratch, target)
            except OSError:
                with suppress(OSError):
                    scratch.unlink()
                raise
            _write_through_folder(target.parent)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return target

    def write_json(self, name: str, value: Any) -> Path:
        """Write a value as indented JSON."""
        return self.write(name, to_json(value))

    def begin(self, files: Mapping[str, bytes | str]) -> None:
        """Write the files that a run begins with, in this order: all of them, or none is left.

        The last one should be the study: with it the folder holds a run, which must then have all the others.
        """
        written: list[Path] = []
        try:
            for name, content in files.items():
                written.append(self.write(name, content))
        except AutomlCfError:
            for path in written:
                with suppress(OSError):
                    path.unlink()
            for folder in sorted({(self.folder / name).parent for name in files} - {self.folder}):
                with suppress(OSError):  # there is none yet, or something else is in it
                    folder.rmdir()
            raise

    def prune(self, folder: str, keep: Iterable[str]) -> None:
        """Remove the files of a sub-folder that no kept event names."""
        kept = {self.folder / name for name in keep}
        for path in (self.folder / folder).glob("*"):
            if path not in kept:
                with suppress(OSError):  # it is of no more use, and harms nobody
                    path.unlink()

    def close(self) -> None:
        """Release the folder; where nothing was begun in it, no trace is left."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        if not any((self.folder / name).exists() for name in (STUDY_NAME, LOG_NAME)):
            with suppress(OSError):
                (self.folder / LOCK_NAME).unlink()  # while it is held: nobody else's
                if self._made:
                    self.folder.rmdir()
        self._lock.release()

    def _append(self, line: bytes, through: bool) -> None:
        """Write a line as a whole or not at all. Raises OSError."""
        log = self._open()
        end = os.fstat(log).st_size
        try:
            rest = memoryview(line)
            while rest:  # once, but where there is no room for all of it: then the next write says why
                written = os.write(log, rest)
                if written == 0:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                rest = rest[written:]
            if through:
                _write_through(log)
            if not _is_same(log, self._log):
                raise OSError(errno.ENOENT, f"{LOG_NAME} was removed or replaced while it was written")
        except OSError:
            with suppress(OSError):  # what stays of it is a torn line, which the next process cuts off
                os.ftruncate(log, end)
            raise

    def _open(self) -> int:
        if self._descriptor is None:
            _cut_torn_line(self._log)
            self._descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            _write_through_folder(self.folder)
        return self._descriptor


def _lock(folder: Path) -> FileLock:
    """Take the lock of a run's folder. Raises InputError if another process has it, or it cannot be taken."""
    taken = FileLock(folder / LOCK_NAME)
    try:
        taken.acquire(timeout=0)
    except Timeout as error:
        raise InputError(f"'{folder}' is being written by another run; wait for it or choose another --out.") from error
    except (OSError, NotImplementedError) as error:
        raise _unwritable(folder, error) from error
    return taken


def _refuse_compressed(folder: Path) -> None:
    """Raise InputError for a run that has its log compressed, to which nothing can be added."""
    if (folder / COMPRESSED_NAME).exists() and not (folder / LOG_NAME).exists():
        raise InputError(
            f"'{folder}' has its log compressed, as {COMPRESSED_NAME}, so that nothing can be added to it: unpack "
            f"it by 'gunzip {shlex.quote(str(folder / COMPRESSED_NAME))}' to go on with the run, or choose another "
            "--out."
        )


def to_json(value: Any) -> str:
    """A value as indented JSON, as the files of a run's folder have it."""
    return json.dumps(value, indent=2, default=str) + "\n"


def cannot_go_on(folder: Path, damage: DamageError) -> InputError:
    """The error of a run that is not resumed because it is damaged: what is, and what to do."""
    return InputError(
        f"{str(damage).rstrip('.')}; 'automl-cf resume {shlex.quote(str(folder))} --repair' leaves out what is damaged "
        "and goes on from the last good events."
    )


def _cut_torn_line(log: Path) -> None:
    """Cut off what stands after a log's last newline: it was never acknowledged. Raises OSError."""
    with suppress(FileNotFoundError), log.open("rb") as file:
        size = start = file.seek(0, os.SEEK_END)
        newline = -1
        while start and newline < 0:
            end, start = start, max(0, start - _BLOCK)
            file.seek(start)
            newline = file.read(end - start).rfind(b"\n")
        if start + newline + 1 < size:
            os.truncate(log, start + newline + 1)


def _write_through(descriptor: int) -> None:
    """Have the system write to the disk what it was given; OSError if that fails."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_FSYNC:
            raise


def _write_through_folder(folder: Path) -> None:
    """Have a folder's new names on the disk, where the system can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _write_through(descriptor)
    finally:
        os.close(descriptor)


def _is_same(descriptor: int, path: Path) -> bool:
    """Whether a path still leads to the file of a descriptor."""
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False


def _unwritable(folder: Path, error: Exception) -> AutomlCfError:
    reason = getattr(error, "strerror", None) or str(error)
    return InputError(f"'{folder}' cannot be written: {reason}; make room or choose another --out.")
