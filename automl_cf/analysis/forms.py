"""What study.json and manifest.json of a run must be for the analysis to use them, also where others have written them.

Every field may be missing, as older runs have fewer, and there may be more of them.
"""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from automl_cf.errors import InputError

_DEPTH = 50  # levels that values are nested
_BITS = 2**63

_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "an object"}
_NAMES |= {list: "a list", type(None): "null"}


class Many(NamedTuple):
    """A list, or with `keys` an object, whose values are all of one form."""

    form: Any
    keys: bool = False


_TEXT, _WHOLE, _NUMBER, _OBJECT = (str,), (int,), (int, float), (dict,)
_MAYBE_NUMBER, _MAYBE_TEXT, _MAYBE_OBJECT = (int, float, type(None)), (str, type(None)), (dict, type(None))

_ENTRY = {"name": _TEXT, "label": _MAYBE_TEXT, "options": _MAYBE_OBJECT}

STUDY: Mapping[str, Any] = {
    "name": _TEXT,
    "datasets": Many(_ENTRY),
    "searchers": Many({**_ENTRY, "space": _ENTRY}),
    "dims": Many(_WHOLE),
    "seeds": Many(_WHOLE),
    "vary": Many(_TEXT),
    "fractions": Many(_NUMBER),
    "budget": Many(_MAYBE_NUMBER, keys=True),
    "training": _MAYBE_OBJECT,
    "space": _ENTRY,
    "scoring": _MAYBE_OBJECT,
    "analysis": {"smallest_effect": _NUMBER, "thresholds": Many(_NUMBER)},
    "skipped": Many({"name": _TEXT, "reason": _TEXT}),
}
MANIFEST: Mapping[str, Any] = {
    "versions": Many(_TEXT, keys=True),
    "machine": _MAYBE_OBJECT,
    "datasets": Many({"name": _TEXT, "sha256": _TEXT, "ratings": _WHOLE}, keys=True),
    "plugins": Many(_TEXT, keys=True),
}
"""Forms: types of a value; a mapping from an object's fields to their forms; or `Many`. Parts may be null."""


def check_form(value: Mapping[str, Any], form: Mapping[str, Any], path: Path) -> None:
    """Raise InputError, naming the file and the field, for the first value that has another form.

    Texts must be Unicode, numbers finite, and whole ones of at most 64 bits, everywhere.
    """
    _check_plain(value, path)
    _check(value, form, "", path)


def _check(value: Any, form: Any, field: str, path: Path) -> None:
    if isinstance(form, tuple) and not isinstance(form, Many):
        if type(value) not in form:
            right = " or ".join(_NAMES[kind] for kind in form if kind is not int or float not in form)
            raise InputError(f"'{path}' has {field:.200} = {value!r:.60}, but it must be {right}.")
        return
    if value is None:
        return
    whole: type[Any] = list if isinstance(form, Many) and not form.keys else dict
    if type(value) is not whole:
        raise InputError(f"'{path}' has {field:.200} = {value!r:.60}, but it must be {_NAMES[whole]}.")
    if isinstance(form, Many):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            _check(part, form.form, f"{field}.{key!s:.60}", path)
        return
    for key, own in form.items():
        if key in value:
            _check(value[key], own, f"{field}.{key}".lstrip("."), path)


def _check_plain(value: Any, path: Path) -> None:
    """Raise InputError for what no JSON of ours has anywhere, without recursion."""
    stack = [(value, 0)]
    while stack:
        part, depth = stack.pop()
        if isinstance(part, dict | list):
            if depth == _DEPTH:
                raise InputError(f"'{path}' is nested more than {_DEPTH} levels deep.")
            inner = [*part, *part.values()] if isinstance(part, dict) else part
            stack += [(one, depth + 1) for one in inner]
        elif isinstance(part, float) and not isfinite(part):
            raise InputError(f"'{path}' has the number {part}, but numbers must be finite.")
        elif isinstance(part, int) and not -_BITS <= part < _BITS:
            raise InputError(f"'{path}' has a whole number of more than 64 bits.")
        elif isinstance(part, str) and not part.isascii():
            try:
                part.encode()
            except UnicodeEncodeError:
                raise InputError(f"'{path}' has the text {part!r:.60}, which is no Unicode.") from None
