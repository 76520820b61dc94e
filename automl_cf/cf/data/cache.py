"""The folder that keeps fetched files: checked by SHA-256 at every use, written atomically."""

import hashlib
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import platformdirs

from automl_cf.errors import InputError

ENVIRONMENT_VARIABLE = "AUTOML_CF_DATA"


@dataclass(frozen=True)
class CachedFile:
    """A file as the cache keeps it: its name, the SHA-256 (hex) and the size (bytes) of its contents."""

    name: str
    sha256: str
    size: int


class State(StrEnum):
    """What the cache has of a file."""

    CACHED = "cached"
    MISSING = "not fetched"
    CORRUPT = "corrupt"


class WrongContentsError(Exception):
    """What was to be stored is not the file that was asked for."""


def cache_folder() -> Path:
    """Return the folder of all fetched data: ``AUTOML_CF_DATA``, or one in the user's cache folder."""
    if chosen := os.environ.get(ENVIRONMENT_VARIABLE):
        return Path(chosen).expanduser()
    return platformdirs.user_cache_path("automl-cf") / "data"


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's contents, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def state_of(folder: Path, file: CachedFile) -> State:
    """Return what ``folder`` has of ``file``. Raises ``InputError`` if it cannot be read."""
    path = folder / file.name
    try:
        return State.CACHED if sha256_of(path) == file.sha256 else State.CORRUPT
    except FileNotFoundError:
        return State.MISSING
    except OSError as error:
        raise InputError(f"{path}: the cached file cannot be read ({error.strerror}).") from error


def store(folder: Path, file: CachedFile, chunks: Iterable[bytes]) -> None:
    """Write ``chunks`` as ``file`` into ``folder``: all of it, checked, or nothing.

    Whoever reads meanwhile sees what was there before. Raises ``WrongContentsError`` if the contents are not
    those of ``file``, ``InputError`` if ``folder`` cannot be written to; what iterating over ``chunks``
    raises must be neither.
    """
    temporary = folder / f".{file.name}.{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            stream.writelines(_checked(file, chunks))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, folder / file.name)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be written to ({error.strerror}); "
            f"make it writable, or let {ENVIRONMENT_VARIABLE} name another folder."
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()


def _checked(file: CachedFile, chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Pass ``chunks`` on; raise ``WrongContentsError`` at the first byte too many, or at the end."""
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        size += len(chunk)
        if size > file.size:  # so that an archive that is not ours cannot fill the disk
            raise WrongContentsError(f"{file.name} is larger than the {file.size} bytes expected")
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != file.sha256:
        raise WrongContentsError(f"{file.name} has SHA-256 {digest.hexdigest()}, not {file.sha256}")
