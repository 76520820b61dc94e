"""A space as hyperopt's search space."""

from collections.abc import Mapping
from typing import Any

from automl_cf.spaces.architecture import Architecture
from automl_cf.spaces.parameters import Category
from automl_cf.spaces.space import Space


def hyperopt_space(space: Space) -> dict[str, Any]:
    """Return `hp.randint` for each Category and `hp.uniform` for each Unit, all under their names."""
    from hyperopt import hp

    return {
        coordinate.name: hp.randint(coordinate.name, coordinate.n)
        if isinstance(coordinate, Category)
        else hp.uniform(coordinate.name, 0.0, 1.0)
        for coordinate in space.coordinates
    }


def from_hyperopt(space: Space, point: Mapping[str, Any]) -> Architecture:
    """Return the architecture at the point that an objective gets (or `spec_from_misc` makes of a trial)."""
    return space.from_coordinates(point)
