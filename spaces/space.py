"""The space itself: one feasible set, and one map onto it from the unit cube."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from automl_cf.errors import InputError, suggest
from automl_cf.spaces.architecture import Architecture, Value
from automl_cf.spaces.parameters import Coordinate, Parameter, parameter_from_json


@dataclass(frozen=True)
class Space:
    """Named parameters in their order, and constants that every architecture of the space carries.

    `build` is the one map onto the space. Whatever proposes architectures goes through it, the unit cube by
    `decode` and search backends by their views: all can reach the same set, and none restates a range.
    """

    name: str
    parameters: tuple[Parameter, ...]
    constants: Mapping[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(self.parameters))
        object.__setattr__(self, "constants", Architecture(self.constants))
        names = [*self.constants, *(parameter.name for parameter in self.parameters)]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"Space {self.name!r} has the name {name!r} twice, but names must differ.")
        for index, parameter in enumerate(self.parameters):
            self._check_conditions(parameter, self.parameters[:index])

    @cached_property
    def searched(self) -> tuple[Parameter, ...]:
        """The parameters that an architecture may have values for."""
        return tuple(parameter for parameter in self.parameters if parameter.role == "searched")

    @cached_property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """What a search backend has to choose: the searched parameters' coordinates, in order."""
        return tuple(coordinate for parameter in self.searched for coordinate in parameter.coordinates())

    @property
    def dimension(self) -> int:
        """The number of coordinates, each an axis of the unit cube."""
        return len(self.coordinates)

    def build(self, read: Callable[[Coordinate], float]) -> Architecture:
        """Return the architecture at the numbers that `read` gives.

        Only the coordinates of parameters that exist are read, in order. A number that is none of its
        coordinate's raises InputError.
        """
        values: dict[str, Value] = {}
        for parameter in self.searched:
            if parameter.exists(values):
                numbers = [coordinate.check(read(coordinate)) for coordinate in parameter.coordinates()]
                values[parameter.name] = parameter.decode(numbers)
        return Architecture({**values, **self.constants})

    def from_coordinates(self, point: Mapping[str, float]) -> Architecture:
        """Return the architecture at `point`: by coordinate name, a Category's class or a Unit's float.

        Coordinates of parameters that do not exist there, and other names, are ignored. A missing one, or one
        that `build` refuses, raises InputError.
        """

        def read(coordinate: Coordinate) -> float:
            if coordinate.name not in point:
                raise InputError(f"Coordinate {coordinate.name!r} of space {self.name!r} is missing.")
            return point[coordinate.name]

        return self.build(read)

    def decode(self, x: ArrayLike) -> Architecture:
        """Return the architecture at `x`, shape (dimension,); InputError if that is not in the unit cube."""
        x = np.asarray(x, dtype=np.float64)
        if x.shape != (self.dimension,):
            raise InputError(f"A point has shape {x.shape}, but space {self.name!r} needs ({self.dimension},).")
        numbers = {c: c.from_cube(u) for c, u in zip(self.coordinates, x.tolist(), strict=True)}
        return self.build(numbers.__getitem__)

    def sample(self, rng: np.random.Generator) -> Architecture:
        """Draw an architecture: `decode` of uniforms."""
        return self.decode(rng.random(self.dimension))

    def contains(self, architecture: Architecture) -> bool:
        """Whether the architecture has a feasible value for all that exists there, and nothing else."""
        expected = dict(self.constants)
        for parameter in self.searched:
            if parameter.exists(expected):
                if parameter.name not in architecture or not parameter.contains(architecture[parameter.name]):
                    return False
                expected[parameter.name] = architecture[parameter.name]
        return architecture == Architecture(expected)

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` takes and `from_json` reads back to an equal space."""
        return {
            "name": self.name,
            "parameters": [parameter.to_json() for parameter in self.parameters],
            "constants": Architecture(self.constants).to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Space":
        """Read what `to_json` wrote; raises InputError where it makes no sense."""
        match data:
            case {"name": str(name), "parameters": [*parameters], "constants": dict(constants)}:
                return cls(name, tuple(map(parameter_from_json, parameters)), constants)
        raise InputError(f"A space is {data!r}, but its JSON must have name, parameters and constants.")

    def _check_conditions(self, parameter: Parameter, earlier: tuple[Parameter, ...]) -> None:
        parents = {other.name: other for other in earlier if other.role == "searched"}
        for clause, condition in (("when", parameter.when), ("unless", parameter.unless)):
            if condition is None:
                continue
            name, values = condition
            where = f"Parameter {parameter.name!r} exists {clause} {name!r}"
            if name not in parents:
                raise InputError(f"{where}, but that must be a searched parameter before it.{suggest(name, parents)}")
            for value in values:
                if not parents[name].contains(value):
                    raise InputError(f"{where} is {value!r}, but that must be one of its values.")
