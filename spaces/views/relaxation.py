"""A space as one-shot searchers see it: k operations to pick, vectors to learn (sections 3.3.1 and 4.5.2)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from automl_cf.errors import InputError
from automl_cf.spaces.architecture import Architecture, Value
from automl_cf.spaces.parameters import Choice, Subset, Vector
from automl_cf.spaces.space import Space


@dataclass(frozen=True)
class Relaxation:
    """What a one-shot searcher makes continuous: the choice among `operations`, and `vectors` by gradient.

    `k` is the number of operations that an architecture has; `vectors` are (name, size, norm bound) of each.
    """

    space: Space
    operations: tuple[str, ...]
    k: int
    vectors: tuple[tuple[str, int, float], ...]

    def architecture(self, operations: Sequence[str], vectors: Mapping[str, ArrayLike]) -> Architecture:
        """Return the architecture with these k operations, in any order, and these vectors, each (size,).

        A vector that rounding (single precision's, too) left just outside its ball is scaled back onto it;
        whatever else is not in the space raises InputError.
        """
        chosen = tuple(operation for operation in self.operations if operation in operations)
        if not len(operations) == len(chosen) == self.k:
            raise InputError(
                f"The operations chosen are {list(operations)}, "
                f"but must be {self.k} different of {', '.join(self.operations)}."
            )
        names = [name for name, _, _ in self.vectors]
        if sorted(vectors) != sorted(names):
            raise InputError(f"The vectors given are {list(vectors)}, but must be {names}.")
        values: dict[str, Value] = {
            parameter.name: chosen if isinstance(parameter, Subset) else chosen[0]
            for parameter in self.space.searched
            if isinstance(parameter, Choice | Subset)
        }
        for name, size, bound in self.vectors:
            values[name] = _in_ball(name, vectors[name], size, bound)
        return Architecture({**values, **self.space.constants})


def relax(space: Space) -> Relaxation:
    """Return the relaxation; raises InputError for what is not one choice of operations, and vectors."""
    discrete = [parameter for parameter in space.searched if isinstance(parameter, Choice | Subset)]
    vectors = tuple(parameter for parameter in space.searched if isinstance(parameter, Vector))
    conditional = [parameter.name for parameter in space.searched if parameter.when or parameter.unless]
    if len(discrete) != 1 or len(vectors) + 1 != len(space.searched) or conditional:
        listed = ", ".join(f"{type(parameter).__name__} {parameter.name!r}" for parameter in space.searched)
        raise InputError(
            f"Space {space.name!r} has {listed}, but one-shot search needs one choice of operations, "
            "any number of vectors, nothing else and no conditions."
        )
    (choice,) = discrete
    return Relaxation(
        space,
        operations=tuple(str(option) for option in choice.options),
        k=choice.size if isinstance(choice, Subset) else 1,
        vectors=tuple((vector.name, vector.size, vector.bound) for vector in vectors),
    )


def _in_ball(name: str, vector: ArrayLike, size: int, bound: float) -> tuple[float, ...]:
    array = np.asarray(vector, dtype=np.float64)
    norm = math.hypot(*array.flat)
    if array.shape != (size,) or not norm <= bound * (1 + 1e-5):
        raise InputError(
            f"Vector {name!r} has shape {array.shape} and norm {norm:g}, "
            f"but must be {size} numbers whose norm is at most {bound:g}."
        )
    return tuple((array if norm <= bound else array * (bound / norm)).tolist())
