"""The kinds of parameter that a space is made of, and the numbers that each is decoded from.

A parameter owns *coordinates*: a `Unit`, a float in [0, 1], or a `Category`, one of n classes. They are all
that a search backend ever sees; `Parameter.decode` maps their numbers onto the parameter's values. So ranges,
scales and norm bounds are stated once, in the parameter.
"""

import json
import math
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations, islice
from typing import Any, Literal, TypeAlias, TypeGuard, get_args

import numpy as np

from automl_cf.errors import InputError, suggest
from automl_cf.spaces.architecture import Scalar, Value

Role: TypeAlias = Literal["searched", "trained"]
Condition: TypeAlias = tuple[str, tuple[Value, ...]]


@dataclass(frozen=True)
class Category:
    """A coordinate that is one of `n` classes, numbered from 0."""

    name: str
    n: int

    def from_cube(self, u: float) -> int:
        """The class of `u`, [0, 1] being cut into n intervals of one width; InputError if `u` is outside."""
        return min(int(Unit(self.name).check(u) * self.n), self.n - 1)

    def check(self, number: object) -> int:
        """Return the class as an int; raises InputError if there is no such class."""
        if isinstance(number, int | np.integer) and 0 <= number < self.n:
            return int(number)
        raise InputError(f"Coordinate {self.name!r} is {number!r}, but must be an integer below {self.n}.")


@dataclass(frozen=True)
class Unit:
    """A coordinate that is a float in [0, 1]."""

    name: str

    def from_cube(self, u: float) -> float:
        """`u` itself; InputError if it is outside [0, 1]."""
        return self.check(u)

    def check(self, number: object) -> float:
        """Return the number as a float; raises InputError if it is not in [0, 1]."""
        if isinstance(number, int | float | np.number) and 0 <= number <= 1:
            return float(number)
        raise InputError(f"Coordinate {self.name!r} is {number!r}, but must be a number from 0 to 1.")


Coordinate: TypeAlias = Category | Unit


