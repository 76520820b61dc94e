"""A point of a space."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np

from automl_cf.errors import InputError

Scalar: TypeAlias = str | int | float | bool | None
Value: TypeAlias = Scalar | tuple[Scalar, ...]


class Architecture(Mapping[str, Value]):
    """What a searcher proposes and a problem trains: an immutable, hashable mapping from names to values.

    A value is a JSON scalar or a tuple of them; lists and NumPy arrays become tuples, floats are kept
    exactly. Anything else, NaN and infinities included, raises InputError. Two architectures are equal when
    their JSON is, whatever the order of their names: 1, 1.0 and True differ.
    """

    __slots__ = ("_canonical", "_values")

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values: dict[str, Value] = {_name(name): _value(name, value) for name, value in values.items()}
        self._canonical = json.dumps(self._values, sort_keys=True, separators=(",", ":"))

    def __getitem__(self, name: str) -> Value:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return self._canonical == other._canonical if isinstance(other, Architecture) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._canonical)

    def __repr__(self) -> str:
        return f"Architecture({self._values})"

    @property
    def id(self) -> str:
        """Ten hexadecimal digits of the SHA-256 of its canonical JSON: the same in every process."""
        return hashlib.sha256(self._canonical.encode()).hexdigest()[:10]

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` takes and `from_json` reads back to an equal architecture."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self._values.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Architecture":
        """Read what `to_json` wrote; raises InputError as the constructor does."""
        if not isinstance(data, Mapping):
            raise InputError(f"An architecture is {data!r}, but its JSON must be an object from names to values.")
        return cls(data)


def _name(name: object) -> str:
    if not isinstance(name, str):
        raise InputError(f"An architecture names a value {name!r}, but names must be strings.")
    return name


def _value(name: str, value: Any) -> Value:
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, list):
        value = tuple(value)
    for scalar in value if isinstance(value, tuple) else (value,):
        if isinstance(scalar, float) and not math.isfinite(scalar):
            raise InputError(f"Value {name!r} of an architecture holds {scalar}, but numbers must be finite.")
        if not isinstance(scalar, Scalar):
            raise InputError(
                f"Value {name!r} of an architecture holds {scalar!r}, "
                "but values must be strings, numbers, true, false, null or flat lists of them."
            )
    return value  # type: ignore[no-any-return]
