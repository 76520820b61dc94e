"""The errors that this package raises on purpose."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar

_MOST_SIGNS = 900  # of a message


class AutomlCfError(Exception):
    """The base of them all; its message is meant for the user, and the command line shows no traceback.

    Whatever a file put into it, it is one printable line: what no terminal should get is escaped, and a very long one
    is cut in the middle.
    """

    exit_status: ClassVar[int] = 1

    def __init__(self, message: str = "") -> None:
        super().__init__(_in_one_line(str(message)))


class InputError(AutomlCfError, ValueError):
    """What the user gave is wrong: one sentence naming the field, the value and what would be right."""

    exit_status = 2


def _in_one_line(message: str) -> str:
    line = " ".join(message.split())
    if not line.isprintable():
        line = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in line)
    return line if len(line) <= _MOST_SIGNS else f"{line[: _MOST_SIGNS // 2]} ... {line[-_MOST_SIGNS // 3 :]}"


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name nearest to ``name``, or ``""`` if none is near.

    Upper and lower case count as equal.
    """
    by_lower = {other.lower(): other for other in sorted(known)}
    near = get_close_matches(name.lower(), by_lower, n=1)
    return f" Did you mean '{by_lower[near[0]]}'?" if near else ""


def shortened(value: object) -> str:
    """A value in one line of at most 60 characters, also where it is a whole number of thousands of digits."""
    try:
        text = repr(value)
    except ValueError:
        text = "a number of more digits than are read"
    return text if len(text) <= 60 else f"{text[:57]}..."
