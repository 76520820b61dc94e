"""Small files that users hand in, read strictly and in bounded memory and time: objects of JSON, tables of TOML."""

import json
import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from automl_cf.errors import InputError

MOST_TOML = 1 << 20  # bytes; its parser takes far longer for long texts than in proportion
MOST_JSON = 1 << 30

_CHUNK = 1 << 20
_MOST_PARTS = 30  # of a key with dots; the parser's time grows with their square
_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+"""
_LONG_KEY = re.compile(rf"""(?<![\w"'-])(?:{_PART}){{{_MOST_PARTS}}}""")


def read_json(path: Path, why: str = "") -> dict[str, Any]:
    """Read one object of JSON. Raises InputError, naming the file, for anything else.

    `why` says, where the file cannot be read, what it is needed for, such as ", but every run has it".
    """
    value = _parsed(path, "JSON", json.loads, MOST_JSON, why)
    if not isinstance(value, dict):
        raise InputError(f"'{path}' holds {value!r:.40}, but it must be one JSON object.")
    return value


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file in TOML. Raises InputError, naming the file, for anything else."""
    value: dict[str, Any] = _parsed(path, "valid TOML", load_toml, MOST_TOML, "")
    return value


def load_toml(text: str) -> dict[str, Any]:
    """Read a text in TOML; raises ValueError for one that is none, RecursionError for one that is nested too deep."""
    if len(text) > MOST_TOML:
        raise ValueError(f"it has {len(text)} characters, but may have {MOST_TOML}")
    if _LONG_KEY.search(text):
        raise ValueError(f"it has a key of more than {_MOST_PARTS} parts")
    return tomllib.loads(text)


def first_bytes(path: Path, most: int) -> bytes:
    """A file's content. Raises InputError for one of more bytes, OSError for one that cannot be read."""
    content = bytearray()
    with path.open("rb") as stream:  # whose size need not be known before, as a device's is not
        while chunk := stream.read(_CHUNK):  # which takes the memory before it reads
            content += chunk
            if len(content) > most:
                raise InputError(f"'{path}' is larger than {most} bytes, which is more than such a file may have.")
    return bytes(content)


def _parsed(path: Path, form: str, parse: Callable[[str], Any], most: int, why: str) -> Any:
    try:
        return parse(first_bytes(path, most).decode("utf-8"))
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror or error}){why}.") from None
    except RecursionError:
        raise InputError(f"'{path}' is not {form}: it is nested too deep.") from None
    except ValueError as error:  # what the parsers, and the decoder, raise
        raise InputError(f"'{path}' is not {form}: {' '.join(str(error).split()):.200}.") from None


def expanded(path: str) -> Path:
    """A path in which ~ stands for a home. Raises InputError for that of a user whom there is not."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"'{path:.60}' begins with the home of a user whom there is not.") from error