@dataclass(frozen=True)
class Parameter(ABC):
    """One named degree of freedom; raises InputError where its definition makes no sense.

    A `trained` parameter is one that training finds: it is declared, but neither searched nor part of an
    architecture. `when=(name, values)` makes the parameter exist only where the earlier parameter `name`
    exists and has one of these values; `unless=(name, values)` only where that exists and has none of them.
    """

    name: str
    role: Role = field(default="searched", kw_only=True)
    when: Condition | None = field(default=None, kw_only=True)
    unless: Condition | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name.isidentifier()):
            raise InputError(f"A parameter is named {self.name!r}, but must be an identifier such as 'width_2'.")
        if self.role not in get_args(Role):
            raise self._wrong("role", "'searched' or 'trained'")
        for clause in ("when", "unless"):
            condition = self._freeze(clause)
            match condition:
                case None | (str(), (_, *_)):
                    pass
                case _:
                    raise self._wrong(clause, "a pair of an earlier parameter's name and a list of values")

    @abstractmethod
    def coordinates(self) -> tuple[Coordinate, ...]:
        """What a search backend has to choose."""

    @abstractmethod
    def decode(self, numbers: Sequence[float]) -> Value:
        """The value at one number per coordinate: a class for a Category, a float in [0, 1] for a Unit."""

    @abstractmethod
    def contains(self, value: object) -> bool:
        """Whether `value` is one of the parameter's."""

    def exists(self, values: Mapping[str, Value]) -> bool:
        """Whether the parameter exists beside these values of the parameters before it."""
        return all(
            condition is None or (condition[0] in values and (values[condition[0]] in condition[1]) is listed)
            for condition, listed in ((self.when, True), (self.unless, False))
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `parameter_from_json` reads back to an equal parameter."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        data: dict[str, Any] = json.loads(json.dumps({"kind": type(self).__name__, **given}))
        return data

    def _freeze(self, field_name: str) -> Any:
        """Turn the field's lists, as JSON has them, into tuples."""
        value = _tuples(getattr(self, field_name))
        object.__setattr__(self, field_name, value)
        return value

    def _wrong(self, field_name: str, right: str) -> InputError:
        value = getattr(self, field_name)
        return InputError(f"Parameter {self.name!r} has {field_name} {value!r}, but it must be {right}.")


@dataclass(frozen=True)
class Choice(Parameter):
    """One of `options`, in no order."""

    options: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_options(self, self._freeze("options"))

    def coordinates(self) -> tuple[Coordinate, ...]:
        return (Category(self.name, len(self.options)),)

    def decode(self, numbers: Sequence[float]) -> Value:
        return self.options[int(numbers[0])]

    def contains(self, value: object) -> bool:
        return any(_same(value, option) for option in self.options)


@dataclass(frozen=True)
class Subset(Parameter):
    """`size` different `options`, as a tuple in the order of `options`.

    Its one coordinate has a class for each such tuple, in lexicographic order.
    """

    options: tuple[Scalar, ...]
    size: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_options(self, self._freeze("options"))
        if not (_is_integer(self.size) and 1 <= self.size <= len(self.options)):
            raise self._wrong("size", f"an integer from 1 to {len(self.options)}, the number of options")

    def coordinates(self) -> tuple[Coordinate, ...]:
        return (Category(self.name, math.comb(len(self.options), self.size)),)

    def decode(self, numbers: Sequence[float]) -> Value:
        return next(islice(combinations(self.options, self.size), int(numbers[0]), None))

    def contains(self, value: object) -> bool:
        return any(_same(value, subset) for subset in combinations(self.options, self.size))


@dataclass(frozen=True)
class Real(Parameter):
    """A float from `low` to `high`, both included; uniform, or with `log` uniform in its logarithm."""

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        for bound in ("low", "high"):
            if not _is_number(getattr(self, bound)):
                raise self._wrong(bound, "a finite number")
        if not self.low < self.high:
            raise self._wrong("low", f"less than high, {self.high!r}")
        if not isinstance(self.log, bool):
            raise self._wrong("log", "true or false")
        if self.log and self.low <= 0:
            raise self._wrong("low", "more than 0, since log is true")

    def coordinates(self) -> tuple[Coordinate, ...]:
        return (Unit(self.name),)

    def decode(self, numbers: Sequence[float]) -> Value:
        (u,) = numbers
        if self.log:
            value = math.exp((1 - u) * math.log(self.low) + u * math.log(self.high))
        else:
            value = (1 - u) * self.low + u * self.high
        return float(min(max(value, self.low), self.high))  # rounding may lead out by an ulp

    def contains(self, value: object) -> bool:
        return isinstance(value, float) and self.low <= value <= self.high


@dataclass(frozen=True)
class Int(Parameter):
    """An integer from `low` to `high`, both included, uniform; its coordinate keeps their order."""

    low: int
    high: int

    def __post_init__(self) -> None:
        super().__post_init__()
        for bound in ("low", "high"):
            if not _is_integer(getattr(self, bound)):
                raise self._wrong(bound, "an integer")
        if not self.low < self.high:
            raise self._wrong("low", f"less than high, {self.high!r}")

    def coordinates(self) -> tuple[Coordinate, ...]:
        return (Unit(self.name),)

    def decode(self, numbers: Sequence[float]) -> Value:
        return self.low + Category(self.name, self.high - self.low + 1).from_cube(numbers[0])

    def contains(self, value: object) -> bool:
        return _is_integer(value) and self.low <= value <= self.high


@dataclass(frozen=True)
class Vector(Parameter):
    """`size` floats whose Euclidean norm is at most `bound`.

    Its coordinates x give z = 6x - 3 in the cube [-3, 3]^size, which goes onto the ball radially: z to
    bound * (max|z| / 3) * z / ||z||, and 0 to 0. So every draw is feasible, where a uniform draw from the
    cube itself practically never lies in the ball. (The paper gives samplers the cube, in A.5, and one-shot
    search the ball, in 3.2; here all have the ball.)
    """

    size: int
    bound: float

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (_is_integer(self.size) and self.size >= 1):
            raise self._wrong("size", "an integer of at least 1")
        if not (_is_number(self.bound) and self.bound > 0):
            raise self._wrong("bound", "a finite number above 0")

    def coordinates(self) -> tuple[Coordinate, ...]:
        return tuple(Unit(f"{self.name}[{index}]") for index in range(self.size))

    def decode(self, numbers: Sequence[float]) -> Value:
        z = [6.0 * u - 3.0 for u in numbers]
        norm = math.sqrt(math.fsum(c * c for c in z))  # the same bits on every machine, and so the same id
        scale = self.bound * max(map(abs, z)) / 3.0 / norm if norm else 0.0
        return tuple(scale * c for c in z)

    def contains(self, value: object) -> bool:
        return (
            isinstance(value, tuple)
            and len(value) == self.size
            and all(isinstance(c, float) for c in value)
            and math.hypot(*value) <= self.bound * (1 + 1e-9)
        )


_KINDS: dict[str, type[Parameter]] = {kind.__name__: kind for kind in (Choice, Subset, Real, Int, Vector)}


def parameter_from_json(data: Mapping[str, Any]) -> Parameter:
    """Read what `Parameter.to_json` wrote; raises InputError for an unknown kind or wrong fields."""
    if not isinstance(data, Mapping):
        raise InputError(f"A parameter is {data!r}, but its JSON must be an object with a kind.")
    fields = dict(data)
    kind = str(fields.pop("kind", None))
    if kind not in _KINDS:
        raise InputError(f"A parameter is a {kind!r}, but must be one of {list(_KINDS)}.{suggest(kind, _KINDS)}")
    try:
        return _KINDS[kind](**fields)
    except TypeError:
        given = ", ".join(map(str, fields))
        raise InputError(f"A {kind} parameter has the fields {given}, but those are not a {kind}'s.") from None


def _check_options(parameter: Choice | Subset, options: object) -> None:
    if not (isinstance(options, tuple) and options and all(map(_is_scalar, options))):
        raise parameter._wrong("options", "a list of at least one string or finite number")
    if len(set(options)) < len(options):  # 1, 1.0 and True count as equal here: too easily confused
        raise parameter._wrong("options", "without repetition")


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _same(a: object, b: object) -> bool:
    """Equality that tells 1, 1.0 and True apart, as JSON does."""
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(_same, a, b))
    return type(a) is type(b) and a == b


def _is_scalar(value: object) -> TypeGuard[Scalar]:
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _is_integer(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return (_is_integer(value) or isinstance(value, float)) and abs(value) <= sys.float_info.max
