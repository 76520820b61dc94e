"""A run's folder on disk: the append-only event log, files beside it, and the lock that keeps a second run out."""

import json
import os
import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from automl_cf.errors import AutomlCfError, InputError
from automl_cf.events import COMPRESSED_NAME, LOG_NAME, Event, encode, read_events

STUDY_NAME = "study.json"
MANIFEST_NAME = "manifest.json"


class Emit(Protocol):
    """Make an event durable, with the files that belong to it; returns once it is."""

    def __call__(self, event: Event, files: dict[str, bytes] | None = None) -> None: ...


class Store:
    """The one writer of a run's folder.

    A line is one `write` to a descriptor opened for appending: what `append` returned from survives the death
    of any process of the run. Raises InputError where the folder is in use, cannot be written, or has a compressed
    log only, to which nothing can be added.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if (folder / COMPRESSED_NAME).exists() and not (folder / LOG_NAME).exists():
            raise InputError(
                f"'{folder}' has its log compressed, as {COMPRESSED_NAME}, so that nothing can be added to it: unpack "
                f"it by 'gunzip {shlex.quote(str(folder / COMPRESSED_NAME))}' to go on with the run, or choose another "
                "--out."
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(folder / ".lock")
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(
                f"'{folder}' is being written by another run; wait for it or choose another --out."
            ) from error
        except (OSError, NotImplementedError) as error:
            raise _unwritable(folder, error) from error
        self._log = folder / LOG_NAME
        self._descriptor: int | None = None

    def events(self) -> list[Event]:
        """Everything acknowledged so far; a torn last line is cut off before the next append."""
        return read_events(self._log) if self._log.exists() else []

    def append(self, event: Event, files: dict[str, bytes] | None = None) -> None:
        """Write an event's files, then the event itself."""
        try:
            for name, content in (files or {}).items():
                self.write(name, content)
            line = encode(event)
            if os.write(self._open(), line) != len(line):
                raise OSError(28, "No space left on device")
        except OSError as error:
            raise _unwritable(self.folder, error) from error

    def write(self, name: str, content: bytes | str) -> Path:
        """Write a file of the run's folder atomically."""
        target = self.folder / name
        scratch = target.with_name(f".{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch.write_bytes(content.encode() if isinstance(content, str) else content)
            os.replace(scratch, target)
        except OSError as error:
            raise _unwritable(self.folder, error) from error
        return target

    def write_json(self, name: str, value: Any) -> Path:
        """Write a value as indented JSON."""
        return self.write(name, json.dumps(value, indent=2, default=str) + "\n")

    def prune(self, folder: str, keep: Iterable[str]) -> None:
        """Remove the files of a sub-folder that no kept event names."""
        kept = {self.folder / name for name in keep}
        for path in (self.folder / folder).glob("*"):
            if path not in kept:
                path.unlink(missing_ok=True)

    def close(self) -> None:
        """Release the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._lock.release()

    def _open(self) -> int:
        if self._descriptor is None:
            _cut_torn_line(self._log)
            self._descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        return self._descriptor


def _cut_torn_line(log: Path) -> None:
    if not log.exists():
        return
    data = log.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(log, whole)


def _unwritable(folder: Path, error: Exception) -> AutomlCfError:
    reason = getattr(error, "strerror", None) or str(error)
    return InputError(f"'{folder}' cannot be written: {reason}; make room or choose another --out.")
