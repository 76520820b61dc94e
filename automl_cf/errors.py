"""The errors that this package raises on purpose."""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class AutomlCfError(Exception):
    """The base of them all; its message is meant for the user, and the command line shows no traceback."""

    exit_status: ClassVar[int] = 1


class InputError(AutomlCfError, ValueError):
    """What the user gave is wrong: one sentence naming the field, the value and what would be right."""

    exit_status = 2


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the known name nearest to ``name``, or ``""`` if none is near.

    Upper and lower case count as equal.
    """
    by_lower = {other.lower(): other for other in sorted(known)}
    near = get_close_matches(name.lower(), by_lower, n=1)
    return f" Did you mean '{by_lower[near[0]]}'?" if near else ""
